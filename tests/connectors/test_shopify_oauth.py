"""Token endpoints: a grant is whole or an error; what comes back from the permission page is signed and fresh."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from shopify_app import ShopifyApp

from connectors.shopify import wire
from connectors.shopify.code_grant import BadCallback, check_callback, missing_scopes, permission_url
from connectors.shopify.identity import Identity
from connectors.shopify.oauth import (
    DeadGrant,
    Grant,
    OAuthAnswer,
    OAuthError,
    OAuthForbidden,
    OAuthUnavailable,
    StaleSubject,
    WrongClient,
    exchange,
    redeem,
    refresh,
)

SHOP = "first.myshopify.com"
APP = ShopifyApp("client", "secret-marker", "old-secret-marker")
ALICE = Identity(SHOP, "7", datetime.now(UTC), "id-token-marker")
WHOLE: dict[str, Any] = {
    "access_token": "shpat_marker",
    "scope": "write_orders,read_fulfillments, Bad Scope",
    "expires_in": 3600,
    "refresh_token": "shprt_marker",
    "refresh_token_expires_in": 7776000,
}
Ask = Callable[[httpx.Client], Grant]
EXCHANGE: Ask = lambda http: exchange(APP, http, ALICE)  # noqa: E731
REFRESH: Ask = lambda http: refresh(APP, http, SHOP, "old-refresh-marker")  # noqa: E731
REDEEM: Ask = lambda http: redeem(APP, http, SHOP, "code-marker")  # noqa: E731
ALL = pytest.mark.parametrize("ask", [EXCHANGE, REFRESH, REDEEM], ids=["exchange", "refresh", "redeem"])


def asked(ask: Ask, answer: httpx.Response | Exception) -> tuple[Grant, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with wire.new_client("Tillwire/9", inner=httpx.MockTransport(respond)) as http:
        return ask(http), seen


@pytest.mark.parametrize(
    ("ask", "fields"),
    [
        (
            EXCHANGE,
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": "id-token-marker",
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "requested_token_type": "urn:shopify:params:oauth:token-type:offline-access-token",
                "expiring": 1,
            },
        ),
        (REFRESH, {"grant_type": "refresh_token", "refresh_token": "old-refresh-marker"}),
        (REDEEM, {"code": "code-marker", "expiring": 1}),
    ],
    ids=["exchange", "refresh", "redeem"],
)
def test_expiring_tokens_are_asked_for_and_taken_whole(ask: Ask, fields: dict[str, Any]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    grant, (request,) = asked(ask, httpx.Response(200, json=WHOLE))
    assert request.method == "POST"
    assert str(request.url) == f"https://{SHOP}/admin/oauth/access_token"
    assert json.loads(request.content) == {"client_id": "client", "client_secret": "secret-marker", **fields}
    assert (grant.access_token, grant.refresh_token) == ("shpat_marker", "shprt_marker")
    assert grant.scopes == ("read_fulfillments", "write_orders")
    assert timedelta(0) <= grant.expires_at - before - timedelta(hours=1) < timedelta(seconds=5)
    assert timedelta(0) <= grant.refresh_expires_at - before - timedelta(days=90) < timedelta(seconds=5)
    assert "marker" not in repr(grant)


@ALL
@pytest.mark.parametrize(
    "change",
    [
        {"expires_in": None},
        {"expires_in": 0},
        {"expires_in": -5},
        {"expires_in": "3600"},
        {"expires_in": 10**12},
        {"refresh_token_expires_in": None},
        {"refresh_token": None},
        {"refresh_token": ""},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a\r\nX-Injected: b"},
        {"scope": ["read_orders"]},
    ],
    ids=str,
)
def test_a_token_that_is_not_whole_or_never_expires_is_an_error(ask: Ask, change: dict[str, Any]) -> None:
    answer = {name: value for name, value in (WHOLE | change).items() if value is not None}
    with pytest.raises(OAuthAnswer) as caught:
        asked(ask, httpx.Response(200, json=answer))
    assert "marker" not in str(caught.value)


@ALL
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"error": "invalid_client", "error_description": "secret-marker"}), WrongClient),
        (httpx.Response(429, json={"error": "marker"}), OAuthUnavailable),
        (httpx.Response(500, text="marker"), OAuthUnavailable),
        (httpx.Response(503), OAuthUnavailable),
        (httpx.ConnectError("marker"), OAuthUnavailable),
        (httpx.ReadTimeout("marker"), OAuthUnavailable),
        (httpx.Response(200, text="<html>marker"), OAuthAnswer),
        (httpx.Response(200, json=["marker"]), OAuthAnswer),
        (httpx.Response(200, json=None), OAuthAnswer),
        (httpx.Response(302, headers={"Location": "https://evil.example"}), OAuthAnswer),
        (httpx.Response(403, json={"error": "something_new"}), OAuthForbidden),
        (httpx.Response(403, text="<html>"), OAuthForbidden),
        (httpx.Response(400, json={"error": "something_new"}), OAuthAnswer),
    ],
)
def test_every_refusal_has_its_class_and_tells_no_secret(
    ask: Ask, answer: httpx.Response | Exception, error: type[OAuthError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with pytest.raises(OAuthError) as caught:
        asked(ask, answer)
    assert type(caught.value) is error
    assert "marker" not in str(caught.value)


def test_an_id_token_that_shopify_finds_stale_is_told_apart() -> None:
    with pytest.raises(StaleSubject):
        asked(EXCHANGE, httpx.Response(400, json={"error": "invalid_subject_token"}))


@pytest.mark.parametrize("ask", [REFRESH, REDEEM], ids=["refresh", "redeem"])
def test_a_grant_that_is_over_is_dead(ask: Ask) -> None:
    with pytest.raises(DeadGrant):
        asked(ask, httpx.Response(400, json={"error": "invalid_grant"}))


def test_a_code_that_was_used_before_is_dead() -> None:
    with pytest.raises(DeadGrant):
        asked(REDEEM, httpx.Response(400, json={"error": "invalid_request"}))


# the code grant's query


def query(secret: str = "new", **changes: str | None) -> dict[str, str]:
    made = {"code": "c", "host": "aG9zdA", "shop": SHOP, "state": "s", "timestamp": str(int(time.time()))} | changes
    params = {name: value for name, value in made.items() if value is not None}
    message = "&".join(sorted(f"{name}={value}" for name, value in params.items()))
    return {**params, "hmac": hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()}


@pytest.mark.parametrize("secret", ["new", "old"])
def test_a_query_signed_with_either_secret_is_shopifys(secret: str) -> None:
    assert check_callback(query(secret), ("new", "old")) == (SHOP, "c")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {**query(), "hmac": "0" * 64},
        {**query(), "hmac": "ü"},
        {name: value for name, value in query().items() if name != "hmac"},
        {**query(), "code": "another"},
        {**query(), "extra": "x"},
        query("somebody-elses"),
        query(shop="evil.example"),
        query(shop="first.myshopify.com.evil.example"),
        query(shop=None),
        query(code=None),
        query(code=""),
        query(timestamp=None),
        query(timestamp="soon"),
        query(timestamp="-5"),
        query(timestamp="١٢٣"),
        query(timestamp="9" * 30),
        query(timestamp=str(int(time.time()) + 90_000)),
        query(timestamp=str(int(time.time()) - 90_000)),
        query(timestamp="0"),
    ],
    ids=range(20),
)
def test_a_query_that_is_forged_incomplete_old_or_from_the_future_is_refused(params: dict[str, str]) -> None:
    with pytest.raises(BadCallback):
        check_callback(params, ("new", "old"))


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(BadCallback):
        check_callback(query(""), ("", ""))


def test_the_permission_page_is_the_shops_with_our_scopes_and_state() -> None:
    found = httpx.URL(permission_url("client", SHOP, ["read_orders", "read_x"], "https://t.example/back", "state-1"))
    assert (found.scheme, found.host, found.path) == ("https", SHOP, "/admin/oauth/authorize")
    assert dict(found.params) == {
        "client_id": "client",
        "scope": "read_orders,read_x",
        "redirect_uri": "https://t.example/back",
        "state": "state-1",
    }


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (["read_orders", "read_fulfillments"], []),
        (["write_orders", "read_fulfillments"], []),
        (["read_orders"], ["read_fulfillments"]),
        (["customer_read_orders", "", "odd"], ["read_orders", "read_fulfillments"]),
        ([], ["read_orders", "read_fulfillments"]),
    ],
)
def test_a_right_to_write_includes_the_one_to_read(granted: list[str], missing: list[str]) -> None:
    assert missing_scopes(["read_orders", "read_fulfillments"], granted) == missing
