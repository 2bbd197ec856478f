"""What an answer means where its provider says nothing else about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.providers.base import Answer
from app.providers.errors import DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.marks import mark
from app.providers.texts import said

LONGEST_WAIT = 86_400.0  #: seconds; more than that asked for in Retry-After is not believed


def classify(answer: Answer, *, who: str = "the provider") -> DeliveryError | None:
    """What a status means where a provider says nothing else; None for 2xx."""
    status = answer.status
    if status // 100 == 2:
        return None
    words = said(answer) if status // 100 != 3 else mark("a redirect, which is not followed")
    text = mark("{who} answered {status}").format(who=who, status=status) + (f": {words}" if words else "")
    if status in {401, 403}:
        return Unauthorized(text)
    if status in {408, 425, 429} or status >= 500:
        return Unavailable(text, retry_after=retry_after(answer.headers))
    return Refused(text)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, from ``Retry-After-Ms``, or ``Retry-After`` in seconds or as a date; None where unsaid."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        text = headers.get(name, "").strip()
        if text.replace(".", "", 1).isdecimal() and text.isascii():
            return min(float(text) / unit, LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0), LONGEST_WAIT)
