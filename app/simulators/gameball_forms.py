"""The forms of Gameball's request bodies.

Source: docs.gameball.co/api-reference/openapi.json (version 4.0.0); cart events: the guide "E-commerce events" there.
What ends as a remark only, Gameball takes, but with wrong points or without those that a rule would have given.
"""

from typing import Any

from app.simulators.checks import (
    Check,
    Findings,
    anything,
    array,
    boolean,
    day,
    e164,
    email,
    fields,
    mapping_of,
    number,
    one_of,
    scalar,
    text,
    utc_moment,
)

_PRICE = number(decimals=6)
_POSITIVE = number(least=0, decimals=6)
_TEXTS = array(text)
_FLAT = mapping_of(scalar)


def _customer_id(value: Any, path: str, found: Findings) -> None:
    text(value, path, found)
    if isinstance(value, str) and len(value) > 100:
        found.refuse(path, "must have at most 100 characters")


def _amount_or_null(value: object, path: str, found: Findings) -> None:
    if value is not None:  # null is a full refund
        number(over=0, decimals=2)(value, path, found)


_LINE = fields(
    {},
    {
        "productId": text,
        "quantity": number(over=0),
        "price": _PRICE,
        "taxes": _POSITIVE,
        "discount": _POSITIVE,
        "sku": text,
        "title": text,
        "vendor": text,
        "category": _TEXTS,
        "tags": _TEXTS,
        "collection": _TEXTS,
        "weight": _POSITIVE,
        "extra": _FLAT,
    },
    expected=("productId", "quantity", "price"),
)
_MERCHANT = fields(
    {"branch": fields({"uniqueId": text}, {"name": text})},
    {"uniqueId": text, "name": text},
)
_WHO: dict[str, Check] = {"email": email, "mobile": e164}
ORDER = fields(
    {"customerId": _customer_id, "orderId": text, "orderDate": utc_moment, "totalPaid": _POSITIVE},
    {
        **_WHO,
        "totalPrice": _POSITIVE,
        "totalDiscount": _POSITIVE,
        "totalShipping": _POSITIVE,
        "totalTax": _POSITIVE,
        "guest": boolean,
        "channel": one_of("mobile", "pos", "web", "callcenter"),
        "cartId": text,
        "lineItems": array(_LINE),
        "redemption": fields({}, {"pointsHoldReference": text, "couponsLockReference": text, "couponCodes": _TEXTS}),
        "merchant": _MERCHANT,
        "extra": _FLAT,
        "cashbackConfigurations": fields({}, {"returnWindow": number(least=0, most=7300, whole=True)}),
    },
    expected=("totalPrice", "totalShipping", "totalTax", "lineItems"),
)
REFUND = fields(
    {
        "customerId": _customer_id,
        "refundTransactionId": text,
        "reverseTransactionId": text,
        "transactionTime": utc_moment,
    },
    {**_WHO, "refundAmount": _amount_or_null, "lineItems": array(_LINE), "merchant": _MERCHANT},
    expected=("refundAmount", "lineItems"),
)
_ATTRIBUTES: dict[str, Check] = {
    **_WHO,
    "displayName": text,
    "firstName": text,
    "lastName": text,
    "gender": text,
    "dateOfBirth": day,
    "joinDate": text,
    "country": text,
    "city": text,
    "zip": text,
    "preferredLanguage": text,
    "source": text,
    "utms": array(anything),
    "devices": array(anything),
    "paymentMethods": array(anything),
    "totalSpent": _PRICE,
    "lastOrderDate": text,
    "totalOrders": number(),
    "avgOrderAmount": _PRICE,
    "channel": text,
}


def _custom_attribute(name: str) -> Check | None:
    return None if name in _ATTRIBUTES else anything


CUSTOMER = fields(
    {"customerId": _customer_id},
    {
        **_WHO,
        "guest": boolean,
        "referrerCode": text,
        "deviceToken": text,
        "osType": text,
        "customerAttributes": fields({}, {**_ATTRIBUTES, "custom": fields({}, extra=_custom_attribute)}),
    },
)


def _metadata(name: str) -> Check:
    if name == "cart_items":  # the one key that the event guide shows as objects
        return array(anything)

    def check(value: object, path: str, found: Findings) -> None:
        (array(scalar) if isinstance(value, list) else scalar)(value, path, found)

    return check


_CART_EVENT = fields({"cart_id": text}, extra=_metadata)
_EVENT = fields({}, extra=_metadata)
CART_EVENTS = frozenset({"cart_updated", "checkout_started", "add_to_cart"})


def _events(value: Any, path: str, found: Findings) -> None:
    fields({}, extra=lambda name: _CART_EVENT if name in CART_EVENTS else _EVENT)(value, path, found)
    if value == {}:
        found.refuse(path, "must name an event")


EVENTS = fields({"customerId": _customer_id, "events": _events}, _WHO)
