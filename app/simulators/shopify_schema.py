"""The part of the Admin API's GraphQL schema that the simulated Shopify answers: what is not here is refused.

Names and types follow shopify.dev/docs/api/admin-graphql (2026-10). Lists of possible values are given as text where
the API has an enum that grows.
"""

from __future__ import annotations

TOPICS = (
    *("app/uninstalled", "app/scopes_update"),
    *("carts/create", "carts/update", "checkouts/create", "checkouts/update", "checkouts/delete"),
    *("orders/create", "orders/updated", "orders/paid", "orders/cancelled", "orders/fulfilled", "orders/edited"),
    *("orders/partially_fulfilled", "orders/delete", "order_transactions/create", "refunds/create"),
    *("fulfillments/create", "fulfillments/update", "customers/create", "customers/update", "products/update"),
    "shop/update",
)
COMPLIANCE = ("customers/data_request", "customers/redact", "shop/redact")


def enum_name(topic: str) -> str:
    return topic.replace("/", "_").upper()


SDL = (
    """
scalar DateTime
scalar URL
scalar Decimal
scalar UnsignedInt64
scalar Money

enum WebhookSubscriptionTopic { TOPICS }
enum WebhookSubscriptionFormat { JSON XML }
enum OrderSortKeys { CREATED_AT ID ORDER_NUMBER PROCESSED_AT RELEVANCE TOTAL_PRICE UPDATED_AT }
enum WebhookSubscriptionSortKeys { CREATED_AT ID RELEVANCE }

type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type MoneyV2 { amount: Decimal! currencyCode: String! }
type MoneyBag { shopMoney: MoneyV2! presentmentMoney: MoneyV2! }
type Attribute { key: String! value: String }
type UserError { field: [String!] message: String! }
type AccessScope { handle: String! description: String! }
type ApiVersion { handle: String! displayName: String! supported: Boolean! }

type Domain { id: ID! url: URL! host: String! sslEnabled: Boolean! }
type ShopPlan { displayName: String! @deprecated(reason: "Use publicDisplayName") publicDisplayName: String!
  partnerDevelopment: Boolean! shopifyPlus: Boolean! }
type Shop { id: ID! name: String! email: String! contactEmail: String! myshopifyDomain: String! primaryDomain: Domain!
  url: URL! currencyCode: String! ianaTimezone: String! timezoneOffset: String! plan: ShopPlan! createdAt: DateTime!
  taxesIncluded: Boolean! }
type App { id: ID! title: String! handle: String apiKey: String! }
type AppInstallation { id: ID! accessScopes: [AccessScope!]! app: App! launchUrl: URL! }

type WebhookHttpEndpoint { callbackUrl: URL! }
type WebhookEventBridgeEndpoint { arn: String! }
type WebhookPubSubEndpoint { pubSubProject: String! pubSubTopic: String! }
union WebhookSubscriptionEndpoint = WebhookHttpEndpoint | WebhookEventBridgeEndpoint | WebhookPubSubEndpoint
type WebhookSubscription { id: ID! legacyResourceId: UnsignedInt64! topic: WebhookSubscriptionTopic! uri: String!
  endpoint: WebhookSubscriptionEndpoint! callbackUrl: URL! @deprecated(reason: "Use uri") filter: String
  format: WebhookSubscriptionFormat! includeFields: [String!]! metafieldNamespaces: [String!]! name: String
  apiVersion: ApiVersion! createdAt: DateTime! updatedAt: DateTime! }
type WebhookSubscriptionEdge { cursor: String! node: WebhookSubscription! }
type WebhookSubscriptionConnection { edges: [WebhookSubscriptionEdge!]! nodes: [WebhookSubscription!]!
  pageInfo: PageInfo! }
input WebhookSubscriptionMetafieldIdentifierInput { namespace: String! key: String! }
input WebhookSubscriptionInput { uri: String callbackUrl: URL format: WebhookSubscriptionFormat filter: String
  includeFields: [String!] metafieldNamespaces: [String!] metafields: [WebhookSubscriptionMetafieldIdentifierInput!]
  name: String }
type WebhookSubscriptionCreatePayload { webhookSubscription: WebhookSubscription userErrors: [UserError!]! }
type WebhookSubscriptionUpdatePayload { webhookSubscription: WebhookSubscription userErrors: [UserError!]! }
type WebhookSubscriptionDeletePayload { deletedWebhookSubscriptionId: ID userErrors: [UserError!]! }

type TaxLine { title: String! rate: Float ratePercentage: Float source: String channelLiable: Boolean
  priceSet: MoneyBag! }
type PricingPercentageValue { percentage: Float! }
union PricingValue = MoneyV2 | PricingPercentageValue
interface DiscountApplication { index: Int! allocationMethod: String! targetSelection: String! targetType: String!
  value: PricingValue! }
type DiscountCodeApplication implements DiscountApplication { index: Int! allocationMethod: String!
  targetSelection: String! targetType: String! value: PricingValue! code: String! }
type AutomaticDiscountApplication implements DiscountApplication { index: Int! allocationMethod: String!
  targetSelection: String! targetType: String! value: PricingValue! title: String! }
type ManualDiscountApplication implements DiscountApplication { index: Int! allocationMethod: String!
  targetSelection: String! targetType: String! value: PricingValue! title: String! description: String }
type ScriptDiscountApplication implements DiscountApplication { index: Int! allocationMethod: String!
  targetSelection: String! targetType: String! value: PricingValue! title: String! }
type DiscountApplicationEdge { cursor: String! node: DiscountApplication! }
type DiscountApplicationConnection { edges: [DiscountApplicationEdge!]! nodes: [DiscountApplication!]!
  pageInfo: PageInfo! }
type DiscountAllocation { allocatedAmountSet: MoneyBag! discountApplication: DiscountApplication! }
type Duty { id: ID! price: MoneyBag! taxLines: [TaxLine!]! }

type Product { id: ID! legacyResourceId: UnsignedInt64! title: String! vendor: String! }
type ProductVariant { id: ID! legacyResourceId: UnsignedInt64! title: String! sku: String product: Product! }
type LineItemGroup { id: ID! title: String! quantity: Int! }
type LineItemSellingPlan { name: String! sellingPlanId: ID }
type LineItem { id: ID! name: String! title: String! variantTitle: String vendor: String sku: String quantity: Int!
  currentQuantity: Int! refundableQuantity: Int! unfulfilledQuantity: Int! nonFulfillableQuantity: Int!
  requiresShipping: Boolean! taxable: Boolean! isGiftCard: Boolean! restockable: Boolean! merchantEditable: Boolean!
  customAttributes: [Attribute!]! discountAllocations: [DiscountAllocation!]! taxLines(first: Int): [TaxLine!]!
  duties: [Duty!]! originalUnitPriceSet: MoneyBag! originalTotalSet: MoneyBag! discountedTotalSet: MoneyBag!
  discountedUnitPriceSet: MoneyBag! discountedUnitPriceAfterAllDiscountsSet: MoneyBag! totalDiscountSet: MoneyBag!
  product: Product variant: ProductVariant lineItemGroup: LineItemGroup sellingPlan: LineItemSellingPlan }
type LineItemEdge { cursor: String! node: LineItem! }
type LineItemConnection { edges: [LineItemEdge!]! nodes: [LineItem!]! pageInfo: PageInfo! }
type ShippingLine { id: ID title: String! code: String source: String custom: Boolean! isRemoved: Boolean!
  carrierIdentifier: String deliveryCategory: String phone: String originalPriceSet: MoneyBag!
  discountedPriceSet: MoneyBag! currentDiscountedPriceSet: MoneyBag! discountAllocations: [DiscountAllocation!]!
  taxLines: [TaxLine!]! }
type ShippingLineEdge { cursor: String! node: ShippingLine! }
type ShippingLineConnection { edges: [ShippingLineEdge!]! nodes: [ShippingLine!]! pageInfo: PageInfo! }

type MailingAddress { id: ID! firstName: String lastName: String name: String company: String address1: String
  address2: String city: String zip: String province: String provinceCode: String country: String
  countryCodeV2: String phone: String latitude: Float longitude: Float }
type CustomerEmailAddress { emailAddress: String! marketingState: String! }
type CustomerPhoneNumber { phoneNumber: String! marketingState: String! }
type Customer { id: ID! legacyResourceId: UnsignedInt64! firstName: String lastName: String displayName: String
  email: String @deprecated(reason: "Use defaultEmailAddress") phone: String
  @deprecated(reason: "Use defaultPhoneNumber") defaultEmailAddress: CustomerEmailAddress
  defaultPhoneNumber: CustomerPhoneNumber locale: String! tags: [String!]! state: String! verifiedEmail: Boolean!
  taxExempt: Boolean! note: String createdAt: DateTime! updatedAt: DateTime! defaultAddress: MailingAddress }

type OrderTransaction { id: ID! kind: String! status: String! gateway: String test: Boolean! amountSet: MoneyBag!
  createdAt: DateTime! processedAt: DateTime errorCode: String manualPaymentGateway: Boolean paymentId: String
  parentTransaction: OrderTransaction }
type OrderTransactionEdge { cursor: String! node: OrderTransaction! }
type OrderTransactionConnection { edges: [OrderTransactionEdge!]! nodes: [OrderTransaction!]! pageInfo: PageInfo! }
type RefundLineItem { id: ID lineItem: LineItem! quantity: Int! restockType: String! restocked: Boolean!
  priceSet: MoneyBag! subtotalSet: MoneyBag! totalTaxSet: MoneyBag! }
type RefundLineItemEdge { cursor: String! node: RefundLineItem! }
type RefundLineItemConnection { edges: [RefundLineItemEdge!]! nodes: [RefundLineItem!]! pageInfo: PageInfo! }
type RefundShippingLine { id: ID subtotalAmountSet: MoneyBag! taxAmountSet: MoneyBag! shippingLine: ShippingLine! }
type RefundShippingLineEdge { cursor: String! node: RefundShippingLine! }
type RefundShippingLineConnection { edges: [RefundShippingLineEdge!]! nodes: [RefundShippingLine!]!
  pageInfo: PageInfo! }
type OrderAdjustment { id: ID! reason: String amountSet: MoneyBag! taxAmountSet: MoneyBag! }
type OrderAdjustmentEdge { cursor: String! node: OrderAdjustment! }
type OrderAdjustmentConnection { edges: [OrderAdjustmentEdge!]! nodes: [OrderAdjustment!]! pageInfo: PageInfo! }
type Refund { id: ID! legacyResourceId: UnsignedInt64! createdAt: DateTime updatedAt: DateTime! processedAt: DateTime!
  note: String totalRefundedSet: MoneyBag! refundLineItems(CONNECTION): RefundLineItemConnection!
  refundShippingLines(CONNECTION): RefundShippingLineConnection! transactions(CONNECTION): OrderTransactionConnection!
  orderAdjustments(CONNECTION): OrderAdjustmentConnection! }

type FulfillmentTrackingInfo { company: String number: String url: URL }
type FulfillmentLineItem { id: ID! lineItem: LineItem! quantity: Int }
type FulfillmentLineItemEdge { cursor: String! node: FulfillmentLineItem! }
type FulfillmentLineItemConnection { edges: [FulfillmentLineItemEdge!]! nodes: [FulfillmentLineItem!]!
  pageInfo: PageInfo! }
type Fulfillment { id: ID! legacyResourceId: UnsignedInt64! name: String! status: String! displayStatus: String
  createdAt: DateTime! updatedAt: DateTime! deliveredAt: DateTime inTransitAt: DateTime totalQuantity: Int!
  trackingInfo(first: Int): [FulfillmentTrackingInfo!]!
  fulfillmentLineItems(CONNECTION): FulfillmentLineItemConnection! }
type OrderApp { id: ID! name: String! }

type Order { id: ID! legacyResourceId: UnsignedInt64! name: String! number: Int! confirmationNumber: String
  confirmed: Boolean! createdAt: DateTime! updatedAt: DateTime! processedAt: DateTime! cancelledAt: DateTime
  cancelReason: String closedAt: DateTime closed: Boolean! displayFinancialStatus: String
  displayFulfillmentStatus: String! fullyPaid: Boolean! unpaid: Boolean! edited: Boolean! test: Boolean!
  email: String phone: String note: String tags: [String!]! customAttributes: [Attribute!]! currencyCode: String!
  presentmentCurrencyCode: String! taxesIncluded: Boolean! taxExempt: Boolean! dutiesIncluded: Boolean!
  estimatedTaxes: Boolean! paymentGatewayNames: [String!]! poNumber: String sourceName: String sourceIdentifier: String
  customerLocale: String clientIp: String statusPageUrl: URL customerAcceptsMarketing: Boolean! discountCode: String
  discountCodes: [String!]! totalWeight: UnsignedInt64 app: OrderApp CART_TOKEN
  totalPriceSet: MoneyBag! currentTotalPriceSet: MoneyBag! originalTotalPriceSet: MoneyBag!
  subtotalPriceSet: MoneyBag currentSubtotalPriceSet: MoneyBag! totalShippingPriceSet: MoneyBag!
  currentShippingPriceSet: MoneyBag! totalTaxSet: MoneyBag currentTotalTaxSet: MoneyBag! totalDiscountsSet: MoneyBag
  currentTotalDiscountsSet: MoneyBag! totalTipReceivedSet: MoneyBag! totalRefundedSet: MoneyBag!
  totalRefundedShippingSet: MoneyBag! totalReceivedSet: MoneyBag! totalOutstandingSet: MoneyBag!
  netPaymentSet: MoneyBag! cartDiscountAmountSet: MoneyBag currentTotalDutiesSet: MoneyBag
  originalTotalDutiesSet: MoneyBag currentTotalAdditionalFeesSet: MoneyBag originalTotalAdditionalFeesSet: MoneyBag
  taxLines: [TaxLine!]! currentTaxLines: [TaxLine!]!
  discountApplications(CONNECTION): DiscountApplicationConnection!
  lineItems(CONNECTION): LineItemConnection! shippingLine: ShippingLine
  shippingLines(CONNECTION): ShippingLineConnection! customer: Customer billingAddress: MailingAddress
  shippingAddress: MailingAddress billingAddressMatchesShippingAddress: Boolean! displayAddress: MailingAddress
  refunds(first: Int): [Refund!]! fulfillments(first: Int): [Fulfillment!]!
  transactions(first: Int): [OrderTransaction!]! }
type OrderEdge { cursor: String! node: Order! }
type OrderConnection { edges: [OrderEdge!]! nodes: [Order!]! pageInfo: PageInfo! }

type QueryRoot {
  shop: Shop!
  currentAppInstallation: AppInstallation!
  webhookSubscription(id: ID!): WebhookSubscription
  webhookSubscriptions(CONNECTION, sortKey: WebhookSubscriptionSortKeys, query: String, uri: String, callbackUrl: URL,
    topics: [WebhookSubscriptionTopic!], format: WebhookSubscriptionFormat): WebhookSubscriptionConnection!
  order(id: ID!): Order
  refund(id: ID!): Refund
  orders(CONNECTION, sortKey: OrderSortKeys = PROCESSED_AT, query: String): OrderConnection!
}
type Mutation {
  webhookSubscriptionCreate(topic: WebhookSubscriptionTopic!, webhookSubscription: WebhookSubscriptionInput!):
    WebhookSubscriptionCreatePayload
  webhookSubscriptionUpdate(id: ID!, webhookSubscription: WebhookSubscriptionInput!): WebhookSubscriptionUpdatePayload
  webhookSubscriptionDelete(id: ID!): WebhookSubscriptionDeletePayload
}
schema { query: QueryRoot mutation: Mutation }
""".replace("TOPICS", " ".join(enum_name(topic) for topic in TOPICS))
    .replace("CONNECTION", "first: Int, after: String, last: Int, before: String, reverse: Boolean = false")
    .strip()
)


def sdl(version: str) -> str:
    """The schema of ``version``: the order's cart and checkout tokens came with 2026-07."""
    known = version == "unstable" or version >= "2026-07"
    return SDL.replace("CART_TOKEN", "cartToken: String checkoutToken: String" if known else "")
