"""Webhooks that no platform sent, and what is nobody's to read."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

from tests.attacked import (
    REVOKED,
    Target,
)
from tests.attacks.base import MIB, Blow, by, path_of
from tests.rig import SHOPIFY_SECRET, signature
from tests.visitor import DOMAIN, SECRET, id_token

BODY = b'{"id": 1, "admin_graphql_api_id": "gid://shopify/Order/1"}'


def hook_headers(
    body: bytes, secret: str = SECRET, domain: str = DOMAIN, topic: str = "orders/updated", **more: str
) -> dict[str, str]:
    return {
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": domain,
        "X-Shopify-Hmac-Sha256": signature(secret, body),
        **more,
    }


def forged_webhooks(target: Target, endpoint: str) -> Iterator[Blow]:
    good, person = hook_headers(BODY), target.person()
    right = good["X-Shopify-Hmac-Sha256"]
    hexed = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    forged = {
        "none": {name: value for name, value in good.items() if "Hmac" not in name},
        "empty": {**good, "X-Shopify-Hmac-Sha256": ""},
        "another secret": hook_headers(BODY, "x" * 32),
        "a revoked secret": hook_headers(BODY, REVOKED),
        "the secret of the tests' other app": hook_headers(BODY, SHOPIFY_SECRET),
        "an empty secret": hook_headers(BODY, ""),
        "hex": {**good, "X-Shopify-Hmac-Sha256": hexed},
        "of another body": hook_headers(b"{}"),
        "cut": {**good, "X-Shopify-Hmac-Sha256": right[:-4]},
        "with more": {**good, "X-Shopify-Hmac-Sha256": right + "AAAA"},
        "two of them": {**good, "X-Shopify-Hmac-Sha256": f"{right}, {right}"},
        "no base64": {**good, "X-Shopify-Hmac-Sha256": "\xff" * 44},
        "an ID token beside it": {**hook_headers(BODY, "x" * 32), "Authorization": f"Bearer {id_token()}"},
    }
    for name, headers in forged.items():
        yield Blow(name, lambda h=headers: by(person, "POST", "/webhooks/shopify", data=BODY, headers=h), 401)
    large = b"x" * (10 * MIB + 1)
    sent = hook_headers(large)
    yield Blow("too large", lambda: by(target.stranger(), "POST", "/webhooks/shopify", data=large, headers=sent), 413)


def forged_store_webhooks(target: Target, endpoint: str) -> Iterator[Blow]:
    (path, secret), (others_path, others_secret) = target.hook, target.other_hook
    body, person = json.dumps({"id": 1, "status": "processing"}).encode(), target.person()

    def headers(secret: str = secret, topic: str = "order.updated", **more: str) -> dict[str, str]:
        return {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": signature(secret, body), **more}

    forged = {
        "none": (path, {"X-WC-Webhook-Topic": "order.updated"}),
        "another store's secret": (path, headers(others_secret)),
        "at another store's address": (others_path, headers()),
        "Shopify's secret": (path, headers(SECRET)),
        "an empty secret": (path, headers("")),
        "another topic": (path, headers(topic="order.deleted")),
        "no topic": (path, {"X-WC-Webhook-Signature": signature(secret, body)}),
        "hex": (path, headers(**{"X-WC-Webhook-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest()})),
        "a guessed address": ("/webhooks/woocommerce/" + "A" * 43, headers()),
        "any address": ("/webhooks/woocommerce/%25", headers()),
        "a null byte": (f"{path}%00", headers()),
        "another letter": (path.swapcase().replace("/WEBHOOKS/WOOCOMMERCE", "/webhooks/woocommerce"), headers()),
        "a number": ("/webhooks/woocommerce/1", headers()),
        "no text": ("/webhooks/woocommerce/%ff", headers()),
    }
    for name, (where, sent) in forged.items():
        yield Blow(name, lambda w=where, s=sent: by(person, "POST", w, data=body, headers=s), (401, 404))


# --- the rest ---------------------------------------------------------------------------------------------------------


def metrics_for_strangers(target: Target, endpoint: str) -> Iterator[Blow]:
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "127.0.0.1", "Host": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
    ):
        yield Blow(str(headers), lambda h=headers: by(target.stranger(), "GET", "/metrics", headers=h), 403)
    local = target.stranger()
    local.client.environ_base["REMOTE_ADDR"] = "127.0.0.1"
    forwarded = {"X-Forwarded-For": "127.0.0.1"}
    yield Blow("through a proxy", lambda: by(local, "GET", "/metrics", headers=forwarded), 403)


def files_of_ours(target: Target, endpoint: str) -> Iterator[Blow]:
    base = path_of(target, endpoint).rpartition("/")[0]
    for name in (
        "../config.py",
        "..%2fconfig.py",
        "%2e%2e/%2e%2e/config.py",
        "....%2f%2fconfig.py",
        "..\\x",
        "%00",
        "x",
    ):
        yield Blow(name, lambda n=name: by(target.stranger(), "GET", f"{base}/{n}"), 404)
