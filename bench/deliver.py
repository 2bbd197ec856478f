"""``deliver``: one burst of orders of 50 merchants to five providers that answer after 50 ms, limits scaled away.

Tillwire on SQLite, and on PostgreSQL with one and with two workers, in alternation with `bench.classic`, whose pool has
the size at which it was fastest. Who is not being measured is stopped meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from statistics import median
from typing import Any

from bench import systems
from bench.burst import Burst
from bench.systems import MERCHANTS, System
from bench.turns import Providers, Round, middle, play

ORDERS = 300
ROUNDS = 3
POOLS = (8, 16, 32)  #: sizes of the classic app's pool
AT_REST = 3.0  #: seconds after the start
WARM = 50  #: orders told before anything is measured

Figures = dict[str, float]


class Trial:
    """Plays bursts, each of orders that nobody has seen."""

    def __init__(self, providers: Providers, *, first: int = 1) -> None:
        self._providers = providers
        self._first = count(first, 1_000_000)

    def burst(self, system: System, orders: int, *, rate: float = 0.0) -> Round:
        told = Burst(url=system.url, first=next(self._first), orders=orders, merchants=MERCHANTS, rate=rate)
        return play(system, self._providers, told)


def run(orders: int = ORDERS, rounds: int = ROUNDS, pools: Sequence[int] = POOLS) -> Figures:
    """``pools``: the sizes of the classic app's pool that are tried."""
    with systems.answering() as (url, process), systems.broker() as redis, ExitStack() as stack:
        trial = Trial(Providers(url, process))
        ours = {
            "sqlite": stack.enter_context(systems.embedded(url)),
            "one_worker": stack.enter_context(systems.distributed(url, 1, redis)),
            "two_workers": stack.enter_context(systems.distributed(url, 2, redis)),
        }
        time.sleep(AT_REST)
        memory = _memory("idle", ours)
        with at_rest(ours):
            size, tried = _fastest(trial, url, redis, orders, pools)
        everyone = {**ours, "classic": stack.enter_context(systems.classic(url, size, redis))}
        played = _alternate(trial, everyone, orders, rounds)
        return {**_figures(played), **_ratios(played), **_workers(played), **tried, **memory, **_memory("busy", ours)}


@contextmanager
def at_rest(others: Mapping[Any, System]) -> Iterator[None]:
    """They are stopped within the block."""
    for each in others.values():
        each.rest()
    try:
        yield
    finally:
        for each in others.values():
            each.wake()


def _alternate(trial: Trial, everyone: dict[str, System], orders: int, rounds: int) -> dict[str, list[Round]]:
    """So many rounds of each, one after another, while the others are stopped."""
    played: dict[str, list[Round]] = {name: [] for name in everyone}
    for _ in range(rounds):
        for name, each in everyone.items():
            with at_rest({other: system for other, system in everyone.items() if other != name}):
                trial.burst(each, min(WARM, orders))
                played[name].append(trial.burst(each, orders))
    return played


def _fastest(trial: Trial, url: str, redis: systems.Redis, orders: int, pools: Sequence[int]) -> tuple[int, Figures]:
    """The size of the classic app's pool that delivers most, and what each delivered."""
    if len(pools) == 1:
        return pools[0], {}
    found = {}
    for size in pools:
        with systems.classic(url, size, redis) as system:
            trial.burst(system, WARM)
            found[size] = trial.burst(system, max(orders // 3, WARM)).rate
    best = max(found, key=lambda size: found[size])
    return best, {f"classic_with_{size}_processes_per_second": rate for size, rate in found.items()}


def _figures(played: dict[str, list[Round]]) -> Figures:
    figures = {}
    for name, rounds in played.items():
        figures |= {
            f"{name}_deliveries_per_second": middle(rounds, lambda each: each.rate),
            f"{name}_p50_ms": middle(rounds, lambda each: each.wait(0.5)),
            f"{name}_p95_ms": middle(rounds, lambda each: each.wait(0.95)),
            f"{name}_cpu_ms_per_delivery": middle(rounds, lambda each: each.cost()),
            f"{name}_cpu_ms_of_database": middle(rounds, lambda each: each.cost("database")),
            f"{name}_told_again": sum(each.again for each in rounds),
            f"{name}_deliveries_per_call": middle(rounds, lambda each: each.deliveries / each.calls),
        }
    everyone = [each for rounds in played.values() for each in rounds]
    server = middle(everyone, lambda each: each.provider_processor / each.calls * 1e6)
    return {**figures, "cpu_us_of_answering_server_per_call": server}


def _ratios(played: dict[str, list[Round]]) -> Figures:
    """To the classic app's round beside each of ours."""
    figures = {}
    for name in ("sqlite", "one_worker", "two_workers"):
        pairs = list(zip(played[name], played["classic"], strict=True))
        figures[f"{name}_ratio_to_classic"] = median(one.rate / other.rate for one, other in pairs)
        figures[f"{name}_cpu_ratio_to_classic"] = median(other.cost() / one.cost() for one, other in pairs)
    return figures


def _workers(played: dict[str, list[Round]]) -> Figures:
    """What two workers carry of what one does: by clock; and by processor, where the busier worker is the bound.

    On two cores that also hold PostgreSQL, the stores and the providers, two workers cannot have a core each. By
    processor it is the one worker's seconds against those of the busier one of two: what the clock would say if each
    had its core, and nothing else were short.
    """
    pairs = list(zip(played["one_worker"], played["two_workers"], strict=True))
    busier = [max(two.processor["worker 1"], two.processor["worker 2"]) for _, two in pairs]
    return {
        "two_workers_to_one": median(two.rate / one.rate for one, two in pairs),
        "two_workers_to_one_by_cpu": median(
            one.processor["worker 1"] / most for (one, _), most in zip(pairs, busier, strict=True)
        ),
    }


def _memory(when: str, ours: dict[str, System]) -> Figures:
    """Of the largest process of each: what it holds, while busy the most it ever held (RSS); and its share (PSS)."""
    kind = "VmHWM" if when == "busy" else "VmRSS"
    figures = {}
    for name, each in ours.items():
        figures[f"{name}_{when}_rss_mib"] = each.memory(kind)
        figures[f"{name}_{when}_pss_mib"] = each.proportional()
    return figures


def backlog(events: int, orders: int = ORDERS, rounds: int = ROUNDS) -> Figures:
    """The same on SQLite with so many stored events, in alternation with an empty database."""
    with (
        systems.answering() as (url, process),
        systems.embedded(url) as small,
        systems.embedded(url, events=events) as large,
    ):
        trial = Trial(Providers(url, process))
        found = _alternate(trial, {"empty": small, "full": large}, orders, rounds)
        pairs = list(zip(found["full"], found["empty"], strict=True))
        return {
            **{f"{name}_deliveries_per_second": middle(each, lambda one: one.rate) for name, each in found.items()},
            **{f"{name}_p50_ms": middle(each, lambda one: one.wait(0.5)) for name, each in found.items()},
            **{f"{name}_p99_ms": middle(each, lambda one: one.wait(0.99)) for name, each in found.items()},
            **{f"{name}_cpu_ms_per_delivery": middle(each, lambda one: one.cost()) for name, each in found.items()},
            "ratio": median(full.rate / empty.rate for full, empty in pairs),
            "cpu_ratio": median(empty.cost() / full.cost() for full, empty in pairs),
        }
