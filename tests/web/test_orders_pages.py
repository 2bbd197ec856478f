"""The pages of orders: a list, a search that leaves no address behind, a timeline, and who looked at a buyer's data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.models import Attempt, AuditEntry
from app.web import orders
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.visitor import Visitor, serving

BUYER = "buyer@example.test"


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig) as app:
        yield app


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


@pytest.fixture
def anna(app: Flask, shop: int) -> Visitor:
    visitor = Visitor(app)
    visitor.join(visitor.sign_in(), shop)
    return visitor


def tell(rig: Rig, shop: int, order_id: int, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"
    rig.account()


def page(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def trail(rig: Rig) -> list[tuple[str, Any]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.action, row.after) for row in rows if row.action.startswith("show")]


def test_a_list_without_orders_says_what_will_stand_there(anna: Visitor, shop: int) -> None:
    assert "<h2>No orders yet</h2>" in page(anna, f"/shops/{shop}/orders")


def test_one_order_that_is_found_is_opened_at_once(rig: Rig, anna: Visitor, shop: int) -> None:
    tell(rig, shop, 1043)
    for wanted in ("#1043", "5934-14", BUYER.upper()):
        answer = anna.press(f"/shops/{shop}/orders", f"/shops/{shop}/orders", q=wanted)
        assert (answer.status_code, answer.location) == (303, f"/shops/{shop}/orders/1043")


def test_of_several_words_what_is_found_is_only_listed(rig: Rig, anna: Visitor, shop: int) -> None:
    tell(rig, shop, 3)
    for wanted, status in (("Anna Smith 3", 200), ("order 3", 200), ("3", 303), (" #3 ", 303)):
        answer = anna.press(f"/shops/{shop}/orders", f"/shops/{shop}/orders", q=wanted)
        assert answer.status_code == status, wanted
        assert ("1 order was found." in answer.get_data(as_text=True)) == (status == 200)


def test_several_orders_of_a_buyer_are_listed_and_no_address_of_ours_holds_theirs(
    rig: Rig, anna: Visitor, shop: int
) -> None:
    tell(rig, shop, 1043)
    tell(rig, shop, 1044)
    answer = anna.press(f"/shops/{shop}/orders", f"/shops/{shop}/orders", q=BUYER)
    text = answer.get_data(as_text=True)
    assert (answer.status_code, answer.location) == (200, None)
    assert "2 orders were found, the newest first." in text
    assert BUYER in text.partition('id="q"')[2][:100]
    assert "buyer" not in "".join(each.partition('"')[0] for each in text.split('href="')[1:])
    assert "buyer" not in text.partition("<title>")[2].partition("</title>")[0]


def test_what_is_not_found_says_what_may_be_the_cause(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.woocommerce(shop, "order.updated", b'{"id": "no order"}')
    rig.account()
    tell(rig, shop, 1)
    text = anna.press(f"/shops/{shop}/orders", f"/shops/{shop}/orders", q="2").get_data(as_text=True)
    assert "No order was found by that" in text
    assert "1 message of your store could not be read. It is kept; the order may be in it." in text


def test_a_search_for_nothing_leads_back_to_the_list(anna: Visitor, shop: int) -> None:
    answer = anna.press(f"/shops/{shop}/orders", f"/shops/{shop}/orders", q=" ")
    assert (answer.status_code, answer.location) == (303, f"/shops/{shop}/orders")


def test_a_second_page_goes_on(rig: Rig, anna: Visitor, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(orders.orders.newest.__kwdefaults__, "size", 1)
    tell(rig, shop, 1)
    tell(rig, shop, 2)
    first = page(anna, f"/shops/{shop}/orders")
    assert "/orders/2" in first
    assert "/orders/1" not in first
    older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    second = page(anna, older)
    assert "/orders/1" in second
    assert 'rel="next"' not in second


def test_a_timeline_hides_the_buyer_until_somebody_looks_and_that_is_kept(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    tell(rig, shop, 1043, customer_id=7)
    rig.work()
    order = f"/shops/{shop}/orders/1043"
    assert BUYER not in page(anna, order)
    assert trail(rig) == []
    answer = anna.press(order, f"{order}/webhooks/1")
    assert (answer.status_code, BUYER in answer.get_data(as_text=True)) == (200, True)
    payload = f"/shops/{shop}/deliveries/1/attempts/1"
    answer = anna.press(order, payload)
    assert (answer.status_code, BUYER in answer.get_data(as_text=True)) == (200, True)
    assert trail(rig) == [
        ("show webhook", {"order": "1043", "webhook": 1}),
        ("show payload", {"delivery": 1, "attempt": 1}),
    ]


def test_a_body_that_is_no_text_and_no_end_is_shown_as_far_as_it_helps(
    rig: Rig, anna: Visitor, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(rig, shop, 1, customer_note="<script>alert(1)</script>")
    order = f"/shops/{shop}/orders/1"
    text = anna.press(order, f"{order}/webhooks/1").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    monkeypatch.setattr(orders, "SHOWN", 10)
    text = anna.press(order, f"{order}/webhooks/1").get_data(as_text=True)
    assert "this is its beginning" in text
    assert "&lt;script" not in text
    assert orders._readable(b"\xff{") == "\ufffd{"


def test_nothing_of_another_store_is_there_and_nothing_is_kept_of_the_attempt(
    rig: Rig, anna: Visitor, shop: int
) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "sprii")
    rig.switch_on(shop, "sprii")
    tell(rig, other, 9)
    tell(rig, shop, 1)
    rig.work()
    with rig.db.read() as session:  # which of the two was tried first is left to chance
        theirs = session.scalars(select(Attempt.id).where(Attempt.delivery_id == 1)).one()
    token = anna.token()
    for path in ("orders/9", "orders/9%00", "orders/%ff", "deliveries/1", f"deliveries/{2**70}"):
        assert anna.get(f"/shops/{shop}/{path}").status_code == 404, path
    for path in (
        *("orders/9/webhooks/1", "orders/1/webhooks/1", f"orders/1/webhooks/{2**70}"),
        *(
            f"deliveries/1/attempts/{theirs}",
            "deliveries/1/settle",
            f"deliveries/2/attempts/{theirs}",
            f"deliveries/2/attempts/{2**70}",
        ),
    ):
        answer = anna.post(f"/shops/{shop}/{path}", csrf_token=token, found="yes")
        assert answer.status_code == 404, path
    assert trail(rig) == []
