"""WooCommerce as a `Connector`: which topic means what."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.base import Names
from connectors.events import CartSeen, ChoreKind, Kind, Nothing, Observation, OrderGone, OrderSeen, Seen, StoreTrouble
from connectors.reading import Reader, parse
from connectors.woocommerce.cart import read_cart
from connectors.woocommerce.normalize import read_order

_KINDS = {
    "order.created": Kind.PLACED,
    "order.updated": Kind.UPDATED,
    "order.restored": Kind.RESTORED,
    "order.deleted": Kind.DELETED,
    "cart.updated": Kind.CART_UPDATED,
}
_CONNECTION_LOST = frozenset({401, 403})
#: Hooks whose first argument is an order's id (source: the hooks' ``do_action`` calls).
_ORDER_HOOKS = re.compile(
    r"woocommerce_(order_status_\w+|order_(fully_|partially_)?refunded|(new|update)_order|(pre_)?payment_complete"
    r"|checkout_order_processed|thankyou)"
)


class WooCommerce:
    """Reads proven webhooks of WooCommerce. The webhook's token names the shop, so bodies claim nothing."""

    name = "woocommerce"
    tells_refund_lines = False

    def kind(self, topic: str) -> str | None:
        """See `Connector.kind`; WooCommerce has no topic for a payment or a refund."""
        return _KINDS.get(topic)

    def uses(self, topic: str) -> bool:
        """See `Connector.uses`; what concerns orders and carts, also where it only says that something happened."""
        return topic.startswith(("order.", "cart.", "action."))

    def chore(self, topic: str) -> ChoreKind | None:
        """See `Connector.chore`; WooCommerce's webhooks are about its content alone."""
        return None

    def observe(self, topic: str, headers: Mapping[str, str], body: bytes, names: Names) -> Observation:
        """See `Connector.observe`."""
        content = parse(body)
        return Observation(seen=read_trouble(content) or _read(topic, content, names))


def _read(topic: str, body: Reader, names: Names) -> Seen:
    match _KINDS.get(topic):
        case Kind.DELETED:
            return OrderGone(order_id=body["id"].id())
        case Kind.CART_UPDATED:
            return CartSeen(cart=read_cart(body, names))
        case None:
            return _read_action(topic, body) if topic.startswith("action.") else _unused(topic)
        case _:
            return OrderSeen(order=read_order(body, names), restored=topic == "order.restored")


def read_trouble(body: Reader) -> StoreTrouble | None:
    """The error that a store signs and delivers in place of a content that it could not read for itself.

    It does so where the webhook's owner lost the right to see orders (401, 403) or the order is gone (404). Source:
    WC_Webhook::build_payload takes the REST answer whatever it is; github.com/woocommerce/woocommerce/issues/37806.
    """
    if not isinstance(body.value, dict) or not isinstance(body.value.get("code"), str) or "id" in body.value:
        return None
    if "message" not in body.value:
        return None
    data = body.value.get("data")
    status = data.get("status") if isinstance(data, dict) else None
    status = status if isinstance(status, int) and not isinstance(status, bool) else None
    return StoreTrouble(code=body["code"].text_or_none() or "", status=status, connection=status in _CONNECTION_LOST)


def _read_action(topic: str, body: Reader) -> Nothing:
    hook = topic.removeprefix("action.")
    if _ORDER_HOOKS.fullmatch(hook):
        reason = "The order itself arrives with order.created or order.updated."
        return Nothing(reason=reason, order_id=body["arg"].id_or_none())
    if hook == "woocommerce_add_to_cart":
        return Nothing(reason="It names a product's place in a cart, not the cart, its contents or the shopper.")
    return Nothing(reason="Actions carry one argument and no content; nothing here is sent on because of one.")


def _unused(topic: str) -> Nothing:
    resource = topic.partition(".")[0]
    if resource in ("product", "coupon", "customer"):
        return Nothing(reason=f"Nothing is sent on about a {resource} by itself.")
    return Nothing(reason="This topic is not known here.")
