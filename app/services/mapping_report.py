"""What changes: the shop's last events as they are sent now and as a draft would have them sent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.models import Event, Shop
from app.providers.base import Action, Payload, Provider
from app.providers.payload_fields import values_at
from app.services import mapping_words
from app.services.expected import Expected, Outcome
from app.services.mapping_draft import BadMapping, Opened, current, opened
from app.services.mapping_examples import receipt_numbers
from app.services.preview import Comparison, compare, differences, last_events
from app.services.route import Router
from app.services.said import mark
from mappings.data import identical
from mappings.engine import CompiledMapping

TOLD = 50  #: events with something to send or to skip
LOOKED_AT = 500  #: events; of many there is nothing to tell
_NUMBER = re.compile(r"-?[0-9][0-9.]*")
_DIGITS = 20  #: an amount of more is none


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    path: str  #: in the payload: "lineItems[0].price"
    now: Any  #: JSON; None where it is not there
    then: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """One event that would be told otherwise."""

    event_id: int
    kind: str
    subject: str | None
    number: str | None  #: of an order, on the receipt
    at: datetime
    rule: str
    title: str  #: the action's
    now: str  #: payload, skip, error, none
    then: str
    change: str  #: changed, sent, skipped, failing, dropped; as in `Report.counts`
    why: str | None  #: a sentence, where ``then`` is no payload
    fields: tuple[FieldChange, ...]  #: where both are payloads


@dataclass(frozen=True, slots=True, kw_only=True)
class AmountChange:
    """A field of money, summed over all events that have it."""

    title: str  #: the action's
    path: str
    now: Decimal
    then: Decimal
    currency: str | None  #: None where the orders have several


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    text: str  #: for example: of sentences that differ in amounts alone, one
    number: int  #: of events


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    events: int  #: that were looked at: of the kinds that rules which differ listen to
    concerned: int  #: of these, with something to send or to skip, now or then
    #: Deliveries by what becomes of them: same, changed, sent (newly), skipped, failing, dropped (no delivery at all).
    counts: Mapping[str, int]
    orders: tuple[OrderChange, ...]  #: newest first
    amounts: tuple[AmountChange, ...]  #: those that differ
    complaints_new: tuple[Count, ...]
    complaints_gone: tuple[Count, ...]
    unknown: str  #: what cannot be known before it is sent, in a sentence
    same: bool  #: nothing at all would change
    broken: str | None  #: why what counts now cannot be used: nothing is sent until it is mended


UNKNOWN = mark(
    "Whether the provider has an order already, and what happens to it until it is sent,"
    " shows only then: what was reported before is not reported again."
)
_STATES = ("changed", "sent", "skipped", "failing", "dropped", "same")


def report(session: Session, router: Router, shop: Shop, provider: Provider, text: str) -> Report:
    """Compare the draft ``text`` with what counts now. Raises `BadMapping`."""
    draft = opened(provider, text)
    live, broken = _live(session, shop, provider)
    then, now = draft.compiled, live.compiled if live else CompiledMapping.of([], source="")
    expected = Expected(session, router.with_mapping(session, shop, provider, then), shop)
    events = last_events(session, shop, LOOKED_AT, kinds=_kinds(live, draft) or None)
    looked_at, found = _found(expected, now, then, events)
    numbers = receipt_numbers(session, shop, [each.event for each in found])
    actions = {rule.name: provider.actions[rule.action] for rule in (*now.rules, *then.rules)}
    changes = [_change(each, actions[each.rule], numbers) for each in found[::-1]]
    counts = Counter(each.change for each in changes)
    return Report(
        events=looked_at,
        concerned=len({each.event.id for each in found}),
        counts={name: counts[name] for name in _STATES},
        orders=tuple(each for each in changes if each.change != "same"),
        amounts=tuple(_amounts(found, actions, expected)),
        complaints_new=_complaints(found, lambda each: (each.then, each.now)),
        complaints_gone=_complaints(found, lambda each: (each.now, each.then)),
        unknown=UNKNOWN,
        same=counts["same"] == len(changes) and broken is None,
        broken=broken,
    )


def _live(session: Session, shop: Shop, provider: Provider) -> tuple[Opened | None, str | None]:
    """What counts now; nothing, and why, where it cannot be used."""
    try:
        return opened(provider, current(session, shop, provider).text), None
    except BadMapping as error:
        return None, str(error)


def _kinds(live: Opened | None, draft: Opened) -> set[str]:
    """Of the events that rules which differ listen to: a hundred carts must not hide what a refund would become."""
    if live is None:
        return set()
    one, other = live.whole, draft.whole
    differing = (
        rule
        for rule in (*one.rules, *other.rules)
        if not identical(one.by_name(rule["name"]), other.by_name(rule["name"]))
    )
    return {kind for rule in differing for kind in mapping_words.kinds(rule)}


def _found(
    expected: Expected, now: CompiledMapping, then: CompiledMapping, events: Sequence[Event]
) -> tuple[int, list[Comparison]]:
    """How many events were looked at, from the newest on, until there was enough to tell; and that, oldest first."""
    looked_at, groups = 0, list[list[Comparison]]()
    for event in reversed(events):
        if len(groups) == TOLD:
            break
        looked_at += 1
        if group := list(compare(expected, now, then, [event])):
            groups.append(group)
    return looked_at, [each for group in reversed(groups) for each in group]


def _change(found: Comparison, action: Action, numbers: Mapping[str, str]) -> OrderChange:
    event, now, then = found.event, found.now, found.then
    fields = differences(now.payload, then.payload) if now and then and now.payload and then.payload else []
    return OrderChange(
        event_id=event.id,
        kind=str(event.kind),
        subject=event.subject,
        number=numbers.get(event.subject or ""),
        at=event.occurred_at,
        rule=found.rule,
        title=action.title,
        now=now.kind if now else "none",
        then=then.kind if then else "none",
        change=_kind(now, then),
        why=_why(then),
        fields=tuple(FieldChange(path=each["path"], now=each["now"], then=each["then"]) for each in fields),
    )


def _kind(now: Outcome | None, then: Outcome | None) -> str:
    """One of `_STATES`."""
    if then is None:
        return "dropped"
    if now is not None and now.kind == then.kind:
        same = identical([now.payload, now.skip, now.error], [then.payload, then.skip, then.error])
        return "same" if same else "changed"
    return {"payload": "sent", "skip": "skipped", "error": "failing"}[then.kind]


def _why(then: Outcome | None) -> str | None:
    if then is None:
        return mark("Nothing is owed any more.")
    return mapping_words.reason(then.skip) if then.skip is not None else then.error


# sums


def _amounts(found: Sequence[Comparison], actions: Mapping[str, Action], expected: Expected) -> Iterator[AmountChange]:
    """Of each field of money that comes to another sum."""
    sums: dict[tuple[str, str], list[Decimal]] = {}
    currencies: dict[tuple[str, str], set[str | None]] = {}
    for each in found:
        action = actions[each.rule]
        for side, outcome in enumerate((each.now, each.then)):
            for path, value in _money(action, outcome):
                key = (action.title, path)
                sums.setdefault(key, [Decimal(0), Decimal(0)])[side] += value
                currencies.setdefault(key, set()).add(_currency(expected, each.event))
    for (title, path), (now, then) in sums.items():
        if now != then:
            told = currencies[title, path]
            yield AmountChange(
                title=title, path=path, now=now, then=then, currency=told.pop() if len(told) == 1 else None
            )


def _money(action: Action, outcome: Outcome | None) -> Iterator[tuple[str, Decimal]]:
    if outcome is None or outcome.payload is None:
        return
    for path, each in action.fields.items():
        if each.money:
            *parents, name = path.split(".")
            for owner in _owners(outcome.payload, parents):
                yield path, _amount(owner.get(name)) * (_amount(owner.get(each.times)) if each.times else 1)


def _owners(payload: Payload, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The objects at a path; of a list its members."""
    for value in values_at(payload, names):
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict))


def _amount(value: Any) -> Decimal:
    """Of a number, or a text of one; anything else counts nothing: the field may hold what the merchant likes."""
    try:
        found = (
            Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else Decimal(0)
        )
    except ArithmeticError:
        return Decimal(0)
    return found if found.is_finite() and abs(found.adjusted()) < _DIGITS else Decimal(0)


def _currency(expected: Expected, event: Event) -> str | None:
    facts = expected.facts(event)
    owner = facts.get("order") or facts.get("cart") or facts.get("checkout") or {}
    found: str | None = owner.get("currency")
    return found


def _complaints(
    found: Iterable[Comparison], sides: Callable[[Comparison], tuple[Outcome | None, Outcome | None]]
) -> tuple[Count, ...]:
    """What is said of one side and not of the other, the most frequent first; with other amounts it is the same."""
    numbers: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for each in found:
        one, other = sides(each)
        said = set(one.complaints if one else ()) - set(other.complaints if other else ())
        kinds = {_NUMBER.sub("", text): text for text in sorted(said)}
        numbers.update(kinds.keys())
        examples = {**kinds, **examples}
    return tuple(Count(text=examples[kind], number=number) for kind, number in numbers.most_common())
