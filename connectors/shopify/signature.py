"""Whether Shopify sent a body: an HMAC over its bytes with the app's secret."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence

from connectors.errors import BadSignature

#: The second spelling is that of Shopify's newer events, which are signed alike.
SIGNATURES = ("x-shopify-hmac-sha256", "shopify-hmac-sha256")


def verify(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> None:
    """Prove that Shopify signed ``body`` with one of ``secrets``, or raise `BadSignature`.

    The signature covers the body alone: topic, shop and ids stand in headers that nobody signed.

    Args:
        body: the request body exactly as received; parsing it first breaks the proof.
        headers: names in lower case; the signature is base64, not hex.
        secrets: the app's current secret and, while it is being rotated, the one before. Empty ones prove nothing.
    Source: shopify.dev/docs/apps/build/webhooks/verify-deliveries, shopify.dev/docs/apps/build/events/verify-deliveries
    """
    given = next((headers[name] for name in SIGNATURES if headers.get(name)), "").encode("utf-8", "replace")
    digests = [base64.b64encode(hmac.digest(secret.encode(), body, "sha256")) for secret in secrets if secret]
    proofs = [hmac.compare_digest(digest, given) for digest in digests]  # all, so that time tells nothing
    if not any(proofs):
        raise BadSignature("shopify" if digests else "shopify: no secret to verify with")
