"""Conversions of moments, which facts write as ISO 8601 text: ``2026-03-02T09:15:30Z``."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from mappings.errors import MappingError, kind_of


def iso_time(value: Any) -> str:
    """UTC without fraction: ``2026-03-02T09:15:30Z``."""
    return f"{_parts(value)[0]}Z"


def iso_time_ms(value: Any) -> str:
    """UTC with milliseconds: ``2026-03-02T09:15:30.000Z``."""
    seconds, fraction = _parts(value)
    return f"{seconds}.{fraction}Z"


def iso_offset(value: Any) -> str:
    """UTC with a written offset, without fraction: ``2026-03-02T09:15:30+00:00``."""
    return f"{_parts(value)[0]}+00:00"


def unix_seconds(value: Any) -> int:
    """Seconds since 1970, without fraction."""
    return int(datetime.fromisoformat(iso_time(value)).timestamp())


def _parts(value: Any) -> tuple[str, str]:
    """The moment in UTC to the second, and its milliseconds."""
    if not isinstance(value, str):
        raise MappingError(f"{kind_of(value)} is not a moment")
    return _read(value)


@lru_cache(maxsize=1024)  # every destination reads the same moments of an order
def _read(given: str) -> tuple[str, str]:
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            raise MappingError("a moment needs its offset from UTC, or Z")
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        raise MappingError("text is not a moment") from None
    return text[:19], text[20:23]
