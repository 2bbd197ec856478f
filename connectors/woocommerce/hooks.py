"""A store's own list of webhooks, as its REST API shows it.

Source: developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/, and the plugin's public source
(includes/rest-api/Controllers/Version1/class-wc-rest-webhooks-v1-controller.php). The answer shows neither the secret
nor how many deliveries failed in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.reading import Reader

ACTIVE, PAUSED, DISABLED = "active", "paused", "disabled"
#: Always there. WooCommerce has no topic for a payment or a refund: both are changes of an order.
ORDER_TOPICS = ("order.created", "order.updated", "order.deleted", "order.restored")
#: Only where our WordPress plugin adds it.
CART_TOPIC = "cart.updated"
#: The 400 for a topic that the store does not know.
NO_SUCH_TOPIC = "woocommerce_rest_shop_webhook_invalid_topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One webhook in a store."""

    id: str
    topic: str | None  #: None where it was made with a topic in capitals: such a one never fires
    status: str  #: ``active``; ``paused`` by a person; ``disabled`` by the store after failures, or by a person
    delivery_url: str


def read_hook(hook: Reader) -> Hook:
    return Hook(
        id=hook["id"].id(),
        topic=hook["topic"].text_or_none(),
        status=hook["status"].text(),
        delivery_url=hook["delivery_url"].text_or_none() or "",
    )
