"""The counts of the last days: today as it stands, the days before as they were counted last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from app.db import Database
from app.models import Delivery, Destination, Event, Shop, Tally, Webhook
from app.services import tally

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def shop(database: Database) -> Shop:
    return add_shop(database, 1)


def add_shop(database: Database, number: int) -> Shop:
    """With a destination at Gameball, in Copenhagen, an hour ahead of UTC in winter."""
    with database.write() as session:
        settings = {"facts": {"timezone": "Europe/Copenhagen"}}
        row = Shop(id=number, platform="shopify", domain=f"{number}.myshopify.com", settings=settings, created_at=NOW)
        session.add(row)
        session.flush()
        session.add(
            Destination(id=number, shop_id=number, provider="gameball", options={}, created_at=NOW, updated_at=NOW)
        )
    return row


def add(database: Database, shop: Shop, at: datetime, state: str, number: int = 1) -> None:
    """Deliveries that came into being at ``at``."""
    with database.write() as session:
        for _ in range(number):
            key = f"{at}-{state}-{_}"
            webhook = Webhook(
                platform="shopify",
                shop_id=shop.id,
                dedup_key=f"{shop.id}-{key}",
                topic="orders/paid",
                headers={},
                body=b"",
                body_hash="",
                received_at=at,
            )
            session.add(webhook)
            session.flush()
            event = Event(
                shop_id=shop.id,
                webhook_id=webhook.id,
                dedup_key=key,
                occurred_at=at,
                received_at=at,
                state="understood",
            )
            session.add(event)
            session.flush()
            session.add(
                Delivery(
                    shop_id=shop.id,
                    destination_id=shop.id,
                    event_id=event.id,
                    provider="gameball",
                    rule="purchase",
                    action="order",
                    state=state,
                    due_at=at,
                    since=at,
                    created_at=at,
                )
            )


def recent(database: Database, shop: Shop, now: datetime = NOW) -> dict[str, tally.Counts]:
    """Days that are not empty."""
    with database.read() as session:
        days = tally.recent(session, shop, now)
    assert len(days) == 14
    return {each.day.isoformat(): each.counts for each in days if each.counts}


def test_today_is_counted_as_it_stands_and_the_days_before_as_they_were_counted_last(
    database: Database, shop: Shop
) -> None:
    add(database, shop, NOW, "delivered", 2)
    add(database, shop, NOW - timedelta(days=1), "skipped")
    assert tally.fill(database, NOW) == 1
    add(database, shop, NOW - timedelta(days=1, hours=1), "dead")
    assert recent(database, shop) == {
        "2026-11-20": {("gameball", "skipped"): 1},
        "2026-11-21": {("gameball", "delivered"): 2},
    }


def test_a_day_that_is_just_over_is_counted_until_it_is_kept(database: Database, shop: Shop) -> None:
    """Midnight in Copenhagen is 23:00 in UTC; what is kept is brought up to date once an hour."""
    midnight = datetime(2026, 11, 21, 23, tzinfo=UTC)
    add(database, shop, NOW, "delivered", 2)
    yesterday = {"2026-11-21": {("gameball", "delivered"): 2}}
    assert recent(database, shop, midnight) == yesterday  # on the first day nothing is kept yet
    add(database, shop, NOW - timedelta(days=2), "skipped")
    tally.fill(database, midnight - timedelta(minutes=1))
    told = {"2026-11-19": {("gameball", "skipped"): 1}, **yesterday}
    assert recent(database, shop, midnight - timedelta(minutes=1)) == told
    assert recent(database, shop, midnight) == told
    assert tally.fill(database, midnight + timedelta(minutes=30)) == 1
    assert recent(database, shop, midnight + timedelta(minutes=30)) == told


def test_the_days_are_those_of_the_shops_clock(database: Database, shop: Shop) -> None:
    add(database, shop, datetime(2026, 11, 19, 22, 59, tzinfo=UTC), "delivered")
    add(database, shop, datetime(2026, 11, 19, 23, 0, tzinfo=UTC), "dead")
    tally.fill(database, NOW)
    assert recent(database, shop) == {
        "2026-11-19": {("gameball", "delivered"): 1},
        "2026-11-20": {("gameball", "dead"): 1},
    }


def test_what_moves_on_after_its_day_is_counted_anew(database: Database, shop: Shop) -> None:
    add(database, shop, NOW - timedelta(days=3), "held", 2)
    tally.fill(database, NOW)
    assert recent(database, shop) == {"2026-11-18": {("gameball", "held"): 2}}
    with database.write() as session:
        session.execute(update(Delivery).values(state="delivered"))
    assert tally.fill(database, NOW) == 1
    assert recent(database, shop) == {"2026-11-18": {("gameball", "delivered"): 2}}


def test_a_day_of_which_everything_was_erased_is_empty(database: Database, shop: Shop) -> None:
    add(database, shop, NOW - timedelta(days=3), "delivered")
    tally.fill(database, NOW)
    with database.write() as session:
        session.execute(delete(Delivery))
    assert tally.fill(database, NOW) == 1
    assert recent(database, shop) == {}


def test_where_nothing_changed_nothing_is_written(database: Database, shop: Shop) -> None:
    add(database, shop, NOW - timedelta(days=1), "delivered")
    assert [tally.fill(database, NOW) for _ in range(3)] == [1, 0, 0]


def test_days_that_are_no_longer_shown_are_not_kept(database: Database, shop: Shop) -> None:
    add(database, shop, NOW - timedelta(days=13), "delivered")
    add(database, shop, NOW - timedelta(days=14), "delivered")
    tally.fill(database, NOW)
    with database.read() as session:
        assert session.scalars(select(Tally.day)).all() == ["2026-11-08"]
    tally.fill(database, NOW + timedelta(days=1))
    with database.read() as session:
        assert session.scalars(select(Tally.day)).all() == []


def test_every_shop_has_its_own_and_removed_ones_none(database: Database, shop: Shop) -> None:
    other, gone = add_shop(database, 2), add_shop(database, 3)
    for each, number in ((shop, 1), (other, 2), (gone, 3)):
        add(database, each, NOW - timedelta(days=1), "delivered", number)
    with database.write() as session:
        session.execute(update(Shop).where(Shop.id == gone.id).values(removed_at=NOW))
    assert tally.fill(database, NOW) == 2
    assert recent(database, shop) == {"2026-11-20": {("gameball", "delivered"): 1}}
    assert recent(database, other) == {"2026-11-20": {("gameball", "delivered"): 2}}
    with database.read() as session:
        assert session.scalars(select(Tally.shop_id).order_by(Tally.shop_id)).all() == [shop.id, other.id]


def test_states_are_added_up_over_the_providers() -> None:
    counts = {("gameball", "delivered"): 2, ("seeka", "delivered"): 3, ("seeka", "dead"): 1}
    assert tally.by_state(counts) == {"delivered": 5, "dead": 1}
