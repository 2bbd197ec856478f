"""Gameball: paid orders earn points, refunds take them back.

Source: docs.gameball.co/api-reference/openapi.json with the pages on authentication, rate limiting and error codes
beside it; the balance of an order's lines: "order-calculation-examples" and "discount-reconciliation-examples" in
github.com/gameballers/gameball-docs. The wording of messages is ours, the codes are Gameball's.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from json import dumps, loads
from typing import Any

from app.simulators.base import Simulator
from app.simulators.calls import Answer, Call, Refused, json_answer
from app.simulators.faults import Trouble
from app.simulators.gameball_forms import CUSTOMER, EVENTS, ORDER, REFUND

VERSIONS = frozenset({"v4", "v4.0", "v4.1"})
CENT = Decimal("0.01")

#: code: (status, type, message)
ERRORS = {
    1000: (401, "AUTHENTICATION_ERROR", "Unauthorized"),
    1001: (401, "AUTHENTICATION_ERROR", "Secret key is missing or wrong"),
    2001: (422, "REQUEST_ERROR", "Concurrent request in progress"),
    7000: (404, "CUSTOMER_ERROR", "Customer not found"),
    9001: (422, "TRANSACTIONS_ERROR", "Transaction already cancelled"),
    9002: (404, "TRANSACTIONS_ERROR", "Transaction not found"),
    9004: (422, "TRANSACTIONS_ERROR", "Transaction id already exists"),
    9005: (404, "TRANSACTIONS_ERROR", "Reversed transaction not found"),
    9007: (422, "TRANSACTIONS_ERROR", "Transaction time is in the future"),
}


@dataclass(slots=True)
class Tracked:
    """An order and what was taken back of it."""

    order: dict[str, Any]
    left: Decimal  #: of totalPaid, not refunded yet
    refunds: dict[str, tuple[Decimal, dict[str, Any]]] = field(default_factory=dict)

    @property
    def points(self) -> int:
        earned: float = self.order["totalPaid"]
        return math.floor(earned) - sum(math.floor(taken) for taken, _ in self.refunds.values())


@dataclass(slots=True)
class Programme:
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)  #: id to the attributes last sent
    orders: dict[str, Tracked] = field(default_factory=dict)
    refunds: dict[str, str] = field(default_factory=dict)  #: refundTransactionId to orderId
    events: Counter[str] = field(default_factory=Counter)  #: an event's canonical JSON, and how often it came


class Gameball(Simulator[Programme]):
    """Accounts are named by their API key. One request of a customer at a time."""

    name = "gameball"
    limits = ((30, 1.0), (360, 30.0))
    batches = False

    def reset(self) -> None:
        super().reset()
        self._busy: set[tuple[str, str]] = set()

    def open_books(self) -> Programme:
        return Programme()

    def view(self, books: Programme) -> dict[str, Any]:
        points: Counter[str] = Counter()
        for tracked in books.orders.values():
            points[tracked.order["customerId"]] += tracked.points
        return {
            "customers": {
                id_: {"points": points[id_], "attributes": attributes}
                for id_, attributes in sorted(books.customers.items())
            },
            "orders": {id_: _view_order(tracked) for id_, tracked in sorted(books.orders.items())},
            "events": [{"times": times, **loads(event)} for event, times in sorted(books.events.items())],
        }

    # Answers and admission

    def refusal(self, status: int, sentence: str) -> Answer:
        if status == 401:
            return json_answer(401, {"code": 1000, "type": "AUTHENTICATION_ERROR", "message": sentence})
        code = {400: 3000, 404: 4004, 500: 5000, 503: 5003}.get(status, status)
        return json_answer(status, {"code": code, "type": "REQUEST_ERROR", "message": sentence})

    def error(self, call: Call, code: int, *violations: str) -> Refused:
        status, type_, message = ERRORS[code]
        answer = {"code": code, "type": type_, "message": message, "requestId": f"r-{call.n}"}
        return Refused(json_answer(status, answer), *violations)

    def identify(self, call: Call) -> str:
        key, secret = call.headers.get("apikey", ""), call.headers.get("secretkey", "")
        if not self.accepts("api_key", key):
            raise self.error(call, 1000, *([] if key else ["header APIKey is required"]))
        if not self.accepts("secret_key", secret):
            raise self.error(call, 1001, *([] if secret else ["header SecretKey is required"]))
        return key

    def perform(self, call: Call, trouble: Trouble | None) -> Answer:
        with self._one_at_a_time(call) as free:
            if free:
                return super().perform(call, trouble)
        call.account = call.headers.get("apikey")
        self.violation(call, "another request of the same customer is in progress")
        return self.error(call, 2001).answer

    @contextmanager
    def _one_at_a_time(self, call: Call) -> Iterator[bool]:
        lane = _lane(call)
        with self._lock:
            free = lane is None or lane not in self._busy
            if lane and free:
                self._busy.add(lane)
        try:
            yield free
        finally:
            if lane and free:
                with self._lock:
                    self._busy.discard(lane)

    def route(self, call: Call, account: str) -> Answer:
        match call.parts:
            case ["api", version, "integrations", *rest] if version in VERSIONS:
                pass
            case _:
                raise self.no_route(call)
        match call.method, rest:
            case "POST", ["orders"]:
                return self._track_order(call, account)
            case "POST", ["transactions", "refund"]:
                return self._refund(call, account)
            case "POST", ["customers"]:
                return self._upsert_customer(call, account)
            case "DELETE", ["customers", customer]:
                return self._delete_customer(call, account, customer)
            case "POST", ["events"]:
                return self._track_events(call, account)
            case "GET", ["transactions"]:
                orders = self.books(account).orders
                return _list_transactions(call, [line for tracked in orders.values() for line in _history(tracked)])
            case "GET", ["orders", order, "transactions"]:
                return self._order_transactions(call, account, order)
            case _:
                raise self.no_route(call)

    # What the calls do

    def _track_order(self, call: Call, account: str) -> Answer:
        order = self.read(call)
        self.require(call, ORDER, order)
        self._not_in_future(call, order["orderDate"], "orderDate")
        books = self.books(account)
        if order["orderId"] in books.orders:
            self.count("duplicates")
            raise self.error(call, 9004)
        books.customers.setdefault(order["customerId"], {})
        books.orders[order["orderId"]] = Tracked(order, _decimal(order["totalPaid"]))
        difference = _imbalance(order)
        if abs(difference) > CENT:
            self.complain(
                f"account {account}, order {order['orderId']}: lines and shipping are {difference} over totalPaid"
            )
        return json_answer(200, _rewards(order))

    def _refund(self, call: Call, account: str) -> Answer:
        refund = self.read(call)
        self.require(call, REFUND, refund)
        self._not_in_future(call, refund["transactionTime"], "transactionTime")
        books = self.books(account)
        if refund["refundTransactionId"] in books.refunds:
            self.count("duplicates")
            raise self.error(call, 9004)
        tracked = books.orders.get(refund["reverseTransactionId"])
        if tracked is None:
            raise self.error(call, 9005)
        if tracked.order["customerId"] != refund["customerId"]:
            raise self.error(call, 9005, "customerId is not the one of the order")
        if tracked.left <= 0:
            raise self.error(call, 9001)
        asked = refund.get("refundAmount")
        taken = tracked.left if asked is None else min(_decimal(asked), tracked.left)
        tracked.left -= taken
        tracked.refunds[refund["refundTransactionId"]] = (taken, refund)
        books.refunds[refund["refundTransactionId"]] = refund["reverseTransactionId"]
        return json_answer(
            200,
            {
                "gameballTransactionId": str(11_000_000 + call.n),
                "refundTransactionId": refund["refundTransactionId"],
                "refundAmount": float(taken),
                "refundEquivalentPoints": math.floor(taken),
            },
        )

    def _upsert_customer(self, call: Call, account: str) -> Answer:
        customer = self.read(call)
        self.require(call, CUSTOMER, customer)
        known = self.books(account).customers.setdefault(customer["customerId"], {})
        known.update({name: value for name, value in customer.items() if name != "customerId"})
        return json_answer(200, {"gameballId": 1})

    def _delete_customer(self, call: Call, account: str, customer: str) -> Answer:
        if self.books(account).customers.pop(customer, None) is None:
            raise self.error(call, 7000)
        return json_answer(200, {"success": True})

    def _track_events(self, call: Call, account: str) -> Answer:
        body = self.read(call)
        self.require(call, EVENTS, body)
        books = self.books(account)
        books.customers.setdefault(body["customerId"], {})
        for name, metadata in body["events"].items():
            event = {"customerId": body["customerId"], "name": name, "metadata": metadata}
            books.events[dumps(event, sort_keys=True, ensure_ascii=False)] += 1
        return json_answer(200, {"success": True, "message": "Events processed"})

    def _order_transactions(self, call: Call, account: str, order: str) -> Answer:
        tracked = self.books(account).orders.get(order)
        if tracked is None:
            raise self.error(call, 9002)
        return _list_transactions(call, list(_history(tracked)))

    def _not_in_future(self, call: Call, moment: str, name: str) -> None:
        if datetime.fromisoformat(moment) > datetime.now(UTC):
            raise self.error(call, 9007, f"{name} is in the future")


def _lane(call: Call) -> tuple[str, str] | None:
    """What must not overlap with another call: this account's customer, where the body names one."""
    try:
        customer = call.document().get("customerId") if call.body else None
    except (ValueError, AttributeError, RecursionError):
        return None
    return (call.headers.get("apikey", ""), customer) if isinstance(customer, str) else None


