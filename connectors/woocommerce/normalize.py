"""An order's JSON (REST API v3, as webhooks and ``GET orders/{id}`` give it) as an `Order`.

What stands in which field, and why, is told in docs/platforms/woocommerce.md.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import chain

from connectors import people
from connectors.attributes import among, find, value_of
from connectors.base import Names
from connectors.events import Address, Order
from connectors.reading import Reader
from connectors.woocommerce.lines import read_fees, read_line, read_refunds, read_shipping, total_of
from connectors.woocommerce.meta import read_meta
from connectors.woocommerce.people import phone_of, read_address, read_customer

DRAFTS = frozenset({"checkout-draft", "auto-draft"})
CANCELLED = frozenset({"cancelled", "failed"})
#: Written by our own storefront part; WooCommerce names no cart that lasts (``cart_hash`` tells contents, not carts).
CART_ID = ("_tillwire_cart_id",)
LONGEST_CONSENT = 8192  #: TCF strings grow with the number of vendors
_POS = re.compile(r"pos(?![a-z])|point-of-sale", re.IGNORECASE)


def read_order(body: Reader, names: Names) -> Order:
    """One snapshot of an order. Long because it is a table: a field, and where it comes from."""
    status = body["status"].text()
    paid_at, completed_at = _time(body, "date_paid_gmt"), _time(body, "date_completed_gmt")
    order_id = body["id"].id()
    number = _number(body) or order_id
    total = body["total"].decimal()
    taxes_included = body["prices_include_tax"].boolean()
    products = tuple([read_line(line, taxes_included=taxes_included) for line in body["line_items"].items()])
    fees = read_fees(body["fee_lines"], taxes_included=taxes_included)
    lines = products + fees.surcharges
    shipping_net, shipping_tax = body["shipping_total"].money(), body["shipping_tax"].money()
    shipping_lines = tuple([read_shipping(line) for line in body["shipping_lines"].items()])
    refunds = read_refunds(body["refunds"])
    refunded = total_of(refund.amount for refund in refunds)
    billing, shipping = read_address(body["billing"]), read_address(body["shipping"])
    customer_id, email = body["customer_id"].id_or_none(), _email(body["billing"])
    phone = phone_of(billing, shipping)
    first_name, last_name = _names(billing, shipping)
    attributes = read_meta(body["meta_data"], "order")
    everywhere = chain(attributes, *[line.attributes for line in products])
    ours = among(everywhere, CART_ID, names.sprii, names.seeka_profile, names.tcf_consent, names.spotler_cookie)
    source = body.text_at("created_via")
    return Order(
        id=order_id,
        number=number,
        name=f"#{number}",
        cart_id=value_of(ours, CART_ID),
        source=source,
        channel="pos" if source and _POS.search(source) else "web",
        status=status,
        financial_status="paid" if paid_at else "unpaid",
        fulfilment_status="full" if status == "completed" or (status == "refunded" and completed_at) else "none",
        paid=paid_at is not None,
        draft=status in DRAFTS,
        cancelled=status in CANCELLED,
        trashed=status == "trash",
        created_at=_time(body, "date_created_gmt"),
        updated_at=_time(body, "date_modified_gmt"),
        paid_at=paid_at,
        completed_at=completed_at,
        currency=body["currency"].text().upper(),
        taxes_included=taxes_included,
        total=total,
        discount=total_of(line.discount for line in products) + fees.discount,
        discount_net=total_of(line.discount_net for line in products) + fees.discount,
        unassigned_discount=fees.discount,
        tax=body["total_tax"].money(),
        lines_tax=total_of(line.tax for line in lines),
        shipping_net=shipping_net,
        shipping_tax=shipping_tax,
        shipping_gross=shipping_net + shipping_tax,
        lines=lines,
        shipping_lines=shipping_lines,
        shipping_method=", ".join([line.title for line in shipping_lines if line.title]) or None,
        payment_method=body.text_at("payment_method_title") or body.text_at("payment_method"),
        discount_codes=_codes(body["coupon_lines"]),
        refunds=refunds,
        refunded=refunded,
        refunded_in_full=status == "refunded" or refunded >= total > 0,
        customer=read_customer(customer_id, email, phone, first_name, last_name),
        customer_id=customer_id,
        email=email,
        phone=phone,
        first_name=first_name,
        last_name=last_name,
        address=billing or shipping,
        billing=billing,
        shipping=shipping,
        note=body.text_at("customer_note"),
        attributes=attributes,
        sprii=find(ours, names.sprii),
        seeka_profile_id=value_of(ours, names.seeka_profile),
        tcf_consent=value_of(ours, names.tcf_consent, longest=LONGEST_CONSENT),
        spotler_cookie=value_of(ours, names.spotler_cookie),
    )


def _time(body: Reader, name: str) -> datetime | None:
    """A ``*_gmt`` moment; its twin without the suffix is the shop's local time without offset and is never read."""
    return body[name].time_or_none(utc=True)


def _number(body: Reader) -> str | None:
    """As on the receipt; plugins for order numbers change it, and some put the "#" into it."""
    return (body.text_at("number") or "").lstrip("# ") or None


def _email(billing: Reader) -> str | None:
    found = billing.object_or_none()
    return people.email(found.text_at("email")) if found else None


def _names(*addresses: Address | None) -> tuple[str | None, str | None]:
    """First and last name from the first address that has any; never the first of one and the last of another."""
    for address in addresses:
        if address and (address.first_name or address.last_name):
            return address.first_name, address.last_name
    return None, None


def _codes(coupons: Reader) -> tuple[str, ...]:
    codes = [coupon.text_at("code") for coupon in coupons.items()]
    return tuple(dict.fromkeys([code.lower() for code in codes if code]))
