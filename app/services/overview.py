"""Overview: how a store is doing today, and what is wrong with what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import func, literal_column, select
from sqlalchemy.orm import Session

from app.models import (
    Delivery,
    DeliveryState,
    Destination,
    Event,
    EventState,
    Ledger,
    Mode,
    Shop,
    Webhook,
    WebhookState,
)
from app.models.delivery import OPEN
from app.services import progress, tally
from app.services.day import bounds, today, zone_of
from app.services.progress import StoreView

ENOUGH = 1000  #: so many are counted; beyond that "or more" says all that anybody needs
LATELY = timedelta(days=tally.DAYS)  #: what was left alone for longer was left on purpose
SLOW = timedelta(minutes=10)  #: what waits to be read for longer shows that nobody works
RECENT = 20  #: events that the store's lag is taken from
_STUCK = (DeliveryState.DEAD, DeliveryState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One provider today."""

    provider: str
    mode: str
    held: bool
    counts: Mapping[str, int]  #: by state, of what came into being today


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something wrong.

    Attributes:
        kind: ``connection``, ``held``, ``dead``, ``unknown``, ``unread``, ``stalled``.
        provider: whose deliveries it is about, where it is about one's.
        said: in the words of whoever found it: what happened and what to do.
        number: how many are concerned, `ENOUGH` at most; None where it is not about a number.
    """

    kind: str
    provider: str | None = None
    said: str | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    store: StoreView
    orders: int  #: heard of today
    rows: tuple[Row, ...]
    oldest: datetime | None  #: since when the delivery that waits longest has waited
    lag: timedelta | None  #: how long the store usually takes to tell us
    causes: tuple[Cause, ...]
    days: tuple[tally.Day, ...]


def look(session: Session, shop: Shop, now: datetime) -> Overview:
    store = progress.store_view(session, shop)
    destinations = list(session.scalars(select(Destination).where(Destination.shop_id == shop.id)))
    days = tally.recent(session, shop, now)
    return Overview(
        store=store,
        orders=_orders(session, shop, now),
        rows=_rows(destinations, days[-1].counts),
        oldest=oldest_waiting(session, shop.id),
        lag=_lag(session, shop.id),
        causes=tuple(_causes(session, store, destinations, now)),
        days=tuple(days),
    )


def oldest_waiting(session: Session, shop_id: int) -> datetime | None:
    """When the oldest delivery that is still to be sent came into being."""
    found = [_first(session, shop_id, state) for state in OPEN]
    return min((at for at in found if at is not None), default=None)


def _first(session: Session, shop_id: int, state: str) -> datetime | None:
    wanted = select(Delivery.created_at).where(Delivery.shop_id == shop_id, Delivery.state == state)
    return session.scalar(wanted.order_by(Delivery.id).limit(1))


def _orders(session: Session, shop: Shop, now: datetime) -> int:
    zone = zone_of(shop)
    since, _ = bounds(today(zone, now), zone)
    mine = (Ledger.shop_id == shop.id, Ledger.kind == "order", Ledger.updated_at >= since)
    return session.scalar(select(func.count()).select_from(Ledger).where(*mine)) or 0


def _rows(destinations: list[Destination], counts: tally.Counts) -> tuple[Row, ...]:
    """Of every provider that is switched on, or had something to do today."""
    busy = {provider for provider, _ in counts}
    return tuple(
        Row(
            provider=each.provider,
            mode=each.mode,
            held=each.held is not None,
            counts={state: number for (provider, state), number in counts.items() if provider == each.provider},
        )
        for each in sorted(destinations, key=lambda each: each.provider)
        if each.mode != Mode.OFF or each.provider in busy
    )


def _lag(session: Session, shop_id: int) -> timedelta | None:
    wanted = select(Event.received_at, Event.occurred_at).where(
        Event.shop_id == shop_id, Event.state == EventState.UNDERSTOOD
    )
    rows = session.execute(wanted.order_by(Event.id.desc()).limit(RECENT)).all()
    lags = [max((received - occurred).total_seconds(), 0.0) for received, occurred in rows]
    return timedelta(seconds=median(lags)) if lags else None


def _causes(session: Session, store: StoreView, destinations: list[Destination], now: datetime) -> list[Cause]:
    """The gravest first: without a connection nothing comes, behind a hold everything waits."""
    found = [Cause(kind="connection", said=store.trouble)] if store.trouble else []
    found += [Cause(kind="held", provider=each.provider, said=each.held) for each in destinations if each.held]
    for state in _STUCK:
        found += _stuck(session, store.shop_id, state, now)
    if number := _unread(session, store.shop_id, now):
        found.append(Cause(kind="unread", number=number))
    if _stalled(session, store.shop_id, now):
        found.append(Cause(kind="stalled"))
    return found


def _stuck(session: Session, shop_id: int, state: str, now: datetime) -> list[Cause]:
    """What a person has to decide about, by provider, with the reason of the newest."""
    mine = (Delivery.shop_id == shop_id, Delivery.state == state)
    wanted = select(Delivery.provider, Delivery.reason, Delivery.created_at).where(*mine)
    newest_first = session.execute(wanted.order_by(Delivery.id.desc()).limit(ENOUGH)).all()
    # Sorted out here: asked for by time as well, SQLite reads all deliveries of that time, not the few in this state.
    rows = [row for row in newest_first if row.created_at >= now - LATELY]
    newest = {row.provider: row.reason for row in reversed(rows)}
    numbers = Counter(row.provider for row in rows)
    return [Cause(kind=state, provider=each, said=newest[each], number=numbers[each]) for each in sorted(numbers)]


def _unread(session: Session, shop_id: int, now: datetime) -> int:
    mine = (Event.shop_id == shop_id, Event.state == EventState.ERROR, Event.received_at >= now - LATELY)
    some = select(Event.id).where(*mine).limit(ENOUGH).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _stalled(session: Session, shop_id: int, now: datetime) -> bool:
    """Looks at the head of the one queue that all shops' webhooks wait in."""
    pending = Webhook.state == literal_column(f"'{WebhookState.PENDING}'")  # written out: for the partial index
    head = select(Webhook.shop_id, Webhook.received_at).where(pending).order_by(Webhook.id).limit(ENOUGH).subquery()
    oldest = session.scalar(select(func.min(head.c.received_at)).where(head.c.shop_id == shop_id))
    return oldest is not None and oldest < now - SLOW
