"""What a merchant comes for, from first page to last: in Shopify's admin and outside, on each kind of screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from tests.browser import Browsers, eventually, press, shoot
from tests.databases import Databases
from tests.merchant import complaints, said
from tests.processes import until
from tests.world import Inside, Merchant, Outside, World, merchant

#: Each surface on each size, in each scheme, and each size in each scheme.
SCREENS = [
    ("inside", "desktop", "light"),
    ("inside", "phone", "dark"),
    ("outside", "desktop", "dark"),
    ("outside", "phone", "light"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[World]:
    with databases.lend() as url, World(tmp_path_factory.mktemp("world"), url) as world:
        yield world


@pytest.fixture(params=SCREENS, ids=["-".join(each) for each in SCREENS])
def anna(request: pytest.FixtureRequest, world: World, chromium: Browsers) -> Iterator[Merchant]:
    """A merchant whose store is not connected yet; nothing was received from anybody."""
    world.providers.app.reset()
    with merchant(world, chromium, *request.param) as anna:
        yield anna
        shoot(anna.driver, request.node.name)
        assert [each for each in complaints(anna.driver) if world.url in each] == []


def connect(anna: Merchant) -> None:
    """From nothing to the store's overview, by hand."""
    if isinstance(anna, Inside):
        anna.driver.get(anna.world.platform.listing_url(anna.domain))
        for _ in range(2):
            press(anna.driver, anna.driver.find_element(By.XPATH, "//button[.='Install']"))
        eventually(anna._is_another, seconds=20)
        anna.know()
        return
    assert isinstance(anna, Outside)
    anna.go("/sign-in")
    email = f"first-{anna.world.shops}@shop.example"
    anna.enter("email", email)
    anna.press("Send me a link")
    anna.driver.get(until(lambda: printed_link(anna.world, email)))
    anna.press("Sign in")
    anna.press("Connect a WooCommerce store")
    anna.enter("address", anna.store.url)
    anna.driver.find_element(By.CSS_SELECTOR, "main button").click()
    eventually(lambda: anna.driver.find_elements(By.CSS_SELECTOR, ".wc-auth-approve"), seconds=20)
    anna.driver.find_element(By.CSS_SELECTOR, ".wc-auth-approve").click()
    eventually(lambda: "/shops/" in anna.driver.current_url, seconds=20)
    anna.shop = int(anna.driver.current_url.rpartition("/")[2])


def printed_link(world: World, email: str) -> str:
    """What the mail would say: without a mail server the log says it."""
    texts = [line for line in world.server.complained if "/sign-in/link#" in line]
    return texts[-1][texts[-1].index(world.url) :].split('"')[0].split()[0] if texts else ""


def test_from_the_first_visit_to_the_first_order_delivered(world: World, anna: Merchant) -> None:
    connect(anna)
    assert said(anna.driver, "#setup") == ["Setting up"]
    anna.press("Switch on a tracking service")
    anna.press("Set up Sprii")
    anna.enter("api_key", "sprii-key-000-1111")
    anna.press("Save and test the connection")
    assert said(anna.driver, "[role=status]")[1].startswith("Accepted.")
    anna.press("Go live")
    anna.press("Go live with Sprii")
    assert said(anna.driver, "[role=status]") == ["Sprii is live. The next order shows here within seconds."]

    sold = anna.sell()
    world.settled(anna.shop, "sprii", sold, "delivered")
    assert [each["orders"][0]["id"] for each in world.taken("sprii")] == [sold.key]
    anna.turn_to("Overview")
    assert said(anna.driver, "#setup, #needs") == []
    anna.driver.find_element(By.XPATH, "//summary[.='Everything is set up']").click()
    steps = anna.driver.find_elements(By.CSS_SELECTOR, ".steps > li")
    assert ["done" in (each.get_attribute("class") or "") for each in steps] == [True] * 5
    assert said(anna.driver, ".numbers tbody td")[0].endswith("1")


def test_a_wrong_key_is_mended_and_what_was_held_arrives_once(world: World, anna: Merchant) -> None:
    anna.arrive()
    world.set(anna.shop, "gameball", api_key="wrong-key-000-1111")
    sold = [anna.sell() for _ in range(3)]
    for each in sold:
        world.settled(anna.shop, "gameball", each, "held")

    anna.go(f"/shops/{anna.shop}")
    (trouble,) = said(anna.driver, ".troubles li")
    assert "Gameball" in trouble
    assert "Nothing is lost" in trouble
    anna.press_on(anna.driver.find_element(By.CSS_SELECTOR, ".troubles a"))
    if not anna.driver.find_elements(By.ID, "api_key"):
        anna.press("Settings Gameball")
    anna.enter("api_key", "right-key-000-2222")
    anna.press("Save and test the connection")
    assert said(anna.driver, "[role=status]")[1].startswith("Accepted. Gameball took both keys.")

    for each in sold:
        world.settled(anna.shop, "gameball", each, "delivered")
    taken = [each["orderId"] for each in world.taken("gameball", "orderId")]
    assert Counter(taken) == Counter(each.key for each in sold)
    assert world.providers.app.violations() == []
    anna.turn_to("Overview")
    assert said(anna.driver, "#needs") == []


