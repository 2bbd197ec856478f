"""Trail: what was changed at a shop and by whom, for its people to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import AuditEntry
from app.providers.registry import PROVIDERS
from app.services import people

PAGE = 50
_ABOUT = "provider"  #: the name under which entries keep which provider they are about


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
    provider: str | None  #: the title of the one that it is about
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
    entries = [_entry(row, emails.get(row.actor)) for row in rows[:PAGE]]
    return entries, entries[-1].id if len(rows) > PAGE else None


def _entry(row: AuditEntry, email: str | None) -> Entry:
    before, after = row.before or {}, row.after or {}
    provider = PROVIDERS.get(str(after.get(_ABOUT, before.get(_ABOUT))))
    if provider is not None:  # said with the action: beside what changed, what stayed the same would be left out
        before, after = ({name: given for name, given in side.items() if name != _ABOUT} for side in (before, after))
    title = provider.title if provider else None
    return Entry(row.id, row.at, row.actor, email, row.action, title, _changes(before, after))


def _changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[Change, ...]:
    names = dict.fromkeys([*before, *after])
    found = (Change(name, before.get(name), after.get(name)) for name in names)
    return tuple(each for each in found if each.before != each.after)
