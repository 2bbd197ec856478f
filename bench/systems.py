"""What is measured: Tillwire on SQLite, Tillwire on PostgreSQL with a broker and workers, and the classic app.

Each has a database of its own, the same merchants with all five destinations, and the same answering server.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis
from sqlalchemy import make_url

from app import hints
from app.models import Mode
from app.providers.registry import PROVIDERS
from app.services import configure
from bench import filled, machine
from bench.burst import domain
from bench.ports import free_port
from bench.servers import shared_database
from tests.rig import CREDENTIALS

MERCHANTS = 50
FACTOR = "1000"  #: limits scaled away
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


Redis = tuple[str, subprocess.Popen[Any]]  #: address and process


class Missing(Exception):
    """The machine lacks what a system needs; the text names it."""


class Backends:
    """The processes that PostgreSQL runs for one database; those that this machine runs, and that were seen alive."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._seconds: dict[int, float] = {}

    def spent(self) -> float:
        for (pid,) in self._connection.execute(_BACKENDS).fetchall():
            self._seconds[pid] = machine.spent(pid) or self._seconds.get(pid, 0.0)
        return sum(self._seconds.values())


@dataclass
class System:
    """A running app. ``processes`` are its own; a server of PostgreSQL is asked for its backends."""

    name: str
    url: str  #: where webhooks go
    processes: dict[str, subprocess.Popen[Any]]
    broker: subprocess.Popen[Any] | None = None
    backends: Backends | None = None  #: of PostgreSQL; None: SQLite runs within the processes

    def spent(self) -> dict[str, float]:
        """Seconds of processor so far: each of its processes, the database's and the broker's."""
        found = {name: machine.processor_seconds(each) for name, each in self.processes.items()}
        found["broker"] = machine.processor_seconds(self.broker) if self.broker else 0.0
        found["database"] = self.backends.spent() if self.backends else 0.0
        return found

    def rest(self) -> None:
        """Stop its processes where they stand, so that they take nothing from who is measured."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, kind: signal.Signals) -> None:
        for pid in [pid for each in self.processes.values() for pid in machine.family(each)]:
            with suppress(ProcessLookupError):
                os.kill(pid, kind)

    def memory(self, kind: str = "VmRSS") -> float:
        """MiB of the process that holds most."""
        return max(machine.resident(each, kind) for each in self.processes.values())

    def proportional(self) -> float:
        """MiB of the process that holds most, by PSS."""
        return max(machine.proportional(each) for each in self.processes.values())


@contextmanager
def answering(seconds: float = 0.05) -> Iterator[tuple[str, subprocess.Popen[Any]]]:
    """The provider side: its address and its process."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with machine.running(["-m", "bench.answering", str(port), str(seconds)], f"{url}/calls") as process:
        yield url, process


@contextmanager
def broker() -> Iterator[Redis]:
    """A broker of its own: its address and its process."""
    server = shutil.which("redis-server")
    if not server:
        raise Missing("no redis-server on this machine")
    port = free_port()
    command = [server, "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        machine.wait(lambda: hints.answers(f"redis://127.0.0.1:{port}/0"), process, "the broker")
        yield f"redis://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def embedded(providers: str, *, factor: str = FACTOR, events: int = 0) -> Iterator[System]:
    """Tillwire in one process, on SQLite; with ``events`` stored events already there."""
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        settings = _settings(Path(folder), providers, factor)
        add_merchants(settings)
        if events:
            filled.fill(Path(folder) / "tillwire.db", events)
        port = free_port()
        with machine.running(machine.tillwire(port), f"http://127.0.0.1:{port}/readyz", settings) as process:
            yield System("SQLite", _route(port), {"serve": process})


@contextmanager
def distributed(providers: str, workers: int, redis_server: Redis, *, factor: str = FACTOR) -> Iterator[System]:
    """Tillwire as a web process and so many workers, on PostgreSQL and the broker."""
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder, postgresql() as url, ExitStack() as stack:
        settings = _settings(Path(folder), providers, factor) | {
            "DATABASE_URL": url,
            "BROKER_URL": f"{redis_server[0]}/0",
        }
        add_merchants(settings)
        port = free_port()
        web = machine.running(machine.tillwire(port, "--no-worker"), f"http://127.0.0.1:{port}/readyz", settings)
        processes = {"web": stack.enter_context(web)}
        for number in range(1, workers + 1):
            worker = machine.running(["-m", "app.cli", "worker"], None, settings)
            processes[f"worker {number}"] = stack.enter_context(worker)
        name = f"PostgreSQL, {workers} worker{'s' if workers > 1 else ''}"
        yield System(name, _route(port), processes, redis_server[1], Backends(_plain(url)))


@contextmanager
def classic(providers: str, concurrency: int, redis_server: Redis) -> Iterator[System]:
    """The classic app: gunicorn, and Celery's prefork pool of so many processes, on PostgreSQL and Redis."""
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder, postgresql() as url:
        settings = machine.environment(
            Path(folder), DATABASE_URL=url, BROKER_URL=f"{redis_server[0]}/1", PROVIDERS_URL=providers
        )
        subprocess.run([sys.executable, "-c", _FILL_CLASSIC, str(MERCHANTS)], env=settings, check=True)
        pool = ["--pool", "prefork", "--concurrency", str(concurrency), "--loglevel", "ERROR"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        port = free_port()
        with (
            machine.running(
                machine.plain(port, "bench.classic:app"), f"http://127.0.0.1:{port}/readyz", settings
            ) as web,
            machine.running(
                ["-m", "celery", "-A", "bench.classic:celery", "worker", *pool, *quiet],
                None,
                settings | {"PYTHONWARNINGS": "ignore"},  # of its being run by root
            ) as worker,
        ):
            name = f"classic, {concurrency} processes"
            yield System(name, _route(port), {"web": web, "worker": worker}, redis_server[1], Backends(_plain(url)))
        _empty(redis_server[0])


_FILL_CLASSIC = """
import sys
from sqlalchemy.orm import Session
from bench.burst import domain
from bench.classic import Base, Merchant, engine
from tests.rig import CREDENTIALS

Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all(Merchant(domain=domain(n), credentials=CREDENTIALS) for n in range(int(sys.argv[1])))
    session.commit()
"""


def add_merchants(settings: dict[str, str]) -> None:
    """Shops with all five destinations live."""
    with machine.opened(settings) as parts, parts.db.write() as session:
        for number in range(MERCHANTS):
            shop = configure.add_shop(session, "shopify", domain(number))
            for name, values in CREDENTIALS.items():
                configure.set_destination(
                    session, parts.vault, parts.router, shop, PROVIDERS[name], values, mode=Mode.LIVE
                )


def _empty(url: str) -> None:
    with redis.Redis.from_url(f"{url}/1") as connection:
        connection.flushdb()


def _settings(folder: Path, providers: str, factor: str) -> dict[str, str]:
    urls = {f"{name.upper()}_API_URL": f"{providers}/{name}" for name in PROVIDERS}
    return machine.environment(folder, ALLOW_PRIVATE_NETWORKS="1", LIMIT_FACTOR=factor, **urls)


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(shared_database())
        except Exception as error:
            raise Missing(f"PostgreSQL cannot be had ({type(error).__name__}); see TEST_POSTGRES_URL") from None
        yield url


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _route(port: int) -> str:
    return f"http://127.0.0.1:{port}/webhooks/shopify"
