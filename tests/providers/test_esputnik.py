"""eSputnik: orders by create-or-update, both routes, carts, contacts; and failures inside a 200."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from requests_mock import Mocker

from app.providers.base import Accepted, Split
from app.providers.errors import DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.esputnik import ESPUTNIK
from mappings.engine import Skip
from tests.providers.shown import call, complaints, facts_of, render, rules, verdict_of

API = "https://esputnik.com/api"
ORDER = {
    "externalOrderId": "6100234500001",
    "externalCustomerId": "7700123400001",
    "totalCost": 114.95,
    "status": "IN_PROGRESS",
    "date": "2026-03-02T09:15:30Z",
    "currency": "EUR",
    "email": "ines.example@example.com",
    "phone": "31612345678",
    "firstName": "Ines",
    "lastName": "Example",
    "discount": 10.00,
    "shipping": 6.05,
    "taxes": 19.95,
    "deliveryMethod": "Standard",
    "paymentMethod": "ideal",
    "deliveryAddress": "Voorbeeldstraat 1, 1011 AB Amsterdam, NL",
    "source": "online",
    "additionalInfo": {"orderNumber": "1042"},
    "items": [
        {
            "externalItemId": "880001",
            "name": "Mug blue",
            "category": "Mugs",
            "quantity": 2,
            "cost": 43.56,
            "imageUrl": "https://shop.example/i/mug.jpg",
        },
        {
            "externalItemId": "880002",
            "name": "Tea 100 g",
            "category": "Tea",
            "quantity": 1,
            "cost": 21.78,
            "imageUrl": "https://shop.example/i/tea.jpg",
        },
    ],
}


def numbered(*ids: str) -> list[dict[str, Any]]:
    return [{**ORDER, "externalOrderId": each} for each in ids]


# --- orders -----------------------------------------------------------------------------------------------------------


def test_the_worked_order_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/orders", json={"failedOrders": []})
    assert call("esputnik", "orders", [render("esputnik", "order_paid", "order")]) == [Accepted()]
    (request,) = requests_mock.request_history
    assert request.json() == {"orders": [ORDER]}
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"api:API_KEY").decode()
    assert request.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert request.headers["Accept"] == "application/json; charset=UTF-8"


def test_the_worked_order_of_a_guest() -> None:
    payload = render("esputnik", "guest_order_placed", "order")
    assert (payload.pop("source"), payload.pop("additionalInfo")) == ("online", {"orderNumber": "1043"})
    assert payload == {
        "externalOrderId": "6100234500002",
        "totalCost": 30.25,
        "status": "INITIALIZED",
        "date": "2026-03-02T10:02:11Z",
        "currency": "EUR",
        "email": "noor.example@example.com",
        "shipping": 6.05,
        "taxes": 5.25,
        "items": [{"externalItemId": "880002", "name": "Tea 100 g", "quantity": 1, "cost": 24.20}],
    }


def test_the_worked_cancellation_keeps_amounts_and_items() -> None:
    assert render("esputnik", "order_cancelled", "order") == {
        **ORDER,
        "status": "CANCELLED",
        "statusDescription": "cancelled by customer",
    }


def test_the_worked_partial_refund() -> None:
    first, second = ORDER["items"]  # type: ignore[misc]
    assert render("esputnik", "order_refunded", "order") == {
        **ORDER,
        "totalCost": 71.39,
        "status": "DELIVERED",
        "statusDescription": "partial refund 43.56 EUR",
        "discount": 6.00,
        "taxes": 12.39,
        "items": [{**first, "quantity": 1}, second],  # type: ignore[dict-item]
    }


def test_a_partial_refund_may_be_left_alone() -> None:
    payload = render("esputnik", "order_refunded", "order", partial_refund="ignore")
    assert payload == {**ORDER, "status": "DELIVERED"}


def test_a_full_refund_is_a_cancellation_with_its_amounts() -> None:
    facts = facts_of("order_refunded", order__refunded="114.95", order__refunded_in_full=True)
    payload = render("esputnik", facts, "order")
    assert (payload["status"], payload["statusDescription"], payload["totalCost"]) == ("CANCELLED", "refunded", 114.95)


@pytest.mark.parametrize(
    ("changes", "settings", "status"),
    [
        # one shop's words: payment and fulfilment
        ({"status": "open", "paid": False}, {}, "INITIALIZED"),
        ({"status": "open"}, {}, "IN_PROGRESS"),
        ({"status": "open", "fulfilment_status": "partial"}, {}, "IN_PROGRESS"),
        ({"status": "open", "fulfilment_status": "full"}, {}, "DELIVERED"),
        ({"status": "closed", "fulfilment_status": "full"}, {}, "DELIVERED"),
        ({"status": "open", "paid": True, "fulfilment_status": "restocked"}, {}, "CANCELLED"),
        ({"status": "open", "fulfilment_status": "restocked"}, {"delivered_when": "paid"}, "CANCELLED"),
        ({"status": "open", "fulfilment_status": "restocked"}, {"status_map": {"open": "IN_PROGRESS"}}, "CANCELLED"),
        ({"status": "cancelled", "cancelled": True, "fulfilment_status": "full"}, {}, "CANCELLED"),
        ({"status": "open", "refunded_in_full": True, "fulfilment_status": "full"}, {}, "CANCELLED"),
        # the other's: a word of its own for every state
        ({"status": "pending", "paid": False}, {}, "INITIALIZED"),
        ({"status": "on-hold", "paid": False}, {}, "IN_PROGRESS"),
        ({"status": "processing"}, {}, "IN_PROGRESS"),
        ({"status": "completed", "fulfilment_status": "full"}, {}, "DELIVERED"),
        ({"status": "failed", "cancelled": True, "paid": False}, {}, "CANCELLED"),
        ({"status": "refunded", "refunded_in_full": True}, {}, "CANCELLED"),
        ({"status": "packed"}, {}, "IN_PROGRESS"),
        # the merchant's
        ({"status": "packed"}, {"status_map": {"Packed": "delivered"}}, "DELIVERED"),
        ({"status": "open"}, {"status_map": {"paid": "INITIALIZED"}}, "INITIALIZED"),
        ({"status": "open", "fulfilment_status": "full"}, {"status_map": {"paid": "INITIALIZED"}}, "DELIVERED"),
        ({"status": "open"}, {"delivered_when": "paid"}, "DELIVERED"),
        ({"status": "processing"}, {"delivered_when": "paid"}, "DELIVERED"),
        ({"status": "open", "paid": False}, {"delivered_when": "paid"}, "INITIALIZED"),
        ({"status": "cancelled", "cancelled": True}, {"delivered_when": "paid"}, "CANCELLED"),
        # the trash counts only where the merchant wants it to
        ({"status": "trash", "trashed": True}, {}, "IN_PROGRESS"),
        ({"status": "trash", "trashed": True}, {"cancel_trashed": True}, "CANCELLED"),
    ],
)
def test_how_the_status_is_found(changes: dict[str, Any], settings: dict[str, Any], status: str) -> None:
    facts = facts_of("order_paid", **{f"order__{name}": value for name, value in changes.items()})
    assert render("esputnik", facts, "order", **settings)["status"] == status


def test_a_status_that_does_not_exist_is_a_complaint() -> None:
    found = complaints("esputnik", "order_paid", "order", status_map={"paid": "SHIPPED"})
    assert found == ["The status 'SHIPPED' is none that eSputnik knows."]


@pytest.mark.parametrize(
    ("facts", "settings", "expected"),
    [
        ("guest_order_placed", {}, ["order"]),
        ("order_paid", {}, ["order"]),
        ("order_fulfilled", {}, ["order"]),
        ("order_refunded", {}, ["order"]),
        ("order_cancelled", {}, ["order"]),
        ("order_deleted", {}, ["trashed"]),
        ("order_deleted", {"cancel_trashed": True}, ["order"]),
        ("order_paid", {"order_route": "event"}, ["order_contact", "order_event"]),
        ("order_deleted", {"order_route": "event"}, ["trashed"]),
        ("order_deleted", {"order_route": "event", "cancel_trashed": True}, ["order_event"]),
        ("cart_updated", {}, ["cart"]),
        ("cart_updated", {"send_carts": False}, []),
        ("cart_updated", {"create_contacts": "with_consent"}, ["cart"]),
        ("cart_updated", {"create_contacts": "always"}, ["cart_contact", "cart"]),
        ("checkout_started", {}, []),
        ("checkout_started", {"create_contacts": "with_consent"}, ["checkout_contact"]),
        ("checkout_started", {"create_contacts": "always"}, ["checkout_contact"]),
    ],
)
def test_what_goes_out_when(facts: str, settings: dict[str, Any], expected: list[str]) -> None:
    assert rules("esputnik", facts_of(facts), **settings) == expected


def test_a_restored_order_is_sent_as_it_stands() -> None:
    facts = facts_of("order_paid", event__kind="order.restored")
    assert rules("esputnik", facts, cancel_trashed=True) == ["order"]
    assert render("esputnik", facts, "order", cancel_trashed=True) == ORDER


@pytest.mark.parametrize(
    ("changes", "settings", "reason"),
    [
        ({"order__email": None, "order__phone": None, "order__customer_id": None}, {}, "no_identity"),
        ({"order__customer_id": None}, {"guest_orders": False}, "guest"),
        ({"order__test": True}, {}, "test_order"),
        ({"order__channel": "pos"}, {"send_pos_orders": False}, "pos_order"),
    ],
)
def test_what_is_not_owed(changes: dict[str, Any], settings: dict[str, Any], reason: str) -> None:
    assert render("esputnik", facts_of("order_paid", **changes), "order", **settings) == Skip(reason)


def test_an_odd_name_does_not_cost_the_order() -> None:
    facts = facts_of("order_paid", order__first_name="x" * 41, order__last_name="1234 <b>")
    assert not {"firstName", "lastName"} & render("esputnik", facts, "order").keys()


def test_a_sale_from_the_till_is_offline() -> None:
    assert render("esputnik", facts_of("order_paid", order__channel="pos"), "order")["source"] == "offline"


def test_only_status_and_money_make_another_call() -> None:
    action = ESPUTNIK.actions["orders"]
    assert action.unchanged == ("status", "totalCost", "discount", "shipping", "taxes")
    assert (action.collapse, action.repeatable, action.adds_value, action.batch) == (True, True, False, 150)


# --- the second route -------------------------------------------------------------------------------------------------


def test_an_order_as_an_event_is_a_list_of_texts(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/event")
    payload = render("esputnik", "order_paid", "order_event", order_route="event")
    assert call("esputnik", "order_event", [payload]) == [Accepted()]
    body = requests_mock.last_request.json()
    params = {each["name"]: each["value"] for each in body["params"]}
    assert (body["eventTypeKey"], body["keyValue"]) == ("orderUpdated", "ines.example@example.com")
    assert all(isinstance(value, str) for value in params.values())
    assert params["totalCost"] == "114.95"
    assert json.loads(params["items"]) == ORDER["items"]


def test_in_the_second_version_values_stay_what_they_are(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v2/event")
    payload = render("esputnik", "order_paid", "order_event", order_route="event")
    call("esputnik", "order_event", [payload], event_version="v2")
    params = {each["name"]: each["value"] for each in requests_mock.last_request.json()["params"]}
    assert (params["totalCost"], params["items"]) == (114.95, ORDER["items"])


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ("guest_order_placed", "orderCreated"),
        ("order_paid", "orderUpdated"),
        ("order_fulfilled", "orderDelivered"),
        ("order_cancelled", "orderCancelled"),
        ("order_refunded", "orderDelivered"),
    ],
)
def test_which_event_it_is(facts: str, key: str) -> None:
    assert render("esputnik", facts, "order_event", order_route="event")["eventTypeKey"] == key


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"email": "a@b.c", "phone": "31", "externalCustomerId": "7"}, "a@b.c"),
        ({"phone": "31", "externalCustomerId": "7"}, "31"),
        ({"externalCustomerId": "7"}, "7"),
    ],
)
def test_who_an_event_is_about(requests_mock: Mocker, params: dict[str, str], key: str) -> None:
    requests_mock.post(f"{API}/v1/event")
    call("esputnik", "cart", [{"eventTypeKey": "cartUpdated", "params": params}])
    assert requests_mock.last_request.json()["keyValue"] == key


# --- carts and contacts -----------------------------------------------------------------------------------------------


def test_the_worked_cart_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/event")
    facts = facts_of("cart_updated", cart__lines__0__unit_price="48.40", cart__lines__1__unit_price="24.20")
    assert call("esputnik", "cart", [render("esputnik", facts, "cart")]) == [Accepted()]
    body = requests_mock.last_request.json()
    params = {each["name"]: each["value"] for each in body["params"]}
    assert (body["eventTypeKey"], body["keyValue"]) == ("cartUpdated", "ines.example@example.com")
    assert json.loads(params.pop("products")) == [
        {"productId": "880001", "quantity": 2, "price": 48.40, "name": "Mug blue"},
        {"productId": "880002", "quantity": 1, "price": 24.20, "name": "Tea 100 g"},
    ]
    assert len(params.pop("recycleStateId")) == 36
    assert params == {
        "email": "ines.example@example.com",
        "externalCustomerId": "7700123400001",
        "currencyCode": "EUR",
    }


def test_an_emptied_cart_is_an_empty_list(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/event")
    call("esputnik", "cart", [render("esputnik", "cart_emptied", "cart")])
    assert {"name": "products", "value": "[]"} in requests_mock.last_request.json()["params"]


def test_a_carts_state_id_follows_its_content() -> None:
    def state(**changes: Any) -> str:
        found: str = render("esputnik", facts_of("cart_updated", **changes), "cart")["params"]["recycleStateId"]
        return found

    assert state() == state()
    assert len({state(), state(cart__content="other"), state(cart__id="other"), state(shop__domain="other")}) == 4


def test_one_state_id_for_the_cart_also_goes_with_its_order() -> None:
    cart = render("esputnik", "cart_updated", "cart", recycle_by="id")["params"]["recycleStateId"]
    order = render("esputnik", "order_paid", "order", recycle_by="id")["additionalInfo"]
    assert order == {"orderNumber": "1042", "recycleStateId": cart}


def test_a_cart_of_nobody_is_not_owed() -> None:
    assert render("esputnik", "cart_anonymous", "cart") == Skip("no_identity")


def test_the_worked_contact_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/contact", json={"id": 123456789})
    payload = render("esputnik", "checkout_started", "checkout_contact", create_contacts="always")
    assert call("esputnik", "contact", [payload]) == [Accepted()]
    assert requests_mock.last_request.json() == {
        "channels": [
            {"type": "email", "value": "ines.example@example.com"},
            {"type": "sms", "value": "31612345678"},
        ],
        "firstName": "Ines",
        "lastName": "Example",
        "externalCustomerId": "7700123400001",
        "languageCode": "nl",
    }


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "{}", '{"failedOrders": []}', '{"failedOrders": null, "id": 1}', "no json"])
def test_a_200_without_failed_orders_is_a_success(requests_mock: Mocker, body: str) -> None:
    requests_mock.post(f"{API}/v1/orders", text=body)
    assert call("esputnik", "orders", [ORDER]) == [Accepted()]


@pytest.mark.parametrize(
    "failed",
    [
        [{"externalOrderId": "6100234500001", "reason": "currency is missing"}],
        {"externalOrderId": "6100234500001", "reason": "currency is missing"},
        ["currency is missing"],
        "currency is missing",
        [7],
    ],
)
def test_a_200_with_failed_orders_is_a_refusal(requests_mock: Mocker, failed: Any) -> None:
    requests_mock.post(f"{API}/v1/orders", json={"failedOrders": failed})
    (outcome,) = call("esputnik", "orders", [ORDER])
    assert isinstance(outcome, Refused)
    assert str(outcome).startswith("eSputnik did not store the order: ")


@pytest.mark.parametrize(
    "failed",
    [
        [{"externalOrderId": "102", "reason": "x"}],
        [{"order": {"externalOrderId": "102"}, "reason": "x"}],
        ["102"],
        ["order 102: currency is missing"],
        {"externalOrderId": "102"},
    ],
)
def test_one_failed_order_does_not_sink_its_batch(requests_mock: Mocker, failed: Any) -> None:
    requests_mock.post(f"{API}/v1/orders", json={"failedOrders": failed})
    outcomes = call("esputnik", "orders", numbered("10", "102", "1023"))
    assert [type(each) for each in outcomes] == [Accepted, Refused, Accepted]


def test_a_failure_without_a_name_splits_the_batch(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/orders", json={"failedOrders": ["currency is missing"]})
    with pytest.raises(Split):
        call("esputnik", "orders", numbered("1", "2"))


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_batch_is_to_be_split(requests_mock: Mocker, status: int) -> None:
    requests_mock.post(f"{API}/v1/orders", status_code=status)
    with pytest.raises(Split):
        call("esputnik", "orders", numbered("1", "2"))


@pytest.mark.parametrize(
    ("status", "text"), [(409, ""), (400, "Duplicated request"), (400, '{"message": "duplicated REQUEST"}')]
)
def test_a_repeat_is_as_good_as_the_first(requests_mock: Mocker, status: int, text: str) -> None:
    requests_mock.post(f"{API}/v1/event", status_code=status, text=text)
    (outcome,) = call("esputnik", "cart", [{"eventTypeKey": "cartUpdated", "params": {"email": "a@b.c"}}])
    assert outcome == Accepted(note="eSputnik had it already")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, Refused),
        (400, Refused),
        (404, Refused),
        (413, Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (408, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
@pytest.mark.parametrize("action", ["orders", "contact"])
def test_answers(requests_mock: Mocker, action: str, status: int, error: type[DeliveryError]) -> None:
    requests_mock.post(f"{API}/v1/{action}", status_code=status, text="Event parameters do not match")
    if error is Refused:
        assert [type(each) for each in call("esputnik", action, [ORDER])] == [Refused]
    else:
        with pytest.raises(error):
            call("esputnik", action, [ORDER])


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {}, 30.0),
        (500, {}, 30.0),
        (429, {"Retry-After": "1"}, 1.0),
        (429, {"Retry-After": "0"}, 0.0),
        (503, {}, None),
    ],
)
def test_overload_asks_for_patience(
    requests_mock: Mocker, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    requests_mock.post(f"{API}/v1/orders", status_code=status, headers=headers)
    with pytest.raises(Unavailable) as caught:
        call("esputnik", "orders", [ORDER])
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "accepted"), (401, "refused"), (403, "refused"), (500, "unknown")]
)
def test_the_connection_test_only_reads(requests_mock: Mocker, status: int, verdict: str) -> None:
    requests_mock.get("https://yespo.io/api/v1/account/info", status_code=status, json={})
    assert verdict_of("esputnik", host="yespo.io") == verdict


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", ["order_paid", "guest_order_placed", "order_cancelled", "order_refunded"])
def test_items_and_shipping_make_the_total(facts: str) -> None:
    assert complaints("esputnik", facts, "order") == []


def test_a_total_that_does_not_fit_is_a_complaint() -> None:
    facts = facts_of("order_paid", order__total="120.00")
    assert complaints("esputnik", facts, "order") == [
        "Products and shipping against totalCost: 114.95 against 120.00, 5.05 apart."
    ]
    assert complaints("esputnik", facts, "order", item_cost="unit_gross") == []


def test_money_given_back_without_products_is_no_complaint() -> None:
    facts = facts_of("order_paid", order__refunded="5", remaining__total="109.95", remaining__refunded="5")
    assert render("esputnik", facts, "order")["totalCost"] == 109.95
    assert complaints("esputnik", facts, "order") == []


def test_an_answer_too_long_to_read_is_no_success(requests_mock: Mocker) -> None:
    requests_mock.post(f"{API}/v1/orders", text='{"failedOrders": ["' + "x" * 70_000 + '"]}')
    assert [type(each) for each in call("esputnik", "orders", [ORDER])] == [Refused]
    with pytest.raises(Split):
        call("esputnik", "orders", numbered("1", "2"))
