"""One round: a burst told to a system, until each provider has accepted each order once.

What is counted stands at the answering server, whatever the system: when an order was accepted, and how often.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from bench import burst, machine
from bench.answering import CALLS
from bench.burst import Burst
from bench.systems import System

LOOK = 0.25  #: seconds between looks at what was accepted
SETTLED = 0.5  #: seconds in which outcomes are written down after the last acceptance
PATIENCE = 300.0  #: seconds for all of it to be accepted


class Unfinished(Exception):
    """Not everything was accepted in time, or something twice; the text says how much."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round came to."""

    deliveries: int
    calls: int  #: a call may carry several orders
    seconds: float  #: from the first order sent to the last one accepted
    waits: dict[str, list[float]]  #: by provider: seconds from sending to acceptance, sorted
    processor: dict[str, float]  #: seconds of each process, of the broker and the database
    provider_processor: float  #: seconds of the answering server
    again: int  #: how often an order had to be told again

    @property
    def rate(self) -> float:
        return self.deliveries / self.seconds

    def wait(self, share: float, *providers: str) -> float:
        """Milliseconds within which this share was accepted, of all providers unless some are named."""
        names = providers or tuple(self.waits)
        return percentile([each for name in names for each in self.waits[name]], share)

    def cost(self, *names: str) -> float:
        """Milliseconds of processor for each delivery, of all processes unless some are named."""
        return sum(self.processor[name] for name in names or self.processor) / self.deliveries * 1000


def percentile(seconds: list[float], share: float) -> float:
    """In milliseconds."""
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


def middle(rounds: list[Round], figure: Callable[[Round], float]) -> float:
    return statistics.median(figure(each) for each in rounds)


class Providers:
    """The answering server, as seen from the bench."""

    def __init__(self, url: str, process: subprocess.Popen[Any]) -> None:
        self.url = url
        self._process = process

    def calls(self) -> int:
        return int(self._ask("calls"))

    def accepted(self, told: Burst) -> int:
        """How many of its orders, summed over the providers."""
        return int(self._ask(f"accepted/{told.first}/{told.orders}"))

    def moments(self, told: Burst) -> dict[str, dict[str, list[float]]]:
        found: dict[str, dict[str, list[float]]] = self._ask(f"moments/{told.first}/{told.orders}")
        return found

    def spent(self) -> float:
        return machine.processor_seconds(self._process)

    def _ask(self, what: str) -> Any:
        return requests.get(f"{self.url}/{what}", timeout=30).json()


def play(system: System, providers: Providers, told: Burst, *, patience: float = PATIENCE) -> Round:
    """Tell ``told`` to ``system``; raise `Unfinished` unless each order is accepted once by each provider."""
    before, theirs, calls = system.spent(), providers.spent(), providers.calls()
    stores = burst.start(told)
    wanted = told.orders * len(CALLS)
    until = time.monotonic() + patience
    while providers.accepted(told) < wanted and time.monotonic() < until and stores.poll() in (None, 0):
        system.spent()  # backends of the database come and go
        time.sleep(LOOK)
    time.sleep(SETTLED)
    after, used, calls = system.spent(), providers.spent() - theirs, providers.calls() - calls
    done = burst.told(stores)
    if done is None:
        raise Unfinished("an order was not taken")
    sent = done.sent
    try:
        waits = waited(told, sent, providers.moments(told))
    except Unfinished as error:
        raise Unfinished(f"{system.name}: {error}") from None
    last = max(sent[number] + wait for number, wait in _last(waits).items())
    return Round(
        deliveries=wanted,
        calls=calls,
        seconds=last - min(sent.values()),
        waits={name: sorted(each.values()) for name, each in waits.items()},
        processor={name: after[name] - before[name] for name in after},
        provider_processor=used,
        again=done.again,
    )


def waited(
    told: Burst, sent: dict[str, float], moments: dict[str, dict[str, list[float]]]
) -> dict[str, dict[str, float]]:
    """By provider and order: seconds from sending to acceptance.

    Raises:
        Unfinished: an order is missing somewhere, or was accepted more than once.
    """
    numbers = [str(each) for each in told.numbers]
    times = {name: {each: found.get(each, []) for each in numbers} for name, found in moments.items()}
    missing = sum(not each for found in times.values() for each in found.values())
    doubled = sum(len(each) > 1 for found in times.values() for each in found.values())
    if missing or doubled:
        words = f"of {len(numbers) * len(times)} deliveries {missing} were missing and {doubled} came twice"
        odd = {name: sum(len(each) != 1 for each in found.values()) for name, found in times.items()}
        raise Unfinished(f"{words} ({', '.join(f'{name} {number}' for name, number in odd.items() if number)})")
    return {name: {each: at[0] - sent[each] for each, at in found.items()} for name, found in times.items()}


def _last(waits: dict[str, dict[str, float]]) -> dict[str, float]:
    """Of each order the longest wait."""
    return {number: max(found[number] for found in waits.values()) for number in next(iter(waits.values()))}
