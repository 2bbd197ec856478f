"""Orders of a store, asked for by REST: those that changed since a time, told as webhooks tell them.

One form of the question alone works everywhere: times as plain UTC text together with ``dates_are_gmt``. With a ``Z``
beside it the store answers with wrong rows and says nothing. Sources: developer.woocommerce.com/docs/apis/rest-api/v3/
orders/, class-wc-rest-orders-v2-controller.php (``modified_after`` is exclusive, in whole seconds), and
github.com/woocommerce/woocommerce/issues/12594, 14539, 19976, 28111.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connectors.base import Fetched
from connectors.reading import Reader
from connectors.woocommerce.answers import StoreUnavailable
from connectors.woocommerce.normalize import DRAFTS

PER_PAGE = 100  #: the most that WooCommerce gives
FEW = 20  #: for stores that are too slow, or too short of memory, for a whole page
SECOND = timedelta(seconds=1)
CHANGED, GONE = "order.updated", "order.deleted"


class Asks(Protocol):
    """See `connectors.woocommerce.client.Store`."""

    def get(self, endpoint: str, params: Mapping[str, str | int]) -> Reader: ...


def fetch(store: Asks, since: datetime) -> Iterator[list[Fetched]]:
    """Every order that changed at or after ``since``, in pages, the oldest change first; then what lies in the trash.

    Checkouts that were not finished are left out: they are no orders, and hold data of people who bought nothing.
    """
    for page in _changed(store, since, {}):
        yield [_order(each) for each in page if each.text_at("status") not in DRAFTS]
    for page in _changed(store, since, {"status": "trash", "_fields": "id,date_modified_gmt"}):
        yield [_gone(each) for each in page]


def _changed(store: Asks, since: datetime, extra: Mapping[str, str]) -> Iterator[list[Reader]]:
    """Pages by the time of the last change, each begun anew at the time where the last one ended.

    Numbered pages would lose rows: an order that changes during the walk moves to the end, and what stood behind it
    moves up into the page that was read already. Only where one second fills a page (orders changed in bulk) is the
    next number asked for.
    """
    start, number, size, seen = since - SECOND, 1, PER_PAGE, set[tuple[str, datetime | None]]()
    while True:
        try:
            members = list(store.get("orders", _question(start, number, size, extra)).items())
        except StoreUnavailable:
            if size == FEW:
                raise
            number, size = 1, FEW
            continue
        yield [each for each in members if _mark(each) not in seen]
        if len(members) < size:
            return
        last = _mark(members[-1])[1]
        if last is not None and last - SECOND > start:
            start, number = last - SECOND, 1
            seen = {_mark(each) for each in members}
        else:
            number += 1
            seen |= {_mark(each) for each in members}


def _question(start: datetime, number: int, size: int, extra: Mapping[str, str]) -> dict[str, str | int]:
    return {
        "modified_after": start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "dates_are_gmt": "true",
        "orderby": "modified",
        "order": "asc",
        "per_page": size,
        "page": number,
        **extra,
    }


def _mark(order: Reader) -> tuple[str, datetime | None]:
    return order["id"].id(), order["date_modified_gmt"].time_or_none(utc=True)


def _order(order: Reader) -> Fetched:
    order_id, changed_at = _mark(order)
    body = (order.flat_text_or_none() or "").encode()
    return Fetched(order_id=order_id, topic=CHANGED, body=body, changed_at=changed_at)


def _gone(order: Reader) -> Fetched:
    """As the webhook tells it: the id alone."""
    order_id, changed_at = _mark(order)
    return Fetched(order_id=order_id, topic=GONE, body=b'{"id":%s}' % order_id.encode(), changed_at=changed_at)


def fetch_refunds(store: Asks, order_id: str) -> bytes:
    """The refunds of an order with their lines, as the store tells them, and whose they are; see `refunds.read_answer`.

    As JSON: ``{"id": <the order's>, "refunds": [...]}``.
    """
    found = store.get(f"orders/{order_id}/refunds", {"per_page": PER_PAGE})
    list(found.items())  # complains where it is no list
    return f'{{"id":{order_id},"refunds":{found.flat_text_or_none() or "[]"}}}'.encode()
