"""The overview and the settings in Chromium: for every eye, on every screen, and what one can do there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import update

from app.models import Delivery, Destination, Shop, Tally
from tests.bodies import woocommerce_order
from tests.browser import press
from tests.merchant import every_screen, hold_nothing_back, signed_in, site
from tests.rig import Rig
from tests.visitor import connect

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture
def shop(rig: Rig) -> int:
    """Two weeks old and busy, with a provider on hold and deliveries that failed."""
    shop = connect(rig, rig.shop("woocommerce"))
    rig.switch_on(shop, "gameball", "seeka", "spotler")
    for order in range(1, 7):
        rig.woocommerce(shop, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()
    now = datetime.now(UTC)
    with rig.db.write() as session:
        session.get_one(Shop, shop).settings = {"facts": {"timezone": "Europe/Copenhagen"}}
        session.execute(update(Delivery).where(Delivery.id == 1).values(state="dead", reason="Gameball answered 422."))
        held = {"held": "Spotler refused the credentials (401). Enter the key again."}
        session.execute(update(Destination).where(Destination.provider == "spotler").values(**held))
        for back, (state, number) in product(range(2, 14), (("delivered", 310), ("skipped", 80), ("dead", 9))):
            day = (now - timedelta(days=back)).date().isoformat()
            session.add(Tally(shop_id=shop, day=day, provider="gameball", state=state, number=number + back))
    return shop


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    with site(rig) as (url, _):
        yield url


@pytest.fixture
def merchant(rig: Rig, url: str, shop: int, browser: WebDriver) -> WebDriver:
    """Anna, who has two stores and is signed in."""
    second = rig.shop("woocommerce", "https://second-store-with-a-rather-long-name.example")
    return signed_in(browser, rig, url, shop, second)


@every_screen
def test_every_page_is_for_everybody_on_every_screen(
    url: str, shop: int, merchant: WebDriver, size: str, scheme: str
) -> None:
    paths = {
        "stores": "/",
        "overview": f"/shops/{shop}",
        "overview_new": f"/shops/{shop + 1}",
        "connection": f"/shops/{shop}/connection",
        "settings": f"/shops/{shop}/settings",
        "changes": f"/shops/{shop}/settings/changes",
    }
    hold_nothing_back(merchant, {name: url + path for name, path in paths.items()}, size, scheme)


def test_the_chart_is_drawn(url: str, shop: int, merchant: WebDriver) -> None:
    merchant.get(f"{url}/shops/{shop}")
    chart = merchant.find_element(By.CSS_SELECTOR, "img.chart")
    assert merchant.execute_script("return [arguments[0].naturalWidth, arguments[0].complete]", chart) == [900, True]


def test_the_pages_of_a_store_are_a_tab_key_away(url: str, shop: int, merchant: WebDriver) -> None:
    merchant.get(f"{url}/shops/{shop}")
    press(merchant, merchant.find_element(By.CSS_SELECTOR, "nav a:last-child"))
    assert merchant.current_url == f"{url}/shops/{shop}/settings"
    assert merchant.find_element(By.CSS_SELECTOR, 'nav a[aria-current="page"]').text == "Settings"
    skip = merchant.switch_to.active_element
    skip.send_keys("\ue004")  # Tab
    assert merchant.switch_to.active_element.text == "Skip to the content"


def test_somebody_is_invited_and_the_invitation_taken_back(url: str, shop: int, merchant: WebDriver) -> None:
    merchant.get(f"{url}/shops/{shop}/settings")
    merchant.find_element(By.ID, "email").send_keys("bert@shop.example")
    press(merchant, merchant.find_element(By.CSS_SELECTOR, 'form[action$="/people"] button'))
    assert merchant.find_element(By.CSS_SELECTOR, "[role=status]").text.startswith("The invitation is on its way.")
    press(merchant, merchant.find_element(By.CSS_SELECTOR, 'form[action$="/withdraw"] button'))
    assert merchant.find_element(By.CSS_SELECTOR, "[role=status]").text.startswith("The invitation is taken back")
    assert "bert@shop.example" not in merchant.page_source
