"""Sprii: what is reported, and what its answers mean."""

from __future__ import annotations

from typing import Any

import pytest
from requests_mock import Mocker

from app.providers import http
from app.providers.base import Accepted
from app.providers.errors import AnswerLost, DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.sprii import SPRII
from mappings.engine import Skip
from mappings.errors import MappingError
from tests.providers.conftest import Scripted, wait
from tests.providers.shown import call, complaints, facts_of, render, rules, settings_of, verdict_of

ORDERS = "https://app.sprii.io/functions/api/v1/processOrders"
READ = "https://app.sprii.io/functions/api/v1/orders/5934-14"
EXAMPLE = {
    "spriiOrderNumber": "5934-14",
    "id": "5501234567890",
    "orderTotal": 90.45,
    "items": [
        {"product_id": "44001", "sku": "LIN-SHIRT-M-BLU", "quantity": 2, "unitPrice": 40.00},
        {"product_id": "44002", "sku": "TOTE-CANVAS", "quantity": 1, "unitPrice": 15.00},
    ],
}


def test_the_worked_example_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(ORDERS, json={})
    assert call("sprii", "process_orders", [render("sprii", "live_order_paid", "order")]) == [Accepted()]
    (request,) = requests_mock.request_history
    assert request.json() == {"orders": [EXAMPLE]}
    assert request.headers["Authorization"] == "Bearer SPRII_API_KEY"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("settings", "ids", "prices"),
    [
        ({}, ["44001", "44002"], [40.0, 15.0]),
        ({"unit_price": "unit_gross_paid"}, ["44001", "44002"], [36.0, 13.5]),
        ({"item_id": "sku"}, ["LIN-SHIRT-M-BLU", "TOTE-CANVAS"], [40.0, 15.0]),
        ({"item_id": "product_id"}, ["8801", "8802"], [40.0, 15.0]),
    ],
)
def test_ids_and_prices_are_the_merchants_choice(settings: dict[str, Any], ids: list[str], prices: list[float]) -> None:
    items = render("sprii", "live_order_paid", "order", **settings)["items"]
    assert [each["product_id"] for each in items] == ids
    assert [each["unitPrice"] for each in items] == prices


def test_a_product_without_variants_goes_by_its_own_id() -> None:
    facts = facts_of("live_order_paid", order__lines__1__variant_id=None, order__lines__1__unit_id="8802")
    assert render("sprii", facts, "order")["items"][1]["product_id"] == "8802"


def test_fees_tips_and_lines_without_a_product_are_left_out() -> None:
    facts = facts_of("order_surcharge", order__sprii={"value": "5934-14", "name": "n", "place": "order"})
    assert [each["product_id"] for each in render("sprii", facts, "order")["items"]] == ["880001", "880002"]


def test_a_missing_sku_is_left_out() -> None:
    facts = facts_of("live_order_paid", order__lines__0__sku=None)
    assert "sku" not in render("sprii", facts, "order")["items"][0]


def test_half_a_unit_cannot_be_reported() -> None:
    with pytest.raises(MappingError, match="not a whole number"):
        render("sprii", facts_of("live_order_paid", order__lines__0__quantity="0.5"), "order")


@pytest.mark.parametrize(
    ("facts", "settings", "outcome"),
    [
        (facts_of("live_order_paid", order__sprii=None), {}, "no_sprii_reference"),
        (facts_of("live_order_paid", order__test=True), {}, "test_order"),
    ],
)
def test_what_is_not_owed(facts: dict[str, Any], settings: dict[str, Any], outcome: str) -> None:
    assert render("sprii", facts, "order", **settings) == Skip(outcome)


def test_test_orders_on_demand() -> None:
    facts = facts_of("live_order_paid", order__test=True)
    assert render("sprii", facts, "order", send_test_orders=True) == EXAMPLE


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("order.paid", {}, ["order"]),
        ("order.placed", {}, []),
        ("order.updated", {}, []),
        ("order.placed", {"order_trigger": "order.placed"}, ["order"]),
        ("order.paid", {"order_trigger": "order.placed"}, []),
        ("order.fulfilled", {"order_trigger": "order.fulfilled"}, ["order"]),
        ("order.updated", {"trigger_status": "Open"}, ["order"]),
        ("order.placed", {"trigger_status": "open"}, ["order"]),
        ("order.updated", {"trigger_status": "on-hold"}, []),
        ("order.refunded", {}, ["unsupported"]),
        ("order.cancelled", {}, ["unsupported"]),
        ("order.deleted", {}, ["trashed"]),
    ],
)
def test_when_an_order_is_reported(kind: str, settings: dict[str, Any], expected: list[str]) -> None:
    assert rules("sprii", facts_of("live_order_paid", event__kind=kind), **settings) == expected


