"""Many rows at once: by ``COPY`` on PostgreSQL, by one prepared statement on SQLite; values as types write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.engine import Dialect

from app.db import Database

Row = dict[str, Any]


def write(db: Database, rows: Mapping[Table, list[Row]]) -> None:
    """Put ``rows``, complete with their ids, into their tables in the order given, in one transaction."""
    with db.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        for table, of_it in rows.items():
            names = [column.name for column in table.columns]
            values = _bound(table, connection.dialect, of_it)
            if db.sqlite:
                marks = ", ".join("?" * len(names))
                raw.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", values)
            else:
                with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
                    for row in values:
                        copy.write_row(row)


def _bound(table: Table, dialect: Dialect, rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    writers = [(each.name, each.type.dialect_impl(dialect).bind_processor(dialect)) for each in table.columns]
    for row in rows:
        yield tuple([write(row[name]) if write else row[name] for name, write in writers])


def finish(db: Database, tables: Iterable[Table]) -> None:
    """What PostgreSQL's own upkeep would have done by now, and the counters of ids that were given by hand."""
    if db.sqlite:
        return
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            last = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name}"
            connection.execute(text(last))
            connection.execute(text(f"VACUUM ANALYZE {table.name}"))
