"""Owed: deliveries as they are first written, and what an event's age means for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import clock
from app.models import Connection, Delivery, DeliveryState, Event, Shop
from app.providers.registry import PROVIDERS
from app.services.many import Many
from app.services.one_of import one_of
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
    return too_old(shop, event.occurred_at) and _connected(session, [shop.id])[shop.id]


def look_ahead(session: Session, told: Iterable[Told]) -> None:
    """Ask in one statement what `before_start` will want to know of each of these."""
    if shops := {each.shop.id for each in told if too_old(each.shop, each.occurred_at)}:
        _connected(session, sorted(shops))


def _connected(session: Session, shop_ids: Sequence[int]) -> dict[int, bool]:
    """Which shops were not added by hand; of these, and of those asked for before in this transaction."""
    known: dict[int, bool] = session.info.setdefault("connected", {})
    if unknown := [shop_id for shop_id in shop_ids if shop_id not in known]:
        found = set(session.connection().execute(_CONNECTED, {"shops": unknown}).scalars())
        known.update((shop_id, shop_id in found) for shop_id in unknown)
    return known


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
_CONNECTED = select(_C.shop_id).where(one_of(_C.shop_id, "shops"))
_INSERTS = {
    "sqlite": Many(sqlite.insert(cast(Table, Delivery.__table__)).on_conflict_do_nothing()),
    "postgresql": Many(postgresql.insert(cast(Table, Delivery.__table__)).on_conflict_do_nothing()),
}
