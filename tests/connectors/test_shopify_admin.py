"""Calls to Shopify: what each answer means, how much of it is read, and what is never told."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from shopify_app import ShopifyApp

from app.services.shopify_client import ShopifyClient
from app.simulators.shopify_platform import ShopifyPlatform
from connectors.shopify import patience, wire
from connectors.shopify.admin import (
    Admin,
    AdminAnswer,
    AdminForbidden,
    AdminUnauthorized,
    AdminUnavailable,
    user_errors,
)
from tests.shopify_store import CLIENT_ID, DOMAIN, SECRET

TOKEN = "shpat_marker"
QUERY = "query Q { shop { myshopifyDomain } }"
Answer = Callable[[httpx.Request], httpx.Response]


class Shop:
    """A shop's admin that answers what it is told to, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Answer, elsewhere: str = "") -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.tokens: list[str | None] = []
        self.http = wire.new_client("Tillwire/9", elsewhere, httpx.MockTransport(self._answer))
        app = ShopifyApp("client", "secret-marker")
        self.admin = Admin(app, self.http, "first.myshopify.com", "2026-10", self._token)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        return answer(request) if callable(answer) else answer

    def _token(self, rejected: str | None) -> str:
        self.tokens.append(rejected)
        return f"{TOKEN}_{len(self.tokens)}"


def errors(*codes: str, **more: Any) -> httpx.Response:
    told = [{"message": "secret text of the store", "extensions": {"code": code}} for code in codes]
    return httpx.Response(200, json={"errors": told, **more})


def test_a_question_is_asked_once_at_the_shop_with_its_token() -> None:
    shop = Shop(httpx.Response(200, json={"data": {"shop": {"id": "1"}}}, headers={"X-Shopify-API-Version": "2026-07"}))
    assert shop.admin.ask("query Q { shop { id } }", {"first": 1}) == {"shop": {"id": "1"}}
    (asked,) = shop.asked
    assert str(asked.url) == "https://first.myshopify.com/admin/api/2026-10/graphql.json"
    assert json.loads(asked.content) == {"query": "query Q { shop { id } }", "variables": {"first": 1}}
    assert asked.headers["X-Shopify-Access-Token"] == f"{TOKEN}_1"
    assert asked.headers["User-Agent"] == "Tillwire/9"
    assert asked.headers["Accept-Encoding"] == "identity"
    assert shop.admin.answered_version == "2026-07"


def test_a_401_is_asked_again_once_with_another_token() -> None:
    shop = Shop(httpx.Response(401), httpx.Response(200, json={"data": {"a": 1}}))
    assert shop.admin.ask("q") == {"a": 1}
    assert shop.tokens == [None, f"{TOKEN}_1"]
    assert [each.headers["X-Shopify-Access-Token"] for each in shop.asked] == [f"{TOKEN}_1", f"{TOKEN}_2"]


def test_a_second_401_is_the_end() -> None:
    shop = Shop(httpx.Response(401), httpx.Response(401))
    with pytest.raises(AdminUnauthorized):
        shop.admin.ask("q")
    assert len(shop.asked) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, json={"errors": "marker"}), AdminForbidden),
        (httpx.Response(429), AdminUnavailable),
        (httpx.Response(500), AdminUnavailable),
        (httpx.Response(502), AdminUnavailable),
        (errors("THROTTLED"), AdminUnavailable),
        (errors("INTERNAL_SERVER_ERROR"), AdminUnavailable),
        (errors("ACCESS_DENIED"), AdminAnswer),
        (httpx.Response(200, json={"errors": "text"}), AdminAnswer),
        (httpx.Response(200, json={"errors": [5]}), AdminAnswer),
        (httpx.Response(200, json={}), AdminAnswer),
        (httpx.Response(200, json=[]), AdminAnswer),
        (httpx.Response(200, json={"data": []}), AdminAnswer),
        (httpx.Response(200, text="<html>"), AdminAnswer),
        (httpx.Response(200, content=b"\xff\xfe\xff"), AdminAnswer),
        (httpx.Response(302, headers={"Location": "https://evil.example/"}), AdminAnswer),
        (httpx.Response(404), AdminAnswer),
        (httpx.Response(400, text="no"), AdminAnswer),
    ],
)
def test_each_answer_says_what_happens_next_and_tells_no_text(answer: httpx.Response, error: type[Exception]) -> None:
    shop = Shop(answer)
    with pytest.raises(error) as caught:
        shop.admin.ask("q")
    assert type(caught.value) is error
    assert len(shop.asked) == 1
    for secret in (TOKEN, "secret", "marker", "text"):
        assert secret not in str(caught.value)


def test_an_error_carries_its_codes_and_what_came_beside_it() -> None:
    shop = Shop(errors("ACCESS_DENIED", "ACCESS_DENIED", "lower", data={"orders": {"nodes": []}}))
    with pytest.raises(AdminAnswer) as caught:
        shop.admin.ask("q")
    assert caught.value.codes == ("ACCESS_DENIED", "ACCESS_DENIED", "UNKNOWN")
    assert caught.value.data == {"orders": {"nodes": []}}
    assert str(caught.value) == "errors in the answer (200; ACCESS_DENIED, UNKNOWN)"


