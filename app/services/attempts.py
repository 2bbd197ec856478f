"""Attempts for the screen: what was sent, what came back, and when it is tried again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Attempt, Delivery, DeliveryState, Destination, Shop
from app.services.cover import Cover
from app.services.packing import unpack
from app.services.retention import GONE, Removed, days
from app.services.settle import HORIZON


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One HTTP try; of its payload and answer only what names nobody."""

    id: int
    number: int  #: 0: built and not sent
    purpose: str  #: send, or ask (what became of an earlier one)
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None  #: accepted, or the error's class in words; None: under way
    status: int | None  #: HTTP
    answer: str | None
    payload: Any  #: JSON, covered; None where it is not kept, or the same as in the try before
    removed: bool  #: it was kept, and retention removed it
    same: bool  #: the payload is that of the try before


@dataclass(frozen=True, slots=True)
class Plan:
    """When a delivery that waits goes out."""

    next_at: datetime | None  #: None: when something is mended
    until: datetime | None  #: after that it is given up; None: it does not run out


def tries(session: Session, ids: Sequence[int], cover: Cover) -> dict[int, list[Try]]:
    """By delivery, oldest first."""
    found: dict[int, list[Try]] = {}
    before: dict[int, bytes | None] = {}
    rows = session.scalars(select(Attempt).where(Attempt.delivery_id.in_(ids)).order_by(Attempt.id))
    for row in rows:
        same = bool(row.payload) and row.payload == before.get(row.delivery_id)
        before[row.delivery_id] = row.payload
        found.setdefault(row.delivery_id, []).append(_try(row, cover, same=same))
    return found


def _try(row: Attempt, cover: Cover, *, same: bool) -> Try:
    return Try(
        id=row.id,
        number=row.number,
        purpose=row.purpose,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=row.outcome,
        status=row.status,
        answer=cover.text(row.answer) if row.answer else None,
        payload=cover.payload(unpack(row.payload)) if row.payload and not same else None,
        removed=row.payload == GONE,
        same=same,
    )


def plan(delivery: Delivery, destination: Destination | None) -> Plan | None:
    """When it is tried next; None where it is not by itself."""
    if delivery.state in (DeliveryState.PENDING, DeliveryState.RETRYING):
        return Plan(delivery.due_at, delivery.since + HORIZON)
    if delivery.state == DeliveryState.HELD:
        return Plan(destination.probe_at if destination else None, None)
    return None


def whole_payload(session: Session, delivery: Delivery, attempt_id: int) -> Mapping[str, Any] | None:
    """What one try of ``delivery`` sent, persons included; None where there is no such try or nothing was sent.

    Raises:
        Removed: it is not kept any more.
    """
    rows = session.execute(select(Attempt.id, Attempt.payload).where(Attempt.delivery_id == delivery.id))
    packed = {row.id: row.payload for row in rows}.get(attempt_id)
    if packed == GONE:
        raise Removed(days(session.get_one(Shop, delivery.shop_id)))
    found: Mapping[str, Any] | None = unpack(packed) if packed else None
    return found
