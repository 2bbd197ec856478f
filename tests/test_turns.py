"""Writers have their turns in the order in which they asked, and webhooks come first."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import Database, Turns
from app.models import Webhook
from app.services.intake import Intake
from tests.processes import until


class Threads:
    """Threads that take their turn one after another, each noted once it had it."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._threads: list[threading.Thread] = []
        self.had: list[str] = []

    def ask(self, name: str, *, first: bool = False, meanwhile: Callable[[], object] = bool) -> None:
        """Let a thread ask for its turn; it is in the line, or has had it, when this returns."""
        waiting = len(self._turns._waiting)
        thread = threading.Thread(daemon=True, target=self._take, args=(name, first, meanwhile))
        self._threads.append(thread)
        thread.start()
        until(lambda: len(self._turns._waiting) > waiting or name in self.had)

    def _take(self, name: str, first: bool, meanwhile: Callable[[], object]) -> None:
        with self._turns.take(first=first):
            self.had.append(name)
            meanwhile()

    def join(self) -> None:
        for each in self._threads:
            each.join(10.0)
            assert not each.is_alive()


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def threads(turns: Turns) -> Iterator[Threads]:
    found = Threads(turns)
    yield found
    found.join()


def test_turns_are_had_in_the_order_in_which_they_were_asked_for(turns: Turns, threads: Threads) -> None:
    with turns.take():
        for name in "abcde":
            threads.ask(name)
        assert threads.had == []
    threads.join()
    assert threads.had == list("abcde")


def test_who_may_go_first_goes_before_all_who_wait(turns: Turns, threads: Threads) -> None:
    with turns.take():
        threads.ask("a")
        threads.ask("b")
        threads.ask("webhooks", first=True)
    threads.join()
    assert threads.had == ["webhooks", "a", "b"]


def test_who_may_go_first_and_asks_again_and_again_has_every_second_turn(turns: Turns, threads: Threads) -> None:
    def receive() -> None:
        for _ in range(4):
            with turns.take(first=True):
                threads.had.append("webhooks")

    def until_left(number: int) -> None:
        until(lambda: len(turns._waiting) == number)

    receiver = threading.Thread(daemon=True, target=receive)
    with turns.take():
        for left, name in zip((3, 2, 1), "abc", strict=True):  # each keeps it until the receiver waits again
            threads.ask(name, meanwhile=partial(until_left, left))
        receiver.start()
        until(lambda: len(turns._waiting) == 4)
    receiver.join(10.0)
    threads.join()
    assert threads.had == ["webhooks", "a", "webhooks", "b", "webhooks", "c", "webhooks"]


def test_what_an_exception_ends_is_over(turns: Turns, threads: Threads) -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError), turns.take():  # noqa: PT011 - ours
        fail()
    threads.ask("a")
    threads.join()
    assert threads.had == ["a"]


class Interrupted(Exception):
    """By a signal."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_who_is_interrupted_while_waiting_stands_in_nobodys_way(turns: Turns, threads: Threads) -> None:
    done = threading.Event()
    threads.ask("a", meanwhile=done.wait)
    with pytest.raises(Interrupted), alarm(0.2), turns.take():
        pytest.fail("it was not free")
    threads.ask("b")
    done.set()
    threads.join()
    assert threads.had == ["a", "b"]
    with turns.take():  # it is free again
        pass


def test_one_at_a_time(turns: Turns) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for round_ in range(200):
            with turns.take(first=round_ % 7 == 0):
                inside.append(1)
                most.append(len(inside))
                if round_ % 50 == 0:
                    time.sleep(0)
                inside.pop()

    workers = [threading.Thread(daemon=True, target=work) for _ in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60.0)
        assert not each.is_alive()
    assert (len(most), max(most)) == (1600, 1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'tillwire.db'}")) as found:
        found.migrate()
        yield found


def row(key: str) -> dict[str, Any]:
    empty: dict[str, Any] = {"shop_id": None, "endpoint_id": None, "headers": {}, "body": b"", "body_hash": ""}
    about = {"platform": "shopify", "topic": "orders/updated", "dedup_key": key, "state": "pending"}
    return empty | about | {"received_at": datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)}


def test_webhooks_that_come_while_others_write_share_one_transaction(db: Database) -> None:
    stored: list[int] = []
    intake = Intake(db, on_stored=lambda: stored.append(1))
    keys = [f"key {number}" for number in range(9)]
    results: list[str] = []

    def store(key: str) -> None:
        results.append(intake.store(row(key)))

    threads = [threading.Thread(daemon=True, target=store, args=(key,)) for key in [*keys, keys[0]]]
    with db.begin():
        threads[0].start()
        until(lambda: db._writing._waiting)  # the writer waits for its turn, with one webhook
        for each in threads[1:]:
            each.start()
        until(lambda: intake._queue.qsize() == 9)
        ending = threading.Thread(daemon=True, target=intake.close)  # what came before its end is stored
        ending.start()
        until(lambda: intake._queue.qsize() == 10)
    for each in [*threads, ending]:
        each.join(10.0)
        assert not each.is_alive()
    assert stored == [1]
    assert sorted(results) == ["duplicate", *["stored"] * 9]
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Webhook)) == 9


def test_webhooks_are_stored_before_others_have_their_turn(db: Database) -> None:
    order: list[str] = []
    intake = Intake(db, on_stored=lambda: order.append("webhook"))

    def write() -> None:
        with db.write():
            order.append("worker")

    waits = threading.Thread(daemon=True, target=write)
    told = threading.Thread(daemon=True, target=intake.store, args=(row("key"),))
    with db.begin():
        waits.start()
        until(lambda: len(db._writing._waiting) == 1)
        told.start()
        until(lambda: len(db._writing._waiting) == 2)
    waits.join(10.0)
    told.join(10.0)
    intake.close()
    assert order == ["webhook", "worker"]
