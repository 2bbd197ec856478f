"""ID tokens: whoever is let in was vouched for by Shopify, for this app, for one shop, now."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.shopify.identity import (
    BadIdentity,
    Expired,
    reload_path,
    shop_domain,
    verify_id_token,
)

CLIENT = "client-id"
NEW = "shpss_new_" + 4 * "0123456789abcdef"
OLD = "shpss_old_0123456789abcdef0123456789abcdef"
SHOP = "first.myshopify.com"


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {
        "iss": f"https://{SHOP}/admin",
        "dest": f"https://{SHOP}",
        "aud": CLIENT,
        "sub": "87000000001",
        "exp": now + 60,
        "nbf": now,
        "iat": now,
        "jti": "a",
        "sid": "b",
    } | changes
    return {name: value for name, value in made.items() if value is not None}


def token(secret: str = NEW, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_a_token_of_either_secret_names_shop_and_staff(secret: str) -> None:
    now = int(time.time())
    made = token(secret, nbf=now)
    found = verify_id_token(made, CLIENT, (NEW, OLD))
    assert (found.domain, found.staff, found.token) == (SHOP, "87000000001", made)
    assert found.issued_at == datetime.fromtimestamp(now, UTC)
    assert made not in repr(found)


@pytest.mark.parametrize("name", ["exp", "nbf", "iss", "dest", "aud", "sub"])
def test_a_claim_that_is_missing_is_refused(name: str) -> None:
    with pytest.raises(BadIdentity):
        verify_id_token(token(**{name: None}), CLIENT, (NEW, OLD))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-app"},
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "another-app"]},
        {"iss": "https://second.myshopify.com/admin"},
        {"dest": "https://second.myshopify.com"},
        {"iss": "https://evil.example/admin", "dest": "https://evil.example"},
        {"iss": "https://first.myshopify.com.evil.example/admin", "dest": "https://first.myshopify.com.evil.example"},
        {"iss": "http://first.myshopify.com/admin", "dest": "http://first.myshopify.com"},
        {"iss": "https://a@first.myshopify.com/admin", "dest": "https://a@first.myshopify.com"},
        {"iss": "https://first.myshopify.com:8443/admin", "dest": "https://first.myshopify.com:8443"},
        {"iss": "https://a.first.myshopify.com/admin", "dest": "https://a.first.myshopify.com"},
        {"iss": "https://FIRST.myshopify.com/admin", "dest": "https://FIRST.myshopify.com"},
        {"iss": "https://first.myshopify.com\n/admin", "dest": "https://first.myshopify.com\n"},
        {"iss": SHOP, "dest": SHOP},
        {"dest": 5},
        {"sub": ""},
        {"sub": 87000000001},
        {"sub": "admin"},
        {"sub": "1\n"},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": [1]},
        {"nbf": "x"},
    ],
)
def test_a_claim_that_is_wrong_is_refused(changes: dict[str, Any]) -> None:
    made = jwt.api_jws.encode(json.dumps(claims(**changes)).encode(), NEW, algorithm="HS256")
    with pytest.raises(BadIdentity):
        verify_id_token(made, CLIENT, (NEW,))


def test_time_alone_is_told_apart_with_ten_seconds_of_patience() -> None:
    now = int(time.time())
    for times in ({"exp": now - 5}, {"nbf": now + 5, "iat": now + 5}):
        assert verify_id_token(token(**times), CLIENT, (NEW,)).staff == "87000000001"
    for times in ({"exp": now - 15}, {"nbf": now + 15}, {"iat": now + 15}):
        with pytest.raises(Expired):
            verify_id_token(token(**times), CLIENT, (NEW,))


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "a.b.c",
        "ü" * 20,
        jwt.encode(claims(), "", algorithm="none"),
        jwt.encode(claims(), NEW, algorithm="HS512"),
        jwt.encode(claims(), "somebody-elses-secret-of-32-bytes", algorithm="HS256"),
        token(sid="x" * 5000),
    ],
    ids=range(7),
)
def test_what_shopify_did_not_sign_is_refused(forged: str) -> None:
    with pytest.raises(BadIdentity) as caught:
        verify_id_token(forged, CLIENT, (NEW, OLD))
    assert not isinstance(caught.value, Expired)


@pytest.mark.parametrize(("client", "secrets"), [(CLIENT, ()), (CLIENT, ("",)), ("", (NEW,))])
def test_without_id_or_secret_nothing_is_proved(client: str, secrets: tuple[str, ...]) -> None:
    with pytest.raises(BadIdentity):
        verify_id_token(token(aud=client), client, secrets)


@given(st.text())
def test_no_text_at_all_breaks_the_check(text: str) -> None:
    with pytest.raises(BadIdentity):
        verify_id_token(text, CLIENT, (NEW, OLD))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "first",
        "first.myshopify.com.evil.example",
        "evil.example/first.myshopify.com",
        "-first.myshopify.com",
        "First.myshopify.com",
        "a.first.myshopify.com",
        "first.myshopify.com ",
        "first.myshopify.com\n",
        "first.myshopify.com;script-src *",
        "admin.shopify.com",
        "ﬁrst.myshopify.com",
    ],
)
def test_what_is_no_shops_domain_is_none(text: str) -> None:
    assert shop_domain(text) is None


@pytest.mark.parametrize("text", ["first.myshopify.com", "a.myshopify.com", "0-1.myshopify.com"])
def test_a_shops_domain_is_taken_as_it_is(text: str) -> None:
    assert shop_domain(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "//evil.example",
        "/\\evil.example",
        "/a//b",
        "https://evil.example",
        "javascript:alert(1)",
        "/a\\b",
        "/a b",
        "/a\n",
        "/\t/evil.example",
        "/ü",
    ],
)
def test_no_reload_leads_away(text: str) -> None:
    assert reload_path(text) is None


@pytest.mark.parametrize("text", ["/", "/shops/1?shop=first.myshopify.com&next=https://x", "/a%20b?c=%2F%2Fd#e"])
def test_a_reload_within_the_app_is_taken_as_it_is(text: str) -> None:
    assert reload_path(text) == text
