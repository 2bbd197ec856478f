"""Every page of a busy store, in Shopify's admin and outside: for every eye on every screen, and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from app.models import Mode
from tests.accessibility import problems
from tests.browser import Browsers, shoot, shooting
from tests.databases import Databases
from tests.merchant import SIZES, complaints, set_size
from tests.world import Inside, Merchant, Outside, Sold, World, merchant, screen


@pytest.fixture(scope="module", params=("inside", "outside"))
def busy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    databases: Databases,
    chromium: Browsers,
) -> Iterator[tuple[Merchant, dict[str, str]]]:
    """A merchant with orders of all kinds, and the address of each page that can be opened without a button."""
    with (
        databases.lend() as url,
        World(tmp_path_factory.mktemp("world"), url) as world,
        merchant(world, chromium, request.param, "desktop", "light") as anna,
    ):
        anna.arrive()
        yield anna, pages(anna, stock(world, anna))


def stock(world: World, anna: Merchant) -> Sold:
    """Delivered, refunded, refused, held, skipped and collected; return the one that was refunded."""
    for provider in ("sprii", "gameball"):
        world.set(anna.shop, provider)
    world.set(anna.shop, "esputnik", mode=Mode.SHADOW)
    sold = anna.sell()
    world.settled(anna.shop, "gameball", sold, "delivered")
    anna.give_back(sold)
    world.settled(anna.shop, "gameball", sold, "delivered", number=2)
    world.providers.app.set_faults("sprii", [{"kind": "400"}])
    world.settled(anna.shop, "sprii", anna.sell(guest=True), "dead")
    world.set(anna.shop, "spotler", api_key="wrong-key-000-1111")
    world.settled(anna.shop, "spotler", anna.sell(), "held")
    return sold


def pages(anna: Merchant, sold: Sold) -> dict[str, str]:
    own = {
        "overview": "",
        "orders": "/orders",
        "order": f"/orders/{sold.key}",
        "deliveries": "/deliveries",
        "deliveries-dead": "/deliveries?state=dead&provider=sprii",
        "deliveries-none": "/deliveries?state=unknown",
        "delivery": "/deliveries/1",
        "providers": "/providers",
        "provider": "/providers/gameball",
        "provider-held": "/providers/spotler",
        "provider-new": "/providers/seeka",
        "ready": "/providers/esputnik/ready",
        "mapping": "/mappings/gameball",
        "mapping-empty": "/mappings/seeka",
        "mapping-text": "/mappings/gameball/text",
        "mapping-versions": "/mappings/gameball/versions",
        "connection": "/connection",
        "settings": "/settings",
        "changes": "/settings/changes",
        "missing": "/orders/no-such-order",
    }
    found = {name: f"/shops/{anna.shop}{path}" for name, path in own.items()}
    return found if isinstance(anna, Inside) else {**found, **BEFORE_A_STORE}


BEFORE_A_STORE = {
    "stores": "/",
    "connect": "/connect/woocommerce",
    "connect-by-hand": "/connect/woocommerce/manual",
    "sign-in": "/sign-in",
    "sign-in-link": "/sign-in/link",
}


def test_every_page_is_for_everybody_on_every_screen(busy: tuple[Merchant, dict[str, str]]) -> None:
    anna, addresses = busy
    driver = anna.driver
    for name, address in addresses.items():
        anna.go(address)
        assert driver.execute_async_script(SHIFTS) == [], name
        driver.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
        for size, scheme in product(SIZES, ("light",) if isinstance(anna, Inside) else ("light", "dark")):
            with screen(driver, size, scheme):
                anna.look_inside()
                if (size, scheme) in CLOSELY[type(anna)]:
                    assert problems(driver) == [], (name, size, scheme)
                wide, high, seen = driver.execute_script(MEASURES)
                assert wide <= seen, (name, size)
                if shooting():
                    set_size(driver, size, high + 120)
                shoot(driver, f"{type(anna).__name__.lower()}-{name}-{size}-{scheme}")
        log = [each for each in complaints(driver) if anna.world.url in each and " 404 " not in each]
        assert log == [], name


@pytest.mark.parametrize("busy", ["outside"], indirect=True)  # slowness is set for a window, not for what it frames
def test_a_page_that_comes_in_slowly_is_shown_in_one_piece(busy: tuple[Merchant, dict[str, str]]) -> None:
    """A table's columns change their widths with each row, so half a page would move while it is read."""
    anna, addresses = busy
    driver = anna.driver
    driver.execute_cdp_cmd("Network.enable", {})
    try:
        for name, address in addresses.items():
            driver.execute_cdp_cmd("Network.emulateNetworkConditions", SLOW)
            anna.go(address)
            assert driver.execute_async_script(SHIFTS) == [], name
    finally:
        driver.execute_cdp_cmd("Network.disable", {})


