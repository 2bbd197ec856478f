"""Gameball: orders, reversals, events; the balance rule; and what its codes mean."""

from __future__ import annotations

from typing import Any

import pytest
from requests_mock import Mocker

from app.providers.base import Accepted
from app.providers.errors import DeliveryError, NeedsMending, Refused, Unauthorized, Unavailable
from app.providers.gameball import GAMEBALL
from mappings.engine import Skip
from tests.providers.shown import call, complaints, facts_of, render, rules, settings_of, verdict_of

BASE = "https://api.gameball.co/api/v4.0/integrations"
ORDER = {
    "customerId": "7700123400001",
    "email": "ines.example@example.com",
    "mobile": "+31612345678",
    "orderId": "6100234500001",
    "orderDate": "2026-03-02T09:15:30.000Z",
    "totalPaid": 114.95,
    "totalPrice": 124.95,
    "totalDiscount": 10.00,
    "totalShipping": 6.05,
    "totalTax": 18.90,
    "lineItems": [
        {
            "productId": "880001",
            "sku": "MUG-BLUE",
            "title": "Mug blue",
            "quantity": 2,
            "price": 40.00,
            "taxes": 15.12,
            "discount": 8.00,
            "vendor": "Potter",
            "category": ["Mugs"],
        },
        {
            "productId": "880002",
            "sku": "TEA-100",
            "title": "Tea 100 g",
            "quantity": 1,
            "price": 20.00,
            "taxes": 3.78,
            "discount": 2.00,
            "category": ["Tea"],
        },
    ],
    "extra": {"paymentMethod": "ideal", "orderNumber": "1042", "discountCodes": "spring10"},
    "guest": False,
    "channel": "web",
    "cartId": "c1-7f3a9e",
}
REFUND = {
    "customerId": "7700123400001",
    "email": "ines.example@example.com",
    "mobile": "+31612345678",
    "refundTransactionId": "refund-9100045",
    "reverseTransactionId": "6100234500001",
    "transactionTime": "2026-03-05T14:20:00.000Z",
    "refundAmount": 43.56,
    "lineItems": [{"productId": "880001", "quantity": 1, "price": 40.00, "taxes": 7.56, "discount": 4.00}],
}
CANCELLATION = {
    **REFUND,
    "refundTransactionId": "cancel-6100234500001",
    "transactionTime": "2026-03-03T08:00:00.000Z",
    "refundAmount": 114.95,
    "lineItems": [
        {"productId": "880001", "quantity": 2, "price": 40.00, "taxes": 15.12, "discount": 8.00},
        {"productId": "880002", "quantity": 1, "price": 20.00, "taxes": 3.78, "discount": 2.00},
    ],
}
POINTS = {"customerId": "7700123400001", "redeemedPoints": 0, "rewardedPoints": 114, "lineItems": []}


def test_the_worked_order_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/orders", json=POINTS)
    assert call("gameball", "order", [render("gameball", "order_paid", "order")]) == [Accepted(note="114 points")]
    (request,) = requests_mock.request_history
    assert request.json() == ORDER
    assert request.headers["APIKey"] == "API_KEY"
    assert request.headers["SecretKey"] == "SECRET_KEY"
    assert request.headers["Content-Type"] == "application/json"


def test_the_worked_order_of_a_guest() -> None:
    payload = render("gameball", "guest_order_paid", "order")
    assert payload.pop("extra") == {"orderNumber": "1043"}
    assert payload == {
        "customerId": "guest:noor.example@example.com",
        "email": "noor.example@example.com",
        "orderId": "6100234500002",
        "orderDate": "2026-03-02T10:02:11.000Z",
        "totalPaid": 30.25,
        "totalPrice": 30.25,
        "totalDiscount": 0,
        "totalShipping": 6.05,
        "totalTax": 4.20,
        "lineItems": [
            {"productId": "880002", "title": "Tea 100 g", "quantity": 1, "price": 20.00, "taxes": 4.20, "discount": 0}
        ],
        "guest": True,
        "channel": "web",
    }


def test_the_worked_refund_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/transactions/refund", json={"gameballTransactionId": "11034735"})
    assert call("gameball", "refund", [render("gameball", "order_refunded", "refund")]) == [Accepted()]
    assert requests_mock.last_request.json() == REFUND


def test_the_worked_cancellation() -> None:
    assert render("gameball", "order_cancelled", "refund") == CANCELLATION


def test_a_cancellation_takes_back_only_what_a_refund_left() -> None:
    payload = render("gameball", "order_cancelled_after_refund", "refund")
    assert payload["refundAmount"] == 71.39
    assert [each["quantity"] for each in payload["lineItems"]] == [1, 1]


