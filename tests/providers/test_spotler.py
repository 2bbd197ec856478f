"""Spotler Activate: purchases, carts, and errors inside a 200."""

from __future__ import annotations

from typing import Any

import pytest
from requests_mock import Mocker

from app.providers.base import Accepted, Split
from app.providers.errors import DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.spotler import SPOTLER
from mappings.engine import Skip
from tests.providers.shown import call, complaints, facts_of, render, rules, verdict_of

TRACK = "https://api.squeezely.tech/v1/track"
EXAMPLE = {
    "event": "Purchase",
    "email": "eva.jansen@example.com",
    "orderid": "1042",
    "timestamp": "2026-03-14T09:15:30+00:00",
    "userid": "7012345678901",
    "firstname": "Eva",
    "lastname": "Jansen",
    "phone": "+31612345678",
    "postcode": "1015 CV",
    "city": "Amsterdam",
    "country": "NL",
    "currency": "EUR",
    "totalvalue": 90.45,
    "sqzly_cookie": "sqzl0123456789abcdef0123",
    "products": [
        {
            "id": "LIN-SHIRT-M-BLU",
            "name": "Linen shirt - Blue / M",
            "price": 36.00,
            "quantity": 2,
            "language": "nl-NL",
        },
        {"id": "TOTE-CANVAS", "name": "Canvas tote", "price": 13.50, "quantity": 1, "language": "nl-NL"},
    ],
}


def numbered(*numbers: str) -> list[dict[str, Any]]:
    return [{**EXAMPLE, "orderid": number} for number in numbers]


def test_the_worked_example_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(TRACK, json={})
    assert call("spotler", "purchase", [render("spotler", "live_order_paid", "purchase")]) == [Accepted()]
    (request,) = requests_mock.request_history
    assert request.json() == EXAMPLE
    assert request.headers["X-AUTH-ACCOUNT"] == "SQZL_ACCOUNT_ID"
    assert request.headers["X-AUTH-APIKEY"] == "SQZL_API_KEY"
    assert request.headers["Content-Type"] == "application/json"


def test_one_event_may_go_as_a_list_and_several_always_do(requests_mock: Mocker) -> None:
    requests_mock.post(TRACK, json={})
    call("spotler", "purchase", [EXAMPLE], body_shape="events")
    call("spotler", "purchase", numbered("1", "2"))
    assert [each.json() for each in requests_mock.request_history] == [
        {"events": [EXAMPLE]},
        {"events": numbered("1", "2")},
    ]


@pytest.mark.parametrize(("order_id", "value"), [("number", "1042"), ("id", "5501234567890"), ("name", "#1042")])
def test_the_merge_key_is_what_the_tag_sends(order_id: str, value: str) -> None:
    assert render("spotler", "live_order_paid", "purchase", order_id=order_id)["orderid"] == value


@pytest.mark.parametrize(("ticked", "sent"), [(True, "yes"), (False, None), (None, None)])
def test_not_ticking_a_box_is_no_opting_out(ticked: bool | None, sent: str | None) -> None:
    facts = facts_of("live_order_paid", order__accepts_marketing=ticked)
    assert render("spotler", facts, "purchase").get("newsletter") == sent


def test_nothing_empty_is_sent() -> None:
    facts = facts_of("guest_order_paid")
    assert render("spotler", facts, "purchase") == {
        "event": "Purchase",
        "email": "noor.example@example.com",
        "orderid": "1043",
        "timestamp": "2026-03-02T10:02:11+00:00",
        "currency": "EUR",
        "totalvalue": 30.25,
        "products": [{"id": "880002", "name": "Tea 100 g", "price": 24.2, "quantity": 1}],
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order__email": None, "order__customer_id": None}, "no_identity"),
        ({"order__test": True}, "test_order"),
    ],
)
def test_what_is_not_owed(changes: dict[str, Any], reason: str) -> None:
    assert render("spotler", facts_of("live_order_paid", **changes), "purchase") == Skip(reason)


def test_a_customer_id_alone_is_an_identity() -> None:
    payload = render("spotler", facts_of("live_order_paid", order__email=None), "purchase")
    assert payload["userid"] == "7012345678901"
    assert "email" not in payload


def test_sales_from_the_till_are_the_merchants_choice() -> None:
    facts = facts_of("live_order_paid", order__channel="pos")
    assert render("spotler", facts, "purchase") == EXAMPLE
    assert render("spotler", facts, "purchase", send_pos_orders=False) == Skip("pos_order")


@pytest.mark.parametrize(
    ("facts", "settings", "expected"),
    [
        ("cart_updated", {}, []),
        ("cart_updated", {"send_carts": True}, ["cart"]),
        ("checkout_started", {}, []),
        ("checkout_started", {"send_checkouts": True}, ["checkout"]),
        ("order_refunded", {}, ["unsupported"]),
        ("order_refunded", {"send_refunds": True}, ["refunded"]),
        ("order_cancelled", {"send_refunds": True}, ["cancelled"]),
        ("order_deleted", {}, ["trashed"]),
        ("order_paid", {}, ["purchase"]),
        ("order_fulfilled", {}, []),
    ],
)
def test_what_goes_out_when(facts: str, settings: dict[str, Any], expected: list[str]) -> None:
    assert rules("spotler", facts_of(facts), **settings) == expected


def test_a_cart_without_anyone_is_not_owed() -> None:
    assert render("spotler", "cart_anonymous", "cart", send_carts=True) == Skip("no_identity")


