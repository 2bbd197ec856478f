"""Which products a refund gave back, where only another question to the store tells it.

WooCommerce's webhooks show a refund's id, reason and total. Where the store is connected, its lines are asked for
before the order is accounted for, once for each set of refunds. The answer is kept as a webhook would be, so that the
same order read again needs no store. Where a store does not answer, the lines are estimated from the amount, as for
stores without keys.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, undefer

from app.models import Connection, ConnectionState, Shop, Webhook, WebhookState
from app.services import asked
from app.services.errors import Failed
from app.services.observe import Read
from app.services.packing import decompress
from app.services.secrets import Locked
from app.services.stores import Stores, open_store
from connectors.errors import Unreadable
from connectors.events import Observation, Order, OrderSeen, Refund
from connectors.registry import CONNECTORS
from connectors.woocommerce.answers import StoreError
from connectors.woocommerce.orders import fetch_refunds
from connectors.woocommerce.refunds import read_answer

log = logging.getLogger(__name__)

WITHIN = 20.0  #: seconds for an answer
PAUSE = 60.0  #: seconds for which a store is left alone that did not answer
AT_ONCE = 16  #: stores that are asked at a time
TOPIC = "order.refunds"  #: ours: no store sends it


class RefundLines:
    """Completes what the clerk read; see `app.services.account.Accountant`."""

    def __init__(self, stores: Stores, *, apart: bool = False) -> None:
        """
        Args:
            apart: ask in threads of their own, so that no shop waits for another one's store. A shop whose store is
                being asked is `away`: all of its webhooks wait, because they are read in the order of their arrival. A
                process that dies meanwhile has changed nothing.
        """
        self._db = stores.db
        self._stores = stores
        self._apart = apart
        self._paused: dict[int, float] = {}
        self._away: set[int] = set()
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def away(self) -> frozenset[int]:
        """The shops whose stores are being asked: nothing of theirs is to be read now."""
        with self._lock:
            return frozenset(self._away)

    def complete(self, reads: list[Read]) -> list[Read]:
        """``reads`` with the lines of refunds where they can be had, and without those of shops that are away."""
        left: set[int] = set()  # also where the answer is here before this round ends: what was read later waits too
        done = []
        for read in reads:
            if read.shop is not None and read.shop.id in left:
                continue
            match read:
                case Read(shop=Shop() as shop, observation=Observation(seen=OrderSeen() as seen) as observation) if (
                    _unknown(shop, seen.order)
                ):
                    body, away = self._answer(shop, seen.order)
                    if away:
                        left.add(shop.id)
                        continue
                    whole = replace(seen, order=_joined(seen.order, body))
                    done.append(replace(read, observation=replace(observation, seen=whole)))
                case _:
                    done.append(read)
        return done

    def _answer(self, shop: Shop, order: Order) -> tuple[bytes | None, bool]:
        """The store's answer, from here or from there, None where neither has it; and whether it is on its way."""
        key = _key(shop, order)
        with self._db.read() as session:
            kept, connection = _kept(session, key), session.get(Connection, shop.id)
        if kept is not None:
            return kept, False
        if connection is None or connection.state != ConnectionState.CONNECTED or self._resting(shop):
            return None, False
        if not self._apart:
            return self._ask(shop, connection, key, order.id), False
        with self._lock:
            self._away.add(shop.id)
        threading.Thread(
            target=self._fetch, args=(shop, connection, key, order.id), name="refund lines", daemon=True
        ).start()
        return None, True

    def _fetch(self, shop: Shop, connection: Connection, key: str, order_id: str) -> None:
        try:
            with self._turns:
                self._ask(shop, connection, key, order_id)
        except Exception:  # as where the store does not answer: the order is not kept back by a bug of ours
            log.exception("the lines of a refund of shop %d could not be asked for", shop.id, extra={"shop": shop.id})
            self._rest(shop)
        finally:
            with self._lock:
                self._away.discard(shop.id)

    def _ask(self, shop: Shop, connection: Connection, key: str, order_id: str) -> bytes | None:
        private = self._stores.allow_private
        try:
            opened = open_store(self._stores.vault, connection, shop, allow_private=private, waits=(), seconds=WITHIN)
            with opened as store:
                body = fetch_refunds(store, order_id)
            read_answer(body)
        except (StoreError, Failed, Locked, Unreadable) as error:
            log.warning(
                "shop %d did not tell the lines of a refund (%s); they are estimated",
                shop.id,
                error,
                extra={"shop": shop.id},
            )
            self._rest(shop)
            return None
        self._keep(shop, key, body)
        return body

    def _rest(self, shop: Shop) -> None:
        self._paused[shop.id] = time.monotonic() + PAUSE

    def _resting(self, shop: Shop) -> bool:
        return self._paused.get(shop.id, 0.0) > time.monotonic()

    def _keep(self, shop: Shop, key: str, body: bytes) -> None:
        dialect = sqlite if self._db.sqlite else postgresql
        answer = asked.row(shop, key, TOPIC, body, asked.QUESTION, WebhookState.DONE)
        with self._db.begin() as connection:
            connection.execute(dialect.insert(Webhook).on_conflict_do_nothing(), answer)


def _unknown(shop: Shop, order: Order) -> bool:
    """Whether the order shows refunds without saying what they gave back, and its store can be asked."""
    told = CONNECTORS[shop.platform].tells_refund_lines
    return not told and not all(refund.lines_known for refund in order.refunds)


def _key(shop: Shop, order: Order) -> str:
    """Refunds never change; a further one asks anew."""
    ids = ",".join(refund.id for refund in order.refunds)
    return f"refunds:{shop.id}:{order.id}:{hashlib.sha256(ids.encode()).hexdigest()}"


def _kept(session: Session, key: str) -> bytes | None:
    row = session.scalar(select(Webhook).where(Webhook.dedup_key == key).options(undefer(Webhook.body)))
    return decompress(row.body) if row else None


def _joined(order: Order, body: bytes | None) -> Order:
    """``order`` with its refunds as the store told them; one that it does not tell stays as it was shown."""
    told = {refund.id: refund for refund in _told(body)} if body is not None else {}
    return replace(order, refunds=tuple([told.get(refund.id, refund) for refund in order.refunds]))


def _told(body: bytes) -> list[Refund]:
    try:
        return read_answer(body)
    except Unreadable as error:  # kept by another version: all that is stored waits behind this order
        log.error("an answer about refunds that was kept cannot be read: %s", error)
        return []
