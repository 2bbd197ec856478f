"""One worker looks after the clock; on SQLite it is the only one that does anything."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from app import factory, worker
from app.db import Database
from app.providers.transports import TRANSPORTS, Pooled
from app.services import calls
from app.services.deliver import Deliverer
from app.services.precedence import Clerk
from app.services.upkeep import Upkeep
from tests.bodies import woocommerce_order
from tests.rig import Rig

LOST = "the database took this worker's lock away: others look after the clock until it has it again"
LOCKS = (
    "FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 7460286"
    " AND database = (SELECT oid FROM pg_database WHERE datname = :name)"
)


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Next:
    """Another process that waits for the lock, and has it the moment that it is free."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        self._connection = self._engine.connect()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        self._connection.execute(text("SELECT pg_advisory_lock(7460286)"))
        self._connection.commit()

    def begin(self) -> None:
        self._thread.join()

    def end(self) -> None:
        self._connection.close()
        self._engine.dispose()


def locks(rig: Rig, *, granted: bool) -> list[int]:
    with rig.db.read() as session:
        wanted = text(f"SELECT pid {LOCKS} AND granted = :granted")
        return list(session.scalars(wanted, {"name": rig.db.engine.url.database, "granted": granted}))


@contextmanager
def running(rig: Rig) -> Iterator[None]:
    found = factory.create_worker(rig.parts)
    found.start()
    try:
        yield
    finally:
        found.stop()


def test_a_worker_whose_lock_postgresql_took_away_delivers_and_leaves_the_clock_to_others(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "SWEEP", 0.2)
    monkeypatch.setattr(worker, "UPKEEP", 0.05)
    monkeypatch.setattr(worker.log, "handlers", [caplog.handler])
    monkeypatch.setattr(worker.log, "level", logging.INFO)
    looked: list[int] = []
    monkeypatch.setattr(Upkeep, "work", lambda self, clock: looked.append(1))

    def said(what: str) -> list[Any]:
        return [record for record in caplog.records if what in record.getMessage()]

    with Rig(tmp_path, database_url=postgres_url) as rig, running(rig), ExitStack() as stack:
        shop = rig.shop("woocommerce")
        rig.switch_on(shop, "gameball")
        until(lambda: locks(rig, granted=True) and looked)
        [mine] = locks(rig, granted=True)
        other = Next(postgres_url)
        stack.callback(other.end)
        until(lambda: locks(rig, granted=False))
        with rig.db.read() as session:
            session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
        other.begin()
        until(lambda: said(LOST))
        until(lambda: said("another worker looks after the clock"))
        looked.clear()
        rig.woocommerce(shop, "order.created", woocommerce_order(1, status="processing"))
        until(lambda: rig.deliveries() and {each["state"] for each in rig.deliveries()} == {"delivered"})
        assert looked == []
        other.end()
        until(lambda: looked)
        assert len(locks(rig, granted=True)) == 1


def test_a_worker_that_could_not_begin_does_not_stand_in_its_own_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Exception] = []
    begin_alone = Deliverer.begin_alone

    def fail_once(self: Deliverer) -> None:
        if not tries:
            tries.append(OSError("no database"))
            raise tries[0]
        begin_alone(self)

    monkeypatch.setattr(Deliverer, "begin_alone", fail_once)
    monkeypatch.setattr(worker, "AFTER_ERROR", 0.05)
    monkeypatch.setattr(worker, "SWEEP", 0.05)
    shop = rig.shop("woocommerce")
    with running(rig):
        rig.woocommerce(shop, "order.created", woocommerce_order(1, status="processing"))
        until(lambda: rig.events(state="understood"))
    assert len(tries) == rig.db.sqlite  # elsewhere the leases of the dead run out


def test_a_lock_that_is_lost_stays_lost_however_often_one_asks(postgres_url: str) -> None:
    first, second = Database(postgres_url), Database(postgres_url)
    with ExitStack() as stack:
        stack.callback(first.close)
        stack.callback(second.close)
        alone = stack.enter_context(ExitStack())
        held = first.alone(alone)
        assert held is not None
        assert held.held()
        assert second.alone(stack) is None
        with second.begin() as connection:
            connection.execute(
                text(f"SELECT pg_terminate_backend(pid, 5000) {LOCKS}"), {"name": second.engine.url.database}
            )
        assert [held.held(), held.held()] == [False, False]
        alone.close()
        assert second.alone(stack) is not None
        assert first.alone(alone) is None


@pytest.mark.parametrize("name", ["requests", "lean"])
@pytest.mark.parametrize("place", ["process", "threads"])
def test_the_settings_choose_what_makes_the_calls_and_where(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(calls, "Apart", lambda *_, transport, **__: made.append(("process", transport)))
    monkeypatch.setattr(calls, "Threads", lambda *_, new_session, **__: made.append(("threads", kind(new_session))))

    def kind(new_session: Callable[[], Pooled]) -> str:
        with new_session() as session:
            return next(each for each, transport in TRANSPORTS.items() if type(session) is transport)

    factory.create_caller(dataclasses.replace(rig.config, transport=name, calls_in=place))
    assert made == [(place, name)]


@pytest.mark.parametrize(("done", "waits"), [(1, True), (9, True), (10, False)])
def test_what_comes_soon_shares_a_round_unless_there_is_plenty(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, done: int, waits: bool
) -> None:
    monkeypatch.setattr(worker, "ROUND", 0.3)
    made = factory.create_worker(rig.parts)
    rounds: list[float] = []

    def work() -> int:
        rounds.append(time.monotonic())
        if len(rounds) == 4:
            made._stop.set()
        return done

    made._loop(Clerk.ACCOUNTS, work, threading.Event(), 10)
    assert (min(later - sooner for sooner, later in itertools.pairwise(rounds)) > 0.25) is waits
    made._deliverer.close()
