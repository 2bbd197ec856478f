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
ROUNDED = Decimal("0.01")  #: by so much a line's amount may miss the whole line's, both being rounded

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
    gone = Gone.of(line for refund in refunds for line in refund.get("lines", []))
    lines = [part for line in order.get("lines", []) if (part := _rest(line, gone))]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What was given back of an order's lines, by their ids: units, and money without units."""

    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    sums: Mapping[str, Decimal] = field(default_factory=dict)  #: with tax

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Gone:
        """Of refunded lines. One without a quantity (a fee, a price lowered afterwards) counts by its amount."""
        quantities, sums = dict[str, Decimal](), dict[str, Decimal]()
        for line in lines:
            id_, quantity, gross = line["line_id"], amount(line.get("quantity")), amount(line.get("gross"))
            if quantity:
                quantities[id_] = quantities.get(id_, ZERO) + quantity
            elif gross > 0:
                sums[id_] = sums.get(id_, ZERO) + gross
        return cls(quantities=quantities, sums=sums)

    def with_units(self, other: Gone) -> Gone:
        """The units of both, and the money of this one."""
        lines = [{"line_id": id_, "quantity": each} for gone in (self, other) for id_, each in gone.quantities.items()]
        return Gone(quantities=Gone.of(lines).quantities, sums=self.sums)


def _left(line: Mapping[str, Any], gone: Gone) -> Decimal:
    return max(amount(line["quantity"]) - gone.quantities.get(line["line_id"], ZERO), ZERO)


def _rest(line: Mapping[str, Any], gone: Gone) -> Facts | None:
    """What is left of ``line``; None for nothing."""
    part, money = _part(line, _left(line, gone)), gone.sums.get(line["line_id"], ZERO)
    if part is None or not money:
        return part
    share = _share(part, money)
    return _scaled(part, 1 - share) if share < 1 else None


def _share(line: Mapping[str, Any], money: Decimal) -> Decimal:
    """How much of ``line`` an amount with tax is; 1 where it is all of it, 0 where the line costs nothing."""
    whole = amount(line.get("total_gross"))
    if whole <= 0:
        return ZERO
    return money / whole if money < whole - ROUNDED else Decimal(1)


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
    gone: Gone = field(default_factory=Gone)
    estimated: Decimal = ZERO  #: the part of ``amount`` that stands behind no lines

    @classmethod
    def of(cls, effects: Iterable[Mapping[str, Any]]) -> Reversed:
        """What several reversals took back together, by what was kept of each."""
        total, estimated, lines = ZERO, ZERO, list[dict[str, Any]]()
        for effect in effects:
            taken = amount(effect.get("amount"))
            total += taken
            if "quantities" not in effect:
                estimated += taken
            lines += [{"line_id": id_, "quantity": each} for id_, each in effect.get("quantities", {}).items()]
            lines += [{"line_id": id_, "gross": each} for id_, each in effect.get("sums", {}).items()]
        return cls(amount=total, gone=Gone.of(lines), estimated=estimated)


def effect_of(taken: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be kept of a reversal for `Reversed.of`."""
    if taken["estimated"]:
        return {"amount": taken["amount"]}
    gone = Gone.of(
        {"line_id": line["line_id"], "gross": line["total_gross"]} if "by_amount" in line else line
        for line in taken["lines"]
    )
    quantities, sums = ({id_: text(each) for id_, each in found.items()} for found in (gone.quantities, gone.sums))
    return {"amount": taken["amount"], "quantities": quantities} | ({"sums": sums} if sums else {})


def reversal(order: Mapping[str, Any], refund: Mapping[str, Any] | None, done: Reversed, at: str) -> Facts | None:
    """The facts of taking back ``refund``, or (None) all that is left: a cancellation. None when nothing is left.

    Args:
        order: as it was given to the destination. What is taken back never exceeds it: amounts and quantities are cut
            to what ``done`` leaves. Without lines (WooCommerce's webhooks, goodwill, shipping), or after a reversal
            without, what is left is reduced in proportion and marked ``estimated``. Money without units stays with
            its line: that is reduced in proportion, and marked ``by_amount``.
    """
    left = amount(order["total"]) - done.amount
    wanted = left if refund is None else min(amount(refund["amount"]), left)
    if wanted <= 0:
        return None
    over = [part for line in order.get("lines", []) if (part := _rest(line, done.gone))]
    full = wanted == left
    named = _named(order.get("lines", []), refund["lines"], done.gone) if refund and refund.get("lines") else []
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


def _named(lines: Iterable[Facts], refunded: Iterable[Mapping[str, Any]], done: Gone) -> list[Facts]:
    """The parts of ``lines`` that a refund names, as far as ``done`` leaves them."""
    wanted = Gone.of(refunded)
    parts = [part for line in lines for part in (_units(line, wanted, done), _money(line, wanted, done))]
    return [part for part in parts if part]


def _units(line: Facts, wanted: Gone, done: Gone) -> Facts | None:
    part = _part(line, min(_left(line, done), wanted.quantities.get(line["line_id"], ZERO)))
    rest = _rest(line, done)
    if part is None or rest is None:
        return None
    most, own = amount(rest.get("total_gross")), amount(part.get("total_gross"))
    return part if own <= most else _scaled(part, most / own)


def _money(line: Facts, wanted: Gone, done: Gone) -> Facts | None:
    """The part of ``line`` that is given back without units, of what the units given back with it leave."""
    money = wanted.sums.get(line["line_id"], ZERO)
    rest = _rest(line, done.with_units(wanted)) if money else None
    share = _share(rest, money) if rest else ZERO
    if rest is None or not share:
        return None
    return rest if share == 1 else {**_scaled(rest, share), "by_amount": True}


def _scaled(line: Facts, share: Decimal) -> Facts:
    scaled = {name: text(amount(line[name]) * share) for name in (*_LINE_SUMS, *_UNIT_SUMS) if name in line}
    return {**line, **scaled}
