"""Receipts: that a privacy request was carried out, without a word on whom it was about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Receipt
from app.services import audit
from app.services.show import moment

CUSTOMER_ERASED = "customer_erased"
SHOP_ERASED = "shop_erased"
SHOP_KEPT = "shop_kept"  #: its erasure was asked for, but it was installed anew since the uninstall behind that
DATA_REQUEST = "data_request"


def given(session: Session, dedup_key: str) -> Receipt | None:
    """The receipt of what was asked for, if it is carried out already."""
    return session.scalar(select(Receipt).where(Receipt.dedup_key == dedup_key))


def give(
    session: Session,
    kind: str,
    shop_id: int | None,
    dedup_key: str,
    counts: Mapping[str, int],
    *,
    requested_at: datetime,
    actor: str,
) -> Receipt:
    """Write the receipt and its line in the audit trail, in the transaction of the last that was done.

    Args:
        counts: rows changed, by table.
        actor: as in `app.services.audit`.
    """
    receipt = Receipt(
        shop_id=shop_id,
        kind=kind,
        dedup_key=dedup_key,
        requested_at=requested_at,
        done_at=datetime.now(UTC),
        counts=dict(counts),
    )
    session.add(receipt)
    session.flush()
    after = {"receipt": receipt.id, "counts": dict(counts)}
    # An erased shop has no audit trail left; the line about it stands by itself.
    of_shop = None if kind == SHOP_ERASED else shop_id
    audit.record(session, shop_id=of_shop, actor=actor, action=_ACTIONS[kind], after=after)
    return receipt


_ACTIONS = {
    CUSTOMER_ERASED: "erase customer",
    SHOP_ERASED: "erase shop",
    SHOP_KEPT: "keep shop",
    DATA_REQUEST: "answer data request",
}


def show(receipt: Receipt) -> dict[str, Any]:
    return {
        "receipt": receipt.id,
        "kind": receipt.kind,
        "shop": receipt.shop_id,
        "requested_at": moment(receipt.requested_at),
        "done_at": moment(receipt.done_at),
        "counts": receipt.counts,
    }
