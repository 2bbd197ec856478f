"""The simulated Shopify's token endpoints, asked over real HTTP as the documentation says, and as it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import requests

from app.simulators.shopify_oauth import query_hmac
from app.simulators.shopify_platform import ShopifyPlatform

SHOP = "first.myshopify.com"
NEWEST, NEXT, STRANGER = ("shpss_" + letter * 32 for letter in "abc")
CALLBACK = "https://app.example/connect/shopify/callback"
DAY = 86400


@dataclass
class App:
    """A client that speaks as documented, and a clock to move."""

    session: requests.Session
    now: list[float] = field(default_factory=lambda: [time.time()])
    secret: str = NEWEST
    platform: ShopifyPlatform = field(init=False)

    def post(self, fields: dict[str, Any], shop: str = SHOP) -> tuple[int, Any]:
        answer = self.session.post(
            f"{self.platform.url}/admin/oauth/access_token",
            json={"client_id": "client", "client_secret": self.secret, **fields},
            headers={"Host": shop},
            timeout=60,
        )
        return answer.status_code, answer.json()

    def exchange(self, id_token: str | None = None, **changes: Any) -> tuple[int, Any]:
        fields = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": id_token or self.platform.id_token(SHOP),
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "requested_token_type": "urn:shopify:params:oauth:token-type:offline-access-token",
            "expiring": 1,
        }
        return self.post(fields | changes)

    def refresh(self, token: str) -> tuple[int, Any]:
        return self.post({"grant_type": "refresh_token", "refresh_token": token})

    def status(self, token: str, shop: str = SHOP) -> int:
        """Of an Admin API call."""
        return self.session.post(
            f"{self.platform.url}/admin/api/2026-10/graphql.json",
            json={"query": "{ shop { id } }"},
            headers={"Host": shop, "X-Shopify-Access-Token": token},
            timeout=60,
        ).status_code


@pytest.fixture
def app() -> Iterator[App]:
    with requests.Session() as session:
        app = App(session)
        platform = ShopifyPlatform(
            "client",
            NEWEST,
            app_url="https://app.example",
            clock=lambda: app.now[0],
            redirect_urls=[CALLBACK],
        )
        with platform:
            app.platform = platform
            platform.add_shop(SHOP, id=42)
            platform.add_shop("second")
            platform.install(SHOP)
            platform.install("second")
            yield app


def test_an_id_token_is_exchanged_for_an_expiring_token_that_opens_the_admin_api(app: App) -> None:
    status, answer = app.exchange()
    assert (status, sorted(answer), answer["scope"], answer["expires_in"], answer["refresh_token_expires_in"]) == (
        200,
        ["access_token", "expires_in", "refresh_token", "refresh_token_expires_in", "scope"],
        "read_orders",
        3600,
        7776000,
    )
    assert app.status(answer["access_token"]) == 200
    assert app.status(answer["access_token"], "second.myshopify.com") == 401
    assert app.platform.violations() == []


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"dest": "https://second.myshopify.com"}, id="another shop"),
        pytest.param({"iss": "https://second.myshopify.com/admin"}, id="another shop's admin"),
        pytest.param({"aud": "somebody-else"}, id="another app"),
        pytest.param({"age": 70}, id="older than a minute"),
        pytest.param({"age": -70}, id="not valid yet"),
        pytest.param({"age": 70, "exp": 9_999_999_999}, id="an old one with a longer life"),
        pytest.param({"exp": None}, id="without an end"),
        pytest.param({"secret": STRANGER}, id="signed by a stranger"),
    ],
)
def test_a_wrong_id_token_is_an_invalid_subject_token(app: App, claims: dict[str, Any]) -> None:
    status, answer = app.exchange(app.platform.id_token(SHOP, **claims))
    assert (status, answer["error"]) == (400, "invalid_subject_token")


def test_an_unsigned_id_token_is_an_invalid_subject_token(app: App) -> None:
    claims = jwt.decode(app.platform.id_token(SHOP), options={"verify_signature": False})
    status, answer = app.exchange(jwt.encode(claims, None, algorithm="none"))
    assert (status, answer["error"]) == (400, "invalid_subject_token")


def test_a_wrong_secret_and_an_uninstalled_shop_are_invalid_clients(app: App) -> None:
    wrong = app.exchange(client_secret="guess")
    token = app.platform.id_token(SHOP)
    app.platform.uninstall(SHOP)
    gone = app.exchange(token)
    assert [(status, answer["error"]) for status, answer in (wrong, gone)] == [(401, "invalid_client")] * 2


def test_without_expiring_the_token_never_expires_and_is_of_no_use(app: App) -> None:
    status, answer = app.exchange(expiring=None)
    assert (status, sorted(answer)) == (200, ["access_token", "scope"])
    assert app.status(answer["access_token"]) == 403
    assert app.platform.sentences() == ["a token that never expires was asked for"]


def test_a_token_that_never_expires_can_be_exchanged_once(app: App) -> None:
    old = app.platform.mint_token(SHOP, expiring=False)["access_token"]
    kind = "urn:shopify:params:oauth:token-type:offline-access-token"
    status, answer = app.exchange(old, subject_token_type=kind)
    assert (status, app.status(answer["access_token"]), app.status(old)) == (200, 200, 401)
    assert app.exchange(old, subject_token_type=kind)[1]["error"] == "invalid_subject_token"


def test_an_access_token_lives_for_an_hour(app: App) -> None:
    token = app.exchange()[1]["access_token"]
    app.now[0] += 3599
    assert app.status(token) == 200
    app.now[0] += 1
    assert app.status(token) == 401


def test_each_refresh_gives_a_new_refresh_token(app: App) -> None:
    first = app.exchange()[1]
    status, second = app.refresh(first["refresh_token"])
    assert status == 200
    assert len({first["refresh_token"], second["refresh_token"], first["access_token"], second["access_token"]}) == 4
    assert app.status(second["access_token"]) == 200


def test_a_replaced_refresh_token_works_until_its_replacement_is_used(app: App) -> None:
    first = app.exchange()[1]["refresh_token"]
    lost = app.refresh(first)[1]["refresh_token"]
    second = app.refresh(first)[1]["refresh_token"]
    assert app.refresh(second)[0] == 200
    assert [app.refresh(each)[1]["error"] for each in (first, lost)] == ["invalid_grant"] * 2


def test_a_replaced_refresh_token_works_for_thirty_days_from_its_first_use(app: App) -> None:
    token = app.exchange()[1]["refresh_token"]
    assert app.refresh(token)[0] == 200
    app.now[0] += 30 * DAY - 1
    assert app.refresh(token)[0] == 200
    app.now[0] += 1
    assert app.refresh(token)[1]["error"] == "invalid_grant"


def test_a_refresh_token_never_outlives_its_ninety_days(app: App) -> None:
    token = app.exchange()[1]["refresh_token"]
    app.now[0] += 80 * DAY
    assert app.refresh(token)[0] == 200
    app.now[0] += 10 * DAY
    assert app.refresh(token)[1]["error"] == "invalid_grant"


def test_uninstalling_ends_the_tokens_and_a_new_install_does_not_revive_them(app: App) -> None:
    answer = app.exchange()[1]
    app.platform.uninstall(SHOP)
    assert app.refresh(answer["refresh_token"])[1]["error"] == "invalid_client"
    app.platform.install(SHOP)
    assert app.status(answer["access_token"]) == 401
    assert app.refresh(answer["refresh_token"])[1]["error"] == "invalid_grant"
    assert app.status(app.exchange()[1]["access_token"]) == 200


def test_a_token_belongs_to_the_secret_that_minted_it(app: App) -> None:
    old = app.exchange()[1]
    app.platform.rotate_secret(NEXT)
    assert app.status(old["access_token"]) == 200
    app.secret = NEXT
    new = app.refresh(old["refresh_token"])[1]
    app.platform.revoke_old_secret()
    assert [app.status(each["access_token"]) for each in (old, new)] == [401, 200]
    assert app.refresh(old["refresh_token"])[1]["error"] == "invalid_grant"
    assert app.refresh(new["refresh_token"])[0] == 200
    app.secret = NEWEST
    assert app.exchange()[1]["error"] == "invalid_client"


def test_using_a_dead_token_a_third_time_is_a_violation(app: App) -> None:
    answer = app.exchange()[1]
    app.platform.reinstall(SHOP)
    for _ in range(2):
        app.status(answer["access_token"])
        app.refresh(answer["refresh_token"])
    assert app.platform.sentences() == []
    app.status(answer["access_token"])
    app.refresh(answer["refresh_token"])
    assert app.platform.sentences() == [
        "a dead access token was used again after it was refused twice",
        "a dead refresh token was used again after it was refused twice",
    ]


def test_secrets_in_a_query_are_a_violation(app: App) -> None:
    app.session.post(
        f"{app.platform.url}/admin/oauth/access_token?client_secret={NEWEST}", headers={"Host": SHOP}, timeout=5
    )
    assert app.platform.sentences() == ["secrets stand in the query of a token request"]


# The authorization code grant


def authorize(app: App, **changes: str) -> requests.Response:
    parameters = {"client_id": "client", "redirect_uri": CALLBACK, "state": "s" * 32, "scope": "read_orders"}
    return app.session.get(
        f"{app.platform.url}/admin/oauth/authorize",
        params=parameters | changes,
        headers={"Host": SHOP},
        timeout=60,
        allow_redirects=False,
    )


def test_the_grant_page_asks_and_its_button_leads_back_with_a_code_for_one_use(app: App) -> None:
    app.platform.uninstall(SHOP)
    page = authorize(app)
    assert (page.status_code, '<button id="install">Install</button>' in page.text) == (200, True)
    click = app.session.post(
        f"{app.platform.url}/admin/oauth/authorize",
        data={"client_id": "client", "redirect_uri": CALLBACK, "state": "s" * 32, "scope": "read_orders"},
        headers={"Host": SHOP},
        timeout=60,
        allow_redirects=False,
    )
    back = urlsplit(click.headers["Location"])
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    assert (click.status_code, f"{back.scheme}://{back.netloc}{back.path}", sorted(query)) == (
        302,
        CALLBACK,
        ["code", "hmac", "host", "shop", "state", "timestamp"],
    )
    assert (query["shop"], query["state"], query["hmac"]) == (SHOP, "s" * 32, query_hmac(query, NEWEST))
    status, answer = app.post({"code": query["code"], "expiring": 1})
    assert (status, app.status(answer["access_token"]), answer["expires_in"]) == (200, 200, 3600)
    assert app.post({"code": query["code"], "expiring": 1})[1]["error"] == "invalid_request"
    assert app.platform.violations() == []


def test_an_installed_app_is_led_back_at_once(app: App) -> None:
    assert authorize(app).headers["Location"].startswith(f"{CALLBACK}?code=")


def test_another_redirect_uri_is_refused_and_noted(app: App) -> None:
    answer = authorize(app, redirect_uri=f"{CALLBACK}/")
    assert (answer.status_code, "redirect_uri is not whitelisted" in answer.text) == (400, True)
    assert app.platform.sentences() == ["redirect_uri is not one of the app's"]


def test_a_short_state_is_noted(app: App) -> None:
    authorize(app, state="1")
    assert app.platform.sentences() == ["state is missing or easily guessed"]


# Ways in


def test_a_shop_is_known_by_its_host_or_by_the_path(app: App) -> None:
    token = app.exchange()[1]["access_token"]
    by_path = app.session.post(
        f"{app.platform.url}/shops/{SHOP}/admin/api/2026-10/graphql.json",
        json={"query": "{ shop { id } }"},
        headers={"X-Shopify-Access-Token": token},
        timeout=60,
    )
    assert by_path.json()["data"] == {"shop": {"id": "gid://shopify/Shop/42"}}
    with httpx.Client(transport=app.platform.transport()) as client:
        by_host = client.post(
            f"https://{SHOP}/admin/api/2026-10/graphql.json",
            json={"query": "{ shop { id } }"},
            headers={"X-Shopify-Access-Token": token},
        )
        assert by_host.json()["data"] == {"shop": {"id": "gid://shopify/Shop/42"}}
        with pytest.raises(httpx.ConnectError):
            client.get("https://elsewhere.example/")


@pytest.mark.parametrize("fault", ["503", "garbage", "drop_before", "drop_after"])
def test_a_fault_befalls_a_token_request_once(app: App, fault: str) -> None:
    token = app.exchange()[1]["refresh_token"]
    app.platform.set_faults([{"kind": fault, "path": "oauth", "times": 1}])
    minted = len(app.platform.state.refresh)
    try:
        answer = app.session.post(
            f"{app.platform.url}/admin/oauth/access_token",
            json={
                "client_id": "client",
                "client_secret": NEWEST,
                "grant_type": "refresh_token",
                "refresh_token": token,
            },
            headers={"Host": SHOP},
            timeout=60,
        )
        seen = "html" if answer.headers["Content-Type"] == "text/html" else "json"
    except requests.ConnectionError:
        seen = "cut"
    assert seen == ("cut" if fault.startswith("drop") else "html")
    assert len(app.platform.state.refresh) - minted == (1 if fault == "drop_after" else 0)
    assert app.refresh(token)[0] == 200


def test_an_answer_may_be_huge_or_come_drop_by_drop(app: App) -> None:
    app.platform.set_faults([{"kind": "huge", "times": 1}, {"kind": "slow_drip", "seconds": 0.0001, "times": 1}])
    lengths = []
    for _ in range(2):
        answer = app.session.post(
            f"{app.platform.url}/admin/oauth/access_token", json={}, headers={"Host": SHOP}, timeout=5
        )
        lengths.append(len(answer.content) > 100_000)
        assert answer.json()["error"] == "invalid_client"
    assert lengths == [True, False]


def test_tls_serves_the_same_platform() -> None:
    with ShopifyPlatform("client", NEWEST, app_url="https://app.example", tls=True) as platform:
        platform.add_shop(SHOP)
        port = urlsplit(platform.tls_url).port
        assert platform.host_rules() == dict.fromkeys(
            ("admin.shopify.com", "cdn.shopify.com", SHOP), f"127.0.0.1:{port}"
        )
        with httpx.Client(verify=False) as client:
            page = client.get(f"{platform.tls_url}/store/first/listing/tillwire", headers={"Host": "admin.shopify.com"})
        assert "Tillwire" in page.text
