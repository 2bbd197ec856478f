"""One statement for many rows writes what SQLAlchemy would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Integer, LargeBinary, MetaData, Table, Text, bindparam, insert, select, update

from app.db import Database, Moment
from app.services.many import Many


class Word(StrEnum):
    ONE = "one"


THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("word", Text),
    Column("known", JSON(none_as_null=True)),
    Column("body", LargeBinary),
    Column("at", Moment),
    Column("kept", Integer, server_default="7"),
)
EARLY = datetime(2026, 3, 29, 1, 30, 0, 5, tzinfo=timezone(timedelta(hours=2)))
ROWS: list[dict[str, Any]] = [
    {"id": 1, "word": Word.ONE, "known": {"ä": [1, None]}, "body": b"\x00\xff", "at": EARLY},
    {"id": 2, "word": None, "known": None, "body": None, "at": None},
    {"id": 3, "word": "100 % 'of' it", "known": [], "body": b"", "at": datetime(2026, 1, 1, tzinfo=UTC)},
]


@pytest.fixture
def db(either_url: str) -> Iterator[Database]:
    found = Database(either_url)
    THINGS.metadata.create_all(found.engine)
    yield found
    THINGS.metadata.drop_all(found.engine)
    found.close()


def stored(db: Database) -> list[tuple[Any, ...]]:
    with db.engine.connect() as connection:
        return [(*row,) for row in connection.execute(select(THINGS).order_by(THINGS.c.id))]


def test_rows_are_written_as_sqlalchemy_writes_them(db: Database) -> None:
    change = update(THINGS).where(THINGS.c.id == bindparam("which"), THINGS.c.kept == 7)
    change = change.values(word=bindparam("new"), at=bindparam("then"), known=None)
    changes = [{"which": 1, "new": "two", "then": None}, {"which": 3, "new": None, "then": EARLY}]
    found = []
    for many in (False, True):
        with db.begin() as connection:
            connection.execute(THINGS.delete())
            if many:
                Many(insert(THINGS)).execute(connection, ROWS)
                Many(change).execute(connection, changes)
            else:
                connection.execute(insert(THINGS), ROWS)
                connection.execute(change, changes)
        found.append(stored(db))
    assert found[0] == found[1]
    assert found[1][0] == (1, "two", None, b"\x00\xff", None, 7)
    assert found[1][1] == (2, None, None, None, None, 7)


def test_what_no_row_gives_is_refused(db: Database) -> None:
    change = Many(update(THINGS).where(THINGS.c.id == bindparam("which")).values(word=bindparam("new")))
    with db.begin() as connection, pytest.raises(AssertionError, match="rows give no new"):
        change.execute(connection, [{"which": 1}])


def test_what_one_row_leaves_out_is_refused(db: Database) -> None:
    with db.begin() as connection, pytest.raises(KeyError, match="word"):
        Many(insert(THINGS)).execute(connection, [{"id": 1, "word": "a"}, {"id": 2}])


def test_columns_that_python_would_fill_in_are_refused(db: Database) -> None:
    table = Table("others", MetaData(), Column("id", Integer, primary_key=True), Column("state", Text, default="new"))
    with db.begin() as connection, pytest.raises(AssertionError, match="have to be in the rows"):
        Many(insert(table)).execute(connection, [{"id": 1}])


def test_a_moment_without_a_zone_is_refused(db: Database) -> None:
    with db.begin() as connection, pytest.raises(Exception, match="time zone"):
        Many(insert(THINGS)).execute(connection, [{"id": 1, "at": datetime(2026, 1, 1)}])  # noqa: DTZ001
