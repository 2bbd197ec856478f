"""Counters for operators. Never a shop, an order or a person as a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

WEBHOOKS = Counter("tillwire_webhooks", "Webhooks by answer", ("platform", "topic", "result"), registry=REGISTRY)
WEBHOOK_SECONDS = Histogram(
    "tillwire_webhook_seconds",
    "Time to answer a webhook",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
EVENTS = Counter("tillwire_events", "Events understood", ("kind",), registry=REGISTRY)
DELIVERIES = Counter(
    "tillwire_deliveries", "Deliveries by the state they reached", ("provider", "state"), registry=REGISTRY
)
DELIVERY_SECONDS = Histogram(
    "tillwire_delivery_seconds",
    "From webhook stored to accepted by the provider",
    ("provider",),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600, 86400),
    registry=REGISTRY,
)
BACKLOG = Gauge("tillwire_backlog", "Deliveries not finished", ("provider", "state"), registry=REGISTRY)
OLDEST = Gauge(
    "tillwire_oldest_pending_seconds", "Age of the oldest pending delivery", ("provider",), registry=REGISTRY
)
UNREAD = Gauge("tillwire_oldest_unread_seconds", "Age of the oldest webhook that no worker has read", registry=REGISTRY)
STORE_LAG = Histogram(
    "tillwire_store_lag_seconds",
    "From the shop's own time of a change to our storing it",
    ("platform",),
    buckets=(1, 5, 30, 60, 300, 1800, 3600, 21600, 86400),
    registry=REGISTRY,
)
CONNECTS = Counter("tillwire_connects", "Steps of connecting stores", ("platform", "result"), registry=REGISTRY)
REFUSED = Counter("tillwire_refused", "Requests refused, by route", ("route", "reason"), registry=REGISTRY)
