"""What the pages say of a payload's fields agrees with what is sent, and with what the actions demand."""

from __future__ import annotations

from typing import Any

import pytest

from app.providers.base import Action
from app.providers.payload_fields import PayloadField
from app.providers.registry import PROVIDERS
from mappings import outline
from mappings.files import load_default

ACTIONS = [(name, action) for name, provider in PROVIDERS.items() for action in provider.actions if action != "nothing"]
RULES = [(name, rule["name"]) for name in PROVIDERS for rule in load_default(name).rules]


def declared(provider: str, action: str) -> Action:
    return PROVIDERS[provider].actions[action]


@pytest.mark.parametrize(("provider", "name"), RULES)
def test_every_field_that_we_send_by_default_has_a_meaning(provider: str, name: str) -> None:
    rule = load_default(provider).by_name(name)
    assert rule
    known = declared(provider, rule["action"]).fields
    assert {place.path.replace("[]", "") for place in outline.outline(rule)} <= set(known)


@pytest.mark.parametrize(("provider", "name"), RULES)
def test_what_is_a_list_or_an_object_by_default_is_declared_as_one(provider: str, name: str) -> None:
    rule: dict[str, Any] | None = load_default(provider).by_name(name)
    assert rule
    known = declared(provider, rule["action"]).fields
    for place in outline.outline(rule):
        if "each" in place.spec or place.spec.get("as") == "list":
            assert known[place.path].kind == "list", place.path
        elif "fields" in place.spec:
            assert known[place.path].kind == "object", place.path


@pytest.mark.parametrize(("provider", "action"), ACTIONS)
def test_what_an_action_demands_is_declared_as_needed(provider: str, action: str) -> None:
    needed = declared(provider, action).required
    assert needed
    assert {path for path in needed if not declared(provider, action).fields[path].required} == set()


@pytest.mark.parametrize(("provider", "action"), ACTIONS)
def test_every_field_stands_in_a_list_or_an_object(provider: str, action: str) -> None:
    fields = declared(provider, action).fields
    for path, each in fields.items():
        parent = path.rpartition(".")[0]
        assert not parent or fields[parent].kind in {"list", "object"}, path
        assert each.kind in {"text", "number", "boolean", "list", "object"}
        if each.times:
            assert each.money
            assert fields[f"{parent}.{each.times}"].kind == "number"


@pytest.mark.parametrize(("provider", "action"), ACTIONS)
def test_fields_of_ones_own_have_a_place_and_a_word_of_help(provider: str, action: str) -> None:
    fields = declared(provider, action).fields
    for each in declared(provider, action).custom:
        assert not each.under or fields[each.under].kind == "object"
        assert each.help.endswith(".")
        assert each.under or each.prefix, "anything at all in a payload would be no field of one's own"


@pytest.mark.parametrize(("provider", "action"), ACTIONS)
def test_meanings_are_sentences(provider: str, action: str) -> None:
    for path, each in declared(provider, action).fields.items():
        assert isinstance(each, PayloadField)
        assert each.meaning[0].isupper(), path
        assert each.meaning.endswith("."), path
        assert len(each.meaning) < 160, path
