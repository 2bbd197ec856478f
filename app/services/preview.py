"""Preview: what the last events would become under another mapping, beside what they become now. Sends nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Shop
from app.providers.base import Provider
from app.services.errors import NotFound
from app.services.expected import Expected, Outcome
from app.services.own_mappings import checked_mapping
from app.services.route import Router
from mappings.data import identical
from mappings.engine import CompiledMapping

WITHIN = 5000  #: newest events that are looked through for some kinds; a page must not read a year of a large shop

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One event under one rule of either mapping; None where no delivery would be owed."""

    event: Event
    rule: str
    now: Outcome | None
    then: Outcome | None


def preview(
    session: Session, router: Router, shop: Shop, provider: Provider, own: tuple[str, str] | None, *, last: int
) -> list[Row]:
    """For each of the ``last`` events and each rule: the payload now, then, the fields that differ, complaints.

    Args:
        own: text and name of the mapping to try; None: only what is now.
    Raises:
        MappingError: the mapping cannot be used.
    """
    target = router.find(session, shop, provider)
    if target is None:
        raise NotFound(f"{provider.title} is not set up for this shop: `tillwire destinations set` does that")
    new = target.mapping if own is None else checked_mapping(provider, own[0], source=own[1])[1]
    expected, events = Expected(session, target, shop), last_events(session, shop, last)
    return [_row(each, both=own is not None) for each in compare(expected, target.mapping, new, events)]


def last_events(session: Session, shop: Shop, number: int, *, kinds: Collection[str] | None = None) -> Sequence[Event]:
    """The newest that were understood, oldest first.

    Args:
        kinds: only of these, as far as there are any among the newest `WITHIN`.
    """
    mine = (Event.shop_id == shop.id, Event.state == EventState.UNDERSTOOD)
    wanted = select(Event).where(*mine).order_by(Event.id.desc()).limit(number)
    if kinds is not None:
        newest = select(Event.id, Event.kind).where(*mine).order_by(Event.id.desc()).limit(WITHIN).subquery()
        wanted = wanted.where(Event.id.in_(select(newest.c.id).where(newest.c.kind.in_(kinds))))
    return session.scalars(wanted).all()[::-1]


def compare(
    expected: Expected, now: CompiledMapping, then: CompiledMapping, events: Sequence[Event]
) -> Iterator[Comparison]:
    """Each event under each rule that listens to it, where something would be owed under either mapping."""
    for event in events:
        for name in dict.fromkeys(rule.name for each in (now, then) for rule in each.for_kind(event.kind or "")):
            before = expected.outcome(now, name, event)
            after = before if then is now else expected.outcome(then, name, event)
            if before is not None or after is not None:
                yield Comparison(event=event, rule=name, now=before, then=after)


def _row(found: Comparison, *, both: bool) -> Row:
    event, now = found.event, _told(found.now)
    row: Row = {"event": event.id, "kind": event.kind, "order": event.subject, "rule": found.rule, "now": now}
    if both:
        row["then"] = _told(found.then)
        row["differences"] = differences(now, row["then"])
    row["complaints"] = list(found.then.complaints) if found.then else []
    return row


def _told(outcome: Outcome | None) -> Row | None:
    """``{"payload"}``, ``{"skip"}`` or ``{"error"}``; None where no delivery would be owed."""
    return None if outcome is None else {outcome.kind: getattr(outcome, outcome.kind)}


def differences(before: Any, after: Any, path: str = "") -> list[Row]:
    """The places where two JSON values differ, also 1 and true: ``{"path", "now", "then"}``."""
    if identical(before, after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys((*before, *after))
        found = [differences(before.get(name), after.get(name), f"{path}.{name}".lstrip(".")) for name in names]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        found = [differences(one, other, f"{path}[{index}]") for index, (one, other) in pairs]
    else:
        return [{"path": path, "now": before, "then": after}]
    return [each for part in found for each in part]
