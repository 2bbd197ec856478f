"""The simulated Shopify in a real browser, under its real addresses, framing an app that does what is documented."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from werkzeug import Request, Response

from app.simulators.server import Server
from app.simulators.shopify_oauth import query_hmac
from app.simulators.shopify_platform import ShopifyPlatform
from tests.browser import Browsers, console, eventually, shoot

SHOP = "first.myshopify.com"
SECRET = "shpss_" + "a" * 32
HEAD = """<!doctype html><html><head><meta charset="utf-8"><title>App</title>
<meta name="shopify-api-key" content="client">
<script src="https://cdn.shopify.com/shopifycloud/app-bridge.js"></script>
<script src="https://cdn.shopify.com/shopifycloud/polaris-1.js"></script></head><body>"""
PAGE = (
    HEAD
    + """
<s-app-nav><s-link href="/" rel="home">Home</s-link><s-link href="/second?a=b">Second</s-link></s-app-nav>
<s-page heading="Settings"><form data-save-bar id="form">
<s-text-field label="API key" name="key" value="old" error=""></s-text-field>
<s-select label="Mode" name="mode" value="live"><s-option value="off">Off</s-option>
<s-option value="live">Live</s-option></s-select>
<s-switch label="On" name="on" checked></s-switch></form></s-page>
<p id="path">%s</p>
<script>
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/save", { method: "POST", body: new URLSearchParams(new FormData(form)) });
  const old = new XMLHttpRequest();
  old.open("POST", "/save");
  await new Promise((resolve) => { old.onload = resolve; old.send("old=1"); });
  shopify.toast.show(answer.ok ? "Saved" : "Refused", { isError: !answer.ok });
});
</script>
"""
)


@dataclass
class App:
    """Takes an ID token in the query of a page and in the head of a fetch, as the documentation has it."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    refuse: int = 0  #: so many fetches are told to come again with another token
    tokens: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        self.seen.append((request.method, request.path))
        return self.answer(request)(environ, start_response)

    def answer(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": f"frame-ancestors https://{SHOP} https://admin.shopify.com"}
        if request.path == "/patch":
            return Response(HEAD, headers=headers, content_type="text/html")
        if request.path == "/favicon.ico":
            return Response(status=204)
        if request.path == "/save":
            self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
            if self.refuse:
                self.refuse -= 1
                return Response(status=401, headers={"X-Shopify-Retry-Invalid-Session-Request": "1"})
            self.forms.append(dict(request.form))
            return Response(json.dumps(dict(request.form)), content_type="application/json")
        if "id_token" not in request.args:
            wanted = f"{request.path}?{urlencode(request.args)}"
            query = urlencode({"shop": SHOP, "shopify-reload": wanted})
            return Response(status=302, headers={"Location": f"/patch?{query}"})
        return Response(PAGE % request.path, headers=headers, content_type="text/html")


@dataclass
class Stage:
    app: App
    platform: ShopifyPlatform


@pytest.fixture
def stage() -> Iterator[Stage]:
    app = App()
    with Server(app) as server, ShopifyPlatform("client", SECRET, app_url=server.url, tls=True) as platform:
        platform.add_shop(SHOP, id=42)
        yield Stage(app, platform)


def into_app(driver: WebDriver) -> None:
    driver.switch_to.default_content()
    driver.switch_to.frame("app-iframe")


def text(driver: WebDriver, selector: str) -> str:
    driver.switch_to.default_content()
    return " ".join(each.text for each in driver.find_elements(By.CSS_SELECTOR, selector))


def path(driver: WebDriver) -> str | None:
    driver.switch_to.default_content()
    return driver.find_element(By.TAG_NAME, "body").get_attribute("data-path")


def saved(driver: WebDriver) -> None:
    into_app(driver)
    key = driver.find_element(By.CSS_SELECTOR, "s-text-field input")
    key.clear()
    key.send_keys("new")
    driver.switch_to.default_content()
    eventually(lambda: driver.find_element(By.ID, "save").is_displayed())
    driver.find_element(By.ID, "save").click()
    eventually(lambda: text(driver, ".toast") == "Saved")


def test_two_clicks_lead_from_the_listing_into_the_app(chromium: Browsers, stage: Stage) -> None:
    with chromium(host_rules=stage.platform.host_rules(), certificates=False) as driver:
        driver.get(stage.platform.listing_url(SHOP))
        driver.find_element(By.ID, "listing-install").click()
        eventually(lambda: driver.find_elements(By.ID, "install"))
        driver.find_element(By.ID, "install").click()
        eventually(lambda: path(driver) == "/")
        assert driver.current_url == stage.platform.admin_url(SHOP)
        assert text(driver, "nav button") == "Home Second"
        into_app(driver)
        assert driver.find_element(By.TAG_NAME, "h1").text == "Settings"
        assert stage.platform.shop(SHOP).installed

        # A page that is reached by a link comes without a token, and has it fetched.
        driver.switch_to.default_content()
        driver.find_elements(By.CSS_SELECTOR, "nav button")[1].click()
        eventually(lambda: path(driver) == "/second")
        assert stage.app.seen[-3:] == [("GET", "/second"), ("GET", "/patch"), ("GET", "/second")]

        # What is saved goes with a token of its own, and once more with another where the first is refused.
        stage.app.refuse = 1
        saved(driver)
        shoot(driver, "shopify-admin")
        claims = [jwt.decode(each, SECRET, algorithms=["HS256"], audience="client") for each in stage.app.tokens]
        assert [each["dest"] for each in claims] == [f"https://{SHOP}"] * 3
        assert len({each["jti"] for each in claims}) == 3
        assert stage.app.forms[0] == {"key": "new", "mode": "live", "on": "on"}
        assert not driver.find_element(By.ID, "save-bar").is_displayed()
        assert [line for line in console(driver) if "401" not in line] == []


def test_the_frame_is_loaded_with_a_signed_query(stage: Stage) -> None:
    stage.platform.install(SHOP)
    query = {name: one for name, [one] in parse_qs(urlsplit(stage.platform.app_address(SHOP, "/x?a=1")).query).items()}
    assert sorted(query) == ["a", "embedded", "hmac", "host", "id_token", "locale", "shop", "timestamp"]
    assert query["hmac"] == query_hmac(query, SECRET)
    claims = jwt.decode(query["id_token"], SECRET, algorithms=["HS256"], audience="client")
    assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == (f"https://{SHOP}/admin", "87000000001", 60)


def test_without_the_app_the_admin_leads_to_the_listing_and_hands_out_no_token(stage: Stage) -> None:
    url = f"{stage.platform.url}/store/first/apps/tillwire"
    opened = requests.get(url, timeout=60, allow_redirects=False)
    assert (opened.status_code, opened.headers["Location"]) == (302, "/store/first/listing/tillwire")
    assert requests.get(f"{url}/id_token", timeout=60).status_code == 403


def test_names_are_written_as_text(stage: Stage) -> None:
    stage.platform.add_shop("odd", name="<b>Odd</b>")
    stage.platform.install("odd")
    page = requests.get(f"{stage.platform.url}/store/odd/apps/tillwire/<i>", timeout=60).text
    assert ("<b>" in page, "<i>" in page) == (False, False)


@pytest.mark.parametrize("script", ["app-bridge.js", "polaris-1.js", "polaris.js"])
def test_scripts_come_from_the_cdn(stage: Stage, script: str) -> None:
    answer = requests.get(
        f"{stage.platform.url}/shopifycloud/{script}", headers={"Host": "cdn.shopify.com"}, timeout=60
    )
    assert answer.headers["Content-Type"] == "application/javascript; charset=utf-8"
