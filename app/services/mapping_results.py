"""What one field of a rule becomes for one event, or why there is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.providers.base import Provider
from app.services import mapping_words
from app.services.said import mark
from mappings import outline
from mappings.conditions import every
from mappings.data import RuleData
from mappings.errors import MappingError
from mappings.fields import members_of
from mappings.outline import Place

_VERBS = ("from", "first", "value", "each", "fields", "item", "where")
_NOTHING: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a field becomes for an example."""

    there: bool  #: False: the field is left out, and ``why`` says why
    value: Any = None  #: JSON; for a field inside a list: a list with one value for each member that has it
    why: str | None = None  #: a sentence
    error: bool = False  #: ``why`` is one that would hold the delivery


def result(provider: Provider, rule: RuleData, at: Place, facts: Mapping[str, Any]) -> Result:
    """Of the field ``at``, as if the rule had no other one, and whether or not the rule skips the event."""
    try:
        found = _value(rule, at, facts)
        if found is not _NOTHING:
            return Result(there=True, value=found)
        return Result(there=False, why=_why(provider, rule, at, facts))
    except MappingError as error:
        return Result(
            there=False,
            why=mark("{text}. Such a delivery waits until the mapping is mended.").format(text=error.text),
            error=True,
        )


def _value(rule: RuleData, at: Place, facts: Mapping[str, Any]) -> Any:
    payload = members_of(outline.alone(rule, at.path), "fields")(facts)
    values = list(_walk(payload, at.path.replace(outline.ITEM, f".{outline.ITEM}").split(".")))
    if at.inside is not None:
        return values or _NOTHING
    return values[0] if values else _NOTHING


def _walk(value: Any, names: list[str]) -> Iterator[Any]:
    """The values at a path of names; through a list: of all its members."""
    if not names:
        yield value
    elif isinstance(value, list):
        rest = names[1:] if names[0] == outline.ITEM else names
        for each in value:
            yield from _walk(each, rest)
    elif isinstance(value, dict):
        # Names may have dots in them.
        for length in range(len(names), 0, -1):
            if (name := ".".join(names[:length])) in value:
                yield from _walk(value[name], names[length:])
                return


def _why(provider: Provider, rule: RuleData, at: Place, facts: Mapping[str, Any]) -> str:
    for place in (each for each in outline.outline(rule) if _holds(each, at)):
        if place.inside is not None:
            return mark("None of the lines in this event has it.")
        for condition in place.spec.get("when", ()):
            if not _true(condition, facts):
                return mark("Sent only if: {condition}.").format(
                    condition=mapping_words.conditions([condition], provider)[0]
                )
    if "each" in at.spec:
        return mark("{label}: there are none in this event.").format(
            label=mapping_words.label(at.spec["each"], provider)
        )
    return _empty(provider, at.spec, facts)


def _holds(place: Place, at: Place) -> bool:
    return place.path == at.path or at.path.startswith((f"{place.path}.", place.path + outline.ITEM))


def _true(condition: dict[str, Any], facts: Mapping[str, Any]) -> bool:
    test = every([condition])
    return test is None or test(facts)


def _empty(provider: Provider, spec: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    bare = {key: value for key, value in spec.items() if key in _VERBS}
    if "as" in spec and members_of({"it": bare}, "")(facts):
        return mark("What is there does not fit, so it is left out.")
    paths = spec.get("first", spec.get("from", []))
    labels = [mapping_words.label(path, provider) for path in ([paths] if isinstance(paths, str) else paths)]
    return (
        mark("{labels}: empty in this event.").format(labels=", ".join(labels))
        if labels
        else mark("There is nothing to send in this event.")
    )
