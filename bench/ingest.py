"""``ingest``: signed webhooks of 10 KB, on disk before the 200, beside a bare Flask route on the same server."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from app.services import configure
from bench import machine
from bench.load import DOMAIN

ROUNDS = 3
SECONDS = 4.0
CONNECTIONS = 32


def run(*, worker: bool = False) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        settings = machine.environment(Path(folder))
        with machine.opened(settings) as parts, parts.db.write() as session:
            configure.add_shop(session, "shopify", DOMAIN)
        ours, bare = machine.free_port(), machine.free_port()
        options = () if worker else ("--no-worker",)
        with (
            machine.running(machine.tillwire(ours, *options), f"http://127.0.0.1:{ours}/readyz", settings),
            machine.running(machine.bare(bare), f"http://127.0.0.1:{bare}/readyz", settings),
        ):
            return _measure(f"http://127.0.0.1:{ours}/webhooks/shopify", f"http://127.0.0.1:{bare}/webhooks/shopify")


def _measure(ours: str, bare: str) -> dict[str, float]:
    both: list[tuple[dict[str, float], dict[str, float]]] = []
    machine.load(ours, 1.0, CONNECTIONS, 0)
    machine.load(bare, 1.0, CONNECTIONS, 0)
    for _ in range(ROUNDS):
        both.append((machine.load(ours, SECONDS, CONNECTIONS, 0), machine.load(bare, SECONDS, CONNECTIONS, 0)))
    full = statistics.median(each["per_second"] for each, _ in both)
    half = machine.load(ours, SECONDS, CONNECTIONS, full / 2)
    return {
        "accepted_per_second": full,
        "bare_flask_per_second": statistics.median(each["per_second"] for _, each in both),
        "ratio_to_bare_flask": statistics.median(one["per_second"] / other["per_second"] for one, other in both),
        "p50_ms_at_full_load": statistics.median(each["p50_ms"] for each, _ in both),
        "p99_ms_at_full_load": statistics.median(each["p99_ms"] for each, _ in both),
        "p50_ms_at_half_load": half["p50_ms"],
        "p99_ms_at_half_load": half["p99_ms"],
        "failed": sum(each["failed"] for each, _ in both) + half["failed"],
    }
