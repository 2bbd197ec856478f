"""What the page benchmark stands on: a stock of made-up orders that looks like a real one, and every page of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import factory
from app.models import Attempt, Delivery, Event, Ledger, Shop, Tally, Webhook
from app.services import orders
from bench import machine, pages, stock

EVENTS = 400


@pytest.fixture
def url(either_url: str) -> str:
    stock.build(either_url, EVENTS)
    return either_url


def test_a_stock_has_orders_of_several_shops_and_all_that_came_of_them(url: str, tmp_path: Path) -> None:
    with machine.opened({**machine.environment(tmp_path), "DATABASE_URL": url}) as parts, parts.db.read() as session:
        tables = (Webhook, Event, Ledger, Delivery)
        numbers = [session.scalar(select(func.count()).select_from(each)) for each in tables]
        assert numbers == [EVENTS, EVENTS, EVENTS // 4, EVENTS // 4 * 7]
        assert (session.scalar(select(func.count()).select_from(Attempt)) or 0) > EVENTS
        assert (session.scalar(select(func.count()).select_from(Tally)) or 0) > 0
        large = session.scalars(select(Shop).order_by(Shop.id)).first()
        assert large is not None
        key = session.scalars(select(Ledger.key).where(Ledger.shop_id == large.id)).all()[0]
        for wanted in (key, f"{key}-1", stock.EMAIL.format(key)):
            assert [each.key for each in orders.find(session, large.id, wanted)] == [key]


def test_every_page_of_a_merchant_is_measured_or_said_to_be_left_out(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SOME", 20)
    stock.build(database_url, EVENTS)
    ours = {"DATABASE_URL": database_url, "PUBLIC_URL": "http://127.0.0.1:1", "LOG_LEVEL": "INFO"}
    settings = {**machine.environment(tmp_path), **ours}
    _, found = pages.prepare(settings)
    named = {page.name for page in found}
    with machine.opened(settings) as parts:
        app = factory.create_app(parts)
    mine = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and "shop_id" in rule.arguments
    }
    assert mine - named == {"deliveries.csv"}
    assert "connect_woocommerce.attempt: not measured, nothing is known for attempt_id" in capsys.readouterr().out
    assert all("<" not in page.address() for page in found)
