"""The stores of the benches: signed orders of many merchants, in a process of its own, each told once.

Run as ``python -m bench.burst`` with a `Burst` as JSON on standard input. Prints what was `Told` as JSON. As a platform
does, it tells an order again that was not answered with 200; after `ATTEMPTS` it ends with an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from bench import orders
from bench.load import SECRET, answered

ATTEMPTS = 20
PAUSE = 0.5  #: seconds before an order is told again
_MARK = 990_000_001  #: stands in the template where an order's number will


@dataclass(frozen=True, kw_only=True)
class Burst:
    """What is told: so many orders, numbered from ``first`` on, of so many merchants, from the ``merchant``th on."""

    url: str  #: of the route for webhooks
    first: int
    orders: int
    merchant: int = 0
    merchants: int = 1
    rate: float = 0.0  #: orders/s; 0: as fast as answers come
    connections: int = 16

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.orders)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of a burst."""

    sent: dict[str, float]  #: of each order the moment before its first byte, in seconds of the monotonic clock
    again: int  #: how often one was told again


def domain(merchant: int) -> str:
    return f"merchant-{merchant}.myshopify.com"


def requests_of(burst: Burst) -> Iterator[tuple[int, bytes]]:
    """Each order's number and the bytes of its request."""
    parts = urlsplit(burst.url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n".encode()
    template = orders.shopify(_MARK, email=f"buyer-{_MARK}@example.com")
    for number in burst.numbers:
        body = template.replace(b"%d" % _MARK, b"%d" % number).replace(
            b"%d" % (7_000_000 + _MARK), b"%d" % (7_000_000 + number)
        )
        proof = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
        shop = domain(burst.merchant + number % burst.merchants)
        tail = (
            f"X-Shopify-Topic: orders/paid\r\nX-Shopify-Shop-Domain: {shop}\r\nX-Shopify-Webhook-Id: {number}\r\n"
            f"X-Shopify-Hmac-Sha256: {proof}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield number, head + tail.encode() + body


class Stores:
    """Tells a burst over kept connections."""

    def __init__(self, burst: Burst) -> None:
        parts = urlsplit(burst.url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._gap = 1 / burst.rate if burst.rate else 0.0
        self._waiting = enumerate(list(requests_of(burst)))
        self._lock = threading.Lock()
        self._connections = burst.connections
        self._failed: list[BaseException] = []
        self._again = 0
        self._sent: dict[str, float] = {}

    def run(self) -> Told:
        self._started = time.monotonic()
        threads = [threading.Thread(target=self._tell) for _ in range(self._connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failed:
            raise self._failed[0]
        return Told(sent=self._sent, again=self._again)

    def _tell(self) -> None:
        try:
            with socket.create_connection(self._address) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while found := self._next():
                    place, (number, request) = found
                    time.sleep(max(self._started + self._gap * place - time.monotonic(), 0.0))
                    self._sent[str(number)] = time.monotonic()
                    self._send(connection, number, request)
        except BaseException as error:
            self._failed.append(error)

    def _send(self, connection: socket.socket, number: int, request: bytes) -> None:
        for _ in range(ATTEMPTS):
            connection.sendall(request)
            if answered(connection):
                return
            with self._lock:
                self._again += 1
            time.sleep(PAUSE)
        raise RuntimeError(f"order {number} was not answered with 200")

    def _next(self) -> tuple[int, tuple[int, bytes]] | None:
        with self._lock:
            return next(self._waiting, None)


def start(burst: Burst) -> subprocess.Popen[str]:
    """Tell it in a process of its own; see `told`."""
    command = [sys.executable, "-m", "bench.burst"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(burst)))
    process.stdin.close()
    return process


def told(process: subprocess.Popen[str]) -> Told | None:
    """What became of it, once all is told; None if it could not be told, the reason then stands on standard error."""
    assert process.stdout is not None
    with process.stdout as answer:
        found = answer.read()
    return None if process.wait() else Told(**json.loads(found))


if __name__ == "__main__":
    print(json.dumps(asdict(Stores(Burst(**json.load(sys.stdin))).run())))
