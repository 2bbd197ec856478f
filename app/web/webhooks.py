"""Where the platforms' webhooks arrive. Verify, store, answer; nothing else happens in the request."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter

from app.metrics import WEBHOOK_SECONDS, WEBHOOKS
from app.services.intake import NotStorable
from app.services.receive import NotConfigured, Receiver, Unproven

log = logging.getLogger(__name__)

bp = Blueprint("webhooks", __name__)

RETRY_AFTER = "30"


@bp.post("/webhooks/shopify", provide_automatic_options=False)
def shopify() -> ResponseReturnValue:
    return _answer(None)


@bp.post("/webhooks/woocommerce/<token>", provide_automatic_options=False)
def woocommerce(token: str) -> ResponseReturnValue:
    return _answer(token)


def _answer(token: str | None) -> ResponseReturnValue:
    """A thread's way; `app.web.front` has the event loop's, and the same answers."""
    body = request.get_data(cache=False, parse_form_data=False)
    told = Told(token, _headers(request.environ), body)
    receiver: Receiver = current_app.extensions["receiver"]
    try:
        told.result = receiver.receive(token, told.headers, body)
    except REFUSALS as error:
        told.refuse(error)
    told.count()
    return told.body, told.status, told.answer_headers


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers, names lower-cased."""
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


REFUSALS = (Unproven, NotConfigured, NotStorable)


class Told:
    """One webhook, and what is answered, whoever serves it."""

    __slots__ = ("_request", "_started", "headers", "platform", "result", "status")

    def __init__(self, token: str | None, headers: Mapping[str, str], body: bytes) -> None:
        self._started = time.perf_counter()
        self._request = body
        self.platform = "shopify" if token is None else "woocommerce"
        self.headers = headers
        self.result, self.status = "", 200

    def refuse(self, error: Exception) -> None:
        match error:
            case Unproven():
                digest = hashlib.sha256(self._request).hexdigest()
                log.info("not proven: %d bytes for %s, SHA-256 %.12s", len(self._request), self.platform, digest)
                self.result, self.status = "unproven", 401
            case NotConfigured():
                self.result, self.status = "not configured", 503
            case _:
                self.result, self.status = "not storable now", 503

    def count(self) -> float:
        """Returns: seconds that it took."""
        seconds = time.perf_counter() - self._started
        _count(self.platform, _topic(self.headers), self.result).inc()
        WEBHOOK_SECONDS.observe(seconds)
        return seconds

    @property
    def body(self) -> bytes:
        return b'{"status":"%s"}\n' % self.result.encode()

    @property
    def answer_headers(self) -> dict[str, str]:
        given = {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        return {**given, "Retry-After": RETRY_AFTER} if self.status == 503 else given


@cache
def _count(platform: str, topic: str, result: str) -> Counter:
    """Finding a labelled counter costs more than counting; there are few of them."""
    return WEBHOOKS.labels(platform, topic, result)


#: A label may only take values that we know: the header is anybody's to write.
_TOPICS = frozenset(
    {
        *("orders/create", "orders/updated", "orders/paid", "orders/cancelled", "orders/fulfilled", "orders/edited"),
        *("orders/partially_fulfilled", "orders/delete", "refunds/create", "carts/create", "carts/update"),
        *("checkouts/create", "checkouts/update", "checkouts/delete", "fulfillments/create", "fulfillments/update"),
        *("order_transactions/create", "app/uninstalled", "app/scopes_update"),
        *("customers/data_request", "customers/redact", "shop/redact"),
        *("order.created", "order.updated", "order.deleted", "order.restored", "cart.updated"),
    }
)


def _topic(headers: Mapping[str, str]) -> str:
    topic = headers.get("x-shopify-topic") or headers.get("shopify-topic") or headers.get("x-wc-webhook-topic") or ""
    return topic if topic in _TOPICS else "other"
