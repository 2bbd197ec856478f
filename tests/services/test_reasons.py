"""Every reason that our own code or default mappings can give has its sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.models import DeliveryState
from app.providers.registry import PROVIDERS
from app.services.reasons import SKIPPED, sentence

ROOT = Path(__file__).parents[2]


def reasons_in_code() -> set[str]:
    """Literal and named reasons of the services."""
    found = set()
    for path in sorted((ROOT / "app" / "services").glob("*.py")):
        text = path.read_text()
        found |= set(re.findall(r'Skip\("(\w+)"\)', text))
        found |= set(
            re.findall(r'^(?:ALREADY_SENT|NOT_CANCELLED|NOTHING_TO_REVERSE|BEFORE_START) = "(\w+)"', text, re.MULTILINE)
        )
    return found


def reasons_in_mappings() -> set[str]:
    found = set()
    for name in PROVIDERS:
        text = (ROOT / "mappings" / "defaults" / f"{name}.toml").read_text()
        found |= set(re.findall(r'^skip = "(\w+)"', text, re.MULTILINE))
        found |= set(re.findall(r'reason = "(\w+)"', text))
        found |= {word for line in re.findall(r"skip_without = (.*)", text) for word in re.findall(r'= "(\w+)"', line)}
    return found


def test_every_reason_has_its_sentence_and_no_sentence_is_without_its_reason() -> None:
    assert reasons_in_code() | reasons_in_mappings() == set(SKIPPED)


@pytest.mark.parametrize("state", list(DeliveryState))
def test_every_state_has_a_sentence(state: DeliveryState) -> None:
    assert sentence(state, None).endswith((".", "no reason was given"))


def test_what_a_mapping_of_the_merchant_says_is_shown() -> None:
    assert sentence(DeliveryState.SKIPPED, "too_small") == "Your mapping skips it: too_small"
    assert sentence(DeliveryState.HELD, "the key was refused") == (
        "It is kept until something is mended, and goes out by itself then: the key was refused"
    )
    assert sentence(DeliveryState.DELIVERED, "already applied") == "The provider accepted it: already applied"
