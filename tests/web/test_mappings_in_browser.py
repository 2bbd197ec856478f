"""A merchant in Chromium: a wrong mapping is found, tried on real orders, mended and saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.select import Select

from tests.bodies import woocommerce_order
from tests.browser import eventually
from tests.connectors.shopify_fixtures import body_of
from tests.merchant import (
    complaints,
    every_screen,
    hold_nothing_back,
    nothing_held_back,
    press_text,
    said,
    signed_in,
    site,
)
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, connect, id_token
from tests.web.test_orders_in_browser import BRIDGE

WRONG = '[[rules]]\nname = "order"\n\n[rules.fields.orderId]\nfrom = "order.name"\n'


@pytest.fixture
def shop(rig: Rig) -> int:
    """With Gameball switched on and two orders that it was told of."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    sell(rig, shop, 1042, 1043)
    return shop


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    with site(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as (url, _):
        yield url


@pytest.fixture
def anna(rig: Rig, shop: int, url: str, browser: WebDriver) -> WebDriver:
    """The browser of a merchant who is signed in."""
    return signed_in(browser, rig, url, shop)


def sell(rig: Rig, shop: int, *numbers: int, **more: Any) -> None:
    for number in numbers:
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(number, customer_id=5, **more)) == "stored"
    rig.work()


def row(driver: WebDriver, field: str) -> str:
    """What the table says of a field."""
    return " ".join(driver.find_element(By.XPATH, f"//tr[.//button[@value='{field}']]").text.split())


def change(driver: WebDriver, field: str) -> None:
    button = driver.find_element(By.XPATH, f"//button[@value='{field}']")
    driver.execute_script("window.pressed = true; arguments[0].click()", button)
    eventually(
        lambda: driver.execute_script("return !window.pressed && document.readyState === 'complete'"), seconds=10
    )


def choose(driver: WebDriver, how: str) -> None:
    driver.find_element(By.CSS_SELECTOR, f"[name=how][value={how}]").click()


def pick(driver: WebDriver, name: str, value: str) -> None:
    Select(driver.find_element(By.ID, name)).select_by_value(value)


def becomes(driver: WebDriver, text: str) -> None:
    """Wait until the result begins so, without a press."""
    eventually(lambda: said(driver, "#result")[0].startswith(text), seconds=10)


