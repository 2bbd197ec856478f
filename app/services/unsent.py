"""Unsent: why a provider got nothing of an order for which nothing was owed either. Always a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.models import Delivery, Destination, Event, EventState, Mode, Shop
from app.providers.base import NOTHING, Action, Provider
from app.providers.registry import PROVIDERS
from app.services.own_mappings import own_text
from app.services.packing import unpack
from app.services.route import Router, Target, complete_facts, effective
from app.services.said import mark
from app.services.secrets import Locked
from connectors.events import Kind
from mappings.conditions import condition
from mappings.engine import Rule
from mappings.errors import MappingError

Facts = dict[str, Any]

NOT_SET_UP = mark("It is not set up for this store, so nothing is sent to it.")
#: No page sends past days; the operator's command does, so the sentences name it.
OFF = mark(
    "It is switched off, so nothing is sent to it, and switching it on sends only what comes from then on. The order is"
    " kept: once it is on, whoever runs Tillwire for you can send past days to it (tillwire destinations set,"
    " --last-days)."
)
NOTHING_YET = mark("Nothing happened with this order yet that could be reported.")
NOT_UNDERSTOOD = mark("What your store told of this order could not be understood: {reason}")
ON_HOLD = mark("It is on hold, and what it is owed for this order is worked out once that is mended: {reason}")
CATCHING_UP = mark("It was on hold, and what it missed meanwhile is being worked out now: look again in a minute.")
UNUSABLE = mark("Its settings or your mapping cannot be used, so nothing is worked out for it: {reason}")
SET_UP_LATER = mark(
    "It was set up after this happened, so it was not told of it. The order is kept: whoever runs Tillwire for you can"
    " send past days to it (tillwire destinations set, --last-days)."
)
CHANGED = mark(
    "It was off, or its options or mapping were others, when this happened. As they are now"
    " it would be sent. The order is kept: whoever runs Tillwire for you can send past days"
    " to it (tillwire destinations set, --last-days)."
)
NO_RULE = mark("Your mapping has no rule for what happened with this order: {kinds}.")
NOT_DUE = mark("It is told of an order when it is {moment}, and this one is not, or not yet.")
OPTION = mark("Its option “{label}” leaves this order out.")
CONDITION = mark("Your mapping asks for {path}, and this order does not have what it asks for.")

#: What happened, in a merchant's words.
HAPPENED: Mapping[str, str] = {
    Kind.PLACED: mark("placed"),
    Kind.PAID: mark("paid"),
    Kind.UPDATED: mark("changed"),
    Kind.FULFILLED: mark("sent out"),
    Kind.REFUNDED: mark("refunded"),
    Kind.CANCELLED: mark("cancelled"),
    Kind.DELETED: mark("moved to the trash"),
    Kind.RESTORED: mark("taken from the trash"),
}

#: Facts that are worked out from a choice of the merchant's; the setting that holds the choice.
_CHOICES = {"options.due": "order_trigger"}


@dataclass(frozen=True, slots=True, eq=False)
class Silence:
    """Asks why, for one order of one shop."""

    session: Session
    router: Router
    shop: Shop
    events: Sequence[Event]  #: of the order, oldest first

    def about(self, delivery: Delivery) -> str:
        """What a delivery is for: its action, or what happened where its rule only says why nothing is sent."""
        action = PROVIDERS[delivery.provider].actions[delivery.action]
        kinds = {event.id: event.kind or "" for event in self.events}
        return (
            mark("When it was {moment}").format(moment=happened(kinds[delivery.event_id]))
            if action is NOTHING
            else action.title
        )

    def why(self, provider: Provider, destination: Destination | None) -> str:
        """Why ``provider`` was owed nothing."""
        if destination is None:
            return NOT_SET_UP
        if destination.mode == Mode.OFF:
            return OFF
        told = [event for event in self.events if event.state == EventState.UNDERSTOOD and event.facts]
        if not told:
            return self._not_told()
        if destination.missed_from is not None and any(event.id >= destination.missed_from for event in told):
            return ON_HOLD.format(reason=destination.held) if destination.held else CATCHING_UP
        try:
            target = self.router.target(self.session, destination)
            return self._by_rules(provider, destination, target, told)
        except (Locked, MappingError) as error:
            return UNUSABLE.format(reason=error)

    def _not_told(self) -> str:
        reasons = [event.error for event in self.events if event.state != EventState.IGNORED and event.error]
        return NOT_UNDERSTOOD.format(reason=reasons[-1]) if reasons else NOTHING_YET

    def _by_rules(self, provider: Provider, destination: Destination, target: Target, told: Sequence[Event]) -> str:
        heard = [
            (rule, event)
            for event in told
            for rule in target.mapping.for_kind(event.kind or "")
            if reports(provider.actions[rule.action])
        ]
        if not heard:
            kinds = dict.fromkeys(happened(event.kind or "") for event in told)
            return NO_RULE.format(kinds=", ".join(kinds))
        facts = {event.id: complete_facts(target, self.shop, event, unpack(event.facts or b"")) for event in told}
        fits = [event for rule, event in heard if rule.applies(facts[event.id])]
        if fits:
            return SET_UP_LATER if fits[-1].received_at < destination.created_at else CHANGED
        return self._failing(provider, target, [(rule, facts[event.id]) for rule, event in heard])

    def _failing(self, provider: Provider, target: Target, heard: Sequence[tuple[Rule, Facts]]) -> str:
        """The condition that fails, and first of all the one that speaks of time: it may still be met."""
        own = own_text(self.session, self.shop, provider)
        conditions = {str(rule["name"]): rule.get("when", ()) for rule in effective(provider.name, own).rules}
        failed = [each["path"] for rule, facts in heard for each in conditions[rule.name] if not condition(each)(facts)]
        path = next((each for each in failed if each in _CHOICES), failed[0])
        return _about(provider, target.settings, path)


def happened(kind: str) -> str:
    return HAPPENED.get(kind, kind)


def reports(action: Action) -> bool:
    """Whether it tells of the order itself; reversals only take back what was told before."""
    return action is not NOTHING and action.reverses is None


def _about(provider: Provider, settings: Mapping[str, Any], path: str) -> str:
    known = {setting.name: setting for setting in provider.settings}
    if (choice := known.get(_CHOICES.get(path, ""))) is not None:
        return NOT_DUE.format(moment=dict(choice.choices).get(settings[choice.name], settings[choice.name]))
    option = known.get(path.removeprefix("options.")) if path.startswith("options.") else None
    return OPTION.format(label=option.label) if option else CONDITION.format(path=path)
