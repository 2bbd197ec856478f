"""Renders facts into payloads: a checked mapping becomes functions once, and these run for every event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.conditions import Test, condition, every, is_empty
from mappings.conversions import CONVERSIONS
from mappings.errors import MappingError, kind_of
from mappings.paths import Facts, Read, reader

NOTHING: Any = object()  #: a field that is left out
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
        _payload=_members(rule.get("fields", {}), "fields"),
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


# --- fields -----------------------------------------------------------------------------------------------------------


def _members(fields: dict[str, Any], path: str) -> Read:
    """An object of ``fields``; those that are left out are not in it."""
    members = tuple((name, _field(spec, f"{path}.{name}")) for name, spec in fields.items())

    def read(facts: Facts) -> dict[str, Any]:
        result = {}
        for name, member in members:
            value = member(facts)
            if value is not NOTHING:
                result[name] = value
        return result

    return read


def _field(spec: dict[str, Any], path: str) -> Read:
    """What ``spec`` says: a value without gaps and without ties to facts or mapping, or `NOTHING`."""
    read = _source(spec, path)
    when = every(spec.get("when", ()))
    convert = _steps(spec.get("as", ()))
    default, keep_empty = spec.get("default"), spec.get("keep_empty", False)
    fresh = "each" in spec or "fields" in spec
    gaps = isinstance(spec.get("from"), list)

    def field(facts: Facts) -> Any:
        try:
            if when is not None and not when(facts):
                return NOTHING
            value = read(facts)
            for step in convert:
                if value is None or value == "" or value == {}:
                    value = None
                    break
                value = step(value)
        except MappingError as error:
            raise error.at(path=path) from None
        if not fresh and isinstance(value, list | dict):
            value = _copied([each for each in value if not is_empty(each)] if gaps else value)
        if value or not is_empty(value):
            return value
        if default is not None:
            return _copied(default)
        return value if keep_empty else NOTHING

    return field


def _steps(names: str | Sequence[str]) -> tuple[Callable[[Any], Any], ...]:
    return tuple(CONVERSIONS[name] for name in ([names] if isinstance(names, str) else names))


def _source(spec: dict[str, Any], path: str) -> Read:
    if "from" in spec:
        given = spec["from"]
        return reader(given) if isinstance(given, str) else _values(given)
    if "first" in spec:
        return _first(spec["first"])
    if "each" in spec:
        return _each(spec, path)
    if "fields" in spec:
        return _members(spec["fields"], path)
    constant = spec["value"]
    return lambda facts: constant


def _values(paths: Sequence[str]) -> Read:
    """A list of the values at ``paths``. None stands for an absent one until the field is done, for conversions."""
    readers = tuple(map(reader, paths))

    def read(facts: Facts) -> list[Any] | None:
        values = [each(facts) for each in readers]
        return None if all(value is None for value in values) else values

    return read


def _first(paths: Sequence[str]) -> Read:
    readers = tuple(map(reader, paths))

    def read(facts: Facts) -> Any:
        for each in readers:
            value = each(facts)
            if value or not is_empty(value):
                return value
        return None

    return read


def _each(spec: dict[str, Any], path: str) -> Read:
    """A list with one value per member of the list at ``each``; members without any value are left out."""
    facts_of, where = reader(spec["each"]), every(spec.get("where", ()))
    member = _members(spec["fields"], path) if "fields" in spec else _field(spec["item"], path)

    def read(facts: Facts) -> list[Any]:
        members = facts_of(facts)
        if members is None:
            return []
        if not isinstance(members, list):
            raise MappingError(f"{spec['each']} is {kind_of(members)}, not a list")
        scope = dict(facts)
        result = []
        for item in members:
            scope["item"] = item
            if where is None or where(scope):
                value = member(scope)
                if value is not NOTHING and value != {}:
                    result.append(value)
        return result

    return read


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(each) for each in value]
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return value
