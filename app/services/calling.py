"""Calls in a process of their own (`app.providers.calling`): Python runs one thread of a process at a time, and calling
takes as much processor as deciding what to call.

The process knows no database. If it dies, what it was at counts as a lost answer, as if this process had died; then the
next calls start another one.
"""

from __future__ import annotations

import logging
import os
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

from app.providers.exchanges import Job, Result
from app.services.said import mark

log = logging.getLogger(__name__)

LOOK = 1.0  #: seconds between two looks at whether it still answers
STUCK = 60.0  #: seconds within which every call ends, by its own deadlines; longer than a lease
FULL = 5.0  #: seconds for it to take what it is given
LOST = Result(failure="the process that makes the calls ended")
NOT_STARTED = Result(unmade=mark("not sent: the process that makes the calls does not start"))

OnDone = Callable[[int, Result], None]


class Apart:
    """Makes exchanges as `app.providers.exchanges.Threads` does, in another process; started by the first of them."""

    def __init__(self, size: int, on_done: OnDone, *, transport: str, allow_private: bool) -> None:
        self._on_done = on_done
        self._command = [
            sys.executable,
            "-P",
            "-m",
            "app.providers.calling",
            transport,
            str(size),
            str(int(allow_private)),
        ]
        self._child: _Child | None = None
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
        with self._starting:
            if self._child is not None and self._child.send(jobs):
                return True
            self._child = _Child(self._command, self._on_done)
            return self._child.send(jobs)


class _Child:
    """One such process. A thread starts it and reads what it says, for it is killed when that thread ends."""

    def __init__(self, command: list[str], on_done: OnDone) -> None:
        self._command = command
        self._on_done = on_done
        self._ours, self._theirs = socket.socketpair()
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(FULL), 0))
        self._line = Connection(os.dup(self._ours.fileno()))
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._under_way: dict[int, float] = {}  #: when it began, by the jobs' numbers
        self._over = False
        self._wanted = False  #: its end is
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
        self._thread.start()

    def send(self, jobs: dict[int, Job]) -> bool:
        """Hand ``jobs`` over; False if they certainly did not get there."""
        with self._sending:  # whoever ends it waits for us, so that these do not count as lost
            with self._changed:
                if self._over:
                    return False
                now = time.monotonic()
                self._under_way |= dict.fromkeys(jobs, now)
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
            if not self._over:
                self._wanted = True
                self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        try:
            # Of our open files it keeps the worker's lock (see `Database.alone`): nobody begins before it has ended.
            process = subprocess.Popen(  # noqa: S603 - our own Python
                [*self._command, str(os.getpid())],
                stdin=self._theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(),
                close_fds=False,
                start_new_session=True,  # Ctrl-C in a terminal is for us, who let its calls come back
            )
        except OSError:
            log.exception("the process that makes the calls does not start")
            self._end(NOT_STARTED)
            return
        finally:
            self._theirs.close()
        try:
            self._listen()
        finally:
            process.kill()
            status = process.wait()
            lost = self._end(LOST)
            if not self._wanted:
                log.error("the process that makes the calls ended (%s): %s answers are lost", status, lost)

    def _listen(self) -> None:
        while True:
            if self._line.poll(LOOK):
                try:
                    results: dict[int, Result] = self._line.recv()
                except (EOFError, OSError):
                    return
                self._done(results)
            if self._stuck():
                log.error("the process that makes the calls does not answer any more: it is ended")
                return

    def _done(self, results: dict[int, Result]) -> None:
        for number, result in results.items():
            self._on_done(number, result)
        with self._changed:
            for number in results:
                del self._under_way[number]
            self._changed.notify_all()

    def _stuck(self) -> bool:
        with self._changed:
            oldest = min(self._under_way.values(), default=None)
        return oldest is not None and time.monotonic() - oldest > STUCK

    def _end(self, left: Result) -> int:
        """Nothing is taken any more, and that is what came of what was under way; return how much it was."""
        with self._sending, self._changed:
            self._over = True
            lost = list(self._under_way)
        self._done(dict.fromkeys(lost, left))
        self._line.close()
        self._ours.close()
        return len(lost)


def _environment() -> dict[str, str]:
    """Ours, with the place that we were loaded from, and not whatever else is called ``app`` where we were started."""
    root = str(Path(__file__).parents[2])
    if root in sysconfig.get_paths().values():
        return dict(os.environ)  # installed: every Python of this environment finds it
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
