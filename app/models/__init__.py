"""The tables. Importing this package registers all of them."""

from __future__ import annotations

from app.models.account import Account, AuditEntry, Membership, SignIn, SignInLink, SpentLink
from app.models.alert import Alert, AlertAddress, AlertLink
from app.models.connection import ConnectAttempt, Connection, ConnectionState, Export, LinkKey, Receipt
from app.models.delivery import Attempt, Delivery, DeliveryState, Tally
from app.models.event import Event, EventState, HourlyAnswers, Ledger, Pruning, Webhook, WebhookState
from app.models.gate import Gate
from app.models.shop import Destination, Endpoint, MappingVersion, Mode, Shop

__all__ = [
    "Account",
    "Alert",
    "AlertAddress",
    "AlertLink",
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
    "Gate",
    "HourlyAnswers",
    "Ledger",
    "LinkKey",
    "MappingVersion",
    "Membership",
    "Mode",
    "Pruning",
    "Receipt",
    "Shop",
    "SignIn",
    "SignInLink",
    "SpentLink",
    "Tally",
    "Webhook",
    "WebhookState",
]