def test_the_worked_cart_as_a_whole_request(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/events", json={"success": True, "message": "Events processed"})
    payload = render("gameball", "cart_updated", "cart")
    payload["metadata"].pop("title")
    assert call("gameball", "event", [payload]) == [Accepted()]
    assert requests_mock.last_request.json() == {
        "customerId": "7700123400001",
        "email": "ines.example@example.com",
        "events": {
            "cart_updated": {
                "cart_id": "c1-7f3a9e",
                "cart_total": 100.00,
                "currency": "EUR",
                "total_items": 3,
                "unique_items": 2,
                "product_id": ["880001", "880002"],
                "last_updated_at": "2026-03-02T09:10:00.000Z",
            }
        },
    }


@pytest.mark.parametrize("version", ["v4.0", "v4.1", "v4"])
def test_the_version_stands_in_every_path(requests_mock: Mocker, version: str) -> None:
    requests_mock.post(f"https://api.gameball.co/api/{version}/integrations/orders", json={})
    assert call("gameball", "order", [ORDER], api_version=version) == [Accepted()]


@pytest.mark.parametrize(
    ("settings", "changes", "customer"),
    [
        ({}, {}, "7700123400001"),
        ({"customer_id": "email"}, {}, "ines.example@example.com"),
        ({}, {"order__customer_id": None}, "guest:ines.example@example.com"),
        ({"guest_prefix": "g-"}, {"order__customer_id": None}, "g-ines.example@example.com"),
        ({"guest_ids": "email"}, {"order__customer_id": None}, "ines.example@example.com"),
        ({"customer_id": "email"}, {"order__email": None}, Skip("no_identity")),
        ({}, {"order__customer_id": None, "order__email": None}, Skip("no_identity")),
        ({"send_guests": False}, {"order__customer_id": None}, Skip("guest")),
        ({}, {"order__test": True}, Skip("test_order")),
        ({"send_pos_orders": False}, {"order__channel": "pos"}, Skip("pos_order")),
    ],
)
def test_who_the_buyer_is(settings: dict[str, Any], changes: dict[str, Any], customer: Any) -> None:
    payload = render("gameball", facts_of("order_paid", **changes), "order", **settings)
    assert (payload if isinstance(payload, Skip) else payload["customerId"]) == customer


def test_an_order_and_its_refund_name_the_same_customer() -> None:
    for changes in ({}, {"order__customer_id": None}):
        order = render("gameball", facts_of("order_paid", **changes), "order")
        refund = render("gameball", facts_of("order_refunded", **changes), "refund")
        assert order["customerId"] == refund["customerId"]
        assert order["orderId"] == refund["reverseTransactionId"]


def test_a_guest_id_that_is_too_long_is_hashed() -> None:
    facts = facts_of("order_paid", order__customer_id=None, order__email=f"{'a' * 60}@{'b' * 50}.example")
    customer = render("gameball", facts, "order")["customerId"]
    assert len(customer) == 64
    assert customer == render("gameball", facts, "order")["customerId"]


def test_references_to_points_and_coupons_come_from_the_orders_attributes() -> None:
    attributes = [
        {"name": "pointsholdreference", "value": "HOLD122", "place": "order", "rank": 0},
        {"name": "pointsHoldReference ", "value": " HOLD123", "place": "order", "rank": 1},
        {"name": "gb_lock", "value": "LOCK123", "place": "order", "rank": 2},
    ]
    facts = facts_of("order_paid", order__attributes=attributes)
    assert render("gameball", facts, "order", coupons_lock_attribute="gb_lock")["redemption"] == {
        "pointsHoldReference": "HOLD123",
        "couponsLockReference": "LOCK123",
    }
    assert "redemption" not in render("gameball", "order_paid", "order")


def test_a_merchant_goes_only_with_its_branch() -> None:
    assert "merchant" not in render("gameball", "order_paid", "order", merchant_id="M")
    assert render("gameball", "order_paid", "order", merchant_id="M", branch_id="B")["merchant"] == {
        "uniqueId": "M",
        "branch": {"uniqueId": "B"},
    }


@pytest.mark.parametrize(
    ("facts", "settings", "expected"),
    [
        ("order_paid", {}, ["order"]),
        ("guest_order_placed", {}, []),
        ("guest_order_placed", {"order_trigger": "order.placed"}, ["order"]),
        ("order_refunded", {}, ["refund"]),
        ("order_cancelled", {}, ["refund"]),
        ("order_deleted", {}, ["trashed"]),
        ("cart_updated", {}, ["cart"]),
        ("cart_updated", {"send_carts": False}, []),
        ("checkout_started", {}, ["checkout"]),
        ("checkout_started", {"send_checkouts": False}, []),
    ],
)
def test_what_goes_out_when(facts: str, settings: dict[str, Any], expected: list[str]) -> None:
    assert rules("gameball", facts_of(facts), **settings) == expected


def test_a_cart_of_nobody_is_not_owed() -> None:
    assert render("gameball", "cart_anonymous", "cart") == Skip("no_identity")


def test_the_declaration_follows_from_gameballs_own_duplicate_check() -> None:
    order, refund, event = (GAMEBALL.actions[name] for name in ("order", "refund", "event"))
    assert (order.once, order.repeatable, order.adds_value) == (True, True, False)
    assert (refund.reverses, refund.repeatable, refund.once) == ("order", True, False)
    assert (event.repeatable, event.adds_value) == (False, True)


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "shop", "held"),
    [("", None, False), ("EUR", None, False), ("eur", None, False), ("USD", None, True), ("", "USD", True)],
)
def test_an_order_in_another_currency_is_held(account: str, shop: str | None, held: bool) -> None:
    facts = facts_of("order_paid", shop__currency=shop)
    reason = GAMEBALL.actions["order"].hold(ORDER, facts, settings_of("gameball", account_currency=account))
    assert reason == ("the order is in EUR, the Gameball account in USD" if held else None)


