"""A real Chromium for tests: one process for the whole run, a clean profile for each test, nothing beyond this machine.

Every name under ``.example``, ``.test`` and ``.myshopify.com`` is this machine, so a page is opened as
``http://shop.example:<port>/`` and frames of other names are of another origin. Any other name does not resolve.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
    "--lang=en-US",
    # A name without a certificate would be tried on https first.
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
)
LOCAL = {"*.example": "127.0.0.1", "*.test": "127.0.0.1", "*.myshopify.com": "127.0.0.1"}


class NoBrowser(Exception):
    """Neither Chromium nor Chrome with its driver is installed; the text names what is missing."""


def _found(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    raise NoBrowser(f"{names[0]} is not installed")


def _rules(host_rules: Mapping[str, str]) -> str:
    named = [f"MAP {name} {target}" for name, target in {**host_rules, **LOCAL}.items()]
    return ", ".join([*named, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE localhost"])


def _start(host_rules: Mapping[str, str], certificates: bool, profile: str) -> Chrome:
    options = ChromeOptions()
    options.binary_location = _found(*CHROMIUM)
    switches = [*SWITCHES, f"--host-resolver-rules={_rules(host_rules)}", f"--user-data-dir={profile}"]
    for switch in switches if certificates else [*switches, "--ignore-certificate-errors"]:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=_found("chromedriver")))
    driver.set_page_load_timeout(90)
    driver.implicitly_wait(2)  # a click has begun to load the next page when it returns, no more
    driver.set_script_timeout(90)
    return driver


def _clean(driver: Chrome) -> None:
    """One empty tab, no cookies, no stored data, an empty console."""
    handles = driver.window_handles
    driver.switch_to.new_window("tab")
    fresh = driver.current_window_handle
    for handle in handles:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(fresh)
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.get_log("browser")


class Browsers:
    """The Chromium processes of one test run; called, it lends one of them out, clean."""

    def __init__(self) -> None:
        """Start nothing yet.

        Raises:
            NoBrowser: there is nothing to start.
        """
        _found(*CHROMIUM)
        _found("chromedriver")
        self._running: dict[tuple[str, bool], Chrome] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="tillwire-browser-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for driver in self._running.values():
            driver.quit()
        self._folder.cleanup()

    @contextmanager
    def __call__(
        self, *, host_rules: Mapping[str, str] | None = None, certificates: bool = True
    ) -> Iterator[WebDriver]:
        """Lend a clean browser.

        Args:
            host_rules: further names and where they lead, such as ``{"admin.shopify.com": "127.0.0.1:8443"}``;
                each different set is a process of its own, so keep them few.
            certificates: False takes any certificate.
        """
        key = (_rules(host_rules or {}), certificates)
        if key not in self._running:
            profile = str(Path(self._folder.name) / f"profile-{len(self._running)}")
            self._running[key] = _start(host_rules or {}, certificates, profile)
        driver = self._running[key]
        _clean(driver)
        yield driver


def console(driver: WebDriver) -> list[str]:
    """What was written to the console since the last look, errors of loading included."""
    return [f"{entry['level']}: {entry['message']}" for entry in driver.get_log("browser")]  # type: ignore[attr-defined]


def shooting() -> str | None:
    """The folder for pictures, where any are wanted."""
    return os.environ.get("TILLWIRE_SHOTS")


def shoot(driver: WebDriver, name: str) -> None:
    """Keep a picture of the page in the folder that ``TILLWIRE_SHOTS`` names; without it, nothing."""
    if folder := shooting():
        Path(folder).mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(Path(folder) / f"{name}.png"))


def press(driver: WebDriver, element: WebElement) -> None:
    """Press what leads to another page, and wait until that is there.

    Asking the element itself whether it is gone fails now and then: Chromium answers in the middle of the change.
    """
    driver.execute_script("window.pressed = true")
    element.click()
    loaded = "return !window.pressed && document.readyState === 'complete'"
    eventually(lambda: driver.execute_script(loaded), seconds=60)


def eventually(holds: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait until ``holds`` is true; a page does its work in its own time."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, holds
        time.sleep(0.02)
