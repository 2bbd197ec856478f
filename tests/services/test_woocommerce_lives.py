"""A WooCommerce store that is connected, left and connected again while its webhooks vanish and processes die.

Whatever comes, in whatever order: one webhook of ours per topic and no foreign one touched, no call with keys that were
given back, no order lost or told twice, and no store that cannot be connected again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import woocommerce.api
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from app import factory
from app.models import ConnectAttempt, Connection, ConnectionState, Shop
from app.services import stores as stores_module
from app.services.errors import Failed, NotFound, Wrong
from app.services.reconcile import Reconciler
from app.services.upkeep import check_due
from app.services.woocommerce_check import check
from app.services.woocommerce_connect import begin, come_back
from app.services.woocommerce_disconnect import disconnect, end_due
from app.services.woocommerce_prove import by_hand, prove, prove_due
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.wp_hooks import Hook
from app.web import connect_woocommerce
from connectors.woocommerce.hooks import ORDER_TOPICS
from tests.databases import Databases
from tests.services.lives import FACTOR, Books, Clock, Mortal, deaths, failing, profile, together
from tests.walks import Walks, state_of

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
LIVING = (ConnectionState.CONNECTED, ConnectionState.ATTENTION, ConnectionState.UNPROVEN)

people = st.sampled_from([0, 0, 1])


class World(Walks):
    """A store and Tillwire with its database; both live at one clock."""

    def __init__(self, folder: Path, database_url: str, clock: Clock, providers: ProvidersServer) -> None:
        self.clock = clock
        self.outage = False  #: of ours, as far as the store's webhooks go
        super().__init__(folder, database_url, clock=clock)
        self.config = replace(self.config, limit_factor=FACTOR, provider_urls={"sprii": providers.base("sprii")})
        self.mortal = Mortal(self.db)
        self.books = Books(self.config, self.parts, providers)
        self.shopify = factory.create_shopify(self.config)
        self.reconciler: Reconciler = factory.create_reconciler(self.parts, self.shopify)
        self.people = (self.account, self.new_account("bob@shop.example"))

    def _serve(self, environ: Any, start_response: Any) -> Any:
        if self.outage and environ["PATH_INFO"].startswith("/webhooks/"):
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        return super()._serve(environ, start_response)

    def __exit__(self, *_: object) -> None:
        self.shopify.close()
        self.books.close()
        super().__exit__()

    def its(self) -> tuple[Shop, Connection] | None:
        with self.db.read() as session:
            row = session.execute(
                select(Shop, Connection).join(Connection, Connection.shop_id == Shop.id)
            ).one_or_none()
            return (row[0], row[1]) if row else None

    def ours(self) -> list[Hook]:
        """Webhooks that lead to us, whoever made them."""
        return [hook for hook in self.store.webhooks() if hook.delivery_url.startswith(self.config.public_url)]

    def keys_work(self) -> bool:
        its = self.its()
        if its is None or its[1].secrets is None or self.store.maintenance:
            return False
        kept = self.vault.open(its[1].secrets)["consumer_key"]
        found = [key for key in self.store.api_keys() if key.consumer_key == kept]
        return bool(found) and self.store.books.users[found[0].login].manages


class Lives(RuleBasedStateMachine):
    make: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self.world = self.make(self._open)
        self.sold: dict[str, float] = {}  #: orders, and when
        self.began: float | None = None  #: when the store was connected first
        self.walking: list[tuple[int, str]] = []  #: who walked to the store, with which state
        self.foreign: set[int] = set()

    def teardown(self) -> None:
        try:
            if not failing():
                self.heal()
        finally:
            self._open.close()

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    def _tick(self) -> None:
        self.world.clock.tick(2)

    def _live(self, act: Callable[[], Any], death: tuple[int, bool] | None = None) -> Any:
        """What came of it; a store that was left hears nothing of it."""
        its = self.world.its()
        left = its is not None and its[1].state == ConnectionState.ENDED and its[1].secrets is None
        calls = len(self.world.store.calls())
        found = None
        with self.world.mortal.dying(death):
            try:
                found = act()
            except (Failed, NotFound) as error:
                found = error
        assert not left or calls == len(self.world.store.calls())
        return found

    def _noted(self) -> None:
        its = self.world.its()
        if its is not None:
            self.began = self.world.clock() if self.began is None else self.began
            self.world.books.furnish(its[0].id)

    # walks to the store

    @initialize(connected=st.sampled_from([True, True, False]))
    def begin(self, connected: bool) -> None:
        if connected:
            self.connect_by_hand(0, "admin", None)

    @precondition(lambda self: not self.world.store.maintenance)
    @rule(who=people, late=st.booleans(), twice=st.booleans(), refused=st.booleans())
    def approve(self, who: int, late: bool, twice: bool, refused: bool) -> None:
        """As far as the store; the browser may come back, or not."""
        self._tick()
        world = self.world
        walk = begin(world.stores, world.people[who], world.store.url, self.now)
        state = state_of(walk.authorize)
        world.store.callback_late, world.store.callbacks = late, 1 + twice
        if refused:
            world.store.deny(walk.authorize)
            come_back(world.stores, world.people[who], state, refused=True, now=self.now)
            return
        answer = world.store.approve(walk.authorize)
        assert answer.status_code == (302 if world.store.books.users["admin"].manages else 401)
        self.walking.append((who, state))

    @rule()
    def keys_come_late(self) -> None:
        self._tick()
        assert set(self.world.store.send_callbacks()) <= {200, 400}

    @precondition(lambda self: self.walking)
    @rule(data=st.data(), death=deaths)
    def browser_comes_back(self, data: st.DataObject, death: tuple[int, bool] | None) -> None:
        self._tick()
        who, state = data.draw(st.sampled_from(self.walking[-3:]))
        with self.world.mortal.dying(death):
            come_back(self.world.stores, self.world.people[who], state, refused=False, now=self.now)
        self._noted()

    @rule(death=deaths)
    def prove_what_waits(self, death: tuple[int, bool] | None) -> None:
        self._tick()
        with self.world.mortal.dying(death):
            prove_due(self.world.stores, self.now)
        self._noted()

    @precondition(lambda self: not self.world.store.maintenance)
    @rule()
    def two_connect_at_once(self) -> None:
        """Two people, each with their own keys; three processes that prove them."""
        self._tick()
        if not self.world.store.books.users["admin"].manages:
            return
        for who in (0, 1):
            self.approve(who, late=False, twice=False, refused=False)
        with self.world.db.read() as session:
            waiting = session.scalars(select(ConnectAttempt.id).where(ConnectAttempt.secrets.is_not(None))).all()
        acts = [lambda each=each: prove(self.world.stores, each, self.now) for each in (*waiting[-2:], waiting[-1])]
        found = together(*acts)
        assert not [each for each in found if isinstance(each, Exception)], found
        self._noted()

    @precondition(lambda self: not self.world.store.maintenance)
    @rule(who=people, login=st.sampled_from(["admin", "manager"]), death=deaths)
    def connect_by_hand(self, who: int, login: str, death: tuple[int, bool] | None) -> None:
        self._tick()
        world = self.world
        key = world.store.make_key(login)
        with world.mortal.dying(death):
            try:
                by_hand(
                    world.stores, world.people[who], world.store.url, key.consumer_key, key.consumer_secret, self.now
                )
            except Wrong:
                assert not world.store.books.users[login].manages
        self._noted()

    # what happens at the store

    @rule(count=st.integers(1, 3), unheard=st.booleans())
    def buy(self, count: int, unheard: bool) -> None:
        """
        Args:
            unheard: all webhooks about it get lost.
        """
        self._tick()
        hooks = self.world.store.hooks
        before = list(hooks.jobs)
        for _ in range(count):
            number = self.world.store.place_order(number=f"{len(self.sold) + 1}-1")
            self.sold[str(number)] = self.world.clock()
        if unheard:
            hooks.jobs = before

    @precondition(lambda self: self.sold)
    @rule(data=st.data(), status=st.sampled_from([None, "completed"]))
    def change(self, data: st.DataObject, status: str | None) -> None:
        self._tick()
        number = int(data.draw(st.sampled_from(list(self.sold))))
        if status:
            self.world.store.change_status(number, status)
        else:
            self.world.store.edit(number)

    @rule()
    def cron(self) -> None:
        self._tick()
        self.world.store.run_cron()

    @rule(lost=st.integers(0, 3), repeated=st.integers(0, 3))
    def cron_is_unreliable(self, lost: int, repeated: int) -> None:
        self.world.store.lose_next(lost)
        self.world.store.repeat_next(repeated)

    @rule(orders=st.integers(1, 4))
    def outage(self, orders: int) -> None:
        """Of ours: from the seventh failure in a row on, the store gives a webhook up."""
        self.world.outage = True
        for _ in range(orders):
            self.buy(2, unheard=False)
            self.cron()
        self.world.outage = False

    @rule(data=st.data(), what=st.sampled_from(["disabled", "paused", "active", "deleted"]))
    def somebody_changes_a_webhook(self, data: st.DataObject, what: str) -> None:
        ours = self.world.ours()
        if not ours:
            return
        hook = data.draw(st.sampled_from(ours))
        if what == "deleted":
            del self.world.store.hooks.all[hook.id]
        else:
            hook.status, hook.failures = what, 6 if what == "disabled" else hook.failures

    @rule(topic=st.sampled_from(ORDER_TOPICS))
    def somebody_adds_a_webhook(self, topic: str) -> None:
        self.foreign.add(self.world.store.add_webhook(topic, "https://other.example/hook", "secret").id)

    def _copy(self, hook: Hook) -> None:
        """As an import of settings does."""
        same = {"topic": hook.topic, "delivery_url": hook.delivery_url, "secret": hook.secret}
        self.world.store.hooks.add(name="Imported", login="admin", **same)

    @rule(login=st.sampled_from(["admin", "manager"]), up=st.booleans())
    def rights_change(self, login: str, up: bool) -> None:
        (self.world.store.promote if up else self.world.store.demote)(login)

    @rule(data=st.data())
    def revoke_a_key(self, data: st.DataObject) -> None:
        keys = self.world.store.api_keys()
        if keys:
            self.world.store.revoke(data.draw(st.sampled_from(keys)).id)

    @rule(down=st.booleans())
    def maintenance(self, down: bool) -> None:
        self.world.store.maintenance = down

    # what we do

    @rule(seconds=st.sampled_from([MINUTE, 3 * MINUTE, 3 * MINUTE, 2 * HOUR, 50 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.tick(seconds)

    @precondition(lambda self: self.began is not None)
    @rule(twin=st.booleans(), death=deaths)
    def check(self, twin: bool, death: tuple[int, bool] | None) -> None:
        if twin and self.world.ours():
            self._copy(self.world.ours()[-1])
        self._tick()
        its = self.world.its()
        assert its is not None
        shop, connection = its
        leased = connection.refreshing_until is not None and connection.refreshing_until >= self.now
        sound = self.world.keys_work() and connection.state in LIVING and not leased and death is None
        report = self._live(lambda: check(self.world.stores, shop.id, self.now), death)
        if sound:
            assert report["at"] == self.now.isoformat()
            assert "why" not in report
            assert self.world.connection(shop.id).state == ConnectionState.CONNECTED
            self._one_of_each(shop.id)

    def _one_of_each(self, shop_id: int) -> None:
        there = sorted((hook.topic, hook.delivery_url) for hook in self.world.ours())
        living = self.world.living(shop_id)
        assert there == [(topic, self.world.url(living[topic])) for topic in sorted(ORDER_TOPICS)]
        assert {hook.status for hook in self.world.ours()} <= {"active", "paused"}
        secrets = {
            topic: self.world.vault._cipher.decrypt(each.secret.encode()).decode() for topic, each in living.items()
        }
        assert {hook.topic: hook.secret for hook in self.world.ours()} == secrets

    @precondition(lambda self: self.began is not None)
    @rule()
    def two_check_at_once(self) -> None:
        its = self.world.its()
        assert its is not None
        found = together(*[lambda: check(self.world.stores, its[0].id, self.now)] * 2)
        assert not [each for each in found if isinstance(each, Exception)], found

    @precondition(lambda self: self.began is not None and not self.world.store.maintenance)
    @rule(death=deaths)
    def reconcile(self, death: tuple[int, bool] | None) -> None:
        self._tick()
        its = self.world.its()
        assert its is not None
        self._live(lambda: self.world.reconciler.run(its[0].id, now=self.now), death)

    @precondition(lambda self: self.began is not None)
    @rule(death=deaths, down=st.booleans())
    def disconnect(self, death: tuple[int, bool] | None, down: bool) -> None:
        self._tick()
        its = self.world.its()
        assert its is not None
        before, self.world.store.maintenance = self.world.store.maintenance, down
        sound = self.world.keys_work() and death is None
        self._live(lambda: disconnect(self.world.stores, its[0].id, "account:1", self.now), death)
        self.world.store.maintenance = before
        if death is None:
            connection = self.world.connection(its[0].id)
            assert (connection.state, connection.secrets) == (ConnectionState.ENDED, None)
            assert not sound or self.world.ours() == []

    @rule()
    def look_after_everything(self) -> None:
        """What a worker does in a round."""
        self._tick()
        world, now = self.world, self.now
        prove_due(world.stores, now)
        self._noted()
        self._live(lambda: end_due(world.stores, now))
        self._live(lambda: check_due(world.db, lambda shop_id: check(world.stores, shop_id, now), now))
        if not world.store.maintenance:
            self._live(lambda: world.reconciler.run_due(now))

    @rule(death=deaths)
    def read(self, death: tuple[int, bool] | None) -> None:
        with self.world.mortal.dying(death):
            self.world.books.account()

    @rule()
    def report(self) -> None:
        self.world.books.work()

    # what must hold

    @invariant()
    def all_is_well(self) -> None:
        """No complaint of the store's, nothing touched that is not ours, keys kept while they are needed."""
        assert self.world.store.violations() == []
        assert self.foreign <= self.world.store.hooks.all.keys()
        its = self.world.its()
        if its is not None:
            state, kept = its[1].state, its[1].secrets is not None
            leaving = state == ConnectionState.ENDED and its[1].refreshing_until is not None
            assert leaving or kept == (state in LIVING), state
        for attempt in self.world.rows(ConnectAttempt):
            assert attempt.finished_at is None or attempt.secrets is None

    # the end

    def heal(self) -> None:
        """The store answers, its owner connects it, what is on its way arrives, the worker goes on."""
        world = self.world
        world.store.maintenance = False
        world.store.promote("admin")
        world.clock.tick(5 * MINUTE)  # whoever died has no lease any more
        self.keys_come_late()
        self.approve(0, late=False, twice=False, refused=False)
        attempt = come_back(world.stores, world.people[0], self.walking[-1][1], refused=False, now=self.now)
        assert attempt.shop_id is not None, attempt.error
        self._noted()
        self.look_after_everything()  # whatever else was approved connects it once more
        self.check(False, None)
        self._one_of_each(attempt.shop_id)
        world.store.run_cron()
        found = world.reconciler.run(attempt.shop_id, now=self.now)
        assert found["unexplained"] == []
        self._all_is_there(attempt.shop_id)
        self.all_is_well()
        self.disconnect(None, down=False)
        assert world.ours() == []

    def _all_is_there(self, shop_id: int) -> None:
        world = self.world
        world.books.work()
        assert self.began is not None
        known = world.books.known(shop_id)
        assert {each for each, at in self.sold.items() if at >= self.began} - known == set(), "lost"
        assert known <= self.sold.keys()
        reported = world.books.reported(shop_id)
        assert reported.keys() == known
        assert set(reported.values()) <= {1}, "told twice"
        assert set(world.books.placed(shop_id)) <= {1}


@pytest.fixture
def make(
    tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[ExitStack], World]]:
    clock, numbers = Clock(), iter(range(1_000_000))

    class Now:
        @staticmethod
        def now(_zone: object) -> datetime:
            return clock.now()

    monkeypatch.setattr(woocommerce.api, "time", clock)
    monkeypatch.setattr(connect_woocommerce, "datetime", Now)
    monkeypatch.setattr(stores_module, "WAITS", ())
    with ProvidersServer(create_providers_app(limit_factor=FACTOR)) as providers:

        def new(stack: ExitStack) -> World:
            clock.ahead = 0.0
            url = stack.enter_context(databases.lend())
            return stack.enter_context(World(tmp_path / str(next(numbers)), url, clock, providers))

        yield new
        assert providers.app.violations() == []


def test_whatever_happens_to_a_store_its_webhooks_and_our_processes_it_ends_well(make: Callable[[], World]) -> None:
    class Once(Lives):
        pass

    Once.make = staticmethod(make)  # type: ignore[method-assign,assignment]
    run_state_machine_as_test(Once, settings=profile(9, 25))
