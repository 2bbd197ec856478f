"""A merchant in Chromium: our pages over real HTTP, signed in, on every screen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any, Protocol

import pytest
from flask import Flask
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from werkzeug.serving import make_server

from app.db import Database
from app.services import accounts, sign_in
from tests.accessibility import problems
from tests.browser import console, press, shoot
from tests.rig import Rig
from tests.visitor import ANNA, serving

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
#: For tests with the arguments ``size`` and ``scheme``.
every_screen = pytest.mark.parametrize(("size", "scheme"), list(product(SIZES, ("light", "dark"))))


@contextmanager
def site(rig: Rig, **config: Any) -> Iterator[tuple[str, Flask]]:
    """The web half at an address of its own; the address, and the application for what a test changes in it."""
    server = make_server("127.0.0.1", 0, Flask("not yet"), threaded=True)
    url = f"http://127.0.0.1:{server.port}"
    with serving(rig, public_url=url, **config) as app:
        server.app = app
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield url, app
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Kept(Protocol):
    """Whatever has the database of the server that is visited."""

    @property
    def db(self) -> Database: ...


def signed_in(driver: WebDriver, rig: Kept, url: str, *shops: int) -> WebDriver:
    """``driver`` once Anna, who sees ``shops``, has signed in there by a mailed link."""
    now = datetime.now(UTC)
    with rig.db.write() as session:
        token = sign_in.ask(session, ANNA, now)
        anna = accounts.find_or_add(session, ANNA, now)
        for shop in shops:
            accounts.join(session, anna, shop, now)
    driver.get(f"{url}/sign-in/link#{token}")
    press(driver, driver.find_element(By.CSS_SELECTOR, "form[data-link] button"))
    return driver


def press_text(driver: WebDriver, text: str) -> None:
    """Press the link or button in the page's content that begins with ``text``; wait for the page that it leads to."""
    places = f"//main//*[self::a or self::button][starts-with(normalize-space(), '{text}')]"
    press(driver, driver.find_element(By.XPATH, places))


def said(driver: WebDriver, selector: str) -> list[str]:
    """The texts at ``selector``, each in one line."""
    return [" ".join(each.text.split()) for each in driver.find_elements(By.CSS_SELECTOR, selector)]


def hold_nothing_back(driver: WebDriver, pages: dict[str, str], size: str, scheme: str) -> None:
    """Every page, with all that is folded open, is for everybody: axe, no sideways scrolling, a clean console.

    Args:
        pages: addresses by the names of their pictures.
        size: of `SIZES`; scheme: ``light`` or ``dark``.
    """
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for name, address in pages.items():
        set_size(driver, size)
        driver.get(address)
        nothing_held_back(driver, name, size, scheme)
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def nothing_held_back(driver: WebDriver, name: str, size: str, scheme: str) -> None:
    """The same of the page that is shown."""
    set_size(driver, size)
    for folded in driver.find_elements(By.CSS_SELECTOR, "details:not([open]) > summary"):
        driver.execute_script("arguments[0].click()", folded)
    assert problems(driver) == [], name
    wide, seen = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= seen, name
    set_size(driver, size, driver.execute_script("return document.documentElement.scrollHeight"))
    shoot(driver, f"{name}-{size}-{scheme}")
    assert complaints(driver) == [], name


def complaints(driver: WebDriver) -> list[str]:
    """What the browser objects to; that a form of keys has no user name is advice for other forms."""
    return [each for each in console(driver) if not each.startswith("DEBUG")]


def set_size(driver: WebDriver, size: str, height: int = 0) -> None:
    """One of `SIZES`, or as high as wanted."""
    width, usual = SIZES[size]
    height = max(height, usual)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
