"""Bodies: persons in webhooks as platforms send them, by the platforms' own names of fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from app.services.packing import decompress
from app.services.persons import Person, same_phone
from connectors import people

#: What identifies by itself, and what does so only beside it.
_STRONG_RAW = frozenset(
    {
        "email",
        "contact_email",
        "phone",
        "sms_marketing_phone",
        "address1",
        "address2",
        "address_1",
        "address_2",
        "browser_ip",
        "customer_ip_address",
        "order_key",
    }
)
_WEAK_RAW = frozenset({"first_name", "last_name", "company", "zip", "postcode"})
_PEOPLE_RAW = frozenset(
    {"customer", "billing", "shipping", "billing_address", "shipping_address", "default_address", "destination"}
)


def read(packed: bytes) -> Any:
    """A stored body as JSON; None for what is none."""
    try:
        return json.loads(decompress(packed))
    except (ValueError, RecursionError):
        return None


def shown_by(body: Any) -> tuple[set[str], set[str]]:
    """What identifies a person in a body as it came: what does by itself, and what only beside it."""
    strong: set[str] = set()
    weak: set[str] = set()
    for place, name, text in _leaves(body, ""):
        if name in _STRONG_RAW or (name == "name" and place in _PEOPLE_RAW):
            strong.add(text)
        elif name in _WEAK_RAW:
            weak.add(text)
        elif name == "customer_id" or (name == "id" and place == "customer"):
            strong.add(text)
    return {each for each in strong if each.strip()}, {each for each in weak if each.strip()}


def mentions(person: Person, body: Any) -> bool:
    """Whether a body as it came is about the person."""
    for place, name, text in _leaves(body, ""):
        if name == "customer_id" or (name == "id" and place == "customer"):
            if text in person.ids:
                return True
        elif "phone" in name:
            if any(same_phone(text, phone) for phone in person.phones):
                return True
        elif "@" in text and people.email(text) in person.emails:
            return True
    return False


def _leaves(value: Any, place: str, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Texts and numbers with their names and the names of the objects that hold them."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, name or place, key)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, place, name)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield place, name, str(value)
