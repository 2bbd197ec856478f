"""Shopify shops whose apps are installed, removed and installed again while webhooks get lost and processes die.

Whatever comes, in whatever order: no subscription too many or too few, no dead token in use, no living one thrown
away, no order lost or told twice, and no shop that cannot be installed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jwt
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from app import factory
from app.config import read_config
from app.models import Connection, ConnectionState, Shop
from app.services import receive, shopify_tokens
from app.services.chores import Chores
from app.services.errors import Failed, NotFound
from app.services.order_sources import of_shopify
from app.services.reconcile import Reconciler
from app.services.shopify_check import Checker
from app.services.shopify_client import Identity, ShopifyClient
from app.services.shopify_install import Installer
from app.services.shopify_tokens import NeedsReopening, Tokens
from app.services.shopify_walk import Walk
from app.services.upkeep import check_due
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.server import Server
from app.simulators.shopify_platform import ShopifyPlatform
from app.simulators.shopify_state import Subscription
from app.simulators.shopify_webhooks import Delivery
from connectors.shopify.admin import AdminError
from connectors.shopify.oauth import Grant
from connectors.shopify.subscriptions import APP_TOPICS, SCOPES
from tests.databases import Databases, settings
from tests.services.lives import FACTOR, Books, Clock, Mortal, deaths, failing, profile, together
from tests.shopify_store import CLIENT_ID, PUBLIC, TOML, enter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FIRST, SECOND = "first.myshopify.com", "second.myshopify.com"
OTHER = "https://other.example"  #: where somebody else takes webhooks
QUERY = "query { shop { id } }"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
WORKING = (ConnectionState.CONNECTED, ConnectionState.ATTENTION)
OWN = "orders/edited"
REACH = 59 * DAY  #: what Shopify tells of old orders, less a day

shops = st.sampled_from([FIRST, FIRST, FIRST, SECOND])
troubles = st.sampled_from([None, None, None, "drop_before", "drop_after", "503", "429"])


class Displaced(ShopifyClient):
    """One whose packages live at the machine's time, while everybody else lives at the clock's."""

    def __init__(self, clock: Clock, **given: Any) -> None:
        super().__init__(**given)
        self._clock = clock

    def identify(self, id_token: str) -> Identity:
        """As it is, for a token that was moved to the machine's time without leaving its secret."""
        shift = int(self._clock.shift.total_seconds())
        for secret in self.secrets:
            try:
                claims = jwt.decode(id_token, secret, algorithms=["HS256"], options=_ANY_TIME, audience=self.client_id)
            except jwt.InvalidSignatureError:
                continue
            moved = jwt.encode(claims | {name: claims[name] - shift for name in ("exp", "nbf", "iat")}, secret)
            identity = super().identify(moved)
            return replace(identity, token=id_token, issued_at=identity.issued_at + timedelta(seconds=shift))
        return super().identify(id_token)

    def exchange(self, identity: Identity) -> Grant:
        return self._later(super().exchange(identity))

    def refresh(self, domain: str, refresh_token: str) -> Grant:
        return self._later(super().refresh(domain, refresh_token))

    def _later(self, grant: Grant) -> Grant:
        shift = self._clock.shift
        return replace(grant, expires_at=grant.expires_at + shift, refresh_expires_at=grant.refresh_expires_at + shift)


_ANY_TIME = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(frozen=True)
class Bought:
    """An order as the shop knows it."""

    domain: str
    id: str
    at: float
    installed: bool


