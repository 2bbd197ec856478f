"""Show: lists and timelines, as JSON. Every query is fenced by shop where one is given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, defer

from app.models import (
    Attempt,
    Connection,
    Delivery,
    DeliveryState,
    Endpoint,
    Event,
    EventState,
    Ledger,
    Shop,
    Webhook,
    WebhookState,
)
from app.services.asked import RECONCILED
from app.services.errors import NotFound
from app.services.packing import decompress, unpack
from connectors.registry import CONNECTORS

Row = dict[str, Any]


def moment(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None


def shops(session: Session) -> list[Row]:
    wanted = select(Shop, Connection).outerjoin(Connection, Connection.shop_id == Shop.id)
    rows = session.execute(wanted.where(Shop.removed_at.is_(None)).order_by(Shop.id))
    return [_shop(*row) for row in rows]


def shop(session: Session, row: Shop) -> Row:
    return _shop(row, session.get(Connection, row.id))


def _shop(row: Shop, reached: Connection | None) -> Row:
    return {
        "shop": row.id,
        "platform": row.platform,
        "domain": row.domain,
        "trouble": row.trouble,
        "created_at": moment(row.created_at),
        "connection": connection(reached) if reached else None,
    }


def connection(row: Connection) -> Row:
    """How a store is reached; no keys."""
    return {
        "state": row.state,
        "trouble": row.trouble or row.reconcile_trouble,
        "checked_at": moment(row.checked_at),
        "reconciled_to": moment(row.reconciled_to),
        "missing_scopes": (row.report or {}).get("scopes", {}).get("missing", []),
    }


def endpoints(session: Session, shop_row: Shop) -> list[Row]:
    """Those in use; what a replaced one brings late is still taken."""
    living = (Endpoint.shop_id == shop_row.id, Endpoint.retired_at.is_(None))
    rows = session.scalars(select(Endpoint).where(*living).order_by(Endpoint.id))
    return [{"topic": row.topic, "url": f"/webhooks/woocommerce/{row.token}"} for row in rows]


def events(
    session: Session,
    *,
    shop_id: int | None = None,
    order: str | None = None,
    state: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Newest last. Webhooks that wait to be read stand at the end as ``pending``."""
    wanted = _fenced(select(Event), Event, shop_id)
    if order is not None:
        wanted = wanted.where(Event.subject.in_(_subjects(session, shop_id, order)))
    if state is not None:
        wanted = wanted.where(Event.state == state)
    found = [_event(row) for row in _last(session, wanted, Event.id, limit)]
    if order is None and state in (None, EventState.PENDING):
        waiting = _fenced(select(Webhook), Webhook, shop_id).where(Webhook.state == WebhookState.PENDING)
        unread = waiting.options(defer(Webhook.body), defer(Webhook.headers))
        found += [_waiting(row) for row in _last(session, unread, Webhook.id, limit)]
    return found[-limit:] if limit else found


def _event(row: Event) -> Row:
    return {
        "id": row.id,
        "shop": row.shop_id,
        "kind": row.kind,
        "order": row.subject,
        "occurred_at": moment(row.occurred_at),
        "state": row.state,
        "error": row.error,
        "webhook": row.webhook_id,
    }


def _waiting(row: Webhook) -> Row:
    return {
        "id": f"webhook-{row.id}",
        "shop": row.shop_id,
        "kind": CONNECTORS[row.platform].kind(row.topic),
        "order": None,
        "occurred_at": moment(row.received_at),
        "state": EventState.PENDING,
        "error": None,
        "webhook": row.id,
    }


def deliveries(
    session: Session,
    *,
    shop_id: int | None = None,
    provider: str | None = None,
    order: str | None = None,
    state: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
) -> list[Row]:
    wanted = _fenced(select(Delivery), Delivery, shop_id)
    if provider is not None:
        wanted = wanted.where(Delivery.provider == provider)
    if order is not None:
        wanted = wanted.where(Delivery.subject.in_(_subjects(session, shop_id, order)))
    if state is not None:
        wanted = wanted.where(Delivery.state == state)
    if since is not None:
        wanted = wanted.where(Delivery.created_at >= since)
    rows = _last(session, wanted, Delivery.id, limit)
    payloads = _payloads(session, [row.id for row in rows])
    return [_delivery(row, payloads.get(row.id)) for row in rows]


def _delivery(row: Delivery, payload: Any) -> Row:
    return {
        "id": row.id,
        "shop": row.shop_id,
        "provider": row.provider,
        "action": row.action,
        "event": row.event_id,
        "order": row.subject,
        "state": row.state,
        "reason": row.reason,
        "complaints": row.complaints or [],
        "attempts": row.attempts,
        "next_attempt_at": moment(row.due_at) if row.state in (DeliveryState.PENDING, DeliveryState.RETRYING) else None,
        "created_at": moment(row.created_at),
        "delivered_at": moment(row.delivered_at),
        "payload": payload,
    }


