"""Holds and leases: what stops a destination, and what lets it go on."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from app.db import Database, clock
from app.models import Delivery, DeliveryState, Destination
from app.models.delivery import CLAIMABLE, among

LEASE = timedelta(seconds=50)  #: longer than the longest exchange (a call, a question, a repeat), within a minute
#: How long a provider may be at a request whose connection is gone: asked before, it would deny what it then applies.
SETTLING = timedelta(seconds=20)
TRY_EVERY = timedelta(minutes=15)  #: while a destination is held, it is tried again so often


def hold(session: Session, destination_id: int, reason: str, now: datetime) -> None:
    """Stop a destination until the merchant mends something; what is open waits, in order, and does not expire."""
    session.execute(
        update(Destination)
        .where(Destination.id == destination_id)
        .values(held=reason, probe_at=now + TRY_EVERY)
        .execution_options(synchronize_session="evaluate")
    )
    hold_open(session, destination_id, reason)


def hold_open(session: Session, destination_id: int, reason: str) -> None:
    """Mark what is open and not under way as held."""
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


def release(session: Session, destination_id: int) -> int:
    """Let a destination go on: what was held is due, with its full horizon again. Return how many."""
    now = clock(session)
    session.execute(
        update(Destination)
        .where(Destination.id == destination_id)
        .values(held=None, probe_at=None)
        .execution_options(synchronize_session=False)
    )
    released = session.execute(
        update(Delivery)
        .where(Delivery.destination_id == destination_id, among(Delivery.state, (DeliveryState.HELD,)))
        .values(state=DeliveryState.PENDING, reason=None, due_at=now, since=now)
        .execution_options(synchronize_session=False)
    )
    return int(released.rowcount)  # type: ignore[attr-defined]


def try_held(db: Database, now: datetime) -> int:
    """Release destinations whose time for another try has come; if nothing was mended, the first answer holds again.

    A transaction each: on SQLite no webhook is stored meanwhile.
    """
    wanted = select(Destination.id).where(Destination.held.is_not(None), Destination.probe_at <= now)
    with db.read() as session:
        found = session.scalars(wanted.order_by(Destination.id)).all()
    return sum(_try(db, wanted.where(Destination.id == destination_id)) for destination_id in found)


def _try(db: Database, wanted: Select[int]) -> bool:
    with db.write() as session:
        destination_id = session.scalar(wanted.with_for_update(key_share=True))  # it may have been mended meanwhile
        if destination_id is not None:
            release(session, destination_id)
    return destination_id is not None
