"""What Sprii's fields mean. Source: docs.sprii.io/integration/order-tracking; see docs/providers/sprii.md."""

from __future__ import annotations

from app.providers.payload_fields import Table, flag, group, money, number, several, text

ORDER: Table = {
    "spriiOrderNumber": text(
        "The number that Sprii gave the purchase in the live show. Sprii finds its checkout by it.", required=True
    ),
    "id": text("The order's id in your store. It never changes, unlike the number on the receipt.", required=True),
    "orderTotal": money(
        "What the customer paid in all: tax and shipping included, discounts taken off.", required=True
    ),
    "openForCheckout": flag(
        "Keeps Sprii's checkout open for a further order. Sprii does not explain it; leave it out."
    ),
    "items": several("The products that were bought.", required=True),
    "items.product_id": text(
        "The product's id as Sprii imported it, usually the variant's. Another one frees no reservation.", required=True
    ),
    "items.sku": text("The product's SKU."),
    "items.quantity": number("How many were bought, a whole number.", required=True),
    "items.unitPrice": money("The price of one, with tax, before discounts on the whole order.", times="quantity"),
    "items.custom_attributes": group("What Sprii's player handed over with the product, handed back."),
}
