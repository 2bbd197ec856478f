"""Every provider has its mapping, its page and its golden payloads, and the three fit its declaration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from app.providers.base import NOTHING, Provider
from app.providers.registry import PROVIDERS
from connectors import events
from mappings import files
from mappings.engine import Skip
from tests.providers.shown import CREDENTIALS, TESTS, call, facts_of, render, settings_of, with_options

ROOT = TESTS.parent
GOLDEN = sorted((TESTS / "golden").glob("*/*.json"))
FACTS = sorted((TESTS / "facts").glob("*.json"))
every_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))


def golden(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text())
    return case


def default_rules(provider: Provider) -> tuple[dict[str, Any], ...]:
    return tuple(files.load_default(provider.name).rules)


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield from texts(key)
                yield from texts(each)
        case list() | tuple():
            for each in value:
                yield from texts(each)


@every_provider
def test_a_provider_has_a_page_that_names_its_settings_and_its_source(provider: Provider) -> None:
    page = (ROOT / "docs" / "providers" / f"{provider.name}.md").read_text()
    assert provider.docs.removeprefix("https://").split("/")[0] in page
    for setting in provider.settings:
        assert f"`{setting.name}`" in page, setting.name
    for name in provider.derived:
        assert f"`options.{name}`" in page, name


@every_provider
def test_who_asks_further_has_limits_for_each_destination(provider: Provider) -> None:
    """A claim knows which calls of its own destination are under way, and leaves room for what these may ask."""
    assert not (provider.shared_limits and provider.further)


@every_provider
def test_a_mappings_actions_are_declared(provider: Provider) -> None:
    assert {rule["action"] for rule in default_rules(provider)} == set(provider.actions)


@every_provider
def test_rules_that_only_skip_use_up_nothing(provider: Provider) -> None:
    for rule in default_rules(provider):
        assert ("skip" in rule) is (provider.actions[rule["action"]] is NOTHING), rule["name"]


@every_provider
def test_a_mapping_reads_declared_options_only(provider: Provider) -> None:
    readable = {each.name for each in provider.settings if not each.secret} | set(provider.derived)
    for rule in default_rules(provider):
        for text in texts(rule):
            assert set(re.findall(r"\boptions\.([a-z0-9_]+)", text)) <= readable, text


@every_provider
def test_every_derived_word_is_used(provider: Provider) -> None:
    used = {name for text in texts(list(default_rules(provider))) for name in re.findall(r"options\.(\w+)", text)}
    assert set(provider.derived) <= used


@every_provider
def test_derived_words_and_settings_have_different_names(provider: Provider) -> None:
    assert not {each.name for each in provider.settings} & set(provider.derived)


@every_provider
def test_no_secret_is_an_option(provider: Provider) -> None:
    options = provider.options(settings_of(provider.name), {})
    assert not {each.name for each in provider.settings if each.secret} & set(options)


@every_provider
def test_whats_required_has_no_default_and_the_rest_has_one_that_fits(provider: Provider) -> None:
    for each in provider.settings:
        assert each.required is (each.name in CREDENTIALS[provider.name]), each.name
        assert not (each.required and each.default), each.name
        if each.kind == "choice":
            assert each.default in dict(each.choices), each.name
        if each.kind == "boolean":
            assert isinstance(each.default, bool), each.name
        if each.secret:
            assert each.required, each.name


@every_provider
def test_what_may_be_sent_again_does_not_count_twice(provider: Provider) -> None:
    for name, action in provider.actions.items():
        assert not (action.repeatable and action.adds_value), name
        assert not (action.batch > 1 and not action.repeatable), name


@every_provider
@pytest.mark.parametrize("facts", FACTS, ids=lambda path: path.stem)
def test_every_rule_renders_or_skips_whatever_the_event(provider: Provider, facts: Path) -> None:
    """Derived words and mappings bear any event, also one that is none of theirs."""
    known = facts_of(facts.stem)
    options = provider.options(settings_of(provider.name), known)
    json.dumps(options)
    for rule in files.compile(files.load_default(provider.name)).for_kind(known["event"]["kind"]):
        if rule.applies({**known, "options": options}):
            payload = rule.render({**known, "options": options})
            required = provider.actions[rule.action].required
            assert isinstance(payload, Skip) or not required - payload.keys(), rule.name


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_payloads(path: Path) -> None:
    case = golden(path)
    payload = render(path.parent.name, case["facts"], case["rule"], **case.get("settings", {}))
    assert json.dumps(payload) == json.dumps(case["payload"])  # the order of the fields included


@every_provider
def test_every_rule_that_sends_has_a_golden_payload(provider: Provider) -> None:
    shown = {golden(path)["rule"] for path in GOLDEN if path.parent.name == provider.name}
    assert shown == {rule["name"] for rule in default_rules(provider) if "skip" not in rule}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_payloads_have_no_complaints_and_nothing_empty(path: Path) -> None:
    case = golden(path)
    provider = PROVIDERS[path.parent.name]
    found = files.compile(files.load_default(provider.name)).by_name(case["rule"])
    assert found is not None
    facts = with_options(provider.name, facts_of(case["facts"]), **case.get("settings", {}))
    assert provider.actions[found.action].check(case["payload"], facts) == []
    emptied = {"products"} if "emptied" in path.stem else set()
    assert not {name for name, value in _members(case["payload"]) if value in (None, "", [], {})} - emptied


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name, each
            yield from _members(each)
    elif isinstance(value, list):
        for each in value:
            yield from _members(each)


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_facts_files_have_the_shape_of_the_normalized_model(path: Path) -> None:
    facts = facts_of(path.stem)
    for name, kind in (("order", events.Order), ("cart", events.Cart), ("checkout", events.Checkout)):
        if name in facts:
            _has_shape(facts[name], kind, name)


def _has_shape(value: Any, kind: type, path: str) -> None:
    hints = get_type_hints(kind)
    assert set(value) <= {each.name for each in fields(kind)}, path
    for name, each in value.items():
        inner = [part for part in (hints[name], *get_args(hints[name])) if isinstance(part, type)]
        shape = next((part for part in inner if is_dataclass(part)), None)
        if shape is not None:
            for one in each if isinstance(each, list) else [each]:
                _has_shape(one, shape, f"{path}.{name}")


def test_a_rule_that_only_skips_can_never_be_sent() -> None:
    with pytest.raises(AssertionError):
        call("sprii", "nothing", [{}])


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("sprii", [(5, 1)]),
        ("spotler", [(5, 1)]),
        ("seeka", [(20, 1)]),
        ("gameball", [(30, 1), (360, 30)]),
        ("esputnik", [(10, 1)]),
    ],
)
def test_limits(name: str, requests: list[tuple[int, int]]) -> None:
    provider = PROVIDERS[name]
    assert [(each.requests, each.seconds) for each in provider.limits] == requests
    assert provider.shared_limits is (name == "seeka")
    assert provider.lane == ("customerId" if name == "gameball" else None)


def test_text_settings_are_trimmed() -> None:
    assert settings_of("spotler", account_id=" 12 \n")["account_id"] == "12"


@pytest.mark.parametrize(
    ("host", "configured", "address"),
    [
        (None, None, "https://esputnik.com/api"),
        ("yespo.io", None, "https://yespo.io/api"),
        ("yespo.io", "http://127.0.0.1:9/api/", "http://127.0.0.1:9/api"),
    ],
)
def test_the_environments_address_wins_over_the_merchants_host(
    host: str | None, configured: str | None, address: str
) -> None:
    given = {"host": host} if host else {}
    assert PROVIDERS["esputnik"].address(settings_of("esputnik", **given), configured) == address
