"""Conversions of texts, names and identifiers."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Any
from uuid import UUID, uuid5

from mappings.errors import MappingError, kind_of

NAMESPACE = UUID("6f0ad4a4-1f0b-5d0e-9d53-7a3b9d1c2e84")  #: ours; another one would change every id made with it
_LANGUAGE_TAG = re.compile(r"([A-Za-z]{2})[-_]([A-Za-z]{2})")
_NAME_SIGNS = frozenset(" \u00a0'’‘.-‐‑")  #: besides letters and marks
_NAME_LENGTH, _NAME_DIGITS = 40, 3


def text(value: Any) -> str:
    """A number or a yes-or-no as text; text stays as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise MappingError(f"{kind_of(value)} cannot become text")


def lower(value: Any) -> str:
    """In lower case."""
    return _text(value).lower()


def upper(value: Any) -> str:
    """In upper case."""
    return _text(value).upper()


def first_name(value: Any) -> str | None:
    """The first word of a full name."""
    return next(iter(_text(value).split(None, 1)), None)


def last_name(value: Any) -> str | None:
    """A full name without its first word; absent where it has only one."""
    words = _text(value).split(None, 1)
    return words[1].strip() if len(words) > 1 else None


def short_name(value: Any) -> str | None:
    """A name as eSputnik takes it; absent where it is longer than 40 characters, or has more than 3 digits or others
    than letters, marks, blanks, apostrophes, hyphens and dots."""
    name = _text(value).strip()
    digits = sum(each.isdecimal() for each in name)
    fits = len(name) <= _NAME_LENGTH and digits <= _NAME_DIGITS and all(map(_in_name, name))
    return name if fits else None


def _in_name(sign: str) -> bool:
    return sign in _NAME_SIGNS or sign.isalpha() or sign.isdecimal() or unicodedata.category(sign)[0] == "M"


def language_tag(value: Any) -> str | None:
    """``nl_NL`` or ``nl-nl`` as ``nl-NL``; absent where it is not of that form."""
    form = _LANGUAGE_TAG.fullmatch(_text(value).strip())
    return f"{form[1].lower()}-{form[2].upper()}" if form else None


def country_code(value: Any) -> str | None:
    """Two letters in upper case; absent where it is anything else."""
    code = _text(value).strip().upper()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else None


def truncate_255(value: Any) -> str:
    """The first 255 characters."""
    return _text(value)[:255]


def sha256(value: Any) -> str:
    """SHA-256 of the text in UTF-8, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(_text(value).encode("utf-8", "surrogatepass")).hexdigest()


def at_most_100(value: Any) -> str:
    """A text of over 100 characters as its SHA-256; a shorter one stays as it is."""
    return sha256(value) if len(_text(value)) > 100 else str(value)


def uuid_5(value: Any) -> str | None:
    """A UUID made of a text or a list of texts, always the same for the same; absent where one of them is absent."""
    if isinstance(value, list):
        if any(each is None for each in value):
            return None
        value = json.dumps([text(each) for each in value])
    name = text(value).encode("utf-8", "backslashreplace").decode()  # half a surrogate pair has no UTF-8
    return str(uuid5(NAMESPACE, name))


def yes_no(value: Any) -> str | None:
    """``yes`` for true; absent for false."""
    if not isinstance(value, bool):
        raise MappingError(f"{kind_of(value)} is not a yes or no")
    return "yes" if value else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MappingError(f"{kind_of(value)} is not text")
    return value
