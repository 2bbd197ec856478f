"""The authorization code grant: out with a state that nobody guesses; back once, in the same browser, for one shop."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select

from app.db import Database
from app.models import ConnectAttempt, ConnectionState
from app.services.errors import Failed, Wrong
from app.services.shopify_walk import FORGED
from connectors.shopify.oauth import Grant
from tests.shopify_store import DOMAIN, PUBLIC, SECRET, Store

Query = dict[str, list[str]]


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with Store(database) as store:
        yield store


def agree(store: Store, address: str) -> Query:
    """The merchant agrees at Shopify; what the browser brings back."""
    parts = urlsplit(address)
    platform = f"{store.platform.url}{parts.path}?{parts.query}"
    answer = httpx.post(platform, headers={"Host": parts.netloc})
    location = answer.headers["Location"]
    assert location.startswith(f"{PUBLIC}/connect/shopify/callback?")
    return parse_qs(urlsplit(location).query)


def sign(query: Query, **changes: str) -> Query:
    params = {name: values[0] for name, values in query.items() if name != "hmac"} | changes
    message = "&".join(sorted(f"{name}={value}" for name, value in params.items()))
    params["hmac"] = hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()
    return {name: [value] for name, value in params.items()}


def attempts(store: Store) -> list[ConnectAttempt]:
    with store.db.read() as session:
        return list(session.scalars(select(ConnectAttempt).order_by(ConnectAttempt.id)))


def refused(store: Store, query: Query, state: str | None, *, after: timedelta = timedelta(0)) -> None:
    with pytest.raises(Wrong) as caught:
        store.walk.finish(query, state, store.now() + after)
    assert str(caught.value) == FORGED


def test_a_walk_connects_the_shop_with_tokens_that_expire(store: Store) -> None:
    state, address = store.walk.begin("First.myshopify.com ", store.now())
    assert len(state) >= 43
    query = agree(store, address)
    shop, domain = store.walk.finish(query, state, store.now())
    assert (shop, domain) == (store.shop().id, DOMAIN)
    assert store.connection().state == ConnectionState.CONNECTED
    assert store.tokens.token(shop) == store.secrets()["access_token"]
    assert store.audit()[-1][:2] == ("shopify", "connect store")
    (attempt,) = attempts(store)
    assert (attempt.platform, attempt.address, attempt.shop_id) == ("shopify", DOMAIN, shop)
    assert attempt.state_hash == hashlib.sha256(state.encode()).hexdigest()
    assert attempt.finished_at is not None
    assert store.platform.sentences() == []


@pytest.mark.parametrize(
    "shop", ["", "first", "evil.example", "first.myshopify.com/../x", "first.myshopify.com@evil.example"]
)
def test_only_shops_are_walked_to(store: Store, shop: str) -> None:
    with pytest.raises(Wrong, match=r"my-shop\.myshopify\.com"):
        store.walk.begin(shop, store.now())
    assert attempts(store) == []


def test_an_answer_is_used_once(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    query = agree(store, address)
    store.walk.finish(query, state, store.now())
    calls = len(store.platform.requests())
    refused(store, query, state)
    assert len(store.platform.requests()) == calls


def test_another_browser_does_not_finish_a_walk(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    query = agree(store, address)
    other, _ = store.walk.begin(DOMAIN, store.now())
    for found in (None, "", other):
        refused(store, query, found)
    refused(store, sign(query, state=""), "")
    assert store.walk.finish(query, state, store.now())[1] == DOMAIN


def test_a_state_is_for_one_shop(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    store.platform.add_shop("second")
    refused(store, sign(agree(store, address), shop="second.myshopify.com"), state)


def test_a_state_that_we_did_not_give_is_refused(store: Store) -> None:
    _, address = store.walk.begin(DOMAIN, store.now())
    refused(store, sign(agree(store, address), state="made-up"), "made-up")


def test_a_walk_takes_no_longer_than_ten_minutes(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    refused(store, agree(store, address), state, after=timedelta(minutes=11))


def test_what_shopify_did_not_sign_is_refused_before_anything_is_used_up(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    query = agree(store, address)
    old = str(int(time.time()) - 90_000)
    future = str(int(time.time()) + 600)
    forged: list[Query] = [
        {},
        {**query, "hmac": ["0" * 64]},
        {**query, "code": ["another"]},
        {name: values for name, values in query.items() if name != "hmac"},
        {**query, "shop": [DOMAIN, "second.myshopify.com"]},
        {**query, "state": [state, state]},
        sign(query, timestamp=old),
        sign(query, timestamp=future),
        sign(query, timestamp="x"),
        sign(query, code=""),
    ]
    for each in forged:
        refused(store, each, state)
    assert store.walk.finish(query, state, store.now())[1] == DOMAIN


def test_a_code_that_shopify_does_not_take_connects_nothing(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    refused(store, sign(agree(store, address), code="made-up"), state)


def test_tokens_of_an_install_that_was_faster_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staff open the app while the code is being redeemed: whatever came last from Shopify must not be overwritten."""
    state, address = store.walk.begin(DOMAIN, store.now())
    query = agree(store, address)
    redeem = store.shopify.redeem

    def slow(domain: str, code: str) -> Grant:
        grant = redeem(domain, code)
        store.open()
        kept.update(store.secrets())
        return grant

    kept: dict[str, str] = {}
    monkeypatch.setattr(store.shopify, "redeem", slow)
    shop, _ = store.walk.finish(query, state, store.now())
    assert (store.secrets(), store.connection(shop).generation) == (kept, 1)


def test_a_walk_that_shopify_does_not_answer_can_be_walked_again(store: Store) -> None:
    state, address = store.walk.begin(DOMAIN, store.now())
    query = agree(store, address)
    store.platform.set_faults({"kind": "drop_after", "path": "access_token"})
    with pytest.raises(Failed, match="Nothing was changed"):
        store.walk.finish(query, state, store.now())
    store.platform.set_faults([])
    refused(store, query, state)
    state, address = store.walk.begin(DOMAIN, store.now())
    assert store.walk.finish(agree(store, address), state, store.now())[1] == DOMAIN


def test_old_attempts_are_swept_away(store: Store) -> None:
    now = store.now()
    for hours in (72, 1, 0):
        store.walk.begin(DOMAIN, now - timedelta(hours=hours))
    assert sorted(each.created_at for each in attempts(store)) == [now - timedelta(hours=1), now]
