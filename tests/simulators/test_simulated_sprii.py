"""Sprii: strict on form, and a repeated report counts twice."""

from typing import Any

import pytest

PATH = "/processOrders"


@pytest.fixture
def report(examples: Any) -> Any:
    return examples["sprii"]["paid order"][0]["body"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("orders", ..., "orders is required"),
        ("orders", {}, "orders must be an array"),
        ("orders", [], "orders must have 1 to 20 elements"),
        ("orders.0.spriiOrderNumber", ..., "orders[0].spriiOrderNumber is required"),
        ("orders.0.spriiOrderNumber", 593414, "orders[0].spriiOrderNumber must be a string"),
        ("orders.0.spriiOrderNumber", "", "orders[0].spriiOrderNumber must not be empty"),
        ("orders.0.id", 5501234567890, "orders[0].id must be a string"),
        ("orders.0.orderTotal", "90.45", "orders[0].orderTotal must be a number"),
        ("orders.0.orderTotal", True, "orders[0].orderTotal must be a number"),
        ("orders.0.openForCheckout", 1, "orders[0].openForCheckout must be true or false"),
        ("orders.0.items", ..., "orders[0].items is required"),
        ("orders.0.items.0.product_id", 44001, "orders[0].items[0].product_id must be a string"),
        ("orders.0.items.0.sku", None, "orders[0].items[0].sku must be a string"),
        ("orders.0.items.0.quantity", 2.0, "orders[0].items[0].quantity must be an integer"),
        ("orders.0.items.0.quantity", 0, "orders[0].items[0].quantity must be at least 1"),
        ("orders.0.items.0.unitPrice", "40.00", "orders[0].items[0].unitPrice must be a number"),
        ("orders.0.items.0.custom_attributes", 1, "orders[0].items[0].custom_attributes must be an object or a string"),
    ],
)
def test_a_wrong_report_is_refused(
    client: Any, report: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    answer = client.send("sprii", PATH, changed(report, path, value))
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid request")
    assert client.sentences() == [sentence]
    assert client.state("sprii") is None


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("orders.0.currency", "EUR", "orders[0].currency is an unknown field"),
        ("orders.0.items.0.unitPrice", 33.333, "orders[0].items[0].unitPrice has more than 2 decimals"),
    ],
)
def test_what_is_taken_all_the_same_is_a_violation_too(
    client: Any, report: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    assert client.send("sprii", PATH, changed(report, path, value)).ok
    assert client.sentences() == [sentence]


def test_a_batch_has_at_most_twenty_orders(client: Any, report: Any) -> None:
    assert client.send("sprii", PATH, {"orders": report["orders"] * 20}).ok
    assert client.send("sprii", PATH, {"orders": report["orders"] * 21}).status_code == 400


def test_a_repeated_report_counts_twice(client: Any, report: Any) -> None:
    client.send("sprii", PATH, report)
    client.send("sprii", PATH, report)
    assert client.state("sprii")["orders"]["5934-14"]["5501234567890"]["times"] == 2


def test_an_unknown_number_is_not_found_and_no_violation(client: Any, report: Any, changed: Any) -> None:
    answer = client.send("sprii", PATH, changed(report, "orders.0.spriiOrderNumber", "gone"))
    assert (answer.status_code, answer.json()["error"]) == (404, "Order not found")
    assert client.sentences() == []


def test_a_reported_order_is_read_back(client: Any, report: Any) -> None:
    assert client.send("sprii", "/orders/5934-14", method="GET").status_code == 404
    client.send("sprii", PATH, report)
    answer = client.send("sprii", "/orders/5934-14", method="GET")
    assert (answer.status_code, answer.json()) == (200, {"order": report["orders"][0]})
