"""Orders that are taken back, as providers hear of it: whose order it was, and which lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from app import factory
from app.models import Delivery, Shop
from app.providers.registry import PROVIDERS
from app.services import refund_lines
from app.services.erase import erase_customer
from app.services.persons import from_text
from app.services.preview import preview
from tests.bodies import woocommerce_order
from tests.connectors.shopify_fixtures import body_of
from tests.rig import Rig
from tests.services.test_erase import NOW, everything

LATER = "2026-12-01T10:00:00Z"
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


# --- lines that were given back without units -------------------------------------------------------------------------


def bought() -> dict[str, Any]:
    """An e-book for 80.00, two teas for 50.00 each, and gift wrap for 10.00; all with 25 % tax."""
    body = woocommerce_order(102, customer_id=5)
    tea = {"id": 8, "product_id": 13, "sku": "TEA", "name": "Tea", "quantity": 2}
    tea |= {"subtotal": "80.00", "subtotal_tax": "20.00", "total": "80.00", "total_tax": "20.00"}
    body["line_items"].append({**body["line_items"][0], **tea})
    body["fee_lines"] = [{"id": 70, "name": "Gift wrap", "total": "8.00", "total_tax": "2.00"}]
    return {**body, "total": "190.00", "total_tax": "38.00"}


def back(line: int, gross: int, quantity: int | None = None) -> dict[str, Any]:
    """An entry of a refund, as ``GET orders/{id}/refunds`` tells it; fees have no quantity."""
    sums = {"total": f"-{gross * 0.8:.2f}", "total_tax": f"-{gross * 0.2:.2f}"}
    meta = [{"id": 1, "key": "_refunded_item_id", "value": str(line)}]
    return {"id": 900 + line, **sums, "meta_data": meta, **({} if quantity is None else {"quantity": -quantity})}


class Refunding:
    """An order that was paid, and then refunded in steps by a store that tells the lines."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rig, self.shop, self.refunds = rig, rig.shop("woocommerce"), list[dict[str, Any]]()
        monkeypatch.setattr(refund_lines, "_kept", lambda *_: json.dumps({"id": 102, "refunds": self.refunds}).encode())
        rig.accountant = factory.create_accountant(rig.parts)
        rig.switch_on(self.shop, "gameball", "esputnik")
        self._tell()

    def refund(self, amount: str, *products: dict[str, Any], fees: tuple[dict[str, Any], ...] = ()) -> None:
        number = 901 + len(self.refunds)
        told = {"id": number, "amount": amount, "date_created_gmt": f"2026-11-21T03:{number - 900:02d}:00"}
        self.refunds.append({**told, "line_items": list(products), "fee_lines": list(fees), "shipping_lines": []})
        self._tell()

    def cancel(self) -> None:
        self._tell(status="cancelled")

    def _tell(self, **fields: Any) -> None:
        shown = [{"id": each["id"], "reason": "", "total": f"-{each['amount']}"} for each in self.refunds]
        at = f"2026-11-21T03:{len(self.refunds) + len(fields):02d}:30"
        body = {**bought(), "refunds": shown, "date_modified_gmt": at, **fields}
        assert self.rig.woocommerce(self.shop, "order.updated", body) == "stored"
        self.rig.work()

    def taken(self) -> list[Any]:
        """What Gameball was asked to take back: amount, and each line's product, quantity, price, tax, discount."""
        return [
            (sent["refundAmount"], [tuple(line.values()) for line in sent["lineItems"]])
            for sent in self.rig.received("gameball")[1:]
        ]

    def left(self) -> tuple[Any, ...]:
        """What eSputnik has of the order: total, tax, and each item's id, quantity and cost."""
        order = self.rig.received("esputnik")[-1]["orders"][0]
        items = [(each["externalItemId"], each["quantity"], each["cost"]) for each in order["items"]]
        return order["totalCost"], order["taxes"], items

    def complaints(self) -> list[Any]:
        return [each["complaints"] for each in self.rig.deliveries() if each["complaints"]]