def test_a_throttled_question_says_when_there_are_points_again() -> None:
    status = {"maximumAvailable": 2000, "currentlyAvailable": 40, "restoreRate": 100}
    shop = Shop(errors("THROTTLED", extensions={"cost": {"requestedQueryCost": 540, "throttleStatus": status}}))
    with pytest.raises(AdminUnavailable) as caught:
        shop.admin.ask("q")
    assert caught.value.retry_after == 5.0


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("9" * 20, None)])
def test_a_429_says_how_long_shopify_wants_to_rest(header: str, seconds: float | None) -> None:
    shop = Shop(httpx.Response(429, headers={"Retry-After": header}))
    with pytest.raises(AdminUnavailable) as caught:
        shop.admin.ask("q")
    assert caught.value.retry_after == seconds


def test_a_lost_connection_is_something_that_passes() -> None:
    def lost(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("marker", request=request)

    shop = Shop(lost)
    with pytest.raises(AdminUnavailable, match=r"^no answer \(status 0\)$"):
        shop.admin.ask("q")


class _Endless(httpx.SyncByteStream):
    def __init__(self) -> None:
        self.given = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 2**20
            yield b" " * 2**20

    def close(self) -> None:
        self.closed = True


def test_no_more_is_read_than_an_answer_may_have() -> None:
    stream = _Endless()
    shop = Shop(lambda _request: httpx.Response(200, stream=stream))
    with pytest.raises(AdminUnavailable):
        shop.admin.ask("q")
    assert stream.given == wire.LARGEST_ANSWER + 2**20
    assert stream.closed


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Drip(_Endless):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(100):
                now[0] += 1.0
                self.given += 1
                yield b" "

    stream = Drip()
    shop = Shop(lambda _request: httpx.Response(200, stream=stream))
    with pytest.raises(AdminUnavailable):
        shop.admin.ask("q")
    assert stream.given == wire.LONGEST


@pytest.fixture
def dripping() -> Iterator[tuple[ShopifyPlatform, Admin]]:
    """A shop whose answers come byte by byte, headers included: 20 ms each, about 400 bytes of headers."""
    with ShopifyPlatform(CLIENT_ID, SECRET, app_url="https://app.example") as platform:
        platform.add_shop(DOMAIN)
        platform.install(DOMAIN)
        token = platform.mint_token(DOMAIN)["access_token"]
        client = ShopifyClient(
            client_id=CLIENT_ID,
            secrets=[SECRET],
            api_version="2026-10",
            public_url="https://app.example",
            admin_url=platform.url,
        )
        with closing(client):
            admin = client.admin(DOMAIN, lambda _rejected: token)
            assert admin.ask(QUERY)["shop"]["myshopifyDomain"] == DOMAIN
            platform.set_faults({"kind": "slow_drip", "seconds": 0.02})
            yield platform, admin


def test_headers_that_drip_are_given_up(
    dripping: tuple[ShopifyPlatform, Admin], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, admin = dripping
    monkeypatch.setattr(wire, "LONGEST", 0.2)
    began = time.monotonic()
    with pytest.raises(AdminUnavailable):
        admin.ask(QUERY)
    assert time.monotonic() - began < 5
    platform.set_faults([])
    assert admin.ask(QUERY)["shop"]["myshopifyDomain"] == DOMAIN  # what was broken off is not used again


def test_all_calls_together_take_no_longer_than_their_caller_waits(dripping: tuple[ShopifyPlatform, Admin]) -> None:
    _, admin = dripping
    began, calls = time.monotonic(), 0
    with patience.within(0.3):
        for _ in range(3):
            with pytest.raises(AdminUnavailable):
                admin.ask(QUERY)
            calls += 1
    assert (calls, time.monotonic() - began < 5) == (3, True)


def test_a_compressed_answer_could_grow_and_is_refused() -> None:
    bomb = gzip.compress(json.dumps({"data": {"a": 1}}).encode())
    shop = Shop(httpx.Response(200, content=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(AdminUnavailable):
        shop.admin.ask("q")


def test_a_cookie_of_one_shop_is_not_shown_to_another() -> None:
    cookie = {"Set-Cookie": "a=b; Domain=myshopify.com; Path=/"}
    shop = Shop(httpx.Response(200, json={"data": {}}, headers=cookie), httpx.Response(200, json={"data": {}}))
    shop.admin.ask("q")
    shop.admin.ask("q")
    assert "Cookie" not in shop.asked[1].headers


def test_a_simulator_gets_what_is_for_a_shop_and_who_was_meant() -> None:
    shop = Shop(httpx.Response(200, json={"data": {}}), elsewhere="http://127.0.0.1:9999/under")
    shop.admin.ask("q")
    assert str(shop.asked[0].url) == "http://127.0.0.1:9999/under/admin/api/2026-10/graphql.json"
    assert shop.asked[0].headers["Host"] == "first.myshopify.com"


def test_the_environments_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with wire.new_client("Tillwire/9") as client:
        assert client._mounts == {}
        assert client._trust_env is False
        assert (client.timeout.connect, client.timeout.read, client.follow_redirects) == (5.0, 15.0, False)


def test_an_admin_shows_no_token() -> None:
    shop = Shop()
    assert repr(shop.admin) == "Admin('first.myshopify.com')"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"userErrors": []}, []),
        ({"userErrors": [{"field": ["webhookSubscription", "uri"], "message": "Address  is\ninvalid"}]}, 0),
        ({"userErrors": [{"field": None, "message": "No"}]}, ["No"]),
        ({"userErrors": ["x"]}, ["no reason given"]),
        ({}, ["the answer is not what Shopify documents"]),
        (None, ["the answer is not what Shopify documents"]),
    ],
)
def test_user_errors_are_read_whatever_they_are(answer: Any, told: Any) -> None:
    assert user_errors(answer) == (told or (["webhookSubscription.uri: Address is invalid"] if told == 0 else []))
