"""Preview: what the last events would become under another mapping, beside what they become now. Sends nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Shop
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services.amounts import Reversed, reversal
from app.services.configure import checked_mapping
from app.services.errors import NotFound
from app.services.packing import unpack
from app.services.prepare import render
from app.services.route import Router, Target, complete_facts
from connectors.events import time_text
from mappings.engine import CompiledMapping, Skip
from mappings.errors import MappingError

Row = dict[str, Any]


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
    wanted = select(Event).where(Event.shop_id == shop.id, Event.state == EventState.UNDERSTOOD)
    events = session.scalars(wanted.order_by(Event.id.desc()).limit(last)).all()[::-1]
    rows = []
    for event in events:
        facts = complete_facts(target, shop, event, unpack(event.facts) if event.facts else {})
        names = dict.fromkeys(
            rule.name for mapping in (target.mapping, new) for rule in mapping.for_kind(event.kind or "")
        )
        rows += [_row(target, new, name, event, facts, both=own is not None) for name in names]
    return [row for row in rows if row["now"] is not None or row.get("then") is not None]


def _row(target: Target, new: CompiledMapping, name: str, event: Event, facts: Row, *, both: bool) -> Row:
    now, complaints = _outcome(target, target.mapping, name, event, facts)
    row: Row = {"event": event.id, "kind": event.kind, "order": event.subject, "rule": name, "now": now}
    if both:
        row["then"], complaints = _outcome(target, new, name, event, facts)
        row["differences"] = differences(now, row["then"])
    row["complaints"] = complaints
    return row


def _outcome(
    target: Target, mapping: CompiledMapping, name: str, event: Event, facts: Row
) -> tuple[Row | None, list[str]]:
    """``{"payload"}``, ``{"skip"}`` or ``{"error"}``; None where no delivery would be owed."""
    rule = mapping.by_name(name)
    if rule is None or event.kind not in rule.on or not rule.applies(facts):
        return None, []
    action = PROVIDERS[target.provider].actions[rule.action]
    if action.reverses and "order" in facts:
        at = time_text(event.occurred_at)
        facts = {**facts, "reversal": reversal(facts["order"], facts.get("refund"), Reversed(), at)}
    try:
        made = render(target, name, action, facts, mapping=mapping)
    except MappingError as error:
        return {"error": str(error)}, []
    if isinstance(made, Skip):
        return {"skip": made.reason}, []
    return {"payload": made}, action.check(made, facts)


def differences(before: Any, after: Any, path: str = "") -> list[Row]:
    """The places where two JSON values differ: ``{"path", "now", "then"}``."""
    if before == after:
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
