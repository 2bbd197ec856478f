"""Delivery list: counts, and the deliveries behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, false, func, select
from sqlalchemy.orm import Session

from app.models import Delivery, DeliveryState, Ledger
from app.providers.registry import PROVIDERS
from app.services.errors import NotFound
from app.services.orders import cursor, older_than, read_cursor
from app.services.reasons import sentence

PAGE = 50
COUNTED = 5000  #: rows of a state that are counted; more are "at least"
REASONS = 2000  #: newest rows of a state whose reasons are offered
RECENT = timedelta(days=7)  #: what is done is counted so far back; what is not, however old it is
_BIGGEST = 2**63 - 1

#: States in which something is left to do, by the provider, by us or by the merchant.
UNDONE = (
    DeliveryState.PENDING,
    DeliveryState.RETRYING,
    DeliveryState.HELD,
    DeliveryState.DEAD,
    DeliveryState.UNKNOWN,
)
DONE = (DeliveryState.DELIVERED, DeliveryState.SHADOW, DeliveryState.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which deliveries are meant; ``ids`` alone where some were marked."""

    ids: tuple[int, ...] = ()
    provider: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None  #: as `mark` writes it, for a reason may quote an answer and so name a person


@dataclass(frozen=True, slots=True)
class Counts:
    """By provider and state."""

    numbers: Mapping[str, Mapping[str, int]]
    since: datetime  #: what is done is counted from here on
    more: frozenset[str]  #: states of which there are more than were counted


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One delivery in a list; no personal data but what a provider's answer may say."""

    id: int
    provider: str
    title: str
    action: str
    order: str | None  #: the platform's id, of deliveries about orders
    number: str | None  #: on the receipt
    state: str
    why: str
    attempts: int
    created_at: datetime
    delivered_at: datetime | None
    due_at: datetime | None  #: of what waits for its turn


@dataclass(frozen=True, slots=True)
class Deliveries:
    rows: tuple[DeliveryRow, ...]
    older: str | None  #: the cursor of the next page


def counts(session: Session, shop_id: int, now: datetime) -> Counts:
    since = now - RECENT
    numbers: dict[str, dict[str, int]] = {}
    more = set()
    for state in UNDONE:
        wanted = select(Delivery.provider, Delivery.state).where(Delivery.shop_id == shop_id, Delivery.state == state)
        # In this order the index by state is the only one that helps; another holds all columns and every row.
        if _add(session, numbers, wanted.order_by(Delivery.id.desc()).limit(COUNTED + 1)) > COUNTED:
            more.add(str(state))
    recent = select(Delivery.provider, Delivery.state).where(Delivery.shop_id == shop_id, Delivery.created_at >= since)
    if _add(session, numbers, recent.order_by(Delivery.created_at.desc()).limit(COUNTED + 1), DONE) > COUNTED:
        more |= {str(state) for state in DONE}
    return Counts(numbers, since, frozenset(more))


def _add(
    session: Session, numbers: dict[str, dict[str, int]], rows: Select[str, str], states: Sequence[str] = UNDONE
) -> int:
    """Count ``rows`` into ``numbers`` where they are in ``states``; return how many there were in all."""
    found = rows.subquery()
    counted = select(found.c.provider, found.c.state, func.count()).group_by(found.c.provider, found.c.state)
    total = 0
    for provider, state, number in session.execute(counted):
        total += number
        if state in states:
            numbers.setdefault(provider, {})[state] = number
    return total


def page(session: Session, shop_id: int, choice: Choice, *, before: str | None = None, size: int = PAGE) -> Deliveries:
    """The newest deliveries of a choice.

    Args:
        before: ``older`` of the page before; anything else begins at the newest.
    """
    wanted = _sorted(chosen(session, shop_id, choice), choice, before)
    found = session.scalars(wanted.limit(size + 1)).all()
    shown = found[:size]
    numbers = _numbers(session, shop_id, [each.subject for each in shown])
    older = cursor(shown[-1].created_at, shown[-1].id) if len(found) > size else None
    return Deliveries(tuple(_row(each, numbers) for each in shown), older)


