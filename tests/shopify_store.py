"""Tillwire's half of a Shopify connection at a simulated Shopify, over real HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import select, update

from app.db import Database
from app.models import AuditEntry, Connection, Shop
from app.services import configure
from app.services.secrets import Vault
from app.services.shopify_check import Checker
from app.services.shopify_client import Identity, ShopifyClient
from app.services.shopify_install import Installer
from app.services.shopify_tokens import Tokens
from app.services.shopify_walk import Walk
from app.simulators.shopify_platform import ShopifyPlatform

CLIENT_ID = "0123456789abcdef0123456789abcdef"
SECRET = "shpss_0123456789abcdef0123456789abcdef"
PUBLIC = "https://tillwire.example"
DOMAIN = "first.myshopify.com"
NUMBER = 42
TOML = (Path(__file__).parent.parent / "shopify.app.toml").read_text()


def enter(installer: Installer, identity: Identity) -> int:
    """As the app's pages do: a shop that is not connected is connected first."""
    found = installer.opened(identity)
    return installer.connect(identity) if found is None else found


class Store:
    """One simulated Shopify with one shop, and all parts of ours that talk with it."""

    def __init__(self, db: Database, *, public_url: str = PUBLIC, inner: httpx.BaseTransport | None = None) -> None:
        self.offset = 0.0  #: seconds by which both clocks are ahead
        self.platform = ShopifyPlatform(
            CLIENT_ID, SECRET, app_url=public_url, clock=lambda: time.time() + self.offset, handle=CLIENT_ID
        )
        self.platform.deploy(TOML.replace(PUBLIC, public_url))
        self.platform.add_shop(DOMAIN, id=NUMBER, currency="DKK")
        self.db = db
        self.key = Fernet.generate_key().decode()
        self.vault = Vault(MultiFernet([Fernet(self.key)]))
        self.shopify = self.client(public_url=public_url, inner=inner)
        self.installer = Installer(db, self.vault, self.shopify, clock=self.now)
        self.tokens = Tokens(db, self.vault, self.shopify, clock=self.now)
        self.checker = Checker(db, self.tokens, self.shopify)
        self.walk = Walk(db, self.shopify, self.installer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shopify.close()
        self.platform.close()

    def client(
        self,
        *,
        secrets: tuple[str, ...] = (SECRET,),
        public_url: str = PUBLIC,
        inner: httpx.BaseTransport | None = None,
    ) -> ShopifyClient:
        return ShopifyClient(
            client_id=CLIENT_ID,
            secrets=secrets,
            api_version="2026-10",
            public_url=public_url,
            admin_url=self.platform.url,
            inner=inner,
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset)

    def identity(self, domain: str = DOMAIN) -> Identity:
        return self.shopify.identify(self.platform.id_token(domain))

    def open(self, domain: str = DOMAIN) -> int:
        """Staff open the app."""
        return enter(self.installer, self.identity(domain))

    def installed(self) -> int:
        self.platform.install(DOMAIN)
        return self.open()

    # looking

    def shop(self, domain: str = DOMAIN) -> Shop:
        with self.db.read() as session:
            return session.scalars(select(Shop).where(Shop.domain == domain)).one()

    def connection(self, shop_id: int | None = None) -> Connection:
        with self.db.read() as session:
            return session.get_one(Connection, shop_id or self.shop().id)

    def secrets(self) -> dict[str, Any]:
        return self.vault.open(self.connection().secrets)

    def audit(self) -> list[tuple[str, str, Any, Any]]:
        with self.db.read() as session:
            rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
            return [(row.actor, row.action, row.before, row.after) for row in rows]

    def calls(self, path: str) -> list[int]:
        """The answers to calls whose path matches."""
        return [each["status"] for each in self.platform.requests() if re.search(path, each["path"])]

    # changing

    def set(self, **values: Any) -> None:
        with self.db.begin() as connection:
            connection.execute(update(Connection).values(**values))

    def expire(self, seconds: float = -1.0) -> None:
        """Let the access token have so long to live, as far as we know."""
        self.set(expires_at=self.now() + timedelta(seconds=seconds))

    def change(self, what: Callable[[Any, Shop], Any]) -> Any:
        """In a transaction, as a chore does."""
        with self.db.write() as session:
            return what(session, configure.find_shop(session, str(self.shop().id)))
