"""Timeline: one order from what the store told to what every provider has of it, and why where it has nothing.

Names nobody: what identifies the buyer is left out of payloads and answers. A webhook's own body is read by
`body`, for whoever keeps that in the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Delivery, Destination, Event, EventState, Ledger, Mode, Shop, Webhook
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services import attempts
from app.services.amounts import amount
from app.services.asked import RECONCILED
from app.services.attempts import Plan, Try
from app.services.cover import Cover
from app.services.errors import NotFound
from app.services.orders import PRECEDENCE, standing
from app.services.packing import decompress, unpack
from app.services.reasons import sentence
from app.services.retention import Removed, days
from app.services.route import Router
from app.services.unsent import Silence, reports
from connectors.events import LIVE_NUMBER, Kind

LONGEST = 300  #: events of one order that are shown, the newest
_CARTS = ("cart.", "checkout.")  #: their ids are of another kind, and could be equal by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One delivery of the order."""

    id: int
    provider: str
    title: str  #: the provider's
    action: str  #: its title
    state: str
    why: str
    amount: Decimal | None  #: what it takes back, of a refund that was accepted or built
    complaints: tuple[str, ...]
    delivered_at: datetime | None
    plan: Plan | None
    attempts: int
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was understood of a webhook: one event, or why there is none."""

    kind: str | None
    state: str  #: `EventState`
    at: datetime  #: when it happened in the store
    amount: Decimal | None
    reason: str | None
    deliveries: tuple[Sent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One webhook as it came, or what we asked the store for."""

    id: int
    at: datetime
    topic: str
    size: int | None  #: bytes; None once retention removed it
    asked: bool  #: by reconciliation
    events: tuple[Told, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one provider has of the order, and why not where it has nothing."""

    provider: str
    title: str
    state: str | None  #: the delivery state that tells most; None: nothing was owed
    mode: str | None  #: None: not set up
    sentences: tuple[tuple[str | None, str], ...]  #: what of the order, and why; None: all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    key: str
    number: str | None
    sprii: str | None
    others: tuple[str, ...]  #: further Sprii numbers that the order carries
    standing: str
    test: bool
    erased: bool
    currency: str | None
    total: Decimal | None
    refunded: Decimal
    answers: tuple[Answer, ...]
    arrivals: tuple[Arrival, ...]  #: oldest first
    cut: bool  #: there are older ones


def timeline(session: Session, router: Router, shop: Shop, key: str) -> Timeline:
    """
    Args:
        key: the platform's id.
    Raises:
        NotFound: this shop has no such order.
    """
    ledger, events = _known(session, shop.id, key)
    state = unpack(ledger.state) if ledger and ledger.state else {}
    order = state.get("order") or {}
    sprii = order.get(LIVE_NUMBER) or {}
    shown = events[-LONGEST:]
    deliveries = _deliveries(session, shop.id, shown)
    cover = Cover.of(state, *_facts(shown))
    silence = Silence(session, router, shop, events)
    return Timeline(
        key=key,
        number=ledger.number if ledger else None,
        sprii=sprii.get("value"),
        others=tuple(sprii.get("others", ())),
        standing=standing(state),
        test=bool(order.get("test")),
        erased=bool(order.get("erased")),
        currency=order.get("currency"),
        total=amount(order["total"]) if "total" in order else None,
        refunded=amount(order.get("refunded")),
        answers=tuple(_answers(silence, deliveries, cover)),
        arrivals=tuple(_arrivals(session, shown, deliveries, cover)),
        cut=len(events) > LONGEST,
    )


def _known(session: Session, shop_id: int, key: str) -> tuple[Ledger | None, list[Event]]:
    if not key.isprintable():
        raise NotFound("there is no such order")
    ledger = session.scalar(select(Ledger).where(Ledger.shop_id == shop_id, Ledger.kind == "order", Ledger.key == key))
    wanted = select(Event).where(Event.shop_id == shop_id, Event.subject == key).order_by(Event.id.desc())
    found = session.scalars(wanted.limit(LONGEST + 1)).all()
    events = [event for event in found if not (event.kind or "").startswith(_CARTS)][::-1]
    if ledger is None and not events:
        raise NotFound("there is no such order")
    return ledger, events


def body(session: Session, shop_id: int, key: str, webhook_id: int) -> bytes:
    """A webhook of the order as it came, persons included.

    Raises:
        NotFound: this shop's order has no such webhook; Removed: its body is not kept any more.
    """
    _, events = _known(session, shop_id, key)
    if webhook_id not in {event.webhook_id for event in events}:
        raise NotFound("there is no such webhook")
    packed = session.get_one(Webhook, webhook_id).body
    if not packed:
        raise Removed(days(session.get_one(Shop, shop_id)))
    return decompress(packed)


def _facts(events: Iterable[Event]) -> list[Mapping[str, Any]]:
    return [unpack(event.facts) for event in events if event.facts]


# what the store told


def _arrivals(session: Session, events: Sequence[Event], deliveries: Sequence[Delivery], cover: Cover) -> list[Arrival]:
    wanted = select(Webhook).where(Webhook.id.in_({event.webhook_id for event in events})).order_by(Webhook.id)
    told: dict[int, list[Told]] = {}
    sent = _sent(session, deliveries, cover)
    for event in events:
        told.setdefault(event.webhook_id, []).append(_told(event, sent.get(event.id, []), cover))
    return [
        Arrival(
            id=webhook.id,
            at=webhook.received_at,
            topic=webhook.topic,
            size=len(decompress(webhook.body)) if webhook.body else None,
            asked=webhook.dedup_key.startswith(RECONCILED),
            events=tuple(told[webhook.id]),
        )
        for webhook in session.scalars(wanted)
    ]


def _told(event: Event, deliveries: Sequence[Sent], cover: Cover) -> Told:
    facts = unpack(event.facts) if event.facts else {}
    of = facts.get("refund", {}).get("amount") if event.kind == Kind.REFUNDED else facts.get("order", {}).get("total")
    return Told(
        kind=event.kind,
        state=event.state,
        at=event.occurred_at,
        amount=None if of is None else amount(of),
        reason=cover.text(event.error) if event.error else None,
        deliveries=tuple(deliveries),
    )


# what the providers have


def _deliveries(session: Session, shop_id: int, events: Sequence[Event]) -> Sequence[Delivery]:
    ids = [event.id for event in events if event.state == EventState.UNDERSTOOD]
    # Added to, the shop is no way in: through its index SQLite would read all of a shop's deliveries.
    wanted = select(Delivery).where(Delivery.event_id.in_(ids), Delivery.shop_id + 0 == shop_id)
    return session.scalars(wanted.order_by(Delivery.id)).all()


def _sent(session: Session, deliveries: Sequence[Delivery], cover: Cover) -> dict[int, list[Sent]]:
    """By event."""
    tries = attempts.tries(session, [each.id for each in deliveries], cover)
    found: dict[int, list[Sent]] = {}
    for each in deliveries:
        destination = session.get(Destination, each.destination_id)
        sent = describe(each, destination, tries.get(each.id, []), cover)
        found.setdefault(each.event_id, []).append(sent)
    return found


def describe(delivery: Delivery, destination: Destination | None, tries: Sequence[Try], cover: Cover) -> Sent:
    """A delivery for the screen."""
    provider = PROVIDERS[delivery.provider]
    back = (delivery.effect or {}).get("amount")
    return Sent(
        id=delivery.id,
        provider=provider.name,
        title=provider.title,
        action=provider.actions[delivery.action].title,
        state=delivery.state,
        why=cover.text(sentence(delivery.state, delivery.reason)),
        amount=None if back is None else amount(back),
        complaints=tuple(map(cover.text, delivery.complaints or ())),
        delivered_at=delivery.delivered_at,
        plan=attempts.plan(delivery, destination),
        attempts=delivery.attempts,
        tries=tuple(tries),
    )


def _answers(silence: Silence, deliveries: Sequence[Delivery], cover: Cover) -> list[Answer]:
    """One for every provider there is; those that matter to the merchant first."""
    rows = silence.session.scalars(select(Destination).where(Destination.shop_id == silence.shop.id))
    destinations = {row.provider: row for row in rows}
    found = []
    for name, provider in PROVIDERS.items():
        own = [each for each in deliveries if each.provider == name]
        found.append(_answer(silence, provider, destinations.get(name), own, cover))
    return sorted(found, key=lambda each: (each.state is None, each.mode in (None, Mode.OFF)))


def _answer(
    silence: Silence,
    provider: Provider,
    destination: Destination | None,
    deliveries: Sequence[Delivery],
    cover: Cover,
) -> Answer:
    states = {each.state for each in deliveries}
    said = {(silence.about(each), cover.text(sentence(each.state, each.reason))): None for each in deliveries}
    sentences: list[tuple[str | None, str]] = list(said)
    if not any(reports(provider.actions[each.action]) for each in deliveries):
        sentences.append((None, silence.why(provider, destination)))
    return Answer(
        provider=provider.name,
        title=provider.title,
        state=next((state for state in PRECEDENCE if state in states), None),
        mode=destination.mode if destination else None,
        sentences=tuple(sentences),
    )
