"""eSputnik: refusals inside a 200, triggers on every call, and events that vanish without a word."""

import json
from typing import Any

import pytest

ORDERS = "/v1/orders"
EVENT = "/v1/event"
CONTACT = "/v1/contact"
ID = "6100234500001"


@pytest.fixture
def orders(examples: Any) -> Any:
    return examples["esputnik"]["paid order"][0]["body"]


@pytest.fixture
def cart(examples: Any) -> Any:
    return examples["esputnik"]["cart"][1]["body"]


def event(key: str, **parameters: Any) -> dict[str, Any]:
    return {
        "eventTypeKey": key,
        "keyValue": "ines.example@example.com",
        "params": [{"name": name, "value": value} for name, value in parameters.items()],
    }


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("externalOrderId", ..., "externalOrderId is required"),
        ("externalOrderId", 61, "externalOrderId must be a string"),
        ("totalCost", "114.95", "totalCost must be a number"),
        ("status", "PAID", "status must be one of"),
        ("date", "2026-03-02T09:15:30", "date must be an ISO 8601 time with Z or an offset"),
        ("currency", ..., "currency is required"),
        ("currency", "eur", "currency must be an ISO 4217 currency code"),
        ("externalCustomerId", 77, "externalCustomerId must be a string"),
        ("email", "Ines@example.com", "email must be an e-mail address, trimmed and in lower case"),
        ("phone", "+31612345678", "phone must be a phone number of 5 to 15 digits, without a plus"),
        ("discount", -1, "discount must be at least 0"),
        ("shipping", "6.05", "shipping must be a number"),
        ("source", "web", "source must be one of online, offline"),
        ("additionalInfo", {"a": []}, "additionalInfo.a must be a string or a number"),
        ("items", {}, "items must be an array"),
        ("items.0.externalItemId", 880001, "items[0].externalItemId must be a string"),
        ("items.0.cost", "43.56", "items[0].cost must be a number"),
        ("items.0.quantity", "2", "items[0].quantity must be a number"),
    ],
)
def test_a_wrong_order_is_refused_within_a_200(
    client: Any, orders: Any, changed: Any, path: str, value: Any, reason: str
) -> None:
    answer = client.send("esputnik", ORDERS, changed(orders, f"orders.0.{path}", value))
    assert answer.status_code == 200
    [failed] = answer.json()["failedOrders"]
    assert failed["reason"].startswith(f"orders[0].{reason}")
    assert client.sentences() == [failed["reason"]]
    assert client.state("esputnik") is None


