"""What eSputnik's fields mean.

Sources: docs.esputnik.com (add orders, generate events, adding contacts); esputnik.com/en/support
(how-send-events-resource-v1event).
"""

from __future__ import annotations

from app.providers.payload_fields import CustomFields, Table, money, number, several, text
from app.providers.payload_fields import group as _group

_PERSON: Table = {
    "externalCustomerId": text(
        "The customer's permanent id in your store. An order goes to the contact that has it. Left out for guests."
    ),
    "email": text("The customer's e-mail address."),
    "phone": text("The customer's phone number, digits only."),
}
_STATUS = "INITIALIZED, IN_PROGRESS, DELIVERED or CANCELLED. Each change of it starts the automation of that name."
_NAMES: Table = {
    "firstName": text("The customer's first name, at most 40 characters. It also fills the contact."),
    "lastName": text("The customer's last name, at most 40 characters. It also fills the contact."),
}
_ITEM: Table = {
    "items": several("What was bought."),
    "items.externalItemId": text(
        "The product's id. Must equal the id in your product feed, or recommendations do not find it.", required=True
    ),
    "items.name": text("The product's name."),
    "items.category": text("The product's category."),
    "items.quantity": number("How many were bought.", required=True),
    "items.cost": money(
        "The price of one, with tax, after discounts, so that the items and the shipping make the total.",
        times="quantity",
    ),
    "items.url": text("The address of the product's page."),
    "items.imageUrl": text("The address of the product's picture."),
    "items.description": text("A few words about the product."),
}
_ORDER: Table = {
    "externalOrderId": text("The order's id in your store. A later call with the same id updates it.", required=True),
    "totalCost": money("What the customer paid in all, less what was given back.", required=True),
    "status": text(_STATUS, required=True),
    "statusDescription": text("A few words about the status."),
    "date": text("When the order was placed. Stays the same in every update.", required=True),
    "currency": text("The currency of the amounts, such as EUR.", required=True),
    **_PERSON,
    **_NAMES,
    "discount": money("The discounts of the order together, without a sign."),
    "shipping": money("The shipping with its tax."),
    "taxes": money("The tax of the whole order."),
    "deliveryMethod": text("How it is delivered, as a word for people."),
    "paymentMethod": text("How the customer paid, as a word for people."),
    "deliveryAddress": text("Where it is delivered, in one line."),
    "restoreUrl": text("The address under which the customer finds the cart or order again."),
    "storeId": text("Which of your shops it was, in accounts with several."),
    "source": text("Where it was sold: online or offline."),
    **_ITEM,
}

ORDERS: Table = {
    **_ORDER,
    "additionalInfo": _group("Fields of your own for the order."),
    "additionalInfo.orderNumber": text("The number on the receipt."),
    "additionalInfo.recycleStateId": text("The cart that the order grew out of, as the cart's events named it."),
}
CONTACT: Table = {
    "channels": several("How the person can be reached.", required=True),
    "channels.type": text("The kind of the address: email or sms.", required=True),
    "channels.value": text("The address or phone number.", required=True),
    **_NAMES,
    "externalCustomerId": text("The customer's permanent id in your store."),
    "languageCode": text("The customer's language, such as nl."),
    "timeZone": text("The customer's time zone."),
    "address": _group("The customer's address."),
    "address.region": text("The state or province."),
    "address.town": text("The city."),
    "address.address": text("Street and number."),
    "address.postcode": text("The postcode."),
    "fields": several("Your own fields of contacts."),
    "fields.id": number("The field's number in eSputnik."),
    "fields.value": text("The field's value."),
    "groups": several("The groups that the contact joins."),
}
_EVENT: Table = {
    "eventTypeKey": text("The event's name at eSputnik. Automations look for it.", required=True),
    "keyValue": text("What names the person. Left out: the e-mail address, else the phone number, else the id."),
    "params": _group("What is known of the event.", required=True),
}
ORDER_EVENT: Table = {
    **_EVENT,
    **{f"params.{name}": field for name, field in _ORDER.items()},
    "params.orderNumber": text("The number on the receipt."),
}
CART: Table = {
    **_EVENT,
    **{f"params.{name}": field for name, field in _PERSON.items()},
    "params.currencyCode": text("The currency of the prices. Left out: that of the account."),
    "params.recycleStateId": text(
        "Tells this state of the cart from all others, and the same event from itself.", required=True
    ),
    "params.products": several("The whole cart. An empty list where it was emptied.", required=True),
    "params.products.productId": text("The product's id. Must equal the id in your product feed.", required=True),
    "params.products.quantity": number("How many of it, a whole number.", required=True),
    "params.products.price": money("The price of one.", required=True, times="quantity"),
    "params.products.name": text("The product's name."),
    "params.products.category": text("The product's category."),
    "params.products.discount": money("The discount on one.", times="quantity"),
}

ORDERS_CUSTOM = (CustomFields(under="additionalInfo", help="A field of your own for the order."),)
EVENT_CUSTOM = (
    CustomFields(
        under="params", help="A parameter of your own. Its name has at most 100 characters and no punctuation."
    ),
)
