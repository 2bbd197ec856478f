"""Settle: what an outcome makes of a delivery, and of its destination."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from app import metrics
from app.models import Attempt, Delivery, DeliveryState, Destination
from app.models.delivery import OPEN
from app.providers.base import Accepted, Outcome
from app.providers.errors import AnswerLost, DeliveryError, NeedsMending, Refused, Unauthorized, Unavailable
from app.providers.http import describe
from app.providers.registry import PROVIDERS
from app.services import pauses, rows, traces
from app.services.calls import Call, Item
from app.services.holds import LEASE, SETTLING, hold
from app.services.many import Many
from app.services.one_of import one_of
from app.services.prepare import NOTHING_TO_REVERSE
from app.services.rows import ANSWER_LOST, ATTEMPTS, DELIVERIES, Row
from app.services.said import mark

log = logging.getLogger(__name__)

#: What a person has to see; the reason, which may quote a provider, stands with the delivery.
_LOUD = {
    DeliveryState.HELD: logging.INFO,
    DeliveryState.DEAD: logging.WARNING,
    DeliveryState.UNKNOWN: logging.WARNING,
}

HORIZON = timedelta(days=10)  #: how long a delivery is retried
FIRST_RETRY = 2.0  #: seconds, doubled with each attempt
LAST_RETRY = 4 * 3600.0
ASKS = 5  #: how often a provider is asked what became of a lost answer before a person has to look
NOT_MADE = "not made"  #: the outcome of an attempt whose call was not begun, see `app.providers.exchanges`


def backoff(attempts: int, retry_after: float | None, *, scale: float = 1.0) -> float:
    """Seconds until the next attempt: doubling, with jitter in the upper half, never before ``retry_after``."""
    longest = min(FIRST_RETRY * 2.0 ** min(attempts - 1, 20), LAST_RETRY) / scale
    return max(longest * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 - spreads load, guards nothing


def ids_of(delivery: Delivery | Row) -> dict[str, int]:
    """For log lines."""
    return {"shop": delivery.shop_id, "event": delivery.event_id, "delivery": delivery.id}


def finish(delivery: Delivery | Row, state: DeliveryState, reason: str | None) -> None:
    """It came to a state in which nobody works on it by itself."""
    delivery.state, delivery.reason, delivery.leased_until = state, reason, None
    delivery.singly = False
    metrics.DELIVERIES.labels(delivery.provider, state).inc()
    log.log(_LOUD.get(state, logging.DEBUG), "a delivery to %s is %s", delivery.provider, state, extra=ids_of(delivery))


class Settler:
    """Writes what came of calls."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def settle(self, session: Session, calls: Sequence[Call], now: datetime) -> None:
        """Write the outcomes of ``calls`` in the caller's transaction."""
        erased = _Settling(session, calls, now, self._scale).settle()
        tries = [each for call in calls for each in _tries(call, now, erased)]
        _TRIED.execute(session.connection(), tries)
        traces.tried(session, calls, tries)
        pauses.note(session, calls, now, self._scale)  # last, for the sake of who waits for whom: see gates


