"""Years of a merchant's events on PostgreSQL, made by the server itself: ten million in minutes.

Orders that went the real way (`bench.stock.patterns`) stand in tables of their own, and every row of the history is one
of theirs with other ids, numbers and times. Webhooks and attempts have their bodies only in the newest part, as
retention leaves them; what waits is of the newest part as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, DateTime, Table, text

from app.db import Database
from app.models import Pruning
from app.services import retention, tally
from bench import bulk, machine, stock
from bench.stock import BEGAN, ENDS, FIRST_NUMBER, LATER, PATTERNS, TABLES, Owner

WITH_BODIES = 100_000  #: events, the newest ones
KEPT = timedelta(days=retention.FEWEST)  #: over which those are spread; all others in the same density before them
STEP = 25_000  #: orders in a transaction
PLACES = 100  #: more than an order has rows in a table
_QUEUES = ("ledgers", "webhooks", "attempts"), ("deliveries", "events")


def build(url: str, events: int) -> None:
    """Fill the empty database at ``url``, of the server's superuser: foreign keys are not checked one by one."""
    began = time.perf_counter()
    patterns = stock.patterns()
    with machine.opened({**machine.environment(Path()), "DATABASE_URL": url}) as parts:
        owners = stock.shops(parts)
        made = _Made(parts.db, patterns, owners, events)
        with made.patterns(), parts.db.engine.connect() as connection:
            definitions = _drop_indexes(connection)
            _at_once(made.fill, _QUEUES)
            print(f"  {events:,} events after {time.perf_counter() - began:.0f} s; indexes follow", flush=True)
            _at_once(lambda each: _run(parts.db, each), (definitions[0::2], definitions[1::2]))
        bulk.finish(parts.db, TABLES)
        made.mark_pruned()
        tally.fill(parts.db, datetime.now(UTC))
    print(f"  built {events:,} events in {time.perf_counter() - began:.0f} s", flush=True)


def _at_once(work: Any, parts: Iterable[Any]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(work, parts))


def _run(db: Database, statements: list[str]) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET maintenance_work_mem = '512MB'"))
        for each in statements:
            connection.execute(text(each))


def _drop_indexes(connection: Connection) -> list[str]:
    """Drop all but the primary keys; return what makes them anew."""
    names = [each.name for each in TABLES]
    keys = text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'u' AND conrelid::regclass::text = ANY(:names)"
    )
    again = []
    for table, name, definition in connection.execute(keys, {"names": names}).all():
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        again.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    plain = text(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:names)"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY tablename"
    )
    for name, definition in connection.execute(plain, {"names": names}).all():
        connection.execute(text(f"DROP INDEX {name}"))
        again.append(definition)
    connection.commit()
    return again


