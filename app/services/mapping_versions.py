"""Versions of a merchant's own mapping: who saved which when, what it changed, and back to an earlier one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import MappingVersion, Shop
from app.providers.base import Provider
from app.services import audit, mapping_rows, mapping_words, own_mappings, people
from app.services.errors import Failed, NotFound
from app.services.mapping_draft import BadMapping, Draft, checked, current, merged
from mappings.data import MappingFile, RuleData, identical

SAVED, RESTORED = "change mapping", "restore mapping"  #: actions in the audit trail
PAGE = 20
_RECORDED = 50  #: lines of a difference that the audit trail keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that differs between two mappings, in words."""

    rule: str
    title: str  #: the rule's action's
    path: str  #: of the field; "" for the rule itself
    before: str | None  #: None: it was not there
    after: str | None  #: None: it is not there any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    number: int
    at: datetime
    actor: str | None  #: as in the audit trail; None for versions from before it was kept
    email: str | None  #: of an actor who sees the shop still
    text: str  #: the own file; empty: our default
    lines: tuple[Line, ...]  #: against the version before; against our default for the first
    diff: tuple[str, ...]  #: of the texts, line by line, each with ``+``, ``-`` or a blank in front
    current: bool
    broken: str | None  #: why the version cannot be used any more


class Stale(Exception):
    """Somebody else saved since the draft was begun; nothing was saved.

    Attributes:
        theirs: the version that counts now; None: none is saved, as where a form is older than its store.
    """

    def __init__(self, theirs: Version | None) -> None:
        super().__init__("the mapping was changed meanwhile")
        self.theirs = theirs


def versions(session: Session, shop: Shop, provider: Provider, *, before: int | None = None) -> tuple[Version, ...]:
    """Up to `PAGE`, newest first; of these only ones older than ``before``."""
    wanted = select(MappingVersion).where(MappingVersion.shop_id == shop.id, MappingVersion.provider == provider.name)
    if before is not None:
        wanted = wanted.where(MappingVersion.version < before)
    rows = session.scalars(wanted.order_by(MappingVersion.version.desc()).limit(PAGE + 1)).all()
    newest, emails = current(session, shop, provider).version, _emails(session, shop)
    older = [row.text for row in rows[1:]] + [""]
    return tuple(_version(provider, row, text, newest, emails) for row, text in zip(rows[:PAGE], older, strict=False))


def difference(provider: Provider, before: str, after: str) -> tuple[Line, ...]:
    """What the text ``after`` says otherwise than ``before``. Raises `BadMapping`."""
    return tuple(_lines(provider, merged(provider, before), merged(provider, after)))


def save(session: Session, shop: Shop, provider: Provider, draft: Draft, *, actor: str) -> int | None:
    """Let the draft count from now on; what was held by its mapping goes on. Returns the version; None: no change.

    Raises:
        Stale; BadMapping.
    """
    return _save(session, shop, provider, draft, actor, SAVED)


def replace(session: Session, shop: Shop, provider: Provider, text: str, *, actor: str) -> int | None:
    """As `save`, over whichever version counts: for somebody who was shown none.

    Raises:
        BadMapping; Failed: somebody else saved at the same moment.
    """
    try:
        return save(
            session, shop, provider, Draft(text=text, version=current(session, shop, provider).version), actor=actor
        )
    except Stale:
        raise Failed("Somebody else saved this mapping at the same moment. Nothing was changed. Try again.") from None


def restore(session: Session, shop: Shop, provider: Provider, number: int, *, seen: int, actor: str) -> int | None:
    """Save the text of an earlier version anew; 0 stands for our default.

    Args:
        seen: the newest version that the page showed.
    Raises:
        Stale; BadMapping: it cannot be used any more; NotFound: there is no such version.
    """
    row = _find(session, shop, provider, number)
    if row is None and number != 0:
        raise NotFound("there is no such version")
    return _save(session, shop, provider, Draft(text=row.text if row else "", version=seen), actor, RESTORED)


def _save(session: Session, shop: Shop, provider: Provider, draft: Draft, actor: str, action: str) -> int | None:
    before = current(session, shop, provider)
    if before.version != draft.version:
        raise Stale(_theirs(session, shop, provider))
    text = checked(provider, draft.text)
    if text == _smallest(provider, before.text):
        return None
    try:
        with session.begin_nested():  # of two at the same moment, the database lets one have the number
            number = own_mappings.keep(session, shop, provider, text, after=before.version, actor=actor)
    except IntegrityError:
        raise Stale(_theirs(session, shop, provider)) from None
    _record(session, shop, provider, before, Draft(text=text, version=number), actor, action)
    return number


