"""Arithmetic of the golden rules: do a payload's amounts agree with each other?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from app.providers.marks import mark

ZERO = Decimal(0)
CENT = Decimal("0.01")
DIGITS = 30  #: before the point; a number of more is nonsense, and its products would be none


def amount(value: Any) -> Decimal:
    """A payload's number, or a fact's decimal text, as it reads; nothing and nonsense are 0."""
    try:
        number = Decimal(str(value if value is not None else 0))
    except InvalidOperation:
        return ZERO
    return number if number.is_finite() and number.adjusted() < DIGITS else ZERO


def goods(lines: Iterable[Mapping[str, Any]], price: str) -> Decimal:
    """The sum of price times quantity."""
    return sum((amount(line.get(price)) * amount(line.get("quantity")) for line in lines), ZERO)


def beside_products(order: Mapping[str, Any]) -> Decimal:
    """What an order's total holds besides products and shipping: surcharges, less discounts that stand on no line."""
    lines = order.get("lines", [])
    surcharges = sum((amount(each.get("total_gross")) for each in lines if each.get("kind") != "product"), ZERO)
    return surcharges - amount(order.get("unassigned_discount"))


def rounding(lines: Iterable[Mapping[str, Any]], *, places: int = 2) -> Decimal:
    """How far such a sum may be off because each unit's price is rounded; never less than a cent."""
    units = sum((abs(amount(line.get("quantity"))) for line in lines), ZERO)
    return max(CENT, units * Decimal(5).scaleb(-places - 1) + CENT / 2)


def apart(what: str, left: Decimal, right: Decimal, tolerance: Decimal) -> list[str]:
    """A complaint where the two differ by more than ``tolerance``."""
    if abs(left - right) <= tolerance:
        return []
    return [
        mark("{what}: {one} against {other}, {apart} apart.").format(
            what=what, one=_plain(left), other=_plain(right), apart=_plain(abs(left - right))
        )
    ]


def _plain(value: Decimal) -> str:
    return f"{value.quantize(CENT) if value == value.quantize(CENT) else value.normalize():f}"
