"""Deliver: claim what is due, render it, write the attempt, send, and write what came of it.

One clerk does all the database work; calls run in threads that know no database. The clerk writes the attempt with its
payload and a lease before the call, and the outcome after it. A process that dies between the two leaves a lease that
runs out and an attempt without an outcome: the answer counts as lost, and the action's declaration says what then.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, aliased

from app.db import Database
from app.metrics import DELIVERIES, DELIVERY_SECONDS
from app.models import Attempt, Delivery, DeliveryState, Destination, Mode
from app.models.delivery import CLAIMABLE, OPEN, among
from app.providers import http
from app.providers.base import Accepted, Action, Answer, Outcome, Payload, Probe, Provider, Split
from app.providers.errors import AnswerLost, DeliveryError, NeedsMending, Refused, Unauthorized, Unavailable
from app.providers.registry import PROVIDERS
from app.services.budgets import Budgets
from app.services.packing import pack
from app.services.prepare import Prepared, prepare
from app.services.route import Router, Target
from mappings.engine import Skip
from mappings.errors import MappingError

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=50)  #: longer than the longest exchange (a call, a question, a repeat), within a minute
HORIZON = timedelta(days=10)  #: how long a delivery is retried
FIRST_RETRY = 2.0  #: seconds, doubled with each attempt
LAST_RETRY = 4 * 3600.0
PROBE_EVERY = timedelta(minutes=15)  #: while a destination is held, one delivery is tried so often
ASKS = 5  #: how often a provider is asked what became of a lost answer before a person has to look
CLAIM = 50  #: rows a destination may take in one round
BREAK_AFTER = 5  #: failures in a row after which a destination pauses
LONGEST_BREAK = 300.0
CALLS = 64  #: calls at a time, all destinations together


def backoff(attempts: int, retry_after: float | None, *, first: float = FIRST_RETRY, scale: float = 1.0) -> float:
    """Seconds until the next attempt: doubling with full jitter in its upper half, never before ``retry_after``."""
    longest = min(first * 2 ** min(attempts - 1, 20), LAST_RETRY) / scale
    return max(longest * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 - spreads load, guards nothing


@dataclass(slots=True)
class Call:
    """One HTTP call to make: one delivery, or a batch of the same action."""

    target: Target
    action_name: str
    items: list[Item]
    probe: Probe | None = None  #: set: ask what became of ``items[0]`` instead of sending it
    outcomes: list[Outcome] | None = None
    verdict: str | None = None  #: of a probe
    statuses: list[int | None] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.target.provider]

    @property
    def action(self) -> Action:
        return self.provider.actions[self.action_name]


@dataclass(slots=True)
class Item:
    """A claimed delivery, as far as the calling thread and the settling need it."""

    delivery_id: int
    attempt_id: int
    attempts: int
    payload: Payload
    since: datetime
    received_at: datetime
    lane: str | None  #: the value of the provider's lane field
    effect: dict[str, Any]
    doubt: bool


@dataclass(slots=True)
class _Pause:
    failures: int = 0
    until: datetime | None = None


class Deliverer:
    """The clerk and its callers. `work` does one round; `app.worker` calls it in a loop."""

    def __init__(
        self,
        db: Database,
        router: Router,
        budgets: Budgets,
        *,
        base_urls: Callable[[Target], str],
        allow_private: bool,
        scale: float = 1.0,
    ) -> None:
        """``scale`` divides the waits between retries (tests, trials); 1 in earnest."""
        self._db = db
        self._router = router
        self._budgets = budgets
        self._base_urls = base_urls
        self._allow_private = allow_private
        self._scale = scale
        self.on_result: Callable[[], None] = lambda: None  #: called by a calling thread when its call is over
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="call")
        self._sessions = threading.local()
        self._results: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._calling: dict[int, int] = defaultdict(int)  #: destination: calls under way
        self._lanes: set[tuple[int, str]] = set()
        self._pauses: dict[int | str, _Pause] = defaultdict(_Pause)
        self._singly: set[int] = set()  #: deliveries to send outside of batches

    # one round

    def work(self) -> int:
        """Settle what came back, claim what is due, start its calls; return how many deliveries moved."""
        settled = self._drain()
        now = datetime.now(UTC)
        calls: list[Call] = []
        moved = sum(len(call.items) for call in settled)
        with self._db.write() as session:
            for call in settled:
                self._settle(session, call, now)
            for destination in self._destinations(session, now):
                moved += self._claim(session, destination, now, calls)
        for call in settled:
            self._release(call)
        for call in calls:
            self._calling[call.target.id] += 1
            self._pool.submit(self._make, call)
        return moved

    def close(self) -> None:
        """Let the calls under way finish, and settle them."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        settled = self._drain()
        if settled:
            with self._db.write() as session:
                for call in settled:
                    self._settle(session, call, datetime.now(UTC))

    def _drain(self) -> list[Call]:
        found = []
        while not self._results.empty():
            found.append(self._results.get())
        return found

    def _release(self, call: Call) -> None:
        self._calling[call.target.id] -= 1
        for item in call.items:
            if item.lane is not None:
                self._lanes.discard((call.target.id, item.lane))

    # claiming

    def _destinations(self, session: Session, now: datetime) -> list[Destination]:
        """Those that may send now and have something due."""
        due = select(Delivery.id).where(Delivery.destination_id == Destination.id, *_due(now)).exists()
        wanted = select(Destination).where(Destination.mode != Mode.OFF, Destination.held.is_(None), due)
        found = [each for each in session.scalars(wanted) if self._open(each, now)]
        random.shuffle(found)
        return found

    def _open(self, destination: Destination, now: datetime) -> bool:
        pause = self._pauses.get(_pause_key(destination.provider, destination.id))
        if pause and pause.until and pause.until > now:
            return False
        return self._calling[destination.id] < self._concurrency(destination.provider, pause)

    def _concurrency(self, provider: str, pause: _Pause | None) -> int:
        # After a pause one call at a time feels whether the destination is back.
        return 1 if pause and pause.failures >= BREAK_AFTER else PROVIDERS[provider].concurrency

    def _claim(self, session: Session, destination: Destination, now: datetime, calls: list[Call]) -> int:
        """Add the calls that one destination may make now; return how many of its deliveries moved."""
        target = self._router.target(session, destination)
        pause = self._pauses.get(_pause_key(target.provider, target.id))
        free = self._concurrency(target.provider, pause) - self._calling[target.id]
        own: list[Call] = []
        moved = 0
        for delivery in self._rows(session, target.id, now):
            if len(own) >= free and not _fits(own, delivery):
                break
            taken = self._take(session, target, delivery, now, own)
            if taken is None:
                break
            moved += taken
        calls += own
        return moved

    def _rows(self, session: Session, destination_id: int, now: datetime) -> Sequence[Delivery]:
        earlier = aliased(Delivery)
        blocked = (
            select(earlier.id)
            .where(
                earlier.destination_id == Delivery.destination_id,
                earlier.lane == Delivery.lane,
                among(earlier.state, OPEN),
                earlier.id < Delivery.id,
            )
            .exists()
        )
        wanted = select(Delivery).where(Delivery.destination_id == destination_id, *_due(now), ~blocked)
        return session.scalars(
            wanted.order_by(Delivery.due_at, Delivery.id).limit(CLAIM).with_for_update(skip_locked=True)
        ).all()

    def _take(
        self, session: Session, target: Target, delivery: Delivery, now: datetime, calls: list[Call]
    ) -> bool | None:
        """Prepare one delivery and put it into a call; False if it has to wait, None if the whole budget is used up."""
        self._mend(session, delivery)
        try:
            prepared = prepare(session, target, delivery)
        except (MappingError, NeedsMending) as error:
            _finish(delivery, DeliveryState.HELD, str(error))
            return True
        if isinstance(prepared, Skip):
            _finish(delivery, DeliveryState.SKIPPED, prepared.reason)
            return True
        delivery.complaints = prepared.complaints or None
        if target.mode == Mode.SHADOW:
            session.add(_attempt(delivery, prepared, now, outcome="shadow"))
            _finish(delivery, DeliveryState.SHADOW, "built and checked, not sent")
            return True
        lane = _lane(target, prepared.payload)
        if lane is not None and (target.id, lane) in self._lanes:
            return False
        if not self._join(delivery, calls) and not self._budgets.take(target):
            return None
        self._lease(session, target, delivery, prepared, lane, now, calls)
        return True

    def _mend(self, session: Session, delivery: Delivery) -> None:
        """A lease that ran out over an unfinished attempt: its answer is lost."""
        if delivery.leased_until is None:
            return
        delivery.leased_until = None
        unfinished = session.scalars(
            select(Attempt).where(Attempt.delivery_id == delivery.id, Attempt.outcome.is_(None))
        ).all()
        for attempt in unfinished:
            attempt.outcome = "answer lost"
            attempt.answer = "the process ended before the answer came"
        if any(attempt.purpose == "send" for attempt in unfinished):
            action = PROVIDERS[delivery.provider].actions[delivery.action]
            delivery.doubt = not action.repeatable

    def _join(self, delivery: Delivery, calls: list[Call]) -> bool:
        """Whether the delivery rides with a call of this round that has room."""
        return not delivery.doubt and delivery.id not in self._singly and _fits(calls, delivery)

    def _lease(
        self,
        session: Session,
        target: Target,
        delivery: Delivery,
        prepared: Prepared,
        lane: str | None,
        now: datetime,
        calls: list[Call],
    ) -> None:
        probe = None
        if delivery.doubt:
            action = PROVIDERS[target.provider].actions[delivery.action]
            probe = action.resolve(prepared.payload, target.settings)
            if probe is None:
                _finish(delivery, DeliveryState.UNKNOWN, "sent, and the answer was lost: look it up at the provider")
                return
        delivery.attempts += 1
        delivery.leased_until = now + LEASE
        attempt = _attempt(delivery, prepared, now, purpose="ask" if probe else "send")
        session.add(attempt)
        session.flush()
        item = Item(
            delivery_id=delivery.id,
            attempt_id=attempt.id,
            attempts=delivery.attempts,
            payload=prepared.payload,
            since=delivery.since,
            received_at=prepared.received_at,
            lane=lane,
            effect=prepared.effect,
            doubt=delivery.doubt,
        )
        if lane is not None:
            self._lanes.add((target.id, lane))
        if self._join(delivery, calls):
            next(call for call in calls if _room(call, delivery)).items.append(item)
        else:
            calls.append(Call(target=target, action_name=delivery.action, items=[item], probe=probe))

    # calling, in a thread of its own: no database here

    def _make(self, call: Call) -> None:
        try:
            self._exchange(call)
        except Exception as error:
            # Whatever it was, it must not leave the rows to their leases; the request may have gone out.
            log.exception("a call to %s failed in an unforeseen way", call.target.provider)
            call.outcomes = [AnswerLost(f"internal error ({type(error).__name__})") for _ in call.items]
        self._results.put(call)
        self.on_result()

    def _exchange(self, call: Call) -> None:
        seen: list[Answer] = []
        arguments: dict[str, Any] = {
            "base_url": self._base_urls(call.target),
            "session": self._session(),
            "allow_private": self._allow_private,
            "seen": seen,
        }
        try:
            if call.probe:
                call.verdict = http.probe(call.provider, call.probe, call.target.settings, **arguments)
            else:
                payloads = [item.payload for item in call.items]
                call.outcomes = http.call(call.provider, call.action, payloads, call.target.settings, **arguments)
        except Split:
            call.outcomes = [Unavailable("refused as a batch; sent singly", retry_after=0.0)] * len(call.items)
            self._singly.update(item.delivery_id for item in call.items)
        except DeliveryError as error:
            call.outcomes = [error] * len(call.items)
        call.statuses = [answer.status for answer in seen]
        call.answers = [answer.text() for answer in seen]

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = http.new_session()
        session: requests.Session = self._sessions.session
        return session

    # settling

    def _settle(self, session: Session, call: Call, now: datetime) -> None:
        rows = {
            row.id: row
            for row in session.scalars(
                select(Delivery).where(Delivery.id.in_([item.delivery_id for item in call.items]))
            )
        }
        for index, item in enumerate(call.items):
            delivery = rows.get(item.delivery_id)
            if delivery is None:
                continue
            outcome: Outcome | str = call.outcomes[index] if call.outcomes else call.verdict or "unknown"
            self._write_attempt(session, call, item, outcome, now)
            if delivery.leased_until is None or delivery.attempts != item.attempts:
                continue  # its lease ran out, and another worker went on
            delivery.leased_until = None
            if isinstance(outcome, str):
                self._resolve(delivery, item, outcome, now)
            else:
                self._decide(session, call, delivery, item, outcome, now)

    def _write_attempt(self, session: Session, call: Call, item: Item, outcome: Outcome | str, now: datetime) -> None:
        session.execute(
            update(Attempt)
            .where(Attempt.id == item.attempt_id)
            .values(
                finished_at=now,
                outcome=outcome if isinstance(outcome, str) else _words(outcome),
                status=call.statuses[-1] if call.statuses else None,
                answer=call.answers[-1] if call.answers else None,
            )
        )

    def _resolve(self, delivery: Delivery, item: Item, verdict: str, now: datetime) -> None:
        """What the provider said when asked about a lost answer."""
        if verdict == "applied":
            self._accept(delivery, item, "confirmed by asking the provider after a lost answer", now)
        elif verdict == "absent":
            delivery.doubt = False
            self._again(delivery, "the provider does not have it; sent again", now, 0.0)
        elif item.attempts > ASKS:
            _finish(delivery, DeliveryState.UNKNOWN, "sent, the answer was lost, and asking the provider did not tell")
        else:
            self._again(delivery, "asking the provider did not tell", now, self._wait(item.attempts, None))

    def _decide(
        self, session: Session, call: Call, delivery: Delivery, item: Item, outcome: Outcome, now: datetime
    ) -> None:
        match outcome:
            case Accepted(note=note):
                self._accept(delivery, item, note, now)
                self._pauses.pop(_pause_key(call.target.provider, call.target.id), None)
                self._singly.discard(delivery.id)
            case Unavailable(retry_after=retry_after, attempts=most):
                self._failed(call, now, retry_after)
                wait = self._wait(item.attempts, retry_after)
                if (most is not None and item.attempts >= most) or now + timedelta(seconds=wait) > item.since + HORIZON:
                    _finish(delivery, DeliveryState.DEAD, str(outcome))
                else:
                    self._again(delivery, str(outcome), now, wait)
            case Unauthorized():
                hold(session, call.target.id, str(outcome), now)
                delivery.state, delivery.reason = DeliveryState.HELD, str(outcome)
            case NeedsMending():
                _finish(delivery, DeliveryState.HELD, str(outcome))
            case AnswerLost():
                self._failed(call, now, None)
                delivery.doubt = not call.action.repeatable
                self._again(delivery, str(outcome), now, self._wait(item.attempts, None))
            case Refused() | DeliveryError():
                _finish(delivery, DeliveryState.DEAD, str(outcome))
                self._singly.discard(delivery.id)

    def _accept(self, delivery: Delivery, item: Item, note: str | None, now: datetime) -> None:
        delivery.delivered_at = now
        delivery.effect = item.effect
        delivery.doubt = False
        _finish(delivery, DeliveryState.DELIVERED, note)
        DELIVERY_SECONDS.labels(delivery.provider).observe((now - item.received_at).total_seconds())

    def _again(self, delivery: Delivery, reason: str, now: datetime, wait: float) -> None:
        delivery.state, delivery.reason = DeliveryState.RETRYING, reason
        delivery.due_at = now + timedelta(seconds=wait)

    def _wait(self, attempts: int, retry_after: float | None) -> float:
        return backoff(attempts, retry_after, scale=self._scale)

    def _failed(self, call: Call, now: datetime, retry_after: float | None) -> None:
        """Count a failure of the destination; too many in a row pause it, so that it is not hammered."""
        pause = self._pauses[_pause_key(call.target.provider, call.target.id)]
        pause.failures += 1
        over = pause.failures - BREAK_AFTER
        if over >= 0 or retry_after:
            longest = min(FIRST_RETRY * 2 ** min(max(over, 0), 20), LONGEST_BREAK) / self._scale if over >= 0 else 0.0
            pause.until = now + timedelta(seconds=max(longest, retry_after or 0.0))


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        among(Delivery.state, CLAIMABLE),
        Delivery.due_at <= now,
        (Delivery.leased_until.is_(None)) | (Delivery.leased_until < now),
    )


