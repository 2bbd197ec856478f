"""A round in which processes die: made-up orders told over HTTP to a Tillwire to which something happens all the time.

Each webhook is sent until it is answered 200. Embedded: one process on SQLite. Large: PostgreSQL, a broker, a web
process and two workers. In one round of four the processes have a clock that can be stepped; in one of five their first
start, and the making of the tables, is killed a few times; in one of fifty the broker is away for two minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import pika
from sqlalchemy import make_url

from app import hints
from app.simulators.shops import Webhook as Sent
from app.simulators.shops import shuffle
from bench import clock, site
from bench.brokers import Broker, RabbitMQ, Redis
from bench.disk import Disk, NoDisk
from bench.judged import CUT_OFF, Failed, check, disturb, lives, prepared, told_well
from bench.mischief import AWAY, Around, Mischief
from bench.nursery import Nursery
from bench.rest import check_at_rest, rest
from bench.rows import check_rows
from bench.servers import Postgres, programs, shared_database
from bench.site import Site
from tests.rig import Rig

SLOW = 0.03  #: seconds that a provider takes, so that a kill meets calls under way
SMALL, LARGER = 24, 300  #: MiB of the disks of SQLite and of PostgreSQL
RABBITMQ = os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")

Settings = Mapping[str, str]  #: what the rig is made with
Happened = Counter[str]  #: how often what happened


class Ground:
    """What rounds stand on, made at first need and used again: servers of the harness, and loaded processes.

    Attributes:
        missing: what is not here, and which faults are left out for it.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._nurseries: dict[bool, Nursery] = {}
        self._postgres: Postgres | None = None
        self._disk: Disk | None = None
        self._brokers: dict[str, Broker] = {}
        self.missing: list[str] = []
        if clock.library() is None:
            self.missing.append("libfaketime is not installed: no clock is stepped")

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tillwire-ground-")))
        self.folder.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def nursery(self, *, clocked: bool) -> Nursery:
        if clocked not in self._nurseries:
            self._nurseries[clocked] = self._stack.enter_context(Nursery(clocked=clocked))
        return self._nurseries[clocked]

    def disk(self, stack: ExitStack, name: str, megabytes: int) -> Disk | None:
        """Mounted until ``stack`` closes."""
        try:
            return stack.enter_context(Disk(self.folder / name, megabytes))
        except NoDisk:
            self._miss("no file system can be mounted by this user: disks are not really full")
            return None

    def postgres(self) -> tuple[Postgres | None, Disk | None]:
        """The harness's own, with its disk, where it is installed."""
        if self._postgres is None and programs() is None:
            self._miss("PostgreSQL's programs are not installed: the shared server is not stopped")
        elif self._postgres is None:
            self._disk = self.disk(self._stack, "postgres", LARGER)
            self._postgres = self._stack.enter_context(Postgres(self._folder("postgres")))
        return self._postgres, self._disk

    def broker(self, name: str) -> Broker | str:
        """The harness's own, where it is installed; otherwise the address of the shared one."""
        if name not in self._brokers:
            kind, installed, shared = _BROKERS[name]
            if not installed():
                self._miss(f"{name} is not installed: the shared broker is not stopped")
                return shared
            self._brokers[name] = self._stack.enter_context(kind(self._folder(name)))
        return self._brokers[name]

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _miss(self, reason: str) -> None:
        if reason not in self.missing:
            self.missing.append(reason)


#: By name: what it is, whether it is installed, and the one that tests share.
_BROKERS: Mapping[str, tuple[type[Broker], Callable[[], bool], str]] = {
    "RabbitMQ": (RabbitMQ, RabbitMQ.installed, RABBITMQ),
    "Redis": (Redis, lambda: shutil.which("redis-server") is not None, REDIS),
}


