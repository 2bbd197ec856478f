"""What a store told when it was asked, as a row of `webhooks`: kept as if it had come by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.models import Shop, WebhookState
from app.services.packing import compress

RECONCILED = "reconcile:"  #: begins the key of what we asked a store for; no request from outside can have it
_SOURCE = "x-tillwire-source"
RECONCILIATION = {_SOURCE: "reconciliation"}  #: headers of an order that was asked for, as it may be read
QUESTION = {_SOURCE: "question"}  #: headers of an answer that completes another row


def row(
    shop: Shop, key: str, topic: str, body: bytes, headers: Mapping[str, str], state: WebhookState
) -> dict[str, Any]:
    """``key``: by which the same answer is known again; no request from outside can have it."""
    return {
        "platform": shop.platform,
        "shop_id": shop.id,
        "endpoint_id": None,
        "dedup_key": key,
        "topic": topic,
        "headers": headers,
        "body": compress(body),
        "body_hash": hashlib.sha256(body).hexdigest(),
        "received_at": datetime.now(UTC),
        "state": state,
    }
