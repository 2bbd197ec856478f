"""A person is taken out of everything a shop left, and the amounts stay."""

from __future__ import annotations

import copy
import json
import time
import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app import factory
from app.db import Base, Database
from app.models import Attempt, AuditEntry, Delivery, Event, Ledger, Receipt, Webhook
from app.services import bodies, erase, erase_bodies, persons
from app.services.erase import UnderWay, erase_customer, remove_person
from app.services.finding import person
from app.services.packing import compress, pack, unpack
from app.services.persons import Person
from tests.bodies import woocommerce_order
from tests.rig import Rig

FIXTURES = Path(__file__).parent.parent / "fixtures"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADA = "ada.marker@example.test"


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def everything(db: Database) -> str:
    """All that any table holds, opened; lower-case."""
    parts: list[str] = []
    with db.read() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(select(table)):
                parts += [_open(value) for value in row]
    return "\n".join(parts).lower()


def _open(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return json.dumps(json.loads(zlib.decompress(value)), ensure_ascii=False)
        except ValueError:
            return zlib.decompress(value).decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def marked(number: int = 1, **fields: Any) -> dict[str, Any]:
    """An order of a made-up buyer, every personal field of which holds a word that stands nowhere else."""
    body = woocommerce_order(number, customer_id=770012345, email=ADA, **fields)
    body["billing"] |= {
        **{"first_name": "Adaxbilling", "last_name": "Lovexbilling", "company": "Compxbilling"},
        **{"address_1": "Linexbilling 1", "address_2": "Floorxbilling", "city": "Townxbilling"},
        **{"postcode": "9Zbil", "phone": "+45 12 34 99 78", "state": "Statexbilling"},
    }
    body["shipping"] |= {
        **{"first_name": "Adaxshipping", "last_name": "Lovexshipping", "company": "Compxshipping"},
        **{"address_1": "Linexshipping 2", "address_2": "Floorxshipping", "city": "Townxshipping"},
        **{"postcode": "9Zshi", "phone": "+45 87 65 43 21"},
    }
    body |= {
        **{"customer_ip_address": "198.51.100.77", "customer_user_agent": "Agentx/1.0", "customer_note": "Notex here"},
        **{"order_key": "wc_order_Keyx", "transaction_id": "Transx", "payment_method_title": "Cardx of Adaxbilling"},
        "payment_url": "https://store.example/checkout/order-pay/1/?key=wc_order_Keyx",
    }
    body["meta_data"] = [
        *body["meta_data"],
        {"id": 8, "key": "vat_number", "value": "Vatx99"},
        {"id": 9, "key": "seeka_pid", "value": "Seekax.1"},
        {"id": 10, "key": "sqzl_cookie", "value": "Sqzlx-cookie"},
    ]
    body["line_items"][0]["name"] = "E-book for Adaxbilling"
    body["line_items"][0]["meta_data"] = [
        {"id": 1, "key": "Engraving", "value": "Engravex", "display_value": "Engravex"}
    ]
    body["plugin_field_of_tomorrow"] = {"buyer": "Tomorrowx"}
    return body


#: Parts of what `marked` planted; none may be left in any form.
MARKERS = [
    *("ada.marker", "adaxbilling", "lovexbilling", "compxbilling", "linexbilling", "floorxbilling", "townxbilling"),
    *("statexbilling", "9zbil", "12 34 99 78", "4512349978", "adaxshipping", "lovexshipping", "compxshipping"),
    *("linexshipping", "floorxshipping", "townxshipping", "9zshi", "87 65 43 21", "198.51.100.77"),
    *("agentx", "notex", "keyx", "transx", "cardx", "vatx99", "seekax", "sqzlx", "engravex", "tomorrowx", "770012345"),
]


def left(rig: Rig, markers: list[str] = MARKERS) -> list[str]:
    found = everything(rig.db)
    return [each for each in markers if each in found]


def forget(rig: Rig, shop: int, who: str = ADA) -> Receipt:
    return erase_customer(rig.db, rig.parts.vault, shop, persons.from_text(who), NOW, actor="operator")


def order(rig: Rig, shop: int, body: dict[str, Any]) -> None:
    assert rig.woocommerce(shop, "order.updated", body) == "stored"


def test_nothing_of_a_person_is_left_in_any_table_and_another_buyer_is_untouched(rig: Rig, shop: int) -> None:
    rig.switch_on(shop)
    order(rig, shop, marked(1))
    order(rig, shop, woocommerce_order(2, email="other@example.test"))
    rig.woocommerce(
        shop,
        "cart.updated",
        {**json.loads((FIXTURES / "woocommerce/cart.updated__full.json").read_text()), "email": ADA},
    )
    rig.work()
    with rig.db.write() as session:
        mine = select(Delivery.id).where(Delivery.subject == "1")
        session.execute(update(Attempt).where(Attempt.delivery_id.in_(mine)).values(answer="200 no adaxanswer"))
        headers = {"x-wc-webhook-topic": "order.updated", "x-buyer": "adaxheader"}
        session.execute(update(Webhook).where(Webhook.id == 1).values(headers=headers))
    markers = [*MARKERS, "adaxanswer", "adaxheader"]
    assert left(rig, markers) == markers
    others = [each for each in rig.deliveries() if each["order"] == "2"]
    receipt = forget(rig, shop)
    assert left(rig, markers) == []
    assert "x-wc-webhook-topic" in everything(rig.db)
    assert [each for each in rig.deliveries() if each["order"] == "2"] == others
    assert "other@example.test" in everything(rig.db)
    with rig.db.read() as session:  # nor can their orders be found by their address any more
        orders = select(Ledger.person).where(Ledger.kind == "order").order_by(Ledger.key)
        assert session.scalars(orders).all() == [None, person(shop, "other@example.test")]
    assert receipt.kind == "customer_erased"
    assert receipt.counts["ledgers"] == 2
    assert receipt.counts["webhooks"] == 2
    assert receipt.counts["attempts"] > 4


def amounts(rig: Rig) -> list[Any]:
    """What reports add up: orders, lines, totals, currencies, products and times."""
    with rig.db.read() as session:
        wanted = select(Event.facts).where(Event.facts.is_not(None), Event.kind.startswith("order."))
        told = session.scalars(wanted.order_by(Event.id))
        facts = [unpack(each)["order"] for each in told]
        ledgers = session.scalars(select(Ledger.state).where(Ledger.kind == "order").order_by(Ledger.id))
        known = [unpack(each)["order"] for each in ledgers]
        numbers = list(session.scalars(select(Ledger.number).order_by(Ledger.id)))
    names = (
        "id",
        "number",
        "total",
        "tax",
        "discount",
        "shipping_gross",
        "currency",
        "created_at",
        "paid_at",
        "refunded",
    )
    parts = ("line_id", "product_id", "variant_id", "unit_id", "sku", "quantity", "unit_price", "total_gross", "tax")
    rows = [
        ([each.get(name) for name in names], [[line.get(part) for part in parts] for line in each["lines"]])
        for each in facts + known
    ]
    return [rows, numbers]


def test_amounts_lines_and_times_stay_so_that_reports_add_up(rig: Rig, shop: int) -> None:
    order(rig, shop, marked(1, refunds=((9, "10.00"),)))
    order(rig, shop, woocommerce_order(2, email=ADA))
    rig.account()
    before = amounts(rig)
    forget(rig, shop)
    assert amounts(rig) == before
    total = sum(Decimal(row[0][2]) for row in before[0])
    assert total == Decimal("80.00") * len(before[0])


def file_bytes(rig: Rig) -> bytes:
    file = Path(str(rig.db.file))
    return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))


