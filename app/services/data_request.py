"""Data requests: one file with everything that is held on a person, for the merchant to hand over.

It lies encrypted in the database until it runs out, and only the merchant fetches it: it is as personal as what it
shows.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Attempt, Delivery, Event, Export, Ledger, Receipt, Shop, Webhook
from app.services import receipts
from app.services.bodies import mentions
from app.services.errors import NotFound
from app.services.packing import decompress, unpack
from app.services.persons import Found, Person, pages, search, subject_of
from app.services.secrets import Locked, Vault
from app.services.show import moment

KEPT_FOR = timedelta(days=30)  #: a merchant has as long to answer its customer
PART = 200  #: ids in one query
_BY_HAND = "command:"  #: how the keys begin of files that the operator made, who knows of them

Row = dict[str, Any]


def export_person(
    db: Database, vault: Vault, shop_id: int, person: Person, now: datetime, *, dedup_key: str | None = None, actor: str
) -> Receipt:
    """Make the file and its receipt; once per ``dedup_key``."""
    dedup_key = dedup_key or f"{_BY_HAND}{uuid.uuid4()}"
    with db.read() as session:
        if (known := receipts.given(session, dedup_key)) is not None:
            return known
    content, counts = collect(db, shop_id, person, now)
    with db.write() as session:
        keep(session, vault, shop_id, dedup_key, content, now)
        return receipts.give(session, receipts.DATA_REQUEST, shop_id, dedup_key, counts, requested_at=now, actor=actor)


def collect(db: Database, shop_id: int, person: Person, now: datetime) -> tuple[Row, dict[str, int]]:
    """Everything of the shop that is about ``person``, as JSON; and how many rows that is, by table."""
    found = search(db, shop_id, person)
    with db.read() as session:
        shop = session.get_one(Shop, shop_id)
        events = list(_events(session, shop_id, found))
        content = {
            "shop": {"platform": shop.platform, "domain": shop.domain},
            "made_at": moment(now),
            "person": {
                "ids": sorted(found.person.ids),
                "emails": sorted(found.person.emails),
                "phones": sorted(found.person.phones),
                "orders": sorted(found.person.orders),
            },
            "ledgers": list(_ledgers(session, shop_id, found)),
            "events": [_event(row) for row in events],
            "deliveries": list(_deliveries(session, shop_id, [row.id for row in events])),
        }
    content["webhooks"] = list(_webhooks(db, shop_id, found, {row.webhook_id for row in events}))
    counts = Counter({name: len(rows) for name, rows in content.items() if isinstance(rows, list)})
    return content, dict(counts)


def _ledgers(session: Session, shop_id: int, found: Found) -> Iterator[Row]:
    for kind, key in sorted(found.subjects):
        wanted = select(Ledger).where(Ledger.shop_id == shop_id, Ledger.kind == kind, Ledger.key == key)
        row = session.scalar(wanted)
        if row is not None and row.state:
            known = unpack(row.state)
            yield {"kind": kind, "id": key, "number": row.number, "known": known.get(kind) or known}


def _events(session: Session, shop_id: int, found: Found) -> Iterator[Event]:
    keys = sorted({key for _, key in found.subjects})
    for part in _parts(keys):
        wanted = select(Event).where(Event.shop_id == shop_id, Event.subject.in_(part)).order_by(Event.id)
        yield from (row for row in session.scalars(wanted) if subject_of(row.kind, row.subject) in found.subjects)


def _event(row: Event) -> Row:
    return {
        "id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "occurred_at": moment(row.occurred_at),
        "received_at": moment(row.received_at),
        "state": row.state,
        "facts": unpack(row.facts) if row.facts else None,
    }


def _deliveries(session: Session, shop_id: int, event_ids: Sequence[int]) -> Iterator[Row]:
    for part in _parts(event_ids):
        wanted = select(Delivery).where(Delivery.shop_id == shop_id, Delivery.event_id.in_(part))
        for row in session.scalars(wanted.order_by(Delivery.id)):
            tries = session.scalars(select(Attempt).where(Attempt.delivery_id == row.id).order_by(Attempt.id))
            yield {
                "provider": row.provider,
                "action": row.action,
                "event": row.event_id,
                "state": row.state,
                "delivered_at": moment(row.delivered_at),
                "tries": [_attempt(each) for each in tries],
            }


def _attempt(row: Attempt) -> Row:
    return {
        "started_at": moment(row.started_at),
        "outcome": row.outcome,
        "payload": unpack(row.payload) if row.payload else None,
        "answer": row.answer,
    }


def _webhooks(db: Database, shop_id: int, found: Found, linked: set[int]) -> Iterator[Row]:
    """As received: those behind the events, and those that name the person though nothing was understood of them."""
    columns = (Webhook.id, Webhook.topic, Webhook.received_at, Webhook.body)
    for row in pages(db, Webhook.shop_id == shop_id, *columns, size=50):
        text = decompress(row.body).decode("utf-8", "replace")
        body = _json_or_text(text)
        if row.id in linked or (not isinstance(body, str) and mentions(found.person, body)):
            yield {"topic": row.topic, "received_at": moment(row.received_at), "body": body}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), PART):
        yield values[start : start + PART]


# files


def keep(session: Session, vault: Vault, shop_id: int, dedup_key: str, content: Row, now: datetime) -> None:
    """Put a file where the merchant can fetch it."""
    session.add(
        Export(
            shop_id=shop_id,
            dedup_key=dedup_key,
            content=vault.seal(json.dumps(content, ensure_ascii=False)),
            created_at=now,
            expires_at=now + KEPT_FOR,
        )
    )


def listed(session: Session, shop_id: int, now: datetime) -> list[Row]:
    """The shop's files, oldest first, without what is in them."""
    wanted = select(Export.id, Export.created_at, Export.expires_at, Export.fetched_at)
    rows = session.execute(wanted.where(Export.shop_id == shop_id, Export.expires_at > now).order_by(Export.id))
    return [
        {
            "export": row.id,
            "created_at": moment(row.created_at),
            "expires_at": moment(row.expires_at),
            "fetched_at": moment(row.fetched_at),
        }
        for row in rows
    ]


