"""What a field can be taken from: the facts of the shop's own recent events, as paths with samples."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from app.models import Shop
from app.providers.base import Provider
from app.services import fact_shapes, mapping_words
from app.services.errors import NotFound
from app.services.expected import Expected
from app.services.mapping_draft import opened
from app.services.mapping_examples import Examples
from app.services.route import Router
from mappings import outline
from mappings.data import RuleData
from mappings.engine import Rule
from mappings.errors import MappingError
from mappings.paths import by_name, reader

LOOKED_AT = 50  #: events
SAMPLES = 3
MOST_ATTACHED = 100  #: names; a plugin may make a new one for each order
_LONGEST = 80  #: characters of a sample
_ITEM = "item"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_AMOUNT = re.compile(r"-?\d{1,18}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One path of facts."""

    path: str  #: "order.email", "item.sku"
    label: str  #: "Order → e-mail address"
    group: str  #: label of its beginning: "Order", "Each line"
    kind: str  #: text, amount (or another number written as text), number, boolean, time, list, object
    samples: tuple[str, ...]  #: up to 3 distinct values as text, cut; the merchant's own data: never log them
    present: int  #: in how many of ``of`` events (members, inside a list) it was there
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    #: By group, the item's first; in each group what was seen, then what could be there and was in none of the events.
    choices: tuple[Choice, ...]
    events: int  #: how many were looked at


@dataclass(slots=True)
class _Found:
    """What was seen at one path."""

    kinds: set[str] = field(default_factory=set)
    samples: dict[str, None] = field(default_factory=dict)
    present: int = 0

    def add(self, value: Any) -> None:
        self.present += 1
        self.kinds.add(_kind(value))
        if len(self.samples) < SAMPLES:
            self.samples.setdefault(_shown(value))


def sources(
    session: Session, router: Router, shop: Shop, provider: Provider, text: str, rule: str, path: str | None = None
) -> Sources:
    """What the field at ``path`` of a rule can be taken from; inside a list also its members' fields.

    Raises:
        BadMapping; NotFound: there is no such rule.
    """
    draft = opened(provider, text)
    given, compiled = draft.whole.by_name(rule), draft.compiled.by_name(rule)
    if given is None or compiled is None:
        raise NotFound("there is no such rule")
    expected = Expected(session, router.with_mapping(session, shop, provider, draft.compiled), shop)
    events = Examples(session, shop).recent(compiled.on, LOOKED_AT)
    seen = [expected.facts_of(draft.compiled, compiled, event) for event in events]
    choices: list[Choice] = []
    for one, other in zip(_scopes(given, path, seen), _scopes(given, path, _shape(compiled, provider)), strict=True):
        choices += _choices(provider, one, other)
    return Sources(choices=tuple(choices), events=len(seen))


def _shape(rule: Rule, provider: Provider) -> list[Mapping[str, Any]]:
    return [fact_shapes.facts(rule.on, provider)]


def _scopes(
    rule: RuleData, path: str | None, facts: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """What can be read at ``path``: of the list's members, and of everything else."""
    return _members(rule, path, facts), facts


def _members(rule: RuleData, path: str | None, facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The members of the list that ``path`` stands in, each as facts of its own."""
    if path is None:
        return []
    owners = [
        at for at in outline.outline(rule) if "each" in at.spec and path.startswith((f"{at.path}.", f"{at.path}[]"))
    ]
    scopes = list(facts)
    for owner in owners:
        scopes = [{**scope, _ITEM: member} for scope in scopes for member in _list(owner.spec["each"], scope)]
    return [{_ITEM: scope[_ITEM]} for scope in scopes] if owners else []


def _list(path: str, facts: Mapping[str, Any]) -> list[Any]:
    try:
        found = reader(path)(facts)
    except MappingError:
        return []
    return found if isinstance(found, list) else []


def _choices(
    provider: Provider, scopes: Sequence[Mapping[str, Any]], shape: Sequence[Mapping[str, Any]]
) -> Iterator[Choice]:
    """What was seen, and in each group after it what could be there."""
    seen, possible = {**_found(readable, scopes), **_found(attached, scopes, MOST_ATTACHED)}, _found(readable, shape)
    order = list(mapping_words.ROOTS)
    for path in sorted({**seen, **possible}, key=lambda each: order.index(each.partition(".")[0])):
        found = seen[path] if path in seen else _Found(kinds=possible[path].kinds)
        yield Choice(
            path=path,
            label=mapping_words.label(path, provider),
            group=mapping_words.root_of(path.partition(".")[0]),
            kind=min(found.kinds) if len(found.kinds) == 1 else "text",
            samples=tuple(found.samples),
            present=found.present,
            of=len(scopes),
        )


def _found(
    read: Callable[[Mapping[str, Any]], Iterator[tuple[str, Any]]],
    scopes: Sequence[Mapping[str, Any]],
    most: int | None = None,
) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for scope in scopes:
        for path, value in read(scope):
            if path in found or most is None or len(found) < most:
                found.setdefault(path, _Found()).add(value)
    return found


def readable(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """All that can be read by a path, with its value; nothing leads through a list."""
    for name, value in facts.items():
        path = before + name
        if isinstance(value, dict):
            if before and _is_path(path):
                yield path, value
            yield from readable(value, f"{path}.")
        elif value not in (None, "", []) and _is_path(path):
            yield path, value


def attached(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """What buyers, storefronts and plugins attached, each by its name: a merchant's own fields of the checkout."""
    for name, value in facts.items():
        path = before + name
        if isinstance(value, dict):
            yield from attached(value, f"{path}.")
        elif name == "attributes" and value:
            named = {f"{by_name(path, each['name'].strip())}.value": each["value"] for each in value}
            yield from ((each, text) for each, text in named.items() if text and _is_path(each))


@lru_cache(4096)
def _is_path(path: str) -> bool:
    """Whether a mapping can name it: a fact may be called anything."""
    try:
        reader(path)
    except MappingError:
        return False
    return True


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case list():
            return "list"
        case dict():
            return "object"
        case str() if _MOMENT.fullmatch(value):
            return "time"
        case str() if _AMOUNT.fullmatch(value):
            return "amount"
    return "text"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