def test_an_order_of_nobody_is_refused(client: Any, orders: Any) -> None:
    for name in ("externalCustomerId", "email", "phone"):
        del orders["orders"][0][name]
    [failed] = client.send("esputnik", ORDERS, orders).json()["failedOrders"]
    assert failed == {
        "externalOrderId": ID,
        "reason": "orders[0] needs at least one of externalCustomerId, email, phone",
    }


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_one_to_a_thousand_orders(client: Any, orders: Any, count: int) -> None:
    answer = client.send("esputnik", ORDERS, {"orders": orders["orders"] * count})
    assert (answer.status_code, answer.text) == (400, "orders must have 1 to 1000 elements")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("refunded", 1, "orders[0].refunded is an unknown field"),
        ("firstName", "x" * 41, "orders[0].firstName is a name that would be dropped"),
        ("firstName", "R2D2 1234", "orders[0].firstName is a name that would be dropped"),
        ("firstName", "<Ines>", "orders[0].firstName is a name that would be dropped"),
        ("items.0.cost", ..., "orders[0].items[0].cost should always be sent"),
        (
            "status",
            "ABANDONED_SHOPPING_CART",
            "orders[0].status must not be ABANDONED_SHOPPING_CART beside cart events",
        ),
    ],
)
def test_what_is_taken_all_the_same_is_a_violation_too(
    client: Any, orders: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    answer = client.send("esputnik", ORDERS, changed(orders, f"orders.0.{path}", value))
    assert answer.json() == {"failedOrders": []}
    assert client.sentences() == [sentence]


def test_headers_that_the_guide_asks_for(client: Any, orders: Any) -> None:
    headers = {"Accept": "*/*", "Content-Type": "application/json"}
    assert client.send("esputnik", ORDERS, orders, headers=headers).ok
    assert client.sentences() == [
        "header Accept should be application/json; charset=UTF-8",
        "header Content-Type should name charset=UTF-8",
    ]


def test_an_order_is_replaced_and_every_call_starts_a_trigger(client: Any, orders: Any, changed: Any) -> None:
    delivered = changed(orders, "orders.0.status", "DELIVERED")
    for body in (orders, orders, delivered):
        client.send("esputnik", ORDERS, body)
    assert client.state("esputnik")["orders"] == {ID: delivered["orders"][0]}
    assert client.app.state("esputnik")["calls"]["triggers"] == {
        "key-1": {ID: {"orderDELIVERED": 1, "orderIN_PROGRESS": 2}}
    }


def test_an_order_makes_its_contact(client: Any, orders: Any) -> None:
    client.send("esputnik", ORDERS, orders)
    assert client.state("esputnik")["contacts"] == [
        {"externalCustomerId": "7700123400001", "emails": ["ines.example@example.com"], "phones": ["31612345678"]}
    ]


def test_contacts_are_matched_by_customer_first(client: Any, examples: Any) -> None:
    contact = examples["esputnik"]["cart"][0]["body"]
    guest = {"channels": [{"type": "email", "value": "ines.example@example.com"}]}
    other = {"channels": [{"type": "email", "value": "new@example.com"}], "externalCustomerId": "7700123400001"}
    someone = {**guest, "externalCustomerId": "8"}
    ids = [client.send("esputnik", CONTACT, body).json()["id"] for body in (guest, contact, other, someone)]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert client.sentences() == []


def test_a_contact_is_erased(client: Any, examples: Any) -> None:
    client.send("esputnik", CONTACT, examples["esputnik"]["cart"][0]["body"])
    path = f"{CONTACT}?externalCustomerId=7700123400001&erase=true"
    assert client.send("esputnik", path, method="DELETE").status_code == 200
    assert client.send("esputnik", path, method="DELETE").status_code == 404
    assert client.state("esputnik") is None


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("channels", ..., "channels is required"),
        ("channels", [], "channels must have 1 to any number of elements"),
        ("channels.0.type", "mail", "channels[0].type must be one of email, sms"),
        (
            "channels.0.value",
            "Ines@example.com",
            "channels[0].value must be an e-mail address, trimmed and in lower case",
        ),
        ("channels.1.value", "+31612345678", "channels[1].value must be a phone number of 5 to 15 digits"),
        ("languageCode", "nl_NL", "languageCode must be a language tag such as nl"),
    ],
)
def test_a_wrong_contact_is_refused(
    client: Any, examples: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    body = changed(examples["esputnik"]["cart"][0]["body"], path, value)
    answer = client.send("esputnik", CONTACT, body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert sentence in answer.text


# Events


def created(**changes: Any) -> dict[str, Any]:
    given = {
        "phone": "31612345678",
        "externalOrderId": ID,
        "totalCost": "258.0",
        "status": "INITIALIZED",
        "date": "2026-03-02T09:15:30Z",
        "items": json.dumps([{"externalItemId": "1", "name": "Mug", "quantity": 1, "cost": 258}]),
        "loyaltyTier": "gold",
    }
    return {name: value for name, value in {**given, **changes}.items() if value is not ...}


@pytest.fixture
def contact(client: Any, examples: Any) -> None:
    client.send("esputnik", CONTACT, examples["esputnik"]["cart"][0]["body"])


@pytest.mark.usefixtures("contact")
def test_an_order_told_by_events(client: Any) -> None:
    for body in (event("orderCreated", **created()), event("orderUpdated", **created(totalCost="200.0", items=...))):
        answer = client.send("esputnik", EVENT, body)
        assert (answer.status_code, answer.content) == (200, b"")
    order = client.state("esputnik")["orders"][ID]
    assert (order["totalCost"], order["items"][0]["cost"], order["status"]) == (200.0, 258, "INITIALIZED")
    client.send("esputnik", EVENT, event("orderDelivered", email="INES.example@example.com", externalOrderId=ID))
    assert client.state("esputnik")["orders"][ID]["status"] == "DELIVERED"
    client.send("esputnik", EVENT, event("orderCancelled", phone="31612345678", externalOrderId="unknown"))
    assert client.counts("esputnik") == {
        "ignored": 1,
        "orderCancelled": 1,
        "orderCreated": 1,
        "orderDelivered": 1,
        "orderUpdated": 1,
    }
    assert client.sentences() == []


@pytest.mark.usefixtures("contact")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"totalCost": ...}, "order of orderCreated was dropped: totalCost is required"),
        ({"totalCost": "much"}, "order of orderCreated was dropped: could not convert string to float: 'much'"),
        ({"externalOrderId": ...}, "order of orderCreated was dropped: externalOrderId is required"),
        ({"phone": ...}, "event of an unknown contact was dropped: contacts come first"),
        ({"phone": "31600000000"}, "event of an unknown contact was dropped: contacts come first"),
        ({"date": "2020-05-14T10:11:00"}, "order of orderCreated was dropped: date must be"),
    ],
)
def test_an_incomplete_order_event_is_dropped_in_silence(client: Any, changes: Any, sentence: str) -> None:
    answer = client.send("esputnik", EVENT, event("orderCreated", **created(**changes)))
    assert (answer.status_code, answer.content) == (200, b"")
    assert [each[: len(sentence)] for each in client.sentences()] == [sentence]
    assert client.state("esputnik")["orders"] == {}
    assert client.counts("esputnik")["dropped"] == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("eventTypeKey", ...),
        ("eventTypeKey", "x" * 101),
        ("keyValue", ...),
        ("keyValue", "x" * 301),
        ("params", {}),
        ("params.0.value", 7),
        ("params.0.name", ...),
    ],
)
def test_a_wrong_event_is_refused(client: Any, cart: Any, changed: Any, path: str, value: Any) -> None:
    assert client.send("esputnik", EVENT, changed(cart, path, value)).status_code == 400
    assert len(client.sentences()) == 1


