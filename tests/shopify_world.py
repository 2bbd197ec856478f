"""A whole Tillwire and a simulated Shopify that reach each other over real HTTP, with simulated providers behind."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests
from sqlalchemy import select, update

from app import factory
from app.config import read_config
from app.db import Base
from app.models import Connection, Delivery, Mode, Shop, Webhook
from app.models.delivery import CLAIMABLE, among
from app.providers.registry import PROVIDERS
from app.services import configure, show
from app.services.budgets import Budgets
from app.services.calls import Caller
from app.services.chores import Chores
from app.services.deliver import Deliverer
from app.services.packing import decompress
from app.services.shopify_check import Checker
from app.services.shopify_tokens import Tokens
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.server import Server
from app.simulators.shopify_platform import ShopifyPlatform
from connectors.shopify.admin import Admin
from tests.databases import settings
from tests.rig import CREDENTIALS, FACTOR
from tests.shopify_store import CLIENT_ID, DOMAIN, NUMBER, PUBLIC, SECRET, TOML

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FRAME = {"Sec-Fetch-Dest": "iframe"}


class World:
    """
    Args:
        environment: settings of Tillwire beside those that it needs here.
    """

    def __init__(self, folder: Path, database_url: str, **environment: str) -> None:
        self._server = Server(self._serve)
        self.url = self._server.url
        self.providers = ProvidersServer(create_providers_app(limit_factor=float(FACTOR)))
        self.offset = 0.0  #: seconds by which Shopify's clock is ahead
        self.platform = ShopifyPlatform(
            CLIENT_ID, SECRET, app_url=self.url, clock=lambda: time.time() + self.offset, handle=CLIENT_ID
        )
        self.platform.deploy(TOML.replace(PUBLIC, self.url))
        self.platform.add_shop(DOMAIN, id=NUMBER, currency="DKK", plan="plus")
        here = {
            **{"PUBLIC_URL": self.url, "SHOPIFY_API_KEY": CLIENT_ID, "SHOPIFY_API_SECRET": SECRET},
            **{"SHOPIFY_ADMIN_URL": self.platform.url, "ALLOW_PRIVATE_NETWORKS": "1", "LIMIT_FACTOR": FACTOR},
            **{f"{name.upper()}_API_URL": self.providers.base(name) for name in PROVIDERS},
        }
        self.config = read_config({**here, **settings(database_url), **environment}, var=folder / "var")
        self.parts = factory.create_parts(self.config)
        self.db = self.parts.db
        self.app = factory.create_app(self.parts)
        self.shopify = factory.create_shopify(self.config)
        self.tokens = Tokens(self.db, self.parts.vault, self.shopify, clock=self.now)
        self.checker = Checker(self.db, self.tokens, self.shopify)
        self.reconciler = factory.create_reconciler(self.parts, self.shopify)
        self.accountant = factory.create_accountant(self.parts)
        self.chores = Chores(self.db, self.parts.vault, installed=self.checker.installed)
        self.deliverer = Deliverer(
            self.db.of_clerks(),
            self.parts.router,
            Budgets(float(FACTOR)),
            caller=Caller(lambda target: factory.base_url(self.config, target), allow_private=True),
            scale=float(FACTOR),
        )

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start_response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.deliverer.close()
        self.platform.close()
        self._server.close()
        for name in ("intake", "link_sender", "shopify"):
            self.app.extensions[name].close()
        self.shopify.close()
        if self.parts.hints:
            self.parts.hints.close()
        self.db.close()
        self.providers.close()

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.offset, UTC)

    # the merchant

    def open(self, domain: str = DOMAIN) -> requests.Response:
        """Staff open the app in their shop's admin."""
        return requests.get(self.platform.app_address(domain, "/settings"), headers=FRAME, timeout=60)

    def page(self, name: str) -> str:
        """A page of the shop, as its staff see it."""
        address = self.platform.app_address(DOMAIN, f"/shops/{self.shop().id}/{name}")
        return requests.get(address, headers=FRAME, timeout=60).text

    def installed(self, domain: str = DOMAIN) -> int:
        self.platform.install(domain)
        answer = self.open(domain)
        assert answer.status_code == 200, answer.text
        return self.shop(domain).id

    def switch_on(self, *providers: str, domain: str = DOMAIN, **options: str) -> None:
        with self.db.write() as session:
            shop = configure.find_shop(session, str(self.shop(domain).id))
            for name in providers:
                values = {**CREDENTIALS[name], **options}
                configure.set_destination(
                    session, self.parts.vault, self.parts.router, shop, PROVIDERS[name], values, mode=Mode.LIVE
                )

    def want(self, *topics: str, domain: str = DOMAIN) -> None:
        """The merchant wants these topics for this shop alone."""
        with self.db.write() as session:
            shop = configure.find_shop(session, str(self.shop(domain).id))
            shop.settings = {**shop.settings, "topics": list(topics)}

    # Shopify

    def admin(self, domain: str = DOMAIN) -> Admin:
        return self.tokens.admin(self.shop(domain).id)

    def post(self, body: bytes, **headers: str) -> int:
        """One request to our route for webhooks, as it stands; the status of the answer.

        Args:
            headers: ``topic`` for ``X-Shopify-Topic``, and so on.
        """
        named = {f"X-Shopify-{name.replace('_', '-').title()}": value for name, value in headers.items()}
        return requests.post(f"{self.url}/webhooks/shopify", data=body, headers=named, timeout=60).status_code

    def arrive(self) -> list[tuple[str, str]]:
        """Let what Shopify has to tell arrive, and be worked off; topic and answer of each webhook."""
        answers = self.platform.deliver_due()
        self.work()
        return answers

    # working

    def account(self) -> None:
        while self.accountant.work():
            pass

    def work(self) -> None:
        """Account, carry out and deliver until nothing is left that could move by itself."""
        self.account()
        self.chores.work(self.now())
        self.account()
        until = time.monotonic() + 60
        while self._open():
            assert time.monotonic() < until, self.deliveries()
            if not self.deliverer.work():
                time.sleep(0.002)

    def _open(self) -> bool:
        with self.db.read() as session:
            return session.scalar(select(Delivery.id).where(among(Delivery.state, CLAIMABLE)).limit(1)) is not None

    # looking

    def rows(self, table: type[Base], **wanted: Any) -> list[Any]:
        with self.db.read() as session:
            return list(session.scalars(select(table).filter_by(**wanted)).all())

    def shop(self, domain: str = DOMAIN) -> Shop:
        with self.db.read() as session:
            return session.scalars(select(Shop).where(Shop.domain == domain)).one()

    def connection(self, domain: str = DOMAIN) -> Connection:
        with self.db.read() as session:
            return session.get_one(Connection, self.shop(domain).id)

    def secrets(self, domain: str = DOMAIN) -> dict[str, Any]:
        return self.parts.vault.open(self.connection(domain).secrets)

    def set(self, **values: Any) -> None:
        """Write into all connections."""
        with self.db.begin() as connection:
            connection.execute(update(Connection).values(**values))

    def known(self, order_id: Any, domain: str = DOMAIN) -> dict[str, Any]:
        """An order as the ledger knows it."""
        with self.db.read() as session:
            found: dict[str, Any] = show.order(session, self.shop(domain), str(order_id))["known"]
            return found

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        with self.db.read() as session:
            return show.events(session, **wanted)

    def kinds(self) -> list[str]:
        """Of what was understood, oldest first."""
        return [each["kind"] for each in self.events(state="understood")]

    def deliveries(self) -> list[dict[str, Any]]:
        with self.db.read() as session:
            return show.deliveries(session)

    def states(self) -> list[tuple[str, str, str | None]]:
        """Provider, state and reason of all deliveries, oldest first."""
        return [(each["provider"], each["state"], each["reason"]) for each in self.deliveries()]

    def received(self, provider: str) -> list[dict[str, Any]]:
        """The bodies that a provider was sent, oldest first."""
        return [each["body"] for each in self.providers.app.requests(provider)]

    def bodies(self) -> list[bytes]:
        """Of the stored webhooks, oldest first."""
        with self.db.read() as session:
            return [decompress(body) for body in session.scalars(select(Webhook.body).order_by(Webhook.id))]

    def calls(self) -> Sequence[dict[str, Any]]:
        """What we asked Shopify so far."""
        return self.platform.requests()
