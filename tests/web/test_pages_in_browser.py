"""What only a browser can show: links whose token no server sees, and pages that work in Shopify's frame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from flask import Flask
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug.serving import BaseWSGIServer, make_server

from app.services import sign_in
from app.services.connections import Connections
from tests.rig import Rig
from tests.visitor import ANNA, DOMAIN, KEY, SECRET, Calls, connect, id_token, platforms, serving


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def server(rig: Rig, calls: Calls) -> Iterator[BaseWSGIServer]:
    app = Flask("not yet")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    url = f"http://127.0.0.1:{server.port}"
    with serving(rig, public_url=url, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
        app.extensions["connections"] = Connections(rig.db, platforms(calls))
        server.app = app
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        server.server_close()


def url(server: BaseWSGIServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def text(browser: WebDriver, selector: str) -> str:
    waiting = WebDriverWait(browser, 60, ignored_exceptions=[StaleElementReferenceException])
    found: str = waiting.until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector).text)
    return found


def test_a_mailed_link_signs_in_with_one_press_and_its_token_leaves_the_address_bar(
    rig: Rig, server: BaseWSGIServer, browser: WebDriver
) -> None:
    with rig.db.write() as session:
        token = sign_in.ask(session, ANNA, datetime.now(UTC))
    browser.get(url(server, f"/sign-in/link#{token}"))
    assert browser.current_url == url(server, "/sign-in/link")
    assert not browser.find_element(By.ID, "token").is_displayed()
    browser.find_element(By.CSS_SELECTOR, "form[data-link] button").click()
    assert text(browser, "h1") == "Your stores"
    assert token not in browser.page_source


def test_a_link_without_its_end_asks_for_the_code(server: BaseWSGIServer, browser: WebDriver) -> None:
    browser.get(url(server, "/sign-in/link"))
    assert browser.find_element(By.ID, "token").is_displayed()
    assert text(browser, "label") == "Code from the mail"


#: What App Bridge does to `fetch`: every call to our own server carries an ID token.
BRIDGE = """
const plain = window.fetch;
window.fetch = (address, options = {}) =>
  plain(address, {...options, headers: {...options.headers, Authorization: "Bearer %s"}});
"""


@pytest.fixture
def inside(rig: Rig, server: BaseWSGIServer, browser: WebDriver) -> int:
    """The page of a Shopify store, loaded as the admin does."""
    shop = connect(rig, rig.shop("shopify", DOMAIN))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BRIDGE % id_token()})
    query = urlencode({"id_token": id_token(), "shop": DOMAIN, "host": "aG9zdA", "embedded": "1"})
    browser.get(url(server, f"/shops/{shop}/connection?{query}"))
    return shop


def test_in_the_admin_a_press_shows_its_result_without_cookie_or_reload(
    server: BaseWSGIServer, browser: WebDriver, inside: int, calls: Calls
) -> None:
    browser.execute_script("window.untouched = true")
    browser.find_element(By.CSS_SELECTOR, 'form[action*="/check"] button').click()
    assert text(browser, "[role=status]") == "The connection was looked at, and what could be repaired was."
    assert calls.made == [("check", inside, None)]
    assert browser.execute_script("return window.untouched") is True
    assert browser.current_url.startswith(url(server, f"/shops/{inside}/connection?shop={DOMAIN}"))
    assert "id_token" not in browser.current_url
    assert browser.get_cookies() == []


def test_in_the_admin_what_failed_is_shown_in_place(browser: WebDriver, inside: int, calls: Calls) -> None:
    calls.trouble = "The store did not answer. Nothing is lost. Try again in a minute."
    browser.find_element(By.CSS_SELECTOR, 'form[action*="/check"] button').click()
    assert text(browser, "[role=alert]") == calls.trouble


def test_in_the_admin_a_server_that_is_gone_is_told_in_place(browser: WebDriver, inside: int) -> None:
    browser.execute_script("window.fetch = () => Promise.reject(new TypeError())")
    browser.find_element(By.CSS_SELECTOR, 'form[action*="/check"] button').click()
    said = "Tillwire could not be reached. Your data is safe. Check your connection, then try again."
    assert text(browser, "[role=alert]") == said
