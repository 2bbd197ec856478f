"""The database: engine, sessions, and the rules of writing to it.

SQLite runs in WAL mode with ``synchronous=FULL``: what is committed survives a power cut. It has one writer at a time,
so the writers of this process queue at a lock of ours, instead of polling SQLite's, and have it in turn.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
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
#: PostgreSQL takes disks for spinning ones, so it would rather read a year backwards than look up a few rows.
_SETTINGS = {"random_page_cost": "1.1"}
#: See `Database.of_clerks`. What they look for in tables that grow has an index, also what they join with rows that
#: they bring along. What has to be read whole (the gates, for pauses) would be taken for dear enough to be compiled.
_OF_CLERKS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
PLANNED_FOR = 60.0  #: seconds that one of their plans is used
_MIGRATIONS = Path(__file__).parent / "migrations"
_COMMON = 7460284  #: all workers hold it in common; one of before revision 0005, when there was one, for itself
_LEADER = 7460286  #: whoever looks after the clock
_TRY = {True: text("SELECT pg_try_advisory_lock_shared(:lock)"), False: text("SELECT pg_try_advisory_lock(:lock)")}
_TURNS = 7460285  #: upper half of the locks that `Database.turns` takes
_TRY_TURNS = text("SELECT wanted, pg_try_advisory_lock(wanted) FROM unnest(CAST(:locks AS bigint[])) AS wanted")


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; a naive one is a mistake and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """On SQLite the text that SQLAlchemy would write, for a fifth of the time."""
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

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


def _as_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return _utc_as_text(value.astimezone(UTC))


@lru_cache(256)
def _utc_as_text(value: datetime) -> str:
    """The rows of a transaction mostly have the same moments."""
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


def clock(session: Session) -> datetime:
    """Now, by the clock that all workers share: the database's, where they may be on several machines."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = session.connection().exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return now.astimezone(UTC)


def lies_in_the_data(error: Exception) -> bool:
    """Whether what was to be read or written is to blame, so that others may go on; else the database is in trouble.

    Source: www.postgresql.org/docs/current/errcodes-appendix.html (22: data; 54: limits, such as too long an entry of
    an index, which the driver calls operational)
    """
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return isinstance(error, DataError | IntegrityError) or state.startswith(("22", "54"))
    return isinstance(error, StatementError) or not isinstance(error, SQLAlchemyError)


class Base(DeclarativeBase):
    """All tables."""


class OtherVersion(Exception):
    """The schema is one that this version does not know."""


class Line:
    """A lock that goes from one to the next in the order in which they asked for it.

    Python's own goes to whoever comes by. Who works in rounds lets go of it and asks for it again before anybody else
    has woken up, so that webhooks waited for many rounds to be stored. Not for a thread that goes on after a signal's
    exception: it could leave the lock with nobody.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, *, first: bool = False) -> Iterator[None]:
        """``first``: before all who wait, though one of them has it in between; for one thread only."""
        self._acquire(first)
        try:
            yield
        finally:
            self._hand_on()

    def _acquire(self, first: bool) -> None:
        mine = threading.Lock()
        mine.acquire()
        stand = self._waiting.appendleft if first else self._waiting.append
        with self._guard:
            if not self._held:
                self._held = True
                return
            stand(mine)
        mine.acquire()  # until it is handed to us

    def _hand_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class Alone:
    """That this is the one worker at a database; on PostgreSQL, the one of them that looks after the clock."""

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
            found = self._connection.scalar(text(mine), {"lock": _LEADER})
            self._connection.commit()
        except SQLAlchemyError:
            return False
        return bool(found)


def _unlock(connection: Connection) -> None:
    """Give all of the session's locks back."""
    try:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock_all()"))
        connection.commit()
    except SQLAlchemyError:
        with suppress(SQLAlchemyError):
            connection.invalidate()  # in the pool it might go on to hold them


