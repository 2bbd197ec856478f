"""A PostgreSQL of the harness's own, so that it may be stopped, killed and run out of space."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
from sqlalchemy import create_engine, make_url, text

from app.db import Database
from bench.brokers import PATIENCE, wait_for
from bench.ports import free_port
from bench.stock import POSTGRES

OURS = "harness"  #: what the database calls our own connections
TEMPLATE = "tillwire_template"  #: migrated and empty
#: Small pieces, so that a small disk is enough; a log ahead that is short, so that a crash is over soon.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "min_wal_size": "8MB",
    "max_wal_size": "24MB",
    "max_connections": "150",
    "autovacuum_naptime": "5s",
}


def programs() -> Path | None:
    """Where PostgreSQL's programs are, where it is installed; the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


class Postgres:
    """A cluster of its own; serves from the block's beginning to its end, but for what is done to it."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: empty; everybody may look into it.
        """
        bin_ = programs()
        if bin_ is None:
            raise RuntimeError("PostgreSQL's programs are not installed")
        self._bin = bin_
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        options = ["--auth=trust", "--username=postgres", "--wal-segsize=1", "--no-sync", "--encoding=UTF8"]
        command = [str(self._bin / "initdb"), f"--pgdata={self._data}", "--locale=C", *options]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **_account())
        self.start()
        self._tell(f"CREATE DATABASE {TEMPLATE}")
        template = Database(self._url(TEMPLATE))
        template.migrate()
        template.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)

    def start(self) -> None:
        """Return once it answers."""
        until = time.monotonic() + PATIENCE
        while True:
            self._launch()
            try:
                wait_for(self._ask, psycopg.Error)
            except psycopg.Error:
                if time.monotonic() > until:
                    raise
            else:
                return

    def _launch(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        options = [f"-c{name}={value}" for name, value in _OPTIONS.items()]
        with (self._folder / "postgres.log").open("ab") as log:
            command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self._port), *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_account())

    def _ask(self) -> None:
        self._launch()  # on a full disk, or beside the remains of the one before, it ends by itself
        self._tell("SELECT 1")

    def stop(self, how: signal.Signals) -> None:
        """
        Args:
            how: SIGINT ends it in order (``fast``), SIGQUIT at once (``immediate``), SIGKILL as if it had crashed, with
                all its processes.
        """
        if self._process is None:
            return
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.send_signal(how)
        if how == signal.SIGKILL:
            for pid in children:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), how)
        self._process.wait(PATIENCE)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{name}?application_name={OURS}"

    def _tell(self, statement: str) -> None:
        where = make_url(self._url("postgres")).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(where, autocommit=True, connect_timeout=3) as connection:
            connection.execute(statement)

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """A database of its own."""
        name = f"tillwire_{uuid.uuid4().hex}"
        self._tell(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template0'}")
        try:
            yield self._url(name)
        finally:
            self.start()
            self._tell(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def shared_database() -> Iterator[str]:
    """A database of its own on the server that is here for tests, where the harness has none."""
    admin = create_engine(POSTGRES, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    name = f"tillwire_{uuid.uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        url = make_url(POSTGRES).set(database=name, query={"application_name": OURS})
        yield url.render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
