"""Words and amounts of the Admin API's GraphQL, made from those of the REST resources.

Source: shopify.dev/docs/api/admin-graphql (MoneyBag, MoneyV2, Decimal, DateTime).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.simulators.shopify_state import JSON


def utc(moment: str | None) -> str | None:
    return moment and datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(at: int) -> str:
    """Of seconds since 1970."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def upper(value: str | None) -> str | None:
    return value and value.upper()


def decimal_text(amount: Any) -> str:
    """ "745.00" is "745.0", and "0.125" stays."""
    plain = f"{Decimal(str(amount)).normalize():f}"
    return plain if "." in plain else f"{plain}.0"


def bag(both: JSON | None) -> JSON | None:
    """A ``*_set`` in GraphQL's words."""
    if both is None:
        return None
    return {
        f"{side}Money": {
            "amount": decimal_text(both[f"{side}_money"]["amount"]),
            "currencyCode": both[f"{side}_money"].get("currency_code") or both[f"{side}_money"]["currency"],
        }
        for side in ("shop", "presentment")
    }


def total(parts: Iterable[tuple[JSON, Decimal | int]], like: JSON) -> JSON:
    """The sum of ``*_set`` amounts, each times its factor; ``like`` gives the currencies."""
    listed = list(parts)
    sums: JSON = {}
    for side in ("shop_money", "presentment_money"):
        amount = sum((Decimal(str(each[side]["amount"])) * factor for each, factor in listed), Decimal(0))
        sums[side] = like[side] | {"amount": str(amount.quantize(Decimal("0.000001")).normalize() + 0)}
    return sums
