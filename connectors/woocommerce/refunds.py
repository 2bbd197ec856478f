"""A refund as ``GET orders/{id}/refunds`` tells it: the lines that a webhook leaves out."""

from __future__ import annotations

from decimal import Decimal

from connectors.attributes import value_of
from connectors.events import Refund, RefundLine
from connectors.reading import Reader, parse
from connectors.woocommerce.lines import oldest_first, total_of
from connectors.woocommerce.meta import read_meta

#: Meta of a refund's line: the id of the order's line that it gives back (source: wc_create_refund).
REFUNDED_LINE = ("_refunded_item_id",)


def read_answer(body: bytes) -> list[Refund]:
    """What `connectors.woocommerce.orders.fetch_refunds` brought, oldest refund first."""
    return oldest_first([read_refund(each) for each in parse(body)["refunds"].items()])


def read_refund(refund: Reader) -> Refund:
    """The amount is positive in the answer; quantities and sums of its lines are negative there."""
    entries = [*refund["line_items"].items(), *refund["fee_lines"].items()]
    lines = [read_refund_line(entry) for entry in entries]
    return Refund(
        id=refund["id"].id(),
        amount=abs(refund["amount"].decimal()),
        created_at=refund["date_created_gmt"].time_or_none(utc=True),
        note=refund.text_at("reason"),
        lines=tuple([line for line in lines if line and (line.quantity or line.gross)]),
        shipping=total_of(gross for _, _, gross in map(_sums, refund["shipping_lines"].items())),
        lines_known=None not in lines,
        amount_source="total",
    )


def read_refund_line(entry: Reader) -> RefundLine | None:
    """None where it does not say which line of the order it gives back."""
    line_id = value_of(read_meta(entry["meta_data"], "line"), REFUNDED_LINE)
    net, tax, gross = _sums(entry)
    quantity = abs(entry["quantity"].money())  # fees have none
    return RefundLine(line_id=line_id, quantity=quantity, net=net, tax=tax, gross=gross) if line_id else None


def _sums(entry: Reader) -> tuple[Decimal, Decimal, Decimal]:
    net, tax = -entry["total"].money(), -entry["total_tax"].money()
    return net, tax, net + tax
