"""Installing, removing and installing again: what happens to a Shopify shop here, in whatever order it is told.

Nothing is stored before the first question with the new tokens was answered, and then everything in one transaction:
an install that breaks off leaves nothing behind that a second try could stumble over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Base, Database
from app.metrics import CONNECTS
from app.models import Connection, ConnectionState, Shop
from app.services import audit, configure, connections
from app.services.errors import Failed
from app.services.said import mark
from app.services.secrets import Vault
from app.services.shopify_client import ShopifyClient
from app.services.shopify_tokens import dropped, sealed
from app.services.shopify_troubles import (
    ANOTHER_DOMAIN,
    ANOTHER_STORE,
    FORBIDDEN,
    REMOVED,
    WRONG_CLIENT,
    Trouble,
    in_trouble,
)
from connectors.shopify.admin import AdminError, AdminForbidden, AdminUnauthorized, AdminUnavailable
from connectors.shopify.code_grant import missing_scopes
from connectors.shopify.identity import Identity
from connectors.shopify.oauth import (
    DeadGrant,
    Grant,
    OAuthError,
    OAuthForbidden,
    OAuthUnavailable,
    StaleSubject,
    WrongClient,
)
from connectors.shopify.shop import ShopFacts, read_shop
from connectors.shopify.subscriptions import SCOPES

T = TypeVar("T")

SEEN_EVERY = timedelta(seconds=10)  #: how exactly it is noted when the app was last opened
SURE = timedelta(minutes=10)  #: so long after a check the tokens are taken for alive, whoever opens the app
_WORKING = (ConnectionState.CONNECTED, ConnectionState.ATTENTION)


class Stale(Exception):
    """Shopify no longer takes what the browser brought: it is to bring something fresh."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a shop that somebody opens the app for."""

    shop_id: int
    generation: int
    connected: bool  #: nothing has to be asked of Shopify


