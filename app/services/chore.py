"""One chore: a stored webhook that asks for something beside orders and carts, as read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Webhook
from app.services.packing import decompress
from connectors.events import ChoreKind
from connectors.registry import CONNECTORS

_NANOSECONDS = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class Chore:
    """One webhook to be worked off."""

    id: int
    #: Of its receipt, by the platform's number of the webhook: SQLite gives those of deleted rows out again.
    dedup_key: str
    platform: str
    shop_id: int | None
    kind: ChoreKind
    body: Mapping[str, Any]
    received_at: datetime
    asked_at: datetime  #: by the platform's clock where it says so, which nobody signed
    known: bool  #: whether it is of a shop of ours
    quarantined: bool  #: its body names another shop than the request did: kept as it is, for the operator


def read(session: Session, chore_id: int) -> Chore:
    row = session.get_one(Webhook, chore_id)
    state = session.scalar(select(Event.state).where(Event.webhook_id == chore_id))
    return Chore(
        id=row.id,
        dedup_key=f"webhook:{row.dedup_key}",
        platform=row.platform,
        shop_id=row.shop_id,
        kind=_kind(row),
        body=json.loads(decompress(row.body)),
        received_at=row.received_at,
        asked_at=_asked_at(row),
        known=row.shop_id is not None and state in (None, EventState.PARKED),
        quarantined=state == EventState.QUARANTINED,
    )


def request_key(chore: Chore, shop_id: int) -> str:
    """One file per request, by the number that the platform gives it, whatever webhook brings it."""
    request = chore.body.get("data_request")
    number = request.get("id") if isinstance(request, dict) else None
    return f"data_request:{shop_id}:{number}" if number else chore.dedup_key


def _kind(row: Webhook) -> ChoreKind:
    kind = CONNECTORS[row.platform].chore(row.topic)
    if kind is None:
        raise ValueError(f"webhook {row.id} is no chore")
    return kind


def _asked_at(row: Webhook) -> datetime:
    """When it happened, by the platform's clock: nanoseconds, ``Z``; else when it arrived here.

    Source: shopify.dev/docs/apps/build/webhooks (X-Shopify-Triggered-At)
    """
    given = row.headers.get("x-shopify-triggered-at") or row.headers.get("shopify-triggered-at") or ""
    try:
        found = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", given))
    except ValueError:
        return row.received_at
    return found if found.tzinfo else found.replace(tzinfo=UTC)
