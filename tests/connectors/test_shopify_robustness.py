"""Whatever a signed body holds, `observe` answers or raises `Unreadable`, and what it answers becomes JSON facts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.events import facts
from tests.connectors.shopify_fixtures import WRITTEN, body_of, seen, topic_of

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**14,
    10**15,
    10**63,
    1e-60,
    1e300,
    "",
    " ",
    "x",
    "0",
    "-",
    "1e14",
    "-1e-60",
    "1e400",
    "NaN",
    "-Infinity",
    "1_000",
    "١٢",
    "9" * 64,
    "9" * 10_000,
    "0000-00-00T00:00:00",
    "0001-01-01T00:00:00+23:00",
    "2026-01-01",
    "\x00",
    "\ud83d",
    "?",
    "#",
    "refund",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"id": 1},
    {"\ud83d\x00": "\ud83d"},
)
PIECES = (b"-", b"9", b"e9", b"\\u0000", b'"', b"{", b"]", b"null", b"\xed\xa0\x80")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield from places(part, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def survives(topic: str, body: bytes) -> bool:
    try:
        found = seen(topic, body)
    except Unreadable:
        return False
    json.dumps(facts(found), ensure_ascii=False).encode()
    return True


@pytest.mark.parametrize("name", WRITTEN)
def test_odd_values_in_every_place(name: str) -> None:
    dice, body = random.Random(name), body_of(name)
    for place in places(body):
        for odd in dice.sample(ODD, 5):
            survives(topic_of(name), json.dumps(replaced(body, place, odd)).encode())


@pytest.mark.parametrize("seed", range(8))
def test_bytes_changed_at_random(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(250):
        name = dice.choice(WRITTEN)
        changed = bytearray(json.dumps(body_of(name), ensure_ascii=False).encode())
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(changed))
            match dice.randrange(4):
                case 0:
                    changed[at] = dice.randrange(256)
                case 1:
                    del changed[at : at + dice.randint(1, 20)]
                case 2:
                    changed[at:at] = dice.choice(PIECES)
                case _:
                    changed[at : at + 4] = bytes(changed[:4])
            changed = changed or bytearray(b" ")
        survives(topic_of(name), bytes(changed))


@pytest.mark.parametrize("seed", range(8))
def test_several_values_changed_at_random(seed: int) -> None:
    dice = random.Random(seed)
    read = 0
    for _ in range(200):
        name = dice.choice(WRITTEN)
        value: Any = body_of(name)
        for _ in range(dice.randint(1, 4)):
            value = replaced(value, dice.choice(list(places(value))), dice.choice(ODD))
        read += survives(topic_of(name), json.dumps(value).encode())
    assert 20 < read < 200


@pytest.mark.parametrize("name", WRITTEN)
def test_a_body_cut_anywhere_is_unreadable(name: str) -> None:
    whole = json.dumps(body_of(name)).encode()
    for end in range(0, len(whole), 97):
        assert not survives(topic_of(name), whole[:end])


@pytest.mark.parametrize("depth", [100, 400, 900, 100_000])
@pytest.mark.parametrize("topic", ["orders/create", "carts/update", "checkouts/create", "refunds/create"])
def test_deep_attributes_are_text_or_unreadable(topic: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    survives(
        topic,
        b'{"id":1,"token":"t","order_id":1,"currency":"EUR","total_price":"1","note_attributes":{"a":%s},'
        b'"line_items":[{"id":1,"price":"1","quantity":1,"properties":{"a":%s}}]}' % (deep, deep),
    )


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"id": None}, "$.id: expected an id, found nothing"),
        ({"total_price_set": None, "total_price": "a"}, "$.total_price: expected a number, found str"),
        ({"total_price_set": None, "total_price": None}, "$.total_price: expected a number, found nothing"),
        ({"line_items": {"id": 1}}, "$.line_items: expected a list, found dict"),
        (
            {"line_items": [{"id": 1, "quantity": None, "price": "1"}]},
            "$.line_items[0].quantity: expected a number, found nothing",
        ),
        ({"line_items": [{"id": 1, "quantity": 1}]}, "$.line_items[0].price: expected a number, found nothing"),
        ({"billing_address": "secret"}, "$.billing_address: expected an object, found str"),
        ({"customer": "secret"}, "$.customer: expected an object, found str"),
        ({"updated_at": "soon"}, "$.updated_at: expected a time in ISO 8601, found str"),
        ({"created_at": "2026-03-02T10:15:30"}, "$.created_at: expected a time with an offset, found str"),
        ({"taxes_included": "yes"}, "$.taxes_included: expected true or false, found str"),
        (
            {"refunds": [{"id": 1, "transactions": [{"kind": "refund", "status": "success"}]}]},
            "$.refunds[0].transactions[0].amount: expected a number, found nothing",
        ),
        (
            {"line_items": [{"id": 1, "quantity": "0." + "0" * 50 + "1", "price": "5"}]},
            None,
        ),
        (
            {"line_items": [{"id": 1, "quantity": 10**14, "price": "100"}]},
            "$.line_items[0]: expected amounts of a size that can be reckoned with, found dict",
        ),
    ],
)
def test_the_complaint_names_the_place_and_not_the_value(fields: dict[str, Any], complaint: str | None) -> None:
    body = json.dumps(body_of("orders_paid__worked_a") | fields).encode()
    if complaint is None:
        assert survives("orders/updated", body)
        return
    with pytest.raises(Unreadable) as raised:
        seen("orders/updated", body)
    assert str(raised.value) == complaint