@pytest.mark.sqlite
def test_the_database_file_itself_holds_no_old_bytes(rig: Rig, shop: int) -> None:
    """Bodies are compressed, so what is looked for are texts that SQLite keeps as they are, and whole old rows."""
    rig.switch_on(shop, "sprii")
    rig.simulators.app.set_faults("sprii", [{"kind": "status", "status": 400, "body": f"no {ADA}"}])
    order(rig, shop, marked(1))
    rig.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(reason=f"the provider said {ADA}"))
        bodies = list(session.scalars(select(Webhook.body)))
        states = list(session.scalars(select(Ledger.state)))
    assert ADA.encode() in file_bytes(rig)
    assert all(each[20:80] in file_bytes(rig) for each in bodies + states)
    forget(rig, shop)
    assert ADA.encode() not in file_bytes(rig)
    assert not any(each[20:80] in file_bytes(rig) for each in bodies + states)


def test_a_second_erasure_changes_nothing_and_one_key_has_one_receipt(rig: Rig, shop: int) -> None:
    order(rig, shop, marked(1))
    rig.account()
    first = erase_customer(
        rig.db, rig.parts.vault, shop, persons.from_text(ADA), NOW, dedup_key="webhook:7", actor="shopify"
    )
    before = everything(rig.db)
    again = erase_customer(
        rig.db, rig.parts.vault, shop, persons.from_text(ADA), NOW, dedup_key="webhook:7", actor="shopify"
    )
    assert again.id == first.id
    assert everything(rig.db) == before
    assert set(forget(rig, shop, "770012345").counts.values()) == {0}
    with rig.db.read() as session:
        trail = [(each.shop_id, each.actor, each.action) for each in session.scalars(select(AuditEntry))]
    assert trail == [(shop, "shopify", "erase customer"), (shop, "operator", "erase customer")]
    assert left(rig) == []


