"""The embedded worker: one thread that accounts, one that delivers, one that looks after the clock."""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO

from app.db import Database
from app.services.account import BATCH, Accountant
from app.services.deliver import Deliverer, end_leases, try_held

log = logging.getLogger(__name__)

IDLE = 0.5  #: seconds between looks at the database when nobody woke us
AFTER_ERROR = 2.0
SWEEP = 5.0


class Worker:
    """Runs the parts until stopped. `wake` tells it that there may be something to do."""

    def __init__(self, db: Database, accountant: Accountant, deliverer: Deliverer) -> None:
        self._db = db
        self._accountant = accountant
        self._deliverer = deliverer
        self._lock: IO[str] | None = None
        self._stop = threading.Event()
        self._arrived = threading.Event()
        self._due = threading.Event()
        self._main = threading.Thread(target=self._run, name="worker", daemon=True)
        deliverer.on_result = self.settle

    def start(self) -> None:
        self._main.start()

    def stop(self) -> None:
        """Finish what is under way and settle it."""
        self._stop.set()
        self.wake()
        self.settle()
        self._main.join()
        self._deliverer.close()
        if self._lock:
            self._lock.close()

    def wake(self) -> None:
        """Webhooks were stored."""
        self._arrived.set()

    def settle(self) -> None:
        """A call came back, or something is due."""
        self._due.set()

    def _run(self) -> None:
        if not self._alone():
            return
        threads = [
            threading.Thread(target=self._loop, args=(self._account, self._arrived), name="account", daemon=True),
            threading.Thread(target=self._loop, args=(self._deliver, self._due), name="deliver", daemon=True),
            threading.Thread(target=self._sweep, name="sweep", daemon=True),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _alone(self) -> bool:
        """On SQLite one worker works at a time: whoever gets the lock knows that the one before is dead.

        So what that one was at is taken up at once, instead of when its leases run out.
        """
        path = self._db.file
        if path is None:
            return True
        self._lock = open(f"{path}.worker", "w")  # noqa: SIM115 - held for as long as the worker lives
        while not self._stop.is_set():
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                log.warning("another worker is at this database; waiting for it to end")
                self._stop.wait(SWEEP)
                continue
            with self._db.write() as session:
                end_leases(session)
            return True
        return False

    def _account(self) -> bool:
        done = self._accountant.work()
        if done:
            self.settle()
        return done >= BATCH

    def _deliver(self) -> bool:
        return self._deliverer.work() > 0

    def _loop(self, work: Callable[[], bool], bell: threading.Event) -> None:
        while not self._stop.is_set():
            bell.clear()
            try:
                more = work()
            except Exception:
                log.exception("a round of the worker failed; trying again")
                self._stop.wait(AFTER_ERROR)
                continue
            if not more:
                bell.wait(IDLE)

    def _sweep(self) -> None:
        while not self._stop.wait(SWEEP):
            try:
                with self._db.write() as session:
                    released = try_held(session, datetime.now(UTC))
            except Exception:
                log.exception("looking after held destinations failed; trying again")
                continue
            if released:
                self.settle()
