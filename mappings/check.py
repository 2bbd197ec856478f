"""Checks a mapping's plain data against the grammar of ``docs/mappings.md``, before anything runs.

A merchant's own file may hold a part of a rule or field, which `mappings.changes.merge` lays over the default; what
must be whole (every rule with events and an action, every field with one verb) is checked with ``complete=True``.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from mappings.conversions import CONVERSIONS
from mappings.errors import MappingError, kind_of
from mappings.paths import needs_item, split

KINDS = frozenset(
    {
        "order.placed",
        "order.paid",
        "order.updated",
        "order.fulfilled",
        "order.refunded",
        "order.cancelled",
        "order.deleted",
        "order.restored",
        "cart.updated",
        "checkout.started",
    }
)
VERBS = ("from", "first", "value", "each")
TESTS = ("is", "in", "not", "same", "present")

_RULE_KEYS = ("name", "on", "action", "when", "skip", "skip_when", "skip_without", "fields", "off", "replace")
_FIELD_KEYS = (*VERBS, "fields", "item", "where", "as", "default", "when", "keep_empty", "off", "replace")
_DEEPEST = 12  #: levels of fields, and of a constant's lists and tables
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def check_rules(rules: Any, *, source: str, complete: bool) -> None:
    """Raise `MappingError`, naming ``source``, rule and path, for the first thing that breaks the grammar."""
    if not isinstance(rules, list | tuple):
        raise MappingError("rules must be written as [[rules]]", source=source)
    seen: set[str] = set()
    for place, rule in enumerate(rules, start=1):
        try:
            name = _name(rule, place)
            if name in seen:
                raise MappingError("two rules have this name", rule=name)
            seen.add(name)
            check_rule(rule, complete=complete)
        except MappingError as error:
            given = rule.get("name") if isinstance(rule, dict) else None
            raise error.at(source=source, rule=given if isinstance(given, str) else None) from None


def _name(rule: Any, place: int) -> str:
    if not isinstance(rule, dict):
        raise MappingError("rules must be written as [[rules]]")
    name = rule.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise MappingError(f"the rule at place {place} needs a name of letters, digits, dots, hyphens, underscores")
    return name


def check_rule(rule: dict[str, Any], *, complete: bool) -> None:
    """Check one rule, whose name is known to be good."""
    _known(rule, _RULE_KEYS)
    _flags(rule, "off", "replace")
    if "on" in rule:
        _check_on(rule["on"])
    for key in ("action", "skip"):
        if key in rule:
            _text(rule[key], key)
    _conditions(rule, "when", item=False)
    _conditions(rule, "skip_when", item=False, reason=True)
    _check_skip_without(rule.get("skip_without", {}))
    if "skip" in rule and "fields" in rule:
        raise MappingError("has both skip and fields; a rule either skips or sends")
    if complete and not rule.get("off"):
        _check_whole(rule)
    _check_fields(rule.get("fields", {}), "fields", item=False, complete=complete)


def _check_whole(rule: dict[str, Any]) -> None:
    for key in ("on", "action"):
        if key not in rule:
            raise MappingError(f"needs {key}; only a rule that changes one of the default's can do without")
    if "skip" not in rule and rule.get("fields", {}) == {}:
        raise MappingError("needs fields or skip")


def _check_on(on: Any) -> None:
    kinds = [on] if isinstance(on, str) else on
    if not isinstance(kinds, list) or not kinds:
        raise MappingError('must be a list of event kinds, such as ["order.paid"]', path="on")
    for kind in kinds:
        if not isinstance(kind, str) or kind not in KINDS:
            raise MappingError(f"unknown event kind {_shown(kind)}{_meant(kind, KINDS)}", path="on")


def _check_skip_without(table: Any) -> None:
    if not isinstance(table, dict):
        raise MappingError('must be a table such as { "order.email|order.phone" = "reason" }', path="skip_without")
    for paths, reason in table.items():
        try:
            if isinstance(reason, dict):
                raise MappingError(f'paths stand in quotes: {{ "{paths}.{next(iter(reason), "")}" = "reason" }}')
            _text(reason, f'the reason of "{paths}"')
            for path in paths.split("|"):
                _path(path.strip(), None, item=False)
        except MappingError as error:
            raise error.at(path="skip_without") from None


# --- conditions -------------------------------------------------------------------------------------------------------


def _conditions(table: dict[str, Any], key: str, *, item: bool, reason: bool = False, path: str | None = None) -> None:
    where = key if path is None else path
    conditions = table.get(key, [])
    if not isinstance(conditions, list) or not all(isinstance(each, dict) for each in conditions):
        raise MappingError(f'{key} must be a list of conditions such as {{ path = "...", is = true }}', path=where)
    for place, each in enumerate(conditions, start=1):
        try:
            _check_condition(each, item=item, reason=reason)
        except MappingError as error:
            prefix = "" if path is None else f"{key}, "
            raise MappingError(f"{prefix}condition {place}: {error.text}", path=where) from None


def _check_condition(given: dict[str, Any], *, item: bool, reason: bool) -> None:
    _known(given, ("path", *TESTS, "reason") if reason else ("path", *TESTS))
    tests = [key for key in TESTS if key in given]
    if len(tests) != 1:
        raise MappingError(f"needs exactly one of {', '.join(TESTS)}, and has {', '.join(tests) or 'none'}")
    if reason:
        _text(given.get("reason"), "reason")
    _path(given.get("path"), None, item=item)
    match tests[0]:
        case "same":
            _path(given["same"], None, item=item)
        case "present":
            if not isinstance(given["present"], bool):
                raise MappingError("present must be true or false")
        case "in":
            if not isinstance(given["in"], list) or not given["in"]:
                raise MappingError("in must be a list of values")
    for key in ("is", "in", "not"):
        _json(given.get(key), key)


# --- fields -----------------------------------------------------------------------------------------------------------


def _check_fields(fields: Any, path: str, *, item: bool, complete: bool, depth: int = 1) -> None:
    if not isinstance(fields, dict):
        raise MappingError(f"fields must be a table, and is {kind_of(fields)}", path=path)
    for name, spec in fields.items():
        _check_field(spec, f"{path}.{name}", item=item, complete=complete, depth=depth)


def _check_field(spec: Any, path: str, *, item: bool, complete: bool, depth: int) -> None:
    try:
        if not isinstance(spec, dict):
            raise MappingError(f'must be a table such as {{ from = "order.id" }}, and is {kind_of(spec)}')
        if depth > _DEEPEST:
            raise MappingError("is nested too deeply")
        _known(spec, _FIELD_KEYS)
        _flags(spec, "off", "replace", "keep_empty")
        if not spec.get("off"):
            _check_verbs(spec, complete=complete)
        _check_sources(spec, item=item)
        _check_as(spec.get("as", []))
        _json(spec.get("default"), "default")
        _json(spec.get("value"), "value")
        _conditions(spec, "when", item=item, path=path)
        inside = item or "each" in spec or not (complete or _verbs(spec))
        _conditions(spec, "where", item=inside, path=path)
        if "fields" in spec:
            _check_fields(spec["fields"], path, item=inside, complete=complete, depth=depth + 1)
        if "item" in spec:
            _check_field(spec["item"], path, item=inside, complete=complete, depth=depth + 1)
            if spec["item"].get("off"):
                raise MappingError("item cannot be off")
    except MappingError as error:
        raise error.at(path=path) from None


def _verbs(spec: dict[str, Any]) -> list[str]:
    return [key for key in VERBS if key in spec]


def _check_verbs(spec: dict[str, Any], *, complete: bool) -> None:
    verbs = _verbs(spec)
    if len(verbs) > 1:
        raise MappingError(f"has several verbs ({', '.join(verbs)}); it needs one")
    each, part = "each" in spec, not complete and not verbs
    if "fields" in spec and "item" in spec:
        raise MappingError("has both fields and item; each needs one of them")
    if verbs and not each and ("fields" in spec or "item" in spec):
        raise MappingError(f"has {verbs[0]}, and so no fields or item")
    if each and "fields" not in spec and "item" not in spec:
        raise MappingError("each needs fields or item")
    if not each and not part and ("item" in spec or "where" in spec):
        raise MappingError("item and where belong to each")
    if not verbs and complete and "fields" not in spec:
        raise MappingError(f"needs one of {', '.join(VERBS)}, fields")


def _check_sources(spec: dict[str, Any], *, item: bool) -> None:
    given = spec.get("from", "event")
    for path in given if isinstance(given, list) and given else [given]:
        _path(path, "from", item=item)
    paths = spec.get("first", ["event"])
    if not isinstance(paths, list) or not paths:
        raise MappingError("first must be a list of paths")
    for path in paths:
        _path(path, "first", item=item)
    _path(spec.get("each", "event"), "each", item=item)


def _check_as(given: Any) -> None:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list):
        raise MappingError("as must be the name of a conversion, or a list of names")
    for name in names:
        if not isinstance(name, str) or name not in CONVERSIONS:
            raise MappingError(f"unknown conversion {_shown(name)}{_meant(name, CONVERSIONS)}")


# --- words ------------------------------------------------------------------------------------------------------------


def _known(table: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            raise MappingError(f"unknown key {_shown(key)}{_meant(key, keys)}")


def _flags(table: dict[str, Any], *keys: str) -> None:
    for key in keys:
        if not isinstance(table.get(key, False), bool):
            raise MappingError(f"{key} must be true or false")


def _text(value: Any, key: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise MappingError(f"{key} must be a text, and is {kind_of(value) if value != '' else 'empty'}")


def _path(value: Any, key: str | None, *, item: bool) -> None:
    try:
        if not isinstance(value, str):
            raise MappingError(f"needs a path, and has {kind_of(value)}")
        if needs_item(split(value)) and not item:
            raise MappingError(f'"{value}": item can be read inside each only')
    except MappingError as error:
        raise MappingError(f"{key}: {error.text}" if key else error.text) from None


def _json(value: Any, key: str, depth: int = 1) -> None:
    """TOML's dates and its inf and nan have no place in JSON."""
    if depth > _DEEPEST:
        raise MappingError(f"{key} is nested too deeply")
    match value:
        case None | bool() | str():
            return
        case int() if -(2**63) <= value < 2**63:
            return
        case float() if math.isfinite(value):
            return
        case list():
            for each in value:
                _json(each, key, depth + 1)
        case dict():
            for each in value.values():
                _json(each, key, depth + 1)
        case _:
            raise MappingError(f"{key} must be a text, a number, true or false, a list or a table of these")


def _shown(given: object) -> str:
    return f'"{given}"' if isinstance(given, str) else kind_of(given)


def _meant(given: object, known: Collection[str] | Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(given), list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