@pytest.mark.parametrize("facts", ["order_paid", "guest_order_paid", "order_surcharge", "live_order_paid"])
def test_the_equation_of_gameball_holds(facts: str) -> None:
    assert complaints("gameball", facts, "order") == []


@pytest.mark.parametrize(("tax", "complaint"), [("15.13", False), ("15.14", True)])
def test_the_equations_tolerance_is_a_cent(tax: str, complaint: bool) -> None:
    found = complaints("gameball", facts_of("order_paid", order__lines__0__tax=tax), "order")
    assert bool(found) is complaint


def test_a_discount_that_stands_on_no_line_is_no_complaint() -> None:
    facts = facts_of("order_paid", order__total="109.95", order__discount_net="15", order__unassigned_discount="5")
    assert complaints("gameball", facts, "order") == []


def test_an_estimated_refund_says_so() -> None:
    facts = facts_of("order_refunded", reversal__estimated=True)
    assert complaints("gameball", facts, "refund") == [
        "The shop did not say which products were given back: the lines are estimated from the amount."
    ]


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ({"rewardedPoints": 101}, "101 points"),
        ({"rewardedPoints": 0}, "accepted, no points"),
        ({"rewardedPoints": None}, "accepted, no points"),
        ({"orderId": "1", "status": "ok"}, None),
        ([], None),
    ],
)
def test_an_accepted_order_tells_its_points(requests_mock: Mocker, body: Any, note: str | None) -> None:
    requests_mock.post(f"{BASE}/orders", json=body)
    assert call("gameball", "order", [ORDER]) == [Accepted(note=note)]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, 1000, Unauthorized),
        (401, 1001, Unauthorized),
        (403, 1002, Unauthorized),
        (403, 8000, Unauthorized),
        (412, 2000, Refused),
        (422, 2001, Unavailable),
        (400, 3000, Refused),
        (422, 3001, Refused),
        (422, 3003, Refused),
        (422, 3009, Refused),
        (422, 3011, Refused),
        (400, 3016, Refused),
        (400, 4000, Unavailable),
        (400, 4500, Unavailable),
        (404, 4004, Refused),
        (422, 6000, Refused),
        (422, 6001, Refused),
        (404, 7000, Refused),
        (422, 7001, Refused),
        (422, 7004, Refused),
        (422, 9000, Refused),
        (404, 9002, Refused),
        (404, 9005, Unavailable),
        (422, 9007, Refused),
        (422, 9008, Refused),
        (500, 5000, Unavailable),
        (503, 5003, Unavailable),
        (429, None, Unavailable),
        (502, None, Unavailable),
        (401, None, Unauthorized),
        (400, None, Refused),
        (418, 123456, Refused),
    ],
)
@pytest.mark.parametrize("action", ["order", "refund", "event"])
def test_every_documented_code(
    requests_mock: Mocker, action: str, status: int, code: int | None, error: type[DeliveryError]
) -> None:
    paths = {"order": "orders", "refund": "transactions/refund", "event": "events"}
    payload = {"order": ORDER, "refund": REFUND, "event": {"customerId": "1", "event": "e", "metadata": {}}}[action]
    body = {"error": "x"} if code is None else {"code": code, "type": "T", "message": "words"}
    requests_mock.post(f"{BASE}/{paths[action]}", status_code=status, json=body)
    if error is Refused:
        assert [type(each) for each in call("gameball", action, [payload])] == [Refused]
    else:
        with pytest.raises(error):
            call("gameball", action, [payload])


