"""Books: the rows that accounting reads and writes, for many webhooks at once in the statements of one.

What is asked for every webhook is asked of tables and not of objects, by statements that are made once: an object costs
several times what its row does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import Column, ColumnElement, Select, Table, Update, and_, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from app.metrics import EVENTS
from app.models import Event, EventState, Ledger, Shop
from app.services import finding
from app.services.ledger import Change
from app.services.many import Many
from app.services.observe import Read, Stored
from app.services.one_of import one_of
from app.services.owed import Told
from app.services.packing import pack, unpack
from app.services.route import Router
from app.services.said import mark
from connectors.registry import CONNECTORS

Facts = dict[str, Any]
Row = dict[str, Any]

JOINED = mark("joined to its order, which came later")


class Key(NamedTuple):
    """What a ledger is found by."""

    shop_id: int
    kind: str  #: order, cart, checkout
    key: str  #: the platform's id


@dataclass(slots=True)
class Entry:
    """What is known of one order, cart or checkout; nobody else changes it until the transaction ends."""

    id: int | None  #: None: not known before
    state: Facts
    updated_at: datetime | None = None  #: of the last webhook that said something of it here; None: nothing to write


class Books:
    """The ledgers, events and deliveries of one transaction. Nothing is written before `close`."""

    def __init__(self, session: Session, router: Router) -> None:
        self.session = session
        self._router = router
        self._entries: dict[Key, Entry] = {}
        self._events: list[Row] = []
        self._told: list[tuple[Shop, Row, Facts]] = []
        self._packed: tuple[Facts, bytes] = ({}, b"")
        self._joined: set[tuple[int, str]] = set()
        self._counts = Counter[str]()

    # ledgers

    def hold(self, keys: Iterable[Key]) -> None:
        """Read the ledgers of ``keys`` and keep others from changing them; they wait in one order, so not in a ring."""
        wanted = sorted({*keys} - self._entries.keys())
        if not wanted:
            return
        self._entries |= {key: Entry(None, {}) for key in wanted}
        for row in self.session.connection().execute(_held(len(wanted)), _values(_KEY, wanted)):
            state = unpack(row.state) if row.state else {}
            self._entries[Key(row.shop_id, row.kind, row.key)] = Entry(row.id, state)

    def entry(self, key: Key) -> Entry:
        """The ledger of ``key``; its state may be changed in place, and is written where ``updated_at`` is set."""
        self.hold([key])
        return self._entries[key]

    # events

    def event(self, stored: Stored, shop: Shop, change: Change, subject: str) -> None:
        """A change, and what it owes to the shop's destinations."""
        row = _row(stored, shop.id, change.kind, subject, EventState.UNDERSTOOD)
        row["dedup_key"] = f"{change.kind}:{subject}:{change.key}"
        row["occurred_at"] = datetime.fromisoformat(change.occurred_at) if change.occurred_at else stored.received_at
        row["facts"] = self._pack(change.facts)
        self._events.append(row)
        self._told.append((shop, row, change.facts))

    def note(
        self, read: Read, state: EventState, reason: str | None, subject: str | None = None, kind: str | None = None
    ) -> None:
        """A line for a webhook that changed nothing, so that every webhook has its answer."""
        stored = read.webhook
        kind = kind or CONNECTORS[stored.platform].kind(stored.topic)
        shop_id = read.shop.id if read.shop else stored.shop_id
        self._events.append({**_row(stored, shop_id, kind, subject, state), "error": reason})

    def join(self, shop_id: int, subject: str) -> None:
        """What was parked for an order, or a part of it, waits no more: its events carry that."""
        self._joined.add((shop_id, subject))
        for row in self._events:
            if (row["shop_id"], row["subject"], row["state"]) == (shop_id, subject, EventState.PARKED):
                row |= {"state": EventState.IGNORED, "error": JOINED}

    def _pack(self, facts: Facts) -> bytes:
        """The several events of one snapshot mostly carry the same facts."""
        if facts is not self._packed[0]:
            self._packed = (facts, pack(facts))
        return self._packed[1]

    # writing

    def close(self) -> None:
        """Write all that was entered. More may be entered then, and written by another call."""
        self._write_ledgers()
        if self._joined:
            joined = sorted(self._joined)
            self.session.connection().execute(_join(len(joined)), _values(_SUBJECT, joined))
        self._router.route(self.session, self._write_events())
        self._counts.update(row["kind"] for _, row, _ in self._told)
        self._events, self._told, self._joined = [], [], set()

    def count(self) -> None:
        """Let operators know what was written; after the commit."""
        for kind, number in self._counts.items():
            EVENTS.labels(kind).inc(number)

    def _write_ledgers(self) -> None:
        rows = {key: _ledger_row(key, entry) for key, entry in self._entries.items() if entry.updated_at is not None}
        known = [row for key, row in rows.items() if self._entries[key].id is not None]
        new = [row for key, row in rows.items() if self._entries[key].id is None]
        if known:
            _UPDATE_LEDGER.execute(self.session.connection(), known)
        if new:  # the unique key refuses what another worker began meanwhile: then all of this is done again
            _INSERT_LEDGER.execute(self.session.connection(), new)
        for key in rows:  # read anew if more is entered: it has a number then
            del self._entries[key]

    def _write_events(self) -> list[Told]:
        if self._events:
            _INSERT_EVENTS.execute(self.session.connection(), self._events)
        if not self._told:
            return []
        webhooks = sorted({row["webhook_id"] for _, row, _ in self._told})
        made = self.session.connection().execute(_NUMBERS, {"webhooks": webhooks})
        ids = {(row.shop_id, row.dedup_key): row.id for row in made}
        return [
            Told(
                id=ids[shop.id, row["dedup_key"]],
                shop=shop,
                kind=row["kind"],
                subject=row["subject"],
                occurred_at=row["occurred_at"],
                facts=facts,
            )
            for shop, row, facts in self._told
        ]