def _decimal(amount: float) -> Decimal:
    return Decimal(str(amount))


def _worth(line: Mapping[str, Any]) -> Decimal:
    price, quantity = _decimal(line.get("price", 0)), _decimal(line.get("quantity", 0))
    return price * quantity + _decimal(line.get("taxes", 0)) - _decimal(line.get("discount", 0))


def _imbalance(order: Mapping[str, Any]) -> Decimal:
    """How far lines and shipping exceed what was paid; lines of negative price are dropped first. 0 without lines."""
    if "lineItems" not in order:
        return Decimal(0)
    lines = sum((_worth(line) for line in order["lineItems"] if line.get("price", 0) >= 0), Decimal(0))
    return lines + _decimal(order.get("totalShipping", 0)) - _decimal(order["totalPaid"])


def _rewards(order: Mapping[str, Any]) -> dict[str, Any]:
    """One point for each whole unit of currency, as if the merchant had set no other rule."""
    lines = [(line.get("productId"), line.get("quantity"), _worth(line)) for line in order.get("lineItems", [])]
    if order.get("totalShipping"):
        lines.append(("Shipping", 1, _decimal(order["totalShipping"])))
    return {
        "customerId": order["customerId"],
        "redeemedPoints": 0,
        "rewardedPoints": math.floor(order["totalPaid"]),
        "lineItems": [
            {
                "productId": product,
                "quantity": quantity,
                "decimalPoints": float(worth),
                "points": math.floor(worth),
                "score": 0,
            }
            for product, quantity, worth in lines
        ],
    }


