"""The pages that connect a WooCommerce store, and the store's callback, over HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from app.metrics import REGISTRY
from app.models import ConnectAttempt, Shop
from tests.walks import Walks, state_of

FORM, CALLBACK = "/connect/woocommerce", "/connect/woocommerce/callback"


@pytest.fixture
def walks(tmp_path: Path, database_url: str) -> Iterator[Walks]:
    with Walks(tmp_path, database_url) as walks:
        walks.app.config["RATELIMIT_ENABLED"] = False
        yield walks


def test_a_merchant_connects_a_store_with_one_form_and_one_approval(walks: Walks) -> None:
    client = walks.client()
    sent = walks.post(client, FORM, address=walks.store.url)
    assert sent.status_code == 303
    approved = walks.store.approve(sent.location)
    assert approved.status_code == 302
    back = urlsplit(approved.headers["Location"])
    returned = client.get(f"{back.path}?{back.query}")
    assert (returned.status_code, returned.location) == (303, "/connect/woocommerce/attempts/1")
    page = client.get(returned.location)
    assert (page.status_code, page.location) == (303, "/shops/1")
    assert client.get(page.location).status_code == 200
    assert walks.connection(1).state == "connected"


def test_the_page_may_lead_to_the_store_and_is_not_kept(walks: Walks) -> None:
    page = walks.client().get(FORM)
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self' https: http:;" in policy
    assert "frame-ancestors 'none'" in policy
    assert (page.headers["Referrer-Policy"], page.headers["Cache-Control"]) == ("no-referrer", "no-store")


def test_an_address_that_is_none_is_told_beside_the_field(walks: Walks) -> None:
    answer = walks.post(walks.client(), FORM, address='"><script>')
    text = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert "This is no address of a store: type it as it stands in the browser, like https://shop.example" in text
    assert "<script>" not in text.partition("<main")[2]


def test_an_address_that_is_not_the_stores_own_is_shown_before_the_walk(
    walks: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.woocommerce_connect.found_at", lambda *_: "https://www.shop.example")
    answer = walks.post(walks.client(), FORM, address="shop.example")
    text = answer.get_data(as_text=True)
    assert (answer.status_code, "<strong>https://www.shop.example</strong>" in text) == (200, True)
    assert 'href="https://www.shop.example/wc-auth/v1/authorize?' in text


def test_a_store_that_is_connected_by_somebody_else_gets_the_same_answers(walks: Walks) -> None:
    client = walks.client(walks.new_account("eve@other.example"))
    before = walks.post(client, FORM, address=walks.store.url)
    walks.connect()
    after = walks.post(client, FORM, address=walks.store.url)
    assert (before.status_code, len(before.location)) == (after.status_code, len(after.location))
    assert client.get("/shops/1").status_code == client.get("/shops/99").status_code == 404


@pytest.mark.parametrize("path", [FORM, f"{FORM}/manual", f"{FORM}/return?user_id=a", f"{FORM}/attempts/1"])
def test_nobody_unknown_sees_the_pages(walks: Walks, path: str) -> None:
    answer = walks.app.test_client().get(path)
    assert (answer.status_code, answer.location) == (303, "/sign-in")


@pytest.mark.parametrize("path", [FORM, f"{FORM}/manual"])
def test_a_form_without_its_token_changes_nothing(walks: Walks, path: str) -> None:
    answer = walks.client().post(path, data={"address": walks.store.url, "key": "a", "secret": "b"})
    assert (answer.status_code, walks.store.calls(), walks.rows(ConnectAttempt)) == (400, [], [])


def test_another_accounts_attempt_is_not_there(walks: Walks) -> None:
    walks.post(walks.client(), FORM, address=walks.store.url)
    other = walks.client(walks.new_account("eve@other.example"))
    assert other.get(f"{FORM}/attempts/1").status_code == 404
    assert other.get(f"{FORM}/attempts/2").status_code == 404


def test_who_comes_back_with_another_account_gains_nothing(walks: Walks) -> None:
    sent = walks.post(walks.client(), FORM, address=walks.store.url)
    back = urlsplit(walks.store.approve(sent.location).headers["Location"])
    other = walks.client(walks.new_account("eve@other.example"))
    assert other.get(f"{back.path}?{back.query}").status_code == 404
    assert walks.rows(Shop) == []
    mine = walks.client().get(f"{FORM}/attempts/1").get_data(as_text=True)
    assert "It was approved in the browser of another account." in mine


def test_a_refusal_at_the_store_leads_to_a_page_that_says_so(walks: Walks) -> None:
    client = walks.client()
    sent = walks.post(client, FORM, address=walks.store.url)
    back = urlsplit(walks.store.deny(sent.location))
    page = client.get(f"{back.path}?{back.query}", follow_redirects=True)
    assert "You did not approve it in your store. Nothing was changed." in page.get_data(as_text=True)


def test_while_the_keys_are_on_their_way_the_page_looks_again(walks: Walks) -> None:
    client = walks.client()
    walks.store.callback_late = True
    sent = walks.post(client, FORM, address=walks.store.url)
    back = urlsplit(walks.store.approve(sent.location).headers["Location"])
    page = client.get(f"{back.path}?{back.query}", follow_redirects=True).get_data(as_text=True)
    assert '<meta http-equiv="refresh" content="4">' in page
    walks.store.send_callbacks()
    assert client.get(f"{FORM}/attempts/1").location == "/shops/1"


# --- the callback -----------------------------------------------------------------------------------------------------


def count(result: str) -> float:
    return REGISTRY.get_sample_value("tillwire_connects_total", {"platform": "woocommerce", "result": result}) or 0.0


def test_the_callback_answers_exactly_200_and_calls_nobody(walks: Walks) -> None:
    sent = walks.post(walks.client(), FORM, address=walks.store.url)
    calls, taken = len(walks.store.calls()), count("keys taken")
    body = {
        "key_id": 1,
        "user_id": state_of(sent.location),
        "consumer_key": "ck_" + "a1" * 20,
        "consumer_secret": "cs_" + "b2" * 20,
        "key_permissions": "read_write",
    }
    url = walks.config.public_url + CALLBACK
    headers = {"Content-Type": "application/json;charset=UTF-8"}
    for _ in range(2):
        answer = requests.post(url, data=json.dumps(body), headers=headers, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {"status": "taken"})
    assert (len(walks.store.calls()), count("keys taken")) == (calls, taken + 2)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"user_id": "' + b"x" * 43 + b'"}', b"[" * 100_000, b"\x00\xff"])
def test_whatever_else_reaches_the_callback_gets_one_answer(walks: Walks, body: bytes) -> None:
    before = count("keys refused")
    answer = walks.app.test_client().post(CALLBACK, data=body, content_type="application/json")
    if len(body) > 8192:
        assert answer.status_code == 413
        return
    assert (answer.status_code, answer.get_json()) == (400, {"status": "refused"})
    assert count("keys refused") == before + 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_the_callback_takes_posts_alone(walks: Walks, method: str) -> None:
    assert walks.app.test_client().open(CALLBACK, method=method).status_code == 405


@pytest.mark.parametrize(("path", "most"), [(CALLBACK, 60), (FORM, 10)])
def test_whoever_knocks_too_often_must_wait(walks: Walks, path: str, most: int) -> None:
    walks.app.config["RATELIMIT_ENABLED"] = True
    client = walks.client()
    if path == FORM:
        answers = [walks.post(client, FORM, address="x").status_code for _ in range(most + 1)]
    else:
        answers = [client.post(path).status_code for _ in range(most + 1)]
    assert answers == [400] * most + [429]


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_keys_by_hand_begin_with_a_link_to_the_right_page(walks: Walks) -> None:
    client = walks.client()
    page = client.get(f"{FORM}/manual", query_string={"address": "https://shop.example/winkel/"}).get_data(as_text=True)
    assert (
        'href="https://shop.example/winkel/wp-admin/admin.php?page=wc-settings&amp;tab=advanced&amp;section=keys'
        '&amp;create-key=1"' in page
    )
    key = walks.store.make_key()
    manual = f"{FORM}/manual?address={walks.store.url}"
    fields = {"address": walks.store.url, "key": key.consumer_key, "secret": key.consumer_secret}
    answer = walks.post(client, f"{FORM}/manual", manual, **fields)
    assert (answer.status_code, answer.location) == (303, "/shops/1")


def test_a_wrong_secret_is_never_shown_again(walks: Walks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, secret = walks.client(), "cs_" + "0d" * 20
    manual = f"{FORM}/manual?address={walks.store.url}"
    key = walks.store.make_key().consumer_key
    answer = walks.post(client, f"{FORM}/manual", manual, address=walks.store.url, key=key, secret=secret)
    text = answer.get_data(as_text=True)
    assert (answer.status_code, "The store does not accept the key" in text) == (400, True)
    assert (secret in text, key in text, secret in caplog.text) == (False, False, False)
