"""Names of places, phones and e-mail addresses in one form, by libraries; what cannot be read is left out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

import phonenumbers
import pycountry
from babel import Locale

from connectors.events import Address


@lru_cache(maxsize=8192)
def e164(phone: str | None, country_code: str | None) -> str | None:
    """``+31612345678`` for a number typed in ``country_code``, or None where it is no possible number."""
    if not phone:
        return None
    try:
        number = phonenumbers.parse(phone, country_code)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str | None) -> str | None:
    """Lower case, trimmed; None for what cannot be an address."""
    found = (text or "").strip().lower()
    local, at, domain = found.rpartition("@")
    return found if at and local and domain and not any(char.isspace() for char in found) else None


def country_name(code: str | None) -> str | None:
    return _territories().get(code) if code else None


@cache
def _territories() -> Mapping[str, str]:
    """Read when the first order comes: four megabytes that a process at rest can do without."""
    return Locale("en").territories


@lru_cache(maxsize=1024)
def region_name(country_code: str | None, region_code: str | None) -> str | None:
    """ISO 3166-2 name of ``NH`` in ``NL``; None where the library does not know it."""
    if not country_code or not region_code:
        return None
    found = pycountry.subdivisions.get(code=f"{country_code}-{region_code}")  # type: ignore[no-untyped-call]
    return found.name if found else None


def address(
    *,
    first_name: str | None,
    last_name: str | None,
    company: str | None,
    line1: str | None,
    line2: str | None,
    city: str | None,
    region: str | None,
    region_code: str | None,
    postcode: str | None,
    country: str | None,
    country_code: str | None,
    phone: str | None,
) -> Address | None:
    """Build an address; None where nothing is known. Missing names of country and region come from their codes."""
    parts = (first_name, last_name, company, line1, line2, city, region, region_code, postcode, country, country_code)
    if not any((*parts, phone)):
        return None
    code = country_code.upper() if country_code and len(country_code) == 2 else None
    town = " ".join(part for part in (postcode, city) if part)
    text = ", ".join(part for part in (line1, line2, town, code or country) if part)
    return Address(
        first_name=first_name,
        last_name=last_name,
        company=company,
        line1=line1,
        line2=line2,
        city=city,
        region=region or region_name(code, region_code),
        region_code=region_code,
        postcode=postcode,
        country=country_name(code) or country,
        country_code=code,
        phone=phone,
        text=text or None,
    )
