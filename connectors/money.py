"""The amounts of a line, told the same way whether a shop's prices include tax or not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
SIX = Decimal("0.000001")
CENT = Decimal("0.01")


def per_unit(amount: Decimal, quantity: Decimal) -> Decimal:
    """``amount`` divided over ``quantity`` units, to 6 decimals; 0 units leave the amount."""
    return (amount / quantity if quantity else amount).quantize(SIX, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAmounts:
    """The money fields of `connectors.events.LineItem`; spread them into it with `dataclasses.asdict` or by name."""

    unit_net: Decimal
    unit_gross: Decimal
    unit_net_paid: Decimal
    unit_gross_paid: Decimal
    discount: Decimal
    discount_net: Decimal
    discount_gross: Decimal
    tax: Decimal
    tax_rate: Decimal
    total_net: Decimal
    total_gross: Decimal


def listed_amounts(
    *,
    unit_price: Decimal,
    quantity: Decimal,
    discount: Decimal,
    tax: Decimal,
    rates: Decimal,
    taxes_included: bool,
) -> LineAmounts:
    """Amounts of a line given as the shop lists it (Shopify).

    Args:
        unit_price: before discounts; with tax only where ``taxes_included``. ``discount`` (whole line) likewise.
        tax: of the whole line, after discounts.
        rates: sum of the line's tax rates, used where nothing is left to tax.

    The rate that counts is tax / net base, because the shop rounded the tax: so net + tax is the shop's own gross to
    the cent. Where the base is 0 (a free line), it is ``rates``.
    """
    base = unit_price * quantity - discount
    net_base = base - tax if taxes_included else base
    rate = tax / net_base if net_base > 0 else rates
    factor = ONE + rate
    listed = unit_price * quantity
    if taxes_included:
        gross, discount_gross = listed, discount
        net = gross / factor
        total_net = base - tax
        discount_net = discount / factor
    else:
        net, discount_net = listed, discount
        gross = net * factor
        total_net = base
        discount_gross = discount * factor
    return LineAmounts(
        unit_net=per_unit(net, quantity),
        unit_gross=per_unit(gross, quantity),
        unit_net_paid=per_unit(total_net, quantity),
        unit_gross_paid=per_unit(total_net + tax, quantity),
        discount=discount,
        discount_net=discount_net.quantize(SIX, ROUND_HALF_UP),
        discount_gross=discount_gross.quantize(SIX, ROUND_HALF_UP),
        tax=tax,
        tax_rate=rate.quantize(SIX, ROUND_HALF_UP),
        total_net=total_net,
        total_gross=total_net + tax,
    )


def split_amounts(
    *,
    quantity: Decimal,
    subtotal: Decimal,
    subtotal_tax: Decimal,
    total: Decimal,
    total_tax: Decimal,
    taxes_included: bool,
) -> LineAmounts:
    """Amounts of a line given as sums without tax and their taxes, before and after discount (WooCommerce)."""
    discount_net = subtotal - total
    discount_gross = discount_net + subtotal_tax - total_tax
    rate = total_tax / total if total > 0 else (subtotal_tax / subtotal if subtotal > 0 else ZERO)
    return LineAmounts(
        unit_net=per_unit(subtotal, quantity),
        unit_gross=per_unit(subtotal + subtotal_tax, quantity),
        unit_net_paid=per_unit(total, quantity),
        unit_gross_paid=per_unit(total + total_tax, quantity),
        discount=discount_gross if taxes_included else discount_net,
        discount_net=discount_net,
        discount_gross=discount_gross,
        tax=total_tax,
        tax_rate=rate.quantize(SIX, ROUND_HALF_UP),
        total_net=total,
        total_gross=total + total_tax,
    )
