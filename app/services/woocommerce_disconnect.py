"""Let a WooCommerce store go: our webhooks are deleted there, the keys here.

What was asked for counts from the first commit on, also if the process dies or the store does not answer: `end_due`
takes up what was left. Keys stay until the store's webhooks are deleted or could not be, and are dropped then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.models import Connection, ConnectionState, Endpoint, Shop
from app.services import audit, link_keys
from app.services.errors import NotFound
from app.services.said import mark
from app.services.secrets import Locked
from app.services.stores import Stores, store_at
from app.services.woocommerce_check import LEASE, PLATFORM
from app.services.woocommerce_hooks import ours
from connectors.woocommerce.answers import StoreAnswer, StoreError, StoreUnauthorized
from connectors.woocommerce.client import BASIC

log = logging.getLogger(__name__)

_REVOKE = mark(
    "Tillwire has forgotten its key. To revoke it in your store as well, open WooCommerce >"
    " Settings > Advanced > REST API and delete the keys whose description begins with"
    " Tillwire."
)
_DELETED = mark("Its webhooks to Tillwire are deleted.")
_LEFT = mark(
    "Your store did not let Tillwire delete its webhooks. Delete those whose name begins with"
    " Tillwire under WooCommerce > Settings > Advanced > Webhooks."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """What the merchant is told."""

    text: str  #: what was done, and what is left to do in the store
    page: str  #: of the store's admin, where keys are revoked


def disconnect(stores: Stores, shop_id: int, actor: str, now: datetime) -> Farewell:
    """End the connection, whether the store can be reached or not. What was received stays.

    Raises:
        NotFound: there is nothing to disconnect.
    """
    with stores.db.write() as session:
        connection, shop = session.get(Connection, shop_id, with_for_update=True), session.get(Shop, shop_id)
        if connection is None or shop is None or shop.platform != PLATFORM:
            raise NotFound("this store is not connected")
        before = connection.state
        if before != ConnectionState.ENDED:
            _end(session, connection, now)
            audit.record(
                session,
                shop_id=shop_id,
                actor=actor,
                action="disconnect store",
                before={"state": before},
                after={"state": str(ConnectionState.ENDED), "keys": "not set"},
            )
    if connection.secrets:
        _leave(stores, shop, connection)
    return _farewell(stores, shop)


def end_due(stores: Stores, now: datetime) -> int:
    """Finish what a process that died has begun; return how many were taken up."""
    stale = or_(Connection.refreshing_until.is_(None), Connection.refreshing_until < now)
    wanted = (
        (Connection.state == ConnectionState.ENDED)
        & Connection.secrets.is_not(None)
        & Connection.shop_id.in_(select(Shop.id).where(Shop.platform == PLATFORM))
        & stale
    )
    with stores.db.read() as session:
        left = session.scalars(select(Connection).where(wanted)).all()
        found = [(session.get_one(Shop, each.shop_id), each) for each in left]
    for shop, connection in found:
        _leave(stores, shop, connection)
    return len(found)


def _end(session: Session, connection: Connection, now: datetime) -> None:
    connection.state, connection.ended_at, connection.trouble = ConnectionState.ENDED, now, None
    connection.check_at = connection.reconcile_at = None
    connection.refreshing_until = now + LEASE  # for `end_due`: somebody is at it
    session.execute(
        update(Endpoint)
        .where(Endpoint.shop_id == connection.shop_id, Endpoint.retired_at.is_(None))
        .values(retired_at=now)
        .execution_options(synchronize_session=False)
    )
    link_keys.drop_keys(session, connection.shop_id)


def _leave(stores: Stores, shop: Shop, connection: Connection) -> None:
    try:
        _delete_webhooks(stores, shop, stores.vault.open(connection.secrets), connection.auth or BASIC)
        left = _DELETED
    except (StoreError, Locked) as error:
        log.info("webhooks of shop %d are left in its store: %s", shop.id, error, extra={"shop": shop.id})
        left = _LEFT
    with stores.db.write() as session:
        # Not if it was connected anew in the meantime.
        session.execute(
            update(Connection)
            .where(
                Connection.shop_id == shop.id,
                Connection.state == ConnectionState.ENDED,
                Connection.generation == connection.generation,
            )
            .values(secrets=None, auth=None, refreshing_until=None, trouble=f"{left} {_REVOKE}")
            .execution_options(synchronize_session=False)
        )


def _delete_webhooks(stores: Stores, shop: Shop, keys: Mapping[str, Any], auth: str) -> None:
    """Delete ours, at whatever address we had; one that cannot be deleted does not keep the others."""
    refused: StoreError | None = None
    with store_at(stores, shop.url or "", keys, auth) as store:
        for hook, _ in ours(stores, shop.id, store.webhooks()):
            try:
                store.delete_webhook(hook.id)
            except (StoreAnswer, StoreUnauthorized) as error:
                refused = error
    if refused:
        raise refused


def _farewell(stores: Stores, shop: Shop) -> Farewell:
    with stores.db.read() as session:
        told = session.scalar(select(Connection.trouble).where(Connection.shop_id == shop.id))
    return Farewell(
        text=f"The store is disconnected. {told or _REVOKE}",
        page=f"{shop.url}/wp-admin/admin.php?page=wc-settings&tab=advanced&section=keys",
    )
