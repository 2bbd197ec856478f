"""Nothing that runs all the time reads a whole table: what is asked for stays as quick however much is stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from app.db import Database
from bench import plans, stock
from bench.paths import Paths
from bench.plans import TABLES

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
    asked: set[str] = set()
    with Paths(filled, tmp_path) as paths:
        _analyze(paths.rig.db)
        for name, way in paths.ways().items():
            with plans.collecting(paths.rig.db.engine) as collected:
                way()
            for statement in collected.found.keys() - asked:
                wrong |= {(name, what, statement) for what in _wrong(paths.rig.db, name, statement, collected.found)}
            asked |= collected.found.keys()
    assert wrong == set()
    assert {table for table in TABLES if any(table in each for each in asked)} == TABLES
    assert len(asked) > 60  # else the ways lead past the database


def _wrong(db: Database, way: str, statement: str, parameters: dict[str, object]) -> list[str]:
    given = parameters[statement]
    if db.sqlite:
        return [f"reads all of {each}" for each in plans.on_sqlite(db.engine, statement, given)]
    found = []
    for generic in (False, True):
        plan = plans.on_postgresql(db.engine, statement, given, generic=generic)
        kind = "generic" if generic else "custom"
        found += [f"{kind} plan reads all of {each}" for each in plan.scans]
        if plan.rows > MOST and not way.startswith(WIDE):
            found.append(f"{kind} plan looks at {plan.rows} rows")
    return found


def _analyze(db: Database) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
