"""What tests borrow is migrated and empty, whatever the one before did to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db import Database
from app.services import configure
from tests.databases import KINDS, POSTGRESQL, Databases


@pytest.fixture
def own(tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
    """One that lends to nobody else, where PostgreSQL answers."""
    found = Databases(tmp_path)
    yield found
    found.close()


def add_shop(url: str) -> int:
    with closing(Database(url)) as db, db.write() as session:
        return configure.add_shop(session, "woocommerce", "https://store.example").id


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_gone_and_numbers_begin_anew_when_it_is_lent_again(own: Databases, kind: str) -> None:
    for _ in range(2):
        with own.lend(kind) as url:
            assert add_shop(url) == 1


def test_whoever_is_still_connected_is_cut_off(own: Databases) -> None:
    with own.lend(POSTGRESQL) as first:
        db = Database(first)
        left = db.engine.connect()
        left.execute(text("LOCK TABLE shops"))
    left.invalidate()
    db.close()
    with own.lend(POSTGRESQL) as again:
        assert again == first


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE shops ADD COLUMN more int",
        "ALTER TABLE shops RENAME TO gone",
        "ALTER TABLE shops ADD CONSTRAINT refuse CHECK (id < 5)",
        "UPDATE alembic_version SET version_num = '9999'",
    ],
)
def test_one_whose_schema_was_changed_is_lent_no_more(own: Databases, change: str) -> None:
    with own.lend(POSTGRESQL) as first, closing(Database(first)) as db, db.begin() as connection:
        connection.execute(text(change))
    with own.lend(POSTGRESQL) as again:
        assert again != first
        assert add_shop(again) == 1
