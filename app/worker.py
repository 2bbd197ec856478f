"""The worker: threads that account and deliver, and, in one worker at a time, what looks after the clock."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from app.db import Alone, Database
from app.services.account import BATCH, Accountant
from app.services.deliver import Deliverer
from app.services.holds import try_held
from app.services.missed import catch_up
from app.services.precedence import Clerk, Precedence
from app.services.route import Router
from app.services.upkeep import Upkeep, Upkeeping

if TYPE_CHECKING:
    from app.hints import Hints

log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE = 0.5  #: seconds between looks at the database when nobody woke us
ROUND = 0.05  #: seconds from one round to the next: what comes meanwhile, webhooks or answers, shares it
AFTER_ERROR = 2.0
SWEEP = 5.0
BREATH = 0.1  #: seconds between steps of catching up, in which others write
UPKEEP = 5.0
LAST_WORDS = 5.0  #: seconds to wait for the upkeep at the end


class Worker:
    """Runs the parts until stopped. `wake` tells it that there may be something to do.

    On PostgreSQL any number of workers account and deliver; one of them, which holds a lock for it, runs the upkeep. On
    SQLite the one that holds the lock does everything, and others wait.
    """

    def __init__(
        self,
        db: Database,
        router: Router,
        accountant: Accountant,
        deliverer: Deliverer,
        upkeep: Upkeeping,
        precedence: Precedence,
        hints: Hints | None = None,
    ) -> None:
        """``precedence``: that of both clerks."""
        self._db = db
        self._router = router
        self._accountant = accountant
        self._deliverer = deliverer
        self._upkeep = upkeep
        self._hints = hints
        self._precedence = precedence
        self._stop = threading.Event()
        self._leading = threading.Event()  #: we look after the clock
        self._arrived = threading.Event()
        self._due = threading.Event()
        self._main = threading.Thread(target=self._run, name="worker", daemon=True)
        self._clerks: list[threading.Thread] = []
        deliverer.caller.on_finished = self.settle
        accountant.on_owed = self._on_owed

    def start(self) -> None:
        self._main.start()

    def stop(self) -> None:
        """Finish what is under way and settle it."""
        self._stop.set()
        self.wake()
        self.settle()
        self._main.join()

    def wake(self, others: bool = False) -> None:
        """Webhooks were stored; with ``others`` some for shops that have little to do, beside one that has much."""
        if others:
            self._precedence.call(Clerk.ACCOUNTS)
        self._arrived.set()

    def settle(self) -> None:
        """A call came back, or something is due."""
        self._due.set()

    def _on_owed(self, destinations: set[int]) -> None:
        others = self._precedence.crowded() and self._precedence.at_first(Clerk.ACCOUNTS)
        if others:
            self._precedence.call(Clerk.DELIVERS)  # of this worker, whomever a hint wakes: nobody steps until it looked
        if self._hints:
            self._hints.deliveries(destinations)
        if others or not self._hints:
            self.settle()

    def _run(self) -> None:
        with ExitStack() as stack:
            if self._wait_for(self._db.beside_others, stack, _tell_of_an_older_one):
                self._work()
        self._upkeep.close()

    def _work(self) -> None:
        looking_after: list[threading.Thread] = []
        if not self._db.sqlite:
            self._start_clerks()
        while not self._stop.is_set():
            with ExitStack() as stack:
                alone = self._begin(stack)
                if alone is None:
                    break
                self._start_clerks()
                self._leading.set()
                looking_after = looking_after or self._start_looking_after()
                self._sweep(alone)
                self._leading.clear()
                if self._stop.is_set():
                    self._end_clerks()  # before another worker may begin
        self._end_clerks()
        # It may be asking a store: what it leaves undone falls due again.
        until = time.monotonic() + LAST_WORDS
        for thread in looking_after:
            thread.join(max(until - time.monotonic(), 0.0))

    def _start_clerks(self) -> None:
        if self._clerks:
            return
        self._clerks = [
            threading.Thread(
                target=self._loop,
                args=(Clerk.ACCOUNTS, self._accountant.work, self._arrived, BATCH),
                name="account",
                daemon=True,
            ),
            threading.Thread(
                target=self._loop,
                args=(Clerk.DELIVERS, self._deliverer.work, self._due),
                name="deliver",
                daemon=True,
            ),
        ]
        for thread in self._clerks:
            thread.start()
        if self._hints:
            self._hints.listen(self.wake, self.settle)

    def _end_clerks(self) -> None:
        """Let the calls under way come back, and settle them."""
        if self._hints:
            self._hints.ignore()
        for thread in self._clerks:
            thread.join()
        try:
            self._deliverer.close()
        except Exception:
            log.exception("calls could not be settled at the end: their leases run out")

    def _start_looking_after(self) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self._look_after, args=(each,), name="upkeep", daemon=True)
            for each in self._upkeep.parts
        ]
        for thread in threads:
            thread.start()
        return threads

    def _begin(self, stack: ExitStack) -> Alone | None:
        """Wait to be the one who looks after the clock; None if stopped before."""
        return self._wait_for(self._take_over, stack, self._tell_of_another)

    def _take_over(self, stack: ExitStack) -> Alone | None:
        """On SQLite that is the only worker there is. Whoever becomes it knows that the one before is dead, and so is
        what made its calls: what they were at is taken up at once, or as soon as a provider can be asked about it."""
        alone = self._db.alone(stack)
        if alone and self._db.sqlite:
            self._deliverer.begin_alone()
        return alone

    def _wait_for(self, take: Callable[[ExitStack], T], stack: ExitStack, tell: Callable[[], None]) -> T | None:
        """What ``take`` takes, once there is anything to take; None if stopped before."""
        told = False
        while not self._stop.is_set():
            try:
                if taken := take(stack):
                    return taken
            except Exception:
                stack.close()  # the lock, if it was had: it would keep us out of the next try
                log.exception("the worker could not begin; trying again")
                self._stop.wait(AFTER_ERROR)
                continue
            if not told:
                tell()
                told = True
            self._stop.wait(SWEEP)
        return None

    def _tell_of_another(self) -> None:
        if self._db.sqlite:
            log.warning("another worker is at this database; this one waits until that one ends")
        else:
            log.info("another worker looks after the clock; this one accounts and delivers")

    def _loop(self, clerk: Clerk, work: Callable[[], int], bell: threading.Event, full: float = math.inf) -> None:
        """Work whenever the bell rings, or by and by without it.

        Where a round did ``full`` or more, go on at once.
        """
        while not self._stop.is_set():
            began = time.monotonic()
            bell.clear()
            try:
                done = work()
            except Exception:
                log.exception("a round of the worker failed; trying again")
                self._precedence.waive(clerk)
                self._stop.wait(AFTER_ERROR)
                continue
            if not done:
                bell.wait(IDLE)
            if done < full and (early := began + ROUND - time.monotonic()) > 0:
                self._precedence.rest(clerk, early)

    def _look_after(self, upkeep: Upkeep) -> None:
        while not self._stop.is_set():
            if self._leading.is_set():
                upkeep.work(lambda: datetime.now(UTC))
                self.wake()  # a reconciliation may have brought webhooks
            self._stop.wait(UPKEEP)

    def _sweep(self, alone: Alone) -> None:
        """Look after held destinations until stopped, or until it is another one's turn."""
        pause = SWEEP
        while not self._stop.wait(pause):
            pause = SWEEP
            if not alone.held():
                log.error(
                    "the database took this worker's lock away: others look after the clock until it has it again"
                )
                return
            try:
                released = try_held(self._db, datetime.now(UTC))
                if catch_up(self._db, self._router):
                    pause = BREATH
            except Exception:
                log.exception("looking after held destinations failed; trying again")
                continue
            if released:
                self.settle()


def _tell_of_an_older_one() -> None:
    log.warning("a worker of an older version is at this database; this one waits until that one ends")
