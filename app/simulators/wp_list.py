"""Which orders ``GET /wc/v3/orders`` lists: dates, statuses, sorting and pages, with the quirks of WooCommerce.

Written from WooCommerce 9.9.5, github.com/woocommerce/woocommerce, plugins/woocommerce/includes/rest-api/Controllers:
Version3/class-wc-rest-crud-controller.php, Version3/class-wc-rest-orders-controller.php.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.simulators.wp_books import Books, RestError
from app.simulators.wp_refunds import Placed

STATUSES = ("pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft")
#: MySQL puts rows of equal values into any order, and into another one for another page
#: (dev.mysql.com/doc/refman/8.0/en/limit-optimization.html): WooCommerce adds the id for "date" alone.
SHUFFLE = 7919
ORDERINGS: Mapping[str, Callable[[Placed], tuple[int, int]]] = {
    "date": lambda order: (order.state.created_at, order.id),
    "modified": lambda order: (order.modified_at, order.id),
    "id": lambda order: (order.id, 0),
    "include": lambda order: (order.id, 0),
    "title": lambda order: (order.id, 0),
    "slug": lambda order: (order.id, 0),
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?(?P<zone>[Zz]|[+-]\d\d(:?\d\d)?)?")
MOST_ROWS = 100  #: on one page
Row = TypeVar("Row")


def invalid(name: str, code: str, message: str) -> RestError:
    """WordPress's answer to a parameter that it does not take."""
    details = {name: {"code": code, "message": message, "data": None}}
    sentence = f"Invalid parameter(s): {name}"
    return RestError("rest_invalid_param", sentence, 400, params={name: message}, details=details)


def whole(params: Mapping[str, Any], name: str, default: int, most: int | None = None) -> int:
    text = str(params.get(name, default))
    if not re.fullmatch(r"-?\d+", text):
        raise invalid(name, "rest_invalid_type", f"{name} is not of type integer.")
    if most and not 1 <= int(text) <= most:
        message = f"{name} must be between 1 (inclusive) and {most} (inclusive)"
        raise invalid(name, "rest_out_of_bounds", message)
    if int(text) < 1:
        raise invalid(name, "rest_out_of_bounds", f"{name} must be greater than or equal to 1")
    return int(text)


def choice(params: Mapping[str, Any], name: str, default: str, known: Sequence[str]) -> str:
    text = str(params.get(name, default))
    if text not in known:
        listed = ", ".join(known[:-1]) + f", and {known[-1]}"
        raise invalid(name, "rest_not_in_enum", f"{name} is not one of {listed}.")
    return text


def truth(value: object) -> bool:
    """As rest_sanitize_boolean reads it."""
    return str(value).lower() not in ("", "0", "false", "none")


@dataclass(frozen=True)
class Page:
    """One page of rows, and how many there are in all."""

    rows: list[Any]
    total: int
    number: int
    size: int

    @property
    def pages(self) -> int:
        return -(-self.total // self.size)


def paged(rows: Sequence[Row], params: Mapping[str, Any]) -> Page:
    size = whole(params, "per_page", 10, most=MOST_ROWS)
    number = whole(params, "page", 1)
    return Page(list(rows[(number - 1) * size : number * size]), len(rows), number, size)


class OrderQuery:
    """The query parameters of one call, checked.

    Raises:
        RestError: 400 for a value that WordPress does not take.
    """

    def __init__(self, params: Mapping[str, Any], books: Books, custom_statuses: Iterable[str]) -> None:
        self.params = params
        self.offset = books.offset
        self.gmt = truth(params.get("dates_are_gmt", ""))
        self.statuses = self._statuses({*STATUSES, *custom_statuses})
        self.order = choice(params, "order", "desc", ("asc", "desc"))
        self.ordering = choice(params, "orderby", "date", tuple(ORDERINGS))
        self.page = whole(params, "page", 1)
        self.bounds = {
            name: self._moment(name)
            for name in ("after", "before", "modified_after", "modified_before")
            if name in params
        }

    def _statuses(self, known: set[str]) -> set[str]:
        """``any`` is everything but the trash, drafts of a checkout included."""
        asked = {each.strip() for each in str(self.params.get("status", "any")).split(",")}
        for status in asked - known - {"any", "trash"}:
            raise invalid("status", "rest_not_in_enum", f"status[0] is not one of any, trash: {status}")
        return known | asked if "any" in asked else asked

    def _moment(self, name: str) -> int:
        """The bound as WordPress compares it: in store time if it names a zone, as it stands otherwise."""
        found = MOMENT.fullmatch(str(self.params[name]))
        if found is None:
            raise invalid(name, "rest_invalid_date", "Invalid date.")
        moment = datetime.fromisoformat(found.group().upper().replace(" ", "T"))
        shift = self.offset if found["zone"] else 0
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) + shift

    def breaches(self) -> Iterable[str]:
        """What a caller asked for that gives other orders than it believes."""
        for name in self.bounds:
            zoned = bool((MOMENT.fullmatch(str(self.params[name])) or {"zone": None})["zone"])
            if zoned and self.gmt:
                yield f"{name} names a zone and dates_are_gmt is set: the store shifts it, and rows are missing"
            if not zoned and not self.gmt:
                yield f"{name} is neither UTC nor zoned: it is read in the store's own time"

    def select(self, orders: Iterable[Placed]) -> list[Placed]:
        found = [order for order in orders if order.status in self.statuses and self._within(order)]
        if "include" in self.params:
            wanted = {int(each) for each in str(self.params["include"]).split(",") if each.strip().isdigit()}
            found = [order for order in found if order.id in wanted]
        return sorted(found, key=self._key, reverse=self.order == "desc")

    def _key(self, order: Placed) -> tuple[int, int]:
        value, tie = ORDERINGS[self.ordering](order)
        return (value, tie * (SHUFFLE + self.page) % 10_007) if self.ordering == "modified" else (value, tie)

    def _within(self, order: Placed) -> bool:
        """Bounds are exclusive, and compared with store time unless ``dates_are_gmt``."""
        shift = 0 if self.gmt else self.offset
        for name, bound in self.bounds.items():
            at = (order.modified_at if name.startswith("modified") else order.state.created_at) + shift
            if not (at > bound if name.endswith("after") else at < bound):
                return False
        return True


def only_fields(row: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """``_fields``: the row's own names, or a path with points into them, of which the first part decides here."""
    if not params.get("_fields"):
        return dict(row)
    wanted = {each.strip().partition(".")[0] for each in str(params["_fields"]).split(",")}
    return {name: value for name, value in row.items() if name in wanted}
