"""A mapping as plain data: what TOML holds, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RuleData = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class MappingFile:
    """Rules in order, checked, as plain data that nobody changes in place. The source is where they came from, and no
    part of what they are: files of equal rules are equal."""

    source: str
    rules: tuple[RuleData, ...] = ()

    def by_name(self, name: str) -> RuleData | None:
        return next((rule for rule in self.rules if rule["name"] == name), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MappingFile) and identical(list(self.rules), list(other.rules))

    def __hash__(self) -> int:
        return hash(tuple(rule["name"] for rule in self.rules))


def identical(one: Any, other: Any) -> bool:
    """Equality of plain data that tells 1, 1.0 and true apart, as their JSON does."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(part, other[key]) for key, part in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other)
