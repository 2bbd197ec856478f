"""The shape that every platform becomes: orders, refunds, carts, checkouts, and what a webhook shows of them.

Rules that hold for every class here:

* Money is `Decimal` in the shop's own currency, in major units, and positive unless said otherwise. ``net`` is without
  tax, ``gross`` with tax. ``paid`` means after all discounts.
* Moments are aware and in UTC. Ids are text. A piece of personal data may always be missing: then it is ``None``.
* `facts` turns any of them into JSON: amounts become decimal strings, moments ``2026-03-02T09:15:30Z`` (with
  milliseconds only where they are not zero), tuples become lists, and ``None`` is left out, so that "absent" has one
  form. Mappings read these facts by the attribute names below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any

ZERO = Decimal(0)


class Kind(StrEnum):
    """What can happen to an order or a cart; the event kinds of the whole house."""

    PLACED = "order.placed"
    PAID = "order.paid"
    UPDATED = "order.updated"
    FULFILLED = "order.fulfilled"
    REFUNDED = "order.refunded"
    CANCELLED = "order.cancelled"
    DELETED = "order.deleted"
    RESTORED = "order.restored"
    CART_UPDATED = "cart.updated"
    CHECKOUT_STARTED = "checkout.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A name and a value that a storefront, a buyer or a plugin attached; untrusted text."""

    name: str
    value: str
    place: str  #: "order" (order or cart attribute, note attribute, order meta) or "line" (line property, line meta)
    rank: int = 0  #: position (in its line) or meta id: within one name and place the highest rank is the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value looked up among attributes by a list of names."""

    value: str
    name: str  #: the attribute's own spelling
    place: str  #: "order" or "line"
    others: tuple[str, ...] = ()  #: different non-empty values that were there too: a disagreement to show


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None  #: name of the state or province; by a library where only the code is known
    region_code: str | None = None  #: without the country's part: "NH", "CA"
    postcode: str | None = None
    country: str | None = None  #: English name; by a library where the code is known
    country_code: str | None = None  #: ISO 3166-1 alpha-2
    phone: str | None = None  #: as typed

    #: one line: "Voorbeeldstraat 1, 1011 AB Amsterdam, NL"
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """A product on an order. The amounts of a line cover all its units; those of a unit are up to 6 decimals."""

    line_id: str
    kind: str = "product"  #: "product", or what a surcharge became: "fee", "tip", "duty"
    product_id: str | None = None  #: None for custom lines and surcharges
    variant_id: str | None = None  #: None where the product has no variants (WooCommerce's 0)
    unit_id: str | None = None  #: what is bought: the variant's id, else the product's
    custom_id: str | None = None  #: of what was bought without being a product of the shop: its SKU, else the line's id
    sku: str | None = None
    name: str | None = None  #: product and variant: "Linen shirt - Blue / M"
    title: str | None = None  #: product alone: "Linen shirt"
    variant_title: str | None = None  #: "Blue / M"
    vendor: str | None = None
    category: str | None = None
    image_url: str | None = None
    gift_card: bool = False
    quantity: Decimal  #: as bought; WooCommerce allows fractions
    current_quantity: Decimal | None = None  #: after edits and refunds, where the platform says so (Shopify)
    unit_price: Decimal  #: as the shop shows it, before discounts (with tax only where Order.taxes_included)
    unit_net: Decimal  #: before discounts
    unit_gross: Decimal  #: before discounts
    unit_net_paid: Decimal  #: after discounts
    unit_gross_paid: Decimal  #: after discounts
    discount: Decimal = ZERO  #: whole line, as the shop shows it
    discount_net: Decimal = ZERO
    discount_gross: Decimal = ZERO
    tax: Decimal = ZERO  #: whole line, after discounts
    tax_rate: Decimal = ZERO  #: 0.21
    total_net: Decimal = ZERO  #: whole line, after discounts
    total_gross: Decimal = ZERO  #: whole line, after discounts
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingLine:
    title: str | None = None
    code: str | None = None
    net: Decimal = ZERO  #: after discounts of its own
    tax: Decimal = ZERO
    gross: Decimal = ZERO
    discount: Decimal = ZERO  #: as the shop shows it


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLine:
    line_id: str  #: the order line's id
    quantity: Decimal
    net: Decimal = ZERO
    tax: Decimal = ZERO
    gross: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money given back, perhaps with lines. WooCommerce's webhooks show id, reason and total only."""

    id: str
    amount: Decimal  #: what the customer got back, shop currency (ruling: see docs/platforms)
    created_at: datetime | None = None  #: WooCommerce's webhooks do not say; then the time of the snapshot is used
    note: str | None = None
    lines: tuple[RefundLine, ...] = ()
    shipping: Decimal = ZERO  #: gross, part of ``amount``
    lines_known: bool = True  #: False: the platform did not say which lines
    amount_source: str = "transactions"  #: "transactions", "lines", "total": how ``amount`` was found


