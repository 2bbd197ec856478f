"""Nothing brings a person back that is told late, while they are erased or after it; and what counts is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.models import Ledger, Webhook
from app.services import data_request, erase, persons
from app.services.erase import remove_person
from app.services.packing import decompress, pack, unpack
from app.simulators.woocommerce_platform import WooCommercePlatform
from connectors.events import time_text
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.services.reconciling import Clock, Connected
from tests.services.test_erase import (
    ADA,
    FIXTURES,
    INES,
    NOW,
    forget,
    left,
    marked,
    order,
    shopify,
)
from tests.services.test_erase import shop as shop


def known(rig: Rig, kind: str = "order") -> dict[str, Any]:
    with rig.db.read() as session:
        found: dict[str, Any] = unpack(session.scalars(select(Ledger.state).where(Ledger.kind == kind)).one())
        return found


# while it goes on


def test_what_a_worker_writes_between_the_events_and_the_ledgers_is_erased_too(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, marked(1, minute=1))
    rig.work()
    sent = len(rig.received("gameball"))
    ledgers = erase._Removal.ledgers
    later = [marked(1, minute=2, refunds=((9, "10.00"),))]

    def raced(self: Any) -> None:
        while later:
            order(rig, shop, later.pop())
            rig.account()
        ledgers(self)

    monkeypatch.setattr(erase._Removal, "ledgers", raced)
    forget(rig, shop)
    rig.work()
    assert left(rig) == []
    assert known(rig)["order"]["refunded"] == "10"
    assert len(rig.received("gameball")) == sent


def test_a_webhook_that_arrives_behind_the_one_who_cleans_is_cleaned(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by a worker before the ledger was marked: an older state, of which no event tells."""
    order(rig, shop, marked(1, minute=5))
    rig.account()
    events = erase._Removal.events
    late = [marked(1, minute=4)]

    def raced(self: Any, patience: float, after: int) -> None:
        while late:
            order(rig, shop, late.pop())
            rig.account()
        events(self, patience, after)

    monkeypatch.setattr(erase._Removal, "events", raced)
    forget(rig, shop)
    assert left(rig) == []


def test_a_buyer_who_changed_their_address_is_found_by_the_old_one_and_goes_with_the_new_one(
    rig: Rig, shop: int
) -> None:
    before = woocommerce_order(1, email="old.adax@example.test", minute=1)
    after = woocommerce_order(1, email="new.adax@example.test", minute=2)
    for body in (before, after):
        order(rig, shop, body)
    rig.account()
    content, _ = data_request.collect(rig.db, shop, persons.from_text("old.adax@example.test"), NOW)
    assert [each["known"]["email"] for each in content["ledgers"]] == ["new.adax@example.test"]
    forget(rig, shop, "old.adax@example.test")
    assert left(rig, ["old.adax", "new.adax"]) == []


# afterwards


def test_a_state_from_before_the_erasure_counts_without_its_person_and_is_not_sent(rig: Rig, shop: int) -> None:
    """Told late: newer than what is known, and older than the erasure."""
    rig.switch_on(shop, "gameball", "esputnik")
    order(rig, shop, marked(1, minute=1))
    rig.work()
    forget(rig, shop)
    sent = [len(rig.received(name)) for name in ("gameball", "esputnik")]
    order(rig, shop, marked(1, minute=9, refunds=((9, "10.00"),)))
    rig.work()
    assert left(rig) == []
    assert known(rig)["order"]["refunded"] == "10"
    assert rig.events(state="understood")[-1]["kind"] == "order.refunded"
    assert [len(rig.received(name)) for name in ("gameball", "esputnik")] == sent
    assert {each["reason"] for each in rig.deliveries() if each["event"] == rig.events()[-1]["id"]} == {"erased"}


def test_an_older_state_leaves_nothing_of_its_body(rig: Rig, shop: int) -> None:
    order(rig, shop, marked(1, minute=5))
    rig.account()
    forget(rig, shop)
    order(rig, shop, marked(1, minute=4))
    rig.account()
    assert left(rig) == []
    with rig.db.read() as session:
        body = json.loads(decompress(session.scalars(select(Webhook.body).order_by(Webhook.id.desc())).first() or b""))
    assert (body["id"], body["total"], "billing" in body) == (1, "80.00", False)