def hold(session: Session, destination_id: int, reason: str, now: datetime) -> None:
    """Stop a destination until the merchant mends something; what is open waits, in order, and does not expire."""
    session.execute(
        update(Destination)
        .where(Destination.id == destination_id)
        .values(held=reason, probe_at=now + PROBE_EVERY)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Delivery)
        .where(
            Delivery.destination_id == destination_id,
            among(Delivery.state, CLAIMABLE),
            Delivery.leased_until.is_(None),
        )
        .values(state=DeliveryState.HELD, reason=reason)
        .execution_options(synchronize_session=False)
    )


def release(session: Session, destination_id: int, now: datetime) -> int:
    """Let a destination go on: what was held is due, with its full horizon again. Return how many."""
    session.execute(
        update(Destination)
        .where(Destination.id == destination_id)
        .values(held=None, probe_at=None)
        .execution_options(synchronize_session=False)
    )
    released = session.execute(
        update(Delivery)
        .where(Delivery.destination_id == destination_id, Delivery.state == DeliveryState.HELD)
        .values(state=DeliveryState.PENDING, reason=None, due_at=now, since=now)
        .execution_options(synchronize_session=False)
    )
    return int(released.rowcount)  # type: ignore[attr-defined]


def end_leases(session: Session) -> None:
    """Take up at once what a dead worker left; only for whoever knows that there is no other worker alive."""
    session.execute(
        update(Delivery)
        .where(Delivery.leased_until.is_not(None))
        .values(leased_until=datetime.now(UTC) - LEASE)
        .execution_options(synchronize_session=False)
    )


