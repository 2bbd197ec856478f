"""Every real body, sent with a right signature: the documented answer, and the right event or the reason for none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rig import Rig

#: Per Shopify sample: state and kind of the events that it leaves, by itself.
SHOPIFY = {
    "app_uninstalled": [("parked", None)],
    "carts_create": [("understood", "cart.updated")],
    "carts_update": [("understood", "cart.updated")],
    "checkouts_create": [("ignored", "checkout.started")],  # nobody to attach it to
    "customers_data_request": [("parked", None)],
    "customers_redact": [("parked", None)],
    "shop_redact": [("parked", None)],
    "refunds_create": [("ignored", "order.refunded")],  # its order, sent before, carries it
    "orders_cancelled__rudder_minimal": [("error", "order.cancelled")],
    "orders_create__official_rest_2026-07_eur_tax": [("understood", "order.placed"), ("understood", "order.paid")],
    "orders_create__rudder_note_attributes": [("understood", "order.placed")],
    # The same order without a financial_status: the topic alone proves no payment.
    "orders_paid__rudder_note_attributes": [("ignored", "order.paid")],
}


def wanted(name: str) -> list[tuple[str, str | None]] | None:
    return next((found for start, found in SHOPIFY.items() if name.startswith(start)), None)


def test_every_shopify_sample_is_answered_and_understood(rig: Rig, samples: Path) -> None:
    rig.switch_on(rig.shop())
    seen = {}
    for path in sorted((samples / "shopify").glob("*.json")):
        topic = "/".join(path.name.split("__")[0].rsplit("_", 1))
        topic = {"customers_data/request": "customers/data_request"}.get(topic, topic)
        before = len(rig.events())
        assert rig.shopify(topic, path.read_bytes()) == "stored", path.name
        rig.account()
        seen[path.stem] = [(each["state"], each["kind"]) for each in rig.events()[before:]]
    for name, found in seen.items():
        assert found, name
        if (expected := wanted(name)) is not None:
            assert found == expected, name
    assert {state for found in seen.values() for state, _ in found} <= {"understood", "parked", "ignored", "error"}
    rig.work(settled="sprii")
    assert rig.violations() == []
    assert {each["state"] for each in rig.deliveries()} <= {"delivered", "skipped", "retrying", "held"}


def test_every_woocommerce_sample_is_answered_and_understood(rig: Rig, samples: Path) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop)
    for path in sorted((samples / "woocommerce").glob("*.json")):
        sample = json.loads(path.read_text())
        body = sample["body"].encode()
        if not sample["signed"]:
            place, _ = rig.endpoint(shop, "order.created")
            answer = rig.client.post(place, data=body, content_type="application/x-www-form-urlencoded")
            assert (answer.status_code, answer.get_json()) == (200, {"status": "ping"})
            continue
        assert rig.woocommerce(shop, sample["topic"], body) in {"stored", "duplicate"}, path.name
    rig.work(settled="sprii")
    assert {each["state"] for each in rig.events()} == {"understood", "ignored"}
    kinds = [each["kind"] for each in rig.events(state="understood")]
    assert (kinds.count("order.paid"), kinds.count("order.refunded"), kinds.count("order.cancelled")) == (3, 2, 1)
    assert rig.violations() == []


@pytest.mark.parametrize("provider", ["sprii", "spotler", "seeka", "gameball"])
def test_only_paid_orders_of_the_recorded_store_are_purchases(rig: Rig, samples: Path, provider: str) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, provider)
    for path in sorted((samples / "woocommerce").glob("*order-*.json")):
        sample = json.loads(path.read_text())
        rig.woocommerce(shop, sample["topic"], sample["body"].encode())
    rig.work(settled="sprii")
    purchases = {"sprii": "process_orders", "spotler": "purchase", "seeka": "order", "gameball": "order"}
    told = {each["order"] for each in rig.deliveries() if each["action"] == purchases[provider]}
    assert told == {"17", "20", "73"}
