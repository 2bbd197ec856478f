"""Whether a payload has the shape that its action reads: a merchant's own mapping may make anything of anything."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from app.providers.base import Payload
from app.providers.payload_fields import values_at
from app.providers.registry import PROVIDERS
from app.services.said import mark
from mappings.errors import kind_of


class Part(NamedTuple):
    """What must stand at a place of a payload, where anything does."""

    path: str
    names: tuple[str, ...]
    kind: str  #: list (of objects), object, or value (neither)


def misfit(provider: str, action: str, payload: Payload) -> tuple[str, str] | None:
    """Path and a sentence of the first value that is no list or object where one has to be, or the other way round."""
    for path, names, kind in _shape(provider, action):
        for value in values_at(payload, names):
            if not _fits(value, kind):
                return path, f"must be {_WORDS[kind]}, and is {_said(value)}"
    return None


_WORDS = {"list": mark("a list of objects"), "object": mark("an object"), "value": mark("a single value")}


@cache
def _shape(provider: str, action: str) -> Sequence[Part]:
    """Of lists and objects whose fields are documented, and of single values that the action cannot do without."""
    declared = PROVIDERS[provider].actions[action]
    parents = {path.rpartition(".")[0] for path in declared.fields}
    found = [Part(path, tuple(path.split(".")), each.kind) for path, each in declared.fields.items() if path in parents]
    single = [name for name in sorted(declared.required) if declared.fields[name].kind not in {"list", "object"}]
    return (*found, *(Part(name, (name,), "value") for name in single))


def _fits(value: Any, kind: str) -> bool:
    if kind == "list":
        return isinstance(value, list) and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict) if kind == "object" else not isinstance(value, dict | list)


def _said(value: Any) -> str:
    return "a list of other things" if isinstance(value, list) else kind_of(value)
