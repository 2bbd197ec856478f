"""Real events to show values of: a shop's newest ones, and for each rule one that it has something to say about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Ledger, Shop
from app.services.expected import Expected
from mappings.engine import CompiledMapping, Rule

WITHIN = 500  #: newest events that are looked through; a page must not read a year of a large shop
TRIED = 20  #: events that a rule is asked about at most
OFFERED = 25

Light = Row[tuple[int, str | None, str | None, datetime]]  #: id, kind, subject, occurred_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A real event that values are shown of."""

    event_id: int
    kind: str  #: such as ``order.paid``
    subject: str | None  #: the order's, cart's or checkout's id on the platform
    number: str | None  #: on the receipt, where it is an order
    at: datetime


class Examples:
    """
    Args:
        chosen: the id of an event whose order or cart comes first; another shop's counts as none.
    """

    def __init__(self, session: Session, shop: Shop, chosen: int | None = None) -> None:
        self._session, self._shop = session, shop
        self._newest = self._light(WITHIN)
        event = session.get(Event, chosen) if chosen is not None else None
        self.chosen = event if event is not None and event.shop_id == shop.id and _usable(event) else None
        self._first = self._light(WITHIN, self.chosen.subject) if self.chosen else []

    def recent(self, kinds: Collection[str], number: int) -> Sequence[Event]:
        """The newest events of ``kinds``, newest first."""
        ids = [row.id for row in self._newest if row.kind in kinds][:number]
        return self._session.scalars(select(Event).where(Event.id.in_(ids)).order_by(Event.id.desc())).all()

    def of(self, rule: Rule, mapping: CompiledMapping, expected: Expected) -> Event | None:
        """The chosen event or another of its order, else the newest; best one for which the rule does something."""
        for rows in (self._first, self._newest):
            first = None
            for event in self._events(rule, rows):
                if expected.outcome(mapping, rule.name, event) is not None:
                    return event
                first = first or event
            if first is not None:
                return first
        return None

    def offered(self, kinds: Collection[str] | None = None) -> tuple[Example, ...]:
        """To choose from: each order, cart and checkout once, by its newest event; only of ``kinds``."""
        seen: dict[tuple[str, str | None], Light] = {}
        for row in self._newest if kinds is None else [row for row in self._newest if row.kind in kinds]:
            seen.setdefault((str(row.kind).partition(".")[0], row.subject), row)
        rows = list(seen.values())[:OFFERED]
        numbers = receipt_numbers(self._session, self._shop, rows)
        return tuple(_example(row, numbers) for row in rows)

    def example(self, event: Event) -> Example:
        return _example(event, receipt_numbers(self._session, self._shop, [event]))

    def _events(self, rule: Rule, rows: Sequence[Light]) -> Iterator[Event]:
        ids = [row.id for row in rows if row.kind in rule.on]
        if self.chosen is not None and self.chosen.id in ids:
            ids = [self.chosen.id, *(each for each in ids if each != self.chosen.id)]
        for each in ids[:TRIED]:
            event = self._session.get(Event, each)
            if event is not None and _usable(event):
                yield event

    def _light(self, number: int, subject: str | None = None) -> Sequence[Light]:
        """The newest events, without their facts."""
        wanted = select(Event.id, Event.kind, Event.subject, Event.occurred_at).where(
            Event.shop_id == self._shop.id, Event.state == EventState.UNDERSTOOD
        )
        if subject is not None:
            wanted = wanted.where(Event.subject == subject)
        return self._session.execute(wanted.order_by(Event.id.desc()).limit(number)).all()  # type: ignore[return-value]


def receipt_numbers(session: Session, shop: Shop, events: Iterable[Event | Light]) -> dict[str, str]:
    """The numbers on the receipts of the events' orders, by the order's id."""
    keys = {event.subject for event in events if event.subject}
    wanted = select(Ledger.key, Ledger.number).where(
        Ledger.shop_id == shop.id, Ledger.kind == "order", Ledger.key.in_(keys)
    )
    return {key: number for key, number in session.execute(wanted) if number}


def _usable(event: Event) -> bool:
    return event.state == EventState.UNDERSTOOD and event.facts is not None


def _example(row: Event | Light, numbers: dict[str, str]) -> Example:
    of_order = str(row.kind).startswith("order.")
    return Example(
        event_id=row.id,
        kind=str(row.kind),
        subject=row.subject,
        number=numbers.get(row.subject or "") if of_order else None,
        at=row.occurred_at,
    )
