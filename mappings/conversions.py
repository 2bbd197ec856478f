"""The closed list of conversions, by the name that mappings use.

A conversion takes one value that is there (absent values never reach it) and answers another, or None for "leave it
out", or raises `MappingError`, which then gains the file, rule and field. It changes nothing that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from mappings import amounts, contact, lists, moments, texts

Conversion = Callable[[Any], Any]

CONVERSIONS: Mapping[str, Conversion] = MappingProxyType(
    {
        "number": amounts.number,
        "round2": amounts.round2,
        "round6": amounts.round6,
        "integer": amounts.integer,
        "sum": amounts.total,
        "negate": amounts.negate,
        "id_number": amounts.id_number,
        "text": texts.text,
        "lower": texts.lower,
        "upper": texts.upper,
        "first_name": texts.first_name,
        "last_name": texts.last_name,
        "short_name": texts.short_name,
        "language_tag": texts.language_tag,
        "country_code": texts.country_code,
        "truncate_255": texts.truncate_255,
        "at_most_100": texts.at_most_100,
        "sha256": texts.sha256,
        "uuid5": texts.uuid_5,
        "yes_no": texts.yes_no,
        "email": contact.email,
        "e164": contact.e164,
        "digits": contact.digits,
        "iso_time": moments.iso_time,
        "iso_time_ms": moments.iso_time_ms,
        "iso_offset": moments.iso_offset,
        "unix_seconds": moments.unix_seconds,
        "concat": lists.concat,
        "csv": lists.csv,
        "spaced": lists.spaced,
        "count": lists.count,
        "list": lists.wrap,
        "unique": lists.unique,
        "json_text": lists.json_text,
        "attributes": lists.attributes,
        "name_values": lists.name_values,
        "scalar_pairs": lists.scalar_pairs,
    }
)

#: Amounts and moments are the same for every destination of an order, and often for every order. Of other texts (names,
#: addresses) nothing is kept.
_REMEMBERED = frozenset({"number", "round2", "round6", "iso_time", "iso_time_ms", "iso_offset", "unix_seconds"})


@cache
def chained(names: tuple[str, ...]) -> Conversion | None:
    """The conversions of ``names`` as one, which ends with None where nothing is left to convert; None for none."""
    steps = tuple(CONVERSIONS[name] for name in names)
    if not steps:
        return None
    convert = steps[0] if len(steps) == 1 else _one_after_another(steps)
    return _remembering(convert) if _REMEMBERED.issuperset(names) else convert


def _one_after_another(steps: tuple[Conversion, ...]) -> Conversion:
    def convert(value: Any) -> Any:
        for step in steps:
            if value is None or value == "" or value == {}:
                return None
            value = step(value)
        return value

    return convert


def _remembering(convert: Conversion) -> Conversion:
    known = lru_cache(maxsize=4096)(convert)
    # 1, 1.0 and True are one key; a text is only ever itself.
    return lambda value: known(value) if value.__class__ is str else convert(value)
