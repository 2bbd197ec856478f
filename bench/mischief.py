"""What happens to a Tillwire while it is told webhooks, by name; and when."""

from __future__ import annotations

import queue
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from sqlalchemy import text

from bench import disk
from bench.brokers import Broker
from bench.disk import Disk
from bench.servers import OURS, Postgres
from bench.site import Site

Fault = Callable[[random.Random], object]

AGAIN = 3  #: kills in a row, each within a moment of the start
AWAY = "stop the broker for minutes"  #: a fault that comes only where it is asked for
MINUTES = 120.0  #: seconds for that


class Around:
    """What a round stands on, besides the site itself; None where it is not the harness's own."""

    def __init__(
        self, *, postgres: Postgres | None = None, broker: Broker | None = None, disk: Disk | None = None
    ) -> None:
        self.postgres = postgres
        self.broker = broker
        self.disk = disk


def faults(site: Site, around: Around) -> dict[str, Fault]:
    """All that can happen here."""
    return {
        **_processes(site),
        **_network(site),
        **(_clock(site) if site.clocks else {}),
        **(_disk(site, around) if around.disk or site.rig.db.sqlite else {}),
        **({} if site.rig.db.sqlite else {"end the database's connections": lambda chance: end_connections(site)}),
        **(_postgres(around.postgres) if around.postgres else {}),
        **({"empty the broker": lambda chance: empty_broker(site)} if "broker" in site.proxies else {}),
        **(_broker(around.broker) if around.broker else {}),
    }


def _processes(site: Site) -> dict[str, Fault]:
    workers = [name for name in site.names if name != "web"]
    found: dict[str, Fault] = {
        "kill web": lambda chance: site.kill("web"),
        "kill web at its start": lambda chance: _kill_again(site, "web", chance),
        "pause a process": lambda chance: site.pause(chance.choice(site.names), chance.uniform(0.2, 1.5)),
        "stop a process": lambda chance: site.stop(chance.choice(site.names)),
    }
    if workers:
        found |= {
            "kill a worker": lambda chance: site.kill(chance.choice(workers)),
            "kill both workers": lambda chance: site.kill(*workers),
            "kill all": lambda chance: site.kill(*site.names),
            "kill a worker at its start": lambda chance: _kill_again(site, chance.choice(workers), chance),
        }
    calling = workers or site.names
    return found | {
        "kill what makes the calls": lambda chance: site.kill_calls(chance.choice(calling)),
        "pause what makes the calls": lambda chance: site.pause_calls(chance.choice(calling), chance.uniform(0.2, 1.5)),
    }


def _kill_again(site: Site, name: str, chance: random.Random) -> None:
    for _ in range(AGAIN):
        site.kill(name)
        time.sleep(chance.uniform(0.0, 0.6))


def _network(site: Site) -> dict[str, Fault]:
    """Between any two. Providers are cut off for a moment only: the waits between tries are a thousandth here."""
    found: dict[str, Fault] = {}
    longest = {"providers": (0.0, 0.3), "stores": (0.5, 0.5), "database": (2.0, 0.5), "broker": (2.0, 2.0)}
    for name, proxy in site.proxies.items():
        cut, deaf = longest[name]
        # Bound here, for the loop goes on.
        found[f"cut {name}"] = lambda chance, proxy=proxy, most=cut: proxy.cut(chance.uniform(0.0, most))  # type: ignore[misc]
        found[f"deafen {name}"] = lambda chance, proxy=proxy, most=deaf: proxy.deafen(chance.uniform(0.01, most))  # type: ignore[misc]
        found[f"slow {name}"] = lambda chance, proxy=proxy: proxy.slow(chance.uniform(0.3, 1.0), 0.03)  # type: ignore[misc]
    return found


