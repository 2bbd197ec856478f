"""When an order was paid: no order of Shopify's says so itself.

Sources: shopify.dev/docs/api/admin-rest/latest/resources/order (processed_at),
shopify.dev/docs/api/admin-graphql/latest/objects/OrderTransaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connectors.events import Order
from connectors.reading import Reader

BACKDATED = timedelta(days=1)  #: an order made by so much later than it was processed was imported
_PAYS = frozenset({"sale", "capture"})


def paid_at(topic: str, body: Reader, order: Order) -> datetime | None:
    """The moment of payment, where this telling of ``order`` knows it; None otherwise, and while it is unpaid.

    ``processed_at`` is the purchase's own time: of an imported order, an old one. The topic ``orders/paid`` is sent
    when the order becomes paid. Where we asked for the order, its payments came along.
    """
    if not order.paid:
        return None
    processed_at = body["processed_at"].time_or_none()
    if processed_at and order.created_at and processed_at < order.created_at - BACKDATED:
        return processed_at
    paid = [each["processed_at"].time_or_none() for each in body["transactions"].items() if _pays(each)]
    return max(filter(None, paid), default=order.updated_at if topic == "orders/paid" else None)


def _pays(transaction: Reader) -> bool:
    return transaction.text_at("kind") in _PAYS and transaction.text_at("status") == "success"