def _view_order(tracked: Tracked) -> dict[str, Any]:
    return {
        "order": tracked.order,
        "refunded": float(_decimal(tracked.order["totalPaid"]) - tracked.left),
        "points": tracked.points,
        "refunds": {
            id_: {"taken": float(taken), "refund": refund} for id_, (taken, refund) in sorted(tracked.refunds.items())
        },
    }


def _history(tracked: Tracked) -> Iterator[dict[str, Any]]:
    order = tracked.order
    yield _transaction(order["orderDate"], "PaymentReward", _decimal(order["totalPaid"]), order["orderId"])
    left = _decimal(order["totalPaid"])
    for id_, (taken, refund) in tracked.refunds.items():
        left -= taken
        yield _transaction(refund["transactionTime"], "PartialRefund" if left > 0 else "Refund", taken, id_)


def _transaction(moment: str, type_: str, amount: Decimal, id_: str) -> dict[str, Any]:
    return {
        "transactionDate": moment,
        "gameballTransactionId": f"gb-{id_}",
        "transactionType": type_,
        "amount": float(amount),
        "transactionId": id_,
        "equivalentPoints": math.floor(amount),
    }


def _list_transactions(call: Call, transactions: list[dict[str, Any]]) -> Answer:
    limit = call.query.get("limit", "")
    shown = transactions[: int(limit)] if limit.isdigit() else transactions
    return json_answer(200, {"transactions": shown, "count": len(shown)})
