from __future__ import annotations

import gzip
import json
import logging
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests_mock import Mocker

from connectors.base import Names
from connectors.events import Refund, RefundLine
from connectors.woocommerce import answers, client
from connectors.woocommerce.answers import documented
from connectors.woocommerce.client import (
    Store,
    StoreAnswer,
    StoreError,
    StoreUnauthorized,
    StoreUnavailable,
    store_url,
)
from connectors.woocommerce.normalize import read_order
from connectors.woocommerce.orders import fetch_refunds
from connectors.woocommerce.refunds import read_answer
from tests.connectors.woocommerce_fixtures import FOLDER, order_of, written

KEY, SECRET = "ck_" + "a1" * 20, "cs_" + "b2" * 20
ORDER = "https://shop.example/wp-json/wc/v3/orders/6100234500001"
REFUNDS = f"{ORDER}/refunds"
TWO_REFUNDS = json.loads((FOLDER / "rest__refunds.json").read_text(encoding="utf-8"))
SHIPPING_REFUND = Refund(
    id="9100046",
    amount=D("27.83"),
    created_at=datetime(2026, 3, 6, 8, tzinfo=UTC),
    lines=(RefundLine(line_id="102", quantity=D(1), net=D("18.00"), tax=D("3.78"), gross=D("21.78")),),
    shipping=D("6.05"),
    amount_source="total",
)
MUG_REFUND = Refund(
    id="9100045",
    amount=D("43.56"),
    created_at=datetime(2026, 3, 5, 14, 20, tzinfo=UTC),
    note="One mug broken",
    lines=(RefundLine(line_id="101", quantity=D(1), net=D("36.00"), tax=D("7.56"), gross=D("43.56")),),
    amount_source="total",
)