def test_what_happens_after_the_erasure_is_new(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    order(rig, shop, marked(1))
    rig.work()
    forget(rig, shop)
    tomorrow, later = ((datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S") for days in (1, 2))
    order(rig, shop, {**marked(1, status="completed"), "date_modified_gmt": tomorrow})
    rig.work()
    assert known(rig)["order"]["email"] == ADA
    assert "erased" not in known(rig)["order"]
    forget(rig, shop)
    assert left(rig) == []
    order(rig, shop, {**marked(1, status="cancelled"), "date_modified_gmt": tomorrow})
    rig.account()
    assert left(rig) == []
    order(rig, shop, {**marked(1, status="cancelled"), "date_modified_gmt": later})
    rig.account()
    assert known(rig)["order"]["email"] == ADA


def test_an_erasure_by_an_older_version_keeps_out_what_is_no_newer_than_what_was_known(rig: Rig, shop: int) -> None:
    order(rig, shop, marked(1, minute=5))
    rig.account()
    forget(rig, shop)
    with rig.db.write() as session:
        state = known(rig)
        del state["erased"]
        session.execute(update(Ledger).values(state=pack({**state, "order": {**state["order"], "erased": True}})))
    order(rig, shop, marked(1, minute=4))
    rig.account()
    assert left(rig) == []


def test_what_comes_beside_an_erased_order_comes_without_its_person(rig: Rig) -> None:
    shop = rig.shop()
    paid = shopify("orders_paid__worked_a.json")
    rig.shopify("orders/paid", paid)
    rig.account()
    forget(rig, shop, "7700123400001")
    refund = {**shopify("refunds_create__worked_a.json"), "order_id": paid["id"], "note": "for Inesxnote"}
    rig.shopify("refunds/create", refund)
    parcel = {"destination": {"name": "Inesxparcel", "address1": "Voorbeeldstraat 1"}, "email": "ines.example@x.nl"}
    rig.shopify("fulfillments/create", {"id": 8, "order_id": paid["id"], "status": "success", **parcel})
    receipt = {"id": 9, "order_id": paid["id"], "amount": "1.00", "receipt": {"payer": "Inesxpayer"}}
    rig.shopify("order_transactions/create", receipt)
    rig.account()
    assert left(rig, [*INES, "inesxnote", "inesxparcel", "inesxpayer"]) == []
    assert rig.events(state="error") == []
    assert known(rig)["order"]["refunded"] != "0"


def test_a_late_cart_and_a_late_checkout_bring_nobody_back(rig: Rig) -> None:
    shop = rig.shop()
    rig.switch_on(shop, "spotler", "esputnik", "gameball")
    cart, checkout = shopify("carts_update__worked_a.json"), shopify("checkouts_update__worked_a.json")
    rig.shopify("carts/update", cart)
    rig.shopify("checkouts/update", checkout)
    rig.shopify("carts/update", {**cart, "updated_at": "2026-03-02T10:13:00+01:00"})
    rig.work()
    forget(rig, shop, "7700123400001")
    sent = {name: len(rig.received(name)) for name in ("spotler", "esputnik", "gameball")}
    rig.shopify("checkouts/create", {**checkout, "updated_at": "2026-03-02T10:14:00+01:00"})
    rig.shopify(
        "checkouts/create", {**checkout, "token": "another", "id": 5, "updated_at": "2026-03-02T10:14:00+01:00"}
    )
    rig.shopify("carts/update", {**cart, "updated_at": "2026-03-02T10:15:00+01:00", "line_items": []})
    rig.work()
    assert left(rig, INES) == []
    assert {name: len(rig.received(name)) for name in sent} == sent
    assert rig.events(state="error") == []


def test_a_late_cart_that_names_its_shopper_brings_them_back_neither(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    cart = json.loads((FIXTURES / "woocommerce/cart.updated__full.json").read_text())
    rig.woocommerce(shop, "cart.updated", cart)
    rig.work()
    forget(rig, shop, cart["email"])
    sent = len(rig.received("esputnik"))
    assert sent == 1
    rig.woocommerce(shop, "cart.updated", {**cart, "date_gmt": "2026-03-02T09:11:00", "items": cart["items"][:1]})
    rig.work()
    assert left(rig, ["ines.example", "612345678", "7700123400001"]) == []
    assert (len(rig.received("esputnik")), rig.deliveries()[-1]["reason"]) == (sent, "erased")


def test_an_erasure_is_marked_by_the_second_as_stores_tell_times(rig: Rig, shop: int) -> None:
    """What changed within that second is late: as text, ``08.5Z`` stands before ``08Z``."""
    order(rig, shop, marked(1))
    rig.account()
    forget(rig, shop)
    marks = {known(rig)["erased"], known(rig)["order"]["erased"]}
    assert {time_text(datetime.fromisoformat(each).replace(microsecond=0)) for each in marks} == marks


# asked for again


@pytest.fixture
def store(rig: Rig) -> Iterator[Connected]:
    with WooCommercePlatform(clock=(clock := Clock())) as platform:
        yield Connected(rig, platform, clock)


def test_a_reconciliation_does_not_bring_back_whom_the_store_still_shows(store: Connected) -> None:
    number = store.platform.place_order()
    store.told(number)
    who = store.platform.order(number)["billing"]
    markers = [who["email"].lower(), who["address_1"].lower()]
    assert left(store.rig, markers) == markers
    remove_person(store.rig.db, store.rig.parts.vault, store.shop, persons.from_text(who["email"]))
    rows = store.rows()
    for _ in range(2):
        found = store.run(store.clock.now - timedelta(days=1))
        assert (found["seen"], found["known"], found["unexplained"]) == (1, 1, [])
    assert (left(store.rig, markers), store.rows()) == ([], rows)


def test_a_change_that_only_a_reconciliation_tells_counts_without_the_person(store: Connected) -> None:
    store.clock.tick(-120)
    number = store.platform.place_order()
    store.told(number)
    who = store.platform.order(number)["billing"]
    markers = [who["email"].lower(), who["address_1"].lower()]
    store.clock.tick()
    store.platform.change_status(number, "completed")
    remove_person(store.rig.db, store.rig.parts.vault, store.shop, persons.from_text(who["email"]))
    found = store.run(store.clock.now - timedelta(days=1))
    assert found["unexplained"] == []
    assert left(store.rig, markers) == []
    assert (known(store.rig)["order"]["status"], store.rows()) == ("completed", 2)


# what is left of it


def test_an_export_of_a_guest_order_goes_with_the_account_that_the_guest_has_now(rig: Rig, shop: int) -> None:
    order(rig, shop, woocommerce_order(1, email=ADA, customer_id=0))
    rig.account()
    data_request.export_person(rig.db, rig.parts.vault, shop, persons.from_text(ADA), NOW, actor="operator")
    order(rig, shop, woocommerce_order(2, email=ADA, customer_id=77))
    rig.account()
    assert forget(rig, shop, "77").counts["exports"] == 1
