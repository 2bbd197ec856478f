"""A Tillwire in processes of its own, behind proxies, and whoever tells it webhooks."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from zlib import crc32

import requests

from app.providers.registry import PROVIDERS
from app.simulators.shops import Webhook
from bench.clock import Clock
from bench.nursery import WHERE, Child, Nursery
from bench.ports import free_port
from bench.proxy import Proxy
from tests.rig import Rig

#: The processes of each mode, and what each is told to do.
EMBEDDED: Mapping[str, Sequence[str]] = {"web": ("serve",)}
LARGE: Mapping[str, Sequence[str]] = {
    "web": ("serve", "--no-worker"),
    "worker-1": ("worker",),
    "worker-2": ("worker",),
}
SENDERS = 3
TOLD_WITHIN = 300.0  #: seconds within which a webhook must be taken
STOPPED_WITHIN = 60.0  #: seconds for a clean stop
DEPTH = 5  #: frames of each thread that are told
AT_START = 15.0  #: seconds within which a process may give up because something does not answer; it is started again
#: What may be told of while databases, brokers and disks come and go.
_EXPECTED = ("OperationalError", "InterfaceError", "ConnectionError", "AMQPConnectionError", "ConnectionClosed")


#: A line of `faulthandler`: file, line, function.
_FRAME = re.compile(r'File ".*/(\S+)", line (\d+ in \S+)')


class Broken(Exception):
    """The site did what it must not."""


class Site:
    """The processes of a mode on the rig's database; whoever ends is started again.

    What goes between any two of them passes a proxy: ``database``, ``broker``, ``providers``, ``stores``.
    """

    def __init__(self, rig: Rig, folder: Path, nursery: Nursery, processes: Mapping[str, Sequence[str]]) -> None:
        self.rig = rig
        self._folder = folder
        self._nursery = nursery
        self._processes = processes
        self._stack = ExitStack()
        self._running: dict[str, Child] = {}
        self._started: dict[str, float] = {}
        self._asked: set[str] = set()  #: processes that we ended ourselves
        self._calling: set[int] = set()  #: processes that made calls for those that we ended
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._port = free_port()
        self.proxies: dict[str, Proxy] = {}
        self.clocks: dict[str, Clock] = {}  #: of processes whose clock can be stepped
        self.stored: set[str] = set()  #: SHA-256 of the bodies that were answered 200
        self.happened: Counter[str] = Counter()
        self.troubles: list[str] = []

    @property
    def names(self) -> list[str]:
        return list(self._processes)

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        environment |= {**self.rig.environment, "LOG_LEVEL": "WARNING", "LOG_FORMAT": "json"}
        providers = self._behind_proxy("providers", self.rig.simulators.url)
        environment |= {f"{name.upper()}_API_URL": f"{providers}/{name}" for name in PROVIDERS}
        for name, setting in (("database", "DATABASE_URL"), ("broker", "BROKER_URL")):
            if "://" in environment[setting] and not environment[setting].startswith("sqlite"):
                environment[setting] = self._behind_proxy(name, environment[setting])
        self._url = self._behind_proxy("stores", f"http://127.0.0.1:{self._port}")
        self._environment = environment
        for name in self._processes:
            self._start(name)
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._lock:
            for each in self._running.values():
                each.kill()
                each.wait()
        self._stack.close()

    def _behind_proxy(self, name: str, url: str) -> str:
        found = urlsplit(url)
        proxy = self._stack.enter_context(Proxy(found.hostname or "127.0.0.1", found.port or 5432))
        self.proxies[name] = proxy
        account = f"{found.netloc.rpartition('@')[0]}@" if "@" in found.netloc else ""
        return found._replace(netloc=f"{account}127.0.0.1:{proxy.port}", query="").geturl()

    # processes

    def give_clocks(self) -> None:
        """Let every process have a clock that can be stepped; its nursery must be clocked."""
        self.clocks = {name: Clock(self._folder / f"{name}.clock") for name in self._processes}

    def now(self) -> datetime:
        """The time by which leases and waits run: the database's; where that is SQLite, its one process's."""
        return self.clocks["web"].now() if self.rig.db.sqlite and self.clocks else datetime.now(UTC)

    def _start(self, name: str) -> None:
        command = list(self._processes[name])
        if command[0] == "serve":
            command += ["--port", str(self._port)]
        settings = self.clocks[name].settings if name in self.clocks else {}
        log = self._folder / f"{name}.log"
        self._running[name] = self._nursery.start(command, {**self._environment, **settings}, log)
        self._started[name] = time.monotonic()

    def _supervise(self) -> None:
        while not self._over.wait(0.05):
            with self._lock:
                for name, process in self._running.items():
                    status = process.poll()
                    if status is not None and not self._over.is_set():
                        self._ended(name, status)
                        self._start(name)

    def _ended(self, name: str, status: int) -> None:
        if name in self._asked:
            self._asked.discard(name)
        elif time.monotonic() - self._started[name] > AT_START:
            self.troubles.append(f"{name} ended by itself with {status}")

    def kill(self, *names: str) -> None:
        with self._lock:
            for name in names:
                if self._running[name].poll() is None:
                    self._calling.update(_calling(self._running[name].pid))
                    self._asked.add(name)
                    self._running[name].kill()

    def pause(self, name: str, seconds: float) -> None:
        """Nothing of the process runs for a while, and it does not know."""
        process = self._running[name]
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def kill_calls(self, name: str) -> None:
        """Kill the process that makes a process's calls, where there is one."""
        _send(signal.SIGKILL, _calling(self._running[name].pid))

    def pause_calls(self, name: str, seconds: float) -> None:
        """Nothing of that process runs for a while; then it goes on, also where its parent was killed meanwhile."""
        paused = _calling(self._running[name].pid)
        _send(signal.SIGSTOP, paused)
        time.sleep(seconds)
        _send(signal.SIGCONT, paused)

    def stop(self, *names: str) -> None:
        """A clean stop."""
        with self._lock:
            # Whoever we killed a moment ago has no more to say.
            stopping = {name: self._running[name] for name in names if name not in self._asked}
            young = {name: time.monotonic() - self._started[name] < AT_START for name in names}
            self._asked.update(stopping)
            for process in stopping.values():
                process.terminate()
        for name, process in stopping.items():
            try:
                status = process.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                where = self._where(name, process)
                self.troubles.append(f"{name} did not stop within {STOPPED_WITHIN:.0f} s; it was at {where}")
                process.kill()
                continue
            # Who is young may not hear yet, or had just given up because something does not answer.
            if status != 0 and not (young[name] and status in (-signal.SIGTERM, 1)):
                self.troubles.append(f"{name} was told to stop and ended with {status}")

    def _where(self, name: str, process: Child) -> str:
        """What the threads of a process are at, each innermost first."""
        log = self._folder / f"{name}.log"
        before = log.stat().st_size
        process.send_signal(WHERE)
        time.sleep(1.0)
        with log.open("rb") as file:
            file.seek(before)
            threads = file.read().decode(errors="replace").split("\n\n")
        return " | ".join(" < ".join(map(":".join, _FRAME.findall(each)[:DEPTH])) for each in threads)

    def end(self) -> None:
        """Stop all for good, and nobody stays behind."""
        self._over.set()
        for each in self._running.values():
            self._calling.update(_calling(each.pid))
        self.stop(*self._running)
        if left := [pid for pid in self._calling if _makes_calls(pid)]:
            self.troubles.append(f"{len(left)} processes that made calls outlived their parents")

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def at_rest(self) -> dict[str, tuple[int, int]]:
        """File handles and MiB of memory of each process; of one that has just ended, once it is there again."""
        until = time.monotonic() + STOPPED_WITHIN
        while True:
            with self._lock, suppress(FileNotFoundError):
                pids = {name: each.pid for name, each in self._running.items()}
                calling = {f"what makes the calls of {name}": _calling(pid) for name, pid in pids.items()}
                pids |= {name: found[0] for name, found in calling.items() if found}
                return {name: (_handles(pid), _resident(pid)) for name, pid in pids.items()}
            if time.monotonic() > until:
                raise Broken("a process that ended was not started again")
            time.sleep(0.1)

    # webhooks

    def tell(self, webhooks: Sequence[Webhook], at: Callable[[int], None]) -> None:
        """Send all, each until it is answered 200, as platforms do; those of one order one after another.

        Args:
            at: called with the place of each before it is sent.
        """
        shares: list[queue.SimpleQueue[tuple[int, Webhook]]] = [queue.SimpleQueue() for _ in range(SENDERS)]
        for place, webhook in enumerate(webhooks):
            shares[crc32(str(webhook.order_id).encode()) % SENDERS].put((place, webhook))
        with ThreadPoolExecutor(SENDERS) as pool:
            for found in [pool.submit(self._send_all, share, at) for share in shares]:
                found.result()

    def _send_all(self, share: queue.SimpleQueue[tuple[int, Webhook]], at: Callable[[int], None]) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not share.empty():
                place, webhook = share.get()
                at(place)
                self._send(session, webhook)

    def _send(self, session: requests.Session, webhook: Webhook) -> None:
        until = time.monotonic() + TOLD_WITHIN
        while time.monotonic() < until:
            with suppress(requests.RequestException):
                url = self._url + webhook.path
                answer = session.post(url, data=webhook.body, headers=webhook.headers, timeout=30)
                if answer.status_code == 200:
                    self.stored.add(hashlib.sha256(webhook.body).hexdigest())
                    return
                self.happened[f"answered {answer.status_code}"] += 1
                if answer.status_code != 503:
                    raise Broken(f"{webhook.platform} {webhook.topic}: answered {answer.status_code}")
            time.sleep(0.1)
        raise Broken(f"{webhook.platform} {webhook.topic}: not taken within {TOLD_WITHIN:.0f} s")

    # what they complained of

    def surprises(self) -> list[str]:
        """Errors in the logs that what comes and goes does not explain."""
        found: Counter[str] = Counter()
        for path in sorted(self._folder.glob("*.log")):
            for line in path.read_text(errors="replace").splitlines():
                found.update(_surprise(path.stem, line))
        return [f"{text} ({times} times)" for text, times in found.items()]


def _calling(pid: int) -> list[int]:
    """The process that makes the calls of another: one, or none where it has not begun, or has just ended."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return [each for each in found if _makes_calls(each)]


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _makes_calls(pid: int) -> bool:
    with suppress(OSError):
        return b"app.providers.calling" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _handles(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def _surprise(name: str, line: str) -> list[str]:
    try:
        told: Any = json.loads(line)
    except ValueError:
        return []
    error = str(told.get("error", "")).strip()
    if not error or told["logger"].startswith(("pika", "dramatiq")):
        return []
    last = next((each for each in reversed(error.splitlines()) if each and each.split(":")[0].count(" ") == 0), "")
    if any(each in error for each in _EXPECTED):
        return []
    return [f"{name}: {told['text']}: {last}"]
