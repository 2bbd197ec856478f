"""A backup was put back: the database has forgotten what was sent since.

What may have been sent is treated as if its answer had been lost. Where a repeat does no harm it is sent again; where
the provider can be asked, it is asked; everything else becomes ``unknown``, for a person to look up.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, or_, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Connection, Delivery, DeliveryState, Shop
from app.models.delivery import OPEN, among
from app.providers.registry import PROVIDERS
from app.services.errors import Failed
from app.services.prepare import NOTHING_TO_REVERSE
from app.services.said import mark

LOST = mark("sent, and the answer was lost: look it up at the provider")
MAYBE_SENT = mark("a backup was put back, and it may have been sent since: look it up at the provider")


def restored(db: Database) -> dict[str, Any]:
    """Note for every shop that a backup was put back, before any worker runs on it.

    It counts for the deliveries that are open now, and for those of events that happened before now and come to be
    known only later: by webhooks that the backup holds unread, by a reconciliation, or by a late webhook. Connected
    stores are due to be asked at once.

    Returns:
        ``at``, ``shops`` and ``in_doubt``: deliveries that are asked for, or left to a person, instead of being sent.
    Raises:
        Failed: a worker runs, and may be sending already.
    """
    with ExitStack() as stack:
        if db.alone(stack) is None:
            raise Failed("a worker runs at this database: stop it, put the backup back again, then repeat this command")
        with db.write() as session:
            now = datetime.now(UTC)
            due = Connection.reconcile_at.is_not(None)
            session.execute(update(Connection).where(due).values(reconcile_at=now))  # webhooks since then are gone
            shops = session.execute(update(Shop).values(restored_at=now)).rowcount  # type: ignore[attr-defined]
            return {"at": now.isoformat(), "shops": shops, "in_doubt": _doubt(session)}


def _doubt(session: Session) -> int:
    unsafe = [
        and_(Delivery.provider == provider.name, Delivery.action == name)
        for provider in PROVIDERS.values()
        for name, action in provider.actions.items()
        if not action.repeatable
    ]
    # What had nothing to take back is looked at again once it has; that may have come to pass since the backup.
    waits = and_(Delivery.state == DeliveryState.SKIPPED, Delivery.reason == NOTHING_TO_REVERSE)
    wanted = update(Delivery).where(or_(among(Delivery.state, OPEN), waits), or_(*unsafe)).values(doubt=True)
    return int(session.execute(wanted.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]
