"""A rule's fields one by one, by paths as pages and messages write them.

``lineItems.price`` is the field ``price`` of an object, or of every member of a list; ``title[]`` is the form that all
members of the list ``title`` take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mappings.data import RuleData
from mappings.errors import MappingError

ITEM = "[]"


@dataclass(frozen=True, slots=True)
class Place:
    """One field of a rule."""

    path: str
    name: str  #: the last part of the path
    depth: int  #: 0 at the top
    inside: str | None  #: path of the list whose members have it
    spec: dict[str, Any]


def outline(rule: RuleData) -> Iterator[Place]:
    """All fields of a whole rule, each before what stands in it."""
    yield from _fields(rule.get("fields", {}), "", 0, None)


def find(rule: RuleData, path: str) -> Place | None:
    return next((place for place in outline(rule) if place.path == path), None)


def put(rule: RuleData, path: str, spec: dict[str, Any] | None) -> RuleData:
    """A copy of ``rule`` with the field at ``path`` as ``spec`` says, or (None) without it.

    Objects that are missing on the way are made, and objects that are empty afterwards go. Raises `MappingError` where
    ``path`` leads into a field that holds nothing.
    """
    return {**rule, "fields": _put(rule.get("fields", {}), path, spec)}


def alone(rule: RuleData, path: str) -> dict[str, Any]:
    """The fields of ``rule`` with nothing in them but the one at ``path`` and what it stands in."""
    return _alone(rule.get("fields", {}), path)


def _fields(fields: dict[str, Any], before: str, depth: int, inside: str | None) -> Iterator[Place]:
    for name, spec in fields.items():
        yield from _place(before + name, name, spec, depth, inside)


def _place(path: str, name: str, spec: dict[str, Any], depth: int, inside: str | None) -> Iterator[Place]:
    yield Place(path, name, depth, inside, spec)
    within = path if "each" in spec else inside
    yield from _fields(spec.get("fields", {}), f"{path}.", depth + 1, within)
    if "item" in spec:
        yield from _place(path + ITEM, ITEM, spec["item"], depth + 1, within)


def _put(fields: dict[str, Any], path: str, spec: dict[str, Any] | None) -> dict[str, Any]:
    name, rest = _split(fields, path)
    before = fields.get(name, {})
    changed = spec if not rest else _put_inside(before, rest, spec, name)
    if changed is None:
        return {other: given for other, given in fields.items() if other != name}
    return {**fields, name: changed}


def _put_inside(field: dict[str, Any], rest: str, spec: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    if rest.startswith(ITEM):
        return _put_item(field, rest.removeprefix(ITEM).lstrip("."), spec, name)
    if field and "fields" not in field:
        raise MappingError("holds a value, and so no fields", path=name)
    inner = _put(field.get("fields", {}), rest, spec)
    if inner:
        return {**field, "fields": inner}
    return {**field, "fields": {}} if "each" in field else None


def _put_item(field: dict[str, Any], rest: str, spec: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    if "item" not in field:
        raise MappingError("is no list of single values", path=name)
    changed = spec if not rest else _put_inside(field["item"], rest, spec, name + ITEM)
    return None if changed is None else {**field, "item": changed}


def _split(fields: dict[str, Any], path: str) -> tuple[str, str]:
    """The first name of ``path`` and the rest. Names may have dots in them: the longest that is there, counts."""
    for name in sorted(fields, key=len, reverse=True):
        if path == name or path.startswith((f"{name}.", f"{name}{ITEM}")):
            return name, path[len(name) :].removeprefix(".")
    name, _, rest = path.partition(".")
    return name, rest


def _alone(fields: dict[str, Any], path: str) -> dict[str, Any]:
    name, rest = _split(fields, path)
    spec = fields[name]
    if rest and not rest.startswith(ITEM):
        spec = {**spec, "fields": _alone(spec["fields"], rest)}
    elif rest:
        inner = rest.removeprefix(ITEM).lstrip(".")
        item = spec["item"]
        spec = {**spec, "item": {**item, "fields": _alone(item["fields"], inner)}} if inner else spec
    return {name: spec}