class World:
    """Shopify, two shops, and Tillwire with its database; what was sold."""

    def __init__(self, folder: Path, database_url: str, providers: ProvidersServer) -> None:
        folder.mkdir()
        self.clock = Clock()
        self._server = Server(self._serve)
        self._secret = "shpss_0" + "0" * 31
        environment = {
            "PUBLIC_URL": self._server.url,
            "ALLOW_PRIVATE_NETWORKS": "1",
            "LIMIT_FACTOR": str(int(FACTOR)),
            "SHOPIFY_API_KEY": CLIENT_ID,
            "SHOPIFY_API_SECRET": self._secret,
            **settings(database_url),
            "SPRII_API_URL": providers.base("sprii"),
        }
        self._config = read_config(environment, var=folder / "var")
        self.platform = ShopifyPlatform(CLIENT_ID, self._secret, app_url=self._server.url, clock=self.clock)
        self.platform.webhooks.routes = {OTHER: f"{self._server.url}/elsewhere"}
        self.platform.deploy(TOML.replace(PUBLIC, self._server.url))
        for number, domain in enumerate((FIRST, SECOND), 41):
            self.platform.add_shop(domain, id=number, currency="DKK", plan="plus")
        self.parts = factory.create_parts(self._config)
        self.db = self.parts.db
        self.mortal = Mortal(self.db)
        self.books = Books(self._config, self.parts, providers)
        self.app: Any = None
        self.deploy((self._secret,))

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/elsewhere"):
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        return self.app(environ, start_response)  # type: ignore[no-any-return]

    def deploy(self, secrets: tuple[str, ...]) -> None:
        """End all processes and start new ones that know these secrets."""
        self._end()
        self.secrets = secrets
        config = replace(self._config, shopify_secrets=secrets)
        self.app = factory.create_app(replace(self.parts, config=config))
        self.app.extensions["shopify"].close()
        self.shopify = Displaced(
            self.clock,
            client_id=CLIENT_ID,
            secrets=secrets,
            api_version="2026-10",
            public_url=self._server.url,
            admin_url=self.platform.url,
        )
        clock, vault = self.clock.now, self.parts.vault
        self.installer = Installer(self.db, vault, self.shopify, clock=clock)
        # A process waits for another at its own pace: where there is none, in steps of the clock.
        self.tokens = Tokens(self.db, vault, self.shopify, clock=clock, sleep=lambda _: self.clock.tick(5))
        self.checker = Checker(self.db, self.tokens, self.shopify)
        sources = partial(of_shopify, self.tokens)
        self.reconciler = Reconciler(self.db, self.books.accountant, sources)
        self.chores = Chores(self.db, vault, installed=self.checker.installed)
        walk = Walk(self.db, self.shopify, self.installer)
        self.app.extensions.update(shopify=self.shopify, shopify_installer=self.installer, shopify_walk=walk)

    def _end(self) -> None:
        if self.app is not None:
            self.app.extensions["intake"].close()
            self.shopify.close()

    def close(self) -> None:
        self._end()
        self.books.close()
        self.platform.close()
        self._server.close()
        if self.parts.hints:
            self.parts.hints.close()
        self.db.close()

    @contextmanager
    def trouble(self, kind: str | None) -> Iterator[None]:
        """The next answer of the token endpoint is lost, or an error."""
        self.platform.set_faults([{"kind": kind, "path": "access_token", "times": 1}] if kind else [])
        yield
        self.platform.set_faults([])

    # looking

    def shop(self, domain: str) -> Shop | None:
        with self.db.read() as session:
            return session.scalar(select(Shop).where(Shop.domain == domain))

    def connection(self, domain: str) -> Connection | None:
        with self.db.read() as session:
            return session.scalar(select(Connection).join(Shop).where(Shop.domain == domain))

    def kept(self, domain: str) -> dict[str, str] | None:
        """The tokens that we have."""
        connection = self.connection(domain)
        return self.parts.vault.open(connection.secrets) if connection and connection.secrets else None

    def living(self, domain: str) -> bool:
        """Whether what we keep can be refreshed, by what Shopify and we know."""
        kept, shop = self.kept(domain), self.platform.shop(domain)
        if kept is None or self.secrets[0] not in self.platform.state.secrets:
            return False
        return self.platform.state.refreshable(kept["refresh_token"], shop)

    def asked(self, domain: str) -> int:
        return sum(each["shop"] == domain for each in self.platform.requests())


