"""The body of ``cart.updated``, a topic that WooCommerce lacks and our storefront plugin adds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from connectors import people
from connectors.attributes import find, of_lines, value_of
from connectors.base import Names
from connectors.events import Cart, CartLine, decimal_text
from connectors.money import per_unit
from connectors.reading import Reader
from connectors.woocommerce.lines import dividing, total_of, variant_title
from connectors.woocommerce.meta import read_meta


def read_cart(body: Reader, names: Names) -> Cart:
    taxes_included = body["prices_include_tax"].boolean()
    lines = tuple([read_cart_line(line, taxes_included=taxes_included) for line in body["items"].items()])
    attributes = read_meta(body["meta_data"], "order")
    everywhere = (*attributes, *of_lines([line.attributes for line in lines]))
    total = body["total"].decimal_or_none()
    currency = body.text_at("currency")
    return Cart(
        id=body["id"].id(),
        currency=currency.upper() if currency else None,
        total=total if total is not None else total_of(line.total for line in lines if line.total is not None),
        updated_at=body["date_gmt"].time_or_none(utc=True),
        lines=lines,
        quantity=total_of(line.quantity for line in lines),
        customer_id=body["customer_id"].id_or_none(),
        email=people.email(body.text_at("email")),
        phone=people.e164(body.text_at("phone"), None),
        content=content_of(lines),
        attributes=attributes,
        sprii=find(everywhere, names.sprii),
        seeka_profile_id=value_of(everywhere, names.seeka_profile),
        spotler_cookie=value_of(everywhere, names.spotler_cookie),
    )


def read_cart_line(line: Reader, *, taxes_included: bool) -> CartLine:
    """A cart's line; ``line_total`` is without tax, ``line_tax`` stands beside it where the plugin sends it."""
    name, parent = line.text_at("name"), line.text_at("parent_name")
    product, variant = line["product_id"].id_or_none(), line["variation_id"].id_or_none()
    quantity, total = line["quantity"].decimal(), line["line_total"].decimal_or_none()
    if total is not None and taxes_included:
        total += line["line_tax"].money()
    with dividing(line):
        unit_price = None if total is None else per_unit(total, quantity)
    return CartLine(
        key=line.text_at("key"),
        product_id=product,
        variant_id=variant,
        unit_id=variant or product,
        sku=line.text_at("sku"),
        name=name,
        title=parent or name,
        variant_title=variant_title(name, parent),
        quantity=quantity,
        unit_price=unit_price,
        total=total,
        attributes=read_meta(line["meta_data"], "line"),
    )


def content_of(lines: Iterable[CartLine]) -> str:
    """Hash of what is bought at which price; neither the order of the lines nor trailing zeros change it."""
    parts = sorted(
        f"{line.product_id}:{line.variant_id}:{decimal_text(line.quantity)}:"
        f"{'' if line.total is None else decimal_text(line.total)}"
        for line in lines
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
