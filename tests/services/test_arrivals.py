"""By topic: whether the store sends it, when it came last, and how late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from app.models import Event, Webhook
from app.services import arrivals
from app.services.arrivals import Topic
from tests.bodies import woocommerce_order
from tests.rig import Rig

NOW = datetime.now(UTC)
REPORT = {
    "topics": {
        "order.updated": {"state": "active", "last_event_at": "2026-11-01T08:00:00+00:00"},
        "order.deleted": {"state": "paused", "why": "It is paused.", "last_event_at": "2026-11-02T08:00:00+00:00"},
        "order.restored": {"state": "missing", "why": "No."},
    }
}


def topic(name: str, **values: object) -> Topic:
    empty = {"state": None, "why": None, "last_at": None, "usual": None, "last": None}
    return Topic(name=name, **{**empty, **values})  # type: ignore[arg-type]


def test_each_topic_tells_its_state_its_last_arrival_and_its_lag_of_the_last_day(rig: Rig) -> None:
    shop, other = rig.shop("woocommerce"), rig.shop("woocommerce", "https://other.example")
    for order in range(1, 6):
        rig.woocommerce(shop, "order.updated", woocommerce_order(order))
    rig.woocommerce(shop, "order.created", woocommerce_order(6))
    rig.woocommerce(other, "order.created", woocommerce_order(7))
    rig.account()
    rig.app.extensions["intake"].close()  # what was counted is written
    with rig.db.write() as session:
        for webhook_id, late, old in ((1, 10, 30), (2, 20, 3), (3, 60, 2), (4, 40, 1), (5, 9999, 0), (6, 7, 0)):
            at = NOW - timedelta(hours=old)
            moved = {"received_at": at, "occurred_at": at - timedelta(seconds=late)}
            session.execute(update(Event).where(Event.webhook_id == webhook_id).values(moved))
        session.execute(update(Webhook).where(Webhook.id == 5).values(dedup_key="reconcile:5"))
    with rig.db.read() as session:
        found = arrivals.topics(session, shop, REPORT, NOW)
    came = [each.last_at for each in found]
    assert found == [
        topic(
            "order.updated",
            state="active",
            last_at=came[0],
            usual=timedelta(seconds=40),
            last=timedelta(seconds=40),
        ),
        topic("order.deleted", state="paused", why="It is paused.", last_at=datetime(2026, 11, 2, 8, tzinfo=UTC)),
        topic("order.restored", state="missing", why="No."),
        topic("order.created", last_at=came[3], usual=timedelta(seconds=7), last=timedelta(seconds=7)),
    ]
    assert all(at is not None and abs(at - datetime.now(UTC)) < timedelta(minutes=1) for at in (came[0], came[3]))


def test_a_store_that_told_nothing_has_only_what_was_checked(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    with rig.db.read() as session:
        assert arrivals.topics(session, shop, {}, NOW) == []
        assert arrivals.usual_lag(session, shop) is None
