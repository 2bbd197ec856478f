"""How orders are found by what is in them, without opening them all."""

from __future__ import annotations

import hashlib
from typing import Any

from app.models import Ledger
from connectors.events import LIVE_NUMBER

Facts = dict[str, Any]


def person(shop_id: int, email: str) -> str:
    """What stands for a buyer's address in a ledger: enough to find it again, and another in each shop."""
    return hashlib.sha256(f"{shop_id}:{email.strip().casefold()}".encode()).hexdigest()


def mark(row: Ledger, order: Facts) -> None:
    """Set the columns by which ``order`` is found."""
    email = order.get("email")
    row.number = order.get("number")
    row.sprii = (order.get(LIVE_NUMBER) or {}).get("value")
    row.person = person(row.shop_id, email) if email else None