@pytest.mark.parametrize("step", ["clean_bodies", "events", "ledgers", "exports", "notices"])
def test_an_erasure_that_dies_half_way_is_finished_by_a_second_run(
    rig: Rig, shop: int, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "gameball", "esputnik")
    for number in range(1, 4):
        order(rig, shop, marked(number))
    guest = marked(9)
    order(rig, shop, {**guest, "customer_id": 0})
    rig.work()
    _die_in(monkeypatch, step)
    with pytest.raises(RuntimeError):
        forget(rig, shop, "770012345")
    monkeypatch.undo()
    with rig.db.read() as session:
        assert session.scalar(select(Receipt.id)) is None
    forget(rig, shop, "770012345")
    assert left(rig) == []


def _die_in(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """In the middle of that step: after its first chunk of one row."""
    place: Any = erase if step == "clean_bodies" else erase._Removal
    original = getattr(place, step)
    monkeypatch.setattr(erase, "CHUNK", 1)
    monkeypatch.setattr(erase_bodies, "CHUNK", 1)
    written = Database.write
    calls = 0

    def dying(self: Database) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError
        return written(self)

    def run(*arguments: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Database, "write", dying)
            original(*arguments)
        raise RuntimeError

    monkeypatch.setattr(place, step, run)


@pytest.mark.parametrize("state", ["pending", "retrying", "held", "unknown", "dead"])
def test_what_waits_is_not_sent_any_more(rig: Rig, shop: int, state: str) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, marked(1))
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state=state, reason=f"about {ADA}", complaints=[ADA], doubt=False))
    forget(rig, shop)
    rig.work()
    assert {each["state"] for each in rig.deliveries()} == {"skipped"}
    assert {each["reason"] for each in rig.deliveries()} == {"erased"}
    assert rig.received("gameball") == []
    assert left(rig) == []


def test_a_delivery_replayed_after_the_erasure_is_skipped(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, marked(1))
    rig.work()
    forget(rig, shop)
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state="pending", due_at=NOW - timedelta(days=1)))
    sent = len(rig.received("gameball"))
    rig.work()
    assert {(each["state"], each["reason"]) for each in rig.deliveries()} == {("skipped", "erased")}
    assert len(rig.received("gameball")) == sent


def lease(rig: Rig, seconds: float) -> None:
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) + timedelta(seconds=seconds)))


def test_a_call_under_way_is_let_finish(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, marked(1))
    rig.account()
    lease(rig, 60)
    with pytest.raises(UnderWay):
        remove_person(rig.db, rig.parts.vault, shop, persons.from_text(ADA), patience=0.0)
    assert {each["state"] for each in rig.deliveries()} == {"pending"}
    lease(rig, 1)
    counts = remove_person(rig.db, rig.parts.vault, shop, persons.from_text(ADA), patience=5.0)
    assert counts["deliveries"] == 1
    assert {each["reason"] for each in rig.deliveries()} == {"erased"}
    assert left(rig) == []


def test_a_webhook_that_waits_to_be_read_is_never_read_where_no_worker_takes_it(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase_bodies, "PATIENCE", 0.2)
    order(rig, shop, marked(1))
    forget(rig, shop)
    assert left(rig) == []
    assert [(each["state"], each["error"]) for each in rig.events()] == [("ignored", "erased before it was read")]
    rig.account()
    assert rig.events(state="understood") == []


