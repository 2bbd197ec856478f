"""Errors reported to Sentry, without anything that a store or a person said.

What is sent is put together here from a short list: the kinds of the errors, where in the code they arose, the log
line's text without what was filled in, and the ids of rows. Sentry's own scrubbing takes away what it recognises; this
sends nothing else to begin with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from app import ids

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_KEPT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment")
_OF_FRAMES = ("filename", "module", "function", "lineno", "in_app")
_OURS = ("app.", "connectors.", "mappings.")


def start(dsn: str, environment: str) -> None:
    """Report every error that is logged, from here on and in the whole process; nothing without a ``dsn``."""
    if not dsn:
        return
    import sentry_sdk  # optional, and half a megabyte that others can do without
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=f"tillwire@{version('tillwire')}",
        before_send=scrub,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR),
            ExcepthookIntegration(),
            AtexitIntegration(callback=lambda _pending, _seconds: None),
        ],
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        propagate_traces=False,
    )


def scrub(event: Event, hint: Hint) -> Event:
    """``event`` made anew of what says nothing of anybody."""
    given: Mapping[str, Any] = event
    found: dict[str, Any] = {name: given[name] for name in _KEPT if name in given}
    record = hint.get("log_record")
    about = ids.of(record) if isinstance(record, logging.LogRecord) else ids.current()
    found["tags"] = {name: str(value) for name, value in about.items()}
    if isinstance(record, logging.LogRecord) and record.name.startswith(_OURS):
        found["logentry"] = {"message": str(record.msg)}  # others may have written what they speak of into it
    values = (given.get("exception") or {}).get("values") or []
    if values:
        found["exception"] = {"values": [_error(each) for each in values]}
    return found  # type: ignore[return-value]


def _error(value: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of an error and its way through the code; what it says may hold anything."""
    frames = (value.get("stacktrace") or {}).get("frames") or []
    kept = [{name: frame[name] for name in _OF_FRAMES if name in frame} for frame in frames]
    return {"type": value.get("type"), "module": value.get("module"), "stacktrace": {"frames": kept}}
