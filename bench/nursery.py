"""A process that has loaded Tillwire and forks: a start costs a fraction, so a round can afford many of them."""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from bench import clock

POLL = 0.02  #: seconds between two looks at whether a child has ended
WHERE = signal.SIGUSR2  #: a child that gets it writes to its log where all its threads are


class Child:
    """A running ``tillwire``, as `subprocess.Popen` would show it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._asking = threading.Lock()
        self._told = line.makefile("r")
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        with self._asking:  # whoever came second would find the line closed, and take that for a death
            if self.returncode is None and select.select([self._line], [], [], 0)[0]:
                self.returncode = int(self._told.readline() or -signal.SIGKILL)
                self._told.close()  # or the line stays open until both are collected, in whichever order
                self._line.close()
            return self.returncode

    def wait(self, seconds: float = 10.0) -> int:
        until = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("tillwire", seconds)
            time.sleep(POLL)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Nursery:
    """Starts children until the end of the block; whoever still runs then is killed."""

    def __init__(self, *, clocked: bool = False) -> None:
        """
        Args:
            clocked: its children can be told another time, see `bench.clock`.
        """
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("")  # Linux picks a free name
        self._listener.listen()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.nursery", str(self._listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[self._listener.fileno()],
            env={**os.environ, **(clock.environment() if clocked else {})},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._listener.close()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """``tillwire`` with ``arguments``; what it writes to standard error goes to the end of ``log``."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._listener.getsockname())
        told = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        line.sendall(json.dumps(told).encode() + b"\n")
        return Child(line)


# --- the process itself -----------------------------------------------------------------------------------------------


def _load() -> Any:
    if clock.faked():
        clock.mend_sleep()
    import alembic.command
    import dramatiq.brokers.rabbitmq
    import psycopg
    import sqlalchemy.dialects.postgresql.psycopg
    import sqlalchemy.dialects.sqlite.pysqlite

    import app.cli
    import app.factory
    import app.serving

    used = (alembic.command, dramatiq.brokers.rabbitmq, psycopg, sqlalchemy.dialects, app.factory, app.serving)
    assert all(used)
    return app.cli.main


def _next_child(listener: socket.socket) -> dict[str, Any] | None:
    """Fork whoever is asked for, and return what it is to do, in the child alone; None at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready = select.select([listener, sys.stdin], [], [])[0]
        if listener not in ready:
            return None
        line, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            told: dict[str, Any] = json.loads(line.makefile("r").readline())
            child = os.fork()
            if child == 0:
                line.close()
                return told
            _stay_beside(child, line)
        line.close()


def _stay_beside(child: int, line: socket.socket) -> None:
    """Tell how ``child`` ends; kill it if nobody listens any more."""
    with suppress(OSError):
        line.sendall(f"{child}\n".encode())
        ended = os.pidfd_open(child)
        if ended not in select.select([ended, line], [], [])[0]:
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        line.sendall(f"{status}\n".encode())
    os._exit(0)


def _become(told: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(told["environment"])
    log = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for wanted, found in ((0, nothing), (1, nothing), (2, log)):
        os.dup2(found, wanted)
    os.close(log)
    os.close(nothing)
    faulthandler.register(WHERE)


if __name__ == "__main__":
    run = _load()
    task = _next_child(socket.socket(fileno=int(sys.argv[1])))
    if task:
        _become(task)
        run(task["arguments"], prog_name="tillwire")
