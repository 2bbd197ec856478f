"""Real bodies, which belong to others and are read from outside: a folder ``shopify`` below ``TILLWIRE_SAMPLES``."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from pathlib import Path

import pytest

from connectors.base import Names
from connectors.errors import Unreadable
from connectors.events import (
    Cart,
    CartLine,
    CartSeen,
    Checkout,
    CheckoutSeen,
    Chore,
    ChoreKind,
    Claim,
    Observation,
    Order,
    OrderSeen,
    RefundLine,
    RefundSeen,
)
from connectors.shopify.connector import Shopify


def read(samples: Path, topic: str, name: str) -> Observation:
    body = (samples / "shopify" / f"{topic.replace('/', '_')}__{name}.json").read_bytes()
    return Shopify().observe(topic, {}, body, Names())


def order(samples: Path, topic: str, name: str) -> Order:
    found = read(samples, topic, name).seen
    assert isinstance(found, OrderSeen)
    return found.order


def adds_up(found: Order) -> bool:
    lines = sum(line.total_gross for line in found.lines)
    return lines + found.shipping_gross - found.unassigned_discount == found.total


def test_an_order_with_tax_on_top(samples: Path) -> None:
    found = order(samples, "orders/create", "official_rest_2026-07_eur_tax")
    assert (found.id, found.number, found.name) == ("1073459976", "1002", "#1002")
    assert (found.total, found.tax, found.lines_tax, found.currency) == (D("238.47"), D("13.50"), D("13.50"), "EUR")
    assert (found.paid, found.taxes_included, found.shipping_gross) == (True, False, D(0))
    assert (found.customer, found.email, found.locale, found.payment_method) == (None, None, None, None)
    assert found.created_at == datetime(2025, 4, 2, 16, 31, 26, tzinfo=UTC)
    line = found.lines[0]
    assert (line.quantity, line.unit_price, line.unit_gross, line.total_gross) == (
        3,
        D("74.99"),
        D("79.49"),
        D("238.47"),
    )
    assert (line.product_id, line.unit_id, line.name) == (None, None, "Big Brown Bear Boots")
    assert (line.tax, line.tax_rate) == (D("13.50"), D("0.060008"))
    assert adds_up(found)


def test_an_order_with_discounts_and_a_refund(samples: Path) -> None:
    seen = read(samples, "orders/updated", "official_rest_2026-07_refund_fulfillment")
    assert seen.claim == Claim(shop_id="548380009")
    assert isinstance(seen.seen, OrderSeen)
    found = seen.seen.order
    assert (found.total, found.current_total, found.discount, found.tax) == (
        D("598.94"),
        D("199.65"),
        D(10),
        D("11.94"),
    )
    assert [line.discount for line in found.lines] == [D("3.34"), D("3.33"), D("3.33")]
    assert [line.current_quantity for line in found.lines] == [0, 1, 0]
    assert [each.name for each in found.lines[0].attributes] == ["Custom Engraving Front", "Custom Engraving Back"]
    assert [(each.name, each.value) for each in found.attributes] == [
        ("custom engraving", "Happy Birthday"),
        ("colour", "green"),
    ]
    assert (found.cart_id, found.checkout_id) == (
        "68778783ad298f1c80c3bafcddeea02f",
        "bd5a8aa1ecd019dd3520ff791ee3a24c",
    )
    assert (found.phone, found.customer_id, found.discount_codes) == ("+557734881234", "207119551", ("tenoff",))
    assert (found.paid, found.test, found.refunded_in_full, found.refunded) == (True, True, False, D(209))
    assert (found.shipping_method, found.shipping_gross) == ("Free Shipping", D(0))
    refund = found.refunds[0]
    assert (refund.id, refund.amount, refund.amount_source) == ("509562969", D(209), "transactions")
    assert refund.lines == (
        RefundLine(line_id="703073504", quantity=D(1), net=D("195.66"), tax=D("3.98"), gross=D("199.64")),
        RefundLine(line_id="466157049", quantity=D(1), net=D("195.67"), tax=D("3.98"), gross=D("199.65")),
    )
    assert found.address is not None
    assert found.address.text == "Chestnut Street 92, 40202 Louisville, US"
    assert (found.address.region, found.address.region_code) == ("Kentucky", "KY")
    assert [each.status for each in found.fulfilments] == ["failure"]
    assert adds_up(found)


def test_an_order_of_a_draft(samples: Path) -> None:
    found = order(samples, "orders/fulfilled", "erp_pln_vat")
    assert (found.id, found.number, found.name, found.currency) == ("100500", "1166", "#1166X01", "PLN")
    assert (found.source, found.channel, found.status) == ("shopify_draft_order", "web", "closed")
    assert (found.fulfilment_status, found.cart_id) == ("full", None)
    assert found.completed_at == datetime(2024, 10, 8, 12, 7, 59, tzinfo=UTC)
    assert (found.email, found.phone, found.locale) == ("przecietny-kowalski@mail.pl", "+48123234456", "pl-PL")
    assert (found.first_name, found.last_name) == ("Przeciętny", "Kowalski")
    assert [(line.unit_gross, line.tax_rate) for line in found.lines] == [
        (D("151.29"), D("0.23")),
        (D("615"), D("0.23")),
    ]
    assert [each.tracking_numbers for each in found.fulfilments] == [("track-num1",), ("track-num2",)]
    assert found.note == "Just note from customer"
    assert adds_up(found)


@pytest.mark.parametrize("topic", ["orders/create", "orders/paid"])
def test_orders_trimmed_by_others(samples: Path, topic: str) -> None:
    found = order(samples, topic, "rudder_note_attributes")
    assert (found.id, found.total, found.currency) == ("5778367414385", D(600), "USD")
    assert (found.email, found.customer_id) == ("henry@wfls.com", "7358220173425")
    assert (found.first_name, found.last_name) == ("yodi", "waffles")
    assert found.cart_id == "Z2NwLXVzLWVhc3QxOjAxSkJaTUVRSjgzNUJUN1BTNjEzRFdRUFFQ"
    assert [each.name for each in found.attributes] == ["cartId", "cartToken", "rudderAnonymousId"]
    assert (found.lines[0].product_id, found.lines[0].unit_price) == ("7234590408817", D(600))
    assert (found.paid, found.sprii) == (False, None)
    assert found.test is (topic == "orders/paid")
    assert adds_up(found)


def test_an_order_without_an_id_is_unreadable(samples: Path) -> None:
    with pytest.raises(Unreadable):
        read(samples, "orders/cancelled", "rudder_minimal")


def test_a_refund_by_itself(samples: Path) -> None:
    found = read(samples, "refunds/create", "official_rest_2026-07").seen
    assert isinstance(found, RefundSeen)
    assert (found.order_id, found.refund.id, found.refund.amount) == ("450789469", "509562969", D(209))
    assert (found.refund.note, found.refund.amount_source) == ("it broke during shipping", "transactions")
    assert found.refund.lines == (
        RefundLine(line_id="703073504", quantity=D(1), net=D("195.66"), tax=D("3.98"), gross=D("199.64")),
        RefundLine(line_id="466157049", quantity=D(1), net=D("195.67"), tax=D("3.98"), gross=D("199.65")),
    )


def test_a_cart_of_the_documentation(samples: Path) -> None:
    found = read(samples, "carts/create", "docs_2026-07").seen
    assert isinstance(found, CartSeen)
    assert found.cart == Cart(
        id="exampleCartId",
        currency="USD",
        total=D("59.97"),
        updated_at=datetime(2022, 1, 1, tzinfo=UTC),
        lines=(
            CartLine(
                key="704912205188288575:3abdf474dce81d0025dd15b9a02ef6bf",
                product_id="788032119674292922",
                variant_id="704912205188288575",
                unit_id="704912205188288575",
                sku="example-shirt-s",
                name="Example T-Shirt - Small",
                title="Example T-Shirt - Small",
                vendor="Acme",
                quantity=D(3),
                unit_price=D("19.99"),
                total=D("59.97"),
            ),
        ),
        quantity=D(3),
        content=found.cart.content,
    )


def test_a_recorded_cart(samples: Path) -> None:
    found = read(samples, "carts/update", "shopifysharp_null_note").seen
    assert isinstance(found, CartSeen)
    assert (found.cart.id, found.cart.total) == ("c1-f880804cdbfc39c683dc9fad79ab940a", D("2249.85"))
    assert found.cart.updated_at == datetime(2023, 12, 11, 4, 44, 14, 751000, tzinfo=UTC)


def test_a_recorded_checkout(samples: Path) -> None:
    found = read(samples, "checkouts/create", "rudder_note_attributes").seen
    assert isinstance(found, CheckoutSeen)
    checkout: Checkout = found.checkout
    assert checkout.id == "84ad78572dae52a8cbea7d55371afe89"
    assert checkout.cart_id == "Z2NwLXVzLWVhc3QxOjAxSkJaTUVRSjgzNUJUN1BTNjEzRFdRUFFQ"
    assert (checkout.total, checkout.currency, checkout.locale) == (D(600), "USD", "en-US")
    assert (checkout.email, checkout.accepts_marketing) == (None, False)
    assert checkout.updated_at == datetime(2024, 11, 6, 2, 22, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("topic", "kind", "name", "shop_id"),
    [
        ("customers/data_request", ChoreKind.DATA_REQUEST, "app_template_node", "954889"),
        ("customers/redact", ChoreKind.ERASE_CUSTOMER, "app_template_node", "954889"),
        ("shop/redact", ChoreKind.ERASE_SHOP, "app_template_node", "954889"),
        ("app/uninstalled", ChoreKind.UNINSTALLED, "docs_2026-07", "548380009"),
    ],
)
def test_chores(samples: Path, topic: str, kind: ChoreKind, name: str, shop_id: str) -> None:
    found = read(samples, topic, name)
    assert found.seen == Chore(name=topic, kind=kind)
    assert found.claim.shop_id == shop_id