def test_purchases_may_be_repeated_and_carts_may_not() -> None:
    assert SPOTLER.actions["purchase"].repeatable
    assert SPOTLER.actions["purchase"].once
    assert not SPOTLER.actions["cart"].repeatable
    assert SPOTLER.actions["cart"].adds_value


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"errors": []}, {"errors": None}, {"errors": {}}, {"created": 1}])
@pytest.mark.parametrize("status", [200, 201])
def test_a_success_names_no_errors(requests_mock: Mocker, status: int, body: Any) -> None:
    requests_mock.post(TRACK, status_code=status, json=body)
    assert call("spotler", "purchase", [EXAMPLE]) == [Accepted()]


@pytest.mark.parametrize(
    "errors",
    [
        ["email is required"],
        [{"message": "email is required"}],
        [{"code": "email is required"}],
        {"email": ["email is required"]},
        "email is required",
    ],
)
def test_a_200_with_errors_is_a_rejection(requests_mock: Mocker, errors: Any) -> None:
    requests_mock.post(TRACK, json={"errors": errors})
    (outcome,) = call("spotler", "purchase", [EXAMPLE])
    assert isinstance(outcome, Refused)
    assert str(outcome) == "Spotler Activate rejected the event: email is required"


@pytest.mark.parametrize(
    "errors",
    [
        [{"index": 1, "message": "email is required"}],
        [{"orderid": "1043", "message": "email is required"}],
        ["events[1].email is required"],
        {"1": ["email is required"]},
        {"1043": "email is required"},
    ],
)
def test_one_bad_event_does_not_sink_its_batch(requests_mock: Mocker, errors: Any) -> None:
    requests_mock.post(TRACK, json={"errors": errors})
    outcomes = call("spotler", "purchase", numbered("1042", "1043", "1044"))
    assert [type(each) for each in outcomes] == [Accepted, Refused, Accepted]


def test_errors_that_name_no_event_split_the_batch(requests_mock: Mocker) -> None:
    requests_mock.post(TRACK, json={"errors": ["email is required"]})
    with pytest.raises(Split):
        call("spotler", "purchase", numbered("1042", "1043"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"errors": ["Authentication failed"]}),
        (403, {}),
        (400, {"errors": ["Authentication failed"]}),
        (200, {"errors": ["Authentication failed"]}),
    ],
)
def test_wrong_credentials_however_they_are_said(requests_mock: Mocker, status: int, body: Any) -> None:
    requests_mock.post(TRACK, status_code=status, json=body)
    with pytest.raises(Unauthorized):
        call("spotler", "purchase", [EXAMPLE])


def test_an_unreadable_date_is_final(requests_mock: Mocker) -> None:
    requests_mock.post(TRACK, status_code=400, json={"errors": ["TIMESTAMP_ERROR"]})
    (outcome,) = call("spotler", "purchase", [EXAMPLE])
    assert str(outcome) == "Spotler Activate answered 400: TIMESTAMP_ERROR"


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, Refused), (422, Refused), (408, Unavailable), (425, Unavailable), (429, Unavailable), (503, Unavailable)],
)
def test_other_answers(requests_mock: Mocker, status: int, error: type[DeliveryError]) -> None:
    requests_mock.post(TRACK, status_code=status)
    if error is Refused:
        assert [type(each) for each in call("spotler", "purchase", [EXAMPLE])] == [Refused]
    else:
        with pytest.raises(error):
            call("spotler", "purchase", [EXAMPLE])


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, {}, "accepted"),
        (200, {"errors": ["no events"]}, "accepted"),
        (400, {"errors": ["no events"]}, "accepted"),
        (400, {"errors": ["Authentication failed"]}, "refused"),
        (200, {"errors": ["Authentication failed"]}, "refused"),
        (401, {}, "refused"),
        (403, {}, "refused"),
        (500, {}, "unknown"),
    ],
)
def test_the_connection_test_sends_no_event(requests_mock: Mocker, status: int, body: Any, verdict: str) -> None:
    requests_mock.post(TRACK, status_code=status, json=body)
    assert verdict_of("spotler") == verdict
    assert requests_mock.last_request.json() == {"events": []}


# --- checks -----------------------------------------------------------------------------------------------------------


def test_a_total_that_does_not_fit_its_products_is_a_complaint() -> None:
    facts = facts_of("live_order_paid", order__total="95.45")
    assert complaints("spotler", facts, "purchase") == [
        "Products and shipping against totalvalue: 90.45 against 95.45, 5.00 apart."
    ]


def test_prices_of_another_kind_are_not_added_up() -> None:
    assert complaints("spotler", "live_order_paid", "purchase", unit_price="unit_net") == []


def test_a_missing_sku_is_a_complaint() -> None:
    facts = facts_of("live_order_paid", order__lines__0__sku=None)
    assert len(complaints("spotler", facts, "purchase")) == 1
    assert complaints("spotler", facts, "purchase", item_id="product_id") == []


def test_surcharges_and_discounts_of_the_whole_order_are_no_complaint() -> None:
    assert complaints("spotler", "order_surcharge", "purchase") == []
    facts = facts_of("order_paid", order__total="109.95", order__unassigned_discount="5")
    assert complaints("spotler", facts, "purchase") == []


def test_an_answer_too_long_to_read_is_no_success(requests_mock: Mocker) -> None:
    requests_mock.post(TRACK, text='{"errors": ["' + "x" * 70_000 + '"]}')
    assert [type(each) for each in call("spotler", "purchase", [EXAMPLE])] == [Refused]
    with pytest.raises(Split):
        call("spotler", "purchase", numbered("1", "2"))
