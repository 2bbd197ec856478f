"""An order's JSON (the REST order resource, which every orders topic carries) as an `Order`.

What stands in which field, and why, is told in docs/platforms/shopify.md.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import chain

from connectors.attributes import among, find, of_lines, value_of
from connectors.base import Names
from connectors.events import ZERO, LineItem, Order, ShippingLine
from connectors.reading import Reader
from connectors.shopify.amounts import shop_amount, shop_money, total_of
from connectors.shopify.attached import read_attributes, token_at
from connectors.shopify.fulfilments import fulfilment_status, last_sent, read_fulfilment
from connectors.shopify.lines import read_lines, read_shipping_lines
from connectors.shopify.people import Buyer, locale
from connectors.shopify.refunds import read_refunds

PAID = frozenset({"paid", "partially_refunded", "refunded"})
LONGEST_CONSENT = 8192  #: TCF strings grow with the number of vendors


def read_order(body: Reader, names: Names) -> Order:
    """One snapshot of an order. Long because it is a table: a field, and where it comes from."""
    total = shop_amount(body, "total_price")
    if total is None:
        raise body["total_price"].wrong("a number")
    currency, buyer_currency = _currencies(body)
    taxes_included = body["taxes_included"].boolean()
    lines = read_lines(body, taxes_included=taxes_included)
    shipping_lines = read_shipping_lines(body, taxes_included=taxes_included)
    unassigned = _unassigned(body, lines, shipping_lines)
    refunds = read_refunds(body["refunds"], currency=currency, taxes_included=taxes_included)
    refunded = total_of([refund.amount for refund in refunds])
    fulfilments = tuple([read_fulfilment(each) for each in body["fulfillments"].items()])
    fulfilled = fulfilment_status(body.text_at("fulfillment_status"))
    financial_status, source = body.text_at("financial_status"), body.text_at("source_name")
    cancelled_at, closed_at = body["cancelled_at"].time_or_none(), body["closed_at"].time_or_none()
    gateways = [name for each in body["payment_gateway_names"].items() if (name := each.text_or_none())]
    buyer, ticked = Buyer(body), body["buyer_accepts_marketing"]
    attributes = read_attributes(body["note_attributes"], "order")
    everywhere = chain(attributes, of_lines([line.attributes for line in lines]))
    ours = among(everywhere, names.sprii, names.seeka_profile, names.tcf_consent, names.spotler_cookie)
    name = body.text_at("name")
    return Order(
        id=body["id"].id(),
        number=body["order_number"].text_or_none() or (name or "").replace("#", "").strip() or None,
        name=name,
        cart_id=token_at(body, "cart_token"),
        checkout_id=token_at(body, "checkout_token"),
        source=source,
        channel="pos" if source == "pos" else "web",
        test=body["test"].boolean() or any("bogus" in name.lower() for name in gateways),
        status="cancelled" if cancelled_at else "closed" if closed_at else "open",
        financial_status=financial_status,
        fulfilment_status=fulfilled,
        paid=financial_status in PAID,
        cancelled=cancelled_at is not None,
        cancel_reason=body.text_at("cancel_reason"),
        created_at=body["created_at"].time_or_none() or body["processed_at"].time_or_none(),
        updated_at=body["updated_at"].time_or_none(),
        cancelled_at=cancelled_at,
        completed_at=last_sent(body["fulfillments"]) if fulfilled == "full" else None,
        currency=currency,
        buyer_currency=buyer_currency,
        buyer_total=_buyer_total(body) if buyer_currency else None,
        taxes_included=taxes_included,
        total=total,
        current_total=shop_amount(body, "current_total_price"),
        discount=total_of([line.discount for line in lines]) + unassigned,
        discount_net=total_of([line.discount_net for line in lines]) + unassigned,
        unassigned_discount=unassigned,
        tax=shop_money(body, "total_tax"),
        lines_tax=total_of([line.tax for line in lines]),
        shipping_net=total_of([line.net for line in shipping_lines]),
        shipping_tax=total_of([line.tax for line in shipping_lines]),
        shipping_gross=total_of([line.gross for line in shipping_lines]),
        lines=lines,
        shipping_lines=shipping_lines,
        shipping_method=shipping_lines[0].title if shipping_lines else None,
        payment_method=gateways[0] if gateways else None,
        discount_codes=_codes(body["discount_codes"]),
        refunds=refunds,
        refunded=refunded,
        refunded_in_full=financial_status == "refunded" or refunded >= total > 0,
        fulfilments=fulfilments,
        customer=buyer.customer,
        customer_id=buyer.customer.id if buyer.customer else None,
        email=buyer.email,
        phone=buyer.phone,
        first_name=buyer.first_name,
        last_name=buyer.last_name,
        address=buyer.address,
        billing=buyer.billing,
        shipping=buyer.shipping,
        locale=locale(body.text_at("customer_locale"), buyer.country),
        accepts_marketing=ticked.boolean() if ticked else None,
        note=body.text_at("note"),
        attributes=attributes,
        sprii=find(ours, names.sprii),
        seeka_profile_id=value_of(ours, names.seeka_profile),
        tcf_consent=value_of(ours, names.tcf_consent, longest=LONGEST_CONSENT),
        spotler_cookie=value_of(ours, names.spotler_cookie),
    )


def _currencies(body: Reader) -> tuple[str, str | None]:
    """The shop's, and the buyer's where it is another one."""
    money = body["total_price_set"]
    shops = body.text_at("currency") or money["shop_money"].text_at("currency_code")
    if not shops:
        raise body["currency"].wrong("text")
    buyers = body.text_at("presentment_currency") or money["presentment_money"].text_at("currency_code") or shops
    return shops.upper(), buyers.upper() if buyers.upper() != shops.upper() else None


def _buyer_total(body: Reader) -> Decimal | None:
    return body["total_price_set"]["presentment_money"]["amount"].decimal_or_none()


def _unassigned(body: Reader, lines: tuple[LineItem, ...], shipping: tuple[ShippingLine, ...]) -> Decimal:
    """Discounts that stand on no line: only in bodies so old or so trimmed that they know no allocations."""
    if any(line.has("discount_allocations") for line in body["line_items"].items()):
        return ZERO
    assigned = total_of([line.discount for line in lines]) + total_of([line.discount for line in shipping])
    return max(shop_money(body, "total_discounts") - assigned, ZERO)


def _codes(codes: Reader) -> tuple[str, ...]:
    found = [each.text_at("code") for each in codes.items()]
    return tuple(dict.fromkeys([code.lower() for code in found if code]))
