"""One writer for all webhooks: those that wait together share one commit, whose cost is the wait for the disk.

A webhook is committed before anybody is told so. Who waits may be a thread, or a task of an event loop.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.types import TypeEngine

from app.db import Database, lies_in_the_data
from app.models import Webhook
from app.services import answers
from app.services.answers import Counts

log = logging.getLogger(__name__)

LONGEST_WAIT = 10.0  #: seconds for a commit; Shopify hangs up after five anyway
LARGEST_BATCH = 256
#: Seconds to wait for more company once there is any. While one commit waits for the disk the next company gathers by
#: itself, so this only matters where the disk is quick; longer would just hold everybody up.
GATHER = 0.001


#: How many webhooks there are for which shop; None: for one that their bodies name.
ByShop = Counter[int | None]


class NotStorable(Exception):
    """The webhook could not be committed now; the platform should send it again."""


class _Waiting:
    """One request that waits for its row, and how to wake it."""

    __slots__ = ("error", "result", "ring", "row")

    def __init__(self, row: dict[str, Any], ring: Callable[[], None]) -> None:
        self.row = row
        self.ring = ring
        self.result = ""
        self.error: Exception | None = None


class _Bell:
    """Wakes the tasks of one event loop: a company that shared a commit costs one knock, not one each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[asyncio.Future[bool]] = deque()

    def ring(self, done: asyncio.Future[bool]) -> None:
        """To be called by the writer."""
        self._done.append(done)
        if len(self._done) == 1:  # otherwise the loop is on its way, and looks until there is none left
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        while self._done:
            _settle(self._done[0], True)
            self._done.popleft()


def _settle(done: asyncio.Future[bool], in_time: bool) -> None:
    if not done.done():  # it may have given up
        done.set_result(in_time)


class _Insert:
    """Stores the rows of one company, and says which were new.

    SQLAlchemy takes a statement of many rows apart and puts it together anew each time; this one is made once for each
    size of a company.
    """

    def __init__(self, dialect: Dialect) -> None:
        columns = [column for column in cast(Table, Webhook.__table__).columns if not column.primary_key]
        self._names = [column.name for column in columns]
        self._given = [_given(column.type.dialect_impl(dialect), dialect) for column in columns]
        self._mark = "?" if dialect.positional else "%s"

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
        """The keys of those that were not there yet."""
        values = tuple(give(row[name]) for row in rows for name, give in zip(self._names, self._given, strict=True))
        return set(connection.exec_driver_sql(self._statement(len(rows)), values).scalars())

    def _statement(self, number: int) -> str:
        row = f"({', '.join([self._mark] * len(self._names))})"
        values = ", ".join([row] * number)
        into = f"INSERT INTO webhooks ({', '.join(self._names)})"  # names of our own columns
        return f"{into} VALUES {values} ON CONFLICT DO NOTHING RETURNING dedup_key"


def _given(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any]:
    """What the driver takes for a value."""
    return kind.bind_processor(dialect) or (lambda value: value)


class Intake:
    """Stores webhooks; one writer, many waiting requests."""

    def __init__(self, db: Database, *, on_stored: Callable[[ByShop], None] = lambda webhooks: None) -> None:
        """``on_stored``: told what was stored."""
        self._db = db
        self._on_stored = on_stored
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._bell: _Bell | None = None
        self._counts = Counts(db)
        self._insert = _Insert(db.engine.dialect)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def store(self, row: dict[str, Any]) -> str:
        """Return ``stored`` or ``duplicate`` once that is on disk, or raise `NotStorable`."""
        bell = threading.Lock()  # the cheapest there is
        bell.acquire()
        waiting = _Waiting(row, bell.release)
        self._queue.put(waiting)
        return self._outcome(waiting, in_time=bell.acquire(timeout=LONGEST_WAIT))

    async def stored(self, row: dict[str, Any]) -> str:
        """As `store`, for a task, which costs no thread while it waits."""
        loop = asyncio.get_running_loop()
        if self._bell is None or self._bell.loop is not loop:
            self._bell = _Bell(loop)
        done: asyncio.Future[bool] = loop.create_future()
        waiting = _Waiting(row, partial(self._bell.ring, done))
        self._queue.put(waiting)
        limit = loop.call_later(LONGEST_WAIT, _settle, done, False)  # asyncio.timeout costs several times as much
        try:
            return self._outcome(waiting, in_time=await done)
        finally:
            limit.cancel()

    def note(self, shop_id: int | None, topic: str, result: str) -> None:
        """Count an answer to a store."""
        if shop_id is not None:
            self._counts.note(shop_id, topic, result)

    def _outcome(self, waiting: _Waiting, *, in_time: bool) -> str:
        """What came of it, counted."""
        row = waiting.row
        if waiting.error or not in_time:
            self.note(row["shop_id"], row["topic"], answers.NOT_STORABLE)
            reason = type(waiting.error).__name__ if waiting.error else "no commit in time"
            raise NotStorable(reason) from waiting.error
        self.note(row["shop_id"], row["topic"], waiting.result)
        return waiting.result

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(LONGEST_WAIT)

    def _run(self) -> None:
        while not self._ending:
            batch: list[_Waiting] = []
            self._wait(batch)
            if not self._queue.empty():
                time.sleep(GATHER)
            self._take_more(batch)
            if batch:
                self._commit(batch, company=True)
            if self._counts.due() or self._ending:
                self._counts.flush()

    def _wait(self, batch: list[_Waiting]) -> None:
        """Take the next one; while there is none, what was counted is written down."""
        while not (batch or self._ending):
            try:
                self._take(batch, self._queue.get(timeout=answers.FLUSH_EVERY))
            except queue.Empty:
                self._counts.flush()

    def _take_more(self, batch: list[_Waiting]) -> None:
        """Take what is there."""
        while len(batch) < LARGEST_BATCH and not self._queue.empty():
            self._take(batch, self._queue.get())

    def _take(self, batch: list[_Waiting], found: _Waiting | None) -> None:
        if found is None:
            self._ending = True
        else:
            batch.append(found)

    def _commit(self, batch: list[_Waiting], *, company: bool = False) -> None:
        """Store webhooks; with ``company`` those too that came while we waited for our turn, which join ``batch``."""
        try:
            with self._db.begin(first=True) as connection:
                if company:
                    self._take_more(batch)
                # All processes in one order: two that hold a key each and wait for the other's would be a deadlock.
                rows = sorted((each.row for each in batch), key=lambda row: str(row["dedup_key"]))
                stored = self._insert.run(connection, rows)
        except Exception as error:
            if len(batch) > 1 and lies_in_the_data(error):
                # One row that the database refuses must not take the others with it.
                middle = len(batch) // 2
                self._commit(batch[:middle])
                self._commit(batch[middle:])
            else:
                self._fail(batch, error)
            return
        self._answer(batch, stored)
        if stored_for := Counter(each.row["shop_id"] for each in batch if each.result == "stored"):
            self._on_stored(stored_for)

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        log.error("storing %d webhooks failed", len(batch), exc_info=error)
        for each in batch:
            each.error = error
            each.ring()

    def _answer(self, batch: list[_Waiting], stored: set[str]) -> None:
        for each in batch:
            key = each.row["dedup_key"]
            each.result = "stored" if key in stored else "duplicate"
            stored.discard(key)  # twice in one batch: the second is the repeat
            each.ring()
