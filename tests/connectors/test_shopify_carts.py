"""Carts and checkouts, whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.events import Attribute, Cart, CartLine, Checkout, Found, facts
from tests.connectors.shopify_fixtures import body_of, cart_of, checkout_of

CONTENT = hashlib.sha256(b"880011:2:40\n880012:1:18").hexdigest()


def test_a_cart() -> None:
    assert cart_of(body_of("carts_update__worked_a")) == Cart(
        id="c1-7f3a9e",
        currency="EUR",
        total=D(98),
        updated_at=datetime(2026, 3, 2, 9, 10, 0, 120000, tzinfo=UTC),
        lines=(
            CartLine(
                key="880011:made-up",
                product_id="880001",
                variant_id="880011",
                unit_id="880011",
                sku="MUG-BLUE",
                name="Mug blue",
                title="Mug blue",
                vendor="Potter",
                quantity=D(2),
                unit_price=D(40),
                total=D(80),
                attributes=(
                    Attribute(name="orderNo", value="5934-14", place="line", rank=0),
                    Attribute(name="_live", value="true", place="line", rank=1),
                ),
            ),
            CartLine(
                key="880012:made-up",
                product_id="880002",
                variant_id="880012",
                unit_id="880012",
                name="Tea 100 g",
                title="Tea 100 g",
                vendor="Potter",
                quantity=D(1),
                unit_price=D(18),
                total=D(18),
            ),
        ),
        quantity=D(3),
        content=CONTENT,
        sprii=Found(value="5934-14", name="orderNo", place="line"),
    )


@pytest.mark.parametrize("lines", [[], None])
def test_an_empty_cart_knows_no_currency(lines: Any) -> None:
    body = {"id": "c1-7f", "token": "c1-7f", "line_items": lines, "note": None, "updated_at": "2026-03-02T09:10:00Z"}
    assert cart_of(body) == Cart(
        id="c1-7f", updated_at=datetime(2026, 3, 2, 9, 10, tzinfo=UTC), content=hashlib.sha256(b"").hexdigest()
    )


def test_content_is_what_is_bought_at_which_price() -> None:
    body = body_of("carts_update__worked_a")
    first, second = body["line_items"]
    twisted = [second | {"key": "x", "title": "y"}, first | {"discounted_price_set": None, "discounted_price": "40"}]
    assert cart_of(body | {"line_items": twisted, "updated_at": "2026-04-01T00:00:00Z"}).content == CONTENT
    assert cart_of(body | {"line_items": [first | {"quantity": 3}, second]}).content != CONTENT
    assert cart_of(body | {"line_items": [first | {"variant_id": 1}, second]}).content != CONTENT
    assert cart_of(body | {"line_items": [first | {"discounted_price_set": None}, second]}).content == CONTENT
    assert cart_of(body | {"line_items": [first]}).content != CONTENT


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({"token": "Z2NwLX?key=5f"}, "Z2NwLX"),
        ({"token": None, "id": "c1-8?key=5f"}, "c1-8"),
        ({"token": "c1-9", "id": "c1-8"}, "c1-9"),
    ],
)
def test_a_cart_is_its_token_without_the_key(fields: dict[str, Any], identity: str) -> None:
    assert cart_of(body_of("carts_update__worked_a") | fields).id == identity


@pytest.mark.parametrize(
    ("fields", "unit", "total"),
    [
        ({}, D(18), D(18)),
        ({"line_price_set": None, "line_price": "17.50"}, D(18), D("17.50")),
        ({"line_price_set": None, "line_price": None, "quantity": 3}, D(18), D(54)),
        ({"discounted_price_set": None, "discounted_price": None}, D(20), D(18)),
    ],
)
def test_prices_of_a_cart_line_are_after_discounts(fields: dict[str, Any], unit: D, total: D) -> None:
    body = body_of("carts_update__worked_a")
    line = cart_of(body | {"line_items": [body["line_items"][1] | fields]}).lines[0]
    assert (line.unit_price, line.total) == (unit, total)


def test_a_cart_without_any_name_is_unreadable() -> None:
    with pytest.raises(Unreadable) as raised:
        cart_of({"line_items": []})
    assert str(raised.value) == "$.token: expected an id, found nothing"


def test_a_checkout() -> None:
    assert checkout_of(body_of("checkouts_update__worked_a")) == Checkout(
        id="co-1",
        cart_id="c1-7f3a9e",
        currency="EUR",
        total=D("96.80"),
        created_at=datetime(2026, 3, 2, 9, 12, tzinfo=UTC),
        updated_at=datetime(2026, 3, 2, 9, 12, 30, tzinfo=UTC),
        lines=(
            CartLine(
                key="880011",
                product_id="880001",
                variant_id="880011",
                unit_id="880011",
                sku="MUG-BLUE",
                name="Mug blue - Large",
                title="Mug blue",
                variant_title="Large",
                vendor="Potter",
                quantity=D(2),
                unit_price=D(40),
                total=D(80),
            ),
        ),
        quantity=D(2),
        customer_id="7700123400001",
        email="ines.example@example.com",
        phone="+31612345678",
        first_name="Ines",
        last_name="Example",
        accepts_marketing=True,
        locale="nl-NL",
        attributes=(Attribute(name="_seeka_pid", value="sk.1.2.3", place="order", rank=0),),
        seeka_profile_id="sk.1.2.3",
    )


def test_the_address_that_opens_a_checkout_is_read_nowhere() -> None:
    body = body_of("checkouts_update__worked_a")
    assert "recover?key=" in body["abandoned_checkout_url"]
    assert "recover" not in str(facts(checkout_of(body)))


@pytest.mark.parametrize("gone", [None, [], {}])
def test_a_checkout_of_nobody(gone: Any) -> None:
    people = dict.fromkeys(("customer", "billing_address", "shipping_address"), gone)
    nothing = dict.fromkeys(("email", "phone", "buyer_accepts_marketing", "customer_locale", "note_attributes"))
    checkout = checkout_of(body_of("checkouts_update__worked_a") | people | nothing)
    assert (checkout.customer_id, checkout.email, checkout.phone) == (None, None, None)
    assert (checkout.first_name, checkout.last_name, checkout.accepts_marketing) == (None, None, None)
    assert (checkout.locale, checkout.attributes, checkout.seeka_profile_id) == (None, (), None)


def test_a_checkout_may_be_completed() -> None:
    body = body_of("checkouts_update__worked_a") | {"completed_at": "2026-03-02T10:15:30+01:00"}
    assert checkout_of(body).completed_at == datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)


def test_without_a_total_the_lines_are_it() -> None:
    assert checkout_of(body_of("checkouts_update__worked_a") | {"total_price": None}).total == D(80)


@pytest.mark.parametrize(
    ("fields", "unit", "total"),
    [
        ({"line_price": "72.00"}, D(36), D(72)),
        ({"line_price": None}, D(40), D(80)),
        ({"quantity": 3, "line_price": "100.00"}, D("33.333333"), D(100)),
        ({"applied_discounts": [{"amount": "8.00"}]}, D(36), D(72)),
    ],
)
def test_prices_of_a_checkout_line_are_after_discounts(fields: dict[str, Any], unit: D, total: D) -> None:
    body = body_of("checkouts_update__worked_a")
    line = checkout_of(body | {"line_items": [body["line_items"][0] | fields]}).lines[0]
    assert (line.unit_price, line.total) == (unit, total)


def test_note_attributes_may_be_a_plain_map() -> None:
    body = body_of("checkouts_update__worked_a") | {"note_attributes": {"orderNo": 5934, "gift": None}}
    checkout = checkout_of(body)
    assert checkout.attributes == (Attribute(name="orderNo", value="5934", place="order", rank=0),)
    assert checkout.sprii == Found(value="5934", name="orderNo", place="order")


def test_a_checkout_without_token_is_unreadable() -> None:
    body = body_of("checkouts_update__worked_a") | {"token": None}
    with pytest.raises(Unreadable) as raised:
        checkout_of(body)
    assert str(raised.value) == "$.token: expected an id, found nothing"


@pytest.mark.parametrize(
    ("fixture", "read"), [("carts_update__worked_a", cart_of), ("checkouts_update__worked_a", checkout_of)]
)
def test_of_numbers_on_several_lines_the_last_lines_wins_wherever_it_stands_in_it(
    fixture: str, read: Callable[[dict[str, Any]], Cart | Checkout]
) -> None:
    body = body_of(fixture)
    line = body["line_items"][0]
    first = {**line, "properties": {"gift": "no", "orderNo": "5934-1"}}
    second = {**line, "properties": [{"name": "orderNo", "value": "5934-2"}]}
    found = read({**body, "note_attributes": [], "line_items": [first, second]}).sprii
    assert found == Found(value="5934-2", name="orderNo", place="line", others=("5934-1",))
