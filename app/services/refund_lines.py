"""Which products a refund gave back, where only another question to the store tells it.

WooCommerce's webhooks show a refund's id, reason and total. Where the store is connected, its lines are asked for
before the order is accounted for, once for each set of refunds. The answer is kept as a webhook would be, so that the
same order read again needs no store. A store that does not answer within seconds holds nobody up: then the lines are
estimated from the amount, as for stores without keys, and told when the order changes the next time.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, undefer

from app.models import Connection, ConnectionState, Shop, Webhook, WebhookState
from app.services.account import Read
from app.services.errors import Failed
from app.services.packing import compress, decompress
from app.services.secrets import Locked
from app.services.stores import Stores, open_store
from connectors.errors import Unreadable
from connectors.events import Observation, Order, OrderSeen
from connectors.woocommerce.answers import StoreError
from connectors.woocommerce.orders import fetch_refunds
from connectors.woocommerce.refunds import read_answer

log = logging.getLogger(__name__)

WITHIN = 4.0  #: seconds for an answer
PATIENCE = 6.0  #: seconds of a batch that may be spent on asking; then the others of it go on without
PAUSE = 60.0  #: seconds for which a store is left alone that did not answer
TOPIC = "order.refunds"  #: ours: no store sends it


class RefundLines:
    """Completes what the clerk read; see `app.services.account.Accountant`."""

    def __init__(self, stores: Stores) -> None:
        self._db = stores.db
        self._stores = stores
        self._paused: dict[int, float] = {}

    def complete(self, reads: list[Read]) -> list[Read]:
        """``reads`` with the lines of refunds where they can be had."""
        until = time.monotonic() + PATIENCE
        done = []
        for read in reads:
            match read:
                case Read(shop=Shop() as shop, observation=Observation(seen=OrderSeen() as seen) as observation) if (
                    _unknown(shop, seen.order)
                ):
                    body = self._answer(shop, seen.order, ask=time.monotonic() < until)
                    whole = replace(seen, order=_joined(seen.order, body))
                    done.append(replace(read, observation=replace(observation, seen=whole)))
                case _:
                    done.append(read)
        return done

    def _answer(self, shop: Shop, order: Order, *, ask: bool) -> bytes | None:
        """The store's answer, from here or from there; None where neither has it now."""
        key = _key(shop, order)
        with self._db.read() as session:
            kept, connection = _kept(session, key), session.get(Connection, shop.id)
        if kept is not None:
            return kept
        if connection is None or connection.state != ConnectionState.CONNECTED or not ask or self._resting(shop):
            return None
        try:
            body = self._ask(shop, connection, order.id)
            read_answer(body)
        except (StoreError, Failed, Locked, Unreadable) as error:
            log.warning("shop %d did not tell the lines of a refund (%s); they are estimated", shop.id, error)
            self._paused[shop.id] = time.monotonic() + PAUSE
            return None
        self._keep(shop, key, body)
        return body

    def _ask(self, shop: Shop, connection: Connection, order_id: str) -> bytes:
        private = self._stores.allow_private
        with open_store(self._stores.vault, connection, shop, allow_private=private, waits=(), seconds=WITHIN) as store:
            return fetch_refunds(store, order_id)

    def _resting(self, shop: Shop) -> bool:
        return self._paused.get(shop.id, 0.0) > time.monotonic()

    def _keep(self, shop: Shop, key: str, body: bytes) -> None:
        dialect = sqlite if self._db.sqlite else postgresql
        with self._db.begin() as connection:
            connection.execute(
                dialect.insert(Webhook).on_conflict_do_nothing(),
                {
                    "platform": shop.platform,
                    "shop_id": shop.id,
                    "endpoint_id": None,
                    "dedup_key": key,
                    "topic": TOPIC,
                    "headers": {"x-tillwire-source": "question"},
                    "body": compress(body),
                    "body_hash": hashlib.sha256(body).hexdigest(),
                    "received_at": datetime.now(UTC),
                    "state": WebhookState.DONE,
                },
            )


def _unknown(shop: Shop, order: Order) -> bool:
    """Whether the order shows refunds without saying what they gave back, and its store can be asked."""
    return shop.platform == "woocommerce" and not all(refund.lines_known for refund in order.refunds)


def _key(shop: Shop, order: Order) -> str:
    """Refunds never change; a further one asks anew."""
    ids = ",".join(refund.id for refund in order.refunds)
    return f"refunds:{shop.id}:{order.id}:{hashlib.sha256(ids.encode()).hexdigest()}"


def _kept(session: Session, key: str) -> bytes | None:
    row = session.scalar(select(Webhook).where(Webhook.dedup_key == key).options(undefer(Webhook.body)))
    return decompress(row.body) if row else None


def _joined(order: Order, body: bytes | None) -> Order:
    """``order`` with its refunds as the store told them; one that it does not tell stays as it was shown."""
    told = {refund.id: refund for refund in read_answer(body)} if body is not None else {}
    return replace(order, refunds=tuple([told.get(refund.id, refund) for refund in order.refunds]))
