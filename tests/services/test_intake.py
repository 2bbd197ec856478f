"""Web processes on one database that store the same webhooks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from app.db import Database
from app.models import HourlyAnswers, Shop, Webhook
from app.services.answers import Counts
from app.services.intake import Intake, _Waiting
from tests.processes import until

AT = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@pytest.fixture
def db(postgres_url: str) -> Iterator[Database]:
    found = Database(postgres_url)
    found.migrate()
    yield found
    found.close()


@contextmanager
def intake(db: Database) -> Iterator[Intake]:
    found = Intake(db)
    yield found
    found.close()


def row(key: str) -> dict[str, Any]:
    empty: dict[str, Any] = {"shop_id": None, "endpoint_id": None, "headers": {}, "body": b"", "body_hash": ""}
    about = {"platform": "shopify", "topic": "orders/updated", "dedup_key": key, "received_at": AT, "state": "pending"}
    return empty | about


def waiting(*keys: str) -> list[_Waiting]:
    return [_Waiting(row(key), lambda: None) for key in keys]


def together(db: Database, hold: Any, *works: Callable[[], None]) -> None:
    """Run ``works`` at once, each as far as it gets while ``hold`` stands in its way; then let them on."""
    with ThreadPoolExecutor(len(works)) as pool, db.engine.connect() as first, db.engine.connect() as watch:
        first.execute(hold)
        done = [pool.submit(work) for work in works]

        def all_wait() -> bool:
            watch.rollback()  # what PostgreSQL tells of sessions stays the same within a transaction
            return bool(watch.scalar(WAITING) == len(works))

        until(all_wait)
        first.rollback()
        for each in done:
            each.result(timeout=20)


def test_two_that_store_the_same_in_different_order_both_store(db: Database) -> None:
    with intake(db) as one, intake(db) as other:
        ours, theirs = waiting("a", "m", "z"), waiting("z", "m", "a")
        together(db, insert(Webhook).values(row("m")), lambda: one._commit(ours), lambda: other._commit(theirs))
    assert [each.error for each in (*ours, *theirs)] == [None] * 6
    told = {key: {each.result for each in (*ours, *theirs) if each.row["dedup_key"] == key} for key in "amz"}
    assert told == {key: {"stored", "duplicate"} for key in "amz"}
    with db.read() as session:
        assert list(session.scalars(select(Webhook.dedup_key).order_by(Webhook.id))) == ["a", "m", "z"]


def test_two_that_count_the_same_in_different_order_both_count(
    db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.answers._hour", lambda at: "2026-03-02T09")
    with db.write() as session:
        session.add(Shop(platform="shopify", domain="a.myshopify.com", url="https://a.myshopify.com", created_at=AT))
        session.flush()
        for topic in "amz":
            counted = {"hour": "2026-03-02T09", "topic": topic, "result": "stored", "number": 1, "last_at": AT}
            session.execute(insert(HourlyAnswers).values(shop_id=1, **counted))
    one, other = Counts(db), Counts(db)
    for topic in "amz":
        one.note(1, topic, "stored")
    for topic in "zma":
        other.note(1, topic, "stored")
    held = select(HourlyAnswers).where(HourlyAnswers.topic == "m").with_for_update()
    together(db, held, one.flush, other.flush)
    assert caplog.messages == []
    with db.read() as session:
        counts = select(HourlyAnswers.topic, HourlyAnswers.number).order_by(HourlyAnswers.topic)
        assert [tuple(each) for each in session.execute(counts)] == [("a", 3), ("m", 3), ("z", 3)]
