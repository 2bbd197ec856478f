"""Said: the services' sentences in the reader's language.

Services speak English: what they say may be stored, printed or mailed, and read in another language later. So a
sentence is marked where it is written, and translated where it is shown. What was put into it is found by its form.
"""

from __future__ import annotations

import re
from functools import lru_cache
from gettext import NullTranslations
from typing import NamedTuple

from flask import has_request_context
from flask_babel import get_domain, get_locale

from app.providers.marks import mark

__all__ = ["mark", "said"]

_PLACE = re.compile(r"\{(\w+)\}")
_BETWEEN = re.compile("(, |: |; )")


class _Known(NamedTuple):
    """What a catalogue has."""

    texts: NullTranslations
    forms: tuple[tuple[re.Pattern[str], str], ...]  #: with places; the one that says most first
    sentences: tuple[str, ...]  #: those that may stand beside others


def said(text: str | None) -> str:
    """``text`` in the reader's language: a sentence of ours, or several; all else, and outside of a page, as it is."""
    if not text:
        return ""  # which would be the catalogue's own head
    if not has_request_context() or str(get_locale()) == "en":
        return str(text)
    return _said(str(text), _known(get_domain().get_translations()))


def _said(text: str, known: _Known) -> str:
    translated = known.texts.gettext(text)
    return _filled(text, known) or _joined(text, known) or text if translated == text else translated


def _filled(text: str, known: _Known) -> str | None:
    for pattern, form in known.forms:
        if found := pattern.fullmatch(text):
            values = {name: _listed(value, known) for name, value in found.groupdict().items()}
            return known.texts.gettext(form).format(**values)
    return None


def _joined(text: str, known: _Known) -> str | None:
    for sentence in known.sentences:
        if text.startswith(f"{sentence} "):
            return f"{known.texts.gettext(sentence)} {_said(text[len(sentence) + 1 :], known)}"
        if text.endswith(f" {sentence}"):
            return f"{_said(text[: -len(sentence) - 1], known)} {known.texts.gettext(sentence)}"
    return None


def _listed(value: str, known: _Known) -> str:
    """What stood in a place: where it is several things, each by itself."""
    if not value or (whole := _said(value, known)) != value:
        return value and whole
    parts = _BETWEEN.split(value)
    return "".join(each if odd % 2 or not each else _said(each, known) for odd, each in enumerate(parts))


@lru_cache(8)
def _known(texts: NullTranslations) -> _Known:
    # gettext has no other way to tell what is in a catalogue.
    ids = [each for each in getattr(texts, "_catalog", {}) if isinstance(each, str) and each]
    forms = sorted((each for each in ids if _PLACE.search(each)), key=len, reverse=True)
    sentences = [each for each in ids if each.endswith(".") and "%(" not in each and not _PLACE.search(each)]
    return _Known(texts, tuple((_pattern(each), each) for each in forms), tuple(sentences))


def _pattern(form: str) -> re.Pattern[str]:
    """A form as an expression; the text between its places, and each place by its name."""
    parts = _PLACE.split(form)
    return re.compile(
        "".join(f"(?P<{each}>.*)" if odd % 2 else re.escape(each) for odd, each in enumerate(parts)), re.S
    )
