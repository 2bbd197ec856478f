"""The questions that bring orders by GraphQL: text only.

Field names are those of the Admin API 2026-10 (shopify.dev/docs/api/admin-graphql/latest/objects/Order, LineItem,
Refund, ShippingLine, Fulfillment). A question costs points by what it could bring, not by what it brings
(shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits): every object one, and so every side of every amount. So
the buyer's side is asked for only where it is read, the first page of everything inside of an order is short, and what
is longer is asked for by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

LINES = 8  #: of an order that come along with it; few have more
PARTS = 3  #: shipping lines of an order, and of each kind of part of a refund
PAYMENTS = 5  #: payments and tries of an order; the one that made it paid is seldom behind them
REST = 40  #: a page of what is asked for by itself

_PAGE = "pageInfo { hasNextPage endCursor }"
_AMOUNT = "{ amount currencyCode }"
_BAG = f"{{ shopMoney {_AMOUNT} }}"
_BOTH = f"{{ shopMoney {_AMOUNT} presentmentMoney {_AMOUNT} }}"
_TAXES = f"taxLines {{ title rate priceSet {_BAG} }}"
_DISCOUNTS = f"discountAllocations {{ allocatedAmountSet {_BAG} }}"
_ADDRESS = (
    "{ firstName lastName name company address1 address2 city zip province provinceCode country countryCodeV2 phone }"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the app's scopes let it see beyond orders."""

    customer: bool = True  #: read_customers
    products: bool = True  #: read_products: the ids of products and variants

    @property
    def wanting(self) -> tuple[str, ...]:
        """The scopes that hide a part of every order."""
        has = {"read_customers": self.customer, "read_products": self.products}
        return tuple([scope for scope, granted in has.items() if not granted])


def line_fields(allowed: Allowed) -> str:
    products = "product { id } variant { id }" if allowed.products else ""
    return (
        f"id name title variantTitle sku vendor quantity currentQuantity isGiftCard {products}"
        f" originalUnitPriceSet {_BAG} totalDiscountSet {_BAG} customAttributes {{ key value }}"
        f" {_TAXES} {_DISCOUNTS} duties {{ id price {_BAG} {_TAXES} }}"
    )


_SHIPPING_LINE = (
    f"id title code source isRemoved originalPriceSet {_BAG} discountedPriceSet {_BAG} {_TAXES} {_DISCOUNTS}"
)
_FULFILMENT = "id status createdAt updatedAt trackingInfo { company number url }"

#: The parts of a refund that come in pages, and what is asked of each.
REFUND_PARTS = {
    "refundLineItems": f"id quantity restockType lineItem {{ id }} subtotalSet {_BAG} totalTaxSet {_BAG}",
    "refundShippingLines": f"id subtotalAmountSet {_BAG} taxAmountSet {_BAG}",
    "orderAdjustments": f"id reason amountSet {_BAG} taxAmountSet {_BAG}",
    "transactions": f"id kind status gateway test createdAt amountSet {_BOTH}",
}
_REFUND = "id createdAt note " + " ".join(
    f"{name}(first: {PARTS}) {{ nodes {{ {fields} }} {_PAGE} }}" for name, fields in REFUND_PARTS.items()
)

_CUSTOMER = "customer { id firstName lastName defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } }"
_ORDER = (
    "id legacyResourceId name number cartToken checkoutToken createdAt processedAt updatedAt closedAt cancelledAt"
    " cancelReason displayFinancialStatus displayFulfillmentStatus test sourceName tags note customerLocale"
    " customerAcceptsMarketing currencyCode presentmentCurrencyCode taxesIncluded dutiesIncluded paymentGatewayNames"
    " discountCodes customAttributes { key value }"
    f" email phone billingAddress {_ADDRESS} shippingAddress {_ADDRESS}"
    f" totalPriceSet {_BOTH} currentTotalPriceSet {_BAG} totalTaxSet {_BAG} totalDiscountsSet {_BAG}"
    f" totalTipReceivedSet {_BAG} originalTotalDutiesSet {_BAG} currentTotalDutiesSet {_BAG}"
    f" originalTotalAdditionalFeesSet {_BAG} currentTotalAdditionalFeesSet {_BAG}"
    f" shippingLines(first: {PARTS}) {{ nodes {{ {_SHIPPING_LINE} }} {_PAGE} }}"
    f" fulfillments {{ {_FULFILMENT} }} refunds {{ {_REFUND} }}"
    f" transactions(first: {PAYMENTS}) {{ kind status processedAt }}"
)


def order_fields(allowed: Allowed) -> str:
    customer = _CUSTOMER if allowed.customer else ""
    return f"{_ORDER} {customer} lineItems(first: {LINES}) {{ nodes {{ {line_fields(allowed)} }} {_PAGE} }}"


def orders_query(allowed: Allowed) -> str:
    """One page of orders, in the order of their update times. Variables: first, after, query."""
    return (
        "query Orders($first: Int!, $after: String, $query: String!) {"
        " orders(first: $first, after: $after, sortKey: UPDATED_AT, query: $query) {"
        f" nodes {{ {order_fields(allowed)} }} {_PAGE} }} }}"
    )


def rest_query(owner: str, part: str, fields: str) -> str:
    """What of ``part`` did not come along with its ``owner`` ("order" or "refund"). Variables: id, after."""
    return (
        f"query Rest($id: ID!, $after: String) {{ {owner}(id: $id) {{"
        f" {part}(first: {REST}, after: $after) {{ nodes {{ {fields} }} {_PAGE} }} }} }}"
    )


def order_parts(allowed: Allowed) -> dict[str, str]:
    """The parts of an order that come in pages, and what is asked of each."""
    return {"lineItems": line_fields(allowed), "shippingLines": _SHIPPING_LINE}