@pytest.fixture
def store(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Refunding:
    return Refunding(rig, monkeypatch)


EBOOK = ("12", 1, 64, 16, 0)
TEAS = ("13", 2, 40, 20, 0)
FEE = ("fee", 1, 8, 2, 0)


def test_a_fee_that_is_given_back_with_a_product_stays_a_fee(store: Refunding) -> None:
    store.refund("90.00", back(7, 80, 1), fees=(back(70, 10),))
    assert store.taken() == [(90, [EBOOK, FEE])]
    assert store.left() == (100, 20, [("13", 2, 50)])
    assert store.complaints() == []


def test_a_fee_alone_is_charged_to_no_product(store: Refunding) -> None:
    store.refund("10.00", fees=(back(70, 10),))
    assert store.taken() == [(10, [FEE])]
    assert store.left() == (180, 36, [("12", 1, 80), ("13", 2, 50)])
    store.cancel()
    assert store.taken()[1:] == [(180, [EBOOK, TEAS])]
    assert store.complaints() == []


def test_half_a_fee_is_half_of_that_fee(store: Refunding) -> None:
    store.refund("5.00", fees=(back(70, 5),))
    assert store.taken() == [(5, [("fee", 1, 4, 1, 0)])]
    assert store.left() == (185, 37, [("12", 1, 80), ("13", 2, 50), ("fee", 1, 5)])


def test_money_without_units_stays_with_its_line_and_is_no_estimate(store: Refunding) -> None:
    store.refund("20.00", back(8, 20, 0))
    assert store.taken() == [(20, [("13", 2, 8, 4, 0)])]
    assert store.left() == (170, 34, [("12", 1, 80), ("13", 2, 40), ("fee", 1, 10)])
    store.refund("50.00", back(8, 50, 1))  # a tea at its full price
    assert store.taken()[1:] == [(50, [("13", 1, 40, 10, 0)])]
    assert store.left() == (120, 24, [("12", 1, 80), ("13", 1, 30), ("fee", 1, 10)])
    store.cancel()
    assert store.taken()[2:] == [(120, [EBOOK, ("13", 1, 24, 6, 0), FEE])]
    assert store.complaints() == []


def test_all_the_money_of_a_line_is_the_line(store: Refunding) -> None:
    store.refund("100.00", back(8, 100, 0))
    store.refund("80.00", back(7, 80, 0))
    assert store.taken() == [(100, [TEAS]), (80, [EBOOK])]
    assert store.left() == (10, 2, [("fee", 1, 10)])


def test_units_and_money_of_one_line_in_one_refund_are_told_apart(store: Refunding) -> None:
    store.refund("60.00", back(8, 50, 1), back(8, 10, 0))
    assert store.taken() == [(60, [("13", 1, 40, 10, 0), ("13", 1, 8, 2, 0)])]
    assert store.left() == (130, 26, [("12", 1, 80), ("13", 1, 40), ("fee", 1, 10)])
    store.cancel()
    assert store.taken()[1:] == [(130, [EBOOK, ("13", 1, 32, 8, 0), FEE])]


def test_what_later_refunds_reckon_with_outlives_an_erasure(store: Refunding) -> None:
    store.refund("25.00", back(8, 20, 0), fees=(back(70, 5),))
    vault = store.rig.parts.vault
    erase_customer(store.rig.db, vault, store.shop, from_text("buyer@example.test"), NOW, actor="operator")
    with store.rig.db.read() as session:
        effect = session.scalars(select(Delivery.effect).where(Delivery.action == "refund")).one()
    assert effect == {"amount": "25", "quantities": {}, "sums": {"8": "20", "70": "5"}}


def test_no_more_is_taken_from_a_line_than_it_has(store: Refunding) -> None:
    store.refund("60.00", back(7, 60, 0))
    store.refund("80.00", back(7, 80, 1))
    assert store.taken() == [(60, [("12", 1, 48, 12, 0)]), (80, [("12", 1, 16, 4, 0)])]


# --- lines that are no products of the shop ---------------------------------------------------------------------------


@pytest.mark.parametrize(("route", "items"), [("orders", "items"), ("event", "params")])
def test_custom_lines_are_told_apart_in_orders_and_refunds(rig: Rig, route: str, items: str) -> None:
    shop = rig.shop()
    rig.switch_on(shop, "gameball")
    rig.switch_on(shop, "esputnik", order_route=route)
    body = body_of("orders_paid__worked_a")
    none = {"product_id": None, "variant_id": None, "properties": []}
    first, second = ({**line, **none} for line in body["line_items"])
    body |= {"line_items": [{**first, "sku": None}, {**second, "sku": "OWN"}], "refunds": []}
    rig.shopify("orders/paid", body)
    rig.work()
    rig.shopify("orders/cancelled", {**body, "updated_at": LATER, "cancelled_at": LATER})
    rig.work()
    ids = [str(first["id"]), "OWN"]
    assert [[line["productId"] for line in sent["lineItems"]] for sent in rig.received("gameball")] == [ids, ids]
    assert [line["externalItemId"] for line in sold(rig, items)] == ids


def sold(rig: Rig, name: str) -> list[dict[str, Any]]:
    """The lines of the last order that eSputnik has, by whichever route."""
    sent = [each for each in rig.received("esputnik") if "orders" in each or "params" in each][-1]
    if name == "items":
        return list(sent["orders"][0]["items"])
    found = next(each["value"] for each in sent["params"] if each["name"] == "items")
    return list(json.loads(found) if isinstance(found, str) else found)


def test_an_order_that_is_put_back_into_stock_is_cancelled_at_esputnik(rig: Rig) -> None:
    shop = rig.shop()
    rig.switch_on(shop, "esputnik", "gameball")
    body = {**body_of("orders_paid__worked_a"), "refunds": []}
    for at, word in ((body["updated_at"], None), (LATER, "restocked")):
        rig.shopify("orders/updated", {**body, "fulfillment_status": word, "updated_at": at})
        rig.work()
    orders = [each["orders"][0] for each in rig.received("esputnik")]
    total = orders[0]["totalCost"]
    assert [(each["status"], each["totalCost"]) for each in orders] == [("IN_PROGRESS", total), ("CANCELLED", total)]
    assert len(rig.received("gameball")) == 1