def _sorted(wanted: Select[Any], choice: Choice, before: str | None) -> Select[Any]:
    """Newest first. One index leads through the few deliveries of a state, another through the many by time, and that
    one knows their providers too."""
    key = read_cursor(before)
    narrowed = choice.provider or choice.since or choice.until
    if choice.state and not (choice.state in DONE and narrowed):
        wanted = wanted.order_by(Delivery.id.desc())
        return wanted.where(Delivery.id < key[1]) if key else wanted
    wanted = wanted.order_by(Delivery.created_at.desc(), Delivery.id.desc())
    return wanted.where(older_than(Delivery.created_at, Delivery.id, key)) if key else wanted


def chosen(session: Session, shop_id: int, choice: Choice) -> Select[Delivery]:
    """The deliveries of a choice, in no order yet."""
    wanted = select(Delivery).where(Delivery.shop_id == shop_id)
    if choice.ids:
        return wanted.where(Delivery.id.in_([each for each in choice.ids if each <= _BIGGEST]))
    if choice.provider:
        wanted = wanted.where(Delivery.provider == choice.provider)
    if choice.state:
        wanted = wanted.where(Delivery.state == choice.state)
    if choice.since:
        wanted = wanted.where(Delivery.created_at >= choice.since)
    if choice.until:
        wanted = wanted.where(Delivery.created_at < choice.until)
    if choice.reason:
        known = {mark(text): text for text in _reasons(session, shop_id, choice)}
        if choice.reason not in known:  # looked for, it would be compared with every delivery of the state
            return wanted.where(false())
        wanted = wanted.where(Delivery.reason == known[choice.reason])
    return wanted


def _numbers(session: Session, shop_id: int, keys: Sequence[str | None]) -> dict[str, str | None]:
    """The numbers on the receipts of those that are orders."""
    wanted = select(Ledger.key, Ledger.number).where(Ledger.shop_id == shop_id, Ledger.kind == "order")
    rows = session.execute(wanted.where(Ledger.key.in_({key for key in keys if key})))
    return {row.key: row.number for row in rows}


def _row(delivery: Delivery, numbers: Mapping[str, str | None]) -> DeliveryRow:
    provider = PROVIDERS[delivery.provider]
    waits = delivery.state in (DeliveryState.PENDING, DeliveryState.RETRYING)
    return DeliveryRow(
        id=delivery.id,
        provider=provider.name,
        title=provider.title,
        action=provider.actions[delivery.action].title,
        order=delivery.subject if delivery.subject in numbers else None,
        number=numbers.get(delivery.subject or ""),
        state=delivery.state,
        why=sentence(delivery.state, delivery.reason),
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
        due_at=delivery.due_at if waits else None,
    )


# reasons


def mark(reason: str) -> str:
    """What stands for a reason in an address."""
    return hashlib.sha256(reason.encode()).hexdigest()[:16]


def reasons(session: Session, shop_id: int, choice: Choice, *, most: int = 20) -> list[tuple[str, str, int]]:
    """The reasons among the newest deliveries of a state, by mark, sentence and number, the most frequent first."""
    found = _reasons(session, shop_id, choice)
    often = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(mark(text), sentence(choice.state or "", text), number) for text, number in often]


def _reasons(session: Session, shop_id: int, choice: Choice) -> dict[str, int]:
    if not choice.state:
        return {}
    rows = select(Delivery.reason).where(Delivery.shop_id == shop_id, Delivery.state == choice.state)
    newest = rows.order_by(Delivery.id.desc()).limit(REASONS).subquery()
    wanted = select(newest.c.reason, func.count()).where(newest.c.reason.is_not(None)).group_by(newest.c.reason)
    return {row[0]: row[1] for row in session.execute(wanted)}


# one


def one(session: Session, shop_id: int, delivery_id: int, *, change: bool = False) -> Delivery:
    """A delivery of this shop; held against others until the transaction ends where it is to be changed."""
    wanted = select(Delivery).where(Delivery.shop_id == shop_id, Delivery.id == min(delivery_id, _BIGGEST))
    found = session.scalar(wanted.with_for_update() if change else wanted)
    if found is None:
        raise NotFound("there is no such delivery")
    return found
