"""Link keys: with these our WordPress plugin signs one-minute links from a store's admin to our pages.

The format of the links and how a key gets into the store stand in docs/sign-in.md.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.models import LinkKey, Shop, SpentLink
from app.services import audit, sign_in
from app.services.errors import Wrong
from app.services.said import mark
from app.services.secrets import Vault

LEEWAY = timedelta(seconds=10)  #: how far a store's clock may be off
LONGEST = 60  #: seconds from ``iat`` to ``exp``
RETIRED_FOR = timedelta(minutes=10)  #: a replaced key still signs while the new one is on its way to the store
_REFUSED = mark(
    "This link was used already, or is too old. Nothing was changed. Open Tillwire from your WordPress admin again."
)
_CLAIMS = ["iss", "aud", "sub", "iat", "exp", "jti"]
_KEY_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")
_USER = re.compile(r"[1-9][0-9]{0,19}")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link of a plugin offers: to be this person at this store."""

    shop_id: int
    domain: str
    actor: str
    spent: str = field(repr=False)  #: under which its use is noted
    expires_at: datetime


def new_key(session: Session, vault: Vault, shop_id: int) -> tuple[str, str]:
    """Make the shop's key; return its name and secret, for the store alone. An older one retires."""
    now = datetime.now(UTC)
    older = update(LinkKey).where(LinkKey.shop_id == shop_id, LinkKey.retired_at.is_(None)).values(retired_at=now)
    session.execute(older, execution_options={"synchronize_session": False})
    name, secret = secrets.token_urlsafe(12), secrets.token_hex(32)
    session.add(LinkKey(name=name, shop_id=shop_id, secret=vault.close({"secret": secret}), created_at=now))
    return name, secret


def drop_keys(session: Session, shop_id: int) -> None:
    """Forget the shop's keys at once, as after a disconnect: no link of that store is taken any more."""
    gone = delete(LinkKey).where(LinkKey.shop_id == shop_id)
    session.execute(gone, execution_options={"synchronize_session": False})


def look_at(session: Session, vault: Vault, token: str, audience: str, now: datetime) -> Offer:
    """Prove a plugin's link without using it up; arguments and errors as `use_link`."""
    offer = _prove(session, vault, token, audience, now)
    if offer is None:
        raise Wrong(_REFUSED)
    return offer


def use_link(session: Session, vault: Vault, token: str, audience: str, now: datetime) -> str:
    """Prove and use up a plugin's link; return the token of a session for that one shop.

    The session belongs to a person in the store's WordPress and to no account: a store may vouch for its own people,
    not for an e-mail address.

    Args:
        audience: our address, as the key was handed out for.
    Raises:
        Wrong: forged, used, too old, or of a store that is not connected; which of these, nobody is told.
    """
    offer = look_at(session, vault, token, audience, now)
    if not _spend(session, offer):
        raise Wrong(_REFUSED)
    audit.record(session, shop_id=offer.shop_id, actor=offer.actor, action="sign in")
    return sign_in.start(session, offer.actor, now, sign_in.LONGEST_WORDPRESS, shop_id=offer.shop_id)


def _prove(session: Session, vault: Vault, token: str, audience: str, now: datetime) -> Offer | None:
    try:
        name = jwt.get_unverified_header(token).get("kid")
        found = _find(session, name, now)
        if found is None:
            return None
        key, shop = found
        secret = vault.open(key.secret)["secret"]
        claims = _read(token, secret, audience, shop.url or "")
    except jwt.InvalidTokenError:
        return None
    user, once = claims["sub"], claims["jti"]
    if not (_USER.fullmatch(user) and _ONCE.fullmatch(once) and claims["exp"] - claims["iat"] <= LONGEST):
        return None
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    return Offer(shop.id, shop.domain, f"wordpress:{user}", f"{key.name}:{once}", expires_at)


def _read(token: str, secret: str, audience: str, store: str) -> dict[str, Any]:
    claims = jwt.decode(
        token,
        secret,
        algorithms=["HS256"],
        audience=audience,
        issuer=[store, f"{store}/"],
        leeway=LEEWAY,
        options={"require": _CLAIMS, "strict_aud": True},
    )
    if not all(type(claims[name]) is int for name in ("iat", "exp")):
        raise jwt.InvalidTokenError
    return claims


def _find(session: Session, name: object, now: datetime) -> tuple[LinkKey, Shop] | None:
    if not isinstance(name, str) or not _KEY_NAME.fullmatch(name):
        return None
    fresh = or_(LinkKey.retired_at.is_(None), LinkKey.retired_at > now - RETIRED_FOR)
    wanted = select(LinkKey, Shop).join(Shop, Shop.id == LinkKey.shop_id)
    row = session.execute(
        wanted.where(LinkKey.name == name, fresh, Shop.removed_at.is_(None), Shop.url != "")
    ).one_or_none()
    return (row[0], row[1]) if row else None


def _spend(session: Session, offer: Offer) -> bool:
    """Whether this is the link's first use; its row stays until the link would be refused as too old."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    row = {"key": offer.spent, "expires_at": offer.expires_at + 2 * LEEWAY}
    first = dialect.insert(SpentLink).values(row).on_conflict_do_nothing().returning(SpentLink.key)
    return session.execute(first).scalar_one_or_none() is not None
