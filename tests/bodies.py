"""Made-up webhook bodies for tests that are about something else than reading them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

_RECORDED = Path(__file__).parent / "fixtures" / "woocommerce" / "recorded"
_BASE: dict[str, Any] = json.loads(
    json.loads(next(_RECORDED.glob("018_*.json")).read_text())["body"]
)  # one e-book, 80.00 DKK with tax, paid


def woocommerce_order(
    order_id: int,
    *,
    minute: int = 0,
    paid: bool = True,
    status: str = "processing",
    sprii: str | None = "5934-14",
    customer_id: int = 0,
    email: str = "buyer@example.test",
    refunds: tuple[tuple[int, str], ...] = (),
    **fields: Any,
) -> dict[str, Any]:
    """An order of one e-book for 80.00 DKK; ``minute`` tells how late in its life the snapshot is."""
    body = copy.deepcopy(_BASE)
    body.update(
        id=order_id,
        number=str(order_id),
        status=status,
        customer_id=customer_id,
        date_modified_gmt=f"2026-11-21T02:{10 + minute:02d}:08",
        refunds=[{"id": id_, "reason": "", "total": f"-{amount}"} for id_, amount in refunds],
        meta_data=[{"id": 1, "key": "sprii_order_no", "value": sprii}] if sprii else [],
        **fields,
    )
    body["billing"]["email"] = email
    if not paid:
        body.update(date_paid=None, date_paid_gmt=None)
    return body
