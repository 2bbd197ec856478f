"""What goes wrong between WooCommerce and those who listen to it: each known trap, and what happens here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from app import factory
from app.metrics import REGISTRY
from app.models import Event, Webhook
from app.services.account import Accountant
from app.services.errors import Wrong
from app.services.stores import address_of
from app.services.woocommerce_check import check
from app.services.woocommerce_connect import begin, come_back
from app.services.woocommerce_prove import by_hand
from connectors.errors import BadSignature
from connectors.woocommerce import signature
from tests.bodies import woocommerce_order
from tests.rig import signature as sign
from tests.walks import NOW, Walks, state_of

HOUR = timedelta(hours=1)


@pytest.fixture
def walks(tmp_path: Path, database_url: str) -> Iterator[Walks]:
    with Walks(tmp_path, database_url) as walks:
        yield walks


@pytest.fixture
def shop(walks: Walks) -> int:
    return walks.connect()


def hook_of(walks: Walks, topic: str) -> Any:
    return next(hook for hook in walks.store.webhooks() if hook.topic == topic)


def deliver(walks: Walks, topic: str, body: bytes, *, secret: str | None = None) -> int:
    hook = hook_of(walks, topic)
    headers = {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": sign(secret or hook.secret, body)}
    return requests.post(hook.delivery_url, data=body, headers=headers, timeout=60).status_code


def understood(walks: Walks) -> list[str]:
    """The kinds of the events that count, oldest first."""
    accountant = Accountant(walks.db.of_clerks(), walks.parts.router)
    while accountant.work():
        pass
    return [str(each.kind) for each in walks.rows(Event) if each.state == "understood"]


def test_1_a_webhook_that_is_silently_switched_off(walks: Walks, shop: int) -> None:
    hook = hook_of(walks, "order.updated")
    hook.status, hook.failures = "disabled", 6
    check(walks.stores, shop, NOW + HOUR)
    fresh = hook_of(walks, "order.updated")
    assert (fresh.status, fresh.failures, fresh.id != hook.id) == ("active", 0, True)
    assert walks.connection(shop).reconcile_at == NOW + HOUR


def test_2_order_updated_many_times_for_one_change(walks: Walks, shop: int) -> None:
    for minute in range(5):
        order = woocommerce_order(7, minute=minute)
        assert deliver(walks, "order.updated", json.dumps(order).encode()) == 200
    assert understood(walks) == ["order.placed", "order.paid"]


def test_3_created_and_updated_with_the_same_body(walks: Walks, shop: int) -> None:
    body = json.dumps(woocommerce_order(7)).encode()
    assert (deliver(walks, "order.updated", body), deliver(walks, "order.created", body)) == (200, 200)
    assert understood(walks) == ["order.placed", "order.paid"]


def test_4_drafts_of_the_blocks_checkout(walks: Walks, shop: int) -> None:
    body = json.dumps(woocommerce_order(7, status="checkout-draft", paid=False)).encode()
    assert deliver(walks, "order.updated", body) == 200
    assert understood(walks) == []
    (draft,) = walks.rows(Event)
    assert (draft.state, draft.error) == ("ignored", "an unfinished checkout, not an order yet")
    assert deliver(walks, "order.updated", json.dumps(woocommerce_order(7, minute=1)).encode()) == 200
    assert understood(walks) == ["order.placed", "order.paid"]


def test_5_a_signature_that_fails_because_of_an_odd_secret(walks: Walks, shop: int) -> None:
    secrets = [hook.secret for hook in walks.store.webhooks()]
    assert [len(bytes.fromhex(secret)) for secret in secrets] == [32] * 4
    assert len(set(secrets)) == 4


def test_6_a_signature_of_a_body_encoded_anew_or_by_the_consumer_secret(walks: Walks, shop: int) -> None:
    hook, key = hook_of(walks, "order.updated"), walks.keys()[0]
    body = b'{"id": 7,  "note": "\\u00e6 \\/ "}'
    headers = {signature.SIGNATURE: sign(hook.secret, body)}
    signature.verify(body, headers, hook.secret)
    with pytest.raises(BadSignature):
        signature.verify(json.dumps(json.loads(body)).encode(), headers, hook.secret)
    assert deliver(walks, "order.updated", body, secret=key.consumer_secret) == 401
    assert deliver(walks, "order.updated", body) == 200
    assert len(walks.rows(Webhook)) == 1


def test_7_an_error_object_instead_of_an_order(walks: Walks, shop: int) -> None:
    walks.store.place_order()
    walks.store.demote()
    walks.store.run_cron()
    assert understood(walks) == []
    assert (walks.shop(shop).trouble or "").startswith("the store sent an error instead of content")
    check(walks.stores, shop, NOW + HOUR)
    connection = walks.connection(shop)
    assert connection.state == "attention"
    assert (connection.trouble or "").endswith("Mend it there, or connect the store again.")


def test_8_deliveries_that_come_late(walks: Walks, shop: int) -> None:
    def lag() -> float:
        return REGISTRY.get_sample_value("tillwire_store_lag_seconds_sum", {"platform": "woocommerce"}) or 0.0

    before, newest = lag(), woocommerce_order(7, minute=30, status="completed")
    for each in (newest, woocommerce_order(7)):
        assert deliver(walks, "order.updated", json.dumps(each).encode()) == 200
    assert understood(walks) == ["order.placed", "order.paid", "order.fulfilled"]
    late = [each.error for each in walks.rows(Event) if each.state == "ignored"]
    assert late == ["older than what is known of this order"]
    told = datetime.fromisoformat(f"{newest['date_modified_gmt']}+00:00")
    paid = next(each for each in walks.rows(Event) if each.kind == "order.paid")
    assert paid.occurred_at == datetime.fromisoformat(f"{newest['date_paid_gmt']}+00:00") < paid.received_at
    waited = sum((each.received_at - told).total_seconds() for each in walks.rows(Webhook))
    assert lag() - before == pytest.approx(waited + 30 * 60)  # the first was half an hour older


def test_9_deliveries_that_never_come(walks: Walks, shop: int) -> None:
    assert walks.connection(shop).reconcile_at == NOW  # from the first minute on
    walks.store.lose_next(2)
    walks.store.place_order()
    walks.store.run_cron()
    assert understood(walks) == []
    with closing(factory.create_shopify(walks.config)) as shopify:
        found = factory.create_reconciler(walks.parts, shopify).run(shop)
    assert (found["seen"], found["unexplained"], understood(walks)) == (1, [], ["order.placed", "order.paid"])


def test_10_an_address_that_a_store_refuses_to_call(walks: Walks, shop: int) -> None:
    for hook in walks.store.webhooks():
        path = hook.delivery_url.removeprefix(walks.config.public_url)
        assert path.startswith("/webhooks/woocommerce/")
        assert "@" not in hook.delivery_url
    for typed in ("https://shop.example:8443", "https://user@shop.example", "https://10.0.0.1", "http://shop.example"):
        with pytest.raises(Wrong):
            address_of(typed, allow_private=False)


def test_11_a_rest_api_that_is_blocked(walks: Walks, shop: int) -> None:
    walks.store.firewall = 200
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["why"] == (
        "Something in front of your store answered in place of WooCommerce: a firewall, or a security or cache plugin."
        " Let it pass requests to /wp-json/ (user agent Tillwire) and try again."
        " What arrived before is safe, and what is missed now is fetched once it works again."
    )
    assert {call["agent"].partition("/")[0] for call in walks.store.calls() if "/wp-json" in call["path"]} == {
        "Tillwire"
    }


def test_12_wc_auth_that_cannot_send_its_keys(walks: Walks) -> None:
    walk = begin(walks.stores, walks.account, walks.store.url, NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.web.connect_woocommerce.woocommerce_connect.take_keys", lambda *_: False)
        refused = walks.store.approve(walk.authorize)
    assert (refused.status_code, walks.keys()) == (401, [])
    waiting = come_back(walks.stores, walks.account, state_of(walk.authorize), refused=False, now=NOW)
    assert (waiting.shop_id, waiting.delivered) == (None, False)
    began = time.monotonic()
    callback = walks.store.forge_callback(
        f"{walks.config.public_url}/connect/woocommerce/callback", state_of(walk.authorize)
    )
    assert (callback, time.monotonic() - began < 10) == (200, True)
    key = walks.store.make_key()
    shop = by_hand(walks.stores, walks.account, walks.store.url, key.consumer_key, key.consumer_secret, NOW)
    assert walks.connection(shop).state == "connected"
