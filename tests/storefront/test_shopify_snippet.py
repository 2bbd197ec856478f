"""The snippet for Shopify themes, on a made-up shop page in a real browser."""

from __future__ import annotations

import json
import time

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser import console, eventually, shoot
from tests.storefront.shopify_page import ShopifyStorefront
from tests.storefront.sprii_player import act

Shop = tuple[ShopifyStorefront, str]
FILLED = {"status": "SUCCESS", "message": "filled by the shop"}
SHIRT = [{"product_id": "44001", "quantity": 1}]


def kept(browser: WebDriver) -> dict[str, object] | None:
    found: str | None = browser.execute_script("return localStorage.getItem('tillwire.sprii')")
    return json.loads(found) if found else None


@pytest.mark.parametrize("action", ["SOME_CHECKOUT", "UPDATE_CART_CONTENTS"])
def test_the_number_is_on_the_cart_once_before_the_shop_fills_it(browser: WebDriver, shop: Shop, action: str) -> None:
    page, url = shop
    browser.get(url)
    assert act(browser, action, orderNo="5934-14", products=SHIRT) == FILLED
    items = [{"id": "44001", "quantity": 1}]
    assert page.carts() == [{"token": "c1-3", "items": items, "attributes": {"sprii_order_no": "5934-14"}}]
    time.sleep(0.6)  # what follows the shop's own code
    cart_calls = [path for path in page.paths if path.startswith("/cart/")]
    assert cart_calls == ["/cart/update.js", "/cart/add.js"]
    assert console(browser) == []
    shoot(browser, "storefront-shopify")


@pytest.mark.parametrize(
    ("form", "first"),
    # A function declared after the snippet would take its place: the guide says so.
    [("push", ""), ("push", "shop"), ("function", ""), ("function", "shop"), ("declared", "shop")],
)
def test_every_published_way_of_meeting_sprii_is_heard(browser: WebDriver, shop: Shop, form: str, first: str) -> None:
    page, url = shop
    browser.get(f"{url}?shop={form}&first={first}")
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    assert page.attributes() == [{"sprii_order_no": "5934-14"}]
    assert console(browser) == []


