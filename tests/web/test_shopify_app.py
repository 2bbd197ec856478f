"""Inside Shopify's admin: let in by an ID token alone, framed by one shop alone, without any cookie."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import jwt
import pytest
from flask import Blueprint, Flask, Response, g
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from sqlalchemy import func, inspect, select, text

from app import factory
from app.config import read_config
from app.db import Database
from app.metrics import REGISTRY
from app.models import Connection, ConnectionState
from app.services.errands import Errands
from app.services.shopify_troubles import FORBIDDEN, WRONG_CLIENT
from app.services.shopify_walk import FORGED
from app.web import access, errors, frame, limits, shopify_app, texts
from app.web.access import Access
from tests.databases import settings
from tests.processes import until
from tests.shopify_store import CLIENT_ID, DOMAIN, PUBLIC, SECRET, Store

RETRY = "X-Shopify-Retry-Invalid-Session-Request"
SECOND = "second.myshopify.com"


class Site:
    """The web half with one page that needs somebody, at a simulated Shopify."""

    def __init__(self, store: Store, var: Path, *, patience: float = 20.0, **environment: str) -> None:
        self.store = store
        config = read_config({"PUBLIC_URL": PUBLIC, **environment}, var=var)
        self.app = Flask("app.web")
        self.app.config.update(SECRET_KEY="k" * 32, RATELIMIT_ENABLED=False)
        self.app.extensions.update(config=config, db=store.db, errands=Errands(patience))
        access.init(self.app, config)
        limits.init(self.app)
        errors.init(self.app)
        texts.init(self.app)
        frame.init(self.app)
        shopify_app.init(self.app, store.shopify, store.installer, store.walk)
        self.app.register_blueprint(_pages())
        self.app.add_url_rule("/", "home.index", lambda: "")  # pages of errors link to it
        self.client: FlaskClient = self.app.test_client()

    def load(self, path: str = "/page", **how: Any) -> Any:
        """As Shopify's admin loads a page into its frame."""
        address = self.store.platform.app_address(DOMAIN, path, **how)
        return self.client.get(address.removeprefix(PUBLIC), headers={"Sec-Fetch-Dest": "iframe"})

    def fetch(self, token: str, method: str = "POST", scheme: str = "Bearer") -> Any:
        return self.client.open("/page", method=method, headers={"Authorization": f"{scheme} {token}"})


def _pages() -> Blueprint:
    pages = Blueprint("pages", __name__)

    @pages.before_request
    def prove() -> ResponseReturnValue | None:
        found = shopify_app.embedded_access()
        if isinstance(found, Access):
            g.access = found
            return None
        return found or ("not embedded", 403)

    @pages.after_request
    def dress(response: Response) -> Response:
        return shopify_app.dress_embedded(response) if "access" in g else response

    @pages.route("/page", methods=["GET", "POST"])
    def page() -> dict[str, Any]:
        return {"actor": g.access.actor, "shop": g.access.shop_id, "embedded": g.access.embedded}

    return pages


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    db = Database(database_url)
    with Store(db) as store:
        store.platform.add_shop(SECOND)
        yield Site(store, tmp_path / "var")
    db.close()


def token(**claims: Any) -> str:
    now = int(time.time())
    made = {
        "iss": f"https://{DOMAIN}/admin",
        "dest": f"https://{DOMAIN}",
        "aud": CLIENT_ID,
        "sub": "1",
        "exp": now + 60,
        "nbf": now,
        "iat": now,
    } | claims
    return jwt.encode({name: value for name, value in made.items() if value is not None}, SECRET, algorithm="HS256")


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("tillwire_connects_total", {"platform": "shopify", "result": result}) or 0.0


def nothing_stored(site: Site) -> bool:
    with site.store.db.read() as session:
        return session.scalar(select(func.count()).select_from(Connection)) == 0


# page loads


def test_the_first_page_load_installs_and_shows_the_page(site: Site) -> None:
    site.store.platform.install(DOMAIN)
    answer = site.load()
    assert answer.status_code == 200
    assert answer.json == {"actor": "shopify:87000000001", "shop": site.store.shop().id, "embedded": True}
    assert site.store.connection().state == ConnectionState.CONNECTED
    assert site.store.platform.sentences() == []