#: What a bad mobile line carries: bytes a second, milliseconds.
SLOW = {"offline": False, "latency": 40, "downloadThroughput": 40_000, "uploadThroughput": 40_000}
#: Where axe looks. The pages' own tests have it look everywhere outside.
CLOSELY: dict[type[Merchant], list[tuple[str, str]]] = {
    Inside: [("desktop", "light"), ("phone", "light")],
    Outside: [("phone", "dark")],
}
#: How far each thing moved after it was shown, without anybody's doing.
SHIFTS = """
const done = arguments[0], found = [];
new PerformanceObserver((list) => found.push(...list.getEntries().filter((each) => !each.hadRecentInput)
  .filter((each) => each.value > 0.001).map((each) => `${each.value}: ` + each.sources.map((source) =>
    `${source.node?.outerHTML?.slice(0, 80)} from ${source.previousRect.y} to ${source.currentRect.y}`).join("; ")
  ))).observe({ type: "layout-shift", buffered: true });
requestAnimationFrame(() => setTimeout(() => done(found), 30));
"""
MEASURES = """
const page = document.documentElement;
return [page.scrollWidth, page.scrollHeight, innerWidth];
"""


def test_in_the_admin_a_page_is_light_as_the_admin_is_and_outside_as_the_system_is(
    busy: tuple[Merchant, dict[str, str]],
) -> None:
    anna, addresses = busy
    anna.go(addresses["overview"])
    grounds = []
    for scheme in ("light", "dark"):
        with screen(anna.driver, "phone", scheme):
            anna.look_inside()
            asked = "return getComputedStyle(document.documentElement).backgroundColor"
            grounds.append(anna.driver.execute_script(asked))
    light, dark = "rgb(246, 245, 241)", "rgb(22, 25, 23)"
    assert grounds == ([light, light] if isinstance(anna, Inside) else [light, dark])


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("overview", "phone"),
        ("orders", "desktop"),
        ("order", "phone"),
        ("deliveries", "desktop"),
        ("deliveries", "phone"),
        ("provider-held", "desktop"),
        ("ready", "phone"),
        ("settings", "desktop"),
    ],
)
def test_the_tab_key_leads_to_everything_in_the_order_in_which_it_stands(
    busy: tuple[Merchant, dict[str, str]], name: str, size: str
) -> None:
    anna, addresses = busy
    driver = anna.driver
    with screen(driver, size, "light"):
        anna.go(addresses[name])
        driver.execute_script("window.focus()")
        wanted: int = driver.execute_script(NUMBER_THEM)
        if not isinstance(anna, Inside):
            first = step(anna)
            assert first["text"] == "Skip to the content"
            driver.switch_to.active_element.send_keys(Keys.ENTER)
            assert driver.execute_script("return document.activeElement.id") == "main"
            anna.go(addresses[name])
            driver.execute_script(NUMBER_THEM)
        met: list[int] = []
        while len(met) < wanted:
            found = step(anna)
            assert found["number"] is not None, (met, found)
            assert found["outline"] != "none", found
            assert found["seen"], found
            if not met or met[-1] != found["number"]:  # a date has a place for day, month and year
                met.append(found["number"])
        assert met == list(range(wanted))


def step(anna: Merchant) -> dict[str, Any]:
    """Press Tab; what has the focus then, and whether that can be seen."""
    anna.driver.switch_to.active_element.send_keys(Keys.TAB)
    found: dict[str, Any] = anna.driver.execute_script(FOCUSED)
    return found


#: Number all that the Tab key has to stop at; of some radio buttons only the chosen one.
NUMBER_THEM = """
const all = [...document.querySelectorAll(
  "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")];
const met = all.filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled
  && !(each.type === "radio" && !each.checked));
met.forEach((each, number) => { each.dataset.number = number; });
return met.length;
"""
FOCUSED = """
const found = document.activeElement, box = found.getBoundingClientRect();
return {
  number: found.dataset.number === undefined ? null : Number(found.dataset.number),
  text: found.textContent.trim(),
  outline: getComputedStyle(found).outlineStyle,
  seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
};
"""
