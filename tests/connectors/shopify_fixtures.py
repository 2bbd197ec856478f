"""Made-up bodies of Shopify for the tests beside this file: ``<topic>__<case>.json``, with ``_`` for ``/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.base import Names
from connectors.events import (
    Cart,
    CartSeen,
    Checkout,
    CheckoutSeen,
    Observation,
    Order,
    OrderSeen,
    Refund,
    RefundSeen,
    Seen,
)
from connectors.shopify.connector import Shopify

FOLDER = Path(__file__).parent.parent / "fixtures" / "shopify"
WRITTEN = tuple(sorted(path.stem for path in FOLDER.glob("*__*.json")))


def topic_of(name: str) -> str:
    """``orders/create`` of ``orders_create__case``; resources with ``_`` in them are in no fixture."""
    return name.partition("__")[0].replace("_", "/", 1)


def body_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def observe(topic: str, body: Any, names: Names | None = None) -> Observation:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Shopify().observe(topic, {}, raw, names or Names())


def seen(topic: str, body: Any, names: Names | None = None) -> Seen:
    return observe(topic, body, names).seen


def order_of(body: dict[str, Any], names: Names | None = None) -> Order:
    found = seen("orders/updated", body, names)
    assert isinstance(found, OrderSeen)
    return found.order


def changed(fixture: str, **fields: Any) -> Order:
    """The order of a fixture with some fields written over."""
    return order_of(body_of(fixture) | fields)


def refund_of(body: dict[str, Any]) -> Refund:
    found = seen("refunds/create", body)
    assert isinstance(found, RefundSeen)
    return found.refund


def cart_of(body: dict[str, Any], names: Names | None = None) -> Cart:
    found = seen("carts/update", body, names)
    assert isinstance(found, CartSeen)
    return found.cart


def checkout_of(body: dict[str, Any], names: Names | None = None) -> Checkout:
    found = seen("checkouts/update", body, names)
    assert isinstance(found, CheckoutSeen)
    return found.checkout
