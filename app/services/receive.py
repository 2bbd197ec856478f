"""Verify, store, answer: all that happens while a platform waits. A webhook is committed before its 200 goes out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import InvalidToken, MultiFernet
from sqlalchemy import select

from app.db import Database
from app.models import Endpoint, Shop, WebhookState
from app.services import answers
from app.services.intake import Intake, NotStorable
from app.services.packing import compress
from connectors.errors import BadSignature
from connectors.events import PRIVACY
from connectors.registry import CONNECTORS
from connectors.shopify import signature as shopify_signature
from connectors.woocommerce import signature as woocommerce_signature

log = logging.getLogger(__name__)

KNOWN_FOR = 5.0  #: seconds for which a found shop or endpoint is taken from memory
#: Bytes of a body that an event loop may hash and compress by itself, in about a millisecond; a longer one would keep
#: everybody else waiting.
QUICK = 256 * 1024
THREADS = 32  #: that look shops up, or read long bodies, for an event loop
#: Headers that say nothing about the webhook, or could carry credentials of a proxy in front of us.
_DROPPED = {"authorization", "cookie", "proxy-authorization", "forwarded", "x-real-ip", "x-forwarded-for"}
LONGEST_ID = 200  #: characters; what platforms send has about forty
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SHOPIFY_DOMAIN = re.compile(r"[a-z0-9-]{1,100}\.myshopify\.com")


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


Row = dict[str, Any]  #: of `Webhook`, still to be stored


class Receiver:
    """Both webhook routes, without HTTP."""

    def __init__(self, db: Database, intake: Intake, cipher: MultiFernet, shopify_secrets: tuple[str, ...]) -> None:
        self._db = db
        self._intake = intake
        self._cipher = cipher
        self._shopify_secrets = shopify_secrets
        self._shops: dict[str, tuple[float, int]] = {}
        self._endpoints: dict[str, tuple[float, Known]] = {}
        self._threads = ThreadPoolExecutor(THREADS, "receive")

    def receive(self, token: str | None, headers: Mapping[str, str], body: bytes) -> str:
        """Return ``stored``, ``duplicate``, ``ignored`` or ``ping``.

        Args:
            token: of a WooCommerce webhook's address; None for Shopify.
            headers: names lower-cased.
        Raises:
            NotConfigured, Unproven, NotStorable.
        """
        judged = self._judge(token, headers, body)
        return judged if isinstance(judged, str) else self._intake.store(judged)

    async def received(self, token: str | None, headers: Mapping[str, str], body: bytes) -> tuple[str, int | None]:
        """As `receive`, for a task: what could keep its event loop waiting is done in a thread.

        Returns:
            The same; and the shop of what is stored, as far as it is known without the body.
        """
        if len(body) <= QUICK and self._at_hand(token, headers):
            judged = self._judge(token, headers, body)
        else:
            loop = asyncio.get_running_loop()
            run = copy_context().run  # what is logged there names the request
            judged = await loop.run_in_executor(self._threads, run, self._judge, token, headers, body)
        if isinstance(judged, str):
            return judged, None
        return await self._intake.stored(judged), judged["shop_id"]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _at_hand(self, token: str | None, headers: Mapping[str, str]) -> bool:
        """Whether nothing has to be looked up."""
        found = self._shops.get(_domain(headers)) if token is None else self._endpoints.get(token)
        return found is not None and found[0] > time.monotonic()

    def _judge(self, token: str | None, headers: Mapping[str, str], body: bytes) -> Row | str:
        """The row to store, or what to answer without storing anything."""
        return self._judge_shopify(headers, body) if token is None else self._judge_woocommerce(token, headers, body)

    def _judge_shopify(self, headers: Mapping[str, str], body: bytes) -> Row | str:
        if not self._shopify_secrets:
            raise NotConfigured
        topic = headers.get("x-shopify-topic") or headers.get("shopify-topic") or ""
        domain = _domain(headers)
        try:
            shopify_signature.verify(body, headers, self._shopify_secrets)
        except BadSignature:
            self._note_unproven(domain, topic)
            raise Unproven from None
        if not CONNECTORS["shopify"].uses(topic):
            return "ignored"
        # Asked for up to 48 hours after a shop removed the app; its data is here until then.
        removed_too = CONNECTORS["shopify"].chore(topic) in PRIVACY
        shop_id = self._shop(domain, removed_too=removed_too) if domain else None
        if domain and shop_id is None:
            return "ignored"
        digest = hashlib.sha256(body).hexdigest()
        delivery = _id(headers, "x-shopify-webhook-id", "shopify-webhook-id") or f"{topic}:{digest}"
        key = f"shopify:{shop_id or ''}:{delivery}"
        return _row("shopify", shop_id, None, key, topic, headers, body, digest)

    def _judge_woocommerce(self, token: str, headers: Mapping[str, str], body: bytes) -> Row | str:
        known = self._endpoint(token)
        if known is None:
            raise Unproven
        if woocommerce_signature.is_ping(headers, body, headers.get("content-type", "")):
            self._intake.note(known.shop_id, known.topic, answers.PING)
            return "ping"
        try:
            woocommerce_signature.verify(body, headers, known.secret)
            proven = headers.get("x-wc-webhook-topic", "").strip() == known.topic
        except BadSignature:
            proven = False
        if not proven:
            self._intake.note(known.shop_id, known.topic, answers.UNPROVEN)
            raise Unproven
        if not CONNECTORS["woocommerce"].uses(known.topic):
            return "ignored"
        digest = hashlib.sha256(body).hexdigest()
        key = f"woocommerce:{known.endpoint_id}:{digest}"
        if known.topic.endswith(".deleted"):
            # The body is the id alone: an order trashed twice would otherwise look like a repeat.
            key += ":" + _id(headers, "x-wc-webhook-delivery-id")
        return _row("woocommerce", known.shop_id, known.endpoint_id, key, known.topic, headers, body, digest)

    def _note_unproven(self, domain: str, topic: str) -> None:
        """Against the store that the request names, though anybody can name it: a wrong secret shows there first."""
        if not _SHOPIFY_DOMAIN.fullmatch(domain):
            return
        known = topic if CONNECTORS["shopify"].uses(topic) else "other"
        with suppress(NotStorable):
            self._intake.note(self._shop(domain, removed_too=False), known, answers.UNPROVEN)

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
            log.error(
                "the secret of webhook address %d opens with none of ENCRYPTION_KEYS",
                endpoint.id,
                extra={"shop": endpoint.shop_id},
            )
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


def _domain(headers: Mapping[str, str]) -> str:
    return (headers.get("x-shopify-shop-domain") or headers.get("shopify-shop-domain") or "").strip().lower()


def _id(headers: Mapping[str, str], *names: str) -> str:
    """The first of these headers that says something; by its hash where it is longer than an index takes."""
    found = next((headers[name] for name in names if headers.get(name)), "")
    return found if len(found) <= LONGEST_ID else hashlib.sha256(found.encode()).hexdigest()


def _row(
    platform: str,
    shop_id: int | None,
    endpoint_id: int | None,
    key: str,
    topic: str,
    headers: Mapping[str, str],
    body: bytes,
    digest: str,
) -> Row:
    return {
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