def _smallest(provider: Provider, text: str) -> str | None:
    """``text`` as it would be saved today; None where it cannot be used any more."""
    try:
        return checked(provider, text)
    except BadMapping:
        return None


def _theirs(session: Session, shop: Shop, provider: Provider) -> Version | None:
    return next(iter(versions(session, shop, provider)), None)


def _find(session: Session, shop: Shop, provider: Provider, number: int) -> MappingVersion | None:
    wanted = select(MappingVersion).where(MappingVersion.shop_id == shop.id, MappingVersion.provider == provider.name)
    return session.scalar(wanted.where(MappingVersion.version == number))


def _record(
    session: Session, shop: Shop, provider: Provider, before: Draft, after: Draft, actor: str, action: str
) -> None:
    """Each field that differs, in words, before and after."""
    try:
        with force_locale("en"):  # whoever reads it later may read another language
            lines = difference(provider, before.text, after.text)
    except BadMapping:  # what counted before could not be used
        lines = ()
    told: dict[str, tuple[Any, Any]] = {"version": (before.version, after.version)}
    told |= {f"{line.rule}: {line.path}".removesuffix(": "): (line.before, line.after) for line in lines[:_RECORDED]}
    if len(lines) > _RECORDED:
        told["further fields"] = (None, len(lines) - _RECORDED)
    old, new = ({"provider": provider.name, **{key: pair[side] for key, pair in told.items()}} for side in (0, 1))
    audit.record(session, shop_id=shop.id, actor=actor, action=action, before=old, after=new)


def _version(provider: Provider, row: MappingVersion, older: str, newest: int, emails: Mapping[str, str]) -> Version:
    after, before = _usable(provider, row.text), _usable(provider, older)
    lines: Iterator[Line] = iter(())
    if isinstance(before, MappingFile) and isinstance(after, MappingFile):
        lines = _lines(provider, before, after)
    return Version(
        number=row.version,
        at=row.created_at,
        actor=row.actor,
        email=emails.get(row.actor or ""),
        text=row.text,
        lines=tuple(lines),
        diff=tuple(_diff(older, row.text)),
        current=row.version == newest,
        broken=str(after) if isinstance(after, BadMapping) else None,
    )


def _usable(provider: Provider, text: str) -> MappingFile | BadMapping:
    """The whole mapping of a version, or why our default has left it behind."""
    try:
        return merged(provider, text)
    except BadMapping as error:
        return error


def _diff(before: str, after: str) -> Iterator[str]:
    """Unchanged lines only around the changed ones."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return (line for line in lines if not line.startswith(("---", "+++", "@@")))


def _emails(session: Session, shop: Shop) -> dict[str, str]:
    return {f"account:{each.account_id}": each.email for each in people.members(session, shop.id)}


# differences


def _lines(provider: Provider, before: MappingFile, after: MappingFile) -> Iterator[Line]:
    names = [rule["name"] for rule in (*after.rules, *before.rules)]
    for name in dict.fromkeys(names):
        old, new = before.by_name(name), after.by_name(name)
        title = provider.actions[((new or old) or {})["action"]].title
        for path, one, other in _rule(provider, old, new):
            yield Line(rule=name, title=title, path=path, before=one, after=other)


def _rule(
    provider: Provider, old: RuleData | None, new: RuleData | None
) -> Iterator[tuple[str, str | None, str | None]]:
    """What differs in one rule: the rule itself, then its fields."""
    if old is None or new is None:
        yield "", _whole_rule(provider, old), _whole_rule(provider, new)
        return
    if not identical(_itself(old), _itself(new)):
        yield "", _whole_rule(provider, old), _whole_rule(provider, new)
    one, other = ({each.path: each for each in mapping_rows.rows(provider, rule, None, None)} for rule in (old, new))
    for path in dict.fromkeys((*other, *one)):
        before, after = one.get(path), other.get(path)
        if before is None or after is None or before.origin != after.origin:
            yield path, before.said if before else None, after.said if after else None


def _itself(rule: RuleData) -> RuleData:
    return {key: value for key, value in rule.items() if key != "fields"}


def _whole_rule(provider: Provider, rule: RuleData | None) -> str | None:
    """When a rule does something, and what it skips, in words."""
    if rule is None:
        return None
    parts = [", ".join(mapping_words.kinds(rule))]
    parts += [
        _("only if %(condition)s", condition=each) for each in mapping_words.conditions(rule.get("when", ()), provider)
    ]
    return "; ".join([*parts, *mapping_words.skips(rule, provider)])
