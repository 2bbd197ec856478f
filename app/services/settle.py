"""Settle: what an outcome makes of a delivery, and of the destination's pause."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.orm import Session

from app.metrics import DELIVERIES, DELIVERY_SECONDS
from app.models import Attempt, Delivery, DeliveryState
from app.providers.answers import retry_after
from app.providers.base import Accepted, Outcome
from app.providers.errors import AnswerLost, DeliveryError, NeedsMending, Refused, Unauthorized, Unavailable
from app.providers.http import describe
from app.providers.registry import PROVIDERS
from app.services.calls import Call, Item
from app.services.holds import hold
from app.services.prepare import NOTHING_TO_REVERSE

HORIZON = timedelta(days=10)  #: how long a delivery is retried
FIRST_RETRY = 2.0  #: seconds, doubled with each attempt
LAST_RETRY = 4 * 3600.0
ASKS = 5  #: how often a provider is asked what became of a lost answer before a person has to look
BREAK_AFTER = 5  #: failed calls in a row after which a destination pauses
LONGEST_BREAK = 300.0


def backoff(attempts: int, retry_after: float | None, *, scale: float = 1.0) -> float:
    """Seconds until the next attempt: doubling, with jitter in the upper half, never before ``retry_after``."""
    longest = min(FIRST_RETRY * 2.0 ** min(attempts - 1, 20), LAST_RETRY) / scale
    return max(longest * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 - spreads load, guards nothing


def finish(delivery: Delivery, state: DeliveryState, reason: str | None) -> None:
    delivery.state, delivery.reason, delivery.leased_until = state, reason, None
    if state is DeliveryState.SKIPPED:
        delivery.once_key = None  # nothing was sent: another trigger may still send it once
    DELIVERIES.labels(delivery.provider, state).inc()


@dataclass(slots=True)
class Pause:
    failures: int = 0
    until: datetime | None = None


class Pauses:
    """The circuit breakers. In memory: after a restart every destination gets its chance."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._pauses: dict[int | str, Pause] = defaultdict(Pause)

    def paused(self, provider: str, destination_id: int, now: datetime) -> bool:
        pause = self._pauses.get(_key(provider, destination_id))
        return pause is not None and pause.until is not None and pause.until > now

    def concurrency(self, provider: str, destination_id: int) -> int:
        """Calls at a time; after a pause one call feels whether the destination is back."""
        pause = self._pauses.get(_key(provider, destination_id))
        return 1 if pause and pause.failures >= BREAK_AFTER else PROVIDERS[provider].concurrency

    def note(self, call: Call, now: datetime) -> None:
        """Count one call: a success ends the row of failures, the fifth failure begins a pause."""
        if call.split or call.probe:
            return
        key = _key(call.target.provider, call.target.id)
        troubles = [each for each in call.outcomes if _is_trouble(each)]
        if not troubles:
            self._pauses.pop(key, None)
            return
        # A wait that the provider asked for is for all; one that we chose is for the delivery alone.
        asked = any(answer.status == 429 or retry_after(answer.headers) for answer in call.answers)
        waits = [each.retry_after or 0.0 for each in troubles if isinstance(each, Unavailable)] if asked else []
        pause = self._pauses[key]
        pause.failures += 1
        over = pause.failures - BREAK_AFTER
        longest = min(FIRST_RETRY * 2.0 ** min(over, 20), LONGEST_BREAK) / self._scale if over >= 0 else 0.0
        if wait := max([longest, *waits]):
            pause.until = now + timedelta(seconds=wait)


def _is_trouble(outcome: Outcome) -> bool:
    """Whether an outcome speaks of the destination; a wait that is limited in number speaks of one delivery alone."""
    return isinstance(outcome, AnswerLost) or (isinstance(outcome, Unavailable) and outcome.attempts is None)


def _key(provider: str, destination_id: int) -> int | str:
    """Where one budget serves all merchants, "too many requests" said to one of them is said to all."""
    return provider if PROVIDERS[provider].shared_limits else destination_id