@dataclass(frozen=True, slots=True, kw_only=True)
class Fulfilment:
    id: str
    status: str | None = None
    updated_at: datetime | None = None
    tracking_company: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    tracking_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    id: str | None = None  #: permanent; None for guests (WooCommerce's 0)
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One snapshot of an order.

    Totals are those at placement; refunds stand beside them and never shrink them. The equation that holds up to the
    shop's rounding: sum(lines.total_gross, surcharges included) + shipping_gross - unassigned_discount = total.
    """

    id: str
    number: str | None = None  #: as on the receipt, without "#"
    name: str | None = None  #: as the shop writes it: "#1042"
    cart_id: str | None = None  #: the cart's token, without "?key=..."
    checkout_id: str | None = None
    source: str | None = None  #: the platform's word for where the order came from: "web", "pos", "checkout", ...
    channel: str = "web"  #: "web" or "pos"
    test: bool = False

    status: str | None = None  #: the platform's lifecycle word (WooCommerce status; Shopify: open, closed, cancelled)
    financial_status: str | None = None  #: the platform's word; WooCommerce: "paid" or "unpaid" from date_paid
    fulfilment_status: str = "none"  #: "none", "partial", "full"; "restocked": all was put back into stock
    paid: bool = False  #: was paid in full at some time, also if refunded since
    draft: bool = False  #: not an order yet (WooCommerce checkout-draft): never a purchase
    cancelled: bool = False  #: cancelled or failed, will not be served
    trashed: bool = False
    cancel_reason: str | None = None

    created_at: datetime | None = None  #: placed
    updated_at: datetime | None = None  #: the platform's own; decides which snapshot is newest
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    completed_at: datetime | None = None

    currency: str  #: ISO 4217, the shop's
    buyer_currency: str | None = None  #: where it is another one
    buyer_total: Decimal | None = None  #: in buyer_currency
    taxes_included: bool = False  #: whether the shop shows prices with tax

    total: Decimal  #: what the customer owes or paid: tax and shipping in, discounts off
    current_total: Decimal | None = None  #: after edits, refunds and removals, where the platform says so
    discount: Decimal = ZERO  #: all discounts on lines, as the shop shows them, with negative fees
    discount_net: Decimal = ZERO  #: the same without tax (negative fees with theirs)
    unassigned_discount: Decimal = ZERO  #: part of both that stands on no line (negative fees), with tax
    tax: Decimal = ZERO  #: of everything, shipping included
    lines_tax: Decimal = ZERO  #: of the lines, surcharges included
    shipping_net: Decimal = ZERO  #: after shipping discounts
    shipping_tax: Decimal = ZERO
    shipping_gross: Decimal = ZERO

    lines: tuple[LineItem, ...] = ()  #: products; then surcharges (positive fees, tips, duties) as lines
    shipping_lines: tuple[ShippingLine, ...] = ()
    shipping_method: str | None = None
    payment_method: str | None = None
    discount_codes: tuple[str, ...] = ()  #: lower case

    refunds: tuple[Refund, ...] = ()
    refunded: Decimal = ZERO  #: sum of refunds.amount
    refunded_in_full: bool = False  #: the platform says so, or refunded >= total and total > 0
    fulfilments: tuple[Fulfilment, ...] = ()

    customer: Customer | None = None
    customer_id: str | None = None  #: shortcut of customer.id
    email: str | None = None  #: lower case, trimmed; order's, else contact's, else customer's, else billing's
    phone: str | None = None  #: E.164, by the address's country; None where it cannot be
    first_name: str | None = None  #: billing's, else shipping's, else customer's
    last_name: str | None = None
    address: Address | None = None  #: billing's, else shipping's
    billing: Address | None = None
    shipping: Address | None = None
    locale: str | None = None  #: "nl-NL" where known
    accepts_marketing: bool | None = None  #: True ticked; False did not tick (not: opted out); None unknown
    note: str | None = None

    attributes: tuple[Attribute, ...] = ()  #: order-level; the lines carry theirs
    sprii: Found | None = None  #: Sprii's order number
    seeka_profile_id: str | None = None
    tcf_consent: str | None = None  #: IAB TCF string captured in this very checkout
    spotler_cookie: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CartLine:
    key: str | None = None
    product_id: str | None = None
    variant_id: str | None = None
    unit_id: str | None = None
    sku: str | None = None
    name: str | None = None
    title: str | None = None
    variant_title: str | None = None
    vendor: str | None = None
    quantity: Decimal
    unit_price: Decimal | None = None  #: per unit after discounts, as the shop shows it
    total: Decimal | None = None  #: line, after discounts
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart:
    id: str  #: the cart's token
    currency: str | None = None  #: None for an empty Shopify cart
    total: Decimal = ZERO  #: the body's, else the sum of the lines
    updated_at: datetime | None = None
    lines: tuple[CartLine, ...] = ()
    quantity: Decimal = ZERO  #: units
    customer_id: str | None = None
    email: str | None = None
    phone: str | None = None
    content: str = ""  #: hash of what is in it: equal carts, equal text
    attributes: tuple[Attribute, ...] = ()
    sprii: Found | None = None
    seeka_profile_id: str | None = None
    spotler_cookie: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A checkout that was begun. Its address with the secret key (abandoned_checkout_url) is never read."""

    id: str
    cart_id: str | None = None
    currency: str | None = None
    total: Decimal = ZERO
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    lines: tuple[CartLine, ...] = ()
    quantity: Decimal = ZERO
    customer_id: str | None = None
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    accepts_marketing: bool | None = None
    locale: str | None = None
    attributes: tuple[Attribute, ...] = ()
    sprii: Found | None = None
    seeka_profile_id: str | None = None
    spotler_cookie: str | None = None