def run_round(ground: Ground, mode: str, seed: int, size: int, *, faults: int, keep: Path | None = None) -> Happened:
    """Run one round, and return how often what happened; or raise `Failed`.

    Args:
        mode: ``embedded`` or ``large``.
        size: orders of each platform.
        keep: a folder that gets the logs of a round that failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="tillwire-faults-"))
    try:
        with ExitStack() as stack:
            chance = random.Random(f"{mode} {seed}")
            around, settings = _embedded(ground, stack) if mode == "embedded" else _large(ground, stack, seed, chance)
            return _Round(ground, folder, around, settings, seed, chance).run(size, faults)
    except Failed:
        if keep:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _embedded(ground: Ground, stack: ExitStack) -> tuple[Around, Settings]:
    disk = ground.disk(stack, "sqlite", SMALL)
    folder = disk.folder if disk else Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return Around(disk=disk), {"database_url": f"sqlite:///{folder / 'tillwire.db'}"}


def _large(ground: Ground, stack: ExitStack, seed: int, chance: random.Random) -> tuple[Around, Settings]:
    postgres, disk = ground.postgres()
    found = ground.broker(chance.choice(sorted(_BROKERS)))
    broker = found if isinstance(found, str) else found.url
    if isinstance(found, Broker):
        found.start()  # the round before may have failed while it was away
    elif not hints.answers(broker):
        raise Failed("no broker answers here: set TEST_RABBITMQ_URL or TEST_REDIS_URL")
    if postgres:
        url = stack.enter_context(postgres.database(migrated=not _from_nothing(seed)))
    else:
        url = stack.enter_context(shared_database())
    stack.callback(_delete_queues, broker, url)
    around = Around(postgres=postgres, broker=None if isinstance(found, str) else found, disk=disk)
    return around, {"database_url": url, "broker_url": broker}


def _from_nothing(seed: int) -> bool:
    return seed % 5 == 4


class _Round:
    """One round, on what is made for it."""

    def __init__(
        self, ground: Ground, folder: Path, around: Around, settings: Settings, seed: int, chance: random.Random
    ) -> None:
        self._clocked = clock.library() is not None and seed % 4 == 3
        self._nursery = ground.nursery(clocked=self._clocked)
        self._folder = folder
        self._around = around
        self._settings = settings
        self._seed = seed
        self._chance = chance

    def run(self, size: int, faults: int) -> Happened:
        well = told_well(self._folder / "well", self._seed, size)
        killed = self._kill_beginnings() if _from_nothing(self._seed) else 0
        with Rig(self._folder / "badly", **self._settings) as rig:
            told, truth = lives(self._seed, size, prepared(rig))
            disturb(rig, self._seed, slow=SLOW)
            running = self._site(rig)
            running.happened["kill the first start"] += killed
            with running:
                try:
                    self._tell(running, told, faults)
                    check_at_rest(running)
                    running.end()
                    check(rig, truth, well, *([CUT_OFF] if running.happened["cut providers"] else []))
                    check_rows(rig, running.stored)
                    if running.troubles or running.surprises():
                        raise Failed(f"{running.troubles}")
                except (site.Broken, Failed) as error:
                    raise Failed(f"{error} (after {dict(+running.happened)}; {running.surprises()})") from error
            return +running.happened

    def _site(self, rig: Rig) -> Site:
        found = Site(rig, self._folder, self._nursery, site.EMBEDDED if rig.db.sqlite else site.LARGE)
        if self._clocked:
            found.give_clocks()
        return found

    def _tell(self, running: Site, told: Sequence[Sent], faults: int) -> None:
        webhooks = shuffle(told, seed=self._seed)
        away = (AWAY,) if self._around.broker and self._seed % 50 == 12 else ()
        with Mischief(running, self._around, self._chance, faults, len(webhooks), first=away) as mischief:
            running.tell(webhooks, mischief.at)
            mischief.finish()
        rest(running)

    def _kill_beginnings(self) -> int:
        """Make the tables, and be killed at it; return how often."""
        times = self._chance.randint(1, 4)
        environment = {**os.environ, "BROKER_URL": "", "DATABASE_URL": self._settings["database_url"]}
        environment |= {"SECRET_KEY": "bench-secret-key-of-length"}
        for _ in range(times):
            process = self._nursery.start(["migrate"], environment, self._folder / "migrate.log")
            time.sleep(self._chance.uniform(0.0, 1.0))
            process.kill()
            process.wait()
        return times


# --- what is shared with others ---------------------------------------------------------------------------------------


def _delete_queues(broker: str, database_url: str) -> None:
    """A shared RabbitMQ would keep them."""
    if broker.startswith("redis"):
        return
    with suppress(pika.exceptions.AMQPError), pika.BlockingConnection(pika.URLParameters(broker)) as connection:
        channel = connection.channel()
        for tail in ("", ".DQ", ".XQ"):
            channel.queue_delete(f"tillwire.{make_url(database_url).database}{tail}")
