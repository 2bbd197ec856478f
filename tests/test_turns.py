"""Writers have their turns in the order in which they asked, and webhooks come first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db import Database, Line
from app.models import HourlyAnswers, Webhook
from app.services import configure
from app.services import intake as intake_module
from app.services.answers import Counts
from app.services.intake import Intake, NotStorable
from tests.processes import until


class Threads:
    """Threads that take their turn one after another, each noted once it had it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._threads: list[threading.Thread] = []
        self.had: list[str] = []

    def ask(self, name: str, *, first: bool = False, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Let a thread ask for its turn; it is in the line, or has had it, when this returns."""
        waiting = len(self._line._waiting)
        thread = threading.Thread(daemon=True, target=self._take, args=(name, first, meanwhile))
        self._threads.append(thread)
        thread.start()
        until(lambda: len(self._line._waiting) > waiting or name in self.had)

    def _take(self, name: str, first: bool, meanwhile: Callable[[], object]) -> None:
        with self._line.turn(first=first):
            self.had.append(name)
            meanwhile()

    def join(self) -> None:
        for each in self._threads:
            each.join(10.0)
            assert not each.is_alive()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def threads(line: Line) -> Iterator[Threads]:
    found = Threads(line)
    yield found
    found.join()


def test_turns_are_had_in_the_order_in_which_they_were_asked_for(line: Line, threads: Threads) -> None:
    with line.turn():
        for name in "abcde":
            threads.ask(name)
        assert threads.had == []
    threads.join()
    assert threads.had == list("abcde")


def test_who_may_go_first_goes_before_all_who_wait(line: Line, threads: Threads) -> None:
    with line.turn():
        threads.ask("a")
        threads.ask("b")
        threads.ask("webhooks", first=True)
    threads.join()
    assert threads.had == ["webhooks", "a", "b"]


def test_who_may_go_first_and_asks_again_and_again_has_every_second_turn(line: Line, threads: Threads) -> None:
    def receive() -> None:
        for _ in range(4):
            with line.turn(first=True):
                threads.had.append("webhooks")

    def until_left(number: int) -> None:
        until(lambda: len(line._waiting) == number)

    receiver = threading.Thread(daemon=True, target=receive)
    with line.turn():
        for left, name in zip((3, 2, 1), "abc", strict=True):  # each keeps it until the receiver waits again
            threads.ask(name, meanwhile=partial(until_left, left))
        receiver.start()
        until(lambda: len(line._waiting) == 4)
    receiver.join(10.0)
    threads.join()
    assert threads.had == ["webhooks", "a", "webhooks", "b", "webhooks", "c", "webhooks"]


def test_what_an_exception_ends_is_over(line: Line, threads: Threads) -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError), line.turn():  # noqa: PT011 - ours
        fail()
    threads.ask("a")
    threads.join()
    assert threads.had == ["a"]


def test_one_at_a_time(line: Line) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for round_ in range(200):
            with line.turn(first=round_ % 7 == 0):
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


class Told:
    """Webhooks that requests wait for, and how each ended."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._threads: list[threading.Thread] = []
        self.ends: dict[str, int] = Counter()

    def tell(self, *rows: dict[str, Any]) -> None:
        waiting = self._intake._queue.qsize()
        for each in rows:
            self._threads.append(threading.Thread(target=self._store, args=(each,), daemon=True))
            self._threads[-1].start()
        until(lambda: self._intake._queue.qsize() == waiting + len(rows))

    def first(self, db: Database, row: dict[str, Any]) -> None:
        """The writer takes it, and waits for its turn."""
        waiting = len(db._writing._waiting)
        self._threads.append(threading.Thread(target=self._store, args=(row,), daemon=True))
        self._threads[-1].start()
        until(lambda: len(db._writing._waiting) > waiting)

    def _store(self, row: dict[str, Any]) -> None:
        try:
            self.ends[self._intake.store(row)] += 1
        except NotStorable as error:
            self.ends[str(error)] += 1

    def end(self) -> None:
        """What came before the end is stored."""
        self._intake.close()
        for each in [*self._threads, self._intake._thread]:
            each.join(10.0)
            assert not each.is_alive()


def number(db: Database) -> int | None:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(Webhook))


def test_webhooks_that_come_while_others_write_share_one_transaction(db: Database) -> None:
    stored: list[int | None] = []
    intake = Intake(db, on_stored=lambda _: stored.append(number(db)))
    told = Told(intake)
    with db.begin():
        told.first(db, row("key 0"))
        told.tell(*[row(f"key {each}") for each in range(9)])
        threading.Thread(target=intake.close, daemon=True).start()
        until(lambda: intake._queue.qsize() == 10)
    told.end()
    assert (stored, told.ends) == ([9], {"stored": 9, "duplicate": 1})


def test_a_webhook_that_cannot_be_stored_takes_none_of_its_company_with_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven share a transaction, the bound; what is left is the next one's."""
    monkeypatch.setattr(intake_module, "LARGEST_BATCH", 7)
    sizes: list[int] = []
    run = intake_module._Insert.run

    def counted(self: Any, connection: Any, rows: Sequence[dict[str, Any]]) -> set[str]:
        sizes.append(len(rows))
        return run(self, connection, rows)

    monkeypatch.setattr(intake_module._Insert, "run", counted)
    told = Told(Intake(db))
    with db.begin():
        told.first(db, row("key 0"))
        told.tell(*[row(f"key {each}") for each in range(1, 5)])
        told.tell({**row("bad"), "topic": None})  # NOT NULL
        told.tell(*[row(f"key {each}") for each in range(5, 9)])
    told.end()
    assert told.ends == {"stored": 9, "IntegrityError": 1}
    assert number(db) == 9
    assert sizes[0] == 7
    assert max(sizes) == 7
    assert sizes[-1] == 3  # the rest, in company again
    assert sum(sizes[1:-1]) == 7 + 4 + 2  # by halves: 3 + 4, 2 + 2 of the four, 1 + 1 of the two


def test_webhooks_are_stored_before_others_have_their_turn(db: Database) -> None:
    seen: list[int | None] = []
    told = Told(Intake(db))

    def write() -> None:
        with db.write() as session:
            seen.append(session.scalar(select(func.count()).select_from(Webhook)))

    waits = threading.Thread(target=write, daemon=True)
    with db.begin():
        waits.start()
        until(lambda: len(db._writing._waiting) == 1)
        told.first(db, row("key"))
    waits.join(10.0)
    told.end()
    assert (seen, told.ends) == ([1], {"stored": 1})


def test_what_was_counted_is_written_as_soon_as_webhooks_are(db: Database) -> None:
    """The thread that stores webhooks writes it: what it waits for, they wait for."""
    seen: list[int | None] = []
    with db.write() as session:
        shop = configure.add_shop(session, "woocommerce", "https://store.example").id
    counts = Counts(db)
    counts.note(shop, "orders/updated", "stored")

    def write() -> None:
        with db.write() as session:
            seen.append(session.scalar(select(func.count()).select_from(HourlyAnswers)))

    threads = [threading.Thread(target=each, daemon=True) for each in (write, counts.flush)]
    with db.begin():
        for place, each in enumerate(threads, start=1):
            each.start()
            until(lambda place=place: len(db._writing._waiting) == place)  # type: ignore[misc]
    for each in threads:
        each.join(10.0)
    assert seen == [1]
