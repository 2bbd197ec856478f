"""The clock that all workers share, and how far leases and waits that go by it can be believed.

It is the database's, on SQLite the machine's: the one that all processes have in common, but one that can be stepped.
A step forward ends leases of calls that have hardly begun, and waits that have hardly begun; a step back lets both last
for as long as it was. Each worker sees a step by its own monotonic clock, which nobody sets, and of what was before its
first look it knows nothing. So after either, what others have under way, and providers that are to be asked about lost
answers, are left alone for as long as it may take by that clock.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.db import clock
from app.services.holds import LEASE, SETTLING

log = logging.getLogger(__name__)

STEP = 1.0  #: seconds within a lease; less is how long it took to look, or a clock that is set right slowly
BACK = 60.0  #: seconds; less only delays, and is soon over


class SharedClock:
    """As one worker reads it; `now` is to be asked again and again, for a step is seen by its answers."""

    def __init__(self, scale: float = 1.0) -> None:
        """``scale`` divides the waits (tests, trials); 1 in earnest."""
        self.settling = SETTLING / scale
        self._lease = LEASE.total_seconds() / scale
        #: What it was ahead of `time.monotonic`, in seconds, and when; of the last lease, a second apart.
        self._ahead: deque[tuple[float, float]] = deque()
        self._since: float | None = None  #: by `time.monotonic`; nothing of before can be believed
        self.set_back = False  #: until somebody has seen to it

    def now(self, session: Session) -> datetime:
        before, now, after = time.monotonic(), clock(session), time.monotonic()
        self._note(now.timestamp() - after, now.timestamp() - before, after)
        return now

    def _note(self, at_least: float, at_most: float, at: float) -> None:
        """So much it was ahead just now."""
        known = self._ahead
        while len(known) > 1 and known[0][0] < at - LEASE.total_seconds():
            known.popleft()
        if known and at_least > min(ahead for _, ahead in known) + STEP:
            log.warning("the clock that workers share was stepped forward: what others have under way is left alone")
            self._since = None
        elif known and at_most < known[-1][1] - BACK:
            log.warning("the clock that workers share was stepped back: what waits for a later time falls due now")
            self.set_back, self._since = True, None
        if at_most - at_least < STEP:  # else too much could hide in it
            if self._since is None:
                known.clear()
                self._since = at
            if not known or known[-1][0] <= at - 1.0:
                known.append((at, at_most))

    def leases_count(self) -> bool:
        """Whether a lease that ran out was given long enough ago for its call to be over."""
        return self._since is not None and time.monotonic() >= self._since + self._lease

    def ask_in(self) -> timedelta:
        """For how long nobody may be asked about a lost answer; mostly zero."""
        if self._since is None:
            return self.settling
        return max(self.settling - timedelta(seconds=time.monotonic() - self._since), timedelta())
