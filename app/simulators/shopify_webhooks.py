"""The simulated Shopify's webhooks: who is subscribed to what, and how deliveries are signed, retried and lost.

Sources: shopify.dev/docs/apps/build/webhooks (subscribe, verify-deliveries, delivery-filtering, troubleshoot),
shopify.dev/changelog/updates-to-webhook-retry-mechanism. The gaps between the eight retries are not published, only
that they grow and come to four hours.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import requests

from app.simulators.shopify_schema import COMPLIANCE, TOPICS
from app.simulators.shopify_shop import encode
from app.simulators.shopify_state import JSON, Shop, State, Subscription, redacted
from app.simulators.story import sign

RETRY_GAPS = (60, 120, 300, 600, 1200, 2400, 3600, 6000)  # seconds
TIMEOUT = (1.0, 5.0)  # seconds to connect, to answer
MOST_FAILURES = 8  #: in a row; then a subscription made through the API is deleted
SCOPES = {
    **dict.fromkeys(("orders", "refunds", "carts", "checkouts", "order_transactions"), "read_orders"),
    **{"fulfillments": "read_fulfillments", "customers": "read_customers", "products": "read_products"},
}
PROTECTED = ("orders", "refunds", "carts", "checkouts", "order_transactions", "fulfillments", "customers")
NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")


@dataclass(slots=True)
class Delivery:
    """One webhook on its way to one subscription."""

    id: str  #: the same for every attempt
    event_id: str
    shop: Shop
    subscription: Subscription
    topic: str
    body: bytes
    triggered_at: float
    due: float
    names_shop: bool = True  #: compliance deliveries have come without X-Shopify-Shop-Domain
    attempts: list[str] = field(default_factory=list)  #: status, or the name of the error


def scope_for(topic: str) -> str | None:
    return SCOPES.get(topic.partition("/")[0])


def protected(topic: str) -> bool:
    return topic not in COMPLIANCE and topic.startswith(tuple(f"{each}/" for each in PROTECTED))


def trimmed(body: JSON, fields: Sequence[str]) -> JSON:
    """``body`` with nothing but ``fields``, which may name members by dots."""
    kept: JSON = {}
    for name in fields:
        first, _, rest = name.partition(".")
        if first not in body:
            continue
        value = body[first]
        if rest and isinstance(value, list):
            part: Any = [trimmed(each, [rest]) for each in value]
            merged = zip(kept.get(first) or [{}] * len(part), part, strict=True)
            kept[first] = [old | new for old, new in merged]
        elif rest and isinstance(value, Mapping):
            kept[first] = kept.get(first, {}) | trimmed(dict(value), [rest])
        else:
            kept[first] = value
    return kept


def passes(body: JSON, query: str | None) -> bool:
    """Whether ``body`` meets a filter of ``name:value`` terms joined by AND; ``*`` is any value."""
    for term in re.split(r"\s+AND\s+", query) if query else ():
        name, _, wanted = term.strip("() ").partition(":")
        value: Any = body
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        shown = "" if value is None else str(value).lower()
        if not (shown if wanted == "*" else shown == wanted.strip("'\"").lower()):
            return False
    return True


class Webhooks:
    """All subscriptions of the app, and what is under way to them."""

    def __init__(self, state: State, routes: Mapping[str, str]) -> None:
        """
        Args:
            routes: where addresses with these beginnings are really served, in a test.
        """
        self.state = state
        self.routes = routes
        self.waiting: list[Delivery] = []
        self.done: list[Delivery] = []
        self.lost: list[Delivery] = []
        self.given_up: list[Delivery] = []
        self.to_lose = 0
        self.session = requests.Session()
        self.session.trust_env = False

    # Subscriptions

    def declare(self, subscriptions: Iterable[Mapping[str, Any]], api_version: str) -> None:
        """Take the app's own subscriptions, as in ``[[webhooks.subscriptions]]``, in place of those before.

        Raises:
            ValueError: the command line would refuse to deploy this.
        """
        listed = list(self._declared(subscriptions, api_version))
        triples = [(each.topic, each.uri, each.filter) for each in listed]
        if len(set(triples)) < len(triples):
            raise ValueError("topic, uri and filter of a subscription must be unique together")
        compliance = [each.topic for each in listed if each.topic in COMPLIANCE]
        if len(set(compliance)) < len(compliance):
            raise ValueError("a compliance topic may appear once")
        state = self.state
        with state.lock:
            kept = {number: each for number, each in state.subscriptions.items() if each.shop}
            state.subscriptions = kept | {each.id: each for each in listed}

    def _declared(self, subscriptions: Iterable[Mapping[str, Any]], api_version: str) -> Iterator[Subscription]:
        for given in subscriptions:
            topics = [*given.get("topics", ()), *given.get("compliance_topics", ())]
            unknown = set(given.get("topics", ())) - set(TOPICS) | set(given.get("compliance_topics", ())) - {
                *COMPLIANCE
            }
            if not topics or unknown:
                raise ValueError(f"a subscription needs topics that exist: {sorted(unknown)}")
            name = given.get("name")
            if name is not None and not NAME.fullmatch(name):
                raise ValueError(f"a subscription's name is made of letters, digits, - and _: {name}")
            if given["uri"].endswith("/"):
                self.state.breach(f"a declared subscription's uri ends with a slash: {given['uri']}")
            uri = given["uri"].rstrip("/")
            for topic in topics:
                yield Subscription(
                    id=next(self.state.numbers),
                    topic=topic,
                    uri=self.state.app_url + uri if uri.startswith("/") else uri,
                    api_version=api_version,
                    created_at=self.state.clock(),
                    filter=given.get("filter"),
                    include_fields=tuple(given.get("include_fields", ())),
                    name=name,
                )

    def subscribed(self, shop: Shop, topic: str) -> list[Subscription]:
        """To whom ``topic`` goes. What the app may not read goes to nobody."""
        scope = scope_for(topic) if topic not in COMPLIANCE else None
        if (scope and not shop.may(scope)) or (protected(topic) and shop.approved is None):
            return []
        return [
            each
            for each in self.state.subscriptions.values()
            if each.topic == topic and each.shop in (None, shop.domain)
        ]

    # Queueing

    def queue(
        self, shop: Shop, topic: str, body: JSON, *, event: str = "", delay: float = 0, names_shop: bool = True
    ) -> None:
        """Queue ``topic`` for everyone who is subscribed; a shop without the app sends its last words alone."""
        last_words = topic in COMPLIANCE or topic == "app/uninstalled"
        if not shop.installed and not last_words:
            return
        event_id = event or str(uuid.uuid4())
        now = self.state.clock()
        shown = redacted(body, shop.approved) if protected(topic) and shop.approved is not None else body
        with self.state.lock:
            for each in self.subscribed(shop, topic):
                if not passes(shown, each.filter):
                    continue
                sent = encode(trimmed(shown, each.include_fields) if each.include_fields else shown)
                # A subscription may be gone by the time of a retry: what was triggered goes where it pointed then.
                made = Delivery(str(uuid.uuid4()), event_id, shop, replace(each), topic, sent, now + delay, now + delay)
                made.names_shop = names_shop
                self._enqueue(made)

    def _enqueue(self, delivery: Delivery) -> None:
        if self.to_lose:
            self.to_lose -= 1
            self.lost.append(delivery)
        else:
            self.waiting.append(delivery)

    def cancel(self, shop: Shop, topic: str) -> None:
        with self.state.lock:
            self.waiting = [each for each in self.waiting if (each.shop, each.topic) != (shop, topic)]

    # Sending

    def deliver_due(self) -> list[tuple[str, str]]:
        """Send what is due by the clock, in order; topic and answer of each."""
        now = self.state.clock()
        with self.state.lock:
            due = [each for each in self.waiting if each.due <= now]
            self.waiting = [each for each in self.waiting if each.due > now]
        return [(each.topic, self._send(each)) for each in due]

    def _send(self, delivery: Delivery) -> str:
        answer = self._post(delivery)
        delivery.attempts.append(answer)
        good = answer.startswith("2")
        if answer.startswith("3"):
            self.state.breach("a webhook was answered with a redirect", shop=delivery.shop.domain)
        self._count(delivery, good=good)
        if good:
            self.done.append(delivery)
        elif len(delivery.attempts) > len(RETRY_GAPS):
            self.given_up.append(delivery)
        else:
            delivery.due = self.state.clock() + RETRY_GAPS[len(delivery.attempts) - 1]
            with self.state.lock:
                self.waiting.append(delivery)
        return answer

    def _post(self, delivery: Delivery) -> str:
        try:
            with self.session.post(
                self._address(delivery.subscription.uri),
                data=delivery.body,
                headers=self.headers(delivery),
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as response:
                return str(response.status_code)
        except requests.RequestException as error:
            return type(error).__name__

    def _address(self, uri: str) -> str:
        for beginning, real in self.routes.items():
            if uri.startswith(beginning):
                return real + uri.removeprefix(beginning)
        return uri

    def headers(self, delivery: Delivery) -> dict[str, str]:
        moment = datetime.fromtimestamp(delivery.triggered_at, UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "Accept": "*/*",
            "X-Shopify-Topic": delivery.topic,
            "X-Shopify-Hmac-Sha256": sign(delivery.body, self.state.signing_secret()),
            "X-Shopify-API-Version": delivery.subscription.api_version,
            "X-Shopify-Webhook-Id": delivery.id,
            "X-Shopify-Event-Id": delivery.event_id,
            "X-Shopify-Triggered-At": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}000Z",
            "X-Shopify-Test": "false",
        }
        if delivery.names_shop:
            headers["X-Shopify-Shop-Domain"] = delivery.shop.domain
        if delivery.subscription.name:
            headers["X-Shopify-Name"] = delivery.subscription.name
        return headers

    def _count(self, delivery: Delivery, *, good: bool) -> None:
        """Keep the tally of failures in a row; only what was made through the API is ever deleted for them."""
        with self.state.lock:
            kept = self.state.subscriptions.get(delivery.subscription.id)
            if kept is None:
                return
            kept.failures = 0 if good else kept.failures + 1
            if kept.shop and kept.failures >= MOST_FAILURES:
                del self.state.subscriptions[kept.id]

    def close(self) -> None:
        self.session.close()