def test_an_unreadable_body_that_names_the_person_is_replaced_whole(rig: Rig, shop: int) -> None:
    rig.woocommerce(shop, "order.updated", b'{"billing": {"email": "' + ADA.encode() + b'", "first')
    rig.account()
    assert forget(rig, shop).counts["webhooks"] == 1
    assert left(rig) == []
    with rig.db.read() as session:
        assert list(session.scalars(select(Webhook.body))) == [compress(b"{}")]


def test_a_repeat_of_an_erased_webhook_is_still_a_repeat(rig: Rig, shop: int) -> None:
    body = marked(1)
    order(rig, shop, body)
    rig.account()
    forget(rig, shop)
    assert rig.woocommerce(shop, "order.updated", body) == "duplicate"


def test_an_older_snapshot_that_comes_late_does_not_bring_the_person_back_into_the_ledger(rig: Rig, shop: int) -> None:
    order(rig, shop, marked(1, minute=5))
    rig.account()
    forget(rig, shop)
    order(rig, shop, marked(1, minute=4))
    for version in range(8):  # some of them would win the tie of equal times
        order(rig, shop, {**marked(1, minute=5), "version": str(version)})
    rig.account()
    with rig.db.read() as session:
        assert "adaxbilling" not in _open(session.scalar(select(Ledger.state))).lower()


def test_a_refund_and_a_cancellation_after_the_erasure_are_accounted_for_and_not_sent(rig: Rig) -> None:
    shop = rig.shop()
    rig.switch_on(shop, "gameball", "sprii")
    paid = shopify("orders_paid__worked_a.json")
    rig.shopify("orders/paid", paid)
    rig.work()
    forget(rig, shop, "7700123400001")
    sent = len(rig.received("gameball"))
    refund = {**shopify("refunds_create__worked_a.json"), "order_id": paid["id"]}
    assert rig.shopify("refunds/create", refund) == "stored"
    assert rig.shopify("orders/delete", {"id": paid["id"]}) == "stored"
    rig.work()
    assert rig.events(state="error") == []
    kinds = [each["kind"] for each in rig.events(state="understood")]
    assert kinds[-2:] == ["order.refunded", "order.deleted"]
    assert len(rig.received("gameball")) == sent
    assert [each["reason"] for each in rig.deliveries(provider="gameball")][1:] == ["erased", "erased"]


def shopify(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / "shopify" / name).read_text())
    return found


#: The buyer of the made-up Shopify bodies, by every piece that identifies them.
INES = [
    '"ines"',
    "ines.example",
    "ines example",
    "voorbeeldstraat",
    "1011 ab",
    "192.0.2.7",
    "612345678",
    "06 12345678",
    "7700123400001",
    "7700123400002",
]


def test_a_shopify_buyer_is_removed_from_orders_carts_and_checkouts(rig: Rig) -> None:
    shop = rig.shop()
    rig.switch_on(shop)
    rig.shopify("carts/update", shopify("carts_update__worked_a.json"))
    rig.shopify("checkouts/update", shopify("checkouts_update__worked_a.json"))
    rig.shopify("carts/update", {**shopify("carts_update__worked_a.json"), "updated_at": "2026-03-02T10:13:00+01:00"})
    rig.shopify("orders/paid", shopify("orders_paid__worked_a.json"))
    rig.work()
    assert set(INES) - set(left(rig, INES)) == set()
    receipt = forget(rig, shop, "7700123400001")
    assert left(rig, [*INES, "sk.1.2.3", "0f1e2d3c", "made-up.myshopify.com/60000000001/checkouts"]) == []
    assert receipt.counts["ledgers"] == 3
    assert receipt.counts["webhooks"] >= 2


# who is meant


def events_of(rig: Rig) -> dict[str, bool]:
    """By order: whether its facts are without their person."""
    with rig.db.read() as session:
        rows = session.execute(select(Ledger.key, Ledger.state).where(Ledger.kind == "order"))
        return {key: bool(unpack(state)["order"].get("erased")) for key, state in rows}


