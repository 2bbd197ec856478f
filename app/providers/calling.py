"""The process that makes calls for a worker: ``python -m app.providers.calling``, started by `app.services.calling`.

Its standard input is a socket. Jobs come in, pickled dictionaries by the jobs' numbers. Out go lists of the numbers
that it has taken, before it begins any of them (an empty one once it can take some), and results, dictionaries again.

It ends with its parent, whatever ends that: nothing may be sent by somebody who does not note it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from app.collector import collect_seldom
from app.providers import http
from app.providers.exchanges import Result, Threads

GATHER = 0.004  #: seconds from one message to the next: results that come meanwhile share it
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(transport: str, size: int, allow_private: bool, parent: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent, which waits for the calls under way
    _die_with(parent)
    logging.disable()  # libraries' texts hold addresses; what matters comes back as a result
    line = _Line(Connection(0))
    done: queue.SimpleQueue[tuple[int, Result]] = queue.SimpleQueue()
    threads = Threads(
        size,
        lambda number, result: done.put((number, result)),
        new_session=lambda: http.new_session(transport, size),
        allow_private=allow_private,
    )
    threading.Thread(target=_tell, args=(line, done), daemon=True).start()
    collect_seldom()
    line.say([])
    while True:
        jobs = line.hear()
        line.say(list(jobs))
        try:
            threads.start(jobs)
        except RuntimeError:  # no more threads
            os._exit(1)


class _Line:
    """The socket to the parent. Without it there is nothing to live for: it is gone, or has all results it wanted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._saying = threading.Lock()

    def say(self, what: Any) -> None:
        try:
            with self._saying:
                self._connection.send(what)
        except Exception:
            os._exit(1)

    def hear(self) -> Any:
        try:
            return self._connection.recv()
        except Exception:
            os._exit(0)


def _tell(line: _Line, done: queue.SimpleQueue[tuple[int, Result]]) -> None:
    pause = threading.Event()
    while True:
        number, result = done.get()
        pause.wait(GATHER)
        results = {number: result}
        while not done.empty():
            number, result = done.get()
            results[number] = result
        line.say(results)


def _die_with(parent: int) -> None:
    """The kernel kills us when the thread that started us ends; where there is no such call, the socket's end does."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4]))
