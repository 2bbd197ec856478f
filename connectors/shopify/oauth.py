"""Tokens: how they are got, kept alive and refused. Beside `admin` the only network code of this connector.

OAuthError
├── StaleSubject      the ID token is too old: the browser is to bring a new one
├── DeadGrant         refresh token or code is over, revoked, or of an installation before
├── WrongClient       our client secret is wrong, or the shop removed the app
├── OAuthForbidden    403: this server may not ask, whatever it asks for
├── OAuthUnavailable  no answer, 429, 5xx: the same question may be answered later
└── OAuthAnswer       anything else, such as a token that would never expire

No message holds a token, a secret or the answer's text. Sources: shopify.dev/docs/apps/build/
authentication-authorization/access-tokens/token-exchange, shopify.dev/docs/apps/build/security/
credentials-and-data/use-expiring-offline-access-tokens, and the package ``shopifyapp`` 1.0.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from shopify_app import IdTokenDetails, ShopifyApp, TokenExchangeAccessToken, TokenExchangeResult

from connectors.shopify.identity import Identity

_SECRET_TEXT = re.compile(r"[!-~]{1,2000}")
_SCOPE = re.compile(r"[a-z_]{1,100}")


class OAuthError(Exception):
    """Base of what can go wrong when Shopify is asked for tokens."""


class StaleSubject(OAuthError):
    """Shopify does not take the ID token (any more)."""


class DeadGrant(OAuthError):
    """The refresh token or code will never work again."""


class WrongClient(OAuthError):
    """Shopify does not know us with this secret, or not at this shop."""


class OAuthForbidden(OAuthError):
    """Shopify refuses this server, as where it is not on the app's IP allowlist."""


class OAuthUnavailable(OAuthError):
    """No answer, or one that may be another later. What was asked may have been done."""


class OAuthAnswer(OAuthError):
    """An answer that is not what Shopify documents."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens of one shop, as Shopify gave them; both expire."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime
    refresh_expires_at: datetime
    scopes: tuple[str, ...]


_ERRORS: dict[str, type[OAuthError]] = {
    "invalid_subject_token": StaleSubject,
    "invalid_grant": DeadGrant,
    "invalid_request": DeadGrant,  # what Shopify says of a code that was used before
    "invalid_client": WrongClient,
    "network_error": OAuthUnavailable,
    "server_error": OAuthUnavailable,
    "rate_limit_exceeded": OAuthUnavailable,
}


def exchange(app: ShopifyApp, http: httpx.Client, identity: Identity) -> Grant:
    """Expiring offline tokens for the shop whose staff is ``identity``."""
    claims = {"dest": f"https://{identity.domain}"}
    details = IdTokenDetails(exchangeable=True, token=identity.token, claims=claims)
    return _grant(lambda: app.exchange_using_token_exchange("offline", id_token=details, http_client=http))


def refresh(app: ShopifyApp, http: httpx.Client, domain: str, refresh_token: str) -> Grant:
    """New tokens for old; ``refresh_token`` works on until its replacement is used, so a lost answer loses nothing.

    Source: shopify.dev/changelog/more-resilient-refreshes-for-expiring-offline-access-tokens
    """
    old = TokenExchangeAccessToken(
        shop=domain.removesuffix(".myshopify.com"),
        token="",
        expires="",  # whether it is time is decided by whoever calls
        scope="",
        access_mode="offline",
        refresh_token=refresh_token,
        refresh_token_expires="",
        user=None,
    )
    return _grant(lambda: app.refresh_token_exchanged_access_token(old, http_client=http))


def _grant(ask: Callable[[], TokenExchangeResult]) -> Grant:
    try:
        result = ask()
    except (ValueError, TypeError, AttributeError, OverflowError):  # the package reads answers without looking
        raise OAuthAnswer("Shopify's answer is not what it documents") from None
    if not result.ok:
        raise _refusal(result)
    if result.access_token is None:
        raise OAuthAnswer("Shopify gave no token")
    found = result.access_token
    return _checked(found.token, found.refresh_token, found.expires, found.refresh_token_expires, found.scope)


def _refusal(result: TokenExchangeResult) -> OAuthError:
    """The package knows 5xx at refreshing and 429 at exchanging alone as something that passes."""
    status = result.http_logs[-1].res.status if result.http_logs else 0
    if status == 429 or status >= 500:
        return OAuthUnavailable(f"Shopify answered {status}")
    if status == 403:
        return OAuthForbidden("Shopify answered 403")
    code = result.log.code
    return _ERRORS.get(code, OAuthAnswer)(f"Shopify refused ({code}, {status})")


def _checked(access: Any, refresh_token: Any, expires: Any, refresh_expires: Any, scope: Any) -> Grant:
    """A grant that is whole; a token that does not say when it expires is refused, never taken for an eternal one."""
    if not all(isinstance(text, str) and _SECRET_TEXT.fullmatch(text) for text in (access, refresh_token)):
        raise OAuthAnswer("Shopify gave no access token or no refresh token")
    until, refresh_until = _moment(expires), _moment(refresh_expires)
    if until is None or refresh_until is None:
        raise OAuthAnswer("Shopify gave a token that does not say when it expires")
    return Grant(access, refresh_token, until, refresh_until, scopes(scope))


def _moment(expires: Any) -> datetime | None:
    """A moment in the future; the package makes "now" of a missing one."""
    found = datetime.fromisoformat(expires) if isinstance(expires, str) and expires else None
    return found if found is not None and found > datetime.now(UTC) else None


def scopes(text: Any) -> tuple[str, ...]:
    """``read_orders,write_pixels`` as a sorted tuple; what is no scope is left out."""
    if not isinstance(text, str):
        raise OAuthAnswer("Shopify's scopes are no text")
    return tuple(sorted({each for each in map(str.strip, text.split(",")) if _SCOPE.fullmatch(each)}))


def redeem(app: ShopifyApp, http: httpx.Client, domain: str, code: str) -> Grant:
    """The tokens for a code of the authorization code grant. Only ``expiring=1`` gives tokens that expire.

    Source: shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant
    """
    config = app.config
    asked = {"client_id": config["client_id"], "client_secret": config["client_secret"], "code": code, "expiring": 1}
    asked_at = datetime.now(UTC)
    try:
        response = http.post(f"https://{domain}/admin/oauth/access_token", json=asked)
    except httpx.RequestError as error:
        raise OAuthUnavailable(f"no answer ({type(error).__name__})") from None
    answer = _answer(response)
    try:
        until = [asked_at + timedelta(seconds=answer[name]) for name in ("expires_in", "refresh_token_expires_in")]
    except (KeyError, TypeError, OverflowError):
        raise OAuthAnswer("Shopify gave a token that does not say when it expires") from None
    first, second = (each.isoformat() for each in until)
    return _checked(answer.get("access_token"), answer.get("refresh_token"), first, second, answer.get("scope"))


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 429 or response.status_code >= 500:
        raise OAuthUnavailable(f"Shopify answered {response.status_code}")
    if response.status_code == 403:
        raise OAuthForbidden("Shopify answered 403")
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise OAuthAnswer(f"Shopify answered {response.status_code}, without JSON")
    if response.status_code != 200:
        error = str(answer.get("error"))
        raise _ERRORS.get(error, OAuthAnswer)(f"Shopify refused the code ({response.status_code})")
    return answer
