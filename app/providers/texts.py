"""Short, harmless texts out of providers' answers: they are shown to merchants and kept in logs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from app.providers.base import Answer

_SCRIPT = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,500}>")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")
_EMAIL = re.compile(r"[^\s@<>\"'(),;:=\[\]{}]{1,64}(?:@|%40)[^\s@<>\"'(),;:=\[\]{}]{1,255}", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"\b(bearer|basic|token|secret|password|passwd|api[ _-]?key|secret[ _-]?key|authorization)(\s*[:=]\s*|\s+)"
    r"(?=[^\s,;]*[\d+/=_-])[^\s,;]{6,}",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?<![\w+/=-])(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{20,}")
_NUMBER = re.compile(r"(?<![\w])\+?\(?\d(?:[ ().\-/]{0,2}\d){6,}(?!\w)")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without what looks like an e-mail address, a phone number or a credential."""
    for secret in sorted((each for each in secrets if each), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    text = _EMAIL.sub("[email]", text)
    text = _CREDENTIAL.sub(r"\1\2[secret]", text)
    text = _LONG.sub("[secret]", text)
    return _NUMBER.sub("[number]", text)


def short(text: str, longest: int = 200) -> str:
    """One line of plain text, without halves of surrogate pairs, which no database takes."""
    text = text.encode("utf-8", "replace").decode()
    text = _BLANK.sub(" ", _TAG.sub(" ", _SCRIPT.sub(" ", text))).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def said(answer: Answer) -> str:
    """What an error body says, in one redacted line; empty where it says nothing."""
    body = answer.json()
    words = list(_words(body)) if isinstance(body, dict | list) else []
    return short(redact(short("; ".join(words) if words else answer.text(4000), 2000)))


def _words(body: Any, depth: int = 0) -> Iterable[str]:
    """The texts under the names that error bodies use, else everything that is text."""
    if isinstance(body, str | int | float) and not isinstance(body, bool):
        yield str(body)
    elif isinstance(body, list) and depth < 4:
        for each in body[:5]:
            yield from _words(each, depth + 1)
    elif isinstance(body, dict) and depth < 4:
        named = [body[key] for key in _NAMES if body.get(key)]
        for each in named or list(body.values())[:5]:
            yield from _words(each, depth + 1)


_NAMES = ("code", "message", "error", "errors", "error_description", "detail", "reason", "title")