class Lives(RuleBasedStateMachine):
    make: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self.world = self.make(self._open)
        self.sold: list[Bought] = []
        self.foreign: dict[int, str] = {}  #: subscriptions that are not ours, and their shops
        self.keys: dict[int, tuple[str, datetime]] = {}  #: whose our numbers are
        self.revoked_at: float | None = None
        self.left_at: dict[str, datetime] = {}  #: when a shop removed the app last

    def teardown(self) -> None:
        try:
            if not failing():
                self.heal()
        finally:
            self._open.close()

    # what happens in the shops

    @initialize(installed=st.sampled_from([True, True, False]))
    def begin(self, installed: bool) -> None:
        if installed:
            self.open_the_app(FIRST, None, None)

    def _tick(self) -> None:
        self.world.clock.tick(2)

    def _id(self, domain: str) -> int | None:
        shop = self.world.shop(domain)
        return shop.id if shop else None

    def _installed(self, domain: str) -> bool:
        return self.world.platform.shop(domain).installed

    @rule(domain=shops, trouble=troubles, death=deaths)
    def open_the_app(self, domain: str, trouble: str | None, death: tuple[int, bool] | None) -> None:
        self._tick()
        if not self._installed(domain):
            self.world.platform.install(domain)
            self._tick()
        with self.world.trouble(trouble), self.world.mortal.dying(death) as died:
            status, place = self._load(domain)
        if not trouble and not died:
            assert (status, place.startswith("/connect")) in ((200, False), (303, False)), (status, place)
        self._furnish(domain)

    def _load(self, domain: str) -> tuple[int, str]:
        parts = urlsplit(self.world.platform.app_address(domain))
        answer = self.world.app.test_client().get(f"{parts.path}?{parts.query}")
        return answer.status_code, answer.headers.get("Location", "")

    def _furnish(self, domain: str) -> None:
        connection = self.world.connection(domain)
        if connection is not None and connection.state in WORKING:
            self.world.books.furnish(connection.shop_id)

    @rule(domain=shops)
    def two_open_it_at_once(self, domain: str) -> None:
        self._tick()
        self.world.platform.install(domain)
        self._tick()
        identities = [self.world.shopify.identify(self.world.platform.id_token(domain, user)) for user in (1, 2)]
        found = together(*(lambda each=each: enter(self.world.installer, each) for each in identities))
        assert found[0] == found[1] == self._id(domain), found
        self._furnish(domain)

    @rule(domain=shops)
    def uninstall(self, domain: str) -> None:
        self._tick()
        if self._installed(domain):
            self.world.platform.uninstall(domain)
            self.left_at[domain] = self.world.clock.now()
            self.foreign = {number: shop for number, shop in self.foreign.items() if shop != domain}

    @rule(domain=shops, noticed=st.booleans(), opened=st.booleans(), heard=st.booleans())
    def reinstall(self, domain: str, noticed: bool, opened: bool, heard: bool) -> None:
        """The news of the removal comes after the second installation.

        Args:
            noticed: our calls were refused in between.
        """
        self.uninstall(domain)
        if noticed:
            self.check(domain, None, None, None)
        self._tick()
        self.world.platform.install(domain)
        if opened:
            self.open_the_app(domain, None, None)
        if heard:
            self.deliver()
            self.read_and_do_chores(None)

    @rule(domain=shops, death=deaths)
    def leave_for_good(self, domain: str, death: tuple[int, bool] | None) -> None:
        """Two days after it left, Shopify asks to erase a shop."""
        self.uninstall(domain)
        asked = [each.due for each in self.world.platform.waiting if _of(each) == (domain, "shop/redact")]
        self.deliver()
        self.read_and_do_chores(None)
        row = self.world.connection(domain)
        told = row is not None and row.state == ConnectionState.ENDED  # else it may have been opened since
        self.world.clock.tick(49 * HOUR)
        self.deliver()
        self.read_and_do_chores(death)
        if told and asked and max(asked) < self.world.clock() and not death:
            assert self.world.shop(domain) is None, "not erased"

    @rule(domain=shops, count=st.integers(1, 3), unheard=st.booleans())
    def buy(self, domain: str, count: int, unheard: bool) -> None:
        """
        Args:
            unheard: all webhooks about it get lost.
        """
        self._tick()
        for _ in range(count):
            number = f"{len(self.sold) + 1}-1"
            body = self.world.platform.place_order(
                domain,
                want=lambda story: not story.test and story.source == "web" and story.payment == "card",
                quiet=unheard,
                note_attributes=[{"name": "sprii_order_no", "value": number}],
            )
            self.sold.append(Bought(domain, str(body["id"]), self.world.clock(), self._installed(domain)))

    @precondition(lambda self: self.sold)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        self._tick()
        order = data.draw(st.sampled_from(self.sold))
        self.world.platform.edit_order(order.domain, int(order.id), note=f"at {self.world.clock()}")

    @rule(domain=shops, scopes=st.sampled_from([SCOPES, SCOPES, ("read_orders",), ("read_fulfillments",)]))
    def change_scopes(self, domain: str, scopes: tuple[str, ...]) -> None:
        self._tick()
        if self._installed(domain):
            self.world.platform.change_scopes(domain, scopes)

    @rule(domain=shops, topic=st.sampled_from([*APP_TOPICS, OWN]), ours=st.booleans())
    def somebody_subscribes(self, domain: str, topic: str, ours: bool) -> None:
        if not self._installed(domain):
            return
        state = self.world.platform.state
        uri = f"{state.app_url}/webhooks/shopify" if ours else f"{OTHER}/hooks"
        if any((each.shop, each.topic, each.uri) == (domain, topic, uri) for each in state.subscriptions.values()):
            return  # Shopify refuses it
        number = next(state.numbers)
        state.subscriptions[number] = Subscription(number, topic, uri, "2026-10", self.world.clock(), domain)
        if not ours:
            self.foreign[number] = domain

    @rule(domain=shops, wanted=st.booleans())
    def choose_topics(self, domain: str, wanted: bool) -> None:
        shop = self.world.shop(domain)
        if shop:
            with self.world.db.write() as session:
                chosen = {**shop.settings, "topics": [OWN] if wanted else []}
                session.execute(update(Shop).where(Shop.id == shop.id).values(settings=chosen))

    # webhooks

    @rule()
    def deliver(self) -> None:
        self._tick()
        self.world.platform.deliver_due()

    @rule(count=st.integers(1, 4))
    def lose(self, count: int) -> None:
        self.world.platform.lose_next(count)

    @rule(data=st.data(), hours=st.sampled_from([0, 1, 30]), turned=st.booleans())
    def disorder(self, data: st.DataObject, hours: int, turned: bool) -> None:
        """Some come late, some twice, and all in another order."""
        webhooks = self.world.platform.webhooks
        for each in webhooks.waiting:
            each.due += hours * HOUR * data.draw(st.integers(0, 1))
        if webhooks.done:
            again = data.draw(st.sampled_from(range(len(webhooks.done))))
            webhooks.waiting.append(replace(webhooks.done[again], due=self.world.clock(), attempts=[]))
        if turned:
            webhooks.waiting.reverse()

    @rule(death=deaths)
    def read_and_do_chores(self, death: tuple[int, bool] | None) -> None:
        self._tick()
        with self.world.mortal.dying(death):
            self.world.books.account()
            self.world.chores.work(self.world.clock.now())

    @rule()
    def report(self) -> None:
        self.world.books.work()

    # time, and who looks after the shops

    @rule(seconds=st.sampled_from([MINUTE, 20 * MINUTE, 56 * MINUTE, 2 * HOUR, 49 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.tick(seconds)

    @rule(days=st.sampled_from([31, 91]), kept=st.booleans())
    def months_pass(self, days: int, kept: bool) -> None:
        while days > 0:
            self.world.clock.tick(min(days, 25) * DAY)
            days -= 25
            if kept:
                self._careful(lambda: self.world.tokens.keep_alive(self.world.clock.now()))

    def _careful(self, act: Callable[[], Any], trouble: str | None = None, death: Any = None) -> Any:
        """Do what must not ask a shop that has left, nor throw away tokens that live."""
        domains = (FIRST, SECOND)
        before = {each: self.world.connection(each) for each in domains}
        gone = [each for each, row in before.items() if row and row.state not in WORKING]
        alive = [each for each in domains if self.world.living(each)]
        asked = {each: self.world.asked(each) for each in gone}
        found = None
        with self.world.trouble(trouble), self.world.mortal.dying(death):
            try:
                found = act()
            except (Failed, NotFound, AdminError) as error:
                found = error
        assert asked == {each: self.world.asked(each) for each in gone}
        lost = [each for each in alive if not self.world.living(each)]
        assert lost == [], "tokens that lived were thrown away"
        return found

    @rule(domain=shops, trouble=troubles, death=deaths)
    def ask(self, domain: str, trouble: str | None, death: tuple[int, bool] | None) -> None:
        self._tick()
        shop_id, lived, connection = self._id(domain), self.world.living(domain), self.world.connection(domain)
        if shop_id is None:
            return
        found = self._careful(lambda: self.world.tokens.admin(shop_id).ask(QUERY), trouble, death)
        leased = connection and connection.refreshing_until and connection.refreshing_until > self.world.clock.now()
        if lived and not (trouble or death or leased or isinstance(found, dict)):
            assert connection is not None
            assert isinstance(found, NeedsReopening), found
            assert connection.state not in WORKING or self.world.shop(domain).removed_at, found  # type: ignore[union-attr]

    @rule(domain=shops, past=st.sampled_from([56 * MINUTE, 2 * HOUR]))
    def three_workers_refresh_at_once(self, domain: str, past: float) -> None:
        shop_id = self._id(domain)
        self.world.clock.tick(past)
        if shop_id is None or not self.world.living(domain):
            return
        workers = [
            Tokens(self.world.db, self.world.parts.vault, self.world.shopify, clock=self.world.clock.now)
            for _ in range(3)
        ]
        before = self.world.asked(domain)
        found = self._careful(lambda: together(*(lambda each=each: each.token(shop_id) for each in workers)))
        if self.world.connection(domain).state in WORKING:  # type: ignore[union-attr]
            state = self.world.platform.state  # the old token may serve for the minutes that it has left
            assert all(state.living(state.access[each], self.world.platform.shop(domain)) for each in found), found
        assert self.world.asked(domain) - before <= 1

    @rule(domain=shops, twin=st.none() | st.sampled_from([*APP_TOPICS, OWN]), trouble=troubles, death=deaths)
    def check(self, domain: str, twin: str | None, trouble: str | None, death: tuple[int, bool] | None) -> None:
        if twin:
            self.somebody_subscribes(domain, twin, True)
        self._tick()
        shop_id = self._id(domain)
        if shop_id is None:
            return
        now = self.world.clock.now()
        report = self._careful(lambda: self.world.checker.check(shop_id, now), trouble, death)
        if isinstance(report, dict) and report["problem"] is None and report["at"] == now.isoformat():
            self._one_of_each(domain)

    def _one_of_each(self, domain: str) -> None:
        shop, state = self.world.shop(domain), self.world.platform.state
        assert shop is not None
        uri = f"{state.app_url}/webhooks/shopify"
        ours = [each.topic for each in self.world.platform.subscriptions(domain) if each.uri == uri]
        assert ours == shop.settings.get("topics", []), ours

    @rule(domain=shops, trouble=troubles, death=deaths)
    def reconcile(self, domain: str, trouble: str | None, death: tuple[int, bool] | None) -> None:
        self._tick()
        shop_id = self._id(domain)
        if shop_id is not None:
            self._careful(lambda: self.world.reconciler.run(shop_id, now=self.world.clock.now()), trouble, death)

    @rule()
    def look_after_everything(self) -> None:
        """What a worker does in a round."""
        self._tick()
        world, now = self.world, self.world.clock.now()
        self._careful(lambda: world.tokens.keep_alive(now))
        self._careful(lambda: check_due(world.db, lambda shop_id: world.checker.check(shop_id, now), now))
        self._careful(lambda: world.reconciler.run_due(now))

    # the app's secret

    @precondition(lambda self: len(self.world.platform.state.secrets) == 1)
    @rule()
    def add_a_secret(self) -> None:
        self.world.platform.rotate_secret()

    @precondition(lambda self: self.world.platform.secret not in self.world.secrets)
    @rule()
    def deploy_the_new_secret(self) -> None:
        self.world.deploy((self.world.platform.secret, self.world.secrets[0]))

    @precondition(lambda self: len(self.world.platform.state.secrets) == 2)
    @rule(lag=st.sampled_from([0.0, 50 * MINUTE]), trouble=troubles, death=deaths)
    def revoke_the_old_secret(self, lag: float, trouble: str | None, death: tuple[int, bool] | None) -> None:
        """As the manual says: not before all tokens were refreshed by processes that know the new one."""
        if self.world.secrets[0] != self.world.platform.secret:
            return
        found = self._careful(self.world.tokens.refresh_all, trouble, death)
        if found is not None and not found["failed"]:
            alive = [each for each in (FIRST, SECOND) if self.world.living(each)]
            self.world.platform.revoke_old_secret(lag=lag)
            self.revoked_at = self.world.clock()
            assert all(self.world.living(each) for each in alive)

    @rule(domain=shops)
    def a_wrong_secret_is_deployed_for_a_while(self, domain: str) -> None:
        """Nothing is lost by that: the tokens are as good as before once it is put right."""
        right, alive = self.world.secrets, [each for each in (FIRST, SECOND) if self.world.living(each)]
        self.world.deploy(("shpss_mistyped" + "0" * 24,))
        self.world.clock.tick(2 * HOUR)
        self.ask(domain, None, None)
        self.check(domain, None, None, None)
        self.world.deploy(right)
        assert [each for each in alive if not self.world.living(each)] == []

    @precondition(lambda self: self.revoked_at is not None and len(self.world.secrets) == 2)
    @rule()
    def forget_the_old_secret(self) -> None:
        assert self.revoked_at is not None
        self.world.clock.tick(max(0.0, self.revoked_at + HOUR - self.world.clock()))
        self.world.deploy(self.world.secrets[:1])
        self.revoked_at = None

    # what must hold

    @invariant()
    def all_is_well(self) -> None:
        """No complaint of Shopify's, nothing touched that is not ours, tokens kept while connected and no longer."""
        assert self.world.platform.violations() == []
        assert self.foreign.keys() <= self.world.platform.state.subscriptions.keys()
        for domain in (FIRST, SECOND):
            row, shop = self.world.connection(domain), self.world.shop(domain)
            if row is not None:
                whole = {row.secrets is not None, row.expires_at is not None, row.refresh_expires_at is not None}
                assert whole == {row.state in WORKING}, (domain, row.state)
                back = domain in self.left_at and row.installed_at > self.left_at[domain]
                assert not (back and row.state == ConnectionState.ENDED), "news of an older removal ended it"
            if shop is not None:  # numbers of erased shops are not given out again
                owner = (domain, shop.created_at)
                assert self.keys.setdefault(shop.id, owner) == owner

    # the end

    def heal(self) -> None:
        """Everything that is still on its way arrives, the merchants open the app, the worker goes on."""
        world = self.world
        world.clock.tick(5 * MINUTE)  # whoever died has no lease any more
        for domain in (FIRST, SECOND):
            world.platform.install(domain)
            world.platform.change_scopes(domain, SCOPES)
        self._settle()
        for domain in (FIRST, SECOND):
            self.open_the_app(domain, None, None)
            self.check(domain, None, None, None)  # where that shows that the tokens died
            self.open_the_app(domain, None, None)
            self._works(domain)
        self._settle()
        for domain in (FIRST, SECOND):
            self._all_is_there(domain)
        self.all_is_well()

    def _settle(self) -> None:
        for _ in range(12):
            self._tick()
            self.world.platform.deliver_due()
            self.world.books.account()
            self.world.chores.work(self.world.clock.now())
            if not self.world.platform.waiting:
                break
            self.world.clock.tick(max(0.0, min(each.due for each in self.world.platform.waiting) - self.world.clock()))

    def _works(self, domain: str) -> None:
        world = self.world
        connection, kept, platform = world.connection(domain), world.kept(domain), world.platform.state
        assert connection is not None
        assert kept is not None
        assert (connection.state, connection.trouble) == (ConnectionState.CONNECTED, None)
        assert world.living(domain)
        assert world.tokens.admin(connection.shop_id).ask(QUERY)["shop"]["id"]
        assert platform.living(platform.access[world.kept(domain)["access_token"]], world.platform.shop(domain))  # type: ignore[index]
        self.check(domain, None, None, None)
        self._one_of_each(domain)
        found = world.reconciler.run(connection.shop_id, now=world.clock.now())
        assert found["unexplained"] == []

    def _all_is_there(self, domain: str) -> None:
        world, shop = self.world, self.world.shop(domain)
        assert shop is not None
        world.books.work()
        known, began, now = world.books.known(shop.id), shop.created_at.timestamp(), world.clock()
        mine = {each.id: each for each in self.sold if each.domain == domain}
        wanted = {each.id for each in mine.values() if each.installed and began <= each.at and each.at > now - REACH}
        assert wanted - known == set(), "lost"
        assert known <= mine.keys()
        reported = world.books.reported(shop.id)
        assert {each for each in known if mine[each].at >= began} <= reported.keys() <= known
        assert set(reported.values()) <= {1}, "told twice"
        assert set(world.books.placed(shop.id)) <= {1}


def _of(delivery: Delivery) -> tuple[str, str]:
    return delivery.shop.domain, delivery.topic


@pytest.fixture
def make(tmp_path: Path, databases: Databases) -> Iterator[Callable[[ExitStack], World]]:
    numbers = iter(range(1_000_000))
    with ProvidersServer(create_providers_app(limit_factor=FACTOR)) as providers:

        def new(stack: ExitStack) -> World:
            url = stack.enter_context(databases.lend())
            return stack.enter_context(closing(World(tmp_path / str(next(numbers)), url, providers)))

        yield new
        assert providers.app.violations() == []


def test_whatever_happens_to_shops_their_apps_and_our_processes_it_ends_well(
    make: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify_tokens, "PATIENCE", 0.3)
    monkeypatch.setattr(receive, "KNOWN_FOR", 0.0)  # seconds of the machine's, which are days of the clock's

    class Once(Lives):
        pass

    Once.make = staticmethod(make)  # type: ignore[method-assign,assignment]
    run_state_machine_as_test(Once, settings=profile(20, 25))
