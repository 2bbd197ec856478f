"""The golden payloads as real requests to the simulators, which know the contracts and nothing of our code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from app.providers import http
from app.providers.base import Accepted, Outcome
from app.providers.registry import PROVIDERS
from app.simulators.providers import ProvidersServer
from mappings import files
from tests.providers.shown import TESTS, render, settings_of

GOLDEN = sorted((TESTS / "golden").glob("*/*.json"))
#: What a simulator wants to have seen before.
BEFORE = {"gameball": ("order_paid", "order"), "esputnik": ("order_paid", "order")}


@pytest.fixture(params=["requests", "lean"])
def simulators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProvidersServer]:
    """Called in either way."""
    monkeypatch.setattr(http, "new_session", http.TRANSPORTS[request.param])
    with ProvidersServer() as server:
        yield server


def send(server: ProvidersServer, name: str, facts: str, rule: str, settings: dict[str, Any]) -> list[Outcome]:
    provider = PROVIDERS[name]
    found = files.compile(files.load_default(name)).by_name(rule)
    assert found is not None
    with http.new_session() as session:
        return http.call(
            provider,
            provider.actions[found.action],
            [render(name, facts, rule, **settings)],
            settings_of(name, **settings),
            base_url=provider.address({}, server.base(name)),
            session=session,
            allow_private=True,
        )


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_simulator_accepts_every_golden_payload(simulators: ProvidersServer, path: Path) -> None:
    case, name = json.loads(path.read_text()), path.parent.name
    if name in BEFORE:
        send(simulators, name, *BEFORE[name], {})
    outcomes = send(simulators, name, case["facts"], case["rule"], case.get("settings", {}))
    assert [type(each) for each in outcomes] == [Accepted]
    with urlopen(f"{simulators.url}/_sim/violations") as answer:
        assert json.loads(answer.read())["violations"] == []


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
def test_a_simulator_passes_the_connection_test(simulators: ProvidersServer, provider: Any) -> None:
    settings = settings_of(provider.name)
    with http.new_session() as session:
        verdict = http.probe(
            provider,
            provider.test(settings),
            settings,
            base_url=simulators.base(provider.name),
            session=session,
            allow_private=True,
        )
    assert verdict == "accepted"
