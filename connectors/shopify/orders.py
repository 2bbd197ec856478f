"""Orders of a shop, asked for by GraphQL: pages in the order of their last change, told as webhooks tell them.

A page costs less than a single question may, at one point for every object that it could bring. Should Shopify reckon
in another way, a refusal for the cost halves the page.
Sources: shopify.dev/docs/api/admin-graphql/latest/queries/orders,
shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits, shopify.dev/docs/api/usage/limits (pagination limits).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from connectors.base import Fetched
from connectors.shopify.admin import AdminAnswer, AdminUnavailable
from connectors.shopify.order_query import REFUND_PARTS, Allowed, order_parts, orders_query, rest_query
from connectors.shopify.order_shape import JSON, nodes, number, webhook_body

FIRST = 3  #: orders in a page, unless that costs too much
DEEPEST = 20_000  #: orders behind one cursor; Shopify goes no deeper than 25,000
#: How old orders may be for an app without the scope read_all_orders.
REACH = timedelta(days=60)
TOPIC = "orders/updated"
TRIES = 4  #: of one question
LONGEST_REST = 60.0  #: seconds between two tries; Shopify says how long its points take to come back
_TOO_COSTLY, _NOT_APPROVED = "MAX_COST_EXCEEDED", "ACCESS_DENIED"
#: Null for want of a scope these would look like a guest's order, and like lines without products.
_NEVER_BLANK = frozenset({"customer", "product", "variant"})


class Asks(Protocol):
    """See `connectors.shopify.admin.Admin`."""

    def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]: ...


def fetch(admin: Asks, since: datetime, allowed: Allowed) -> Iterator[list[Fetched]]:
    """Every order that changed at or after ``since``, in pages, the oldest change first.

    An order that changes meanwhile comes once more, at the end: the cursor stands at a time and an id, so none is
    left out.
    """
    walk = _Walk(admin, allowed)
    while True:
        found = walk.page(since)
        page = [_fetched(_whole(admin, order, allowed), allowed) for order in found["nodes"]]
        yield page
        if not found["pageInfo"]["hasNextPage"]:
            return
        if walk.walked >= DEEPEST and page[-1].changed_at is not None:
            since, walk = page[-1].changed_at, _Walk(admin, allowed, walk.first)


def ask(admin: Asks, query: str, variables: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep) -> JSON:
    """As `Asks.ask`; what passes is waited out, and personal fields that are not approved for the app are null.

    Source for the latter: shopify.dev/docs/apps/launch/protected-customer-data
    """
    for attempt in range(TRIES):
        try:
            return admin.ask(query, variables)
        except AdminUnavailable as error:
            rest = 2.0**attempt if error.retry_after is None else error.retry_after
            if attempt + 1 == TRIES or rest > LONGEST_REST:
                raise
            sleep(rest)
        except AdminAnswer as error:
            if error.data is None or not all(error.data.values()) or not _only_personal(error):
                raise
            return error.data
    raise AssertionError("the last try returns or raises")


def _only_personal(error: AdminAnswer) -> bool:
    """Whether nothing is wrong but that personal fields are null."""
    return set(error.codes) == {_NOT_APPROVED} and _NEVER_BLANK.isdisjoint(error.fields)


class _Walk:
    """One cursor's way, and the size of its pages."""

    def __init__(self, admin: Asks, allowed: Allowed, first: int = FIRST) -> None:
        self._admin = admin
        self._query = orders_query(allowed)
        self._after: str | None = None
        self.first = first
        self.walked = 0

    def page(self, since: datetime) -> JSON:
        variables = {"after": self._after, "query": f"updated_at:>='{_text(since)}'"}
        while True:
            try:
                found: JSON = ask(self._admin, self._query, {"first": self.first, **variables})["orders"]
                break
            except AdminAnswer as error:
                if _TOO_COSTLY not in error.codes or self.first == 1:
                    raise
                self.first //= 2
        self._after = found["pageInfo"]["endCursor"]
        self.walked += len(found["nodes"])
        return found


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole(admin: Asks, order: JSON, allowed: Allowed) -> JSON:
    """``order`` with what did not fit into its first pages."""
    for part, fields in order_parts(allowed).items():
        _complete(admin, order, "order", part, fields)
    for refund in order.get("refunds") or []:
        for part, fields in REFUND_PARTS.items():
            _complete(admin, refund, "refund", part, fields)
    return order


def _complete(admin: Asks, owner: JSON, kind: str, part: str, fields: str) -> None:
    connection = owner.get(part) or {}
    found = list(nodes(owner, part))
    while (connection.get("pageInfo") or {}).get("hasNextPage"):
        variables = {"id": owner["id"], "after": connection["pageInfo"]["endCursor"]}
        connection = ask(admin, rest_query(kind, part, fields), variables)[kind][part]
        found += connection["nodes"]
    owner[part] = {"nodes": found}


def _fetched(order: JSON, allowed: Allowed) -> Fetched:
    told = {**webhook_body(order), "hidden_by": allowed.wanting}
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    changed_at = order.get("updatedAt")
    return Fetched(
        order_id=str(number(order["id"])),
        topic=TOPIC,
        body=body,
        changed_at=datetime.fromisoformat(changed_at) if changed_at else None,
    )
