"""What the fields of Seeka's activities mean. Source: developers.seeka.co/http/usage/tracking-orders."""

from __future__ import annotations

from app.providers.payload_fields import Table, group, money, number, several, text

_WHO: Table = {
    "id": group("Who it was. At least one of Seeka's profile id, e-mail address and phone number.", required=True),
    "id.seekaPId": text("The visitor's Seeka profile, as Seeka's script in the browser knows it."),
    "id.email": several("The customer's e-mail address, as a list."),
    "id.phone": several("The customer's phone number in international writing, as a list."),
    "id.firstName": several("The customer's first name, as a list."),
    "id.lastName": several("The customer's last name, as a list."),
    "id.dob": several("The customer's date of birth, such as 1990-12-31, as a list."),
    "id.address": several("The customer's address, as a list."),
    "id.address.addressLine1": text("Street and number."),
    "id.address.addressLine2": text("The second line of the address."),
    "id.address.locality": text("The city."),
    "id.address.state": text("The state or province."),
    "id.address.stateCode": text("The state or province as its code."),
    "id.address.postcode": text("The postcode."),
    "id.address.country": text("The country's name."),
    "id.address.countryCode": text("The country as two letters."),
    "id.privacy": group("The consent that the customer gave in this very checkout."),
    "id.privacy.tcfConsentString": text(
        "The consent as an IAB TCF text. It replaces what Seeka has, so send it only where this checkout captured it."
    ),
}
_WHAT: Table = {
    "payload": group("What happened.", required=True),
    "payload.activityName": text("The activity's name at Seeka. A purchase is called Order.", required=True),
    "payload.activityId": text(
        "Tells this activity from all others. Must equal what the browser's tag sends, or a purchase counts twice.",
        required=True,
    ),
    "payload.time": text("When it happened, in UTC.", required=True),
    "payload.commerce": group("The order or cart.", required=True),
    "payload.commerce.cartIdentifier": text("The cart's id in your store."),
    "payload.commerce.checkoutIdentifier": text("The checkout's id in your store."),
    "payload.commerce.orderIdentifier": text("The order's id in your store."),
    "payload.commerce.orderNumber": text("The number on the receipt."),
    "payload.commerce.customerIdentifier": text("The customer's id in your store. Left out for guests."),
    "payload.commerce.paymentMethodName": text("How the customer paid, as a word for people."),
    "payload.commerce.currencyCode": text("The currency of the amounts, such as EUR.", required=True),
    "payload.commerce.totalPrice": money("What the customer paid in all, tax and shipping included.", required=True),
    "payload.commerce.totalTax": money("The tax in it."),
    "payload.commerce.totalShippingPrice": money("The shipping in it, with its tax."),
    "payload.commerce.products": several("The products."),
    "payload.commerce.products.currencyCode": text("The currency of the product's price."),
    "payload.commerce.products.productIdentifier": number("The product's id in your store."),
    "payload.commerce.products.variantIdentifier": number("The variant's id in your store."),
    "payload.commerce.products.sku": text("The product's SKU."),
    "payload.commerce.products.productName": text("The product's name."),
    "payload.commerce.products.variantName": text("The variant's name."),
    "payload.commerce.products.categoryName": text("The product's category."),
    "payload.commerce.products.brandName": text("The product's brand."),
    "payload.commerce.products.unitPrice": money("The price of one.", times="quantity"),
    "payload.commerce.products.quantity": number("How many of it, a whole number."),
}

ACTIVITY: Table = {**_WHO, **_WHAT}
