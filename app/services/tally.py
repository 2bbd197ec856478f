"""Tallies: how many deliveries of each day came to which state.

Days that are over are kept counted, because a page must not count two weeks of a busy store; today is counted as it
stands, and so is a day that ended since the last time. What is resent or held moves on after its day, so the kept ones
are counted anew from time to time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Delivery, Shop, Tally
from app.services.day import bounds, today, zone_of

DAYS = 14  #: shown, today included
Counts = Mapping[tuple[str, str], int]  #: by provider and state


@dataclass(frozen=True, slots=True)
class Day:
    day: date  #: on the shop's clock
    counts: Counts


def count(session: Session, shop: Shop, day: date) -> Counts:
    """The deliveries that came into being on ``day``, as they stand now."""
    since, until = bounds(day, zone_of(shop))
    wanted = (
        select(Delivery.provider, Delivery.state, func.count())
        .where(Delivery.shop_id == shop.id, Delivery.created_at >= since, Delivery.created_at < until)
        .group_by(Delivery.provider, Delivery.state)
    )
    return {(provider, state): number for provider, state, number in session.execute(wanted)}


def recent(session: Session, shop: Shop, now: datetime) -> list[Day]:
    """The last `DAYS` days, oldest first; the last one is today."""
    last = today(zone_of(shop), now)
    kept = _kept(session, shop.id)
    newest = max(kept, default="")  # of later days nothing is kept: they were empty, or are over for less than an hour
    days = [
        Day(day, count(session, shop, day) if day.isoformat() > newest else kept.get(day.isoformat(), {}))
        for day in _finished(last)
    ]
    return [*days, Day(last, count(session, shop, last))]


def fill(db: Database, now: datetime) -> int:
    """Bring the kept days of every shop up to date; return for how many shops something changed."""
    with db.read() as session:
        shops = list(session.scalars(select(Shop).where(Shop.removed_at.is_(None)).order_by(Shop.id)))
    return sum(_fill(db, shop, now) for shop in shops)


def _fill(db: Database, shop: Shop, now: datetime) -> bool:
    days = _finished(today(zone_of(shop), now))
    with db.read() as session:
        counted = {day.isoformat(): counts for day in days if (counts := count(session, shop, day))}
        if counted == _kept(session, shop.id):
            return False
    with db.write() as session:
        session.execute(delete(Tally).where(Tally.shop_id == shop.id))
        if counted:
            session.execute(insert(Tally), _rows(shop.id, counted))
    return True


def _finished(last: date) -> list[date]:
    return [last - timedelta(days=back) for back in range(DAYS - 1, 0, -1)]


def _kept(session: Session, shop_id: int) -> dict[str, dict[tuple[str, str], int]]:
    found: dict[str, dict[tuple[str, str], int]] = {}
    for row in session.scalars(select(Tally).where(Tally.shop_id == shop_id)):
        found.setdefault(row.day, {})[row.provider, row.state] = row.number
    return found


def _rows(shop_id: int, counted: Mapping[str, Counts]) -> list[dict[str, object]]:
    return [
        {"shop_id": shop_id, "day": day, "provider": provider, "state": state, "number": number}
        for day, counts in counted.items()
        for (provider, state), number in counts.items()
    ]


def by_state(counts: Counts) -> dict[str, int]:
    """The same without the providers."""
    found: Counter[str] = Counter()
    for (_, state), number in counts.items():
        found[state] += number
    return dict(found)