def test_an_event_has_a_limit_of_size(client: Any) -> None:
    assert client.send("esputnik", EVENT, event("custom", note="x" * 20_000)).status_code == 413


def test_a_cart_needs_its_contact_first(client: Any, cart: Any) -> None:
    assert client.send("esputnik", EVENT, cart).status_code == 200
    assert client.sentences() == ["event of an unknown contact was dropped: contacts come first"]
    assert client.state("esputnik") is None


@pytest.mark.usefixtures("contact")
def test_a_cart_is_kept_by_its_state_id(client: Any, cart: Any, changed: Any) -> None:
    client.send("esputnik", EVENT, cart)
    client.send("esputnik", EVENT, cart)
    kept = client.state("esputnik")["carts"]
    assert [item["productId"] for item in kept["5d0c9b1e-0c57-5a6e-9a39-2f0a7c1b7d11"]["products"]] == [
        "880001",
        "880002",
    ]
    assert client.sentences() == []
    client.send("esputnik", EVENT, changed(cart, "params.2.value", "[]"))
    assert client.sentences() == ["recycleStateId was used before, for other products"]


@pytest.mark.usefixtures("contact")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"email": ...}, "cartUpdated needs a parameter that identifies the contact"),
        ({"recycleStateId": ...}, "recycleStateId is required"),
        ({"products": ...}, "products is required"),
        ({"products": "no JSON"}, "products must be JSON text"),
        ({"products": '[{"productId":1,"quantity":1,"price":1}]'}, "products[0].productId must be a string"),
        ({"products": '[{"productId":"1","quantity":1.5,"price":1}]'}, "products[0].quantity must be an integer"),
        ({"products": '[{"productId":"1","quantity":1,"price":"1"}]'}, "products[0].price must be a number"),
        ({"currencyCode": "EURO"}, "currencyCode must be an ISO 4217 currency code"),
    ],
)
def test_a_wrong_cart_is_refused(client: Any, changes: Any, sentence: str) -> None:
    given = {"email": "ines.example@example.com", "products": "[]", "recycleStateId": "abc", **changes}
    body = event("cartUpdated", **{name: value for name, value in given.items() if value is not ...})
    assert client.send("esputnik", EVENT, body).status_code == 400
    assert client.sentences()[0].startswith(sentence)


def test_the_second_version_of_events_nests_and_makes_contacts(client: Any) -> None:
    products = [{"productId": "1", "quantity": 1, "price": 2.5}]
    body = event("cartUpdated", email="new@example.com", products=products, recycleStateId="abc")
    del body["keyValue"]
    assert client.send("esputnik", "/v2/event", body).status_code == 200
    assert client.state("esputnik")["carts"]["abc"]["products"] == products
    assert client.state("esputnik")["contacts"][0]["emails"] == ["new@example.com"]
    assert client.sentences() == []
