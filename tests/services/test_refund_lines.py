"""Which products a refund gave back: asked of the store once, kept, and never waited for longer than seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from app.models import ConnectionState, Event, Webhook
from app.services import account, refund_lines
from app.services.packing import unpack
from app.simulators.woocommerce_platform import WooCommercePlatform
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
        broken.setattr(account._Page, "_order", lambda *_: 1 / 0)
        store.told(order)
    assert refund_events(store) == []
    with store.rig.db.write() as session:
        assert account.read_again(session, store.shop, []) == 1
    store.platform.close()
    store.account()
    assert [[each["line_id"] for each in refund["lines"]] for refund in refund_events(store)] == [[line]]
    assert questions(store) == 1


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
        state = unpack(session.scalars(select(account.Ledger).where(account.Ledger.kind == "order")).one().state)
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
