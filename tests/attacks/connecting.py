"""Addresses that are never called, and answers of stores that no store gave."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from werkzeug.test import TestResponse

from app.models import ConnectAttempt
from tests.attacked import (
    OTHER_DOMAIN,
    REVOKED,
    STORE,
    Target,
)
from tests.attacks.base import CALLBACK, EVIL, MIB, Blow, by, path_of
from tests.visitor import DOMAIN, SECRET

PRIVATE = (
    *("127.0.0.1", "127.1", "0", "0.0.0.0", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]"),
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[2002:7f00:1::]"),
    *("localhost", "LOCALHOST.", "metadata", "①②⑦.⓪.⓪.①", "127。0。0。1", "127.0.0.1.", "224.0.0.1"),
)
NO_ADDRESSES = (
    *(
        "http://shop.example",
        "file:///etc/passwd",
        "gopher://shop.example",
        "ftp://shop.example",
        "javascript:alert(1)",
    ),
    *(
        "https://user:pass@shop.example",
        "https://shop.example@127.0.0.1",
        "https://127.0.0.1#@shop.example",
        "//shop.example",
    ),
    *("https://shop.example:22", "https://shop.example:8443", "https://shop.example:0", "https://shop.example:99999"),
    *(
        "https://shop.example/../..",
        "https://shop.example/?a=b",
        "https://shop.example/#x",
        "https://",
        "https:///x",
        "",
    ),
    *("https://shop.example\r\nHost: evil.example", "https://shop example", "shop\0.example"),
    *(
        "https://shop.example\\@evil.example",
        "https://" + "a" * 64 + ".example",
        "https://" + "a." * 130 + "example",
        "x" * 100_000,
    ),
)


def private_addresses(target: Target, endpoint: str) -> Iterator[Blow]:
    visitor = target.person()
    path, token = path_of(target, endpoint), visitor.token()
    more = {"csrf_token": token, "key": "ck_" + "a" * 40, "secret": "cs_" + "b" * 40}
    for host in PRIVATE:
        fields = {**more, "address": f"https://{host}/"}
        yield Blow(host, lambda f=fields: by(visitor, "POST", path, data=f), 400, tokens=(more["secret"],))
    for address in NO_ADDRESSES:
        fields = {**more, "address": address}
        yield Blow(address[:60], lambda f=fields: by(visitor, "POST", path, data=f), 400, tokens=(more["secret"],))


def addresses_in_links(target: Target, endpoint: str) -> Iterator[Blow]:
    """The page for keys by hand links to what is typed, and to nothing that is no store."""
    visitor = target.person()
    for address in (*PRIVATE, *NO_ADDRESSES):
        if address and "x" * 1000 not in address:
            query = urlencode({"address": address})
            yield Blow(address[:60], lambda q=query: by(visitor, "GET", f"/connect/woocommerce/manual?{q}"), 400)
    script = urlencode({"address": '"><script>alert(1)</script>'})
    page = f"/connect/woocommerce/manual?{script}"
    yield Blow("script", lambda: by(visitor, "GET", page), 400, tokens=("<script>alert",))


def wrong_keys(target: Target, endpoint: str) -> Iterator[Blow]:
    visitor = target.person()
    token = visitor.token()
    for key, secret in (("ck_", "cs_"), ("ck_" + "a" * 40, "cs_\n" + "b" * 39), ("x" * 5000, "y" * 5000), ("", "")):
        fields = {"csrf_token": token, "address": STORE, "key": key, "secret": secret}
        shown = (secret,) if len(secret) > 20 else ()
        yield Blow(
            key[:20], lambda f=fields: by(visitor, "POST", "/connect/woocommerce/manual", data=f), 400, True, shown
        )


def callback_body(state: str, **changed: Any) -> bytes:
    whole = {
        "key_id": 1,
        "user_id": state,
        "consumer_key": "ck_" + "a1" * 20,
        "consumer_secret": "cs_" + "b2" * 20,
        "key_permissions": "read_write",
    }
    return json.dumps({name: value for name, value in {**whole, **changed}.items() if value is not None}).encode()


def forged_callbacks(target: Target, endpoint: str) -> Iterator[Blow]:
    now = datetime.now(UTC)
    living = target.attempt(account=target.anna)
    bodies = {
        "guessed": callback_body("A" * 43),
        "its hash": callback_body(hashlib.sha256(living.encode()).hexdigest()),
        "expired": callback_body(target.attempt(account=target.anna, expires_at=now - timedelta(seconds=1))),
        "used": callback_body(target.attempt(account=target.anna, delivered_at=now, finished_at=now)),
        "taken, other keys": callback_body(
            target.attempt(
                account=target.eve,
                delivered_at=now,
                secrets=target.vault.close({"consumer_key": "ck_" + "c3" * 20, "consumer_secret": "cs_" + "d4" * 20}),
            )
        ),
        "a walk to Shopify": callback_body(target.attempt(platform="shopify", address=DOMAIN)),
        "read alone": callback_body(living, key_permissions="read"),
        "no secret": callback_body(living, consumer_secret=None),
        "an empty secret": callback_body(living, consumer_secret=""),
        "a secret that is a list": callback_body(living, consumer_secret=["cs_"]),
        "a secret with more": callback_body(living, consumer_secret="cs_" + "b2" * 20 + "x"),
        "a state that is a number": callback_body(living, user_id=1),
        "a state that is true": callback_body(living, user_id=True),
        "any state": callback_body("%"),
        "half a character": callback_body("\ud800" * 43),
        "a list": b"[" + callback_body(living) + b"]",
        "twice": callback_body(living) * 2,
        "UTF-16": callback_body(living).decode().encode("utf-16"),
        "a form": urlencode(json.loads(callback_body(living))).encode(),
        "nothing": b"",
        "nested": b"[" * 8000,
        "a large number": b'{"user_id": ' + b"9" * 8000 + b"}",
    }
    for name, body in bodies.items():
        yield Blow(
            name, lambda b=body: by(target.stranger(), "POST", CALLBACK, data=b, content_type="application/json"), 400
        )
    for name, size in {"large": 8193, "huge": 20 * MIB}.items():
        body = b'{"a": "' + b"x" * size + b'"}'
        yield Blow(
            name, lambda b=body: by(target.stranger(), "POST", CALLBACK, data=b, content_type="application/json"), 413
        )


def returns_of_others(target: Target, endpoint: str) -> Iterator[Blow]:
    visitor = target.person()
    for name, state in {
        "unknown": "A" * 43,
        "empty": "",
        "no state": "%",
        "Shopify's": target.attempt(platform="shopify"),
    }.items():
        query = urlencode({"user_id": state, "success": "1"})
        yield Blow(name, lambda q=query: by(visitor, "GET", f"/connect/woocommerce/return?{q}"), 404)


def attempts_of_others(target: Target, endpoint: str) -> Iterator[Blow]:
    visitor = target.person()
    target.attempt(account=target.eve)
    target.attempt(platform="shopify")
    with target.db.read() as session:
        rows = session.query(ConnectAttempt).all()
        others = [row.id for row in rows if row.account_id != target.anna]
    assert others
    for number in (*others, 0, 99_999, 2**63, 2**70):
        path = f"/connect/woocommerce/attempts/{number}"
        yield Blow(str(number), lambda p=path: by(visitor, "GET", p), 404, tokens=("new.example",))


RELOADS = (
    *(
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:a",
    ),
    *(
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "///evil.example",
        "/x//evil.example",
    ),
    *("/\r\nLocation: https://evil.example", "evil.example", "", "@evil.example", "/\u2028", '/"><script>', "/x\\..\\"),
)


def open_redirects(target: Target, endpoint: str) -> Iterator[Blow]:
    for each in RELOADS:
        query = urlencode({"shop": DOMAIN, "shopify-reload": each})
        refusal = (200, 400) if "script" in each else 400
        yield Blow(
            repr(each),
            lambda q=query: by(target.stranger(), "GET", f"/connect/shopify/patch?{q}"),
            refusal,
            "script" not in each,
            ("<script>alert", "/evil.example", '"><script>'),
        )
    reload = urlencode([("shopify-reload", "/"), ("shopify-reload", "/x")])
    yield Blow("twice", lambda: by(target.stranger(), "GET", f"/connect/shopify/patch?{reload}"), 400)
    for name in ("evil.example", "x.myshopify.com.evil.example", "x.myshopify.com; script-src *", "a\r\nb"):
        query = urlencode({"shop": name, "shopify-reload": "/"})
        yield Blow(
            name, lambda q=query: by(target.stranger(), "GET", f"/connect/shopify/patch?{q}"), 400, True, (name,)
        )


NO_SHOPS = (
    *("evil.example", "x.myshopify.com.evil.example", "evil.example/x.myshopify.com", "x.myshopify.com@evil.example"),
    *("x.myshopify.com:443", "x.myshopify.com/", "https://x.myshopify.com", "-x.myshopify.com", ".myshopify.com", ""),
    *("x.y.myshopify.com", "x.myshopify.com\r\nX: y", "x.myshopify.com#", "x.myshopify.com?", "\u0445.myshopify.com"),
    *("a" * 64 + ".myshopify.com", "admin.shopify.com", "127.0.0.1", "x_y.myshopify.com"),
)


def walks_to_no_shop(target: Target, endpoint: str) -> Iterator[Blow]:
    for shop in NO_SHOPS:
        query = urlencode({"shop": shop})
        yield Blow(repr(shop), lambda q=query: by(target.stranger(), "GET", f"/connect/shopify?{q}"), 400)


def signed_query(secret: str = SECRET, **given: str | None) -> str:
    query = {"code": "c" * 32, "shop": OTHER_DOMAIN, "timestamp": str(int(time.time())), "host": "aG9zdA", **given}
    plain = {name: value for name, value in query.items() if value is not None}
    message = "&".join(f"{name}={value}" for name, value in sorted(plain.items()))
    plain["hmac"] = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    return urlencode(plain)


def forged_grants(target: Target, endpoint: str) -> Iterator[Blow]:
    """The callback of the code grant: only Shopify's answer to the walk that this very browser began counts."""
    now = datetime.now(UTC)

    def came_back(state: str | None, query: str) -> TestResponse:
        visitor = target.stranger()
        if state is not None:
            target.give(visitor, target.cookie({"shopify_state": state}))
        return by(visitor, "GET", f"/connect/shopify/callback?{query}")

    mine = {"platform": "shopify", "address": OTHER_DOMAIN}
    living, others = target.attempt(**mine), target.attempt(**mine)
    used, old = target.attempt(**mine, finished_at=now), target.attempt(**mine, expires_at=now)
    woocommerce = target.attempt(account=target.anna, address=OTHER_DOMAIN)
    good = signed_query(state=living)
    queries = {
        "no signature": (living, good.partition("&hmac=")[0]),
        "an empty signature": (living, good.partition("&hmac=")[0] + "&hmac="),
        "another secret": (living, signed_query("x" * 32, state=living)),
        "an empty secret": (living, signed_query("", state=living)),
        "a revoked secret": (living, signed_query(REVOKED, state=living)),
        "changed": (living, good.replace("c" * 32, "d" * 32)),
        "with more": (living, f"{good}&more=1"),
        "repeated": (living, f"{good}&shop={DOMAIN}"),
        "repeated signature": (living, good + "&hmac=" + "0" * 64),
        "joined": (living, good.replace("&host=aG9zdA", "%26host%3DaG9zdA")),
        "another shop's": (living, signed_query(state=living, shop=DOMAIN)),
        "no shop": (living, signed_query(state=living, shop=EVIL)),
        "no code": (living, signed_query(state=living, code=None)),
        "two days old": (living, signed_query(state=living, timestamp=str(int(time.time()) - 2 * 86400))),
        "from the future": (living, signed_query(state=living, timestamp=str(int(time.time()) + 3600))),
        "at no time": (living, signed_query(state=living, timestamp="\u0661")),
        "no state": (living, signed_query()),
        "the state of another browser": (living, signed_query(state=others)),
        "a browser without one": (None, good),
        "an empty state": ("", signed_query(state="")),
        "a used state": (used, signed_query(state=used)),
        "an old state": (old, signed_query(state=old)),
        "an unknown state": ("A" * 43, signed_query(state="A" * 43)),
        "a walk to a WooCommerce store": (woocommerce, signed_query(state=woocommerce)),
        "nothing": (living, ""),
    }
    for name, (state, query) in queries.items():
        yield Blow(name, lambda s=state, q=query: came_back(s, q), 400)