class Database:
    """An engine and its ways in: `read`, `write`, `begin`. Errors never show rows: they hold bodies and people."""

    def __init__(self, url: str, *, planned_once: bool = False) -> None:
        """
        Args:
            planned_once: see `of_clerks`; for PostgreSQL.
        """
        self._url = url
        self._planned_once = planned_once
        self._of_clerks: Database | None = None
        self.engine = self._reading = _engine(url, planned_once=planned_once)
        if planned_once:
            # A transaction of reading is rolled back, and with it the driver forgets what it has prepared.
            self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.sqlite = self.engine.dialect.name == "sqlite"
        #: The SQLite file; None for a server or a database in memory.
        self.file = self.engine.url.database if self.sqlite and self.engine.url.database != ":memory:" else None
        self._writing = Line()

    def of_clerks(self) -> Database:
        """The same database for whoever sends the same few statements all day, on connections of its own.

        PostgreSQL would plan each anew, each time, which was a quarter of what it did. Pages must not have it: where
        values decide which index is the better one, a plan for all values is not. A plan is used for a minute: on
        tables that are nearly empty one index is as good as another, and until PostgreSQL has counted their rows
        again, it goes at least by their size.
        """
        if self.sqlite or self._planned_once:
            return self
        if self._of_clerks is None:
            self._of_clerks = Database(self._url, planned_once=True)
        return self._of_clerks

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back by an exception."""
        with self.begin() as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.flush()

    @contextmanager
    def begin(self, *, first: bool = False) -> Iterator[Connection]:
        """As `write`, without objects.

        Args:
            first: on SQLite, before all others of this process that wait to write; for the intake's thread alone,
                for a store waits for it.
        """
        if not self.sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later could otherwise find
        # its snapshot stale and fail without any retry helping.
        with self._writing.turn(first=first), self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def alone(self, stack: ExitStack) -> Alone | None:
        """Take the one lock that a worker can hold, for as long as ``stack`` lives; None while another one has it.

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
                # A process of ours that still makes calls holds it as well, should we be killed.
                os.set_inheritable(lock.fileno(), True)
            elif not self.sqlite:
                connection = self._held(mine, _COMMON, _LEADER)
                if connection is None:
                    return None
                found = Alone(connection)
            stack.enter_context(mine.pop_all())
        return found

    def beside_others(self, stack: ExitStack) -> bool:
        """Take the lock that workers have in common, for as long as ``stack`` lives; there is none on SQLite.

        False while a worker of before revision 0005 runs, which takes itself for the only one: it keeps to no gate, and
        as it begins it ends all leases. While the lock is ours none of these begins.
        """
        return self.sqlite or self._held(stack, _COMMON) is not None

    def _held(self, stack: ExitStack, *locks: int) -> Connection | None:
        """A connection that holds ``locks`` for as long as ``stack`` lives; None where one of them is not to be had."""
        with ExitStack() as mine:
            connection = mine.enter_context(self.engine.connect())
            mine.callback(_unlock, connection)
            connection.execute(text(_SERVER_KEEPALIVES))
            held = all(connection.scalar(_TRY[lock == _COMMON], {"lock": lock}) for lock in locks)
            connection.commit()  # the locks are the session's; an open transaction would only hold back vacuum
            if not held:
                return None
            stack.enter_context(mine.pop_all())
            return connection

    @contextmanager
    def turns(self, numbers: Sequence[int]) -> Iterator[frozenset[int]]:
        """Those of ``numbers`` that are ours to work on until the block ends; others do not get them meanwhile.

        It saves work that others would do too, and guards nothing: PostgreSQL takes the locks away with the connection.
        On SQLite there is one worker.
        """
        if self.sqlite:
            yield frozenset(numbers)
            return
        locks = {number: (_TURNS << 32) + number % (1 << 32) for number in numbers}
        with self.engine.connect() as connection:
            had = connection.execute(_TRY_TURNS, {"locks": list(locks.values())}).all()
            connection.commit()  # the locks are the session's; an open transaction would only hold back vacuum
            mine = [lock for lock, got in had if got]
            try:
                yield frozenset(number for number, lock in locks.items() if lock in mine)
            finally:
                if mine:
                    _unlock(connection)

    def ready(self) -> bool:
        """Whether the database answers."""
        with self.read() as session:
            session.execute(text("SELECT 1"))
        return True

    def migrate(self) -> None:
        """Bring the schema to the newest version, or raise `OtherVersion`; harmless when it is there already."""
        if self._revision() == newest_revision():
            return
        # Eight megabytes that a process would keep for as long as it runs; most starts have nothing to migrate.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        try:
            with self.engine.connect() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            raise OtherVersion(str(error)) from None

    def _revision(self) -> str | None:
        """The schema's; None for an empty database."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return found

    def close(self) -> None:
        if self._of_clerks is not None:
            self._of_clerks.close()
        self.engine.dispose()


def newest_revision() -> str:
    """The one that this version brings a schema to; files of revisions begin with their number."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _engine(url: str, *, planned_once: bool) -> Engine:
    if not url.startswith("sqlite"):
        chosen = make_url(url).query
        alive = {name: value for name, value in _KEEPALIVES.items() if name not in chosen}
        engine = create_engine(
            url,
            connect_args=alive,
            pool_pre_ping=True,
            pool_size=5 if planned_once else 10,
            max_overflow=10 if planned_once else 20,
            pool_use_lifo=planned_once,  # a connection has to see a statement five times before it prepares it
            hide_parameters=True,
        )
        event.listen(engine, "connect", _prepare_postgresql(_SETTINGS | (_OF_CLERKS if planned_once else {})))
        if planned_once:
            event.listen(engine, "checkout", _plan_anew)
        event.listen(engine, "handle_error", _say_less)
        return engine
    arguments = {"timeout": 30, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, pool_size=10, max_overflow=50, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_postgresql(settings: Mapping[str, str]) -> Callable[[Any, Any], None]:
    wanted = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())

    def prepare(connection: Any, _record: Any) -> None:
        connection.execute(f"SELECT {wanted}").close()
        connection.commit()  # settings of a transaction that is rolled back would go with it

    return prepare


def _plan_anew(connection: Any, record: Any, _lent: Any) -> None:
    """Forget plans that are older than `PLANNED_FOR`, as a connection is taken from the pool."""
    now = time.monotonic()
    if now - record.info.setdefault("planned", now) >= PLANNED_FOR:
        connection.execute("DISCARD PLANS").close()
        connection.commit()
        record.info["planned"] = now


def _say_less(context: Any) -> None:
    """Leave DETAIL and CONTEXT out of PostgreSQL's errors: they quote what was to be written, and so people."""
    error, told = context.original_exception, context.sqlalchemy_exception
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary and told is not None:
        error.args = (primary,)
        told.args = (f"({type(error).__module__}.{type(error).__name__}) {primary}", *told.args[1:])


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and only before the first change; we begin them.
    connection.isolation_level = None
    # Without secure_delete the old bytes of a changed row stay in the file, and with them whoever was erased.
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000", "secure_delete=ON")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()