#: Puts the buyer's family name where the first name belongs.
WRONG = '[[rules]]\nname = "order"\n\n[rules.fields.firstName]\nfrom = "order.last_name"\n'


def test_a_wrong_mapping_is_found_tried_mended_and_sent_again(world: World, anna: Merchant) -> None:
    anna.arrive()
    world.set(anna.shop, "esputnik", order_route="orders")
    world.map(anna.shop, "esputnik", WRONG)
    sold = anna.sell()
    world.settled(anna.shop, "esputnik", sold, "delivered")
    before = world.taken("esputnik", "orders")[-1]["orders"][0]
    assert before["firstName"] == before["lastName"]

    anna.go(f"/shops/{anna.shop}/providers/esputnik")
    anna.press("See the mapping")
    row = anna.driver.find_element(By.XPATH, "//tr[.//button[@value='firstName']][contains(., 'yours')]")
    assert before["lastName"] in row.text
    button = row.find_element(By.TAG_NAME, "button")
    anna.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    anna.press_on(button)
    Select(anna.driver.find_element(By.ID, "path-0")).select_by_value("order.first_name")
    eventually(lambda: "With your change" in said(anna.driver, "#result")[0], seconds=10)
    anna.press("Keep this change")
    anna.press("See what changes")
    assert said(anna.driver, ".figures > div")[0].startswith("changed ")  # how many events: as the store tells it
    anna.press("Save")
    assert said(anna.driver, "[role=status]")[0].startswith("Saved.")

    anna.press("Send some of them again")
    line = anna.driver.find_elements(By.XPATH, "//tr[.//a[contains(., 'eSputnik')]][contains(., 'Delivered')]")[-1]
    line.find_element(By.CSS_SELECTOR, "input[type=checkbox]").click()
    anna.press("Send the marked ones again")
    anna.press("Send again")
    until(lambda: world.taken("esputnik", "orders")[-1]["orders"][0].get("firstName") != before["firstName"])
    after = world.taken("esputnik", "orders")[-1]["orders"][0]
    assert {**after, "firstName": None} == {**before, "firstName": None}
    assert after["externalOrderId"] == sold.key
    assert world.providers.app.violations() == []


def test_why_an_order_brought_no_points_is_one_search_away(world: World, anna: Merchant) -> None:
    anna.arrive()
    world.set(anna.shop, "gameball", send_guests="no")
    sold = anna.sell(guest=True)
    world.settled(anna.shop, "gameball", sold, "skipped")
    anna.go(f"/shops/{anna.shop}")
    anna.turn_to("Orders")
    anna.enter("q", sold.number)
    anna.press("Find")
    assert said(anna.driver, ".answers h3")[0] == "Gameball Skipped"
    assert said(anna.driver, ".answers p")[0] == (
        "Report a paid order: The buyer has no account in your store, and guests are not sent to this provider."
    )


def test_a_refund_is_followed_to_every_provider(world: World, anna: Merchant) -> None:
    anna.arrive()
    for provider in ("sprii", "gameball", "spotler"):
        world.set(anna.shop, provider)
    sold = anna.sell()
    world.settled(anna.shop, "gameball", sold, "delivered")
    given = anna.give_back(sold)
    world.settled(anna.shop, "gameball", sold, "delivered", number=2)
    anna.go(f"/shops/{anna.shop}/orders")
    anna.press(sold.number.lstrip("#"))
    figures = said(anna.driver, ".figures dd")[:3]
    assert figures == [money(each, sold.currency) for each in (sold.total, given, sold.total - given)]
    assert f"Money was given back: {money(given, sold.currency)}" in said(anna.driver, ".story h3")
    told = said(anna.driver, ".sent > li > p:first-child")
    back = f"takes back {money(given, sold.currency)}"
    for line in (
        f"Gameball: Take back points for money given back Delivered {back} The provider accepted it.",
        "Sprii: Nothing is sent Skipped The provider has no way to be told of this.",
        "Spotler Activate: Nothing is sent Skipped The provider has no way to be told of this.",
    ):
        assert line in told
    assert [Decimal(str(each["refundAmount"])) for each in world.taken("gameball", "refundAmount")] == [given]


def money(amount: Decimal, currency: str) -> str:
    return f"{currency} {amount:,.2f}" if currency != "EUR" else f"€{amount:,.2f}"
