"""A merchant in Chromium: why an order brought no points, what a refund took back, and what stopped on its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.bodies import woocommerce_order
from tests.browser import eventually, shoot
from tests.connectors.shopify_fixtures import body_of
from tests.merchant import every_screen, hold_nothing_back, press_text, said, signed_in, site
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, connect, id_token

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture
def shop(rig: Rig) -> int:
    """One with an order by a guest, one that was paid and refunded in part, and one that a provider refused."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    rig.switch_on(shop, "gameball", send_guests="no")
    tell(rig, shop, 1043)
    tell(rig, shop, 1044, customer_id=7)
    rig.work()
    tell(rig, shop, 1044, customer_id=7, minute=5, refunds=((9, "30.00"),))
    tell(rig, shop, 1045, customer_id=7, paid=False, sprii=None)
    rig.work()
    rig.simulators.app.set_faults("gameball", [{"kind": "400"}])
    tell(rig, shop, 1046, customer_id=8)
    rig.work()
    return shop


def tell(rig: Rig, shop: int, order_id: int, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    with site(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as (url, _):
        yield url


@pytest.fixture
def anna(rig: Rig, shop: int, url: str, browser: WebDriver) -> WebDriver:
    """The browser of a merchant who is signed in."""
    return signed_in(browser, rig, url, shop)


def find(driver: WebDriver, text: str) -> None:
    field = driver.find_element(By.ID, "q")
    field.clear()
    field.send_keys(text)
    press_text(driver, "Find")


def test_why_there_are_no_points_for_an_order_is_answered(anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/orders")
    find(anna, "#1043")
    assert anna.current_url == f"{url}/shops/{shop}/orders/1043"
    assert said(anna, ".answers h3")[:2] == ["Sprii Delivered", "Gameball Skipped"]
    assert said(anna, ".answers p")[1] == (
        "Report a paid order: The buyer has no account in your store, and guests are not sent to this provider."
    )


def test_a_refund_is_followed_to_what_each_provider_took_back(anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/orders")
    find(anna, "1044")
    assert said(anna, "h1") == ["Order 1044 Partly refunded"]
    assert said(anna, ".figures dd")[:3] == ["DKK 80.00", "DKK 30.00", "DKK 50.00"]
    refund = anna.find_elements(By.CSS_SELECTOR, ".story > li")[-1]
    assert refund.find_element(By.TAG_NAME, "h3").text == "Money was given back: DKK 30.00"
    sent = [each.text.splitlines()[0] for each in refund.find_elements(By.CSS_SELECTOR, ".sent > li")]
    assert sent == [
        "Sprii: Nothing is sent Skipped",
        "Gameball: Take back points for money given back Delivered takes back DKK 30.00",
    ]


def test_what_failed_is_sent_again_after_a_look_at_the_count(rig: Rig, anna: WebDriver, url: str, shop: int) -> None:
    rig.simulators.app.set_faults("gameball", [])
    anna.get(f"{url}/shops/{shop}/deliveries")
    anna.find_element(By.CSS_SELECTOR, ".numbers td[data-label='Failed'] a").click()
    assert said(anna, ".stack:not(.numbers) .state") == ["Failed"]
    press_text(anna, "Send all that match again")
    assert said(anna, "h1, dd") == ["Send 1 delivery again?", "1", "1"]
    shoot(anna, "resend")
    press_text(anna, "Send again")
    assert said(anna, "[role=status]") == ["1 delivery is on its way again."]
    rig.work()
    assert [each["state"] for each in rig.deliveries(provider="gameball")] == ["skipped", *["delivered"] * 3]


#: What App Bridge does to `fetch`: every call to our own server carries an ID token.
BRIDGE = """
const plain = window.fetch;
window.fetch = (address, options = {}) =>
  plain(address, {...options, headers: {...options.headers, Authorization: "Bearer %s"}});
"""


def test_in_the_admin_filters_and_downloads_work_without_cookies(
    rig: Rig, url: str, browser: WebDriver, tmp_path: Path
) -> None:
    inside = connect(rig, rig.shop("shopify", DOMAIN))
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BRIDGE % id_token()})
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    rig.switch_on(inside, "sprii")
    assert rig.shopify("orders/paid", body_of("orders_paid__worked_a"), domain=DOMAIN) == "stored"
    rig.work()
    query = urlencode({"id_token": id_token(), "shop": DOMAIN, "host": "aG9zdA", "embedded": "1"})
    browser.get(f"{url}/shops/{inside}/deliveries?{query}")
    Select(browser.find_element(By.ID, "provider")).select_by_value("sprii")
    browser.find_element(By.CSS_SELECTOR, ".filters button").click()
    WebDriverWait(browser, 60).until(lambda driver: "provider=sprii" in driver.current_url)
    assert "host=aG9zdA" in browser.current_url
    browser.find_element(By.CSS_SELECTOR, "a[download]").click()
    name = f"deliveries-{datetime.now(UTC):%Y-%m-%d}.csv"
    eventually(lambda: (tmp_path / name).exists(), seconds=10)
    assert (tmp_path / name).read_text().splitlines()[0].startswith("delivery,created,provider")
    assert browser.get_cookies() == []
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "default"})


@every_screen
def test_the_pages_hold_nothing_back_from_anybody(anna: WebDriver, url: str, shop: int, size: str, scheme: str) -> None:
    pages = {
        "orders": "orders",
        "order": "orders/1044",
        "order-guest": "orders/1043",
        "deliveries": "deliveries",
        "deliveries-dead": "deliveries?state=dead&provider=gameball",
        "delivery": "deliveries/6",
    }
    hold_nothing_back(anna, {name: f"{url}/shops/{shop}/{path}" for name, path in pages.items()}, size, scheme)
