"""What the fields of Spotler Activate's events mean.

Sources: activate.spotler.help, "How do I create a back-end purchase event" and "What are profile, product and event
fields"; app.squeezely.tech/developer/api/docs (dates).
"""

from __future__ import annotations

from app.providers.payload_fields import CustomFields, Table, flag, money, number, several, text

_EVENT: Table = {
    "event": text("What happened, in Activate's word for it. Audiences and flows look for this word.", required=True),
    "email": text(
        "The customer's e-mail address, by which Activate finds the profile. It may be sent as its SHA-256 instead."
    ),
    "userid": text("The customer's id in your store. Left out for guests."),
    "timestamp": text("When it happened. Always with an offset, or Activate reads it as Central European Time."),
    "currency": text("The currency of the amounts, such as EUR."),
    "sqzly_cookie": text("The visitor's Activate cookie, which joins this event with the visit in the browser."),
}
_PROFILE: Table = {
    "firstname": text("The customer's first name. It overwrites the one in the profile."),
    "lastname": text("The customer's last name. It overwrites the one in the profile."),
    "gender": text("The customer's gender: M, F or U. It overwrites the one in the profile."),
    "birthdate": text("The customer's date of birth, such as 1990-12-31."),
    "phone": text("The customer's phone number in international writing."),
    "postcode": text("The postcode of the customer's address."),
    "city": text("The city of the customer's address."),
    "country": text("The country of the customer's address, as two letters."),
    "newsletter": text(
        "Whether the customer wants the newsletter: yes or no. It overwrites an earlier consent, so leave it out where "
        "it is not known."
    ),
    "service": text("Whether the customer may get service messages: yes or no."),
    "marketing": text("Whether the customer may get marketing messages: yes or no."),
    "mobile_advertiser_ID": text("The advertising id of the customer's phone."),
}


def _products(meaning: str) -> Table:
    return {
        "products": several(meaning, required=True),
        "products.id": text("The product. Must equal its SKU in Activate.", required=True),
        "products.name": text("The product's name."),
        "products.price": money("The price of one.", times="quantity"),
        "products.quantity": number("How many of it, a whole number.", required=True),
        "products.language": text("The language of the product in your feed, such as nl-NL."),
    }


_ORDER_ID = text(
    "The order's number. Activate joins the browser's purchase and this one where both are letter for letter the same.",
    required=True,
)

PURCHASE: Table = {
    **_EVENT,
    "orderid": _ORDER_ID,
    "totalvalue": money("What the order was worth. Without it Activate adds up the products, without shipping."),
    **_PROFILE,
    **_products("The products that were bought."),
}
CART: Table = {
    **_EVENT,
    "set_cart": flag("Says that the list is the whole cart, and not an addition to it."),
    **_PROFILE,
    **_products("What is in the cart. An empty list clears it."),
}
REFUND: Table = {
    **_EVENT,
    "orderid": _ORDER_ID,
    "custom_refund_value": money("What was given back. A field of your own: create it in Activate first."),
    **_PROFILE,
}
CUSTOM = (
    CustomFields(
        under="",
        prefix="custom_",
        help="A field of your own: create it in Activate first, then add it here under the same name.",
    ),
)
