"""What adds up: surcharges, shipping, yen, and what was given back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connectors.events import LineItem, Order, Refund, RefundLine, ShippingLine
from tests.connectors.shopify_fixtures import body_of, changed, order_of, refund_of

WORKED = "orders_paid__worked_a"
ZERO = D(0)


def adds_up(order: Order) -> bool:
    return sum((line.total_gross for line in order.lines), ZERO) + order.shipping_gross == order.total


@pytest.mark.parametrize(
    "name",
    [
        "orders_paid__worked_a",
        "orders_paid__worked_b",
        "orders_fulfilled__surcharges",
        "orders_updated__foreign_refunds",
        "orders_cancelled__yen_draft_test",
    ],
)
def test_lines_and_shipping_add_up_to_the_total(name: str) -> None:
    assert adds_up(order_of(body_of(name)))


def test_surcharges_gift_cards_custom_lines_and_what_was_removed() -> None:
    order = order_of(body_of("orders_fulfilled__surcharges"))
    assert [(line.line_id, line.kind, line.unit_id, line.quantity, line.total_gross) for line in order.lines] == [
        ("2", "product", "501", 1, D("50.00")),
        ("3", "product", None, 2, D("16.50")),
        ("4", "product", "601", 1, D("10.00")),
        ("5", "product", "701", 1, D("0.00")),
        ("1", "tip", None, 1, D("4.00")),
        ("tip", "tip", None, 1, D("2.00")),
        ("duty", "duty", None, 1, D("3.30")),
        ("fee", "fee", None, 1, D("1.25")),
    ]
    assert [line.gift_card for line in order.lines[:2]] == [True, False]
    assert [line.current_quantity for line in order.lines[:4]] == [1, 2, 0, 1]
    assert order.lines[3].tax_rate == D("0.15")
    assert order.lines_tax == D("1.80")
    assert (order.number, order.name, order.channel) == ("77", "T-77/X", "pos")
    assert (order.payment_method, order.shipping_method) == ("gift_card", "Courier")
    assert (order.status, order.fulfilment_status) == ("closed", "full")
    assert order.completed_at == datetime(2026, 4, 2, 6, tzinfo=UTC)
    assert [each.status for each in order.fulfilments] == ["success", "cancelled"]


def test_shipping_is_net_of_its_own_discounts_and_without_what_was_removed() -> None:
    order = order_of(body_of("orders_fulfilled__surcharges"))
    assert order.shipping_lines == (
        ShippingLine(
            title="Courier", code="Courier", net=D("10.00"), tax=D("1.00"), gross=D("11.00"), discount=D("2.00")
        ),
        ShippingLine(title="Pickup", code="Pickup", net=D("3.00"), gross=D("3.00"), discount=D("1.00")),
    )
    assert (order.shipping_net, order.shipping_tax, order.shipping_gross) == (D("13.00"), D("1.00"), D("14.00"))


def test_a_tip_is_a_line_of_its_own() -> None:
    assert changed(WORKED, total_tip_received="3.00").lines[2] == LineItem(
        line_id="tip",
        kind="tip",
        name="Tip",
        title="Tip",
        quantity=D(1),
        unit_price=D("3.00"),
        unit_net=D("3.00"),
        unit_gross=D("3.00"),
        unit_net_paid=D("3.00"),
        unit_gross_paid=D("3.00"),
        total_net=D("3.00"),
        total_gross=D("3.00"),
    )


def test_duties_inside_the_prices_are_no_line() -> None:
    assert len(changed(WORKED, duties_included=True, original_total_duties_set=_euro("3.00")).lines) == 2


@pytest.mark.parametrize(
    ("fields", "duty"),
    [
        ({"original_total_duties_set": "3.00", "current_total_duties_set": "1.00"}, "3.00"),
        ({"current_total_duties_set": "1.00"}, "1.00"),
    ],
)
def test_duties_are_those_at_placement(fields: dict[str, str], duty: str) -> None:
    order = changed(WORKED, **{name: _euro(amount) for name, amount in fields.items()})
    assert [(line.kind, line.total_gross) for line in order.lines[2:]] == [("duty", D(duty))]


def test_yen_have_no_cents() -> None:
    order = order_of(body_of("orders_cancelled__yen_draft_test"))
    line = order.lines[0]
    assert (order.total, order.discount, order.tax) == (990, 110, 90)
    assert (line.unit_price, line.unit_gross_paid, line.unit_net_paid) == (550, 495, 450)
    assert (line.total_net, line.total_gross, line.tax_rate) == (900, 990, D("0.1"))
    assert (order.test, order.cancelled, order.cancel_reason, order.paid) == (True, True, "customer", False)


# --- refunds ----------------------------------------------------------------------------------------------------------

MUG = RefundLine(line_id="9200000000001", quantity=D(1), net=D("36.00"), tax=D("7.56"), gross=D("43.56"))
BROKEN_MUG = Refund(
    id="9100045",
    amount=D("43.56"),
    created_at=datetime(2026, 3, 5, 14, 20, tzinfo=UTC),
    note="one mug broke",
    lines=(MUG,),
)


def _euro(amount: str) -> dict[str, Any]:
    return {"shop_money": {"amount": amount, "currency_code": "EUR"}}


def paid_back(amount: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "refund", "status": "success", "amount": amount, "currency": "EUR"} | fields


def adjusted(kind: str, amount: str, tax: str = "0.00") -> dict[str, Any]:
    return {"kind": kind, "amount": amount, "amount_set": _euro(amount), "tax_amount": tax}


def broken_mug(**fields: Any) -> Refund:
    return refund_of(body_of("refunds_create__worked_a") | fields)


def test_a_refund_reads_the_same_by_itself_and_inside_its_order() -> None:
    assert broken_mug() == BROKEN_MUG
    order = changed(WORKED, financial_status="partially_refunded", refunds=[body_of("refunds_create__worked_a")])
    assert order.refunds == (BROKEN_MUG,)
    assert (order.refunded, order.refunded_in_full, order.total) == (D("43.56"), False, D("114.95"))


def test_all_money_back_is_a_full_refund_whatever_the_status_says() -> None:
    refund = body_of("refunds_create__worked_a") | {"transactions": [paid_back("114.95")]}
    assert changed(WORKED, refunds=[refund]).refunded_in_full


@pytest.mark.parametrize(
    ("transactions", "amount", "source"),
    [
        ([paid_back("40.00"), paid_back("3.00")], "43.00", "transactions"),
        ([paid_back("40.00", currency=None)], "40.00", "transactions"),
        ([paid_back("40.00"), paid_back("40.00", kind="void")], "40.00", "transactions"),
        ([paid_back("40.00", status="failure")], "0", "transactions"),
        ([paid_back("40.00", status="pending")], "0", "transactions"),
        ([paid_back("40.00"), paid_back("44.00", currency="USD")], "40.00", "transactions"),
        ([paid_back("47.00", currency="USD")], "43.56", "lines"),
        ([paid_back("47.00", currency="USD", status="failure")], "0", "transactions"),
        ([], "0", "transactions"),
        (None, "43.56", "lines"),
    ],
)
def test_what_went_back_by_the_transactions(transactions: Any, amount: str, source: str) -> None:
    refund = broken_mug(transactions=transactions)
    assert (refund.amount, refund.amount_source, refund.lines) == (D(amount), source, (MUG,))


@pytest.mark.parametrize(
    ("fields", "amount", "shipping"),
    [
        ({"order_adjustments": [adjusted("shipping_refund", "-5.00", "-1.05")]}, "49.61", "6.05"),
        (
            {
                "order_adjustments": [adjusted("shipping_refund", "-5.00", "-1.05")],
                "refund_shipping_lines": [{"subtotal_amount_set": _euro("5.00")}],
            },
            "49.61",
            "6.05",
        ),
        (
            {
                "refund_shipping_lines": [{"subtotal_amount_set": _euro("5.00"), "tax_amount_set": _euro("1.05")}],
                "order_adjustments": [adjusted("refund_discrepancy", "4.00")],
            },
            "49.61",
            "6.05",
        ),
        ({"refund_line_items": [], "order_adjustments": [adjusted("refund_discrepancy", "-10.00")]}, "10.00", "0"),
        (
            {
                "refund_line_items": [],
                "order_adjustments": [
                    adjusted("refund_discrepancy", "-10.00"),
                    adjusted("shipping_refund", "-5.00", "-1.05"),
                ],
            },
            "16.05",
            "6.05",
        ),
        ({"refund_line_items": []}, "0", "0"),
    ],
)
def test_what_went_back_by_the_parts(fields: dict[str, Any], amount: str, shipping: str) -> None:
    refund = broken_mug(transactions=None, **fields)
    assert (refund.amount, refund.shipping, refund.amount_source) == (D(amount), D(shipping), "lines")


def test_refunds_in_the_buyers_currency() -> None:
    order = order_of(body_of("orders_updated__foreign_refunds"))
    assert [(each.id, each.amount, each.shipping, each.amount_source) for each in order.refunds] == [
        ("51", D("295.00"), D("145.00"), "lines"),
        ("52", D("10.00"), D("10.00"), "lines"),
        ("53", D(0), D(0), "transactions"),
    ]
    assert order.refunds[0].lines == (
        RefundLine(line_id="31", quantity=D(1), net=D("120.00"), tax=D("30.00"), gross=D("150.00")),
    )
    assert order.refunded == D("305.00")


def test_a_lone_refund_finds_out_that_its_prices_include_tax() -> None:
    order = order_of(body_of("orders_updated__foreign_refunds"))
    assert refund_of(body_of("refunds_create__foreign")) == order.refunds[0]


def test_a_refund_that_names_no_lines() -> None:
    refund = refund_of({"id": 5, "order_id": 6, "transactions": [paid_back("12.50")]})
    assert refund == Refund(id="5", amount=D("12.50"), lines_known=False)
