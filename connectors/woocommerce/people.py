"""Who bought, and where they live."""

from __future__ import annotations

from connectors import people
from connectors.events import Address, Customer
from connectors.reading import Reader

_LONGEST_CODE = 6


def read_address(place: Reader) -> Address | None:
    """``billing`` or ``shipping``; None where every field of it is empty."""
    found = place.object_or_none()
    if found is None:
        return None
    country = found.text_at("country")
    state = found.text_at("state")
    code = region_code(state, country)
    return people.address(
        first_name=found.text_at("first_name"),
        last_name=found.text_at("last_name"),
        company=found.text_at("company"),
        line1=found.text_at("address_1"),
        line2=found.text_at("address_2"),
        city=found.text_at("city"),
        region=None if code else state,
        region_code=code,
        postcode=found.text_at("postcode"),
        country=country if country and len(country) != 2 else None,
        country_code=country,
        phone=found.text_at("phone"),
    )


def region_code(state: str | None, country: str | None) -> str | None:
    """The code in ``state``: a code where WooCommerce has a list of states for the country, else what was typed.

    Some of its lists put the country in front: ``JP13``, ``BG-01`` (source: i18n/states.php).
    """
    if not state or len(state) > _LONGEST_CODE or not (state.isdigit() or state.isupper()):
        return None
    rest = state.removeprefix(country) if country else state
    return rest.lstrip("-") if rest != state and (rest[:1] == "-" or rest.isdigit()) else state


def phone_of(*addresses: Address | None) -> str | None:
    """The first phone that can be read, by its own address's country."""
    for address in addresses:
        found = people.e164(address.phone, address.country_code) if address else None
        if found:
            return found
    return None


def read_customer(
    identity: str | None, email: str | None, phone: str | None, first_name: str | None, last_name: str | None
) -> Customer | None:
    """The account or the guest; None where nothing at all is known."""
    if not (identity or email or phone or first_name or last_name):
        return None
    return Customer(id=identity, email=email, phone=phone, first_name=first_name, last_name=last_name)
