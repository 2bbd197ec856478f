"""What the recorded orders do not show: prices without tax, fees by sign, odd currencies, quantities and plugins."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connectors.base import Names
from connectors.events import Address, Attribute, Customer, Found, LineItem, Order, OrderSeen, Refund, ShippingLine
from connectors.woocommerce.lines import variant_title
from connectors.woocommerce.people import region_code
from tests.connectors.woocommerce_fixtures import FOLDER, cart_of, observe, order_of, written

INES = Address(
    first_name="Ines",
    last_name="Example",
    line1="Voorbeeldstraat 1",
    city="Amsterdam",
    postcode="1011 AB",
    country="Netherlands",
    country_code="NL",
    phone="+31612345678",
    text="Voorbeeldstraat 1, 1011 AB Amsterdam, NL",
)
WITHOUT_TAX = Order(
    id="6100234500001",
    number="1042",
    name="#1042",
    cart_id="c1-7f3a9e",
    source="checkout",
    status="processing",
    financial_status="paid",
    paid=True,
    created_at=datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC),
    updated_at=datetime(2026, 3, 2, 9, 15, 32, tzinfo=UTC),
    paid_at=datetime(2026, 3, 2, 9, 15, 31, tzinfo=UTC),
    currency="EUR",
    total=D("114.95"),
    discount=D("10.00"),
    discount_net=D("10.00"),
    tax=D("19.95"),
    lines_tax=D("18.90"),
    shipping_net=D("5.00"),
    shipping_tax=D("1.05"),
    shipping_gross=D("6.05"),
    lines=(
        LineItem(
            line_id="101",
            product_id="880001",
            unit_id="880001",
            sku="MUG-BLUE",
            name="Mug blue",
            title="Mug blue",
            image_url="https://shop.example/i/mug.jpg",
            quantity=D(2),
            unit_price=D("40.00"),
            unit_net=D("40.00"),
            unit_gross=D("48.40"),
            unit_net_paid=D("36.00"),
            unit_gross_paid=D("43.56"),
            discount=D("8.00"),
            discount_net=D("8.00"),
            discount_gross=D("9.68"),
            tax=D("15.12"),
            tax_rate=D("0.21"),
            total_net=D("72.00"),
            total_gross=D("87.12"),
        ),
        LineItem(
            line_id="102",
            product_id="880002",
            unit_id="880002",
            sku="TEA-100",
            name="Tea 100 g",
            title="Tea 100 g",
            image_url="https://shop.example/i/tea.jpg",
            quantity=D(1),
            unit_price=D("20.00"),
            unit_net=D("20.00"),
            unit_gross=D("24.20"),
            unit_net_paid=D("18.00"),
            unit_gross_paid=D("21.78"),
            discount=D("2.00"),
            discount_net=D("2.00"),
            discount_gross=D("2.42"),
            tax=D("3.78"),
            tax_rate=D("0.21"),
            total_net=D("18.00"),
            total_gross=D("21.78"),
        ),
    ),
    shipping_lines=(ShippingLine(title="Standard", code="flat_rate", net=D("5.00"), tax=D("1.05"), gross=D("6.05")),),
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
    shipping=replace(INES, phone=None),
    attributes=(Attribute(name="_tillwire_cart_id", value="c1-7f3a9e", place="order", rank=501),),
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
WITH_TAX = Order(
    id="5501234567890",
    number="1042",
    name="#1042",
    source="store-api",
    status="processing",
    financial_status="paid",
    paid=True,
    created_at=datetime(2026, 3, 14, 9, 15, 30, tzinfo=UTC),
    updated_at=datetime(2026, 3, 14, 9, 15, 33, tzinfo=UTC),
    paid_at=datetime(2026, 3, 14, 9, 15, 33, tzinfo=UTC),
    currency="EUR",
    taxes_included=True,
    total=D("90.45"),
    discount=D("9.50"),
    discount_net=D("7.86"),
    tax=D("15.70"),
    lines_tax=D("14.84"),
    shipping_net=D("4.09"),
    shipping_tax=D("0.86"),
    shipping_gross=D("4.95"),
    lines=(
        LineItem(
            line_id="201",
            product_id="8801",
            variant_id="44001",
            unit_id="44001",
            sku="LIN-SHIRT-M-BLU",
            name="Linen shirt - Blue / M",
            title="Linen shirt",
            variant_title="Blue / M",
            quantity=D(2),
            unit_price=D("40.00"),
            unit_net=D("33.06"),
            unit_gross=D("40.00"),
            unit_net_paid=D("29.75"),
            unit_gross_paid=D("36.00"),
            discount=D("8.00"),
            discount_net=D("6.62"),
            discount_gross=D("8.00"),
            tax=D("12.50"),
            tax_rate=D("0.210084"),
            total_net=D("59.50"),
            total_gross=D("72.00"),
        ),
        LineItem(
            line_id="202",
            product_id="8802",
            variant_id="44002",
            unit_id="44002",
            sku="TOTE-CANVAS",
            name="Canvas tote",
            title="Canvas tote",
            quantity=D(1),
            unit_price=D("15.00"),
            unit_net=D("12.40"),
            unit_gross=D("15.00"),
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
    shipping_lines=(ShippingLine(title="PostNL", code="flat_rate", net=D("4.09"), tax=D("0.86"), gross=D("4.95")),),
    shipping_method="PostNL",
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
    attributes=(
        Attribute(name="sprii_order_no", value="5934-14", place="order", rank=601),
        Attribute(name="seeka_pid", value="sk.1.1773479000000.1234567890", place="order", rank=602),
        Attribute(name="sqzl_cookie", value="sqzl0123456789abcdef0123", place="order", rank=603),
    ),
    sprii=Found(value="5934-14", name="sprii_order_no", place="order"),
    seeka_profile_id="sk.1.1773479000000.1234567890",
    spotler_cookie="sqzl0123456789abcdef0123",
)


def test_prices_without_tax() -> None:
    assert written("order.updated__worked_a") == OrderSeen(order=WITHOUT_TAX)


def test_prices_with_tax() -> None:
    assert written("order.created__worked_b") == OrderSeen(order=WITH_TAX)


def test_a_refund_leaves_everything_else_as_it_was() -> None:
    refund = Refund(id="9100045", amount=D("43.56"), note="One mug broken", lines_known=False, amount_source="total")
    refunded = replace(
        WITHOUT_TAX,
        updated_at=datetime(2026, 3, 5, 14, 20, tzinfo=UTC),
        refunds=(refund,),
        refunded=D("43.56"),
    )
    assert written("order.updated__worked_a_refund") == OrderSeen(order=refunded)


def test_a_negative_fee_is_a_discount_that_stands_on_no_line() -> None:
    order = order_of(written("order.updated__negative_fee"))
    assert [line.kind for line in order.lines] == ["product"]
    assert (order.unassigned_discount, order.discount, order.discount_net) == (D("12.50"), D("25.00"), D("22.50"))
    assert order.lines[0].total_gross + order.shipping_gross - order.unassigned_discount == order.total == D("100.00")
    assert (order.tax, order.lines_tax) == (D("20.00"), D("22.50"))
    assert (order.payment_method, order.discount_codes) == ("stripe", ("ten",))


def test_a_positive_fee_is_a_line_and_a_fee_of_nothing_is_none() -> None:
    order = order_of(written("order.created__tip_fee"))
    assert order.lines[1:] == (
        LineItem(
            line_id="2",
            kind="fee",
            name="Tip",
            title="Tip",
            quantity=D(1),
            unit_price=D("5.00"),
            unit_net=D("5.00"),
            unit_gross=D("5.00"),
            unit_net_paid=D("5.00"),
            unit_gross_paid=D("5.00"),
            total_net=D("5.00"),
            total_gross=D("5.00"),
        ),
    )
    assert (order.channel, order.fulfilment_status, order.phone) == ("pos", "full", "+12175550134")
    assert order.address is not None
    assert (order.address.region, order.address.region_code) == ("Illinois", "IL")


def test_a_currency_without_cents_in_a_store_with_two_decimals() -> None:
    order = order_of(written("order.created__jpy"))
    assert (order.currency, order.total, order.shipping_gross) == ("JPY", D(3500), D(500))
    line = order.lines[0]
    assert (line.unit_price, line.total_gross, line.sku) == (D(1500), D(3000), None)
    assert (order.number, order.name, order.phone) == ("703-JP", "#703-JP", "+81312345678")
    assert order.address is not None
    assert (order.address.region, order.address.region_code, order.address.city) == ("Tokyo", "13", "千代田区")


def test_a_fraction_of_a_unit() -> None:
    line = order_of(written("order.created__fraction")).lines[0]
    assert (line.quantity, line.unit_net, line.unit_gross) == (D("0.75"), D("19.906667"), D("23.693333"))
    assert (line.total_net, line.total_gross) == (D("14.93"), D("17.77"))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("order.updated__draft", {"draft"}),
        ("order.updated__trash", {"trashed"}),
        ("order.updated__failed", {"cancelled"}),
        ("order.restored__pending", set()),
        ("order.updated__worked_a", {"paid"}),
    ],
)
def test_what_a_status_means(name: str, flags: set[str]) -> None:
    order = order_of(written(name))
    assert {each for each in ("draft", "trashed", "cancelled", "paid") if getattr(order, each)} == flags


def test_a_draft_shows_what_was_typed_so_far() -> None:
    order = order_of(written("order.updated__draft"))
    assert (order.email, order.first_name, order.shipping) == ("typing@example.com", None, None)
    assert order.billing == Address(country="Netherlands", country_code="NL", text="NL")


def test_the_topic_tells_that_an_order_came_back() -> None:
    seen = written("order.restored__pending")
    assert isinstance(seen, OrderSeen)
    assert (seen.restored, seen.order.status) == (True, "pending")


# --- plugins' ways ----------------------------------------------------------------------------------------------------


def test_meta_of_every_type_becomes_text_and_null_and_nothing_are_left_out() -> None:
    order = order_of(written("order.updated__odd"))
    assert [(each.name, each.value, each.rank) for each in order.attributes[:5]] == [
        ("orderNo", "77", 9),
        ("orderNo", "66", 4),
        ("number", "12.5", 10),
        ("yes", "true", 11),
        ("list", '[1,"ä",null,{"b":1.1}]', 14),
    ]
    assert len(order.attributes) == 6


def test_the_newest_number_counts_and_the_others_are_shown() -> None:
    order = order_of(written("order.updated__odd"))
    assert order.sprii == Found(value="77", name="orderNo", place="order", others=("66", "line-1"))


def test_merchants_may_look_under_another_name() -> None:
    order = order_of(written("order.updated__odd", Names(sprii=("Number",))))
    assert order.sprii == Found(value="12.5", name="number", place="order")


def test_a_consent_longer_than_other_values_is_kept() -> None:
    assert order_of(written("order.updated__odd")).tcf_consent == "CP" + "x" * 598


def test_a_free_line_keeps_its_rate_and_a_raised_price_is_no_negative_discount() -> None:
    free, raised = order_of(written("order.updated__odd")).lines
    assert (free.total_gross, free.discount, free.tax_rate, free.image_url) == (D(0), D("24.20"), D("0.21"), None)
    assert (raised.unit_price, raised.discount, raised.total_gross) == (D("12.10"), D(0), D("24.20"))


def test_without_a_billing_address_the_shipping_address_counts() -> None:
    order = order_of(written("order.updated__odd"))
    assert (order.billing, order.address, order.email) == (None, order.shipping, None)
    assert order.customer == Customer(phone="+33472000000", first_name="Jo", last_name="Roe")


def test_a_local_time_is_never_read_in_place_of_a_missing_utc_time() -> None:
    order = order_of(written("order.updated__odd"))
    assert order.updated_at is None
    assert order.created_at == datetime(2026, 5, 7, 10, tzinfo=UTC)


def change(**fields: Any) -> Order:
    body = json.loads((FOLDER / "order.updated__worked_a.json").read_text(encoding="utf-8"))
    return order_of(observe("order.updated", json.dumps(body | fields).encode()))


@pytest.mark.parametrize(
    ("source", "channel"),
    [
        ("pos-rest-api", "pos"),
        ("woocommerce_pos", "pos"),
        ("wcpos", "pos"),
        ("POS", "pos"),
        ("point-of-sale", "pos"),
        ("posts_importer", "web"),
        ("checkout", "web"),
        ("", "web"),
        (None, "web"),
    ],
)
def test_orders_of_the_till_are_told_by_their_source(source: str | None, channel: str) -> None:
    assert change(created_via=source).channel == channel


@pytest.mark.parametrize(
    ("status", "refunds", "in_full"),
    [
        ("refunded", [], True),
        ("processing", [{"id": 2, "reason": "", "total": "-114.95"}], True),
        ("processing", [{"id": 2, "reason": "", "total": "-114.94"}], False),
        ("processing", [], False),
    ],
)
def test_refunded_in_full(status: str, refunds: list[dict[str, Any]], in_full: bool) -> None:
    assert change(status=status, refunds=refunds).refunded_in_full is in_full


def test_an_order_of_nothing_is_not_refunded_in_full() -> None:
    assert change(total="0.00").refunded_in_full is False


@pytest.mark.parametrize(
    ("status", "completed", "fulfilment"),
    [
        ("completed", None, "full"),
        ("refunded", "2026-03-03T00:00:00", "full"),
        ("refunded", None, "none"),
        ("processing", "2026-03-03T00:00:00", "none"),
    ],
)
def test_fulfilment(status: str, completed: str | None, fulfilment: str) -> None:
    assert change(status=status, date_completed_gmt=completed).fulfilment_status == fulfilment


def test_a_status_proves_no_payment() -> None:
    order = change(status="completed", date_paid_gmt=None)
    assert (order.paid, order.financial_status) == (False, "unpaid")


def test_without_a_number_the_id_is_the_number() -> None:
    order = change(number="")
    assert (order.number, order.name) == ("6100234500001", "#6100234500001")


def test_several_parcels_and_repeated_codes() -> None:
    lines = [{"method_title": title, "total": "1.00", "total_tax": ""} for title in ("Post", "", "Bike")]
    order = change(shipping_lines=lines, coupon_lines=[{"code": "Ä1"}, {"code": "ä1"}, {"code": ""}])
    assert (order.shipping_method, order.discount_codes) == ("Post, Bike", ("ä1",))


def test_half_a_character_is_replaced_everywhere() -> None:
    order = change(customer_note="a\ud83d", meta_data=[{"key": "k", "value": ["\ud83d"]}])
    assert (order.note, order.attributes[0].value) == ("a?", '["?"]')


@pytest.mark.parametrize(
    ("name", "parent", "variant"),
    [
        ("Dress - M", "Dress", "M"),
        ("Dress - M - Long", "Dress", "M - Long"),
        ("Dress", "Dress", None),
        ("Dress - ", "Dress", None),
        ("Dress M", "Dress", None),
        ("None - M", None, None),
        (None, "Dress", None),
    ],
)
def test_the_variant_is_what_follows_the_product(name: str | None, parent: str | None, variant: str | None) -> None:
    assert variant_title(name, parent) == variant


@pytest.mark.parametrize(
    ("state", "country", "code"),
    [
        ("NH", "NL", "NH"),
        ("JP13", "JP", "13"),
        ("BG-01", "BG", "01"),
        ("TR34", "TR", "34"),
        ("RSBE", "RS", "RSBE"),
        ("B", "ES", "B"),
        ("Noord-Holland", "NL", None),
        ("NOORD-HOLLAND", "NL", None),
        ("Kent", "GB", None),
        (None, "NL", None),
        ("CA", None, "CA"),
        ("NL", "NL", "NL"),
    ],
)
def test_codes_of_regions(state: str | None, country: str, code: str | None) -> None:
    assert region_code(state, country) == code


# --- carts ------------------------------------------------------------------------------------------------------------


def test_a_cart_with_all_that_our_plugin_may_send() -> None:
    cart = cart_of(written("cart.updated__full"))
    assert (cart.id, cart.currency, cart.total, cart.quantity) == ("c1-7f3a9e", "EUR", D("121.00"), D(3))
    assert (cart.customer_id, cart.email, cart.phone) == ("7700123400001", "ines.example@example.com", "+31612345678")
    assert [(line.sku, line.unit_price, line.total) for line in cart.lines] == [
        ("MUG-BLUE", D("48.40"), D("96.80")),
        ("TEA-100", D("24.20"), D("24.20")),
    ]
    tea = cart.lines[1]
    assert (tea.title, tea.variant_title, tea.name, tea.unit_id) == ("Tea", "100 g", "Tea - 100 g", "880003")
    assert tea.attributes == (Attribute(name="wrap", value="yes", place="line", rank=0),)
    assert cart.sprii == Found(value="5934-14", name="sprii_order_no", place="order")
    assert (cart.seeka_profile_id, cart.spotler_cookie) == ("sk.1", "sqzl0")


def test_a_line_whose_product_was_deleted_is_known_by_its_sku_else_by_its_id() -> None:
    body = json.loads((FOLDER / "order.updated__worked_a.json").read_text())
    line = {**body["line_items"][0], "product_id": 0, "variation_id": 0}
    body["line_items"] = [line, {**line, "id": 9, "sku": ""}, body["line_items"][1]]
    lines = order_of(observe("order.updated", json.dumps(body).encode())).lines
    assert [(each.unit_id, each.custom_id) for each in lines] == [(None, "MUG-BLUE"), (None, "9"), ("880002", None)]


def test_of_numbers_on_several_lines_of_a_cart_the_last_lines_wins() -> None:
    body = json.loads((FOLDER / "cart.updated__full.json").read_text())
    line = body["items"][0]
    gift, one, two = ({"key": key, "value": value} for key, value in (("g", "x"), ("orderNo", "1"), ("orderNo", "2")))
    body |= {"items": [{**line, "meta_data": [gift, one]}, {**line, "meta_data": [two]}], "meta_data": []}
    cart = cart_of(observe("cart.updated", json.dumps(body).encode()))
    assert cart.sprii == Found(value="2", name="orderNo", place="line", others=("1",))


def test_an_empty_cart_is_a_cart() -> None:
    cart = cart_of(written("cart.updated__empty"))
    assert (cart.lines, cart.quantity, cart.total, cart.email, cart.customer_id) == ((), D(0), D(0), None, None)


def test_equal_contents_have_equal_hashes_whatever_their_order_and_time() -> None:
    line = {"key": "a", "product_id": 1, "quantity": 1, "line_total": "2.50"}
    other = {"key": "b", "product_id": 2, "quantity": 2, "line_total": 4}
    first = {"id": "c", "date_gmt": "2026-01-01T00:00:00", "items": [line, other]}
    again = {"id": "c", "date_gmt": "2026-01-01T00:05:00", "items": [other, line | {"line_total": "2.5"}]}
    more = {"id": "c", "items": [line, other | {"quantity": 3}]}
    one, two, three = (cart_of(observe("cart.updated", json.dumps(body).encode())) for body in (first, again, more))
    assert one.content == two.content != three.content
    assert one.total == D("6.50")
