"""Deliver: claim what is due, render it, write the attempts, send, and write what came of it.

Clerks do all the database work, any number of them in any number of processes; calls are made by threads, mostly of
another process, that know no database. A clerk writes the attempt with its payload and a lease before the call, and
the outcome after it. A process that dies between the two leaves a lease that runs out and an attempt without an
outcome: the answer counts as lost, and the action's declaration says what then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from sqlalchemy.exc import OperationalError

from app.db import Database, lies_in_the_data
from app.services import claims
from app.services.assemble import Assembly
from app.services.budgets import Budgets
from app.services.calls import Call, Caller
from app.services.holds import LEASE
from app.services.precedence import Precedence, Recent, parted
from app.services.route import Router
from app.services.settle import Settler
from app.services.shared_clock import SharedClock

log = logging.getLogger(__name__)

#: Seconds that the claims of one transaction may take. On SQLite no webhook is stored meanwhile; on PostgreSQL other
#: workers may wait for a provider's gate, and the more deliveries share a transaction, the less each costs.
CLAIMING = {"sqlite": 0.05, "postgresql": 0.25}
DESTINATIONS = (8, 64)  #: looked at in one transaction; between these, as many as it has room for
ROWS = (32, 256)  #: deliveries looked at in one transaction; between these, as many as are done in that time
SETTLED_AT_ONCE = 200  #: deliveries in one transaction, so that it is short; more only where one call has more
IN_A_STEP = 64  #: deliveries claimed or settled in one transaction where there are busy destinations and others
PASSES = 3  #: times that a destination is looked at in one round; an order mostly has no more states than that
RESTING = 5.0  #: seconds for a destination whose claim failed, so that it costs the others little


class Deliverer:
    """The clerk. `work` does one round; `app.worker` calls it in a loop."""

    def __init__(
        self,
        db: Database,
        router: Router,
        budgets: Budgets,
        *,
        caller: Caller,
        scale: float = 1.0,
        precedence: Precedence | None = None,
    ) -> None:
        """
        Args:
            scale: divides the waits between retries (tests, trials); 1 in earnest.
            precedence: shared with whoever accounts in the same process.
        """
        self._db = db
        self._router = router
        self._budgets = budgets
        self._claiming = CLAIMING["sqlite" if db.sqlite else "postgresql"]
        self._clock = SharedClock(scale)
        self._settler = Settler(scale)
        self._at_once = ROWS[0]
        self._together = DESTINATIONS[1]
        self._precedence = precedence or Precedence()
        self._recent = Recent()
        self._ended: set[int] = set()  #: destinations of which something ended without a call
        self._resting: dict[int, float] = {}  #: destinations to leave alone, until when by time.monotonic()
        self.caller = caller
        self._under_way: dict[int, float] = {}  #: deliveries that are neither settled nor lost, by their claims' moment

    def work(self) -> int:
        """Settle what came back, claim what is due, for busy destinations last, and start its calls.

        Returns:
            How many deliveries moved; one more where busy destinations had to give way, so that nobody takes it that
            there is nothing to do.
        """
        if self._precedence.crowded():
            return self._work_in_steps()
        moved = self._settle_finished()
        busy, others = self._parted()
        if others:
            with self._precedence.others():
                moved += self._claim_all(others)
        if busy:
            with self._precedence.step():
                moved += self._claim_all(busy)
        return moved

    def _work_in_steps(self) -> int:
        """As `work`, but all that is not for others is as much as keeps them waiting for a moment."""
        busy, others = self._parted()
        moved = 0
        if others:
            with self._precedence.others():
                moved += self._claim_all(others)
        with self._precedence.step(busy=bool(busy)) as ours:
            if not ours:
                return moved + 1
            moved += self._settle_some()
            if busy and self.caller.room():
                moved += self._claim_next(busy)[0]
        return moved

    def _parted(self) -> tuple[list[int], list[int]]:
        """Busy destinations for which something is due, and others."""
        now = time.monotonic()
        self._resting = {each: until for each, until in self._resting.items() if until > now}
        return parted([each for each in self._due() if each not in self._resting], self._recent.busy)

    def _claim_all(self, due: Sequence[int]) -> int:
        """Claim for all of these destinations; and again where something ended without a call, such as a state that
        another one superseded: what waited behind it need not wait for the next round."""
        moved = 0
        for _ in range(PASSES):
            self._ended.clear()
            moved += self._claim_once(due)
            due = [each for each in due if each in self._ended]
        return moved

    def _claim_once(self, due: Sequence[int]) -> int:
        """Claim for all of these destinations, and settle in between, unless that would keep the rest waiting."""
        moved = 0
        while due and self.caller.room():
            came, due = self._claim_next(due)
            moved += came
            if due and not self._precedence.crowded():
                moved += self._settle_finished()
        return moved

    def _claim_next(self, due: Sequence[int]) -> tuple[int, Sequence[int]]:
        """Claim for as many of these destinations as fit into one transaction; return what moved, and the others."""
        some = due[: min(self.caller.room(), self._together)]
        came, left = self._claim_some(some)
        self._gather(len(some), len(left))
        return came, [*left, *due[len(some) :]]

    def _due(self) -> list[int]:
        with self._db.read() as session:
            found = claims.due(session, self._clock.now(session))
        if not self._clock.set_back:
            return found
        self._begin_anew()
        return self._due()

    def deliver(self, destination_id: int) -> int:
        """Claim what one destination may send now, and start the calls; return how many deliveries moved."""
        return self._claim([destination_id])[0]

    def settle(self) -> bool:
        """Settle what came back and claim nothing; return whether no call is under way any more."""
        self._settle_finished()
        return self.caller.idle()

    def close(self) -> None:
        """Let the calls under way finish, and settle them."""
        self.caller.close()
        self._settle_finished()

    # claiming

    def _claim_some(self, some: Sequence[int]) -> tuple[int, Sequence[int]]:
        """Claim for several destinations; where that fails, for each by itself, for the trouble may be one's own."""
        try:
            return self._claim(some)
        except OperationalError:
            raise  # the database itself
        except Exception as error:
            log.warning("deliveries could not be claimed together (%s)", type(error).__name__)
        return sum(map(self._claim_alone, some)), ()

    def _claim_alone(self, destination_id: int) -> int:
        try:
            return self.deliver(destination_id)
        except Exception:
            log.exception("deliveries could not be claimed", extra={"destination": destination_id})
            self._resting[destination_id] = time.monotonic() + RESTING
            return 0

    def _claim(self, some: Sequence[int]) -> tuple[int, Sequence[int]]:
        """Claim in one transaction; return how many deliveries moved, and the destinations that it has no time for."""
        reserved: list[int] = []

        def reserve(most: int) -> int:
            reserved.append(self.caller.reserve(most))
            return reserved[-1]

        own = self._own()
        at_once = IN_A_STEP if self._precedence.crowded() else self._at_once
        try:
            with self._db.write() as session:
                began = time.monotonic()
                found = claims.enter(session, some, self._budgets, reserve, own, at_once)
                assembly = Assembly(session, self._router, found)
                calls = [call for claim in found.claims for call in assembly.calls(claim)]
                moved = assembly.write()
        except BaseException:
            self.caller.free(sum(reserved))
            raise
        self.caller.free(sum(reserved) - len(calls))
        self._ended |= assembly.ended()
        if calls:
            self._recent.note(call.target.id for call in calls for _ in call.items)
            self._under_way |= {item.delivery_id: call.claimed_at for call in calls for item in call.items}
            self.caller.start(calls)
        self._pace(time.monotonic() - began)
        return moved, found.left

    def begin_alone(self) -> None:
        """Take up what a dead worker left; only for whoever knows that there is no other one alive."""
        with self._db.write() as session:
            claims.end_leases(session, self._clock)

    def _begin_anew(self) -> None:
        """What was to wait for so long waits no longer than that, by a clock that was set back."""
        with self._db.write() as session:
            claims.begin_anew(session, self._clock.now(session))
        self._clock.set_back = False

    def _own(self) -> claims.Own:
        """By a clock that nobody sets: leases go by one that may be stepped while calls are under way."""
        over = time.monotonic() - LEASE.total_seconds()
        self._under_way = {each: began for each, began in self._under_way.items() if began > over}
        return claims.Own(self._under_way, self._clock)

    def _pace(self, seconds: float) -> None:
        """So many deliveries took so long: look at fewer the next time, or at more."""
        if seconds > self._claiming:
            self._at_once = max(self._at_once // 2, ROWS[0])
        elif seconds < self._claiming / 2:
            self._at_once = min(self._at_once * 2, ROWS[1])

    def _gather(self, together: int, left: int) -> None:
        """Of so many destinations so many were in vain: look at fewer the next time, or at more."""
        if left:
            self._together = max(together - left + DESTINATIONS[0], DESTINATIONS[0])
        elif together == self._together:
            self._together = min(self._together * 2, DESTINATIONS[1])

    # settling

    def _settle_finished(self) -> int:
        settled = 0
        finished = self.caller.finished()
        while finished:
            some = _first(finished, SETTLED_AT_ONCE)
            self._settle_first(some, finished)
            settled += sum(len(call.items) for call in some)
            finished = finished[len(some) :]
        return settled

    def _settle_some(self) -> int:
        """What fits into a step."""
        finished = self.caller.finished()
        some = _first(finished, IN_A_STEP)
        if some:
            self._settle_first(some, finished)
            self.caller.give_back(finished[len(some) :])
        return sum(len(call.items) for call in some)

    def _settle_first(self, some: Sequence[Call], finished: list[Call]) -> None:
        """Settle ``some`` of ``finished``."""
        try:
            self._settle(some)
        except BaseException:
            self.caller.give_back(finished)  # an outcome must not be lost to a full disk
            raise
        self.caller.free(len(some))
        self._forget(some)

    def _forget(self, calls: Sequence[Call]) -> None:
        for call in calls:
            for item in call.items:
                if self._under_way.get(item.delivery_id) == call.claimed_at:
                    del self._under_way[item.delivery_id]

    def _settle(self, calls: Sequence[Call]) -> None:
        """Write what came of ``calls`` together; where that fails, of each by itself, for the trouble may be one's own.

        What cannot be written even so counts as a lost answer. Were it tried again and again, nothing would be sent any
        more, to anybody.
        """
        try:
            self._write(calls)
        except Exception as error:
            if not lies_in_the_data(error):
                raise
            log.warning("outcomes could not be written together (%s)", type(error).__name__)
            for call in calls:
                self._settle_alone(call)

    def _settle_alone(self, call: Call) -> None:
        try:
            self._write([call])
        except Exception as error:
            if not lies_in_the_data(error):
                raise
            about = {"shop": call.target.shop_id, "delivery": call.items[0].delivery_id}
            log.exception("what came of a call to %s could not be written", call.target.provider, extra=about)
            call.lose(type(error).__name__)
            self._write_lost(call)

    def _write_lost(self, call: Call) -> None:
        try:
            self._write([call])
        except Exception as error:
            if not lies_in_the_data(error):
                raise
            log.exception("nothing can be written of a call to %s: its lease runs out", call.target.provider)

    def _write(self, calls: Sequence[Call]) -> None:
        with self._db.write() as session:
            self._settler.settle(session, calls, self._clock.now(session))


def _first(calls: Sequence[Call], most: int) -> Sequence[Call]:
    """The first ``calls`` with up to so many deliveries, one at least."""
    number = 0
    for place, call in enumerate(calls):
        number += len(call.items)
        if place and number > most:
            return calls[:place]
    return calls