class _Settling:
    """One transaction of a `Settler`: the deliveries that are still its own, and what their outcomes make of them."""

    def __init__(self, session: Session, calls: Sequence[Call], now: datetime, scale: float) -> None:
        self._session = session
        self._calls = calls
        self._now = now
        self._scale = scale
        self._saved = _saved(session, calls)
        self._holding: dict[int, str] = {}  #: destinations to hold, and why
        self._reviving: list[dict[str, Any]] = []

    def settle(self) -> set[int]:
        """Write them; return the deliveries that were erased meanwhile."""
        connection = self._session.connection()
        ids = [item.delivery_id for call in self._calls for item in call.items]
        found = {row.id: row for row in rows.read(connection, _CALLED, {"ids": ids})}
        latest = self._latest(found)
        settled = []
        for call in self._calls:
            for index, item in enumerate(call.items):
                row, outcome = found.get(item.delivery_id), call.outcomes[index] if call.outcomes else None
                if row is None or not (_is_lease_of(row, item) or self._counts(call, row, item, outcome, latest)):
                    continue  # erased meanwhile, or its lease ran out and another worker went on
                self._settle_one(call, row, item, outcome)
                settled.append(row)
        for destination_id, reason in sorted(self._holding.items()):
            hold(self._session, destination_id, reason, self._now)
        rows.write(connection, settled, _SETTLED)
        _revive(connection, self._reviving)
        return {row.id for row in found.values() if row.state == DeliveryState.SKIPPED}

    def _latest(self, found: Mapping[int, Row]) -> dict[tuple[int, int], datetime]:
        """When the last attempts of each number began, where somebody ended the lease while the call was under way."""
        items = [(found.get(item.delivery_id), item) for call in self._calls for item in call.items]
        ended = {row.id for row, item in items if row and row.state in _UNDECIDED and not _is_lease_of(row, item)}
        rest = self._session.execute(_LATEST, {"ids": sorted(ended)}) if ended else ()
        return {(row.delivery_id, row.number): row.started_at for row in rest}

    def _counts(
        self, call: Call, row: Row, item: Item, outcome: Outcome | None, latest: Mapping[tuple[int, int], datetime]
    ) -> bool:
        """Whether an answer counts though the lease was ended: any while nobody went on, and always that it arrived."""
        if row.state not in _UNDECIDED or item.attempts > row.attempts:
            return False  # or it was begun anew by a person
        if latest.get((row.id, item.attempts)) != item.started_at:
            return False  # another one's, or of before it was begun anew
        if isinstance(outcome, Accepted) or (outcome is None and call.verdict == "applied"):
            return True
        return row.state in OPEN and row.leased_until is None and row.attempts == item.attempts

    def _settle_one(self, call: Call, row: Row, item: Item, outcome: Outcome | None) -> None:
        row.leased_until = None
        row.singly = row.singly or call.split
        if call.probe is None:
            row.doubt = False  # of whoever ended its lease
        if outcome is None:
            self._answered(row, item, call.verdict)
        else:
            self._decide(call, row, item, outcome)

    def _answered(self, row: Row, item: Item, verdict: str) -> None:
        """What the provider said when asked about a lost answer."""
        if verdict == "applied":
            self._accept(row, item, mark("confirmed by asking the provider after a lost answer"))
        elif verdict == "absent":
            row.doubt = False
            self._again(row, mark("the provider does not have it; sent again"), 0.0)
        else:
            self._ask_again(row, item, mark("asking the provider did not tell"))

    def _ask_again(self, row: Row, item: Item, reason: str, *, asked: bool = True) -> None:
        """``asked``: the question went out; one that did not is none of the `ASKS`."""
        made = or_(Attempt.outcome.is_(None), Attempt.outcome != NOT_MADE)
        number = select(func.count()).where(Attempt.delivery_id == row.id, Attempt.purpose == "ask", made)
        if asked and (self._session.scalar(number) or 0) >= ASKS:
            row.effect = item.effect  # should a person find it at the provider
            finish(row, DeliveryState.UNKNOWN, mark("sent, the answer was lost, and asking the provider did not tell"))
        else:
            self._again(row, reason, self._wait(item, None))

    def _decide(self, call: Call, row: Row, item: Item, outcome: Outcome) -> None:
        if call.probe and isinstance(outcome, Unavailable | AnswerLost | Refused):
            self._ask_again(row, item, str(outcome), asked=not call.unmade)
            return
        match outcome:
            case Accepted(note=note):
                self._accept(row, item, note)
            case Unavailable(retry_after=retry_after, attempts=most):
                wait = self._wait(item, retry_after)
                spent = most is not None and item.attempts >= most
                if spent or self._too_late(item, wait):
                    finish(row, DeliveryState.DEAD, str(outcome))
                else:
                    self._again(row, str(outcome), wait)
            case Unauthorized() | NeedsMending():
                self._hold(call, row, outcome)
            case AnswerLost():
                self._lost(call, row, item, outcome)
            case Refused() | DeliveryError():
                finish(row, DeliveryState.DEAD, str(outcome))

    def _hold(self, call: Call, row: Row, error: Unauthorized | NeedsMending) -> None:
        """It waits for the merchant, who may have mended it while the call was under way: then it is tried at once."""
        if self._saved.get(call.target.id) != call.saved_at:
            self._again(row, str(error), 0.0)
            return
        if isinstance(error, Unauthorized):
            self._holding[call.target.id] = str(error)
        finish(row, DeliveryState.HELD, str(error))

    def _lost(self, call: Call, row: Row, item: Item, error: AnswerLost) -> None:
        row.doubt = not call.action.repeatable
        wait = max(self._wait(item, None), SETTLING.total_seconds() / self._scale if row.doubt else 0.0)
        if not self._too_late(item, wait):
            self._again(row, str(error), wait)
        else:
            row.effect = item.effect if row.doubt else None
            finish(row, DeliveryState.UNKNOWN if row.doubt else DeliveryState.DEAD, str(error))

    def _accept(self, row: Row, item: Item, note: str | None) -> None:
        row.effect = item.effect
        _take(row, note, self._now)
        self._reviving += _revivals(row, self._now)
        metrics.DELIVERY_SECONDS.labels(row.provider).observe((self._now - item.received_at).total_seconds())

    def _again(self, row: Row, reason: str, wait: float) -> None:
        row.state, row.reason = DeliveryState.RETRYING, reason
        row.due_at = self._now + timedelta(seconds=wait)

    def _too_late(self, item: Item, wait: float) -> bool:
        return self._now + timedelta(seconds=wait) > item.since + HORIZON

    def _wait(self, item: Item, retry_after: float | None) -> float:
        return backoff(item.attempts, retry_after, scale=self._scale)


