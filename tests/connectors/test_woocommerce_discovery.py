"""What is found at an address, before any key is sent there."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from requests_mock import Mocker

from connectors.woocommerce.answers import StoreError
from connectors.woocommerce.discovery import Explorer, Found, NoStore, Obstacle

SHOP = "https://shop.example"
LINK = '<{}>; rel="https://api.w.org/", <https://shop.example/?p=2>; rel=shortlink'
INDEX = {"namespaces": ["oembed/1.0", "wc/v3", "wp/v2"]}
HTML = "<html>Are you human?</html>"


class Guard:
    def __init__(self) -> None:
        self.entered = 0

    def __enter__(self) -> None:
        self.entered += 1

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def explorer(guard: Guard) -> Explorer:
    class Stays(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            return

    return Explorer(Stays(), lambda: guard)


def home(requests_mock: Mocker, api: str = f"{SHOP}/wp-json/", at: str = f"{SHOP}/") -> None:
    requests_mock.get(at, text=HTML, headers={"Link": LINK.format(api)})


def index(requests_mock: Mocker, at: str = f"{SHOP}/wp-json/", **answer: Any) -> None:
    requests_mock.get(at, **(answer or {"json": INDEX}))


def test_a_store_is_found_by_two_questions_each_under_guard(
    requests_mock: Mocker, explorer: Explorer, guard: Guard
) -> None:
    home(requests_mock)
    index(requests_mock)
    assert explorer.find(SHOP) == Found(url=SHOP, namespaces=frozenset(INDEX["namespaces"]))
    assert [asked.url for asked in requests_mock.request_history] == [
        f"{SHOP}/",
        f"{SHOP}/wp-json/?_fields=namespaces",
    ]
    assert guard.entered == 2
    assert all(asked.headers["User-Agent"] == "Tillwire" for asked in requests_mock.request_history)


@pytest.mark.parametrize(
    ("api", "url"),
    [
        (f"{SHOP}/wp-json/", SHOP),
        (f"{SHOP}/winkel/wp-json/", f"{SHOP}/winkel"),
        ("https://www.shop.example/wp-json/", "https://www.shop.example"),
        ("http://shop.example/wp-json/", SHOP),
        ("/wp-json/", SHOP),
        ("https://[/wp-json/", SHOP),
    ],
)
def test_the_header_says_where_the_api_is(requests_mock: Mocker, explorer: Explorer, api: str, url: str) -> None:
    home(requests_mock, api)
    index(requests_mock, f"{url}/wp-json/")
    assert explorer.find(SHOP).url == url


@pytest.mark.parametrize(
    "api", [f"{SHOP}/?rest_route=/", f"{SHOP}/index.php?rest_route=/", f"{SHOP}/index.php/wp-json/"]
)
def test_plain_permalinks_are_told_by_the_header(requests_mock: Mocker, explorer: Explorer, api: str) -> None:
    home(requests_mock, api)
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert raised.value.obstacle is Obstacle.PLAIN_PERMALINKS


@pytest.mark.parametrize("to", ["https://www.shop.example/", "https://www.shop.example/nl/?lang=nl", "/nl/"])
def test_redirects_to_the_same_store_are_followed(requests_mock: Mocker, explorer: Explorer, to: str) -> None:
    requests_mock.get(f"{SHOP}/", status_code=301, headers={"Location": to})
    there = "https://www.shop.example" if "www" in to else SHOP
    requests_mock.get(to if "//" in to else f"{SHOP}{to}", text=HTML)
    index(requests_mock, f"{there}/wp-json/")
    assert explorer.find(SHOP).url == there


@pytest.mark.parametrize(
    ("to", "address"),
    [
        ("https://other.example/wp-login.php?a=b", "https://other.example"),
        ("https://shop.example.evil.example/", "https://shop.example.evil.example"),
        ("https://shop.example:8443/", "https://shop.example:8443"),
        ("http://shop.example/", None),
        ("https://user:pw@shop.example/", None),
        ("file:///etc/passwd", None),
        ("https://[/", None),
    ],
)
def test_redirects_elsewhere_are_told_and_not_followed(
    requests_mock: Mocker, explorer: Explorer, to: str, address: str | None
) -> None:
    requests_mock.get(f"{SHOP}/", status_code=302, headers={"Location": to})
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert (raised.value.obstacle, raised.value.address) == (Obstacle.ELSEWHERE, address)
    assert requests_mock.call_count == 1


def test_redirects_end(requests_mock: Mocker, explorer: Explorer) -> None:
    requests_mock.get(f"{SHOP}/", status_code=302, headers={"Location": "/"})
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert (raised.value.obstacle, requests_mock.call_count) == (Obstacle.BROKEN, 5)


def test_an_api_of_another_host_is_not_called(requests_mock: Mocker, explorer: Explorer) -> None:
    home(requests_mock, "https://other.example/wp-json/")
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert (raised.value.obstacle, raised.value.address) == (Obstacle.ELSEWHERE, "https://other.example")
    assert requests_mock.call_count == 1


NOT_SIGNED_IN = {"code": "rest_not_logged_in", "message": "", "data": {"status": 401}}


@pytest.mark.parametrize(
    ("first", "second", "obstacle"),
    [
        ({}, {"status_code": 200, "text": HTML}, Obstacle.BLOCKED),
        ({}, {"status_code": 403, "text": HTML}, Obstacle.BLOCKED),
        ({}, {"status_code": 301, "headers": {"Location": "/"}}, Obstacle.BLOCKED),
        ({}, {"status_code": 401, "json": NOT_SIGNED_IN}, Obstacle.BLOCKED),
        ({"status_code": 401}, {"status_code": 401, "json": NOT_SIGNED_IN}, Obstacle.BLOCKED),
        ({"status_code": 401}, {"status_code": 401, "text": HTML}, Obstacle.PASSWORD),
        ({}, {"status_code": 503}, Obstacle.MAINTENANCE),
        ({}, {"status_code": 500}, Obstacle.BROKEN),
        ({}, {"status_code": 429}, Obstacle.BROKEN),
        ({}, {"json": {"namespaces": ["wp/v2"]}}, Obstacle.NO_WOOCOMMERCE),
        ({}, {"json": {"namespaces": ["wc/v2"]}}, Obstacle.NO_WOOCOMMERCE),
        ({}, {"json": {"namespaces": []}}, Obstacle.BLOCKED),
        ({}, {"json": {"namespaces": "wc/v3"}}, Obstacle.BLOCKED),
        ({}, {"json": []}, Obstacle.BLOCKED),
        ({}, {"status_code": 404, "text": HTML}, Obstacle.NO_WORDPRESS),
    ],
)
def test_what_stands_in_the_way_has_a_name(
    requests_mock: Mocker, explorer: Explorer, first: dict[str, Any], second: dict[str, Any], obstacle: Obstacle
) -> None:
    requests_mock.get(f"{SHOP}/", **{"text": HTML, **first})
    index(requests_mock, **second)
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert raised.value.obstacle is obstacle


def test_an_api_that_only_answers_by_query_means_plain_permalinks(requests_mock: Mocker, explorer: Explorer) -> None:
    requests_mock.get(f"{SHOP}/", text=HTML)
    index(requests_mock, status_code=404)
    requests_mock.get(f"{SHOP}/?rest_route=/", json=INDEX)
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert raised.value.obstacle is Obstacle.PLAIN_PERMALINKS


@pytest.mark.parametrize(
    ("error", "obstacle"),
    [
        (requests.ConnectTimeout("secret"), Obstacle.UNREACHABLE),
        (requests.ConnectionError("secret"), Obstacle.UNREACHABLE),
        (TimeoutError("deadline"), Obstacle.UNREACHABLE),
        (requests.exceptions.SSLError("secret"), Obstacle.CERTIFICATE),
    ],
)
def test_no_answer_has_two_names(
    requests_mock: Mocker, explorer: Explorer, error: Exception, obstacle: Obstacle
) -> None:
    requests_mock.get(f"{SHOP}/", exc=error)
    with pytest.raises(NoStore) as raised:
        explorer.find(SHOP)
    assert (raised.value.obstacle, str(raised.value)) == (obstacle, str(obstacle))


def test_an_endless_index_is_left(requests_mock: Mocker, explorer: Explorer) -> None:
    home(requests_mock)
    index(requests_mock, content=b" " * (2**20 + 1))
    with pytest.raises(StoreError, match="more than 1048576 bytes"):
        explorer.find(SHOP)
