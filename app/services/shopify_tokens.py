"""Tokens of Shopify's shops: kept encrypted, refreshed in time by one worker at a time.

A refresh is claimed by a lease in a short transaction, asked for with none open, and saved only where the lease and the
tokens are still those that it began with. The refresh token that is stored works until its replacement is used
(shopify.dev/changelog/more-resilient-refreshes-for-expiring-offline-access-tokens), so wherever a process dies or an
answer is lost, the next one simply asks again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Result, Select, or_, select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Connection, ConnectionState, Shop
from app.services import audit
from app.services.errors import Failed
from app.services.said import mark
from app.services.secrets import Locked, Vault
from app.services.shopify_client import ShopifyClient
from app.services.shopify_troubles import NO_TROUBLE, REOPEN, WRONG_CLIENT, Trouble, in_trouble
from connectors.shopify.admin import Admin
from connectors.shopify.oauth import DeadGrant, Grant, OAuthError, WrongClient

log = logging.getLogger(__name__)

MARGIN = timedelta(minutes=5)  #: a token with less to live is refreshed
LEASE = timedelta(seconds=90)  #: longer than the longest refresh: three tries of 15 s, and a commit
PATIENCE = 30.0  #: seconds to wait for another worker's refresh
POLL = 0.05
KEEP = timedelta(days=30)  #: a refresh token with less to live is replaced, though nobody needs it yet


class NeedsReopening(Failed):
    """There are no tokens that work until somebody opens the app in the store's admin."""


class ClientRefused(Failed):
    """Shopify does not take our client secret; of a shop that removed the app it says the same."""


class NoAnswer(Failed):
    """Shopify did not say; the same may work later."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A shop's tokens as stored, and what a change of them must find unchanged."""

    shop_id: int
    domain: str
    generation: int
    sealed: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


def sealed(vault: Vault, grant: Grant) -> dict[str, Any]:
    """What a grant means for a connection's columns; both tokens and both moments belong together."""
    return {
        "secrets": vault.close({"access_token": grant.access_token, "refresh_token": grant.refresh_token}),
        "expires_at": grant.expires_at,
        "refresh_expires_at": grant.refresh_expires_at,
        "scopes": list(grant.scopes),
    }


