"""A TCP proxy that can cut, slow and deafen what goes through it: the network, for whoever tests what it does to us."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

_CHUNK = 65536


class Proxy:
    """Listens on a port of this machine and passes on to another; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._delay = 0.0
        self._refusing = False
        self._hearing = threading.Event()
        self._hearing.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._refusing = True
        # A thread that waits in accept would go on with whatever gets the same file handle next.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self._cut()
        self._hearing.set()

    def cut(self, seconds: float) -> None:
        """End all connections, and take none for ``seconds``."""
        self._refusing = True
        self._cut()
        time.sleep(seconds)
        self._refusing = False

    def deafen(self, seconds: float) -> None:
        """What is sent arrives, and its answers do not; after ``seconds`` all connections end.

        So a client sees its commit fail that did not.
        """
        self._hearing.clear()
        time.sleep(seconds)
        self._cut()
        self._hearing.set()

    def slow(self, seconds: float, delay: float) -> None:
        """Every packet takes ``delay`` longer, for ``seconds``."""
        self._delay = delay
        time.sleep(seconds)
        self._delay = 0.0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._to, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            for pair, answers in (((client, server), False), ((server, client), True)):
                threading.Thread(target=self._pump, args=(*pair, answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if answers:
                    self._hearing.wait()
                if self._delay:
                    time.sleep(self._delay)
                sink.sendall(data)
        self._end(source, sink)

    def _cut(self) -> None:
        with self._lock:
            found = list(self._open)
        self._end(*found)

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open -= set(ends)
        for each in ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
