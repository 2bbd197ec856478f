"""Who bought, where they live and what they speak. Any of it may be missing, whatever the shop."""

from __future__ import annotations

import re
from functools import lru_cache

from babel.core import get_global
from babel.languages import get_official_languages

from connectors import people
from connectors.events import Address, Customer
from connectors.reading import Reader

_LOCALE = re.compile(r"([a-z]{2,3})(?:[-_][a-z]{4})?(?:[-_]([a-z]{2}|[0-9]{3}))?", re.ASCII | re.IGNORECASE)


def read_id(place: Reader) -> str | None:
    """``id``, else the number at the end of ``admin_graphql_api_id`` (``gid://shopify/Customer/77``)."""
    found = place["id"].id_or_none() or place["admin_graphql_api_id"].id_or_none()
    if found and found.startswith("gid://"):
        return found.rpartition("/")[2].partition("?")[0] or None
    return found


def read_address(place: Reader) -> Address | None:
    """None where there is none; checkouts write an empty list for it."""
    found = place.object_or_none()
    if found is None:
        return None
    code, region = found.text_at("country_code"), found.text_at("province_code")
    return people.address(
        first_name=found.text_at("first_name"),
        last_name=found.text_at("last_name"),
        company=found.text_at("company"),
        line1=found.text_at("address1"),
        line2=found.text_at("address2"),
        city=found.text_at("city"),
        region=found.text_at("province"),
        region_code=region.removeprefix(f"{code}-") if region and code else region,
        postcode=found.text_at("zip"),
        country=found.text_at("country"),
        country_code=code,
        phone=found.text_at("phone"),
    )


class Buyer:
    """What an order or a checkout says of its buyer, each piece from the first place that has it."""

    __slots__ = ("address", "billing", "country", "customer", "email", "first_name", "last_name", "phone", "shipping")

    def __init__(self, body: Reader) -> None:
        account = body["customer"].object_or_none() or Reader(None, body, "customer")
        self.billing = read_address(body["billing_address"])
        self.shipping = read_address(body["shipping_address"])
        self.address = self.billing or self.shipping
        self.country = self.address.country_code if self.address else None
        self.email = _email(body.text_at("email"), body.text_at("contact_email"), account.text_at("email"))
        self.phone = self._phone(body, account)
        self.first_name, self.last_name = self._names(account)
        self.customer = self._customer(account)

    def _phone(self, body: Reader, account: Reader) -> str | None:
        typed = [(body.text_at("phone"), self.country)]
        typed += [(each.phone, each.country_code) for each in (self.billing, self.shipping) if each]
        typed += [(account.text_at("phone"), self.country)]
        return next((found for phone, country in typed if (found := people.e164(phone, country))), None)

    def _names(self, account: Reader) -> tuple[str | None, str | None]:
        """From the first that has any; never the first name of one and the last name of another."""
        named = [(each.first_name, each.last_name) for each in (self.billing, self.shipping) if each]
        named += [(account.text_at("first_name"), account.text_at("last_name"))]
        return next((pair for pair in named if any(pair)), (None, None))

    def _customer(self, account: Reader) -> Customer | None:
        """The account with its own data, the rest from the order; a guest is told by the order alone."""
        identity, names = read_id(account), (account.text_at("first_name"), account.text_at("last_name"))
        first_name, last_name = names if any(names) else (self.first_name, self.last_name)
        email = _email(account.text_at("email")) or self.email
        phone = people.e164(account.text_at("phone"), self.country) or self.phone
        if not (identity or email or phone or first_name or last_name):
            return None
        return Customer(id=identity, email=email, phone=phone, first_name=first_name, last_name=last_name)


def _email(*texts: str | None) -> str | None:
    return next((found for text in texts if (found := people.email(text))), None)


@lru_cache(maxsize=1024)
def locale(text: str | None, country: str | None) -> str | None:
    """``nl-NL`` of ``nl-NL``, ``nl_nl`` or ``nl-Latn-NL``; what is written in another way stays as it is.

    A language alone gets ``country`` where it is official there (``nl`` in BE), else where most of its speakers live.
    """
    match = _LOCALE.fullmatch(text) if text else None
    if match is None:
        return text
    language = match[1].lower()
    territory = match[2] or _territory(language, country)
    return f"{language}-{territory.upper()}" if territory else language


def _territory(language: str, country: str | None) -> str | None:
    if country and language in get_official_languages(country, de_facto=True):
        return country
    likely: str | None = get_global("likely_subtags").get(language)
    return likely.rpartition("_")[2] if likely else None
