"""Serve and work until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from flask import Flask
from waitress.server import create_server

from app import factory
from app.factory import Parts
from app.services.errors import Failed

log = logging.getLogger(__name__)

THREADS = 32  #: requests at a time; each waits for a shared commit, so more than cores


def serve(parts: Parts, *, host: str, port: int, with_worker: bool, tell: Callable[[str, str], None]) -> None:
    """Serve web, and the embedded worker with it, until SIGINT or SIGTERM.

    Args:
        tell: called with the address and a greeting once it can be reached.
    """
    worker = factory.create_worker(parts) if with_worker else None
    app = factory.create_app(parts, worker)
    server = _listen(parts, app, host, port)
    _stop_on_signals()
    if worker:
        worker.start()
    url = f"http://{f'[{host}]' if ':' in host else host}:{server.effective_port}"
    tell(url, _greeting(parts, url))
    try:
        server.run()
    finally:
        server.close()
        app.extensions["intake"].close()
        app.extensions["link_sender"].close()
        app.extensions["shopify"].close()
        if worker:
            worker.stop()
    log.info("stopped")


def _listen(parts: Parts, app: Flask, host: str, port: int) -> Any:
    arguments: dict[str, Any] = {
        "host": host,
        "port": port,
        "threads": THREADS,
        "ident": "Tillwire",
        # The app refuses what is too long; waitress counts the frames of chunks too, and only guards the disk.
        "max_request_body_size": parts.config.max_webhook_bytes * 9 // 8 + 65536,
        "channel_timeout": 60,
        # A form or multipart body is not ours to read; large bodies go to a file instead of memory.
        "inbuf_overflow": 1024 * 1024,
        # They tell that a proxy is in front of us, which /metrics has to know; nothing else believes them.
        "clear_untrusted_proxy_headers": False,
    }
    try:
        return create_server(app, **arguments)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Failed(f"HOST {host}, PORT {port} cannot be had ({reason}): choose others") from None


def work(parts: Parts, *, tell: Callable[[str], None]) -> None:
    """Work until SIGINT or SIGTERM."""
    worker = factory.create_worker(parts)
    _stop_on_signals()
    worker.start()
    tell("Tillwire works (Ctrl-C stops it)")
    try:
        threading.Event().wait()
    finally:
        worker.stop()


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
