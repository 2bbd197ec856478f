"""Budgets: how many calls a destination, or a provider for the whole installation, may make now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.db import clock
from app.models import Gate
from app.providers.base import Limit
from app.providers.registry import PROVIDERS
from app.services import gates
from app.services.gates import Calls, Place

#: Beyond this many calls in a window, counting them costs more than it guards.
BOUNDLESS = 50_000
PARTS = 32  #: of a window: calls of one part are counted together, and leave the window with the last of them


class Budgets:
    """Moving windows, because providers count any window of that length. ``factor`` scales all limits (tests).

    They stand in the database, so that they hold for all workers together.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self._limits = {name: _scaled(provider.limits, factor) for name, provider in PROVIDERS.items()}

    def open(self, session: Session, entered: Mapping[Place, Calls], now: datetime) -> Spending:
        """The budgets for one transaction, which went through the gates ``entered``.

        Args:
            now: after that, by the clock that all workers share, see `app.db.clock`.
        """
        return Spending(self._limits, session, entered, now)


class Spending:
    """What one transaction takes out of budgets.

    What is left is judged by the clock as it was read within the gate, so that everybody before has written by then.
    What was taken counts from the moment in which it is written, for the calls begin after that.
    """

    def __init__(
        self, limits: Mapping[str, Sequence[Limit]], session: Session, entered: Mapping[Place, Calls], now: datetime
    ) -> None:
        self._limits = limits
        self._session = session
        self._calls = dict(entered)
        self._now = dict.fromkeys(entered, now)
        self._taken: dict[Place, int] = defaultdict(int)
        self._windows: dict[Place, Sequence[Limit]] = {}  #: of what was asked for

    def left(self, provider: str, destination_id: int, under_way: int) -> bool:
        """Whether there is one more call, with all that it and those ``under_way`` may have to ask further.

        Where a limit is too small for that, a call goes alone.
        """
        limits = self._limits[provider]
        if not limits:
            return True
        place = gates.of(provider, destination_id)
        calls, taken = self._counted(place, limits), self._taken[place]
        further = (under_way + 1) * PROVIDERS[provider].further
        for limit in limits:
            spent = _lately(calls, limit, self._now[place]) + taken
            alone = not spent and not under_way
            if spent + further >= limit.requests and not alone:
                return False
        return True

    def take(self, provider: str, destination_id: int) -> None:
        """Use up one call."""
        if limits := self._limits[provider]:
            place = gates.of(provider, destination_id)
            self._counted(place, limits)
            self._taken[place] += 1

    def write(self) -> None:
        """Write what was taken: last of all, for the calls begin when this is committed."""
        places = sorted(place for place in self._windows if self._taken[place] or self._ahead(place))
        if not places:
            return
        now = clock(self._session)
        gates.write(self._session.connection(), {place: self._at(place, now) for place in places})

    def _counted(self, place: Place, limits: Sequence[Limit]) -> Calls:
        """A provider's gate is entered, after whoever has it, at the first question."""
        if place not in self._calls:
            self._calls[place] = gates.enter(self._session, place).calls
            self._now[place] = clock(self._session)
        self._windows[place] = limits
        return self._calls[place]

    def _ahead(self, place: Place) -> bool:
        """Whether there are calls of a later time, which have to be written anew."""
        return any(
            part > _part(limit.seconds, self._now[place])
            for limit in self._windows[place]
            for part, _ in self._calls[place].get(str(limit.seconds), ())
        )

    def _at(self, place: Place, now: datetime) -> Calls:
        calls, taken = self._calls[place], self._taken[place]
        return {str(limit.seconds): _in_window(calls, limit.seconds, now, taken) for limit in self._windows[place]}


def note(session: Session, gate: Gate, further: int) -> None:
    """Count requests that a call made beyond the one that was taken for it; ``gate`` is entered."""
    now = clock(session)
    gate.calls = {seconds: _in_window(gate.calls, int(seconds), now, further) for seconds in gate.calls}


def _scaled(limits: tuple[Limit, ...], factor: float) -> Sequence[Limit]:
    scaled = [Limit(requests=max(int(each.requests * factor), 1), seconds=each.seconds) for each in limits]
    return [each for each in scaled if each.requests <= BOUNDLESS]


def _part(seconds: int, now: datetime) -> int:
    return int(now.timestamp() * PARTS / seconds)


def _lately(calls: Calls, limit: Limit, now: datetime) -> int:
    """How many are in the window still."""
    return sum(number for _, number in _in_window(calls, limit.seconds, now))


def _in_window(calls: Calls, seconds: int, now: datetime, begun: int = 0) -> list[list[int]]:
    """The calls that are in the window still, and so many that begin now.

    Those of a later time were counted before the clock was set back, nobody knows how long ago. They count as begun
    now: so none is forgotten, and written so they leave the window when it has passed once, instead of standing in the
    way until that time comes.
    """
    last = _part(seconds, now)
    counted = calls.get(str(seconds), ())
    earlier = [each for each in counted if last - PARTS <= each[0] < last]
    at_last = begun + sum(number for part, number in counted if part >= last)
    return [*earlier, [last, at_last]] if at_last else earlier
