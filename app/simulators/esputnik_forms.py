"""The forms of eSputnik's (Yespo's) request bodies.

Source: docs.esputnik.com/reference/ordersbulkinsert-1 and /reference/registerevent-1, the guides there on contacts and
on tracking through events, and esputnik.com/en/support/how-send-events-resource-v1event. The rule for names is read in
the validator of github.com/Yespo-CDP/yespo-woocommerce.
"""

import re
from typing import Any

from app.simulators.checks import (
    Check,
    Findings,
    anything,
    array,
    currency,
    email,
    fields,
    mapping_of,
    matching,
    number,
    one_of,
    phone_digits,
    scalar,
    some_of,
    text,
    zoned_moment,
)

_NAME = re.compile(r"[^\W\d_](?:[\w .'’-]*)")


def _name(value: Any, path: str, found: Findings) -> None:
    text(value, path, found)
    if isinstance(value, str) and (
        len(value) > 40 or sum(letter.isdigit() for letter in value) > 3 or not _NAME.fullmatch(value)
    ):
        found.remark(path, "is a name that would be dropped")


def _status(value: Any, path: str, found: Findings) -> None:
    one_of("INITIALIZED", "IN_PROGRESS", "DELIVERED", "CANCELLED", "ABANDONED_SHOPPING_CART")(value, path, found)
    if value == "ABANDONED_SHOPPING_CART":
        found.remark(path, "must not be ABANDONED_SHOPPING_CART beside cart events")


_AMOUNT = number(least=0, decimals=6)
IDENTIFIERS: dict[str, Check] = {"externalCustomerId": text, "email": email, "phone": phone_digits}
ITEM = fields(
    {"externalItemId": text, "quantity": number(over=0)},
    {"name": text, "category": text, "cost": _AMOUNT, "url": text, "imageUrl": text, "description": text},
    expected=("name", "cost"),
)
_REQUIRED: dict[str, Check] = {
    "externalOrderId": text,
    "totalCost": _AMOUNT,
    "status": _status,
    "date": zoned_moment,
}
_OPTIONAL: dict[str, Check] = {
    **IDENTIFIERS,
    "firstName": _name,
    "lastName": _name,
    "discount": _AMOUNT,
    "shipping": _AMOUNT,
    "taxes": _AMOUNT,
    "deliveryMethod": text,
    "paymentMethod": text,
    "deliveryAddress": text,
    "restoreUrl": text,
    "statusDescription": text,
    "storeId": text,
    "source": one_of("online", "offline"),
    "additionalInfo": mapping_of(scalar),
    "items": array(ITEM),
}
ORDER_FIELDS = frozenset({*_REQUIRED, *_OPTIONAL, "currency"})
_ORDER = fields({**_REQUIRED, "currency": currency}, _OPTIONAL, expected=("items",))
_EVENT_ORDER = fields(_REQUIRED, {**_OPTIONAL, "currency": currency})


def order(value: Any, path: str, found: Findings) -> None:
    """An order of /v1/orders, with at least one identifier of the buyer."""
    _ORDER(value, path, found)
    if isinstance(value, dict):
        some_of(IDENTIFIERS, value, path, found)


def event_order(value: Any, path: str, found: Findings) -> None:
    """An order told by events; its parameters already turned into the types of /v1/orders."""
    _EVENT_ORDER(value, path, found)


ORDERS = fields({"orders": array(anything, least=1, most=1000)})


def _parameter_name(value: Any, path: str, found: Findings) -> None:
    text(value, path, found)
    if isinstance(value, str) and len(value) > 100:
        found.refuse(path, "must have at most 100 characters")


def _key_value(value: Any, path: str, found: Findings) -> None:
    text(value, path, found)
    if isinstance(value, str) and len(value) > 300:
        found.refuse(path, "must have at most 300 characters")


def _string(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str):
        found.refuse(path, "must be a string")


#: version: form of an event's body; the first takes texts only, the second takes any JSON and can do without the key.
EVENT = {
    "v1": fields(
        {
            "eventTypeKey": _parameter_name,
            "keyValue": _key_value,
            "params": array(fields({"name": _parameter_name, "value": _string})),
        }
    ),
    "v2": fields(
        {
            "eventTypeKey": _parameter_name,
            "params": array(fields({"name": _parameter_name, "value": anything})),
        },
        {"keyValue": _key_value},
    ),
}

CART = fields(
    {
        "products": array(
            fields(
                {"productId": text, "quantity": number(least=1, whole=True), "price": _AMOUNT},
                {"name": text, "category": text, "discount": text},
                extra=lambda _name: anything,
            )
        ),
        "recycleStateId": text,
    },
    {**IDENTIFIERS, "currencyCode": currency},
)


def _channel(value: Any, path: str, found: Findings) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    check = {"email": email, "sms": phone_digits}.get(str(kind), text)
    fields({"type": one_of("email", "sms"), "value": check})(value, path, found)


CONTACT = fields(
    {"channels": array(_channel, least=1)},
    {
        "firstName": _name,
        "lastName": _name,
        "externalCustomerId": text,
        "address": fields({}, {"region": text, "town": text, "address": text, "postcode": text}),
        "languageCode": matching("[a-z]{2,3}(-[A-Z]{2})?", "a language tag such as nl"),
        "timeZone": text,
        "fields": array(fields({"id": anything, "value": anything})),
        "groups": array(anything),
    },
)