def _clock(site: Site) -> dict[str, Fault]:
    def step(chance: random.Random, most: int) -> None:
        clock = site.clocks[chance.choice(site.names)]
        clock.step_to(clock.offset + chance.randint(-most, most))
        time.sleep(1.5)  # until it is seen

    return {
        "step a clock by minutes": lambda chance: step(chance, 20 * 60),
        "step a clock by hours": lambda chance: step(chance, 12 * 3600),
    }


def _disk(site: Site, around: Around) -> dict[str, Fault]:
    def fill(chance: random.Random, full: Disk) -> None:
        try:
            full.fill()
            time.sleep(chance.uniform(0.3, 1.5))
        finally:
            full.free()
            if around.postgres:
                around.postgres.start()  # a full disk may have ended it

    def refuse(chance: random.Random) -> None:
        pid = site.pid("web")
        with suppress(ProcessLookupError):
            disk.allow_no_writing(pid)
            time.sleep(chance.uniform(0.3, 1.5))
            disk.allow_writing(pid)

    if found := around.disk:
        return {"fill the disk": lambda chance: fill(chance, found)}
    return {"refuse to write files": refuse}


def _postgres(server: Postgres) -> dict[str, Fault]:
    def restart(chance: random.Random, how: signal.Signals) -> None:
        server.stop(how)
        time.sleep(chance.uniform(0.0, 1.0))
        server.start()

    return {
        "restart the database": lambda chance: restart(chance, signal.SIGINT),
        "stop the database at once": lambda chance: restart(chance, signal.SIGQUIT),
        "kill the database": lambda chance: restart(chance, signal.SIGKILL),
    }


def _broker(server: Broker) -> dict[str, Fault]:
    def restart(how: signal.Signals, seconds: float) -> None:
        server.stop(how)
        time.sleep(seconds)
        server.start()

    return {
        "restart the broker": lambda chance: restart(signal.SIGTERM, chance.uniform(0.0, 1.5)),
        "kill the broker": lambda chance: restart(signal.SIGKILL, chance.uniform(0.0, 1.5)),
        AWAY: lambda chance: restart(signal.SIGTERM, MINUTES),
    }


def end_connections(site: Site) -> None:
    """End the connections of our processes at the database's own end."""
    theirs = "datname = current_database() AND application_name <> :ours"
    wanted = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {theirs}")
    with site.rig.db.engine.connect() as connection:
        connection.execute(wanted, {"ours": OURS})


def empty_broker(site: Site) -> None:
    assert site.rig.parts.hints is not None
    with suppress(Exception):  # there is no queue yet
        site.rig.parts.hints._broker.flush_all()


class Mischief:
    """Does what ``plan`` says when its time has come, beside everything else, one thing at a time."""

    def __init__(
        self,
        site: Site,
        around: Around,
        chance: random.Random,
        number: int,
        length: int,
        *,
        first: Sequence[str] = (),
    ) -> None:
        """
        Args:
            number: of faults while ``length`` webhooks are told, and some after them.
            first: faults that come before these.
        """
        self._chance = chance
        self._site = site
        self._faults = faults(site, around)
        names = self._chance.choices(sorted({*self._faults} - {AWAY}), k=number)
        places = self._chance.sample(range(length // 10, length * 11 // 10), number)
        self._plan: dict[int, str] = dict(zip(places, names, strict=True))
        self._due: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        for name in first:
            self._due.put(name)
        self._thread = threading.Thread(target=self._run, name="mischief", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def at(self, place: int) -> None:
        if name := self._plan.pop(place, None):
            self._due.put(name)

    def finish(self) -> None:
        """Do the rest of it, and return when it is over."""
        for _, name in sorted(self._plan.items()):
            self._due.put(name)
        self._due.put(None)
        self._thread.join()

    def __exit__(self, *_: Any) -> None:
        self._due.put(None)
        self._thread.join()

    def _run(self) -> None:
        while name := self._due.get():
            self._site.happened[name] += 1
            try:
                self._faults[name](self._chance)
            except Exception as error:
                self._site.troubles.append(f"{name} could not be done: {error!r}")
            time.sleep(self._chance.uniform(0.0, 0.3))
