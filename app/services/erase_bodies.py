"""Erase bodies: take a person out of webhooks as they came. What tells a repeat (hash, dedup key) stays."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Event, EventState, Shop, Webhook, WebhookState
from app.services import bodies, kept
from app.services.kept import BODIES
from app.services.packing import compress, decompress
from app.services.persons import Found, Subject, in_pages, subject_of
from app.services.said import mark
from connectors.events import PRIVACY
from connectors.registry import CONNECTORS

PAGE = 50  #: bodies read at a time; one of them may be megabytes
CHUNK = 20  #: rows changed in a transaction
POLL = 0.2
PATIENCE = 5.0  #: seconds for the worker to read what came a moment ago


def clean_bodies(db: Database, shop_id: int, found: Found, after: int = 0) -> int:
    """Clean the webhooks that are about the person; return how many.

    Also those that no shop could be found for: they would lie here for ever. What waits to be read is left to the
    worker for a moment; what nobody took by then is never read.
    """
    cleaning = _Cleaning(db, found)
    with db.read() as session:
        platform = session.get_one(Shop, shop_id).platform
    late: list[int] = []
    for where in (Webhook.shop_id == shop_id, Webhook.shop_id.is_(None) & (Webhook.platform == platform)):
        columns = (Webhook.id, Webhook.platform, Webhook.topic, Webhook.state, Webhook.headers, Webhook.body)
        for rows in in_pages(db, where & (Webhook.id > after), *columns, size=PAGE):
            mine = cleaning.theirs(rows)
            late += [row.id for row in mine if row.state == WebhookState.PENDING]
            cleaning.clean([row for row in mine if row.state != WebhookState.PENDING])
    cleaning.clean_late(late)
    return cleaning.count


class _Cleaning:
    """Of one shop's webhooks, for one person."""

    def __init__(self, db: Database, found: Found) -> None:
        self._db = db
        self._found = found
        self.count = 0

    def theirs(self, rows: Sequence[Any]) -> list[Any]:
        """Those that are about the person, less the requests that still have to be carried out."""
        linked = self._linked([row.id for row in rows])
        return [row for row in rows if not _waits_for_its_own(row) and (row.id in linked or self._shows(row))]

    def _linked(self, ids: Sequence[int]) -> set[int]:
        """Those whose events are about the person's orders and carts."""
        wanted = select(Event.webhook_id, Event.kind, Event.subject).where(Event.webhook_id.in_(ids))
        with self._db.read() as session:
            return {
                webhook_id
                for webhook_id, kind, subject in session.execute(wanted)
                if subject_of(kind, subject) in self._found.subjects
            }

    def _shows(self, row: Any) -> bool:
        body = bodies.read(row.body)
        if body is None:  # nobody can tell its fields apart
            raw = decompress(row.body).decode("utf-8", "replace")
            return self._found.traces.out_of(raw) != raw
        listed = isinstance(body, dict) and _order_in(row.topic, body) in self._found.subjects
        return listed or bodies.mentions(self._found.person, body)

    def clean(self, rows: Sequence[Any]) -> None:
        for start in range(0, len(rows), CHUNK):
            cleaned = [(row, *self._cleaned(row)) for row in rows[start : start + CHUNK]]
            with self._db.write() as session:
                for row, headers, body in cleaned:
                    if body != row.body or headers != row.headers:
                        session.execute(update(Webhook).where(Webhook.id == row.id).values(headers=headers, body=body))
                        self.count += 1

    def _cleaned(self, row: Any) -> tuple[dict[str, str], bytes]:
        """Its headers and body as they stay; one that retention removed stays removed."""
        body = bodies.read(row.body)
        self._found.learn(*bodies.shown_by(body))
        headers = kept.headers(row.headers, self._found.traces)
        if body is None:
            return headers, compress(b"{}") if row.body else row.body
        clean = BODIES[row.platform].keep(body, self._found.traces)
        return headers, row.body if clean == body else compress(_json(clean))

    def clean_late(self, ids: list[int]) -> None:
        """What was waiting to be read a moment ago."""
        until = time.monotonic() + PATIENCE
        while ids and time.monotonic() < until and self._pending(ids):
            time.sleep(POLL)
        for start in range(0, len(ids), CHUNK):
            with self._db.write() as session:
                chunk = select(Webhook).where(Webhook.id.in_(ids[start : start + CHUNK])).with_for_update()
                for row in session.scalars(chunk):
                    row.headers, row.body = self._cleaned(row)
                    self.count += 1
                    if row.state == WebhookState.PENDING:
                        _close_unread(session, row)

    def _pending(self, ids: list[int]) -> bool:
        with self._db.read() as session:
            wanted = select(Webhook.id).where(Webhook.id.in_(ids[:CHUNK]), Webhook.state == WebhookState.PENDING)
            return session.scalar(wanted.limit(1)) is not None


def _waits_for_its_own(row: Any) -> bool:
    """Whom a request means is known from it alone, so it keeps that until it is carried out."""
    unread = row.state == WebhookState.PENDING and CONNECTORS[row.platform].chore(row.topic) in PRIVACY
    return row.state == WebhookState.TODO or unread


def _close_unread(session: Session, row: Webhook) -> None:
    """No worker took it, and now there is nothing left to read."""
    row.state = WebhookState.DONE
    session.add(
        Event(
            shop_id=row.shop_id,
            webhook_id=row.id,
            dedup_key=f"webhook:{row.id}",
            occurred_at=row.received_at,
            received_at=row.received_at,
            state=EventState.IGNORED,
            error=mark("erased before it was read"),
        )
    )


def _order_in(topic: str, body: Mapping[str, Any]) -> Subject:
    """The order that a body names as its own."""
    of_orders = topic.startswith(("orders/", "order.", "action.woocommerce_"))
    names = ("order_id", "id", "arg") if of_orders else ("order_id",)
    return ("order", str(next((body[name] for name in names if body.get(name)), "")))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
