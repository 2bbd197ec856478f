"""A merchant's own file over a default, and back: which own file turns the default into a given mapping."""

from __future__ import annotations

from typing import Any

from mappings.check import VERBS, check_rules
from mappings.data import MappingFile, RuleData, identical

_OFF = {"off": True}
#: Keys that an own file can empty to take them away: what to write, which merging then drops.
_EMPTY: dict[str, Any] = {
    "when": [],
    "where": [],
    "as": [],
    "skip_when": [],
    "skip_without": {},
    "keep_empty": False,
    "off": False,
    "replace": False,
}


def merge(default: MappingFile, own: MappingFile) -> MappingFile:
    """``default`` with ``own`` laid over it: a whole mapping, in which nothing is off, replaced or empty any more.

    Rules keep the default's order; new ones follow in their own. Raises `MappingError` in the name of ``own`` where
    the two together break the grammar.
    """
    rules = {rule["name"]: rule for rule in default.rules}
    for rule in own.rules:
        rules[rule["name"]] = _rule(rules.get(rule["name"], {}), rule)
    settled = tuple(_rule({}, rule) for rule in rules.values() if not rule.get("off"))
    merged = MappingFile(own.source if own.rules else default.source, settled)
    check_rules(merged.rules, source=merged.source, complete=True)
    return merged


def difference(default: MappingFile, effective: MappingFile) -> MappingFile:
    """The smallest own file that `merge` turns into ``effective``; what is as in ``default``, stays out of it.

    The order of rules is the default's to say: own files cannot change it, and a difference in it is ignored.
    """
    default, effective = merge(default, MappingFile("")), merge(MappingFile(effective.source), effective)
    own = []
    for base in default.rules:
        rule = effective.by_name(base["name"])
        if rule is None:
            own.append({"name": base["name"], **_OFF})
        elif not identical(base, rule):
            own.append(_rule_difference(base, rule))
    own.extend(rule for rule in effective.rules if default.by_name(rule["name"]) is None)
    return MappingFile(effective.source, tuple(own))


# --- merging ----------------------------------------------------------------------------------------------------------


def _rule(base: RuleData, own: RuleData) -> RuleData:
    if own.get("off"):
        return {"name": own["name"], **_OFF}
    if own.get("replace"):
        base = {}
    merged = {**base, **own}
    if "fields" in own:
        merged["fields"] = _fields(base.get("fields", {}), own["fields"])
        if "skip" not in own:
            merged.pop("skip", None)
    elif "skip" in own:
        merged.pop("fields", None)
    return _settled(merged)


def _fields(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, spec in own.items():
        if spec.get("off"):
            merged.pop(name, None)
        else:
            merged[name] = _field(base.get(name), spec)
    return merged


def _field(base: dict[str, Any] | None, own: dict[str, Any]) -> dict[str, Any]:
    """A field with a verb stands as it is written; one without changes what it names in the default's."""
    start = {} if base is None or _stands_alone(base, own) else dict(base)
    if "item" in own:
        start.pop("fields", None)
    merged = {**start, **own}
    if "fields" in own:
        merged["fields"] = _fields(start.get("fields", {}), own["fields"])
    if "item" in own:
        merged["item"] = _field(None, own["item"])
    return _settled(merged)


def _stands_alone(base: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether ``own`` says all there is to say of a field, and nothing of ``base`` remains."""
    starts_object = "fields" in own and "fields" not in base
    return starts_object or bool(own.get("replace")) or any(verb in own for verb in VERBS)


def _settled(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in table.items()
        if key not in _EMPTY or not (value == _EMPTY[key] or key == "replace")
    }


# --- taking apart -----------------------------------------------------------------------------------------------------


def _rule_difference(base: RuleData, rule: RuleData) -> RuleData:
    """The least that turns ``base`` into ``rule``, proved by merging; if all else fails, the rule as a whole."""
    own = {"name": rule["name"], **_changed(base, rule)}
    if identical(_rule(base, own), rule):
        return own
    return {**rule, "replace": True}


def _field_difference(base: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    own = _changed(base, spec)
    if not _stands_alone(base, own) and identical(_field(base, own), spec):
        return own
    return spec if identical(_field(base, spec), spec) else {**spec, "replace": True}


def _changed(base: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The keys of ``wanted`` that ``base`` has otherwise, and its lost keys emptied where that takes them away."""
    own = {
        key: value
        for key, value in wanted.items()
        if key != "fields" and not (key in base and identical(base[key], value))
    }
    own |= {key: _EMPTY[key] for key in base if key in _EMPTY and key not in wanted}
    if "fields" in wanted and not identical(base.get("fields"), wanted["fields"]):
        own["fields"] = _fields_difference(base.get("fields", {}), wanted["fields"])
    return own


def _fields_difference(base: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {name: dict(_OFF) for name in base if name not in wanted}
    for name, spec in wanted.items():
        if name not in base:
            own[name] = spec
        elif not identical(base[name], spec):
            own[name] = _field_difference(base[name], spec)
    return own
