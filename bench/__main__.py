"""``make bench``: a table of figures and ratios, also written to ``bench/results/``.

``python -m bench NAME ...`` runs some of: map, ingest, deliver, backlog, profile.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import deliver, ingest, mapping

RESULTS = Path(__file__).parent / "results"
MILLION = 1_000_000


def backlog() -> dict[str, Any]:
    """The same delivery with a million stored events and beside it an empty database."""
    empty, full = deliver.run(), deliver.run(events=MILLION)
    names = ("deliveries_per_second", "p50_ms_from_receipt", "p99_ms_from_receipt")
    return {
        **{f"{name}_empty": empty[name] for name in names},
        **{f"{name}_million": full[name] for name in names},
        "ratio": full["deliveries_per_second"] / empty["deliveries_per_second"],
    }


BENCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "map": mapping.run,
    "ingest": ingest.run,
    "ingest with the worker in the process": lambda: ingest.run(worker=True),
    "deliver and memory": deliver.run,
    "backlog": backlog,
}


def main() -> None:
    wanted = sys.argv[1:]
    if "profile" in wanted:
        print(mapping.profile())
        return
    names = [name for name in BENCHES if not wanted or name.split()[0] in wanted]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"on {machine}")
    results: dict[str, Any] = {"machine": machine, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    for name in names:
        results[name] = BENCHES[name]()
        print(f"\n{name}")
        for figure, value in results[name].items():
            print(f"  {figure:<36} {value:>12.2f}")
    print("\nworkers: not measured, this version has the embedded worker only")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2) + "\n")


main()
