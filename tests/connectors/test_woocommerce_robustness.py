"""Whatever a signed body holds, `observe` answers or raises `Unreadable`, and what it answers becomes JSON facts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.events import facts
from tests.connectors.woocommerce_fixtures import FOLDER, RECORDED, SIGNED, WRITTEN, observe

BODIES = [(each.topic or "", each.body) for each in SIGNED]
BODIES += [(name.partition("__")[0], (FOLDER / f"{name}.json").read_bytes()) for name in WRITTEN]
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
    "1e400",
    "NaN",
    "-Infinity",
    "1_000",
    "١٢",
    "²",
    "9" * 64,
    "9" * 10_000,
    "0000-00-00T00:00:00",
    "0001-01-01T00:00:00+23:00",
    "2026-01-01",
    "\x00",
    "\ud83d",
    "#",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"id": 1},
    {"0": {"id": 1}},
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
        seen = observe(topic, body)
    except Unreadable:
        return False
    json.dumps(facts(seen), ensure_ascii=False).encode()
    return True


@pytest.mark.parametrize("place", sorted(places(json.loads(RECORDED["016"].body)), key=str))
def test_every_odd_value_in_every_place_of_an_order(place: tuple[Any, ...]) -> None:
    order = json.loads(RECORDED["016"].body)
    for odd in ODD:
        survives("order.updated", json.dumps(replaced(order, place, odd)).encode())


@pytest.mark.parametrize("place", sorted(places(json.loads(RECORDED["109"].body)), key=str))
def test_every_odd_value_in_every_place_of_a_cart(place: tuple[Any, ...]) -> None:
    cart = json.loads(RECORDED["109"].body)
    for odd in ODD:
        survives("cart.updated", json.dumps(replaced(cart, place, odd)).encode())


@pytest.mark.parametrize("seed", range(8))
def test_bytes_changed_at_random(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(250):
        topic, body = dice.choice(BODIES)
        changed = bytearray(body)
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
        survives(topic, bytes(changed))


@pytest.mark.parametrize("seed", range(8))
def test_several_values_changed_at_random(seed: int) -> None:
    dice = random.Random(seed)
    read = 0
    for _ in range(200):
        topic, body = dice.choice(BODIES)
        value = json.loads(body)
        for _ in range(dice.randint(1, 4)):
            value = replaced(value, dice.choice(list(places(value))), dice.choice(ODD))
        read += survives(topic, json.dumps(value).encode())
    assert 20 < read < 200


@pytest.mark.parametrize("number", ["007", "109", "028", "010"])
def test_a_body_cut_anywhere_is_unreadable(number: str) -> None:
    sample = RECORDED[number]
    for end in range(0, len(sample.body), 7):
        assert not survives(sample.topic or "", sample.body[:end])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"NaN",
        b'{"id":NaN}',
        b'{"id":1,"status":"x","currency":"EUR","total":Infinity}',
        b'{"id":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b"\xed\xa0\x80",
        b"webhook_id=1",
        b"<html></html>",
    ],
)
@pytest.mark.parametrize("topic", ["order.created", "order.deleted", "cart.updated"])
def test_what_is_no_order_is_unreadable(topic: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        observe(topic, body)


@pytest.mark.parametrize("depth", [100, 400, 900])
def test_deep_meta_is_text_or_unreadable(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    body = b'{"id":1,"status":"x","currency":"EUR","total":"1","meta_data":[{"key":"k","value":%s}]}' % deep
    survives("order.updated", body)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"total": "a"}, "$.total: expected a number, found str"),
        ({"total": "1e400"}, "$.total: expected a number, found str"),
        ({"total": 10**15}, "$.total: expected a number, found int"),
        ({"currency": None}, "$.currency: expected text, found nothing"),
        ({"line_items": [{"id": 1, "quantity": None}]}, "$.line_items[0].quantity: expected a number, found nothing"),
        ({"line_items": {"id": 1}}, "$.line_items: expected a list, found dict"),
        ({"billing": "x"}, "$.billing: expected an object, found str"),
        ({"date_paid_gmt": "soon"}, "$.date_paid_gmt: expected a time in ISO 8601, found str"),
        ({"refunds": [{"id": 1, "total": ""}]}, "$.refunds[0].total: expected a number, found str"),
        (
            {"line_items": [{"id": 1, "quantity": "0." + "0" * 50 + "1", "total": "5"}]},
            "$.line_items[0]: expected amounts of a size that can be divided, found dict",
        ),
    ],
)
def test_the_complaint_names_the_place_and_not_the_value(fields: dict[str, Any], complaint: str) -> None:
    order = json.loads((FOLDER / "order.updated__worked_a.json").read_text(encoding="utf-8"))
    with pytest.raises(Unreadable) as raised:
        observe("order.updated", json.dumps(order | fields).encode())
    assert str(raised.value) == complaint
