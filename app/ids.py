"""Which request, shop, event and delivery the code is at: what log lines and error reports name, and no more."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

#: Numbers of rows, and of a request; never what a store or a person said.
NAMES = ("request", "shop", "webhook", "event", "delivery")

_about: ContextVar[Mapping[str, object] | None] = ContextVar("about", default=None)


def request() -> str:
    """A new request's id, unless this one has its id already."""
    return str(current().get("request") or secrets.token_hex(8))


def current() -> Mapping[str, object]:
    return _about.get() or {}


def note(**ids: object) -> None:
    """From here on, in this thread or task."""
    _about.set({**current(), **ids})


def forget() -> None:
    _about.set(None)


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Within the block."""
    token = _about.set({**current(), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def of(record: logging.LogRecord) -> dict[str, object]:
    """The ids of a log line: those given with it as ``extra``, else those of where it was written."""
    found = {name: getattr(record, name, None) or current().get(name) for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}
