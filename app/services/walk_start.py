"""When a walk through a store's orders is due, and where it begins."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Connection, ConnectionState, Shop
from app.services.agreement import Source
from app.services.connections import BEFORE_INSTALL

MOST = 100  #: connections taken up in one go
_REACHABLE = (ConnectionState.CONNECTED, ConnectionState.ATTENTION)


def due(session: Session, now: datetime) -> list[int]:
    """The shops whose reconciliation is due, the longest waiting first."""
    there = Connection.shop_id.in_(select(Shop.id).where(Shop.removed_at.is_(None)))
    wanted = select(Connection.shop_id).where(Connection.reconcile_at <= now, Connection.state.in_(_REACHABLE), there)
    return list(session.scalars(wanted.order_by(Connection.reconcile_at).limit(MOST)))


def start_of(
    connection: Connection, source: Source, since: datetime | None, waiting: Iterable[datetime], now: datetime
) -> tuple[datetime, bool]:
    """Where the walk begins, before all that waits for it, and whether the store's reach cut it off."""
    start = since or min([_resume(connection, source), *waiting])
    if source.reach is None or start >= now - source.reach:
        return start, False
    return now - source.reach, True


def earliest(connection: Connection, source: Source, now: datetime) -> datetime:
    """Where a walk must begin to leave no gap behind it that could still be filled."""
    resume = _resume(connection, source)
    return resume if source.reach is None else max(resume, now - source.reach)


def _resume(connection: Connection, source: Source) -> datetime:
    if connection.reconciled_to is None:
        return connection.installed_at - BEFORE_INSTALL
    return connection.reconciled_to - source.overlap
