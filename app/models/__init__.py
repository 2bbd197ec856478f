"""The tables. Importing this package registers all of them."""

from __future__ import annotations

from app.models.account import Account, AuditEntry, Membership, SignIn, SignInLink, SpentLink
from app.models.connection import ConnectAttempt, Connection, ConnectionState, Export, LinkKey, Receipt
from app.models.delivery import Attempt, Delivery, DeliveryState, Tally
from app.models.event import Event, EventState, Ledger, Webhook, WebhookState
from app.models.shop import Destination, Endpoint, MappingVersion, Mode, Shop

__all__ = [
    "Account",
    "Attempt",
    "AuditEntry",
    "ConnectAttempt",
    "Connection",
    "ConnectionState",
    "Delivery",
    "DeliveryState",
    "Destination",
    "Endpoint",
    "Event",
    "EventState",
    "Export",
    "Ledger",
    "LinkKey",
    "MappingVersion",
    "Membership",
    "Mode",
    "Receipt",
    "Shop",
    "SignIn",
    "SignInLink",
    "SpentLink",
    "Tally",
    "Webhook",
    "WebhookState",
]
