"""What Chromium sees of a page that it opens for the first time: bytes that came, and shifts of the layout.

Sources: w3.org/TR/resource-timing, wicg.github.io/layout-instability.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions

SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900")
SETTLED = 0.4  #: seconds after loading in which something may still move
_SEEN = """
const done = arguments[0];
let shift = 0;
new PerformanceObserver((list) => { for (const each of list.getEntries()) shift += each.value; })
  .observe({ type: "layout-shift", buffered: true });
setTimeout(() => {
  const came = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  done({ bytes: came.reduce((sum, each) => sum + each.transferSize, 0), shift });
}, %d);
"""


def look(address: str, cookies: Mapping[str, str], pages: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """``bytes`` (headers included, nothing cached) and ``shift`` (the sum of all) of each page, by its name."""
    options = ChromeOptions()
    for switch in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(switch)
    try:
        with tempfile.TemporaryDirectory(prefix="tillwire-bench-", ignore_cleanup_errors=True) as profile:
            options.add_argument(f"--user-data-dir={profile}")
            driver = Chrome(options=options)
            try:
                driver.get(f"{address}/sign-in")
                for name, value in cookies.items():
                    driver.add_cookie({"name": name, "value": value})
                return {name: _look(driver, address + path) for name, path in pages.items()}
            finally:
                driver.quit()
    except WebDriverException as error:
        print(f"  no Chromium, so neither bytes nor layout are measured ({type(error).__name__})")
        return {}


def _look(driver: Chrome, url: str) -> dict[str, float]:
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.get(url)
    found: dict[str, float] = driver.execute_async_script(_SEEN % int(SETTLED * 1000))
    return found
