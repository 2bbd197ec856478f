"""``deliver``: from webhook to acceptance at five simulated providers; ``memory``: what the process holds."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import requests

from app.demo import CREDENTIALS
from app.models import Mode
from app.providers.registry import PROVIDERS
from app.services import configure
from bench import machine, orders
from bench.load import DOMAIN, signature

ORDERS = 600
SENDERS = 4


def run(*, events: int = 0) -> dict[str, Any]:
    """Figures of one run; with ``events`` stored events already there."""
    with tempfile.TemporaryDirectory(prefix="tillwire-bench-") as folder:
        simulated, port = machine.free_port(), machine.free_port()
        urls = {f"{name.upper()}_API_URL": f"http://127.0.0.1:{simulated}/{name}" for name in PROVIDERS}
        settings = machine.environment(Path(folder), ALLOW_PRIVATE_NETWORKS="1", LIMIT_FACTOR="1000", **urls)
        _merchant(settings)
        if events:
            fill(Path(folder) / "tillwire.db", events)
        command = ["-m", "app.cli", "simulate", "providers", "--port", str(simulated), "--limit-factor", "1000"]
        with (
            machine.running(command, f"http://127.0.0.1:{simulated}/_sim/violations"),
            machine.running(machine.tillwire(port), f"http://127.0.0.1:{port}/readyz", settings) as server,
        ):
            time.sleep(1.0)
            rest = machine.resident(server)
            seconds = _send(f"http://127.0.0.1:{port}/webhooks/shopify", Path(folder) / "tillwire.db", events)
            figures = _figures(Path(folder) / "tillwire.db", seconds, events)
            violations = requests.get(f"http://127.0.0.1:{simulated}/_sim/violations", timeout=10).json()
            return {
                **figures,
                "memory_at_rest_mib": rest,
                "memory_under_load_mib": machine.resident(server),
                "violations": len(violations.get("violations", violations)),
            }


def _merchant(settings: dict[str, str]) -> None:
    with machine.opened(settings) as parts, parts.db.write() as session:
        shop = configure.add_shop(session, "shopify", DOMAIN)
        for name, values in CREDENTIALS.items():
            configure.set_destination(session, parts.vault, parts.router, shop, PROVIDERS[name], values, mode=Mode.LIVE)


def _send(url: str, database: Path, filled: int) -> float:
    """Send all orders and wait until nothing is open; return the seconds from the first to the last acceptance."""
    numbers = iter(range(1, ORDERS + 1))
    lock = threading.Lock()

    def sender() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                raw = orders.shopify(number)
                headers = {
                    "X-Shopify-Topic": "orders/paid",
                    "X-Shopify-Shop-Domain": DOMAIN,
                    "X-Shopify-Webhook-Id": str(number),
                    "X-Shopify-Hmac-Sha256": signature(raw),
                    "Content-Type": "application/json",
                }
                session.post(url, data=raw, headers=headers, timeout=30).raise_for_status()

    started = time.perf_counter()
    threads = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while _count(database, "state IN ('pending', 'retrying')") or _count(
        database, f"id > {int(filled)}"
    ) < ORDERS * len(PROVIDERS):
        if time.perf_counter() - started > 300:
            raise RuntimeError("not everything was delivered within five minutes")
        time.sleep(0.05)
    return time.perf_counter() - started


def _count(database: Path, where: str) -> int:
    connection = sqlite3.connect(database, timeout=30)
    try:
        return int(connection.execute(f"SELECT count(*) FROM deliveries WHERE {where}").fetchone()[0])
    finally:
        connection.close()


def _figures(database: Path, seconds: float, filled: int) -> dict[str, Any]:
    connection = sqlite3.connect(database, timeout=30)
    waits = sorted(
        each[0] * 86_400_000
        for each in connection.execute(
            "SELECT julianday(d.delivered_at) - julianday(e.received_at)"
            " FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.state = 'delivered' AND d.id > ?",
            (filled,),
        )
    )
    connection.close()
    return {
        "deliveries_per_second": len(waits) / seconds,
        "delivered": len(waits),
        "p50_ms_from_receipt": waits[len(waits) // 2],
        "p99_ms_from_receipt": waits[int(len(waits) * 0.99)],
    }


def fill(database: Path, events: int) -> None:
    """Put ``events`` finished webhooks, events and deliveries into a database, by copying what one order left."""
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("PRAGMA synchronous=OFF")
    rows = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {int(events)})"
    at = "'2026-03-02 09:15:30.000000'"
    connection.execute(
        f"INSERT INTO webhooks (platform, shop_id, dedup_key, topic, headers, body, body_hash, received_at, state)"
        f" {rows} SELECT 'shopify', 1, 'filled:' || i, 'orders/paid', '{{}}', randomblob(900), hex(randomblob(32)),"
        f" {at}, 'done' FROM n"
    )
    connection.execute(
        f"INSERT INTO events (shop_id, webhook_id, kind, subject, dedup_key, occurred_at, received_at, state, facts)"
        f" SELECT 1, id, 'order.paid', 'filled-' || id, 'filled:' || id, {at}, {at}, 'understood', randomblob(900)"
        f" FROM webhooks"
    )
    connection.execute(
        f"INSERT INTO deliveries (shop_id, destination_id, event_id, provider, rule, action, subject, lane, state,"
        f" attempts, due_at, since, doubt, created_at, delivered_at)"
        f" SELECT 1, 1 + id % 5, id, 'sprii', 'order', 'process_orders', subject, subject, 'delivered',"
        f" 1, {at}, {at}, 0, {at}, {at} FROM events"
    )
    connection.commit()
    connection.close()
