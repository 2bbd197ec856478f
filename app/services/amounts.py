"""What refunds leave of an order, and what a reversal takes back: pure arithmetic on facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connectors.events import decimal_text

Facts = dict[str, Any]
ZERO = Decimal(0)
SIX = Decimal("0.000001")

#: Amounts of a whole line; they shrink with its quantity. Unit amounts do not.
_LINE_SUMS = ("discount", "discount_net", "discount_gross", "tax", "total_net", "total_gross")
_UNIT_SUMS = ("unit_price", "unit_net", "unit_gross", "unit_net_paid", "unit_gross_paid")


def amount(value: Any) -> Decimal:
    return Decimal(value) if value is not None else ZERO


def text(value: Decimal) -> str:
    return decimal_text(value.quantize(SIX, ROUND_HALF_UP))


def remaining(order: Mapping[str, Any]) -> Facts:
    """The order less its refunds: ``total``, ``tax``, ``lines_tax``, ``discount``, ``discount_net``, ``lines`` ...

    Where the platform does not say which lines a refund took, the total shrinks and the lines stay.
    """
    # A refund without money (a payment under way, an unpaid order cancelled) leaves the amounts as they are.
    refunds = [refund for refund in order.get("refunds", []) if amount(refund["amount"]) > 0]
    gone = _quantities(line for refund in refunds for line in refund.get("lines", []))
    lines = [part for line in order.get("lines", []) if (part := _part(line, _left(line, gone)))]
    refunded = amount(order.get("refunded"))
    shipping = sum((amount(refund.get("shipping")) for refund in refunds), ZERO)
    gross, tax = amount(order.get("shipping_gross")), amount(order.get("shipping_tax"))
    left = max(gross - shipping, ZERO)
    lines_tax = sum((amount(line.get("tax")) for line in lines), ZERO)
    before = sum((amount(line.get("tax")) for line in order.get("lines", [])), ZERO)
    shipping_tax = tax * left / gross if gross else ZERO
    return {
        "total": text(max(amount(order["total"]) - refunded, ZERO)),
        "refunded": text(refunded),
        "tax": text(amount(order.get("tax")) - (before - lines_tax) - (tax - shipping_tax)),
        "lines_tax": text(lines_tax),
        "discount": text(_sum(order, "discount", lines)),
        "discount_net": text(_sum(order, "discount_net", lines)),
        "shipping_gross": text(left),
        "lines": lines,
    }


def _sum(order: Mapping[str, Any], name: str, lines: Iterable[Facts]) -> Decimal:
    before = sum((amount(line.get(name)) for line in order.get("lines", [])), ZERO)
    return amount(order.get(name)) - before + sum((amount(line.get(name)) for line in lines), ZERO)


def _quantities(lines: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for line in lines:
        found[line["line_id"]] = found.get(line["line_id"], ZERO) + amount(line.get("quantity"))
    return found


def _left(line: Mapping[str, Any], gone: Mapping[str, Decimal]) -> Decimal:
    return max(amount(line["quantity"]) - gone.get(line["line_id"], ZERO), ZERO)


def _part(line: Mapping[str, Any], quantity: Decimal) -> Facts | None:
    """``line`` as if only ``quantity`` of it had been bought; None for nothing."""
    whole = amount(line["quantity"])
    if quantity <= 0:
        return None
    if quantity == whole:
        return dict(line)
    share = quantity / whole
    sums = {name: text(amount(line[name]) * share) for name in _LINE_SUMS if name in line}
    return {**line, **sums, "quantity": decimal_text(quantity)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversed:
    """What a destination already took back of an order."""

    amount: Decimal = ZERO
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    estimated: Decimal = ZERO  #: the part of ``amount`` that stands behind no quantities

    @classmethod
    def of(cls, effects: Iterable[Mapping[str, Any]]) -> Reversed:
        """What several reversals took back together, by what was kept of each."""
        total, estimated, quantities = ZERO, ZERO, dict[str, Decimal]()
        for effect in effects:
            taken = amount(effect.get("amount"))
            total += taken
            if "quantities" not in effect:
                estimated += taken
            for line_id, quantity in effect.get("quantities", {}).items():
                quantities[line_id] = quantities.get(line_id, ZERO) + amount(quantity)
        return cls(amount=total, quantities=quantities, estimated=estimated)


def reversal(order: Mapping[str, Any], refund: Mapping[str, Any] | None, done: Reversed, at: str) -> Facts | None:
    """The facts of taking back ``refund``, or (None) all that is left: a cancellation. None when nothing is left.

    Args:
        order: as it was given to the destination. What is taken back never exceeds it: amounts and quantities are cut
            to what ``done`` leaves. Without lines (WooCommerce's webhooks, goodwill, shipping), or after a reversal
            without, what is left is reduced in proportion and marked ``estimated``.
    """
    left = amount(order["total"]) - done.amount
    wanted = left if refund is None else min(amount(refund["amount"]), left)
    if wanted <= 0:
        return None
    over = [part for line in order.get("lines", []) if (part := _part(line, _left(line, done.quantities)))]
    full = wanted == left
    named = _named(over, refund["lines"]) if refund is not None and refund.get("lines") else []
    if named:
        lines, estimated = named, False
    elif full and over and not done.estimated:
        lines, estimated = over, False
    elif over:
        lines, estimated = [_scaled(line, wanted / (left + done.estimated)) for line in over], True
    else:  # only shipping is left, and a reversal without lines would be read as one of everything
        lines, estimated = [_scaled(line, wanted / amount(order["total"])) for line in order.get("lines", [])], True
    return {
        "id": f"cancel-{order['id']}" if refund is None else f"refund-{refund['id']}",
        "kind": "cancel" if refund is None else "refund",
        "amount": text(wanted),
        "at": at,
        "full": full,
        "estimated": estimated,
        "lines": lines,
    }


def _named(over: list[Facts], refunded: Iterable[Mapping[str, Any]]) -> list[Facts]:
    wanted = _quantities(refunded)
    parts = (_part(line, min(amount(line["quantity"]), wanted.get(line["line_id"], ZERO))) for line in over)
    return [part for part in parts if part]


def _scaled(line: Facts, share: Decimal) -> Facts:
    scaled = {name: text(amount(line[name]) * share) for name in (*_LINE_SUMS, *_UNIT_SUMS) if name in line}
    return {**line, **scaled}