@pytest.mark.parametrize(
    ("code", "attempts", "retry_after"), [(2001, None, 2.0), (4000, 3, None), (4500, 3, None), (9005, 3, 30.0)]
)
def test_how_patient_a_code_makes_us(
    requests_mock: Mocker, code: int, attempts: int | None, retry_after: float | None
) -> None:
    requests_mock.post(f"{BASE}/orders", status_code=422, json={"code": code})
    with pytest.raises(Unavailable) as caught:
        call("gameball", "order", [ORDER])
    assert (caught.value.attempts, caught.value.retry_after) == (attempts, retry_after)


@pytest.mark.parametrize("code", [9001, 9004, "9004"])
@pytest.mark.parametrize(
    ("action", "path", "payload"), [("order", "orders", ORDER), ("refund", "transactions/refund", REFUND)]
)
def test_a_duplicate_means_applied(
    requests_mock: Mocker, action: str, path: str, payload: dict[str, Any], code: int | str
) -> None:
    requests_mock.post(f"{BASE}/{path}", status_code=422, json={"code": code})
    assert call("gameball", action, [payload]) == [Accepted(note="already applied")]


@pytest.mark.parametrize(
    ("transactions", "posts"),
    [
        ([{"transactionId": "6100234500001", "transactionType": "PaymentReward"}], 1),
        ([{"transactionId": "refund-1", "transactionType": "Refund"}], 2),
        ([], 2),
    ],
)
def test_a_time_that_exists_is_looked_into(requests_mock: Mocker, transactions: list[Any], posts: int) -> None:
    requests_mock.post(f"{BASE}/orders", [{"status_code": 422, "json": {"code": 9003}}, {"json": POINTS}])
    requests_mock.get(f"{BASE}/orders/6100234500001/transactions", json={"transactions": transactions, "count": 1})
    (outcome,) = call("gameball", "order", [ORDER])
    assert outcome == Accepted(note="already applied" if posts == 1 else "114 points")
    sent = [each.json()["orderDate"] for each in requests_mock.request_history if each.method == "POST"]
    assert sent == ["2026-03-02T09:15:30.000Z", "2026-03-02T09:15:30.001Z"][:posts]


def test_a_refunds_time_that_exists_is_looked_into_by_the_refunds_id(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/transactions/refund", status_code=422, json={"code": 9003})
    requests_mock.get(
        f"{BASE}/orders/6100234500001/transactions", json={"transactions": [{"transactionId": "refund-9100045"}]}
    )
    assert call("gameball", "refund", [REFUND]) == [Accepted(note="already applied")]


def test_a_time_that_exists_twice_is_final(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/orders", status_code=422, json={"code": 9003})
    requests_mock.get(f"{BASE}/orders/6100234500001/transactions", status_code=404, json={"code": 9002})
    assert [type(each) for each in call("gameball", "order", [ORDER])] == [Refused]


@pytest.mark.parametrize("time", ["2 March 2026", 1772442930, "9999-12-31T23:59:59.999Z"])
def test_a_time_that_exists_and_cannot_be_moved_on_waits_for_the_mapping(requests_mock: Mocker, time: Any) -> None:
    requests_mock.post(f"{BASE}/orders", status_code=422, json={"code": 9003})
    requests_mock.get(f"{BASE}/orders/6100234500001/transactions", json={"transactions": []})
    with pytest.raises(NeedsMending, match="orderDate is no time that can be moved on"):
        call("gameball", "order", [{**ORDER, "orderDate": time}])


def test_what_is_there_already_counts_whatever_its_time_is(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/orders", status_code=422, json={"code": 9003})
    applied = [{"transactionId": "6100234500001"}]
    requests_mock.get(f"{BASE}/orders/6100234500001/transactions", json={"transactions": applied})
    assert call("gameball", "order", [{**ORDER, "orderDate": "2 March"}]) == [Accepted(note="already applied")]


def test_a_time_that_exists_and_cannot_be_looked_into_waits(requests_mock: Mocker) -> None:
    requests_mock.post(f"{BASE}/orders", status_code=422, json={"code": 9003})
    requests_mock.get(f"{BASE}/orders/6100234500001/transactions", status_code=503)
    with pytest.raises(Unavailable):
        call("gameball", "order", [ORDER])


@pytest.mark.parametrize(
    ("status", "verdict"), [(200, "accepted"), (401, "refused"), (403, "refused"), (429, "unknown"), (500, "unknown")]
)
def test_the_connection_test_only_reads(requests_mock: Mocker, status: int, verdict: str) -> None:
    requests_mock.get(f"{BASE}/transactions?limit=1", status_code=status, json={})
    assert verdict_of("gameball") == verdict
    request = requests_mock.last_request
    assert (request.method, request.headers["APIKey"], request.headers["SecretKey"]) == (
        "GET",
        "API_KEY",
        "SECRET_KEY",
    )
