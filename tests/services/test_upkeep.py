"""What falls due is done once, by whoever comes first, and one failure stops nothing else."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from app.db import Database
from app.models import Connection, ConnectionState, Shop
from app.services.upkeep import ONCE, Step, Upkeep, check_at_start, check_due

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def to(moment: datetime) -> datetime:
    """A clock that stands still."""
    return moment


def connect(db: Database, number: int, *, state: str = ConnectionState.CONNECTED, check_at: datetime | None) -> None:
    with db.write() as session:
        shop = Shop(platform="shopify", domain=f"shop-{number}.myshopify.com", created_at=NOW, settings={})
        session.add(shop)
        session.flush()
        session.add(Connection(shop_id=shop.id, state=state, scopes=[], installed_at=NOW, check_at=check_at))


def next_checks(db: Database) -> list[datetime | None]:
    with db.read() as session:
        return list(session.scalars(select(Connection.check_at).order_by(Connection.shop_id)))


def test_a_connection_is_checked_when_its_time_has_come_and_then_after_an_hour(database: Database) -> None:
    connect(database, 1, check_at=NOW)
    connect(database, 2, check_at=NOW + timedelta(seconds=1))
    checked: list[int] = []
    assert check_due(database, checked.append, NOW) == 1
    assert check_due(database, checked.append, NOW) == 0
    assert checked == [1]
    assert next_checks(database) == [NOW + timedelta(hours=1), NOW + timedelta(seconds=1)]


@pytest.mark.parametrize("state", [ConnectionState.ENDED, ConnectionState.REOPEN])
def test_what_cannot_be_asked_is_not_checked(database: Database, state: str) -> None:
    connect(database, 1, state=state, check_at=NOW)
    assert check_due(database, pytest.fail, NOW) == 0


def test_two_processes_check_a_connection_once(database: Database) -> None:
    connect(database, 1, check_at=NOW)
    checked: list[int] = []

    def check(shop_id: int) -> None:
        checked.append(shop_id)
        assert check_due(database, checked.append, NOW) == 0  # the other process, while this one is at it

    assert check_due(database, check, NOW) == 1
    assert checked == [1]


def test_one_store_in_trouble_leaves_the_others_checked(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        connect(database, number, check_at=NOW)
    checked: list[int] = []

    def check(shop_id: int) -> None:
        checked.append(shop_id)
        if shop_id == 1:
            raise RuntimeError("boom")

    with caplog.at_level(logging.ERROR):
        assert check_due(database, check, NOW) == 2
    assert sorted(checked) == [1, 2]
    assert "checking the connection of shop 1 failed" in caplog.text


def test_after_a_start_everything_is_checked_that_was_not_looked_at_for_a_while(database: Database) -> None:
    later = NOW + timedelta(minutes=50)
    for number in (1, 2, 3):
        connect(database, number, check_at=later)
    connect(database, 4, state=ConnectionState.ENDED, check_at=later)
    with database.write() as session:
        session.get_one(Connection, 2).checked_at = NOW - timedelta(minutes=11)
        session.get_one(Connection, 3).checked_at = NOW - timedelta(minutes=9)
    check_at_start(database, NOW)
    assert next_checks(database) == [NOW, NOW, later, later]


def test_a_step_of_the_start_is_done_once() -> None:
    done: list[datetime] = []
    upkeep = Upkeep([Step(name="start", every=ONCE, work=done.append)])
    for hours in range(100):
        upkeep.work(partial(to, NOW + timedelta(hours=hours)))
    assert done == [NOW]


def test_a_step_that_fails_is_tried_again_when_it_is_due_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done: list[tuple[str, datetime]] = []

    def fail(now: datetime) -> None:
        done.append(("fails", now))
        raise RuntimeError("boom")

    upkeep = Upkeep(
        [
            Step(name="fails", every=timedelta(minutes=1), work=fail),
            Step(name="works", every=timedelta(minutes=5), work=lambda now: done.append(("works", now))),
        ]
    )
    later = NOW + timedelta(minutes=1)
    with caplog.at_level(logging.ERROR):
        for now in (NOW, NOW + timedelta(seconds=59), later):
            upkeep.work(partial(to, now))
    assert done == [("fails", NOW), ("works", NOW), ("fails", later)]
    assert caplog.text.count("upkeep: fails failed") == 2
