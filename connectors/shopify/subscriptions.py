"""Which webhooks we want of a shop, and which it has.

One owner per topic: what stands in ``shopify.app.toml`` belongs to the app, is the same in every shop and is never
deleted for failing; it cannot be listed by the Admin API. A subscription made in one shop for a topic of the app's is a
twin: both deliver. Source: shopify.dev/docs/apps/build/webhooks/subscribe
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from connectors.shopify.admin import Admin, AdminAnswer, user_errors

PATH = "/webhooks/shopify"  #: without a slash at its end, which would be answered by a redirect, a failure to Shopify

#: Rights that these topics need, and those without which an order that is asked for hides its buyer and its products.
SCOPES = ("read_customers", "read_fulfillments", "read_orders", "read_products")
#: Declared in shopify.app.toml. ``orders/edited``, ``order_transactions/create`` and ``checkouts/delete`` are left out:
#: what they tell comes with ``orders/updated``, or helps nobody.
APP_TOPICS = (
    "app/scopes_update",
    "app/uninstalled",
    "carts/create",
    "carts/update",
    "checkouts/create",
    "checkouts/update",
    "fulfillments/create",
    "fulfillments/update",
    "orders/cancelled",
    "orders/create",
    "orders/delete",
    "orders/fulfilled",
    "orders/paid",
    "orders/partially_fulfilled",
    "orders/updated",
    "refunds/create",
)
COMPLIANCE_TOPICS = ("customers/data_request", "customers/redact", "shop/redact")
#: What a merchant may switch on for one shop.
SHOP_TOPICS = ("checkouts/delete", "order_transactions/create", "orders/edited")
#: The right without which a topic cannot be; all others need none.
_SCOPE_OF = {"fulfillments": "read_fulfillments", "app": "", "customers": "", "shop": ""}


@dataclass(frozen=True, slots=True)
class Subscription:
    """One that was made in the shop, by us."""

    id: str
    topic: str  #: ``orders/create``
    uri: str


_LIST = """
query Subscriptions($after: String) {
  webhookSubscriptions(first: 100, after: $after) {
    nodes { id topic uri }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_CREATE = """
mutation Subscribe($topic: WebhookSubscriptionTopic!, $webhookSubscription: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $webhookSubscription) {
    webhookSubscription { id }
    userErrors { field message }
  }
}
"""
_DELETE = """
mutation Unsubscribe($id: ID!) {
  webhookSubscriptionDelete(id: $id) {
    deletedWebhookSubscriptionId
    userErrors { field message }
  }
}
"""
_MOST_PAGES = 10


def needed_scope(topic: str) -> str:
    """The scope that ``topic`` needs; empty for none. Source: shopify.dev/docs/api/webhooks"""
    return _SCOPE_OF.get(topic.partition("/")[0], "read_orders")


def enum(topic: str) -> str:
    """``orders/create`` as GraphQL writes it: ``ORDERS_CREATE``."""
    return topic.replace("/", "_").upper()


_TOPIC_OF: Mapping[str, str] = {enum(topic): topic for topic in (*APP_TOPICS, *SHOP_TOPICS)}


def list_subscriptions(admin: Admin) -> list[Subscription]:
    """The subscriptions of our app that were made in this shop; never those of shopify.app.toml."""
    found: list[Subscription] = []
    after: str | None = None
    for _ in range(_MOST_PAGES):
        page = admin.ask(_LIST, {"after": after}).get("webhookSubscriptions")
        try:
            found += [_subscription(node) for node in page["nodes"]]  # type: ignore[index]
            if not page["pageInfo"]["hasNextPage"]:  # type: ignore[index]
                return found
            after = page["pageInfo"]["endCursor"]  # type: ignore[index]
        except (KeyError, TypeError):
            raise AdminAnswer("the list of subscriptions is not what Shopify documents") from None
    raise AdminAnswer(f"more than {_MOST_PAGES * 100} subscriptions")


def _subscription(node: Mapping[str, Any]) -> Subscription:
    return Subscription(str(node["id"]), _TOPIC_OF.get(node["topic"], str(node["topic"])), str(node["uri"]))


def subscribe(admin: Admin, topic: str, uri: str) -> list[str]:
    """Make a subscription in the shop; return why not, if so."""
    given = {"topic": enum(topic), "webhookSubscription": {"uri": uri, "format": "JSON"}}
    return user_errors(admin.ask(_CREATE, given).get("webhookSubscriptionCreate"))


def unsubscribe(admin: Admin, subscription: Subscription) -> list[str]:
    """Delete a subscription of the shop; return why not, if so."""
    return user_errors(admin.ask(_DELETE, {"id": subscription.id}).get("webhookSubscriptionDelete"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change in a shop."""

    missing: tuple[str, ...]  #: topics to subscribe to
    twins: tuple[Subscription, ...]  #: ours, and one too many
    old: tuple[Subscription, ...]  #: ours, to an address that we had before


def compare(found: Sequence[Subscription], wanted: Collection[str], uri: str) -> Plan:
    """What to make and what to remove.

    Shopify lists an app its own subscriptions alone, so what leads to our path at another address was made by us when
    we had that address. What leads elsewhere (a queue, another path) was made by the operator's hand and is left alone.

    Args:
        wanted: topics that this shop wants of its own.
        uri: where our webhooks arrive.
    """
    ours = [each for each in found if each.uri == uri]
    kept: set[str] = set()
    twins = []
    for each in ours:
        if each.topic in wanted and each.topic not in kept:
            kept.add(each.topic)
        else:
            twins.append(each)
    old = tuple(each for each in found if each.uri != uri and _is_ours(each.uri))
    return Plan(tuple(sorted(set(wanted) - kept)), tuple(twins), old)


def _is_ours(uri: str) -> bool:
    address = urlsplit(uri)
    return address.scheme in ("https", "http") and address.path.endswith(PATH) and not address.query
