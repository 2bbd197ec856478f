"""What a refund gave back, inside its order and by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connectors.errors import Unreadable
from connectors.events import Refund, RefundLine, RefundSeen
from tests.connectors.shopify_fixtures import body_of, changed, refund_of, seen

MUG = RefundLine(line_id="9200000000001", quantity=D(1), net=D(36), tax=D("7.56"), gross=D("43.56"))
WORKED_A = Refund(
    id="9100045",
    amount=D("43.56"),
    created_at=datetime(2026, 3, 5, 14, 20, tzinfo=UTC),
    note="one mug broke",
    lines=(MUG,),
    lines_known=True,
    amount_source="transactions",
)


def sets(amount: str, currency: str = "EUR") -> dict[str, Any]:
    return {"shop_money": {"amount": amount, "currency_code": currency}}


def paid_out(amount: str, currency: str | None = "EUR", *, kind: str = "refund", status: str = "success") -> Any:
    return {"id": 1, "kind": kind, "status": status, "amount": amount, "currency": currency}


def with_parts(**fields: Any) -> Refund:
    """The worked refund with other parts."""
    return refund_of(body_of("refunds_create__worked_a") | fields)


def test_a_refund_by_itself() -> None:
    found = seen("refunds/create", body_of("refunds_create__worked_a"))
    assert isinstance(found, RefundSeen)
    assert (found.order_id, found.refund, found.without_tax) == ("6100234500001", WORKED_A, WORKED_A)


def test_a_refund_by_itself_reads_both_ways_because_only_its_order_tells_which() -> None:
    found = seen("refunds/create", body_of("refunds_create__worked_a") | {"transactions": [paid_out("1", "USD")]})
    assert isinstance(found, RefundSeen)
    assert found.with_tax is not None
    assert found.without_tax is not None
    tax = found.without_tax.lines[0].tax
    assert found.without_tax.lines[0].gross - found.with_tax.lines[0].gross == tax > 0
    assert found.with_tax.amount < found.without_tax.amount


def test_a_refund_inside_its_order_reads_the_same() -> None:
    refund = body_of("refunds_create__worked_a")
    order = changed("orders_paid__worked_a", refunds=[refund], financial_status="partially_refunded")
    assert order.refunds == (WORKED_A,)
    assert (order.refunded, order.refunded_in_full, order.paid) == (D("43.56"), False, True)
    assert (order.total, order.current_total) == (D("114.95"), D("114.95"))


def test_refunds_in_the_buyers_currency_are_told_by_their_parts() -> None:
    """Shop DKK with 25 % inside, buyer EUR: the lines and the shipping that both currencies are known of."""
    order = changed("orders_updated__foreign_refunds")
    assert order.refunds == (
        Refund(
            id="51",
            amount=D(295),
            created_at=datetime(2026, 11, 22, 11, tzinfo=UTC),
            lines=(RefundLine(line_id="31", quantity=D(1), net=D(120), tax=D(30), gross=D(150)),),
            shipping=D(145),
            amount_source="lines",
        ),
        Refund(
            id="52",
            amount=D(10),
            created_at=datetime(2026, 11, 23, 11, tzinfo=UTC),
            shipping=D(10),
            amount_source="lines",
        ),
        Refund(
            id="53",
            amount=D(0),
            created_at=datetime(2026, 11, 24, 11, tzinfo=UTC),
            note="restock only",
            lines=(RefundLine(line_id="31", quantity=D(1), net=D(360), tax=D(90), gross=D(450)),),
            amount_source="transactions",
        ),
    )
    assert order.refunded == D(305)


def test_a_foreign_refund_by_itself_finds_currency_and_tax_in_its_lines() -> None:
    assert refund_of(body_of("refunds_create__foreign")) == changed("orders_updated__foreign_refunds").refunds[0]


def test_a_refund_of_shipping_by_itself_finds_tax_in_the_shipping_line() -> None:
    tax = {"price": "1.05", "rate": 0.21}
    body = body_of("refunds_create__worked_a") | {"transactions": None, "refund_line_items": []}
    for price, gross in (("6.05", "6.05"), ("5.00", "6.05")):
        line = {"subtotal_amount_set": sets(price), "tax_amount_set": sets("1.05")}
        shipping = {"id": 1, "price": price, "tax_lines": [tax]}
        found = refund_of(body | {"refund_shipping_lines": [line | {"shipping_line": shipping}]})
        assert (found.amount, found.shipping) == (D(gross), D(gross))


@pytest.mark.parametrize(
    ("transactions", "amount", "source"),
    [
        ([paid_out("40.00")], "40.00", "transactions"),
        ([paid_out("40.00"), paid_out("3.56")], "43.56", "transactions"),
        ([paid_out("40.00"), paid_out("9.99", status="failure")], "40.00", "transactions"),
        ([paid_out("40.00", status="pending")], "0", "transactions"),
        ([paid_out("40.00", status="error")], "0", "transactions"),
        ([paid_out("114.95", kind="void")], "0", "transactions"),
        ([paid_out("114.95", kind="sale")], "0", "transactions"),
        ([paid_out("40.00", "eur")], "40.00", "transactions"),
        ([paid_out("40.00", None)], "40.00", "transactions"),
        ([paid_out("40.00"), paid_out("5.00", "USD")], "40.00", "transactions"),
        ([], "0", "transactions"),
        ([paid_out("47.00", "USD")], "43.56", "lines"),
        ([paid_out("47.00", "USD"), paid_out("1.00", status="failure")], "43.56", "lines"),
        (None, "43.56", "lines"),
    ],
)
def test_what_moved_in_the_shops_currency_else_the_lines(transactions: Any, amount: str, source: str) -> None:
    refund = with_parts(transactions=transactions)
    assert (refund.amount, refund.amount_source) == (D(amount), source)
    assert refund.lines == (MUG,)


def test_without_the_key_the_lines_tell() -> None:
    body = body_of("refunds_create__worked_a")
    del body["transactions"]
    refund = refund_of(body)
    assert (refund.amount, refund.amount_source) == (D("43.56"), "lines")


def adjustment(kind: str, amount: str, tax: str) -> dict[str, Any]:
    return {
        "id": 1,
        "kind": kind,
        "amount_set": sets(amount),
        "tax_amount_set": sets(tax),
        "amount": "x",
        "tax_amount": "x",
    }


SHIPPING = {"id": 1, "subtotal_amount_set": sets("5.00"), "tax_amount_set": sets("1.05")}
SHIPPING_TOO = adjustment("shipping_refund", "-5.00", "-1.05")


@pytest.mark.parametrize(
    ("fields", "amount", "shipping"),
    [
        ({"refund_shipping_lines": [SHIPPING]}, "49.61", "6.05"),
        ({"order_adjustments": [SHIPPING_TOO]}, "49.61", "6.05"),
        ({"refund_shipping_lines": [SHIPPING], "order_adjustments": [SHIPPING_TOO]}, "49.61", "6.05"),
        ({"refund_shipping_lines": [SHIPPING, SHIPPING]}, "55.66", "12.10"),
        (
            {"refund_line_items": [], "order_adjustments": [adjustment("refund_discrepancy", "-10.00", "-2.10")]},
            "12.10",
            "0",
        ),
        ({"refund_line_items": [], "order_adjustments": [SHIPPING_TOO]}, "6.05", "6.05"),
        ({"refund_line_items": []}, "0", "0"),
    ],
)
def test_shipping_comes_on_top_and_is_never_counted_twice(fields: dict[str, Any], amount: str, shipping: str) -> None:
    refund = with_parts(transactions=None, **fields)
    assert (refund.amount, refund.shipping, refund.amount_source) == (D(amount), D(shipping), "lines")


def test_shipping_is_told_beside_what_moved_too() -> None:
    refund = with_parts(transactions=[paid_out("49.61")], refund_shipping_lines=[SHIPPING])
    assert (refund.amount, refund.shipping) == (D("49.61"), D("6.05"))


@pytest.mark.parametrize(
    ("included", "amount", "shipping", "net"), [(False, "49.61", "6.05", "36"), (True, "41.00", "5.00", "28.44")]
)
def test_tax_is_added_only_where_prices_lack_it(included: bool, amount: str, shipping: str, net: str) -> None:
    refund = body_of("refunds_create__worked_a") | {"transactions": None, "refund_shipping_lines": [SHIPPING]}
    found = changed("orders_paid__worked_a", taxes_included=included, refunds=[refund]).refunds[0]
    assert (found.amount, found.shipping, found.lines[0].net) == (D(amount), D(shipping), D(net))


def test_lines_are_known_only_where_the_body_tells_them() -> None:
    body = body_of("refunds_create__worked_a")
    assert with_parts(refund_line_items=[]).lines_known is True
    del body["refund_line_items"]
    refund = refund_of(body)
    assert (refund.lines_known, refund.lines, refund.amount) == (False, (), D("43.56"))


def test_bare_numbers_serve_where_there_are_no_sets() -> None:
    entry = {"line_item": {"id": 7}, "quantity": 2, "subtotal": 10.5, "total_tax": "0.50"}
    refund = with_parts(refund_line_items=[entry], transactions=None, total_duties_set=None)
    assert refund.lines == (RefundLine(line_id="7", quantity=D(2), net=D("10.5"), tax=D("0.50"), gross=D(11)),)
    assert refund.amount == D(11)


def test_without_any_set_every_transaction_counts() -> None:
    refund = refund_of({"id": 1, "order_id": 2, "transactions": [paid_out("3.00", "SEK")]})
    assert (refund.amount, refund.amount_source, refund.created_at) == (D(3), "transactions", None)


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({"created_at": None}, datetime(2026, 3, 5, 14, 20, tzinfo=UTC)),
        ({"created_at": None, "processed_at": None}, None),
        ({"created_at": "2026-03-05T15:21:00+01:00"}, datetime(2026, 3, 5, 14, 21, tzinfo=UTC)),
    ],
)
def test_when_it_was_given(fields: dict[str, Any], moment: datetime | None) -> None:
    assert with_parts(**fields).created_at == moment


def test_an_order_is_refunded_in_full_by_its_sums_too() -> None:
    refund = body_of("refunds_create__worked_a") | {"transactions": [paid_out("114.95")]}
    order = changed("orders_paid__worked_a", refunds=[refund])
    assert (order.financial_status, order.refunded, order.refunded_in_full) == ("paid", D("114.95"), True)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"order_id": None}, "$.order_id: expected an id, found nothing"),
        ({"id": None}, "$.id: expected an id, found nothing"),
        (
            {"refund_line_items": [{"quantity": 1}]},
            "$.refund_line_items[0].line_item.id: expected an id, found nothing",
        ),
        (
            {"transactions": [paid_out("x")]},
            "$.transactions[0].amount: expected a number, found str",
        ),
        ({"transactions": {}}, "$.transactions: expected a list, found dict"),
    ],
)
def test_a_wrong_type_is_named_with_its_path(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Unreadable) as raised:
        with_parts(**fields)
    assert str(raised.value) == complaint


@pytest.mark.parametrize(
    "place",
    [
        {"total_duties_set": sets("0.00", "DKK")},
        {"refund_shipping_lines": [SHIPPING | {"subtotal_amount_set": sets("5.00", "DKK")}]},
        {"order_adjustments": [{"kind": "shipping_refund", "amount_set": sets("-6.05", "dkk")}]},
        {"refund_line_items": [{"line_item_id": 1, "quantity": 1, "subtotal_set": sets("0.00", "DKK")}]},
        {"refund_line_items": [{"line_item": {"id": 1, "price_set": sets("0.00", "DKK")}, "quantity": 1}]},
    ],
)
def test_any_set_tells_the_shops_currency(place: dict[str, Any]) -> None:
    transactions = [paid_out("7.00", "DKK"), paid_out("0.94")]
    refund = refund_of({"id": 1, "order_id": 2, "transactions": transactions} | place)
    assert (refund.amount, refund.amount_source) == (D(7), "transactions")


@pytest.mark.parametrize(
    ("fields", "gross"),
    [
        ({"tax_lines": [{"price": "13.88", "rate": 0.21}], "total_discount": "0.00"}, "36.00"),
        ({"tax_lines": [{"price": "12.50", "rate": 0.21}], "discount_allocations": [{"amount": "8.00"}]}, "36.00"),
        ({"tax_lines": [{"price": "12.50", "rate": 0.21}], "total_discount": "8.00"}, "36.00"),
        ({"tax_lines": [{"price": "15.12", "rate": 0.21}], "discount_allocations": [{"amount": "8.00"}]}, "43.56"),
        ({"tax_lines": [{"price": "15.12", "rate": 0.21}], "total_discount": "8.00"}, "43.56"),
        ({"tax_lines": [{"price": "1.00", "rate": 0.21}], "total_discount": "0.00"}, "43.56"),
        ({"tax_lines": []}, "43.56"),
    ],
)
def test_by_itself_it_tells_by_its_taxes_whether_prices_hold_them(fields: dict[str, Any], gross: str) -> None:
    """Two of 40.00 with 21 %: 13.88 of 80.00 and 12.50 of 72.00 are inside, 16.80 and 15.12 on top."""
    line = {"id": 1, "quantity": 2, "price": "40.00"} | fields
    entry = {"line_item": line, "quantity": 1, "subtotal": "36.00", "total_tax": "7.56"}
    assert with_parts(refund_line_items=[entry]).lines[0].gross == D(gross)