def try_held(session: Session, now: datetime) -> int:
    """Release destinations whose time for another try has come; if nothing was mended, the first answer holds again."""
    wanted = select(Destination.id).where(Destination.held.is_not(None), Destination.probe_at <= now)
    found = session.scalars(wanted).all()
    for destination_id in found:
        release(session, destination_id, now)
    return len(found)


def _pause_key(provider: str, destination_id: int) -> int | str:
    """Where one budget serves all merchants, "too many requests" said to one of them is said to all."""
    return provider if PROVIDERS[provider].shared_limits else destination_id


def _finish(delivery: Delivery, state: DeliveryState, reason: str | None) -> None:
    delivery.state, delivery.reason, delivery.leased_until = state, reason, None
    DELIVERIES.labels(delivery.provider, state).inc()


def _attempt(
    delivery: Delivery, prepared: Prepared, now: datetime, *, purpose: str = "send", outcome: str | None = None
) -> Attempt:
    return Attempt(
        delivery_id=delivery.id,
        number=delivery.attempts,
        purpose=purpose,
        payload=pack(prepared.payload),
        started_at=now,
        outcome=outcome,
    )


def _lane(target: Target, payload: Payload) -> str | None:
    field_name = PROVIDERS[target.provider].lane
    value = payload.get(field_name) if field_name else None
    return None if value is None else str(value)


def _room(call: Call, delivery: Delivery) -> bool:
    return call.probe is None and call.action_name == delivery.action and len(call.items) < call.action.batch


def _fits(calls: Iterable[Call], delivery: Delivery) -> bool:
    return any(_room(call, delivery) for call in calls)


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