class Tokens:
    """The tokens of all shops."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        shopify: ShopifyClient,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._db = db
        self._vault = vault
        self._shopify = shopify
        self._clock = clock
        self._sleep = sleep

    def token(self, shop_id: int) -> str:
        """An access token that lives; refreshed first where it does not for long.

        Raises:
            NeedsReopening: only opening the app in the admin helps.
            Failed: Shopify does not answer, or does not take our client secret.
        """
        return self._living(shop_id, rejected=None)

    def admin(self, shop_id: int) -> Admin:
        """The shop's admin; after a 401 it takes a fresh token, once."""
        domain = self._kept(shop_id).domain
        return self._shopify.admin(domain, lambda rejected: self._living(shop_id, rejected))

    def keep_alive(self, now: datetime) -> int:
        """Replace refresh tokens that would die of nobody needing them; return how many. For once a day."""
        return len(self._renew_all(Connection.refresh_expires_at < now + KEEP)[0])

    def refresh_all(self) -> dict[str, list[int]]:
        """Replace all tokens, so that none is left that an older client secret made; before that is revoked.

        Returns: shops by ``refreshed`` and ``failed``. While any failed, the older secret has to stay.
        Source: shopify.dev/docs/apps/build/authentication-authorization/client-secrets/rotate-revoke-client-credentials
        """
        refreshed, failed = self._renew_all(Connection.secrets.is_not(None))
        return {"refreshed": refreshed, "failed": failed}

    def end_eternal(self) -> int:
        """Drop tokens of which it is not known when they expire; return how many shops must be reopened.

        Shopify refuses tokens that never expire, and one that we took for eternal would never be refreshed.
        """
        unknown = or_(Connection.expires_at.is_(None), Connection.refresh_expires_at.is_(None))
        wanted = _shopify_ids().where(Connection.secrets.is_not(None), unknown)
        with self._db.write() as session:
            found = session.scalars(wanted).all()
            for shop_id in found:
                session.execute(update(Connection).where(Connection.shop_id == shop_id, unknown).values(**dropped()))
                _record(session, shop_id, ConnectionState.REOPEN)
        return len(found)

    def lost(self, shop_id: int, generation: int, refused: str | None) -> None:
        """Shopify refused a token that it had just given: only a person can get another.

        Args:
            refused: that token; where another is stored by now, that one may live, and nothing happens.
        """
        try:
            kept = self._kept(shop_id)
        except NeedsReopening:
            return
        if (kept.generation, kept.access_token) != (generation, refused):
            return
        with self._db.write() as session:
            changed = session.execute(update(Connection).where(*_same(kept)).values(**dropped()))
            if _count(changed):
                _record(session, shop_id, ConnectionState.REOPEN)

    def _renew_all(self, condition: ColumnElement[bool]) -> tuple[list[int], list[int]]:
        with self._db.read() as session:
            wanted = _shopify_ids().where(condition, Connection.state.in_(_USED)).order_by(Connection.shop_id)
            shops = session.scalars(wanted).all()
        done: list[int] = []
        failed: list[int] = []
        for shop_id in shops:
            try:
                self._living(shop_id, rejected=self._kept(shop_id).access_token)
                done.append(shop_id)
            except Failed as error:
                log.warning("the tokens of shop %d were not renewed: %s", shop_id, error, extra={"shop": shop_id})
                failed.append(shop_id)
        return done, failed

    def _living(self, shop_id: int, rejected: str | None) -> str:
        until = time.monotonic() + PATIENCE
        while True:
            kept, now = self._kept(shop_id), self._clock()
            if kept.access_token != rejected and kept.expires_at > now + MARGIN:
                return kept.access_token
            usable = kept.access_token != rejected and kept.expires_at > now
            lease = self._claim(kept, now, usable)
            if lease is not None:
                fresh = self._refresh(kept, lease, usable)
                if fresh is not None:
                    return fresh
            elif usable:
                return kept.access_token  # another worker is at it, and this one lives a little longer
            if time.monotonic() > until:
                raise NoAnswer(mark("the access to the store is being renewed; nothing is lost, try again in a minute"))
            self._sleep(POLL)

    def _kept(self, shop_id: int) -> _Kept:
        wanted = select(Connection, Shop.domain).join(Shop, Shop.id == Connection.shop_id)
        with self._db.read() as session:
            row = session.execute(wanted.where(Shop.id == shop_id, Shop.removed_at.is_(None))).one_or_none()
        if row is None:
            raise NeedsReopening(REOPEN)
        connection, domain = row
        if connection.state not in _USED or connection.secrets is None:
            raise NeedsReopening(REOPEN)
        try:
            secrets = self._vault.open(connection.secrets)
        except Locked as error:
            raise Failed(str(error)) from None
        return _Kept(
            shop_id=shop_id,
            domain=domain,
            generation=connection.generation,
            sealed=connection.secrets,
            access_token=secrets["access_token"],
            refresh_token=secrets["refresh_token"],
            expires_at=connection.expires_at or _LONG_AGO,
        )

    def _claim(self, kept: _Kept, now: datetime, usable: bool) -> datetime | None:
        """Become the one who refreshes these very tokens; None while another one is."""
        lease = now + LEASE
        # What Shopify refused is over for everybody, also where no other token comes of this.
        values = {"refreshing_until": lease} if usable else {"refreshing_until": lease, "expires_at": now}
        free = or_(Connection.refreshing_until.is_(None), Connection.refreshing_until <= now)
        with self._db.begin() as connection:
            claimed = connection.execute(update(Connection).where(*_same(kept), free).values(**values))
            return lease if _count(claimed) else None

    def _refresh(self, kept: _Kept, lease: datetime, usable: bool) -> str | None:
        """The new access token, once stored; None where the row has moved on meanwhile.

        Args:
            usable: whether the old token may serve once more where Shopify does not answer.
        """
        # Not by what is stored: that may be encrypted anew meanwhile. Whoever installs or removes ends the lease.
        mine = (
            Connection.shop_id == kept.shop_id,
            Connection.generation == kept.generation,
            Connection.refreshing_until == lease,
        )
        try:
            grant = self._shopify.refresh(kept.domain, kept.refresh_token)
        except DeadGrant:
            if self._change(mine, dropped(), kept.shop_id, ConnectionState.REOPEN):
                raise NeedsReopening(REOPEN) from None
            return None
        except WrongClient:
            attention = {"state": ConnectionState.ATTENTION, "refreshing_until": None}
            refused = {**attention, **in_trouble(Trouble.WRONG_CLIENT)}
            if self._change(mine, refused, kept.shop_id, ConnectionState.ATTENTION):
                raise ClientRefused(WRONG_CLIENT) from None
            return None
        except OAuthError as error:
            self._change(mine, {"refreshing_until": None})
            if usable:
                return kept.access_token
            raise NoAnswer(f"Shopify did not renew the access to the store ({error}); it is tried again") from None
        return grant.access_token if self._save(mine, grant) else None

    def _save(self, mine: Sequence[ColumnElement[bool]], grant: Grant) -> bool:
        """Both tokens and both moments at once, or, where the lease was lost, none of them."""
        fresh = sealed(self._vault, grant)
        if not grant.scopes:
            del fresh["scopes"]
        with self._db.begin() as connection:
            # Answered again, so what was said of a wrong secret is over; what a check found stays.
            connection.execute(
                update(Connection)
                .where(*mine, Connection.trouble_code == Trouble.WRONG_CLIENT)
                .values(state=ConnectionState.CONNECTED, **NO_TROUBLE)
            )
            saved = connection.execute(update(Connection).where(*mine).values(**fresh, refreshing_until=None))
            return bool(_count(saved))

    def _change(
        self,
        mine: Sequence[ColumnElement[bool]],
        values: dict[str, Any],
        shop_id: int | None = None,
        state: ConnectionState | None = None,
    ) -> bool:
        with self._db.write() as session:
            changed = session.execute(update(Connection).where(*mine).values(**values))
            if _count(changed) and shop_id is not None and state is not None:
                _record(session, shop_id, state)
            return bool(_count(changed))


_USED = (ConnectionState.CONNECTED, ConnectionState.ATTENTION)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _shopify_ids() -> Select[int]:
    wanted = select(Connection.shop_id).join(Shop, Shop.id == Connection.shop_id)
    return wanted.where(Shop.platform == "shopify", Shop.removed_at.is_(None))


def _same(kept: _Kept) -> tuple[ColumnElement[bool], ...]:
    """The row as it was read: neither installed anew nor refreshed since."""
    return (
        Connection.shop_id == kept.shop_id,
        Connection.generation == kept.generation,
        Connection.secrets == kept.sealed,
        Connection.state.in_(_USED),
    )


def dropped() -> dict[str, Any]:
    """A connection's columns once its tokens are dead; webhooks, which need none, go on."""
    return {
        "state": ConnectionState.REOPEN,
        **in_trouble(Trouble.REOPEN),
        "secrets": None,
        "expires_at": None,
        "refresh_expires_at": None,
        "refreshing_until": None,
    }


def _count(result: Result[Any]) -> int:
    return int(result.rowcount)  # type: ignore[attr-defined]


def _record(session: Session, shop_id: int, state: ConnectionState) -> None:
    audit.record(session, shop_id=shop_id, actor="shopify", action="end access", after={"state": state.value})
