"""Moments, amounts and numbers as a merchant reads them; and that every text can be translated."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask, g

from app.models import Shop
from app.web import texts
from tests.catalogues import collect


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask("pages")
    texts.init(app)
    with app.test_request_context():
        g.shop = Shop(settings={"facts": {"timezone": "Europe/Copenhagen"}})
        yield app


def test_a_moment_is_on_the_shops_clock_and_exact_for_programs(app: Flask) -> None:
    winter, summer = datetime(2026, 11, 21, 23, 30, tzinfo=UTC), datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    assert texts.local_time(winter) == '<time datetime="2026-11-21T23:30:00Z">22 Nov 2026, 00:30</time>'
    assert texts.local_time(summer) == '<time datetime="2026-07-01T23:30:00Z">2 Jul 2026, 01:30</time>'
    assert texts.local_time(None) == "&ndash;"


def test_without_a_shop_the_clock_is_utc(app: Flask) -> None:
    del g.shop
    assert texts.zone().key == "UTC"


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        ("1234.5", "EUR", "€1,234.50"),
        (Decimal("100"), "DKK", "DKK\xa0100.00"),
        ("-5", "EUR", "-€5.00"),
        ("1980", "JPY", "¥1,980"),
        ("3.10", None, "3.1"),
        (None, "EUR", "–"),
    ],
)
def test_an_amount_stands_with_its_currency(
    app: Flask, amount: Decimal | str | None, currency: str | None, said: str
) -> None:
    assert texts.money(amount, currency) == said


def test_numbers_days_and_lengths_of_time_are_in_words(app: Flask) -> None:
    assert texts.count(1234567) == "1,234,567"
    assert texts.local_day(date(2026, 3, 1)) == "1 Mar"
    assert texts.span(timedelta(seconds=7)) == "7 seconds"
    assert texts.span(timedelta(hours=30)) == "1 day"
    assert texts.ago(datetime.now(UTC) - timedelta(minutes=3)) == "3 minutes"


@pytest.mark.parametrize("wanted", ["", "fr-FR,fr;q=0.9", "xx", "en-GB", "*", "\xff"])
def test_a_language_that_is_not_here_is_english(wanted: str) -> None:
    app = Flask("pages")
    texts.init(app)
    with app.test_request_context(headers={"Accept-Language": wanted}):
        assert texts.language() == "en"


def test_the_texts_of_code_and_templates_can_be_collected(tmp_path: Path) -> None:
    found = tmp_path / "messages.pot"
    collect(found)
    collected = found.read_text()
    for text in ("Needs your attention", "The names are saved.", "Your mapping skips it: {reason}", "API key"):
        assert f'"{text}' in collected
