"""Whatever is signed and sent: a clear answer, an event in error that names the place, bounded memory.

And the good ones among the bad still get through.
"""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bodies import woocommerce_order
from tests.databases import BROKER, Databases
from tests.rig import DOMAIN, SHOPIFY_SECRET, Rig, signature

MIB = 1024 * 1024
SECONDS = 6.0  #: for the fuzzing
CASES = 250

GOOD = woocommerce_order(1)
SHOPIFY_ORDER: dict[str, Any] = {
    "id": 1,
    "admin_graphql_api_id": "gid://shopify/Order/1",
    "created_at": "2026-03-02T09:00:00Z",
    "updated_at": "2026-03-02T09:00:00Z",
    "currency": "EUR",
    "total_price": "10.00",
    "financial_status": "paid",
    "line_items": [{"id": 1, "quantity": 1, "price": "10.00", "title": "A"}],
}


def text(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


DEEP = b"[" * 100_000 + b"]" * 100_000
BAD: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "truncated": json.dumps(GOOD).encode()[:-20],
    "truncated within a character": '{"note": "ü'.encode()[:-1],
    "lists 100,000 levels deep": DEEP,
    "objects 100,000 levels deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 levels deep within an order": text().replace(b'"id"', b'"x": ' + DEEP + b', "id"', 1),
    "an integer of a million digits": b'{"id": ' + b"9" * 10**6 + b"}",
    "a fraction of a million digits": b'{"id": 1, "total": 0.' + b"9" * 10**6 + b"}",
    "a huge exponent": b'{"id": 1, "total": 1e999999999}',
    "a price of a million digits": text(total="9" * 10**6),
    "an exponent as text": text(total="1e999999999"),
    "not a number": b'{"id": NaN}',
    "infinity": b'{"id": Infinity}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "UTF-16 without a mark": json.dumps(GOOD).encode("utf-16-le"),
    "Latin-1": '{"id": 1, "note": "grüße"}'.encode("latin-1"),
    "null bytes": b"\0" * 1000,
    "null bytes around": b"\0" + json.dumps(GOOD).encode(),
    "a list": b"[]",
    "a text": b'"order"',
    "a number": b"7",
    "null": b"null",
    "true": b"true",
    "no fields": b"{}",
    "form data": b"id=1&total=10.00",
    "XML": b"<?xml version='1.0'?><order/>",
    "another PHP error page": b"<br />\n<b>Fatal error</b>",
    "two documents": b'{"id": 1}{"id": 2}',
    "an id that is an object": text(id={}),
    "an id that is true": text(id=True),
    "an id of 300 characters": text(id="9" * 300),
    "lines that are text": text(line_items="none"),
    "lines of numbers": text(line_items=[1, 2]),
    "a quantity that is an object": text(line_items=[{**GOOD["line_items"][0], "quantity": {}}]),
    "meta that is a text": text(meta_data="x"),
    "a time that is none": text(date_modified_gmt="yesterday"),
    "a time beyond time": text(date_modified_gmt="0000-00-00T00:00:00"),
    "the same key twice, the last one wrong": b'{"id": 1, "id": []}',
}
HEAVY: dict[str, bytes] = {
    "10 MiB of one text": b'"' + b"x" * (10 * MIB - 2) + b'"',
    "10 MiB of opening brackets": b"[" * (10 * MIB),
    "a million tiny fields": b"{" + b",".join(b'"%x":0' % each for each in range(10**6)) + b"}",
    "a list of a million numbers": b"[" + b"0," * 10**6 + b"0]",
}
MOST = 20  #: times its own size: what a body may cost in memory until it is accounted for


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[tuple[Rig, tuple[str, str]]]:
    """One Tillwire for all of the bodies that change nothing."""
    folder = tmp_path_factory.mktemp("bench")
    with databases.lend() as url, Rig(folder, database_url=url, broker_url=BROKER) as rig:
        rig.shop("shopify")
        yield rig, rig.endpoint(rig.shop("woocommerce"), "order.updated")


@pytest.fixture
def shops(rig: Rig) -> tuple[str, str]:
    """Both shops, with eSputnik as a destination; the path and secret of the WooCommerce one's webhook."""
    for each in (rig.shop("shopify"), rig.shop("woocommerce")):
        rig.switch_on(each, "esputnik")
    return rig.endpoint(2, "order.updated")


def send(rig: Rig, endpoint: tuple[str, str], platform: str, body: bytes, kind: str = "application/json") -> int:
    """One signed webhook; the answer's status."""
    if platform == "shopify":
        path, secret = "/webhooks/shopify", SHOPIFY_SECRET
        headers = {"X-Shopify-Topic": "orders/updated", "X-Shopify-Shop-Domain": DOMAIN}
        headers |= {"X-Shopify-Hmac-Sha256": signature(secret, body)}
    else:
        path, secret = endpoint
        headers = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature(secret, body)}
    answer = rig.client.post(path, data=body, headers=headers, content_type=kind)
    assert answer.get_json()["status"] in {"stored", "duplicate"}, answer.data
    return answer.status_code


