"""Fields, compiled: each becomes one function from facts to its value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mappings.conditions import every, is_empty
from mappings.conversions import chained
from mappings.errors import MappingError, kind_of
from mappings.paths import Facts, Read, reader, root_and_key

NOTHING: Any = object()  #: a field that is left out
_SCALARS = frozenset({str, int, float, bool})


def members_of(fields: dict[str, Any], path: str) -> Read:
    """An object of ``fields``; those that are left out are not in it."""
    members = tuple((name, field_of(spec, f"{path}.{name}")) for name, spec in fields.items())

    def read(facts: Facts) -> dict[str, Any]:
        result = {}
        for name, member in members:
            value = member(facts)
            if value is not NOTHING:
                result[name] = value
        return result

    return read


def field_of(spec: dict[str, Any], path: str) -> Read:
    """What ``spec`` says: a value without gaps and without ties to facts or mapping, or `NOTHING`."""
    whole = _whole_field(spec, path)
    given = spec.get("from")
    pair = root_and_key(given) if isinstance(given, str) and "when" not in spec else None
    return _short_cut(pair, spec, whole, path) if pair else whole


def _short_cut(pair: tuple[str, str], spec: dict[str, Any], whole: Read, path: str) -> Read:
    """``whole``, for the common form (a text or a number of an object, or its absence) in one call instead of four.

    What is not of that form is left to ``whole``, so that one place says what becomes of it.
    """
    root, key = pair
    convert = chained(_steps(spec))
    otherwise = _otherwise(spec.get("default"), spec.get("keep_empty", False))

    def field(facts: Facts) -> Any:
        holder = facts.get(root)
        if holder.__class__ is not dict:
            return whole(facts)
        value = holder.get(key)
        if value is None:
            return otherwise(None)
        if convert is not None:
            if value.__class__ is not str or not value:
                return whole(facts)
            try:
                value = convert(value)
            except MappingError as error:
                raise error.at(path=path) from None
        return value if value.__class__ in _SCALARS and value != "" else whole(facts)

    return field


def _whole_field(spec: dict[str, Any], path: str) -> Read:
    read = _converted(_source(spec, path), _steps(spec))
    when = every(spec.get("when", ()))
    otherwise = _otherwise(spec.get("default"), spec.get("keep_empty", False))
    fresh = "each" in spec or "fields" in spec
    gaps = isinstance(spec.get("from"), list)

    def field(facts: Facts) -> Any:
        try:
            if when is not None and not when(facts):
                return NOTHING
            value = read(facts)
        except MappingError as error:
            raise error.at(path=path) from None
        if value.__class__ in _SCALARS and value != "":
            return value
        if gaps and isinstance(value, list):
            value = [each for each in value if not is_empty(each)]
        if not fresh and isinstance(value, list | dict):
            value = _copied(value)
        return value if value else otherwise(value)

    return field


def _steps(spec: dict[str, Any]) -> tuple[str, ...]:
    names = spec.get("as", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _converted(read: Read, steps: tuple[str, ...]) -> Read:
    """``read``, and then the conversions, as long as there is something to convert."""
    convert = chained(steps)
    if convert is None:
        return read

    def converted(facts: Facts) -> Any:
        value = read(facts)
        return None if value is None or value == "" or value == {} else convert(value)

    return converted


def _otherwise(default: Any, keep_empty: bool) -> Callable[[Any], Any]:
    """What stands for an empty value."""
    if default is not None:
        return lambda value: _copied(default)
    return (lambda value: value) if keep_empty else (lambda value: NOTHING)


def _source(spec: dict[str, Any], path: str) -> Read:
    if "from" in spec:
        given = spec["from"]
        return reader(given) if isinstance(given, str) else _values(given)
    if "first" in spec:
        return _first(spec["first"])
    if "each" in spec:
        return _each(spec, path)
    if "fields" in spec:
        return members_of(spec["fields"], path)
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
    member = members_of(spec["fields"], path) if "fields" in spec else field_of(spec["item"], path)

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
