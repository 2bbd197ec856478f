"""How long whoever asks Shopify waits for all calls together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Of `time.monotonic`: until when.
until: ContextVar[float] = ContextVar("patience", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let all calls that this thread makes meanwhile take no longer than that together."""
    token = until.set(min(time.monotonic() + seconds, until.get()))
    try:
        yield
    finally:
        until.reset(token)
