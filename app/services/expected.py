"""What an event will become at a destination, under one mapping or another, before anything is sent.

It is what `app.services.prepare` makes, byte for byte, with the same facts. A reversal depends on what the destination
was given before: that is taken from its deliveries, and those that are still open count as if they had been accepted,
for they go out first. What depends on the provider's answers and on what comes meanwhile is known only when it is sent:
`ONLY_THEN`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Delivery, DeliveryState, Event, EventState, Mode, Shop
from app.models.delivery import OPEN
from app.providers.base import Payload
from app.providers.registry import PROVIDERS
from app.services.amounts import Reversed, reversal
from app.services.owed import BEFORE_START
from app.services.packing import unpack
from app.services.prepare import ALREADY_SENT, NOT_CANCELLED, NOTHING_TO_REVERSE, effect_of, kept, render
from app.services.route import Facts, Target, complete_facts
from connectors.events import time_text
from mappings.engine import CompiledMapping, Rule, Skip
from mappings.errors import MappingError

#: Reasons of skips that show only when it is sent; what was expected then, stays unsent.
ONLY_THEN = frozenset(
    {"superseded", ALREADY_SENT, "unchanged", "erased", NOT_CANCELLED, NOTHING_TO_REVERSE, BEFORE_START}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one rule makes of one event: a payload, a skip's reason, or why it would be held."""

    payload: Payload | None = None
    skip: str | None = None
    error: str | None = None
    complaints: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """payload, skip or error."""
        return "error" if self.error is not None else "skip" if self.skip is not None else "payload"


class Expected:
    """For one destination; it keeps what it has read, and is of use for one page."""

    def __init__(self, session: Session, target: Target, shop: Shop) -> None:
        self._session, self._target, self._shop = session, target, shop
        self._actions = PROVIDERS[target.provider].actions
        self._facts: dict[int, Facts] = {}
        self._given: dict[str | None, list[Delivery]] = {}
        self._effects: dict[tuple[CompiledMapping, int, str], Mapping[str, Any]] = {}

    def outcome(self, mapping: CompiledMapping, name: str, event: Event) -> Outcome | None:
        """Of the rule ``name``; None where no delivery would be owed."""
        rule = mapping.by_name(name)
        if rule is None or event.kind not in rule.on:
            return None
        try:
            return self._outcome(mapping, rule, event) if rule.applies(self.facts(event)) else None
        except MappingError as error:
            return Outcome(error=str(error))

    def facts(self, event: Event) -> Facts:
        """All that mappings read of ``event``, but for ``reversal``."""
        if event.id not in self._facts:
            told = unpack(event.facts) if event.facts else {}
            self._facts[event.id] = complete_facts(self._target, self._shop, event, told)
        return self._facts[event.id]

    def facts_of(self, mapping: CompiledMapping, rule: Rule, event: Event) -> Facts:
        """All that ``rule`` reads of ``event``."""
        facts = self.facts(event)
        if self._actions[rule.action].reverses and "order" in facts:
            return {**facts, "reversal": self._reversal(mapping, rule.action, event, facts)}
        return facts

    def _outcome(self, mapping: CompiledMapping, rule: Rule, event: Event) -> Outcome:
        action = self._actions[rule.action]
        facts = self.facts_of(mapping, rule, event)
        made = render(self._target, rule.name, action, facts, mapping=mapping)
        if isinstance(made, Skip):
            return Outcome(skip=made.reason)
        if held := action.hold(made, facts, self._target.settings):
            return Outcome(error=held)
        return Outcome(payload=made, complaints=tuple(action.check(made, facts)))

    # reversals

    def _reversal(self, mapping: CompiledMapping, name: str, event: Event, facts: Facts) -> Facts | None:
        """As `prepare` will have it; where the destination has no purchase, as if it had been given the order as is."""
        given = [row for row in self._rows(event.subject) if row.action == self._actions[name].reverses]
        given = [row for row in given if row.event_id < event.id and row.state in (*self._accepted(), *OPEN)]
        source = self._session.get(Event, given[-1].event_id) if given else None
        order = self.facts(source)["order"] if source else facts["order"]
        done = Reversed.of(self._done(mapping, name, event))
        taken = reversal(order, facts.get("refund"), done, time_text(event.occurred_at))
        return taken and {**taken, **(kept(self._effect_of(mapping, given[-1], source)) if source else {})}

    def _effect_of(self, mapping: CompiledMapping, row: Delivery, event: Event) -> Mapping[str, Any] | None:
        """Of what can be reversed: as it was accepted, or as it will be."""
        return row.effect if row.state in self._accepted() else self._effect(mapping, row.action, event)

    def _accepted(self) -> tuple[DeliveryState, ...]:
        shadow = (DeliveryState.SHADOW,) if self._target.mode != Mode.LIVE else ()
        return (DeliveryState.DELIVERED, *shadow)

    def _done(self, mapping: CompiledMapping, name: str, event: Event) -> Iterator[Mapping[str, Any]]:
        """The effects of the reversals of the same order before ``event``."""
        rows = self._rows(event.subject)
        for earlier in self._earlier(mapping, name, event):
            row = next((each for each in rows if (each.event_id, each.action) == (earlier.id, name)), None)
            if row is not None and row.state in self._accepted():
                yield row.effect or {}
            elif not rows or (row is not None and row.state in OPEN):
                yield self._effect(mapping, name, earlier)

    def _effect(self, mapping: CompiledMapping, name: str, event: Event) -> Mapping[str, Any]:
        """Of a delivery that is still to be sent; none of one that will not be."""
        key = (mapping, event.id, name)
        if key not in self._effects:
            rules = [rule for rule in mapping.for_kind(event.kind or "") if rule.action == name]
            found = ((rule, self.outcome(mapping, rule.name, event)) for rule in rules)
            sent = next(((rule, each.payload) for rule, each in found if each and each.payload is not None), None)
            self._effects[key] = (
                effect_of(self._actions[name], sent[1], self.facts_of(mapping, sent[0], event)) if sent else {}
            )
        return self._effects[key]

    def _rows(self, subject: str | None) -> list[Delivery]:
        """The destination's deliveries of one order that reverse something or can be reversed."""
        if subject not in self._given:
            named = {name for name, action in self._actions.items() if action.reverses}
            named |= {action.reverses for action in self._actions.values() if action.reverses}
            wanted = select(Delivery).where(
                Delivery.destination_id == self._target.id, Delivery.subject == subject, Delivery.action.in_(named)
            )
            self._given[subject] = list(self._session.scalars(wanted.order_by(Delivery.id)))
        return self._given[subject]

    def _earlier(self, mapping: CompiledMapping, name: str, event: Event) -> list[Event]:
        kinds = {kind for rule in mapping.rules if rule.action == name for kind in rule.on}
        wanted = select(Event).where(
            Event.shop_id == self._shop.id,
            Event.subject == event.subject,
            Event.state == EventState.UNDERSTOOD,
            Event.kind.in_(kinds),
            Event.id < event.id,
        )
        return list(self._session.scalars(wanted.order_by(Event.id)))
