"""Orders of a store, asked for by REST: those that changed since a time, told as webhooks tell them.

One form of the question alone works everywhere: times as plain UTC text together with ``dates_are_gmt``. With a ``Z``
beside it the store answers with wrong rows and says nothing. Sources: developer.woocommerce.com/docs/apis/rest-api/v3/
orders/, class-wc-rest-orders-v2-controller.php (``modified_after`` is exclusive, in whole seconds), and
github.com/woocommerce/woocommerce/issues/12594, 14539, 19976, 28111.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connectors.base import Fetched
from connectors.errors import Unreadable
from connectors.reading import Reader
from connectors.woocommerce.answers import StoreAnswer, StoreTooLarge, StoreUnavailable
from connectors.woocommerce.client import number
from connectors.woocommerce.normalize import DRAFTS

PER_PAGE = 100  #: the most that WooCommerce gives
FEWER = 5  #: by so much a page shrinks for stores that are too slow, or too short of memory, for it
SECOND = timedelta(seconds=1)
CHANGED, GONE = "order.updated", "order.deleted"

Mark = tuple[str, datetime | None]
Params = dict[str, str | int]


class Asks(Protocol):
    """See `connectors.woocommerce.client.Store`."""

    def get(self, endpoint: str, params: Mapping[str, str | int]) -> Reader: ...


def fetch(store: Asks, since: datetime) -> Iterator[list[Fetched]]:
    """Every order that changed at or after ``since``, in pages, the oldest change first; then what lies in the trash.

    Checkouts that were not finished are left out: they are no orders, and hold data of people who bought nothing.
    Raises `StoreAnswer` where the store shows other orders than it was asked for.
    """
    for page in _Walk(store, {}).pages(since):
        yield [_order(each) for each in page if each.text_at("status") not in DRAFTS]
    for page in _Walk(store, {"status": "trash", "_fields": "id,date_modified_gmt"}).pages(since):
        yield [_gone(each) for each in page]


class AsksRows(Protocol):
    """As `Asks`, for lists that are short."""

    def rows(self, endpoint: str) -> Iterable[Reader]: ...


class _Walk:
    """Pages by the time of the last change, each begun anew at the time where the last one ended.

    Numbered pages would lose rows: an order that changes during the walk moves to the end, and what stood behind it
    moves up into the page that was read already.
    """

    def __init__(self, store: Asks, extra: Mapping[str, str]) -> None:
        self._store = store
        self._extra = extra
        self._size = PER_PAGE
        self._seen: set[Mark] = set()

    def pages(self, since: datetime) -> Iterator[list[Reader]]:
        start = since - SECOND
        while True:
            members = self._ask({"modified_after": _text(start), "orderby": "modified", "page": 1})
            times = [at for _, at in map(_mark, members) if at is not None]
            if times and min(times) <= start:
                raise StoreAnswer("orders: older ones than it was asked for; is WooCommerce at least at 5.8?")
            yield self._unseen(members)
            if len(members) < self._size:
                return
            if not times:
                raise StoreAnswer("orders: a page without any time of a change")
            last = max(times)
            if last - SECOND > start:
                start, self._seen = last - SECOND, {_mark(each) for each in members}
            else:
                yield from self._crowd(last)
                start = last

    def _crowd(self, second: datetime) -> Iterator[list[Reader]]:
        """The orders of one second that fills a page (changed in bulk), until a whole round shows nothing new.

        By their ids: a database puts rows of equal times into any order it likes, and into another one for each page.
        An order that changes meanwhile leaves this second, and others move up; the next round finds those.
        """
        between: Params = {"modified_after": _text(second - SECOND), "modified_before": _text(second + SECOND)}
        known = -1
        while known != len(self._seen):
            known, page, before = len(self._seen), 1, list[Mark]()
            while True:
                size = self._size
                members = self._ask({**between, "orderby": "id", "page": page})
                marks = [_mark(each) for each in members]
                yield self._unseen(members)
                if self._size != size:
                    known = -1  # pages have other numbers now
                    break
                if len(members) < size:
                    break
                if marks == before:
                    raise StoreAnswer("orders: the same page again and again; does a cache answer for the store?")
                page, before = page + 1, marks

    def _ask(self, params: Params) -> list[Reader]:
        while True:
            whole = {**params, "dates_are_gmt": "true", "order": "asc", "per_page": self._size, **self._extra}
            try:
                return list(self._store.get("orders", whole).items())
            except (StoreUnavailable, StoreTooLarge) as error:
                silent = isinstance(error, StoreUnavailable) and error.status is None  # perhaps it is not there at all
                if self._size == 1 or (silent and self._size < PER_PAGE):
                    raise
                self._size, params = max(self._size // FEWER, 1), {**params, "page": 1}

    def _unseen(self, members: list[Reader]) -> list[Reader]:
        fresh = [each for each in members if _mark(each) not in self._seen]
        self._seen |= {_mark(each) for each in members}
        return fresh


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _mark(order: Reader) -> Mark:
    try:
        return order["id"].id(), order["date_modified_gmt"].time_or_none(utc=True)
    except Unreadable:
        return order["id"].id(), None  # told all the same: whoever reads it shows what is wrong with it


def _order(order: Reader) -> Fetched:
    order_id, changed_at = _mark(order)
    body = (order.flat_text_or_none() or "").encode()
    return Fetched(order_id=order_id, topic=CHANGED, body=body, changed_at=changed_at)


def _gone(order: Reader) -> Fetched:
    """As the webhook tells it: the id alone."""
    order_id, changed_at = _mark(order)
    return Fetched(order_id=order_id, topic=GONE, body=b'{"id":%s}' % order_id.encode(), changed_at=changed_at)


def fetch_refunds(store: AsksRows, order_id: str) -> bytes:
    """The refunds of an order with their lines, as the store tells them, and whose they are; see `refunds.read_answer`.

    As JSON: ``{"id": <the order's>, "refunds": [...]}``.
    """
    rows = [each.flat_text_or_none() or "null" for each in store.rows(f"orders/{number(order_id)}/refunds")]
    return f'{{"id":{order_id},"refunds":[{",".join(rows)}]}}'.encode()
