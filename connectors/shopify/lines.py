"""What was bought: product lines, what became a line of its own (tips, duties, fees), and shipping."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from connectors.events import ZERO, LineItem, ShippingLine
from connectors.money import LineAmounts, listed_amounts
from connectors.reading import Reader
from connectors.shopify.amounts import (
    allocated,
    product_of,
    rates_of,
    reckoning,
    shop_amount,
    shop_money,
    tax_of,
    total_of,
)
from connectors.shopify.attached import read_attributes

ONE = Decimal(1)
_AMOUNTS = tuple(LineAmounts.__slots__)
#: The title of the only variant of a product without variants.
_NO_VARIANT = "Default Title"


def read_lines(body: Reader, *, taxes_included: bool) -> tuple[LineItem, ...]:
    """Products as they were bought, also if refunded or removed since; then the surcharges."""
    lines = [read_line(line, taxes_included=taxes_included) for line in body["line_items"].items()]
    lines += _surcharges(body, lines, taxes_included=taxes_included)
    return tuple(sorted(lines, key=lambda line: line.kind != "product"))


def read_line(line: Reader, *, taxes_included: bool) -> LineItem:
    title, variant_title = line.text_at("title"), read_variant_title(line)
    product, variant = line["product_id"].id_or_none(), line["variant_id"].id_or_none()
    unit_price, quantity = _price(line), line["quantity"].decimal()
    tip = product is None and (line["tip"] or line.has("tip_payment_gateway"))
    line_id, sku = line["id"].id(), line.text_at("sku")
    return LineItem(
        line_id=line_id,
        kind="tip" if tip else "product",
        product_id=product,
        variant_id=variant,
        unit_id=variant or product,
        custom_id=None if variant or product or tip else sku or line_id,
        sku=sku,
        name=line.text_at("name") or name_of(title, variant_title),
        title=title,
        variant_title=variant_title,
        vendor=line.text_at("vendor"),
        gift_card=line["gift_card"].boolean(),
        quantity=quantity,
        current_quantity=line["current_quantity"].decimal_or_none(),
        unit_price=unit_price,
        attributes=read_attributes(line["properties"], "line"),
        **_amounts(
            line,
            unit_price,
            quantity,
            discount=_discount(line),
            tax=tax_of(line),
            rates=rates_of(line),
            taxes_included=taxes_included,
        ),
    )


def read_variant_title(line: Reader) -> str | None:
    found = line.text_at("variant_title")
    return None if found == _NO_VARIANT else found


def name_of(title: str | None, variant_title: str | None) -> str | None:
    return f"{title} - {variant_title}" if title and variant_title else title


def _price(line: Reader) -> Decimal:
    found = shop_amount(line, "price")
    return line["price"].decimal() if found is None else found


def _discount(line: Reader) -> Decimal:
    """As allocated; ``total_discount`` leaves discounts on the whole order out, so it serves only where nothing is."""
    found = allocated(line)
    return shop_money(line, "total_discount") if found is None else found


def _amounts(
    place: Reader,
    unit_price: Decimal,
    quantity: Decimal,
    *,
    discount: Decimal = ZERO,
    tax: Decimal = ZERO,
    rates: Decimal = ZERO,
    taxes_included: bool,
) -> dict[str, Any]:
    product_of(place, unit_price, quantity)
    with reckoning(place):
        found = listed_amounts(
            unit_price=unit_price,
            quantity=quantity,
            discount=discount,
            tax=tax,
            rates=rates,
            taxes_included=taxes_included,
        )
    return {name: getattr(found, name) for name in _AMOUNTS}


def _surcharges(body: Reader, lines: list[LineItem], *, taxes_included: bool) -> Iterator[LineItem]:
    """What the total holds and no line shows. A tip may be a line already: then only the rest of it is added."""
    tip = shop_money(body, "total_tip_received") - total_of(line.total_gross for line in lines if line.kind == "tip")
    fees = _first(shop_amount(body, f"{when}_total_additional_fees") for when in ("original", "current"))
    duties, duties_tax = (ZERO, ZERO) if body["duties_included"].boolean() else _duties(body)
    for kind, name, amount, tax in (
        ("tip", "Tip", tip, ZERO),
        ("duty", "Duties", duties, duties_tax),
        ("fee", "Additional fees", fees, ZERO),
    ):
        if amount > 0:
            yield _surcharge(body, kind, name, amount, tax, taxes_included)


def _duties(body: Reader) -> tuple[Decimal, Decimal]:
    """Duties of the order and their taxes: the order's own sum, else that of its lines, else what is left of them."""
    duties = [duty for line in body["line_items"].items() for duty in line["duties"].items()]
    by_line = total_of([_duty(duty) for duty in duties]) if duties else None
    original, current = (shop_amount(body, f"{when}_total_duties") for when in ("original", "current"))
    return _first((original, by_line, current)), total_of([tax_of(duty) for duty in duties])


def _duty(duty: Reader) -> Decimal:
    found = duty["shop_money"]["amount"].decimal_or_none()
    return shop_money(duty, "price") if found is None else found


def _first(amounts: Any) -> Decimal:
    return next((amount for amount in amounts if amount is not None), ZERO)


def _surcharge(body: Reader, kind: str, name: str, amount: Decimal, tax: Decimal, taxes_included: bool) -> LineItem:
    return LineItem(
        line_id=kind,
        kind=kind,
        name=name,
        title=name,
        quantity=ONE,
        unit_price=amount,
        **_amounts(body, amount, ONE, tax=tax, taxes_included=taxes_included),
    )


def read_shipping_lines(body: Reader, *, taxes_included: bool) -> tuple[ShippingLine, ...]:
    """The shipping lines that an edit has not removed."""
    return tuple(
        [
            _read_shipping(line, taxes_included=taxes_included)
            for line in body["shipping_lines"].items()
            if not line["is_removed"].boolean()
        ]
    )


def _read_shipping(line: Reader, *, taxes_included: bool) -> ShippingLine:
    """Net of its discounts: as allocated or as ``discounted_price`` shows, whichever is more.

    By the documentation ``discounted_price`` leaves discounts on the whole order out, which are allocated.
    Source: shopify.dev/docs/api/admin-rest/latest/resources/order (``shipping_lines``)
    """
    price, tax, reduced = shop_money(line, "price"), tax_of(line), shop_amount(line, "discounted_price")
    discount = max(allocated(line) or ZERO, ZERO if reduced is None else price - reduced)
    listed = price - discount
    return ShippingLine(
        title=line.text_at("title"),
        code=line.text_at("code"),
        net=listed - tax if taxes_included else listed,
        tax=tax,
        gross=listed if taxes_included else listed + tax,
        discount=discount,
    )
