"""From facts to payload to request, as the delivery service does it; for the providers' tests."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from app.providers import http
from app.providers.base import Answer, Outcome
from app.providers.registry import PROVIDERS
from mappings import files
from mappings.engine import Skip

TESTS = Path(__file__).parent.parent
CREDENTIALS = {
    "sprii": {"api_key": "SPRII_API_KEY"},
    "spotler": {"account_id": "SQZL_ACCOUNT_ID", "api_key": "SQZL_API_KEY"},
    "seeka": {"organisation_id": "SEEKA_ORG_ID", "public_key": "SEEKA_PUBLIC_KEY"},
    "gameball": {"api_key": "API_KEY", "secret_key": "SECRET_KEY"},
    "esputnik": {"api_key": "API_KEY"},
}


def facts_of(name: str, **changes: Any) -> dict[str, Any]:
    """The facts file ``name``; ``order__test=True`` changes a field, None takes it away."""
    facts: dict[str, Any] = json.loads((TESTS / "facts" / f"{name}.json").read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = facts
        for parent in parents:
            at = at[int(parent)] if isinstance(at, list) else at.setdefault(parent, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return facts


def settings_of(provider: str, **given: Any) -> dict[str, Any]:
    return PROVIDERS[provider].complete({**CREDENTIALS[provider], **given})


def with_options(provider: str, facts: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {**facts, "options": PROVIDERS[provider].options(settings_of(provider, **given), facts)}


def rules(provider: str, facts: dict[str, Any], **given: Any) -> list[str]:
    """The names of the rules that owe a delivery for these facts."""
    mapping = files.compile(files.load_default(provider))
    whole = with_options(provider, facts, **given)
    return [rule.name for rule in mapping.for_kind(facts["event"]["kind"]) if rule.applies(whole)]


def render(provider: str, facts: dict[str, Any] | str, rule: str, **given: Any) -> Any:
    """The payload of one rule, or its `Skip`; complete as the action demands."""
    known = facts_of(facts) if isinstance(facts, str) else facts
    found = files.compile(files.load_default(provider)).by_name(rule)
    assert found is not None, rule
    before = copy.deepcopy(known)
    payload = found.render(with_options(provider, known, **given))
    assert known == before
    if not isinstance(payload, Skip):
        assert not PROVIDERS[provider].actions[found.action].required - payload.keys()
    return payload


def complaints(provider: str, facts: dict[str, Any] | str, rule: str, **given: Any) -> list[str]:
    known = facts_of(facts) if isinstance(facts, str) else facts
    found = files.compile(files.load_default(provider)).by_name(rule)
    assert found is not None
    whole = with_options(provider, known, **given)
    return PROVIDERS[provider].actions[found.action].check(found.render(whole), whole)  # type: ignore[arg-type]


def call(
    provider: str, action: str, payloads: list[dict[str, Any]], seen: list[Answer] | None = None, **given: Any
) -> list[Outcome]:
    declared = PROVIDERS[provider]
    chosen = settings_of(provider, **given)
    with http.new_session() as session:
        return http.call(
            declared,
            declared.actions[action],
            payloads,
            chosen,
            base_url=declared.address(chosen),
            session=session,
            seen=seen,
        )


def verdict_of(provider: str, **given: Any) -> str:
    """The connection test's verdict."""
    declared = PROVIDERS[provider]
    chosen = settings_of(provider, **given)
    assert declared.test is not None
    with http.new_session() as session:
        return http.probe(declared, declared.test(chosen), chosen, base_url=declared.address(chosen), session=session)
