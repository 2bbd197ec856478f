"""``make bench``: a table of figures, targets and ratios, also written to ``bench/results/``.

``python -m bench NAME ...`` runs some of: map, ingest, calls, deliver, workers, steady, fair, backlog, pages, profile.
The sizes of some can be given; ``--help`` tells which.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import calls, deliver, fair, held, ingest, mapping, pages, steady, targets
from bench.systems import FACTOR, Missing
from bench.targets import Figure
from bench.turns import Unfinished

RESULTS = Path(__file__).parent / "results"
MILLION = 1_000_000

BENCHES: dict[str, Callable[[Namespace], Mapping[str, Figure]]] = {
    "map": lambda given: mapping.run(),
    "ingest": lambda given: ingest.run(),
    "ingest on PostgreSQL": lambda given: ingest.on_postgresql(),
    "ingest with the worker in the process": lambda given: ingest.run(worker=True),
    "calls": lambda given: calls.run(),
    "deliver": lambda given: deliver.run(given.orders, given.rounds, given.pools),
    "workers": lambda given: held.run(),
    "steady": lambda given: steady.run(given.rate, given.seconds),
    "fair": lambda given: fair.run(
        given.burst,
        given.rounds,
        factor=given.limit_factor,
        rate=given.burst_rate,
        connections=given.burst_connections,
    ),
    "backlog": lambda given: deliver.backlog(given.events, given.orders, given.rounds),
}
PAGES = "pages"


def _given() -> Namespace:
    asked = ArgumentParser(prog="python -m bench")
    asked.add_argument(
        "names", nargs="*", help=f"all unless some are named: {', '.join([*BENCHES, PAGES])}; or profile"
    )
    asked.add_argument("--events", type=int, default=MILLION, help="pages, backlog: stored events")
    asked.add_argument("--orders", type=int, default=deliver.ORDERS, help="deliver, backlog: orders of a burst")
    asked.add_argument("--rounds", type=int, default=deliver.ROUNDS, help="deliver, fair, backlog: rounds of each")
    asked.add_argument(
        "--pools", type=int, nargs="+", default=deliver.POOLS, help="deliver: processes of the classic app"
    )
    asked.add_argument("--rate", type=float, default=steady.RATE, help="steady: orders/s")
    asked.add_argument("--seconds", type=float, default=steady.SECONDS, help="steady: how long")
    asked.add_argument("--burst", type=int, default=fair.BURST, help="fair: orders of the one merchant")
    asked.add_argument("--burst-rate", type=float, default=0.0, help="fair: its orders/s; 0: as fast as answers come")
    asked.add_argument(
        "--burst-connections", type=int, default=fair.CONNECTIONS, help="fair: its webhooks that may wait for an answer"
    )
    asked.add_argument(
        "--limit-factor", default="1", help=f"fair: providers' limits times this, such as {FACTOR} to scale them away"
    )
    return asked.parse_args()


def _run(name: str, given: Namespace) -> Mapping[str, Figure]:
    try:
        return BENCHES[name](given)
    except (Missing, Unfinished) as error:
        return {name: error}


def main() -> None:
    given = _given()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and databases are cleared away
    wanted: list[str] = given.names
    if "profile" in wanted:
        print(mapping.profile())
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    waiting = os.getloadavg()[0]
    print(f"on {machine}, {waiting:.1f} processes waiting or running")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    results: dict[str, Any] = {"machine": machine, "load": waiting, "at": now}
    for name in (each for each in BENCHES if not wanted or each.split()[0] in wanted):
        results[name] = _run(name, given)
        print(f"\n{name}", flush=True)
        for figure, value in results[name].items():
            print(targets.line(name, figure, value), flush=True)
    if not wanted or PAGES in wanted:
        results[PAGES] = pages.run(given.events)
        for database, figures in results[PAGES].items():
            print(f"\npages on {database}, {given.events:,} events: p50, p95, processor, first load, layout shift")
            print("\n".join(pages.table(figures)))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2, default=str) + "\n")


main()
