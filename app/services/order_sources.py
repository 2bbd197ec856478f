"""How each platform is asked for its orders, and what its refusals mean for a merchant."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import datetime, timedelta

from app.models import Connection, Shop
from app.services.agreement import Facts, Source
from app.services.errors import Failed
from app.services.said import mark
from app.services.secrets import Locked
from app.services.shopify_tokens import Tokens
from app.services.stores import Stores, open_store
from connectors.base import Fetched
from connectors.errors import Unreadable
from connectors.shopify import orders as shopify
from connectors.shopify.admin import AdminError, AdminForbidden, AdminUnauthorized, AdminUnavailable
from connectors.shopify.order_query import Allowed
from connectors.shopify.order_shape import fill
from connectors.woocommerce import orders as woocommerce
from connectors.woocommerce.answers import StoreError, StoreUnauthorized, StoreUnavailable

SHOPIFY_OVERLAP = timedelta(minutes=5)  #: what changed last may not be found by a search yet
WOOCOMMERCE_OVERLAP = timedelta(minutes=2)
_SAFE = mark("Nothing is lost: what is missing is fetched later.")


def of_shopify(tokens: Tokens, shop: Shop, connection: Connection) -> Source:
    """The orders of a connected Shopify shop; no session may be open."""
    scopes = {scope.removeprefix("write_") for scope in connection.scopes if scope.startswith("write_")}
    scopes |= {scope.removeprefix("read_") for scope in connection.scopes}
    allowed = Allowed(customer="customers" in scopes, products="products" in scopes)

    def fetch(since: datetime) -> Generator[list[Fetched], None, None]:
        try:
            yield from shopify.fetch(tokens.admin(shop.id), since, allowed)
        except AdminError as error:
            raise Failed(f"{_shopify_remedy(error)} {_SAFE}") from None

    reach = None if "all_orders" in scopes else shopify.REACH
    hides = bool(allowed.wanting)
    return Source(fetch=fetch, whole=False, overlap=SHOPIFY_OVERLAP, reach=reach, fill=_fill, partial=hides)


def of_woocommerce(stores: Stores, shop: Shop, connection: Connection) -> Source:
    """The orders of a connected WooCommerce store; no session may be open."""

    def fetch(since: datetime) -> Generator[list[Fetched], None, None]:
        try:
            with open_store(stores.vault, connection, shop, allow_private=stores.allow_private) as store:
                yield from woocommerce.fetch(store, since)
        except (StoreError, Unreadable) as error:
            raise Failed(f"{_store_remedy(error)} {_SAFE}") from None
        except Locked as error:
            raise Failed(str(error)) from None

    return Source(fetch=fetch, whole=True, overlap=WOOCOMMERCE_OVERLAP)


def _fill(body: bytes, known: Facts) -> bytes:
    return json.dumps(fill(json.loads(body), known), ensure_ascii=False, separators=(",", ":")).encode()


def _shopify_remedy(error: AdminError) -> str:
    match error:
        case AdminUnauthorized():
            return mark("Shopify does not take the app's token: open Tillwire in the Shopify admin once.")
        case AdminForbidden():
            return mark(
                "Shopify refuses calls from this server: its address must be on the app's list of allowed addresses."
            )
        case AdminUnavailable():
            return mark("Shopify did not answer ({error}): it is tried again within the hour.").format(error=error)
    return mark(
        "Shopify did not tell the orders ({error}): check the app's scopes and its approval for customer data."
    ).format(error=error)


def _store_remedy(error: Exception) -> str:
    match error:
        case StoreUnauthorized():
            return mark(
                "The store does not take the keys ({error}): connect the store again as an administrator."
            ).format(error=error)
        case StoreUnavailable():
            return mark("The store did not answer ({error}): it is tried again within the hour.").format(error=error)
    return mark("The store did not tell its orders ({error}): check its address and what stands before it.").format(
        error=error
    )
