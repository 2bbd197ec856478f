"""The database: engine, sessions, and the rules of writing to it.

SQLite runs in WAL mode with ``synchronous=FULL``: what is committed survives a power cut. It has one writer at a time,
so the writers of this process queue at a lock of ours instead of polling SQLite's.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import BigInteger, Connection, DateTime, Dialect, Engine, Integer, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

#: 64 bits everywhere; SQLite only numbers rows by itself where the column is called INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")

#: A connection whose other end vanished ends within half a minute, seen from here (parameters of libpq, seconds but for
#: the last, milliseconds) and from the server, which gives a dead worker's lock to the next one.
_KEEPALIVES = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
_SERVER_KEEPALIVES = (
    "SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false),"
    " set_config('tcp_keepalives_count', '3', false)"
)
_LOCK = 7460284


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; a naive one is a mistake and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """All tables."""


class Alone:
    """That this is the one worker at a database."""

    def __init__(self, connection: Connection | None = None) -> None:
        """``connection`` holds the lock; None for a database that has only this process, or a lock that stays."""
        self._connection = connection

    def held(self) -> bool:
        """Whether it still is. PostgreSQL's lock ends with its connection: a failover, an administrator, the network.

        The lock is asked for, not the connection, which would be made anew without it.
        """
        if self._connection is None:
            return True
        mine = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objid = :lock"
        try:
            found = self._connection.scalar(text(mine), {"lock": _LOCK})
            self._connection.commit()
        except SQLAlchemyError:
            return False
        return bool(found)

    def give_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
            self._connection.scalar(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        except SQLAlchemyError:
            with suppress(SQLAlchemyError):
                self._connection.invalidate()  # in the pool it might go on to hold the lock


class Database:
    """An engine and its two ways in: `read` and `write`. Errors never show parameters: they hold bodies and people."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.sqlite = self.engine.dialect.name == "sqlite"
        #: The SQLite file; None for a server or a database in memory.
        self.file = self.engine.url.database if self.sqlite and self.engine.url.database != ":memory:" else None
        self._writing = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back by an exception."""
        with self.begin() as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.flush()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """As `write`, without objects."""
        if not self.sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could otherwise find
        # its snapshot stale and fail without any retry helping.
        with self._writing, self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def alone(self, stack: ExitStack) -> Alone | None:
        """Become the one worker at this database for as long as ``stack`` lives; None while another one is.

        On PostgreSQL it can end before: see `Alone.held`.
        """
        found = Alone()
        with ExitStack() as mine:
            if self.file is not None:
                lock = mine.enter_context(Path(f"{self.file}.worker").open("w"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return None
            elif not self.sqlite:
                connection = mine.enter_context(self.engine.connect())
                connection.execute(text(_SERVER_KEEPALIVES))
                held = connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK})
                connection.commit()  # the lock is the session's; an open transaction would only hold back vacuum
                if not held:
                    return None
                found = Alone(connection)
                mine.callback(found.give_back)
            stack.enter_context(mine.pop_all())
        return found

    def ready(self) -> bool:
        """Whether the database answers."""
        with self.read() as session:
            session.execute(text("SELECT 1"))
        return True

    def migrate(self) -> None:
        """Bring the schema to the newest version; harmless when it is there already."""
        config = AlembicConfig()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        self.engine.dispose()


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        chosen = make_url(url).query
        alive = {name: value for name, value in _KEEPALIVES.items() if name not in chosen}
        return create_engine(
            url, connect_args=alive, pool_pre_ping=True, pool_size=10, max_overflow=20, hide_parameters=True
        )
    arguments = {"timeout": 30, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, pool_size=10, max_overflow=50, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and only before the first change; we begin them.
    connection.isolation_level = None
    # Without secure_delete the old bytes of a changed row stay in the file, and with them whoever was erased.
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000", "secure_delete=ON")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()
