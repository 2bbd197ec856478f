"""A store that was just connected does not report its past: an old order that somebody edits is no new purchase."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.models import Connection, ConnectionState, Shop
from app.services import replay
from tests.bodies import woocommerce_order
from tests.rig import Rig

PAID_AT = datetime(2026, 11, 21, 2, 10, 8, tzinfo=UTC)


def connect(rig: Rig, shop: int, at: datetime) -> None:
    with rig.db.write() as session:
        session.execute(update(Shop).where(Shop.id == shop).values(created_at=at))
        session.add(Connection(shop_id=shop, state=ConnectionState.CONNECTED, scopes=[], installed_at=at))


@pytest.mark.parametrize(
    ("connected", "states"),
    [
        (PAID_AT.replace(day=22, hour=3), [("process_orders", "skipped", "before_start")]),
        (PAID_AT.replace(day=22, hour=1), [("process_orders", "delivered", None)]),  # within a day: it may be a trial
        (PAID_AT.replace(day=20), [("process_orders", "delivered", None)]),
    ],
)
def test_what_was_paid_before_the_store_was_connected_is_not_sent(
    rig: Rig, connected: datetime, states: list[tuple[str, str, str | None]]
) -> None:
    shop = rig.shop("woocommerce")
    connect(rig, shop, connected)
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    assert rig.states() == states


def test_a_store_added_by_hand_has_no_such_moment(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    with rig.db.write() as session:
        session.execute(update(Shop).values(created_at=datetime(2027, 6, 1, tzinfo=UTC)))
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]


def test_a_person_may_send_it_all_the_same(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    connect(rig, shop, datetime(2027, 6, 1, tzinfo=UTC))
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    with rig.db.write() as session:
        chosen = replay.choose(session, ids=[1])
        assert replay.replay(session, chosen, force=False, dry_run=False)["replayed"] == 1
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]


def test_switching_on_for_past_days_reaches_behind_the_start(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    connect(rig, shop, datetime(2027, 6, 1, tzinfo=UTC))
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.account()
    rig.set(shop, "sprii", mode="live", api_key="sprii-key", last_days=36500)
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]


SHOPIFY = json.loads((Path(__file__).parent.parent / "fixtures" / "shopify" / "orders_paid__worked_a.json").read_text())
PLACED, PAID, CONNECTED = "2026-03-02T09:00:00Z", "2026-03-12T09:00:00Z", datetime(2026, 3, 10, tzinfo=UTC)


def shopify(rig: Rig, topic: str, **fields: Any) -> None:
    body = {**SHOPIFY, "created_at": PLACED, "processed_at": PLACED, "updated_at": PAID, **fields}
    body["note_attributes"] = [{"name": "sprii_order_no", "value": "5934-14"}]
    rig.shopify(topic, body)
    rig.work()


def connected_shopify(rig: Rig) -> None:
    shop = rig.shop("shopify")
    connect(rig, shop, CONNECTED)
    rig.switch_on(shop, "sprii")


def paid_events(rig: Rig) -> list[str]:
    return [each["occurred_at"] for each in rig.events(state="understood") if each["kind"] == "order.paid"]


OLD = [("process_orders", "skipped", "before_start")]
NEW = [("process_orders", "delivered", None)]


def test_an_old_paid_order_of_shopify_that_is_edited_is_no_new_purchase(rig: Rig) -> None:
    connected_shopify(rig)
    shopify(rig, "orders/updated")
    assert (rig.states(), paid_events(rig)) == (OLD, [PLACED])


def test_an_order_imported_into_shopify_is_as_old_as_it_says(rig: Rig) -> None:
    connected_shopify(rig)
    shopify(rig, "orders/paid", created_at=PAID)
    assert (rig.states(), paid_events(rig)) == (OLD, [PLACED])


def test_an_old_order_that_is_paid_after_the_start_is_sent(rig: Rig) -> None:
    connected_shopify(rig)
    shopify(rig, "orders/paid")
    assert (rig.states(), paid_events(rig)) == (NEW, [PAID])


def test_it_is_sent_once_also_where_another_topic_overtakes_the_one_that_says_so(rig: Rig) -> None:
    connected_shopify(rig)
    shopify(rig, "orders/updated", updated_at="2026-03-12T09:00:01Z")
    assert rig.states() == OLD
    for _ in range(2):
        shopify(rig, "orders/paid")
    assert (rig.states(), paid_events(rig)) == (NEW, [PAID])
    assert len(rig.received("sprii")) == 1


def test_what_turns_out_to_be_old_by_its_payments_stays_unsent(rig: Rig) -> None:
    connected_shopify(rig)
    shopify(rig, "orders/updated")
    sale = {"kind": "sale", "status": "success", "processed_at": "2026-03-03T09:00:00Z"}
    shopify(rig, "orders/updated", updated_at="2026-03-13T09:00:00Z", transactions=[sale])
    assert (rig.states(), paid_events(rig)) == (OLD, [PLACED])


def test_what_a_person_sent_by_hand_is_not_sent_again_when_the_payment_is_dated(rig: Rig) -> None:
    connected_shopify(rig)
    shopify(rig, "orders/updated")
    with rig.db.write() as session:
        replay.replay(session, replay.choose(session, ids=[1]), force=False, dry_run=False)
    rig.work()
    shopify(rig, "orders/paid")
    assert rig.states() == NEW
    assert len(rig.received("sprii")) == 1
