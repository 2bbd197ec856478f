"""What was bought: product lines, fees, shipping lines, and what was refunded, with their amounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.events import ZERO, LineItem, Refund, ShippingLine
from connectors.money import LineAmounts, split_amounts
from connectors.reading import Reader
from connectors.woocommerce.meta import read_meta

ONE = Decimal(1)
_AMOUNTS = tuple(LineAmounts.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Fees by their sign: the shop's own surcharges, and what discount plugins write as negative fees."""

    surcharges: tuple[LineItem, ...]
    discount: Decimal  #: positive, with tax


def read_line(line: Reader, *, taxes_included: bool) -> LineItem:
    """A product line. Its amounts are without tax in every shop; `split_amounts` tells them both ways."""
    name = line.text_at("name")
    parent = line.text_at("parent_name")
    product, variant = line["product_id"].id_or_none(), line["variation_id"].id_or_none()
    quantity = line["quantity"].decimal()
    amounts = _line_amounts(line, quantity, taxes_included)
    line_id, sku = line["id"].id(), line.text_at("sku")
    return LineItem(
        line_id=line_id,
        product_id=product,
        variant_id=variant,
        unit_id=variant or product,
        custom_id=None if variant or product else sku or line_id,
        sku=sku,
        name=name,
        title=parent or name,
        variant_title=variant_title(name, parent),
        image_url=_image(line["image"]),
        quantity=quantity,
        unit_price=amounts.unit_gross if taxes_included else amounts.unit_net,
        attributes=read_meta(line["meta_data"], "line"),
        **_spread(amounts),
    )


def variant_title(name: str | None, parent: str | None) -> str | None:
    """``M`` of ``Dress - M``; None where the shop does not put the option into the name."""
    prefix = f"{parent} - "
    return name[len(prefix) :].strip() or None if name and parent and name.startswith(prefix) else None


def _image(image: Reader) -> str | None:
    found = image.object_or_none()
    return found.text_at("src") if found else None


def _line_amounts(line: Reader, quantity: Decimal, taxes_included: bool) -> LineAmounts:
    total, total_tax = line["total"].money(), line["total_tax"].money()
    subtotal, subtotal_tax = line["subtotal"].money(), line["subtotal_tax"].money()
    if total > subtotal:  # a price raised by hand is no negative discount
        subtotal, subtotal_tax = total, total_tax
    with dividing(line):
        return split_amounts(
            quantity=quantity,
            subtotal=subtotal,
            subtotal_tax=subtotal_tax,
            total=total,
            total_tax=total_tax,
            taxes_included=taxes_included,
        )


@contextmanager
def dividing(line: Reader) -> Iterator[None]:
    """Turn what cannot be divided (an amount over a quantity of next to nothing) into a complaint about ``line``."""
    try:
        yield
    except ArithmeticError:
        raise line.wrong("amounts of a size that can be divided") from None


def _spread(amounts: LineAmounts) -> dict[str, Any]:
    return {name: getattr(amounts, name) for name in _AMOUNTS}


def read_fees(fees: Reader, *, taxes_included: bool) -> Fees:
    surcharges, discount = [], ZERO
    for fee in fees.items():
        total, tax = fee["total"].money(), fee["total_tax"].money()
        if total < 0:
            discount -= total + tax
        elif total or tax:
            surcharges.append(_surcharge(fee, total, tax, taxes_included))
    return Fees(surcharges=tuple(surcharges), discount=discount)


def _surcharge(fee: Reader, total: Decimal, tax: Decimal, taxes_included: bool) -> LineItem:
    with dividing(fee):
        amounts = split_amounts(
            quantity=ONE, subtotal=total, subtotal_tax=tax, total=total, total_tax=tax, taxes_included=taxes_included
        )
    name = fee.text_at("name")
    return LineItem(
        line_id=fee["id"].id(),
        kind="fee",
        name=name,
        title=name,
        quantity=ONE,
        unit_price=amounts.unit_gross if taxes_included else amounts.unit_net,
        **_spread(amounts),
    )


def read_shipping(line: Reader) -> ShippingLine:
    net, tax = line["total"].money(), line["total_tax"].money()
    return ShippingLine(
        title=line.text_at("method_title"),
        code=line.text_at("method_id"),
        net=net,
        tax=tax,
        gross=net + tax,
    )


def read_refunds(refunds: Reader) -> tuple[Refund, ...]:
    """The refunds of an order, oldest first. A webhook names neither their lines nor their times."""
    found = [
        Refund(
            id=refund["id"].id(),
            amount=abs(refund["total"].decimal()),
            note=refund.text_at("reason"),
            lines_known=False,
            amount_source="total",
        )
        for refund in refunds.items()
    ]
    return tuple(oldest_first(found))


def oldest_first(refunds: list[Refund]) -> list[Refund]:
    """WooCommerce lists the newest first; their ids are numbers that grow."""
    return sorted(refunds, key=lambda refund: (len(refund.id), refund.id))


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