def test_a_page_is_framed_by_its_shop_alone_and_sets_no_cookie(site: Site) -> None:
    site.store.platform.install(DOMAIN)
    answer = site.load()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == f"https://{DOMAIN} https://admin.shopify.com"
    assert policy["script-src"] == "'self' https://cdn.shopify.com"
    assert policy["default-src"] == "'none'"
    assert answer.headers["Link"] == (
        '<https://cdn.shopify.com>; rel="preconnect",'
        ' <https://cdn.shopify.com/shopifycloud/app-bridge.js>; rel="preload"; as="script",'
        ' <https://cdn.shopify.com/shopifycloud/polaris-1.js>; rel="preload"; as="script"'
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert "X-Frame-Options" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_a_connected_shop_loads_without_a_call(site: Site) -> None:
    site.store.installed()
    calls = len(site.store.platform.requests())
    assert site.load().status_code == 200
    assert len(site.store.platform.requests()) == calls


def test_the_shop_is_the_tokens_whatever_the_query_says(site: Site) -> None:
    site.store.installed()
    answer = site.client.get(f"/page?shop={SECOND}&embedded=1&id_token={token()}")
    assert answer.json["shop"] == site.store.shop().id
    assert f"https://{DOMAIN} " in answer.headers["Content-Security-Policy"]
    assert SECOND not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/page?shop={DOMAIN}&host=aG9zdA&embedded=1&tab=a%20b", {}),
        (f"/page?shop={DOMAIN}&host=aG9zdA&embedded=1&tab=a%20b", {"Sec-Fetch-Dest": "iframe"}),
        (f"/page?shop={DOMAIN}&host=aG9zdA&embedded=1&tab=a%20b&id_token=", {}),
        (f"/page?shop={DOMAIN}&host=aG9zdA&embedded=1&tab=a%20b&hmac=1&timestamp=2&id_token=TOO_OLD", {}),
    ],
    ids=["link", "framed link", "empty", "too old"],
)
def test_a_page_load_without_a_living_token_goes_to_the_patch_page_and_back(
    site: Site, path: str, headers: dict[str, str]
) -> None:
    old = token(exp=int(time.time()) - 60)
    answer = site.client.get(path.replace("TOO_OLD", old), headers=headers)
    assert answer.status_code == 302
    location = urlsplit(answer.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{PUBLIC}/connect/shopify/patch"
    back = f"/page?shop={DOMAIN}&host=aG9zdA&embedded=1&tab=a+b"
    back += f"&retried={parse_qs(location.query)['retried'][0]}" if "TOO_OLD" in path else ""
    assert parse_qs(location.query) == {
        "shop": [DOMAIN],
        "host": ["aG9zdA"],
        "embedded": ["1"],
        "tab": ["a b"],
        **({"retried": [back.rpartition("=")[2]]} if "TOO_OLD" in path else {}),
        "shopify-reload": [back],
    }
    assert old not in answer.headers["Location"]
    assert nothing_stored(site)
    patch = site.client.get(f"{location.path}?{location.query}")
    assert patch.status_code == 200
    assert patch.text == (
        f'<script data-api-key="{CLIENT_ID}" src="https://cdn.shopify.com/shopifycloud/app-bridge.js"></script>'
    )
    site.store.installed()
    assert site.client.get(f"{back}&id_token={token()}").status_code == 200


def test_the_patch_redirect_goes_to_our_address_not_to_the_host_of_the_request(site: Site) -> None:
    answer = site.client.get("/page?embedded=1", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert answer.headers["Location"] == f"{PUBLIC}/connect/shopify/patch?embedded=1&shopify-reload=" + quote(
        "/page?embedded=1", safe=""
    )


def test_a_shop_that_is_none_is_not_carried_on(site: Site) -> None:
    answer = site.client.get("/page?embedded=1&shop=evil.example")
    assert "evil" not in answer.headers["Location"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"exp": None},
        {"dest": "https://second.myshopify.com"},
        {"iss": "https://evil.example/admin", "dest": "https://evil.example"},
        {"sub": 5},
    ],
    ids=str,
)
def test_a_page_load_with_a_forged_token_is_refused_and_does_not_go_round_in_circles(
    site: Site, claims: dict[str, Any]
) -> None:
    made = jwt.api_jws.encode(b"{}", SECRET) if claims.get("sub") == 5 else token(**claims)
    site.store.platform.install(DOMAIN)
    before = counted("id token refused")
    answer = site.client.get(f"/page?embedded=1&shop={DOMAIN}&id_token={made}")
    assert answer.status_code == 401
    assert counted("id token refused") == before + 1
    assert "was not signed for this app" in answer.text
    assert made not in answer.text
    assert nothing_stored(site)
    assert site.store.calls("access_token") == []


