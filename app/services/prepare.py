"""Prepare: from a delivery to the payload that its event and mapping make, or the reason why none is owed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Delivery, DeliveryState, Event, Shop
from app.models.delivery import OPEN, among
from app.providers.base import Action, Payload
from app.providers.errors import NeedsMending
from app.providers.registry import PROVIDERS
from app.services.amounts import Reversed, amount, reversal
from app.services.packing import unpack
from app.services.route import Target, complete_facts
from connectors.events import time_text
from mappings.engine import CompiledMapping, Skip
from mappings.errors import MappingError

Facts = dict[str, Any]

NOTHING_TO_REVERSE = "nothing_to_reverse"  #: the purchase was not accepted (yet), or all of it was taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    payload: Payload
    complaints: list[str]
    effect: dict[str, Any]  #: to be kept once accepted
    received_at: datetime


def prepare(session: Session, target: Target, delivery: Delivery) -> Prepared | Skip:
    """Render ``delivery`` as its destination's settings, mapping and history stand now.

    Raises:
        MappingError: the mapping cannot make a payload of these facts.
        NeedsMending: the payload may not go as things are.
    """
    action = PROVIDERS[target.provider].actions[delivery.action]
    if action.collapse and _newer(session, delivery):
        return Skip("superseded")
    event, shop = session.get(Event, delivery.event_id), _shop(session, delivery.shop_id)
    if event is None or shop is None or event.facts is None:
        return Skip("erased")
    facts = complete_facts(target, shop, event, unpack(event.facts))
    if action.reverses:
        facts["reversal"] = _reversal(session, delivery, action, event, facts)
    payload = render(target, delivery.rule, action, facts)
    if isinstance(payload, Skip):
        return payload
    effect = _effect(action, payload, facts)
    if action.unchanged and effect["fingerprint"] == _last(session, delivery).get("fingerprint"):
        return Skip("unchanged")
    if reason := action.hold(payload, facts, target.settings):
        raise NeedsMending(reason)
    return Prepared(
        payload=payload, complaints=action.check(payload, facts), effect=effect, received_at=event.received_at
    )


def render(
    target: Target, rule_name: str, action: Action, facts: Facts, *, mapping: CompiledMapping | None = None
) -> Payload | Skip:
    """The payload of one rule for ``facts``, complete as the action demands."""
    if action.reverses and facts.get("reversal") is None:
        return Skip(NOTHING_TO_REVERSE)
    rule = (mapping or target.mapping).by_name(rule_name)
    if rule is None:
        return Skip("rule_removed")
    payload = rule.render(facts)
    if isinstance(payload, Skip):
        return payload
    missing = sorted(name for name in action.required if name not in payload)
    if missing:
        raise MappingError(
            f"the payload lacks {', '.join(missing)}, which {PROVIDERS[target.provider].title} needs",
            source=target.provider,
            rule=rule_name,
            path=missing[0],
        )
    return payload


def _shop(session: Session, shop_id: int) -> Shop | None:
    """Read once per transaction; a session forgets what nobody holds."""
    known: dict[int, Shop | None] = session.info.setdefault("shops", {})
    if shop_id not in known:
        known[shop_id] = session.get(Shop, shop_id)
    return known[shop_id]


def _newer(session: Session, delivery: Delivery) -> bool:
    wanted = select(Delivery.id).where(
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == delivery.action,
        among(Delivery.state, OPEN),
        Delivery.id > delivery.id,
    )
    return session.scalar(wanted.limit(1)) is not None


def _reversal(session: Session, delivery: Delivery, action: Action, event: Event, facts: Facts) -> Facts | None:
    """What may still be taken back of what this destination was given; None for nothing."""
    given = select(Delivery.id).where(
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == action.reverses,
        Delivery.state == DeliveryState.DELIVERED,
    )
    if session.scalar(given.limit(1)) is None:
        return None
    return reversal(facts["order"], facts.get("refund"), _done(session, delivery), time_text(event.occurred_at))


def _done(session: Session, delivery: Delivery) -> Reversed:
    effects = session.scalars(
        select(Delivery.effect).where(
            Delivery.destination_id == delivery.destination_id,
            Delivery.subject == delivery.subject,
            Delivery.action == delivery.action,
            Delivery.state == DeliveryState.DELIVERED,
            Delivery.id != delivery.id,
        )
    ).all()
    quantities: dict[str, Any] = {}
    for effect in effects:
        for line_id, quantity in (effect or {}).get("quantities", {}).items():
            quantities[line_id] = quantities.get(line_id, amount(None)) + amount(quantity)
    total = sum((amount((effect or {}).get("amount")) for effect in effects), amount(None))
    return Reversed(amount=total, quantities=quantities)


def _effect(action: Action, payload: Payload, facts: Facts) -> dict[str, Any]:
    effect: dict[str, Any] = {}
    if action.unchanged:
        effect["fingerprint"] = [_at(payload, path) for path in action.unchanged]
    taken = facts.get("reversal")
    if taken:
        effect["amount"] = taken["amount"]
        if not taken["estimated"]:
            effect["quantities"] = {line["line_id"]: line["quantity"] for line in taken["lines"]}
    return effect


def _at(payload: Mapping[str, Any], path: str) -> Any:
    found: Any = payload
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _last(session: Session, delivery: Delivery) -> dict[str, Any]:
    """The effect of what was last accepted of this action for this order."""
    wanted = (
        select(Delivery.effect)
        .where(
            Delivery.destination_id == delivery.destination_id,
            Delivery.subject == delivery.subject,
            Delivery.action == delivery.action,
            Delivery.state == DeliveryState.DELIVERED,
        )
        .order_by(Delivery.delivered_at.desc(), Delivery.id.desc())
        .limit(1)
    )
    return session.scalar(wanted) or {}