class Naps(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def store(naps: Naps) -> Store:
    return Store("https://shop.example/", KEY, SECRET, session=requests.Session(), sleep=naps)


def refunds(store: Store, order_id: str) -> list[Refund]:
    return documented(lambda: read_answer(fetch_refunds(store, order_id)))


def refund(**fields: Any) -> dict[str, Any]:
    return {"id": 5, "amount": "5.00", "reason": "", "line_items": [], "shipping_lines": []} | fields


def test_refunds_name_the_lines_of_the_order(requests_mock: Mocker, store: Store) -> None:
    requests_mock.get(REFUNDS, json=TWO_REFUNDS)
    assert refunds(store, "6100234500001") == [MUG_REFUND, SHIPPING_REFUND]


def test_the_question_carries_the_keys_in_its_header_alone(requests_mock: Mocker, store: Store) -> None:
    requests_mock.get(REFUNDS, json=[])
    assert refunds(store, "6100234500001") == []
    asked = requests_mock.last_request
    assert asked is not None
    assert parse_qs(urlsplit(asked.url).query) == {"per_page": ["100"], "page": ["1"]}
    assert asked.headers["Authorization"].startswith("Basic ")
    assert (asked.headers["User-Agent"], asked.timeout) == ("Tillwire", (5.0, 20))


def test_pages_are_counted_by_us(requests_mock: Mocker, store: Store) -> None:
    full = [refund(id=number) for number in range(200, 100, -1)]
    requests_mock.get(REFUNDS, [{"json": full}, {"json": [refund(id=7)]}])
    found = refunds(store, "6100234500001")
    assert [each.id for each in found] == ["7", *(str(number) for number in range(101, 201))]
    assert [asked.qs["page"] for asked in requests_mock.request_history] == [["1"], ["2"]]


def test_a_store_that_never_ends_is_left(requests_mock: Mocker, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_PAGES", 2)
    requests_mock.get(REFUNDS, json=[refund()] * 100)
    with pytest.raises(StoreAnswer, match="more than 200 entries"):
        refunds(store, "6100234500001")


def test_a_refund_of_an_amount_alone_has_no_lines_and_that_is_known(requests_mock: Mocker, store: Store) -> None:
    requests_mock.get(REFUNDS, json=[refund()])
    assert refunds(store, "6100234500001") == [Refund(id="5", amount=D("5.00"), amount_source="total")]


def test_a_line_that_names_no_line_of_the_order_leaves_the_lines_unknown(requests_mock: Mocker, store: Store) -> None:
    line = {"id": 9, "quantity": -1, "total": "-4.00", "total_tax": "-1.00", "meta_data": []}
    requests_mock.get(REFUNDS, json=[refund(line_items=[line])])
    assert refunds(store, "6100234500001") == [
        Refund(id="5", amount=D("5.00"), lines_known=False, amount_source="total")
    ]


def test_fees_are_given_back_as_lines_and_lines_of_nothing_are_left_out(requests_mock: Mocker, store: Store) -> None:
    fee = {"id": 8, "total": "-4.00", "total_tax": "-1.00", "meta_data": [{"key": "_refunded_item_id", "value": 4}]}
    nothing = {"id": 9, "quantity": 0, "total": "0.00", "meta_data": [{"key": "_refunded_item_id", "value": "3"}]}
    requests_mock.get(REFUNDS, json=[refund(line_items=[nothing], fee_lines=[fee])])
    lines = (RefundLine(line_id="4", quantity=D(0), net=D("4.00"), tax=D("1.00"), gross=D("5.00")),)
    assert refunds(store, "6100234500001")[0].lines == lines


def test_an_order_reads_as_its_webhook_does(requests_mock: Mocker, store: Store) -> None:
    requests_mock.get(ORDER, content=(FOLDER / "order.updated__worked_a.json").read_bytes())
    order = order_of(written("order.updated__worked_a"))
    assert read_order(store.get("orders/6100234500001", {}), Names()) == order


# --- what can go wrong ------------------------------------------------------------------------------------------------

HTML = "<html>Are you human?</html>"
NOT_VIEW = {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 401}}


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ({"status_code": 401, "json": NOT_VIEW}, StoreUnauthorized, "401, woocommerce_rest_cannot_view"),
        ({"status_code": 403, "text": HTML}, StoreUnauthorized, "403, no error code of WooCommerce"),
        ({"status_code": 301, "headers": {"Location": "https://www.shop.example/"}}, StoreAnswer, "wrong store URL"),
        ({"status_code": 308}, StoreAnswer, "wrong store URL"),
        ({"status_code": 404, "json": {"code": "woocommerce_rest_shop_order_invalid_id"}}, StoreAnswer, "404"),
        ({"status_code": 404, "text": HTML}, StoreAnswer, "404"),
        ({"status_code": 418, "json": {"code": "Bad code: ck_1"}}, StoreAnswer, "418, no error code of WooCommerce"),
        ({"status_code": 202, "text": HTML}, StoreAnswer, "202"),
        ({"status_code": 200, "text": HTML}, StoreAnswer, "not what WooCommerce documents: \\$: not JSON"),
        ({"status_code": 200, "text": ""}, StoreAnswer, "not JSON"),
        ({"status_code": 200, "json": {"a": 1}}, StoreAnswer, "expected a list"),
        ({"status_code": 200, "json": [{"id": 1}]}, StoreAnswer, "amount: expected a number"),
        ({"status_code": 200, "json": [1]}, StoreAnswer, "expected an object"),
        ({"status_code": 500, "text": HTML}, StoreUnavailable, "500"),
        ({"exc": requests.exceptions.SSLError("secret")}, StoreUnavailable, "SSLError$"),
        ({"exc": requests.ConnectionError("secret")}, StoreUnavailable, "ConnectionError$"),
        ({"exc": requests.exceptions.InvalidURL("secret")}, StoreAnswer, "wrong store URL: .*InvalidURL$"),
    ],
)
def test_answers_that_are_not_asked_for_again(
    requests_mock: Mocker, store: Store, naps: Naps, answer: dict[str, Any], error: type[StoreError], text: str
) -> None:
    requests_mock.get(REFUNDS, **answer)
    with pytest.raises(error, match=text) as raised:
        refunds(store, "6100234500001")
    assert raised.value.status in (None, answer.get("status_code"))
    assert (requests_mock.call_count, naps) == (1, [])


PASSING = [
    {"status_code": 429},
    {"status_code": 502},
    {"status_code": 503},
    {"status_code": 504},
    {"exc": requests.ConnectTimeout},
    {"exc": requests.ReadTimeout},
]


@pytest.mark.parametrize("answer", PASSING)
def test_what_passes_is_asked_twice_more(
    requests_mock: Mocker, store: Store, naps: Naps, answer: dict[str, Any]
) -> None:
    requests_mock.get(REFUNDS, **answer)
    with pytest.raises(StoreUnavailable):
        refunds(store, "6100234500001")
    assert (requests_mock.call_count, naps) == (3, [1.0, 2.0])


@pytest.mark.parametrize("answer", PASSING)
def test_what_has_passed_is_answered(requests_mock: Mocker, store: Store, answer: dict[str, Any]) -> None:
    requests_mock.get(REFUNDS, [answer, answer, {"json": TWO_REFUNDS}])
    assert refunds(store, "6100234500001") == [MUG_REFUND, SHIPPING_REFUND]


