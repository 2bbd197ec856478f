"""How orders are found by what is in them, without opening them all."""

from __future__ import annotations

import hashlib
from typing import Any

Facts = dict[str, Any]


def person(shop_id: int, email: str) -> str:
    """What stands for a buyer's address in a ledger: enough to find it again, and another in each shop."""
    return hashlib.sha256(f"{shop_id}:{email.strip().casefold()}".encode()).hexdigest()


def marks(shop_id: int, order: Facts) -> dict[str, str | None]:
    """The columns of a ledger by which its order is found."""
    email = order.get("email")
    return {
        "number": order.get("number"),
        "sprii": (order.get("sprii") or {}).get("value"),
        "person": person(shop_id, email) if email else None,
    }
