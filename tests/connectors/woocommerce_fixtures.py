"""Bodies of WooCommerce for the tests beside this file.

``recorded/`` holds requests as a WooCommerce 9.9.5 sent them, with made-up customers; ``<topic>__<case>.json`` are
bodies written by hand after the same shape.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from connectors.base import Names
from connectors.events import Cart, CartSeen, Order, OrderSeen, Seen
from connectors.woocommerce.connector import WooCommerce

FOLDER = Path(__file__).parent.parent / "fixtures" / "woocommerce"
WRITTEN = tuple(sorted(path.stem for path in FOLDER.glob("*.*__*.json")))


@dataclass(frozen=True)
class Recorded:
    name: str
    topic: str | None
    headers: dict[str, str]
    body: bytes
    secret: str


def _recorded(path: Path) -> Recorded:
    found = json.loads(path.read_text(encoding="utf-8"))
    headers = {name.lower(): value for name, value in found["headers"].items()}
    return Recorded(path.stem, found["topic"], headers, found["body"].encode(), found["secret"])


RECORDED = {path.stem[:3]: _recorded(path) for path in sorted((FOLDER / "recorded").glob("*.json"))}
SIGNED = [each for each in RECORDED.values() if each.topic]


def observe(topic: str, body: bytes, names: Names | None = None) -> Seen:
    return WooCommerce().observe(topic, {}, body, names or Names()).seen


def recorded(number: str) -> Seen:
    found = RECORDED[number]
    assert found.topic is not None
    return observe(found.topic, found.body)


def written(name: str, names: Names | None = None) -> Seen:
    return observe(name.partition("__")[0], (FOLDER / f"{name}.json").read_bytes(), names)


def order_of(seen: Seen) -> Order:
    assert isinstance(seen, OrderSeen)
    return seen.order


def cart_of(seen: Seen) -> Cart:
    assert isinstance(seen, CartSeen)
    return seen.cart
