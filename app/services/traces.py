"""What is told of webhooks and attempts to whoever collects traces: ids and outcomes, nothing of their content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import tracing
from app.models import Attempt, Delivery, Event, Webhook
from app.services.calls import Call
from app.services.observe import Stored


def accounted(webhooks: Iterable[Stored]) -> None:
    """They were just accounted for."""
    if not tracing.on():
        return
    now = datetime.now(UTC)
    for each in webhooks:
        about = {"platform": each.platform, "topic": each.topic, "shop": each.shop_id, "webhook": each.id}
        tracing.webhook(each.dedup_key, each.received_at, now, about)


def tried(session: Session, calls: Sequence[Call], tries: Sequence[Mapping[str, Any]]) -> None:
    """Calls came back.

    Args:
        tries: what is written of their attempts, in the order of the calls' items.
    """
    if not tracing.on():
        return
    items = [(call, item) for call in calls for item in call.items]
    wanted = select(Attempt.id, Attempt.delivery_id, Attempt.number, Attempt.started_at)
    wanted = wanted.add_columns(Delivery.event_id, Event.webhook_id, Webhook.dedup_key)
    wanted = wanted.join(Delivery, Delivery.id == Attempt.delivery_id).join(Event, Event.id == Delivery.event_id)
    wanted = wanted.join(Webhook, Webhook.id == Event.webhook_id)
    wanted = wanted.where(Attempt.delivery_id.in_([item.delivery_id for _, item in items]))
    known = {(row.delivery_id, row.number, row.started_at): row for row in session.execute(wanted)}
    for (call, item), done in zip(items, tries, strict=True):
        if row := known.get((item.delivery_id, item.attempts, item.started_at)):
            about = {
                "shop": call.target.shop_id,
                "webhook": row.webhook_id,
                "event": row.event_id,
                "delivery": item.delivery_id,
                "provider": call.target.provider,
                "action": call.action_name,
                "status": done["status"],
            }
            tracing.attempt(row.dedup_key, row.id, item.started_at, done["finished_at"], done["outcome"], about)
