"""The shape of facts before there are any: what `connectors.events` could tell, with a stand-in for each value."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from app.providers.base import Provider
from app.services import amounts
from app.services.amounts import Reversed
from connectors.events import Cart, Checkout, Kind, Order, Refund

_MOMENT = "2026-03-02T09:15:30Z"
_SUBJECTS: dict[str, type] = {"order": Order, "cart": Cart, "checkout": Checkout}


def facts(kinds: Collection[str], provider: Provider) -> dict[str, Any]:
    """Everything that an event of ``kinds`` could tell ``provider``'s mapping."""
    whole: dict[str, Any] = {name: _shape(kind) for name, kind in _SUBJECTS.items() if _of(kinds, name)}
    if "order" in whole:
        whole["remaining"] = amounts.remaining(whole["order"])
    if {Kind.REFUNDED, Kind.CANCELLED} & set(kinds):
        whole["refund"] = _shape(Refund)
        reversal = amounts.reversal({**whole["order"], "total": "1"}, None, Reversed(), _MOMENT) or {}
        whole["reversal"] = {**reversal, **{name: "text" for each in provider.actions.values() for name in each.kept}}
    whole["event"] = {"kind": min(kinds), "id": "1", "occurred_at": _MOMENT}
    whole["shop"] = {"platform": "shopify", "domain": "shop.example"}
    return {**whole, "options": provider.options(provider.complete({}), whole)}


def names(provider: Provider) -> Iterator[str]:
    """The names that facts may have; not of options, whose settings have labels."""
    known = facts(list(Kind), provider)
    del known["options"]
    return _names(known)


def _names(given: Any) -> Iterator[str]:
    if isinstance(given, dict):
        yield from given
    for each in given.values() if isinstance(given, dict) else given if isinstance(given, list) else ():
        yield from _names(each)


def _of(kinds: Collection[str], name: str) -> bool:
    return any(kind.startswith(f"{name}.") for kind in kinds)


@cache
def _shape(kind: Any) -> Any:
    """A stand-in for a value of ``kind``, as facts have it."""
    inner = [each for each in get_args(kind) if each not in (type(None), ...)]
    if isinstance(kind, UnionType):
        return _shape(inner[0])
    if get_origin(kind) is tuple:
        return [_shape(inner[0])]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {each.name: _shape(hints[each.name]) for each in fields(kind)}
    return {Decimal: "0", datetime: _MOMENT, bool: False, int: 0}.get(kind, "text")
