"""Assemble: of what was claimed, the calls to make, and what has to be written before they are made."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime
from typing import Any
from zlib import crc32

from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.models import Attempt, DeliveryState, Mode
from app.providers.base import Payload
from app.providers.errors import NeedsMending
from app.providers.http import as_sent
from app.providers.registry import PROVIDERS
from app.services import owed, route, rows
from app.services.calls import Call, Item
from app.services.claims import Claim, Claims
from app.services.holds import LEASE, hold
from app.services.many import Many
from app.services.once import Places
from app.services.packing import compress, unpack
from app.services.prepare import ALREADY_SENT, Prepared, Sources, prepare
from app.services.restored import LOST, MAYBE_SENT
from app.services.route import On, Router, Target
from app.services.rows import ATTEMPTS, Row
from app.services.said import mark
from app.services.secrets import Locked
from app.services.settle import finish, ids_of
from mappings.engine import Skip
from mappings.errors import MappingError

log = logging.getLogger(__name__)

#: What changes of a delivery that goes out, of one that waits for its lane, and of one that ends without a call.
_LEASED = ("attempts", "leased_until", "call_id", "provider_lane", "complaints")
_WAITING = ("provider_lane", "complaints")
_ENDED = ("state", "reason", "leased_until", "singly", "once_key", "provider_lane", "complaints", "effect")


class Assembly:
    """What one transaction makes of its claims: first `calls` for each of them, then `write`."""

    def __init__(self, session: Session, router: Router, claims: Claims) -> None:
        self._session = session
        self._router = router
        self._now = claims.now
        self._began = claims.began
        self._spending = claims.spending
        self._sources = Sources(session, [row for claim in claims.claims for row in claim.rows])
        self._leased: list[Row] = []
        self._waiting: list[Row] = []
        self._ended: list[Row] = []
        #: That end as skipped, and have a place to give back: where they go, and why they do not.
        self._leaving: list[tuple[On, Target, Row, str]] = []
        self._attempts: list[dict[str, Any]] = []

    def calls(self, claim: Claim) -> list[Call]:
        """The calls that one destination may make now, to be started once all is written and committed."""
        try:
            target = self._router.ready(self._session, claim.destination)
        except (Locked, MappingError) as error:
            hold(self._session, claim.destination.id, str(error), self._now)
            return []
        for row in claim.rows:
            if claim.room(row) is None and not self._may_begin(target, claim):
                break
            self._take(target, row, claim)
        return claim.calls

    def write(self) -> int:
        """Write leases, attempts, budgets and what ended without a call; return how many deliveries moved."""
        connection = self._session.connection()
        following = self._give_back() if self._leaving else []
        rows.write(connection, self._ended, _ENDED)
        owed.write(self._session, following)
        rows.write(connection, self._waiting, _WAITING)
        rows.write(connection, self._leased, _LEASED)
        if self._attempts:
            _ATTEMPTS.execute(connection, self._attempts)
        self._spending.write()
        return len(self._leased) + len(self._ended)

    def moved(self) -> Counter[int | None]:
        """How many deliveries moved, by shop."""
        return Counter(row.shop_id for row in (*self._leased, *self._ended))

    def skipped(self) -> set[int]:
        """Destinations of which something was skipped, so that what waited behind it may go now."""
        return {row.destination_id for row in self._ended if row.state == DeliveryState.SKIPPED}

    def _may_begin(self, target: Target, claim: Claim) -> bool:
        """Whether there is a thread, and budget, for one more call."""
        if target.mode == Mode.SHADOW:
            return True
        under_way = claim.under_way + len(claim.calls)
        return len(claim.calls) < claim.threads and self._spending.left(target.provider, target.id, under_way)

    def _take(self, target: Target, row: Row, claim: Claim) -> None:
        """Prepare one delivery and put it into a call, unless it has to wait for its lane."""
        prepared = self._prepare(target, row)
        if prepared is None:
            self._ended.append(row)
            return
        if isinstance(prepared, Skip):
            self._skip(target, row, prepared.reason, claim)
            return
        row.complaints = prepared.complaints or None
        if target.mode == Mode.SHADOW:
            row.effect = prepared.effect
            self._attempts.append(_attempt(row, prepared.payload, self._now, outcome="shadow"))
            self._end(row, DeliveryState.SHADOW, mark("built and checked, not sent"))
            return
        row.provider_lane = _lane(target, prepared.payload)
        if row.provider_lane in claim.lanes:
            self._waiting.append(row)
        else:
            self._lease(target, row, prepared, claim)

    def _end(self, row: Row, state: DeliveryState, reason: str | None) -> None:
        finish(row, state, reason)
        self._ended.append(row)

    def _skip(self, target: Target, row: Row, reason: str, claim: Claim) -> None:
        if row.once_key is None or reason == ALREADY_SENT:
            self._end(row, DeliveryState.SKIPPED, reason)
        else:  # nothing was sent: another trigger may still send it once
            self._leaving.append((claim.destination, target, row, reason))

    def _give_back(self) -> list[owed.Row]:
        """End what gives its place back; return the deliveries that take the places, to be written after that."""
        places = Places(self._session, [row for _, _, row, _ in self._leaving])
        following: list[owed.Row] = []
        for destination, target, row, reason in self._leaving:
            if places.busy(row):
                continue  # it is looked at again in the next round
            try:
                found = [] if places.taken(row) else places.next(destination, target, row)
            except SQLAlchemyError:
                raise
            except Exception as error:  # as if it were this one's own: it waits, all others go on
                self._end(row, DeliveryState.HELD, route.why(error))
                continue
            following += found
            if not places.taken(row):
                row.once_key = None
            self._end(row, DeliveryState.SKIPPED, reason)
        return following

    def _prepare(self, target: Target, row: Row) -> Prepared | Skip | None:
        """The payload, or why there is none; None where the delivery came to its state without either."""
        try:
            prepared = prepare(self._sources, target, row)
        except (MappingError, NeedsMending) as error:
            finish(row, DeliveryState.HELD, str(error))
            return None
        except SQLAlchemyError:
            raise
        except Exception as error:  # a bug of ours, or of a mapping: this one waits, all others go on
            log.exception("delivery %s could not be prepared", row.id, extra=ids_of(row))
            finish(row, DeliveryState.HELD, f"internal error while preparing ({type(error).__name__})")
            return None
        if isinstance(prepared, Skip) and row.doubt and row.attempts:
            # It may have been applied: that is to be found out first.
            sent = _as_sent(self._session, row) or {}
            return Prepared(payload=sent, complaints=[], effect={}, received_at=row.created_at)
        return prepared

    def _lease(self, target: Target, row: Row, prepared: Prepared, claim: Claim) -> None:
        """Put the delivery into a call, with an attempt and a lease; or find that nobody can be asked about it."""
        payload, probe = prepared.payload, None
        if row.doubt:
            payload = _as_sent(self._session, row) or payload
            probe = PROVIDERS[target.provider].actions[row.action].resolve(payload, target.settings)
            if probe is None:
                row.effect = prepared.effect  # should a person find it at the provider
                self._end(row, DeliveryState.UNKNOWN, LOST if row.attempts else MAYBE_SENT)
                return
        call = claim.room(row)
        if call is None:
            self._spending.take(target.provider, target.id)
            saved_at = claim.destination.updated_at
            call = Call(target, saved_at, row.action, self._began, items=[], probe=probe, alone=row.singly)
            claim.calls.append(call)
        row.attempts += 1
        row.leased_until = self._now + LEASE
        row.call_id = call.items[0].delivery_id if call.items else row.id
        if row.provider_lane is not None:
            claim.lanes.add(row.provider_lane)
        self._leased.append(row)
        self._attempts.append(_attempt(row, payload, self._now, purpose="ask" if probe else "send"))
        call.items.append(
            Item(
                delivery_id=row.id,
                attempts=row.attempts,
                started_at=self._now,
                payload=payload,
                since=row.since,
                received_at=prepared.received_at,
                effect=prepared.effect,
            )
        )


_ATTEMPTS = Many(insert(ATTEMPTS))


def _attempt(
    row: Row, payload: Payload, now: datetime, *, purpose: str = "send", outcome: str | None = None
) -> dict[str, Any]:
    return {
        "delivery_id": row.id,
        "number": row.attempts,
        "purpose": purpose,
        "payload": compress(as_sent(payload)),
        "started_at": now,
        "outcome": outcome,
    }


def _as_sent(session: Session, row: Row) -> Payload | None:
    """The payload whose answer was lost: the one to ask about, whatever the mapping would make today."""
    wanted = select(Attempt.payload).where(Attempt.delivery_id == row.id, Attempt.purpose == "send")
    packed = session.scalar(wanted.order_by(Attempt.id.desc()).limit(1))
    return unpack(packed) if packed else None


def _lane(target: Target, payload: Payload) -> int | None:
    """A checksum, for the value may name a person; that two values may share one only lets one of them wait."""
    name = PROVIDERS[target.provider].lane
    value = payload.get(name) if name else None
    return None if value is None else crc32(str(value).encode())
