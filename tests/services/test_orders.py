"""Orders in lists: newest first by key, found by what stands on a receipt or a letter, each shop's own alone."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.services import orders
from app.services.orders import cursor, read_cursor, standing
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def tell(rig: Rig, shop: int, *ids: int, **changes: Any) -> None:
    for order_id in ids:
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"
    rig.account()


def found(rig: Rig, shop: int, text: str) -> list[str]:
    with rig.db.read() as session:
        return [row.key for row in orders.find(session, shop, text)]


def pages(rig: Rig, shop: int, size: int) -> list[list[str]]:
    keys, before = [], None
    with rig.db.read() as session:
        while True:
            page = orders.newest(session, shop, before=before, size=size)
            keys.append([row.key for row in page.rows])
            before = page.older
            if before is None:
                return keys


def test_the_newest_stand_first_and_every_page_goes_on_where_the_one_before_ended(rig: Rig, shop: int) -> None:
    tell(rig, shop, 1, 2, 3, 4, 5)
    assert pages(rig, shop, 2) == [["5", "4"], ["3", "2"], ["1"]]
    assert pages(rig, shop, 5) == [["5", "4", "3", "2", "1"]]
    tell(rig, shop, 2, minute=9)
    assert pages(rig, shop, 2) == [["2", "5"], ["4", "3"], ["1"]]


def test_a_cursor_that_is_none_begins_at_the_newest(rig: Rig, shop: int) -> None:
    tell(rig, shop, 1)
    with rig.db.read() as session:
        for text in ("", "x", "1", "1.", "-1.1", "1" * 18 + ".1", "1." + "1" * 19, "１.１", "1.1\n"):
            assert [row.key for row in orders.newest(session, shop, before=text).rows] == ["1"], text


def test_a_cursor_comes_back_as_it_went() -> None:
    at = datetime(2026, 11, 21, 2, 10, 8, 123457, UTC)
    assert read_cursor(cursor(at, 7)) == (at, 7)


def test_a_row_says_what_a_merchant_looks_for(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball", "sprii")
    tell(rig, shop, 1043, customer_id=7)
    rig.work()
    tell(rig, shop, 1043, customer_id=7, minute=1, refunds=((9, "30.00"),))
    with rig.db.read() as session:
        (row,) = orders.newest(session, shop).rows
    assert (row.key, row.number, row.sprii, row.standing, row.test) == (
        "1043",
        "1043",
        "5934-14",
        "partly_refunded",
        False,
    )
    assert (row.total, row.refunded, row.currency) == (Decimal("80.00"), Decimal("30.00"), "DKK")
    assert row.providers == {"gameball": "pending", "sprii": "pending"}


@pytest.mark.parametrize(
    "text", ["1043", "#1043", " # 1043 ", "DK1043", "5934-14", "Buyer@Example.Test", "buyer@example.test "]
)
def test_an_order_is_found_by_whatever_a_buyer_may_name(rig: Rig, shop: int, text: str) -> None:
    tell(rig, shop, 1044, sprii="7-1", email="other@example.test")
    tell(rig, shop, 1043)
    assert found(rig, shop, text) == ["1043"]


@pytest.mark.parametrize(
    "text", ["", " ", "104", "buyer@example", "other@example.test", "5934", "\0", "1043\x00", "x" * 321, "%", "_"]
)
def test_nothing_is_found_by_a_part_or_by_what_is_no_text(rig: Rig, shop: int, text: str) -> None:
    tell(rig, shop, 1043)
    assert found(rig, shop, text) == []


def test_all_orders_of_an_address_are_found_and_no_other_shops(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    tell(rig, other, 1, 1043)
    tell(rig, shop, 5, 6)
    tell(rig, shop, 7, email="other@example.test")
    assert found(rig, shop, "buyer@example.test") == ["6", "5"]
    assert found(rig, shop, "1043") == []
    assert [row.key for row in _newest(rig, shop)] == ["7", "6", "5"]


def _newest(rig: Rig, shop: int) -> tuple[orders.OrderRow, ...]:
    with rig.db.read() as session:
        return orders.newest(session, shop).rows


def test_the_states_of_other_shops_deliveries_do_not_show(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "sprii")
    tell(rig, other, 1)
    tell(rig, shop, 1)
    assert _newest(rig, shop)[0].providers == {}
    assert _newest(rig, other)[0].providers == {"sprii": "pending"}


def test_what_is_not_read_yet_or_could_not_be_is_counted(rig: Rig, shop: int) -> None:
    rig.woocommerce(shop, "order.updated", b'{"id": "no order"}')
    rig.account()
    rig.woocommerce(shop, "order.updated", woocommerce_order(2))
    with rig.db.read() as session:
        assert orders.unread(session, shop) == {"waiting": 1, "failed": 1}


ORDER = {"total": "80.00", "refunded": "0"}


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({}, "unknown"),
        ({"order": ORDER}, "placed"),
        ({"order": {**ORDER, "paid": True}}, "paid"),
        ({"order": {**ORDER, "paid": True, "fulfilment_status": "full"}}, "fulfilled"),
        ({"order": {**ORDER, "paid": True, "fulfilment_status": "full", "refunded": "1"}}, "partly_refunded"),
        ({"order": {**ORDER, "cancelled": True, "refunded": "1"}}, "cancelled"),
        ({"order": {**ORDER, "cancelled": True, "refunded_in_full": True}}, "refunded"),
        ({"order": {**ORDER, "draft": True}}, "draft"),
        ({"order": {**ORDER, "paid": True}, "trashed": True}, "trashed"),
    ],
)
def test_where_an_order_is_in_its_life_has_one_word(state: dict[str, Any], word: str) -> None:
    assert standing(state) == word
