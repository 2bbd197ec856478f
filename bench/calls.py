"""``calls``: single calls a second of one process to a provider, through `requests` and through the lean transport.

By turns, to a small server in a process of its own that answers at once. What is measured is the sender alone: from an
action and a payload to an outcome, without database.
"""

from __future__ import annotations

import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.providers import http
from app.providers.base import Accepted, Action, Provider, Request
from bench import machine
from bench.ports import free_port

ROUNDS = 5
SECONDS = 2.0
THREADS = 8
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
PAYLOAD = {"customerId": "7", "lines": [{"sku": f"SKU-{number}", "price": 12.5} for number in range(20)]}
ACTION = Action(
    title="call",
    request=lambda payloads, settings: Request(method="POST", path="/orders", json=payloads[0]),
    repeatable=True,
)
PROVIDER = Provider(
    name="bench", title="Bench", base_url="https://bench.example", docs="", settings=(), actions={}, limits=()
)


def run() -> dict[str, Any]:
    port = free_port()
    with machine.running(["-m", "bench.calls", str(port)], f"http://127.0.0.1:{port}/readyz"):
        rounds = [{name: _round(name, f"http://127.0.0.1:{port}") for name in http.TRANSPORTS} for _ in range(ROUNDS)]
    found = {f"{name}_per_second": statistics.median(each[name][0] for each in rounds) for name in http.TRANSPORTS}
    costs = {f"{name}_cpu_us": statistics.median(each[name][1] for each in rounds) for name in http.TRANSPORTS}
    ratio = statistics.median(each["requests"][1] / each["lean"][1] for each in rounds)
    return {**found, **costs, "cpu_ratio_requests_to_lean": ratio}


def _round(transport: str, url: str) -> tuple[float, float]:
    """Calls a second, and the microseconds of processor that each took."""
    until, before = time.perf_counter() + SECONDS, time.process_time()
    with ThreadPoolExecutor(THREADS) as pool:
        made = sum(pool.map(lambda _: _calls(transport, url, until), range(THREADS)))
    return made / SECONDS, (time.process_time() - before) * 1e6 / made


def _calls(transport: str, url: str, until: float) -> int:
    made = 0
    with http.new_session(transport) as session:
        while time.perf_counter() < until:
            outcomes = http.call(PROVIDER, ACTION, [PAYLOAD], {}, base_url=url, session=session, allow_private=True)
            if outcomes != [Accepted()]:
                raise AssertionError(f"not accepted: {outcomes}")
            made += 1
    return made


def serve(port: int) -> None:
    """Answer every request with the same few bytes."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    data = b""
    with connection:
        while part := connection.recv(65536):
            data += part
            head, end, body = data.partition(b"\r\n\r\n")
            lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if end and len(body) >= (int(lengths[0]) if lengths else 0):
                connection.sendall(ANSWER)
                data = b""


if __name__ == "__main__":
    serve(int(sys.argv[1]))
