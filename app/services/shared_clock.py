"""The clock that all workers share, and how far leases and waits that go by it can be believed.

It is the database's, on SQLite the machine's: the one that all processes have in common, but one that can be stepped.
A step forward ends leases of calls that have hardly begun, and waits that have hardly begun. Each process sees a step
by its own monotonic clock, which nobody sets: then what others have under way, and providers that are to be asked about
lost answers, are left alone for as long as it may take by that clock.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.db import clock
from app.services.holds import LEASE, SETTLING

STEP = 1.0  #: seconds; less is how long it took to ask, or a clock that is set right slowly


class SharedClock:
    """As one worker reads it; `now` is to be asked again and again, for a step between two answers is seen by them."""

    def __init__(self, scale: float = 1.0) -> None:
        """``scale`` divides the waits (tests, trials); 1 in earnest."""
        self.settling = SETTLING / scale
        self._lease = LEASE.total_seconds() / scale
        self._ahead: float | None = None  #: of `time.monotonic`, in seconds, at most
        self._leases_from = 0.0  #: by `time.monotonic`
        self._asks_from = time.monotonic() + self.settling.total_seconds()  # nobody knows what was before

    def now(self, session: Session) -> datetime:
        before, now, after = time.monotonic(), clock(session), time.monotonic()
        at_least, at_most = now.timestamp() - after, now.timestamp() - before
        if self._ahead is not None and at_least > self._ahead + STEP:
            self._leases_from = after + self._lease
            self._asks_from = after + self.settling.total_seconds()
            self._ahead = None
        if self._ahead is None or after - before < STEP:
            self._ahead = at_most
        else:  # it took long, so that much could hide in it
            self._ahead = min(self._ahead, at_most)
        return now

    def leases_count(self) -> bool:
        """Whether a lease that ran out was given long enough ago for its call to be over."""
        return time.monotonic() >= self._leases_from

    def ask_in(self) -> timedelta:
        """For how long nobody may be asked about a lost answer; mostly zero."""
        return timedelta(seconds=max(self._asks_from - time.monotonic(), 0.0))
