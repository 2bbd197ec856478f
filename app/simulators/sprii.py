"""Sprii: reports of finished orders, matched to live-show checkouts by Sprii's own order number.

Source: docs.sprii.io/integration/order-tracking/ and, for address and authentication, the public client
github.com/patryk-sawicki/sprii-laravel. What happens to a repeated report is not published: here it counts twice, the
worst that a client has to reckon with. Rate and batch size are not published either.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from app.simulators.base import Simulator
from app.simulators.calls import Answer, Call, Refused, json_answer
from app.simulators.checks import Findings, array, boolean, fields, number, text

KNOWN_NUMBER = re.compile(r"\d+-\d+")


def _custom_attributes(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, dict | str):
        found.refuse(path, "must be an object or a string")


ITEM = fields(
    {
        "product_id": text,
        "quantity": number(least=1, whole=True),
        "unitPrice": number(decimals=2),
    },
    {"sku": text, "custom_attributes": _custom_attributes},
)
ORDER = fields(
    {"spriiOrderNumber": text, "id": text, "orderTotal": number(decimals=2), "items": array(ITEM)},
    {"openForCheckout": boolean},
)
REPORT = fields({"orders": array(ORDER, least=1, most=20)})


@dataclass(slots=True)
class Checkout:
    """What was reported under one Sprii order number: each webshop order, how often, and as what."""

    times: dict[str, int] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    latest: str = ""


class Sprii(Simulator[dict[str, Checkout]]):
    """Accounts are named by their API key."""

    name = "sprii"
    limits = ((10, 1.0),)

    def open_books(self) -> dict[str, Checkout]:
        return {}

    def view(self, books: dict[str, Checkout]) -> dict[str, Any]:
        return {
            "orders": {
                number: {
                    id_: {"times": checkout.times[id_], "order": order}
                    for id_, order in sorted(checkout.orders.items())
                }
                for number, checkout in sorted(books.items())
            }
        }

    def refusal(self, status: int, sentence: str) -> Answer:
        known = {400: "Invalid request", 401: "Unauthorized"}
        return json_answer(status, {"error": known.get(status, sentence), "message": sentence})

    def identify(self, call: Call) -> str:
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key:
            raise self.refused(401, "header Authorization must be Bearer and the API key")
        if not self.accepts("api_key", key):
            raise Refused(self.refusal(401, "Unauthorized"))
        return key

    def route(self, call: Call, account: str) -> Answer:
        match call.method, call.parts:
            case "POST", ["processOrders"]:
                return self._process(call, account)
            case "GET", ["orders", order_number]:
                return self._read_back(account, order_number)
            case _:
                raise self.no_route(call)

    def _process(self, call: Call, account: str) -> Answer:
        report = self.read(call)
        self.require(call, REPORT, report)
        orders: list[dict[str, Any]] = report["orders"]
        # Whether a batch with one unknown number is taken in part is not published; none of it is the safer lesson.
        if not all(KNOWN_NUMBER.fullmatch(order["spriiOrderNumber"]) for order in orders):
            raise Refused(self.refusal(404, "Order not found"))
        refused = orders[-1:] if call.drop_last else []
        for order in orders[: len(orders) - len(refused)]:
            checkout = self.books(account).setdefault(order["spriiOrderNumber"], Checkout())
            checkout.times[order["id"]] = checkout.times.get(order["id"], 0) + 1
            checkout.orders[order["id"]] = order
            checkout.latest = order["id"]
        answer: dict[str, Any] = {"success": not refused, "processed": len(orders) - len(refused)}
        if refused:
            answer["errors"] = [{"id": order["id"], "message": "Order could not be processed"} for order in refused]
        return json_answer(200, answer)

    def _read_back(self, account: str, order_number: str) -> Answer:
        checkout = self.books(account).get(order_number)
        if checkout is None:
            raise Refused(self.refusal(404, "Order not found"))
        return json_answer(200, {"order": checkout.orders[checkout.latest]})
