"""A shop's days: where they begin on its own clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.models import Shop


def zone_of(shop: Shop) -> ZoneInfo:
    """As the store said when it was connected; UTC where it said none, or one that is not known here."""
    name = shop.settings.get("facts", {}).get("timezone")
    try:
        return ZoneInfo(name or "UTC")
    except (LookupError, ValueError, OSError):
        return ZoneInfo("UTC")


def today(zone: ZoneInfo, now: datetime) -> date:
    return now.astimezone(zone).date()


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the day began and when the next one does; 23 or 25 hours later where clocks are changed."""
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
