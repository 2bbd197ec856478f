"""A lean HTTP load, in a process of its own: prepared bytes over kept connections, answers counted and timed.

Run as ``python -m bench.load URL WEBHOOKS SECONDS CONNECTIONS RATE``; prints JSON. RATE 0: as fast as answers come.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import sys
import threading
import time
import uuid
from urllib.parse import urlsplit

SECRET = "bench-secret"
DOMAIN = "bench.myshopify.com"


def body(size: int = 10_000) -> bytes:
    """An order of about ``size`` bytes."""
    line = {"id": 1, "title": "Mug blue", "quantity": 2, "price": "40.00", "sku": "MUG", "properties": []}
    order = {
        "id": 4711,
        "updated_at": "2026-03-02T09:15:30Z",
        "currency": "EUR",
        "total_price": "80.00",
        "line_items": [line],
    }
    note = hashlib.sha256(b"tillwire").hexdigest()
    while len(json.dumps(order)) < size:
        note = hashlib.sha256(note.encode()).hexdigest()
        order.setdefault("note_attributes", []).append({"name": note[:12], "value": note[:40]})  # type: ignore[attr-defined]
    return json.dumps(order).encode()


def signature(raw: bytes) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), raw, hashlib.sha256).digest()).decode()


class Load:
    def __init__(self, url: str, seconds: float, connections: int, rate: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        raw = body()
        self._tail = (
            f"Content-Type: application/json\r\nX-Shopify-Topic: orders/updated\r\n"
            f"X-Shopify-Shop-Domain: {DOMAIN}\r\nX-Shopify-Hmac-Sha256: {signature(raw)}\r\n"
            f"Content-Length: {len(raw)}\r\n\r\n"
        ).encode() + raw
        self._head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Shopify-Webhook-Id: ".encode()
        self._until = time.perf_counter() + seconds
        self._gap = connections / rate if rate else 0.0
        self._seconds = seconds
        self._connections = connections
        self.times: list[float] = []
        self.failed = 0

    def run(self) -> dict[str, float]:
        threads = [threading.Thread(target=self._one, args=(number,)) for number in range(self._connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = sorted(self.times)
        return {
            "per_second": len(times) / self._seconds,
            "p50_ms": times[len(times) // 2] * 1000 if times else 0.0,
            "p99_ms": times[int(len(times) * 0.99)] * 1000 if times else 0.0,
            "failed": self.failed,
        }

    def _one(self, number: int) -> None:
        mine: list[float] = []
        key = uuid.uuid4().hex
        count = 0
        due = time.perf_counter() + self._gap * number / self._connections
        with socket.create_connection(self._address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (now := time.perf_counter()) < self._until:
                if self._gap:
                    if due > now:
                        time.sleep(due - now)
                    due += self._gap
                count += 1
                started = time.perf_counter()
                connection.sendall(self._head + f"{key}-{count}\r\n".encode() + self._tail)
                if not answered(connection):
                    self.failed += 1
                mine.append(time.perf_counter() - started)
        self.times += mine


def answered(connection: socket.socket) -> bool:
    """Read one answer to its end; whether it was a 200."""
    data = _received(connection)
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(rest) < length:
        rest += _received(connection)
    return head.startswith(b"HTTP/1.1 200")


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the server closed a connection that was to be kept")
    return data


if __name__ == "__main__":
    target, duration, connections, rate = sys.argv[1:]
    print(json.dumps(Load(target, float(duration), int(connections), float(rate)).run()))
