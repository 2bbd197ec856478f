"""Prepare: from a delivery to the payload that its event and mapping make, or the reason why none is owed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Attempt, Delivery, DeliveryState, Event, Ledger, Mode, Shop
from app.models.delivery import OPEN
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

NOT_CANCELLED = "not_cancelled"  #: it was when this was told, and is not any more
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
    if action.once and _given(session, delivery):
        return Skip("already_sent")
    event, shop = session.get(Event, delivery.event_id), _shop(session, delivery.shop_id)
    if event is None or shop is None or event.facts is None:
        return Skip("erased")
    told = unpack(event.facts)
    if _erased(told):
        return Skip("erased")
    facts = complete_facts(target, shop, event, told)
    if action.reverses:
        if (passed := _passed(session, delivery, event, facts)) is not None:
            return Skip(passed)
        facts["reversal"] = _reversal(session, target, delivery, action, event, facts)
    payload = render(target, delivery.rule, action, facts)
    if isinstance(payload, Skip):
        return payload
    effect = _effect(action, payload, facts)
    if action.unchanged and _as_last(session, delivery, effect["fingerprint"]):
        return Skip("unchanged")
    if reason := action.hold(payload, facts, target.settings):
        raise NeedsMending(reason)
    return Prepared(
        payload=payload, complaints=action.check(payload, facts), effect=effect, received_at=event.received_at
    )


def _erased(facts: Facts) -> bool:
    """Whether the person was taken out of the facts by a privacy request."""
    return any((facts.get(name) or {}).get("erased") for name in ("order", "cart", "checkout"))


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
    """Whether a later state of the order is on its way, or was accepted: an older one would set it back."""
    wanted = select(Delivery.id).where(
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == delivery.action,
        Delivery.state.in_((*OPEN, DeliveryState.DELIVERED)),
        Delivery.event_id > delivery.event_id,
    )
    return session.scalar(wanted.limit(1)) is not None


def _given(session: Session, delivery: Delivery) -> bool:
    """Whether another trigger gave the provider what happens once, or is about to.

    A skipped delivery gave its ``once_key`` back for that; one that a person replays must not come on top of it.
    """
    taken: tuple[DeliveryState, ...] = (DeliveryState.DELIVERED, DeliveryState.UNKNOWN)
    if delivery.once_key is None:
        taken = (*taken, *OPEN)
    others = select(Delivery.id).where(
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == delivery.action,
        Delivery.state.in_(taken),
        Delivery.id != delivery.id,
    )
    return session.scalar(others.limit(1)) is not None


def _passed(session: Session, delivery: Delivery, event: Event, facts: Facts) -> str | None:
    """Why a reversal is not owed any more as the order stands today: a failed payment may have been tried again."""
    row = session.scalar(
        select(Ledger).where(
            Ledger.shop_id == delivery.shop_id, Ledger.kind == "order", Ledger.key == (event.subject or "")
        )
    )
    order = unpack(row.state).get("order") if row is not None else None
    if order is None or "refund" in facts or order.get("cancelled"):
        return None
    return NOT_CANCELLED


def _reversal(
    session: Session, target: Target, delivery: Delivery, action: Action, event: Event, facts: Facts
) -> Facts | None:
    """What may still be taken back of what this destination was given; None for nothing."""
    states = (
        (DeliveryState.DELIVERED, DeliveryState.SHADOW) if target.mode == Mode.SHADOW else (DeliveryState.DELIVERED,)
    )
    given = select(Event.facts).join(Delivery, Delivery.event_id == Event.id)
    given = given.where(
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == action.reverses,
        Delivery.state.in_(states),
    )
    packed = session.scalar(given.order_by(Delivery.id.desc()).limit(1))
    if packed is None:
        return None
    # The order as it was given: an edit since then changes what is owed, not what there is to take back.
    order = unpack(packed)["order"]
    return reversal(order, facts.get("refund"), _done(session, delivery, states), time_text(event.occurred_at))


def _done(session: Session, delivery: Delivery, states: tuple[DeliveryState, ...]) -> Reversed:
    effects = session.scalars(
        select(Delivery.effect).where(
            Delivery.destination_id == delivery.destination_id,
            Delivery.subject == delivery.subject,
            Delivery.action == delivery.action,
            Delivery.state.in_(states),
            Delivery.id != delivery.id,
        )
    ).all()
    quantities: dict[str, Any] = {}
    for effect in effects:
        for line_id, quantity in (effect or {}).get("quantities", {}).items():
            quantities[line_id] = quantities.get(line_id, amount(None)) + amount(quantity)
    total = sum((amount((effect or {}).get("amount")) for effect in effects), amount(None))
    estimated = sum(
        (
            amount(effect["amount"])
            for effect in effects
            if effect and "quantities" not in effect and "amount" in effect
        ),
        amount(None),
    )
    return Reversed(amount=total, quantities=quantities, estimated=estimated)


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


def _as_last(session: Session, delivery: Delivery, fingerprint: list[Any]) -> bool:
    """Whether the provider surely holds just this: the last accepted one was alike, and nothing was sent since."""
    same = (
        Delivery.destination_id == delivery.destination_id,
        Delivery.subject == delivery.subject,
        Delivery.action == delivery.action,
    )
    last = session.execute(
        select(Delivery.effect, Delivery.delivered_at)
        .where(*same, Delivery.state == DeliveryState.DELIVERED)
        .order_by(Delivery.delivered_at.desc(), Delivery.id.desc())
        .limit(1)
    ).first()
    if last is None or (last.effect or {}).get("fingerprint") != fingerprint:
        return False
    lost = select(Attempt.id).join(Delivery, Delivery.id == Attempt.delivery_id)
    lost = lost.where(*same, Attempt.purpose == "send", Attempt.outcome == "answer lost")
    return session.scalar(lost.where(Attempt.started_at > last.delivered_at).limit(1)) is None
