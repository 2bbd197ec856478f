"""A merchant connects a WooCommerce store in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.wait import WebDriverWait

from tests.walks import Walks


@pytest.fixture
def walks(tmp_path: Path, database_url: str) -> Iterator[Walks]:
    with Walks(tmp_path, database_url, signed_in="admin") as walks:
        yield walks


def test_two_clicks_and_an_address_connect_a_store(walks: Walks, browser: WebDriver) -> None:
    ours = walks.config.public_url
    browser.get(f"{ours}/sign-in")
    cookie = walks.client().get_cookie("tillwire")
    assert cookie
    browser.add_cookie({"name": "tillwire", "value": cookie.value, "path": "/"})
    browser.get(f"{ours}/connect/woocommerce")
    browser.find_element(By.ID, "address").send_keys(walks.store.url)
    browser.find_element(By.CSS_SELECTOR, "main button").click()
    approve = until.element_to_be_clickable((By.CSS_SELECTOR, "a.wc-auth-approve"))
    WebDriverWait(browser, 60).until(approve).click()
    WebDriverWait(browser, 60).until(until.url_to_be(f"{ours}/shops/1"))
    assert "Connected" in browser.find_element(By.TAG_NAME, "main").text
    assert [topic for topic, status, _ in walks.hooks() if status == "active"] == [
        *("order.created", "order.deleted", "order.restored", "order.updated"),
    ]
