"""The databases that tests work on: migrated, empty, and lent again, for making one takes longer than most tests.

``TEST_DATABASE`` says on which kind the suite runs, ``sqlite`` or ``postgresql``; on PostgreSQL ``TEST_BROKER_URL``
adds the broker that tells workers where there is something to do.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import pika
import redis
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

import app.models  # noqa: F401 - every table
from app.db import Base, Database

SQLITE, POSTGRESQL = "sqlite", "postgresql"
CHOSEN = os.environ.get("TEST_DATABASE") or SQLITE
if CHOSEN not in (SQLITE, POSTGRESQL):
    raise ValueError(f"TEST_DATABASE is {CHOSEN!r}: set it to {SQLITE} or {POSTGRESQL}")
#: What tests that are made for both kinds run on.
KINDS = [SQLITE, POSTGRESQL] if CHOSEN == SQLITE else [POSTGRESQL]
POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test")
BROKER = os.environ.get("TEST_BROKER_URL", "") if CHOSEN == POSTGRESQL else ""

#: All that a test may have changed beside rows: columns, constraints, triggers, functions, the revision.
_SHAPE = """
SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
  SELECT concat(relname, attname, atttypid, attnotnull) AS part
    FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0
  UNION ALL SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT version_num FROM alembic_version
) AS parts
"""
_RESTART = "SELECT setval(format('%I', relname)::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def settings(url: str) -> dict[str, str]:
    """What a Tillwire is told so that it works on the database ``url``, with the broker where there is one."""
    return {"DATABASE_URL": url, "BROKER_URL": "" if url.startswith(SQLITE) else BROKER}


class NoPostgres(Exception):
    """No PostgreSQL answers at ``TEST_POSTGRES_URL``."""


class Databases:
    """Lends databases; what was lent comes back as it was made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shapes: dict[str, str] = {}  #: of those at PostgreSQL, by name
        self._free: list[str] = []

    @contextmanager
    def lend(self, kind: str = CHOSEN) -> Iterator[str]:
        """The address of one.

        Raises:
            NoPostgres:
        """
        with self._lend_file() if kind == SQLITE else self._lend_name() as url:
            yield url

    @contextmanager
    def _lend_file(self) -> Iterator[str]:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        shutil.copyfile(self._template, folder / "tillwire.db")
        yield f"sqlite:///{folder / 'tillwire.db'}"
        shutil.rmtree(folder)

    @cached_property
    def _template(self) -> Path:
        file = self._folder / "template.db"
        _migrate(f"sqlite:///{file}")
        return file

    @contextmanager
    def _lend_name(self) -> Iterator[str]:
        name = self._free.pop() if self._free else self._create()
        yield _address(name)
        if _emptied(name, self._shapes[name]):
            self._free.append(name)
        else:
            self._drop(name)

    def _create(self) -> str:
        name = f"tillwire_{uuid.uuid4().hex}"
        with admin() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
            # Tests end processes, never the server: nothing of theirs rests on what it still has to write.
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit TO off"))
        _migrate(_address(name))
        with _connected(name) as connection:
            self._shapes[name] = str(connection.scalar(text(_SHAPE)))
        return name

    def _drop(self, name: str) -> None:
        del self._shapes[name]
        drop(name)
        if BROKER:
            _forget(f"tillwire.{name}")

    def close(self) -> None:
        for name in list(self._shapes):
            self._drop(name)


@contextmanager
def admin() -> Iterator[Connection]:
    """At the server of ``TEST_POSTGRES_URL``, for what no transaction may hold."""
    engine = create_engine(
        POSTGRES, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 3}
    )
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(engine.connect())
        except Exception as error:
            raise NoPostgres(f"no PostgreSQL answers at TEST_POSTGRES_URL ({type(error).__name__})") from error
        yield connection


@contextmanager
def bare() -> Iterator[str]:
    """The address of a database at PostgreSQL without any table.

    Raises:
        NoPostgres:
    """
    name = f"tillwire_{uuid.uuid4().hex}"
    with admin() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield _address(name)
    drop(name)


def drop(name: str) -> None:
    with admin() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _address(name: str) -> str:
    return make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)


def _migrate(url: str) -> None:
    db = Database(url)
    db.migrate()
    db.close()


@contextmanager
def _connected(name: str) -> Iterator[Connection]:
    with create_engine(_address(name), poolclass=NullPool).connect() as connection:
        yield connection


def _emptied(name: str, shape: str) -> bool:
    """Take all rows away; False where a test changed more than rows."""
    with _connected(name) as connection:
        connection.execute(text(_OTHERS)).all()
        if connection.scalar(text(_SHAPE)) != shape:
            return False
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(text(_RESTART)).all()
        connection.commit()
    return True


def _forget(queue: str) -> None:
    """Take a queue and what nobody has read of it from the broker."""
    if BROKER.startswith("redis"):
        with redis.Redis.from_url(BROKER) as client:
            for key in client.scan_iter(f"dramatiq:{queue}*"):
                client.delete(key)
        return
    connection = pika.BlockingConnection(pika.URLParameters(BROKER))
    channel = connection.channel()
    for tail in ("", ".DQ", ".XQ"):
        channel.queue_delete(queue + tail)
    connection.close()
