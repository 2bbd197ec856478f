"""A Tillwire and a made-up WooCommerce store that reach each other over real HTTP, and a merchant between them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app import factory
from app.config import read_config
from app.db import Base
from app.models import ConnectAttempt, Connection, Endpoint, Shop
from app.services import accounts, sign_in
from app.services.woocommerce_connect import begin, come_back
from app.simulators.server import Server
from app.simulators.woocommerce_platform import WooCommercePlatform
from app.simulators.wp_books import Key
from tests.databases import settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

NOW = datetime.now(UTC).replace(microsecond=0)  #: callbacks come by real HTTP, at their own time


class Walks:
    """
    Args:
        habits: of the store, see `app.simulators.wp_books.Habits`.
    """

    def __init__(self, folder: Path, database_url: str, **habits: Any) -> None:
        self._server = Server(self._serve)
        environment = {"PUBLIC_URL": self._server.url, "ALLOW_PRIVATE_NETWORKS": "1", **settings(database_url)}
        self.config = read_config(environment, var=folder / "var")
        self.parts = factory.create_parts(self.config)
        self.db, self.vault = self.parts.db, self.parts.vault
        self.app = factory.create_app(self.parts)
        self.stores = factory.create_stores(self.parts)
        self.store = WooCommercePlatform(**{"insecure_ok": True, "polite": 100_000, **habits})
        self.account = self.new_account("anna@shop.example")

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
        self._server.close()
        self.app.extensions["intake"].close()
        if self.parts.hints:
            self.parts.hints.close()
        self.db.close()

    def new_account(self, email: str) -> int:
        with self.db.write() as session:
            return accounts.find_or_add(session, email, NOW)

    def client(self, account: int | None = None) -> FlaskClient:
        """The browser of somebody who is signed in."""
        account = self.account if account is None else account
        with self.db.write() as session:
            now, longest = datetime.now(UTC), timedelta(hours=1)
            token = sign_in.start(session, f"account:{account}", now, longest, account_id=account)
        client = self.app.test_client()
        with client.session_transaction() as cookie:
            cookie["sign_in"] = token
        return client

    def post(self, client: FlaskClient, path: str, page: str | None = None, **fields: str) -> TestResponse:
        """Send the form that stands on ``page``, as a browser does."""
        shown = client.get(page or path).get_data(as_text=True)
        token = re.search(r'name="csrf_token" value="([^"]+)"', shown.partition("<main")[2] or shown)
        assert token, shown
        return client.post(path, data={**fields, "csrf_token": token[1]})

    def connect(self, account: int | None = None, now: datetime = NOW) -> int:
        """The whole walk, by somebody who presses Approve; the shop's id."""
        account = self.account if account is None else account
        state = self.approved(account, now)
        attempt = come_back(self.stores, account, state, refused=False, now=now)
        assert attempt.shop_id is not None, attempt
        return attempt.shop_id

    def approved(self, account: int | None = None, now: datetime = NOW) -> str:
        """The state of an attempt whose keys the store has sent."""
        walk = begin(self.stores, self.account if account is None else account, self.store.url, now)
        answer = self.store.approve(walk.authorize)
        assert answer.status_code == 302, answer.text
        with self.db.write() as session:
            session.execute(
                update(ConnectAttempt).where(ConnectAttempt.delivered_at.is_not(None)).values(delivered_at=now)
            )
        return state_of(walk.authorize)

    # looking

    def row(self, table: type[Base], key: Any) -> Any:
        with self.db.read() as session:
            return session.get(table, key)

    def rows(self, table: type[Base], **wanted: Any) -> list[Any]:
        with self.db.read() as session:
            return list(session.scalars(select(table).filter_by(**wanted)).all())

    def connection(self, shop: int) -> Connection:
        return self.row(Connection, shop)

    def living(self, shop: int) -> dict[str, Endpoint]:
        return {each.topic: each for each in self.rows(Endpoint, shop_id=shop, retired_at=None)}

    def shop(self, shop: int) -> Shop:
        return self.row(Shop, shop)

    def url(self, endpoint: Endpoint) -> str:
        return f"{self.config.public_url}/webhooks/woocommerce/{endpoint.token}"

    def keys(self) -> list[Key]:
        return self.store.api_keys()

    def hooks(self) -> list[tuple[str, str, str]]:
        """Topic, status and delivery URL of all webhooks in the store."""
        return sorted((hook.topic, hook.status, hook.delivery_url) for hook in self.store.webhooks())


def state_of(address: str) -> str:
    found = re.search(r"user_id=([^&]+)", address)
    assert found
    return found[1]
