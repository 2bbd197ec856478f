"""``make demo``: Tillwire, the five simulated providers and a made-up shop on each platform, joined."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click
import requests

from app import factory
from app.config import read_config
from app.models import Mode
from app.providers.registry import PROVIDERS
from app.services import configure

DOMAIN = "tillwire-demo.myshopify.com"
STORE = "https://store.tillwire-demo.example"
TOPICS = ("order.created", "order.updated", "order.deleted", "order.restored", "cart.updated")
CREDENTIALS = {
    "sprii": {"api_key": "demo-key"},
    "spotler": {"account_id": "demo-account", "api_key": "demo-key", "send_carts": "yes"},
    "seeka": {"organisation_id": "demo-organisation", "public_key": "demo-key"},
    "gameball": {"api_key": "demo-key", "secret_key": "demo-secret"},
    "esputnik": {"api_key": "demo-key", "create_contacts": "always"},  # nobody there is real
}


def run(*, host: str, port: int, tell: Callable[[dict[str, str], str], None], var: Path = Path("var/demo")) -> None:
    """Run all of it until SIGINT or SIGTERM.

    Args:
        tell: called with the addresses and a greeting once everything runs.
    """
    _claim(host, port)
    shutil.rmtree(var, ignore_errors=True)
    environment = {**os.environ, **_settings(var, _free_port())}
    _stop_on_signals()
    with ExitStack() as stack:
        simulated = environment["SPRII_API_URL"].rsplit(":", 1)[1].partition("/")[0]
        _start(stack, environment, "simulate", "providers", "--port", simulated)
        endpoints = _merchant(environment)
        server = _start(stack, environment, "serve", "--host", host, "--port", str(port))
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104 - read, not bound
        _wait(f"{url}/readyz", server)
        shared = ("--url", url, "--rate", "3")
        _start(stack, environment, "simulate", "shop", "shopify", "--domain", DOMAIN, *shared)
        places = [f"--webhook={topic}={path},{secret}" for topic, (path, secret) in endpoints.items()]
        _start(stack, environment, "simulate", "shop", "woocommerce", *shared, *places)
        addresses = {
            "url": url,
            "simulators": f"http://127.0.0.1:{simulated}",
            "database": environment["DATABASE_URL"],
        }
        tell(addresses, _greeting(**addresses))
        if server.wait():
            raise click.ClickException("the server ended; its own words stand above")


def _claim(host: str, port: int) -> None:
    """Refuse an address at which somebody else answers: the made-up shops would send there."""
    if not port:
        raise click.UsageError("the demo needs a port of its own: choose one above 0 with --port")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise click.ClickException(
                f"HOST {host}, PORT {port} cannot be had ({error.strerror}): choose others"
            ) from None


def _settings(var: Path, port: int) -> dict[str, str]:
    var.mkdir(parents=True, mode=0o700)
    simulated = {f"{name.upper()}_API_URL": f"http://127.0.0.1:{port}/{name}" for name in PROVIDERS}
    return {
        **simulated,
        "ENV": "development",
        "DATABASE_URL": f"sqlite:///{(var / 'tillwire.db').resolve()}",
        "ALLOW_PRIVATE_NETWORKS": "1",
        "SHOPIFY_API_SECRET": secrets.token_hex(16),
    }


def _merchant(environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Register both shops with all providers live; return the places of the WooCommerce webhooks."""
    parts = factory.create_parts(read_config(environment))
    try:
        parts.db.migrate()
        with parts.db.write() as session:
            shopify = configure.add_shop(session, "shopify", DOMAIN)
            store = configure.add_shop(session, "woocommerce", STORE)
            for shop in (shopify, store):
                for name, values in CREDENTIALS.items():
                    configure.set_destination(
                        session, parts.vault, parts.router, shop, PROVIDERS[name], values, mode=Mode.LIVE
                    )
            return {topic: configure.add_endpoint(session, parts.vault, store, topic, None) for topic in TOPICS}
    finally:
        parts.db.close()


def _start(stack: ExitStack, environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.cli", *arguments]
    # Its greeting is not for here; its complaints on standard error are.
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - our own commands
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, server: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise click.ClickException("the server did not start; its own words stand above")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _stop_on_signals() -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: None)  # the end is under way; another signal would leave processes behind
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _greeting(url: str, simulators: str, database: str) -> str:
    return "\n".join(
        [
            "",
            f"Demo: open {url} (renews itself). Two made-up shops are sending; Ctrl-C ends everything.",
            f"  What a provider received:  {simulators}/_sim/gameball/state",
            f"  What became of the orders: DATABASE_URL={database} .venv/bin/tillwire deliveries list --limit 20",
            "",
        ]
    )
