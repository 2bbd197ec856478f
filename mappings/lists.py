"""Conversions of lists and objects. A list may have gaps, None, where a path of ``from = [...]`` had no value."""

from __future__ import annotations

import json
from typing import Any

from mappings.errors import MappingError, kind_of
from mappings.texts import text


def concat(value: Any) -> str | None:
    """The members one after another; absent where one of them is absent, for half an id is none."""
    members = _members(value)
    return None if any(each is None for each in members) else "".join(map(text, members))


def csv(value: Any) -> str:
    """The members with commas between them, empty ones left out."""
    return ",".join(_texts(value))


def spaced(value: Any) -> str:
    """The members, trimmed, with a blank between them, empty ones left out."""
    return " ".join(filter(None, (each.strip() for each in _texts(value))))


def count(value: Any) -> int:
    """How many members the list has."""
    return sum(each is not None for each in _members(value))


def wrap(value: Any) -> list[Any]:
    """A list with the value as its only member; a list stays as it is."""
    return value if isinstance(value, list) else [value]


def unique(value: Any) -> list[Any]:
    """Each member once, where it first stands."""
    seen: dict[str, Any] = {}
    for each in _members(value):
        if each is not None:
            seen.setdefault(json.dumps(each, sort_keys=True), each)
    return list(seen.values())


def json_text(value: Any) -> str:
    """Compact JSON in a text; amounts stay the texts that they are."""
    if isinstance(value, list):
        value = [each for each in value if each is not None]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def attributes(value: Any) -> dict[str, str]:
    """A list of ``{name, value}`` as one object of texts; of several with one name the last one wins."""
    result = {}
    for each in _members(value):
        if each is None:
            continue
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise MappingError("a member of the list has no name")
        if each.get("value") is not None:
            result[each["name"]] = text(each["value"])
    return result


def name_values(value: Any) -> list[dict[str, Any]]:
    """An object as a list of ``{name, value}``, in the object's order."""
    return [{"name": name, "value": each} for name, each in _object(value).items()]


def scalar_pairs(value: Any) -> dict[str, Any]:
    """An object's texts and numbers; a yes-or-no becomes text, lists and objects inside are left out."""
    result: dict[str, Any] = {}
    for name, each in _object(value).items():
        if isinstance(each, bool):
            result[name] = text(each)
        elif isinstance(each, str | int | float) and each != "":
            result[name] = each
    return result


def _members(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise MappingError(f"{kind_of(value)} is not a list")
    return value


def _texts(value: Any) -> list[str]:
    return [text(each) for each in _members(value) if each is not None and each != ""]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MappingError(f"{kind_of(value)} is not an object")
    return value