def test_refunds_of_orders_that_never_concerned_sprii_are_not_mentioned() -> None:
    assert rules("sprii", facts_of("live_order_paid", event__kind="order.refunded", order__sprii=None)) == []


def test_an_order_is_reported_once_and_never_repeated_blindly() -> None:
    action = SPRII.actions["process_orders"]
    assert (action.once, action.repeatable, action.adds_value, action.batch) == (True, False, True, 1)
    assert action.request([EXAMPLE], {}).timeout == 10.0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, Refused),
        (400, Refused),
        (422, Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (408, Unavailable),
        (425, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_answers(requests_mock: Mocker, status: int, error: type[DeliveryError]) -> None:
    requests_mock.post(ORDERS, status_code=status, json={"error": "Invalid request"})
    if error is Refused:
        (outcome,) = call("sprii", "process_orders", [EXAMPLE])
        assert isinstance(outcome, Refused)
    else:
        with pytest.raises(error):
            call("sprii", "process_orders", [EXAMPLE])


def test_a_number_that_sprii_does_not_know_is_tried_once_more(requests_mock: Mocker) -> None:
    requests_mock.post(ORDERS, status_code=404, json={"error": "Order not found"})
    with pytest.raises(Unavailable, match="not matched") as caught:
        call("sprii", "process_orders", [EXAMPLE])
    assert (caught.value.attempts, caught.value.retry_after) == (2, 30.0)


def test_an_empty_answer_is_an_acceptance(requests_mock: Mocker) -> None:
    requests_mock.post(ORDERS, status_code=204)
    assert call("sprii", "process_orders", [EXAMPLE]) == [Accepted()]


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, {"order": {"spriiOrderNumber": "5934-14", "id": "5501234567890"}}, "applied"),
        (200, {"order": {"id": 5501234567890}}, "applied"),
        (200, {"order": {"id": "1"}}, "unknown"),
        (200, {"order": {"spriiOrderNumber": "5934-14"}}, "unknown"),
        (200, {}, "unknown"),
        (200, [], "unknown"),
        (404, {}, "absent"),
        (401, {}, "unknown"),
        (500, {}, "unknown"),
    ],
)
def test_after_a_lost_answer_the_order_is_read_back(
    requests_mock: Mocker, status: int, body: Any, verdict: str
) -> None:
    requests_mock.get(READ, status_code=status, json=body)
    settings = settings_of("sprii")
    probe = SPRII.actions["process_orders"].resolve(EXAMPLE, settings)
    assert probe is not None
    with http.new_session() as session:
        assert http.probe(SPRII, probe, settings, base_url=SPRII.base_url, session=session) == verdict


def test_a_number_of_a_strange_form_stays_inside_its_place_in_the_path() -> None:
    probe = SPRII.actions["process_orders"].resolve({**EXAMPLE, "spriiOrderNumber": "../a?b#c"}, {})
    assert probe is not None
    assert probe.request.path == "/orders/..%2Fa%3Fb%23c"


def test_a_lost_answer_is_said_to_be_one(server: Scripted) -> None:
    server.answers(wait(1.0))
    request = SPRII.actions["process_orders"].request([EXAMPLE], {})
    assert request.path == "/processOrders"
    quick = type(request)(method=request.method, path=request.path, json=request.json, timeout=0.3)
    with http.new_session() as session, pytest.raises(AnswerLost):
        http.send(SPRII, quick, settings_of("sprii"), base_url=server.url, session=session, allow_private=True)


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "accepted"), (404, "accepted"), (401, "refused"), (403, "refused"), (500, "unknown")]
)
def test_the_connection_test_only_reads(requests_mock: Mocker, status: int, verdict: str) -> None:
    requests_mock.get("https://app.sprii.io/functions/api/v1/orders/connection-test", status_code=status)
    assert verdict_of("sprii") == verdict
    assert [each.method for each in requests_mock.request_history] == ["GET"]


def test_several_numbers_on_one_order_are_mentioned() -> None:
    facts = facts_of("live_order_paid", order__sprii__others=["1-1"])
    assert len(complaints("sprii", facts, "order")) == 1
    assert complaints("sprii", "live_order_paid", "order") == []


def test_a_number_of_dots_cannot_be_asked_about() -> None:
    assert SPRII.actions["process_orders"].resolve({**EXAMPLE, "spriiOrderNumber": ".."}, {}) is None
