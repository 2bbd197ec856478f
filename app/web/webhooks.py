"""Where the platforms' webhooks arrive. Verify, store, answer; nothing else happens in the request."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter

from app.metrics import WEBHOOK_SECONDS, WEBHOOKS
from app.services.receive import NotConfigured, NotStorable, Receiver, Unproven

log = logging.getLogger(__name__)

bp = Blueprint("webhooks", __name__)

RETRY_AFTER = "30"


@bp.post("/webhooks/shopify", provide_automatic_options=False)
def shopify() -> ResponseReturnValue:
    return _answer("shopify", lambda receiver, headers, body: receiver.shopify(headers, body))


@bp.post("/webhooks/woocommerce/<token>", provide_automatic_options=False)
def woocommerce(token: str) -> ResponseReturnValue:
    return _answer("woocommerce", lambda receiver, headers, body: receiver.woocommerce(token, headers, body))


def _answer(platform: str, receive: Callable[[Receiver, Mapping[str, str], bytes], str]) -> ResponseReturnValue:
    started = time.perf_counter()
    body = request.get_data(cache=False, parse_form_data=False)
    headers = _headers(request.environ)
    receiver: Receiver = current_app.extensions["receiver"]
    try:
        result, status = receive(receiver, headers, body), 200
    except Unproven:
        log.info("not proven: %d bytes for %s, SHA-256 %.12s", len(body), platform, hashlib.sha256(body).hexdigest())
        result, status = "unproven", 401
    except NotConfigured:
        result, status = "not configured", 503
    except NotStorable:
        result, status = "not storable now", 503
    _count(platform, _topic(headers), result).inc()
    WEBHOOK_SECONDS.observe(time.perf_counter() - started)
    answer = {"status": result}
    return (answer, status, {"Retry-After": RETRY_AFTER}) if status == 503 else (answer, status)


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers, names lower-cased."""
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


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
