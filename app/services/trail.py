"""Trail: what was changed at a shop and by whom, for its people to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import AuditEntry
from app.services import people

PAGE = 50


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    before: Any  #: None: it was not there
    after: Any


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    at: datetime
    actor: str  #: as in the audit trail
    email: str | None  #: of an actor who sees the shop still
    action: str
    changes: tuple[Change, ...]


def read(session: Session, shop_id: int, *, before: int | None = None) -> tuple[list[Entry], int | None]:
    """One page, newest first.

    Args:
        before: the id of the last entry of the page before.
    Returns: the entries, and the id to go on from; None where there are no more.
    """
    wanted = select(AuditEntry).where(AuditEntry.shop_id == shop_id).order_by(AuditEntry.id.desc()).limit(PAGE + 1)
    if before is not None:
        wanted = wanted.where(AuditEntry.id < before)
    rows = list(session.scalars(wanted))
    emails = {f"account:{each.account_id}": each.email for each in people.members(session, shop_id)}
    entries = [
        Entry(row.id, row.at, row.actor, emails.get(row.actor), row.action, _changes(row.before or {}, row.after or {}))
        for row in rows[:PAGE]
    ]
    return entries, entries[-1].id if len(rows) > PAGE else None


def _changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    names = dict.fromkeys([*before, *after])
    found = (Change(name, before.get(name), after.get(name)) for name in names)
    return tuple(each for each in found if each.before != each.after)
