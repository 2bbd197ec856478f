"""Many webhooks accounted for in one transaction: what that saves, and that each still means what it means alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError

from app.db import Database
from app.models import Connection, ConnectionState, Delivery, Event, Ledger, Shop, Webhook
from app.services import books
from app.services.account import BATCH, Accountant
from app.services.books import Books
from app.services.owed import BEFORE_START
from app.services.page import Page
from app.services.route import Router
from tests.bodies import woocommerce_order
from tests.rig import Rig

PAID = json.loads((Path(__file__).parents[1] / "fixtures" / "shopify" / "orders_paid__worked_a.json").read_text())
REFUND = json.loads((Path(__file__).parents[1] / "fixtures" / "shopify" / "refunds_create__worked_a.json").read_text())


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def order(rig: Rig, shop: int, order_id: int = 1, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What the database is told by clerks."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    engine = db.of_clerks().engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def kinds(rig: Rig, **wanted: Any) -> list[tuple[str, str, str]]:
    return [(each["order"], each["kind"], each["state"]) for each in rig.events(**wanted)]


def test_ten_webhooks_take_as_many_statements_as_one(rig: Rig, shop: int) -> None:
    rig.switch_on(shop)
    counts = []
    order(rig, shop, 100)  # the first one teaches the shop's currency
    rig.account()
    for orders in ([1], range(2, 12)):
        for order_id in orders:
            order(rig, shop, order_id)
        with statements(rig.db) as told:
            rig.accountant.work()
        counts.append(len(told))
    assert counts[0] == counts[1] > 10
    assert len(rig.events(state="understood")) == 12 * 2


def test_shops_with_one_webhook_each_share_a_transaction(rig: Rig) -> None:
    shops = [rig.shop("woocommerce", f"https://store-{number}.example") for number in range(10)]
    for each in shops:
        order(rig, each)
    with statements(rig.db) as told:
        assert rig.accountant.work() == 10
    claims = [each for each in told if each.startswith("UPDATE webhooks SET state")]
    assert len(claims) == 1
    with rig.db.read() as session:
        assert sorted(session.scalars(select(Event.shop_id).where(Event.kind == "order.paid"))) == shops


def test_whether_shops_were_connected_is_asked_once_for_all(rig: Rig) -> None:
    """Where orders are older than their shops; an old order of one that was added by hand is sent all the same."""
    shops = [rig.shop("woocommerce", f"https://store-{number}.example") for number in range(5)]
    for number, each in enumerate(shops):
        rig.switch_on(each, "sprii", "gameball")
        with rig.db.write() as session:
            session.execute(update(Shop).values(created_at=datetime(2027, 6, 1, tzinfo=UTC)))
            if number % 2:
                now = datetime.now(UTC)
                session.add(Connection(shop_id=each, state=ConnectionState.CONNECTED, scopes=[], installed_at=now))
        order(rig, each)
    with statements(rig.db) as told:
        rig.accountant.work()
    assert len([each for each in told if "FROM connections" in each]) == 1
    with rig.db.read() as session:
        found = session.execute(select(Delivery.shop_id, Delivery.reason).distinct().order_by(Delivery.shop_id)).all()
    assert [tuple(row) for row in found] == [
        (each, BEFORE_START if number % 2 else None) for number, each in enumerate(shops)
    ]


def test_shops_that_changed_nothing_share_their_compiled_mappings(rig: Rig) -> None:
    shops = [rig.shop("woocommerce", f"https://store-{number}.example") for number in range(3)]
    for each in shops:
        rig.switch_on(each, "sprii", "gameball")
        order(rig, each)
    rig.accountant.work()
    mappings = {id(target.mapping) for _, target in rig.parts.router._targets.values()}
    assert len(mappings) == 2


def test_ledgers_and_parked_events_are_found_by_an_index(rig: Rig) -> None:
    """However many there are; SQLite looks at all rows where a condition is written as a list of tuples."""
    for statement in (books._held(20), books._join(20)):
        compiled = str(statement.compile(rig.db.engine))
        values = dict.fromkeys(statement.compile(rig.db.engine).params, "1")
        with rig.db.engine.connect() as connection:
            if not rig.db.sqlite:
                connection.execute(text("SET enable_seqscan = off"))
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(values.values())).all()
        steps = [row[3] for row in plan if row[3].startswith(("SCAN", "SEARCH"))]
        assert len(steps) == 20
        assert all("shop_id=? AND kind=? AND key=?" in step or "shop_id=? AND subject=?" in step for step in steps)


def test_several_snapshots_of_one_order_at_once_mean_what_they_mean_one_by_one(rig: Rig, shop: int) -> None:
    order(rig, shop, paid=False, status="pending")
    order(rig, shop, minute=1)
    order(rig, shop, minute=2, refunds=((9, "30.00"),))
    order(rig, shop, minute=1, sprii="5934-15")  # told late
    rig.accountant.work()
    assert kinds(rig) == [
        ("1", "order.placed", "understood"),
        ("1", "order.paid", "understood"),
        ("1", "order.refunded", "understood"),
        ("1", "order.updated", "ignored"),
    ]
    with rig.db.read() as session:
        assert session.scalars(select(Ledger.key)).all() == ["1"]


def test_a_refund_that_comes_with_its_order_in_one_round_waits_no_more(rig: Rig) -> None:
    rig.shop()
    rig.shopify("refunds/create", {**REFUND, "order_id": PAID["id"]})
    rig.shopify("orders/paid", PAID)
    rig.accountant.work()
    assert [(kind, state) for _, kind, state in kinds(rig)] == [
        ("order.refunded", "ignored"),
        ("order.placed", "understood"),
        ("order.paid", "understood"),
        ("order.refunded", "understood"),
    ]


def test_what_is_hidden_after_its_order_came_stays_parked(rig: Rig) -> None:
    rig.shop()
    rig.shopify("orders/paid", PAID)
    rig.shopify("orders/updated", {**PAID, "hidden_by": ["read_customers"]})
    rig.accountant.work()
    assert [state for _, _, state in kinds(rig)] == ["understood", "understood", "parked"]


def test_a_payment_that_is_dated_in_the_round_that_guessed_it_is_sent(rig: Rig) -> None:
    shop = rig.shop()
    rig.switch_on(shop, "sprii")
    start = datetime(2026, 3, 10, tzinfo=UTC)
    with rig.db.write() as session:
        session.get_one(Shop, shop).created_at = start
        session.add(
            Connection(shop_id=shop, state=ConnectionState.CONNECTED, scopes=[], installed_at=start, check_at=start)
        )
    times = {"created_at": "2026-03-02T09:00:00Z", "processed_at": "2026-03-02T09:00:00Z"}
    numbered = {"note_attributes": [{"name": "sprii_order_no", "value": "5934-14"}]}
    rig.shopify("orders/updated", {**PAID, **times, **numbered, "updated_at": "2026-03-12T09:00:01Z"})
    rig.shopify("orders/paid", {**PAID, **times, **numbered, "updated_at": "2026-03-12T09:00:00Z"})
    rig.accountant.work()
    assert rig.states() == [("process_orders", "pending", None)]


# --- when it does not go well -----------------------------------------------------------------------------------------


class Deadlock(psycopg.errors.DeadlockDetected):
    """As PostgreSQL tells it."""


RACES = [IntegrityError("", {}, Exception()), OperationalError("", {}, Deadlock())]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> None:
    close, left = Books.close, [times]

    def failed(self: Books) -> None:
        if left[0] and self._told:
            left[0] -= 1
            raise error
        close(self)

    monkeypatch.setattr(Books, "close", failed)


@pytest.mark.parametrize("error", RACES)
def test_a_webhook_that_another_worker_got_in_the_way_of_is_tried_again(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    order(rig, shop)
    failing(monkeypatch, error, 3)  # together, and twice alone
    rig.accountant.work()
    assert kinds(rig) == [("1", "order.placed", "understood"), ("1", "order.paid", "understood")]


TROUBLE = [RACES[1], ProgrammingError("", {}, Exception()), OperationalError("", {}, OSError())]


@pytest.mark.parametrize("error", TROUBLE)
def test_a_database_in_trouble_leaves_webhooks_as_they_are(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    order(rig, shop)
    failing(monkeypatch, error, 4)
    with pytest.raises(type(error)):
        rig.accountant.work()
    assert [each["state"] for each in rig.events()] == ["pending"]
    monkeypatch.undo()
    rig.accountant.work()
    assert kinds(rig) == [("1", "order.placed", "understood"), ("1", "order.paid", "understood")]


@pytest.mark.parametrize("error", [ZeroDivisionError(), DataError("", {}, Exception()), RACES[0]])
def test_a_webhook_that_no_try_helps_is_shown_and_keeps_nothing_back(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    enter = Page._order

    def broken(self: Page, told: dict[str, Any], *more: Any) -> None:
        if told["id"] == "2":
            raise error
        enter(self, told, *more)

    monkeypatch.setattr(Page, "_order", broken)
    for order_id in (1, 2, 3):
        order(rig, shop, order_id)
    rig.account()
    assert {(each["order"], each["state"]) for each in rig.events()} == {
        ("1", "understood"),
        (None, "error"),
        ("3", "understood"),
    }


def test_what_a_failed_transaction_learnt_of_its_shop_is_learnt_again(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(rig, shop)
    failing(monkeypatch, ZeroDivisionError(), 1)
    rig.accountant.work()
    with rig.db.read() as session:
        assert session.get_one(Shop, shop).settings["facts"] == {"currency": "DKK"}


def test_two_workers_that_meet_a_new_order_at_once_end_in_one_ledger(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = rig.shop("woocommerce")
        order(rig, shop, 100)  # nobody waits for the row of the shop, which the first order writes to
        rig.account()
        rig.switch_on(shop, "sprii")
        order(rig, shop, paid=False, status="pending")
        order(rig, shop, minute=1)
        first, second = rig.accountant._read([shop], BATCH)
        other = Accountant(Database(rig.config.database_url).of_clerks(), Router(rig.parts.vault))
        meanwhile: list[Callable[[], None]] = [lambda: other._settle([second])]
        close = Books.close

        def closed(self: Books) -> None:
            if meanwhile:
                meanwhile.pop()()
            close(self)

        monkeypatch.setattr(Books, "close", closed)
        rig.accountant._settle([first])
        other._db.close()
        assert kinds(rig, order="1") == [
            ("1", "order.placed", "understood"),
            ("1", "order.paid", "understood"),
            ("1", "order.updated", "ignored"),
        ]
        assert rig.states() == [("process_orders", "pending", None)]
        with rig.db.read() as session:
            assert session.scalars(select(Webhook.state)).all() == ["done"] * 3
