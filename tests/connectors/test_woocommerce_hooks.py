"""A store's webhooks, listed, made and deleted by REST."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests_mock import Mocker

from connectors.woocommerce.client import Store, StoreAnswer, StoreUnauthorized, StoreUnavailable
from connectors.woocommerce.hooks import NO_SUCH_TOPIC, Hook

KEY, SECRET = "ck_" + "a1" * 20, "cs_" + "b2" * 20
HOOKS = "https://shop.example/wp-json/wc/v3/webhooks"
WANTED = {
    "name": "Tillwire: order.updated",
    "topic": "order.updated",
    "delivery_url": "https://tillwire.example/webhooks/woocommerce/abc",
    "secret": "0f" * 32,
}


def made(**fields: Any) -> dict[str, Any]:
    """As WooCommerce shows a webhook: without its secret."""
    return {
        "id": 142,
        "name": WANTED["name"],
        "status": "active",
        "topic": WANTED["topic"],
        "resource": "order",
        "event": "updated",
        "hooks": ["woocommerce_update_order"],
        "delivery_url": WANTED["delivery_url"],
        "date_created": "2026-11-21T09:00:00",
    } | fields


HOOK = Hook(id="142", topic="order.updated", status="active", delivery_url=WANTED["delivery_url"])


def store(**options: Any) -> Store:
    return Store("https://shop.example", KEY, SECRET, session=requests.Session(), waits=(), **options)


def test_all_webhooks_are_listed_page_by_page_whatever_their_status(requests_mock: Mocker) -> None:
    page = [made(id=number) for number in range(1, 101)]
    requests_mock.get(HOOKS, [{"json": page}, {"json": [made(topic="", status="disabled")]}])
    found = store().webhooks()
    assert len(found) == 101
    assert found[-1] == Hook(id="142", topic=None, status="disabled", delivery_url=WANTED["delivery_url"])
    assert [asked.qs for asked in requests_mock.request_history] == [
        {"status": ["all"], "per_page": ["100"], "page": [str(number)]} for number in (1, 2)
    ]


def test_a_webhook_that_moved_to_the_next_page_meanwhile_is_listed_once(requests_mock: Mocker) -> None:
    page = [made(id=number) for number in range(1, 101)]
    requests_mock.get(HOOKS, [{"json": page}, {"json": [made(id=100), made(id=101)]}])
    assert [hook.id for hook in store().webhooks()] == [str(number) for number in range(1, 102)]


def test_a_webhook_is_made_with_a_secret_of_ours(requests_mock: Mocker) -> None:
    requests_mock.post(HOOKS, status_code=201, json=made())
    assert store().create_webhook(**WANTED) == HOOK
    asked = requests_mock.request_history[0]
    assert json.loads(asked.body) == WANTED
    assert asked.headers["Content-Type"] == "application/json;charset=utf-8"


@pytest.mark.parametrize("fields", [{"topic": ""}, {"topic": "order.created"}, {"delivery_url": "https://a.example"}])
def test_another_webhook_than_was_asked_for_is_an_error_and_does_not_stay(
    requests_mock: Mocker, fields: dict[str, str]
) -> None:
    requests_mock.post(HOOKS, status_code=201, json=made(**fields))
    deleted = requests_mock.delete(f"{HOOKS}/142", json=made())
    with pytest.raises(StoreAnswer, match="another webhook"):
        store().create_webhook(**WANTED)
    assert deleted.call_count == 1


def test_a_topic_that_a_store_does_not_know_has_its_code(requests_mock: Mocker) -> None:
    requests_mock.post(HOOKS, status_code=400, json={"code": NO_SUCH_TOPIC, "message": "", "data": {"status": 400}})
    with pytest.raises(StoreAnswer) as raised:
        store().create_webhook(**WANTED)
    assert (raised.value.status, raised.value.code) == (400, NO_SUCH_TOPIC)


@pytest.mark.parametrize("answer", [{"status_code": 503}, {"exc": requests.ReadTimeout}])
def test_nothing_that_changes_the_store_is_tried_twice(requests_mock: Mocker, answer: dict[str, Any]) -> None:
    requests_mock.post(HOOKS, **answer)
    requests_mock.delete(f"{HOOKS}/142", **answer)
    patient = Store("https://shop.example", KEY, SECRET, session=requests.Session(), sleep=lambda _: None)
    with pytest.raises(StoreUnavailable):
        patient.create_webhook(**WANTED)
    with pytest.raises(StoreUnavailable):
        patient.delete_webhook("142")
    assert requests_mock.call_count == 2


def test_deleting_is_forced_and_what_is_gone_is_as_good(requests_mock: Mocker) -> None:
    gone = {"code": "woocommerce_rest_shop_webhook_invalid_id", "message": "", "data": {"status": 404}}
    requests_mock.delete(f"{HOOKS}/142", [{"json": made()}, {"status_code": 404, "json": gone}])
    store().delete_webhook("142")
    store().delete_webhook("142")
    assert [asked.qs for asked in requests_mock.request_history] == [{"force": ["true"]}] * 2


@pytest.mark.parametrize("answer", [{"status_code": 501, "json": {"code": "woocommerce_rest_trash_not_supported"}}])
def test_what_was_not_deleted_is_told(requests_mock: Mocker, answer: dict[str, Any]) -> None:
    requests_mock.delete(f"{HOOKS}/142", **answer)
    with pytest.raises(StoreUnavailable, match="501"):
        store().delete_webhook("142")


def test_keys_are_proved_by_orders_and_webhooks(requests_mock: Mocker) -> None:
    orders = "https://shop.example/wp-json/wc/v3/orders"
    requests_mock.get(orders, json=[{"id": 7}])
    requests_mock.get(HOOKS, json=[])
    store().prove()
    requests_mock.get(HOOKS, status_code=403, json={"code": "woocommerce_rest_cannot_view"})
    with pytest.raises(StoreUnauthorized) as raised:
        store().prove()
    assert (raised.value.status, raised.value.code) == (403, "woocommerce_rest_cannot_view")


@pytest.mark.parametrize(
    "answer", [{"text": "<html>"}, {"json": {}}, {"json": [{}]}, {"json": {"code": "a", "message": "b"}}]
)
def test_status_200_alone_proves_nothing(requests_mock: Mocker, answer: dict[str, Any]) -> None:
    requests_mock.get("https://shop.example/wp-json/wc/v3/orders", **answer)
    requests_mock.get(HOOKS, json=[])
    with pytest.raises(StoreAnswer):
        store().prove()


def test_for_hosts_that_drop_the_header_the_keys_stand_in_the_query(requests_mock: Mocker) -> None:
    requests_mock.get(HOOKS, json=[])
    store(auth="query").webhooks()
    asked = requests_mock.request_history[0]
    assert "Authorization" not in asked.headers
    query = parse_qs(urlsplit(asked.url).query)
    assert (query["consumer_key"], query["consumer_secret"]) == ([KEY], [SECRET])


def test_a_link_key_goes_to_our_plugins_route(requests_mock: Mocker) -> None:
    requests_mock.post("https://shop.example/wp-json/wc-tillwire/v1/link-key", json={"kid": "k"})
    store().give_link_key("k", "s", "https://tillwire.example")
    assert requests_mock.request_history[0].json() == {"kid": "k", "secret": "s", "aud": "https://tillwire.example"}


class Refusing(requests.Session):
    def request(self, *_: Any, **__: Any) -> requests.Response:
        raise requests.ConnectionError("this session reaches nobody")


def test_the_librarys_calls_go_through_our_session_alone(requests_mock: Mocker) -> None:
    requests_mock.get(HOOKS, json=[])
    closed = Store("https://shop.example", KEY, SECRET, session=Refusing(), waits=())
    with pytest.raises(StoreUnavailable):
        closed.webhooks()
    assert (requests_mock.call_count, store().webhooks()) == (0, [])