class Installer:
    """Connects shops.

    Args:
        clock: aware; by which installs are told from removals that were late to arrive.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        shopify: ShopifyClient,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._vault = vault
        self._shopify = shopify
        self._clock = clock

    def opened(self, identity: Identity) -> int | None:
        """The shop whose staff opened the app, where it is connected; that is read here, and nobody is asked."""
        known = self.known(identity.domain)
        if known is None or not known.connected:
            return None
        self._note_opened(known, identity.issued_at)
        return known.shop_id

    def connect(self, identity: Identity) -> int:
        """Connect the shop whose staff opened the app, by token exchange; return its id.

        Raises:
            Stale: the ID token is too old for an exchange.
            Failed: Shopify does not answer or refuses; the text is for the merchant.
        """
        known, started = self.known(identity.domain), self._clock()
        grant = asked(lambda: self._shopify.exchange(identity))
        return self.install(identity.domain, grant, started, known, actor=f"shopify:{identity.staff}")

    def install(self, domain: str, grant: Grant, started: datetime, known: Known | None, *, actor: str) -> int:
        """Prove ``grant`` by a first question, then store it with all that the shop says of itself.

        Args:
            started: before ``grant`` was asked for; what removed the app after that is not undone.
            known: what was stored then.
        """
        admin = self._shopify.admin(domain, lambda rejected: _once(grant.access_token, rejected))
        facts = asked(lambda: read_shop(admin))
        with self._db.write() as session:
            _refuse_second(session, domain, facts.external_id)
            shop, connection = _rows(session, domain, started)
            if shop.external_id not in (None, facts.external_id):
                raise Failed(ANOTHER_STORE)
            ended = connection.state == ConnectionState.ENDED
            if ended and connection.ended_at is not None and connection.ended_at >= started:
                raise Failed(REMOVED)
            if connection.state == ConnectionState.CONNECTED and connection.generation != (known and known.generation):
                return shop.id  # another page of the same shop was faster; its tokens are as good
            self._connect(session, shop, connection, grant, facts, started, actor)
        CONNECTS.labels("shopify", "connected").inc()
        return shop.id

    def _connect(
        self,
        session: Session,
        shop: Shop,
        connection: Connection,
        grant: Grant,
        facts: ShopFacts,
        started: datetime,
        actor: str,
    ) -> None:
        before = {"state": connection.state, "generation": connection.generation}
        for name, value in sealed(self._vault, grant).items():
            setattr(connection, name, value)
        connection.scopes = list(facts.scopes)
        connection.state, connection.trouble, connection.trouble_code = ConnectionState.CONNECTED, None, None
        connections.install(connection, started)
        learn(shop, facts)
        shop.trouble = None
        configure.resume_shop(session, shop)
        after = {"state": connection.state, "generation": connection.generation, "scopes": connection.scopes}
        audit.record(session, shop_id=shop.id, actor=actor, action="connect store", before=before, after=after)

    def known(self, domain: str) -> Known | None:
        """What is stored of a shop; None where there is no connection."""
        with self._db.read() as session:
            row = session.execute(_opened(domain)).one_or_none()
        if row is None:
            return None
        works = row.state in _WORKING and row.trouble_code != Trouble.WRONG_CLIENT and row.removed_at is None
        return Known(row.id, row.generation, works)

    def _note_opened(self, known: Known, at: datetime) -> None:
        """Shopify hands ID tokens out only while the app is installed: a removal before ``at`` is over.

        The tokens died with it all the same, so they are checked at once, while somebody is there who can renew them.
        """
        due = (Connection.opened_at.is_(None)) | (Connection.opened_at < at - SEEN_EVERY)
        mine = (Connection.shop_id == known.shop_id, Connection.generation == known.generation, due)
        with self._db.read() as session:
            if session.scalar(select(Connection.shop_id).where(*mine)) is None:
                return
        with self._db.begin() as connection:
            connection.execute(update(Connection).where(*mine).values(opened_at=at))
            now = self._clock()
            unsure = (Connection.check_at > now, Connection.checked_at < now - SURE)
            check = update(Connection).where(Connection.shop_id == known.shop_id, *unsure)
            connection.execute(check.values(check_at=now))


def _opened(domain: str) -> Any:
    wanted = select(Shop.id, Shop.removed_at, Connection.state, Connection.trouble_code, Connection.generation)
    return wanted.join(Connection, Connection.shop_id == Shop.id).where(
        Shop.platform == "shopify", Shop.domain == domain
    )


def _refuse_second(session: Session, domain: str, external_id: str) -> None:
    """One store under two domains must not become two shops: each would report its orders."""
    same = (Shop.platform == "shopify", Shop.external_id == external_id, Shop.removed_at.is_(None))
    if session.scalar(select(Shop.id).where(*same, Shop.domain != domain).limit(1)) is not None:
        raise Failed(ANOTHER_DOMAIN)


def _rows(session: Session, domain: str, now: datetime) -> tuple[Shop, Connection]:
    """The shop and its connection, locked; made where there are none. Two installs at once find the same rows."""
    shop_row = {"platform": "shopify", "domain": domain, "url": f"https://{domain}", "settings": {}, "created_at": now}
    number = configure.new_number(session)
    _insert(session, Shop, shop_row if number is None else {"id": number, **shop_row})
    wanted = select(Shop).where(Shop.platform == "shopify", Shop.domain == domain)
    shop = session.scalars(wanted.with_for_update(key_share=True)).one()
    row = {"shop_id": shop.id, "state": ConnectionState.UNPROVEN, "scopes": [], "generation": 0, "installed_at": now}
    _insert(session, Connection, row)
    lock(session, shop.id)
    return shop, session.get_one(Connection, shop.id)


def lock(session: Session, shop_id: int) -> Connection | None:
    """The shop's connection, locked after the shop itself: whoever writes to both takes them in this order.

    Rows that refer to the shop may still be added meanwhile, by those who hold the connection.
    """
    fresh = {"populate_existing": True}
    shop = select(Shop).where(Shop.id == shop_id).with_for_update(key_share=True)
    session.scalars(shop, execution_options=fresh).one_or_none()
    connection = select(Connection).where(Connection.shop_id == shop_id).with_for_update()
    return session.scalars(connection, execution_options=fresh).one_or_none()


def _insert(session: Session, table: type[Base], row: dict[str, Any]) -> None:
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    session.execute(dialect.insert(table).values(row).on_conflict_do_nothing())


def learn(shop: Shop, facts: ShopFacts) -> None:
    """Note what the shop says of itself; its number binds bodies to it."""
    shop.external_id = facts.external_id
    known = {"currency": facts.currency, "timezone": facts.timezone, "plan": facts.plan}
    shop.settings = {**shop.settings, "facts": {**shop.settings.get("facts", {}), **known}}


def _once(token: str, rejected: str | None) -> str:
    if rejected is not None:
        raise Stale
    return token


def asked(question: Callable[[], T]) -> T:
    """The answer, or what is to be done about there being none."""
    try:
        return question()
    except (StaleSubject, DeadGrant, AdminUnauthorized):
        raise Stale from None
    except WrongClient:
        raise Failed(WRONG_CLIENT) from None
    except (AdminForbidden, OAuthForbidden):
        raise Failed(FORBIDDEN) from None
    except (OAuthUnavailable, AdminUnavailable):
        raise Failed(mark("Shopify does not answer. Nothing was changed. Reload this page in a minute.")) from None
    except (OAuthError, AdminError) as error:
        text = mark(
            "Shopify's answer could not be used ({error}). Nothing was changed. Reload this page in a minute."
        ).format(error=error)
        raise Failed(text) from None


# what Shopify tells by webhooks


def uninstalled(session: Session, shop: Shop, triggered_at: datetime) -> bool:
    """The app was removed. Asks Shopify nothing: the tokens are dead already. False where that is over.

    Args:
        triggered_at: by Shopify; the webhook may come hours later, after the app was installed again.
    """
    connection = lock(session, shop.id)
    if connection is None:
        configure.pause_shop(session, shop)
        return True
    connection.ended_at = max(triggered_at, connection.ended_at or triggered_at)
    if connection.installed_at >= triggered_at or connection.state == ConnectionState.ENDED:
        return False
    if connection.opened_at is not None and connection.opened_at >= triggered_at:
        values = dropped()  # installed again since, though nobody told us; the old tokens are dead all the same
    else:
        values = dropped() | {"state": ConnectionState.ENDED, **in_trouble(Trouble.REMOVED)}
        values |= {"check_at": None, "reconcile_at": None}
        configure.pause_shop(session, shop)
    before = {"state": connection.state}
    for name, value in values.items():
        setattr(connection, name, value)
    after = {"state": connection.state}
    audit.record(session, shop_id=shop.id, actor="shopify", action="remove app", before=before, after=after)
    return True


def scopes_changed(session: Session, shop: Shop, current: Sequence[str], triggered_at: datetime) -> bool:
    """The store granted or took rights; the next check, now due, asks which ones. False where that is over."""
    connection = lock(session, shop.id)
    if connection is None or connection.installed_at >= triggered_at or connection.state == ConnectionState.ENDED:
        return False
    before = {"scopes": connection.scopes}
    connection.scopes, connection.check_at = sorted(current), triggered_at
    connection.reconcile_at = triggered_at  # what was hidden for want of a right can be seen now
    after = {"scopes": connection.scopes, "missing": missing_scopes(SCOPES, current)}
    audit.record(session, shop_id=shop.id, actor="shopify", action="change scopes", before=before, after=after)
    return True
