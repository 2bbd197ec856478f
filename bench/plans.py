"""What the database does for each statement that a part of the program really sends.

Statements are collected as they go out, then planned again: as they stand, and, on PostgreSQL, also with the generic
plan that a prepared statement may get, which knows no values. ``EXPLAIN ANALYZE`` carries them out in a transaction
that is rolled back, so the rows and pages that they touch are counted: these say the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from app.db import Database

TABLES = frozenset(("webhooks", "ledgers", "events", "deliveries", "attempts"))
_NAMED = re.compile(r"%\((\w+)\)s")
_SCAN = re.compile(r"SCAN (\w+)( USING .*)?")
#: Rows after which a walk along an index from its end, for the newest that fits, is taken for one that does not stop.
FEW = 200
#: Indexes that hold only what waits: read wholly, they are short.
SHORT = frozenset(
    (
        "ix_webhooks_pending",
        "ix_webhooks_todo",
        "ix_deliveries_due",
        "ix_deliveries_open",
        "ix_deliveries_leased",
        "ix_deliveries_provider_lane",
    )
)


@dataclass(slots=True)
class Collected:
    """Statements about the tables that grow, with the parameters that each had last."""

    found: dict[str, Any] = field(default_factory=dict)
    #: The same in turn, with repetitions.
    sent: list[tuple[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one statement costs."""

    scans: tuple[str, ...]  #: tables, or indexes, that are read from one end to the other
    rows: int  #: looked at, also those that were found not to fit
    pages: int  #: of 8 KB, in memory or not


@contextmanager
def collecting(db: Database) -> Iterator[dict[Engine, Collected]]:
    """Everything but INSERTs, which are no matter of a plan; by the connections' engine, for clerks have their own."""
    with ExitStack() as stack:
        yield {engine: stack.enter_context(_collecting(engine)) for engine in {db.engine, db.of_clerks().engine}}


@contextmanager
def _collecting(engine: Engine) -> Iterator[Collected]:
    collected = Collected()

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith("INSERT") or not TABLES & set(re.findall(r"\w+", statement)):
            return
        given = parameters[0] if many else parameters
        collected.found[statement] = given
        collected.sent.append((statement, given))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield collected
    finally:
        event.remove(engine, "before_cursor_execute", note)


def on_postgresql(engine: Engine, statement: str, parameters: Any, *, generic: bool) -> Plan:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute(f"SET LOCAL plan_cache_mode = force_{'generic' if generic else 'custom'}_plan")
            return Prepared(driver, "planned", statement, parameters or {}).carry_out()
        finally:
            driver.rollback()
            driver.execute("DEALLOCATE ALL")
            driver.rollback()


class Prepared:
    """A statement that a connection to PostgreSQL has prepared; a generic plan is made when it is first carried out."""

    def __init__(
        self, driver: psycopg.Connection[Any], name: str, statement: str, parameters: Mapping[str, Any]
    ) -> None:
        self._driver = driver
        self._name = name
        self._names = list(dict.fromkeys(_NAMED.findall(statement)))
        self._parameters = parameters
        numbered = _NAMED.sub(lambda found: f"${self._names.index(found[1]) + 1}", statement).replace("%%", "%")
        driver.execute(f"PREPARE {name} AS {numbered}".encode())

    def carry_out(self) -> Plan:
        """What it costs now."""
        marks = f"({', '.join(['%s'] * len(self._names))})" if self._names else ""
        run = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {self._name}{marks}"
        with psycopg.ClientCursor(self._driver) as cursor:
            cursor.execute(run.encode(), [self._parameters[name] for name in self._names])
            row = cursor.fetchone()
        assert row is not None
        return _read(row[0][0]["Plan"])


def _read(plan: dict[str, Any]) -> Plan:
    nodes = list(_nodes(plan))
    scans = tuple(sorted({name for node in nodes if (name := _scanned(node))}))
    rows = sum(_looked_at(node) for node in nodes if "Relation Name" in node and node["Relation Name"] in TABLES)
    return Plan(scans, rows, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


def _scanned(node: dict[str, Any]) -> str | None:
    """The table that a node reads from one end to the other, by itself or through an index."""
    if node["Node Type"] in ("Seq Scan", "Parallel Seq Scan") and node["Relation Name"] in TABLES:
        return str(node["Relation Name"])
    by_index = node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
    if by_index and "Index Cond" not in node and node["Index Name"] not in SHORT and _looked_at(node) > FEW:
        return str(node["Index Name"])
    return None


def _looked_at(node: dict[str, Any]) -> int:
    rows = sum(node.get(name, 0) for name in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"))
    return int(rows * node["Actual Loops"])


def on_sqlite(engine: Engine, statement: str, parameters: Sequence[Any]) -> tuple[str, ...]:
    """The tables, or indexes, that are read from one end to the other."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters)).all()
        own = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")}
    found = set()
    for row in rows:
        if (scan := _SCAN.match(row[3])) is None:
            continue
        name = re.sub(r"_\d+$", "", scan[1])
        index = next((each for each in re.findall(r"\w+", scan[2] or "") if each in own), None)
        if name in TABLES and index not in SHORT:
            found.add(name)
    return tuple(sorted(found))
