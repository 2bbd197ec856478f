"""Calls in a process of their own (`app.providers.calling`): Python runs one thread of a process at a time, and calling
takes as much processor as deciding what to call.

The process knows no database. What it was at when it dies counts as a lost answer, as if this process had died; what it
had not taken yet was not sent. The next calls start another one.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from app.providers.exchanges import LONGEST, Job, Result
from app.services.said import mark

log = logging.getLogger(__name__)

START = 2.0  #: seconds that jobs wait for it to start; they begin within `exchanges.LATEST`
AGAIN = 5.0  #: seconds from a start that came to nothing to the next
FULL = 2  #: seconds for it to take what it is given
LOOK = 0.5  #: seconds between two looks at whether it still answers
STUCK = LONGEST + 1.0  #: seconds from the claim after which it is ended, before the lease is over
LOST = Result(failure="the process that makes the calls ended")
NOT_STARTED = Result(unmade=mark("not sent: the process that makes the calls does not start"))
_OURS = re.compile(r"(?:_KEYS?|_SECRETS?|_TOKEN|_URL|_DSN|_PASSWORD)$|^PG")  #: settings that are none of its business

OnDone = Callable[[int, Result], None]


class Apart:
    """Makes exchanges as `app.providers.exchanges.Threads` does, in another process; started by the first of them."""

    def __init__(self, size: int, on_done: OnDone, *, transport: str, allow_private: bool) -> None:
        self._on_done = on_done
        module = ["-P", "-m", "app.providers.calling"]
        self._command = [sys.executable, *module, transport, str(size), str(int(allow_private))]
        self._child: _Child | None = None
        self._not_before = 0.0  #: of time.monotonic(), the next start
        self._starting = threading.Lock()

    def start(self, jobs: dict[int, Job]) -> None:
        if not self._send(jobs):
            for number in jobs:
                self._on_done(number, NOT_STARTED)

    def close(self) -> None:
        """Let the exchanges under way finish."""
        if self._child:
            self._child.close()

    def _send(self, jobs: dict[int, Job]) -> bool:
        """Hand ``jobs`` over; False if they certainly do not get there."""
        with self._starting:
            if self._child is not None and self._child.send(jobs):
                return True
            if (self._child is not None and not self._child.over) or time.monotonic() < self._not_before:
                return False  # it is still starting, or the last one did not get far
            try:
                self._child = _Child(self._command, self._on_done)
            except (OSError, RuntimeError):  # no more file handles, or threads
                log.exception("the process that makes the calls cannot be started")
                return False
            self._not_before = time.monotonic() + AGAIN
            return self._child.send(jobs)


class _Child:
    """One such process. A thread starts it and reads what it says, for it is killed when that thread ends."""

    def __init__(self, command: list[str], on_done: OnDone) -> None:
        self._command = command
        self._on_done = on_done
        self._ours, self._theirs = socket.socketpair()
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", FULL, 0))
        self._line = Connection(os.dup(self._ours.fileno()))
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._under_way: dict[int, float] = {}  #: when they were claimed, by the jobs' numbers
        self._taken: set[int] = set()  #: those of them that it may have begun
        self._ready = threading.Event()  #: it takes jobs, or never will
        self.over = False
        self._wanted = False  #: its end is
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
        self._thread.start()

    def send(self, jobs: dict[int, Job]) -> bool:
        """Hand ``jobs`` over; False if they certainly do not get there."""
        if not self._ready.wait(START):
            return False
        with self._sending:  # whoever ends it waits for us
            with self._changed:
                if self.over:
                    return False
                self._under_way |= {number: job.claimed_at for number, job in jobs.items()}
            try:
                self._line.send(jobs)
            except BaseException as error:
                with self._changed:
                    for number in jobs:
                        del self._under_way[number]
                if not isinstance(error, OSError):
                    raise  # what cannot be written down is no trouble of its
                self._ours.shutdown(socket.SHUT_RDWR)  # it ended, or takes nothing any more: half a message is none
                return False
        return True

    def close(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)
        with self._sending:
            if not self.over:
                self._wanted = True
                self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        process: subprocess.Popen[bytes] | None = None
        try:
            process = self._start()
            self._listen()
        except Exception:
            log.exception("the process that makes the calls had to be ended")
        finally:
            self._theirs.close()
            status = None
            if process:
                process.kill()
                status = process.wait()
            lost = self._end()
            if not self._wanted:
                log.error("the process that makes the calls ended (%s): %s answers are lost", status, lost)

    def _start(self) -> subprocess.Popen[bytes]:
        # Of our open files it keeps the worker's lock (see `Database.alone`): nobody begins before it has ended.
        process = subprocess.Popen(  # noqa: S603 - our own Python
            [*self._command, str(os.getpid())],
            stdin=self._theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=_environment(),
            close_fds=False,
            start_new_session=True,  # Ctrl-C in a terminal is for us, who let its calls come back
        )
        self._theirs.close()
        return process

    def _listen(self) -> None:
        while True:
            if self._line.poll(LOOK):
                try:
                    said: Any = self._line.recv()
                except (EOFError, OSError):
                    return
                self._hear(said)
            if self._stuck():
                log.error("the process that makes the calls does not answer any more: it is ended")
                return

    def _hear(self, said: list[int] | dict[int, Result]) -> None:
        """The numbers that it has taken, none of them at its start; or what came of some."""
        if isinstance(said, dict):
            self._done(said)
            return
        with self._changed:
            self._taken.update(said)
        self._ready.set()

    def _done(self, results: dict[int, Result]) -> None:
        for number, result in results.items():
            self._on_done(number, result)
        with self._changed:
            for number in results:
                del self._under_way[number]
                self._taken.discard(number)
            self._changed.notify_all()

    def _stuck(self) -> bool:
        with self._changed:
            oldest = min(self._under_way.values(), default=None)
        return oldest is not None and time.monotonic() - oldest > STUCK

    def _end(self) -> int:
        """Nothing is taken any more; what was under way is lost, or was never begun. Return how much is lost."""
        with self._sending, self._changed:
            self.over = True
            left = {number: LOST if number in self._taken else NOT_STARTED for number in self._under_way}
        self._ready.set()
        self._done(left)
        self._line.close()
        self._ours.close()
        return sum(result is LOST for result in left.values())


def _environment() -> dict[str, str]:
    """Ours without secrets, and with the place that we were loaded from: not whatever else is called ``app`` here."""
    kept = {name: value for name, value in os.environ.items() if not _OURS.search(name)}
    root = str(Path(__file__).parents[2])
    if root in sysconfig.get_paths().values():
        return kept  # installed: every Python of this environment finds it
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
