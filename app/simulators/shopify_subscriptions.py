"""Webhook subscriptions made through the Admin API: for one shop, with its token, and gone with its install.

Source: shopify.dev/docs/api/admin-graphql (webhookSubscriptionCreate, -Update, -Delete, webhookSubscriptions).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from app.simulators.shopify_state import JSON, Shop, State, Subscription
from app.simulators.shopify_webhooks import NAME, protected, scope_for

INPUT = "webhookSubscription"


def complaint(message: str, *field: str) -> list[JSON]:
    return [{"field": list(field) or [INPUT], "message": message}]


class Subscriptions:
    def __init__(self, state: State) -> None:
        self.state = state

    def of(self, shop: Shop) -> list[Subscription]:
        """A shop's own; those that the app declares for all shops do not show."""
        return [each for each in self.state.subscriptions.values() if each.shop == shop.domain]

    def find(self, shop: Shop, gid: str) -> Subscription | None:
        return next((each for each in self.of(shop) if each.gid == gid), None)

    def create(
        self, shop: Shop, topic: str, given: JSON, version: str, path: str
    ) -> tuple[Subscription | None, list[JSON]]:
        uri, errors = self._uri(shop, given, path)
        errors = errors or self._topic_errors(shop, topic) or self._twin(shop, topic, uri, given.get("filter"), None)
        if errors:
            return None, errors
        made = Subscription(
            id=next(self.state.numbers),
            topic=topic,
            uri=uri,
            api_version=version,
            created_at=self.state.clock(),
            shop=shop.domain,
            filter=given.get("filter") or None,
            include_fields=tuple(given.get("includeFields") or ()),
            name=given.get("name"),
        )
        self.state.subscriptions[made.id] = made
        return made, []

    def update(self, shop: Shop, gid: str, given: JSON, path: str) -> tuple[Subscription | None, list[JSON]]:
        found = self.find(shop, gid)
        if found is None:
            return None, complaint("Webhook subscription does not exist", "id")
        uri, errors = self._uri(shop, {"uri": found.uri, **given}, path)
        query = given["filter"] or None if "filter" in given else found.filter
        errors = errors or self._twin(shop, found.topic, uri, query, found.id)
        if errors:
            return None, errors
        found.uri, found.filter = uri, query
        if "includeFields" in given:
            found.include_fields = tuple(given["includeFields"] or ())
        found.name = given.get("name", found.name)
        return found, []

    def delete(self, shop: Shop, gid: str) -> tuple[str | None, list[JSON]]:
        found = self.find(shop, gid)
        if found is None:
            return None, complaint("Webhook subscription does not exist", "id")
        del self.state.subscriptions[found.id]
        return gid, []

    # What is turned down

    def _uri(self, shop: Shop, given: JSON, path: str) -> tuple[str, list[JSON]]:
        if given.get("callbackUrl") is not None:
            self.state.breach("the deprecated callbackUrl was used", shop=shop.domain, path=path)
        uri = given.get("callbackUrl") or given.get("uri") or ""
        parts = urlsplit(uri)
        if parts.path.endswith("/"):
            self.state.breach("a subscription's uri ends with a slash", shop=shop.domain, path=path)
        ours = uri.startswith(self.state.app_url + "/")
        if parts.scheme in ("pubsub", "arn"):
            return uri, complaint("this simulator delivers over HTTPS only", INPUT, "uri")
        if not parts.netloc or (parts.scheme != "https" and not ours):
            return uri, complaint("Address is invalid", INPUT, "uri")
        name = given.get("name")
        if name is not None and not NAME.fullmatch(name):
            return uri, complaint("Name has characters that are not allowed", INPUT, "name")
        return uri, []

    def _topic_errors(self, shop: Shop, topic: str) -> list[JSON]:
        scope = scope_for(topic)
        if scope and not shop.may(scope):
            said = f"Access denied. The {scope} access scope is needed to subscribe to {topic}."
            return complaint(said, "topic")
        if protected(topic) and shop.approved is None:
            return complaint(
                "This app is not approved to subscribe to webhook topics containing protected customer data. "
                "See https://shopify.dev/docs/apps/launch/protected-customer-data for more details."
            )
        return []

    def _twin(self, shop: Shop, topic: str, uri: str, query: str | None, number: int | None) -> list[JSON]:
        for each in self.of(shop):
            same = (each.topic, each.uri, each.filter or None) == (topic, uri, query or None)
            if same and each.id != number:
                return complaint("Address for this topic has already been taken", INPUT, "callbackUrl")
        return []
