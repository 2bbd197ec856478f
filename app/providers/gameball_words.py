"""What Gameball's mapping reads beside the settings: who the buyer is, and references to points and coupons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.providers.base import Facts, Settings
from app.providers.choices import DERIVED as SHARED
from app.providers.choices import order_of


def _buyer(facts: Facts) -> Mapping[str, Any]:
    """Whatever of the event names a person: its order, cart or checkout."""
    return facts.get("order") or facts.get("cart") or facts.get("checkout") or {}


def is_guest(facts: Facts, settings: Settings) -> bool:
    return not _buyer(facts).get("customer_id")


def unwanted_guest(facts: Facts, settings: Settings) -> bool:
    return is_guest(facts, settings) and not settings.get("send_guests", True)


def guest_id(facts: Facts, settings: Settings) -> str | None:
    """The id of somebody without an account: stable for a returning guest, and never equal to a shop's numbers."""
    email = str(_buyer(facts).get("email") or "").strip().lower()
    if not email:
        return None
    return email if settings.get("guest_ids") == "email" else f"{settings.get('guest_prefix') or 'guest:'}{email}"


def _attribute(setting: str) -> Callable[[Facts, Settings], str | None]:
    def read(facts: Facts, settings: Settings) -> str | None:
        wanted = str(settings.get(setting) or "").strip().lower()
        found = [
            str(each.get("value") or "").strip()
            for each in order_of(facts).get("attributes", [])
            if wanted and str(each.get("name") or "").strip().lower() == wanted
        ]
        return next((value for value in reversed(found) if value), None)

    return read


points_hold = _attribute("points_hold_attribute")
coupons_lock = _attribute("coupons_lock_attribute")

DERIVED: Mapping[str, Callable[[Facts, Settings], Any]] = {
    **SHARED,
    "unwanted_guest": unwanted_guest,
    "guest": is_guest,
    "guest_id": guest_id,
    "points_hold": points_hold,
    "coupons_lock": coupons_lock,
}
