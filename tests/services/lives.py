"""What generated lives of a connection need: a clock that everybody shares, processes that die, and what is counted."""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from sqlalchemy import Connection as Wire
from sqlalchemy import func, select

from app import factory
from app.config import Config
from app.db import Database
from app.factory import Parts
from app.models import Delivery, Destination, Event, EventState, Ledger, Mode, Webhook, WebhookState
from app.models.delivery import CLAIMABLE, among
from app.providers.registry import PROVIDERS
from app.services import configure
from app.services.budgets import Budgets
from app.services.calls import Caller
from app.services.deliver import Deliverer
from app.simulators.providers import ProvidersServer

LONG = os.environ.get("TILLWIRE_LONG") == "1"
FACTOR = 1000.0

#: Before or after the so-manieth transaction that an act begins; None: it lives.
deaths = st.none() | st.tuples(st.integers(1, 6), st.booleans())


def profile(examples: int, steps: int) -> settings:
    """The same sequences every time; with ``TILLWIRE_LONG=1`` more and longer ones, never the same."""
    return settings(
        max_examples=examples * 25 if LONG else examples,
        stateful_step_count=steps * 2 if LONG else steps,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def failing() -> bool:
    """Whether a test is being left by an error, so that a check at its end would hide it."""
    return sys.exc_info()[0] is not None


class Clock:
    """Ours, the store's, the platform's. Only tests move it."""

    def __init__(self) -> None:
        self.began = float(int(time.time()))
        self.ahead = 0.0  #: seconds

    def __call__(self) -> float:
        return self.began + self.ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)

    def tick(self, seconds: float) -> None:
        self.ahead += seconds

    @property
    def shift(self) -> timedelta:
        """By how much it is ahead of the machine's own."""
        return timedelta(seconds=self() - time.time())


class Died(BaseException):
    """The process ended here: nothing in it, and no error handling either, goes on."""


class Mortal:
    """Lets the process die around a chosen transaction of one thread; what is committed stays, as on a real disk."""

    def __init__(self, db: Database) -> None:
        self._begin = db.begin
        self._thread: int | None = None
        self._left, self._after = 0, False
        db.begin = self._counted  # type: ignore[method-assign]

    @contextmanager
    def dying(self, death: tuple[int, bool] | None) -> Iterator[list[bool]]:
        """Around one act; the list says at its end whether it died."""
        died: list[bool] = []
        if death is not None:
            self._thread, (self._left, self._after) = threading.get_ident(), death
        try:
            yield died
        except Died:
            died.append(True)
        finally:
            self._thread = None

    @contextmanager
    def _counted(self) -> Iterator[Wire]:
        fatal = threading.get_ident() == self._thread
        self._left -= fatal
        fatal = fatal and self._left == 0
        if fatal and not self._after:
            raise Died
        with self._begin() as connection:
            yield connection
        if fatal:
            raise Died


class Books:
    """The rest of one Tillwire: what reads webhooks and delivers to Sprii, stepped by hand."""

    def __init__(self, config: Config, parts: Parts, providers: ProvidersServer) -> None:
        self._parts, self._providers = parts, providers
        self._db = parts.db
        self.accountant = factory.create_accountant(parts)
        self.deliverer = Deliverer(
            parts.db.of_clerks(),
            parts.router,
            Budgets(FACTOR),
            caller=Caller(lambda target: factory.base_url(config, target), allow_private=True),
            scale=FACTOR,
        )

    def close(self) -> None:
        self.deliverer.close()

    def furnish(self, shop_id: int) -> None:
        """A merchant enters the key for Sprii, each time another one, where there is none."""
        with self._db.write() as session:
            shop = configure.find_shop(session, str(shop_id))
            if configure.find_destination(session, shop, PROVIDERS["sprii"]) is None:
                values = {"api_key": f"sprii-{uuid.uuid4().hex}"}
                configure.set_destination(
                    session, self._parts.vault, self._parts.router, shop, PROVIDERS["sprii"], values, mode=Mode.LIVE
                )

    def account(self) -> None:
        while self.accountant.work():
            pass

    def work(self) -> None:
        """Read and deliver until nothing is left that could move by itself."""
        self.account()
        until = time.monotonic() + 20
        while self._moving():
            assert time.monotonic() < until, "deliveries do not end"
            if not self.deliverer.work():
                time.sleep(0.002)

    def _moving(self) -> int:
        with self._db.read() as session:
            waiting = session.scalar(select(func.count()).where(Webhook.state == WebhookState.PENDING))
            return waiting or session.scalar(select(func.count()).where(among(Delivery.state, CLAIMABLE))) or 0

    # looking

    def known(self, shop_id: int) -> set[str]:
        """Orders in the ledger."""
        wanted = select(Ledger.key).where(Ledger.shop_id == shop_id, Ledger.kind == "order")
        with self._db.read() as session:
            return set(session.scalars(wanted))

    def placed(self, shop_id: int) -> list[int]:
        """How often each order came to be one."""
        mine = (Event.shop_id == shop_id, Event.kind == "order.placed", Event.state == EventState.UNDERSTOOD)
        with self._db.read() as session:
            return list(session.scalars(select(func.count()).where(*mine).group_by(Event.subject)))

    def reported(self, shop_id: int) -> Counter[str]:
        """How often Sprii was told of each order, under the key that the shop has now."""
        with self._db.read() as session:
            destination = session.scalars(select(Destination).where(Destination.shop_id == shop_id)).one()
            key = self._parts.vault.open(destination.secrets)["api_key"]
        books: dict[str, Any] = self._providers.app.simulators["sprii"].books(key)
        found = Counter[str]()
        for checkout in books.values():
            found.update(checkout.times)
        return found


def together(*acts: Any) -> list[Any]:
    """Run all at the same time, as processes do; their results, an error being one as well."""
    barrier, found = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place: int, act: Any) -> None:
        barrier.wait()
        try:
            found[place] = act()
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
