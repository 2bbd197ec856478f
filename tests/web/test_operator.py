"""The operator's page of all stores: for the operator's own session, and without personal data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from flask import Flask
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from sqlalchemy import select

from app.cli import main
from app.models import AuditEntry, Shop
from app.services import sign_in
from tests.bodies import woocommerce_order
from tests.browser import press
from tests.merchant import every_screen, hold_nothing_back, site
from tests.rig import Rig
from tests.visitor import US, Visitor, connect, serving


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig) as app:
        yield app


def opened(rig: Rig, app: Flask) -> Visitor:
    """The operator, by a link of `tillwire operator open`."""
    settings = {**rig.environment, "PUBLIC_URL": US}
    done = CliRunner().invoke(main, ["operator", "open", "--json"], env=settings)
    assert done.exit_code == 0, done.output
    page, _, token = json.loads(done.stdout)["url"].partition("#")
    assert page == f"{US}/sign-in/link"
    visitor = Visitor(app)
    answer = visitor.press("/sign-in/link", "/sign-in/link", token=token)
    assert (answer.status_code, answer.location) == (303, "/")
    return visitor


def test_the_link_opens_the_page_once_and_the_trail_tells_of_it(rig: Rig, app: Flask) -> None:
    visitor = opened(rig, app)
    assert visitor.get("/").location == "/operator"
    assert visitor.get("/operator").status_code == 200
    with rig.db.read() as session:
        wanted = select(AuditEntry.shop_id, AuditEntry.actor, AuditEntry.action).order_by(AuditEntry.id)
        assert [tuple(row) for row in session.execute(wanted)] == [
            (None, "operator", "make sign-in link"),
            (None, "operator", "open pages"),
        ]


def test_it_lists_the_stores_and_nobody_in_them(rig: Rig, app: Flask) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    page = opened(rig, app).get("/operator").get_data(as_text=True)
    assert re.findall(r'<th scope="row">(\S+) ', page) == ["store.example"]
    assert '<td data-label="Platform">woocommerce</td>' in page
    assert "@" not in page
    assert "/shops/" not in page


def test_it_opens_no_stores_own_pages(rig: Rig, app: Flask) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    visitor = opened(rig, app)
    for path in ("", "/orders", "/deliveries", "/providers", "/connection", "/settings", "/settings/changes"):
        assert visitor.get(f"/shops/{shop}{path}").status_code == 404


def test_nobody_else_sees_it(rig: Rig, app: Flask) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    merchant = Visitor(app)
    merchant.join(merchant.sign_in(), shop)
    assert merchant.get("/operator").status_code == 404
    with rig.db.write() as session:
        token = sign_in.open_shop(session, session.get_one(Shop, shop), datetime.now(UTC))
    one_shop = Visitor(app)
    one_shop.press("/sign-in/link", "/sign-in/link", token=token)
    assert one_shop.get("/").location == f"/shops/{shop}"
    assert one_shop.get("/operator").status_code == 404
    assert Visitor(app).get("/operator").location == "/sign-in"


def test_the_list_is_led_through_by_key(rig: Rig, app: Flask) -> None:
    for number in range(30):
        rig.shop("woocommerce", f"https://{number:02}.example")
    visitor = opened(rig, app)
    first = visitor.get("/operator").get_data(as_text=True)
    [more] = re.findall(r'href="(/operator\?after=\d+)"', first)
    second = visitor.get(more).get_data(as_text=True)
    found = re.findall(r'<th scope="row">(\S+) ', first + second)
    assert found == [f"{number:02}.example" for number in range(30)]
    assert "More stores" not in second


@every_screen
def test_the_page_holds_nothing_back_from_anybody(rig: Rig, browser: WebDriver, size: str, scheme: str) -> None:
    connect(rig, rig.shop("woocommerce", "https://a-store-with-a-rather-long-name.and-a-long-domain.example"))
    rig.shop("shopify")
    with site(rig) as (url, _):
        with rig.db.write() as session:
            token = sign_in.open_all(session, datetime.now(UTC))
        browser.get(f"{url}/sign-in/link#{token}")
        press(browser, browser.find_element(By.CSS_SELECTOR, "form[data-link] button"))
        hold_nothing_back(browser, {"operator": f"{url}/operator"}, size, scheme)


def test_a_page_behind_a_number_that_no_store_can_have_is_the_first(rig: Rig, app: Flask) -> None:
    connect(rig, rig.shop("woocommerce"))
    visitor = opened(rig, app)
    for after in ("9" * 20, "-1", "x"):
        answer = visitor.get(f"/operator?after={after}")
        assert (answer.status_code, "store.example" in answer.get_data(as_text=True)) == (200, True), after
