"""A simulated WooCommerce store's pages: what a caller finds at its door, and how a merchant gives an app a key."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from selenium.webdriver.common.by import By

from app.simulators.woocommerce_platform import WooCommercePlatform
from tests.browser import Browsers, shoot
from tests.simulators.woocommerce_receiver import Receiver

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z
TILLWIRE = {"User-Agent": "Tillwire/0.1.0"}
STATE = "an-unguessable-value-of-ours"


@pytest.fixture
def store() -> Iterator[WooCommercePlatform]:
    with WooCommercePlatform(clock=lambda: NOW, insecure_ok=True) as store:
        yield store


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def get(url: str, **more: Any) -> requests.Response:
    more.setdefault("headers", TILLWIRE)
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=10, allow_redirects=False, **more)


def authorize_url(store: WooCommercePlatform, callback: str, **changed: str) -> str:
    asked = {
        "app_name": "Tillwire",
        "scope": "read_write",
        "user_id": STATE,
        "return_url": "http://tillwire.test/back?lang=da",
        "callback_url": callback,
    } | changed
    return f"{store.url}/wc-auth/v1/authorize?{urlencode(asked)}"


# Discovery


def test_the_home_page_says_where_the_rest_api_is(store: WooCommercePlatform) -> None:
    answer = get(f"{store.url}/")
    assert answer.status_code == 200
    assert answer.headers["Link"] == f'<{store.url}/wp-json/>; rel="https://api.w.org/"'


def test_without_pretty_permalinks_the_rest_api_is_a_query_and_its_path_is_missing(store: WooCommercePlatform) -> None:
    store.permalinks = False
    link = get(f"{store.url}/").headers["Link"]
    assert link == f'<{store.url}/index.php?rest_route=/>; rel="https://api.w.org/"'
    assert get(f"{store.url}/?rest_route=/").json()["home"] == store.url
    assert get(f"{store.url}/wp-json/").status_code == 404
    assert get(f"{store.url}/wc-auth/v1/authorize").status_code == 404


def test_a_store_in_a_folder_has_everything_below_it() -> None:
    with WooCommercePlatform(base_path="/shop") as store:
        assert get(f"{store.url}/").headers["Link"] == f'<{store.url}/wp-json/>; rel="https://api.w.org/"'
        assert get(f"{store.url}/wp-json/").json()["url"] == store.url
        assert get(store.url.removesuffix("/shop") + "/wp-json/").status_code == 404


@pytest.mark.parametrize(
    ("there", "wc"), [(True, ["wc/v1", "wc/v2", "wc/v3", "wc/store/v1", "wc-analytics"]), (False, [])]
)
def test_the_index_lists_woocommerce_only_where_it_is_there(
    store: WooCommercePlatform, there: bool, wc: list[str]
) -> None:
    store.woocommerce = there
    namespaces = get(f"{store.url}/wp-json/").json()["namespaces"]
    assert namespaces == ["oembed/1.0", *wc, "wp/v2", "wp-site-health/v1", "wp-block-editor/v1"]


def test_without_woocommerce_its_routes_are_unknown(store: WooCommercePlatform) -> None:
    store.woocommerce = False
    answer = get(f"{store.url}/wp-json/wc/v3/orders")
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "rest_no_route",
        "message": "No route was found matching the URL and request method.",
        "data": {"status": 404},
    }


def test_a_theme_may_hide_where_the_rest_api_is(store: WooCommercePlatform) -> None:
    store.link_header = False
    assert "Link" not in get(f"{store.url}/").headers


# What stands in the way


@pytest.mark.parametrize("status", [200, 403])
def test_a_firewall_answers_html_to_everything_but_browsers(store: WooCommercePlatform, status: int) -> None:
    store.firewall = status
    answer = get(f"{store.url}/wp-json/wc/v3/orders")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=UTF-8")
    assert "Checking your browser" in answer.text
    assert "Checking" not in get(f"{store.url}/", headers={"User-Agent": "Mozilla/5.0"}).text


def test_maintenance_answers_503_for_everyone(store: WooCommercePlatform) -> None:
    store.maintenance = True
    answer = get(f"{store.url}/wp-json/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "600")
    store.maintenance = False
    assert get(f"{store.url}/wp-json/").status_code == 200


def test_a_security_plugin_may_close_the_rest_api(store: WooCommercePlatform) -> None:
    store.rest_blocked = True
    assert get(f"{store.url}/wp-json/").json()["code"] == "rest_not_logged_in"


def test_a_bare_name_is_redirected_to_www_and_following_it_with_keys_is_noticed() -> None:
    with WooCommercePlatform(canonical_host="localhost") as store:
        bare = store.url.replace("localhost", "127.0.0.1")
        answer = get(f"{bare}/wp-json/wc/v3/webhooks?status=all")
        assert answer.status_code == 301
        assert answer.headers["Location"] == f"{store.url}/wp-json/wc/v3/webhooks?status=all&redirected=1"
        assert store.sentences() == []
        requests.post(f"{bare}/wp-json/wc/v3/webhooks", json={}, headers=TILLWIRE, timeout=60)
        assert store.sentences() == ["followed a redirect with its keys: a POST becomes a GET on the way"]
        assert [call["method"] for call in store.calls()] == ["GET", "POST", "GET"]


def test_https_has_a_certificate_that_only_its_own_file_vouches_for() -> None:
    with WooCommercePlatform(tls=True, names=("shop.example",)) as store:
        with pytest.raises(requests.exceptions.SSLError):
            get(store.url)
        assert get(f"{store.url}/wp-json/", verify=store.ca_file).json()["home"] == store.url
        with store.known_as("shop.example"):
            assert get("https://shop.example/", verify=store.ca_file).status_code == 200
        with pytest.raises(requests.ConnectionError):
            get("https://shop.example/", verify=store.ca_file)


def test_a_store_may_have_a_name_of_its_own() -> None:
    with WooCommercePlatform(name="shop.example", base_path="/shop") as store:
        assert store.url == f"http://shop.example:{store.port}/shop"
        with store.known_as("shop.example"):
            assert get(f"{store.url}/wp-json/").json()["home"] == store.url


def test_plain_http_is_redirected_to_https_and_keys_sent_over_it_are_noticed() -> None:
    with WooCommercePlatform(tls=True) as store:
        answer = get(f"{store.insecure_url}/wp-json/wc/v3/orders?page=1", auth=("ck_1", "cs_1"))
        assert answer.status_code == 301
        assert answer.headers["Location"] == f"{store.url}/wp-json/wc/v3/orders?page=1&redirected=1"
        assert store.sentences() == ["keys sent over plain http: anyone on the way can read them"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"kinds": ["503"], "retry_after": 7}, 503), ({"kinds": ["429"]}, 429), ({"kind": "garbage"}, 200)],
)
def test_faults_befall_the_calls_that_they_are_meant_for(
    store: WooCommercePlatform, fault: dict[str, Any], status: int
) -> None:
    store.set_faults([{**fault, "times": 1, "path": "/wp-json/"}])
    answers = [get(f"{store.url}/wp-json/"), get(f"{store.url}/wp-json/")]
    assert [answer.status_code for answer in answers] == [status, 200]
    assert answers[0].headers.get("Retry-After") == ("7" if status == 503 else None)
    assert answers[0].headers["Content-Type"].startswith("text/html")


def test_connections_are_cut_and_answers_grow_without_end(store: WooCommercePlatform) -> None:
    store.set_faults([{"kind": "drop_before", "times": 1}, {"kind": "huge", "times": 1}])
    with pytest.raises(requests.ConnectionError):
        get(f"{store.url}/wp-json/")
    assert int(get(f"{store.url}/wp-json/", stream=True).headers["Content-Length"]) == 32 * 1024 * 1024 + 2


def test_answers_come_late_and_byte_by_byte(store: WooCommercePlatform) -> None:
    store.set_faults(
        [{"kind": "delay", "seconds": 0.2, "times": 1}, {"kind": "slow_drip", "seconds": 0.001, "times": 1}]
    )
    for least in (0.2, 0.3):
        begun = time.monotonic()
        assert get(f"{store.url}/wp-json/").json()["home"] == store.url
        assert time.monotonic() - begun > least


# wc-auth


@pytest.mark.parametrize("name", ["app_name", "scope", "user_id", "return_url", "callback_url"])
@pytest.mark.parametrize("value", ["", "0"])
def test_a_missing_parameter_stops_wc_auth(store: WooCommercePlatform, name: str, value: str) -> None:
    answer = get(authorize_url(store, "http://tillwire.test/callback", **{name: value}))
    assert answer.status_code == 401
    assert f"Error: Missing parameter {name}." in answer.text


def test_the_callback_must_be_https_except_in_tests(store: WooCommercePlatform) -> None:
    store.insecure_ok = False
    answer = get(authorize_url(store, "http://tillwire.test/callback"))
    assert answer.status_code == 401
    assert "Error: The callback_url needs to be over SSL." in answer.text
    assert get(authorize_url(store, "tillwire.test/callback")).status_code == 302  # https is put in front


def test_an_unknown_scope_stops_wc_auth(store: WooCommercePlatform) -> None:
    answer = get(authorize_url(store, "http://tillwire.test/callback", scope="all"))
    assert (answer.status_code, "Error: Invalid scope all." in answer.text) == (401, True)


def test_who_is_not_logged_in_logs_in_first(store: WooCommercePlatform) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        login = browser.get(authorize_url(store, "http://tillwire.test/callback"), timeout=10)
        assert urlsplit(login.url).path == "/wc-auth/v1/login/"
        wrong = browser.post(login.url, {"username": "admin", "password": "no", "login": "Login"}, timeout=10)
        assert "Unknown username or password." in wrong.text
        right = browser.post(login.url, {"username": "admin", "password": "password", "login": "Login"}, timeout=10)
        assert urlsplit(right.url).path == "/wc-auth/v1/authorize/"
        assert "Tillwire would like to connect to your store" in right.text
        assert "Logged in as admin" in right.text


def test_who_may_not_manage_the_shop_cannot_connect_it(store: WooCommercePlatform) -> None:
    answer = store.approve(authorize_url(store, "http://tillwire.test/callback"), "shopper")
    assert answer.status_code == 401
    assert "Error: You do not have permission to access this page." in answer.text


def test_approving_brings_the_key_to_the_callback_before_the_browser_returns(
    store: WooCommercePlatform, receiver: Receiver
) -> None:
    answer = store.approve(authorize_url(store, f"{receiver.url}/callback?shop=1"))
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"http://tillwire.test/back?lang=da&success=1&user_id={STATE}"
    (got,), (key,) = receiver.got, store.api_keys()
    assert (got.method, got.path) == ("POST", "/callback?shop=1")
    assert got.headers == {
        "host": urlsplit(receiver.url).netloc,
        "user-agent": f"WordPress/6.9; {store.url}",
        "accept": "*/*",
        "accept-encoding": "deflate, gzip, br, zstd",
        "connection": "close",
        "content-type": "application/json;charset=UTF-8",
        "content-length": str(len(got.body)),
    }
    assert json.loads(got.body) == {
        "key_id": key.id,
        "user_id": STATE,
        "consumer_key": key.consumer_key,
        "consumer_secret": key.consumer_secret,
        "key_permissions": "read_write",
    }
    assert re.fullmatch("ck_[0-9a-f]{40}", key.consumer_key)
    assert re.fullmatch("cs_[0-9a-f]{40}", key.consumer_secret)
    assert (key.login, key.description) == ("admin", "Tillwire - API (2027-01-15 08:00:00)")
    assert store.sentences() == []


@pytest.mark.parametrize("status", [201, 204, 302, 404, 500])
def test_any_answer_but_200_deletes_the_key_again(store: WooCommercePlatform, receiver: Receiver, status: int) -> None:
    receiver.answer = lambda got: status if got.path == "/callback" else 404
    answer = store.approve(authorize_url(store, f"{receiver.url}/callback"))
    assert answer.status_code == 401
    sentence = "An error occurred in the request and at the time were unable to send the consumer data."
    assert f"Error: {sentence}" in answer.text
    assert store.api_keys() == []


def test_an_unreachable_callback_deletes_the_key_too(store: WooCommercePlatform) -> None:
    answer = store.approve(authorize_url(store, "http://127.0.0.1:9/callback"))
    assert (answer.status_code, store.api_keys()) == (401, [])


@pytest.mark.parametrize(
    "callback", ["https://127.0.0.1/callback", "https://user@192.0.2.1/cb", "https://8.8.8.8:8443/cb"]
)
def test_wordpress_calls_no_private_address_and_no_odd_port(store: WooCommercePlatform, callback: str) -> None:
    store.safe_client = True
    answer = store.approve(authorize_url(store, callback))
    assert answer.status_code == 401
    assert "Error: A valid URL was not provided." in answer.text


@pytest.mark.parametrize("tls", [False, True])
def test_a_merchant_logs_in_and_approves_in_a_real_browser(chromium: Browsers, receiver: Receiver, tls: bool) -> None:
    with (
        WooCommercePlatform(name="shop.example", tls=tls, insecure_ok=True) as store,
        chromium(certificates=not tls) as driver,
    ):
        back = f"{receiver.url}/back"
        driver.get(authorize_url(store, f"{receiver.url}/callback", return_url=back))
        driver.find_element(By.ID, "username").send_keys("manager")
        driver.find_element(By.ID, "password").send_keys("password")
        driver.find_element(By.CSS_SELECTOR, ".wc-auth-login-button").click()
        shoot(driver, "made-up-store-wc-auth")
        assert driver.find_element(By.CSS_SELECTOR, ".wc-auth-logged-in-as").text == "Logged in as manager"
        driver.find_element(By.CSS_SELECTOR, ".wc-auth-approve").click()
        assert driver.current_url == f"{back}?success=1&user_id={STATE}"
        assert [got.path for got in receiver.got][:2] == ["/callback", f"/back?success=1&user_id={STATE}"]
        assert [key.login for key in store.api_keys()] == ["manager"]


def test_denying_goes_back_without_a_key(store: WooCommercePlatform, receiver: Receiver) -> None:
    back = store.deny(authorize_url(store, f"{receiver.url}/callback"))
    assert back == f"http://tillwire.test/back?lang=da&success=0&user_id={STATE}"
    assert (receiver.got, store.api_keys()) == ([], [])


def test_approve_needs_the_nonce_of_the_page(store: WooCommercePlatform, receiver: Receiver) -> None:
    url = authorize_url(store, f"{receiver.url}/callback").replace("/authorize?", "/access_granted?")
    answer = get(f"{url}&wc_auth_nonce=guessed", cookies=store.cookie())
    assert (answer.status_code, receiver.got) == (401, [])
    assert "Error: Invalid nonce verification." in answer.text


def test_without_permalinks_wc_auth_works_by_query_variables(store: WooCommercePlatform, receiver: Receiver) -> None:
    store.permalinks = False
    query = urlsplit(authorize_url(store, f"{receiver.url}/callback")).query
    answer = store.approve(f"{store.url}/?wc-auth-version=1&wc-auth-route=authorize&{query}")
    assert (answer.status_code, len(receiver.got)) == (302, 1)


def test_the_callback_may_come_twice(store: WooCommercePlatform, receiver: Receiver) -> None:
    store.callbacks = 2
    assert store.approve(authorize_url(store, f"{receiver.url}/callback")).status_code == 302
    first, second = receiver.got
    assert first == second


def test_the_callback_may_come_after_the_return(store: WooCommercePlatform, receiver: Receiver) -> None:
    store.callback_late = True
    assert store.approve(authorize_url(store, f"{receiver.url}/callback")).status_code == 302
    assert receiver.got == []
    assert store.send_callbacks() == [200]
    assert json.loads(receiver.got[0].body)["user_id"] == STATE
    assert store.send_callbacks() == []


def test_a_store_may_grant_less_than_was_asked_for(store: WooCommercePlatform, receiver: Receiver) -> None:
    store.grants = "read"
    store.approve(authorize_url(store, f"{receiver.url}/callback"))
    assert json.loads(receiver.got[0].body)["key_permissions"] == "read"
    assert [key.permissions for key in store.api_keys()] == ["read"]


def test_anybody_can_send_something_to_a_callback(store: WooCommercePlatform, receiver: Receiver) -> None:
    assert store.forge_callback(f"{receiver.url}/callback", STATE) == 200
    sent = json.loads(receiver.got[0].body)
    assert (sent["user_id"], sent["consumer_key"]) == (STATE, "ck_" + "0" * 40)
    assert store.api_keys() == []


def test_a_user_id_that_can_be_guessed_is_noticed(store: WooCommercePlatform) -> None:
    get(authorize_url(store, "http://tillwire.test/callback", user_id="42"))
    assert store.sentences() == ["user_id can be guessed: fewer than 20 characters"]


# wp-admin


def test_keys_made_by_hand_are_shown_once(store: WooCommercePlatform) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        login = browser.get(store.keys_url, timeout=10)
        target = dict(parse_qsl(urlsplit(login.url).query))["redirect_to"]
        assert (urlsplit(login.url).path, target) == ("/wp-login.php", store.keys_url)
        listed = browser.post(login.url, {"log": "manager", "pwd": "password", "redirect_to": target}, timeout=10)
        assert "Add key" in listed.text
        form = browser.get(f"{store.keys_url}&create-key=1", timeout=10).text
        (nonce,) = re.findall('name="_wpnonce" value="([^"]+)"', form)
        chosen = {"key_description": "T", "key_user": "admin", "key_permissions": "read_write", "_wpnonce": nonce}
        shown = browser.post(store.keys_url, chosen, timeout=10).text
        (key,) = store.api_keys()
        assert (key.login, key.description, key.permissions) == ("admin", "T", "read_write")
        assert re.findall('readonly value="([^"]+)"', shown) == [key.consumer_key, key.consumer_secret]
        listed = browser.get(store.keys_url, timeout=10)
        assert (key.consumer_key in listed.text, key.consumer_key[-7:] in listed.text) == (False, True)
        revoke = re.findall('href="([^"]+)">Revoke', listed.text)[0].replace("&amp;", "&")
        browser.get(revoke, timeout=10)
        assert store.api_keys() == []


def test_wp_admin_is_not_for_shoppers(store: WooCommercePlatform) -> None:
    assert get(store.keys_url, cookies=store.cookie("shopper")).status_code == 403


def test_somebody_may_be_logged_in_already(store: WooCommercePlatform) -> None:
    store.signed_in = "manager"
    assert "Add key" in get(store.keys_url).text


# The plugin


def test_the_plugins_button_opens_a_link_that_was_signed_for_its_person() -> None:
    import jwt

    with WooCommercePlatform(clock=lambda: NOW, plugin=True, behind_tls=True) as store:
        assert (
            "Connect this store in Tillwire first."
            in get(f"{store.url}/wp-admin/admin.php?page=tillwire", cookies=store.cookie()).text
        )
        key = store.make_key()
        given = {"kid": "k1", "secret": "s" * 64, "aud": "https://tillwire.test"}
        answer = requests.post(
            f"{store.url}/wp-json/wc-tillwire/v1/link-key",
            json=given,
            headers=TILLWIRE,
            auth=(key.consumer_key, key.consumer_secret),
            timeout=60,
        )
        assert (answer.status_code, answer.json()) == (200, {"kid": "k1"})
        with requests.Session() as browser:
            browser.trust_env = False
            pressed = browser.post(
                f"{store.url}/wp-admin/admin.php?page=tillwire",
                cookies=store.cookie("manager"),
                allow_redirects=False,
                timeout=60,
            )
        address, _, query = pressed.headers["Location"].partition("?")
        assert address == "https://tillwire.test/sign-in/wordpress"
        (token,) = parse_qs(query)["token"]
        assert jwt.get_unverified_header(token) == {"alg": "HS256", "kid": "k1", "typ": "JWT"}
        claims = jwt.decode(
            token, "s" * 64, ["HS256"], audience=given["aud"], options={"verify_iat": False, "verify_exp": False}
        )
        assert len(claims.pop("jti")) == 22
        assert claims == {"iss": store.url, "aud": given["aud"], "sub": "2", "iat": NOW, "exp": NOW + 60}
        late = parse_qs(urlsplit(store.plugin_link(3, exp=NOW + 900, jti=None)).query)["token"][0]
        claims = jwt.decode(late, options={"verify_signature": False})
        assert claims == {"iss": store.url, "aud": given["aud"], "sub": "3", "iat": NOW, "exp": NOW + 900}
        assert store.sentences() == []
