"""The simulated Admin API, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests

from app.simulators.shopify_platform import ShopifyPlatform
from app.simulators.story import OrderStory

SHOP = "first.myshopify.com"
URI = "https://app.example/webhooks/shopify"
NOW = 1_795_000_000.0
ALL = ("read_orders", "read_customers", "read_products")
MONEY = "{ shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }"
CREATE = """
mutation($topic: WebhookSubscriptionTopic!, $input: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $input) {
    webhookSubscription { id topic uri filter includeFields name apiVersion { handle } }
    userErrors { field message }
  }
}
"""
ORDER_IDS = """
query($after: String, $query: String, $first: Int!) {
  orders(first: $first, after: $after, sortKey: UPDATED_AT, query: $query) {
    nodes { legacyResourceId updatedAt } pageInfo { hasNextPage endCursor }
  }
}
"""


@dataclass
class App:
    session: requests.Session
    now: list[float] = field(default_factory=lambda: [NOW])
    platform: ShopifyPlatform = field(init=False)
    token: str = ""

    def call(
        self, query: str, variables: dict[str, Any] | None = None, version: str = "2026-10/", **headers: str
    ) -> requests.Response:
        return self.session.post(
            f"{self.platform.url}/admin/api/{version}graphql.json",
            json={"query": query, "variables": variables or {}},
            headers={"Host": SHOP, "X-Shopify-Access-Token": self.token, **headers},
            timeout=60,
        )

    def ask(self, query: str, /, **variables: Any) -> Any:
        """The data of an answer without errors."""
        answer = self.call(query, variables).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def errors(self, query: str, /, **variables: Any) -> list[tuple[str, str]]:
        """Message and code of each error, all of them under status 200."""
        answer = self.call(query, variables)
        assert answer.status_code == 200
        return [(each["message"], each.get("extensions", {}).get("code", "")) for each in answer.json()["errors"]]

    def subscribe(self, topic: str = "ORDERS_CREATE", **given: Any) -> Any:
        return self.ask(CREATE, topic=topic, input={"uri": URI} | given)["webhookSubscriptionCreate"]

    def renew(self) -> None:
        self.token = self.platform.mint_token(SHOP)["access_token"]


@pytest.fixture
def app() -> Iterator[App]:
    with requests.Session() as session:
        app = App(session)
        with ShopifyPlatform("client", "secret", app_url="https://app.example", clock=lambda: app.now[0]) as platform:
            app.platform = platform
            platform.add_shop(SHOP, id=42, currency="DKK", scopes=ALL)
            platform.install(SHOP)
            app.renew()
            yield app


# Ways in


def test_the_shop_and_the_installation_say_who_they_are(app: App) -> None:
    assert app.ask(
        "{ shop { id name myshopifyDomain primaryDomain { host url } currencyCode ianaTimezone plan { shopifyPlus } }"
        " currentAppInstallation { accessScopes { handle } } }"
    ) == {
        "shop": {
            "id": "gid://shopify/Shop/42",
            "name": "First",
            "myshopifyDomain": SHOP,
            "primaryDomain": {"host": SHOP, "url": f"https://{SHOP}"},
            "currencyCode": "DKK",
            "ianaTimezone": "Europe/Copenhagen",
            "plan": {"shopifyPlus": False},
        },
        "currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in ALL]},
    }
    assert app.platform.violations() == []


@pytest.mark.parametrize(
    ("version", "served", "violations"),
    [
        ("2026-10/", "2026-10", []),
        ("2027-01/", "2027-01", []),
        ("2025-01/", "2026-01", ["API version 2025-01 is not supported"]),
        ("soon/", "2026-01", ["API version soon is not supported"]),
        ("", "2026-01", ["the address names no API version"]),
    ],
)
def test_the_answer_names_the_version_that_served_it(
    app: App, version: str, served: str, violations: list[str]
) -> None:
    answer = app.call("{ shop { id } }", version=version)
    assert (answer.status_code, answer.headers["X-Shopify-API-Version"]) == (200, served)
    assert app.platform.sentences() == violations


def test_a_missing_allowlist_is_403_and_a_missing_token_401(app: App) -> None:
    app.platform.allowlist = False
    assert app.call("{ shop { id } }").status_code == 403
    app.platform.allowlist = True
    assert app.call("{ shop { id } }", **{"X-Shopify-Access-Token": ""}).status_code == 401


def test_the_rest_admin_api_is_refused_and_noted(app: App) -> None:
    answer = app.session.get(
        f"{app.platform.url}/admin/api/2026-10/orders.json",
        headers={"Host": SHOP, "X-Shopify-Access-Token": app.token},
        timeout=60,
    )
    assert answer.status_code == 403
    assert app.platform.sentences() == ["the REST Admin API was called"]


def test_an_unknown_field_is_an_error_under_200_and_noted(app: App) -> None:
    assert app.errors("{ shop { nonsense } }") == [("Field 'nonsense' doesn't exist on type 'Shop'", "undefinedField")]
    assert app.platform.sentences() == ["GraphQL: Field 'nonsense' doesn't exist on type 'Shop'"]


def test_the_cart_token_came_with_2026_07(app: App) -> None:
    query = "{ orders(first: 1) { nodes { cartToken } } }"
    assert "errors" in app.call(query, version="2026-04/").json()
    assert app.call(query, version="2026-07/").json()["data"] == {"orders": {"nodes": []}}


def test_faults_befall_the_admin_api(app: App) -> None:
    app.platform.set_faults([{"kind": "429", "retry_after": 2, "path": "graphql", "times": 1}])
    refused = app.call("{ shop { id } }")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert app.call("{ shop { id } }").status_code == 200


# Cost


def test_a_query_costs_its_objects_and_the_bucket_refills(app: App) -> None:
    query = "{ orders(first: 10) { nodes { id totalPriceSet { shopMoney { amount } } } } shop { id } }"
    cost = app.call(query).json()["extensions"]["cost"]
    assert cost == {
        "requestedQueryCost": 2 + 10 * 3 + 1,
        "actualQueryCost": 1,
        "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 1999, "restoreRate": 100.0},
    }


def test_an_empty_bucket_is_throttled_under_200(app: App) -> None:
    shop = app.platform.shop(SHOP)
    app.call("{ shop { id } }")
    shop.available = 5.0
    query = "{ orders(first: 100) { nodes { id } } }"
    assert app.errors(query) == [("Throttled", "THROTTLED")]
    app.now[0] += 1
    assert app.ask(query) == {"orders": {"nodes": []}}


def test_a_query_over_a_thousand_points_is_refused(app: App) -> None:
    said = "Query cost is 5202, which exceeds the single query max cost limit (1000)."
    query = "{ orders(first: 100) { nodes { lineItems(first: 49) { nodes { id } } } } }"
    assert app.errors(query) == [(said, "MAX_COST_EXCEEDED")]
    assert app.platform.sentences() == [f"GraphQL: {said}"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [("", "you must provide one of first or last"), ("(first: 251)", "first cannot exceed 250")],
)
def test_a_page_has_a_size_within_bounds(app: App, arguments: str, said: str) -> None:
    assert app.errors(f"{{ webhookSubscriptions{arguments} {{ nodes {{ id }} }} }}") == [(said, "BAD_REQUEST")]


# Access


def test_orders_need_their_scope(app: App) -> None:
    app.platform.change_scopes(SHOP, ["read_products"])
    [(said, code)] = app.errors("{ orders(first: 1) { nodes { id } } }")
    assert (said, code) == (
        "Access denied for orders field. Required access: `read_orders` access scope.",
        "ACCESS_DENIED",
    )


def test_orders_need_approval_for_protected_data(app: App) -> None:
    app.platform.approve(SHOP, 0)
    [(said, code)] = app.errors("{ orders(first: 1) { nodes { id } } }")
    assert (said.startswith("This app is not approved to access the Order object."), code) == (True, "ACCESS_DENIED")


def test_a_line_tells_its_product_only_with_the_scope_for_products(app: App) -> None:
    app.platform.place_order(SHOP, want=with_product)
    app.platform.change_scopes(SHOP, ["read_orders"])
    answer = app.call("{ orders(first: 1) { nodes { lineItems(first: 1) { nodes { sku product { id } } } } } }").json()
    [line] = answer["data"]["orders"]["nodes"][0]["lineItems"]["nodes"]
    assert line["product"] is None
    assert answer["errors"][0]["path"] == ["orders", "nodes", 0, "lineItems", "nodes", 0, "product"]


def test_what_is_not_approved_comes_as_null_beside_an_error(app: App) -> None:
    placed = app.platform.place_order(SHOP, want=with_person)
    app.platform.approve(SHOP, ["email"])
    answer = app.call("{ orders(first: 1) { nodes { email customer { firstName } } } }").json()
    assert answer["data"]["orders"]["nodes"] == [{"email": placed["email"], "customer": {"firstName": None}}]
    assert [each["extensions"]["code"] for each in answer["errors"]] == ["ACCESS_DENIED"]


def with_product(story: OrderStory) -> bool:
    return story.lines[0].product is not None


def with_person(story: OrderStory) -> bool:
    return story.buyer.email is not None and story.buyer.customer_id is not None


# Orders


def test_graphql_and_webhooks_tell_the_same_order(app: App) -> None:
    body = app.platform.place_order(
        SHOP,
        until="refunded",
        want=lambda story: bool(story.discounts and story.shipping and with_person(story)),
        note_attributes=[{"name": "orderNo", "value": "LS-1"}],
    )
    order = app.ask(
        f"""query($id: ID!) {{ order(id: $id) {{
        id legacyResourceId name number createdAt updatedAt test email note taxesIncluded currencyCode
        displayFinancialStatus displayFulfillmentStatus customAttributes {{ key value }} discountCodes cartToken
        sourceName customerLocale clientIp statusPageUrl
        totalPriceSet {MONEY} currentTotalPriceSet {MONEY} totalTaxSet {MONEY} totalRefundedSet {MONEY}
        customer {{ legacyResourceId }} billingAddress {{ city countryCodeV2 }}
        lineItems(first: 20) {{ nodes {{ id sku quantity originalUnitPriceSet {MONEY}
          product {{ legacyResourceId }} discountAllocations {{ allocatedAmountSet {MONEY}
            discountApplication {{ index ... on DiscountCodeApplication {{ code }} }} }} }} }}
        refunds {{ legacyResourceId transactions(first: 5) {{ nodes {{ kind status }} }} }} }} }}""",
        id=body["admin_graphql_api_id"],
    )["order"]
    assert order["legacyResourceId"] == str(body["id"])
    assert order["number"] == body["order_number"]
    assert order["customAttributes"] == [{"key": "orderNo", "value": "LS-1"}]
    assert order["displayFinancialStatus"] == body["financial_status"].upper()
    assert order["discountCodes"] == [each["code"] for each in body["discount_codes"]]
    same = ("name", "test", "email", "note")
    assert {name: order[name] for name in same} == {name: body[name] for name in same}
    assert datetime.fromisoformat(order["updatedAt"]) == datetime.fromisoformat(body["updated_at"])
    for name, key in (("totalPriceSet", "total_price_set"), ("currentTotalPriceSet", "current_total_price_set")):
        assert Decimal(order[name]["shopMoney"]["amount"]) == Decimal(body[key]["shop_money"]["amount"])
    assert [(each["id"], each["quantity"]) for each in order["lineItems"]["nodes"]] == [
        (each["admin_graphql_api_id"], each["quantity"]) for each in body["line_items"]
    ]
    assert [each["legacyResourceId"] for each in order["refunds"]] == [str(each["id"]) for each in body["refunds"]]
    assert app.platform.violations() == []


def test_amounts_are_decimal_text_and_times_utc(app: App) -> None:
    app.platform.place_order(SHOP, until="created")  # which happens now
    [order] = app.ask("{ orders(first: 1) { nodes { createdAt totalPriceSet { shopMoney { amount } } } } }")["orders"][
        "nodes"
    ]
    assert order["createdAt"] == f"{datetime.fromtimestamp(NOW, UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert not order["totalPriceSet"]["shopMoney"]["amount"].endswith("00")


def test_orders_are_paged_by_their_update_and_one_updated_meanwhile_comes_again(app: App) -> None:
    ids = []
    for _ in range(5):
        ids.append(str(app.platform.place_order(SHOP, until="created")["id"]))
        app.now[0] += 60
    first = app.ask(ORDER_IDS, first=2)["orders"]
    assert [each["legacyResourceId"] for each in first["nodes"]] == ids[:2]
    app.platform.edit_order(SHOP, int(ids[0]), note="late")
    rest = app.ask(ORDER_IDS, first=10, after=first["pageInfo"]["endCursor"])["orders"]
    assert [each["legacyResourceId"] for each in rest["nodes"]] == [*ids[2:], ids[0]]
    assert rest["pageInfo"]["hasNextPage"] is False


def test_orders_are_narrowed_by_their_update(app: App) -> None:
    app.platform.place_order(SHOP, until="created")
    app.now[0] += 3000
    late = str(app.platform.place_order(SHOP, until="created")["id"])
    since = f"{datetime.fromtimestamp(NOW + 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    found = app.ask(ORDER_IDS, first=10, query=f"updated_at:>='{since}'")["orders"]["nodes"]
    assert [each["legacyResourceId"] for each in found] == [late]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("updated_at:>='yesterday'", "GraphQL: search time cannot be read: yesterday"),
        (
            "updated_at:>='2026-11-01T00:00:00'",
            "GraphQL: search time has no zone, so it is the shop's own: 2026-11-01T00:00:00",
        ),
        ("altered_at:>='2026-11-01T00:00:00Z'", "GraphQL: search field is not known: altered_at"),
    ],
)
def test_a_search_that_cannot_be_read_narrows_nothing_and_is_noted(app: App, query: str, said: str) -> None:
    app.platform.place_order(SHOP)
    assert len(app.ask(ORDER_IDS, first=10, query=query)["orders"]["nodes"]) == 1
    assert app.platform.sentences() == [said]


def test_orders_over_sixty_days_old_need_another_scope(app: App) -> None:
    app.platform.place_order(SHOP)
    app.now[0] += 61 * 86400
    app.renew()
    assert app.ask(ORDER_IDS, first=10)["orders"]["nodes"] == []
    app.platform.change_scopes(SHOP, ["read_orders", "read_all_orders"])
    assert len(app.ask(ORDER_IDS, first=10)["orders"]["nodes"]) == 1


def test_every_made_up_order_can_be_told_whole(app: App) -> None:
    fields = """id customer { displayName defaultEmailAddress { emailAddress } } shippingAddress { name }
      shippingLines(first: 2) { nodes { title currentDiscountedPriceSet { shopMoney { amount } } } }
      discountApplications(first: 3) { nodes { targetType value { ... on MoneyV2 { amount }
        ... on PricingPercentageValue { percentage } } } }
      currentShippingPriceSet { shopMoney { amount } } netPaymentSet { shopMoney { amount } }
      transactions { kind amountSet { shopMoney { amount } } } fulfillments { trackingInfo { number } status
        fulfillmentLineItems(first: 2) { nodes { quantity } } }
      refunds { refundLineItems(first: 3) { nodes { quantity restockType lineItem { sku } } }
        refundShippingLines(first: 1) { nodes { subtotalAmountSet { shopMoney { amount } } } }
        orderAdjustments(first: 2) { nodes { reason } } totalRefundedSet { shopMoney { amount } } }
      lineItems(first: 2) { nodes { name variant { id } taxLines { rate } totalDiscountSet { shopMoney { amount } }
        discountedUnitPriceAfterAllDiscountsSet { shopMoney { amount } } } }"""
    shown = []
    for _ in range(60):
        body = app.platform.place_order(SHOP, until=None, quiet=True)
        app.now[0] += 20
        query = f"query($id: ID!) {{ order(id: $id) {{ {fields} }} }}"
        shown.append(app.ask(query, id=body["admin_graphql_api_id"])["order"]["id"])
    assert len(set(shown)) == 60


# Subscriptions


def test_a_subscription_is_made_listed_changed_and_deleted(app: App) -> None:
    made = app.subscribe(filter="test:false", includeFields=["id"], name="ours")
    number = made["webhookSubscription"]["id"]
    assert made == {
        "webhookSubscription": {
            "id": number,
            "topic": "ORDERS_CREATE",
            "uri": URI,
            "filter": "test:false",
            "includeFields": ["id"],
            "name": "ours",
            "apiVersion": {"handle": "2026-10"},
        },
        "userErrors": [],
    }
    app.subscribe("ORDERS_PAID")
    listing = """query($after: String) { webhookSubscriptions(first: 1, after: $after) {
      nodes { topic endpoint { ... on WebhookHttpEndpoint { callbackUrl } } } pageInfo { hasNextPage endCursor } } }"""
    first = app.ask(listing)["webhookSubscriptions"]
    assert first["nodes"] == [{"topic": "ORDERS_CREATE", "endpoint": {"callbackUrl": URI}}]
    second = app.ask(listing, after=first["pageInfo"]["endCursor"])["webhookSubscriptions"]
    assert (second["nodes"][0]["topic"], second["pageInfo"]["hasNextPage"]) == ("ORDERS_PAID", False)
    update = """mutation($id: ID!) { webhookSubscriptionUpdate(id: $id, webhookSubscription: { uri: "%s/two" }) {
      webhookSubscription { uri } userErrors { message } } }"""
    changed = app.ask(update % URI, id=number)["webhookSubscriptionUpdate"]
    assert changed == {"webhookSubscription": {"uri": f"{URI}/two"}, "userErrors": []}
    delete = """mutation($id: ID!) { webhookSubscriptionDelete(id: $id) {
      deletedWebhookSubscriptionId userErrors { message } } }"""
    gone = {"deletedWebhookSubscriptionId": number, "userErrors": []}
    missing = {"deletedWebhookSubscriptionId": None, "userErrors": [{"message": "Webhook subscription does not exist"}]}
    assert [app.ask(delete, id=number)["webhookSubscriptionDelete"] for _ in range(2)] == [gone, missing]
    assert app.platform.violations() == []


def test_declared_subscriptions_do_not_show(app: App) -> None:
    app.platform.webhooks.declare([{"topics": ["orders/create"], "uri": "/webhooks/shopify"}], "2026-10")
    assert app.ask("{ webhookSubscriptions(first: 5) { nodes { id } } }") == {"webhookSubscriptions": {"nodes": []}}
    assert [each.uri for each in app.platform.subscriptions()] == [URI]


def test_a_twin_is_refused(app: App) -> None:
    app.subscribe()
    assert app.subscribe()["userErrors"] == [
        {"field": ["webhookSubscription", "callbackUrl"], "message": "Address for this topic has already been taken"}
    ]


def test_a_topic_needs_its_scope_and_its_approval(app: App) -> None:
    app.platform.approve(SHOP, 0)
    [error] = app.subscribe()["userErrors"]
    assert error["message"].startswith("This app is not approved to subscribe to webhook topics containing protected")
    assert app.subscribe("APP_UNINSTALLED")["userErrors"] == []
    app.platform.change_scopes(SHOP, ["read_products"])
    [error] = app.subscribe("ORDERS_PAID")["userErrors"]
    assert error == {
        "field": ["topic"],
        "message": "Access denied. The read_orders access scope is needed to subscribe to orders/paid.",
    }


@pytest.mark.parametrize(
    ("given", "violations", "refused"),
    [
        ({"uri": None, "callbackUrl": URI}, ["the deprecated callbackUrl was used"], False),
        ({"uri": f"{URI}/"}, ["a subscription's uri ends with a slash"], False),
        ({"uri": "http://elsewhere.example/"}, ["a subscription's uri ends with a slash"], True),
        ({"uri": "/webhooks/shopify"}, [], True),
    ],
)
def test_addresses_are_looked_at(app: App, given: dict[str, Any], violations: list[str], refused: bool) -> None:
    errors = app.subscribe(**given)["userErrors"]
    assert (app.platform.sentences(), bool(errors)) == (violations, refused)


def test_asking_for_the_deprecated_callback_url_is_noted(app: App) -> None:
    app.subscribe()
    assert app.ask("{ webhookSubscriptions(first: 1) { nodes { callbackUrl } } }") == {
        "webhookSubscriptions": {"nodes": [{"callbackUrl": URI}]}
    }
    assert app.platform.sentences() == ["the deprecated callbackUrl was used"]


def test_a_refund_of_shipping_is_no_adjustment(app: App) -> None:
    """Whatever the REST body says: older ones have the adjustment alone."""
    query = """query($id: ID!) { order(id: $id) { refunds { totalRefundedSet { shopMoney { amount } }
      orderAdjustments(first: 5) { nodes { reason } }
      refundShippingLines(first: 5) { nodes { subtotalAmountSet { shopMoney { amount } } } } } } }"""
    seen = set()
    for old in (True, False):
        body = app.platform.place_order(SHOP, until="refunded", want=lambda story, old=old: shipping_back(story, old))
        [refund] = app.ask(query, id=body["admin_graphql_api_id"])["order"]["refunds"]
        seen.add(bool(body["refunds"][0]["refund_shipping_lines"]))
        [line] = refund["refundShippingLines"]["nodes"]
        assert (refund["orderAdjustments"]["nodes"], line["subtotalAmountSet"]) == ([], refund["totalRefundedSet"])
    assert seen == {True, False}


def shipping_back(story: OrderStory, old: bool) -> bool:
    """Nothing but shipping came back, in a shop whose prices include tax."""
    refund = next((step.refund for step in story.steps if step.refund), None)
    alone = refund is not None and bool(refund.shipping) and not refund.lines and not refund.other
    return alone and story.included and not story.foreign and (story.quirk % 4 == 0) == old


def test_what_is_no_graphql_is_told_so(app: App) -> None:
    headers = {"Host": SHOP, "X-Shopify-Access-Token": app.token, "Content-Type": "application/json"}
    url = f"{app.platform.url}/admin/api/2026-10/graphql.json"
    wrong = [b"{", json.dumps({"no": "query"}).encode()]
    assert [app.session.post(url, data=body, headers=headers, timeout=5).status_code for body in wrong] == [400, 400]
    assert len(app.errors("{ shop {")) == 1