def _saved(session: Session, calls: Sequence[Call]) -> dict[int, datetime]:
    """When the settings were saved of the destinations that calls ask to hold.

    Locked: a save that comes now waits, and releases what is held here; one that came before is seen.
    """
    ids = {
        call.target.id for call in calls if any(isinstance(each, Unauthorized | NeedsMending) for each in call.outcomes)
    }
    return {row.id: row.updated_at for row in session.execute(_SAVED, {"ids": sorted(ids)})} if ids else {}


def confirm(session: Session, delivery: Delivery, note: str | None, now: datetime) -> None:
    """The provider has it."""
    _take(delivery, note, now)
    _revive(session.connection(), _revivals(delivery, now))


def _take(delivery: Delivery | Row, note: str | None, now: datetime) -> None:
    delivery.delivered_at = now
    delivery.doubt = False
    finish(delivery, DeliveryState.DELIVERED, note)


def _revivals(delivery: Delivery | Row, now: datetime) -> list[dict[str, Any]]:
    """Refunds that had nothing to take back, because they were told before the payment: now they have."""
    about = {"destination": delivery.destination_id, "about": delivery.subject, "due_at": now, "since": now}
    actions = PROVIDERS[delivery.provider].actions
    return [about | {"reversing": name} for name, action in actions.items() if action.reverses == delivery.action]


def _revive(connection: Connection, revivals: Sequence[dict[str, Any]]) -> None:
    if revivals:
        _REVIVE.execute(connection, revivals)


_CALLED = rows.awaited(one_of(DELIVERIES.c.id, "ids"))
_LATEST = (
    select(ATTEMPTS.c.delivery_id, ATTEMPTS.c.number, ATTEMPTS.c.started_at)
    .where(one_of(ATTEMPTS.c.delivery_id, "ids"))
    .order_by(ATTEMPTS.c.id)
)
#: What an answer may decide.
_UNDECIDED = (*OPEN, DeliveryState.UNKNOWN)
#: What changes by what came of a call.
_SETTLED = ("state", "reason", "leased_until", "due_at", "singly", "doubt", "effect", "delivered_at")
_SAVED = (
    select(Destination.id, Destination.updated_at)
    .where(one_of(Destination.id, "ids"))
    .order_by(Destination.id)
    .with_for_update(key_share=True)
)
_REVIVE = Many(
    update(DELIVERIES)
    .where(
        DELIVERIES.c.destination_id == bindparam("destination"),
        DELIVERIES.c.subject == bindparam("about"),
        DELIVERIES.c.action == bindparam("reversing"),
        DELIVERIES.c.state == DeliveryState.SKIPPED,
        DELIVERIES.c.reason == NOTHING_TO_REVERSE,
    )
    .values(state=DeliveryState.PENDING, reason=None, due_at=bindparam("due_at"), since=bindparam("since")),
    singly=True,
)
_TRIED = Many(
    update(ATTEMPTS)
    .where(
        ATTEMPTS.c.delivery_id == bindparam("delivery"),
        ATTEMPTS.c.number == bindparam("try"),
        ATTEMPTS.c.started_at == bindparam("begun"),
    )
    .values({name: bindparam(name) for name in ("finished_at", "outcome", "status", "answer")})
)


def _is_lease_of(row: Row, item: Item) -> bool:
    return row.attempts == item.attempts and row.leased_until == item.started_at + LEASE


def _tries(call: Call, now: datetime, erased: Collection[int]) -> Iterator[dict[str, Any]]:
    """What is written of the attempts of a call, in the order of its items; of ``erased`` ones no words."""
    last = call.answers[-1] if call.answers else None
    answer = describe(last) if last else None
    for index, item in enumerate(call.items):
        yield {
            "delivery": item.delivery_id,
            "try": item.attempts,
            "begun": item.started_at,
            "finished_at": now,
            "outcome": _outcome(call, index),
            "status": last.status if last else None,
            "answer": None if item.delivery_id in erased else answer,
        }


def _outcome(call: Call, index: int) -> str:
    if call.unmade:
        return NOT_MADE
    return _WORDS.get(type(call.outcomes[index]), "failed") if call.outcomes else call.verdict


_WORDS = {
    Accepted: "accepted",
    Unavailable: "unavailable",
    Unauthorized: "unauthorized",
    NeedsMending: "needs mending",
    Refused: "refused",
    AnswerLost: ANSWER_LOST,
}
