"""An order as GraphQL tells it, in the shape of the webhook's body, so that one reader understands both. Pure.

What GraphQL does not tell, and a webhook does: a tip that stands on a line of its own, the name of an order
adjustment's kind, who placed the order and which products it holds where the app lacks the scopes for these (the
body then names them in ``hidden_by``), and the address of the status page. Sources:
shopify.dev/docs/api/admin-graphql/latest/objects/Order and shopify.dev/docs/api/admin-rest/latest/resources/order,
field by field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

JSON = dict[str, Any]

_FULFILLED = {"FULFILLED": "fulfilled", "PARTIALLY_FULFILLED": "partial", "RESTOCKED": "restocked"}
_ADDRESS = {
    **{"firstName": "first_name", "lastName": "last_name", "name": "name", "company": "company"},
    **{"address1": "address1", "address2": "address2", "city": "city", "zip": "zip", "phone": "phone"},
    **{"province": "province", "provinceCode": "province_code", "country": "country", "countryCodeV2": "country_code"},
}


def webhook_body(order: JSON) -> JSON:
    """The body of ``orders/updated`` of ``order``. Long because it is a table: a field, and where it comes from."""
    fulfilments = [_fulfilment(each) for each in _list(order.get("fulfillments"))]
    return {
        "id": number(order["id"]),
        "admin_graphql_api_id": order["id"],
        "name": order.get("name"),
        "order_number": order.get("number"),
        "cart_token": order.get("cartToken"),
        "checkout_token": order.get("checkoutToken"),
        "created_at": order.get("createdAt"),
        "processed_at": order.get("processedAt"),
        "updated_at": order.get("updatedAt"),
        "closed_at": order.get("closedAt"),
        "cancelled_at": order.get("cancelledAt"),
        "cancel_reason": lower(order.get("cancelReason")),
        "financial_status": lower(order.get("displayFinancialStatus")),
        "fulfillment_status": _fulfilment_status(order.get("displayFulfillmentStatus"), fulfilments),
        "test": order.get("test"),
        "source_name": order.get("sourceName"),
        "tags": ", ".join(_list(order.get("tags"))),
        "note": order.get("note"),
        "customer_locale": order.get("customerLocale"),
        "buyer_accepts_marketing": order.get("customerAcceptsMarketing"),
        "currency": order.get("currencyCode"),
        "presentment_currency": order.get("presentmentCurrencyCode"),
        "taxes_included": order.get("taxesIncluded"),
        "duties_included": order.get("dutiesIncluded"),
        "payment_gateway_names": order.get("paymentGatewayNames"),
        "discount_codes": [{"code": code} for code in _list(order.get("discountCodes"))],
        "note_attributes": _attributes(order),
        "total_price_set": bag(order.get("totalPriceSet")),
        "current_total_price_set": bag(order.get("currentTotalPriceSet")),
        "total_tax_set": bag(order.get("totalTaxSet")),
        "total_discounts_set": bag(order.get("totalDiscountsSet")),
        "total_tip_received_set": bag(order.get("totalTipReceivedSet")),
        "original_total_duties_set": bag(order.get("originalTotalDutiesSet")),
        "current_total_duties_set": bag(order.get("currentTotalDutiesSet")),
        "original_total_additional_fees_set": bag(order.get("originalTotalAdditionalFeesSet")),
        "current_total_additional_fees_set": bag(order.get("currentTotalAdditionalFeesSet")),
        "email": order.get("email"),
        "phone": order.get("phone"),
        "billing_address": _address(order.get("billingAddress")),
        "shipping_address": _address(order.get("shippingAddress")),
        "customer": _customer(order.get("customer")),
        "line_items": [_line(each) for each in nodes(order, "lineItems")],
        "shipping_lines": [_shipping_line(each) for each in nodes(order, "shippingLines")],
        "fulfillments": fulfilments,
        "refunds": [_refund(each, order["id"]) for each in _list(order.get("refunds"))],
        "transactions": [_payment(each) for each in _list(order.get("transactions"))],
    }


def fill(body: JSON, known: JSON) -> JSON:
    """``body`` with what a shop hides from apps without certain scopes, from the facts of the order as it was known.

    Without them an order that is known well would come back without its customer and its products. What stays hidden
    is a line that came since.
    """
    lines = {line["line_id"]: line for line in known.get("lines", [])}
    for line in body["line_items"]:
        was = lines.get(str(line["id"]), {})
        for name in ("product_id", "variant_id"):
            line[name] = line[name] or was.get(name)
    if not body["customer"] and known.get("customer_id"):
        body["customer"] = {"id": known["customer_id"]}
    new = any(str(line["id"]) not in lines for line in body["line_items"])
    body["hidden_by"] = [scope for scope in body.get("hidden_by", []) if scope == "read_products" and new]
    return body


def number(gid: str) -> int:
    """77 of ``gid://shopify/Order/77``; some ids carry a query behind the number."""
    return int(gid.rpartition("/")[2].partition("?")[0])


