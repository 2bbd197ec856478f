"""Words for conversions, paths and conditions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.providers.registry import PROVIDERS
from app.services import mapping_words
from app.services.conversion_words import CONVERSIONS
from connectors.events import Kind
from mappings import outline
from mappings.conversions import CONVERSIONS as RUN
from mappings.files import load_default
from mappings.paths import ROOTS

DOCS = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text("utf-8")


def test_every_conversion_is_offered() -> None:
    assert set(CONVERSIONS) == set(RUN)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_conversion_does_what_its_example_says(name: str) -> None:
    words = CONVERSIONS[name]
    assert RUN[name](words.given) == words.gives
    assert words.help.endswith(".")


@pytest.mark.parametrize("name", CONVERSIONS)
def test_the_example_is_that_of_the_documentation(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| .+ \| `(.+)` \| (.+) \|$", DOCS, re.MULTILINE)
    gives = None if row[1] == "left out" else json.loads(row[1].strip("`"))
    assert (CONVERSIONS[name].given, CONVERSIONS[name].gives) == (json.loads(row[0]), gives)


def test_every_beginning_of_a_path_has_a_word() -> None:
    assert set(mapping_words.ROOTS) == ROOTS


@pytest.mark.parametrize(
    ("provider", "path", "words"),
    [
        ("gameball", "order.email", "Order → e-mail address"),
        ("gameball", "order.address.line1", "Order → address → street and number"),
        ("gameball", "order.sprii.value", "Order → Sprii number → value"),
        ("gameball", "item[options.item_id]", "Each line → as set under “Products are known by their”"),
        ("gameball", "order[order.kind]", "Order → as set under “Order → kind”"),
        ("gameball", "order[options.customer_id].name", "Order → as set under “Customers are known by their” → name"),
        (
            "gameball",
            'order.attributes["Gift [1]. message"].value',
            "Order → attached fields → “Gift [1]. message” → value",
        ),
        ("gameball", "options.cart_event_name", "Settings → Name of the cart event"),
        ("gameball", "options.guest_id", "Worked out → id of a guest"),
        ("esputnik", "options.left.total", "Worked out → amounts after refunds → total"),
        ("sprii", "order", "Order"),
        ("sprii", "order.something_new", "Order → something new"),
    ],
)
def test_paths_in_words(provider: str, path: str, words: str) -> None:
    assert mapping_words.label(path, PROVIDERS[provider]) == words


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"path": "options.send_carts", "is": True}, "Settings → Report carts: yes"),
        ({"path": "options.send_carts", "not": True}, "Settings → Report carts: no"),
        ({"path": "item.kind", "is": "product"}, "Each line → kind is “product”"),
        ({"path": "order.total", "is": 0}, "Order → total is 0"),
        ({"path": "order.total", "not": 0}, "Order → total is not 0"),
        (
            {"path": "order.channel", "not": ["pos", "web"]},
            "Order → sold online or at the till is none of “pos”, “web”",
        ),
        ({"path": "order.channel", "in": ["pos", 1]}, "Order → sold online or at the till is one of “pos”, 1"),
        ({"path": "order.note", "present": True}, "Order → note is there"),
        ({"path": "order.note", "present": False}, "Order → note is missing"),
        (
            {"path": "event.kind", "same": "options.order_trigger"},
            "Event → kind is the same as Worked out → order trigger",
        ),
    ],
)
def test_conditions_in_words(condition: dict[str, Any], words: str) -> None:
    assert mapping_words.conditions([condition], PROVIDERS["esputnik" if "same" in condition else "gameball"]) == (
        words,
    )


def test_what_a_rule_skips_in_words() -> None:
    rule = {
        "skip": "not_wanted",
        "skip_when": [{"path": "order.test", "is": True, "reason": "test_order"}],
        "skip_without": {"order.email|order.phone": "no_identity"},
    }
    assert mapping_words.skips(rule, PROVIDERS["gameball"]) == (
        "not_wanted",
        "Order → is a test order: yes: It is a test order; an option of the provider decides whether those are sent.",
        "No Order → e-mail address or Order → phone number: Nobody is known to attach it to: no e-mail address, phone "
        "number or customer came with it.",
    )


def test_kinds_come_in_lifes_order() -> None:
    kinds = mapping_words.kinds({"on": ["order.refunded", "order.placed", "order.paid"]})
    assert kinds == (Kind.PLACED, Kind.PAID, Kind.REFUNDED)
    assert mapping_words.kinds({"on": "cart.updated"}) == ("cart.updated",)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_path_of_our_defaults_has_words_of_its_own(provider: str) -> None:
    """None of them reads as code."""
    for rule in load_default(provider).rules:
        for place in outline.outline(rule):
            given = place.spec.get("from", place.spec.get("first", place.spec.get("each", [])))
            for path in [given] if isinstance(given, str) else given:
                assert not re.search(r"[_\[\]]", mapping_words.label(path, PROVIDERS[provider])), path
