"""Seeka: orders as activities, batches, and the one documented answer."""

from __future__ import annotations

from typing import Any

import pytest
from requests_mock import Mocker

from app.providers.base import Accepted, Split, version
from app.providers.errors import DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.seeka import SEEKA
from mappings.engine import Skip
from tests.providers.shown import call, complaints, facts_of, render, rules, verdict_of

INGEST = "https://router.seeka.services/api/ingest"
EXAMPLE = {
    "id": {
        "seekaPId": "sk.1.1773479000000.1234567890",
        "email": ["eva.jansen@example.com"],
        "phone": ["+31612345678"],
        "firstName": ["Eva"],
        "lastName": ["Jansen"],
        "address": [
            {
                "addressLine1": "Keizersgracht 100",
                "locality": "Amsterdam",
                "state": "Noord-Holland",
                "stateCode": "NH",
                "postcode": "1015 CV",
                "country": "Netherlands",
                "countryCode": "NL",
            }
        ],
    },
    "payload": {
        "activityName": "Order",
        "activityId": "order_5501234567890",
        "commerce": {
            "products": [
                {
                    "currencyCode": "EUR",
                    "productIdentifier": 8801,
                    "variantIdentifier": 44001,
                    "sku": "LIN-SHIRT-M-BLU",
                    "productName": "Linen shirt",
                    "variantName": "Blue / M",
                    "unitPrice": 36.00,
                    "quantity": 2,
                },
                {
                    "currencyCode": "EUR",
                    "productIdentifier": 8802,
                    "variantIdentifier": 44002,
                    "sku": "TOTE-CANVAS",
                    "productName": "Canvas tote",
                    "unitPrice": 13.50,
                    "quantity": 1,
                },
            ],
            "cartIdentifier": "c1-7f3a",
            "checkoutIdentifier": "ch-91b2",
            "orderIdentifier": "5501234567890",
            "orderNumber": "1042",
            "customerIdentifier": "7012345678901",
            "paymentMethodName": "iDEAL",
            "currencyCode": "EUR",
            "totalPrice": 90.45,
            "totalTax": 15.70,
            "totalShippingPrice": 4.95,
        },
        "time": "2026-03-14T09:15:30Z",
    },
}
QUEUED = Accepted(note="queued by Seeka")


def test_the_worked_example_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(INGEST, status_code=202)
    assert call("seeka", "order", [render("seeka", "live_order_paid", "order")]) == [QUEUED]
    (request,) = requests_mock.request_history
    assert request.json() == {"data": [{"ev": EXAMPLE}]}
    assert request.headers["X-OrgId"] == "SEEKA_ORG_ID"
    assert request.headers["X-Converge-Key"] == "SEEKA_PUBLIC_KEY"
    assert request.headers["X-Sdk-Client-Version"] == version()
    assert request.headers["X-Sdk-Client-Type"] == "tillwire/server"
    assert request.headers["Content-Type"] == "application/json"


def test_up_to_twenty_ride_together(requests_mock: Mocker) -> None:
    requests_mock.post(INGEST, status_code=202)
    assert SEEKA.actions["order"].batch == 20
    assert call("seeka", "order", [EXAMPLE] * 20) == [QUEUED] * 20
    assert len(requests_mock.last_request.json()["data"]) == 20


@pytest.mark.parametrize(
    ("template", "activity_id"),
    [
        ("order_{id}", "order_5501234567890"),
        ("{number}", "1042"),
        ("shop-{name}!", "shop-#1042!"),
        ("", "order_5501234567890"),
    ],
)
def test_the_activity_id_is_what_the_tag_sends(template: str, activity_id: str) -> None:
    assert render("seeka", "live_order_paid", "order", activity_id=template)["payload"]["activityId"] == activity_id


def test_a_template_that_the_order_cannot_fill_gives_no_half_id() -> None:
    facts = facts_of("live_order_paid", order__number=None)
    assert "activityId" not in render("seeka", facts, "order", activity_id="order_{number}")["payload"]


def test_consent_goes_out_only_where_this_checkout_captured_it() -> None:
    assert "privacy" not in render("seeka", "live_order_paid", "order")["id"]
    facts = facts_of("live_order_paid", order__tcf_consent="CPXxRfAPXxRfA")
    assert render("seeka", facts, "order")["id"]["privacy"] == {"tcfConsentString": "CPXxRfAPXxRfA"}


