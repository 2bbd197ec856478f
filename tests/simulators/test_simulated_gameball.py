"""Gameball: points come once and go back once, and one customer has one request at a time."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

BASE = "/api/v4.0/integrations"
ORDERS = f"{BASE}/orders"
REFUND = f"{BASE}/transactions/refund"
EVENTS = f"{BASE}/events"
CUSTOMERS = f"{BASE}/customers"
ID = "6100234500001"


@pytest.fixture
def order(examples: Any) -> Any:
    return examples["gameball"]["paid order"][0]["body"]


@pytest.fixture
def refund(examples: Any) -> Any:
    return examples["gameball"]["partial refund"][1]["body"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("customerId", ..., "customerId is required"),
        ("customerId", 77, "customerId must be a string"),
        ("customerId", "x" * 101, "customerId must have at most 100 characters"),
        ("orderId", 61, "orderId must be a string"),
        ("orderDate", "2026-03-02T09:15:30+01:00", "orderDate must be an ISO 8601 time in UTC ending in Z"),
        ("orderDate", ..., "orderDate is required"),
        ("totalPaid", "114.95", "totalPaid must be a number"),
        ("totalDiscount", -10, "totalDiscount must be at least 0"),
        ("email", "Ines@example.com", "email must be an e-mail address, trimmed and in lower case"),
        ("mobile", "31612345678", "mobile must be a phone number in E.164 form"),
        ("guest", "false", "guest must be true or false"),
        ("channel", "online", "channel must be one of mobile, pos, web, callcenter"),
        ("cartId", None, "cartId must be a string"),
        ("lineItems", {}, "lineItems must be an array"),
        ("lineItems.0.productId", 880001, "lineItems[0].productId must be a string"),
        ("lineItems.0.price", "40.00", "lineItems[0].price must be a number"),
        ("lineItems.0.quantity", 0, "lineItems[0].quantity must be more than 0"),
        ("lineItems.0.taxes", -1, "lineItems[0].taxes must be at least 0"),
        ("lineItems.0.category", "Mugs", "lineItems[0].category must be an array"),
        ("lineItems.0.extra", {"size": True}, "lineItems[0].extra.size must be a string or a number"),
        ("extra", {"codes": ["A"]}, "extra.codes must be a string or a number"),
        ("extra", {"note": None}, "extra.note must be a string or a number"),
        ("merchant", {"uniqueId": "m", "branch": {"name": "b"}}, "merchant.branch.uniqueId is required"),
        ("redemption", {"couponCodes": "X"}, "redemption.couponCodes must be an array"),
        (
            "cashbackConfigurations",
            {"returnWindow": 7301},
            "cashbackConfigurations.returnWindow must be at most 7300",
        ),
    ],
)
def test_a_wrong_order_is_refused(client: Any, order: Any, changed: Any, path: str, value: Any, sentence: str) -> None:
    answer = client.send("gameball", ORDERS, changed(order, path, value))
    assert (answer.status_code, answer.json()) == (400, {"code": 3000, "type": "REQUEST_ERROR", "message": sentence})
    assert client.sentences() == [sentence]
    assert client.state("gameball") is None


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("currency", "EUR", "currency is an unknown field"),
        ("lineItems", ..., "lineItems should always be sent"),
        ("totalShipping", ..., "totalShipping should always be sent"),
        ("lineItems.0.price", 40.0000001, "lineItems[0].price has more than 6 decimals"),
    ],
)
def test_what_is_taken_all_the_same_is_a_violation_too(
    client: Any, order: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    assert client.send("gameball", ORDERS, changed(order, path, value)).ok
    assert client.sentences() == [sentence]


def test_a_time_to_come_is_refused(client: Any, order: Any, refund: Any, changed: Any) -> None:
    later = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    client.send("gameball", ORDERS, order)
    for path, body in (
        (ORDERS, changed(order, "orderDate", later)),
        (REFUND, changed(refund, "transactionTime", later)),
    ):
        answer = client.send("gameball", path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, 9007)


@pytest.mark.parametrize("version", ["v4", "v4.0", "v4.1"])
def test_three_versions_are_served(client: Any, order: Any, version: str) -> None:
    assert client.send("gameball", f"/api/{version}/integrations/orders", order).ok


def test_no_other_version_or_path_is_served(client: Any, order: Any) -> None:
    for path in ("/api/v3.0/integrations/order", "/v4.0/integrations/orders", f"{BASE}/order", f"{BASE}/event"):
        answer = client.send("gameball", path, order)
        assert (answer.status_code, answer.json()["code"]) == (404, 4004)


def test_an_order_counts_once(client: Any, order: Any) -> None:
    client.send("gameball", ORDERS, order)
    answer = client.send("gameball", ORDERS, order)
    assert answer.status_code == 422
    assert answer.json() == {
        "code": 9004,
        "type": "TRANSACTIONS_ERROR",
        "message": "Transaction id already exists",
        "requestId": "r-2",
    }
    assert client.state("gameball")["customers"] == {"7700123400001": {"points": 114, "attributes": {}}}
    assert client.sentences() == []


def test_lines_that_do_not_add_up_are_a_complaint(client: Any, order: Any, changed: Any) -> None:
    client.send("gameball", ORDERS, changed(order, "lineItems.0.discount", 7.98))
    assert client.app.state("gameball")["complaints"] == [
        f"account key-1, order {ID}: lines and shipping are 0.02 over totalPaid"
    ]
    assert client.sentences() == []


def test_lines_of_negative_price_are_left_out_of_the_balance(client: Any, order: Any) -> None:
    order["lineItems"].append({"productId": "fee", "quantity": 1, "price": -3})
    client.send("gameball", ORDERS, order)
    assert client.app.state("gameball")["complaints"] == []


def test_a_cancel_after_a_refund_takes_what_is_left(client: Any, order: Any, refund: Any) -> None:
    client.send("gameball", ORDERS, order)
    assert client.send("gameball", REFUND, refund).json()["refundAmount"] == 43.56
    cancel = {**refund, "refundTransactionId": "cancel", "refundAmount": 114.95}
    assert client.send("gameball", REFUND, cancel).json()["refundAmount"] == 71.39
    answer = client.send("gameball", REFUND, {**refund, "refundTransactionId": "again"})
    assert (answer.status_code, answer.json()["code"]) == (422, 9001)
    state = client.state("gameball")["orders"][ID]
    assert (state["refunded"], state["points"]) == (114.95, 0)
    assert {id_: each["taken"] for id_, each in state["refunds"].items()} == {"cancel": 71.39, "refund-9100045": 43.56}


@pytest.mark.parametrize("amount", [None, ...])
def test_a_refund_without_an_amount_is_a_full_one(
    client: Any, order: Any, refund: Any, changed: Any, amount: Any
) -> None:
    client.send("gameball", ORDERS, order)
    assert client.send("gameball", REFUND, changed(refund, "refundAmount", amount)).json()["refundAmount"] == 114.95


def test_a_refund_id_counts_once(client: Any, order: Any, refund: Any) -> None:
    client.send("gameball", ORDERS, order)
    client.send("gameball", REFUND, refund)
    answer = client.send("gameball", REFUND, refund)
    assert (answer.status_code, answer.json()["code"]) == (422, 9004)
    assert client.state("gameball")["orders"][ID]["refunded"] == 43.56


def test_a_refund_needs_its_order(client: Any, order: Any, refund: Any) -> None:
    answer = client.send("gameball", REFUND, refund)
    assert (answer.status_code, answer.json()["code"], answer.json()["message"]) == (
        404,
        9005,
        "Reversed transaction not found",
    )
    assert client.sentences() == []
    client.send("gameball", ORDERS, order)
    answer = client.send("gameball", REFUND, {**refund, "customerId": "another"})
    assert (answer.status_code, answer.json()["code"]) == (404, 9005)
    assert client.sentences() == ["customerId is not the one of the order"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("refundTransactionId", ..., "refundTransactionId is required"),
        ("reverseTransactionId", 61, "reverseTransactionId must be a string"),
        ("transactionTime", "2026-03-05", "transactionTime must be an ISO 8601 time in UTC ending in Z"),
        ("refundAmount", "43.56", "refundAmount must be a number"),
        ("refundAmount", 0, "refundAmount must be more than 0"),
    ],
)
def test_a_wrong_refund_is_refused(
    client: Any, refund: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    answer = client.send("gameball", REFUND, changed(refund, path, value))
    assert (answer.status_code, answer.json()["message"]) == (400, sentence)


def test_transactions_are_listed(client: Any, order: Any, refund: Any) -> None:
    order["orderId"] = refund["reverseTransactionId"] = "order/1 é"
    client.send("gameball", ORDERS, order)
    client.send("gameball", REFUND, refund)
    listed = client.send("gameball", f"{ORDERS}/order%2F1%20%C3%A9/transactions", method="GET").json()
    kinds = [(each["transactionType"], each["transactionId"], each["amount"]) for each in listed["transactions"]]
    assert kinds == [("PaymentReward", "order/1 é", 114.95), ("PartialRefund", "refund-9100045", 43.56)]
    assert client.send("gameball", f"{BASE}/transactions?limit=1", method="GET").json()["count"] == 1
    answer = client.send("gameball", f"{ORDERS}/unknown/transactions", method="GET")
    assert (answer.status_code, answer.json()["code"]) == (404, 9002)


def test_a_customer_is_updated_and_erased(client: Any) -> None:
    body = {"customerId": "7", "email": "a@b.example", "customerAttributes": {"firstName": "A", "custom": {"tier": 1}}}
    assert client.send("gameball", CUSTOMERS, body).ok
    assert client.send("gameball", CUSTOMERS, {"customerId": "7", "mobile": "+31612345678"}).ok
    attributes = {"email": "a@b.example", "customerAttributes": body["customerAttributes"], "mobile": "+31612345678"}
    assert client.state("gameball")["customers"]["7"]["attributes"] == attributes
    assert client.sentences() == []
    assert client.send("gameball", f"{CUSTOMERS}/7", method="DELETE").ok
    assert client.send("gameball", f"{CUSTOMERS}/7", method="DELETE").status_code == 404


def test_a_standard_attribute_has_no_place_among_custom_ones(client: Any) -> None:
    body = {"customerId": "7", "customerAttributes": {"custom": {"city": "Amsterdam"}}}
    client.send("gameball", CUSTOMERS, body)
    assert client.sentences() == ["customerAttributes.custom.city is an unknown field"]


def test_events_count_each_time(client: Any, examples: Any) -> None:
    event = examples["gameball"]["cart"][0]["body"]
    client.send("gameball", EVENTS, event)
    client.send("gameball", EVENTS, event)
    state = client.state("gameball")["events"]
    assert [(each["name"], each["times"], each["customerId"]) for each in state] == [
        ("cart_updated", 2, event["customerId"])
    ]


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ({}, "events must name an event"),
        ([], "events must be an object"),
        ({"cart_updated": {}}, "events.cart_updated.cart_id is required"),
        ({"x": {"a": None}}, "events.x.a must be a string or a number"),
        ({"x": {"a": {"b": 1}}}, "events.x.a must be a string or a number"),
        ({"x": {"a": [{"b": 1}]}}, "events.x.a[0] must be a string or a number"),
    ],
)
def test_wrong_events_are_refused(client: Any, events: Any, sentence: str) -> None:
    answer = client.send("gameball", EVENTS, {"customerId": "7", "events": events})
    assert answer.status_code == 400
    assert sentence in client.sentences()


def test_two_requests_of_one_customer_must_not_overlap(client: Any, order: Any) -> None:
    client.app.set_faults("gameball", [{"kind": "delay", "seconds": 0.4, "contains": ID}])
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(client.example("gameball", "paid order").status_code))
    thread.start()
    while not client.app.requests("gameball"):
        pass
    second = client.send("gameball", ORDERS, {**order, "orderId": "another"})
    other = client.send("gameball", ORDERS, {**order, "orderId": "others", "customerId": "8"})
    thread.join()
    assert first == [200]
    assert (second.status_code, second.json()["code"]) == (422, 2001)
    assert other.ok
    assert client.sentences() == ["another request of the same customer is in progress"]
    assert list(client.state("gameball")["orders"]) == [ID, "others"]
    assert client.send("gameball", ORDERS, {**order, "orderId": "another"}).ok
