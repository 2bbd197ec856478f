"""The embedded worker: one thread that accounts, one that delivers, one that looks after the clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from app.db import Alone, Database
from app.services.account import BATCH, Accountant
from app.services.deliver import Deliverer
from app.services.holds import end_leases, try_held
from app.services.route import Router
from app.services.upkeep import Upkeep, Upkeeping

log = logging.getLogger(__name__)

IDLE = 0.5  #: seconds between looks at the database when nobody woke us
AFTER_ERROR = 2.0
SWEEP = 5.0
UPKEEP = 5.0
LAST_WORDS = 5.0  #: seconds to wait for the upkeep at the end


class Worker:
    """Runs the parts until stopped. `wake` tells it that there may be something to do."""

    def __init__(
        self, db: Database, router: Router, accountant: Accountant, deliverer: Deliverer, upkeep: Upkeeping
    ) -> None:
        self._db = db
        self._router = router
        self._accountant = accountant
        self._deliverer = deliverer
        self._upkeep = upkeep
        self._stop = threading.Event()
        self._lost = threading.Event()  #: we are not the only worker any more
        self._arrived = threading.Event()
        self._due = threading.Event()
        self._main = threading.Thread(target=self._run, name="worker", daemon=True)
        deliverer.caller.on_finished = self.settle

    def start(self) -> None:
        self._main.start()

    def stop(self) -> None:
        """Finish what is under way and settle it."""
        self._stop.set()
        self.wake()
        self.settle()
        self._main.join()
        self._deliverer.close()

    def wake(self) -> None:
        """Webhooks were stored."""
        self._arrived.set()

    def settle(self) -> None:
        """A call came back, or something is due."""
        self._due.set()

    def _run(self) -> None:
        looking_after: list[threading.Thread] = []
        while not self._stop.is_set():
            with ExitStack() as stack:
                alone = self._begin(stack)
                if alone is None:
                    break
                self._lost.clear()
                looking_after = looking_after or self._start_looking_after()
                self._work(alone)
        # It may be asking a store: what it leaves undone falls due again.
        until = time.monotonic() + LAST_WORDS
        for thread in looking_after:
            thread.join(max(until - time.monotonic(), 0.0))
        self._upkeep.close()

    def _start_looking_after(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self._look_after, args=(each,), name="upkeep", daemon=True)
            for each in self._upkeep.parts
        ]
        for thread in threads:
            thread.start()
        return threads

    def _work(self, alone: Alone) -> None:
        """Work until stopped, or no longer the only worker."""
        threads = [
            threading.Thread(target=self._loop, args=(self._account, self._arrived), name="account", daemon=True),
            threading.Thread(target=self._loop, args=(self._deliver, self._due), name="deliver", daemon=True),
            threading.Thread(target=self._sweep, args=(alone,), name="sweep", daemon=True),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._lost.is_set():
            self._settle_calls()

    def _settle_calls(self) -> None:
        """Whoever begins takes all calls under way for a dead worker's: of ours there must be none when we do."""
        while not self._stop.is_set():
            try:
                if self._deliverer.settle():
                    return
            except Exception:
                log.exception("calls could not be settled; trying again")
                self._stop.wait(AFTER_ERROR)
            self._due.wait(IDLE)
            self._due.clear()

    def _begin(self, stack: ExitStack) -> Alone | None:
        """Wait to be the only worker at this database; None if stopped before.

        One at a time keeps the budgets and the one-call-per-customer rule true. And whoever becomes the only one knows
        that the one before is dead, so what that one was at is taken up at once, not when its leases run out.
        """
        told = False
        while not self._stop.is_set():
            try:
                if alone := self._db.alone(stack):
                    with self._db.write() as session:
                        end_leases(session)
                    return alone
            except Exception:
                stack.close()  # the lock, if it was had: it would keep us out of the next try
                log.exception("the worker could not begin; trying again")
                self._stop.wait(AFTER_ERROR)
                continue
            if not told:
                log.warning("another worker is at this database; this one waits until that one ends")
                told = True
            self._stop.wait(SWEEP)
        return None

    def _account(self) -> bool:
        done = self._accountant.work()
        if done:
            self.settle()
        return done >= BATCH

    def _deliver(self) -> bool:
        return self._deliverer.work() > 0

    def _loop(self, work: Callable[[], bool], bell: threading.Event) -> None:
        while not (self._stop.is_set() or self._lost.is_set()):
            bell.clear()
            try:
                more = work()
            except Exception:
                log.exception("a round of the worker failed; trying again")
                self._stop.wait(AFTER_ERROR)
                continue
            if not more:
                bell.wait(IDLE)

    def _look_after(self, upkeep: Upkeep) -> None:
        while not self._stop.is_set():
            if not self._lost.is_set():
                upkeep.work(lambda: datetime.now(UTC))
                self.wake()  # a reconciliation may have brought webhooks
            self._stop.wait(UPKEEP)

    def _sweep(self, alone: Alone) -> None:
        while not self._stop.wait(SWEEP):
            if not alone.held():
                log.error("the database took the worker's lock away; this worker stops until it has the lock again")
                self._lost.set()
                self.wake()
                self.settle()
                return
            try:
                with self._db.write() as session:
                    released = try_held(session, datetime.now(UTC))
                    self._router.catch_up(session)
            except Exception:
                log.exception("looking after held destinations failed; trying again")
                continue
            if released:
                self.settle()
