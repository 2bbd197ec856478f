"""The process that makes calls for a worker: ``python -m app.providers.calling``, started by `app.services.calling`.

Its standard input is a socket: jobs come in, results go out, each message a pickled dictionary by the jobs' numbers. It
ends with its parent, whatever ends that: nothing may be sent by somebody who does not note it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from app.providers import http
from app.providers.exchanges import Result, Threads

GATHER = 0.004  #: seconds from one message to the next: results that come meanwhile share it
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(transport: str, size: int, allow_private: bool, parent: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent, which waits for the calls under way
    _die_with(parent)
    logging.disable()  # libraries' texts hold addresses; what matters comes back as a result
    line = Connection(0)
    done: queue.SimpleQueue[tuple[int, Result]] = queue.SimpleQueue()
    threads = Threads(
        size,
        lambda number, result: done.put((number, result)),
        new_session=lambda: http.new_session(transport),
        allow_private=allow_private,
    )
    threading.Thread(target=_tell, args=(line, done), daemon=True).start()
    while True:
        try:
            threads.start(line.recv())
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone, or needs us no longer: it waits for all results first


def _tell(line: Connection, done: queue.SimpleQueue[tuple[int, Result]]) -> None:
    while True:
        number, result = done.get()
        time.sleep(GATHER)
        results = {number: result}
        while not done.empty():
            number, result = done.get()
            results[number] = result
        try:
            line.send(results)
        except Exception:
            os._exit(1)  # whoever waits for them hears of that, and of nothing otherwise


def _die_with(parent: int) -> None:
    """The kernel kills us when the thread that started us ends; where there is no such call, the socket's end does."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4]))