def test_a_wrong_mapping_is_found_tried_mended_and_saved(rig: Rig, anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/mappings/gameball/text")
    text = anna.find_element(By.ID, "text")
    text.clear()
    text.send_keys(WRONG)
    press_text(anna, "Keep this change")
    press_text(anna, "See what changes")
    press_text(anna, "Save")
    sell(rig, shop, 1044)
    assert rig.received("gameball")[-1]["orderId"] == "#1044"

    anna.get(f"{url}/shops/{shop}/providers/gameball")
    press_text(anna, "See the mapping")
    assert "orderId needed yours" in row(anna, "orderId")
    assert "Order → name #1044" in row(anna, "orderId")
    change(anna, "orderId")
    assert "Now #1044" in said(anna, "#result")[0]
    pick(anna, "path-0", "order.id")
    becomes(anna, "Now #1044 With your change 1044 Order → id")
    pick(anna, "event", Select(anna.find_element(By.ID, "event")).options[2].get_attribute("value") or "")
    becomes(anna, "Now #1043 With your change 1043 Order → id")
    choose(anna, "default")
    becomes(anna, "Now #1043 With your change 1043 The first that is there of: Order → as set under")
    press_text(anna, "Keep this change")
    assert "not saved yet" in row(anna, "orderId")
    assert said(anna, ".pending p") == ["1 change not saved yet"]
    press_text(anna, "See what changes")
    assert said(anna, ".figures > div") == ["changed 3"]
    assert said(anna, "tbody tr")[0] == "orderId #1044 1044"
    press_text(anna, "Save")
    assert said(anna, "[role=status]")[0].startswith("Saved. Orders are sent like this from now on")
    sell(rig, shop, 1045)
    assert rig.received("gameball")[-1]["orderId"] == "1045"
    press_text(anna, "Send some of them again")
    assert anna.current_url == f"{url}/shops/{shop}/deliveries?provider=gameball"
    assert complaints(anna) == []


def test_what_belongs_to_another_way_is_not_shown(anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/mappings/gameball")
    change(anna, "email")
    shown = {}
    for how in ("default", "from", "list", "value", "leave_out"):
        choose(anna, how)
        fields = ("find", "path-0", "conversion-0", "value")
        shown[how] = [name for name in fields if anna.find_element(By.ID, name).is_displayed()]
    assert shown == {
        "default": [],
        "from": ["find", "path-0", "conversion-0"],
        "list": ["find", "path-0", "conversion-0"],
        "value": ["value"],
        "leave_out": [],
    }


def test_values_are_searched(anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/mappings/gameball")
    change(anna, "email")
    choose(anna, "from")
    box, first, second = (anna.find_element(By.ID, name) for name in ("find", "path-0", "path-1"))
    before = len(Select(first).options)
    box.send_keys("PHONE\ue007")
    offered = [each.get_attribute("value") for each in Select(first).options]
    assert {"", "order.email", "order.phone"} <= set(offered)
    assert all("phone" in (path or "") for path in offered if path not in ("", "order.email"))
    assert Select(first).first_selected_option.get_attribute("value") == "order.email"
    assert Select(second).first_selected_option.get_attribute("value") == ""
    assert said(anna, "#found") == [f"{len(offered) - 1} values to choose from"]
    box.clear()
    box.send_keys(" ")
    assert len(Select(first).options) == before
    assert said(anna, "#found") == [""]


def test_a_lost_answer_is_said_and_the_next_one_heals_it(anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/mappings/gameball")
    change(anna, "email")
    anna.execute_script("window.real = window.fetch; window.fetch = () => Promise.reject(new TypeError())")
    choose(anna, "leave_out")
    becomes(anna, "The result could not be fetched. Nothing is lost.")
    anna.execute_script("window.fetch = window.real")
    choose(anna, "value")
    anna.find_element(By.ID, "value").send_keys("x@example.test")
    becomes(anna, "Now buyer@example.test With your change x@example.test Always")


def test_what_is_wrong_in_the_text_is_marked_and_the_cursor_stands_there(anna: WebDriver, url: str, shop: int) -> None:
    anna.get(f"{url}/shops/{shop}/mappings/gameball/text")
    text = anna.find_element(By.ID, "text")
    anna.execute_script("arguments[0].value = arguments[0].value.replace('\"email\"', '\"e-mail\"')", text)
    press_text(anna, "Keep this change")
    text = anna.find_element(By.ID, "text")
    chosen = "return arguments[0].value.slice(arguments[0].selectionStart, arguments[0].selectionEnd)"
    assert anna.switch_to.active_element == text
    assert anna.execute_script(chosen, text) == ('fields.email = { from = "order.email", as = "e-mail" }')
    assert said(anna, "mark") == ['20 fields.email = { from = "order.email", as = "e-mail" }']
    assert anna.execute_script("return arguments[0].scrollTop > 0", text)


def test_without_a_script_all_of_it_works(rig: Rig, anna: WebDriver, url: str, shop: int) -> None:
    def follow(xpath: str, then: str) -> None:
        anna.find_element(By.XPATH, xpath).click()
        eventually(lambda: anna.find_elements(By.XPATH, then), seconds=10)

    anna.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        anna.get(f"{url}/shops/{shop}/mappings/gameball")
        follow("//button[@value='channel']", "//h1[.='channel']")
        assert not anna.find_element(By.ID, "find").is_displayed()
        choose(anna, "value")
        anna.find_element(By.ID, "value").send_keys("till")
        follow("//button[@value='try']", "//dt[.='With your change']")
        assert said(anna, "#result") == ["Now web With your change till Always “till”"]
        follow("//button[@value='keep']", "//*[@class='pending']")
        follow("//button[starts-with(., 'See what changes')]", "//h1[.='What changes']")
        follow("//button[.='Save']", "//*[@role='status']")
    finally:
        anna.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    sell(rig, shop, 1044)
    assert rig.received("gameball")[-1]["channel"] == "till"


def test_in_the_admin_a_mapping_is_changed_without_cookies(rig: Rig, url: str, browser: WebDriver) -> None:
    inside = connect(rig, rig.shop("shopify", DOMAIN))
    rig.switch_on(inside, "sprii")
    assert rig.shopify("orders/paid", body_of("orders_paid__worked_a"), domain=DOMAIN) == "stored"
    rig.work()
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BRIDGE % id_token()})
    query = urlencode({"id_token": id_token(), "shop": DOMAIN, "host": "aG9zdA", "embedded": "1"})
    browser.get(f"{url}/shops/{inside}/mappings/sprii?{query}")

    def follow(xpath: str, then: str) -> None:
        browser.find_element(By.XPATH, xpath).click()
        eventually(lambda: browser.find_elements(By.XPATH, then), seconds=10)

    try:
        follow("//button[@value='id']", "//h1[.='id']")
        choose(browser, "value")
        browser.find_element(By.ID, "value").send_keys("always")
        eventually(lambda: "With your change always" in said(browser, "#result")[0], seconds=10)
        follow("//button[.='Keep this change']", "//*[@class='pending']")
        follow("//button[starts-with(., 'See what changes')]", "//h1[.='What changes']")
        follow("//button[.='Save']", "//*[@role='status']")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert said(browser, "[role=status]")[0].startswith("Saved.")
    assert browser.get_cookies() == []


@every_screen
def test_the_pages_hold_nothing_back_from_anybody(
    rig: Rig, anna: WebDriver, url: str, shop: int, size: str, scheme: str
) -> None:
    base = f"{url}/shops/{shop}/mappings"
    anna.get(f"{base}/gameball")
    change(anna, "orderId")
    choose(anna, "value")
    anna.find_element(By.ID, "value").send_keys("x")
    press_text(anna, "Keep this change")
    press_text(anna, "See what changes")
    press_text(anna, "Save")
    pages = {
        "mapping": "/gameball",
        "mapping-empty": "/sprii",
        "mapping-text": "/gameball/text",
        "mapping-versions": "/gameball/versions",
    }
    hold_nothing_back(anna, {name: base + path for name, path in pages.items()}, size, scheme)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    anna.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    anna.get(f"{base}/gameball")
    change(anna, "lineItems.price")
    choose(anna, "from")
    becomes(anna, "Now 64 With your change 64")
    nothing_held_back(anna, "mapping-field", size, scheme)
    pick(anna, "path-0", "item.unit_gross")
    press_text(anna, "Keep this change")
    nothing_held_back(anna, "mapping-draft", size, scheme)
    press_text(anna, "See what changes")
    nothing_held_back(anna, "mapping-changes", size, scheme)
    anna.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    anna.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
