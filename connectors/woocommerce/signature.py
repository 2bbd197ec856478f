"""Whether a delivery was signed with a webhook's secret, and whether a request is the unsigned ping instead."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping

from connectors.errors import BadSignature

SIGNATURE = "x-wc-webhook-signature"
_FORM = "application/x-www-form-urlencoded"
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")


def verify(body: bytes, headers: Mapping[str, str], secret: str) -> None:
    """Prove that ``body`` was signed with ``secret``, or raise `BadSignature`.

    Args:
        body: the request body exactly as received.
        headers: names in lower case; the signature is base64, not hex.
        secret: the webhook's own secret (not the consumer secret); an empty one proves nothing.
    Source: developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/, WC_Webhook::generate_signature
    """
    if not secret:
        raise BadSignature("woocommerce: no secret to verify with")
    digest = base64.b64encode(hmac.digest(secret.encode(), body, "sha256"))
    if not hmac.compare_digest(digest, headers.get(SIGNATURE, "").encode("utf-8", "replace")):
        raise BadSignature("woocommerce")


def is_ping(headers: Mapping[str, str], body: bytes, content_type: str | None) -> bool:
    """Whether this is what a store sends when a webhook is made: a form that names it, unsigned; it proves nothing.

    Source: WC_Webhook::deliver_ping
    """
    form = (content_type or "").partition(";")[0].strip().lower() == _FORM
    return form and _PING.fullmatch(body) is not None and not any(name.startswith("x-wc-") for name in headers)