def lower(word: str | None) -> str | None:
    return word.lower() if word else None


def nodes(owner: JSON, part: str) -> list[JSON]:
    return _list((owner.get(part) or {}).get("nodes"))


def bag(value: JSON | None) -> JSON | None:
    """A money bag as a ``*_set``, with the sides that it has."""
    if value is None:
        return None
    sides = {"shop_money": _money(value.get("shopMoney")), "presentment_money": _money(value.get("presentmentMoney"))}
    return {name: side for name, side in sides.items() if side}


def _money(value: JSON | None) -> JSON | None:
    return None if value is None else {"amount": value["amount"], "currency_code": value["currencyCode"]}


def _list(value: Any) -> list[Any]:
    return value or []


def _attributes(owner: JSON) -> list[JSON]:
    return [{"name": each["key"], "value": each.get("value")} for each in _list(owner.get("customAttributes"))]


def _address(value: JSON | None) -> JSON | None:
    return value and {name: value.get(field) for field, name in _ADDRESS.items()}


def _customer(value: JSON | None) -> JSON | None:
    """Orders of guests have none. E-mail and phone stand in objects of their own."""
    return value and {
        "id": number(value["id"]),
        "first_name": value.get("firstName"),
        "last_name": value.get("lastName"),
        "email": (value.get("defaultEmailAddress") or {}).get("emailAddress"),
        "phone": (value.get("defaultPhoneNumber") or {}).get("phoneNumber"),
    }


def _line(line: JSON) -> JSON:
    return {
        "id": number(line["id"]),
        "product_id": _owner_id(line.get("product")),
        "variant_id": _owner_id(line.get("variant")),
        "name": line.get("name"),
        "title": line.get("title"),
        "variant_title": line.get("variantTitle"),
        "sku": line.get("sku"),
        "vendor": line.get("vendor"),
        "gift_card": line.get("isGiftCard"),
        "quantity": line.get("quantity"),
        "current_quantity": line.get("currentQuantity"),
        "price_set": bag(line.get("originalUnitPriceSet")),
        "total_discount_set": bag(line.get("totalDiscountSet")),
        "properties": _attributes(line),
        **_on_top(line),
        "duties": [
            {"id": each.get("id"), "price_set": bag(each.get("price")), "tax_lines": _taxes(each)}
            for each in _list(line.get("duties"))
        ],
    }


def _owner_id(value: JSON | None) -> int | None:
    return number(value["id"]) if value else None


def _taxes(owner: JSON) -> list[JSON]:
    return [
        {"title": each.get("title"), "rate": each.get("rate"), "price_set": bag(each.get("priceSet"))}
        for each in _list(owner.get("taxLines"))
    ]


def _on_top(line: JSON) -> JSON:
    """What comes on top of the price of a product or of shipping, and what goes off it."""
    discounts = _list(line.get("discountAllocations"))
    return {
        "tax_lines": _taxes(line),
        "discount_allocations": [{"amount_set": bag(each.get("allocatedAmountSet"))} for each in discounts],
    }


