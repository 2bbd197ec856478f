"""The classic app's mapping: plain dictionaries of Shopify's JSON, simple, and right for the orders of the benches.

It knows what those orders hold (prices without tax, one discount spread over the lines, one shipping line) and nothing
of refunds, carts, other currencies or options.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
Request = tuple[str, dict[str, str], Json]  #: path, headers, body


def _sprii(order: Json, keys: Mapping[str, str]) -> Request:
    number = next(each["value"] for each in order["note_attributes"] if each["name"] == "sprii_order_no")
    items = [
        {
            "product_id": str(line["variant_id"]),
            "sku": line["sku"],
            "quantity": line["quantity"],
            "unitPrice": round(float(line["price"]) * (1 + line["tax_lines"][0]["rate"]), 2),
        }
        for line in order["line_items"]
    ]
    payload = {
        "spriiOrderNumber": number,
        "id": str(order["id"]),
        "orderTotal": float(order["total_price"]),
        "items": items,
    }
    return "/processOrders", {"Authorization": f"Bearer {keys['api_key']}"}, {"orders": [payload]}


def _spotler(order: Json, keys: Mapping[str, str]) -> Request:
    person, address = order["customer"], order["shipping_address"]
    payload = {
        "event": "Purchase",
        "email": order["email"].lower(),
        "orderid": str(order["order_number"]),
        "timestamp": _time(order).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "userid": str(person["id"]),
        "firstname": person["first_name"],
        "lastname": person["last_name"],
        "postcode": address["zip"],
        "city": address["city"],
        "country": address["country_code"],
        "currency": order["currency"],
        "totalvalue": float(order["total_price"]),
        "products": [
            {
                "id": line["sku"],
                "name": line["name"],
                "price": _paid(line),
                "quantity": line["quantity"],
                "language": order["customer_locale"],
            }
            for line in order["line_items"]
        ],
    }
    return "/track", {"X-AUTH-ACCOUNT": keys["account_id"], "X-AUTH-APIKEY": keys["api_key"]}, payload


def _seeka(order: Json, keys: Mapping[str, str]) -> Request:
    person = order["customer"]
    products = [
        {
            "currencyCode": order["currency"],
            "productIdentifier": line["product_id"],
            "variantIdentifier": line["variant_id"],
            "sku": line["sku"],
            "productName": line["title"],
            "unitPrice": _paid(line),
            "quantity": line["quantity"],
        }
        for line in order["line_items"]
    ]
    commerce = {
        "orderIdentifier": str(order["id"]),
        "orderNumber": str(order["order_number"]),
        "customerIdentifier": str(person["id"]),
        "currencyCode": order["currency"],
        "totalPrice": float(order["total_price"]),
        "totalTax": float(order["total_tax"]),
        "totalShippingPrice": _shipping(order),
        "products": products,
    }
    event = {
        "id": {
            "email": [order["email"].lower()],
            "firstName": [person["first_name"]],
            "lastName": [person["last_name"]],
        },
        "payload": {
            "activityName": "Order",
            "activityId": f"order_{order['id']}",
            "time": _time(order).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "commerce": commerce,
        },
    }
    headers = {"X-OrgId": keys["organisation_id"], "X-Converge-Key": keys["public_key"]}
    headers |= {"X-Sdk-Client-Version": "1.0", "X-Sdk-Client-Type": "classic/server"}
    return "/ingest", headers, {"data": [{"ev": event}]}


def _gameball(order: Json, keys: Mapping[str, str]) -> Request:
    lines = [
        {
            "productId": str(line["product_id"]),
            "sku": line["sku"],
            "title": line["title"],
            "quantity": line["quantity"],
            "price": float(line["price"]),
            "taxes": _tax(line),
            "discount": _discount(line),
        }
        for line in order["line_items"]
    ]
    discount = sum(each["discount"] for each in lines)
    payload = {
        "customerId": str(order["customer"]["id"]),
        "email": order["email"].lower(),
        "orderId": str(order["id"]),
        "orderDate": _time(order).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "totalPaid": float(order["total_price"]),
        "totalPrice": round(float(order["total_price"]) + discount, 2),
        "totalDiscount": round(discount, 2),
        "totalShipping": _shipping(order),
        "totalTax": round(sum(each["taxes"] for each in lines), 2),
        "guest": False,
        "channel": "web",
        "lineItems": lines,
    }
    return "/api/v4.0/integrations/orders", {"APIKey": keys["api_key"], "SecretKey": keys["secret_key"]}, payload


def _esputnik(order: Json, keys: Mapping[str, str]) -> Request:
    person = order["customer"]
    payload = {
        "externalOrderId": str(order["id"]),
        "externalCustomerId": str(person["id"]),
        "totalCost": float(order["total_price"]),
        "status": "IN_PROGRESS",
        "date": _time(order).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "currency": order["currency"],
        "email": order["email"].lower(),
        "firstName": person["first_name"],
        "lastName": person["last_name"],
        "discount": float(order["total_discounts"]),
        "shipping": _shipping(order),
        "taxes": float(order["total_tax"]),
        "items": [
            {
                "externalItemId": str(line["variant_id"]),
                "name": line["title"],
                "quantity": line["quantity"],
                "cost": _paid(line),
            }
            for line in order["line_items"]
        ],
    }
    key = base64.b64encode(f"api:{keys['api_key']}".encode()).decode()
    kind = "application/json; charset=UTF-8"
    headers = {"Authorization": f"Basic {key}", "Content-Type": kind, "Accept": kind}
    return "/v1/orders", headers, {"orders": [payload]}


def _time(order: Json) -> datetime:
    return datetime.fromisoformat(order["created_at"]).astimezone(UTC)


def _discount(line: Json) -> float:
    return sum(float(each["amount"]) for each in line["discount_allocations"])


def _tax(line: Json) -> float:
    return sum(float(each["price"]) for each in line["tax_lines"])


def _paid(line: Json) -> float:
    """Of one piece, with tax and after discount."""
    return round((float(line["price"]) * line["quantity"] - _discount(line) + _tax(line)) / line["quantity"], 2)


def _shipping(order: Json) -> float:
    line = order["shipping_lines"][0]
    return round(float(line["price"]) + _tax(line) - _discount(line), 2)


PROVIDERS: dict[str, Callable[[Json, Mapping[str, str]], Request]] = {
    "sprii": _sprii,
    "spotler": _spotler,
    "seeka": _seeka,
    "gameball": _gameball,
    "esputnik": _esputnik,
}


def call(provider: str, order: Json, keys: Mapping[str, str]) -> Request:
    """What reports ``order`` to ``provider`` with that merchant's ``keys``."""
    return PROVIDERS[provider](order, keys)
