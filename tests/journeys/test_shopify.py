"""A merchant installs Tillwire from Shopify, in a real browser; their first order arrives at a provider."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from app.providers.registry import PROVIDERS
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.shopify_platform import ShopifyPlatform
from bench.ports import free_port
from tests import databases
from tests.browser import Browsers, console, eventually, shoot
from tests.processes import ROOT, Running, answers, run, until

SHOP = "first.myshopify.com"
SECRET = "shpss_" + "a" * 32
CLIENT = "0123456789abcdef0123456789abcdef"


@dataclass
class World:
    platform: ShopifyPlatform
    providers: ProvidersServer
    folder: Path
    settings: dict[str, str]
    url: str

    def tillwire(self, *arguments: str) -> Any:
        done = run(self.folder, *arguments, "--json", **self.settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        ShopifyPlatform(CLIENT, SECRET, app_url=url, tls=True) as platform,
        ProvidersServer(create_providers_app()) as providers,
    ):
        platform.deploy((ROOT / "shopify.app.toml").read_text())
        platform.add_shop(SHOP, id=7001, currency="EUR", pcd=2)
        settings = {
            **databases.settings(database_url),
            "PUBLIC_URL": url,
            "PORT": str(port),
            "SHOPIFY_API_KEY": CLIENT,
            "SHOPIFY_API_SECRET": SECRET,
            "SHOPIFY_ADMIN_URL": platform.url,
            "ALLOW_PRIVATE_NETWORKS": "1",
            **{f"{name.upper()}_API_URL": providers.base(name) for name in PROVIDERS},
        }
        with Running(tmp_path, "serve", **settings):
            until(lambda: answers(f"{url}/readyz"))
            yield World(platform, providers, tmp_path, settings, url)


def click(driver: WebDriver, clicks: list[str], text: str) -> None:
    clicks.append(text)
    driver.find_element(By.XPATH, f"//*[self::button or self::a][normalize-space()='{text}']").click()


def framed_text(driver: WebDriver) -> str:
    """What the app shows inside the admin; empty while the page changes. Stays in the frame."""
    driver.switch_to.default_content()
    try:
        driver.switch_to.frame(driver.find_element(By.TAG_NAME, "iframe"))
        return driver.find_element(By.TAG_NAME, "main").text
    except (NoSuchElementException, StaleElementReferenceException):
        return ""


def test_from_the_listing_to_the_first_order_in_three_clicks_and_a_minute(world: World, chromium: Browsers) -> None:
    began = time.monotonic()
    with chromium(host_rules=world.platform.host_rules(), certificates=False) as driver:
        clicks: list[str] = []
        driver.get(world.platform.listing_url(SHOP))
        click(driver, clicks, "Install")
        click(driver, clicks, "Install")
        eventually(lambda: SHOP in framed_text(driver), seconds=15)
        shoot(driver, "shopify-installed")
        assert len(clicks) <= 3
        assert driver.get_cookies() == []
        assert [line for line in console(driver) if "SEVERE" in line] == []

    world.tillwire("destinations", "set", SHOP, "sprii", "api_key=k", "--mode", "live")
    order = world.platform.place_order(SHOP, until="paid", note_attributes=[{"name": "orderNo", "value": "5934-14"}])
    world.platform.deliver_due()
    found = until(lambda: [each["body"] for each in world.providers.app.requests("sprii")])
    assert [each["orders"][0]["id"] for each in found] == [str(order["id"])]
    assert time.monotonic() - began < 60
    assert world.platform.violations() == []
    (row,) = world.tillwire("shops", "list")["shops"]
    assert (row["domain"], row["trouble"]) == (SHOP, None)
