"""What we answered a store's webhooks is counted by the hour, refusals too, and a store's own alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.db import Database
from app.models import HourlyAnswers, Shop
from app.services import answers
from app.services.answers import Answered, Counts
from tests.bodies import woocommerce_order
from tests.rig import DOMAIN, Rig

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


@pytest.fixture
def shop(database: Database) -> int:
    with database.write() as session:
        for number in (1, 2):
            row = {"id": number, "platform": "shopify", "domain": f"{number}.myshopify.com", "settings": {}}
            session.add(Shop(**row, created_at=NOW))
    return 1


def at(database: Database, shop: int, when: datetime, topic: str, result: str, number: int = 1) -> None:
    with database.write() as session:
        hour = answers._hour(when)
        row = HourlyAnswers(shop_id=shop, hour=hour, topic=topic, result=result, number=number, last_at=when)
        session.add(row)


def test_counts_add_up_over_processes_and_hours(database: Database, shop: int) -> None:
    for _ in range(2):
        counts = Counts(database)
        for result in ("stored", "stored", "duplicate"):
            counts.note(shop, "orders/paid", result)
        counts.note(2, "orders/paid", "stored")
        counts.note(99, "orders/paid", "stored")  # erased meanwhile
        counts.flush()
        counts.flush()
    with database.read() as session:
        found = answers.lately(session, shop, datetime.now(UTC))
    assert [(each.result, each.number) for each in found] == [("stored", 4), ("duplicate", 2)]


def test_what_could_not_be_written_waits_on(database: Database, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(database)
    counts.note(shop, "orders/paid", "stored")
    monkeypatch.setattr(answers, "_known_shops", lambda *_: 1 / 0)
    counts.flush()
    counts.note(shop, "orders/paid", "stored")
    monkeypatch.undo()
    counts.flush()
    with database.read() as session:
        assert [each.number for each in answers.lately(session, shop, datetime.now(UTC))] == [2]


def test_only_the_last_day_is_told_and_the_newest_of_each_kind_stays(database: Database, shop: int) -> None:
    for hours in (0, 23, 25, 80, 100):
        at(database, shop, NOW - timedelta(hours=hours), "orders/paid", "stored", number=hours + 1)
    at(database, shop, NOW - timedelta(hours=90), "refunds/create", "stored")
    at(database, shop, NOW - timedelta(hours=1), "carts/update", "unproven")
    at(database, shop, NOW - timedelta(hours=2), "orders/paid", "unproven", number=2)
    assert answers.forget(database, NOW) == 2
    with database.read() as session:
        assert answers.lately(session, shop, NOW) == [
            Answered(result="stored", number=25, last_at=NOW, topics=("orders/paid",)),
            Answered(
                result="unproven",
                number=3,
                last_at=NOW - timedelta(hours=1),
                topics=("carts/update", "orders/paid"),
            ),
        ]
        assert answers.last_by_topic(session, shop) == {
            "orders/paid": NOW,
            "refunds/create": NOW - timedelta(hours=90),
        }


def test_answers_of_both_platforms_are_counted_when_the_server_stops(rig: Rig) -> None:
    store, inside = rig.shop("woocommerce"), rig.shop("shopify")
    body = woocommerce_order(1)
    for _ in range(2):
        rig.woocommerce(store, "order.updated", body)
    path, _secret = rig.endpoint(store, "order.updated")
    wrong = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": "wrong"}
    ping = {"data": "webhook_id=5", "content_type": "application/x-www-form-urlencoded"}
    assert rig.client.post(path, **ping).status_code == 200
    assert rig.client.post(path, data=json.dumps(body), headers=wrong).status_code == 401
    for domain in (DOMAIN, "other.myshopify.com"):
        forged = {"X-Shopify-Topic": "o" * 500, "X-Shopify-Shop-Domain": domain, "X-Shopify-Hmac-Sha256": "wrong"}
        assert rig.client.post("/webhooks/shopify", data=b"{}", headers=forged).status_code == 401
    rig.app.extensions["intake"].close()
    with rig.db.read() as session:
        found = session.execute(select(HourlyAnswers.shop_id, HourlyAnswers.topic, HourlyAnswers.result))
        assert sorted(tuple(row) for row in found) == [
            (store, "order.updated", "duplicate"),
            (store, "order.updated", "ping"),
            (store, "order.updated", "stored"),
            (store, "order.updated", "unproven"),
            (inside, "other", "unproven"),
        ]
