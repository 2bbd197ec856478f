"""What a shop is, and what it granted us: one question, asked at the install and by every check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.shopify.admin import Admin, AdminAnswer

_PREFIX = "gid://shopify/Shop/"
_SHOP = """
query Shop {
  shop { id myshopifyDomain currencyCode ianaTimezone plan { publicDisplayName } }
  currentAppInstallation { accessScopes { handle } }
}
"""
_ORDER = "query OneOrder { orders(first: 1) { nodes { id email phone shippingAddress { name city } } } }"
#: By the field that stands for it, in the order in which we tell it.
_PERSONAL = {"name": "names", "email": "e-mail addresses", "phone": "phone numbers", "city": "addresses"}


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """A shop by its own words."""

    external_id: str  #: the number that bodies carry
    currency: str
    timezone: str
    plan: str
    scopes: tuple[str, ...]  #: granted; a right to write stands for the one to read


@dataclass(frozen=True, slots=True)
class PersonalData:
    """What the app's approval for protected customer data lets through."""

    approved: bool = True  #: without it no order is shown or told
    hidden: tuple[str, ...] = ()  #: ``names``, ``e-mail addresses``, ``phone numbers``, ``addresses``


def read_personal(admin: Admin) -> PersonalData:
    """Ask for one order. A shop that has none yet shows nothing hidden.

    Only to be asked with the scope to read orders: without it the refusal is the same.
    Source: shopify.dev/docs/apps/launch/protected-customer-data
    """
    try:
        admin.ask(_ORDER)
    except AdminAnswer as error:
        if "ACCESS_DENIED" not in error.codes:
            raise
        hidden = tuple(said for name, said in _PERSONAL.items() if name in error.fields)
        return PersonalData(approved=bool(hidden) and "orders" not in error.fields, hidden=hidden)
    return PersonalData()


def read_shop(admin: Admin) -> ShopFacts:
    """Ask the shop; an answer for another shop than was asked is an error, never taken.

    Source: shopify.dev/docs/api/admin-graphql/latest/queries/shop and .../currentAppInstallation
    """
    data = admin.ask(_SHOP)
    try:
        facts = _facts(data)
        domain = data["shop"]["myshopifyDomain"]
    except (KeyError, TypeError):
        raise AdminAnswer("the shop is not what Shopify documents") from None
    if domain != admin.domain:
        raise AdminAnswer("the answer is another shop's")
    return facts


def _facts(data: Mapping[str, Any]) -> ShopFacts:
    shop, granted = data["shop"], data["currentAppInstallation"]["accessScopes"]
    number = str(shop["id"]).removeprefix(_PREFIX)
    if not (number.isascii() and number.isdecimal()):
        raise KeyError("id")
    return ShopFacts(
        external_id=number,
        currency=str(shop["currencyCode"]),
        timezone=str(shop["ianaTimezone"]),
        plan=str(shop["plan"]["publicDisplayName"]),
        scopes=tuple(sorted(str(scope["handle"]) for scope in granted)),
    )
