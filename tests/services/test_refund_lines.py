"""Which products a refund gave back: asked of the store once, kept, and never waited for longer than seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app import factory
from app.models import ConnectionState, Event, Ledger, Webhook
from app.services import account, refund_lines
from app.services.account import Accountant
from app.services.packing import compress, unpack
from app.services.page import Page
from app.simulators.woocommerce_platform import WooCommercePlatform
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.services.reconciling import Clock, Connected


@pytest.fixture
def store(rig: Rig) -> Iterator[Connected]:
    clock = Clock()
    with WooCommercePlatform(clock=clock) as platform:
        yield Connected(rig, platform, clock)


def refunded(store: Connected) -> tuple[int, str]:
    """An order, known, of which a part was given back since; with the line's id."""
    order = store.platform.place_order()
    store.told(order, "order.created")
    store.clock.tick()
    line = store.platform.order(order)["line_items"][0]["id"]
    store.platform.refund(order, {line: 1})
    return order, str(line)


def refund_events(store: Connected) -> list[dict[str, Any]]:
    """The refunds of the events, oldest first."""
    with store.rig.db.read() as session:
        rows = session.scalars(select(Event).where(Event.kind == "order.refunded").order_by(Event.id))
        return [unpack(row.facts or b"")["refund"] for row in rows]


def questions(store: Connected) -> int:
    return sum(call["path"].endswith("/refunds") for call in store.platform.calls())


def test_the_lines_of_a_refund_are_fetched_before_its_event_is_recorded(store: Connected) -> None:
    order, line = refunded(store)
    store.told(order)
    (refund,) = refund_events(store)
    assert (refund["lines_known"], [(each["line_id"], each["quantity"]) for each in refund["lines"]]) == (
        True,
        [(line, "1")],
    )
    assert questions(store) == 1


def test_reconciliation_fetches_them_too(store: Connected) -> None:
    _, line = refunded(store)
    assert store.run()["unexplained"] == []
    (refund,) = refund_events(store)
    assert [each["line_id"] for each in refund["lines"]] == [line]
    assert store.run()["known"] == 1


