"""Alerts, days and the connection in Chromium: for every eye, on every screen, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import select

from app.models import AlertAddress, Event, HourlyAnswers, Shop
from app.services import alert_addresses
from app.services.alert_addresses import StopLinks
from tests.bodies import woocommerce_order
from tests.browser import press
from tests.merchant import every_screen, hold_nothing_back, signed_in, site
from tests.rig import Rig
from tests.visitor import ANNA, connect

NOW = datetime.now(UTC)
REPORT = {
    "topics": {
        "order.created": {"state": "active"},
        "order.updated": {"state": "active"},
        "order.deleted": {"state": "paused", "why": "It is paused in the store, and stays so until it is active."},
        "order.restored": {"state": "missing", "why": "The store does not take it: too many webhooks."},
        "action.woocommerce_cart": {"state": "not offered", "why": "Carts come with the plugin alone."},
    }
}


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = connect(rig, rig.shop("woocommerce"), report=REPORT, checked_at=NOW, reconciled_to=NOW)
    rig.switch_on(shop, "gameball", "seeka")
    for order in range(1, 4):
        rig.woocommerce(shop, "order.updated", woocommerce_order(order, customer_id=5))
    rig.account()
    with rig.db.write() as session:
        for event in session.scalars(select(Event)):
            event.received_at, event.occurred_at = NOW, NOW - timedelta(seconds=3 * event.id)
        hour = NOW.strftime("%Y-%m-%dT%H")
        counts = {"stored": 1204, "duplicate": 31, "ping": 1, "unproven": 4, "not storable": 2}
        for result, number in counts.items():
            row = {"hour": hour, "topic": "order.updated", "result": result, "number": number, "last_at": NOW}
            session.add(HourlyAnswers(shop_id=shop, **row))
        address = {"email": ANNA, "confirmed_at": NOW, "due_at": NOW, "mailed_at": NOW, "failed_at": NOW}
        session.add(AlertAddress(shop_id=shop, **address))
        session.get_one(Shop, shop).settings = {"facts": {"timezone": "Europe/Copenhagen"}}
        alert_addresses.ask(session, shop, "bert@a-shop-with-a-rather-long-name.example", "operator", NOW)
    return shop


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    with site(rig, smtp_url="smtp://127.0.0.1:9", mail_from="us@tillwire.example") as (url, _):
        yield url


@pytest.fixture
def merchant(rig: Rig, url: str, shop: int, browser: WebDriver) -> WebDriver:
    return signed_in(browser, rig, url, shop)


@every_screen
def test_every_page_is_for_everybody_on_every_screen(
    url: str, shop: int, merchant: WebDriver, size: str, scheme: str
) -> None:
    paths = {
        "alerts_settings": f"/shops/{shop}/settings",
        "alerts_connection": f"/shops/{shop}/connection",
        "alerts_confirm": "/alerts/confirm",
        "alerts_stop": "/alerts/stop#token",
    }
    hold_nothing_back(merchant, {name: url + path for name, path in paths.items()}, size, scheme)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_mailed_link_is_one_press_and_its_token_leaves_the_address_bar(
    rig: Rig, url: str, shop: int, browser: WebDriver, scripts: bool
) -> None:
    token = StopLinks(rig.config.secret_key).token(shop, ANNA)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    try:
        browser.get(f"{url}/alerts/stop#{token}")
        if scripts:
            assert browser.current_url == f"{url}/alerts/stop"
            assert not browser.find_element(By.ID, "token").is_displayed()
        else:
            browser.find_element(By.ID, "token").send_keys(token)
        browser.find_element(By.CSS_SELECTOR, "form[data-link] button").click()
        said = "No more alerts come to your address. They can be asked for again in the store's settings."
        assert browser.find_element(By.CSS_SELECTOR, "[role=status]").text == said
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    with rig.db.read() as session:
        assert session.get(AlertAddress, shop) is None


def test_days_test_orders_and_alerts_are_changed_by_hand(url: str, shop: int, merchant: WebDriver) -> None:
    merchant.get(f"{url}/shops/{shop}/settings")
    days = merchant.find_element(By.ID, "days")
    days.clear()
    days.send_keys("30")
    press(merchant, merchant.find_element(By.CSS_SELECTOR, 'form[action$="/retention"] button'))
    assert merchant.find_element(By.CSS_SELECTOR, "[role=status]").text.startswith("The days are saved.")
    assert merchant.find_element(By.ID, "days").get_attribute("value") == "30"
    merchant.find_element(By.CSS_SELECTOR, 'input[name="sent"][value="seeka"]').click()
    press(merchant, merchant.find_element(By.CSS_SELECTOR, 'form[action$="/tests"] button'))
    assert merchant.find_element(By.CSS_SELECTOR, 'input[name="sent"][value="seeka"]').is_selected()
    press(merchant, merchant.find_element(By.CSS_SELECTOR, 'form[action$="/alerts/stop"] button'))
    assert merchant.find_element(By.CSS_SELECTOR, "[role=status]").text == "No more alerts are sent."