def test_an_account_leads_to_its_guest_orders_and_an_address_to_its_account(rig: Rig, shop: int) -> None:
    order(rig, shop, woocommerce_order(1, customer_id=77, email="a@example.test"))
    order(rig, shop, woocommerce_order(2, customer_id=0, email="a@example.test"))
    order(rig, shop, woocommerce_order(3, customer_id=77, email="b@example.test"))
    order(rig, shop, woocommerce_order(4, customer_id=88, email="b@example.test"))
    order(rig, shop, woocommerce_order(5, customer_id=0, email="c@example.test"))
    rig.account()
    found = persons.search(rig.db, shop, persons.from_text("77"))
    assert {key for kind, key in found.subjects if kind == "order"} == {"1", "2", "3"}
    found = persons.search(rig.db, shop, persons.from_text("A@Example.test "))
    assert {key for kind, key in found.subjects if kind == "order"} == {"1", "2", "3"}
    assert found.guests == {("order", "3")}


def test_a_listed_order_is_erased_whoever_it_names(rig: Rig, shop: int) -> None:
    order(rig, shop, woocommerce_order(1, email="a@example.test"))
    order(rig, shop, woocommerce_order(2, email="b@example.test"))
    rig.account()
    remove_person(rig.db, rig.parts.vault, shop, Person(orders={"2"}))
    assert events_of(rig) == {"1": False, "2": True}


def test_a_phone_finds_an_order_and_leads_no_further(rig: Rig, shop: int) -> None:
    for number, (phone, who) in enumerate(
        [("+45 12 34 99 78", "a@example.test"), ("12349978", "b@example.test"), ("87654321", "b@example.test")], 1
    ):
        body = woocommerce_order(number, email=who, customer_id=number)
        body["billing"]["phone"] = phone
        order(rig, shop, body)
    rig.account()
    remove_person(rig.db, rig.parts.vault, shop, Person(phones={"+4512349978"}))
    assert events_of(rig) == {"1": True, "2": True, "3": False}


def test_the_same_person_in_another_shop_stays(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    order(rig, shop, marked(1))
    order(rig, other, marked(1))
    rig.account()
    with rig.db.read() as session:
        before = unpack(session.scalars(select(Ledger.state).where(Ledger.shop_id == other)).one())
    forget(rig, shop)
    with rig.db.read() as session:
        assert unpack(session.scalars(select(Ledger.state).where(Ledger.shop_id == other)).one()) == before
        assert session.scalars(select(Webhook.body).where(Webhook.shop_id == other)).one() is not None
    forget(rig, other)
    assert left(rig) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+31612345678", "06 12345678", True),
        ("555-625-1199", "+15556251199", True),
        ("+31612345678", "+32612345678", False),
        ("12345", "12345", False),
        ("+4512345678", "12 34 56 78", True),
        ("12345678", "12345679", False),
    ],
)
def test_phones_are_one_with_and_without_their_country(one: str, other: str, same: bool) -> None:
    assert persons.same_phone(one, other) is same
    assert persons.same_phone(other, one) is same


# what stays


def test_names_go_from_free_texts_as_whole_words_and_never_from_what_a_machine_wrote() -> None:
    from app.services.kept import FACTS, Traces

    traces = Traces({"ada@example.test", "+4512345678"}, {"Red", "paid", "Ada Lovelace"})
    facts = {
        "order": {
            **{"id": "17", "status": "paid", "currency": "DKK", "email": "ada@example.test", "name": "#1"},
            "lines": [{"title": "Redwood shelf in red for ada lovelace, ada@example.test", "sku": "RED-1"}],
        }
    }
    assert FACTS.keep(facts, traces) == {
        "order": {
            **{"id": "17", "status": "paid", "currency": "DKK", "name": "#1"},
            "lines": [{"title": "Redwood shelf in  for , ", "sku": "-1"}],
        }
    }


def test_every_field_of_an_order_is_either_kept_or_personal() -> None:
    """So that a field that is added to the facts is decided about here."""
    from dataclasses import fields

    from app.services.kept import FACTS
    from connectors import events

    shapes: list[type] = [events.Order, events.LineItem, events.ShippingLine, events.Refund, events.RefundLine]
    shapes += [events.Fulfilment, events.Cart, events.CartLine, events.Checkout]
    gone = {each.name for shape in shapes for each in fields(shape)} - FACTS.fields
    assert sorted(gone) == [
        *("accepts_marketing", "address", "attributes", "billing", "cancel_reason", "cart_id", "checkout_id", "code"),
        *("customer", "customer_id", "discount_codes", "email", "first_name", "last_name", "locale", "note"),
        *("payment_method", "phone", "seeka_profile_id", "shipping_method", "source", "spotler_cookie", "sprii"),
        *("tcf_consent", "tracking_company", "tracking_numbers", "tracking_urls"),
    ]


