"""Answers: how often we gave which answer to a store's webhooks; counted in memory, written down now and then.

What is counted is no proof of anything: the webhooks themselves are. A process that dies loses some seconds of counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from app.db import Database
from app.models import HourlyAnswers, Shop

log = logging.getLogger(__name__)

FLUSH_EVERY = 5.0  #: seconds
SHOWN = timedelta(days=1)
KEPT = timedelta(days=2)  #: by the hour; of what is older, the newest of each kind
STORED, DUPLICATE, PING = "stored", "duplicate", "ping"
UNPROVEN, NOT_STORABLE = "unproven", "not storable"
REFUSED = (UNPROVEN, NOT_STORABLE)
RESULTS = (STORED, DUPLICATE, PING, *REFUSED)
_Key = tuple[int, str, str, str]  #: shop, hour, topic, result


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was answered with one result lately."""

    result: str
    number: int
    last_at: datetime
    topics: tuple[str, ...]  #: the one that came last first


class Counts:
    """What waits to be written down."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._waiting: dict[_Key, tuple[int, datetime]] = {}
        self._flushed = time.monotonic()

    def note(self, shop_id: int, topic: str, result: str) -> None:
        now = datetime.now(UTC)
        key = (shop_id, _hour(now), topic, result)
        with self._lock:
            number, _ = self._waiting.get(key, (0, now))
            self._waiting[key] = (number + 1, now)

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() >= self._flushed + FLUSH_EVERY

    def flush(self) -> None:
        """Write down what waits; where that fails, it waits on."""
        self._flushed = time.monotonic()
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            with self._db.begin(first=True) as connection:
                known = _known_shops(connection, {key[0] for key in waiting})
                # All processes in one order, so that none waits for another's row while that one waits for its.
                rows = [_row(key, *count) for key, count in sorted(waiting.items()) if key[0] in known]
                if rows:
                    connection.execute(_add(self._db.sqlite), rows)
        except Exception:
            log.exception("counting answers failed; trying again later")
            with self._lock:
                for key, (number, at) in waiting.items():
                    more, last = self._waiting.get(key, (0, at))
                    self._waiting[key] = (number + more, last)


def _hour(at: datetime) -> str:
    return at.isoformat(timespec="hours")[:13]  # several times as quick as strftime, and asked for each webhook


def _known_shops(connection: Connection, ids: set[int]) -> set[int]:
    """Those that were not erased since."""
    return set(connection.scalars(select(Shop.id).where(Shop.id.in_(ids))))


def _row(key: _Key, number: int, last_at: datetime) -> dict[str, object]:
    shop_id, hour, topic, result = key
    return {"shop_id": shop_id, "hour": hour, "topic": topic, "result": result, "number": number, "last_at": last_at}


def _add(on_sqlite: bool) -> Any:
    insert = (sqlite if on_sqlite else postgresql).insert(HourlyAnswers)
    more = {"number": HourlyAnswers.number + insert.excluded.number, "last_at": insert.excluded.last_at}
    return insert.on_conflict_do_update(index_elements=["shop_id", "hour", "topic", "result"], set_=more)


def lately(session: Session, shop_id: int, now: datetime) -> list[Answered]:
    """Of the last day, to the hour; in the order of `RESULTS`."""
    mine = (HourlyAnswers.shop_id == shop_id, HourlyAnswers.hour >= _hour(now - SHOWN))
    rows = session.scalars(select(HourlyAnswers).where(*mine)).all()
    newest_first = sorted(rows, key=lambda row: row.last_at, reverse=True)
    found = {each: [row for row in newest_first if row.result == each] for each in RESULTS}
    return [
        Answered(
            result=result,
            number=sum(row.number for row in same),
            last_at=same[0].last_at,
            topics=tuple(dict.fromkeys(row.topic for row in same)),
        )
        for result, same in found.items()
        if same
    ]


def last_by_topic(session: Session, shop_id: int) -> Mapping[str, datetime]:
    """When each topic was taken last."""
    wanted = select(HourlyAnswers.topic, func.max(HourlyAnswers.last_at)).where(HourlyAnswers.shop_id == shop_id)
    taken = HourlyAnswers.result.in_((STORED, DUPLICATE))
    rows = session.execute(wanted.where(taken).group_by(HourlyAnswers.topic))
    return {row.topic: row[1] for row in rows}


def forget(db: Database, now: datetime) -> int:
    """Delete what is older than `KEPT`, but for the newest of each kind; return how many rows."""
    newer = aliased(HourlyAnswers)
    same = [getattr(newer, name) == getattr(HourlyAnswers, name) for name in ("shop_id", "topic", "result")]
    old = delete(HourlyAnswers).where(
        HourlyAnswers.hour < _hour(now - KEPT), exists().where(*same, newer.hour > HourlyAnswers.hour)
    )
    with db.write() as session:
        gone = session.execute(old.execution_options(synchronize_session=False))
        return int(gone.rowcount)  # type: ignore[attr-defined]
