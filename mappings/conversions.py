"""The closed list of conversions, by the name that mappings use.

A conversion takes one value that is there (absent values never reach it) and answers another, or None for "leave it
out", or raises `MappingError`, which then gains the file, rule and field. It changes nothing that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
