"""Upkeep: what has to be looked after from time to time, beside webhooks and deliveries.

Each step claims what it works on in the database, by a conditional update or a lease, so any number of processes may
run them; a process that dies leaves work that falls due again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, select, update

from app.db import Database
from app.models import Connection, ConnectionState, Shop
from app.services.connections import EVERY

log = logging.getLogger(__name__)

ONCE = timedelta.max  #: for a step of the start
FRESH = timedelta(minutes=10)  #: a start within so much of the last check asks nobody again
AT_ONCE = 4  #: stores that are asked at a time
MOST = 100  #: checks begun in one go
_NEVER = datetime.max.replace(tzinfo=UTC)
#: A connection that ended has nothing to check, and one that must be reopened cannot be asked.
_CHECKED = (ConnectionState.CONNECTED, ConnectionState.ATTENTION, ConnectionState.UNPROVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    name: str
    every: timedelta
    work: Callable[[datetime], object]


class Upkeep:
    """Runs each step when it is due; one that fails is logged and tried again when it is due the next time.

    Its steps take turns: what may wait for stores belongs into another one than what somebody waits for.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._next: dict[str, datetime] = {}

    def work(self, clock: Callable[[], datetime]) -> None:
        for step in self._steps:
            now = clock()  # of each step: the one before may have taken long
            if self._next.get(step.name, now) > now:
                continue
            self._next[step.name] = _NEVER if step.every is ONCE else now + step.every
            try:
                step.work(now)
            except Exception:
                log.exception("upkeep: %s failed; trying again later", step.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeeping:
    """All that is looked after, in parts that do not wait for each other; each runs in a thread of its own."""

    parts: Sequence[Upkeep]
    close: Callable[[], None]  #: gives back what the parts hold open, once they have ended


def check_at_start(db: Database, now: datetime) -> None:
    """Let every connection fall due that was not looked at for a while: much may have happened while we were down."""
    stale = or_(Connection.checked_at.is_(None), Connection.checked_at < now - FRESH)
    with db.begin() as connection:
        connection.execute(
            update(Connection)
            .where(Connection.state.in_(_CHECKED), Connection.check_at > now, stale)
            .values(check_at=now)
        )


def check_due(db: Database, check: Callable[[int], object], now: datetime) -> int:
    """Check the connections whose time has come, a few at a time; return how many."""
    claimed = [shop_id for shop_id, at in _due(db, now) if _claim(db, shop_id, at, now)]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as pool:
        list(pool.map(lambda shop_id: _check_one(check, shop_id), claimed))
    return len(claimed)


def _due(db: Database, now: datetime) -> list[tuple[int, datetime]]:
    wanted = (
        select(Connection.shop_id, Connection.check_at)
        .join(Shop, Shop.id == Connection.shop_id)
        .where(Connection.check_at <= now, Connection.state.in_(_CHECKED), Shop.removed_at.is_(None))
    )
    with db.read() as session:
        rows = session.execute(wanted.order_by(Connection.check_at).limit(MOST))
        return [(shop_id, at) for shop_id, at in rows if at is not None]


def _claim(db: Database, shop_id: int, at: datetime, now: datetime) -> bool:
    """Move the next check on; False where another process did so first."""
    with db.begin() as connection:
        moved = connection.execute(
            update(Connection)
            .where(Connection.shop_id == shop_id, Connection.check_at == at)
            .values(check_at=now + EVERY)
        )
        return bool(moved.rowcount)


def _check_one(check: Callable[[int], object], shop_id: int) -> None:
    try:
        check(shop_id)
    except Exception:  # one store's trouble must not keep the others from being looked at
        log.exception("checking the connection of shop %d failed", shop_id, extra={"shop": shop_id})
