"""Deliver: claim what is due, render it, write the attempt, send, and write what came of it.

One clerk does all the database work; calls run in threads that know no database. The clerk writes the attempt with its
payload and a lease before the call, and the outcome after it. A process that dies between the two leaves a lease that
runs out and an attempt without an outcome: the answer counts as lost, and the action's declaration says what then.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, aliased

from app.db import Database
from app.models import Attempt, Delivery, DeliveryState, Destination, Event, Mode
from app.models.delivery import CLAIMABLE, OPEN, among
from app.providers.base import Payload
from app.providers.errors import NeedsMending
from app.providers.registry import PROVIDERS
from app.services.budgets import Budgets
from app.services.calls import CALLS, Call, Caller, Item
from app.services.holds import LEASE, hold
from app.services.packing import pack, unpack
from app.services.prepare import Prepared, prepare
from app.services.route import Router, Target
from app.services.secrets import Locked
from app.services.settle import Pauses, Settler, finish
from mappings.engine import Skip
from mappings.errors import MappingError

log = logging.getLogger(__name__)

CLAIM = 20  #: rows a destination may take in one round
LOOK_AHEAD = 4  #: rows looked at per free call where some may have to wait for their lane


class Deliverer:
    """The clerk. `work` does one round; `app.worker` calls it in a loop."""

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
        self._pauses = Pauses(scale)
        self._settler = Settler(scale)
        self.caller = Caller(base_urls, allow_private=allow_private)
        self._calling: dict[int, int] = defaultdict(int)  #: destination: calls under way
        self._lanes: set[tuple[int, str]] = set()  #: under way, per destination and value of its lane field
        self._lane_of: dict[int, str] = {}  #: delivery: its lane as last rendered, to pass over it while that is busy

    def work(self) -> int:
        """Settle what came back, claim what is due, start its calls; return how many deliveries moved."""
        moved = self._settle_finished()
        now = datetime.now(UTC)
        with self._db.read() as session:
            due = [each.id for each in self._destinations(session, now)]
        # A transaction each: webhooks wait to be stored meanwhile, and one destination's trouble stays its own.
        for destination_id in due:
            moved += self._work_for(destination_id)
        return moved

    def _work_for(self, destination_id: int) -> int:
        calls: list[Call] = []
        moved = 0
        try:
            with self._db.write() as session, session.no_autoflush:
                now = datetime.now(UTC)  # not the round's: leases begin here, however many destinations came before
                destination = session.get(Destination, destination_id)
                if destination is not None and destination.held is None and destination.mode != Mode.OFF:
                    moved = self._claim(session, destination, now, calls)
        except BaseException:
            for call in calls:
                self._free_lanes(call)
            raise
        for call in calls:
            self._calling[call.target.id] += 1
            self.caller.start(call)
        return moved

    def settle(self) -> bool:
        """Settle what came back and claim nothing; return whether no call is under way any more."""
        self._settle_finished()
        return not any(self._calling.values())

    def close(self) -> None:
        """Let the calls under way finish, and settle them."""
        self.caller.close()
        self._settle_finished()

    def _settle_finished(self) -> int:
        finished = self.caller.finished()
        if not finished:
            return 0
        now = datetime.now(UTC)
        try:
            with self._db.write() as session:
                self._settler.settle(session, finished, now)
        except BaseException:
            self.caller.give_back(finished)  # an outcome must not be lost to a full disk
            raise
        for call in finished:
            self._pauses.note(call, now)
            self._calling[call.target.id] -= 1
            self._free_lanes(call)
        return sum(len(call.items) for call in finished)

    def _free_lanes(self, call: Call) -> None:
        for item in call.items:
            if item.lane is not None:
                self._lanes.discard((call.target.id, item.lane))

    # claiming

    def _destinations(self, session: Session, now: datetime) -> list[Destination]:
        """Those that may send now and have something due, in no order that would favour one of them."""
        due = select(Delivery.id).where(Delivery.destination_id == Destination.id, *_due(now)).exists()
        wanted = select(Destination).where(Destination.mode != Mode.OFF, Destination.held.is_(None), due)
        found = [
            each
            for each in session.scalars(wanted)
            if not self._pauses.paused(each.provider, each.id, now) and self._free(each.provider, each.id) > 0
        ]
        random.shuffle(found)
        return found

    def _free(self, provider: str, destination_id: int) -> int:
        return self._pauses.concurrency(provider, destination_id) - self._calling[destination_id]

    def _claim(self, session: Session, destination: Destination, now: datetime, calls: list[Call]) -> int:
        """Add the calls that one destination may make now; return how many of its deliveries moved."""
        try:
            target = self._router.target(session, destination)
        except (Locked, MappingError) as error:
            hold(session, destination.id, str(error), now)
            return 0
        # No more calls than threads: a claimed call must start at once, or its lease would run while it waits.
        free = min(self._free(target.provider, target.id), CALLS - sum(self._calling.values()))
        own: list[Call] = []
        moved = 0
        rows = self._rows(session, target, free, now)
        try:
            for delivery in rows:
                if len(own) >= free and not _fits(own, delivery):
                    break
                taken = self._take(session, target, delivery, now, own)
                if taken is None:
                    break
                moved += taken
        finally:
            calls += own
        session.flush()
        for call in own:
            for item in call.items:
                item.attempt_id = item.attempt.id
        return moved

    def _rows(self, session: Session, target: Target, free: int, now: datetime) -> Sequence[Delivery]:
        """What is due, less what has to wait for an earlier delivery of the same order; as many as may be of use."""
        provider = PROVIDERS[target.provider]
        batches = any(action.batch > 1 for action in provider.actions.values())
        useful = CLAIM if batches else min(free * LOOK_AHEAD, CLAIM) if provider.lane else free
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
        wanted = select(Delivery).where(Delivery.destination_id == target.id, *_due(now), ~blocked)
        wanted = wanted.order_by(Delivery.due_at, Delivery.id).limit(max(useful, 1))
        rows = session.scalars(wanted.with_for_update(skip_locked=True)).all()
        if rows:  # all their events at once, to be found in the session afterwards
            session.info["events"] = session.scalars(
                select(Event).where(Event.id.in_([r.event_id for r in rows]))
            ).all()
        return rows

    def _take(
        self, session: Session, target: Target, delivery: Delivery, now: datetime, calls: list[Call]
    ) -> bool | None:
        """Prepare one delivery and put it into a call; False if it has to wait, None if the whole budget is used up."""
        if (target.id, self._lane_of.get(delivery.id, "")) in self._lanes:
            return False
        self._mend(session, delivery)
        prepared = self._prepare(session, target, delivery)
        if prepared is None:
            return True
        delivery.complaints = prepared.complaints or None
        if target.mode == Mode.SHADOW:
            session.add(_attempt(delivery, prepared.payload, now, outcome="shadow"))
            delivery.effect = prepared.effect
            finish(delivery, DeliveryState.SHADOW, "built and checked, not sent")
            return True
        lane = _lane(target, prepared.payload)
        if lane is not None and (target.id, lane) in self._lanes:
            self._lane_of[delivery.id] = lane
            return False
        self._lane_of.pop(delivery.id, None)
        if not self._joins(delivery, calls) and not self._budgets.take(target):
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

    def _prepare(self, session: Session, target: Target, delivery: Delivery) -> Prepared | None:
        """The payload, or None where the delivery came to its state without one."""
        try:
            prepared = prepare(session, target, delivery)
        except (MappingError, NeedsMending) as error:
            finish(delivery, DeliveryState.HELD, str(error))
            return None
        except SQLAlchemyError:
            raise
        except Exception as error:  # a bug of ours, or of a mapping: this one waits, all others go on
            log.exception("delivery %s could not be prepared", delivery.id)
            finish(delivery, DeliveryState.HELD, f"internal error while preparing ({type(error).__name__})")
            return None
        if isinstance(prepared, Skip) and not delivery.doubt:
            finish(delivery, DeliveryState.SKIPPED, prepared.reason)
            return None
        if isinstance(prepared, Skip):  # it may have been applied: that is to be found out first
            sent = _as_sent(session, delivery) or {}
            return Prepared(payload=sent, complaints=[], effect={}, received_at=delivery.created_at)
        return prepared

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
        """Write the attempt and the lease, and put the delivery into a call."""
        payload, probe = prepared.payload, None
        if delivery.doubt:
            payload = _as_sent(session, delivery) or payload
            probe = PROVIDERS[target.provider].actions[delivery.action].resolve(payload, target.settings)
            if probe is None:
                delivery.effect = prepared.effect  # should a person find it at the provider
                finish(delivery, DeliveryState.UNKNOWN, "sent, and the answer was lost: look it up at the provider")
                return
        delivery.attempts += 1
        delivery.leased_until = now + LEASE
        attempt = _attempt(delivery, payload, now, purpose="ask" if probe else "send")
        session.add(attempt)
        item = Item(
            delivery_id=delivery.id,
            attempt=attempt,
            attempts=delivery.attempts,
            payload=payload,
            since=delivery.since,
            received_at=prepared.received_at,
            lane=lane,
            effect=prepared.effect,
        )
        if lane is not None:
            self._lanes.add((target.id, lane))
        room = next((call for call in calls if self._joins(delivery, [call])), None)
        if room:
            room.items.append(item)
        else:
            calls.append(Call(target=target, action_name=delivery.action, items=[item], probe=probe))

    def _joins(self, delivery: Delivery, calls: Sequence[Call]) -> bool:
        """Whether the delivery rides with a call of this round that has room."""
        return not delivery.doubt and delivery.id not in self._settler.singly and _fits(calls, delivery)


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        among(Delivery.state, CLAIMABLE),
        Delivery.due_at <= now,
        (Delivery.leased_until.is_(None)) | (Delivery.leased_until < now),
    )


def _fits(calls: Sequence[Call], delivery: Delivery) -> bool:
    return any(call.has_room(delivery) for call in calls)


def _attempt(
    delivery: Delivery, payload: Payload, now: datetime, *, purpose: str = "send", outcome: str | None = None
) -> Attempt:
    return Attempt(
        delivery_id=delivery.id,
        number=delivery.attempts,
        purpose=purpose,
        payload=pack(payload),
        started_at=now,
        outcome=outcome,
    )


def _as_sent(session: Session, delivery: Delivery) -> Payload | None:
    """The payload whose answer was lost: the one to ask about, whatever the mapping would make today."""
    wanted = select(Attempt.payload).where(Attempt.delivery_id == delivery.id, Attempt.purpose == "send")
    packed = session.scalar(wanted.order_by(Attempt.id.desc()).limit(1))
    return unpack(packed) if packed else None


def _lane(target: Target, payload: Payload) -> str | None:
    name = PROVIDERS[target.provider].lane
    value = payload.get(name) if name else None
    return None if value is None else str(value)
