"""Paths into facts: ``order.customer.id``, ``item[options.item_id]``, ``order.attributes["Gift message"].value``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mappings.errors import MappingError, kind_of

Facts = Mapping[str, Any]
Read = Callable[[Facts], Any]


@dataclass(frozen=True, slots=True)
class Name:
    """In quotes: a key that may be written in any way, or in a list the member whose ``name`` it is."""

    text: str


Part = str | Name | tuple["Part", ...]  #: a key, or (in brackets) a name or the path whose value is the key

ROOTS = frozenset({"event", "shop", "order", "refund", "remaining", "reversal", "cart", "checkout", "options", "item"})
_LONGEST = 200  #: characters
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"([^"|]+)"')  #: a bar parts paths from each other, see ``skip_without``


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
            inner, at = _bracket(path, at + 1)
            if path[at : at + 1] != "]":
                raise MappingError(f'"{path}" is not a path: a bracket is not closed')
            parts.append(inner)
            at += 1
    return tuple(parts), at


def _bracket(path: str, start: int) -> tuple[Part, int]:
    quoted = _QUOTED.match(path, start)
    return (Name(quoted[1]), quoted.end()) if quoted else _split(path, start)


def by_name(owner: str, name: str) -> str:
    """The path of what has ``name`` at the path ``owner``; none that `reader` takes where a quote or a bar is in it."""
    return f'{owner}["{name}"]'


def needs_item(parts: tuple[Part, ...]) -> bool:
    """Whether the path can be read inside an ``each`` only."""
    return parts[0] == "item" or any(isinstance(part, tuple) and needs_item(part) for part in parts)


def root_and_key(path: str) -> tuple[str, str] | None:
    """The two names of a path of the common form ``order.number``; None for any other."""
    match split(path):
        case (str() as root, str() as key):
            return root, key
    return None


def reader(path: str) -> Read:
    """A function that reads ``path``: its value, or None where it or anything before it is absent."""
    return _reader(split(path), path)


def _reader(parts: tuple[Part, ...], path: str) -> Read:
    root = str(parts[0])
    match parts[1:]:
        case ():
            return lambda facts: facts.get(root)
        case (str() as key,):
            return _short(root, key, path)
    if all(isinstance(part, str) for part in parts):
        return _named(root, [str(part) for part in parts[1:]], path)
    return _long(root, tuple(_reader(part, path) if isinstance(part, tuple) else part for part in parts[1:]), path)


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


def _named(root: str, keys: list[str], path: str) -> Read:
    """``order.address.city``: every key is a name."""

    def read(facts: Facts) -> Any:
        value = facts.get(root)
        for key in keys:
            if value is None:
                return None
            try:
                value = value.get(key)
            except AttributeError:
                raise _not_an_object(path, value) from None
        return value

    return read


def _long(root: str, rest: tuple[str | Name | Read, ...], path: str) -> Read:
    def read(facts: Facts) -> Any:
        value = facts.get(root)
        for part in rest:
            if value is None:
                return None
            if isinstance(part, Name):
                value = _called(part.text, value, path)
                continue
            key = part if isinstance(part, str) else _key(part(facts), path)
            if key is None:
                return None
            try:
                value = value.get(key)
            except AttributeError:
                raise _not_an_object(path, value) from None
        return value

    return read


def _called(name: str, value: Any, path: str) -> Any:
    """In an object the value of a key; in a list the last member of that name, blanks around it and case aside."""
    if isinstance(value, dict):
        return value.get(name)
    if not isinstance(value, list):
        raise _not_an_object(path, value)
    same = (each for each in reversed(value) if isinstance(each, dict) and _bare(each.get("name")) == _bare(name))
    return next(same, None)


def _bare(name: Any) -> str | None:
    return name.strip().casefold() if isinstance(name, str) else None


def _key(value: Any, path: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise MappingError(f"{path}: what stands in brackets must name a key, and is {kind_of(value)}")
    return value


def _not_an_object(path: str, value: Any) -> MappingError:
    return MappingError(f"{path}: leads through {kind_of(value)}, not through an object")