class Settler:
    """Writes what came of calls."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self.singly: set[int] = set()  #: deliveries to send outside of batches

    def settle(self, session: Session, calls: Sequence[Call], now: datetime) -> None:
        """Write the outcomes of ``calls`` in the caller's transaction."""
        ids = [item.delivery_id for call in calls for item in call.items]
        rows = {row.id: row for row in session.scalars(select(Delivery).where(Delivery.id.in_(ids)))}
        tries: list[dict[str, Any]] = []
        with session.no_autoflush:
            for call in calls:
                if call.split:
                    self.singly.update(item.delivery_id for item in call.items)
                for index, item in enumerate(call.items):
                    outcome = call.outcomes[index] if call.outcomes else None
                    tries.append(_try(call, item, _words(outcome) if outcome else call.verdict, now))
                    self._settle_one(session, call, rows.get(item.delivery_id), item, outcome, now)
        session.connection().execute(_TRIED, tries)

    def _settle_one(
        self,
        session: Session,
        call: Call,
        delivery: Delivery | None,
        item: Item,
        outcome: Outcome | None,
        now: datetime,
    ) -> None:
        if delivery is None or delivery.leased_until is None or delivery.attempts != item.attempts:
            return  # erased meanwhile, or its lease ran out and another worker went on
        delivery.leased_until = None
        if outcome is None:
            self._answered(session, delivery, item, call.verdict, now)
        else:
            self._decide(session, call, delivery, item, outcome, now)

    def _answered(self, session: Session, delivery: Delivery, item: Item, verdict: str, now: datetime) -> None:
        """What the provider said when asked about a lost answer."""
        if verdict == "applied":
            self._accept(session, delivery, item, "confirmed by asking the provider after a lost answer", now)
        elif verdict == "absent":
            delivery.doubt = False
            self._again(delivery, "the provider does not have it; sent again", now, 0.0)
        else:
            self._ask_again(session, delivery, item, "asking the provider did not tell", now)

    def _ask_again(self, session: Session, delivery: Delivery, item: Item, reason: str, now: datetime) -> None:
        asked = select(func.count()).where(Attempt.delivery_id == delivery.id, Attempt.purpose == "ask")
        if (session.scalar(asked) or 0) >= ASKS:
            delivery.effect = item.effect  # should a person find it at the provider
            finish(delivery, DeliveryState.UNKNOWN, "sent, the answer was lost, and asking the provider did not tell")
        else:
            self._again(delivery, reason, now, self._wait(item, None))

    def _decide(
        self, session: Session, call: Call, delivery: Delivery, item: Item, outcome: Outcome, now: datetime
    ) -> None:
        if call.probe and isinstance(outcome, Unavailable | AnswerLost | Refused):
            self._ask_again(session, delivery, item, str(outcome), now)
            return
        match outcome:
            case Accepted(note=note):
                self._accept(session, delivery, item, note, now)
            case Unavailable(retry_after=retry_after, attempts=most):
                wait = self._wait(item, retry_after)
                spent = most is not None and item.attempts >= most
                if spent or now + timedelta(seconds=wait) > item.since + HORIZON:
                    finish(delivery, DeliveryState.DEAD, str(outcome))
                else:
                    self._again(delivery, str(outcome), now, wait)
            case Unauthorized():
                hold(session, call.target.id, str(outcome), now)
                finish(delivery, DeliveryState.HELD, str(outcome))
            case NeedsMending():
                finish(delivery, DeliveryState.HELD, str(outcome))
            case AnswerLost():
                self._lost(delivery, item, call, outcome, now)
            case Refused() | DeliveryError():
                finish(delivery, DeliveryState.DEAD, str(outcome))
        if delivery.state not in (DeliveryState.PENDING, DeliveryState.RETRYING):
            self.singly.discard(delivery.id)

    def _lost(self, delivery: Delivery, item: Item, call: Call, error: AnswerLost, now: datetime) -> None:
        delivery.doubt = not call.action.repeatable
        wait = self._wait(item, None)
        if now + timedelta(seconds=wait) <= item.since + HORIZON:
            self._again(delivery, str(error), now, wait)
        else:
            delivery.effect = item.effect if delivery.doubt else None
            finish(delivery, DeliveryState.UNKNOWN if delivery.doubt else DeliveryState.DEAD, str(error))

    def _accept(self, session: Session, delivery: Delivery, item: Item, note: str | None, now: datetime) -> None:
        delivery.effect = item.effect
        confirm(session, delivery, note, now)
        DELIVERY_SECONDS.labels(delivery.provider).observe((now - item.received_at).total_seconds())

    def _again(self, delivery: Delivery, reason: str, now: datetime, wait: float) -> None:
        delivery.state, delivery.reason = DeliveryState.RETRYING, reason
        delivery.due_at = now + timedelta(seconds=wait)

    def _wait(self, item: Item, retry_after: float | None) -> float:
        return backoff(item.attempts, retry_after, scale=self._scale)


def confirm(session: Session, delivery: Delivery, note: str | None, now: datetime) -> None:
    """The provider has it."""
    delivery.delivered_at = now
    delivery.doubt = False
    finish(delivery, DeliveryState.DELIVERED, note)
    _revive_reversals(session, delivery, now)


def _revive_reversals(session: Session, delivery: Delivery, now: datetime) -> None:
    """Refunds that had nothing to take back, because they were told before the payment: now they have."""
    actions = PROVIDERS[delivery.provider].actions
    reversing = [name for name, action in actions.items() if action.reverses == delivery.action]
    if not reversing:
        return
    session.execute(
        update(Delivery)
        .where(
            Delivery.destination_id == delivery.destination_id,
            Delivery.subject == delivery.subject,
            Delivery.action.in_(reversing),
            Delivery.state == DeliveryState.SKIPPED,
            Delivery.reason == NOTHING_TO_REVERSE,
        )
        .values(state=DeliveryState.PENDING, reason=None, due_at=now, since=now)
        .execution_options(synchronize_session=False)
    )


_ATTEMPTS = cast(Table, Attempt.__table__)
_TRIED = (
    update(_ATTEMPTS)
    .where(_ATTEMPTS.c.id == bindparam("attempt"))
    .values({name: bindparam(name) for name in ("finished_at", "outcome", "status", "answer")})
)


def _try(call: Call, item: Item, outcome: str, now: datetime) -> dict[str, Any]:
    last = call.answers[-1] if call.answers else None
    return {
        "attempt": item.attempt_id,
        "finished_at": now,
        "outcome": outcome,
        "status": last.status if last else None,
        "answer": describe(last) if last else None,
    }


def _words(outcome: Outcome) -> str:
    words = {
        Accepted: "accepted",
        Unavailable: "unavailable",
        Unauthorized: "unauthorized",
        NeedsMending: "needs mending",
        Refused: "refused",
        AnswerLost: "answer lost",
    }
    return words.get(type(outcome), "failed")