def last(rig: Rig) -> tuple[str, str]:
    (found,) = rig.events(limit=1)
    return found["state"], found["error"] or ""


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_what_cannot_be_read_is_an_event_in_error_that_names_the_place(
    bench: tuple[Rig, tuple[str, str]], platform: str, body: bytes
) -> None:
    rig, endpoint = bench
    assert send(rig, endpoint, platform, body) == 200
    rig.account()
    state, error = last(rig)
    assert (state, error[:1]) == ("error", "$"), error
    assert len(error) < 200


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY)
def test_a_heavy_body_costs_a_bounded_multiple_of_its_size(bench: tuple[Rig, tuple[str, str]], body: bytes) -> None:
    rig, endpoint = bench
    tracemalloc.start()
    try:
        send(rig, endpoint, "woocommerce", body[:-1])
        rig.account()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (last(rig)[0], last(rig)[1][:1]) == ("error", "$")
    assert peak < len(body) * MOST


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_a_byte_order_mark_is_no_error(rig: Rig, shops: tuple[str, str], platform: str) -> None:
    order = GOOD if platform == "woocommerce" else SHOPIFY_ORDER
    assert send(rig, shops, platform, b"\xef\xbb\xbf" + json.dumps(order).encode()) == 200
    rig.account()
    assert {each["state"] for each in rig.events()} == {"understood"}


def test_null_bytes_and_halves_of_characters_within_texts_are_dropped(rig: Rig, shops: tuple[str, str]) -> None:
    billing = {**GOOD["billing"], "first_name": "A\0n\ud800na"}
    assert send(rig, shops, "woocommerce", text(billing=billing, customer_note="\udfff\0")) == 200
    rig.work()
    assert {each["state"] for each in rig.events()} == {"understood"}
    assert [each["state"] for each in rig.deliveries()] == ["skipped", "delivered"]  # placed and paid at once: one call


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "a"])
def test_the_content_type_does_not_matter_to_the_bytes(rig: Rig, shops: tuple[str, str], kind: str) -> None:
    assert send(rig, shops, "woocommerce", text(), kind) == 200
    rig.account()
    assert {each["state"] for each in rig.events()} == {"understood"}


def test_a_good_order_among_bad_ones_gets_through(rig: Rig, shops: tuple[str, str]) -> None:
    for index, body in enumerate(BAD.values()):
        send(rig, shops, "woocommerce", body)
        if index % 7 == 3:
            send(rig, shops, "woocommerce", json.dumps(woocommerce_order(1000 + index)).encode())
    rig.work()
    understood = {each["order"] for each in rig.events(state="understood")}
    assert understood == {str(1000 + index) for index in range(3, len(BAD), 7)}
    assert {each["order"] for each in rig.deliveries(state="delivered")} == understood


JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, -(10**30), "", "x", "0", "-1", "1e400", "NaN", " 12,5 ", "\0", "\ud800"),
    *([], {}, [None], [[]], {"": None}, [{}], {"id": 1}, "2026-13-40T99:99:99", "9999-12-31T23:59:59", "x" * 5000),
)


def spoiled(source: random.Random, value: Any) -> Any:
    """``value`` with one place of it changed, taken out, doubled or moved."""
    if isinstance(value, dict) and value and source.random() < 0.9:
        name = source.choice(sorted(value))
        if source.random() < 0.1:
            return {key: each for key, each in value.items() if key != name}
        return {**value, name: spoiled(source, value[name])}
    if isinstance(value, list) and value and source.random() < 0.9:
        place = source.randrange(len(value))
        return [*value[:place], spoiled(source, value[place]), *value[place + source.randrange(2) :]]
    return source.choice(JUNK)


def mangled(source: random.Random, body: bytes) -> bytes:
    """``body`` with a few of its bytes changed, taken out or repeated."""
    found = bytearray(body)
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(found) or 1)
        match source.randrange(3):
            case 0:
                found[place : place + 1] = [source.randrange(256)]
            case 1:
                del found[place : place + source.randint(1, 50)]
            case _:
                found[place:place] = found[place : place + source.randint(1, 50)]
    return bytes(found)


def fuzzed(seed: int) -> Iterator[tuple[str, bytes]]:
    source = random.Random(seed)
    until = time.monotonic() + SECONDS
    for _ in range(CASES):
        if time.monotonic() > until:
            return
        platform, order = source.choice([("shopify", SHOPIFY_ORDER), ("woocommerce", GOOD)])
        order = {**order, "id": source.randrange(1, 50)}
        for _ in range(source.randint(1, 3)):
            order = spoiled(source, order)
        body = json.dumps(order).encode()
        yield platform, mangled(source, body) if source.random() < 0.4 else body


def test_spoiled_orders_never_break_the_accounting(rig: Rig, shops: tuple[str, str]) -> None:
    sent = 0
    for platform, body in fuzzed(seed=20):
        assert send(rig, shops, platform, body) == 200
        sent += 1
    send(rig, shops, "woocommerce", json.dumps(woocommerce_order(31337)).encode())
    rig.work()
    found = rig.events()
    wrong = [each for each in found if each["state"] == "error" and not each["error"].startswith("$")]
    assert wrong == []
    assert {each["state"] for each in found} <= {"understood", "ignored", "error", "quarantined"}
    assert [each["state"] for each in rig.deliveries(order="31337")] == ["skipped", "delivered"]
    assert not [each for each in rig.deliveries() if "internal" in (each["reason"] or "")]
    assert sent > CASES // 4, "too slow to prove anything"
