"""Traces by OpenTelemetry, from a webhook's receipt to each try of what it brought about; off unless somebody listens.

The ids of a webhook's trace are worked out from its dedup key. So the process that tries a delivery, perhaps days later
and on another machine, adds to the same trace without anything being kept for that, and a span that is told twice stays
one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_FAILED = {"unavailable", "not made", "unauthorized", "needs mending", "refused", "answer lost", "failed"}


class _Tracing:
    """One process's."""

    def __init__(self) -> None:
        self.provider: TracerProvider | None = None
        self.tracer: Tracer | None = None
        self.chosen = threading.local()  #: the ids of the span that is about to be made


_tracing = _Tracing()


def start(endpoint: str) -> None:
    """Send spans to ``endpoint`` (OTLP over HTTP, without its path), from a thread of their own; nowhere if empty.

    The library's own settings count beside it: ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER`` and so on.
    """
    if not endpoint or _tracing.provider:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # optional
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Chosen(RandomIdGenerator):
        def generate_span_id(self) -> int:
            return int(_tracing.chosen.span)

        def generate_trace_id(self) -> int:
            return int(_tracing.chosen.trace)

    resource = Resource.create({"service.name": "tillwire", "service.version": version("tillwire")})
    _tracing.provider = TracerProvider(resource=resource, id_generator=Chosen())
    _tracing.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    _tracing.tracer = _tracing.provider.get_tracer("tillwire", version("tillwire"))


def stop() -> None:
    """Send what is waiting, and no more."""
    if _tracing.provider:
        _tracing.provider.shutdown()
    _tracing.provider = _tracing.tracer = None


def on() -> bool:
    return _tracing.tracer is not None


def webhook(key: str, begun: datetime, ended: datetime, about: Mapping[str, Any]) -> None:
    """The first span of a trace: from the receipt of the webhook with that dedup key until it was accounted for."""
    _span("webhook", key, "", begun, ended, about)


def attempt(key: str, number: int, begun: datetime, ended: datetime, outcome: str, about: Mapping[str, Any]) -> None:
    """A try of a delivery that the webhook with that dedup key brought about; ``number`` is the attempt's."""
    _span("attempt", key, f"attempt {number}", begun, ended, {**about, "outcome": outcome}, failed=outcome in _FAILED)


def _span(
    name: str,
    key: str,
    part: str,
    begun: datetime,
    ended: datetime,
    about: Mapping[str, Any],
    *,
    failed: bool = False,
) -> None:
    from opentelemetry import trace

    if _tracing.tracer is None:
        return
    root = trace.SpanContext(_id(f"trace {key}", 16), _id(f"span {key}", 8), True, trace.TraceFlags(1))
    context = trace.set_span_in_context(trace.NonRecordingSpan(root)) if part else None
    _tracing.chosen.trace, _tracing.chosen.span = root.trace_id, _id(f"span {key} {part}", 8) if part else root.span_id
    span = _tracing.tracer.start_span(
        name,
        context,
        kind=trace.SpanKind.CLIENT if part else trace.SpanKind.CONSUMER,
        attributes={f"tillwire.{each}": value for each, value in about.items() if value is not None},
        start_time=_nanoseconds(begun),
    )
    if failed:
        span.set_status(trace.Status(trace.StatusCode.ERROR))
    span.end(_nanoseconds(ended))


def _id(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size]) or 1


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
