"""The snippet for WooCommerce in a real browser, served by PHP, from Sprii's player to the order."""

from __future__ import annotations

import time

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser import console, eventually, shoot
from tests.storefront.sprii_player import act
from tests.storefront.woocommerce_page import WooCommerceShop

FILLED = {"status": "SUCCESS", "message": "filled by the shop"}
MARKED = {"sprii_order_no": "5934-14"}
ONE = [{"product_id": "1", "quantity": 1}]


@pytest.mark.parametrize("kind", ["classic", "blocks"])
@pytest.mark.parametrize("action", ["SOME_CHECKOUT", "UPDATE_CART_CONTENTS"])
def test_the_number_reaches_the_order_and_not_the_next(
    browser: WebDriver, woocommerce: WooCommerceShop, action: str, kind: str
) -> None:
    browser.get(woocommerce.url)
    assert act(browser, action, orderNo="5934-14", products=ONE) == FILLED
    assert console(browser) == []
    shoot(browser, "storefront-woocommerce")
    for _ in range(2):
        browser.get(f"{woocommerce.url}checkout?kind={kind}")
        browser.get(woocommerce.url)
        time.sleep(0.2)
    assert woocommerce.orders() == [MARKED, {}]
    assert woocommerce.posted() == 1


def test_a_guest_with_an_empty_cart_keeps_the_number_for_later_pages(
    browser: WebDriver, woocommerce: WooCommerceShop
) -> None:
    browser.get(woocommerce.url)
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14") == FILLED
    browser.execute_script("localStorage.clear()")
    browser.get(f"{woocommerce.url}checkout?kind=blocks")
    assert woocommerce.orders() == [MARKED]


def test_a_newer_number_takes_the_place_of_an_older_one(browser: WebDriver, woocommerce: WooCommerceShop) -> None:
    browser.get(woocommerce.url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-13", products=ONE)
    act(browser, "UPDATE_CART_CONTENTS", orderNo="5934-14", products=ONE)
    browser.get(f"{woocommerce.url}checkout?kind=classic")
    assert woocommerce.orders() == [MARKED]


@pytest.mark.parametrize("status", [403, 503])
def test_a_stale_nonce_or_a_failing_shop_is_tried_again(
    browser: WebDriver, woocommerce: WooCommerceShop, status: int
) -> None:
    woocommerce.fail(status)
    browser.get(woocommerce.url)
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=ONE) == FILLED
    eventually(lambda: woocommerce.posted() == 2)
    time.sleep(0.2)
    browser.get(f"{woocommerce.url}checkout?kind=classic")
    assert woocommerce.orders() == [MARKED]


def test_what_is_no_number_costs_the_shop_nothing(browser: WebDriver, woocommerce: WooCommerceShop) -> None:
    browser.get(woocommerce.url)
    assert act(browser, "SOME_CHECKOUT", orderNo="5934\n14", products=ONE) == FILLED
    assert [path for path in woocommerce.paths() if path.startswith("/wp-json")] == []