def test_two_tokens_are_none(site: Site) -> None:
    site.store.installed()
    answer = site.client.get(f"/page?id_token={token()}&id_token={token()}")
    assert answer.status_code == 302


def test_a_token_in_the_query_is_for_page_loads_alone(site: Site) -> None:
    site.store.installed()
    answer = site.client.post(f"/page?embedded=1&id_token={token()}")
    assert answer.status_code == 400  # no CSRF token either: nobody is let in


def test_a_request_from_elsewhere_is_not_judged_here(site: Site) -> None:
    assert site.client.get("/page").text == "not embedded"
    assert site.client.get("/page", headers={"Sec-Fetch-Dest": "document"}).text == "not embedded"


# fetches


def test_a_fetch_is_let_in_by_its_bearer(site: Site) -> None:
    site.store.installed()
    pages = site.app.blueprints["pages"]
    access.guarded(pages.name)
    for scheme in ("Bearer", "bearer"):
        answer = site.fetch(token(sub="77"), scheme=scheme)
        assert answer.json == {"actor": "shopify:77", "shop": site.store.shop().id, "embedded": True}
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("made", "scheme"),
    [
        (lambda: token(exp=int(time.time()) - 60), "Bearer"),
        (lambda: token(aud="another"), "Bearer"),
        (lambda: token(exp=None), "Bearer"),
        (lambda: "", "Bearer"),
        (lambda: "x", "Bearer"),
        (lambda: token(), "Basic"),
        (lambda: token(), ""),
    ],
)
def test_a_fetch_without_a_living_token_is_told_to_bring_one(site: Site, made: Callable[[], str], scheme: str) -> None:
    site.store.installed()
    answer = site.fetch(made(), method="GET", scheme=scheme)
    assert (answer.status_code, answer.headers[RETRY], answer.text) == (401, "1", "Unauthorized")


def test_a_fetch_heals_a_shop_that_must_be_reopened(site: Site) -> None:
    site.store.installed()
    site.store.set(state=ConnectionState.REOPEN, secrets=None)
    answer = site.fetch(site.store.platform.id_token(DOMAIN), method="GET")
    assert answer.status_code == 200
    assert (site.store.connection().state, site.store.connection().generation) == (ConnectionState.CONNECTED, 2)
    assert [each[0] for each in site.store.audit()] == ["shopify:87000000001"] * 2


@pytest.mark.parametrize("kind", ["page", "fetch"])
def test_a_shop_of_which_shopify_refuses_us_is_told_so(site: Site, kind: str) -> None:
    site.store.platform.install(DOMAIN)
    site.store.platform.allowlist = False
    answer = site.load() if kind == "page" else site.fetch(site.store.platform.id_token(DOMAIN), method="GET")
    assert answer.status_code == 502
    if kind == "fetch":
        assert answer.json == {"status": "failed", "said": FORBIDDEN}
    else:
        assert FORBIDDEN in unescape(answer.text)
        assert (
            f"frame-ancestors https://{DOMAIN} https://admin.shopify.com" in answer.headers["Content-Security-Policy"]
        )
    assert nothing_stored(site)


def test_a_page_does_not_wait_for_a_slow_shopify_and_the_install_goes_on_without_it(site: Site, tmp_path: Path) -> None:
    hasty = Site(site.store, tmp_path / "hasty", patience=0.2)
    site.store.platform.install(DOMAIN)
    site.store.platform.set_faults({"kind": "slow_drip", "path": "access_token", "seconds": 0.02, "times": 1})
    for _ in range(2):  # the second page waits for the same install
        began = time.monotonic()
        answer = hasty.load()
        assert time.monotonic() - began < 4
        assert (answer.status_code, answer.headers["Refresh"]) == (503, "4")
        assert "It goes on by itself" in answer.text
        assert "frame-ancestors https://" in answer.headers["Content-Security-Policy"]
    asked = hasty.fetch(token(), method="GET")
    assert (asked.status_code, asked.json["status"]) == (503, "failed")
    until(lambda: hasty.load().status_code == 200)
    assert site.store.calls("access_token") == [200]
    assert site.store.connection().generation == 1


def test_a_removed_app_cannot_be_opened(site: Site) -> None:
    answer = site.load()
    assert answer.status_code == 502
    assert WRONG_CLIENT in unescape(answer.text)


