"""An order as the Admin API's GraphQL shows it, made from the REST resource that the webhooks carry.

Both tell the same order, so that one can be compared with the other. GraphQL differs in its names, in UTC times, in
values in capitals, and in amounts without superfluous zeros ("745.0").
Source: shopify.dev/docs/api/admin-graphql (Order, LineItem, Refund, MoneyBag).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from app.simulators.shopify_refunds import Refunds
from app.simulators.shopify_state import JSON
from app.simulators.shopify_state import Order as Placed
from app.simulators.shopify_words import bag, decimal_text, moment, total, upper, utc

APPLICATIONS = {
    "discount_code": "DiscountCodeApplication",
    "automatic": "AutomaticDiscountApplication",
    "manual": "ManualDiscountApplication",
    "script": "ScriptDiscountApplication",
}
FULFILLED = {None: "UNFULFILLED", "partial": "PARTIALLY_FULFILLED"}


class OrderView:
    """One order's GraphQL form."""

    def __init__(self, placed: Placed) -> None:
        self.body = placed.body
        self.story = placed.story
        self.like: JSON = self.body["total_price_set"]
        self.applications = [self._application(place, each) for place, each in enumerate(self._listed("applications"))]
        self.lines = {each["id"]: self._line(each) for each in self.body["line_items"]}
        self.shipping = [self._shipping(each) for each in self.body["shipping_lines"]]
        self.refunds = Refunds(placed, self.lines, next(iter(self.shipping), None))

    def _listed(self, what: str) -> list[JSON]:
        listed: list[JSON] = self.body.get(f"discount_{what}") or []
        return listed

    def show(self) -> JSON:
        return self._facts() | self._states() | self._money() | self._persons() | self._parts()

    def sum(self, *parts: tuple[JSON, Decimal | int]) -> JSON | None:
        return bag(total(parts, self.like))

    def shop_amount(self, amount: Any) -> JSON | None:
        """A scalar amount in the shop's currency, as a bag: by the order's own exchange rate where there are two."""
        shop, other = (Decimal(str(self.like[side]["amount"])) for side in ("shop_money", "presentment_money"))
        rate = other / shop if shop else Decimal(1)
        theirs = (Decimal(str(amount)) * rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
        sides = {"shop_money": str(amount), "presentment_money": str(theirs)}
        return bag({side: self.like[side] | {"amount": text} for side, text in sides.items()})

    # The order itself

    def _facts(self) -> JSON:
        body = self.body
        return {
            "id": body["admin_graphql_api_id"],
            "legacyResourceId": str(body["id"]),
            "name": body["name"],
            "number": body["order_number"],
            "confirmationNumber": body["confirmation_number"],
            "confirmed": body["confirmed"],
            "test": body["test"],
            "note": body["note"],
            "tags": [each for each in body["tags"].split(", ") if each],
            "customAttributes": [{"key": each["name"], "value": each["value"]} for each in body["note_attributes"]],
            "currencyCode": body["currency"],
            "presentmentCurrencyCode": body["presentment_currency"],
            "taxesIncluded": body["taxes_included"],
            "taxExempt": body["tax_exempt"],
            "dutiesIncluded": body["duties_included"],
            "estimatedTaxes": body["estimated_taxes"],
            "paymentGatewayNames": body["payment_gateway_names"],
            "poNumber": body["po_number"],
            "sourceName": body["source_name"],
            "sourceIdentifier": body["source_identifier"],
            "customerLocale": body["customer_locale"],
            "clientIp": body["browser_ip"],
            "statusPageUrl": body["order_status_url"],
            "customerAcceptsMarketing": body["buyer_accepts_marketing"],
            "discountCodes": [each["code"] for each in body["discount_codes"]],
            "discountCode": next((each["code"] for each in body["discount_codes"]), None),
            "totalWeight": str(body["total_weight"]),
            "app": {"id": f"gid://shopify/App/{body['app_id']}", "name": body["source_name"]},
            "cartToken": body["cart_token"],
            "checkoutToken": body["checkout_token"],
        }

    def _states(self) -> JSON:
        body = self.body
        financial, fulfilment = body["financial_status"], body["fulfillment_status"]
        return {
            "createdAt": utc(body["created_at"]),
            "updatedAt": utc(body["updated_at"]),
            "processedAt": utc(body["processed_at"]),
            "cancelledAt": utc(body["cancelled_at"]),
            "cancelReason": upper(body["cancel_reason"]),
            "closedAt": utc(body["closed_at"]),
            "closed": body["closed_at"] is not None,
            "displayFinancialStatus": upper(financial),
            "displayFulfillmentStatus": FULFILLED.get(fulfilment) or upper(fulfilment),
            "fullyPaid": financial in ("paid", "partially_refunded", "refunded"),
            "unpaid": financial in ("pending", "authorized", "voided"),
            "edited": False,
        }

    def _money(self) -> JSON:
        body = self.body
        refunded = [(self.refunds.amount(each), 1) for each in body["refunds"]]
        shipping_back = [(part, 1) for each in body["refunds"] for part in self.refunds.shipping(each)]
        paid = (self.like, int(self._states()["fullyPaid"]))
        shipping = (body["total_shipping_price_set"], 1)
        sets = {
            name: bag(body.get(f"{key}_set"))
            for name, key in (
                ("totalPriceSet", "total_price"),
                ("originalTotalPriceSet", "total_price"),
                ("currentTotalPriceSet", "current_total_price"),
                ("subtotalPriceSet", "subtotal_price"),
                ("currentSubtotalPriceSet", "current_subtotal_price"),
                ("totalShippingPriceSet", "total_shipping_price"),
                ("totalTaxSet", "total_tax"),
                ("currentTotalTaxSet", "current_total_tax"),
                ("totalDiscountsSet", "total_discounts"),
                ("currentTotalDiscountsSet", "current_total_discounts"),
                ("currentTotalDutiesSet", "current_total_duties"),
                ("originalTotalDutiesSet", "original_total_duties"),
                ("currentTotalAdditionalFeesSet", "current_total_additional_fees"),
                ("originalTotalAdditionalFeesSet", "original_total_additional_fees"),
            )
        }
        return sets | {
            "currentShippingPriceSet": self.sum(shipping, *((part, -1) for part, _ in shipping_back)),
            "totalTipReceivedSet": self.shop_amount(body["total_tip_received"]),
            "totalOutstandingSet": self.shop_amount(body["total_outstanding"]),
            "totalRefundedSet": self.sum(*refunded),
            "totalRefundedShippingSet": self.sum(*shipping_back),
            "totalReceivedSet": self.sum(paid),
            "netPaymentSet": self.sum(paid, *((part, -1) for part, _ in refunded)),
            "cartDiscountAmountSet": bag(body["total_discounts_set"]),
            "taxLines": [self._tax(each) for each in body["tax_lines"]],
            "currentTaxLines": [self._tax(each) for each in body["tax_lines"]],
        }

    def _persons(self) -> JSON:
        body = self.body
        billing, shipping = (self._address(body[f"{kind}_address"], kind) for kind in ("billing", "shipping"))
        return {
            "email": body["email"] or None,
            "phone": body["phone"],
            "customer": self._customer(body["customer"]),
            "billingAddress": billing,
            "shippingAddress": shipping,
            "displayAddress": shipping or billing,
            "billingAddressMatchesShippingAddress": billing == shipping,
        }

    def _customer(self, given: JSON | None) -> JSON | None:
        if given is None:
            return None
        consent = given.get("email_marketing_consent") or {}
        email, phone = given["email"], given["phone"]
        subscribed = upper(consent.get("state"))
        return {
            "id": given["admin_graphql_api_id"],
            "legacyResourceId": str(given["id"]),
            "firstName": given["first_name"],
            "lastName": given["last_name"],
            "displayName": f"{given['first_name'] or ''} {given['last_name'] or ''}".strip(),
            "email": email,
            "phone": phone,
            "defaultEmailAddress": email and {"emailAddress": email, "marketingState": subscribed},
            "defaultPhoneNumber": phone and {"phoneNumber": phone, "marketingState": "NOT_SUBSCRIBED"},
            "locale": self.body["customer_locale"],
            "tags": [],
            "state": upper(given["state"]),
            "verifiedEmail": given["verified_email"],
            "taxExempt": given["tax_exempt"],
            "note": given["note"],
            "createdAt": utc(given["created_at"]),
            "updatedAt": utc(given["updated_at"]),
            "defaultAddress": self._address(given["default_address"], "default"),
        }

    def _address(self, given: JSON | None, kind: str) -> JSON | None:
        if given is None:
            return None
        same = ("company", "address1", "address2", "city", "zip", "province", "country", "phone", "name")
        return {name: given[name] for name in same} | {
            "id": f"gid://shopify/MailingAddress/{self.body['id']}?model_name=Address&kind={kind}",
            "firstName": given["first_name"],
            "lastName": given["last_name"],
            "provinceCode": given["province_code"],
            "countryCodeV2": given["country_code"],
            "latitude": given.get("latitude"),
            "longitude": given.get("longitude"),
        }

    # Its parts

    def _parts(self) -> JSON:
        return {
            "discountApplications": self.applications,
            "lineItems": list(self.lines.values()),
            "shippingLine": next(iter(self.shipping), None),
            "shippingLines": self.shipping,
            "refunds": [self.refunds.show(each) for each in self.body["refunds"]],
            "fulfillments": [self._fulfillment(each) for each in self.body["fulfillments"]],
            "transactions": self._transactions(),
        }

    def _application(self, place: int, given: JSON) -> JSON:
        if given["value_type"] == "percentage":
            value: JSON = {"__typename": "PricingPercentageValue", "percentage": float(given["value"])}
        else:
            currency = self.body["currency"]
            value = {"__typename": "MoneyV2", "amount": decimal_text(given["value"]), "currencyCode": currency}
        return {
            "__typename": APPLICATIONS[given["type"]],
            "index": place,
            "allocationMethod": upper(given["allocation_method"]),
            "targetSelection": upper(given["target_selection"]),
            "targetType": upper(given["target_type"]),
            "value": value,
            "code": given.get("code"),
            "title": given.get("title"),
            "description": given.get("description"),
        }

    def _allocations(self, given: JSON) -> list[JSON]:
        return [
            {
                "allocatedAmountSet": bag(each["amount_set"]),
                "discountApplication": self.applications[each["discount_application_index"]],
            }
            for each in given.get("discount_allocations", [])
        ]

    def _tax(self, given: JSON) -> JSON:
        return {
            "title": given["title"],
            "rate": given["rate"],
            "ratePercentage": given["rate"] * 100,
            "source": None,
            "channelLiable": given["channel_liable"],
            "priceSet": bag(given["price_set"]),
        }

    def _line(self, given: JSON) -> JSON:
        price, count = given["price_set"], given["quantity"]
        every = [(each["amount_set"], -1) for each in given["discount_allocations"]]
        own = [
            (each["amount_set"], -1)
            for each in given["discount_allocations"]
            if self.applications[each["discount_application_index"]]["allocationMethod"] != "ACROSS"
        ]
        each_one = [(amount, Decimal(-1) / count) for amount, _ in own]
        after_all = [(amount, Decimal(-1) / count) for amount, _ in every]
        return {
            "id": given["admin_graphql_api_id"],
            **{name: given[name] for name in ("name", "title", "vendor", "sku", "quantity", "taxable")},
            "variantTitle": given["variant_title"],
            "currentQuantity": given["current_quantity"],
            "refundableQuantity": given["current_quantity"],
            "unfulfilledQuantity": given["fulfillable_quantity"],
            "nonFulfillableQuantity": count - given["current_quantity"],
            "requiresShipping": given["requires_shipping"],
            "isGiftCard": given["gift_card"],
            "restockable": given["product_exists"],
            "merchantEditable": True,
            "customAttributes": [{"key": each["name"], "value": each["value"]} for each in given["properties"]],
            "discountAllocations": self._allocations(given),
            "taxLines": [self._tax(each) for each in given["tax_lines"]],
            "duties": [],
            "originalUnitPriceSet": bag(price),
            "originalTotalSet": self.sum((price, count)),
            "discountedTotalSet": self.sum((price, count), *own),
            "discountedUnitPriceSet": self.sum((price, 1), *each_one),
            "discountedUnitPriceAfterAllDiscountsSet": self.sum((price, 1), *after_all),
            "totalDiscountSet": self.sum(*((amount, 1) for amount, _ in own)),
            **self._goods(given),
        }

    def _goods(self, given: JSON) -> JSON:
        """The product and variant that a line was made from: neither for custom items."""
        if given["product_id"] is None:
            return {"product": None, "variant": None}
        product = self._goods_of("Product", given["product_id"]) | {
            "title": given["title"],
            "vendor": given["vendor"] or "",
        }
        variant = given["variant_id"] and self._goods_of("ProductVariant", given["variant_id"]) | {
            "title": given["variant_title"] or "Default Title",
            "sku": given["sku"],
            "product": product,
        }
        return {"product": product, "variant": variant}

    def _goods_of(self, kind: str, number: int) -> JSON:
        return {"id": f"gid://shopify/{kind}/{number}", "legacyResourceId": str(number)}

    def _shipping(self, given: JSON) -> JSON:
        return {
            "id": f"gid://shopify/ShippingLine/{given['id']}",
            "title": given["title"],
            "code": given["code"],
            "source": given["source"],
            "custom": False,
            "isRemoved": given["is_removed"],
            "carrierIdentifier": given["carrier_identifier"],
            "deliveryCategory": None,
            "phone": given["phone"],
            "originalPriceSet": bag(given["price_set"]),
            "discountedPriceSet": bag(given["discounted_price_set"]),
            "currentDiscountedPriceSet": bag(given["discounted_price_set"]),
            "discountAllocations": self._allocations(given),
            "taxLines": [self._tax(each) for each in given["tax_lines"]],
        }

    def _transactions(self) -> list[JSON]:
        """The sale, where it was paid, and what the refunds moved."""
        body = self.body
        back = [self.refunds.transaction(each, refund) for refund in body["refunds"] for each in refund["transactions"]]
        if not self._states()["fullyPaid"]:
            return back
        paid_at = moment(next(step.at for step in self.story.steps if step.pays))
        sale = {
            "id": f"gid://shopify/OrderTransaction/{body['id'] + 4_000_000_000}",
            "kind": "SALE",
            "status": "SUCCESS",
            "gateway": body["payment_gateway_names"][0],
            "test": body["test"],
            "amountSet": bag(self.like),
            "createdAt": paid_at,
            "processedAt": paid_at,
            "errorCode": None,
            "manualPaymentGateway": False,
            "paymentId": f"{body['name']}.1",
            "parentTransaction": None,
        }
        return [sale, *back]

    def _fulfillment(self, given: JSON) -> JSON:
        moved = [
            {"id": f"{given['admin_graphql_api_id']}?line={n}", "lineItem": line, "quantity": line["quantity"]}
            for n, line in enumerate(self.lines.values())
        ]
        return {
            "id": given["admin_graphql_api_id"],
            "legacyResourceId": str(given["id"]),
            "name": given["name"],
            "status": upper(given["status"]),
            "displayStatus": "FULFILLED",
            "createdAt": utc(given["created_at"]),
            "updatedAt": utc(given["updated_at"]),
            "deliveredAt": None,
            "inTransitAt": None,
            "totalQuantity": sum(line["quantity"] for line in self.lines.values()),
            "trackingInfo": [
                {"company": given["tracking_company"], "number": number, "url": url}
                for number, url in zip(given["tracking_numbers"], given["tracking_urls"], strict=True)
            ],
            "fulfillmentLineItems": moved,
        }
