"""A database that has seen much: finished webhooks, events and deliveries, for the benches on SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path


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
