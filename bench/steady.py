"""``steady``: 100 orders/s of 50 merchants, 500 deliveries/s: how long from a webhook to each provider's acceptance."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from bench import systems
from bench.deliver import WARM, Trial
from bench.systems import Missing, System
from bench.turns import Providers, Unfinished

RATE = 100.0  #: orders/s
SECONDS = 15.0

Figures = dict[str, float | Exception]


def run(rate: float = RATE, seconds: float = SECONDS) -> Figures:
    with systems.answering() as (url, process), systems.broker() as redis:
        trial = Trial(Providers(url, process))
        modes: dict[str, Callable[[], AbstractContextManager[System]]] = {
            "sqlite": lambda: systems.embedded(url),
            "two_workers": lambda: systems.distributed(url, 2, redis),
        }
        figures: Figures = {}
        for name, mode in modes.items():
            try:
                with mode() as system:
                    figures |= _one(name, trial, system, rate, seconds)
            except (Unfinished, Missing) as error:
                figures[f"{name}_p95_ms"] = error
        return figures


def _one(name: str, trial: Trial, system: System, rate: float, seconds: float) -> Figures:
    trial.burst(system, WARM)
    found = trial.burst(system, int(rate * seconds), rate=rate)
    return {
        f"{name}_deliveries_per_second": found.rate,
        f"{name}_p50_ms": found.wait(0.5),
        f"{name}_p95_ms": found.wait(0.95),
        f"{name}_p99_ms": found.wait(0.99),
        f"{name}_told_again": found.again,
        f"{name}_cores": sum(found.processor.values()) / found.seconds,
    }
