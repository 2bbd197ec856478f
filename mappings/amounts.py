"""Conversions of amounts and numbers. Amounts are decimal text, as in the facts: ``114.95``, ``-2``, ``33.057851``.

The amounts of one order are read again for every destination, and prices again for every order: hence the caches.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

from mappings.errors import MappingError, kind_of

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_EXACT = 15  #: significant digits that every JSON reader keeps
_LARGEST_ID = 2**63 - 1
_LONGEST = 60  #: characters of an amount
_WIDE = Context(prec=80, rounding=ROUND_HALF_UP)  #: room for sums of the longest amounts


def number(value: Any) -> int | float:
    """Decimal text as a JSON number: whole where it is whole; more than 15 digits would not survive and are refused."""
    return _number(value if value.__class__ is str else _decimal_text(value))


@lru_cache(maxsize=4096)
def _number(text: str) -> int | float:
    whole, _, places = _decimal_text(text).partition(".")
    if len(text) > _EXACT and len((whole.lstrip("-") + places.rstrip("0")).lstrip("0")) > _EXACT:
        raise MappingError(f"a number of more than {_EXACT} digits cannot be sent exactly")
    return float(text) if places.strip("0") else int(whole)


def integer(value: Any) -> int:
    """A whole number; another one is an error, never rounded."""
    result = number(value)
    if isinstance(result, float):
        raise MappingError(f"{result} is not a whole number")
    return result


def round2(value: Any) -> str:
    """At most two places, half up (away from zero)."""
    return _rounded(value if value.__class__ is str else _decimal_text(value), _CENT)


def round6(value: Any) -> str:
    """At most six places, half up (away from zero)."""
    return _rounded(value if value.__class__ is str else _decimal_text(value), _MILLIONTH)


def total(value: Any) -> str:
    """The sum of a list of amounts; absent members count nothing."""
    if not isinstance(value, list):
        raise MappingError(f"{kind_of(value)} cannot be summed, only a list")
    result = Decimal(0)
    for each in value:
        if each is not None and each != "":
            result = _WIDE.add(result, Decimal(_decimal_text(each)))
    return _plain(result)


def negate(value: Any) -> str:
    """The amount with the other sign."""
    return _plain(-Decimal(_decimal_text(value)))


def id_number(value: Any) -> int | str:
    """An id of digits as a whole number where it fits in 63 bits; any other text stays as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise MappingError(f"{kind_of(value)} is not an id")
    if value.isascii() and value.isdecimal() and len(value) <= 19 and (value[0] != "0" or value == "0"):
        result = int(value)
        if result <= _LARGEST_ID:
            return result
    return value


_CENT, _MILLIONTH = Decimal("0.01"), Decimal("0.000001")


@lru_cache(maxsize=4096)
def _rounded(text: str, unit: Decimal) -> str:
    return _plain(Decimal(_decimal_text(text)).quantize(unit, context=_WIDE))


def _plain(value: Decimal) -> str:
    """The facts' form: no exponent, no needless zeros, no negative zero."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimal_text(value: Any) -> str:
    """``value`` if it is decimal text, or the text of a number."""
    if isinstance(value, str):
        if _DECIMAL.fullmatch(value) is None or len(value) > _LONGEST:
            raise MappingError("text is not a number")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MappingError(f"{kind_of(value)} is not a number")
    text = format(Decimal(str(value)), "f")
    if _DECIMAL.fullmatch(text) is None or len(text) > _LONGEST:
        raise MappingError("that is no number that JSON knows")
    return text
