"""The whole way: from the player in a visitor's browser to the report that Sprii receives."""

from __future__ import annotations

import json
from pathlib import Path

from selenium.webdriver.remote.webdriver import WebDriver

from tests.bodies import woocommerce_order
from tests.browser import eventually
from tests.rig import Rig
from tests.storefront.shopify_page import ShopifyStorefront
from tests.storefront.sprii_player import act
from tests.storefront.woocommerce_page import WooCommerceShop

PAID = Path(__file__).parent.parent / "fixtures" / "shopify" / "orders_paid__worked_a.json"
NUMBER = "7781-205"


def reported(rig: Rig) -> list[str]:
    """The numbers that Sprii was told, oldest first."""
    return [order["spriiOrderNumber"] for body in rig.received("sprii") for order in body["orders"]]


def test_a_number_from_the_player_reaches_sprii_through_a_shopify_order(
    browser: WebDriver, shop: tuple[ShopifyStorefront, str], rig: Rig
) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo=NUMBER, products=[{"product_id": "44001", "quantity": 1}])
    browser.get(url + "checkout")
    eventually(lambda: page.orders)
    attributes = page.orders[0]["attributes"]
    body = json.loads(PAID.read_text())
    body["note_attributes"] = [{"name": name, "value": value} for name, value in attributes.items()]
    rig.switch_on(rig.shop(), "sprii")
    assert rig.shopify("orders/paid", body) == "stored"
    rig.work()
    assert reported(rig) == [NUMBER]
    assert rig.simulators.app.violations() == []


def test_a_number_from_the_player_reaches_sprii_through_a_woocommerce_order(
    browser: WebDriver, woocommerce: WooCommerceShop, rig: Rig
) -> None:
    browser.get(woocommerce.url)
    act(browser, "SOME_CHECKOUT", orderNo=NUMBER, products=[{"product_id": "1", "quantity": 1}])
    browser.get(f"{woocommerce.url}checkout?kind=blocks")
    meta = woocommerce.orders()[0]
    body = woocommerce_order(501, sprii=None)
    body["meta_data"] = [{"id": n, "key": key, "value": value} for n, (key, value) in enumerate(meta.items(), 1)]
    store = rig.shop("woocommerce")
    rig.switch_on(store, "sprii")
    assert rig.woocommerce(store, "order.created", body) == "stored"
    rig.work()
    assert reported(rig) == [NUMBER]
    assert rig.simulators.app.violations() == []
