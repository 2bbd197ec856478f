"""Conversions of e-mail addresses and phone numbers; what cannot be one is left out, never an error."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import phonenumbers

from mappings.errors import MappingError, kind_of

_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;.]+(?:\.[^@\s<>,;.]+)+")
_LONGEST_EMAIL = 254  #: RFC 5321


def email(value: Any) -> str | None:
    """An e-mail address, trimmed and in lower case; absent where the text is none."""
    address = _text(value).strip().lower()
    return address if len(address) <= _LONGEST_EMAIL and _EMAIL.fullmatch(address) else None


def e164(value: Any) -> str | None:
    """A phone number in international writing as ``+31612345678``; absent where it cannot be one."""
    return _e164(_text(value).strip())


def digits(value: Any) -> str | None:
    """A phone number in international writing as ``31612345678``, 5 to 15 digits; absent where it cannot be one."""
    number = _e164(_text(value).strip())
    return number[1:] if number is not None and 5 <= len(number) - 1 <= 15 else None


@lru_cache(maxsize=4096)
def _e164(text: str) -> str | None:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MappingError(f"{kind_of(value)} is not text")
    return value
