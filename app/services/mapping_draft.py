"""Drafts: a merchant's own mapping while it is being changed. Nothing here is stored; see `mapping_versions.save`.

A draft is the own file's text (what differs from our default) and the version that it was begun from. Each change takes
a text and gives a new one, checked, and no longer than it has to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.models import Shop
from app.providers.base import Action, Provider
from app.services.errors import Wrong
from app.services.own_mappings import checked_mapping, newest, whole_mapping
from app.services.said import mark
from mappings import files, outline, places
from mappings.data import MappingFile, RuleData
from mappings.engine import CompiledMapping
from mappings.errors import MappingError

SOURCE = "your mapping"
_NAME = re.compile(r"[A-Za-z0-9_ -]{1,100}")
_KEPT = ("when", "where", "fields", "item")  #: keys of a field that choosing another source leaves alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    text: str  #: TOML; empty where nothing differs from the default
    version: int  #: of the mapping that it was begun from; 0: nobody saved one yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a merchant chose for one field.

    Its condition (``when``) stays as it is, and so does what a change says nothing of: the members of a list, for
    example.
    """

    how: str  #: from, list, first, value, each, leave_out, default (as in our default again)
    paths: tuple[str, ...] = ()  #: of facts: one for ``from`` and ``each``, one or more for ``list`` and ``first``
    value: Any = None  #: JSON, for ``value``
    conversions: tuple[str, ...] = ()  #: names, from left to right
    default: Any = None  #: JSON; what is sent where nothing is there; None: the field is left out then
    keep_empty: bool = False  #: send ``null`` (or an empty list) where nothing is there


class BadMapping(Wrong):
    """A mapping that cannot be used; the text says why, without repeating what else is in it.

    Attributes:
        text: why, without the place.
        rule, path: where, as far as it is known; the path as `Row.path`, or a rule's own key such as ``on``.
        line, column: in the text that was checked, from 1; None where they are not known.
    """

    def __init__(
        self,
        text: str,
        *,
        rule: str | None = None,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        place = " ".join(part for part in (rule, path) if part)
        super().__init__(f"{place}: {text}" if place else text)
        self.text, self.rule, self.path, self.line, self.column = text, rule, path, line, column


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A draft's text, read and checked, over our default."""

    default: MappingFile
    own: MappingFile  #: the smallest that says the same
    whole: MappingFile
    compiled: CompiledMapping

    @property
    def text(self) -> str:
        """The smallest that says the same."""
        return files.dump(self.own)


def current(session: Session, shop: Shop, provider: Provider) -> Draft:
    """A draft of what counts now."""
    row = newest(session, shop, provider)
    return Draft(text=row.text, version=row.version) if row else Draft(text="", version=0)


def opened(provider: Provider, text: str) -> Opened:
    """``text``, a whole mapping or an own file, or `BadMapping`."""
    with refusals(text):
        own, compiled = checked_mapping(provider, text, source=SOURCE)
        default = files.load_default(provider.name)
        return Opened(default=default, own=own, whole=whole_mapping(provider, own), compiled=compiled)


def merged(provider: Provider, text: str) -> MappingFile:
    """The whole mapping of ``text`` as data, which is quicker to have than `opened`; or `BadMapping`."""
    with refusals(text):
        return whole_mapping(provider, files.parse(text, source=SOURCE))


def checked(provider: Provider, text: str) -> str:
    """The smallest text that says the same as ``text``, a whole mapping or an own file; or `BadMapping`."""
    return opened(provider, text).text


def whole(provider: Provider, text: str) -> str:
    """The whole mapping that ``text`` over our default gives, as TOML; our default with its comments for no text."""
    found = opened(provider, text)
    return files.dump(found.whole) if found.own.rules else files.default_text(provider.name)


def edit(provider: Provider, text: str, rule: str, path: str, change: Change) -> str:
    """The text with one field changed, added or left out; `BadMapping` where that cannot be."""
    draft = opened(provider, text)
    given = draft.whole.by_name(rule)
    if given is None:
        raise BadMapping("there is no such rule, or it is switched off", rule=rule)
    with refusals(text, rule=rule, path=path):
        return _smallest(provider, draft, outline.put(given, path, _changed(provider, draft, given, path, change)))


def reset_rule(provider: Provider, text: str, rule: str) -> str:
    """The text without anything of ``rule``: as in our default again; a rule of the merchant's own goes away."""
    own = opened(provider, text).own
    rest = tuple(each for each in own.rules if each["name"] != rule)
    return checked(provider, files.dump(MappingFile(SOURCE, rest)))


@contextmanager
def refusals(text: str, *, rule: str | None = None, path: str | None = None) -> Iterator[None]:
    """Turn a `MappingError` about ``text`` into a `BadMapping` that knows the place."""
    try:
        yield
    except MappingError as error:
        where = (error.path or "").removeprefix("fields.") or path
        spot = places.named(error.text) if error.rule is None else None
        line = spot[0] if spot else places.line_of(text, error.rule, error.path)
        raise BadMapping(
            error.text, rule=error.rule or rule, path=where, line=line, column=spot[1] if spot else None
        ) from None


# one field


def _smallest(provider: Provider, draft: Opened, changed: RuleData) -> str:
    rules = tuple(changed if each["name"] == changed["name"] else each for each in draft.whole.rules)
    return checked(provider, files.dump(files.difference(draft.default, MappingFile(SOURCE, rules))))


def _changed(provider: Provider, draft: Opened, rule: RuleData, path: str, change: Change) -> dict[str, Any] | None:
    """The field as ``change`` says; None where it is left out."""
    if change.how == "leave_out":
        return None
    if change.how == "default":
        base = draft.default.by_name(rule["name"])
        before = outline.find(base, path) if base else None
        return before.spec if before else None
    found = outline.find(rule, path)
    if found is None and not allowed(provider.actions[rule["action"]], path):
        raise BadMapping(
            mark("{title} does not document this field, and takes no field of your own here").format(
                title=provider.title
            ),
            rule=rule["name"],
            path=path,
        )
    return _spec(found.spec if found else {}, change)


def _spec(before: dict[str, Any], change: Change) -> dict[str, Any]:
    kept = {key: before[key] for key in _KEPT if key in before and (change.how == "each" or key == "when")}
    spec = {**_verb(change), **kept}
    if change.conversions:
        spec["as"] = change.conversions[0] if len(change.conversions) == 1 else list(change.conversions)
    if change.default is not None:
        spec["default"] = change.default
    if change.keep_empty:
        spec["keep_empty"] = True
    return spec


def _verb(change: Change) -> dict[str, Any]:
    paths = list(change.paths)
    match change.how:
        case "from" | "each" if len(paths) == 1:
            return {change.how: paths[0]}
        case "list" if paths:
            return {"from": paths}
        case "first" if paths:
            return {"first": paths}
        case "value" if change.value is not None:
            return {"value": change.value}
    raise MappingError(mark("choose where the value comes from"))


def allowed(action: Action, path: str) -> bool:
    """Whether the provider documents a field, or takes ones of any name there."""
    if path in action.fields:
        return True
    for each in action.custom:
        under = f"{each.under}." if each.under else ""
        name = path.removeprefix(under)
        if path.startswith(under) and name.startswith(each.prefix) and _NAME.fullmatch(name) and name != each.prefix:
            return True
    return False
