"""The tables. Importing this package registers all of them."""

from __future__ import annotations

from app.models.delivery import Attempt, Delivery, DeliveryState
from app.models.event import Event, EventState, Ledger, Webhook, WebhookState
from app.models.shop import Destination, Endpoint, MappingVersion, Mode, Shop

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryState",
    "Destination",
    "Endpoint",
    "Event",
    "EventState",
    "Ledger",
    "MappingVersion",
    "Mode",
    "Shop",
    "Webhook",
    "WebhookState",
]
