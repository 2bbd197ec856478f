"""Gaps are found and filled by the way that every webhook takes; nothing is told twice, and nothing is left out."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app import factory
from app.db import Database
from app.models import Connection, ConnectionState, Shop, Webhook
from app.services import progress, reconcile, show
from app.services.account import Accountant
from app.services.agreement import Source
from app.services.connections import EVERY
from app.services.errors import Failed, NotFound
from app.services.packing import decompress
from app.services.reconcile import Reconciler
from app.services.walk_start import due
from app.simulators.woocommerce_platform import WooCommercePlatform
from connectors.base import Fetched
from connectors.errors import Unreadable
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.services.reconciling import NOON, Clock, Connected, connect, reconciler, settle_shop
from tests.test_cli import Cli


@pytest.fixture
def store(rig: Rig) -> Iterator[Connected]:
    clock = Clock()
    with WooCommercePlatform(clock=clock) as platform:
        yield Connected(rig, platform, clock)
        assert platform.violations() == []


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- what is missing --------------------------------------------------------------------------------------------------


def test_orders_whose_webhooks_were_lost_are_found(store: Connected) -> None:
    ids = [store.platform.place_order() for _ in range(3)]
    found = store.run()
    assert found == {
        "shop": store.shop,
        "since": text(store.clock.now - timedelta(days=1)),
        "clipped": False,
        "seen": 3,
        "known": 0,
        "added": 6,
        "unexplained": [],
    }
    assert sorted(store.kinds()) == sorted((kind, str(each)) for each in ids for kind in ("order.placed", "order.paid"))


def test_asking_again_adds_nothing_and_costs_no_row(store: Connected) -> None:
    store.platform.place_order()
    store.run()
    rows = store.rows()
    again = store.run()
    assert (again["seen"], again["known"], again["added"], again["unexplained"]) == (1, 1, 0, [])
    assert store.rows() == rows


def test_what_came_by_webhook_is_known(store: Connected) -> None:
    order = store.platform.place_order()
    store.told(order, "order.created")
    rows = store.rows()
    found = store.run()
    assert (found["seen"], found["known"], found["added"]) == (1, 1, 0)
    assert store.rows() == rows


def test_a_webhook_that_comes_after_the_reconciliation_tells_nothing_new(store: Connected) -> None:
    order = store.platform.place_order()
    store.run()
    store.told(order)
    assert store.kinds() == [("order.placed", str(order)), ("order.paid", str(order))]


def test_a_change_whose_webhook_was_lost_is_found(store: Connected) -> None:
    order = store.platform.place_order(paid=False)
    store.told(order, "order.created")
    store.clock.tick()
    store.platform.change_status(order, "completed")
    found = store.run()
    assert (found["seen"], found["known"], found["added"]) == (1, 0, 2)
    assert store.kinds() == [(kind, str(order)) for kind in ("order.placed", "order.paid", "order.fulfilled")]


def test_of_two_states_in_one_second_the_one_that_the_store_shows_last_counts(store: Connected) -> None:
    order = store.platform.place_order()
    store.told(order, "order.created")
    store.platform.edit(order, {"gift": "yes"})  # in the same second, and its webhook is lost
    found = store.run()
    assert (found["added"], found["unexplained"]) == (1, [])
    assert store.kinds()[-1] == ("order.updated", str(order))


def test_unfinished_checkouts_are_left_alone(store: Connected) -> None:
    store.platform.place_order(draft=True)
    found = store.run()
    assert (found["seen"], store.rows()) == (0, 0)


def test_an_order_in_the_trash_is_noticed_once_each_time(store: Connected) -> None:
    order = store.platform.place_order()
    store.told(order, "order.created")
    for _ in range(2):
        store.clock.tick()
        store.platform.trash(order)
        assert store.run()["added"] == 1
        assert store.run()["added"] == 0
        store.clock.tick()
        store.platform.restore(order)
        assert store.run()["added"] == 1
        assert store.run()["added"] == 0
    kinds = [kind for kind, _ in store.kinds()]
    assert kinds == ["order.placed", "order.paid", *["order.deleted", "order.restored"] * 2]


def test_an_order_in_the_trash_that_nobody_knew_is_nothing(store: Connected) -> None:
    order = store.platform.place_order()
    store.platform.trash(order)
    assert (store.run()["seen"], store.rows()) == (0, 0)


def test_what_was_stored_is_the_order_as_the_store_told_it(store: Connected) -> None:
    order = store.platform.place_order()
    store.run()
    with store.rig.db.read() as session:
        row = session.scalars(select(Webhook)).one()
        body = json.loads(decompress(row.body))
    assert body == store.platform.order(order)
    assert (row.topic, row.headers, row.state) == ("order.updated", {"x-tillwire-source": "reconciliation"}, "done")
    assert row.dedup_key == f"reconcile:{store.shop}:{order}:{row.body_hash}"
    with store.rig.db.read() as session:
        timeline = show.order(session, session.get_one(Shop, store.shop), str(order))
    assert [each.get("source") for each in timeline["webhooks"]] == ["reconciliation"]


# --- pages ------------------------------------------------------------------------------------------------------------


def test_more_orders_than_a_page_and_more_than_a_page_in_one_second(store: Connected) -> None:
    ids = [store.platform.place_order() for _ in range(130)]
    for _ in range(130):
        store.clock.tick(1)
        ids.append(store.platform.place_order())
    found = store.run()
    assert (found["seen"], found["added"], found["unexplained"]) == (260, 520, [])
    assert {order for _, order in store.kinds()} == {str(each) for each in ids}


def test_the_next_walk_begins_shortly_before_the_newest_change_by_the_stores_clock(store: Connected) -> None:
    store.clock.tick(300)
    store.platform.place_order()
    newest = store.clock.now
    store.clock.tick(300)
    store.run()
    assert store.connection().reconciled_to == newest
    assert store.run()["since"] == text(newest - timedelta(minutes=2))


def test_a_walk_that_was_begun_later_by_hand_does_not_hide_the_gap_before_it(store: Connected) -> None:
    early = store.platform.place_order()
    store.clock.tick(600)
    store.platform.place_order()
    assert store.run(store.clock.now - timedelta(minutes=1))["seen"] == 1
    assert store.connection().reconciled_to is None
    assert store.run()["seen"] == 2
    assert ("order.placed", str(early)) in store.kinds()


def test_an_order_dated_into_the_future_does_not_hide_what_changes_before_then(store: Connected) -> None:
    store.platform.place_order()
    now, store.clock.now = store.clock.now, store.clock.now + timedelta(minutes=10)  # the store's clock runs ahead
    store.platform.place_order()
    store.clock.now = now
    store.run()
    assert store.connection().reconciled_to == now
    store.clock.tick(300)
    missed = store.platform.place_order()
    store.run()
    assert ("order.placed", str(missed)) in store.kinds()


def test_what_lies_in_the_trash_does_not_hide_what_changed_before_it(rig: Rig) -> None:
    """The trash is asked for last, and meanwhile orders change."""
    shop = settle_shop(rig)
    gone = Fetched(order_id="8", topic="order.deleted", body=b'{"id":8}', changed_at=NOON + timedelta(minutes=10))
    reconciler(rig, pages([told("8")])).run(shop, now=NOON)
    found = reconciler(rig, pages([told("7")], [gone])).run(shop, now=NOON + timedelta(hours=1))
    assert (found["seen"], rig.events(state="understood")[-1]["kind"]) == (2, "order.deleted")
    with rig.db.read() as session:
        assert session.get_one(Connection, shop).reconciled_to == NOON


# --- what cannot be explained -----------------------------------------------------------------------------------------


def pages(*told: list[Fetched]) -> Any:
    def fetch(since: datetime) -> Generator[list[Fetched], None, None]:
        yield from told

    return fetch


def told(order_id: str, **changes: Any) -> Fetched:
    body = woocommerce_order(int(order_id)) | {"date_modified_gmt": "2026-11-20T12:00:00", **changes}
    return Fetched(order_id=order_id, topic="order.updated", body=json.dumps(body).encode(), changed_at=NOON)


def test_an_order_that_cannot_be_read_is_listed_with_the_reason_each_time(rig: Rig) -> None:
    shop = settle_shop(rig)
    asks = reconciler(rig, pages([told("7", total="much"), told("8")]))
    for added in (2, 0):
        found = asks.run(shop, now=NOON)
        assert (found["seen"], found["known"], found["added"]) == (2, 0 if added else 1, added)
        assert found["unexplained"] == [{"order": "7", "reason": "error: $.total: expected a number, found str"}]


def test_a_row_that_nobody_reads_in_time_is_listed(rig: Rig, tmp_path: Path) -> None:
    shop = settle_shop(rig)
    elsewhere = Database(rig.config.database_url)
    with ExitStack() as stack:
        stack.callback(elsewhere.close)
        assert elsewhere.alone(stack)  # a worker that sleeps
        found = reconciler(rig, pages([told("7")]), wait=0.2).run(shop, now=NOON)
    assert found["unexplained"] == [{"order": "7", "reason": "stored, but no worker has read it yet"}]
    again = reconciler(rig, pages([told("7")])).run(shop, now=NOON)
    assert (again["known"], again["unexplained"]) == (1, [])  # read since, by the row that was there already
    assert rig.events(state="understood") != []


def test_a_body_that_belongs_to_another_shop_is_listed_and_goes_nowhere(rig: Rig) -> None:
    shop = rig.shop(external_id="77")
    connect(rig, shop, {})
    body = json.loads((Path(__file__).parent.parent / "fixtures/shopify/orders_paid__worked_a.json").read_text())
    body["order_status_url"] = "https://rig.myshopify.com/78/orders/abc/authenticate?key=x"
    foreign = Fetched(order_id=str(body["id"]), topic="orders/updated", body=json.dumps(body).encode(), changed_at=NOON)
    found = reconciler(rig, pages([foreign])).run(shop, now=NOON)
    assert found["unexplained"] == [
        {"order": str(body["id"]), "reason": "quarantined: the body carries another shop's id"}
    ]


def test_a_process_that_dies_after_storing_leaves_work_that_is_done_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = settle_shop(rig)
    asks = reconciler(rig, pages([told("7")]))
    with monkeypatch.context() as dying:
        dying.setattr(type(asks), "_account", _die)
        with pytest.raises(KeyboardInterrupt):
            asks.run(shop, now=NOON)
    with rig.db.read() as session:
        assert session.get_one(Connection, shop).reconciled_to is None
    found = asks.run(shop, now=NOON)
    assert (found["seen"], found["unexplained"]) == (1, [])
    assert [each["kind"] for each in rig.events(state="understood")] == ["order.placed", "order.paid"]


def _die(*_: Any) -> None:
    raise KeyboardInterrupt


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_shop_without_a_connection_is_told_what_to_do(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    with pytest.raises(NotFound, match=f"shop {shop} has no connection to its store: connect the store first"):
        reconciler(rig, pages()).run(shop)


def test_keys_that_were_revoked_move_nothing(store: Connected) -> None:
    store.platform.place_order()
    store.platform.revoke(store.key.id)
    with pytest.raises(Failed, match=r"does not take the keys .* connect the store again .* Nothing is lost"):
        store.run()
    assert (store.rows(), store.connection().reconciled_to) == (0, None)


def test_a_connection_that_ends_meanwhile_is_written_to_no_more(rig: Rig) -> None:
    shop = settle_shop(rig)

    def fetch(since: datetime) -> Generator[list[Fetched], None, None]:
        yield [told("7")]
        with rig.db.write() as session:
            session.execute(update(Connection).values(state=ConnectionState.ENDED))
        yield [told("8")]

    with pytest.raises(Failed, match="the connection to the store ended"):
        reconciler(rig, fetch).run(shop, now=NOON)
    with rig.db.read() as session:
        assert [row.dedup_key.split(":")[2] for row in session.scalars(select(Webhook))] == ["7"]


def test_another_installation_does_not_inherit_how_far_this_one_came(rig: Rig) -> None:
    shop = settle_shop(rig)

    def fetch(since: datetime) -> Generator[list[Fetched], None, None]:
        yield [told("7")]
        with rig.db.write() as session:
            session.execute(update(Connection).values(generation=2))

    reconciler(rig, fetch).run(shop, now=NOON)
    with rig.db.read() as session:
        assert session.get_one(Connection, shop).reconciled_to is None


def test_what_a_store_does_not_show_any_more_is_clipped_and_said(rig: Rig) -> None:
    shop = settle_shop(rig)
    asks = reconciler(rig, pages(), reach=timedelta(days=60))
    long_ago = NOON - timedelta(days=90)
    found = asks.run(shop, long_ago, now=NOON)
    assert (found["since"], found["clipped"]) == ("2026-09-21T12:00:00Z", True)


# --- on a schedule ----------------------------------------------------------------------------------------------------


def test_a_due_shop_is_reconciled_once_and_is_due_again_in_an_hour(rig: Rig) -> None:
    shop = settle_shop(rig)
    asks = reconciler(rig, pages([told("7")]))
    assert (asks.run_due(NOON), asks.run_due(NOON)) == (1, 0)
    with rig.db.read() as session:
        assert (due(session, NOON + EVERY - timedelta(seconds=1)), due(session, NOON + EVERY)) == ([], [shop])
    assert [each["kind"] for each in rig.events(state="understood")] == ["order.placed", "order.paid"]


def test_a_store_that_cannot_be_asked_is_asked_again_and_the_others_are_not_kept(rig: Rig) -> None:
    shop = settle_shop(rig)

    def fetch(since: datetime) -> Generator[list[Fetched], None, None]:
        raise Failed("the store did not answer")
        yield []

    assert reconciler(rig, fetch).run_due(NOON) == 0
    assert reconciler(rig, pages([told("7")])).run_due(NOON + EVERY) == 1
    with rig.db.read() as session:
        assert session.get_one(Shop, shop).removed_at is None


def test_why_orders_cannot_be_compared_is_shown_until_they_can(
    store: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str | None:
        with store.rig.db.read() as session:
            return progress.trouble_of(session, session.get_one(Shop, store.shop))

    with monkeypatch.context() as slow:
        slow.setattr(reconcile, "LONGEST", 0.0)
        with closing(factory.create_shopify(store.rig.config)) as shopify:
            asks = factory.create_reconciler(store.rig.parts, shopify)
            assert asks.run_due(store.clock.now) == 0
    assert (shown() or "").startswith("The store is so slow, or has so many changed orders,")
    assert store.connection().reconciled_to is None
    store.run()
    assert shown() is None


def test_a_slow_store_keeps_no_other_waiting(rig: Rig) -> None:
    slow, quick = settle_shop(rig), rig.shop("woocommerce", "https://quick.example")
    connect(rig, quick, {}, reconcile_at=NOON + timedelta(seconds=1))
    ended, told_quickly = threading.Event(), threading.Event()

    def fetch(shop: int) -> Generator[list[Fetched], None, None]:
        if shop == slow:
            ended.wait(10)
        yield []
        if shop == quick:
            told_quickly.set()

    def source(shop: Shop, _connection: Connection) -> Source:
        return Source(fetch=lambda _: fetch(shop.id), whole=True, overlap=timedelta(minutes=2))

    asks = Reconciler(rig.db, Accountant(rig.db.of_clerks(), rig.parts.router), source)
    threads = [threading.Thread(target=asks.run_due, args=(NOON + timedelta(minutes=1),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    found = told_quickly.wait(5)
    ended.set()
    for thread in threads:
        thread.join()
    assert found


def test_a_shop_that_was_left_or_removed_is_never_due(store: Connected) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    with store.rig.db.read() as session:
        assert due(session, later) == [store.shop]
    store.change(state=ConnectionState.ENDED)
    with store.rig.db.read() as session:
        assert due(session, later) == []
    store.change(state=ConnectionState.CONNECTED)
    with store.rig.db.write() as session:
        session.execute(update(Shop).values(removed_at=NOON))
    with store.rig.db.read() as session:
        assert due(session, later) == []


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_found(store: Connected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = Cli(store.rig, tmp_path, monkeypatch)
    command.settings.update(store.rig.environment)
    store.platform.place_order()
    since = text(store.clock.now - timedelta(minutes=5))
    assert command.text("reconcile", str(store.shop), "--since", since) == (
        f"orders seen: 1, already known: 0, events added: 2\nchanged since: {since}\nunexplained: -\n"
    )
    again = command.json("reconcile", str(store.shop), "--since", since)
    assert (again["seen"], again["known"], again["added"], again["unexplained"]) == (1, 1, 0, [])


def test_an_unexplained_order_makes_the_command_fail(
    store: Connected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Cli(store.rig, tmp_path, monkeypatch)
    command.settings.update(store.rig.environment)
    order = store.platform.place_order(meta={"broken": "yes"})
    monkeypatch.setattr("connectors.woocommerce.connector.read_order", _unreadable)
    found = command.json("reconcile", str(store.shop), status=1)
    assert found["unexplained"] == [{"order": str(order), "reason": "error: $.total: expected a number"}]


def _unreadable(*_: Any) -> Any:
    raise Unreadable("$.total: expected a number")


# --- on the other database --------------------------------------------------------------------------------------------


def test_it_is_the_same_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = settle_shop(rig)
        asks = reconciler(rig, pages([told("7"), told("8", total="much")]))
        first, second = asks.run(shop, now=NOON), asks.run(shop, now=NOON)
        assert (first["seen"], first["known"], first["added"], len(first["unexplained"])) == (2, 0, 2, 1)
        assert (second["seen"], second["known"], second["added"], len(second["unexplained"])) == (2, 1, 0, 1)
        assert (asks.run_due(NOON), asks.run_due(NOON)) == (1, 0)
