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
from typing import NamedTuple

from sqlalchemy.exc import OperationalError

from app.db import Database, lies_in_the_data
from app.services import claims
from app.services.assemble import Assembly
from app.services.budgets import Budgets
from app.services.calls import Call, Caller
from app.services.holds import LEASE
from app.services.precedence import Clerk, Precedence
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
IN_A_STEP = 16  #: deliveries of busy shops that are claimed, or settled, in one transaction while others have work
KEPT = 0.25  #: part of the threads that is left to others then
PASSES = 3  #: times that a destination is looked at in one round; an order mostly has no more states than that
RESTING = 5.0  #: seconds for a destination whose claim failed, so that it costs the others little


class Claimed(NamedTuple):
    """What came of a transaction that claims."""

    moved: int  #: deliveries
    left: Sequence[int]  #: destinations that it had no time for
    skipped: set[int]  #: destinations of which something was skipped: more of them may go now


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
        self._resting: dict[int, float] = {}  #: destinations to leave alone, until when by time.monotonic()
        self.caller = caller
        self._kept = int(caller.size * KEPT)
        self._settled_last = False  #: in the step before
        self._under_way: dict[int, float] = {}  #: deliveries that are neither settled nor lost, by their claims' moment

    def work(self) -> int:
        """Settle what came back, claim what is due, for busy shops last, and start its calls.

        Returns:
            How many deliveries moved; or one more where busy shops had to give way, so that nobody takes it that there
            is nothing to do.
        """
        with self._precedence.first(Clerk.DELIVERS):
            moved = self._settle_others() if self._precedence.crowded() else self._settle_finished()
            busy, others = self._parted()
            moved += self._claim_all(others)
        if self._precedence.crowded():
            return moved + self._step(busy)
        self._precedence.waive(Clerk.DELIVERS)
        return moved + self._claim_all(busy)

    def _step(self, busy: Sequence[int]) -> int:
        """Settle or claim, by turns, as much as keeps others waiting for a moment only; 1 where it was not the moment
        for it."""
        finished = self.caller.finished()
        claims = bool(busy) and self.caller.room() > self._kept
        if not (claims or finished):
            self._precedence.waive(Clerk.DELIVERS)
            return 0
        with self._precedence.step(Clerk.DELIVERS) as ours:
            settles = ours and bool(finished) and not (claims and self._settled_last)
            some = _first(finished, IN_A_STEP) if settles else ()
            moved = self._settle_some(some, finished) if settles else 0
            left = finished[len(some) :]
            self.caller.give_back(left)
            if not ours:
                return 1
            if not settles:
                moved = self._claim_next(busy, step=True).moved
        self._settled_last = settles
        if left or (claims if settles else moved >= IN_A_STEP):
            self._precedence.want(Clerk.DELIVERS)
            return moved or 1  # a claim in vain, with answers that wait
        return moved

    def _parted(self) -> tuple[list[int], list[int]]:
        """Destinations for which something is due: those of busy shops, and others."""
        now = time.monotonic()
        self._resting = {each: until for each, until in self._resting.items() if until > now}
        due = [each for each in self._due() if each.id not in self._resting]
        busy, others = self._precedence.parted(due, lambda each: each.shop_id)
        return [each.id for each in busy], [each.id for each in others]

    def _claim_all(self, due: Sequence[int]) -> int:
        """Claim for all of these destinations, and settle in between, unless that would keep others waiting.

        Where something was skipped, such as a state that another one superseded, what waited behind it need not wait
        for the next round.
        """
        moved = 0
        for _ in range(PASSES):
            again: set[int] = set()
            left = due
            while left and self.caller.room():
                came, left, skipped = self._claim_next(left)
                moved += came
                again |= skipped
                if left and not self._precedence.crowded():
                    moved += self._settle_finished()
            due = [each for each in due if each in again]
        return moved

    def _claim_next(self, due: Sequence[int], *, step: bool = False) -> Claimed:
        """Claim for as many of these destinations as fit into one transaction; ``left`` are all others."""
        some = due[: min(self.caller.room(), self._together)]
        claimed = self._claim_some(some, step=step)
        if not step:
            self._gather(len(some), len(claimed.left))
        return claimed._replace(left=[*claimed.left, *due[len(some) :]])

    def _due(self) -> list[claims.Due]:
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

    def _claim_some(self, some: Sequence[int], *, step: bool) -> Claimed:
        """Claim for several destinations; where that fails, for each by itself, for the trouble may be one's own."""
        try:
            return self._claim(some, step=step)
        except OperationalError:
            raise  # the database itself
        except Exception as error:
            log.warning("deliveries could not be claimed together (%s)", type(error).__name__)
        return Claimed(sum(map(self._claim_alone, some)), (), set())

    def _claim_alone(self, destination_id: int) -> int:
        try:
            return self.deliver(destination_id)
        except Exception:
            log.exception("deliveries could not be claimed", extra={"destination": destination_id})
            self._resting[destination_id] = time.monotonic() + RESTING
            return 0

    def _claim(self, some: Sequence[int], *, step: bool = False) -> Claimed:
        """Claim in one transaction; in a step few deliveries, and a part of the threads is left to others."""
        reserved: list[int] = []
        kept = self._kept if step else 0

        def reserve(most: int) -> int:
            reserved.append(self.caller.reserve(min(most, self.caller.room() - kept)))
            return reserved[-1]

        own = self._own()
        at_once = min(self._at_once, IN_A_STEP) if step else self._at_once
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
        if calls:
            self._under_way |= {item.delivery_id: call.claimed_at for call in calls for item in call.items}
            self.caller.start(calls)
        self._precedence.recent.note(assembly.moved())
        if not step:
            self._pace(time.monotonic() - began)
        return Claimed(moved, found.left, assembly.skipped())

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
        return self._settle_all(self.caller.finished())

    def _settle_others(self) -> int:
        """What waits behind them does not have to wait for the steps of busy shops."""
        of_busy, of_others = self._precedence.of_whom(self.caller.finished(), lambda call: call.target.shop_id)
        self.caller.give_back(of_busy)
        return self._settle_all(of_others)

    def _settle_all(self, finished: Sequence[Call]) -> int:
        settled = 0
        while finished:
            some = _first(finished, SETTLED_AT_ONCE)
            settled += self._settle_some(some, finished)
            finished = finished[len(some) :]
        return settled

    def _settle_some(self, some: Sequence[Call], finished: Sequence[Call]) -> int:
        """Settle ``some`` of ``finished``; return how many deliveries they are."""
        try:
            self._settle(some)
        except BaseException:
            self.caller.give_back(finished)  # an outcome must not be lost to a full disk
            raise
        self.caller.free(len(some))
        self._forget(some)
        return sum(len(call.items) for call in some)

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
