"""A whole Tillwire for tests: real database, real HTTP to simulated providers, a worker stepped by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import func, select, update

from app import factory
from app.config import read_config
from app.models import Delivery, DeliveryState, Gate, Mode, Webhook
from app.models.delivery import CLAIMABLE, among
from app.providers.registry import PROVIDERS
from app.services import configure, mapping_versions, show
from app.services.account import Accountant
from app.services.budgets import Budgets
from app.services.calls import Caller
from app.services.deliver import Deliverer
from app.simulators.providers import ProvidersServer, create_providers_app

SHOPIFY_SECRET = "app-secret"
DOMAIN = "rig.myshopify.com"
CREDENTIALS: dict[str, dict[str, str]] = {
    "sprii": {"api_key": "sprii-key"},
    "spotler": {"account_id": "account", "api_key": "spotler-key"},
    "seeka": {"organisation_id": "organisation", "public_key": "seeka-key"},
    "gameball": {"api_key": "gameball-key", "secret_key": "gameball-secret"},
    "esputnik": {"api_key": "esputnik-key"},
}
FACTOR = "1000"


def signature(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


class Rig:
    def __init__(self, var: Path, *, database_url: str | None = None, broker_url: str = "") -> None:
        self.simulators = ProvidersServer(create_providers_app(limit_factor=float(FACTOR)))
        environment = {
            "SHOPIFY_API_SECRET": SHOPIFY_SECRET,
            "ALLOW_PRIVATE_NETWORKS": "1",
            "LIMIT_FACTOR": FACTOR,
            "BROKER_URL": broker_url,
            **{f"{name.upper()}_API_URL": self.simulators.base(name) for name in PROVIDERS},
        }
        if database_url:
            environment["DATABASE_URL"] = database_url
        # The work is stepped by hand: a process of its own for calls would cost each test its start.
        self.config = read_config(environment | {"CALLS_IN": "threads"}, var=var / "var")
        #: What another process needs to work on the same database.
        self.environment = {
            **environment,
            "DATABASE_URL": self.config.database_url,
            "SECRET_KEY": self.config.secret_key,
            "ENCRYPTION_KEYS": ",".join(self.config.encryption_keys),
        }
        self.parts = factory.create_parts(self.config)
        self.db = self.parts.db
        self.db.migrate()
        self.app = factory.create_app(self.parts)
        self.client = self.app.test_client()
        self.accountant = Accountant(self.db.of_clerks(), self.parts.router)
        self.deliverer = self.new_deliverer()
        self._numbers = itertools.count(1)
        self._endpoints: dict[tuple[int, str], tuple[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.deliverer.close()
        self.app.extensions["intake"].close()
        if self.parts.hints:
            self.parts.hints.close()
        self.db.close()
        self.simulators.close()

    def new_deliverer(self, *, factor: float = float(FACTOR)) -> Deliverer:
        """Another clerk on the same database, as after a restart."""
        return Deliverer(
            self.db.of_clerks(),
            self.parts.router,
            Budgets(factor),
            caller=Caller(lambda target: factory.base_url(self.config, target), allow_private=True),
            scale=factor,
        )

    # setting up

    def shop(self, platform: str = "shopify", address: str | None = None, *, external_id: str | None = None) -> int:
        address = address or (DOMAIN if platform == "shopify" else "https://store.example")
        with self.db.write() as session:
            return configure.add_shop(session, platform, address, external_id=external_id).id

    def switch_on(self, shop: int, *providers: str, mode: str = Mode.LIVE, **options: str) -> None:
        """Bring ``providers`` (default: all five) into ``mode`` with working credentials."""
        for name in providers or tuple(PROVIDERS):
            self.set(shop, name, mode=mode, **CREDENTIALS[name], **options)

    def set(self, shop: int, provider: str, *, mode: str | None = None, last_days: int = 0, **values: str) -> None:
        with self.db.write() as session:
            configure.set_destination(
                session,
                self.parts.vault,
                self.parts.router,
                configure.find_shop(session, str(shop)),
                PROVIDERS[provider],
                values,
                mode=mode,
                last_days=last_days,
            )

    def map(self, shop: int, provider: str, text: str) -> None:
        """Save an own mapping over whichever counts."""
        with self.db.write() as session:
            row = configure.find_shop(session, str(shop))
            mapping_versions.replace(session, row, PROVIDERS[provider], text, actor="operator")

    def endpoint(self, shop: int, topic: str) -> tuple[str, str]:
        """The path and secret of the shop's WooCommerce webhook of that topic, made at first need."""
        key = (shop, topic)
        if key not in self._endpoints:
            with self.db.write() as session:
                row = configure.find_shop(session, str(shop))
                self._endpoints[key] = configure.add_endpoint(session, self.parts.vault, row, topic, None)
        return self._endpoints[key]

    # sending webhooks

    def shopify(
        self, topic: str, body: bytes | Mapping[str, Any], *, domain: str | None = DOMAIN, webhook_id: str | None = None
    ) -> str:
        """Send one signed webhook; return the status word of the answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": signature(SHOPIFY_SECRET, raw),
            "X-Shopify-Webhook-Id": webhook_id or f"webhook-{next(self._numbers)}",
        }
        if domain is not None:
            headers["X-Shopify-Shop-Domain"] = domain
        answer = self.client.post("/webhooks/shopify", data=raw, headers=headers, content_type="application/json")
        assert answer.status_code == 200, answer.data
        return str(answer.get_json()["status"])

    def woocommerce(self, shop: int, topic: str, body: bytes | Mapping[str, Any], **more: str) -> str:
        """Send a signed webhook, with ``more`` headers; what was answered."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        path, secret = self.endpoint(shop, topic)
        headers = {
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Signature": signature(secret, raw),
            "X-WC-Webhook-Delivery-ID": f"delivery-{next(self._numbers)}",
            **more,
        }
        answer = self.client.post(path, data=raw, headers=headers, content_type="application/json")
        assert answer.status_code == 200, answer.data
        return str(answer.get_json()["status"])

    # working

    def account(self) -> None:
        while self.accountant.work():
            pass

    def work(self, *, seconds: float = 20.0, settled: str | None = None) -> None:
        """Account and deliver until nothing is left that could move by itself.

        Args:
            settled: a provider whose deliveries may wait for another try, once each was tried.
        """
        self.account()
        until = time.monotonic() + seconds
        while self._moving(settled):
            assert time.monotonic() < until, self.deliveries()
            if not self.deliverer.work():
                time.sleep(0.002)

    def _moving(self, settled: str | None) -> int:
        open_rows = select(func.count()).where(among(Delivery.state, CLAIMABLE))
        if settled:
            waiting = (Delivery.provider == settled) & (Delivery.state == DeliveryState.RETRYING)
            open_rows = open_rows.where(~waiting)
        with self.db.read() as session:
            webhooks = session.scalar(select(func.count()).where(Webhook.state == "pending"))
            return int(session.scalar(open_rows) or 0) + int(webhooks or 0)

    def make_due(self) -> None:
        """Let the clock run to the next retry of everything."""
        with self.db.write() as session:
            session.execute(update(Delivery).values(due_at=datetime.now(UTC)))

    def hurry(self) -> None:
        """Do not wait out what a provider or a limited retry asked for."""
        with self.db.write() as session:
            waiting = Delivery.due_at > datetime.now(UTC) + timedelta(seconds=1)
            session.execute(update(Delivery).where(waiting).values(due_at=datetime.now(UTC)))
            session.execute(update(Gate).values(failures=0, paused_until=None))

    # looking

    def deliveries(self, **wanted: Any) -> list[dict[str, Any]]:
        with self.db.read() as session:
            return show.deliveries(session, **wanted)

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        with self.db.read() as session:
            return show.events(session, **wanted)

    def states(self, **wanted: Any) -> list[tuple[str, str, str | None]]:
        """``(action, state, reason)`` of the deliveries, oldest first."""
        return [(each["action"], each["state"], each["reason"]) for each in self.deliveries(**wanted)]

    def received(self, provider: str) -> list[dict[str, Any]]:
        """The bodies that a simulated provider was sent, oldest first."""
        return [each["body"] for each in self.simulators.app.requests(provider)]

    def violations(self) -> list[Any]:
        return list(self.simulators.app.violations())
