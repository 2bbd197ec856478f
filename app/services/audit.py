"""The audit trail: who changed or opened what. Secrets never stand in it, only whether they are set."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.models import AuditEntry


def record(
    session: Session,
    *,
    shop_id: int | None,
    actor: str,
    action: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the transaction of what it tells of, so that neither stands without the other.

    Args:
        actor: ``account:<id>``, ``wordpress:<user id>``, ``shopify:<staff id>``, ``operator``, ``tillwire`` or a
            platform's name.
        action: verb first, as in ``connect store``.
        before, after: what changed; secrets and personal data left out by whoever calls.
    """
    session.add(
        AuditEntry(
            shop_id=shop_id,
            actor=actor,
            action=action,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
            at=datetime.now(UTC),
        )
    )
