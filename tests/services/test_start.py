"""A store that was just connected does not report its past: an old order that somebody edits is no new purchase."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from app.models import Connection, ConnectionState, Shop
from app.services import replay
from tests.bodies import woocommerce_order
from tests.rig import Rig

PAID_AT = datetime(2026, 11, 21, 2, 10, 8, tzinfo=UTC)


def connect(rig: Rig, shop: int, at: datetime) -> None:
    with rig.db.write() as session:
        session.execute(update(Shop).where(Shop.id == shop).values(created_at=at))
        session.add(Connection(shop_id=shop, state=ConnectionState.CONNECTED, scopes=[], installed_at=at))


@pytest.mark.parametrize(
    ("connected", "states"),
    [
        (PAID_AT.replace(day=22, hour=3), [("process_orders", "skipped", "before_start")]),
        (PAID_AT.replace(day=22, hour=1), [("process_orders", "delivered", None)]),  # within a day: it may be a trial
        (PAID_AT.replace(day=20), [("process_orders", "delivered", None)]),
    ],
)
def test_what_was_paid_before_the_store_was_connected_is_not_sent(
    rig: Rig, connected: datetime, states: list[tuple[str, str, str | None]]
) -> None:
    shop = rig.shop("woocommerce")
    connect(rig, shop, connected)
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    assert rig.states() == states


def test_a_store_added_by_hand_has_no_such_moment(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    with rig.db.write() as session:
        session.execute(update(Shop).values(created_at=datetime(2027, 6, 1, tzinfo=UTC)))
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]


def test_a_person_may_send_it_all_the_same(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    connect(rig, shop, datetime(2027, 6, 1, tzinfo=UTC))
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    with rig.db.write() as session:
        chosen = replay.choose(session, ids=[1])
        assert replay.replay(session, chosen, force=False, dry_run=False)["replayed"] == 1
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]


def test_switching_on_for_past_days_reaches_behind_the_start(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    connect(rig, shop, datetime(2027, 6, 1, tzinfo=UTC))
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.account()
    rig.set(shop, "sprii", mode="live", api_key="sprii-key", last_days=36500)
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]
