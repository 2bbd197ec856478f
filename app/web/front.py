"""What a server with an event loop calls: it answers webhooks itself, and hands every other request to Flask.

A webhook mostly waits for a commit that it shares with others. A task of an event loop does so at a third of what a
thread of Flask's costs. The answers are those of `app.web.webhooks`, which can serve the
same routes within Flask, and does wherever something is out of the ordinary: another method, a body over the limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask

from app import ids
from app.services.brake import Brake
from app.services.receive import QUICK, Receiver
from app.web import refusals
from app.web.webhooks import REFUSALS, Told

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

THREADS = 32  #: of Flask: pages read the database, and some wait for a store
SECONDS = 60.0  #: for a whole body to arrive
MOST_HELD = 256 * 1024 * 1024  #: bytes of bodies in memory at a time, of all requests together

_ROUTE = re.compile(r"/webhooks/(?:shopify|woocommerce/([^/]+))")
_ENDPOINTS = {True: "webhooks.shopify", False: "webhooks.woocommerce"}


class TooMuch(Exception):
    """All bodies together take more memory than they may."""


class Gone(Exception):
    """The client hung up, or sends too slowly."""


class Front:
    """An ASGI application around a Flask one."""

    def __init__(self, app: Flask) -> None:
        self._receiver: Receiver = app.extensions["receiver"]
        self._brake: Brake = app.extensions["brake"]
        self._longest: int = app.config["MAX_CONTENT_LENGTH"]
        self._flask: Any = WSGIMiddleware(app.wsgi_app, workers=THREADS)  # type: ignore[arg-type]
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        ids.note(request=ids.request())  # each request is a task of its own
        body = bytearray()
        try:
            # What says itself that it is far over is not waited for.
            whole = _announced(scope["headers"]) <= 3 * self._longest and await self._read(body, receive)
            route = _ROUTE.fullmatch(scope["path"]) if whole and scope["method"] == "POST" else None
            if route:
                await self._answer(route[1], scope["headers"], bytes(body), send)
            else:
                await self._hand_over(scope, bytes(body) if whole else None, send)
        except TooMuch:
            if route := _ROUTE.fullmatch(scope["path"]):
                busy = Told(route[1], _texts(scope["headers"]), b"")
                busy.result, busy.status = "busy", 503
                busy.count()
            await _say(send, 503, b'{"status":"busy"}\n', {"Retry-After": "30", "Connection": "close"})
        except Gone:
            await _say(send, 408, b'{"status":"request timeout"}\n', {"Connection": "close"})
        finally:
            self._held -= len(body)

    async def _read(self, body: bytearray, receive: Receive) -> bool:
        """Read the request's body, and return whether it is no longer than allowed. What is over is thrown away.

        As much again is read before the answer: who is cut off while sending does not get to see it.
        """
        over = 0
        message = await receive()
        if message.get("more_body"):
            try:
                async with asyncio.timeout(SECONDS):
                    while True:
                        part = message.get("body", b"")
                        if over or len(body) + len(part) > self._longest:
                            over += len(part)
                        else:
                            self._keep(body, part)
                        if message["type"] == "http.disconnect":
                            raise Gone
                        if not message.get("more_body") or over > 2 * self._longest:
                            return not over
                        message = await receive()
            except TimeoutError:
                raise Gone from None
        if message["type"] == "http.disconnect":
            raise Gone
        self._keep(body, message.get("body", b""))
        return len(body) <= self._longest

    def _keep(self, body: bytearray, part: bytes) -> None:
        if self._held + len(part) > MOST_HELD:
            raise TooMuch
        self._held += len(part)
        body += part

    async def _answer(self, token: str | None, headers: Headers, body: bytes, send: Send) -> None:
        told = Told(token, _texts(headers), body)
        shop_id = None
        try:
            told.result, shop_id = await self._receiver.received(token, told.headers, body)
        except REFUSALS as error:
            told.refuse(error)
            refusals.tally(_ENDPOINTS[token is None], told.status)
        seconds = told.count()
        if shop_id is not None and len(body) <= QUICK:  # a larger one would take much memory meanwhile
            await self._brake.hold(shop_id, seconds)
        await _say(send, told.status, told.body, told.answer_headers)

    async def _hand_over(self, scope: Scope, body: bytes | None, send: Send) -> None:
        """Let Flask answer. Its thread never waits for a slow client: the body is here.

        Args:
            body: None where it is too long; Flask refuses it by its length.
        """
        length = self._longest + 1 if body is None else len(body)
        headers = [(name, value) for name, value in scope["headers"] if _passed_on(name)]
        if length or scope["method"] in {"POST", "PUT", "PATCH"}:
            headers.append((b"content-length", str(length).encode()))

        async def given() -> Message:
            return {"type": "http.request", "body": body or b"", "more_body": False}

        async def sent(message: Message) -> None:
            if body is None and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._flask({**scope, "headers": headers}, given, sent)


def _announced(headers: Headers) -> int:
    """The length that a request says it has; 0 where it does not say."""
    given = next((value for name, value in headers if name == b"content-length"), b"")
    return int(given) if given.isdigit() else 0


def _passed_on(name: bytes) -> bool:
    """A name with ``_`` would reach Flask under the name of another header, such as those that our proxies set."""
    return b"_" not in name and name not in {b"content-length", b"transfer-encoding"}


def _texts(headers: Headers) -> dict[str, str]:
    """Names are lower-cased already. Of a header that comes twice the values stand side by side, as WSGI has it."""
    found: dict[str, str] = {}
    for name, value in headers:
        if key := _key(name):
            text = value.decode("latin-1")
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


@lru_cache(256)
def _key(name: bytes) -> str:
    """Stores send the same few again and again. Empty: it is not passed on."""
    return name.decode("latin-1") if _passed_on(name) else ""


async def _say(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    await send({"type": "http.response.start", "status": status, "headers": _bytes(*given.items())})
    await send({"type": "http.response.body", "body": body})


@lru_cache(64)
def _bytes(*headers: tuple[str, str]) -> Headers:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
