"""How orders are found by what is in them, without opening them all."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from connectors.events import LIVE_NUMBER

Facts = dict[str, Any]

LONGEST = 255  #: characters of a number by which an order is found: PostgreSQL puts no long ones into an index


def person(shop_id: int, email: str) -> str:
    """What stands for a buyer's address in a ledger: enough to find it again, and another in each shop."""
    return hashlib.sha256(f"{shop_id}:{email.strip().casefold()}".encode()).hexdigest()


class Columns(NamedTuple):
    """The columns of a ledger by which an order is found."""

    number: str | None = None
    sprii: str | None = None
    person: str | None = None


def columns(shop_id: int, order: Facts) -> Columns:
    """What ``order`` is found by."""
    email = order.get("email")
    return Columns(
        number=(order.get("number") or "")[:LONGEST] or None,
        sprii=(order.get(LIVE_NUMBER) or {}).get("value"),
        person=person(shop_id, email) if email else None,
    )
