"""``map``: orders a second from bytes to the payloads of all five providers, on one core."""

from __future__ import annotations

import cProfile
import io
import pstats
import statistics
import time
from typing import Any

from app.providers.registry import PROVIDERS
from bench import orders
from connectors.base import Names
from connectors.events import facts
from connectors.registry import CONNECTORS
from mappings import files

ROUNDS = 7
COUNT = 1000


def run() -> dict[str, Any]:
    bodies = [orders.shopify(number) for number in range(1, 201)]
    work = _work()
    for body in bodies:
        work(body)
    speeds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        payloads = sum(work(bodies[number % len(bodies)]) for number in range(COUNT))
        speeds.append(COUNT / (time.process_time() - started))
        if payloads != COUNT * len(PROVIDERS):
            raise AssertionError(f"{payloads} payloads for {COUNT} orders: the benchmark does not do what it says")
    return {
        "orders_per_second": statistics.median(speeds),
        "slowest_round": min(speeds),
        "fastest_round": max(speeds),
        "payloads_per_order": payloads / COUNT,
        "body_bytes": len(bodies[0]),
    }


def _work() -> Any:
    connector = CONNECTORS["shopify"]
    names = Names()
    mappings = {name: files.compile(files.load_default(name)) for name in PROVIDERS}
    settings = {name: provider.complete({}) for name, provider in PROVIDERS.items()}

    def work(body: bytes) -> int:
        seen = connector.observe("orders/paid", {}, body, names).seen
        order = facts(seen.order)  # type: ignore[union-attr]
        whole = {
            "event": {"kind": "order.paid", "id": "1", "occurred_at": "2026-03-02T09:15:30Z"},
            "shop": {"platform": "shopify", "domain": "bench.myshopify.com"},
            "order": order,
            "remaining": order,
        }
        made = 0
        for name, mapping in mappings.items():
            options = PROVIDERS[name].options(settings[name], whole)
            given = {**whole, "options": options}
            for rule in mapping.for_kind("order.paid"):
                if rule.applies(given) and isinstance(rule.render(given), dict):
                    made += 1
        return made

    return work


def profile(lines: int = 25) -> str:
    """Where the time goes."""
    work, body = _work(), orders.shopify(1)
    work(body)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(500):
        work(body)
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(lines)
    return text.getvalue()
