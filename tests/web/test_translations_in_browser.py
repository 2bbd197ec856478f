"""Long words on a small screen: pages in the languages that are here, at the width of a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from app.web import texts
from tests.bodies import woocommerce_order
from tests.merchant import hold_nothing_back, signed_in, site
from tests.rig import Rig


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop)
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(1044, customer_id=7)) == "stored"
    rig.work()
    return shop


@pytest.fixture
def url(rig: Rig) -> Iterator[str]:
    with site(rig) as (url, _):
        yield url


@pytest.mark.parametrize("language", [each for each in texts.LANGUAGES if each != "en"])
def test_no_word_is_too_long_for_a_phone(rig: Rig, shop: int, url: str, browser: WebDriver, language: str) -> None:
    anna, at = signed_in(browser, rig, url, shop), f"{url}/shops/{shop}"
    places = {
        "overview": at,
        "orders": f"{at}/orders",
        "order": f"{at}/orders/1044",
        "deliveries": f"{at}/deliveries",
        "providers": f"{at}/providers",
        "provider": f"{at}/providers/esputnik",
        "mapping": f"{at}/mappings/gameball",
        "connection": f"{at}/connection",
        "settings": f"{at}/settings",
    }
    pages = {f"{language}-{name}": f"{address}?locale={language}" for name, address in places.items()}
    hold_nothing_back(anna, pages, "phone", "light")
