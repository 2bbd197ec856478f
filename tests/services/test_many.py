"""One statement for many rows writes what SQLAlchemy would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from traceback import format_exception
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Integer, LargeBinary, MetaData, Table, Text, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from app.db import Database, Moment, lies_in_the_data
from app.services.many import Many


class Word(StrEnum):
    ONE = "one"


KNOWN = JSON(none_as_null=True)
THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("word", Text),
    Column("known", KNOWN),
    Column("body", LargeBinary),
    Column("at", Moment),
    Column("kept", Integer, server_default="7"),
)
PERSON = "anna@shop.example"
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


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    found = Database(postgres_url)
    yield found
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


#: What a column of JSON takes on both, though a text may not have it on PostgreSQL, and what it must not become.
ODD = [
    {"nul": "a\u0000b", "half": "\ud800", "back": "\\u0000", "digits": 2**70, "share": 0.1, "deep": [{"a": None}]},
    "null",
    0,
    False,
    [],
]


def test_json_is_stored_as_it_is(db: Database) -> None:
    rows = [{"id": number, "known": each} for number, each in enumerate(ODD)]
    change = Many(update(THINGS).where(THINGS.c.id == bindparam("which")).values(known=bindparam("new", type_=KNOWN)))
    with db.begin() as connection:
        Many(insert(THINGS)).execute(connection, rows)
    assert [row[2] for row in stored(db)] == ODD
    turned = list(reversed(ODD))
    with db.begin() as connection:
        change.execute(connection, [{"which": number, "new": each} for number, each in enumerate(turned)])
    assert [row[2] for row in stored(db)] == turned


@pytest.mark.parametrize("wrong", [float, datetime(2026, 1, 1, tzinfo=UTC), {1}, b"a"], ids=repr)
def test_what_is_no_json_is_refused(db: Database, wrong: object) -> None:
    with db.begin() as connection, pytest.raises(TypeError, match="not JSON serializable"):
        Many(insert(THINGS)).execute(connection, [{"id": 1, "known": wrong}])


def test_a_null_that_would_become_another_one_is_refused(postgres: Database) -> None:
    other = Table("others", MetaData(), Column("id", Integer, primary_key=True), Column("known", JSON))
    with postgres.begin() as connection, pytest.raises(AssertionError, match="null"):
        Many(insert(other)).execute(connection, [{"id": 1, "known": None}])


def test_bytes_of_every_kind_are_stored_in_their_rows(db: Database) -> None:
    bodies = [bytes(range(256)), b"", None, b"\\x00", b"=" * 100_000]
    with db.begin() as connection:
        Many(insert(THINGS)).execute(connection, [{"id": at, "body": each} for at, each in enumerate(bodies)])
    assert [row[3] for row in stored(db)] == bodies


def test_rows_are_numbered_in_their_order(db: Database) -> None:
    words = [f"{number * 7919 % 500}" for number in range(500)]
    with db.begin() as connection:
        Many(insert(THINGS)).execute(connection, [{"word": each} for each in words])
    assert [row[1] for row in stored(db)] == words


def test_rows_that_are_there_or_come_twice_are_left_out_where_that_is_asked_for(db: Database) -> None:
    there = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[db.engine.dialect.name]
    many = Many(there(THINGS).on_conflict_do_nothing())
    with db.begin() as connection:
        many.execute(connection, [{"id": 1, "word": "first"}])
        many.execute(connection, [{"id": each, "word": "then"} for each in (2, 1, 3, 2)])
    assert [row[:2] for row in stored(db)] == [(1, "first"), (2, "then"), (3, "then")]


def test_rows_that_are_found_otherwise_than_by_number(db: Database) -> None:
    change = update(THINGS).where(THINGS.c.word == bindparam("old"), THINGS.c.kept == 7).values(word=bindparam("new"))
    for singly in (False, True):
        with db.begin() as connection:
            connection.execute(THINGS.delete())
            Many(insert(THINGS)).execute(connection, [{"id": at, "word": each} for at, each in enumerate("aabc")])
            given = [{"old": "a", "new": "A"}, {"old": "c", "new": None}, {"old": "d", "new": "D"}]
            Many(change, singly=singly).execute(connection, given)
        assert [row[1] for row in stored(db)] == ["A", "A", "b", None]


WORDS = {"NUL": "a NUL: \x00", "half of a pair": "half: \ud800", "there already": "there already"}


@pytest.mark.parametrize("word", WORDS)
def test_what_postgresql_refuses_is_not_quoted(postgres: Database, word: str) -> None:
    THINGS.metadata.create_all(postgres.engine)
    text = f"{PERSON}, {WORDS[word]}"
    with postgres.begin() as connection:
        connection.execute(THINGS.delete())
        connection.exec_driver_sql("CREATE UNIQUE INDEX unique_word ON things (word)")
        Many(insert(THINGS)).execute(connection, [{"id": 1, "word": f"{PERSON}, there already"}])
    with postgres.begin() as connection, pytest.raises((DBAPIError, UnicodeError)) as caught:
        Many(insert(THINGS)).execute(connection, [{"id": 2, "word": text}])
    THINGS.metadata.drop_all(postgres.engine)
    assert lies_in_the_data(caught.value)
    assert PERSON not in "".join(format_exception(caught.value))