def test_what_shopify_finds_stale_is_brought_anew_once(site: Site) -> None:
    site.store.platform.install(DOMAIN)
    site.store.platform.set_faults({"kind": "400", "path": "access_token", "body": {"error": "invalid_subject_token"}})
    first = site.load()
    assert first.status_code == 302
    back = parse_qs(urlsplit(first.headers["Location"]).query)["shopify-reload"][0]
    second = site.client.get(f"{back}&id_token={token()}")
    assert second.status_code == 502
    assert nothing_stored(site)
    fetched = site.fetch(token(), method="GET")
    assert (fetched.status_code, fetched.headers[RETRY]) == (401, "1")


@pytest.mark.parametrize("claims", [{"exp": -60}, {"nbf": 60}], ids=str)
def test_a_token_that_is_never_in_time_is_brought_anew_once_and_then_the_clocks_are_named(
    site: Site, claims: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    site.store.installed()
    made = token(**{name: int(time.time()) + seconds for name, seconds in claims.items()})
    first = site.client.get(f"/page?embedded=1&shop={DOMAIN}&id_token={made}")
    back = parse_qs(urlsplit(first.headers["Location"]).query)["shopify-reload"][0]
    second = site.client.get(f"{back}&id_token={made}")
    assert second.status_code == 502
    assert "the operator has to set the server&#39;s clock" in second.text
    assert (
        caplog.messages[-1] == "an ID token fetched a moment ago is over, or not begun: is this server's clock right?"
    )
    # Loaded again in the frame much later, the token is simply old.
    later = re.sub("retried=[0-9]+", f"retried={int(time.time()) - 120}", back)
    assert site.client.get(f"{later}&id_token={made}").status_code == 302


def test_no_id_token_is_stored_or_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    site.store.platform.install(DOMAIN)
    made = site.store.platform.id_token(DOMAIN)
    assert site.load(id_token=made).status_code == 200
    with site.store.db.read() as session:
        tables = inspect(session.connection()).get_table_names()
        rows = "".join(str(session.execute(text(f"SELECT * FROM {name}")).all()) for name in tables)
    assert made not in rows
    assert made not in caplog.text


def test_an_app_that_is_not_set_up_lets_nobody_in(site: Site) -> None:
    site.app.extensions["shopify"] = site.store.client(secrets=())
    assert site.load().text == "not embedded"
    assert site.client.get("/connect/shopify/patch?shopify-reload=/").status_code == 404


# the patch page


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"shop": DOMAIN},
        {"shop": DOMAIN, "shopify-reload": ""},
        {"shop": DOMAIN, "shopify-reload": "https://evil.example/"},
        {"shop": DOMAIN, "shopify-reload": "//evil.example/"},
        {"shop": DOMAIN, "shopify-reload": "/\\evil.example/"},
        {"shop": DOMAIN, "shopify-reload": "javascript:alert(1)"},
        {"shop": DOMAIN, "shopify-reload": ["/", "/page"]},
        {"shop": "evil.example", "shopify-reload": "/"},
        {"shop": f"{DOMAIN}; script-src *", "shopify-reload": "/"},
        {"shop": f"{DOMAIN}\r\nX-Injected: 1", "shopify-reload": "/"},
        {"shop": [DOMAIN, SECOND], "shopify-reload": "/"},
        {"shop": "", "shopify-reload": "/"},
    ],
    ids=range(13),
)
def test_the_patch_page_echoes_nothing_that_could_lead_away(site: Site, query: dict[str, Any]) -> None:
    answer = site.client.get(f"/connect/shopify/patch?{urlencode(query, doseq=True)}")
    assert answer.status_code == 400
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("query", "ancestors"),
    [
        (f"shop={DOMAIN}&", f"frame-ancestors https://{DOMAIN} https://admin.shopify.com"),
        ("", "frame-ancestors https://admin.shopify.com"),
    ],
)
def test_the_patch_page_is_framed_by_its_shop_or_the_admin_alone(site: Site, query: str, ancestors: str) -> None:
    answer = site.client.get(f"/connect/shopify/patch?{query}shopify-reload=/page")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].split("; ")[-1] == ancestors
    assert answer.headers.getlist("Content-Type") == ["text/html"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


# the authorization code grant


@pytest.fixture
def granting(site: Site, tmp_path: Path) -> Site:
    return Site(site.store, tmp_path / "other", SHOPIFY_CODE_GRANT="1")


def walked(site: Site) -> str:
    """The path that the merchant's browser comes back to."""
    address = urlsplit(site.client.get(f"/connect/shopify?shop={DOMAIN}").headers["Location"])
    answer = httpx.post(f"{site.store.platform.url}{address.path}?{address.query}", headers={"Host": address.netloc})
    return answer.headers["Location"].removeprefix(PUBLIC)


def test_without_the_setting_there_is_no_code_grant(site: Site) -> None:
    assert site.client.get(f"/connect/shopify?shop={DOMAIN}").status_code == 404
    assert site.client.get("/connect/shopify/callback").status_code == 404


def test_a_walk_ends_in_the_admin_with_the_shop_connected(granting: Site) -> None:
    begun = granting.client.get(f"/connect/shopify?shop={DOMAIN}")
    assert begun.status_code == 302
    address = urlsplit(begun.headers["Location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"https://{DOMAIN}/admin/oauth/authorize"
    query = parse_qs(address.query)
    assert query["redirect_uri"] == [f"{PUBLIC}/connect/shopify/callback"]
    assert query["scope"] == ["read_customers,read_fulfillments,read_orders,read_products"]
    answer = granting.client.get(walked(granting))
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"https://admin.shopify.com/store/first/apps/{CLIENT_ID}"
    assert granting.store.connection().state == ConnectionState.CONNECTED
    assert granting.store.platform.sentences() == []


def test_what_comes_back_to_another_browser_is_refused(granting: Site) -> None:
    path = walked(granting)
    stranger = granting.app.test_client()
    before = counted("callback refused")
    answer = stranger.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert counted("callback refused") == before + 1
    assert FORGED in unescape(re.sub(r"\s+", " ", answer.text))
    assert granting.client.get(path).status_code == 302
    assert granting.client.get(path).status_code == 400  # and only once
    assert nothing_stored(granting) is False


def test_the_walk_is_limited(granting: Site) -> None:
    granting.app.config["RATELIMIT_ENABLED"] = True
    limits.limiter.reset()
    answers = [granting.client.get(f"/connect/shopify?shop={DOMAIN}").status_code for _ in range(11)]
    limits.limiter.reset()
    assert answers == [302] * 10 + [429]


# in the whole app


def test_the_pages_of_the_whole_app_open_inside_the_admin(database_url: str, tmp_path: Path) -> None:
    db = Database(database_url)
    with Store(db) as store:
        environment = {
            **settings(database_url),
            "PUBLIC_URL": PUBLIC,
            "SHOPIFY_API_KEY": CLIENT_ID,
            "SHOPIFY_API_SECRET": SECRET,
            "SHOPIFY_ADMIN_URL": store.platform.url,
        }
        parts = factory.create_parts(read_config(environment, var=tmp_path / "var"))
        app = factory.create_app(parts)
        store.platform.install(DOMAIN)
        path = store.platform.app_address(DOMAIN, "/settings").removeprefix(PUBLIC)
        answer = app.test_client().get(path)
        led = urlsplit(answer.headers["Location"]).path
        assert (answer.status_code, led) == (303, f"/shops/{store.shop().id}/settings")
        assert "id_token" not in answer.headers["Location"]
        assert "Set-Cookie" not in answer.headers
        assert store.connection().state == ConnectionState.CONNECTED
        # The frame follows the redirect without a token; the patch page brings it one.
        again = app.test_client().get(answer.headers["Location"], headers={"Sec-Fetch-Dest": "iframe"})
        assert (again.status_code, urlsplit(again.headers["Location"]).path) == (302, "/connect/shopify/patch")
        back = parse_qs(urlsplit(again.headers["Location"]).query)["shopify-reload"][0]
        page = app.test_client().get(f"{back}&id_token={store.platform.id_token(DOMAIN)}")
        assert page.status_code == 200
        policy = page.headers["Content-Security-Policy"]
        assert policy.endswith(f"frame-ancestors https://{DOMAIN} https://admin.shopify.com")
        assert f'<meta name="shopify-api-key" content="{CLIENT_ID}">' in page.text
        assert "Set-Cookie" not in page.headers
        app.extensions["intake"].close()
        app.extensions["shopify"].close()
        if parts.hints:
            parts.hints.close()
        parts.db.close()
    db.close()


def test_an_identity_shows_no_token(site: Site) -> None:
    identity = site.store.identity()
    assert identity.token not in repr(identity)
    assert replace(identity, token="") != identity
