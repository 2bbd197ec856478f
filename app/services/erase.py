"""Erase: take a person out of everything a shop left here, and keep what the reports add up.

The work goes through the shop's rows in chunks of short transactions, while others go on: first the webhooks as they
came (so that nothing is read out of them any more), then events with their deliveries and attempts, and the ledgers
last, because they are what leads to the rest. Whoever dies half-way leaves them, and a second run finishes: what is
clean already stays as it is. The receipt is written at the end.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Database, clock
from app.models import (
    Attempt,
    Delivery,
    DeliveryState,
    Destination,
    Event,
    Export,
    Ledger,
    Receipt,
    Webhook,
)
from app.services import receipts
from app.services.data_request import is_about
from app.services.erase_bodies import clean_bodies
from app.services.erase_late import MARK
from app.services.errors import Failed
from app.services.holds import LEASE
from app.services.kept import FACTS, PAYLOADS
from app.services.packing import pack, unpack
from app.services.persons import Found, Person, Subject, in_pages, search, subject_of, traits_of
from app.services.rows import ANSWER_LOST
from app.services.secrets import Vault
from connectors.events import time_text

CHUNK = 20  #: rows changed in a transaction; on SQLite others wait to be stored meanwhile
PATIENCE = LEASE.total_seconds() + 10.0  #: seconds for calls under way to come back
POLL = 0.2
UNCOMMITTED = 1000  #: more rows than ever are under way at a time
ERASED = "erased"  #: why a delivery is not owed any more
_AMOUNTS = ("amount", "quantities", "sums")  #: of an effect: what later refunds reckon with
#: What may still be sent, or be sent again by itself once something is mended.
_WAITING = (
    DeliveryState.PENDING,
    DeliveryState.RETRYING,
    DeliveryState.HELD,
    DeliveryState.UNKNOWN,
    DeliveryState.DEAD,
)


class UnderWay(Failed):
    """A call with what is to be erased has not come back; what was done so far stays done."""

    def __init__(self) -> None:
        super().__init__(
            "a delivery of it is under way until its answer is here; what is erased stays erased: try again in a minute"
        )


def erase_customer(
    db: Database, vault: Vault, shop_id: int, person: Person, now: datetime, *, dedup_key: str | None = None, actor: str
) -> Receipt:
    """Remove ``person`` from the shop's data, and write the receipt; once per ``dedup_key``.

    Raises:
        UnderWay: finished but for a delivery whose call has not come back.
    """
    dedup_key = dedup_key or f"command:{uuid.uuid4()}"
    with db.read() as session:
        if (known := receipts.given(session, dedup_key)) is not None:
            return known
    counts = remove_person(db, vault, shop_id, person)
    with db.write() as session:
        return receipts.give(
            session, receipts.CUSTOMER_ERASED, shop_id, dedup_key, counts, requested_at=now, actor=actor
        )


def remove_person(
    db: Database, vault: Vault, shop_id: int, person: Person, *, patience: float = PATIENCE
) -> dict[str, int]:
    """Remove ``person`` and return the rows changed, by table. See `erase_customer`."""
    found = search(db, shop_id, person)
    removal = _Removal(db, shop_id, found)
    removal.rows(patience)
    removal.exports(vault)
    removal.notices()
    empty_journal(db)
    return dict(removal.counts)


def empty_journal(db: Database) -> None:
    """SQLite's write-ahead log holds pages as they were; a reader that is at it keeps it until the next checkpoint."""
    if not db.sqlite:
        return
    with db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=500").close()  # others wait to write meanwhile
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        connection.invalidate()  # the next one waits as long as the others


class _Passed(NamedTuple):
    """Rows that were looked at: all up to these numbers."""

    webhook: int
    event: int


def _newest(db: Database) -> _Passed:
    """The newest rows, less those that may have their numbers and not be committed yet."""
    with db.read() as session:
        newest = (session.scalar(select(func.max(table.id))) or 0 for table in (Webhook, Event))
        return _Passed(*(max(number - UNCOMMITTED, 0) for number in newest))


