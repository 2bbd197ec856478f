"""Declared: texts for translators that stand in declarations, where a mark on each would hide the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.providers.base import Provider, Setting
from app.providers.registry import PROVIDERS
from app.services import fact_shapes
from app.services.conversion_words import CONVERSIONS
from app.services.mapping_words import FACTS, ROOTS


def extract(*_file: Any, **_options: Any) -> Iterator[tuple[int, str, str, list[str]]]:
    """As Babel calls it, for one file that stands for them all: lines, functions, texts, comments."""
    return ((0, "gettext", text, []) for text in dict.fromkeys(texts()) if text)


def texts() -> Iterator[str]:
    yield from ROOTS.values()
    yield from FACTS.values()
    yield from _facts()
    for conversion in CONVERSIONS.values():
        yield from (conversion.label, conversion.help)
    for provider in PROVIDERS.values():
        yield from _of(provider)


def _facts() -> Iterator[str]:
    """The names of facts that are words as they are."""
    for provider in PROVIDERS.values():
        for name in (*fact_shapes.names(provider), *provider.derived):
            if name not in FACTS:
                yield name.replace("_", " ")


def _of(provider: Provider) -> Iterator[str]:
    yield from provider.hints
    for setting in provider.settings:
        yield from _of_setting(setting)
    for action in provider.actions.values():
        yield action.title
        yield from (each.meaning for each in action.fields.values())
        yield from (each.help for each in action.custom)


def _of_setting(setting: Setting) -> Iterator[str]:
    yield from (setting.label, setting.help)
    if setting.kind == "choice":
        yield from (label for _, label in setting.choices)
    if setting.pattern:
        yield setting.pattern[1]
