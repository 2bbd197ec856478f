"""Verify, store, answer: all that happens while a platform waits.

A webhook is committed before its 200 goes out. Requests that arrive together share one commit (the cost of a commit is
the wait for the disk, not the rows), which is why storing goes through one writer.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import InvalidToken, MultiFernet
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError

from app.db import Database
from app.models import Endpoint, Shop, Webhook, WebhookState
from app.services.packing import compress
from connectors.errors import BadSignature
from connectors.registry import CONNECTORS
from connectors.shopify import signature as shopify_signature
from connectors.woocommerce import signature as woocommerce_signature

log = logging.getLogger(__name__)

LONGEST_WAIT = 10.0  #: seconds for a commit; Shopify hangs up after five anyway
KNOWN_FOR = 5.0  #: seconds for which a found shop or endpoint is taken from memory
LARGEST_BATCH = 256
GATHER = 0.005  #: seconds to wait for more company once there is any: a commit costs the same for one row and for many
#: Headers that say nothing about the webhook, or could carry credentials of a proxy in front of us.
_DROPPED = {"authorization", "cookie", "proxy-authorization", "forwarded", "x-real-ip", "x-forwarded-for"}
#: Shopify asks for these up to 48 hours after a shop removed the app, and a shop's data is here until then.
_AFTER_REMOVAL = frozenset({"customers/data_request", "customers/redact", "shop/redact"})
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,100}")


class NotStorable(Exception):
    """The webhook could not be committed now; the platform should send it again."""


class Unproven(Exception):
    """Signature missing or wrong, unknown token, or another topic than recorded."""


class NotConfigured(Exception):
    """There is no secret to verify with."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a WooCommerce token stands for."""

    endpoint_id: int
    shop_id: int
    topic: str
    secret: str


class _Waiting:
    """One request that waits for its row: a lock as the cheapest bell there is."""

    __slots__ = ("_bell", "error", "result", "row")

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        self.result = ""
        self.error: Exception | None = None
        self._bell = threading.Lock()
        self._bell.acquire()

    def ring(self) -> None:
        self._bell.release()

    def wait(self) -> str:
        if not self._bell.acquire(timeout=LONGEST_WAIT):
            raise NotStorable("no commit in time")
        if self.error:
            raise NotStorable(type(self.error).__name__) from self.error
        return self.result