def big(rig: Rig, shop: int, count: int) -> None:
    """Orders of many people, written as the accountant would."""
    order(rig, shop, marked(1))
    rig.account()
    with rig.db.write() as session:
        ledger = session.scalars(select(Ledger)).one()
        event = session.scalars(select(Event).where(Event.facts.is_not(None))).first()
        webhook = session.scalars(select(Webhook)).one()
        assert event is not None
        state, facts, body = unpack(ledger.state), unpack(event.facts or b""), unpack(webhook.body)
        for number in range(2, count + 2):
            someone = f"buyer{number}@example.test"
            known, told, raw = (copy.deepcopy(each) for each in (state, facts, body))
            for each in (known["order"], told["order"]):
                each |= {"id": str(number), "email": someone, "customer_id": str(number), "customer": {}}
            raw["billing"]["email"], raw["customer_id"], raw["id"] = someone, number, number
            session.add(
                Ledger(shop_id=shop, kind="order", key=str(number), state=pack(known), updated_at=ledger.updated_at)
            )
            stored = Webhook(
                platform="woocommerce",
                shop_id=shop,
                endpoint_id=webhook.endpoint_id,
                dedup_key=f"made:{number}",
                topic=webhook.topic,
                headers={},
                body=pack(raw),
                body_hash=str(number),
                received_at=webhook.received_at,
                state="done",
            )
            session.add(stored)
            session.flush()
            session.add(
                Event(
                    shop_id=shop,
                    webhook_id=stored.id,
                    kind="order.paid",
                    subject=str(number),
                    dedup_key=f"made:{number}",
                    occurred_at=event.occurred_at,
                    received_at=event.received_at,
                    state="understood",
                    facts=pack(told),
                )
            )


def test_a_person_among_many_is_found_page_by_page(rig: Rig, shop: int) -> None:
    big(rig, shop, 450)
    receipt = forget(rig, shop, "buyer333@example.test")
    assert receipt.counts == {
        **{"webhooks": 1, "events": 1, "deliveries": 0, "attempts": 0, "ledgers": 1, "exports": 0},
    }
    assert "buyer333@" not in everything(rig.db)
    assert "buyer334@" in everything(rig.db)


@pytest.mark.parametrize(
    ("state", "doubt", "kept"),
    [
        ("pending", False, False),
        ("held", False, False),
        ("retrying", True, True),
        ("unknown", False, True),
        ("dead", False, True),
    ],
)
def test_what_was_never_sent_gives_its_place_back_and_what_is_in_doubt_does_not(
    rig: Rig, shop: int, state: str, doubt: bool, kept: bool
) -> None:
    """A later webhook about the order is new data; it may be reported once, if nothing was."""
    rig.switch_on(shop, "gameball")
    order(rig, shop, marked(1))
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state=state, doubt=doubt))
        assert None not in list(session.scalars(select(Delivery.once_key)))
    forget(rig, shop)
    with rig.db.read() as session:
        assert [key is not None for key in session.scalars(select(Delivery.once_key))] == [kept]


def test_what_a_dead_worker_had_under_way_keeps_its_place(rig: Rig, shop: int) -> None:
    """It may have been sent; nobody has looked at its lease yet, as long as its destination is held or off."""
    rig.switch_on(shop, "gameball")
    order(rig, shop, marked(1))
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) - timedelta(seconds=1), attempts=1))
    forget(rig, shop)
    with rig.db.read() as session:
        [left] = session.scalars(select(Delivery))
        assert (left.state, left.reason, left.leased_until, left.once_key is None) == ("skipped", "erased", None, False)


