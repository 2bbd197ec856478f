"""The authorization code grant, for custom apps: out with an unguessable state, back with a code, each used once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from app.db import Database
from app.metrics import CONNECTS
from app.models import ConnectAttempt
from app.services.errors import Wrong
from app.services.said import mark
from app.services.shopify_client import ShopifyClient
from app.services.shopify_install import Installer, Stale, asked
from connectors.shopify.code_grant import BadCallback, check_callback
from connectors.shopify.identity import shop_domain

LONGEST_WALK = timedelta(minutes=10)
FORGED = mark(
    "This did not come from Shopify as an answer to us, or came too late. Nothing was"
    " changed. Start the installation again from the Shopify admin."
)
_NO_SHOP = mark("This is no shop's address: write it like my-shop.myshopify.com.")


class Walk:
    """Merchants on their way to Shopify's permission page and back."""

    def __init__(self, db: Database, shopify: ShopifyClient, installer: Installer) -> None:
        self._db = db
        self._shopify = shopify
        self._installer = installer

    def begin(self, shop: str, now: datetime) -> tuple[str, str]:
        """A new state, and the address to send the browser to; the state goes into that browser's session as well.

        Raises:
            Wrong: ``shop`` is no domain of a shop.
        """
        domain = shop_domain(shop.strip().lower())
        if domain is None:
            raise Wrong(_NO_SHOP)
        state = secrets.token_urlsafe(32)
        with self._db.write() as session:
            gone = ConnectAttempt.expires_at < now - timedelta(days=1)
            session.execute(delete(ConnectAttempt).where(ConnectAttempt.platform == "shopify", gone))
            session.add(
                ConnectAttempt(
                    state_hash=_hash(state),
                    platform="shopify",
                    address=domain,
                    created_at=now,
                    expires_at=now + LONGEST_WALK,
                )
            )
        CONNECTS.labels("shopify", "begun").inc()
        return state, self._shopify.permission_url(domain, state)

    def finish(self, params: Mapping[str, Sequence[str]], state: str | None, now: datetime) -> tuple[int, str]:
        """Connect the shop that came back; return its id and domain.

        Args:
            params: the query as it came, each name with all of its values.
            state: from the browser's own session: a walk that another browser began is not finished here.
        Raises:
            Wrong: forged, of another walk, used before or too late.
            Failed: Shopify does not answer or refuses.
        """
        query = {name: values[0] for name, values in params.items()}
        if any(len(values) != 1 for values in params.values()):
            raise _forged()
        try:
            domain, code = check_callback(query, self._shopify.secrets)
        except BadCallback:
            raise _forged() from None
        if not state or not secrets.compare_digest(query.get("state", "").encode(), state.encode()):
            raise _forged()
        attempt = self._use_up(state, domain, now)
        try:
            known = self._installer.known(domain)
            grant = asked(lambda: self._shopify.redeem(domain, code))
            shop_id = self._installer.install(domain, grant, now, known, actor="shopify")
        except Stale:
            raise _forged() from None
        with self._db.begin() as connection:
            connection.execute(update(ConnectAttempt).where(ConnectAttempt.id == attempt).values(shop_id=shop_id))
        return shop_id, domain

    def _use_up(self, state: str, domain: str, now: datetime) -> int:
        """Take the attempt out of use before anything is asked: of two answers with one state the second is late."""
        mine = (
            ConnectAttempt.state_hash == _hash(state),
            ConnectAttempt.platform == "shopify",
            ConnectAttempt.address == domain,
            ConnectAttempt.expires_at > now,
            ConnectAttempt.finished_at.is_(None),
        )
        with self._db.write() as session:
            attempt = session.scalar(select(ConnectAttempt.id).where(*mine))
            used = session.execute(update(ConnectAttempt).where(*mine).values(finished_at=now))
            if attempt is None or used.rowcount != 1:  # type: ignore[attr-defined]
                raise _forged()
            return attempt


def _forged() -> Wrong:
    CONNECTS.labels("shopify", "callback refused").inc()
    return Wrong(FORGED)


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
