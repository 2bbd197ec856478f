"""What Gameball's fields mean. Source: docs.gameball.co (API reference v4.0; order calculation examples; refunds)."""

from __future__ import annotations

from app.providers.payload_fields import CustomFields, Table, flag, group, money, number, several, text

_CUSTOMER: Table = {
    "customerId": text(
        "The customer's permanent id. Whoever has it gets the points; another one is another person.", required=True
    ),
    "email": text("The customer's e-mail address. Accounts that merge channels may find the person by it."),
    "mobile": text("The customer's phone number in international writing. Accounts may find the person by it."),
}
_MERCHANT: Table = {
    "merchant": group("Which of your shops it was, in accounts with several branches."),
    "merchant.uniqueId": text("The shop's id at Gameball."),
    "merchant.name": text("The shop's name."),
    "merchant.branch": group("The branch. A shop is not taken without one."),
    "merchant.branch.uniqueId": text("The branch's id at Gameball."),
    "merchant.branch.name": text("The branch's name."),
}
_LINE: Table = {
    "lineItems.productId": text("The product's id. A refund finds its product by the same one."),
    "lineItems.quantity": number("How many were bought."),
    "lineItems.price": money("The price of one, before tax and before discount.", times="quantity"),
    "lineItems.taxes": money("The tax of the whole line."),
    "lineItems.discount": money("The discount of the whole line, without a sign."),
    "lineItems.sku": text("The product's SKU."),
    "lineItems.title": text("The product's name."),
    "lineItems.vendor": text("The product's brand. Campaigns can ask for it."),
    "lineItems.category": several("The product's categories. Campaigns can ask for them."),
    "lineItems.tags": several("The product's tags. Campaigns can ask for them."),
    "lineItems.collection": several("The ids of the product's collections. Campaigns can ask for them."),
    "lineItems.weight": number("The product's weight."),
    "lineItems.extra": group("Fields of your own for the line: texts and numbers."),
}

ORDER: Table = {
    **_CUSTOMER,
    "orderId": text(
        "The order's id. Its refunds are found by it, and a second order of this id is refused.", required=True
    ),
    "orderDate": text("When the order was placed, in UTC.", required=True),
    "totalPaid": money(
        "What the customer paid in all: tax and shipping included, discounts taken off. Points are counted from it.",
        required=True,
    ),
    "totalPrice": money("What the order was worth before discounts, shipping included."),
    "totalDiscount": money("All discounts of the order together, without a sign."),
    "totalShipping": money("The shipping with its tax. Needed where shipping earns no points."),
    "totalTax": money("The tax of all lines, without that of the shipping. Needed where tax earns no points."),
    "guest": flag("Whether the customer has no account in your store."),
    "channel": text("Where it was sold: web, pos, mobile or callcenter."),
    "cartId": text("The cart's id, the same as in the cart's events, so that both are one story."),
    "lineItems": several("What was bought. Without it rules for products and collections cannot apply."),
    **_LINE,
    "redemption": group("Points and coupons that were used, as Gameball itself named them."),
    "redemption.pointsHoldReference": text("The reference that Gameball gave when it held the points."),
    "redemption.couponsLockReference": text("The reference that Gameball gave when it locked the coupons."),
    "redemption.couponCodes": several("Coupons that Gameball locked before. Your store's own codes are refused here."),
    **_MERCHANT,
    "extra": group("Fields of your own for the order: texts and numbers."),
    "extra.paymentMethod": text("How the customer paid, as a word for people."),
    "extra.orderNumber": text("The number on the receipt."),
    "extra.discountCodes": text("The discount codes that were used, with commas between them."),
    "cashbackConfigurations": group("How the points of this order are handled."),
    "cashbackConfigurations.returnWindow": number("For how many days the points stay pending, at most 7300."),
}
REFUND: Table = {
    **_CUSTOMER,
    "refundTransactionId": text(
        "Tells this refund from all others. The same one a second time is refused.", required=True
    ),
    "reverseTransactionId": text("The id that the order was reported by.", required=True),
    "transactionTime": text("When the money was given back, in UTC.", required=True),
    "refundAmount": money("What was given back. All that was paid takes back the whole order.", required=True),
    "lineItems": several("What was given back. Without it points of campaigns might stay."),
    **_LINE,
    **_MERCHANT,
}
EVENT: Table = {
    **_CUSTOMER,
    "event": text("The event's name at Gameball. Automations look for it.", required=True),
    "metadata": group("What is known of the event.", required=True),
    "metadata.cart_id": text("The cart's id, the same as in its order."),
    "metadata.cart_total": money("What the cart is worth."),
    "metadata.currency": text("The currency of the amounts, such as EUR."),
    "metadata.total_items": number("How many pieces are in the cart."),
    "metadata.unique_items": number("How many different products are in the cart."),
    "metadata.product_id": several("The ids of the products."),
    "metadata.collection_id": several("The ids of the products' collections."),
    "metadata.title": several("The names of the products."),
    "metadata.vendor": several("The brands of the products."),
    "metadata.total_price": money("What the cart is worth, under the name of the ready-made automation."),
    "metadata.total_discount": money("The cart's discounts together."),
    "metadata.last_updated_at": text("When the cart was changed last, in UTC."),
    "metadata.cart_items": several("The products one by one. Gameball shows such lists in one page only; an option."),
    "metadata.cart_items.product_id": text("The product's id."),
    "metadata.cart_items.title": text("The product's name."),
    "metadata.cart_items.quantity": number("How many of it are in the cart."),
    "metadata.cart_items.price": money("The price of one.", times="quantity"),
}

_VALUES = "Texts and numbers only."
ORDER_CUSTOM = (
    CustomFields(under="extra", help=f"A field of your own for the order, for campaigns and reports. {_VALUES}"),
    CustomFields(under="lineItems.extra", help=f"A field of your own for each line. {_VALUES}"),
)
EVENT_CUSTOM = (CustomFields(under="metadata", help=f"A field of your own of the event. {_VALUES}"),)
