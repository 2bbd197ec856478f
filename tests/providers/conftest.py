"""A real server on a real socket that answers as it is told, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.providers import wire

Answerer = Callable[[socket.socket, bytes], None]  #: gets the connection and the request that came


class Scripted:
    """Answers the n-th request with the n-th answerer, the last one for all further; None closes without a word."""

    def __init__(self) -> None:
        self.answerers: list[Answerer | None] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.on_connect: Answerer | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/base"
        threading.Thread(target=self._accept, daemon=True).start()

    def answers(self, *answerers: Answerer | None) -> Scripted:
        self.answerers = list(answerers)
        return self

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := read_request(connection):
                self.requests.append(request)
                place = min(len(self.requests), len(self.answerers)) - 1
                answerer = self.answerers[place]
                if answerer is None:
                    break
                answerer(connection, request)
        connection.close()


def read_request(connection: socket.socket) -> bytes:
    """One request with its body; empty when the caller has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def whole(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> Answerer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes) -> Answerer:
    return lambda connection, request: connection.sendall(data)


def then_close(answerer: Answerer) -> Answerer:
    def answer(connection: socket.socket, request: bytes) -> None:
        answerer(connection, request)
        connection.shutdown(socket.SHUT_RDWR)

    return answer


def drip(data: bytes, every: float) -> Answerer:
    """One byte at a time."""

    def answer(connection: socket.socket, request: bytes) -> None:
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(every)

    return answer


def wait(seconds: float) -> Answerer:
    return lambda connection, request: time.sleep(seconds)


def reset(connection: socket.socket, request: bytes) -> None:
    """Close with RST instead of a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test resolved is nothing to the next."""
    monkeypatch.setattr(wire, "_resolved", {})