def test_an_id_that_is_no_number_stays_text() -> None:
    facts = facts_of("live_order_paid", order__lines__0__product_id="shirt-7", order__lines__0__variant_id=None)
    product = render("seeka", facts, "order")["payload"]["commerce"]["products"][0]
    assert product["productIdentifier"] == "shirt-7"
    assert "variantIdentifier" not in product


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order__email": None, "order__phone": None, "order__seeka_profile_id": None}, "no_identity"),
        ({"order__test": True}, "test_order"),
    ],
)
def test_what_is_not_owed(changes: dict[str, Any], reason: str) -> None:
    assert render("seeka", facts_of("live_order_paid", **changes), "order") == Skip(reason)


@pytest.mark.parametrize(
    ("facts", "settings", "expected"),
    [
        ("order_paid", {}, ["order"]),
        ("cart_updated", {}, []),
        ("cart_updated", {"send_carts": True}, ["cart"]),
        ("checkout_started", {}, []),
        ("checkout_started", {"send_checkouts": True}, ["checkout"]),
        ("order_refunded", {}, ["unsupported"]),
        ("order_cancelled", {"send_refunds": True}, ["refund"]),
        ("order_deleted", {}, ["trashed"]),
    ],
)
def test_what_goes_out_when(facts: str, settings: dict[str, Any], expected: list[str]) -> None:
    assert rules("seeka", facts_of(facts), **settings) == expected


def test_names_of_activities_are_the_merchants() -> None:
    payload = render("seeka", "cart_with_cookie", "cart", send_carts=True, cart_activity="Basket")
    assert payload["payload"]["activityName"] == "Basket"
    assert render("seeka", "cart_anonymous", "cart", send_carts=True) == Skip("no_identity")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_another_2xx_is_taken_with_a_remark(requests_mock: Mocker, status: int) -> None:
    requests_mock.post(INGEST, status_code=status)
    (outcome,) = call("seeka", "order", [EXAMPLE])
    assert outcome == Accepted(note=f"answered {status} where 202 is documented")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, Refused),
        (400, Refused),
        (404, Refused),
        (413, Refused),
        (422, Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (408, Unavailable),
        (425, Unavailable),
        (429, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
    ],
)
def test_answers(requests_mock: Mocker, status: int, error: type[DeliveryError]) -> None:
    requests_mock.post(INGEST, status_code=status)
    if error is Refused:
        assert [type(each) for each in call("seeka", "order", [EXAMPLE])] == [Refused]
    else:
        with pytest.raises(error):
            call("seeka", "order", [EXAMPLE])


def test_the_planned_header_for_waiting_is_understood(requests_mock: Mocker) -> None:
    requests_mock.post(INGEST, status_code=429, headers={"Retry-After-Ms": "1500"})
    with pytest.raises(Unavailable) as caught:
        call("seeka", "order", [EXAMPLE])
    assert caught.value.retry_after == 1.5


def test_a_refused_batch_is_to_be_split(requests_mock: Mocker) -> None:
    requests_mock.post(INGEST, status_code=400)
    with pytest.raises(Split):
        call("seeka", "order", [EXAMPLE, EXAMPLE])


@pytest.mark.parametrize(
    ("status", "verdict"), [(202, "accepted"), (400, "accepted"), (401, "refused"), (403, "refused"), (500, "unknown")]
)
def test_the_connection_test_sends_no_activity(requests_mock: Mocker, status: int, verdict: str) -> None:
    requests_mock.post(INGEST, status_code=status)
    assert verdict_of("seeka") == verdict
    assert requests_mock.last_request.json() == {"data": []}


def test_a_total_that_does_not_fit_is_a_complaint() -> None:
    assert complaints("seeka", "live_order_paid", "order") == []
    assert complaints("seeka", facts_of("live_order_paid", order__total="10.00"), "order") == [
        "The tax (totalTax) is more than the total (totalPrice).",
        "Products and shipping against totalPrice: 90.45 against 10.00, 80.45 apart.",
    ]


def test_surcharges_and_discounts_of_the_whole_order_are_no_complaint() -> None:
    assert complaints("seeka", "order_surcharge", "order") == []
    facts = facts_of("order_paid", order__total="109.95", order__unassigned_discount="5")
    assert complaints("seeka", facts, "order") == []
