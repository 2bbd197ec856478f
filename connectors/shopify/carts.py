"""Carts (``carts/*``, which know no buyer, no attributes and no totals) and checkouts (``checkouts/*``)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from itertools import chain

from connectors.attributes import among, find, of_lines, value_of
from connectors.base import Names
from connectors.events import Cart, CartLine, Checkout, decimal_text
from connectors.money import per_unit
from connectors.reading import Reader
from connectors.shopify.amounts import (
    allocated,
    currency_of,
    product_of,
    reckoning,
    shop_amount,
    shop_money,
    total_of,
)
from connectors.shopify.attached import read_attributes, token_at
from connectors.shopify.lines import name_of, read_variant_title
from connectors.shopify.people import Buyer, locale

_SETS = ("price", "line_price", "discounted_price", "original_price")


def read_cart(body: Reader, names: Names) -> Cart:
    lines = tuple([read_cart_line(line) for line in body["line_items"].items()])
    ours = among(
        of_lines([line.attributes for line in lines]),
        names.sprii,
        names.seeka_profile,
        names.spotler_cookie,
    )
    return Cart(
        id=token_at(body, "token") or token_at(body, "id") or body["token"].id(),
        currency=_currency(body["line_items"]),
        total=total_of([line.total for line in lines if line.total is not None]),
        updated_at=body["updated_at"].time_or_none(),
        lines=lines,
        quantity=total_of([line.quantity for line in lines]),
        content=content_of(lines),
        sprii=find(ours, names.sprii),
        seeka_profile_id=value_of(ours, names.seeka_profile),
        spotler_cookie=value_of(ours, names.spotler_cookie),
    )


def read_cart_line(line: Reader) -> CartLine:
    """Its ``title`` names product and variant in one; ``line_price`` is after the discounts on the line."""
    price = shop_amount(line, "discounted_price")
    price = shop_amount(line, "price") if price is None else price
    quantity, total = line["quantity"].decimal(), shop_amount(line, "line_price")
    if total is None and price is not None:
        total = product_of(line, price, quantity)
    title = line.text_at("title")
    product_title = line.text_at("product_title")
    product, variant = line["product_id"].id_or_none(), line["variant_id"].id_or_none()
    return CartLine(
        key=line.text_at("key"),
        product_id=product,
        variant_id=variant,
        unit_id=variant or product,
        sku=line.text_at("sku"),
        name=title,
        title=product_title or title,
        variant_title=read_variant_title(line),
        vendor=line.text_at("vendor"),
        quantity=quantity,
        unit_price=price,
        total=total,
        attributes=read_attributes(line["properties"], "line"),
    )


def _currency(lines: Reader) -> str | None:
    """As the first ``*_set`` of any line names it; an empty cart has none."""
    found = (currency_of(line, name) for line in lines.items() for name in _SETS)
    return next((code for code in found if code), None)


def content_of(lines: Iterable[CartLine]) -> str:
    """Hash of what is in the cart at which price; neither the order of the lines nor trailing zeros change it."""
    parts = sorted(
        f"{line.unit_id}:{decimal_text(line.quantity)}:"
        f"{'' if line.unit_price is None else decimal_text(line.unit_price)}"
        for line in lines
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_checkout(body: Reader, names: Names) -> Checkout:
    """``abandoned_checkout_url`` is never read: whoever has it opens the buyer's checkout."""
    lines = tuple([read_checkout_line(line) for line in body["line_items"].items()])
    total, currency = shop_amount(body, "total_price"), body.text_at("currency")
    buyer = Buyer(body)
    attributes = read_attributes(body["note_attributes"], "order")
    everywhere = chain(attributes, of_lines([line.attributes for line in lines]))
    ours = among(everywhere, names.sprii, names.seeka_profile, names.spotler_cookie)
    ticked = body["buyer_accepts_marketing"]
    return Checkout(
        id=token_at(body, "token") or body["token"].id(),
        cart_id=token_at(body, "cart_token"),
        currency=currency.upper() if currency else None,
        total=total if total is not None else total_of([line.total for line in lines if line.total is not None]),
        created_at=body["created_at"].time_or_none(),
        updated_at=body["updated_at"].time_or_none(),
        completed_at=body["completed_at"].time_or_none(),
        lines=lines,
        quantity=total_of([line.quantity for line in lines]),
        customer_id=buyer.customer.id if buyer.customer else None,
        email=buyer.email,
        phone=buyer.phone,
        first_name=buyer.first_name,
        last_name=buyer.last_name,
        accepts_marketing=ticked.boolean() if ticked else None,
        locale=locale(body.text_at("customer_locale"), buyer.country),
        attributes=attributes,
        sprii=find(ours, names.sprii),
        seeka_profile_id=value_of(ours, names.seeka_profile),
        spotler_cookie=value_of(ours, names.spotler_cookie),
    )


def read_checkout_line(line: Reader) -> CartLine:
    title, variant_title = line.text_at("title"), read_variant_title(line)
    product, variant = line["product_id"].id_or_none(), line["variant_id"].id_or_none()
    quantity = line["quantity"].decimal()
    total = _checkout_total(line, quantity)
    with reckoning(line):
        unit_price = None if total is None else per_unit(total, quantity)
    return CartLine(
        key=line.text_at("key"),
        product_id=product,
        variant_id=variant,
        unit_id=variant or product,
        sku=line.text_at("sku"),
        name=name_of(title, variant_title),
        title=title,
        variant_title=variant_title,
        vendor=line.text_at("vendor"),
        quantity=quantity,
        unit_price=unit_price,
        total=total,
        attributes=read_attributes(line["properties"], "line"),
    )


def _checkout_total(line: Reader, quantity: Decimal) -> Decimal | None:
    """After discounts: ``line_price`` if it is below price x quantity already, else less what was allocated to it."""
    price, listed = shop_amount(line, "price"), shop_amount(line, "line_price")
    full = None if price is None else product_of(line, price, quantity)
    if listed is None or full is None:
        listed = full if listed is None else listed
    elif listed < full:
        return listed
    if listed is None:
        return None
    discount = allocated(line)
    if discount is None:
        discount = total_of([shop_money(each, "amount") for each in line["applied_discounts"].items()])
    return listed - discount