def _payloads(session: Session, ids: list[int]) -> dict[int, Any]:
    """The payload that was last sent (or built), per delivery."""
    found: dict[int, Any] = {}
    for part in _parts(ids):
        wanted = select(Attempt.delivery_id, Attempt.payload).where(Attempt.delivery_id.in_(part))
        for delivery_id, payload in session.execute(wanted.order_by(Attempt.id)):
            if payload:
                found[delivery_id] = payload
    return {delivery_id: unpack(payload) for delivery_id, payload in found.items()}


def _parts(ids: list[int], size: int = 500) -> Iterator[list[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def order(session: Session, shop_row: Shop, wanted: str) -> Row:
    """The timeline of one order: webhooks, events, deliveries, attempts.

    Args:
        wanted: the platform's id, or the number on the receipt (with or without ``#``).
    """
    subjects = _subjects(session, shop_row.id, wanted)
    ledgers = session.scalars(
        select(Ledger).where(Ledger.shop_id == shop_row.id, Ledger.kind == "order", Ledger.key.in_(subjects))
    ).all()
    rows = session.scalars(
        select(Event).where(Event.shop_id == shop_row.id, Event.subject.in_(subjects)).order_by(Event.id)
    ).all()
    if not rows and not ledgers:
        raise NotFound(f"this shop has no order {wanted!r}: give the platform's id or the number on the receipt")
    webhooks = session.scalars(
        select(Webhook).where(Webhook.id.in_({row.webhook_id for row in rows})).order_by(Webhook.id)
    ).all()
    found = session.scalars(
        select(Delivery)
        .where(Delivery.shop_id == shop_row.id, Delivery.event_id.in_([row.id for row in rows]))
        .order_by(Delivery.id)
    ).all()
    payloads = _payloads(session, [row.id for row in found])
    return {
        "shop": shop_row.id,
        "order": ledgers[0].key if ledgers else subjects[0],
        "number": ledgers[0].number if ledgers else None,
        "known": unpack(ledgers[0].state).get("order") if ledgers and ledgers[0].state else None,
        "webhooks": [_webhook(row) for row in webhooks],
        "events": [_event(row) for row in rows],
        "deliveries": [{**_delivery(row, payloads.get(row.id)), "tries": _attempts(session, row.id)} for row in found],
    }


def _webhook(row: Webhook) -> Row:
    return {
        "id": row.id,
        "topic": row.topic,
        "received_at": moment(row.received_at),
        "state": row.state,
        "bytes": len(decompress(row.body)) if row.body else None,
        "body_hash": row.body_hash,
        **({"source": "reconciliation"} if row.dedup_key.startswith(RECONCILED) else {}),
    }


def _attempts(session: Session, delivery_id: int) -> list[Row]:
    rows = session.scalars(select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.id))
    return [
        {
            "number": row.number,
            "purpose": row.purpose,
            "started_at": moment(row.started_at),
            "finished_at": moment(row.finished_at),
            "outcome": row.outcome,
            "status": row.status,
            "answer": row.answer,
            "payload": unpack(row.payload) if row.payload else None,
        }
        for row in rows
    ]


def _subjects(session: Session, shop_id: int | None, wanted: str) -> list[str]:
    """The platform's ids that ``wanted`` can mean: itself first, then those with that number on the receipt."""
    number = wanted.strip().lstrip("#")
    query = select(Ledger.key).where(Ledger.kind == "order", Ledger.number == number)
    if shop_id is not None:
        query = query.where(Ledger.shop_id == shop_id)
    is_id = select(Ledger.key).where(Ledger.kind == "order", Ledger.key == wanted)
    if shop_id is not None:
        is_id = is_id.where(Ledger.shop_id == shop_id)
    if session.scalar(is_id.limit(1)) is not None:
        return [wanted]
    return [*session.scalars(query).all()] or [wanted]


def _fenced(wanted: Select[Any], table: Any, shop_id: int | None) -> Select[Any]:
    return wanted if shop_id is None else wanted.where(table.shop_id == shop_id)


def _last(session: Session, wanted: Select[Any], key: Any, limit: int | None) -> list[Any]:
    """The newest ``limit`` rows, oldest first."""
    if limit is None:
        return list(session.scalars(wanted.order_by(key)))
    return list(session.scalars(wanted.order_by(key.desc()).limit(limit)))[::-1]


def summary(session: Session) -> Row:
    """Counts by provider and state, and the newest deliveries, without personal data."""
    counted = select(Delivery.provider, Delivery.state, func.count()).group_by(Delivery.provider, Delivery.state)
    counts: dict[str, dict[str, int]] = {}
    for provider, state, number in session.execute(counted.order_by(Delivery.provider)):
        counts.setdefault(provider, {})[state] = number
    newest = _last(session, select(Delivery), Delivery.id, 20)[::-1]
    return {"counts": counts, "newest": [_delivery(row, None) for row in newest]}
