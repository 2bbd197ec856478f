"""``meta_data`` of orders, lines and carts: what plugins and storefronts attached."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from connectors.events import Attribute
from connectors.reading import Reader

_STRUCTURED = (dict, list, bool)


def read_meta(entries: Reader, place: str) -> tuple[Attribute, ...]:
    """Attributes of ``place`` ("order" or "line"); entries without a name or a value are left out.

    The rank is the meta id, which grows with time; carts have none, there it is the position.
    """
    found = []
    for position, entry in enumerate(entries.items()):
        name = entry.text_at("key")
        value = _text(entry) if name else None
        if name and value:
            found.append(Attribute(name=name, value=value, place=place, rank=_rank(entry, position)))
    return tuple(found)


def _rank(entry: Reader, position: int) -> int:
    raw = entry.value.get("id")
    if type(raw) is int:
        return raw
    text = entry["id"].id_or_none()
    return int(text) if text and text.isascii() and text.isdecimal() else position


def _text(entry: Reader) -> str | None:
    raw = entry.value.get("value")
    if not isinstance(raw, _STRUCTURED):
        return entry.text_at("value")
    try:
        return _compact(raw).encode("utf-8", "replace").decode()
    except RecursionError:
        raise entry["value"].wrong("a value of fewer levels") from None


def _compact(value: Any) -> str:
    """JSON without blanks; written here because `json` cannot write a `Decimal` as the number that it was."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{_compact(key)}:{_compact(part)}" for key, part in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_compact(part) for part in value]) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
