"""Nothing that runs all the time reads a whole table: what is asked for stays as quick however much is stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app import db
from app.db import Base, Database
from bench import plans, stock
from bench.paths import Paths
from bench.plans import TABLES
from tests.databases import bare

EVENTS = 20_000
MOST = 2000  #: rows that a statement may look at
WIDE = ("page ", "retention")  #: a page counts up to some thousands, and retention goes through all by steps


@pytest.fixture
def filled(bare_url: str) -> str:
    """The address of a database with events enough for plans to be those of many more."""
    stock.build(bare_url, EVENTS)
    return bare_url


def test_no_statement_of_a_hot_path_reads_a_table_or_an_index_from_end_to_end(filled: str, tmp_path: Path) -> None:
    wrong: set[tuple[str, ...]] = set()
    asked: set[tuple[Engine, str]] = set()
    with Paths(filled, tmp_path) as paths:
        _analyze(paths.rig.db)
        for name, way in paths.ways().items():
            with plans.collecting(paths.rig.db) as collected:
                way()
            for engine, here in collected.items():
                kinds = (True,) if engine is not paths.rig.db.engine else (False, True)
                for statement, given in here.found.items():
                    if (engine, statement) not in asked:
                        wrong |= {(name, what, statement) for what in _wrong(engine, kinds, name, statement, given)}
                asked |= {(engine, statement) for statement in here.found}
    assert wrong == set()
    assert {table for table in TABLES if any(table in each for _, each in asked)} == TABLES
    assert len(asked) > 60  # else the ways lead past the database


def test_what_clerks_planned_while_tables_were_empty_is_planned_anew(
    bare_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute by the tables' size, and once their rows were counted as it should be."""
    stock.build(bare_postgres_url, EVENTS)
    with Paths(bare_postgres_url, tmp_path) as paths, bare() as url, closing(Database(url)) as empty:
        _analyze(paths.rig.db)
        with plans.collecting(paths.rig.db) as collected:
            for way in paths.ways().values():
                way()
        found = collected[paths.rig.db.of_clerks().engine].found
        empty.migrate()
        _leave_alone(empty)
        with empty.of_clerks().engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            prepared = [
                (statement, plans.Prepared(driver, f"statement_{number}", statement, given or {}))
                for number, (statement, given) in enumerate(found.items())
            ]
            before = [each.carry_out().rows for _, each in prepared]
            driver.rollback()
            _copy(paths.rig.db, empty)
            old = [each.carry_out().rows for _, each in prepared]
        with empty.of_clerks().engine.connect():
            young = [each.carry_out().rows for _, each in prepared]
            driver.rollback()
        monkeypatch.setattr(db, "PLANNED_FOR", 0.0)
        with empty.of_clerks().engine.connect() as connection:
            assert connection.connection.driver_connection is driver  # it keeps its place, whatever logins do
            anew = [each.carry_out().rows for _, each in prepared]
            driver.rollback()
        _analyze(empty)
        after = [(statement, each.carry_out()) for statement, each in prepared]
        driver.rollback()
    assert len(prepared) > 15
    assert set(before) == {0}
    assert young == old
    assert sum(anew) < sum(old)
    assert [(statement, each.scans, each.rows) for statement, each in after if each.scans or each.rows > MOST] == []
    assert sum(each.rows for _, each in after) > 10  # else they asked for what is not there


def test_clerks_keep_what_they_have_prepared(postgres_url: str) -> None:
    """A rollback would have the driver forget it all, and reading ends in one."""
    with closing(Database(postgres_url)) as whole:
        clerks = whole.of_clerks()
        for _ in range(10):
            with clerks.read() as session:
                session.execute(text("SELECT 41 + 1"))
            with clerks.write() as session:
                session.execute(text("SELECT 42 + 1"))
        with clerks.read() as session:
            prepared = set(session.scalars(text("SELECT statement FROM pg_prepared_statements")))
            assert {"SELECT 41 + 1", "SELECT 42 + 1"} <= prepared
            assert session.scalar(text("SHOW plan_cache_mode")) == "force_generic_plan"
        with whole.read() as session:
            assert session.scalar(text("SHOW plan_cache_mode")) == "auto"


def _leave_alone(database: Database) -> None:
    with database.engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(text(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)"))


def _copy(source: Database, target: Database) -> None:
    with source.engine.connect() as one, target.engine.begin() as other:
        here, there = one.connection.driver_connection, other.connection.driver_connection
        assert here is not None
        assert there is not None
        for table in Base.metadata.sorted_tables:
            names = ", ".join(each.name for each in table.columns)
            with (
                here.cursor().copy(f"COPY {table.name} ({names}) TO STDOUT") as rows,
                there.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN") as copied,
            ):
                for row in rows:
                    copied.write(row)


def _wrong(engine: Engine, kinds: Sequence[bool], way: str, statement: str, given: Any) -> list[str]:
    """``kinds``: whether its plan is a generic one, as it may be."""
    if engine.dialect.name == "sqlite":
        return [f"reads all of {each}" for each in plans.on_sqlite(engine, statement, given)]
    found = []
    for generic in kinds:
        plan = plans.on_postgresql(engine, statement, given, generic=generic)
        kind = "generic" if generic else "custom"
        found += [f"{kind} plan reads all of {each}" for each in plan.scans]
        if plan.rows > MOST and not way.startswith(WIDE):
            found.append(f"{kind} plan looks at {plan.rows} rows")
    return found


def _analyze(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
