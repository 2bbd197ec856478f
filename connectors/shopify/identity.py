"""Who asks, from inside Shopify's admin: ID tokens, and the two values of a page load that are echoed.

Sources: shopify.dev/docs/apps/build/authentication-authorization/id-tokens; the package ``shopifyapp`` 1.0.2, which
takes a token without ``exp`` and never compares ``iss`` with ``dest``, so this check stands before its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt

LEEWAY = 10  #: seconds between Shopify's clock and ours
_LONGEST = 4096  #: characters; real tokens have about 600
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.myshopify\.com", re.ASCII)
_HOST = re.compile(r"https://([a-z0-9-]+\.myshopify\.com)(?:/[!-~]*)?", re.ASCII)
_STAFF = re.compile(r"[0-9]{1,20}", re.ASCII)
_RELOAD = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
_REQUIRED = ["exp", "nbf", "iss", "dest", "aud", "sub"]


class BadIdentity(Exception):
    """No ID token of ours, or one that is over. Why stays with us: whoever forges learns nothing."""


class Expired(BadIdentity):
    """Signed by Shopify for us, and over, or not begun: the browser can bring a fresh one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A member of a shop's staff, as Shopify vouches for them."""

    domain: str  #: x.myshopify.com, from ``dest`` alone
    staff: str  #: Shopify's id of the person
    issued_at: datetime  #: by Shopify's clock; the app was installed then
    token: str = field(repr=False)


def verify_id_token(token: str, client_id: str, secrets: Sequence[str]) -> Identity:
    """Prove an ID token wholly, or raise `BadIdentity`; `Expired` where its time alone is wrong.

    Args:
        token: as it came, without ``Bearer``.
        client_id: must be the token's one audience.
        secrets: the app's current secret, then the one before; empty ones prove nothing.
    """
    if not client_id or len(token) > _LONGEST:
        raise BadIdentity
    for secret in filter(None, secrets):
        try:
            claims = _decode(token, client_id, secret)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            raise Expired from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):  # the others: times that are none
            raise BadIdentity from None
        return _identity(token, claims)
    raise BadIdentity


def _decode(token: str, client_id: str, secret: str) -> dict[str, Any]:
    return jwt.decode(
        token,
        secret,
        algorithms=["HS256"],
        audience=client_id,
        leeway=LEEWAY,
        options={"require": _REQUIRED, "strict_aud": True},
    )


def _identity(token: str, claims: dict[str, Any]) -> Identity:
    dest, iss = _host(claims["dest"]), _host(claims["iss"])
    if dest is None or dest != iss or not _STAFF.fullmatch(claims["sub"]):
        raise BadIdentity
    try:
        issued_at = datetime.fromtimestamp(int(claims["nbf"]), UTC)
    except (ValueError, OverflowError, OSError):
        raise BadIdentity from None
    return Identity(dest, claims["sub"], issued_at, token)


def _host(claim: Any) -> str | None:
    found = _HOST.fullmatch(claim) if isinstance(claim, str) else None
    return shop_domain(found[1]) if found else None


def shop_domain(text: str) -> str | None:
    """``text`` where it is the domain of a shop and nothing else; one-letter shops are shops too."""
    return text if _DOMAIN.fullmatch(text) else None


def reload_path(text: str) -> str | None:
    """``text`` where it is a path of ours with its query: one that no browser takes for another host."""
    if not _RELOAD.fullmatch(text) or "//" in text.partition("?")[0]:
        return None
    return text
