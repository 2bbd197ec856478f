"""Paths into facts: ``order.customer.id``, ``item[options.item_id]``; split once, read often."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mappings.errors import MappingError, kind_of

Facts = Mapping[str, Any]
Read = Callable[[Facts], Any]
Part = str | tuple["Part", ...]  #: a key, or (in brackets) the path whose value is the key

ROOTS = frozenset({"event", "shop", "order", "refund", "remaining", "reversal", "cart", "checkout", "options", "item"})
_LONGEST = 200  #: characters
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def split(path: str) -> tuple[Part, ...]:
    """``path`` in its parts, or `MappingError` saying what is wrong with it."""
    if len(path) > _LONGEST:
        raise MappingError(f"a path of more than {_LONGEST} characters")
    parts, end = _split(path, 0)
    if end != len(path):
        raise MappingError(f'"{path}" is not a path')
    return parts


def _split(path: str, start: int) -> tuple[tuple[Part, ...], int]:
    name = _NAME.match(path, start)
    if name is None:
        raise MappingError(f'"{path}" is not a path')
    if name[0] not in ROOTS:
        raise MappingError(f'"{path}" is not a path: it must begin with one of {", ".join(sorted(ROOTS))}')
    parts: list[Part] = [name[0]]
    at = name.end()
    while at < len(path) and path[at] in ".[":
        if path[at] == ".":
            name = _NAME.match(path, at + 1)
            if name is None:
                raise MappingError(f'"{path}" is not a path')
            parts.append(name[0])
            at = name.end()
        else:
            inner, at = _split(path, at + 1)
            if path[at : at + 1] != "]":
                raise MappingError(f'"{path}" is not a path: a bracket is not closed')
            parts.append(inner)
            at += 1
    return tuple(parts), at


def needs_item(parts: tuple[Part, ...]) -> bool:
    """Whether the path can be read inside an ``each`` only."""
    return parts[0] == "item" or any(isinstance(part, tuple) and needs_item(part) for part in parts)


def reader(path: str) -> Read:
    """A function that reads ``path``: its value, or None where it or anything before it is absent."""
    return _reader(split(path), path)


def _reader(parts: tuple[Part, ...], path: str) -> Read:
    root = str(parts[0])
    rest = tuple(part if isinstance(part, str) else _reader(part, path) for part in parts[1:])
    match rest:
        case ():
            return lambda facts: facts.get(root)
        case (str() as key,):
            return _short(root, key, path)
    return _long(root, rest, path)


def _short(root: str, key: str, path: str) -> Read:
    """The common form, ``order.number``, without a loop."""

    def read(facts: Facts) -> Any:
        value = facts.get(root)
        if value is None:
            return None
        try:
            return value.get(key)
        except AttributeError:
            raise _not_an_object(path, value) from None

    return read


def _long(root: str, rest: tuple[str | Read, ...], path: str) -> Read:
    def read(facts: Facts) -> Any:
        value = facts.get(root)
        for part in rest:
            if value is None:
                return None
            key = part if isinstance(part, str) else _key(part(facts), path)
            if key is None:
                return None
            try:
                value = value.get(key)
            except AttributeError:
                raise _not_an_object(path, value) from None
        return value

    return read


def _key(value: Any, path: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise MappingError(f"{path}: what stands in brackets must name a key, and is {kind_of(value)}")
    return value


def _not_an_object(path: str, value: Any) -> MappingError:
    return MappingError(f"{path}: leads through {kind_of(value)}, not through an object")
