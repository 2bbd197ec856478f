"""An order's body as an `Order`: whole objects, worked out by hand."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.events import (
    Address,
    Attribute,
    Customer,
    Found,
    Fulfilment,
    LineItem,
    Order,
    ShippingLine,
)
from tests.connectors.shopify_fixtures import WRITTEN, body_of, changed, order_of

INES = Address(
    first_name="Ines",
    last_name="Example",
    line1="Voorbeeldstraat 1",
    city="Amsterdam",
    postcode="1011 AB",
    country="Netherlands",
    country_code="NL",
    phone="06 12345678",
    text="Voorbeeldstraat 1, 1011 AB Amsterdam, NL",
)
INES_SHIPPING = Address(
    first_name="Ines",
    last_name="Example",
    line1="Voorbeeldstraat 1",
    city="Amsterdam",
    postcode="1011 AB",
    country="Netherlands",
    country_code="NL",
    text="Voorbeeldstraat 1, 1011 AB Amsterdam, NL",
)
#: Prices without tax, 21 %: 2 x 40.00 - 8.00 and 20.00 - 2.00, taxes 15.12 + 3.78; shipping 5.00 + 1.05.
WORKED_A = Order(
    id="6100234500001",
    number="1042",
    name="#1042",
    cart_id="c1-7f3a9e",
    checkout_id="co-1",
    source="web",
    channel="web",
    test=False,
    status="open",
    financial_status="paid",
    fulfilment_status="none",
    paid=True,
    created_at=datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC),
    updated_at=datetime(2026, 3, 2, 9, 16, tzinfo=UTC),
    currency="EUR",
    taxes_included=False,
    total=D("114.95"),
    current_total=D("114.95"),
    discount=D(10),
    discount_net=D(10),
    tax=D("19.95"),
    lines_tax=D("18.90"),
    shipping_net=D(5),
    shipping_tax=D("1.05"),
    shipping_gross=D("6.05"),
    lines=(
        LineItem(
            line_id="9200000000001",
            product_id="880001",
            variant_id="880011",
            unit_id="880011",
            sku="MUG-BLUE",
            name="Mug blue",
            title="Mug blue",
            vendor="Potter",
            quantity=D(2),
            current_quantity=D(2),
            unit_price=D(40),
            unit_net=D(40),
            unit_gross=D("48.4"),
            unit_net_paid=D(36),
            unit_gross_paid=D("43.56"),
            discount=D(8),
            discount_net=D(8),
            discount_gross=D("9.68"),
            tax=D("15.12"),
            tax_rate=D("0.21"),
            total_net=D(72),
            total_gross=D("87.12"),
        ),
        LineItem(
            line_id="9200000000002",
            product_id="880002",
            variant_id="880012",
            unit_id="880012",
            sku="TEA-100",
            name="Tea 100 g",
            title="Tea 100 g",
            quantity=D(1),
            current_quantity=D(1),
            unit_price=D(20),
            unit_net=D(20),
            unit_gross=D("24.2"),
            unit_net_paid=D(18),
            unit_gross_paid=D("21.78"),
            discount=D(2),
            discount_net=D(2),
            discount_gross=D("2.42"),
            tax=D("3.78"),
            tax_rate=D("0.21"),
            total_net=D(18),
            total_gross=D("21.78"),
        ),
    ),
    shipping_lines=(
        ShippingLine(title="Standard", code="Standard", net=D(5), tax=D("1.05"), gross=D("6.05"), discount=D(0)),
    ),
    shipping_method="Standard",
    payment_method="ideal",
    discount_codes=("spring10",),
    customer=Customer(
        id="7700123400001",
        email="ines.example@example.com",
        phone="+31612345678",
        first_name="Ines",
        last_name="Example",
    ),
    customer_id="7700123400001",
    email="ines.example@example.com",
    phone="+31612345678",
    first_name="Ines",
    last_name="Example",
    address=INES,
    billing=INES,
    shipping=INES_SHIPPING,
    locale="nl-NL",
    accepts_marketing=False,
)
EVA = Address(
    first_name="Eva",
    last_name="Jansen",
    line1="Keizersgracht 100",
    city="Amsterdam",
    region="Noord-Holland",
    region_code="NH",
    postcode="1015 CV",
    country="Netherlands",
    country_code="NL",
    phone="06 12345678",
    text="Keizersgracht 100, 1015 CV Amsterdam, NL",
)
#: Prices with 21 % tax: 72.00 of which 12.50, 13.50 of which 2.34, shipping 4.95 of which 0.86. The shop rounded the
#: taxes, so the rates that count are 12.50 / 59.50 and 2.34 / 11.16.
WORKED_B = Order(
    id="5501234567890",
    number="1042",
    name="#1042",
    cart_id="c1-7f3a",
    checkout_id="ch-91b2",
    source="web",
    status="open",
    financial_status="paid",
    paid=True,
    created_at=datetime(2026, 3, 14, 9, 15, 30, tzinfo=UTC),
    updated_at=datetime(2026, 3, 14, 9, 16, 2, tzinfo=UTC),
    currency="EUR",
    taxes_included=True,
    total=D("90.45"),
    current_total=D("90.45"),
    discount=D("9.50"),
    discount_net=D("7.851111"),
    tax=D("15.70"),
    lines_tax=D("14.84"),
    shipping_net=D("4.09"),
    shipping_tax=D("0.86"),
    shipping_gross=D("4.95"),
    lines=(
        LineItem(
            line_id="9200000000011",
            product_id="8801",
            variant_id="44001",
            unit_id="44001",
            sku="LIN-SHIRT-M-BLU",
            name="Linen shirt - Blue / M",
            title="Linen shirt",
            variant_title="Blue / M",
            quantity=D(2),
            current_quantity=D(2),
            unit_price=D(40),
            unit_net=D("33.055556"),
            unit_gross=D(40),
            unit_net_paid=D("29.75"),
            unit_gross_paid=D(36),
            discount=D(8),
            discount_net=D("6.611111"),
            discount_gross=D(8),
            tax=D("12.50"),
            tax_rate=D("0.210084"),
            total_net=D("59.50"),
            total_gross=D(72),
            attributes=(Attribute(name="orderNo", value="5934-15", place="line"),),
        ),
        LineItem(
            line_id="9200000000012",
            product_id="8802",
            variant_id="44002",
            unit_id="44002",
            sku="TOTE-CANVAS",
            name="Canvas tote",
            title="Canvas tote",
            quantity=D(1),
            current_quantity=D(1),
            unit_price=D(15),
            unit_net=D("12.40"),
            unit_gross=D(15),
            unit_net_paid=D("11.16"),
            unit_gross_paid=D("13.50"),
            discount=D("1.50"),
            discount_net=D("1.24"),
            discount_gross=D("1.50"),
            tax=D("2.34"),
            tax_rate=D("0.209677"),
            total_net=D("11.16"),
            total_gross=D("13.50"),
        ),
    ),
    shipping_lines=(ShippingLine(title="Standard", code="Standard", net=D("4.09"), tax=D("0.86"), gross=D("4.95")),),
    shipping_method="Standard",
    payment_method="iDEAL",
    discount_codes=("live10",),
    customer=Customer(
        id="7012345678901",
        email="eva.jansen@example.com",
        phone="+31612345678",
        first_name="Eva",
        last_name="Jansen",
    ),
    customer_id="7012345678901",
    email="eva.jansen@example.com",
    phone="+31612345678",
    first_name="Eva",
    last_name="Jansen",
    address=EVA,
    billing=EVA,
    shipping=EVA,
    locale="nl-NL",
    accepts_marketing=True,
    attributes=(
        Attribute(name="sprii_order_no", value="5934-14", place="order", rank=0),
        Attribute(name="__seeka_pid", value="sk.1.1773479000000.1234567890", place="order", rank=1),
        Attribute(name="sqzl_cookie", value="sqzl0123456789abcdef0123", place="order", rank=2),
        Attribute(name="tcf_consent", value="CPmadeupAAAA", place="order", rank=3),
    ),
    sprii=Found(value="5934-14", name="sprii_order_no", place="order", others=("5934-15",)),
    seeka_profile_id="sk.1.1773479000000.1234567890",
    tcf_consent="CPmadeupAAAA",
    spotler_cookie="sqzl0123456789abcdef0123",
)


def flat(line_id: str, kind: str, title: str, price: str, **fields: Any) -> LineItem:
    """A line without discount and tax, where every amount of a unit is the price."""
    amount = D(price)
    quantity = fields.pop("quantity", D(1))
    return LineItem(
        line_id=line_id,
        kind=kind,
        name=fields.pop("name", title),
        title=title,
        quantity=quantity,
        unit_price=amount,
        unit_net=amount,
        unit_gross=amount,
        unit_net_paid=amount,
        unit_gross_paid=amount,
        total_net=amount * quantity,
        total_gross=amount * quantity,
        **fields,
    )


def test_the_worked_order_with_prices_without_tax() -> None:
    assert order_of(body_of("orders_paid__worked_a")) == WORKED_A


def test_the_worked_order_with_prices_with_tax() -> None:
    assert order_of(body_of("orders_paid__worked_b")) == WORKED_B


@pytest.mark.parametrize("name", [name for name in WRITTEN if name.startswith("orders_")])
def test_lines_and_shipping_add_up_to_the_total(name: str) -> None:
    order = order_of(body_of(name))
    sums = sum(line.total_gross for line in order.lines) + order.shipping_gross - order.unassigned_discount
    assert sums == order.total


def test_tips_duties_fees_gift_cards_custom_and_removed_lines() -> None:
    order = order_of(body_of("orders_fulfilled__surcharges"))
    assert order.lines == (
        flat(
            "2",
            "product",
            "Gift card",
            "50",
            name="Gift card - 50",
            variant_title="50",
            sku="GC-50",
            product_id="500",
            variant_id="501",
            unit_id="501",
            gift_card=True,
            current_quantity=D(1),
        ),
        LineItem(
            line_id="3",
            custom_id="3",
            name="Engraving",
            title="Engraving",
            quantity=D(2),
            current_quantity=D(2),
            unit_price=D("7.5"),
            unit_net=D("7.5"),
            unit_gross=D("8.25"),
            unit_net_paid=D("7.5"),
            unit_gross_paid=D("8.25"),
            tax=D("1.5"),
            tax_rate=D("0.1"),
            total_net=D(15),
            total_gross=D("16.5"),
        ),
        flat(
            "4",
            "product",
            "Removed later",
            "10",
            sku="OLD",
            product_id="600",
            variant_id="601",
            unit_id="601",
            current_quantity=D(0),
        ),
        flat(
            "5",
            "product",
            "Sample",
            "0",
            sku="FREE",
            product_id="700",
            variant_id="701",
            unit_id="701",
            current_quantity=D(1),
            tax_rate=D("0.15"),
        ),
        flat("1", "tip", "Tip", "4", current_quantity=D(1)),
        flat("tip", "tip", "Tip", "2"),
        LineItem(
            line_id="duty",
            kind="duty",
            name="Duties",
            title="Duties",
            quantity=D(1),
            unit_price=D(3),
            unit_net=D(3),
            unit_gross=D("3.3"),
            unit_net_paid=D(3),
            unit_gross_paid=D("3.3"),
            tax=D("0.3"),
            tax_rate=D("0.1"),
            total_net=D(3),
            total_gross=D("3.3"),
        ),
        flat("fee", "fee", "Additional fees", "1.25"),
    )
    assert order.lines_tax == D("1.8")


def test_shipping_is_net_of_its_own_discounts_and_without_removed_lines() -> None:
    order = order_of(body_of("orders_fulfilled__surcharges"))
    assert order.shipping_lines == (
        ShippingLine(title="Courier", code="Courier", net=D(10), tax=D(1), gross=D(11), discount=D(2)),
        ShippingLine(title="Pickup", code="Pickup", net=D(3), tax=D(0), gross=D(3), discount=D(1)),
    )
    assert (order.shipping_net, order.shipping_tax, order.shipping_gross) == (D(13), D(1), D(14))
    assert order.discount == D(0)


def test_a_fulfilled_order_of_a_till() -> None:
    order = order_of(body_of("orders_fulfilled__surcharges"))
    assert (order.id, order.number, order.name) == ("700000000000000123", "77", "T-77/X")
    assert (order.channel, order.source, order.status) == ("pos", "pos", "closed")
    assert order.fulfilment_status == "full"
    assert order.completed_at == datetime(2026, 4, 2, 6, tzinfo=UTC)
    assert order.fulfilments == (
        Fulfilment(
            id="91",
            status="success",
            updated_at=datetime(2026, 4, 2, 7, tzinfo=UTC),
            tracking_company="PostNL",
            tracking_numbers=("3S1", "3S2"),
            tracking_urls=("https://track.example/3S1",),
        ),
        Fulfilment(id="92", status="cancelled", updated_at=datetime(2026, 4, 3, 6, tzinfo=UTC)),
    )
    assert order.current_total == D("91.05")
    assert (order.email, order.phone, order.customer, order.address) == (None, None, None, None)
    assert (order.payment_method, order.locale) == ("gift_card", "en-US")


@pytest.mark.parametrize(
    ("fields", "duties"),
    [
        ({"original_total_duties_set": None}, D("2.90")),
        ({"duties_included": True}, None),
        ({"original_total_duties_set": {"shop_money": {"amount": "0.00"}}}, None),
    ],
)
def test_duties_come_from_the_order_else_from_its_lines_unless_prices_hold_them(
    fields: dict[str, Any], duties: D | None
) -> None:
    order = changed("orders_fulfilled__surcharges", **fields)
    assert [line.unit_price for line in order.lines if line.kind == "duty"] == ([] if duties is None else [duties])


def test_duties_of_no_line_are_what_is_left_of_them() -> None:
    body = body_of("orders_paid__worked_a") | {"current_total_duties_set": {"shop_money": {"amount": "7.00"}}}
    assert [(line.kind, line.total_gross) for line in order_of(body).lines[2:]] == [("duty", D(7))]


def test_a_body_from_before_the_sets() -> None:
    order = order_of(body_of("orders_create__before_sets"))
    assert order == Order(
        id="880000000001",
        number="9",
        name="#9",
        status="open",
        financial_status="pending",
        fulfilment_status="restocked",
        created_at=datetime(2017, 5, 1, 14, tzinfo=UTC),
        updated_at=datetime(2017, 5, 1, 14, 0, 1, tzinfo=UTC),
        currency="USD",
        total=D("27.40"),
        discount=D(5),
        discount_net=D(5),
        unassigned_discount=D(3),
        tax=D("2.40"),
        lines_tax=D("2.40"),
        lines=(
            LineItem(
                line_id="1",
                product_id="10",
                variant_id="11",
                unit_id="11",
                name="Cap",
                title="Cap",
                quantity=D(2),
                unit_price=D(15),
                unit_net=D(15),
                unit_gross=D("16.285714"),
                unit_net_paid=D(14),
                unit_gross_paid=D("15.2"),
                discount=D(2),
                discount_net=D(2),
                discount_gross=D("2.171429"),
                tax=D("2.40"),
                tax_rate=D("0.085714"),
                total_net=D(28),
                total_gross=D("30.40"),
                attributes=(
                    Attribute(name="Sprii_Order_No", value="41-2", place="line", rank=0),
                    Attribute(name="n", value="[]", place="line", rank=1),
                ),
            ),
        ),
        discount_codes=("five",),
        customer=Customer(id="77"),
        customer_id="77",
        note="ring twice",
        attributes=(
            Attribute(name="orderNo", value="5934", place="order", rank=0),
            Attribute(name="_flags", value='{"live":true,"rate":0.5}', place="order", rank=1),
            Attribute(name="list", value='[1,"é"]', place="order", rank=3),
            Attribute(name="yes", value="false", place="order", rank=4),
        ),
        sprii=Found(value="5934", name="orderNo", place="order", others=("41-2",)),
    )


def test_yen_a_draft_a_test_and_a_cancellation() -> None:
    order = order_of(body_of("orders_cancelled__yen_draft_test"))
    assert (order.currency, order.total, order.tax, order.discount) == ("JPY", D(990), D(90), D(110))
    assert (order.discount_net, order.lines[0].unit_net, order.lines[0].total_net) == (D(100), D(500), D(900))
    assert (order.lines[0].tax_rate, order.lines[0].name) == (D("0.1"), "お茶")
    assert (order.test, order.source, order.channel, order.paid) == (True, "shopify_draft_order", "web", False)
    assert (order.status, order.cancelled, order.cancel_reason) == ("cancelled", True, "customer")
    assert order.cancelled_at == datetime(2026, 5, 1, 2, tzinfo=UTC)
    assert order.locale == "ja-JP"


def test_another_currency_of_the_buyer() -> None:
    order = order_of(body_of("orders_updated__foreign_refunds"))
    assert (order.currency, order.total) == ("DKK", D(745))
    assert (order.buyer_currency, order.buyer_total) == ("EUR", D("99.90"))
    assert (order.shipping_net, order.shipping_tax, order.shipping_gross) == (D(116), D(29), D(145))


def test_the_shops_own_currency_is_no_other() -> None:
    assert (WORKED_A.buyer_currency, WORKED_A.buyer_total) == (None, None)
    order = changed("orders_paid__worked_a", presentment_currency=None)
    assert (order.buyer_currency, order.buyer_total) == (None, None)


@pytest.mark.parametrize(
    ("fields", "currency"),
    [({"currency": "eur"}, "EUR"), ({"currency": None}, "EUR"), ({"currency": "SEK"}, "SEK")],
)
def test_the_currency_is_the_shops(fields: dict[str, Any], currency: str) -> None:
    assert changed("orders_paid__worked_a", **fields).currency == currency


def test_shop_money_comes_before_the_bare_number() -> None:
    total = {"shop_money": {"amount": "114.95", "currency_code": "EUR"}, "presentment_money": {"amount": "857.00"}}
    assert changed("orders_paid__worked_a", total_price="857.00", total_price_set=total).total == D("114.95")
    assert changed("orders_paid__worked_a", total_price="114.95", total_price_set=None).total == D("114.95")
    assert changed("orders_paid__worked_a", total_price="1.50", total_price_set={"shop_money": None}).total == D("1.5")


@pytest.mark.parametrize(
    ("word", "paid", "full"),
    [
        ("paid", True, False),
        ("partially_refunded", True, False),
        ("refunded", True, True),
        ("pending", False, False),
        ("authorized", False, False),
        ("partially_paid", False, False),
        ("voided", False, False),
        ("unheard_of", False, False),
        (None, False, False),
    ],
)
def test_when_an_order_was_paid(word: str | None, paid: bool, full: bool) -> None:
    order = changed("orders_paid__worked_a", financial_status=word)
    assert (order.financial_status, order.paid, order.refunded_in_full) == (word, paid, full)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("fulfilled", "full"),
        ("partial", "partial"),
        ("restocked", "restocked"),
        ("pending", "none"),
        (None, "none"),
        ("", "none"),
        ("unheard_of", "none"),
    ],
)
def test_how_far_an_order_is_fulfilled(word: str | None, status: str) -> None:
    assert changed("orders_fulfilled__surcharges", fulfillment_status=word).fulfilment_status == status


def test_when_an_order_is_complete() -> None:
    assert changed("orders_fulfilled__surcharges", fulfillment_status="partial").completed_at is None
    assert changed("orders_fulfilled__surcharges", fulfillments=[]).completed_at is None


@pytest.mark.parametrize(
    ("fields", "test"),
    [
        ({"test": True}, True),
        ({"test": False, "payment_gateway_names": ["Bogus"]}, True),
        ({"test": None, "payment_gateway_names": ["gift_card", "bogus"]}, True),
        ({"test": False, "payment_gateway_names": ["ideal"]}, False),
        ({"test": False, "payment_gateway_names": None}, False),
    ],
)
def test_what_is_a_test(fields: dict[str, Any], test: bool) -> None:
    assert changed("orders_paid__worked_a", **fields).test is test


@pytest.mark.parametrize(
    ("gateways", "method"), [([], None), ([""], None), (None, None), (["", "a", "b"], "a"), (["iDEAL"], "iDEAL")]
)
def test_the_first_gateway_is_the_payment_method(gateways: list[str] | None, method: str | None) -> None:
    assert changed("orders_paid__worked_a", payment_gateway_names=gateways).payment_method == method


@pytest.mark.parametrize(
    ("fields", "number", "name"),
    [
        ({"order_number": 1042, "name": "NL1042-B"}, "1042", "NL1042-B"),
        ({"order_number": None, "name": "#1042"}, "1042", "#1042"),
        ({"order_number": None, "name": None}, None, None),
    ],
)
def test_the_number_on_the_receipt(fields: dict[str, Any], number: str | None, name: str | None) -> None:
    order = changed("orders_paid__worked_a", **fields)
    assert (order.number, order.name) == (number, name)


@pytest.mark.parametrize(
    ("token", "cart"),
    [("c1-7f3a", "c1-7f3a"), ("Z2NwLX?key=5f", "Z2NwLX"), ("?key=5f", None), ("", None), (None, None)],
)
def test_a_cart_token_is_cut_at_its_key(token: str | None, cart: str | None) -> None:
    assert changed("orders_paid__worked_a", cart_token=token).cart_id == cart


def test_status_follows_cancelled_then_closed() -> None:
    moment = "2026-03-02T10:15:30+01:00"
    assert changed("orders_paid__worked_a", closed_at=moment).status == "closed"
    order = changed("orders_paid__worked_a", closed_at=moment, cancelled_at=moment, cancel_reason="fraud")
    assert (order.status, order.cancelled, order.cancel_reason) == ("cancelled", True, "fraud")


def test_a_total_of_nothing() -> None:
    body = body_of("orders_paid__worked_a") | {"total_price": "0.00", "total_price_set": None, "line_items": []}
    order = order_of(body | {"shipping_lines": [], "financial_status": "paid"})
    assert (order.total, order.lines, order.refunded_in_full) == (D(0), (), False)


# --- lines ------------------------------------------------------------------------------------------------------------


def line_with(**fields: Any) -> LineItem:
    body = copy.deepcopy(body_of("orders_paid__worked_a"))
    body["line_items"] = [body["line_items"][0] | fields]
    return order_of(body).lines[0]


@pytest.mark.parametrize(
    ("fields", "discount"),
    [
        ({}, D(8)),
        ({"total_discount_set": None, "total_discount": "5.00"}, D(8)),
        ({"discount_allocations": [], "total_discount_set": None, "total_discount": "5.00"}, D(5)),
        ({"discount_allocations": None, "total_discount_set": None, "total_discount": "5.00"}, D(5)),
        ({"discount_allocations": [{"amount": "1.10"}, {"amount": "2.20"}]}, D("3.30")),
    ],
)
def test_allocations_come_before_the_lines_own_discount(fields: dict[str, Any], discount: D) -> None:
    assert line_with(**fields).discount == discount


def test_several_taxes_add_up() -> None:
    line = line_with(tax_lines=[{"price": "3.60", "rate": 0.05}, {"price": "1.44", "rate": 0.02}])
    assert (line.tax, line.tax_rate) == (D("5.04"), D("0.07"))


def test_a_free_line_has_the_rates_of_its_taxes() -> None:
    line = line_with(discount_allocations=[{"amount": "80.00"}], tax_lines=[{"price": "0.00", "rate": 0.21}])
    assert (line.total_gross, line.unit_gross, line.tax_rate) == (D(0), D("48.4"), D("0.21"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("880001", "880011", "880011")),
        ({"variant_id": None}, ("880001", None, "880001")),
        ({"product_id": None, "variant_id": None}, (None, None, None)),
        ({"product_id": 788032119674292922}, ("788032119674292922", "880011", "880011")),
        ({"product_id": "7234590408817"}, ("7234590408817", "880011", "880011")),
    ],
)
def test_what_is_bought_is_the_variant_else_the_product(
    fields: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    line = line_with(**fields)
    assert (line.product_id, line.variant_id, line.unit_id) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"product_id": None}, None),
        ({"product_id": None, "variant_id": None}, "MUG-BLUE"),
        ({"product_id": None, "variant_id": None, "sku": ""}, "9200000000001"),
        ({"product_id": None, "variant_id": None, "sku": None, "tip": {"id": 1}}, None),
    ],
)
def test_a_custom_line_is_known_by_its_sku_else_by_its_id(fields: dict[str, Any], expected: str | None) -> None:
    assert line_with(**fields).custom_id == expected


@pytest.mark.parametrize(
    ("fields", "name", "variant"),
    [
        ({"name": "Mug - L", "variant_title": "L"}, "Mug - L", "L"),
        ({"name": None, "variant_title": "L"}, "Mug blue - L", "L"),
        ({"name": None, "variant_title": ""}, "Mug blue", None),
        ({"variant_title": "Default Title"}, "Mug blue", None),
    ],
)
def test_names_of_a_line(fields: dict[str, Any], name: str, variant: str | None) -> None:
    line = line_with(**fields)
    assert (line.name, line.variant_title) == (name, variant)


@pytest.mark.parametrize(
    ("properties", "attributes"),
    [
        (None, []),
        ([], []),
        ({}, []),
        ("", []),
        ([{"name": "a", "value": 1.50}, {"name": "b", "value": None}], [("a", "1.5", 0)]),
        ([{"name": "", "value": "x"}, {"value": "x"}, {"name": "c", "value": " y "}], [("c", "y", 2)]),
        ({"a": True, "b": None, "c": {"d": [None, "é"]}}, [("a", "true", 0), ("c", '{"d":[null,"é"]}', 2)]),
        ([{"name": "n", "value": 12345678901234567890}], [("n", "12345678901234567890", 0)]),
    ],
)
def test_properties_come_as_a_list_or_an_object(properties: Any, attributes: list[tuple[str, str, int]]) -> None:
    found = line_with(properties=properties).attributes
    assert found == tuple(
        Attribute(name=name, value=value, place="line", rank=rank) for name, value, rank in attributes
    )


def test_the_last_of_two_equal_names_wins_and_the_other_is_shown() -> None:
    notes = [{"name": "orderNo", "value": "1"}, {"name": " ORDERNO ", "value": "2"}, {"name": "orderNo", "value": ""}]
    order = changed("orders_paid__worked_a", note_attributes=notes)
    assert order.sprii == Found(value="2", name="ORDERNO", place="order", others=("1",))


def test_of_numbers_on_several_lines_the_last_lines_wins_wherever_it_stands_in_it() -> None:
    body = body_of("orders_paid__worked_a")
    first, second = body["line_items"]
    first["properties"] = [{"name": "gift", "value": "no"}, {"name": "_orderNo", "value": "5934-1"}]
    second["properties"] = [{"name": "_orderNo", "value": "5934-2"}]
    order = order_of({**body, "note_attributes": []})
    assert order.sprii == Found(value="5934-2", name="_orderNo", place="line", others=("5934-1",))
    assert [each.rank for line in order.lines for each in line.attributes] == [0, 1, 0]


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [None, [], {}, ""])
def test_nobody_need_be_known(gone: Any) -> None:
    names = ("email", "contact_email", "phone")
    people = dict.fromkeys(("customer", "billing_address", "shipping_address"), gone)
    order = changed("orders_paid__worked_a", **people, **dict.fromkeys(names))
    assert (order.customer, order.customer_id, order.email, order.phone) == (None, None, None, None)
    assert (order.first_name, order.last_name, order.address, order.billing, order.shipping) == (None,) * 5


def test_people_may_be_missing_altogether() -> None:
    body = body_of("orders_paid__worked_a")
    for name in ("email", "contact_email", "phone", "customer", "billing_address", "shipping_address"):
        del body[name]
    order = order_of(body)
    assert (order.customer, order.email, order.phone, order.address) == (None, None, None, None)


@pytest.mark.parametrize(
    ("account", "identity"),
    [
        ({"id": 706405506930370084}, "706405506930370084"),
        ({"admin_graphql_api_id": "gid://shopify/Customer/77"}, "77"),
        ({"id": "gid://shopify/Customer/78"}, "78"),
        ({"email": "x@example.com"}, None),
    ],
)
def test_a_customer_may_be_an_id_alone(account: dict[str, Any], identity: str | None) -> None:
    order = changed("orders_paid__worked_a", customer=account)
    assert order.customer is not None
    assert (order.customer.id, order.customer_id) == (identity, identity)


@pytest.mark.parametrize(
    ("fields", "email"),
    [
        ({}, "ines.example@example.com"),
        ({"email": " A@B.example "}, "a@b.example"),
        ({"email": "", "contact_email": "C@B.example"}, "c@b.example"),
        ({"email": None, "contact_email": None, "customer": {"email": "D@B.example"}}, "d@b.example"),
        ({"email": "no address", "contact_email": "c@b.example"}, "c@b.example"),
    ],
)
def test_the_first_usable_address_is_the_email(fields: dict[str, Any], email: str) -> None:
    assert changed("orders_paid__worked_a", **fields).email == email


BELGIAN = {"country_code": "BE", "phone": "0470 12 34 56"}


@pytest.mark.parametrize(
    ("fields", "phone"),
    [
        ({"phone": "+45 32 12 34 56"}, "+4532123456"),
        ({"phone": "06 11111111"}, "+31611111111"),
        ({"phone": None}, "+31612345678"),
        ({"billing_address": None, "shipping_address": BELGIAN}, "+32470123456"),
        ({"billing_address": {"country_code": "NL", "phone": "12"}, "shipping_address": BELGIAN}, "+32470123456"),
        ({"billing_address": None, "shipping_address": None, "customer": {"phone": "+31699999999"}}, "+31699999999"),
        ({"billing_address": None, "shipping_address": None, "phone": "06 11111111"}, None),
    ],
)
def test_the_first_possible_phone_counts_by_its_own_country(fields: dict[str, Any], phone: str | None) -> None:
    assert changed("orders_paid__worked_a", **fields).phone == phone


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"billing_address": {"first_name": "B"}, "shipping_address": {"last_name": "S"}}, ("B", None)),
        ({"billing_address": {"city": "X"}, "shipping_address": {"last_name": "S"}}, (None, "S")),
        ({"billing_address": None, "shipping_address": None}, ("Ines", "Example")),
    ],
)
def test_names_come_from_one_place(fields: dict[str, Any], names: tuple[str | None, str | None]) -> None:
    order = changed("orders_paid__worked_a", **fields)
    assert (order.first_name, order.last_name) == names


def test_the_shipping_address_serves_where_there_is_no_billing_address() -> None:
    order = changed("orders_paid__worked_a", billing_address=[])
    assert (order.billing, order.address) == (None, INES_SHIPPING)


@pytest.mark.parametrize(
    ("text", "country", "locale"),
    [
        ("nl-NL", "NL", "nl-NL"),
        ("da-DK", None, "da-DK"),
        ("en_US", "NL", "en-US"),
        ("NL_be", None, "nl-BE"),
        ("zh-Hant-TW", None, "zh-TW"),
        ("es-419", None, "es-419"),
        ("xx", "NL", "xx"),
        ("any way", "NL", "any way"),
        ("nl", "BE", "nl-BE"),
        ("nl", "DE", "nl-NL"),
        ("en", "GB", "en-GB"),
        ("pl", None, "pl-PL"),
        ("", "NL", None),
        (None, "NL", None),
    ],
)
def test_locales_name_language_and_country(text: str | None, country: str | None, locale: str | None) -> None:
    place = {"country_code": country, "city": "X"}
    order = changed("orders_paid__worked_a", customer_locale=text, billing_address=place, shipping_address=None)
    assert order.locale == locale


@pytest.mark.parametrize("answer", [True, False, None])
def test_consent_is_known_or_not(answer: bool | None) -> None:
    assert changed("orders_paid__worked_a", buyer_accepts_marketing=answer).accepts_marketing is answer


# --- wrong types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"id": None}, "$.id: expected an id, found nothing"),
        ({"id": 1.5}, "$.id: expected an id, found Decimal"),
        ({"currency": None, "total_price_set": None}, "$.currency: expected text, found nothing"),
        ({"total_price": None, "total_price_set": None}, "$.total_price: expected a number, found nothing"),
        (
            {"total_price_set": {"shop_money": {"amount": "x"}}},
            "$.total_price_set.shop_money.amount: expected a number, found str",
        ),
        ({"total_price_set": []}, "$.total_price_set: expected an object, found list"),
        ({"line_items": {}}, "$.line_items: expected a list, found dict"),
        ({"line_items": [None]}, None),
        ({"line_items": [{"id": 1, "price": "1"}]}, "$.line_items[0].quantity: expected a number, found nothing"),
        ({"line_items": [{"id": 1, "quantity": 1}]}, "$.line_items[0].price: expected a number, found nothing"),
        ({"customer": "x"}, "$.customer: expected an object, found str"),
        ({"billing_address": [1]}, "$.billing_address: expected an object, found list"),
        ({"created_at": "soon"}, "$.created_at: expected a time in ISO 8601, found str"),
        ({"updated_at": "2026-03-02T10:15:30"}, "$.updated_at: expected a time with an offset, found str"),
        ({"test": "yes"}, "$.test: expected true or false, found str"),
        ({"note_attributes": 7}, "$.note_attributes: expected a list, found int"),
        (
            {"refunds": [{"id": 1, "refund_line_items": 3}]},
            "$.refunds[0].refund_line_items: expected a list, found int",
        ),
    ],
)
def test_a_wrong_type_is_named_with_its_path(fields: dict[str, Any], complaint: str | None) -> None:
    with pytest.raises(Unreadable) as raised:
        changed("orders_paid__worked_a", **fields)
    assert complaint is None or str(raised.value) == complaint


def test_unknown_fields_and_words_are_data() -> None:
    body = body_of("orders_paid__worked_a") | {"brand_new": {"a": [1]}, "cancel_reason": "moon"}
    assert order_of(body | {"source_name": "1354745"}).source == "1354745"
