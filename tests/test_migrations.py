"""The schema grows from nothing, agrees with the models, and loses nobody's rows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text
from sqlalchemy.types import JSON, BigInteger, Boolean, Integer, LargeBinary, Text

from app.db import Base, Database, Moment
from app.models import Connection as ConnectionRow
from app.models import Ledger
from app.services.finding import person
from app.services.packing import pack
from app.services.shopify_troubles import FORBIDDEN, REMOVED, REOPEN, WRONG_CLIENT
from tests.processes import ROOT, environment

TABLES = set(Base.metadata.tables)
GONE = {"shops": {"secrets"}}  #: columns that a later revision took away; nothing ever wrote into these
AT = datetime(2026, 3, 2, 9, 15, 30, 123456, tzinfo=UTC)


@pytest.fixture
def empty(bare_url: str) -> Iterator[Database]:
    db = Database(bare_url)
    yield db
    db.close()


def script() -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "app" / "migrations"))
    return config


def go(db: Database, revision: str) -> None:
    config = script()
    with db.engine.connect() as connection:
        config.attributes["connection"] = connection
        move = command.downgrade if revision == "base" else command.upgrade
        move(config, revision)


def tables(db: Database) -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def values(table: Table) -> dict[str, Any]:
    """Something in every column that may hold something; rows of number 1 refer to rows of number 1."""
    row: dict[str, Any] = {}
    for column in table.columns:
        match column.type:
            case _ if column.primary_key or column.foreign_keys or isinstance(column.type, BigInteger):
                row[column.name] = 1
            case Moment():
                row[column.name] = AT
            case JSON():
                row[column.name] = {"ü": [1, None, "x"]}
            case LargeBinary():
                row[column.name] = b"\x00\xff"
            case Boolean():
                row[column.name] = True
            case Integer():
                row[column.name] = 3
            case Text():
                row[column.name] = f"{column.name} ü"
            case other:
                raise AssertionError(f"{table.name}.{column.name}: what stands in {other!r}?")
    return row


def reflected(connection: Connection) -> MetaData:
    found = MetaData()
    found.reflect(connection)
    return found


def contents(connection: Connection, names: dict[str, list[str]]) -> dict[str, list[Any]]:
    """All rows, of the columns that were there at first."""
    found = reflected(connection)
    return {
        name: [tuple(row) for row in connection.execute(select(*(found.tables[name].c[each] for each in columns)))]
        for name, columns in names.items()
    }


def test_from_nothing_it_grows_to_what_the_models_say(empty: Database) -> None:
    empty.migrate()
    assert tables(empty) == TABLES
    with empty.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "render_as_batch": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_a_second_time_changes_nothing(empty: Database) -> None:
    empty.migrate()
    with empty.engine.begin() as connection:
        connection.execute(Base.metadata.tables["shops"].insert().values(values(Base.metadata.tables["shops"])))
    empty.migrate()
    with empty.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(text("shops"))) == 1


def test_rows_of_the_first_revision_come_through_all_others_unchanged(empty: Database) -> None:
    go(empty, "0001")
    with empty.engine.begin() as connection:
        first = reflected(connection)
        names = {
            name: [str(column.name) for column in table.c if column.name not in GONE.get(name, ())]
            for name, table in first.tables.items()
            if name != "alembic_version"
        }
        for table in Base.metadata.sorted_tables:
            if table.name in names:
                known = {name: value for name, value in values(table).items() if name in names[table.name]}
                connection.execute(table.insert().values(known))
        before = contents(connection, names)
    assert {name: len(rows) for name, rows in before.items()} == dict.fromkeys(names, 1)
    empty.migrate()
    with empty.engine.connect() as connection:
        assert contents(connection, names) == before


def test_it_can_be_taken_down_to_nothing_and_grow_again(empty: Database) -> None:
    empty.migrate()
    go(empty, "base")
    assert tables(empty) == set()
    empty.migrate()
    assert tables(empty) == TABLES


def test_there_is_one_line_of_revisions_from_the_first_to_the_last() -> None:
    directory = ScriptDirectory.from_config(script())
    revisions = [each.revision for each in directory.walk_revisions()]
    assert len(directory.get_heads()) == 1
    assert revisions == sorted(revisions, reverse=True)
    assert revisions[-1] == "0001"


def test_processes_that_migrate_at_once_take_turns(empty: Database, tmp_path: Path) -> None:
    url = empty.engine.url.render_as_string(hide_password=False)
    program = f"from app.db import Database; db = Database({url!r}); db.migrate(); print(db.ready()); db.close()"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    assert [each.communicate(timeout=60) for each in started] == [("True\n", "")] * 3
    assert tables(empty) == TABLES
    assert [each.returncode for each in started] == [0] * 3


def test_a_migration_that_fails_leaves_the_schema_as_it_was(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def create_index(self: Any, name: str, *arguments: Any, **options: Any) -> None:
        made.append(name)
        if len(made) == 3:
            raise RuntimeError("no more")
        original(self, name, *arguments, **options)

    original = Operations.create_index
    monkeypatch.setattr(Operations, "create_index", create_index)
    with pytest.raises(RuntimeError, match="no more"):
        empty.migrate()
    monkeypatch.undo()
    empty.engine.dispose()
    assert tables(empty) == set()
    empty.migrate()
    assert tables(empty) == TABLES


def test_orders_that_are_here_already_can_be_found_afterwards(empty: Database) -> None:
    go(empty, "0002")
    order = {"order": {"email": "Anna@Shop.example", "sprii": {"value": "5934-14"}}}
    with empty.engine.begin() as connection:
        found = reflected(connection)
        connection.execute(
            found.tables["shops"].insert().values(id=3, platform="shopify", domain="d", settings={}, created_at=AT)
        )
        for id_, state in ((1, pack(order)), (2, pack({})), (3, b"broken")):
            row = {"id": id_, "shop_id": 3, "kind": "order", "key": str(id_), "state": state}
            connection.execute(found.tables["ledgers"].insert().values(**row, updated_at=AT))
    empty.migrate()
    with empty.read() as session:
        rows = session.execute(select(Ledger.sprii, Ledger.person).order_by(Ledger.id)).all()
    assert [tuple(row) for row in rows] == [("5934-14", person(3, "anna@shop.example")), (None, None), (None, None)]


def test_the_trouble_that_a_connection_has_already_is_told_by_its_code_afterwards(empty: Database) -> None:
    said = {
        "reopen": REOPEN,
        "wrong_client": WRONG_CLIENT,
        "forbidden": FORBIDDEN,
        "removed": REMOVED,
        "rights": "The store has not granted the rights read_orders, so not everything arrives.",
        None: "The store does not accept the key (code).",
    }
    go(empty, "0003")
    with empty.engine.begin() as connection:
        found = reflected(connection)
        shop = {"platform": "shopify", "settings": {}, "created_at": AT}
        row = {"state": "attention", "scopes": [], "generation": 1, "installed_at": AT}
        for number, sentence in enumerate(said.values(), 1):
            connection.execute(found.tables["shops"].insert().values(id=number, domain=str(number), **shop))
            connection.execute(found.tables["connections"].insert().values(shop_id=number, trouble=sentence, **row))
    empty.migrate()
    with empty.read() as session:
        rows = session.scalars(select(ConnectionRow.trouble_code).order_by(ConnectionRow.shop_id)).all()
    assert rows == list(said)


def test_the_index_of_chores_is_built_beside_writers_and_what_a_dead_attempt_left_is_built_anew(
    empty: Database,
) -> None:
    go(empty, "0005")
    if not empty.sqlite:
        with empty.begin() as connection:
            connection.execute(text("CREATE INDEX ix_webhooks_todo ON webhooks (topic)"))
    go(empty, "0006")
    found = {each["name"]: each["column_names"] for each in inspect(empty.engine).get_indexes("webhooks")}
    assert found["ix_webhooks_todo"] == ["id"]
    if empty.sqlite:
        return
    with empty.engine.connect() as connection:
        options = connection.execute(
            text("SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL")
        ).all()
    wanted = {
        "autovacuum_vacuum_scale_factor=0",
        "autovacuum_vacuum_threshold=20000",
        "autovacuum_analyze_scale_factor=0",
        "autovacuum_analyze_threshold=50000",
        "vacuum_index_cleanup=on",
    }
    assert {row.relname: set(row.reloptions) for row in options} == {"webhooks": wanted, "deliveries": wanted}


def test_whoever_waits_to_migrate_keeps_no_index_from_being_built(postgres_url: str) -> None:
    db = Database(postgres_url)
    go(db, "0005")
    with db.engine.connect() as other, ThreadPoolExecutor(1) as pool:
        other.execute(text("SELECT pg_advisory_lock(7460283)"))
        other.commit()
        waiting = pool.submit(db.migrate)
        time.sleep(0.5)
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as building:
            building.execute(text("SET statement_timeout = '10s'"))
            building.execute(text("CREATE INDEX CONCURRENTLY beside ON webhooks (topic)"))
        other.execute(text("SELECT pg_advisory_unlock(7460283)"))
        other.commit()
        waiting.result(30)
    db.close()