def _row(stored: Stored, shop_id: int | None, kind: str | None, subject: str | None, state: EventState) -> Row:
    return {
        "shop_id": shop_id,
        "webhook_id": stored.id,
        "kind": kind,
        "subject": subject,
        "dedup_key": f"webhook:{stored.id}",
        "occurred_at": stored.received_at,
        "received_at": stored.received_at,
        "state": state,
        "error": None,
        "facts": None,
    }


def _ledger_row(key: Key, entry: Entry) -> Row:
    found = finding.columns(key.shop_id, entry.state.get("order") or {})
    changed = {**found._asdict(), "state": pack(entry.state), "updated_at": entry.updated_at}
    return {**key._asdict(), **changed} if entry.id is None else {"ledger": entry.id, **changed}


_L, _E = cast(Table, Ledger.__table__), cast(Table, Event.__table__)


def _any(columns: Sequence[Column[Any]], number: int) -> ColumnElement[bool]:
    """Whether ``columns`` are one of so many tuples; see `_values`. SQLite takes an index for this, and none for IN."""
    alike = [and_(*[column == bindparam(f"{column.name}_{row}") for column in columns]) for row in range(number)]
    return or_(*alike)


def _values(columns: Sequence[Column[Any]], rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    named = [zip(columns, values, strict=True) for values in rows]
    return {f"{column.name}_{row}": value for row, pairs in enumerate(named) for column, value in pairs}


_KEY = (_L.c.shop_id, _L.c.kind, _L.c.key)
_SUBJECT = (_E.c.shop_id, _E.c.subject)


@cache
def _held(number: int) -> Select[Any]:
    return select(_L.c.id, *_KEY, _L.c.state).where(_any(_KEY, number)).order_by(*_KEY).with_for_update()


@cache
def _join(number: int) -> Update:
    parked = update(_E).where(_any(_SUBJECT, number), _E.c.state == EventState.PARKED.value)
    return parked.values(state=EventState.IGNORED.value, error=JOINED)


_UPDATE_LEDGER = Many(
    update(_L)
    .where(_L.c.id == bindparam("ledger"))
    .values({name: bindparam(name) for name in (*finding.Columns._fields, "state", "updated_at")})
)
_INSERT_LEDGER = Many(insert(_L))
#: In the order of the list: their numbers follow the order of an order's life.
_INSERT_EVENTS = Many(insert(_E))
_NUMBERS = select(_E.c.id, _E.c.shop_id, _E.c.dedup_key).where(one_of(_E.c.webhook_id, "webhooks"))
