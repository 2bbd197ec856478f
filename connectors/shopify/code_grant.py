"""The authorization code grant, for apps that are not installed by Shopify itself: where to send, what came back.

Pure. Of ``ShopifyAPI`` its address of the permission page, its check of the query's signature and its scopes are used;
the tokens that it asks for never expire, and the sessions that it activates are shared by the whole process.
Source: shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.shopify.identity import shop_domain

AHEAD = 60  #: seconds that Shopify's clock may be ahead of ours; the package takes any future


class BadCallback(Exception):
    """What came back was not signed by Shopify, or not for this walk."""


def _session(client_id: str, secret: str) -> Any:
    """The package keeps key and secret on its class; a class of our own for each keeps them out of the process's."""
    from shopify import Session  # two megabytes, for the few apps that install by this grant

    return type("OneSecret", (Session,), {"api_key": client_id, "secret": secret})


def permission_url(client_id: str, domain: str, scopes: Sequence[str], redirect_uri: str, state: str) -> str:
    """Where the merchant is asked to install the app."""
    session = _session(client_id, "")(domain, "unstable")
    return str(session.create_permission_url(list(scopes), redirect_uri, state))


def check_callback(params: Mapping[str, str], secrets: Sequence[str]) -> tuple[str, str]:
    """The shop's domain and the code, where Shopify signed the query with one of ``secrets`` within the last day.

    Args:
        params: the query, each name once.
    Raises:
        BadCallback: wrongly or not signed, too old, from the future, without code, or of no shop.
    """
    domain, code, timestamp = shop_domain(params.get("shop", "")), params.get("code"), params.get("timestamp", "")
    if domain is None or not code or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 15):
        raise BadCallback
    if int(timestamp) > time.time() + AHEAD:
        raise BadCallback
    if not any(_session("", secret).validate_params(dict(params)) for secret in secrets if secret):
        raise BadCallback
    return domain, code


def missing_scopes(wanted: Sequence[str], granted: Sequence[str]) -> list[str]:
    """What of ``wanted`` is not granted; a right to write includes the one to read."""
    from shopify import ApiAccess

    known = [each for each in granted if ApiAccess.SCOPE_RE.match(each)]  # the package refuses kinds it does not know
    given = ApiAccess(known)
    return [each for each in wanted if not given.covers(ApiAccess([each]))]
