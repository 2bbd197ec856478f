"""The mapping as a table: for every field of a payload what it means, where it comes from, and what results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from app.models import Event, Shop
from app.providers.base import Provider
from app.services import mapping_rows, mapping_words
from app.services.configure import find_destination
from app.services.errors import NotFound
from app.services.expected import Expected
from app.services.mapping_draft import Change, Opened, edit, opened
from app.services.mapping_examples import Example, Examples
from app.services.mapping_results import Result
from app.services.mapping_rows import Addable, Place, Row
from app.services.route import Facts, Router
from app.services.said import mark
from mappings.conditions import every
from mappings.data import RuleData


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTable:
    name: str
    title: str  #: the action's: "Report an order"
    action: str
    kinds: tuple[str, ...]  #: of events that it listens to, in life's order
    conditions: tuple[str, ...]  #: sentences: nothing happens unless all hold
    skips: tuple[str, ...]  #: sentences: what is skipped, and why
    sends: bool  #: False: it only says why nothing is sent; it has no rows
    own: bool  #: something in it differs from our default
    off: bool  #: switched off by the merchant; our default has it
    addable: tuple[Addable, ...]
    places: tuple[Place, ...]
    rows: tuple[Row, ...] = ()
    example: Example | None = None
    outcome: str = "no_event"  #: payload, skip, error, none (no delivery), no_event
    why: str | None = None  #: a sentence for all but payload and no_event
    payload: Any = None  #: JSON, where there is one
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    rules: tuple[RuleTable, ...]
    choices: tuple[Example, ...]  #: recent events to choose from, newest first, one per order and kind
    chosen: int | None  #: event id, where the one that was asked for is there
    set_up: bool  #: False: the provider has no settings yet, and their defaults are used


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """One field, for an editor."""

    table: RuleTable  #: without its rows
    row: Row  #: also of a field that is not sent
    choices: tuple[Example, ...]  #: recent events that the rule listens to
    chosen: int | None  #: event id, where the one that was asked for is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One field before and after a change that is not made yet."""

    row: Row  #: with the change
    before: Result | None
    text: str  #: of the draft with the change


def tables(
    session: Session, router: Router, shop: Shop, provider: Provider, text: str, *, event_id: int | None = None
) -> Tables:
    """All rules of the draft ``text``, in their order; those that are switched off at the end. Raises `BadMapping`."""
    page = _Page(session, router, shop, provider, text, event_id)
    names = [rule["name"] for rule in (*page.draft.whole.rules, *page.draft.default.rules)]
    return Tables(
        rules=tuple(page.table(name) for name in dict.fromkeys(names)),
        choices=page.examples.offered(),
        chosen=page.examples.chosen.id if page.examples.chosen else None,
        set_up=find_destination(session, shop, provider) is not None,
    )


def field(
    session: Session,
    router: Router,
    shop: Shop,
    provider: Provider,
    text: str,
    rule: str,
    path: str,
    *,
    event_id: int | None,
) -> FieldView:
    """One field of a rule, which may be one that it does not send. Raises `BadMapping`, `NotFound`."""
    page = _Page(session, router, shop, provider, text, event_id)
    table = page.table(rule, rows=False)
    return FieldView(
        table=table,
        row=page.row(rule, path),
        choices=page.examples.offered(table.kinds),
        chosen=page.examples.chosen.id if page.examples.chosen else None,
    )


def try_change(
    session: Session,
    router: Router,
    shop: Shop,
    provider: Provider,
    text: str,
    rule: str,
    path: str,
    change: Change,
    *,
    event_id: int | None,
) -> Tried:
    """What ``change`` would make of one field. Raises `BadMapping`, `NotFound`."""
    page = _Page(session, router, shop, provider, text, event_id)
    before = page.row(rule, path)
    page.draft = opened(provider, edit(provider, text, rule, path, change))
    return Tried(row=page.row(rule, path), before=before.result, text=page.draft.text)


class _Page:
    """A draft and what is needed to show it."""

    def __init__(
        self, session: Session, router: Router, shop: Shop, provider: Provider, text: str, event_id: int | None
    ) -> None:
        self.draft: Opened = opened(provider, text)
        self.examples = Examples(session, shop, event_id)
        self._provider = provider
        self._expected = Expected(session, router.with_mapping(session, shop, provider, self.draft.compiled), shop)

    def row(self, name: str, path: str) -> Row:
        rule = self._whole(name)
        if rule is None:
            raise NotFound("there is no such rule")
        event = self._event(name)
        return mapping_rows.row(
            self._provider, rule, self.draft.default.by_name(name), path, self._facts(name, event) if event else None
        )

    def table(self, name: str, *, rows: bool = True) -> RuleTable:
        rule, default = self._whole(name), self.draft.default.by_name(name)
        given = rule or default
        if given is None:
            raise NotFound("there is no such rule")
        action = self._provider.actions[given["action"]]
        sends = rule is not None and "fields" in rule
        table = RuleTable(
            name=name,
            title=action.title,
            action=given["action"],
            kinds=mapping_words.kinds(given),
            conditions=mapping_words.conditions(given.get("when", ()), self._provider),
            skips=mapping_words.skips(given, self._provider),
            sends=sends,
            own=self.draft.own.by_name(name) is not None,
            off=rule is None,
            addable=mapping_rows.addable(self._provider, rule, default) if rule and sends else (),
            places=mapping_rows.places(action, rule) if rule and sends else (),
        )
        if rule is None:
            return table
        event = self._event(table.name)
        facts = self._facts(table.name, event) if event else None
        if rows:
            table = replace(table, rows=tuple(mapping_rows.rows(self._provider, rule, default, facts)))
        return self._shown(table, rule, event, facts) if event and facts else table

    def _shown(self, table: RuleTable, rule: RuleData, event: Event, facts: Facts) -> RuleTable:
        """With what becomes of an event."""
        table = replace(table, example=self.examples.example(event))
        outcome = self._expected.outcome(self.draft.compiled, table.name, event)
        if outcome is None:
            failing = next((each for each in rule.get("when", ()) if (test := every([each])) and not test(facts)), None)
            said = mapping_words.conditions([failing], self._provider)[0] if failing else None
            return replace(table, outcome="none", why=mark("Only if: {said}.").format(said=said) if said else None)
        why = mapping_words.reason(outcome.skip) if outcome.skip is not None else outcome.error
        return replace(table, outcome=outcome.kind, why=why, payload=outcome.payload, complaints=outcome.complaints)

    def _whole(self, name: str) -> RuleData | None:
        return self.draft.whole.by_name(name)

    def _event(self, name: str) -> Event | None:
        compiled = self.draft.compiled.by_name(name)
        return self.examples.of(compiled, self.draft.compiled, self._expected) if compiled else None

    def _facts(self, name: str, event: Event) -> Facts | None:
        compiled = self.draft.compiled.by_name(name)
        return self._expected.facts_of(self.draft.compiled, compiled, event) if compiled else None
