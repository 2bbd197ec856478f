"""Refunds, inside an order and by themselves, and how much each of them gave back.

What counts is the money that moved: the successful refund transactions, where they are in the shop's currency. Where
they are in the buyer's, or the body does not carry them, it is what the refund's parts say; see `_told_by_parts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from connectors.events import ZERO, Refund, RefundLine, RefundSeen
from connectors.reading import Reader
from connectors.shopify.amounts import (
    allocated,
    currency_of,
    product_of,
    rates_of,
    reckoning,
    shop_amount,
    shop_money,
    tax_of,
    total_of,
)

ONE = Decimal(1)
#: How near a tax must come to one of the two ways to reckon it, as a part of what lies between them.
_NEAR = Decimal("0.25")
_SHIPPING = "shipping_refund"


def read_refunds(refunds: Reader, *, currency: str, taxes_included: bool) -> tuple[Refund, ...]:
    """The refunds of an order, oldest first: their ids are numbers that grow."""
    found = [read_refund(each, currency=currency, taxes_included=taxes_included) for each in refunds.items()]
    return tuple(sorted(found, key=lambda refund: (len(refund.id), refund.id)))


def read_lone_refund(order_id: str, refund: Reader) -> RefundSeen:
    """A refund without its order, which alone would say its currency and whether its prices include tax."""
    currency = _currency_of(refund)
    with_tax, without_tax = (read_refund(refund, currency=currency, taxes_included=each) for each in (True, False))
    likely = with_tax if _taxes_included_of(refund) else without_tax
    return RefundSeen(order_id=order_id, refund=likely, with_tax=with_tax, without_tax=without_tax)


def read_refund(refund: Reader, *, currency: str | None, taxes_included: bool) -> Refund:
    lines = tuple([_read_line(entry, taxes_included) for entry in refund["refund_line_items"].items()])
    shipping = _shipping_of(refund, taxes_included)
    moved = _moved(refund["transactions"], currency)
    amount = _told_by_parts(refund, lines, shipping) if moved is None else moved
    return Refund(
        id=refund["id"].id(),
        amount=amount,
        created_at=refund["created_at"].time_or_none() or refund["processed_at"].time_or_none(),
        note=refund.text_at("note"),
        lines=lines,
        shipping=max(ZERO, min(shipping, amount)),
        lines_known=bool(refund["refund_line_items"]),
        amount_source="lines" if moved is None else "transactions",
    )


def _read_line(entry: Reader, taxes_included: bool) -> RefundLine:
    """``subtotal`` includes tax exactly where the order's prices do."""
    listed, tax = shop_money(entry, "subtotal"), shop_money(entry, "total_tax")
    return RefundLine(
        line_id=entry["line_item_id"].id_or_none() or entry["line_item"]["id"].id(),
        quantity=entry["quantity"].decimal(),
        net=listed - tax if taxes_included else listed,
        tax=tax,
        gross=listed if taxes_included else listed + tax,
    )


def _moved(transactions: Reader, currency: str | None) -> Decimal | None:
    """The sum of what went back in ``currency``; None where the body cannot tell. An empty list tells: nothing."""
    if not transactions:
        return None
    ours, others = [], False
    for each in transactions.items():
        if each.text_at("kind") != "refund" or each.text_at("status") != "success":
            continue
        if _of_currency(each, currency):
            ours.append(each["amount"].decimal())
        else:
            others = True
    return None if others and not ours else total_of(ours)


def _of_currency(transaction: Reader, currency: str | None) -> bool:
    own = transaction.text_at("currency")
    return own is None or currency is None or own.upper() == currency


def _told_by_parts(refund: Reader, lines: tuple[RefundLine, ...], shipping: Decimal) -> Decimal:
    """Lines and shipping; where no line is named, the other adjustments (amount-only refunds). Never both."""
    if lines:
        return total_of([line.gross for line in lines]) + shipping
    others = [each for each in refund["order_adjustments"].items() if each.text_at("kind") != _SHIPPING]
    return shipping + total_of(_adjusted(each) for each in others)


def _shipping_of(refund: Reader, taxes_included: bool) -> Decimal:
    """Refunded shipping with its tax.

    ``refund_shipping_lines`` and the adjustment ``shipping_refund`` tell the same money, so only one of them is
    taken. The lines name no tax in the bodies that are published; the adjustment does.
    """
    adjustments = [each for each in refund["order_adjustments"].items() if each.text_at("kind") == _SHIPPING]
    lines = list(refund["refund_shipping_lines"].items())
    if not lines:
        return total_of(_adjusted(each) for each in adjustments)
    listed = total_of(shop_money(line, "subtotal_amount") for line in lines)
    if taxes_included:
        return listed
    taxes = [tax for line in lines if (tax := shop_amount(line, "tax_amount")) is not None]
    return listed + (total_of(taxes) if taxes else -total_of(shop_money(each, "tax_amount") for each in adjustments))


def _adjusted(adjustment: Reader) -> Decimal:
    """What an adjustment gave back, with its tax; it is written as what the shop lost, so below zero."""
    return -shop_money(adjustment, "amount") - shop_money(adjustment, "tax_amount")


# --- what a refund by itself does not say -----------------------------------------------------------------------------


def _currency_of(refund: Reader) -> str | None:
    """The shop's, as any ``*_set`` of the refund names it; None where none does: then every transaction counts."""
    return next((found for found in _currencies(refund) if found), None)


def _currencies(refund: Reader) -> Iterator[str | None]:
    for entry in refund["refund_line_items"].items():
        yield currency_of(entry, "subtotal")
        yield currency_of(entry["line_item"], "price")
    for entry in refund["refund_shipping_lines"].items():
        yield currency_of(entry, "subtotal_amount")
    for entry in refund["order_adjustments"].items():
        yield currency_of(entry, "amount")
    yield currency_of(refund, "total_duties")


def _taxes_included_of(refund: Reader) -> bool:
    """Whether its prices include tax, reckoned back from the taxes of the lines it carries.

    A tax of ``rate`` on ``base`` is base x rate where it comes on top, and base x rate / (1 + rate) where it is inside.
    Where it is near neither (or there is no tax, so that it does not matter), tax on top is Shopify's default.
    """
    tax = on_top = inside = ZERO
    for line in _carried(refund):
        rate, discount = rates_of(line), allocated(line)
        quantity = line["quantity"].decimal_or_none()
        base = product_of(line, shop_money(line, "price"), ONE if quantity is None else quantity)
        base -= shop_money(line, "total_discount") if discount is None else discount
        with reckoning(line):
            tax += tax_of(line)
            on_top += base * rate
            inside += base * rate / (ONE + rate)
    return abs(tax - inside) < _NEAR * abs(on_top - inside)


def _carried(refund: Reader) -> Iterator[Reader]:
    """The order's lines that a refund carries along, as they were bought; a shipping line has no quantity."""
    for entry in refund["refund_line_items"].items():
        if line := entry["line_item"]:
            yield line
    for entry in refund["refund_shipping_lines"].items():
        if line := entry["shipping_line"]:
            yield line
