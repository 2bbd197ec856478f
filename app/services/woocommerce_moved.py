"""A store that moved to another address stays the shop that it was, with its orders, settings and deliveries.

As another shop it would report every order twice: its webhooks move along with its database, and go on to arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Endpoint, Membership, Shop
from app.services import configure
from app.services.stores import Stores, explorer, store_at
from app.services.woocommerce_hooks import token_of
from connectors.woocommerce.answers import StoreError
from connectors.woocommerce.discovery import NoStore


def moved_here(stores: Stores, url: str, keys: Mapping[str, Any], auth: str, account_id: int) -> int | None:
    """The account's shop whose store answers at ``url`` now; None where there is none, or ``url`` is a shop's already.

    Two things must agree: the store holds webhooks with tokens of that shop, and the shop's old address sends everybody
    on to the new one. A copy of a store, made for trials, holds the tokens too, but what it was copied from still
    answers for itself. Raises `StoreError` where the store does not show its webhooks now.
    """
    with stores.db.read() as session:
        if configure.shop_at(session, url) is not None:
            return None
    with store_at(stores, url, keys, auth) as store:
        tokens = {token for hook in store.webhooks() if (token := token_of(hook))}
    with stores.db.read() as session:
        shops = _shops_of(session, tokens, account_id)
    return next((shop_id for shop_id, old in shops.items() if _leads_to(stores, old, url)), None)


def _shops_of(session: Session, tokens: set[str], account_id: int) -> dict[int, str]:
    wanted = (
        select(Shop.id, Shop.url)
        .join(Endpoint, Endpoint.shop_id == Shop.id)
        .join(Membership, Membership.shop_id == Shop.id)
        .where(Endpoint.token.in_(tokens), Membership.account_id == account_id, Shop.removed_at.is_(None))
    )
    return {shop_id: url for shop_id, url in session.execute(wanted) if url}


def _leads_to(stores: Stores, old: str, new: str) -> bool:
    try:
        with explorer(stores) as look:
            return look.find(old).url == new
    except NoStore as error:
        return error.address is not None and urlsplit(error.address)[:2] == urlsplit(new)[:2]
    except StoreError:
        return False
