"""Serve and work until told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

import click
import waitress

from app import factory
from app.factory import Parts

log = logging.getLogger(__name__)

THREADS = 16  #: requests at a time; each waits for a shared commit, so more than cores


def serve(parts: Parts, *, host: str, port: int, with_worker: bool) -> None:
    """Serve web, and the embedded worker with it, until SIGINT or SIGTERM."""
    worker = factory.create_worker(parts) if with_worker else None
    app = factory.create_app(parts, worker)
    server = waitress.create_server(
        app,
        host=host,
        port=port,
        threads=THREADS,
        ident="Tillwire",
        max_request_body_size=parts.config.max_webhook_bytes + 1,
        channel_timeout=60,
        # A form or multipart body is not ours to read; large bodies go to a file instead of memory.
        inbuf_overflow=1024 * 1024,
    )
    _stop_on_signals()
    if worker:
        worker.start()
    click.echo(_greeting(parts, host, server.effective_port))
    try:
        server.run()
    finally:
        server.close()
        app.extensions["intake"].close()
        if worker:
            worker.stop()
    log.info("stopped")


def work(parts: Parts) -> None:
    """Work until SIGINT or SIGTERM."""
    worker = factory.create_worker(parts)
    _stop_on_signals()
    worker.start()
    try:
        threading.Event().wait()
    finally:
        worker.stop()


def _stop_on_signals() -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _greeting(parts: Parts, host: str, port: int) -> str:
    shopify = "ready" if parts.config.shopify_secrets else "not configured (set SHOPIFY_API_SECRET)"
    return "\n".join(
        [
            f"Tillwire serves on http://{host}:{port} (Ctrl-C stops it)",
            f"  Shopify webhooks:  {shopify}",
            "  WooCommerce store: tillwire shops add woocommerce URL, then tillwire webhooks add SHOP order.updated",
            "  Try it:            make demo",
        ]
    )
