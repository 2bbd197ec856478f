"""What a refund tells a destination of an order that changed since it was given: whose it was, and which lines."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from app.models import Delivery, Shop
from app.providers.registry import PROVIDERS
from app.services.erase import erase_customer
from app.services.persons import from_text
from app.services.preview import preview
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.services.test_erase import NOW, everything

GUEST = "guest:buyer@example.test"


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    return shop


def tell(rig: Rig, shop: int, minute: int = 0, **fields: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(102, minute=minute, **fields)) == "stored"


def customers(rig: Rig) -> list[Any]:
    return [each["customerId"] for each in rig.received("gameball")]


def effects(rig: Rig) -> list[Any]:
    with rig.db.read() as session:
        return list(session.scalars(select(Delivery.effect).where(Delivery.action == "order")))


def test_a_refund_names_the_customer_that_its_order_was_accepted_under(rig: Rig, shop: int) -> None:
    tell(rig, shop)
    rig.work()
    tell(rig, shop, 1, customer_id=5)
    tell(rig, shop, 2, customer_id=5, refunds=((901, "20.00"),))
    rig.work()
    assert customers(rig) == [GUEST, GUEST]
    assert rig.received("gameball")[1]["refundAmount"] == 20
    assert [state for *_, state, _ in rig.states()] == ["delivered", "delivered"]


def test_settings_that_changed_since_do_not_change_whose_order_it_was(rig: Rig, shop: int) -> None:
    tell(rig, shop, customer_id=5)
    rig.work()
    rig.set(shop, "gameball", customer_id="email")
    tell(rig, shop, 1, customer_id=5, status="cancelled")
    rig.work()
    assert customers(rig) == ["5", "5"]


def test_what_was_accepted_before_this_was_kept_goes_by_the_order_of_today(rig: Rig, shop: int) -> None:
    tell(rig, shop, customer_id=5)
    rig.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(effect={}))
    tell(rig, shop, 1, customer_id=5, refunds=((901, "20.00"),))
    rig.work()
    assert customers(rig) == ["5", "5"]


def test_the_preview_names_the_same_customer_before_and_after_the_order_went_out(rig: Rig, shop: int) -> None:
    tell(rig, shop)
    rig.account()
    tell(rig, shop, 1, customer_id=5, refunds=((901, "20.00"),))
    rig.account()
    assert expected(rig, shop) == [GUEST]
    rig.work()
    assert expected(rig, shop) == [GUEST]
    assert customers(rig) == [GUEST, GUEST]


def expected(rig: Rig, shop: int) -> list[Any]:
    with rig.db.read() as session:
        rows = preview(session, rig.parts.router, session.get_one(Shop, shop), PROVIDERS["gameball"], None, last=50)
    return [each["now"]["payload"]["customerId"] for each in rows if each["rule"] == "refund"]


def test_erasing_takes_the_kept_customer_too(rig: Rig, shop: int) -> None:
    tell(rig, shop)
    rig.work()
    assert effects(rig) == [{"kept": {"customer_id": GUEST}}]
    erase_customer(rig.db, rig.parts.vault, shop, from_text("buyer@example.test"), NOW, actor="operator")
    assert effects(rig) == [None]
    assert "buyer@example.test" not in everything(rig.db)
