"""What the simulated Shopify reads from an app's TOML file, and the bodies of webhooks that are about no order.

Sources: shopify.dev/docs/apps/build/cli-for-apps/app-configuration, shopify.dev/docs/api/webhooks,
shopify.dev/docs/apps/build/compliance/privacy-law-compliance.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from app.simulators.shopify_state import JSON, Shop


def read_app_toml(text: str) -> JSON:
    """What the platform takes from a ``shopify.app.toml``: scopes, redirect URLs, subscriptions and their version."""
    document = tomllib.loads(text)
    scopes, hooks = document.get("access_scopes", {}), document.get("webhooks", {})
    named = [*scopes.get("scopes", "").split(","), *scopes.get("required_scopes", ())]
    return {
        "scopes": [each.strip() for each in named if each.strip()],
        "redirect_urls": document.get("auth", {}).get("redirect_urls", []),
        "subscriptions": hooks.get("subscriptions", []),
        "api_version": hooks["api_version"],
    }


def data_request(shop: Shop, customer: JSON, orders: Sequence[int], number: int) -> JSON:
    """``customers/data_request``: the shop has 30 days to give the customer what is stored."""
    head = {"shop_id": shop.id, "shop_domain": shop.domain}
    return {**head, "customer": customer, "orders_requested": list(orders), "data_request": {"id": number}}


def customer_redaction(shop: Shop, customer: JSON, orders: Sequence[int]) -> JSON:
    head = {"shop_id": shop.id, "shop_domain": shop.domain}
    return {**head, "customer": customer, "orders_to_redact": list(orders)}


def shop_resource(shop: Shop) -> JSON:
    """What ``app/uninstalled`` carries. The sample that Shopify shows has no domain in it, so this has none either."""
    return {
        "id": shop.id,
        "name": shop.name,
        "email": shop.email,
        "domain": None,
        "myshopify_domain": None,
        "province": None,
        "country": "DK",
        "currency": shop.currency,
        "iana_timezone": shop.timezone,
        "plan_name": shop.plan,
        "plan_display_name": shop.plan.title(),
        "money_format": "{{amount}}",
        "taxes_included": True,
    }
