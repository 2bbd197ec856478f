"""The demo's world, for journeys: ``tillwire serve`` as a process, both platforms, five providers, and one merchant.

A merchant meets Tillwire on one of two surfaces: framed by Shopify's admin (`Inside`), or on its own address with a
WooCommerce store (`Outside`). What a journey does is the same on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from app import factory
from app.config import read_config
from app.models import Mode
from app.providers.registry import PROVIDERS
from app.services import accounts, configure, mapping_versions, show
from app.services.woocommerce_connect import begin, come_back
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.shopify_platform import ShopifyPlatform
from app.simulators.story import OrderStory
from app.simulators.woocommerce_platform import WooCommercePlatform
from bench.ports import free_port
from tests import databases
from tests.browser import Browsers, eventually
from tests.merchant import set_size, signed_in
from tests.processes import ROOT, Running, answers, until
from tests.visitor import ANNA
from tests.walks import state_of

SECRET = "shpss_" + "a" * 32
CLIENT = "0123456789abcdef0123456789abcdef"
CREDENTIALS = {
    "sprii": {"api_key": "sprii-key"},
    "spotler": {"account_id": "account", "api_key": "spotler-key"},
    "seeka": {"organisation_id": "organisation", "public_key": "seeka-key"},
    "gameball": {"api_key": "gameball-key", "secret_key": "gameball-secret"},
    "esputnik": {"api_key": "esputnik-key"},
}


class World:
    def __init__(self, folder: Path, database_url: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.platform = ShopifyPlatform(CLIENT, SECRET, app_url=self.url, tls=True)
        self.platform.deploy((ROOT / "shopify.app.toml").read_text())
        self.host_rules = self.platform.host_rules()  #: of the admin; shops that come later need none
        self.providers = ProvidersServer(create_providers_app())
        settings = {
            **databases.settings(database_url),
            "PUBLIC_URL": self.url,
            "PORT": str(port),
            "SHOPIFY_API_KEY": CLIENT,
            "SHOPIFY_API_SECRET": SECRET,
            "SHOPIFY_ADMIN_URL": self.platform.url,
            "ALLOW_PRIVATE_NETWORKS": "1",
            **{f"{name.upper()}_API_URL": self.providers.base(name) for name in PROVIDERS},
        }
        self.server = Running(folder, "serve", **settings)
        until(lambda: answers(f"{self.url}/readyz"), seconds=60)
        self.parts = factory.create_parts(read_config(settings, var=folder / "var"))
        self.db = self.parts.db
        self.shops = 0  #: how many were opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()
        if self.parts.hints:
            self.parts.hints.close()
        self.server.__exit__()
        self.providers.close()
        self.platform.close()

    def set(self, shop: int, provider: str, *, mode: str = Mode.LIVE, **values: str) -> None:
        """With working credentials, unless ``values`` say otherwise."""
        with self.db.write() as session:
            row = configure.find_shop(session, str(shop))
            merged = {**CREDENTIALS[provider], **values}
            configure.set_destination(
                session, self.parts.vault, self.parts.router, row, PROVIDERS[provider], merged, mode=mode
            )

    def map(self, shop: int, provider: str, text: str) -> None:
        with self.db.write() as session:
            row = configure.find_shop(session, str(shop))
            mapping_versions.replace(session, row, PROVIDERS[provider], text, actor="operator")

    def settled(self, shop: int, provider: str, sold: Sold, state: str, *, number: int = 1) -> None:
        """Wait until so many deliveries of an order are in ``state``, and none is on its way."""

        def holds() -> bool:
            with self.db.read() as session:
                found = show.deliveries(session, shop_id=shop, provider=provider, order=sold.key)
            states = [each["state"] for each in found]
            return states.count(state) >= number and not {"pending", "retrying"} & set(states)

        until(holds, seconds=60)

    def taken(self, provider: str, *names: str) -> list[dict[str, Any]]:
        """The bodies with fields of these ``names`` that a provider accepted, the oldest first."""
        calls = [each for each in self.providers.app.requests(provider) if (each["status"] or 999) < 300]
        bodies = [each["body"] for each in calls if isinstance(each["body"], dict)]
        return [each for each in bodies if set(names) <= set(each)]


@dataclass(frozen=True)
class Sold:
    key: str  #: the order's id in the store
    number: str  #: on the receipt
    total: Decimal
    currency: str


class Merchant:
    """Somebody at a browser, on one surface."""

    shop: int

    def __init__(self, world: World, driver: WebDriver) -> None:
        self.world = world
        self.driver = driver

    # Every surface does these in its own way.

    def arrive(self) -> None:
        """Have a store that is connected, without having seen a page of it."""
        raise NotImplementedError

    def go(self, path: str) -> None:
        """Open one of our pages, with its address as it is outside."""
        raise NotImplementedError

    def turn_to(self, title: str) -> None:
        """Press a page's name in the menu."""
        raise NotImplementedError

    def look_inside(self) -> None:
        """Be in the document that shows our page."""
        raise NotImplementedError

    def sell(self, *, guest: bool = False) -> Sold:
        """Somebody buys and pays for something that has a price."""
        raise NotImplementedError

    def give_back(self, sold: Sold) -> Decimal:
        """Some of the money; return how much."""
        raise NotImplementedError

    # And these alike.

    def press(self, text: str, within: str = "//main") -> None:
        """Press the link or button that begins with ``text``, and wait for what it leads to."""
        self.press_on(
            self.driver.find_element(
                By.XPATH, f"{within}//*[self::a or self::button][starts-with(normalize-space(), '{text}')]"
            )
        )

    def press_on(self, element: WebElement) -> None:
        self._mark()
        element.click()
        self._wait_for_another()

    def _mark(self) -> None:
        self.driver.execute_script("document.querySelector('main').old = true")

    def _wait_for_another(self) -> None:
        eventually(self._is_another, seconds=60)

    def _is_another(self) -> bool:
        asked = "const m = document.querySelector('main'); return m && !m.old && document.readyState === 'complete'"
        try:
            self.look_inside()
            return bool(self.driver.execute_script(asked))
        except WebDriverException:  # between two pages
            return False

    def enter(self, field: str, text: str) -> None:
        found = self.driver.find_element(By.ID, field)
        found.clear()
        found.send_keys(text)


