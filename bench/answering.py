"""The provider side of the benches: a small server that answers as five providers do when they accept.

Run as ``python -m bench.answering PORT SECONDS``. Each call is answered after SECONDS by the loop's own timer, over
kept connections. The body's orders are counted at the moment of the answer: what is measured of any app is what arrived
here. The strict simulators judge payloads; this server only has to cost little, and to note moments.

* ``GET /calls``: how many calls were answered.
* ``GET /accepted/FIRST/ORDERS``: of so many orders from that number on, how many were accepted, summed over the
  providers.
* ``GET /moments/FIRST/ORDERS``: of the same, by provider and order, the moments of acceptance, in seconds of the
  machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httptools

Orders = Callable[[Any], list[str]]


def _of_spotler(body: Any) -> list[str]:
    return [str(each["orderid"]) for each in body.get("events", [body])]


def _of_seeka(body: Any) -> list[str]:
    return [str(each["ev"]["payload"]["commerce"]["orderIdentifier"]) for each in body["data"]]


#: How a call that reports orders begins, by provider, what it is answered with, and where its orders are named.
CALLS: dict[str, tuple[str, tuple[int, bytes], Orders]] = {
    "sprii": (
        "/processOrders",
        (200, b'{"success":true,"processed":1}'),
        lambda body: [str(each["id"]) for each in body["orders"]],
    ),
    "spotler": ("/track", (200, b'{"success":true}'), _of_spotler),
    "seeka": ("/ingest", (202, b""), _of_seeka),
    "gameball": (
        "/integrations/orders",
        (200, b'{"customerId":"1","redeemedPoints":0,"rewardedPoints":10,"lineItems":[]}'),
        lambda body: [str(body["orderId"])],
    ),
    "esputnik": (
        "/v1/orders",
        (200, b'{"failedOrders":[]}'),
        lambda body: [str(each["externalOrderId"]) for each in body["orders"]],
    ),
}


def _answer(status: int, body: bytes) -> bytes:
    kind = b"Content-Type: application/json\r\n" if body else b""
    return b"HTTP/1.1 %d OK\r\n%sContent-Length: %d\r\n\r\n%s" % (status, kind, len(body), body)


UNKNOWN = _answer(404, b'{"error":"this server only takes orders"}')
ANSWERS = {name: _answer(*answer) for name, (_, answer, _) in CALLS.items()}


class Books:
    """What was accepted, and when."""

    def __init__(self) -> None:
        self._moments: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in CALLS}
        self._calls = 0

    def accept(self, provider: str, body: bytes, moment: float) -> None:
        for each in CALLS[provider][2](json.loads(body)):
            self._moments[provider][each].append(moment)
        self._calls += 1

    def tell(self, path: str) -> Any:
        """The answer to one of the questions above."""
        match path.split("/"):
            case ["", "calls"]:
                return self._calls
            case ["", "accepted", first, orders]:
                return sum(len(found) for found in self._found(int(first), int(orders)).values())
            case ["", "moments", first, orders]:
                return self._found(int(first), int(orders))
        return None

    def _found(self, first: int, orders: int) -> dict[str, dict[str, list[float]]]:
        numbers = [str(each) for each in range(first, first + orders)]
        return {name: {each: at[each] for each in numbers if each in at} for name, at in self._moments.items()}


class Connection(asyncio.Protocol):
    def __init__(self, books: Books, seconds: float) -> None:
        self._books = books
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # what the parser calls

    def on_message_begin(self) -> None:
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path = url.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        keep = self._parser.should_keep_alive()
        provider = self._path.split("/", 2)[1]
        if provider not in CALLS:
            self._send(_answer(200, json.dumps(self._books.tell(self._path)).encode()), keep)
        elif self._path.endswith(CALLS[provider][0]):
            self._loop.call_later(self._seconds, self._accept, provider, self._body, keep)
        else:
            self._send(UNKNOWN, keep)

    def _accept(self, provider: str, body: bytes, keep: bool) -> None:
        if not self._transport.is_closing():
            self._books.accept(provider, body, self._loop.time())
            self._send(ANSWERS[provider], keep)

    def _send(self, answer: bytes, keep: bool) -> None:
        self._transport.write(answer)
        if not keep:
            self._transport.close()


async def serve(port: int, seconds: float) -> None:
    books = Books()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(books, seconds), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
