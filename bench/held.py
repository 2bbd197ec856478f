"""``workers``: what two workers carry of what one does, where each of them has the same share of a core.

On two cores that also hold PostgreSQL, the broker, the stores and the providers, the second worker takes its time from
all of these. So here each worker is held to a quarter of a core by the kernel, which leaves room for everybody else:
what the second one adds then is lost to nothing but waiting for the first one's locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench import systems
from bench.deliver import WARM, Figures, Trial, at_rest
from bench.systems import Missing
from bench.turns import Providers, Round, middle

ORDERS = 150
ROUNDS = 3
SHARE = 0.25  #: of a core, for each worker
_PERIOD = 20_000  #: microseconds over which it is counted
_GROUPS = Path("/sys/fs/cgroup")


def run(orders: int = ORDERS, rounds: int = ROUNDS) -> Figures:
    with systems.answering() as (url, process), systems.broker() as redis, ExitStack() as stack:
        trial = Trial(Providers(url, process))
        sides = {}
        for number in (1, 2):
            sides[number] = stack.enter_context(systems.distributed(url, number, redis))
            for name, worker in sides[number].processes.items():
                if name != "web":
                    stack.enter_context(held(worker.pid, SHARE))
        played: dict[int, list[Round]] = {number: [] for number in sides}
        for _ in range(rounds):
            for number, side in sides.items():
                with at_rest({other: each for other, each in sides.items() if other != number}):
                    trial.burst(side, WARM)
                    played[number].append(trial.burst(side, orders))
    return _figures(played[1], played[2])


def _figures(one: Sequence[Round], two: Sequence[Round]) -> Figures:
    return {
        "one_worker_deliveries_per_second": middle(one, lambda each: each.rate),
        "two_workers_deliveries_per_second": middle(two, lambda each: each.rate),
        "two_workers_to_one": median(more.rate / less.rate for less, more in zip(one, two, strict=True)),
    }


@contextmanager
def held(pid: int, share: float) -> Iterator[None]:
    """Hold a process, with those that it starts, to ``share`` of a core.

    Source: docs.kernel.org/scheduler/sched-bwc.html; docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max)
    """
    quota = int(_PERIOD * share)
    second = (_GROUPS / "cgroup.controllers").exists()
    group = (_GROUPS if second else _GROUPS / "cpu") / f"tillwire-bench-{pid}"
    limits = {"cpu.max": f"{quota} {_PERIOD}"} if second else {"cpu.cfs_period_us": _PERIOD, "cpu.cfs_quota_us": quota}
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(str(value))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        raise Missing(f"no process can be held to a share of a core here ({os.strerror(error.errno or 0)})") from None
    try:
        yield
    finally:
        for each in (group / "cgroup.procs").read_text().split():
            (group.parent / "cgroup.procs").write_text(each)
        group.rmdir()
