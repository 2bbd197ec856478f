"""Orders of a store are paged in the one form of question that works, and none is lost while others change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.reading import Reader, parse
from connectors.woocommerce import orders
from connectors.woocommerce.answers import StoreUnavailable
from connectors.woocommerce.orders import fetch, fetch_refunds

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Store:
    """Answers as WooCommerce does: ``modified_after`` exclusive and in whole seconds, pages of what is there now."""

    def __init__(self, changed: Mapping[int, int], trash: Mapping[int, int] | None = None) -> None:
        """``changed``: the second after START at which each order changed, by id."""
        self.changed, self.trash = dict(changed), dict(trash or {})
        self.questions: list[Mapping[str, str | int]] = []
        self.meanwhile: Callable[[int], None] = lambda number: None

    def get(self, endpoint: str, params: Mapping[str, str | int]) -> Reader:
        assert endpoint == "orders"
        self.questions.append(params)
        after = datetime.fromisoformat(f"{params['modified_after']}+00:00")
        rows = self.trash if params.get("status") == "trash" else self.changed
        found = sorted((at, order) for order, at in rows.items() if START + timedelta(seconds=at) > after)
        size, page = int(params["per_page"]), int(params["page"])
        shown = [self._order(order, at) for at, order in found[(page - 1) * size : page * size]]
        self.meanwhile(len(self.questions))
        return Reader(shown, None, "$")

    def _order(self, order: int, at: int) -> dict[str, Any]:
        modified = (START + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S")
        return {"id": order, "status": "processing", "date_modified_gmt": modified}


def ids(store: Store, since: datetime = START) -> list[str]:
    return [each.order_id for page in fetch(store, since) for each in page]


def test_the_question_is_the_one_that_every_store_answers_rightly() -> None:
    store = Store({1: 5})
    ids(store)
    assert store.questions == [
        {
            "modified_after": "2026-11-20T11:59:59",
            "dates_are_gmt": "true",
            "orderby": "modified",
            "order": "asc",
            "per_page": 100,
            "page": 1,
        },
        {
            "modified_after": "2026-11-20T11:59:59",
            "dates_are_gmt": "true",
            "orderby": "modified",
            "order": "asc",
            "per_page": 100,
            "page": 1,
            "status": "trash",
            "_fields": "id,date_modified_gmt",
        },
    ]


def test_the_first_second_belongs_to_what_is_asked_for() -> None:
    assert ids(Store({1: -1, 2: 0, 3: 1})) == ["2", "3"]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_every_order_comes_once_whatever_the_number(count: int) -> None:
    assert sorted(map(int, ids(Store({n: n for n in range(1, count + 1)})))) == list(range(1, count + 1))


def test_orders_changed_in_bulk_within_one_second_come_once_each() -> None:
    store = Store({n: 10 if n <= 350 else 10 + n for n in range(1, 421)})
    assert sorted(map(int, ids(store))) == list(range(1, 421))


def test_an_order_that_changes_during_the_walk_hides_no_other() -> None:
    """By numbered pages, order 101 would move up into the first page while the second is asked for."""
    store = Store({n: n for n in range(1, 251)})

    def change(question: int) -> None:
        if question == 1:
            store.changed[1] = 1000

    store.meanwhile = change
    found = ids(store)
    assert set(found) == {str(n) for n in range(1, 251)}
    assert found.count("1") == 2  # as it was, and as it is


def test_a_store_that_cannot_make_a_whole_page_is_asked_for_fewer_and_one_that_is_down_is_not_asked_for_ever() -> None:
    store = Store({n: n for n in range(1, 151)})

    def refuse(params: Mapping[str, str | int], most: int) -> None:
        if int(params["per_page"]) > most:
            raise StoreUnavailable("orders: 500", status=500)

    answer = store.get
    store.get = lambda endpoint, params: refuse(params, 20) or answer(endpoint, params)  # type: ignore[method-assign]
    assert sorted(map(int, ids(store))) == list(range(1, 151))
    store.get = lambda endpoint, params: refuse(params, 0) or answer(endpoint, params)  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        ids(store)


def test_checkouts_that_were_not_finished_are_left_out_and_what_is_in_the_trash_comes_as_gone() -> None:
    store = Store({1: 1}, trash={2: 2})
    store._order = lambda order, at: {  # type: ignore[method-assign]
        "id": order, "status": "checkout-draft", "date_modified_gmt": "2026-11-20T12:00:02"
    }  # fmt: skip
    assert [(each.topic, each.body, each.changed_at) for page in fetch(store, START) for each in page] == [
        ("order.deleted", b'{"id":2}', START + timedelta(seconds=2))
    ]


class Canned:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def get(self, endpoint: str, params: Mapping[str, str | int]) -> Reader:
        assert (endpoint, params) == ("orders/7/refunds", {"per_page": orders.PER_PAGE})
        return parse(self._body)


def test_the_refunds_of_an_order_are_kept_as_the_store_wrote_them() -> None:
    assert fetch_refunds(Canned(b'[ {"id": 9, "amount": "1.10", "rate": 0.10} ]'), "7") == (
        b'{"id":7,"refunds":[{"id":9,"amount":"1.10","rate":0.10}]}'
    )


def test_an_answer_that_is_no_list_of_refunds_is_said_to_be_none() -> None:
    with pytest.raises(Unreadable, match=r"\$: expected a list, found dict"):
        fetch_refunds(Canned(b'{"code":"rest_no_route"}'), "7")