@pytest.mark.parametrize(
    ("header", "calls", "slept", "retry_after"),
    [
        ("5", 3, [5.0, 5.0], 5.0),
        ("0", 3, [1.0, 2.0], 0.0),
        ("11", 1, [], 11.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 3, [1.0, 2.0], None),
        ("-1", 3, [1.0, 2.0], None),
    ],
)
def test_a_store_says_how_long_to_wait(
    requests_mock: Mocker, store: Store, naps: Naps, header: str, calls: int, slept: list[float], retry_after: float
) -> None:
    requests_mock.get(REFUNDS, status_code=429, headers={"Retry-After": header})
    with pytest.raises(StoreUnavailable) as raised:
        refunds(store, "6100234500001")
    assert (requests_mock.call_count, naps, raised.value.retry_after) == (calls, slept, retry_after)


def test_an_answer_is_read_up_to_a_size_decompressed(
    requests_mock: Mocker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = gzip.compress(json.dumps(TWO_REFUNDS).encode())
    requests_mock.get(REFUNDS, content=body, headers={"Content-Encoding": "gzip"})
    assert len(refunds(store, "6100234500001")) == 2
    monkeypatch.setattr(answers, "LARGEST_ANSWER", 1000)
    assert len(body) < 1000
    with pytest.raises(StoreAnswer, match="more than 1000 bytes"):
        refunds(store, "6100234500001")


def test_a_damaged_compression_is_no_answer(requests_mock: Mocker, store: Store) -> None:
    requests_mock.get(REFUNDS, content=b"no gzip", headers={"Content-Encoding": "gzip"})
    with pytest.raises(StoreUnavailable, match=r"DecodeError$"):
        refunds(store, "6100234500001")


def test_an_answer_that_never_ends_is_left(
    requests_mock: Mocker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LONGEST_ANSWER", -1.0)
    requests_mock.get(REFUNDS, json=[])
    with pytest.raises(StoreUnavailable, match="not all of the answer"):
        refunds(store, "6100234500001")


@pytest.mark.parametrize("order_id", ["", "1/../2", "1?a=b", "١", "-1", "a"])
def test_an_order_is_a_number(store: Store, order_id: str) -> None:
    with pytest.raises(StoreAnswer, match="an order's id is a number"):
        refunds(store, order_id)


# --- the address and the keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://shop.example", "https://shop.example"),
        (" HTTPS://Shop.Example/ ", "https://shop.example"),
        ("https://shop.example:8443/winkel/", "https://shop.example:8443/winkel"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
    ],
)
def test_addresses_have_one_form(typed: str, url: str) -> None:
    assert store_url(typed) == url


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "shop.example",
        "http://shop.example",
        "ftp://shop.example",
        "httpsx://shop.example",
        "https://",
        "https://user:pw@shop.example",
        "https://@shop.example",
        "https://shop.example/?a=1",
        "https://shop.example/#a",
        "https://shop.example:99999",
        "https://[shop",
    ],
)
def test_addresses_that_no_store_has(typed: str) -> None:
    with pytest.raises(StoreAnswer, match="wrong store URL"):
        store_url(typed)


def test_http_only_where_it_is_allowed_and_then_without_the_secret(requests_mock: Mocker) -> None:
    with pytest.raises(StoreAnswer):
        Store("http://127.0.0.1:8080", KEY, SECRET, session=requests.Session())
    requests_mock.get("http://127.0.0.1:8080/wp-json/wc/v3/orders/1/refunds", json=[])
    plain = Store("http://127.0.0.1:8080", KEY, SECRET, session=requests.Session(), allow_http=True)
    assert refunds(plain, "1") == []
    asked = requests_mock.last_request
    assert asked is not None
    assert "oauth_signature" in asked.url
    assert SECRET not in asked.url


@pytest.mark.parametrize(("key", "secret"), [("", SECRET), (KEY, ""), ("ck é", SECRET), (KEY, "cs\n")])
def test_keys_that_no_store_gave(key: str, secret: str) -> None:
    with pytest.raises(StoreUnauthorized):
        Store("https://shop.example", key, secret, session=requests.Session())


@pytest.mark.parametrize("answer", [{"exc": requests.ConnectionError(KEY)}, {"status_code": 401, "text": SECRET}])
def test_no_key_is_in_errors_or_logs(
    requests_mock: Mocker, store: Store, answer: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    requests_mock.get(REFUNDS, **answer)
    with pytest.raises(StoreError) as raised:
        refunds(store, "6100234500001")
    told = f"{raised.value!r} {raised.value.__cause__!r} {store!r} {caplog.text}"
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert KEY not in told
    assert SECRET not in told
    assert repr(store) == "Store('https://shop.example')"
