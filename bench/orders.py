"""Orders for the benchmarks: two lines, a discount, tax, shipping, a customer; about 10 KB as Shopify sends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"


def shopify(order_id: int, **changes: Any) -> bytes:
    body: dict[str, Any] = json.loads(next((FIXTURES / "shopify").glob("orders_paid__*.json")).read_text())
    body.update(id=order_id, order_number=order_id, name=f"#{order_id}")
    body["customer"] = {**(body.get("customer") or {}), "id": 7_000_000 + order_id}
    body["note_attributes"] = [{"name": "sprii_order_no", "value": "5934-14"}]
    return _padded(body | changes)


def _padded(body: dict[str, Any]) -> bytes:
    """Real bodies carry much that nobody reads."""
    size = len(json.dumps(body))
    body["unread"] = [{"name": f"field {number}", "value": "x" * 60} for number in range(max(10_000 - size, 0) // 95)]
    return json.dumps(body).encode()
