"""A rule's fields one by one: listing, changing and isolating them by their paths."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import outline
from mappings.data import identical
from mappings.errors import MappingError
from mappings.files import load_default
from mappings.outline import Place

PROVIDERS = ("sprii", "spotler", "seeka", "gameball", "esputnik")
RULE: dict[str, Any] = {
    "name": "order",
    "fields": {
        "id": {"from": "order.id"},
        "lines": {"each": "order.lines", "fields": {"sku": {"from": "item.sku"}, "extra.note": {"value": "x"}}},
        "titles": {"each": "order.lines", "item": {"from": "item.title"}},
        "who": {"fields": {"name": {"fields": {"first": {"from": "order.first_name"}}}}},
    },
}


def test_every_field_is_listed_before_what_stands_in_it() -> None:
    assert [(each.path, each.name, each.depth, each.inside) for each in outline.outline(RULE)] == [
        ("id", "id", 0, None),
        ("lines", "lines", 0, None),
        ("lines.sku", "sku", 1, "lines"),
        ("lines.extra.note", "extra.note", 1, "lines"),
        ("titles", "titles", 0, None),
        ("titles[]", "[]", 1, "titles"),
        ("who", "who", 0, None),
        ("who.name", "name", 1, None),
        ("who.name.first", "first", 2, None),
    ]
    assert outline.find(RULE, "lines.sku") == Place("lines.sku", "sku", 1, "lines", {"from": "item.sku"})
    assert outline.find(RULE, "lines.nothing") is None


@pytest.mark.parametrize("path", [each.path for each in outline.outline(RULE)])
def test_a_field_put_where_it_is_changes_nothing(path: str) -> None:
    place = outline.find(RULE, path)
    assert place
    assert identical(outline.put(RULE, path, place.spec), RULE)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("who.name.first", {"who": None}),  # an object of nothing is nothing
        ("lines.sku", {"lines": {"each": "order.lines", "fields": {"extra.note": {"value": "x"}}}}),
        ("titles[]", {"titles": None}),
        ("id", {"id": None}),
        ("nothing.at.all", {}),
    ],
)
def test_a_field_is_taken_away(path: str, expected: dict[str, Any]) -> None:
    fields = {name: spec for name, spec in {**RULE["fields"], **expected}.items() if spec is not None}
    assert outline.put(RULE, path, None) == {"name": "order", "fields": fields}


def test_a_field_is_put_where_nothing_was_and_the_rule_itself_stays_as_it_was() -> None:
    before = repr(RULE)
    changed = outline.put(RULE, "who.address.city", {"from": "order.address.city"})
    assert changed["fields"]["who"] == {
        "fields": {**RULE["fields"]["who"]["fields"], "address": {"fields": {"city": {"from": "order.address.city"}}}}
    }
    assert repr(RULE) == before


@pytest.mark.parametrize("path", ["id.more", "id[]", "titles.sku", "titles[].sku"])
def test_nothing_can_be_put_into_a_value(path: str) -> None:
    with pytest.raises(MappingError):
        outline.put(RULE, path, {"value": 1})


def test_a_field_alone_keeps_what_it_stands_in() -> None:
    assert outline.alone(RULE, "lines.sku") == {
        "lines": {"each": "order.lines", "fields": {"sku": {"from": "item.sku"}}}
    }
    assert outline.alone(RULE, "titles[]") == {"titles": RULE["fields"]["titles"]}
    assert outline.alone(RULE, "who.name.first") == {"who": RULE["fields"]["who"]}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_field_of_our_defaults_can_be_taken_away_and_put_back(provider: str) -> None:
    for rule in load_default(provider).rules:
        for place in outline.outline(rule):
            without = outline.put(rule, place.path, None)
            assert outline.find(without, place.path) is None
            if place.name != outline.ITEM:
                assert identical(outline.put(rule, place.path, place.spec), rule)
