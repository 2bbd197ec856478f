"""From stored webhooks to events: what is isolated, noted and read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import select, update

from app.models import Connection, ConnectionState, Destination, Event, MappingVersion, Shop, Webhook
from app.services import account, missed
from app.services.secrets import Vault
from connectors.woocommerce.connector import WooCommerce
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def order(rig: Rig, shop: int, order_id: int = 1, **changes: object) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"  # type: ignore[arg-type]


def test_a_bug_in_reading_one_webhook_harms_no_other_and_can_be_mended_later(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = WooCommerce.observe

    def broken(self: WooCommerce, topic: str, headers: object, body: bytes, names: object) -> object:
        if b'"id": 2,' in body:
            raise ZeroDivisionError
        return read(self, topic, headers, body, names)  # type: ignore[arg-type]

    monkeypatch.setattr(WooCommerce, "observe", broken)
    for number in (1, 2, 3):
        order(rig, shop, number)
    rig.account()
    assert [(each["order"], each["state"]) for each in rig.events() if each["state"] != "understood"] == [
        (None, "error")
    ]
    assert {each["order"] for each in rig.events(state="understood")} == {"1", "3"}

    monkeypatch.setattr(WooCommerce, "observe", read)
    with rig.db.write() as session:
        assert account.read_again(session, shop, ()) == 1
    rig.account()
    assert rig.events(state="error") == []
    assert {each["order"] for each in rig.events(state="understood")} == {"1", "2", "3"}


def test_a_destination_whose_secrets_open_no_more_is_held_and_catches_up(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka", "gameball")
    other = Vault(_cipher()).close({"public_key": "x", "organisation_id": "y"})
    with rig.db.write() as session:
        kept = session.scalar(select(Destination.secrets).where(Destination.provider == "seeka"))
        session.execute(update(Destination).where(Destination.provider == "seeka").values(secrets=other))
    rig.parts.router._targets.clear()
    order(rig, shop)
    rig.work()
    assert [(each["provider"], each["state"]) for each in rig.deliveries()] == [("gameball", "delivered")]
    with rig.db.write() as session:
        held = session.scalar(select(Destination.held).where(Destination.provider == "seeka"))
        assert held is not None
        assert "ENCRYPTION_KEYS" in held
        session.execute(update(Destination).where(Destination.provider == "seeka").values(secrets=kept, held=None))
    missed.catch_up(rig.db, rig.parts.router)
    rig.work()
    assert sorted((each["provider"], each["state"]) for each in rig.deliveries()) == [
        ("gameball", "delivered"),
        ("seeka", "delivered"),
    ]


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(Fernet.generate_key())])


def test_a_stored_mapping_that_no_longer_compiles_holds_its_destination_alone(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka", "gameball")
    with rig.db.write() as session:
        row = session.scalars(select(Destination).where(Destination.provider == "seeka")).one()
        session.add(
            MappingVersion(shop_id=shop, provider="seeka", version=1, text="nonsense = [", created_at=row.created_at)
        )
    rig.parts.router._targets.clear()
    order(rig, shop)
    rig.work()
    assert [(each["provider"], each["state"]) for each in rig.deliveries()] == [("gameball", "delivered")]


def test_a_store_that_lost_its_rights_needs_attention_until_it_sends_orders_again(rig: Rig, shop: int) -> None:
    trouble = {"code": "woocommerce_rest_cannot_view", "message": "no", "data": {"status": 401}}
    assert rig.woocommerce(shop, "order.updated", trouble) == "stored"
    rig.account()
    with rig.db.read() as session:
        assert "connect the store again" in str(session.scalar(select(Shop.trouble)))
    order(rig, shop)
    rig.account()
    with rig.db.read() as session:
        assert session.scalar(select(Shop.trouble)) is None


def test_two_shops_with_equal_order_numbers_stay_apart(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(shop, "sprii")
    for each in (shop, other):
        order(rig, each)
    rig.work()
    assert [(each["shop"], each["order"]) for each in rig.deliveries()] == [(shop, "1")]
    with rig.db.read() as session:
        assert sorted(session.scalars(select(Event.shop_id).where(Event.kind == "order.paid"))) == [shop, other]


def test_an_error_object_lets_the_connection_be_checked_at_once(rig: Rig, shop: int) -> None:
    later = datetime.now(UTC) + timedelta(minutes=50)
    with rig.db.write() as session:
        connected = ConnectionState.CONNECTED
        session.add(Connection(shop_id=shop, state=connected, scopes=[], installed_at=later, check_at=later))
    trouble = {"code": "woocommerce_rest_cannot_view", "message": "no", "data": {"status": 401}}
    rig.woocommerce(shop, "order.updated", trouble)
    rig.account()
    with rig.db.read() as session:
        assert session.get_one(Connection, shop).check_at == session.scalar(select(Webhook.received_at))


def test_what_an_installation_says_of_a_shop_outlives_an_order_that_was_read_before_it(rig: Rig, shop: int) -> None:
    order(rig, shop)
    reads = rig.accountant._read([shop], account.BATCH)
    with rig.db.write() as session:
        session.get_one(Shop, shop).settings = {"facts": {"timezone": "Europe/Copenhagen"}, "names": {}}
    rig.accountant._write(reads)
    with rig.db.read() as session:
        facts = {"currency": "DKK", "timezone": "Europe/Copenhagen"}
        assert session.get_one(Shop, shop).settings == {"facts": facts, "names": {}}
