"""What the simulated Admin API's queries and mutations answer, and to whom.

Sources: shopify.dev/docs/api/admin-graphql, shopify.dev/docs/api/usage/access-scopes,
shopify.dev/docs/apps/launch/protected-customer-data.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    get_named_type,
)

from app.simulators.shopify_orders import OrderView
from app.simulators.shopify_schema import TOPICS, enum_name
from app.simulators.shopify_search import UnreadableSearch, bad_request, matches, page
from app.simulators.shopify_state import JSON, VERSIONS, Shop, State, Subscription
from app.simulators.shopify_subscriptions import Subscriptions

VISIBLE = timedelta(days=60)  #: older orders need another scope
SCOPES = {
    ("QueryRoot", "orders"): "read_orders",
    ("QueryRoot", "order"): "read_orders",
    ("QueryRoot", "refund"): "read_orders",
    ("Order", "customer"): "read_customers",
    ("LineItem", "product"): "read_products",
    ("LineItem", "variant"): "read_products",
}
PERSONAL = {
    "Order": {"email": "email", "phone": "phone", "statusPageUrl": "address"},
    "Customer": {
        **dict.fromkeys(("firstName", "lastName", "displayName"), "name"),
        **{"email": "email", "defaultEmailAddress": "email", "phone": "phone", "defaultPhoneNumber": "phone"},
    },
    "MailingAddress": {
        **dict.fromkeys(("firstName", "lastName", "name"), "name"),
        **dict.fromkeys(("address1", "address2", "city", "zip", "province", "provinceCode"), "address"),
        **{"latitude": "address", "longitude": "address", "phone": "phone"},
    },
}
SORTS = {"UPDATED_AT": "updatedAt", "CREATED_AT": "createdAt", "PROCESSED_AT": "processedAt"}
APPROVAL = "https://shopify.dev/docs/apps/launch/protected-customer-data"


def denied(message: str, **more: Any) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "ACCESS_DENIED", **more})


class Resolution:
    """One query being answered."""

    def __init__(
        self, state: State, subscriptions: Subscriptions, schema: GraphQLSchema, shop: Shop, version: str, path: str
    ) -> None:
        self.state = state
        self.subscriptions = subscriptions
        self.schema = schema
        self.shop = shop
        self.version = version
        self.path = path

    def run(self, document: DocumentNode, operation: OperationDefinitionNode, variables: JSON) -> ExecutionResult:
        name = operation.name.value if operation.name else None
        return execute_sync(
            self.schema,
            document,
            root_value={},
            variable_values=variables,
            operation_name=name,
            field_resolver=self.resolve,
        )

    def resolve(self, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        parent, name = info.parent_type.name, info.field_name
        self._check_access(parent, name)
        if parent in ("QueryRoot", "Mutation"):
            value = getattr(self, f"_{_snake(name)}")(**arguments)
        else:
            value = self._shown(source, parent, name)
        if isinstance(value, list) and get_named_type(info.return_type).name.endswith("Connection"):
            return page(value, [[place] for place in range(len(value))], arguments)
        if isinstance(value, list) and arguments.get("first") is not None:
            return value[: arguments["first"]]
        return value

    def _check_access(self, parent: str, name: str) -> None:
        scope = SCOPES.get((parent, name))
        if scope and not self.shop.may(scope):
            needed = f"`{scope}` access scope."
            raise denied(f"Access denied for {name} field. Required access: {needed}", requiredAccess=needed)
        if scope == "read_orders" and self.shop.approved is None:
            raise denied(f"This app is not approved to access the Order object. See {APPROVAL} for more details.")

    def _shown(self, source: JSON, parent: str, name: str) -> Any:
        if (parent, name) == ("WebhookSubscription", "callbackUrl"):
            self.state.breach("the deprecated callbackUrl was used", shop=self.shop.domain, path=self.path)
        group = PERSONAL.get(parent, {}).get(name)
        value = source.get(name)
        if group and value is not None and group not in (self.shop.approved or ()):
            raise denied(f"This app is not approved to use the {name} field. See {APPROVAL} for more details.")
        return value

    # Queries

    def _shop(self) -> JSON:
        shop = self.shop
        domain = {"id": f"gid://shopify/Domain/{shop.id + 1}", "host": shop.domain, "url": f"https://{shop.domain}"}
        return {
            "id": f"gid://shopify/Shop/{shop.id}",
            "name": shop.name,
            "email": shop.email,
            "contactEmail": shop.email,
            "myshopifyDomain": shop.domain,
            "primaryDomain": domain | {"sslEnabled": True},
            "url": f"https://{shop.domain}",
            "currencyCode": shop.currency,
            "ianaTimezone": shop.timezone,
            "timezoneOffset": f"{datetime.fromtimestamp(self.state.clock(), ZoneInfo(shop.timezone)):%z}",
            "plan": {
                "displayName": shop.plan.title(),
                "publicDisplayName": shop.plan.title(),
                "partnerDevelopment": False,
                "shopifyPlus": shop.plan == "plus",
            },
            "createdAt": "2024-01-01T00:00:00Z",
            "taxesIncluded": True,
        }

    def _current_app_installation(self) -> JSON:
        scopes = [{"handle": scope, "description": scope.replace("_", " ")} for scope in self.shop.scopes]
        app = {"id": "gid://shopify/App/1", "title": "Tillwire", "handle": "tillwire", "apiKey": self.state.client_id}
        number = self.shop.id * 100 + self.shop.installs
        launch = f"https://admin.shopify.com/store/{self.shop.handle}/apps/tillwire"
        installation = f"gid://shopify/AppInstallation/{number}"
        return {"id": installation, "accessScopes": scopes, "app": app, "launchUrl": launch}

    def _webhook_subscription(self, id: str) -> JSON | None:
        found = self.subscriptions.find(self.shop, id)
        return subscription_view(found) if found else None

    def _webhook_subscriptions(self, **arguments: Any) -> JSON:
        topics = arguments.get("topics")
        chosen = [
            each
            for each in self.subscriptions.of(self.shop)
            if (topics is None or enum_name(each.topic) in topics) and arguments.get("uri") in (None, each.uri)
        ]
        return page([subscription_view(each) for each in chosen], [[each.id] for each in chosen], arguments)

    def _orders_shown(self) -> list[JSON]:
        """Orders of the last sixty days, unless the app may read all."""
        views = [OrderView(each).show() for each in self.shop.orders.values()]
        oldest = datetime.fromtimestamp(self.state.clock(), UTC) - VISIBLE
        whole = self.shop.may("read_all_orders")
        return [each for each in views if whole or datetime.fromisoformat(each["createdAt"]) >= oldest]

    def _order(self, id: str) -> JSON | None:
        return next((each for each in self._orders_shown() if each["id"] == id), None)

    def _refund(self, id: str) -> JSON | None:
        refunds = (refund for order in self._orders_shown() for refund in order["refunds"])
        return next((each for each in refunds if each["id"] == id), None)

    def _orders(self, **arguments: Any) -> JSON:
        try:
            wanted = matches(arguments.get("query"))
        except UnreadableSearch as error:
            self.state.breach(f"GraphQL: {error}", shop=self.shop.domain, path=self.path)
            wanted = matches(None)  # as Shopify does: a term that it cannot read narrows nothing
        sort = SORTS.get(arguments["sortKey"])
        if sort is None and arguments["sortKey"] != "ID":
            raise bad_request("this simulator sorts orders by time or id only")
        rows = [each for each in self._orders_shown() if wanted(each)]
        keys = [[each[sort] if sort else "", int(each["legacyResourceId"])] for each in rows]
        return page(rows, keys, arguments)

    # Mutations

    def _webhook_subscription_create(self, topic: str, webhookSubscription: JSON) -> JSON:
        plain = next(each for each in TOPICS if enum_name(each) == topic)
        made, errors = self.subscriptions.create(self.shop, plain, webhookSubscription, self.version, self.path)
        return {"webhookSubscription": made and subscription_view(made), "userErrors": errors}

    def _webhook_subscription_update(self, id: str, webhookSubscription: JSON) -> JSON:
        made, errors = self.subscriptions.update(self.shop, id, webhookSubscription, self.path)
        return {"webhookSubscription": made and subscription_view(made), "userErrors": errors}

    def _webhook_subscription_delete(self, id: str) -> JSON:
        gone, errors = self.subscriptions.delete(self.shop, id)
        return {"deletedWebhookSubscriptionId": gone, "userErrors": errors}


def subscription_view(given: Subscription) -> JSON:
    moment = f"{datetime.fromtimestamp(given.created_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    newest = given.api_version == VERSIONS[-1]
    version = {"handle": given.api_version, "displayName": given.api_version + (" (Latest)" if newest else "")}
    return {
        "id": given.gid,
        "legacyResourceId": str(given.id),
        "topic": enum_name(given.topic),
        "uri": given.uri,
        "callbackUrl": given.uri,
        "endpoint": {"__typename": "WebhookHttpEndpoint", "callbackUrl": given.uri},
        "filter": given.filter,
        "format": "JSON",
        "includeFields": list(given.include_fields),
        "metafieldNamespaces": [],
        "name": given.name,
        "apiVersion": version | {"supported": given.api_version in VERSIONS},
        "createdAt": moment,
        "updatedAt": moment,
    }


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower()
