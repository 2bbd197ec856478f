"""A merchant in Chromium: a wrong key holds orders back, the right one lets them go, and nothing goes live unseen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tests.bodies import woocommerce_order
from tests.merchant import complaints, every_screen, hold_nothing_back, press_text, said, signed_in, site
from tests.rig import Rig

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    with site(rig) as (url, app):
        app.config["RATELIMIT_ENABLED"] = False
        yield url


@pytest.fixture
def anna(rig: Rig, shop: int, url: str, browser: WebDriver) -> WebDriver:
    """The browser of a merchant who is signed in."""
    return signed_in(browser, rig, url, shop)


def enter(driver: WebDriver, field: str, text: str) -> None:
    found = driver.find_element(By.ID, field)
    found.clear()
    found.send_keys(text)


def card(driver: WebDriver, name: str) -> str:
    (found,) = driver.find_elements(By.XPATH, f"//li[contains(@class, 'card')][h2/a[text()='{name}']]")
    return " ".join(found.text.split())


def sell(rig: Rig, shop: int, *numbers: int) -> None:
    for number in numbers:
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(number, customer_id=5)) == "stored"
    rig.work()


def test_a_wrong_key_holds_orders_back_and_the_right_one_lets_them_go(
    rig: Rig, anna: WebDriver, url: str, shop: int
) -> None:
    anna.get(f"{url}/shops/{shop}/providers")
    press_text(anna, "Gameball")
    enter(anna, "api_key", "wrong-key-000-1111")
    enter(anna, "secret_key", "secret-key-000-2222")
    press_text(anna, "Save and test the connection")
    assert said(anna, "[role=status]") == ["The settings are saved."]
    assert said(anna, "[role=alert]")[0].startswith("Refused. Gameball does not take these credentials.")
    press_text(anna, "Go live")
    assert "Gameball refused the credentials" in said(anna, ".checks > .bad")[0]
    press_text(anna, "Go live with Gameball")
    assert said(anna, "[role=status]") == ["Gameball is live. The next order shows here within seconds."]

    sell(rig, shop, 1, 2, 3)
    anna.get(f"{url}/shops/{shop}/providers")
    held = card(anna, "Gameball")
    assert "Waits for you" in held
    assert "Nothing is sent at the moment: Gameball answered 401, code 1000: the API key is wrong." in held
    assert "Nothing is lost." in held
    assert "3 waiting" in held
    assert [state for _, state, _ in rig.states()] == ["held", "held", "held"]

    press_text(anna, "Gameball")
    assert said(anna, ".kept") == ["set, ends with 1111", "set, ends with 2222"]
    enter(anna, "api_key", "right-key-000-3333")
    press_text(anna, "Save and test the connection")
    assert said(anna, "[role=status]")[1].startswith("Accepted. Gameball took both keys.")
    assert said(anna, ".kept") == ["set, ends with 3333", "set, ends with 2222"]
    rig.work()
    anna.get(f"{url}/shops/{shop}/providers")
    assert card(anna, "Gameball") == "Gameball Live Orders are sent as they come in. 3 delivered Settings Gameball"
    assert sorted(each["orderId"] for each in rig.received("gameball")[-3:]) == ["1", "2", "3"]
    assert "right-key" not in anna.page_source
    assert complaints(anna) == []


def test_shadow_mode_shows_first_and_going_live_can_send_what_it_collected(
    rig: Rig, anna: WebDriver, url: str, shop: int
) -> None:
    rig.set(shop, "sprii", api_key="sprii-key-000-1111")
    anna.get(f"{url}/shops/{shop}/providers/sprii")
    press_text(anna, "Try it in shadow mode")
    sell(rig, shop, 1, 2)
    assert rig.received("sprii") == []
    press_text(anna, "Go live")
    anna.find_element(By.CSS_SELECTOR, "input[name=collected][value='1']").click()
    press_text(anna, "Go live with Sprii")
    rig.work()
    assert sorted(each["orders"][0]["id"] for each in rig.received("sprii")) == ["1", "2"]


def test_a_second_tab_warns_and_keeps_what_was_typed(rig: Rig, anna: WebDriver, url: str, shop: int) -> None:
    rig.set(shop, "seeka", organisation_id="first")
    anna.get(f"{url}/shops/{shop}/providers/seeka")
    enter(anna, "activity_id", "mine_{id}")
    rig.set(shop, "seeka", organisation_id="second")
    press_text(anna, "Save and test")
    assert said(anna, "[role=alert]")[0].startswith("Somebody else changed this meanwhile, so nothing was saved.")
    assert said(anna, "[role=alert] tbody tr") == ["Organisation ID first second"]
    fields = {
        name: anna.find_element(By.ID, name).get_attribute("value") for name in ("organisation_id", "activity_id")
    }
    assert fields == {"organisation_id": "second", "activity_id": "mine_{id}"}


@every_screen
def test_the_pages_hold_nothing_back_from_anybody(
    rig: Rig, anna: WebDriver, url: str, shop: int, size: str, scheme: str
) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key-000-1111", secret_key="k" * 16)
    rig.set(shop, "sprii", mode="live", api_key="k")
    rig.set(shop, "esputnik", mode="shadow", api_key="k" * 16)
    rig.set(shop, "spotler", api_key="k", account_id="a")
    sell(rig, shop, 1, 2, 3)
    pages = {
        "providers": "",
        "provider": "/esputnik",
        "provider-held": "/gameball",
        "provider-new": "/seeka",
        "provider-ready": "/esputnik/ready",
        "provider-ready-empty": "/seeka/ready",
    }
    hold_nothing_back(anna, {name: f"{url}/shops/{shop}/providers{path}" for name, path in pages.items()}, size, scheme)
