"""Where an order stands, in eSputnik's few words: worked out from its newest facts, never from the event's name.

A late "placed" would otherwise set a delivered order back, for eSputnik simply overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.providers.base import Facts, Settings
from app.providers.choices import DERIVED as SHARED
from app.providers.choices import order_of
from app.providers.esputnik_settings import STATUS_MAP
from app.providers.money import amount

DELETED, PLACED = "order.deleted", "order.placed"


def status_map(settings: Settings) -> Mapping[str, str]:
    """The merchant's table over ours, by words in lower case."""
    own = settings.get("status_map") or {}
    if own == STATUS_MAP:
        return STATUS_MAP
    return {**STATUS_MAP, **{str(word).lower(): str(status).upper() for word, status in own.items()}}


def state(facts: Facts, settings: Settings) -> str | None:
    """A word of the table: what overrides everything, then the shop's own word, then what is known of the order."""
    order = order_of(facts)
    if not order:
        return None
    if _kind(facts) == DELETED or (order.get("trashed") and settings.get("cancel_trashed")):
        return "trash"
    word = str(order.get("status") or "").lower()
    if order.get("cancelled"):
        return word if word in status_map(settings) and word != "trash" else "cancelled"
    if order.get("refunded_in_full"):
        return "refunded"
    if order.get("fulfilment_status") == "restocked":  # nothing of it will be served, whatever was paid
        return "cancelled"
    if settings.get("delivered_when") == "paid" and order.get("paid"):
        return "fulfilled"
    if word in status_map(settings) and word != "trash":
        return word
    if order.get("fulfilment_status") == "full":
        return "fulfilled"
    if order.get("fulfilment_status") == "partial":
        return "partly_fulfilled"
    return "paid" if order.get("paid") else "unpaid"


def status(facts: Facts, settings: Settings) -> str | None:
    word = state(facts, settings)
    return status_map(settings).get(word, "INITIALIZED") if word else None


def status_note(facts: Facts, settings: Settings) -> str | None:
    """A few words for ``statusDescription``."""
    order, word = order_of(facts), state(facts, settings)
    if not word:
        return None
    refunded = amount(order.get("refunded"))
    if word == "trash":
        return "moved to the trash"
    if word == "cancelled":
        reason = str(order.get("cancel_reason") or "")
        return "cancelled by customer" if reason == "customer" else f"cancelled: {reason}" if reason else "cancelled"
    if word == "refunded":
        return "refunded"
    if refunded and _left(facts, settings) is not order:
        return f"partial refund {refunded:.2f} {order.get('currency')}"
    return None


def left(facts: Facts, settings: Settings) -> Mapping[str, Any]:
    """The amounts to send; see `_left`."""
    return _left(facts, settings)


def _left(facts: Facts, settings: Settings) -> Mapping[str, Any]:
    """What a partial refund leaves of the order. A cancelled order keeps its amounts, its status says the rest."""
    order, remaining = order_of(facts), facts.get("remaining")
    partly = not order.get("refunded_in_full") and amount(order.get("refunded")) > 0
    if partly and isinstance(remaining, Mapping) and settings.get("partial_refund") != "ignore":
        return remaining
    return order


def order_due(facts: Facts, settings: Settings) -> bool:
    return _kind(facts) != DELETED or bool(settings.get("cancel_trashed") and order_of(facts))


def order_event(facts: Facts, settings: Settings) -> str:
    """The event of the second route. The last two only change a known order's status."""
    if _kind(facts) == PLACED:
        return "orderCreated"
    return {"CANCELLED": "orderCancelled", "DELIVERED": "orderDelivered"}.get(
        str(status(facts, settings)), "orderUpdated"
    )


def source(facts: Facts, settings: Settings) -> str:
    return "offline" if order_of(facts).get("channel") == "pos" else "online"


def unwanted_guest(facts: Facts, settings: Settings) -> bool:
    return bool(order_of(facts)) and not order_of(facts).get("customer_id") and not settings.get("guest_orders", True)


def may_create_contact(facts: Facts, settings: Settings) -> bool:
    """From an order always, where orders go as events; else by the merchant's choice and the buyer's consent."""
    if order_of(facts):
        return settings.get("order_route") == "event" and order_due(facts, settings)
    if settings.get("create_contacts") == "always":
        return True
    return settings.get("create_contacts") == "with_consent" and _person(facts).get("accepts_marketing") is True


def _person(facts: Facts) -> Mapping[str, Any]:
    """Whatever of the event names a person: its order, checkout or cart."""
    return facts.get("order") or facts.get("checkout") or facts.get("cart") or {}


def channels(facts: Facts, settings: Settings) -> list[dict[str, str]] | None:
    """How the person can be reached, as eSputnik lists it; phone numbers without their plus."""
    person = _person(facts)
    found = [("email", str(person.get("email") or "")), ("sms", str(person.get("phone") or "").lstrip("+"))]
    return [{"type": kind, "value": value} for kind, value in found if value] or None


def language_code(facts: Facts, settings: Settings) -> str | None:
    """``nl`` of ``nl-NL``."""
    return str(_person(facts).get("locale") or "").replace("_", "-").partition("-")[0].lower() or None


def _kind(facts: Facts) -> Any:
    return (facts.get("event") or {}).get("kind")


DERIVED: Mapping[str, Callable[[Facts, Settings], Any]] = {
    "unwanted_test": SHARED["unwanted_test"],
    "unwanted_pos": SHARED["unwanted_pos"],
    "unwanted_guest": unwanted_guest,
    "order_due": order_due,
    "status": status,
    "status_note": status_note,
    "left": left,
    "order_event": order_event,
    "source": source,
    "may_create_contact": may_create_contact,
    "channels": channels,
    "language_code": language_code,
}
