"""Pauses: the circuit breakers. A destination that fails again and again is left alone for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, or_, select
from sqlalchemy.orm import Session

from app.models import Gate
from app.providers.answers import retry_after
from app.providers.base import Outcome
from app.providers.errors import AnswerLost, Unavailable
from app.providers.registry import PROVIDERS
from app.services import budgets, gates
from app.services.calls import Call
from app.services.gates import Place
from app.services.one_of import one_of

BREAK_AFTER = 5  #: failed calls in a row after which a destination pauses
FIRST_BREAK = 2.0  #: seconds, doubled with each failure
LONGEST_BREAK = 300.0


@dataclass(frozen=True, slots=True)
class Pause:
    failures: int
    until: datetime | None


class Pauses:
    """As the database knows them at one moment."""

    def __init__(self, session: Session, *places: Place) -> None:
        """Of all destinations, or of those at ``places``."""
        keys: dict[str, Any] = {"keys": [place.key for place in places]} if places else {}
        found = session.connection().execute(_TROUBLED_AT if places else _TROUBLED, keys)
        self._pauses = {row.key: Pause(row.failures, row.paused_until) for row in found}

    def concurrency(self, provider: str, destination_id: int, now: datetime) -> int:
        """Calls at a time, none during a pause; after it one call feels whether the destination is back."""
        pause = self._pauses.get(gates.of(provider, destination_id).key)
        if pause and pause.until is not None and pause.until > now:
            return 0
        return 1 if pause and pause.failures >= BREAK_AFTER else PROVIDERS[provider].concurrency


def note(session: Session, calls: Sequence[Call], now: datetime, scale: float) -> None:
    """Count calls that came back: a success ends the row of failures, the fifth failure begins a pause.

    What they asked further goes into the budget at the same gate, so that each gate is entered once, in order.

    Args:
        scale: divides the pauses (tests, trials); 1 in earnest.
    """
    by_place: dict[Place, list[Call]] = defaultdict(list)
    for call in calls:
        if not (call.split or call.probe or call.unmade):
            by_place[gates.of(call.target.provider, call.target.id)].append(call)
    keys = {"keys": [place.key for place in by_place]}
    troubled = {row.key for row in session.connection().execute(_TROUBLED_AT, keys)} if by_place else set()
    for place, theirs in sorted(by_place.items()):
        further = sum(call.further for call in theirs)
        told = further or place.key in troubled or any(map(_troubles, theirs))
        if told and (gate := gates.reenter(session, place)):
            if further:
                budgets.note(session, gate, further)
            for call in theirs:
                _count(gate, call, now, scale)


_G = cast(Table, Gate.__table__).c
_TROUBLED = select(_G.key, _G.failures, _G.paused_until).where(or_(_G.failures > 0, _G.paused_until.is_not(None)))
_TROUBLED_AT = _TROUBLED.where(one_of(_G.key, "keys"))


def _count(gate: Gate, call: Call, now: datetime, scale: float) -> None:
    troubles = _troubles(call)
    if not troubles:
        gate.failures, gate.paused_until = 0, None
        return
    # A wait that the provider asked for is for all; one that we chose is for the delivery alone.
    asked = any(answer.status == 429 or retry_after(answer.headers) for answer in call.answers)
    waits = [each.retry_after or 0.0 for each in troubles if isinstance(each, Unavailable)] if asked else []
    gate.failures += 1
    over = gate.failures - BREAK_AFTER
    longest = min(FIRST_BREAK * 2.0 ** min(over, 20), LONGEST_BREAK) / scale if over >= 0 else 0.0
    if wait := max([longest, *waits]):
        gate.paused_until = now + timedelta(seconds=wait)


def _troubles(call: Call) -> list[Outcome]:
    """Outcomes that speak of the destination; a wait that is limited in number speaks of one delivery alone."""
    return [
        each
        for each in call.outcomes
        if isinstance(each, AnswerLost) or (isinstance(each, Unavailable) and each.attempts is None)
    ]
