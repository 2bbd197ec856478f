"""``fair``: whether one merchant's burst slows others: their small steady load alone, then beside the burst.

The burst must last at least as long as the load beside it, or nothing was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from statistics import median

from bench import burst, systems
from bench.answering import CALLS
from bench.burst import Burst
from bench.deliver import ROUNDS, WARM, Trial
from bench.systems import MERCHANTS, Missing, System
from bench.turns import Providers, Round, Unfinished, play

BURST = 3_000  #: orders of the one merchant
RATE = 4.0  #: orders/s of all the others together
SECONDS = 40.0  #: of a burst that lasts for minutes; its first moments are always the worst
CONNECTIONS = 16  #: of the burst
_FIRST = 900_000_000  #: number of the first burst's first order
_APART = 3_000_000  #: what is told before the next round's has numbers below it

Figures = dict[str, float | Exception]


def run(
    orders: int = BURST,
    rounds: int = ROUNDS,
    factor: str = "1",
    rate: float = 0.0,
    connections: int = CONNECTIONS,
) -> Figures:
    """
    Args:
        factor: scales the providers' limits; as it comes they are as they are in earnest, where nothing may scale them.
        rate: orders/s of the burst; 0: as fast as answers come.
        connections: over which the burst is sent: so many webhooks at a time wait for an answer.
    """
    with systems.answering() as (url, process), systems.broker() as redis:
        providers = Providers(url, process)
        modes: dict[str, Callable[[], AbstractContextManager[System]]] = {
            "sqlite": lambda: systems.embedded(url, factor=factor),
            "two_workers": lambda: systems.distributed(url, 2, redis, factor=factor),
        }
        figures: Figures = {}
        numbers = count()  # one answering server counts for all
        heap = Burst(url="", first=_FIRST, orders=orders, rate=rate, connections=connections)
        for name, mode in modes.items():
            try:
                pairs = [_pair(providers, mode, heap, next(numbers)) for _ in range(rounds)]
            except (Unfinished, Missing) as error:
                figures[f"{name}_p95_rise_percent"] = error
                continue
            figures |= _figures(name, pairs)
        return figures


def _pair(
    providers: Providers, mode: Callable[[], AbstractContextManager[System]], heap: Burst, number: int
) -> tuple[Round, Round, float]:
    """The others alone, and beside the burst; and the part of the burst that was still waiting afterwards.

    Args:
        heap: the burst, of the first round.
    """
    with mode() as system:
        told = heap.first + (_APART + heap.orders) * number
        others = _others(system, told - 1_000_000)
        Trial(providers, first=told - 2_000_000).burst(system, WARM)
        alone = play(system, providers, others)
        heap = replace(heap, url=system.url, first=told)
        stores = burst.start(heap)
        try:
            beside = play(system, providers, _others(system, told - 500_000))
            left = 1 - providers.accepted(heap) / (heap.orders * len(CALLS))
        finally:
            stores.kill()
            stores.wait()
    if not left:
        raise Missing(f"the burst of {heap.orders} orders was over before the load beside it: give it more")
    return alone, beside, left


def _others(system: System, first: int) -> Burst:
    orders = int(RATE * SECONDS)
    return Burst(url=system.url, first=first, orders=orders, merchant=1, merchants=MERCHANTS - 1, rate=RATE)


def _figures(name: str, pairs: list[tuple[Round, Round, float]]) -> Figures:
    figures: Figures = {
        f"{name}_p95_ms_alone": median(alone.wait(0.95) for alone, _, _ in pairs),
        f"{name}_p95_ms_beside_the_burst": median(beside.wait(0.95) for _, beside, _ in pairs),
        f"{name}_p95_rise_percent": 100
        * median(beside.wait(0.95) / alone.wait(0.95) - 1 for alone, beside, _ in pairs),
    }
    for provider in CALLS:
        rises = [beside.wait(0.95, provider) / alone.wait(0.95, provider) - 1 for alone, beside, _ in pairs]
        figures[f"{name}_p95_rise_percent_{provider}"] = 100 * median(rises)
    return {**figures, f"{name}_burst_left_percent": 100 * min(left for _, _, left in pairs)}
