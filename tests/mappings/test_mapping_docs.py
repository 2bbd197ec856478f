"""What ``docs/mappings.md`` shows, works: its table of conversions, its rule and its overrides."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mappings.conversions import CONVERSIONS
from mappings.engine import Skip
from mappings.files import compile, merge, parse

TEXT = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| .+ \| `(.+)` \| (.+) \|$", TEXT.split("## Conversions")[1], re.MULTILINE)
EXAMPLES = re.findall(r"```toml\n(.+?)```", TEXT, re.DOTALL)
DEFAULT = parse(EXAMPLES[0], source="acme.toml")

FACTS: dict[str, Any] = {
    "event": {"kind": "order.paid"},
    "options": {"order_trigger": "order.paid"},
    "order": {
        "number": "1042",
        "name": "#1042",
        "total": "9.5",
        "email": "ines.example@example.com",
        "note": "Ring twice",
        "channel": "web",
        "fulfilment_status": "full",
        "lines": [
            {"sku": "MUG", "unit_id": "44001", "variant_id": "44001", "gift_card": False},
            {"unit_id": "44002", "variant_id": "44002", "product_id": "8802", "gift_card": True},
        ],
    },
}
PAYLOAD = {"orderRef": "1042", "paid": 9.5, "lines": [{"sku": "MUG"}, {"sku": "44002"}]}


@pytest.mark.parametrize(("name", "given", "gives"), ROWS)
def test_the_table_shows_what_a_conversion_gives(name: str, given: str, gives: str) -> None:
    expected = None if gives == "left out" else json.loads(gives.strip("`"))
    assert CONVERSIONS[name](json.loads(given)) == expected


def test_the_table_shows_every_conversion() -> None:
    assert [name for name, _, _ in ROWS] == sorted(CONVERSIONS, key=[name for name, _, _ in ROWS].index)


def test_the_rule_of_the_grammar_renders() -> None:
    assert compile(DEFAULT).rules[0].render(FACTS) == PAYLOAD


@pytest.mark.parametrize(
    ("place", "rule", "expected"),
    [
        (1, "order", PAYLOAD | {"orderRef": "#1042"}),
        (2, "order", PAYLOAD),
        (3, "order", {"orderRef": "1042", "lines": PAYLOAD["lines"], "note": "Ring twice"}),
        (4, "order", PAYLOAD | {"lines": [{"sku": "MUG"}]}),
        (5, "order", PAYLOAD),
        (6, "order_late", {"orderRef": "1042full"}),
        (7, "order", Skip("not_wanted")),
    ],
)
def test_an_example_for_merchants_changes_what_it_says(place: int, rule: str, expected: Any) -> None:
    own = parse(EXAMPLES[place], source="own.toml")
    compiled = compile(merge(DEFAULT, own)).by_name(rule)
    assert compiled is not None
    assert compiled.render(FACTS) == expected


def test_every_example_is_tested() -> None:
    assert len(EXAMPLES) == 8
