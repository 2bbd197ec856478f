"""A connected WooCommerce store over real HTTP, and what asks it, for the tests of reconciliation."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from app import factory
from app.models import Connection, ConnectionState, Webhook
from app.services import configure
from app.services.account import Accountant
from app.services.agreement import Source
from app.services.reconcile import Reconciler
from app.simulators.woocommerce_platform import WooCommercePlatform
from connectors.base import Fetched
from tests.rig import Rig

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Clock:
    """The store's; it moves where a test moves it, and not far: signed calls must not be older than 15 minutes."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> float:
        return self.now.timestamp()

    def tick(self, seconds: float = 60.0) -> None:
        self.now += timedelta(seconds=seconds)


def connect(rig: Rig, shop: int, secrets: dict[str, str], **values: Any) -> None:
    """Write what an installation writes."""
    with rig.db.write() as session:
        session.add(
            Connection(
                shop_id=shop,
                secrets=rig.parts.vault.close(secrets),
                **{"state": ConnectionState.CONNECTED, "installed_at": NOON, "reconcile_at": NOON, **values},
            )
        )


@dataclass
class Connected:
    """One store, connected to one shop of a rig."""

    rig: Rig
    platform: WooCommercePlatform
    clock: Clock
    shop: int = field(init=False)

    def __post_init__(self) -> None:
        self.shop = self.rig.shop("woocommerce", self.platform.url)
        self.key = self.platform.make_key()
        secrets = {"consumer_key": self.key.consumer_key, "consumer_secret": self.key.consumer_secret}
        connect(self.rig, self.shop, secrets, auth="basic", installed_at=self.clock.now)
        self.accountant: Accountant = factory.create_accountant(self.rig.parts)

    def run(self, since: datetime | None = None) -> dict[str, Any]:
        with closing(factory.create_shopify(self.rig.config)) as shopify:
            return factory.create_reconciler(self.rig.parts, shopify).run(self.shop, since, now=self.clock.now)

    def told(self, order_id: int, topic: str = "order.updated") -> None:
        """Let the order's webhook arrive, and be read."""
        self.rig.woocommerce(self.shop, topic, {**self.platform.order(order_id)})
        self.account()

    def account(self) -> None:
        while self.accountant.work():
            pass

    def kinds(self) -> list[tuple[str, str]]:
        """``(kind, order)`` of what was understood, oldest first."""
        return [(each["kind"], each["order"]) for each in self.rig.events(state="understood")]

    def rows(self) -> int:
        with self.rig.db.read() as session:
            return session.scalar(select(func.count()).select_from(Webhook)) or 0

    def connection(self) -> Connection:
        with self.rig.db.read() as session:
            return session.get_one(Connection, self.shop)

    def change(self, **values: Any) -> None:
        with self.rig.db.write() as session:
            session.execute(update(Connection).where(Connection.shop_id == self.shop).values(**values))


def reconciler(
    rig: Rig, pages: Callable[[datetime], Generator[list[Fetched], None, None]], *, wait: float = 5.0, **source: Any
) -> Reconciler:
    """One that asks ``pages`` in place of a store."""
    told = Source(fetch=pages, **{"whole": True, "overlap": timedelta(minutes=2), **source})
    accountant = Accountant(rig.db.of_clerks(), rig.parts.router)
    return Reconciler(rig.db, accountant, lambda _shop, _connection: told, wait=wait)


def settle_shop(rig: Rig) -> int:
    """A connected shop whose store is made of pages."""
    shop = rig.shop("woocommerce", "https://pages.example")
    connect(rig, shop, {})
    with rig.db.read() as session:
        assert configure.find_shop(session, str(shop)).id == shop
    return shop