def test_a_script_of_sprii_that_was_quicker_is_still_watched(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(f"{url}?first=sprii")
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    assert page.attributes() == [{"sprii_order_no": "5934-14"}]


def test_a_shop_without_own_code_answers_sprii_as_before(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(f"{url}?shop=none")
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14") == {"status": "FAILURE", "message": "no handler"}
    assert page.carts() == []


def test_the_shops_own_code_can_hand_the_number_over(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(f"{url}?shop=none")
    browser.execute_async_script("tillwireSprii('  5934-14 ').then(arguments[0])")
    assert page.attributes() == [{"sprii_order_no": "5934-14"}]


def test_an_sdk_that_cannot_be_watched_is_left_in_peace(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(f"{url}?sdk=frozen")
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    assert page.attributes() == [{}]
    assert console(browser) == []


def test_an_error_in_the_shops_own_code_stays_its_own(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    browser.switch_to.frame("player")
    browser.execute_script("act('SOME_CHECKOUT', {orderNo: '5934-14', throws: true})")
    browser.switch_to.default_content()
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-14"}])
    eventually(lambda: any("the shop has a bug" in line for line in console(browser)))


@pytest.mark.parametrize(
    "number",
    [
        "",
        "   ",
        None,
        593414,
        True,
        {"orderNo": "5934-14"},
        ["5934-14"],
        "x" * 256,
        "5934\n14",
        "5934\u000014",
        "a\u0085b",
    ],
    ids=repr,
)
def test_what_is_no_number_is_left_alone(browser: WebDriver, shop: Shop, number: object) -> None:
    page, url = shop
    browser.get(url)
    assert act(browser, "UPDATE_CART_CONTENTS", orderNo=number, products=SHIRT) == FILLED
    assert page.attributes() == [{}]
    assert page.looks == 0
    assert kept(browser) is None
    assert console(browser) == []


def test_a_missing_number_does_not_take_a_known_one_away(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    act(browser, "UPDATE_CART_CONTENTS", products=SHIRT)
    assert page.attributes() == [{"sprii_order_no": "5934-14"}]


def test_odd_but_legal_numbers_arrive_to_the_letter(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    number = "007 &<\"'æ漢" + "9" * 240
    act(browser, "SOME_CHECKOUT", orderNo=number, products=SHIRT)
    assert page.attributes() == [{"sprii_order_no": number}]


def test_messages_of_strangers_are_not_listened_to(browser: WebDriver, shop: Shop, sprii: str) -> None:
    page, url = shop
    browser.get(url)
    stranger = sprii.replace("sprii.test", "stranger.test") + "/player.html"
    browser.execute_async_script(
        "const frame = document.createElement('iframe'); frame.id = 'stranger'; frame.src = arguments[0];"
        "frame.onload = () => arguments[1](); document.body.append(frame)",
        stranger,
    )
    browser.switch_to.frame("stranger")
    for action in ("SOME_CHECKOUT", "UPDATE_CART_CONTENTS"):
        browser.execute_script("act(arguments[0], {orderNo: 'stolen'})", action)
    browser.switch_to.default_content()
    browser.execute_script("window.postMessage({action: 'SOME_CHECKOUT', payload: {orderNo: 'stolen'}}, '*')")
    time.sleep(0.6)
    assert (page.carts(), kept(browser)) == ([], None)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14")
    assert page.attributes() == [{"sprii_order_no": "5934-14"}]


def test_a_newer_number_takes_the_place_of_an_older_one(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    act(browser, "UPDATE_CART_CONTENTS", orderNo="5934-15", products=SHIRT)
    assert page.attributes() == [{"sprii_order_no": "5934-15"}]
    assert page.written == 2


def test_of_two_numbers_at_once_the_later_one_stays(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    browser.execute_async_script("Promise.all([tillwireSprii('5934-14'), tillwireSprii('5934-15')]).then(arguments[0])")
    assert page.attributes() == [{"sprii_order_no": "5934-15"}]


def test_a_refused_number_does_not_keep_back_a_later_one(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    page.failures = [422]
    browser.get(url)
    browser.execute_script("tillwireSprii('5934-14'); tillwireSprii('5934-15')")
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-15"}])


def test_a_cart_that_the_shop_empties_first_keeps_the_number(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "UPDATE_CART_CONTENTS", products=SHIRT * 2)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", clear_cart=True, products=SHIRT)
    assert [(len(cart["items"]), cart["attributes"]) for cart in page.carts()] == [(1, {"sprii_order_no": "5934-14"})]


def test_changes_within_the_player_cost_no_further_writing_and_one_look(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    looks = page.looks
    for _ in range(5):
        act(browser, "UPDATE_CART_CONTENTS", orderNo="5934-14", products=SHIRT)
    time.sleep(0.6)
    assert page.written == 1
    assert page.looks <= looks + 2


def test_two_copies_do_it_once(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(f"{url}?snippets=2")
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    eventually(lambda: page.looks == 2)
    time.sleep(0.6)
    assert (page.written, page.looks, page.attributes()) == (1, 2, [{"sprii_order_no": "5934-14"}])
    assert console(browser) == []


def test_attributes_of_others_are_kept(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "UPDATE_CART_CONTENTS", products=SHIRT)
    page.replace_attributes({"gift": "yes"})
    act(browser, "SOME_CHECKOUT", orderNo="5934-14")
    assert page.attributes() == [{"gift": "yes", "sprii_order_no": "5934-14"}]


def test_after_a_reload_it_is_looked_at_and_not_written_again(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    before = page.looks
    browser.get(url)
    eventually(lambda: page.looks > before)
    time.sleep(0.2)
    assert (page.written, page.attributes()) == (1, [{"sprii_order_no": "5934-14"}])


def test_a_visitor_without_a_number_costs_the_shop_nothing(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    time.sleep(0.4)
    assert {path for path in page.paths if path.startswith("/cart")} == set()


def test_a_number_that_another_app_wiped_off_the_cart_comes_back(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    page.replace_attributes({"gift": "yes"})
    browser.execute_script(
        "const event = new Event('shopify:cart:attributes-update', {bubbles: true});"
        "event.promise = Promise.resolve(); document.body.dispatchEvent(event)"
    )
    eventually(lambda: page.attributes() == [{"gift": "yes", "sprii_order_no": "5934-14"}])


def test_a_number_wiped_off_between_two_pages_comes_back_on_the_next(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    page.replace_attributes({})
    browser.get(url)
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-14"}])


def test_a_cart_that_the_shop_begins_anew_while_filling_it_gets_the_number_too(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    page.forget_carts()
    act(browser, "UPDATE_CART_CONTENTS", orderNo="5934-14", products=SHIRT)
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-14"}])


@pytest.mark.parametrize("straight", [False, True], ids=["by the cart page", "straight from the player"])
def test_the_next_cart_after_a_purchase_does_not_carry_the_number(
    browser: WebDriver, shop: Shop, straight: bool
) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    if not straight:
        browser.get(url)
        time.sleep(0.3)
    browser.get(url + "checkout")
    assert [order["attributes"] for order in page.orders] == [{"sprii_order_no": "5934-14"}]
    browser.get(url)
    eventually(lambda: kept(browser) is None)
    act(browser, "UPDATE_CART_CONTENTS", products=SHIRT)
    browser.get(url)
    time.sleep(0.3)
    assert page.attributes() == [{}]


def test_back_from_a_purchase_by_the_browsers_button_the_number_is_forgotten(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    browser.execute_script("location.href = '/checkout'")
    eventually(lambda: page.orders)
    browser.back()
    eventually(lambda: kept(browser) is None)
    assert page.attributes() == []


def test_a_number_of_the_next_show_goes_to_the_next_cart(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT)
    browser.get(url + "checkout")
    browser.get(url)
    act(browser, "SOME_CHECKOUT", orderNo="6001-2", products=SHIRT)
    browser.get(url + "checkout")
    assert [order["attributes"]["sprii_order_no"] for order in page.orders] == ["5934-14", "6001-2"]


def test_a_handler_that_leaves_for_the_checkout_takes_the_number_along(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    browser.switch_to.frame("player")
    browser.execute_script(
        "act('SOME_CHECKOUT', {orderNo: '5934-14', products: [{product_id: '44001', quantity: 1}],"
        " redirect_url: '/checkout'})"
    )
    browser.switch_to.default_content()
    eventually(lambda: page.orders)
    assert [order["attributes"] for order in page.orders] == [{"sprii_order_no": "5934-14"}]


@pytest.mark.parametrize("status", [503, 429])
def test_a_failing_cart_is_tried_again(browser: WebDriver, shop: Shop, status: int) -> None:
    page, url = shop
    page.failures = [status, status]
    browser.get(url)
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-14"}])
    assert page.written == 3


def test_a_refusal_is_not_repeated_on_the_same_page_but_on_the_next(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    page.failures = [422, 422]
    browser.get(url)
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    eventually(lambda: page.written == 2)  # before and after the code of the shop
    time.sleep(0.8)
    assert page.written == 2
    page.failures = []
    browser.get(url)
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-14"}])


def test_the_shop_is_not_kept_waiting_by_a_cart_that_fails(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    page.failures = [503] * 20
    browser.get(url)
    begun = time.monotonic()
    assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
    assert time.monotonic() - begun < 10
    eventually(lambda: page.written == 4, seconds=60)
    time.sleep(1)
    assert page.written == 4


def test_a_line_that_comes_back_is_used(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    browser.get(url)
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    browser.execute_script("window.tillwireSprii('5934-14')")
    time.sleep(0.3)
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    eventually(lambda: page.attributes() == [{"sprii_order_no": "5934-14"}])


def test_it_works_where_the_browser_refuses_to_store(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    script = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied'); }})"
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        browser.get(url)
        assert act(browser, "SOME_CHECKOUT", orderNo="5934-14", products=SHIRT) == FILLED
        assert page.attributes() == [{"sprii_order_no": "5934-14"}]
        assert console(browser) == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.parametrize("stored", ["{", "5", '{"number": "5934-14", "until": 1}', '{"number": {}, "until": 9e15}'])
def test_what_is_stored_is_not_trusted(browser: WebDriver, shop: Shop, stored: str) -> None:
    page, url = shop
    browser.get(url)
    browser.execute_script("localStorage.setItem('tillwire.sprii', arguments[0])", stored)
    browser.get(url)
    time.sleep(0.3)
    assert page.carts() == []
    assert console(browser) == []


def test_a_number_that_met_no_filled_cart_is_forgotten_within_hours(browser: WebDriver, shop: Shop) -> None:
    _page, url = shop
    browser.get(url)
    before = time.time()
    act(browser, "SOME_CHECKOUT", orderNo="5934-14")
    until = kept(browser)
    assert until is not None
    assert 2.9 < (float(str(until["until"])) / 1000 - before) / 3600 < 3.1
    assert until["cart"] is None
    act(browser, "UPDATE_CART_CONTENTS", orderNo="5934-14", products=SHIRT)
    until = kept(browser)
    assert until is not None
    assert 13.9 < (float(str(until["until"])) / 1000 - before) / 86400 < 14.1


def test_a_shop_in_several_languages_is_asked_under_its_own_root(browser: WebDriver, shop: Shop) -> None:
    page, url = shop
    page.app.add_url_rule("/da/cart.js", view_func=page.look, endpoint="danish look")
    page.app.add_url_rule("/da/cart/update.js", view_func=page.update, endpoint="danish update", methods=["POST"])
    browser.get(url)
    browser.execute_script("window.Shopify = {routes: {root: '/da/'}}")
    act(browser, "SOME_CHECKOUT", orderNo="5934-14")
    assert page.attributes() == [{"sprii_order_no": "5934-14"}]
    assert (page.written, page.paths.count("/da/cart/update.js")) == (0, 1)