class _Made:
    """What is written, and the expressions that make it of the patterns."""

    def __init__(self, db: Database, patterns: list[dict[str, Any]], owners: list[Owner], events: int) -> None:
        self._db, self._patterns = db, patterns
        self._size = {table.name: len(patterns[0][table.name]) for table in TABLES}
        if any(len(each[name]) != size for each in patterns for name, size in self._size.items()):
            raise RuntimeError("the patterns differ in their numbers of rows")
        self._orders = max(events // self._size["events"], 1)
        self._full = max(WITH_BODIES // self._size["events"], 1)
        self._owners = owners

    @contextmanager
    def patterns(self) -> Iterator[None]:
        """Tables of the rows to copy, numbered by pattern and place; references are numbered alike."""
        numbers = [_numbers(each, pattern) for pattern, each in enumerate(self._patterns)]
        rows = {
            table: [
                _numbered(row, table.name, new)
                for each, new in zip(self._patterns, numbers, strict=True)
                for row in each[table.name]
            ]
            for table in TABLES
        }
        bulk.write(self._db, rows)
        with self._db.begin() as connection:
            for table in reversed(TABLES):
                connection.execute(text(f"CREATE TABLE pattern_{table.name} AS SELECT * FROM {table.name}"))
                connection.execute(text(f"DELETE FROM {table.name}"))
        yield
        with self._db.begin() as connection:
            for table in TABLES:
                connection.execute(text(f"DROP TABLE pattern_{table.name}"))

    def fill(self, names: Iterable[str]) -> None:
        for name in names:
            statement = text(self._insert(next(each for each in TABLES if each.name == name)))
            for first in range(1, self._orders + 1, STEP):
                with self._db.begin() as connection:
                    connection.execute(text("SET LOCAL session_replication_role = replica"))
                    last = min(first + STEP - 1, self._orders)
                    connection.execute(statement, {"first": first, "last": last})

    def mark_pruned(self) -> None:
        """Retention has gone through all that is older than its days."""
        now = datetime.now(UTC)
        empty = (
            (self._orders - self._full) * self._size["webhooks"],
            (self._orders - self._full) * self._size["deliveries"],
        )
        with self._db.write() as session:
            for each in self._owners:
                marks = {"webhook_id": max(empty[0], 0), "delivery_id": max(empty[1], 0)}
                session.add(Pruning(shop_id=each.id, round_at=now, due_at=now + retention.EVERY, **marks))

    def _insert(self, table: Table) -> str:
        given = {**_times(table), **getattr(self, f"_{table.name}")()}
        names = [each.name for each in table.columns]
        values = ", ".join(given.get(name, f"p.{name}") for name in names)
        joined = (
            ""
            if table.name != "deliveries"
            else _OF_DESTINATION.format(ends=_ends(f"o.n > {self._orders - self._full}"))
        )
        return (
            f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM ({self._orders_sql()}) o"
            f" JOIN pattern_{table.name} p ON p.id / {PLACES} = o.n % {PATTERNS} {joined} ORDER BY o.n, p.id"
        )

    def _orders_sql(self) -> str:
        """An order each: its number, shop and time; the last one was placed ten minutes ago."""
        ids = [each.id for each in self._owners]
        gap = KEPT.total_seconds() / self._full
        at = f"now() - interval '1 second' * (600 + {gap} * ({self._orders} - n))"
        shop = f"(ARRAY{ids})[CASE WHEN n % 10 < 7 THEN 1 ELSE 2 + (n / 10) % {len(ids) - 1} END]"
        placed = f"SELECT n::bigint, (n + {FIRST_NUMBER - 1})::text AS number, {shop} AS shop_id, {at} AS at"
        return f"{placed} FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n"

    def _id(self, name: str, of: str = "id") -> str:
        return f"(o.n - 1) * {self._size[name]} + p.{of} % {PLACES}"

    def _if_new(self, name: str) -> str:
        return f"CASE WHEN o.n > {self._orders - self._full} THEN p.{name} ELSE ''::bytea END"

    def _webhooks(self) -> dict[str, str]:
        own = {"id": self._id("webhooks"), "shop_id": "o.shop_id", "body": self._if_new("body")}
        return {
            **own,
            "dedup_key": f"'stock\\:' || (o.n * 10 + p.id % {PLACES})",
            "body_hash": "md5(o.n::text) || md5((p.id % 100)::text)",
        }

    def _ledgers(self) -> dict[str, str]:
        email = stock.EMAIL.format("' || o.number || '")
        person = f"encode(sha256(convert_to(o.shop_id || '\\:{email}', 'UTF8')), 'hex')"
        own = {"id": "o.n", "shop_id": "o.shop_id", "key": "o.number", "number": "o.number"}
        return {**own, "sprii": "o.number || '-1'", "person": person}

    def _events(self) -> dict[str, str]:
        own = {"id": self._id("events"), "shop_id": "o.shop_id", "webhook_id": self._id("webhooks", "webhook_id")}
        return {**own, "subject": "o.number", "dedup_key": f"'stock\\:' || (o.n * 10 + p.id % {PLACES})"}

    def _deliveries(self) -> dict[str, str]:
        at = f"o.at + interval '{LATER.total_seconds()} seconds'"
        return {
            **{"id": self._id("deliveries"), "event_id": self._id("events", "event_id"), "shop_id": "o.shop_id"},
            **{
                "destination_id": "d.id",
                "subject": "o.number",
                "lane": "CASE WHEN p.lane IS NULL THEN NULL ELSE o.number END",
            },
            "once_key": "CASE WHEN p.once_key IS NOT NULL THEN d.id || '\\:' || p.action || '\\:' || o.number END",
            **dict.fromkeys(("due_at", "since", "created_at"), at),
            **{"state": "e.state", "reason": "e.reason"},
            "delivered_at": f"CASE WHEN e.state = 'delivered' THEN {at} END",
        }

    def _attempts(self) -> dict[str, str]:
        at = f"o.at + interval '{LATER.total_seconds()} seconds'"
        told = {"outcome": "'accepted'", "status": "200", "payload": self._if_new("payload")}
        answer = f"CASE WHEN o.n > {self._orders - self._full} THEN '{{\"success\"\\:true}}' END"
        own = {"id": self._id("attempts"), "delivery_id": self._id("deliveries", "delivery_id"), "answer": answer}
        return {**own, **told, "started_at": at, "finished_at": at}


_REFERENCES = {
    "events": {"webhook_id": "webhooks"},
    "deliveries": {"event_id": "events"},
    "attempts": {"delivery_id": "deliveries"},
}
_OF_DESTINATION = (
    "JOIN destinations d ON d.shop_id = o.shop_id AND d.provider = p.provider"
    " CROSS JOIN LATERAL (SELECT {ends}) e(state, reason)"
)


def _numbers(pattern: dict[str, Any], number: int) -> dict[str, dict[int, int]]:
    return {name: {row["id"]: number * PLACES + at for at, row in enumerate(rows, 1)} for name, rows in pattern.items()}


def _numbered(row: dict[str, Any], name: str, new: dict[str, dict[int, int]]) -> dict[str, Any]:
    references = {column: new[to][row[column]] for column, to in _REFERENCES.get(name, {}).items()}
    own = {"dedup_key": f"pattern:{new[name][row['id']]}"} if "dedup_key" in row else {}
    return {**row, **references, **own, "id": new[name][row["id"]]}


def _times(table: Table) -> dict[str, str]:
    """Every moment, moved as its order is."""
    moved = f"o.at - TIMESTAMPTZ '{BEGAN.isoformat()}'"
    moments = [each.name for each in table.columns if isinstance(getattr(each.type, "impl", None), DateTime)]
    return {name: f"p.{name} + ({moved})" for name in moments}


def _ends(new: str) -> str:
    """What a delivery came to, as `bench.stock` has it; only new ones still wait."""
    chance = f"(hashint8extended((o.n * 10 + p.id % {PLACES})::bigint, 0) & 1048575) % 1000"
    states, reasons, below = [], [], 0
    for state, (share, why) in ENDS.items():
        below += share
        waits = f" AND {new}" if state in ("held", "retrying") else ""
        states.append(f"WHEN {chance} < {below}{waits} THEN '{state}'")
        reasons.append(f"WHEN {chance} < {below}{waits} THEN '{why}'")
    return f"CASE {' '.join(states)} ELSE 'delivered' END, CASE {' '.join(reasons)} END"