def _shipping_line(line: JSON) -> JSON:
    return {
        "id": number(line["id"]) if line.get("id") else None,
        "title": line.get("title"),
        "code": line.get("code"),
        "source": line.get("source"),
        "is_removed": line.get("isRemoved"),
        "price_set": bag(line.get("originalPriceSet")),
        "discounted_price_set": bag(line.get("discountedPriceSet")),
        **_on_top(line),
    }


def _fulfilment(parcel: JSON) -> JSON:
    tracking = _list(parcel.get("trackingInfo"))
    return {
        "id": number(parcel["id"]),
        "status": lower(parcel.get("status")),
        "created_at": parcel.get("createdAt"),
        "updated_at": parcel.get("updatedAt"),
        "tracking_company": next(_told(tracking, "company"), None),
        "tracking_numbers": list(_told(tracking, "number")),
        "tracking_urls": list(_told(tracking, "url")),
    }


def _told(tracking: list[JSON], field: str) -> Iterator[Any]:
    return (each[field] for each in tracking if each.get(field))


def _fulfilment_status(shown: str | None, fulfilments: list[JSON]) -> str | None:
    """What is shown of an order of which the rest is on hold, scheduled or under way hides what was sent already."""
    if shown in _FULFILLED:
        return _FULFILLED[shown]
    return "partial" if any(each["status"] == "success" for each in fulfilments) else None


def _refund(refund: JSON, order_gid: str) -> JSON:
    return {
        "id": number(refund["id"]),
        "admin_graphql_api_id": refund["id"],
        "order_id": number(order_gid),
        "created_at": refund.get("createdAt"),
        "note": refund.get("note"),
        "refund_line_items": [_refund_line(each) for each in nodes(refund, "refundLineItems")],
        "refund_shipping_lines": [
            {
                "subtotal_amount_set": bag(each.get("subtotalAmountSet")),
                "tax_amount_set": bag(each.get("taxAmountSet")),
            }
            for each in nodes(refund, "refundShippingLines")
        ],
        "order_adjustments": [_adjustment(each) for each in nodes(refund, "orderAdjustments")],
        "transactions": [_transaction(each) for each in nodes(refund, "transactions")],
    }


def _refund_line(entry: JSON) -> JSON:
    return {
        "id": number(entry["id"]) if entry.get("id") else None,
        "line_item_id": number(entry["lineItem"]["id"]),
        "quantity": entry.get("quantity"),
        "restock_type": lower(entry.get("restockType")),
        "subtotal_set": bag(entry.get("subtotalSet")),
        "total_tax_set": bag(entry.get("totalTaxSet")),
    }


def _adjustment(each: JSON) -> JSON:
    """GraphQL names no kind: all reasons that there are tell of discrepancies, and refunded shipping has its own lines.

    Source: shopify.dev/docs/api/admin-graphql/latest/enums/OrderAdjustmentDiscrepancyReason
    """
    return {
        "id": number(each["id"]),
        "kind": "refund_discrepancy",
        "reason": lower(each.get("reason")),
        "amount_set": bag(each.get("amountSet")),
        "tax_amount_set": bag(each.get("taxAmountSet")),
    }


def _payment(each: JSON) -> JSON:
    """No webhook of an order tells these: they say when it was paid."""
    return {
        "kind": lower(each.get("kind")),
        "status": lower(each.get("status")),
        "processed_at": each.get("processedAt"),
    }


def _transaction(each: JSON) -> JSON:
    """The webhook's transactions are in the currency in which the money moved: the buyer's."""
    moved = each["amountSet"].get("presentmentMoney") or each["amountSet"]["shopMoney"]
    return {
        "id": number(each["id"]),
        "kind": lower(each.get("kind")),
        "status": lower(each.get("status")),
        "gateway": each.get("gateway"),
        "test": each.get("test"),
        "created_at": each.get("createdAt"),
        "amount": moved["amount"],
        "currency": moved["currencyCode"],
    }
