"""A day of a shop begins at its own midnight, and is as long as its clock makes it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from app.models import Shop
from app.services.day import bounds, today, zone_of

COPENHAGEN = ZoneInfo("Europe/Copenhagen")


@pytest.mark.parametrize(
    ("day", "since", "until"),
    [
        (date(2026, 11, 21), datetime(2026, 11, 20, 23, tzinfo=UTC), datetime(2026, 11, 21, 23, tzinfo=UTC)),
        (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        (date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ],
)
def test_a_day_reaches_from_midnight_to_midnight_on_the_shops_clock(
    day: date, since: datetime, until: datetime
) -> None:
    assert bounds(day, COPENHAGEN) == (since, until)


def test_which_day_it_is_depends_on_where_the_shop_is() -> None:
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    assert today(COPENHAGEN, late) == date(2026, 11, 22)
    assert today(ZoneInfo("UTC"), late) == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"facts": {"timezone": "Europe/Copenhagen"}}, "Europe/Copenhagen"),
        ({"facts": {}}, "UTC"),
        ({}, "UTC"),
        ({"facts": {"timezone": None}}, "UTC"),
        ({"facts": {"timezone": "Atlantis/Capital"}}, "UTC"),
        ({"facts": {"timezone": "../../etc/passwd"}}, "UTC"),
    ],
)
def test_a_zone_that_is_not_known_is_utc(settings: dict[str, object], name: str) -> None:
    assert zone_of(Shop(settings=settings)).key == name
