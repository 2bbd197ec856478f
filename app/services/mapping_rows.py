"""The fields of one rule, as rows: what each means, where it comes from, and what it becomes for a real event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from app.providers.base import Action, Provider
from app.providers.payload_fields import PayloadField
from app.services import mapping_words
from app.services.mapping_results import Result, result
from app.services.said import mark
from mappings import outline
from mappings.data import RuleData, identical
from mappings.outline import Place as At

_OTHER = PayloadField(meaning="")  #: a field of the merchant's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a field's value comes from."""

    how: str  #: from, list, first, value, each, fields (an object), none (not mapped)
    paths: tuple[str, ...] = ()  #: of facts
    labels: tuple[str, ...] = ()  #: of ``paths``: "Order → e-mail"
    value: Any = None  #: JSON, of a constant
    conversions: tuple[str, ...] = ()  #: names; their words: `mapping_words.CONVERSIONS`
    default: Any = None  #: JSON
    keep_empty: bool = False
    conditions: tuple[str, ...] = ()  #: sentences; all must hold
    words: str = ""  #: the whole in one sentence, without the conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field of a payload."""

    path: str  #: "lineItems.price"; "title[]" for the form of a list's members
    name: str  #: "price"
    depth: int  #: 0 at the top
    inside: str | None  #: the path of the list that it stands in: it is there once for each member
    meaning: str  #: empty where it is not known to us
    required: bool  #: the provider needs it
    money: bool
    kind: str  #: text, number, boolean, list, object
    custom: bool  #: none of the fields that the provider documents
    origin: Origin
    default: Origin | None  #: what our default says; None: it has no such field
    own: bool  #: differs from our default; of an object or list: itself, not what stands in it
    result: Result | None  #: None: there is no event to show one of

    @property
    def said(self) -> str:
        """Where the value comes from, and when, in one sentence."""
        return "; ".join(
            [self.origin.words, *(_("only if %(condition)s", condition=each) for each in self.origin.conditions)]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Addable:
    """A field that the provider documents and the rule does not send."""

    path: str
    meaning: str
    required: bool
    kind: str
    left_out: bool  #: our default sends it
    default: Origin | None  #: what our default says of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where fields of any name can be added."""

    under: str  #: path of the object; "" for the payload itself
    prefix: str  #: what their names begin with
    inside: str | None  #: the list that the place stands in
    help: str


def rows(
    provider: Provider, rule: RuleData, default: RuleData | None, facts: Mapping[str, Any] | None
) -> Iterator[Row]:
    """All fields of a whole rule.

    Args:
        default: the rule of our default by the same name.
        facts: of the event to show values of.
    """
    before = {at.path: at for at in outline.outline(default)} if default else {}
    for at in outline.outline(rule):
        yield _row(provider, rule, at, before.get(at.path), facts)


def row(
    provider: Provider, rule: RuleData, default: RuleData | None, path: str, facts: Mapping[str, Any] | None
) -> Row:
    """The field at ``path``, also where the rule does not send it."""
    at = outline.find(rule, path)
    before = outline.find(default, path) if default else None
    if at is not None:
        return _row(provider, rule, at, before, facts)
    known = _known(provider.actions[rule["action"]], path)
    absent = Result(there=False, why=mark("It is left out."))
    return Row(
        path=path,
        name=path.rpartition(".")[2],
        depth=path.count("."),
        inside=before.inside if before else None,
        meaning=known.meaning,
        required=known.required,
        money=known.money,
        kind=known.kind,
        custom=known is _OTHER,
        origin=Origin(how="none", words=mapping_words.origin("none", (), {})),
        default=_origin(before.spec, provider) if before else None,
        own=before is not None,
        result=absent if facts is not None else None,
    )


def _row(provider: Provider, rule: RuleData, at: At, before: At | None, facts: Mapping[str, Any] | None) -> Row:
    known = _known(provider.actions[rule["action"]], at.path)
    return Row(
        path=at.path,
        name=at.name,
        depth=at.depth,
        inside=at.inside,
        meaning=known.meaning,
        required=known.required,
        money=known.money,
        kind="list" if "each" in at.spec else "object" if "fields" in at.spec else known.kind,
        custom=known is _OTHER,
        origin=_origin(at.spec, provider),
        default=_origin(before.spec, provider) if before else None,
        own=before is None or not identical(_itself(at.spec), _itself(before.spec)),
        result=result(provider, rule, at, facts) if facts is not None else None,
    )


def _known(action: Action, path: str) -> PayloadField:
    return action.fields.get(path.replace(outline.ITEM, ""), _OTHER)


def _itself(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Of an object or a list what it is, without what stands in it."""
    return {key: value for key, value in spec.items() if key not in {"fields", "item"}}


def _origin(spec: Mapping[str, Any], provider: Provider) -> Origin:
    how, paths = _source(spec)
    labels = tuple(mapping_words.label(path, provider) for path in paths)
    return Origin(
        how=how,
        paths=paths,
        labels=labels,
        value=spec.get("value"),
        conversions=mapping_words.converted(spec),
        default=spec.get("default"),
        keep_empty=bool(spec.get("keep_empty")),
        conditions=mapping_words.conditions((*spec.get("when", ()), *spec.get("where", ())), provider),
        words=mapping_words.origin(how, labels, spec),
    )


def _source(spec: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    match spec:
        case {"from": str(path)}:
            return "from", (path,)
        case {"from": list(paths)}:
            return "list", tuple(paths)
        case {"first": list(paths)}:
            return "first", tuple(paths)
        case {"each": str(path)}:
            return "each", (path,)
        case {"fields": _}:
            return "fields", ()
    return "value", ()


# what can be added


def addable(provider: Provider, rule: RuleData, default: RuleData | None) -> tuple[Addable, ...]:
    """The fields that the provider documents and ``rule`` does not send, where there is room for them."""
    action = provider.actions[rule["action"]]
    sent = {at.path: at for at in outline.outline(rule)}
    ours = {at.path: _origin(at.spec, provider) for at in outline.outline(default)} if default else {}
    parents = {path.rpartition(".")[0] for path in action.fields}
    return tuple(
        Addable(
            path=path,
            meaning=each.meaning,
            required=each.required,
            kind=each.kind,
            left_out=path in ours,
            default=ours.get(path),
        )
        for path, each in action.fields.items()
        if path not in sent
        and not (each.kind == "object" and (path in parents or path in {one.under for one in action.custom}))
        and _room(action, sent, path)
    )


def places(action: Action, rule: RuleData) -> tuple[Place, ...]:
    """Where fields of any name can be added to ``rule``."""
    sent = {at.path: at for at in outline.outline(rule)}
    return tuple(
        Place(under=each.under, prefix=each.prefix, inside=_list_of(action, each.under), help=each.help)
        for each in action.custom
        if _room(action, sent, f"{each.under}.")
    )


def _room(action: Action, sent: Mapping[str, At], path: str) -> bool:
    """Whether a field can be put at ``path``: what it stands in is there with fields, or an object that can be made."""
    parent = path.rpartition(".")[0]
    if not parent:
        return True
    if parent in sent:
        return "fields" in sent[parent].spec
    return _known(action, parent).kind == "object" and _room(action, sent, parent)


def _list_of(action: Action, path: str) -> str | None:
    while path:
        if _known(action, path).kind == "list":
            return path
        path = path.rpartition(".")[0]
    return None