def test_what_a_provider_says_of_an_erased_person_is_not_kept(rig: Rig, shop: int) -> None:
    """Where a clock was stepped, erasing does not wait for a call under way: what it brings must not come back."""
    rig.switch_on(shop, "gameball")
    rig.simulators.app.set_faults("gameball", [{"kind": "delay", "seconds": 0.5, "times": 1}])
    order(rig, shop, marked(1))
    rig.account()
    rig.deliverer.work()
    lease(rig, -1)
    forget(rig, shop)
    with rig.db.read() as session:
        assert session.execute(select(Attempt.outcome, Attempt.answer)).all() == [("answer lost", None)]
    while not rig.deliverer.settle():
        time.sleep(0.01)
    with rig.db.read() as session:
        assert session.execute(select(Attempt.outcome, Attempt.answer)).all() == [("accepted", None)]
        assert session.execute(select(Delivery.state, Delivery.reason)).all() == [("skipped", "erased")]
    assert left(rig) == []


def test_a_body_that_no_shop_could_be_found_for_is_cleaned_as_well(rig: Rig) -> None:
    shop = rig.shop()
    rig.shopify("orders/paid", shopify("orders_paid__worked_a.json"), domain=None)
    rig.account()
    assert [each["error"] for each in rig.events()] == ["names no shop that is installed here"]
    assert forget(rig, shop, "7700123400001").counts["webhooks"] == 1
    assert left(rig, INES) == []


# beside others


def test_everything_stored_before_is_erased_while_a_worker_reads_and_sends_it(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball", "esputnik", "seeka")
    for number in range(1, 31):
        order(rig, shop, marked(number) if number % 2 else woocommerce_order(number, email="other@example.test"))
    worker = factory.create_worker(rig.parts)
    worker.start()
    try:
        forget(rig, shop)
        assert left(rig) == []
    finally:
        worker.stop()
    rig.work()
    assert left(rig) == []
    assert {each["state"] for each in rig.deliveries() if int(each["order"]) % 2 == 0} <= {"delivered", "skipped"}
    assert rig.events(state="error") == []


def test_a_person_is_erased_on_postgresql_as_well(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = rig.shop("woocommerce")
        rig.switch_on(shop)
        order(rig, shop, marked(1))
        order(rig, shop, marked(2))
        rig.account()
        worker = factory.create_worker(rig.parts)
        worker.start()
        try:
            receipt = forget(rig, shop)
        finally:
            worker.stop()
        assert receipt.counts["ledgers"] == 2
        assert left(rig) == []


# real bodies


def test_no_buyer_of_the_recorded_store_is_left(rig: Rig, shop: int) -> None:
    shown: set[str] = set()
    everybody = Person(ids={"1", "2", "3"})
    for path in sorted((FIXTURES / "woocommerce/recorded").glob("*.json")):
        recorded = json.loads(path.read_text())
        if recorded["topic"] not in ("order.created", "order.updated", "cart.updated"):
            continue
        body = json.loads(recorded["body"])
        rig.woocommerce(shop, recorded["topic"], body)
        strong, weak = bodies.shown_by(body)
        shown |= {each.lower() for each in strong | weak if len(each) > 4 and not each.isdecimal()}
        everybody.emails |= {each.lower() for each in strong if "@" in each}
    rig.work()
    assert {each for each in shown if each in everything(rig.db)} == shown
    assert len(shown) > 10
    before = amounts(rig)
    remove_person(rig.db, rig.parts.vault, shop, everybody)
    found = everything(rig.db)
    assert [each for each in shown if each in found] == []
    assert amounts(rig) == before


def test_no_buyer_of_a_real_body_is_left(rig: Rig, samples: Path) -> None:
    shop = rig.shop()
    rig.switch_on(shop)
    everybody = Person()
    shown: set[str] = set()
    for path in sorted((samples / "shopify").glob("*.json")):
        resource, _, rest = path.name.partition("__")[0].partition("_")
        if resource not in {"orders", "checkouts"}:
            continue
        body = {**json.loads(path.read_text()), "order_status_url": None}
        assert rig.shopify(f"{resource}/{rest}", body) == "stored"
        strong, weak = bodies.shown_by(body)
        shown |= {each.lower() for each in strong | weak if len(each) > 5 and not each.isdecimal()}
        customer = body.get("customer") or {}
        everybody.ids |= {str(customer["id"])} if "id" in customer else set()
        everybody.orders |= {str(body["id"])} if "id" in body else set()
        everybody.emails |= {body["email"].lower()} if body.get("email") else set()
    rig.work()
    assert len([each for each in shown if each in everything(rig.db)]) > 20
    remove_person(rig.db, rig.parts.vault, shop, everybody)
    found = everything(rig.db)
    assert [each for each in shown if each in found] == []