class _Removal:
    """One person's removal from one shop; each step may be done again."""

    def __init__(self, db: Database, shop_id: int, found: Found) -> None:
        self._db = db
        self._shop_id = shop_id
        self._found = found
        self.counts: Counter[str] = Counter(dict.fromkeys(("webhooks", "events", "deliveries", "attempts"), 0))
        self.counts.update({"ledgers": 0, "exports": 0})

    def rows(self, patience: float) -> None:
        """Clean all that there is; then what came meanwhile, until nothing did.

        A worker may have read a webhook before its ledger was cleaned, and have written after its events were looked
        through. Once the ledger is marked, the worker itself keeps out what is late.
        """
        passed: _Passed | None = None
        while True:
            newest, before = _newest(self._db), self._progress()
            after = passed or _Passed(0, 0)
            self.counts["webhooks"] += clean_bodies(self._db, self._shop_id, self._found, after.webhook)
            self.events(patience, after.event)
            if passed is not None and self._progress() == before:
                return
            self.ledgers()
            passed = newest

    def _progress(self) -> int:
        return self.counts.total() + len(self._found.subjects)

    # events and deliveries

    def events(self, patience: float, after: int) -> None:
        """Clean facts, payloads and answers, and let nothing of them be sent any more."""
        until = time.monotonic() + patience
        busy = self._clean_events(after)
        while busy:
            if time.monotonic() > until:
                raise UnderWay
            time.sleep(POLL)
            busy = [id_ for chunk in _chunks(busy) for id_ in self._clean_chunk(chunk)]

    def _clean_events(self, after: int) -> list[int]:
        busy: list[int] = []
        columns = (Event.id, Event.kind, Event.subject, Event.facts)
        for rows in in_pages(self._db, (Event.shop_id == self._shop_id) & (Event.id > after), *columns):
            mine = [row.id for row in rows if self._owns(subject_of(row.kind, row.subject), row.facts)]
            for chunk in _chunks(mine):
                busy += self._clean_chunk(chunk)
        return busy

    def _owns(self, subject: Subject, packed: bytes | None) -> bool:
        if not subject[1]:
            return False
        if subject in self._found.subjects:
            return True
        facts = unpack(packed) if packed else {}
        if not self._found.owns(subject, traits_of(facts)):
            return False
        self._found.add(subject, facts)
        return True

    def _clean_chunk(self, ids: Sequence[int]) -> list[int]:
        """Clean these events; return those that have to wait for a call to come back."""
        with self._db.write() as session:
            wanted = select(Delivery).where(Delivery.event_id.in_(ids)).order_by(Delivery.id).with_for_update()
            deliveries = session.scalars(wanted).all()
            now = clock(session)  # leases were given by it
            busy = {each.event_id for each in deliveries if each.leased_until is not None and each.leased_until > now}
            for delivery in deliveries:
                if delivery.leased_until is None or delivery.leased_until <= now:
                    self._clean_delivery(session, delivery)
            for event in session.scalars(select(Event).where(Event.id.in_([each for each in ids if each not in busy]))):
                self._clean_event(event)
        return sorted(busy)

    def _clean_event(self, event: Event) -> None:
        facts = self._clean_facts(unpack(event.facts)) if event.facts else None
        packed = pack(facts) if facts is not None else None
        error = self._found.traces.out_of(event.error) if event.error else event.error
        if (facts is not None and facts != unpack(cast(bytes, event.facts))) or error != event.error:
            event.facts, event.error = packed, error
            self.counts["events"] += 1

    def _clean_facts(self, facts: Any) -> Any:
        clean = FACTS.keep(facts, self._found.traces)
        for name in ("order", "cart", "checkout"):
            if isinstance(clean.get(name), dict):
                clean[name].setdefault(MARK, _this_second())
        return clean

    def _clean_delivery(self, session: Session, delivery: Delivery) -> None:
        reason = self._found.traces.out_of(delivery.reason) if delivery.reason else None
        effect = {name: value for name, value in (delivery.effect or {}).items() if name in _AMOUNTS}
        values: dict[str, Any] = {"complaints": None, "effect": effect or None, "reason": reason}
        if delivery.state in _WAITING:
            values |= {"state": DeliveryState.SKIPPED, "reason": ERASED, "doubt": False, "leased_until": None}
            if delivery.state in (DeliveryState.PENDING, DeliveryState.RETRYING, DeliveryState.HELD):
                # Nothing was sent, so what comes anew may be; of what was refused, is in doubt, or was under way with a
                # worker that has died, the place stays taken.
                sent = delivery.doubt or delivery.leased_until is not None
                values["once_key"] = delivery.once_key if sent else None
        elif delivery.state == DeliveryState.DELIVERED:
            values["reason"] = None  # the provider's own words
        changed = {name: value for name, value in values.items() if getattr(delivery, name) != value}
        for name, value in changed.items():
            setattr(delivery, name, value)
        self.counts["deliveries"] += bool(changed)
        for attempt in session.scalars(select(Attempt).where(Attempt.delivery_id == delivery.id)):
            self._clean_attempt(attempt)

    def _clean_attempt(self, attempt: Attempt) -> None:
        if attempt.outcome is None:
            attempt.outcome = ANSWER_LOST  # with the worker that had it under way: nobody takes it up any more
        payload = unpack(attempt.payload) if attempt.payload else None
        clean = PAYLOADS.keep(payload, self._found.traces)
        if clean == payload and attempt.answer is None:
            return
        attempt.payload = pack(clean) if payload is not None else None
        attempt.answer = None
        self.counts["attempts"] += 1

    # ledgers

    def ledgers(self) -> None:
        """Clean what is known of the orders; those last that lead to the others."""
        mine: list[tuple[bool, int]] = []
        columns = (Ledger.id, Ledger.kind, Ledger.key, Ledger.state)
        for rows in in_pages(self._db, Ledger.shop_id == self._shop_id, *columns):
            for row in rows:
                if row.state and self._owns((row.kind, row.key), row.state):
                    mine.append(((row.kind, row.key) not in self._found.guests, row.id))
        for chunk in _chunks([id_ for _, id_ in sorted(mine)]):
            with self._db.write() as session:
                for each in chunk:
                    self._clean_ledger(session.get(Ledger, each, with_for_update=True))

    def _clean_ledger(self, row: Ledger | None) -> None:
        state = unpack(row.state) if row is not None and row.state else None
        if row is None or state is None:
            return
        clean = self._clean_facts(state)
        if clean != state or MARK not in state:
            row.state = pack({**clean, MARK: _this_second()})
            row.person = None
            self.counts["ledgers"] += 1

    # the rest

    def exports(self, vault: Vault) -> None:
        """Files that answered an earlier data request of the same person."""
        for rows in in_pages(self._db, Export.shop_id == self._shop_id, Export.id, Export.content, size=5):
            theirs = [row.id for row in rows if is_about(vault, row.content, self._found)]
            with self._db.write() as session:
                for each in theirs:
                    session.delete(session.get_one(Export, each))
                    self.counts["exports"] += 1

    def notices(self) -> None:
        """What destinations and the shop complain of may quote a provider or a store."""
        with self._db.write() as session:
            for row in session.scalars(select(Destination).where(Destination.shop_id == self._shop_id)):
                if row.held and (text := self._found.traces.out_of(row.held)) != row.held:
                    row.held = text


def _this_second() -> str:
    """Stores tell times in seconds; as text, a part of one would stand before the whole."""
    return time_text(datetime.now(UTC).replace(microsecond=0))


def _chunks(rows: Sequence[Any], size: int = CHUNK) -> list[Any]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
