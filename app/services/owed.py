"""Owed: deliveries as they are first written, and what an event's age means for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import clock
from app.models import Connection, Delivery, DeliveryState, Event, Shop
from app.providers.registry import PROVIDERS
from app.services.many import Many
from mappings import engine

if TYPE_CHECKING:
    from app.services.route import Target

BEFORE_START = "before_start"
GRACE = timedelta(days=1)  #: clocks differ, and a merchant may try an order just before connecting

Facts = dict[str, Any]
Row = dict[str, Any]  #: of `Delivery`


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event that was just written."""

    id: int
    shop: Shop
    kind: str
    subject: str
    occurred_at: datetime
    facts: Facts


def write(session: Session, rows: Sequence[Row]) -> None:
    """Write deliveries that are owed, and due now.

    What is owed already stays: the unique constraints say what "already" means.
    """
    if not rows:
        return
    now = clock(session)  # workers on other machines claim by it
    rows = [row | {"due_at": now, "since": now, "created_at": now} for row in rows]
    _INSERTS[session.get_bind().dialect.name].execute(session.connection(), rows)
    # For whoever tells the workers, after the commit.
    session.info.setdefault("owed", set()).update(row["destination_id"] for row in rows)


def before_start(session: Session, shop: Shop, event: Event | Told) -> bool:
    """Whether this happened before the store was connected: an old order that somebody edits is no new purchase.

    A shop that was added by hand has no such moment.
    """
    if not too_old(shop, event.occurred_at):
        return False
    connected: dict[int, bool] = session.info.setdefault("connected", {})
    if shop.id not in connected:
        connected[shop.id] = session.scalar(_CONNECTED, {"shop": shop.id}) is not None
    return connected[shop.id]


def too_old(shop: Shop, at: datetime) -> bool:
    """Whether it was clearly before the shop was added."""
    return at < shop.created_at - GRACE


def maybe_told(shop: Shop, event: Event | Told) -> bool:
    """Whether it happened before a backup was put back: then it may have been sent, and the database forgot it."""
    return shop.restored_at is not None and event.occurred_at <= shop.restored_at


def row(target: Target, held: str | None, event: Event | Told, rule: engine.Rule, *, late: bool, told: bool) -> Row:
    action = PROVIDERS[target.provider].actions[rule.action]
    state, reason = (DeliveryState.HELD, held) if held else (DeliveryState.PENDING, None)
    if late:
        state, reason = DeliveryState.SKIPPED, BEFORE_START
    return {
        "shop_id": target.shop_id,
        "destination_id": target.id,
        "event_id": event.id,
        "provider": target.provider,
        "rule": rule.name,
        "action": rule.action,
        "subject": event.subject,
        "lane": event.subject if action.ordered else None,
        "once_key": f"{target.id}:{rule.action}:{event.subject}" if action.once and not late else None,
        "state": state,
        "reason": reason,
        "attempts": 0,
        "doubt": told and not action.repeatable,
        "singly": False,
    }


_C = cast(Table, Connection.__table__).c
_CONNECTED = select(_C.shop_id).where(_C.shop_id == bindparam("shop"))
_INSERTS = {
    "sqlite": Many(sqlite.insert(cast(Table, Delivery.__table__)).on_conflict_do_nothing()),
    "postgresql": Many(postgresql.insert(cast(Table, Delivery.__table__)).on_conflict_do_nothing()),
}