class Inside(Merchant):
    """In Shopify's admin, which frames us."""

    def __init__(self, world: World, driver: WebDriver) -> None:
        super().__init__(world, driver)
        world.shops += 1
        self.domain = f"shop-{world.shops}.myshopify.com"
        world.platform.add_shop(self.domain, id=7000 + world.shops, pcd=2)

    def arrive(self) -> None:
        self.world.platform.install(self.domain)
        self.go("/")
        self.know()

    def know(self) -> None:
        """Learn the number under which Tillwire keeps the store."""
        with self.world.db.read() as session:
            self.shop = configure.find_shop(session, self.domain).id

    def go(self, path: str) -> None:
        self.driver.switch_to.default_content()
        self.driver.get(self.world.platform.admin_url(self.domain, path))
        self._wait_for_another()

    def turn_to(self, title: str) -> None:
        self._mark()
        self.driver.switch_to.default_content()
        self.driver.find_element(By.XPATH, f"//nav/button[.='{title}']").click()
        self._wait_for_another()

    def look_inside(self) -> None:
        self.driver.switch_to.default_content()
        self.driver.switch_to.frame(self.driver.find_element(By.ID, "app"))

    def sell(self, *, guest: bool = False) -> Sold:
        marked = [{"name": "orderNo", "value": "5934-14"}]
        body = self.world.platform.place_order(
            self.domain, until="paid", want=lambda story: plain(story, guest), note_attributes=marked
        )
        self.world.platform.deliver_due()
        return Sold(str(body["id"]), body["name"], Decimal(body["total_price"]), body["currency"])

    def give_back(self, sold: Sold) -> Decimal:
        body = self.world.platform.continue_order(self.domain, int(sold.key), until="refunded")
        self.world.platform.deliver_due()
        moved = [move for refund in body["refunds"] for move in refund["transactions"] if move["kind"] == "refund"]
        return sum((Decimal(move["amount"]) for move in moved), Decimal(0))


class Outside(Merchant):
    """On our own address, with a WooCommerce store."""

    def __init__(self, world: World, driver: WebDriver) -> None:
        super().__init__(world, driver)
        world.shops += 1
        self.store = WooCommercePlatform(insecure_ok=True, signed_in="admin", auto_cron=True)

    def arrive(self) -> None:
        now = datetime.now(UTC)
        with self.world.db.write() as session:
            anna = accounts.find_or_add(session, ANNA, now)
        stores = factory.create_stores(self.world.parts)
        walk = begin(stores, anna, self.store.url, now)
        self.store.approve(walk.authorize)
        connected = come_back(stores, anna, state_of(walk.authorize), refused=False, now=datetime.now(UTC))
        assert connected.shop_id is not None, connected
        self.shop = connected.shop_id
        until(lambda: len(self.store.webhooks()) >= 4)
        signed_in(self.driver, self.world, self.world.url, self.shop)

    def go(self, path: str) -> None:
        self.driver.get(self.world.url + path)

    def turn_to(self, title: str) -> None:
        self.press(title, within="//nav")

    def look_inside(self) -> None:
        """There is nothing around it."""

    def sell(self, *, guest: bool = False) -> Sold:
        story = self.store.orders.next_story()
        while not plain(story, guest):
            story = self.store.orders.next_story()
        key = self.store.place_order(story, number="5934-14")
        body = self.store.order(key)
        return Sold(str(key), body["number"], Decimal(body["total"]), body["currency"])

    def give_back(self, sold: Sold) -> Decimal:
        amount = min(Decimal("12.50"), sold.total)
        self.store.refund(int(sold.key), amount=amount, reason="Too small")
        return amount


def plain(story: OrderStory, guest: bool) -> bool:
    """An ordinary order over the web in the shop's own money, of which a part is given back later."""
    names = [step.name for step in story.steps]
    refunds = [step.refund.amount for step in story.steps if step.refund]
    return (
        (story.buyer.customer_id is None) == guest
        and bool(story.buyer.email)
        and not story.test
        and story.source == "web"
        and story.foreign is None
        and "cancelled" not in names
        and names.count("refunded") == 1
        and story.total > refunds[0] > 0
    )


@contextmanager
def merchant(world: World, chromium: Browsers, surface: str, size: str, scheme: str) -> Iterator[Merchant]:
    """A merchant with a store of their own, before a screen of this size in this scheme."""
    with chromium(host_rules=world.host_rules, certificates=False) as driver, screen(driver, size, scheme):
        found = Inside(world, driver) if surface == "inside" else Outside(world, driver)
        try:
            yield found
        finally:
            driver.switch_to.default_content()
            if isinstance(found, Outside):
                found.store.close()


@contextmanager
def screen(driver: WebDriver, size: str, scheme: str) -> Iterator[None]:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    set_size(driver, size)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
