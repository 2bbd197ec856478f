"""The figures that are aimed at, and whether one is met."""

from __future__ import annotations

from dataclasses import dataclass

from bench.turns import Unfinished

Figure = float | Exception  #: an exception says why there is none


@dataclass(frozen=True)
class Target:
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def met(self, figure: float) -> bool:
        return figure >= self.at_least if self.at_least is not None else figure <= (self.at_most or 0.0)


_MEMORY = {
    f"{name}_{when}_rss_mib": Target(at_most=most)
    for name in ("sqlite", "one_worker", "two_workers")
    for when, most in (("idle", 120), ("busy", 300))
}

#: By bench and figure.
TARGETS: dict[str, dict[str, Target]] = {
    "map": {"orders_per_second": Target(at_least=2000)},
    "ingest": {
        "ratio_to_plain_handler_on_sqlite_as_it_comes": Target(at_least=7),
        "p99_ms_at_half_load": Target(at_most=25),
    },
    "ingest on PostgreSQL": {"ratio_to_plain_handler": Target(at_least=4)},
    "calls": {"requests_per_second": Target(at_least=400), "lean_per_second": Target(at_least=1000)},
    "deliver": {
        "sqlite_ratio_to_classic": Target(at_least=5),
        "sqlite_cpu_ratio_to_classic": Target(at_least=5),
        "one_worker_ratio_to_classic": Target(at_least=5),
        "one_worker_cpu_ratio_to_classic": Target(at_least=5),
        "two_workers_ratio_to_classic": Target(at_least=5),
        "two_workers_cpu_ratio_to_classic": Target(at_least=5),
        "two_workers_to_one": Target(at_least=1.7),
        "two_workers_to_one_by_cpu": Target(at_least=1.7),
        **_MEMORY,
    },
    "workers": {"two_workers_to_one": Target(at_least=1.7)},
    "steady": {"sqlite_p95_ms": Target(at_most=1000), "two_workers_p95_ms": Target(at_most=1000)},
    "fair": {
        "sqlite_p95_rise_percent": Target(at_most=10),
        "two_workers_p95_rise_percent": Target(at_most=10),
    },
}


def line(bench: str, name: str, figure: Figure) -> str:
    """One line of the table: the figure, and what is said of it where there is a target."""
    target = TARGETS.get(bench, {}).get(name)
    if isinstance(figure, Exception):
        verdict = "not met" if isinstance(figure, Unfinished) else "not measured"
        return f"  {name:<44} {'-':>12}  {target or ''!s:<8} {verdict}: {figure}".rstrip()
    verdict = "" if target is None else "met" if target.met(figure) else "not met"
    return f"  {name:<44} {figure:>12.2f}  {target or ''!s:<8} {verdict}".rstrip()
