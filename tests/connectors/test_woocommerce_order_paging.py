"""Orders of a store are paged in the one form of question that works, and none is lost while others change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.reading import Reader, parse
from connectors.woocommerce.answers import StoreAnswer, StoreTooLarge, StoreUnavailable
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
        before = datetime.fromisoformat(f"{params.get('modified_before', '9999-01-01T00:00:00')}+00:00")
        rows = self.trash if params.get("status") == "trash" else self.changed
        found = [(at, order) for order, at in rows.items() if after < START + timedelta(seconds=at) < before]
        size, page = int(params["per_page"]), int(params["page"])
        if params["orderby"] == "id":
            found.sort(key=lambda row: row[1])
        else:  # rows of one time stand in any order, and in another one on each page
            found.sort(key=lambda row: (row[0], row[1] * (7919 + page) % 10_007))
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


def test_an_order_of_a_crowded_second_that_changes_during_the_walk_hides_no_other() -> None:
    store = Store(dict.fromkeys(range(1, 351), 10))

    def change(question: int) -> None:
        if question == 4:  # the first page by ids was read just now
            store.changed[1] = 1000

    store.meanwhile = change
    found = ids(store)
    assert set(found) == {str(n) for n in range(1, 351)}
    assert found.count("1") == 2  # as it was, and as it is


@pytest.mark.parametrize("seconds", [1, 0])
def test_a_cache_that_answers_for_the_store_is_not_asked_for_ever(seconds: int) -> None:
    store = Store({n: n * seconds for n in range(1, 121)})
    answer = store.get
    first: list[Reader] = []

    def cached(endpoint: str, params: Mapping[str, str | int]) -> Reader:
        first[:] = first or [answer(endpoint, params)]
        return first[0]

    store.get = cached  # type: ignore[method-assign]
    with pytest.raises(StoreAnswer, match=r"older ones than it was asked for|the same page again and again"):
        ids(store)


def test_a_store_that_knows_no_times_of_changes_is_told_apart() -> None:
    """WooCommerce before 5.8 takes no notice of ``modified_after``: it would tell its whole history."""
    store = Store({1: 5, 2: 90})
    answer = store.get
    store.get = lambda endpoint, params: answer(endpoint, {**params, "modified_after": "2000-01-01T00:00:00"})  # type: ignore[method-assign]
    with pytest.raises(StoreAnswer, match=r"is WooCommerce at least at 5\.8"):
        ids(store, START + timedelta(seconds=60))


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


@pytest.mark.parametrize("refusal", [StoreUnavailable("orders: 500", status=500), StoreTooLarge("orders: too much")])
@pytest.mark.parametrize("most", [20, 4, 1])
def test_a_store_that_cannot_make_a_whole_page_is_asked_for_fewer(refusal: Exception, most: int) -> None:
    store = Store({n: n if n <= 100 else 200 for n in range(1, 151)})
    answer = store.get

    def refuse(endpoint: str, params: Mapping[str, str | int]) -> Reader:
        if int(params["per_page"]) > most:
            raise refusal
        return answer(endpoint, params)

    store.get = refuse  # type: ignore[method-assign]
    assert sorted(map(int, ids(store))) == list(range(1, 151))
    most = 0
    with pytest.raises(type(refusal)):
        ids(store)


def test_a_store_that_is_silent_is_not_asked_for_ever_less() -> None:
    store, asked = Store({}), list[int]()

    def silent(endpoint: str, params: Mapping[str, str | int]) -> Reader:
        asked.append(int(params["per_page"]))
        raise StoreUnavailable("orders: ReadTimeout")

    store.get = silent  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        ids(store)
    assert asked == [100, 20]


def test_an_order_whose_time_cannot_be_read_hides_no_other() -> None:
    store = Store({1: 1, 2: 2, 3: 3})
    whole = store._order
    store._order = lambda order, at: {  # type: ignore[method-assign]
        **whole(order, at), **({"date_modified_gmt": "yesterday"} if order == 2 else {})
    }  # fmt: skip
    found = [(each.order_id, each.changed_at) for page in fetch(store, START) for each in page]
    assert found == [("1", START + timedelta(seconds=1)), ("2", None), ("3", START + timedelta(seconds=3))]


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

    def rows(self, endpoint: str) -> list[Reader]:
        assert endpoint == "orders/7/refunds"
        return list(parse(self._body).items())


def test_the_refunds_of_an_order_are_kept_as_the_store_wrote_them() -> None:
    assert fetch_refunds(Canned(b'[ {"id": 9, "amount": "1.10", "rate": 0.10}, {"id": 8} ]'), "7") == (
        b'{"id":7,"refunds":[{"id":9,"amount":"1.10","rate":0.10},{"id":8}]}'
    )


def test_an_answer_that_is_no_list_of_refunds_is_said_to_be_none() -> None:
    with pytest.raises(Unreadable, match=r"\$: expected a list, found dict"):
        fetch_refunds(Canned(b'{"code":"rest_no_route"}'), "7")
