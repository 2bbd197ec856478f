"""``ingest``: signed webhooks of 10 KB, on disk before the 200.

In alternation with others: the plain handler of `bench.plain` on gunicorn, which promises the same, on SQLite once with
a write-ahead log as ours and once as SQLite comes, and a bare Flask route on our own server, which stores nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services import configure
from bench import machine
from bench.load import DOMAIN
from bench.ports import free_port
from bench.systems import postgresql

ROUNDS = 3
SECONDS = 4.0
CONNECTIONS = 32

Figures = dict[str, float]


def run(*, worker: bool = False) -> Figures:
    """On SQLite."""
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        return _run(machine.environment(Path(folder)), worker)


def on_postgresql() -> Figures:
    """On a database of their own; both put their tables into it."""
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder, postgresql() as url:
        return _run(machine.environment(Path(folder), DATABASE_URL=url), worker=False)


def _run(settings: dict[str, str], worker: bool) -> Figures:
    with machine.opened(settings) as parts, parts.db.write() as session:
        configure.add_shop(session, "shopify", DOMAIN)
    make = "from bench import plain; plain.Base.metadata.create_all(plain.engine)"
    # Files of their own where the database is a file: servers would wait for one another.
    url = settings["DATABASE_URL"]
    wal = {**settings, "DATABASE_URL": url.replace("tillwire.db", "plain.db"), "PLAIN_SQLITE": "wal"}
    as_it_comes = {**settings, "DATABASE_URL": url.replace("tillwire.db", "as_it_comes.db")}
    for own in (wal, as_it_comes):
        subprocess.run([sys.executable, "-c", make], env=own, check=True)
    options = () if worker else ("--no-worker",)
    with ExitStack() as stack:
        ours = stack.enter_context(_served(lambda port: machine.tillwire(port, *options), settings))
        servers = [
            ours,
            stack.enter_context(_served(machine.plain, wal)),
            stack.enter_context(_served(machine.bare, settings)),
        ]
        if url.startswith("sqlite"):
            servers.append(stack.enter_context(_served(machine.plain, as_it_comes)))
        return _measure(*servers)


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[Any]

    def load(self, rate: float = 0, seconds: float = SECONDS) -> Figures:
        """One round, with the microseconds of processor that each answer took."""
        before = machine.processor_seconds(self.process)
        found = machine.load(self.url, seconds, CONNECTIONS, rate)
        used = machine.processor_seconds(self.process) - before
        return {**found, "cpu_us": used * 1e6 / (found["per_second"] * seconds)}


@contextmanager
def _served(command: Callable[[int], list[str]], settings: dict[str, str]) -> Iterator[Server]:
    address = f"127.0.0.1:{(port := free_port())}"
    with machine.running(command(port), f"http://{address}/readyz", settings) as process:
        yield Server(f"http://{address}/webhooks/shopify", process)


def _measure(*servers: Server) -> Figures:
    for each in servers:
        each.load(seconds=1.0)
    rounds = [[each.load() for each in servers] for _ in range(ROUNDS)]

    def middle(name: str, place: int) -> float:
        return statistics.median(each[place][name] for each in rounds)

    def ratio(name: str, one: int, other: int) -> float:
        return statistics.median(each[one][name] / each[other][name] for each in rounds)

    half = servers[0].load(middle("per_second", 0) / 2)
    return {
        "accepted_per_second": middle("per_second", 0),
        "plain_handler_per_second": middle("per_second", 1),
        "bare_flask_per_second": middle("per_second", 2),
        "ratio_to_plain_handler": ratio("per_second", 0, 1),
        "ratio_to_bare_flask": ratio("per_second", 0, 2),
        "cpu_us_per_webhook": middle("cpu_us", 0),
        "cpu_us_of_plain_handler": middle("cpu_us", 1),
        "cpu_us_of_bare_flask": middle("cpu_us", 2),
        "cpu_ratio_to_plain_handler": ratio("cpu_us", 1, 0),
        "p50_ms_at_full_load": middle("p50_ms", 0),
        "p99_ms_at_full_load": middle("p99_ms", 0),
        "p99_ms_of_plain_handler": middle("p99_ms", 1),
        "p50_ms_at_half_load": half["p50_ms"],
        "p99_ms_at_half_load": half["p99_ms"],
        "failed": sum(each[0]["failed"] for each in rounds) + half["failed"],
        **(_as_it_comes(middle, ratio) if len(servers) > 3 else {}),
    }


def _as_it_comes(middle: Callable[[str, int], float], ratio: Callable[[str, int, int], float]) -> Figures:
    return {
        "plain_handler_on_sqlite_as_it_comes_per_second": middle("per_second", 3),
        "ratio_to_plain_handler_on_sqlite_as_it_comes": ratio("per_second", 0, 3),
        "cpu_ratio_to_plain_handler_on_sqlite_as_it_comes": ratio("cpu_us", 3, 0),
        "p99_ms_of_plain_handler_on_sqlite_as_it_comes": middle("p99_ms", 3),
    }
