"""Renders facts into payloads: a checked mapping becomes functions once, and these run for every event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.conditions import Test, condition, every, is_empty
from mappings.errors import MappingError
from mappings.fields import members_of
from mappings.paths import Facts, reader

NOT_APPLICABLE = "not_applicable"  #: the reason of a rule whose ``when`` does not hold


@dataclass(frozen=True, slots=True)
class Skip:
    """No delivery is owed, for a reason that is shown."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule, ready to run; it keeps nothing between two events."""

    name: str
    on: frozenset[str]
    action: str
    source: str
    _when: Test | None
    _skips: tuple[Callable[[Facts], Skip | None], ...]
    _payload: Callable[[Facts], Any]

    @property
    def conditional(self) -> bool:
        """Whether it depends on an event's facts that the rule applies."""
        return self._when is not None

    def applies(self, facts: Facts) -> bool:
        """Whether the rule's ``when`` holds; otherwise there is no delivery at all."""
        try:
            return self._when is None or self._when(facts)
        except MappingError as error:
            raise error.at(source=self.source, rule=self.name, path="when") from None

    def render(self, facts: Facts) -> dict[str, Any] | Skip:
        """The payload for ``facts``, which shares nothing with them; or why there is none; or `MappingError`."""
        if not self.applies(facts):
            return Skip(NOT_APPLICABLE)
        try:
            for skip in self._skips:
                skipped = skip(facts)
                if skipped is not None:
                    return skipped
            payload: dict[str, Any] = self._payload(facts)
        except MappingError as error:
            raise error.at(source=self.source, rule=self.name) from None
        return payload


@dataclass(frozen=True, slots=True, eq=False)
class CompiledMapping:
    """The rules of one destination, in their file's order."""

    source: str
    rules: tuple[Rule, ...]
    _kinds: dict[str, tuple[Rule, ...]]
    _names: dict[str, Rule]

    @classmethod
    def of(cls, rules: Sequence[dict[str, Any]], *, source: str) -> CompiledMapping:
        """Compile rules that `mappings.check` has passed as complete."""
        compiled = tuple(compile_rule(rule, source) for rule in rules)
        kinds = {kind for rule in compiled for kind in rule.on}
        return cls(
            source=source,
            rules=compiled,
            _kinds={kind: tuple(rule for rule in compiled if kind in rule.on) for kind in kinds},
            _names={rule.name: rule for rule in compiled},
        )

    def for_kind(self, kind: str) -> tuple[Rule, ...]:
        """The rules that listen to events of ``kind``."""
        return self._kinds.get(kind, ())

    def by_name(self, name: str) -> Rule | None:
        return self._names.get(name)


def compile_rule(rule: dict[str, Any], source: str) -> Rule:
    on = rule["on"]
    return Rule(
        name=rule["name"],
        on=frozenset([on] if isinstance(on, str) else on),
        action=rule["action"],
        source=source,
        _when=every(rule.get("when", ())),
        _skips=tuple(_skips(rule)),
        _payload=members_of(rule.get("fields", {}), "fields"),
    )


# --- skips ------------------------------------------------------------------------------------------------------------


def _skips(rule: dict[str, Any]) -> list[Callable[[Facts], Skip | None]]:
    skips: list[Callable[[Facts], Skip | None]] = []
    if "skip" in rule:
        always = Skip(rule["skip"])
        skips.append(lambda facts: always)
    skips.extend(_skip_when(each) for each in rule.get("skip_when", ()))
    skips.extend(_skip_without(paths, reason) for paths, reason in rule.get("skip_without", {}).items())
    return skips


def _skip_when(given: dict[str, Any]) -> Callable[[Facts], Skip | None]:
    test, skip = condition(given), Skip(given["reason"])

    def check(facts: Facts) -> Skip | None:
        try:
            return skip if test(facts) else None
        except MappingError as error:
            raise error.at(path="skip_when") from None

    return check


def _skip_without(paths: str, reason: str) -> Callable[[Facts], Skip | None]:
    readers, skip = [reader(path.strip()) for path in paths.split("|")], Skip(reason)

    def check(facts: Facts) -> Skip | None:
        try:
            return skip if all(is_empty(read(facts)) for read in readers) else None
        except MappingError as error:
            raise error.at(path="skip_without") from None

    return check
