"""Refunds as the Admin API's GraphQL shows them, made from the REST resource.

Source: shopify.dev/docs/api/admin-graphql (Refund, RefundLineItem, RefundShippingLine, OrderAdjustment).
"""

from __future__ import annotations

from decimal import Decimal

from app.simulators.shopify_state import JSON, Order
from app.simulators.shopify_words import bag, total, upper, utc


class Refunds:
    """The refunds of one order.

    Args:
        lines: the order's lines in their GraphQL form, by id.
    """

    def __init__(self, placed: Order, lines: dict[int, JSON], shipping_line: JSON | None) -> None:
        self.body = placed.body
        self.story = placed.story
        self.like: JSON = self.body["total_price_set"]
        self.lines = lines
        self.shipping_line = shipping_line

    def amount(self, refund: JSON) -> JSON:
        """The money of a refund, as a ``*_set``."""
        told = {each.id: each.amount for each in self.story.states[-1].refunds}
        theirs = sum((Decimal(each["amount"]) for each in refund["transactions"]), Decimal(0))
        ours = theirs
        if self.body["presentment_currency"] != self.body["currency"]:
            ours = Decimal(told.get(refund["id"], 0)).scaleb(-self.story.zone.decimals)
        amounts = {"shop_money": ours, "presentment_money": theirs}
        return {side: self.like[side] | {"amount": str(amount)} for side, amount in amounts.items()}

    def shipping(self, refund: JSON) -> list[JSON]:
        """What came back of the shipping, as a ``*_set`` each."""
        return [subtotal for _, subtotal, _ in self._shipping_parts(refund)]

    def _shipping_parts(self, refund: JSON) -> list[tuple[int, JSON, JSON]]:
        """Id, subtotal and tax; older REST bodies have the adjustment alone, whose amounts are negative and net."""
        listed = [
            (each["id"], each["subtotal_amount_set"], each["tax_amount_set"])
            for each in refund["refund_shipping_lines"]
        ]
        included = int(self.body["taxes_included"])
        adjusted = [
            (
                each["id"],
                total([(each["amount_set"], -1), (each["tax_amount_set"], -included)], self.like),
                total([(each["tax_amount_set"], -1)], self.like),
            )
            for each in refund["order_adjustments"]
            if each["kind"] == "shipping_refund"
        ]
        return listed or adjusted

    def show(self, given: JSON) -> JSON:
        return {
            "id": given["admin_graphql_api_id"],
            "legacyResourceId": str(given["id"]),
            "createdAt": utc(given["created_at"]),
            "updatedAt": utc(given["processed_at"]),
            "processedAt": utc(given["processed_at"]),
            "note": given["note"],
            "totalRefundedSet": bag(self.amount(given)),
            "refundLineItems": [self._refund_line(each) for each in given["refund_line_items"]],
            "refundShippingLines": [self._refund_shipping(*each) for each in self._shipping_parts(given)],
            "transactions": [self.transaction(each, given) for each in given["transactions"]],
            "orderAdjustments": [
                {
                    "id": f"gid://shopify/OrderAdjustment/{each['id']}",
                    "reason": "REFUND_DISCREPANCY",
                    "amountSet": bag(each["amount_set"]),
                    "taxAmountSet": bag(each["tax_amount_set"]),
                }
                for each in given["order_adjustments"]
                if each["kind"] == "refund_discrepancy"  # shipping is in refundShippingLines, and nowhere else
            ],
        }

    def _refund_line(self, given: JSON) -> JSON:
        return {
            "id": f"gid://shopify/RefundLineItem/{given['id']}",
            "lineItem": self.lines[given["line_item_id"]],
            "quantity": given["quantity"],
            "restockType": upper(given["restock_type"]),
            "restocked": given["restock_type"] != "no_restock",
            "priceSet": bag(given["line_item"]["price_set"]),
            "subtotalSet": bag(given["subtotal_set"]),
            "totalTaxSet": bag(given["total_tax_set"]),
        }

    def _refund_shipping(self, number: int, subtotal: JSON, tax: JSON) -> JSON:
        return {
            "id": f"gid://shopify/RefundShippingLine/{number}",
            "subtotalAmountSet": bag(subtotal),
            "taxAmountSet": bag(tax),
            "shippingLine": self.shipping_line,
        }

    def transaction(self, given: JSON, refund: JSON) -> JSON:
        return {
            "id": given["admin_graphql_api_id"],
            "kind": upper(given["kind"]),
            "status": upper(given["status"]),
            "gateway": given["gateway"],
            "test": given["test"],
            "amountSet": bag(self.amount(refund)),
            "createdAt": utc(given["created_at"]),
            "processedAt": utc(given["processed_at"]),
            "errorCode": upper(given["error_code"]),
            "manualPaymentGateway": given["manual_payment_gateway"],
            "paymentId": given["payment_id"],
            "parentTransaction": None,
        }
