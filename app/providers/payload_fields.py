"""What the fields of a payload mean, as far as a provider says: words for the pages, never a check.

A table of them belongs to each action. Its keys are paths: ``lineItems.price`` is a field of every member of the list
``lineItems``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadField:
    """One field that a provider documents."""

    meaning: str  #: a sentence or two for the merchant
    required: bool = False  #: the provider does nothing good without it
    kind: str = "text"  #: text, number, boolean, list, object
    money: bool = False  #: an amount in the shop's currency
    times: str | None = None  #: of an amount of one unit: the field beside it that says how many


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomFields:
    """An object of a payload that takes fields of any name."""

    under: str  #: path of the object; "" for the payload itself
    prefix: str = ""  #: what their names begin with
    help: str  #: what to do at the provider, and what may stand there


Table = Mapping[str, PayloadField]


def text(meaning: str, *, required: bool = False) -> PayloadField:
    return PayloadField(meaning=meaning, required=required)


def number(meaning: str, *, required: bool = False) -> PayloadField:
    return PayloadField(meaning=meaning, required=required, kind="number")


def money(meaning: str, *, required: bool = False, times: str | None = None) -> PayloadField:
    return PayloadField(meaning=meaning, required=required, kind="number", money=True, times=times)


def flag(meaning: str, *, required: bool = False) -> PayloadField:
    return PayloadField(meaning=meaning, required=required, kind="boolean")


def several(meaning: str, *, required: bool = False) -> PayloadField:
    return PayloadField(meaning=meaning, required=required, kind="list")


def group(meaning: str, *, required: bool = False) -> PayloadField:
    return PayloadField(meaning=meaning, required=required, kind="object")


def values_at(payload: Any, names: Sequence[str]) -> Iterator[Any]:
    """The values at a path of names; through a list: of all its members."""
    if not names:
        yield payload
    elif isinstance(payload, list):
        for each in payload:
            yield from values_at(each, names)
    elif isinstance(payload, dict) and names[0] in payload:
        yield from values_at(payload[names[0]], names[1:])