def waiting(session: Session, shop_id: int, now: datetime) -> tuple[int, datetime] | None:
    """How many files were made on a buyer's request and fetched by nobody, and when the first of them is deleted."""
    asked = (Export.shop_id == shop_id, Export.fetched_at.is_(None), Export.dedup_key.not_like(f"{_BY_HAND}%"))
    wanted = select(func.count(), func.min(Export.expires_at)).where(*asked, Export.expires_at > now)
    number, first = session.execute(wanted).one()
    return (number, first) if number else None


def fetch(session: Session, vault: Vault, shop_id: int, export_id: int, now: datetime) -> Row:
    """What is in a file of this shop; marks it as fetched.

    Raises:
        NotFound: there is none, or it ran out.
        Locked: none of the keys opens it.
    """
    row = session.scalar(select(Export).where(Export.shop_id == shop_id, Export.id == export_id))
    if row is None or row.expires_at <= now:
        raise NotFound(f"this shop has no export {export_id}, or it ran out: `tillwire exports list` shows them all")
    content = vault.open(row.content)
    row.fetched_at = row.fetched_at or now
    return content


def expire(db: Database, now: datetime) -> int:
    """Delete the files that ran out; return how many."""
    with db.write() as session:
        gone = session.execute(
            delete(Export).where(Export.expires_at <= now).execution_options(synchronize_session=False)
        )
        return int(gone.rowcount)  # type: ignore[attr-defined]


def is_about(vault: Vault, stored: str, found: Found) -> bool:
    """Whether a stored file is about that person; one that nobody can open is of no use to anybody."""
    try:
        content = vault.open(stored)
    except Locked:
        return True
    person, named = found.person, content["person"]
    return bool(
        found.subjects & {(each["kind"], each["id"]) for each in content["ledgers"]}
        or person.ids & set(named["ids"])
        or person.emails & set(named["emails"])
        or person.phones & set(named["phones"])
        or person.orders & set(named["orders"])
    )
