"""The ways through the program that are walked all the time, each to be walked once more on a given database.

Orders go to the first, the large shop of a stock. Its providers are simulators, and a merchant looks at its pages.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from sqlalchemy import select, update

from app import factory
from app.models import AlertAddress, Delivery, DeliveryState, Destination, Mode, Shop
from app.models.delivery import OPEN, among
from app.services import agreement, holds, missed, parked_orders, retention, walk_start
from app.services.alert_addresses import StopLinks
from app.services.alert_mail import Links
from app.services.alerts import Alerts
from bench import orders, pages
from bench.pages import Page
from tests.rig import Rig
from tests.visitor import US, Visitor, serving

LOOK = 0.002  #: seconds between looks whether a call came back
SAME = timedelta(minutes=6)  #: beyond the time after which a shop's alerts are looked at again


class Paths:
    """Opened with ``with``; what waits in the stock is given up first, for its credentials are of another key."""

    def __init__(self, url: str, folder: Path) -> None:
        self.rig = Rig(folder, database_url=url)
        self._stack = ExitStack()
        self._numbers = itertools.count(int(time.time() * 1000))
        self._looked = 0

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.enter_context(self.rig)
            now = datetime.now(UTC)
            with self.rig.db.write() as session:
                waiting = update(Delivery).where(among(Delivery.state, OPEN))
                session.execute(waiting.values(state=DeliveryState.DEAD, reason="given up for the benchmark"))
                session.execute(update(Destination).values(mode=Mode.OFF, secrets=None, held=None))
                shops = list(session.scalars(select(Shop).order_by(Shop.id)))
                self.shop, self.domain = shops[0].id, shops[0].domain
                currency = json.loads(orders.shopify(1))["currency"]  # or Gameball's deliveries would be held
                shops[0].settings = {"facts": {"timezone": "Europe/Copenhagen", "currency": currency}}
                session.merge(AlertAddress(shop_id=self.shop, email="a@shop.example", confirmed_at=now, due_at=now))
            self.rig.switch_on(self.shop)
            app = stack.enter_context(serving(self.rig))
            self._visitor = Visitor(app)
            self._visitor.join(self._visitor.sign_in(), *(each.id for each in shops))
            self._token = self._visitor.token()
            with self.rig.db.read() as session:
                listed = pages.listed(app, session, self.shop, now)
            self.pages = {page.name: page for page in listed if self._answers(page) in (200, 303)}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ways(self) -> dict[str, Callable[[], object]]:
        """By name; receiving comes before accounting, and that before delivering."""
        db = self.rig.db
        return {
            "receive": self.receive,
            "repeat": lambda: self.receive(again=True),
            "account": self.rig.account,
            "deliver": self.deliver,
            "hold and release": self._hold,
            "retention": lambda: retention.prune_due(db, datetime.now(UTC) + 2 * retention.EVERY),
            "upkeep": self._upkeep,
            "alerts": self._alerts,
            "retention of strays": lambda: retention.prune_strays(db, datetime.now(UTC)),
            "reconcile": self._reconcile,
            "metrics": lambda: self.rig.client.get("/metrics"),
            **{f"page {name}": lambda page=page: self._answers(page) for name, page in self.pages.items()},
        }

    def receive(self, number: int = 1, *, again: bool = False) -> None:
        """Paid orders, new ones or the last one once more, each with its own commit."""
        for _ in range(number):
            order = next(self._numbers) if not again else self._last
            self._last = order
            at = datetime.now(UTC).isoformat()
            raw = orders.shopify(order, created_at=at, processed_at=at, updated_at=at, financial_status="paid")
            self.rig.shopify("orders/paid", raw, domain=self.domain, webhook_id=f"path-{order}")

    def deliver(self) -> None:
        """Claim, call and settle until nothing moves."""
        while self.rig.deliverer.work() or not self.rig.deliverer.caller.idle():
            time.sleep(LOOK)

    def _answers(self, page: Page) -> int:
        form = page.form() if page.form else None
        if form is None:
            return self._visitor.get(page.address()).status_code
        return self._visitor.post(page.address(), **form, csrf_token=self._token).status_code

    def _hold(self) -> None:
        now = datetime.now(UTC)
        with self.rig.db.write() as session:
            mine = session.scalars(select(Destination.id).where(Destination.shop_id == self.shop)).all()
            for each in mine:
                holds.hold(session, each, "for the benchmark", now)
            for each in mine:
                holds.release(session, each)
        holds.try_held(self.rig.db, now)
        missed.catch_up(self.rig.db, self.rig.parts.router)

    def _upkeep(self) -> None:
        upkeeping = factory.create_upkeep(self.rig.parts)
        for part in upkeeping.parts:
            part.work(lambda: datetime.now(UTC))
        upkeeping.close()

    def _alerts(self) -> None:
        self._looked += 1
        links = Links(public_url=US, stop=StopLinks("a key of sixteen"), admins={})
        Alerts(self.rig.db, lambda *_: None, links).work(datetime.now(UTC) + self._looked * SAME)

    def _reconcile(self) -> None:
        with self.rig.db.read() as session:
            walk_start.due(session, datetime.now(UTC))
            agreement.ledgers(session, self.shop, [str(each) for each in range(1001, 1051)])
            parked_orders.parked(session, self.shop)
