"""``growth``: what ten million stored events change, beside a database with few of them, on PostgreSQL.

``python -m bench.growth --events 10000000 --small 1000`` builds both where they are missing (`bench.history`), walks
all that runs all the time (`bench.paths`) on either in alternation, and compares medians: the time of the processor in
this process and in those of PostgreSQL, where they run on this machine, and the pages that the statements touch. These
say the same on every machine. ``--drop`` removes both databases.
"""

from __future__ import annotations

import json
import logging
import re
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from bench import history, plans, stock
from bench.paths import Paths

SMALL = 1000
RESULTS = Path(__file__).parent / "results"
ROUNDS = 7
SLOW = {"upkeep": 3, "retention": 3, "retention of strays": 3}
ORDERS = 10  #: received, accounted for and delivered in a round


@dataclass(slots=True)
class Figures:
    ours: list[float] = field(default_factory=list)  #: milliseconds of this process's processor
    server: list[float] = field(default_factory=list)  #: of PostgreSQL's
    clock: list[float] = field(default_factory=list)
    pages: int = 0  #: of 8 KB, that its statements touch, each statement once


def run(events: int, small: int, rounds: int, only: str) -> dict[str, dict[str, Figures]]:
    """By way and database, ``empty`` and ``full``."""
    urls = {"empty": _kept(small), "full": _kept(events)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tillwire-growth-")))
        paths = {name: stack.enter_context(Paths(url, folder / name)) for name, url in urls.items()}
        ways = {name: each.ways() for name, each in paths.items()}
        found: dict[str, dict[str, Figures]] = {}
        for way in ways["full"]:
            if way in ways["empty"] and re.search(only, way):
                found[way] = {name: Figures() for name in urls}
        for number in range(rounds + 1):
            for way, figures in found.items():
                for name in ("empty", "full") if number % 2 else ("full", "empty"):
                    if number <= SLOW.get(way, rounds):
                        _walk(paths[name], ways[name][way], way, figures[name], counted=number > 0)
            print(f"  round {number} of {rounds}", flush=True)
        for way, figures in found.items():
            for name in urls:
                figures[name].pages = _pages(paths[name], ways[name][way], way)
    return found


def _walk(paths: Paths, way: Callable[[], object], name: str, figures: Figures, *, counted: bool) -> None:
    repeats = ORDERS if name in ("receive", "repeat") else 1
    engine = paths.rig.db.engine
    server, ours, clock = _server_ms(engine), time.process_time(), time.perf_counter()
    for _ in range(repeats):
        way()
    if counted:
        figures.clock.append((time.perf_counter() - clock) * 1000)
        figures.ours.append((time.process_time() - ours) * 1000)
        figures.server.append(_server_ms(engine) - server)


def _server_ms(engine: Engine) -> float:
    """Milliseconds of processor that PostgreSQL's processes for this database have used; 0 where they run elsewhere."""
    with engine.connect() as connection:
        mine = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        spent = 0
        for pid in connection.execute(text(mine)).scalars():
            try:
                spent += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
            except OSError:
                continue
    return spent / 1e6


def _pages(paths: Paths, way: Callable[[], object], name: str) -> int:
    if name == "account":
        paths.receive()
    if name == "deliver":
        paths.receive()
        paths.rig.account()
    with plans.collecting(paths.rig.db) as collected:
        way()
    return sum(
        plans.on_postgresql(engine, statement, given, generic=engine is not paths.rig.db.engine).pages
        for engine, here in collected.items()
        for statement, given in here.found.items()
    )


# --- databases --------------------------------------------------------------------------------------------------------


def _name(events: int) -> str:
    return f"tillwire_history_{stock.schema()}_{events}"


def _kept(events: int) -> str:
    """The address of a history, built where it is missing."""
    name = _name(events)
    url = make_url(stock.POSTGRES).set(database=f"{name}_begun")
    with _admin() as admin, admin.connect() as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}):
            connection.execute(text(f"DROP DATABASE IF EXISTS {name}_begun WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {name}_begun"))
            history.build(url.render_as_string(hide_password=False), events)
            connection.execute(text(f"ALTER DATABASE {name}_begun RENAME TO {name}"))
    return url.set(database=name).render_as_string(hide_password=False)


def drop(*events: int) -> None:
    with _admin() as admin, admin.connect() as connection:
        for each in events:
            connection.execute(text(f"DROP DATABASE IF EXISTS {_name(each)} WITH (FORCE)"))


@contextmanager
def _admin() -> Iterator[Engine]:
    engine = create_engine(stock.POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        yield engine
    finally:
        engine.dispose()


# --- telling ----------------------------------------------------------------------------------------------------------


def rows(found: dict[str, dict[str, Figures]]) -> Iterator[dict[str, str | float]]:
    """For each way: milliseconds of processor, medians and 95th percentiles, and pages, of both."""
    for way, figures in found.items():
        row: dict[str, str | float] = {"way": way}
        for name, each in figures.items():
            work = [sum(pair) for pair in zip(each.ours, each.server, strict=True)]
            row[f"{name}_ms"] = statistics.median(work)
            row[f"{name}_server_ms"] = statistics.median(each.server)
            row[f"{name}_p95_ms"] = sorted(work)[int(len(work) * 0.95)]
            row[f"{name}_clock_ms"] = statistics.median(each.clock)
            row[f"{name}_pages"] = each.pages
        empty, full = figures["empty"], figures["full"]
        pairs = zip(empty.ours, empty.server, full.ours, full.server, strict=True)
        row["ratio"] = statistics.median((c + d) / (a + b) for a, b, c, d in pairs)
        yield row


def main() -> None:
    asked = ArgumentParser(prog="python -m bench.growth")
    asked.add_argument("--events", type=int, default=10_000_000)
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    asked.add_argument("--small", type=int, default=SMALL, help="events of the one that counts as empty")
    asked.add_argument("--only", default="", help="a regular expression that the names of ways are to fit")
    asked.add_argument("--drop", action="store_true")
    given = asked.parse_args()
    logging.disable(logging.WARNING)
    if given.drop:
        drop(given.small, given.events)
        return
    found = list(rows(run(given.events, given.small, given.rounds, given.only)))
    print("processor's milliseconds of all, of PostgreSQL, pages: empty, full; ratio of all")
    for each in found:
        both = [f"{each[f'{name}_{what}']:9.1f}" for what in ("ms", "server_ms", "pages") for name in ("empty", "full")]
        print(f"  {each['way']:<48}{''.join(both)}{each['ratio']:8.2f}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"growth-{given.small}.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