#: The facts' name of the number that a live-shopping platform gave the order.
LIVE_NUMBER = "sprii"
#: By any of these a cart or checkout can be attached to somebody.
IDENTITY = ("customer_id", "email", "phone", "spotler_cookie", "seeka_profile_id")
#: What a checkout tells of the cart that it grew out of: Shopify's cart webhooks say nothing of it.
CART_KNOWLEDGE = (*IDENTITY, LIVE_NUMBER)


# --- what one webhook shows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    order: Order
    restored: bool = False  #: the topic says that it was taken out of the trash
    paid_at: datetime | None = None  #: where only this telling of the order says so; see `Order.paid_at`


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderGone:
    """Trashed or deleted; carries nothing but the id, and no time of the platform's."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSeen:
    """A refund by itself (Shopify refunds/create): to be joined to its order, or parked until that is known."""

    order_id: str
    refund: Refund
    #: The same as it reads where the order's prices include tax, and where they do not: only the order tells which.
    with_tax: Refund | None = None
    without_tax: Refund | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FulfilmentSeen:
    order_id: str
    fulfilment: Fulfilment


@dataclass(frozen=True, slots=True, kw_only=True)
class CartSeen:
    cart: Cart


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutSeen:
    checkout: Checkout


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTrouble:
    """A signed error object instead of content: the store's webhook owner lost rights, or the thing is gone."""

    code: str
    status: int | None = None
    connection: bool = False  #: True: the connection itself is unhealthy (401/403)


class ChoreKind(StrEnum):
    """What a platform can ask for beside orders and carts."""

    UNINSTALLED = "uninstalled"
    SCOPES_CHANGED = "scopes_changed"
    DATA_REQUEST = "data_request"
    ERASE_CUSTOMER = "erase_customer"
    ERASE_SHOP = "erase_shop"


#: Privacy requests about one customer: whom they mean is known from their bodies alone.
ABOUT_A_CUSTOMER = frozenset({ChoreKind.DATA_REQUEST, ChoreKind.ERASE_CUSTOMER})
#: All privacy requests; they still come after a shop removed the app.
PRIVACY = ABOUT_A_CUSTOMER | {ChoreKind.ERASE_SHOP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """A topic about the shop or its people that another part works off: uninstall, privacy requests, scopes."""

    name: str  #: the topic
    kind: ChoreKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Verified and readable, and of no use; with the reason in a sentence."""

    reason: str
    order_id: str | None = None
    waits: bool = False  #: until the rest of it is told


Seen = OrderSeen | OrderGone | RefundSeen | FulfilmentSeen | CartSeen | CheckoutSeen | StoreTrouble | Chore | Nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The shop that a body itself names, to be compared with the shop that the request was counted for."""

    domain: str | None = None
    shop_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one webhook shows, and whom its body claims to be from."""

    seen: Seen
    claim: Claim = field(default_factory=Claim)


# --- facts ------------------------------------------------------------------------------------------------------------

_AS_IT_IS = frozenset({str, bool})
#: Field names of a class, and one call that reads all of them: every order passes here.
_FIELDS: dict[type, tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]] = {}


def facts(value: Any) -> Any:
    """Return ``value`` (any class of this module, or a part of one) as JSON facts; see the module's text."""
    kind = type(value)
    if kind in _AS_IT_IS or value is None:
        return value
    if kind is Decimal:
        return decimal_text(value)
    if kind is tuple or kind is list:
        return [facts(part) for part in value]
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {key: facts(part) for key, part in value.items() if part is not None}
    names, read = _FIELDS.get(kind) or _fields(kind)
    found = {}
    for name, part in zip(names, read(value), strict=True):
        if part is not None:
            found[name] = part if type(part) in _AS_IT_IS else facts(part)
    return found


def _fields(kind: type) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} has no facts")
    names = tuple(each.name for each in fields(kind))
    first = attrgetter(names[0])
    _FIELDS[kind] = (names, attrgetter(*names) if len(names) > 1 else lambda value: (first(value),))
    return _FIELDS[kind]


def decimal_text(value: Decimal) -> str:
    """Plain decimal notation without needless zeros: ``114.95``, ``40``, ``33.057851``, ``2``."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if text[-1] == "0" and "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def time_text(value: datetime) -> str:
    return _utc_as_text(value.astimezone(UTC))


@lru_cache(1024)
def _utc_as_text(moment: datetime) -> str:
    """All that is made of one event asks for the same ones."""
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")
    return text.replace("+00:00", "Z")
