"""Shopify as a `Connector`: which topic means what."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping

from connectors.base import Names
from connectors.events import (
    PRIVACY,
    CartSeen,
    CheckoutSeen,
    Chore,
    ChoreKind,
    Claim,
    FulfilmentSeen,
    Kind,
    Nothing,
    Observation,
    OrderGone,
    OrderSeen,
    Seen,
)
from connectors.reading import Reader, parse
from connectors.shopify.carts import read_cart, read_checkout
from connectors.shopify.fulfilments import read_fulfilment
from connectors.shopify.normalize import read_order
from connectors.shopify.payment import paid_at
from connectors.shopify.refunds import read_lone_refund

#: The whole order, whatever the topic.
_ORDERS = {
    "orders/create": Kind.PLACED,
    "orders/paid": Kind.PAID,
    "orders/updated": Kind.UPDATED,
    "orders/cancelled": Kind.CANCELLED,
    "orders/fulfilled": Kind.FULFILLED,
    "orders/partially_fulfilled": Kind.UPDATED,
}
_KINDS = _ORDERS | {
    "orders/edited": Kind.UPDATED,
    "order_transactions/create": Kind.UPDATED,
    "orders/delete": Kind.DELETED,
    "refunds/create": Kind.REFUNDED,
    "fulfillments/create": Kind.FULFILLED,
    "fulfillments/update": Kind.FULFILLED,
    "carts/create": Kind.CART_UPDATED,
    "carts/update": Kind.CART_UPDATED,
    "checkouts/create": Kind.CHECKOUT_STARTED,
    "checkouts/update": Kind.CHECKOUT_STARTED,
}
_CHORES = {
    "app/uninstalled": ChoreKind.UNINSTALLED,
    "app/scopes_update": ChoreKind.SCOPES_CHANGED,
    "customers/data_request": ChoreKind.DATA_REQUEST,
    "customers/redact": ChoreKind.ERASE_CUSTOMER,
    "shop/redact": ChoreKind.ERASE_SHOP,
}
_CHECKOUT_GONE = "checkouts/delete"
_USED = frozenset(_KINDS) | frozenset(_CHORES) | {_CHECKOUT_GONE}
#: What the bodies of these topics are, as their ``admin_graphql_api_id`` names it.
_RESOURCES = {"orders": "an Order", "refunds": "a Refund", "fulfillments": "a Fulfillment"}
_SHOP = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com", re.ASCII)
_STATUS_URL = re.compile(r"https?://[^/]+/([0-9]{1,20})/orders/", re.ASCII)


class Shopify:
    """Reads proven webhooks of Shopify."""

    name = "shopify"
    tells_refund_lines = True

    def kind(self, topic: str) -> str | None:
        """See `Connector.kind`."""
        return _KINDS.get(topic)

    def uses(self, topic: str) -> bool:
        """Whether anything here makes use of ``topic``, so that its webhooks are worth keeping."""
        return topic in _USED

    def chore(self, topic: str) -> ChoreKind | None:
        """See `Connector.chore`."""
        return _CHORES.get(topic)

    def observe(self, topic: str, headers: Mapping[str, str], body: bytes, names: Names) -> Observation:
        """See `Connector.observe`."""
        content = parse(body)
        # The secret that proves webhooks signs ID tokens and pages' queries as well, and anybody may add names and
        # values to a query. Written as it is signed it may be JSON after a space, but never begins with a brace.
        if not isinstance(content.value, dict) or not body.removeprefix(BOM_UTF8).startswith(b"{"):
            raise content.wrong("an object")
        _check_resource(topic, content)
        return Observation(seen=_read(topic, content, names), claim=_claim(topic, content))


def _read(topic: str, body: Reader, names: Names) -> Seen:
    if topic in _ORDERS:
        order = read_order(body, names)
        return _hidden(body) or OrderSeen(order=order, paid_at=paid_at(topic, body, order))
    match topic:
        case "orders/delete":
            return OrderGone(order_id=body["id"].id())
        case "orders/edited":
            return _told_elsewhere(body["order_edit"]["order_id"].id_or_none() or body["order_id"].id_or_none())
        case "order_transactions/create":
            return _told_elsewhere(body["order_id"].id_or_none())
        case "refunds/create":
            return read_lone_refund(body["order_id"].id(), body)
        case "fulfillments/create" | "fulfillments/update":
            return FulfilmentSeen(order_id=body["order_id"].id(), fulfilment=read_fulfilment(body))
        case "carts/create" | "carts/update":
            return CartSeen(cart=read_cart(body, names))
        case "checkouts/create" | "checkouts/update":
            return CheckoutSeen(checkout=read_checkout(body, names))
        case "checkouts/delete":
            return Nothing(reason="A checkout that is gone tells nobody anything.")
    kind = _CHORES.get(topic)
    return Chore(name=topic, kind=kind) if kind else Nothing(reason="This topic is not known here.")


def _check_resource(topic: str, body: Reader) -> None:
    """The topic is a header that nobody signed: a body that names itself another kind of thing is not read as this."""
    wanted, named = _RESOURCES.get(topic.partition("/")[0]), body["admin_graphql_api_id"]
    text = named.text_or_none() if wanted else None
    if wanted and text and not text.startswith(f"gid://shopify/{wanted.rpartition(' ')[2]}/"):
        raise named.wrong(f"the id of {wanted}")


def _hidden(body: Reader) -> Nothing | None:
    """An order that we asked for and saw in part: as a guest's order, or with other ids, it would be another one."""
    scopes = [name for each in body["hidden_by"].items() if (name := each.text_or_none())]
    if not scopes:
        return None
    reason = f"hidden in part, because the store has not granted {' and '.join(scopes)}; its own webhook tells it whole"
    return Nothing(reason=reason, order_id=body["id"].id(), waits=True)


def _told_elsewhere(order_id: str | None) -> Nothing:
    return Nothing(reason="The order's new state arrives with orders/updated.", order_id=order_id)


def _claim(topic: str, body: Reader) -> Claim:
    """The shop that the body names: headers are not signed, bodies are.

    An order names it in the path of its status page alone, as a number, behind a host that the merchant may choose.
    """
    kind = _CHORES.get(topic)
    if kind in PRIVACY:
        domain = (body.text_at("shop_domain") or "").lower()
        return Claim(
            domain=domain if _SHOP.fullmatch(domain) else None,
            shop_id=body["shop_id"].id_or_none(),
        )
    if kind == ChoreKind.UNINSTALLED:
        return Claim(shop_id=body["id"].id_or_none())
    if topic in _ORDERS:
        found = _STATUS_URL.match(body.text_at("order_status_url") or "")
        return Claim(shop_id=found[1] if found else None)
    return Claim()
