"""Overview: how a store is doing today, and what is wrong with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Delivery, Destination, Ledger, Mode, Shop
from app.models.delivery import OPEN
from app.services import progress, tally
from app.services.arrivals import usual_lag
from app.services.causes import Cause, causes
from app.services.day import bounds, today, zone_of
from app.services.progress import StoreView


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One provider today."""

    provider: str
    mode: str
    held: bool
    counts: Mapping[str, int]  #: by state, of what came into being today


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
        lag=usual_lag(session, shop.id),
        causes=causes(session, shop.id, store.trouble, destinations, now),
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