class Intake:
    """Stores webhooks; one writer, many waiting requests."""

    def __init__(self, db: Database, *, on_stored: Callable[[], None] = lambda: None) -> None:
        self._db = db
        self._on_stored = on_stored
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        dialect = sqlite if db.sqlite else postgresql
        table = Webhook.__table__
        self._insert = dialect.insert(table).on_conflict_do_nothing().returning(table.c.dedup_key)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def store(self, row: dict[str, Any]) -> str:
        """Return ``stored`` or ``duplicate`` once that is on disk, or raise `NotStorable`."""
        waiting = _Waiting(row)
        self._queue.put(waiting)
        return waiting.wait()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join(LONGEST_WAIT)

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            if not self._queue.empty():
                time.sleep(GATHER)
            while len(batch) < LARGEST_BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            self._commit([each for each in batch if each is not None])
            if None in batch:
                return

    def _commit(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            with self._db.begin() as connection:
                stored = set(connection.execute(self._insert, [each.row for each in batch]).scalars())
        except (DataError, IntegrityError) as error:
            if len(batch) > 1:  # one row that the database refuses must not take the others with it
                for each in batch:
                    self._commit([each])
                return
            self._fail(batch, error)
            return
        except Exception as error:
            self._fail(batch, error)
            return
        self._answer(batch, stored)
        self._on_stored()

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        log.error("storing %d webhooks failed", len(batch), exc_info=error)
        for each in batch:
            each.error = error
            each.ring()

    def _answer(self, batch: list[_Waiting], stored: set[str]) -> None:
        for each in batch:
            key = each.row["dedup_key"]
            each.result = "stored" if key in stored else "duplicate"
            stored.discard(key)  # twice in one batch: the second is the repeat
            each.ring()


class Receiver:
    """Both webhook routes, without HTTP."""

    def __init__(self, db: Database, intake: Intake, cipher: MultiFernet, shopify_secrets: tuple[str, ...]) -> None:
        self._db = db
        self._intake = intake
        self._cipher = cipher
        self._shopify_secrets = shopify_secrets
        self._shops: dict[str, tuple[float, int]] = {}
        self._endpoints: dict[str, tuple[float, Known]] = {}

    def shopify(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return ``stored``, ``duplicate`` or ``ignored``.

        Args:
            headers: names lower-cased.
        Raises:
            NotConfigured, Unproven, NotStorable.
        """
        if not self._shopify_secrets:
            raise NotConfigured
        try:
            shopify_signature.verify(body, headers, self._shopify_secrets)
        except BadSignature:
            raise Unproven from None
        topic = headers.get("x-shopify-topic") or headers.get("shopify-topic") or ""
        if not CONNECTORS["shopify"].uses(topic):
            return "ignored"
        domain = (headers.get("x-shopify-shop-domain") or headers.get("shopify-shop-domain") or "").strip().lower()
        shop_id = self._shop(domain, removed_too=topic in _AFTER_REMOVAL) if domain else None
        if domain and shop_id is None:
            return "ignored"
        digest = hashlib.sha256(body).hexdigest()
        delivery = headers.get("x-shopify-webhook-id") or headers.get("shopify-webhook-id") or f"{topic}:{digest}"
        key = f"shopify:{shop_id or ''}:{delivery}"
        return self._store("shopify", shop_id, None, key, topic, headers, body, digest)

    def woocommerce(self, token: str, headers: Mapping[str, str], body: bytes) -> str:
        """Return ``stored``, ``duplicate``, ``ignored`` or ``ping``; errors as `shopify`."""
        known = self._endpoint(token)
        if known is None:
            raise Unproven
        if woocommerce_signature.is_ping(headers, body, headers.get("content-type", "")):
            return "ping"
        try:
            woocommerce_signature.verify(body, headers, known.secret)
        except BadSignature:
            raise Unproven from None
        if headers.get("x-wc-webhook-topic", "").strip() != known.topic:
            raise Unproven
        if not CONNECTORS["woocommerce"].uses(known.topic):
            return "ignored"
        digest = hashlib.sha256(body).hexdigest()
        key = f"woocommerce:{known.endpoint_id}:{digest}"
        if known.topic.endswith(".deleted"):
            # The body is the id alone: an order trashed twice would otherwise look like a repeat.
            key += ":" + headers.get("x-wc-webhook-delivery-id", "")
        return self._store("woocommerce", known.shop_id, known.endpoint_id, key, known.topic, headers, body, digest)

    def _store(
        self,
        platform: str,
        shop_id: int | None,
        endpoint_id: int | None,
        key: str,
        topic: str,
        headers: Mapping[str, str],
        body: bytes,
        digest: str,
    ) -> str:
        return self._intake.store(
            {
                "platform": platform,
                "shop_id": shop_id,
                "endpoint_id": endpoint_id,
                "dedup_key": key,
                "topic": topic,
                "headers": {name: value for name, value in headers.items() if name not in _DROPPED},
                "body": compress(body),
                "body_hash": digest,
                "received_at": datetime.now(UTC),
                "state": WebhookState.PENDING,
            }
        )

    def _shop(self, domain: str, *, removed_too: bool) -> int | None:
        found = self._shops.get(domain)
        if found and found[0] > time.monotonic():
            return found[1]
        wanted = select(Shop.id).where(Shop.platform == "shopify", Shop.domain == domain)
        if not removed_too:
            wanted = wanted.where(Shop.removed_at.is_(None))
        shop_id: int | None = self._look_up(wanted)
        if shop_id is not None and not removed_too:
            self._shops[domain] = (time.monotonic() + KNOWN_FOR, shop_id)
        return shop_id

    def _endpoint(self, token: str) -> Known | None:
        found = self._endpoints.get(token)
        if found and found[0] > time.monotonic():
            return found[1]
        if not _TOKEN.fullmatch(token):
            return None  # none of ours; and what PostgreSQL refuses to compare would look like trouble of ours
        wanted = select(Endpoint).join(Shop, Shop.id == Endpoint.shop_id)
        endpoint = self._look_up(wanted.where(Endpoint.token == token, Shop.removed_at.is_(None)))
        if endpoint is None:
            return None
        try:
            secret = self._cipher.decrypt(endpoint.secret.encode()).decode()
        except InvalidToken:
            log.error("the secret of webhook address %d opens with none of ENCRYPTION_KEYS", endpoint.id)
            raise NotConfigured from None
        known = Known(endpoint.id, endpoint.shop_id, endpoint.topic, secret)
        self._endpoints[token] = (time.monotonic() + KNOWN_FOR, known)
        return known

    def _look_up(self, wanted: Any) -> Any:
        try:
            with self._db.read() as session:
                return session.scalar(wanted)
        except Exception as error:
            log.exception("looking up a shop failed")
            raise NotStorable(type(error).__name__) from error
