"""Serve and work until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from flask import Flask
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from app import factory
from app.collector import collect_seldom
from app.factory import Parts
from app.services.errors import Failed

log = logging.getLogger(__name__)

CONNECTIONS = 1000  #: at a time; further ones are answered 503
IDLE = 60  #: seconds that a connection is kept between two requests
TO_THE_END = 15  #: seconds for the requests under way when told to stop
LONGEST_HEAD = 64 * 1024  #: bytes of a request's headers
HEAD_SECONDS = 30.0  #: for them to arrive


def serve(parts: Parts, *, host: str, port: int, with_worker: bool, tell: Callable[[str, str], None]) -> None:
    """Serve web, and the embedded worker with it, until SIGINT or SIGTERM.

    Args:
        tell: called with the address and a greeting once it can be reached.
    """
    worker = factory.create_worker(parts) if with_worker else None
    app = factory.create_app(parts, worker)
    bound = _listen(host, port)
    server = _Server(_config(app), worker.stop if worker else lambda: None)
    _stop_on_signals()
    collect_seldom()
    if worker:
        worker.start()
    url = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}"
    tell(url, _greeting(parts, url))
    try:
        server.run([bound])
    finally:
        bound.close()
        app.extensions["intake"].close()
        app.extensions["receiver"].close()
        app.extensions["link_sender"].close()
        app.extensions["shopify"].close()
        if worker:
            worker.stop()
    log.info("stopped")


class _Server(uvicorn.Server):
    """While it waits for the requests under way, the worker's calls come back too."""

    def __init__(self, config: uvicorn.Config, stop_worker: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop_worker = stop_worker

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        threading.Thread(target=self._stop_worker, name="worker end", daemon=True).start()
        await super().shutdown(sockets)


def _config(app: Flask) -> uvicorn.Config:
    return uvicorn.Config(
        factory.create_front(app),
        http=_Guarded,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("Server", "Tillwire")],
        # They tell that a proxy is in front of us, which /metrics has to know; nothing else believes them.
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        backlog=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=TO_THE_END,
    )


class _Joined:
    """A transport that sends what is written in one go of the event loop as one packet: a status and its few bytes."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))


class _Guarded(HttpToolsProtocol):
    """uvicorn leaves it to a proxy to bound the headers of a request, and the time that they take."""

    _head = 0  #: bytes since the last request ended, while headers are awaited
    _awaited = True
    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport, self.loop))  # type: ignore[arg-type]
        self._alarm = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._awaited:
            if self._head > LONGEST_HEAD:
                self.transport.close()
                return
            self._head += len(data)
            if self._alarm is None:
                self._alarm = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._awaited, self._head = False, 0
        self._calm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaited = True
        super().on_message_complete()

    def _calm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # asyncio switches Nagle's delay off only where the socket says that it is TCP.
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(CONNECTIONS)
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Failed(f"HOST {host}, PORT {port} cannot be had ({reason}): choose others") from None
    return bound


def work(parts: Parts, *, host: str, port: int | None, tell: Callable[[str], None]) -> None:
    """Work until SIGINT or SIGTERM.

    Args:
        port: where to tell how it is doing; None: nowhere.
    """
    worker = factory.create_worker(parts)
    watched = _watched(parts, host, port) if port is not None else None
    _stop_on_signals()
    collect_seldom()
    worker.start()
    tell(f"http://{host}:{watched.server_port}" if watched else "")
    try:
        _wait_for_signal()
    finally:
        worker.stop()
        if watched:
            watched.shutdown()
            watched.server_close()


def _watched(parts: Parts, host: str, port: int) -> BaseWSGIServer:
    """Answers whoever watches a worker, and nobody else: a few requests a minute, from the operator's own network."""
    try:
        server = make_server(host, port, factory.create_watch(parts), threaded=True, request_handler=_Silent)
    except (OSError, SystemExit) as error:
        reason = getattr(error, "strerror", None) or "taken"
        raise Failed(f"HOST {host}, --port {port} cannot be had ({reason}): choose others") from None
    threading.Thread(target=server.serve_forever, name="watch", daemon=True).start()
    return server


class _Silent(WSGIRequestHandler):
    timeout = 10.0  # seconds for a request to arrive

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing of a request is written."""


def _wait_for_signal() -> None:
    """A signal may reach any thread; its handler runs in this one, which has to wake up for that."""
    ours, pythons = socket.socketpair()
    with ours, pythons:
        pythons.setblocking(False)
        before = signal.set_wakeup_fd(pythons.fileno())
        try:
            while True:
                ours.recv(1)
        finally:
            signal.set_wakeup_fd(before)


def _stop_on_signals() -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: None)  # the end is under way; another signal would cut it short
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _greeting(parts: Parts, url: str) -> str:
    shopify = "ready" if parts.config.shopify_secrets else "not configured (set SHOPIFY_API_SECRET)"
    return "\n".join(
        [
            f"Tillwire serves on {url} (Ctrl-C stops it)",
            f"  Shopify webhooks:  {shopify}",
            "  WooCommerce store: tillwire shops add woocommerce URL, then tillwire webhooks add SHOP order.updated",
            "  Try it:            make demo",
        ]
    )
