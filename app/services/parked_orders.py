"""Orders that a store showed in part, because the app lacks a right: parked until the whole of them is told.

Their own webhooks tell it, or the store itself once the right is granted: then it is asked again from the first of them
on, for such an order need not change any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import literal_column, select, update
from sqlalchemy.orm import Session

from app.models import Event, EventState, Webhook
from app.services.agreement import parts
from app.services.asked import RECONCILED
from app.services.packing import decompress
from app.services.said import mark

_GONE = mark("hidden in part before, and not shown by the store any more")


def parked(session: Session, shop_id: int) -> dict[int, datetime]:
    """The events of such orders, with the orders' last change by the store's clock."""
    wanted = select(Event.id, Webhook.body).join(Webhook, Webhook.id == Event.webhook_id)
    ours = Webhook.dedup_key.startswith(RECONCILED, autoescape=True)
    waits = Event.state == literal_column(f"'{EventState.PARKED}'")  # written out: every plan knows that these are few
    found = session.execute(wanted.where(Event.shop_id == shop_id, waits, ours))
    return {event: datetime.fromisoformat(json.loads(decompress(body))["updated_at"]) for event, body in found}


def close(session: Session, events: Iterable[int]) -> None:
    """Let go of what still is parked after the store showed all that it shows."""
    for part in parts(list(events)):
        session.execute(
            update(Event)
            .where(Event.id.in_(part), Event.state == EventState.PARKED)
            .values(state=EventState.IGNORED, error=_GONE)
            .execution_options(synchronize_session=False)
        )