def test_the_answer_is_kept_so_that_reading_again_needs_no_store(
    store: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, line = refunded(store)
    with monkeypatch.context() as broken:  # a version that cannot account for it
        broken.setattr(Page, "_order", lambda *_: 1 / 0)
        store.told(order)
    assert refund_events(store) == []
    with store.rig.db.write() as session:
        assert account.read_again(session, store.shop, []) == 1
    store.platform.close()
    store.account()
    assert [[each["line_id"] for each in refund["lines"]] for refund in refund_events(store)] == [[line]]
    assert questions(store) == 1


def test_an_answer_that_cannot_be_read_any_more_keeps_nothing_back(
    store: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, _ = refunded(store)
    with monkeypatch.context() as broken:
        broken.setattr(Page, "_order", lambda *_: 1 / 0)
        store.told(order)
    with store.rig.db.write() as session:
        kept = session.scalars(select(Webhook).where(Webhook.topic == refund_lines.TOPIC)).one()
        kept.body = compress(b'{"refunds": 1}')
        assert account.read_again(session, store.shop, []) == 1
    store.account()
    (refund,) = refund_events(store)
    assert refund["lines_known"] is False


def test_the_same_refunds_in_a_later_state_are_not_asked_for_again(store: Connected) -> None:
    order, _ = refunded(store)
    store.told(order)
    store.clock.tick()
    store.platform.edit(order, {"gift": "yes"})
    store.told(order)
    assert (questions(store), store.kinds()[-1]) == (1, ("order.updated", str(order)))


def test_a_store_that_does_not_answer_is_not_waited_for(store: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refund_lines, "WITHIN", 0.3)
    order, _ = refunded(store)
    store.platform.set_faults([{"kinds": ["delay"], "seconds": 2.0}])
    store.told(order)
    (refund,) = refund_events(store)
    assert (refund["lines_known"], refund["lines"]) == (False, [])
    second, _ = refunded(store)
    store.told(second)
    assert len(refund_events(store)) == 2
    assert questions(store) <= 1  # after the first failure the store is left alone for a while


# --- beside the other shops -------------------------------------------------------------------------------------------


@pytest.fixture
def apart(store: Connected) -> Accountant:
    """The worker's own clerk."""
    return factory.create_accountant(store.rig.parts, apart=True)


def stored(store: Connected, order: int) -> None:
    """Let the order's webhook arrive; nobody reads it yet."""
    store.rig.woocommerce(store.shop, "order.updated", {**store.platform.order(order)})


def worked_off(store: Connected, clerk: Accountant, until: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        if not clerk.work():
            time.sleep(0.01)


def test_no_other_shop_waits_for_a_slow_store(store: Connected, apart: Accountant) -> None:
    order, line = refunded(store)
    store.platform.set_faults([{"path": "/refunds", "kinds": ["delay"], "seconds": 5}])
    stored(store, order)
    other = store.rig.shop("woocommerce", "https://other.example")
    store.rig.woocommerce(other, "order.created", woocommerce_order(77))
    began = time.monotonic()
    worked_off(store, apart, lambda: ("order.paid", "77") in store.kinds())
    assert (time.monotonic() - began < 4.5, refund_events(store)) == (True, [])
    worked_off(store, apart, lambda: refund_events(store))
    (refund,) = refund_events(store)
    assert [each["line_id"] for each in refund["lines"]] == [line]
    assert questions(store) == 1


def test_what_a_shop_sends_is_read_in_order_also_while_its_store_is_asked(store: Connected, apart: Accountant) -> None:
    order, _ = refunded(store)
    store.platform.set_faults([{"path": "/refunds", "kinds": ["delay"], "seconds": 0.3}])
    stored(store, order)
    store.rig.woocommerce(store.shop, "order.deleted", {"id": order})  # has no time: it is placed by its arrival
    worked_off(store, apart, lambda: ("order.deleted", str(order)) in store.kinds())
    assert [kind for kind, _ in store.kinds()] == ["order.placed", "order.paid", "order.refunded", "order.deleted"]


def test_a_store_that_stays_silent_keeps_its_own_orders_for_seconds_only(
    store: Connected, apart: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refund_lines, "WITHIN", 0.3)
    order, _ = refunded(store)
    store.platform.set_faults([{"path": "/refunds", "kinds": ["delay"], "seconds": 2.0}])
    stored(store, order)
    worked_off(store, apart, lambda: refund_events(store))
    (refund,) = refund_events(store)
    assert (refund["lines_known"], refund["lines"]) == (False, [])


def test_a_bug_in_asking_keeps_no_order_back(
    store: Connected, apart: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refund_lines, "fetch_refunds", lambda *_: 1 / 0)
    order, _ = refunded(store)
    stored(store, order)
    worked_off(store, apart, lambda: refund_events(store))
    (refund,) = refund_events(store)
    assert refund["lines_known"] is False


def test_a_process_that_dies_while_a_store_is_asked_has_changed_nothing(store: Connected, apart: Accountant) -> None:
    order, line = refunded(store)
    store.platform.set_faults([{"path": "/refunds", "kinds": ["delay"], "seconds": 0.5}])
    stored(store, order)
    assert apart.work() == 1
    assert apart.work() == 0  # it is away
    store.platform.set_faults([])
    store.account()  # the next process
    (refund,) = refund_events(store)
    assert [each["line_id"] for each in refund["lines"]] == [line]


def test_lines_that_are_known_stay_known_where_a_later_refund_cannot_be_asked_for(store: Connected) -> None:
    order = store.platform.place_order()
    lines = [str(each["id"]) for each in store.platform.order(order)["line_items"]]
    store.platform.refund(order, {int(lines[0]): 1})
    store.told(order, "order.created")
    store.clock.tick()
    store.platform.refund(order, amount=None, shipping=True)
    store.change(state=ConnectionState.ATTENTION)
    store.told(order)
    with store.rig.db.read() as session:
        state = unpack(session.scalars(select(Ledger).where(Ledger.kind == "order")).one().state)
    first, second = state["order"]["refunds"]
    assert [each["line_id"] for each in first["lines"]] == [lines[0]]
    assert (first["lines_known"], second["lines_known"]) == (True, False)


def test_a_shop_without_a_connection_is_asked_nothing(store: Connected) -> None:
    store.change(state=ConnectionState.ENDED)
    order, _ = refunded(store)
    store.told(order)
    assert questions(store) == 0
    with store.rig.db.read() as session:
        assert session.scalars(select(Webhook).where(Webhook.topic == refund_lines.TOPIC)).all() == []
