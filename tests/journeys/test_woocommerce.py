"""A merchant signs in and connects a WooCommerce store, in a real browser; their first order arrives at a provider."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from app.providers.registry import PROVIDERS
from app.simulators.providers import ProvidersServer, create_providers_app
from app.simulators.woocommerce_platform import WooCommercePlatform
from bench.ports import free_port
from tests import databases
from tests.browser import console, eventually, shoot
from tests.processes import Running, answers, run, until

EMAIL = "anna@shop.example"


def printed_link(server: Running) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/sign-in/link#\S+", "\n".join(server.complained))
    return found.group() if found else ""


def text(driver: WebDriver) -> str:
    """What the page shows; empty while it changes."""
    try:
        return driver.find_element(By.TAG_NAME, "body").text
    except (NoSuchElementException, StaleElementReferenceException):
        return ""


def press(driver: WebDriver, label: str) -> None:
    driver.find_element(By.XPATH, f"//*[self::button or self::a][normalize-space()='{label}']").click()


def test_from_the_store_list_to_the_first_order_in_four_clicks_and_a_minute(
    tmp_path: Path, database_url: str, browser: WebDriver
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        WooCommercePlatform(insecure_ok=True, signed_in="admin", auto_cron=True) as store,
        ProvidersServer(create_providers_app()) as providers,
    ):
        addresses = {f"{name.upper()}_API_URL": providers.base(name) for name in PROVIDERS}
        here = databases.settings(database_url)
        settings = {"PUBLIC_URL": url, "PORT": str(port), "ALLOW_PRIVATE_NETWORKS": "1", **addresses, **here}

        def tillwire(*arguments: str) -> Any:
            done = run(tmp_path, *arguments, "--json", **settings)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        with Running(tmp_path, "serve", **settings) as server:
            until(lambda: answers(f"{url}/readyz"))
            browser.get(f"{url}/sign-in")
            shoot(browser, "sign-in")
            browser.find_element(By.ID, "email").send_keys(EMAIL)
            press(browser, "Send me a link")
            browser.get(until(lambda: printed_link(server)))
            press(browser, "Sign in")
            eventually(lambda: "Your stores" in text(browser))
            shoot(browser, "stores-none")

            began = time.monotonic()
            press(browser, "Connect a WooCommerce store")
            browser.find_element(By.ID, "address").send_keys(store.url)
            shoot(browser, "connect-woocommerce")
            press(browser, "Connect")
            browser.find_element(By.CSS_SELECTOR, ".wc-auth-approve").click()  # the third click, and the last
            eventually(lambda: "Connected" in text(browser), seconds=20)
            shoot(browser, "woocommerce-connected")
            assert [line for line in console(browser) if "SEVERE" in line and url in line] == []

            shop = str(tillwire("shops", "list")["shops"][0]["shop"])
            tillwire("destinations", "set", shop, "sprii", "api_key=k", "--mode", "live")
            order = store.place_order(meta={"sprii_order_no": "5934-14"}, paid=True)
            found = until(lambda: [each["body"] for each in providers.app.requests("sprii")])
            assert [each["orders"][0]["id"] for each in found] == [str(order)]
            assert time.monotonic() - began < 60
            browser.refresh()
            eventually(lambda: "nothing yet" not in text(browser))
            shoot(browser, "woocommerce-first-order")
        assert EMAIL not in "\n".join(server.complained)
        assert [each for each in store.sentences() if "plain http" not in each] == []
