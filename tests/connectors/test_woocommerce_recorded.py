"""What a real WooCommerce sent, and exactly what is read from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from connectors.base import Names
from connectors.events import (
    Address,
    Attribute,
    Cart,
    CartLine,
    CartSeen,
    Customer,
    Found,
    LineItem,
    Nothing,
    Order,
    OrderGone,
    OrderSeen,
    Refund,
    ShippingLine,
    facts,
)
from connectors.woocommerce.connector import WooCommerce
from tests.connectors.woocommerce_fixtures import RECORDED, SIGNED, Recorded, cart_of, order_of, recorded


def at(hour: int, minute: int, second: int) -> datetime:
    return datetime(2026, 11, 21, hour, minute, second, tzinfo=UTC)


def meta(name: str, value: str, rank: int, place: str = "order") -> Attribute:
    return Attribute(name=name, value=value, place=place, rank=rank)


TEE = "Red tee – æøå “quoted” & <b>"
TWO_TEES = LineItem(
    line_id="1",
    product_id="10",
    unit_id="10",
    sku="TEE-RED",
    name=TEE,
    title=TEE,
    quantity=D(2),
    unit_price=D("199.95"),
    unit_net=D("159.96"),
    unit_gross=D("199.95"),
    unit_net_paid=D("143.965"),
    unit_gross_paid=D("179.955"),
    discount=D("39.99"),
    discount_net=D("31.99"),
    discount_gross=D("39.99"),
    tax=D("71.98"),
    tax_rate=D("0.249991"),
    total_net=D("287.93"),
    total_gross=D("359.91"),
)
ONE_TEE = LineItem(
    line_id="29",
    product_id="10",
    unit_id="10",
    sku="TEE-RED",
    name=TEE,
    title=TEE,
    quantity=D(1),
    unit_price=D("199.95"),
    unit_net=D("159.96"),
    unit_gross=D("199.95"),
    unit_net_paid=D("159.96"),
    unit_gross_paid=D("199.95"),
    tax=D("39.99"),
    tax_rate=D("0.25"),
    total_net=D("159.96"),
    total_gross=D("199.95"),
    attributes=(meta("_reduced_stock", "1", 218, "line"),),
)
DRESS_M = LineItem(
    line_id="2",
    product_id="13",
    variant_id="15",
    unit_id="15",
    sku="DRESS-M",
    name="Dress - M",
    title="Dress",
    variant_title="M",
    quantity=D(1),
    unit_price=D("499.50"),
    unit_net=D("399.60"),
    unit_gross=D("499.50"),
    unit_net_paid=D("359.64"),
    unit_gross_paid=D("449.55"),
    discount=D("49.95"),
    discount_net=D("39.96"),
    discount_gross=D("49.95"),
    tax=D("89.91"),
    tax_rate=D("0.25"),
    total_net=D("359.64"),
    total_gross=D("449.55"),
    attributes=(meta("size", "M", 19, "line"), meta("sprii_line", "L-1", 20, "line")),
)
GIFT_WRAP = LineItem(
    line_id="4",
    kind="fee",
    name="Gift wrap",
    title="Gift wrap",
    quantity=D(1),
    unit_price=D("18.75"),
    unit_net=D("15.00"),
    unit_gross=D("18.75"),
    unit_net_paid=D("15.00"),
    unit_gross_paid=D("18.75"),
    tax=D("3.75"),
    tax_rate=D("0.25"),
    total_net=D("15.00"),
    total_gross=D("18.75"),
)
AASE = Address(
    first_name="Åse",
    last_name="Ørsted",
    line1="Strøget 1",
    city="København",
    postcode="1160",
    country="Denmark",
    country_code="DK",
    text="Strøget 1, 1160 København, DK",
)
AASE_BILLING = replace(AASE, phone="+4512345678")
PENDING = Order(
    id="17",
    number="17",
    name="#17",
    source="rest-api",
    status="pending",
    financial_status="unpaid",
    created_at=at(2, 9, 57),
    updated_at=at(2, 9, 57),
    currency="DKK",
    taxes_included=True,
    total=D("867.21"),
    discount=D("89.94"),
    discount_net=D("71.95"),
    tax=D("173.44"),
    lines_tax=D("165.64"),
    shipping_net=D("31.20"),
    shipping_tax=D("7.80"),
    shipping_gross=D("39.00"),
    lines=(TWO_TEES, DRESS_M, GIFT_WRAP),
    shipping_lines=(ShippingLine(title="Fragt", code="flat_rate", net=D("31.20"), tax=D("7.80"), gross=D("39.00")),),
    shipping_method="Fragt",
    payment_method="Bank transfer",
    discount_codes=("live10",),
    customer=Customer(email="buyer@example.test", phone="+4512345678", first_name="Åse", last_name="Ørsted"),
    email="buyer@example.test",
    phone="+4512345678",
    first_name="Åse",
    last_name="Ørsted",
    address=AASE_BILLING,
    billing=AASE_BILLING,
    shipping=AASE,
    attributes=(
        meta("sprii_order_no", "SPRII-100023", 1),
        meta("_sprii_hidden", "x", 2),
        meta("obj", '{"a":[1,2],"b":"🎉"}', 3),
    ),
    sprii=Found(value="SPRII-100023", name="sprii_order_no", place="order"),
)
PROCESSING = replace(
    PENDING,
    status="processing",
    financial_status="paid",
    paid=True,
    paid_at=at(2, 9, 59),
    updated_at=at(2, 9, 59),
    lines=(replace(TWO_TEES, attributes=(meta("_reduced_stock", "2", 41, "line"),)), DRESS_M, GIFT_WRAP),
)
WITH_META = replace(PROCESSING, updated_at=at(2, 10, 1), attributes=(*PENDING.attributes, meta("k2", "v", 6)))
FIRST_REFUND = Refund(id="18", amount=D("50.00"), note="Damaged", lines_known=False, amount_source="total")
SECOND_REFUND = Refund(id="19", amount=D("817.21"), lines_known=False, amount_source="total")
REFUNDED_IN_PART = replace(WITH_META, updated_at=at(2, 10, 3), refunds=(FIRST_REFUND,), refunded=D("50.00"))
COMPLETED = replace(
    REFUNDED_IN_PART,
    status="completed",
    fulfilment_status="full",
    updated_at=at(2, 10, 5),
    completed_at=at(2, 10, 5),
)
REFUNDED = replace(
    COMPLETED,
    status="refunded",
    updated_at=at(2, 10, 6),
    refunds=(FIRST_REFUND, SECOND_REFUND),
    refunded=D("867.21"),
    refunded_in_full=True,
)


@pytest.mark.parametrize(
    ("number", "order"),
    [
        ("007", PENDING),
        ("008", PENDING),
        ("009", PROCESSING),
        ("011", WITH_META),
        ("013", REFUNDED_IN_PART),
        ("014", COMPLETED),
        ("016", REFUNDED),
    ],
)
def test_an_orders_life_up_to_its_full_refund(number: str, order: Order) -> None:
    assert recorded(number) == OrderSeen(order=order)


def test_saving_without_a_change_moves_the_time_alone() -> None:
    assert recorded("012") == OrderSeen(order=replace(WITH_META, updated_at=at(2, 10, 2)))


GUEST = Address(
    first_name="Gæst",
    last_name="Kunde",
    line1="Nørregade 2",
    city="København",
    postcode="1165",
    country="Denmark",
    country_code="DK",
    phone="+4587654321",
    text="Nørregade 2, 1165 København, DK",
)
UTM = "_wc_order_attribution_"
BLOCKS = Order(
    id="28",
    number="28",
    name="#28",
    source="store-api",
    status="processing",
    financial_status="unpaid",  # cash on delivery: being worked on, and nobody has paid
    created_at=at(2, 11, 2),
    updated_at=at(2, 11, 4),
    currency="DKK",
    taxes_included=True,
    total=D("858.21"),
    discount=D("89.94"),
    discount_net=D("71.95"),
    tax=D("171.64"),
    lines_tax=D("161.89"),
    shipping_net=D("39.00"),
    shipping_tax=D("9.75"),
    shipping_gross=D("48.75"),
    lines=(
        replace(TWO_TEES, line_id="24", attributes=(meta("_reduced_stock", "2", 196, "line"),)),
        replace(DRESS_M, line_id="25", attributes=(meta("size", "M", 186, "line"),)),
    ),
    shipping_lines=(ShippingLine(title="Fragt", code="flat_rate", net=D("39.00"), tax=D("9.75"), gross=D("48.75")),),
    shipping_method="Fragt",
    payment_method="Cash on delivery",
    discount_codes=("live10",),
    customer=Customer(email="guest@example.test", phone="+4587654321", first_name="Gæst", last_name="Kunde"),
    email="guest@example.test",
    phone="+4587654321",
    first_name="Gæst",
    last_name="Kunde",
    address=GUEST,
    billing=GUEST,
    shipping=GUEST,
    attributes=(
        meta("_shipping_hash", "52a633087d64d4ebb1ffa608bdce2ee1", 33),
        meta("_coupons_hash", "f582b940fdbaba932d9827422727a393", 34),
        meta("_fees_hash", "d751713988987e9331980363e24189ce", 35),
        meta("_taxes_hash", "7471c27b3bae683592ddd96177b7b2af", 36),
        meta("is_vat_exempt", "no", 37),
        meta(f"{UTM}source_type", "utm", 40),
        meta(f"{UTM}referrer", "https://www.sprii.io/", 41),
        meta(f"{UTM}utm_campaign", "show-42", 42),
        meta(f"{UTM}utm_source", "sprii", 43),
        meta(f"{UTM}utm_medium", "live", 44),
        meta(f"{UTM}session_entry", "https://shop.example.test/?utm_source=sprii", 51),
        meta(f"{UTM}session_start_time", "2026-11-21 02:00:00", 52),
        meta(f"{UTM}session_pages", "3", 53),
        meta(f"{UTM}session_count", "1", 54),
        meta(f"{UTM}user_agent", "Mozilla/5.0", 55),
        meta(f"{UTM}device_type", "Desktop", 56),
    ),
)
WITH_SPRII = replace(
    BLOCKS,
    id="29",
    number="29",
    name="#29",
    created_at=at(2, 11, 52),
    updated_at=at(2, 11, 52),
    total=D("248.70"),
    discount=D(0),
    discount_net=D(0),
    tax=D("49.74"),
    lines_tax=D("39.99"),
    lines=(ONE_TEE,),
    discount_codes=(),
    attributes=(
        meta("_coupons_hash", "d751713988987e9331980363e24189ce", 58),
        meta("_fees_hash", "d751713988987e9331980363e24189ce", 59),
        meta("_shipping_hash", "52a633087d64d4ebb1ffa608bdce2ee1", 57),
        meta("_taxes_hash", "b4ec897e97dfb65248c8b28b3695811a", 60),
        meta("is_vat_exempt", "no", 61),
        meta("sprii_order_no", "SPRII-cookie", 64),
    ),
    sprii=Found(value="SPRII-cookie", name="sprii_order_no", place="order"),
)
CLASSIC_ADDRESS = replace(
    GUEST,
    first_name="Klassisk",
    last_name="Køber",
    line1="Vestergade 3",
    postcode="1456",
    phone="+4511223344",
    text="Vestergade 3, 1456 København, DK",
)
CLASSIC = replace(
    WITH_SPRII,
    id="33",
    number="33",
    name="#33",
    source="checkout",
    status="on-hold",
    created_at=at(2, 12, 46),
    updated_at=at(2, 12, 46),
    lines=(replace(ONE_TEE, line_id="34", attributes=(meta("_reduced_stock", "1", 262, "line"),)),),
    payment_method="Bank transfer",
    note="Ring på døren",
    customer=Customer(email="classic@example.test", phone="+4511223344", first_name="Klassisk", last_name="Køber"),
    email="classic@example.test",
    phone="+4511223344",
    first_name="Klassisk",
    last_name="Køber",
    address=CLASSIC_ADDRESS,
    billing=CLASSIC_ADDRESS,
    shipping=replace(CLASSIC_ADDRESS, phone=None),
    attributes=(
        meta(f"{UTM}device_type", "Desktop", 82),
        meta(f"{UTM}session_count", "1", 80),
        meta(f"{UTM}session_pages", "2", 79),
        meta(f"{UTM}source_type", "typein", 77),
        meta(f"{UTM}user_agent", "UA", 81),
        meta(f"{UTM}utm_source", "(direct)", 78),
        meta("is_vat_exempt", "no", 73),
        meta("sprii_order_no", "SPRII-classic-9", 74),
    ),
    sprii=Found(value="SPRII-classic-9", name="sprii_order_no", place="order"),
)
ACCOUNT_ADDRESS = Address(
    first_name="F",
    last_name="X",
    line1="A 1",
    city="B",
    postcode="1000",
    country="Denmark",
    country_code="DK",
    text="A 1, 1000 B, DK",
)
ACCOUNT = Order(
    id="73",
    number="73",
    name="#73",
    source="rest-api",
    status="processing",
    financial_status="paid",
    paid=True,
    created_at=at(2, 16, 47),
    updated_at=at(2, 16, 47),
    paid_at=at(2, 16, 47),
    currency="EUR",
    taxes_included=True,
    total=D("999.00"),
    tax=D("199.80"),
    lines_tax=D("199.80"),
    lines=(
        LineItem(
            line_id="113",
            product_id="13",
            variant_id="14",
            unit_id="14",
            sku="DRESS-S",
            name="Dress - S",
            title="Dress",
            variant_title="S",
            quantity=D(2),
            unit_price=D("499.50"),
            unit_net=D("399.60"),
            unit_gross=D("499.50"),
            unit_net_paid=D("399.60"),
            unit_gross_paid=D("499.50"),
            tax=D("199.80"),
            tax_rate=D("0.25"),
            total_net=D("799.20"),
            total_gross=D("999.00"),
            attributes=(meta("size", "S", 839, "line"), meta("sprii_order_no", "SPRII-LINE-1", 840, "line")),
        ),
    ),
    customer=Customer(id="2", email="anna@example.test", first_name="F", last_name="X"),
    customer_id="2",
    email="anna@example.test",
    first_name="F",
    last_name="X",
    address=ACCOUNT_ADDRESS,
    billing=ACCOUNT_ADDRESS,
    attributes=(meta("dup", "1", 166), meta("sprii_order_no", "200045", 165)),
    sprii=Found(value="200045", name="sprii_order_no", place="order", others=("SPRII-LINE-1",)),
)


@pytest.mark.parametrize(
    ("number", "order"),
    [
        ("047", BLOCKS),
        ("048", BLOCKS),
        ("050", WITH_SPRII),
        ("051", WITH_SPRII),
        ("057", CLASSIC),
        ("058", CLASSIC),
        ("090", ACCOUNT),
        ("091", ACCOUNT),
    ],
)
def test_orders_of_every_checkout(number: str, order: Order) -> None:
    assert recorded(number) == OrderSeen(order=order)


@pytest.mark.parametrize(
    ("number", "status", "paid_at", "cancelled", "total", "payment"),
    [
        ("018", "processing", at(2, 10, 8), False, D("80.00"), "bacs"),
        ("019", "processing", at(2, 10, 8), False, D("80.00"), "bacs"),
        ("024", "cancelled", None, True, D("147.00"), None),
    ],
)
def test_states_of_the_other_orders(
    number: str, status: str, paid_at: datetime | None, cancelled: bool, total: D, payment: str | None
) -> None:
    order = order_of(recorded(number))
    assert (order.status, order.paid_at, order.paid, order.cancelled) == (status, paid_at, bool(paid_at), cancelled)
    assert (order.total, order.payment_method, order.shipping, order.shipping_lines) == (total, payment, None, ())


def test_trash_tells_the_id_alone() -> None:
    assert recorded("028") == OrderGone(order_id="21")


@pytest.mark.parametrize(
    ("number", "order_id"), [("010", "17"), ("015", "17"), ("017", "17"), ("020", "20"), ("025", "21"), ("049", "28")]
)
def test_a_status_action_says_nothing_that_the_order_does_not(number: str, order_id: str) -> None:
    reason = "The order itself arrives with order.created or order.updated."
    assert recorded(number) == Nothing(reason=reason, order_id=order_id)


@pytest.mark.parametrize("number", ["043", "056"])
def test_add_to_cart_names_no_cart(number: str) -> None:
    reason = "It names a product's place in a cart, not the cart, its contents or the shopper."
    assert recorded(number) == Nothing(reason=reason)


TEES_IN_CART = CartLine(
    key="d3d9446802a44259755d38e6d163e820",
    product_id="10",
    unit_id="10",
    quantity=D(2),
    unit_price=D("159.96"),
    total=D("319.92"),
)
DRESS_IN_CART = CartLine(
    key="3c917e8030e34c3b7388e3d6ab9d4e25",
    product_id="13",
    variant_id="15",
    unit_id="15",
    quantity=D(1),
    unit_price=D("399.6"),
    total=D("399.6"),
)
CART = Cart(
    id="t_4f42a32fa61c78ae2259d8a69af7e1",
    currency="DKK",
    total=D("448.65"),
    updated_at=at(2, 19, 34),
    lines=(TEES_IN_CART,),
    quantity=D(2),
)
IN_SHOW = replace(
    CART,
    updated_at=at(2, 19, 35),
    attributes=(meta("sprii_order_no", "SPRII-cart-cookie", 0),),
    sprii=Found(value="SPRII-cart-cookie", name="sprii_order_no", place="order"),
)


@pytest.mark.parametrize(
    ("number", "cart"),
    [
        ("107", CART),
        ("109", replace(IN_SHOW, total=D("948.15"), lines=(TEES_IN_CART, DRESS_IN_CART), quantity=D(3))),
        ("110", replace(IN_SHOW, total=D("548.25"), lines=(DRESS_IN_CART,), quantity=D(1))),
    ],
)
def test_carts(number: str, cart: Cart) -> None:
    found = cart_of(recorded(number))
    assert replace(found, content="") == cart
    assert len(found.content) == 64


def test_three_contents_three_hashes() -> None:
    assert len({cart_of(recorded(number)).content for number in ("107", "109", "110")}) == 3


@pytest.mark.parametrize("sample", SIGNED, ids=lambda each: each.name)
def test_nobody_is_claimed_and_everything_becomes_facts(sample: Recorded) -> None:
    assert sample.topic is not None
    observation = WooCommerce().observe(sample.topic, sample.headers, sample.body, Names())
    assert facts(observation.claim) == {}
    assert isinstance(facts(observation.seen), dict)


@pytest.mark.parametrize("sample", SIGNED, ids=lambda each: each.name)
def test_the_sum_of_every_order_is_its_total(sample: Recorded) -> None:
    seen = recorded(sample.name[:3])
    if isinstance(seen, OrderSeen):
        order = seen.order
        lines = sum(line.total_gross for line in order.lines)
        assert lines + order.shipping_gross - order.unassigned_discount == order.total


def test_all_kinds_of_things_were_recorded() -> None:
    kinds = {type(recorded(number)) for number, sample in RECORDED.items() if sample.topic}
    assert kinds == {OrderSeen, OrderGone, CartSeen, Nothing}
