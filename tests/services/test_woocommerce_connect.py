"""Connecting a WooCommerce store by wc-auth and by hand, against a made-up store over real HTTP."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import inspect, text, update

from app.models import AuditEntry, ConnectAttempt, Connection, Endpoint, Membership, Shop
from app.providers import wire
from app.services import woocommerce_prove
from app.services.connections import BEFORE_INSTALL
from app.services.errors import Failed, NotFound, Wrong
from app.services.stores import Stores, address_of, found_at
from app.services.woocommerce_connect import begin, come_back, look, take_keys
from app.services.woocommerce_prove import by_hand, prove, prove_due
from connectors.woocommerce.answers import StoreUnavailable
from connectors.woocommerce.client import Store
from tests.databases import Databases
from tests.walks import NOW, Walks, state_of

LATER = NOW + timedelta(minutes=5)
TOPICS = ["order.created", "order.deleted", "order.restored", "order.updated"]
Make = Callable[..., Walks]


@pytest.fixture
def make(tmp_path: Path, databases: Databases) -> Iterator[Make]:
    numbers = itertools.count()
    with ExitStack() as stack:

        def new(**habits: Any) -> Walks:
            url = stack.enter_context(databases.lend())
            return stack.enter_context(Walks(tmp_path / str(next(numbers)), url, **habits))

        yield new


@pytest.fixture
def walks(make: Make) -> Walks:
    return make()


def body_of(state: str, **changed: Any) -> bytes:
    whole = {
        "key_id": 1,
        "user_id": state,
        "consumer_key": "ck_" + "a1" * 20,
        "consumer_secret": "cs_" + "b2" * 20,
        "key_permissions": "read_write",
    }
    return json.dumps(whole | changed).encode()


# --- the walk ---------------------------------------------------------------------------------------------------------


def test_the_merchant_is_sent_to_the_store_with_everything_that_wc_auth_needs(walks: Walks) -> None:
    walk = begin(walks.stores, walks.account, f" {walks.store.url}/ ", NOW)
    assert walk.address == walks.store.url
    assert walk.authorize.startswith(f"{walks.store.url}/wc-auth/v1/authorize?")
    query = parse_qs(urlsplit(walk.authorize).query, strict_parsing=True)
    state = query.pop("user_id")[0]
    assert query == {
        "app_name": ["Tillwire (anna@shop.example)"],
        "scope": ["read_write"],
        "return_url": [f"{walks.config.public_url}/connect/woocommerce/return"],
        "callback_url": [f"{walks.config.public_url}/connect/woocommerce/callback"],
    }
    attempt = walks.rows(ConnectAttempt)[0]
    assert (attempt.state_hash, attempt.account_id, attempt.address) == (
        hashlib.sha256(state.encode()).hexdigest(),
        walks.account,
        walks.store.url,
    )
    assert (len(state), attempt.expires_at, attempt.secrets) == (43, NOW + timedelta(minutes=30), None)


def test_a_walk_connects_the_store(walks: Walks) -> None:
    shop_id = walks.connect()
    shop, connection = walks.shop(shop_id), walks.connection(shop_id)
    assert (shop.platform, shop.domain, shop.url) == (
        "woocommerce",
        walks.store.url.removeprefix("http://"),
        walks.store.url,
    )
    key = walks.keys()[0]
    assert walks.vault.open(connection.secrets) == {
        "consumer_key": key.consumer_key,
        "consumer_secret": key.consumer_secret,
    }
    known = (connection.state, connection.auth, connection.scopes, connection.generation, connection.trouble)
    assert known == ("connected", "basic", ["read_write"], 1, None)
    assert (connection.installed_at, connection.checked_at, connection.reconcile_at) == (NOW, NOW, NOW)
    assert (connection.check_at, connection.refreshing_until) == (NOW + timedelta(hours=1), None)
    endpoints = walks.living(shop_id)
    assert sorted(endpoints) == TOPICS
    assert walks.hooks() == [(topic, "active", walks.url(endpoints[topic])) for topic in TOPICS]
    assert [(each.account_id, each.shop_id) for each in walks.rows(Membership)] == [(walks.account, shop_id)]
    entries = [(each.shop_id, each.actor, each.action, each.before, each.after) for each in walks.rows(AuditEntry)]
    assert entries == [
        (
            shop_id,
            f"account:{walks.account}",
            "connect store",
            None,
            {"state": "connected", "address": walks.store.url, "keys": "set", "auth": "basic"},
        ),
        (shop_id, "tillwire", "make webhooks", None, {"topics": TOPICS}),
    ]
    attempt = walks.rows(ConnectAttempt)[0]
    assert (attempt.secrets, attempt.finished_at, attempt.shop_id, attempt.error) == (None, NOW, shop_id, None)
    assert walks.store.sentences() == []


def test_the_keys_may_come_after_the_browser(make: Make) -> None:
    walks = make(callback_late=True)
    state = walks.approved()
    waiting = come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    assert (waiting.shop_id, waiting.error, waiting.delivered) == (None, None, False)
    assert walks.store.send_callbacks() == [200]
    assert come_back(walks.stores, walks.account, state, refused=False, now=NOW).shop_id == 1


def test_a_callback_that_is_repeated_is_answered_alike_before_and_after_the_proof(make: Make) -> None:
    walks = make(callbacks=2)
    walk = begin(walks.stores, walks.account, walks.store.url, NOW)
    assert walks.store.approve(walk.authorize).status_code == 302
    state = state_of(walk.authorize)
    shop = come_back(walks.stores, walks.account, state, refused=False, now=NOW).shop_id
    key = walks.keys()[0]
    again = body_of(state, consumer_key=key.consumer_key, consumer_secret=key.consumer_secret)
    assert take_keys(walks.stores, again, NOW) is True
    other = body_of(state, consumer_key=key.consumer_key)
    assert take_keys(walks.stores, other, NOW) is False
    assert (shop, len(walks.store.webhooks()), walks.connection(1).generation) == (1, 4, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"user_id": "x" * 43},
        {"user_id": ""},
        {"user_id": ["a"]},
        {"consumer_key": "ck_" + "A1" * 20},
        {"consumer_key": None},
        {"consumer_secret": "cs_" + "b2" * 21},
        {"key_permissions": "read"},
        {"key_permissions": "write"},
        {"padding": "x" * 9000},
    ],
)
def test_what_no_store_sends_is_refused_and_changes_nothing(walks: Walks, changed: dict[str, Any]) -> None:
    state = state_of(begin(walks.stores, walks.account, walks.store.url, NOW).authorize)
    assert take_keys(walks.stores, body_of(state, **changed), NOW) is False
    attempt = walks.rows(ConnectAttempt)[0]
    assert (attempt.secrets, attempt.delivered_at) == (None, None)
    assert take_keys(walks.stores, body_of(state), NOW) is True


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"{" * 4000, b'{"user_id": 1e999}'])
def test_a_malformed_callback_is_refused(walks: Walks, body: bytes) -> None:
    assert take_keys(walks.stores, body, NOW) is False


def test_a_state_runs_out(walks: Walks) -> None:
    state = state_of(begin(walks.stores, walks.account, walks.store.url, NOW).authorize)
    assert take_keys(walks.stores, body_of(state), NOW + timedelta(minutes=30)) is False
    assert take_keys(walks.stores, body_of(state), NOW + timedelta(minutes=29)) is True


def test_a_state_is_used_once(walks: Walks) -> None:
    state = walks.approved()
    assert take_keys(walks.stores, body_of(state), NOW) is False
    come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    assert take_keys(walks.stores, body_of(state), NOW) is False
    assert walks.connection(1).state == "connected"


def test_a_store_deletes_the_key_of_a_walk_that_took_too_long(walks: Walks) -> None:
    walk = begin(walks.stores, walks.account, walks.store.url, NOW - timedelta(days=10_000))
    assert walks.store.approve(walk.authorize).status_code == 401
    assert walks.keys() == []


def test_keys_of_another_store_connect_nothing(make: Make) -> None:
    walks, other = make(), make()
    walk = begin(walks.stores, walks.account, walks.store.url, NOW)
    state = state_of(walk.authorize)
    callback = f"{walks.config.public_url}/connect/woocommerce/callback"
    assert other.store.forge_callback(callback, state, other.store.make_key()) == 200
    attempt = come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    assert (attempt.shop_id, attempt.error) == (
        None,
        "The store does not accept the key: it was revoked, its secret is another, or it may not read and write."
        " Nothing was changed.",
    )
    assert (walks.rows(Shop), walks.rows(Connection), walks.rows(ConnectAttempt)[0].secrets) == ([], [], None)
    assert other.store.calls() == []


def test_who_refuses_at_the_store_is_told_so(walks: Walks) -> None:
    walk = begin(walks.stores, walks.account, walks.store.url, NOW)
    back = walks.store.deny(walk.authorize)
    assert parse_qs(urlsplit(back).query)["success"] == ["0"]
    attempt = come_back(walks.stores, walks.account, state_of(back), refused=True, now=NOW)
    assert attempt.error == "You did not approve it in your store. Nothing was changed."
    assert take_keys(walks.stores, body_of(state_of(back)), NOW) is False


def test_what_was_approved_in_the_browser_of_another_account_connects_nothing(walks: Walks) -> None:
    state, other = walks.approved(), walks.new_account("eve@other.example")
    with pytest.raises(NotFound):
        come_back(walks.stores, other, state, refused=False, now=NOW)
    assert prove_due(walks.stores, LATER) == 0
    assert (walks.rows(Shop), walks.rows(Membership)) == ([], [])
    attempt = come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    assert attempt.error == "It was approved in the browser of another account."


def test_an_unknown_state_and_another_ones_attempt_look_alike(walks: Walks) -> None:
    begin(walks.stores, walks.account, walks.store.url, NOW)
    told = set()
    for account, number in ((walks.account, 99), (walks.account + 1, 1)):
        with pytest.raises(NotFound) as raised:
            look(walks.stores, account, number)
        told.add(str(raised.value))
    with pytest.raises(NotFound) as raised:
        come_back(walks.stores, walks.account, "x" * 43, refused=False, now=NOW)
    assert told | {str(raised.value)} == {
        "This connection was begun elsewhere or too long ago. Nothing was changed; begin again."
    }


def test_without_an_address_of_ours_nobody_is_sent_away(walks: Walks) -> None:
    with pytest.raises(Failed, match="PUBLIC_URL is not set"):
        begin(replace(walks.stores, public_url=""), walks.account, walks.store.url, NOW)


# --- the proof --------------------------------------------------------------------------------------------------------


def test_the_worker_proves_keys_whose_browser_never_came_back(walks: Walks) -> None:
    walks.approved()
    assert prove_due(walks.stores, NOW + timedelta(seconds=59)) == 0
    assert prove_due(walks.stores, LATER) == 1
    assert walks.connection(1).state == "connected"
    assert prove_due(walks.stores, LATER) == 0
    assert len(walks.store.webhooks()) == 4


def test_keys_that_nothing_opens_do_not_keep_the_others_waiting(make: Make) -> None:
    walks = make()
    walks.approved(now=NOW - timedelta(minutes=5))
    with walks.db.write() as session:
        session.execute(update(ConnectAttempt).values(secrets="sealed with a key that is gone"))
    walks.approved(walks.new_account("bob@shop.example"))
    assert prove_due(walks.stores, LATER) == 2
    assert [each.shop_id for each in walks.rows(ConnectAttempt)] == [None, 1]


def test_two_that_prove_at_once_connect_once(tmp_path: Path, either_url: str) -> None:
    with Walks(tmp_path, either_url) as walks:
        walks.approved()
        begun = threading.Barrier(4)

        def run() -> None:
            begun.wait()
            prove(walks.stores, 1, NOW)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert walks.connection(1).generation == 1
        assert [each.action for each in walks.rows(AuditEntry)] == ["connect store", "make webhooks"]
        assert (len(walks.store.webhooks()), len(walks.rows(Endpoint))) == (4, 4)


def test_two_accounts_that_connect_one_new_store_at_once_both_gain_it(tmp_path: Path, either_url: str) -> None:
    with Walks(tmp_path, either_url) as walks:
        accounts = [walks.account, walks.new_account("bob@shop.example")]
        for account in accounts:
            walks.approved(account)
        begun = threading.Barrier(2)

        def run(attempt: int) -> None:
            begun.wait()
            prove(walks.stores, attempt, NOW)

        threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted((each.account_id, each.shop_id) for each in walks.rows(Membership)) == [
            (accounts[0], 1),
            (accounts[1], 1),
        ]
        assert (len(walks.rows(Shop)), walks.connection(1).generation) == (1, 2)


def test_another_account_gains_a_store_by_proving_its_own_keys(walks: Walks) -> None:
    shop = walks.connect()
    before = walks.living(shop)
    other = walks.new_account("bob@shop.example")
    assert walks.connect(other, LATER) == shop
    assert {each.account_id for each in walks.rows(Membership, shop_id=shop)} == {walks.account, other}
    after = walks.living(shop)
    assert sorted(after) == TOPICS
    assert {each.token for each in before.values()}.isdisjoint({each.token for each in after.values()})
    assert walks.hooks() == [(topic, "active", walks.url(after[topic])) for topic in TOPICS]


def test_a_process_that_died_after_the_proof_leaves_a_store_whose_webhooks_are_made_soon(
    walks: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(woocommerce_prove, "check", lambda *_: None)
    shop = walks.connect()
    connection = walks.connection(shop)
    known = (connection.state, connection.check_at, connection.reconcile_at)
    assert known == ("connected", NOW + timedelta(minutes=2), NOW)
    assert walks.hooks() == []


def test_a_store_that_lets_nobody_make_webhooks_is_asked_for_its_orders_all_the_same(walks: Walks) -> None:
    refusal = {"code": "rest_invalid_param", "message": "", "data": {"status": 400}}
    fault = {"path": "/wc/v3/webhooks", "contains": "delivery_url", "kind": "400", "status": 400, "body": refusal}
    walks.store.set_faults([fault])
    shop = walks.connect()
    assert (walks.hooks(), walks.connection(shop).reconcile_at) == ([], NOW)


def test_a_store_that_does_not_answer_is_asked_again_for_a_day(walks: Walks) -> None:
    state = walks.approved()
    walks.store.set_faults([{"path": "/wp-json", "kind": "drop_before"}])
    waiting = come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    assert (waiting.shop_id, waiting.error, waiting.delivered) == (None, None, True)
    assert prove_due(walks.stores, NOW + timedelta(hours=23)) == 1
    assert walks.rows(ConnectAttempt)[0].finished_at is None
    assert prove_due(walks.stores, NOW + timedelta(hours=25)) == 1
    assert look(walks.stores, walks.account, 1).error == (
        "Tillwire could not reach your store from the internet. Check the address, and that the store is online and"
        " not on a private network; then try again. Nothing was changed."
    )


def test_a_store_that_does_not_answer_is_asked_less_often_the_longer_it_lasts(walks: Walks) -> None:
    walks.approved()
    walks.store.set_faults([{"path": "/wp-json", "kind": "drop_before"}])
    asked = []
    for minute in range(2, 300):
        if prove_due(walks.stores, NOW + timedelta(minutes=minute)):
            asked.append(minute)
    assert asked == [2, 4, 8, 16, 32, 64, 124, 184, 244]
    walks.store.set_faults([])
    assert prove_due(walks.stores, NOW + timedelta(minutes=304)) == 1
    assert walks.connection(1).state == "connected"


def test_keys_whose_proof_meets_a_bug_do_not_keep_the_others_waiting(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = make()
    walks.approved(now=NOW - timedelta(minutes=5))
    walks.approved(walks.new_account("bob@shop.example"))
    real = woocommerce_prove.prove

    def broken(stores: Stores, attempt_id: int, now: datetime) -> int | None:
        return real(stores, attempt_id, now) if attempt_id == 2 else 1 // 0

    monkeypatch.setattr(woocommerce_prove, "prove", broken)
    assert (prove_due(walks.stores, LATER), prove_due(walks.stores, LATER)) == (2, 0)
    assert [each.shop_id for each in walks.rows(ConnectAttempt)] == [None, 1]


def test_attempts_are_forgotten_in_the_end(walks: Walks) -> None:
    walks.connect()
    prove_due(walks.stores, NOW + timedelta(days=29))
    assert len(walks.rows(ConnectAttempt)) == 1
    prove_due(walks.stores, NOW + timedelta(days=31))
    assert walks.rows(ConnectAttempt) == []


def test_a_firewalls_page_with_status_200_is_no_proof(walks: Walks) -> None:
    state = walks.approved()
    walks.store.firewall = 200
    attempt = come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    assert attempt.error == (
        "Something in front of your store answered in place of WooCommerce: a firewall, or a security or cache plugin."
        " Let it pass requests to /wp-json/ (user agent Tillwire) and try again. Nothing was changed."
    )
    assert walks.rows(Shop) == []


# --- https, and where a name leads ------------------------------------------------------------------------------------

SHOP = "https://shop.example"


@pytest.fixture
def secure(make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Walks, Stores]]]:
    """A store at https://shop.example, for stores that must be public; this machine counts as public."""
    with pytest.MonkeyPatch.context() as patch:
        stack: list[Any] = []

        def new(**habits: Any) -> tuple[Walks, Stores]:
            walks = make(**{"tls": True, "names": ("shop.example", "www.shop.example"), "home": SHOP, **habits})
            assert walks.store.ca_file
            patch.setattr("certifi.where", lambda: walks.store.ca_file)
            patch.setattr(wire, "is_public", lambda address: address == "127.0.0.1")
            known = walks.store.known_as("shop.example", "www.shop.example")
            known.__enter__()
            stack.append(known)
            return walks, replace(walks.stores, allow_private=False)

        yield new
        for known in stack:
            known.__exit__(None, None, None)


def connect(walks: Walks, stores: Stores, address: str = SHOP) -> int:
    walk = begin(stores, walks.account, address, NOW)
    assert walks.store.approve(walk.authorize).status_code == 302
    attempt = come_back(stores, walks.account, state_of(walk.authorize), refused=False, now=NOW)
    assert attempt.shop_id is not None, attempt
    return attempt.shop_id


def test_over_https_the_keys_stand_in_the_header(secure: Callable[..., tuple[Walks, Stores]]) -> None:
    walks, stores = secure()
    assert walks.connection(connect(walks, stores)).auth == "basic"
    assert {call["auth"] for call in walks.store.calls() if "/wc/v3/" in call["path"]} == {"basic"}


def test_where_a_host_drops_the_header_the_keys_stand_in_the_query(
    secure: Callable[..., tuple[Walks, Stores]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "app")
    walks, stores = secure(strip_authorization=True)
    assert walks.connection(connect(walks, stores)).auth == "query"
    assert len(walks.store.webhooks()) == 4
    assert walks.keys()[0].consumer_secret not in caplog.text


def test_the_address_of_the_store_is_its_own_word(secure: Callable[..., tuple[Walks, Stores]]) -> None:
    _, stores = secure()
    assert found_at(stores, "www.shop.example") == SHOP


def test_a_name_that_leads_elsewhere_a_moment_later_is_not_called(
    secure: Callable[..., tuple[Walks, Stores]], monkeypatch: pytest.MonkeyPatch
) -> None:
    walks, stores = secure()
    walk = begin(stores, walks.account, SHOP, NOW)
    assert walks.store.approve(walk.authorize).status_code == 302
    monkeypatch.setattr(wire, "is_public", lambda address: False)
    before = len(walks.store.calls())
    attempt = come_back(stores, walks.account, state_of(walk.authorize), refused=False, now=NOW)
    assert (attempt.shop_id, attempt.error) == (
        None,
        "Tillwire could not reach your store from the internet. Check the address, and that the store is online and"
        " not on a private network; then try again. Nothing was changed.",
    )
    assert len(walks.store.calls()) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254", "localhost", "2130706433"])
def test_private_addresses_are_refused_as_typed(walks: Walks, host: str) -> None:
    with pytest.raises(Wrong, match="This is no address of a store"):
        begin(replace(walks.stores, allow_private=False), walks.account, f"https://{host}", NOW)


def test_a_name_of_a_private_address_gets_the_answer_of_one_that_leads_nowhere(
    walks: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict, told = replace(walks.stores, allow_private=False), []
    for address in ([(2, 1, 6, "", ("10.0.0.1", 443))], []):
        monkeypatch.setattr(wire, "resolve", lambda *_, found=address: found)
        with pytest.raises(Wrong) as raised:
            begin(strict, walks.account, SHOP, NOW)
        told.append(str(raised.value))
    assert told[0] == told[1]
    assert told[0].startswith("Tillwire could not reach your store from the internet.")


# --- what stands in the way -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habits", "sentence"),
    [
        ({"permalinks": False}, "Your store uses plain permalinks"),
        ({"permalinks": False, "link_header": False}, "Your store uses plain permalinks"),
        ({"woocommerce": False}, "There is a WordPress at this address, but no WooCommerce"),
        ({"rest_blocked": True}, "Something in front of your store answered in place of WooCommerce"),
        ({"firewall": 200}, "Something in front of your store answered in place of WooCommerce"),
        ({"firewall": 403}, "Something in front of your store answered in place of WooCommerce"),
        ({"maintenance": True}, "Your store is in maintenance mode"),
    ],
)
def test_a_store_that_cannot_be_connected_is_told_why(make: Make, habits: dict[str, Any], sentence: str) -> None:
    walks = make(**habits)
    with pytest.raises(Wrong) as raised:
        begin(walks.stores, walks.account, walks.store.url, NOW)
    assert str(raised.value).startswith(sentence)
    assert str(raised.value).endswith("Nothing was changed.")
    assert walks.rows(ConnectAttempt) == []


@pytest.mark.parametrize("habits", [{"link_header": False}, {"base_path": "/winkel"}])
def test_a_store_in_a_folder_or_without_its_header_is_found(make: Make, habits: dict[str, Any]) -> None:
    walks = make(**habits)
    assert found_at(walks.stores, walks.store.url) == walks.store.url


def test_an_address_where_nothing_answers_is_told_so(walks: Walks) -> None:
    walks.store.close()
    with pytest.raises(Wrong, match="could not reach your store from the internet"):
        begin(walks.stores, walks.account, walks.store.url, NOW)


def test_a_slow_store_holds_nobody_for_longer_than_asked(walks: Walks) -> None:
    walks.store.set_faults([{"path": "/", "kind": "delay", "seconds": 30}])
    began = time.monotonic()
    with pytest.raises(Wrong, match="could not reach your store from the internet"):
        begin(walks.stores.hurried(1.0), walks.account, walks.store.url, NOW)
    assert time.monotonic() - began < 20


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("shop.example", "https://shop.example"),
        (" HTTPS://WWW.Shop.Example./ ", "https://www.shop.example"),
        ("https://shop.example:443/winkel/", "https://shop.example/winkel"),
        ("https://müller.example/Bücher", "https://xn--mller-kva.example/B%C3%BCcher"),
        ("xn--mller-kva.example", "https://xn--mller-kva.example"),
    ],
)
def test_an_address_has_one_form(typed: str, address: str) -> None:
    assert address_of(typed, allow_private=False) == address
    assert address_of(address, allow_private=False) == address


@pytest.mark.parametrize(
    "typed",
    [
        *("", "shop", "http://shop.example", "ftp://shop.example", "https://shop.example:8443", "https://127.0.0.1"),
        *("https://user@shop.example", "https://:pw@shop.example", "shop.example?a=1", "shop.example#a"),
        *("https://shop.example/../wp", "https://shop.example\\@evil.example"),
        *("https://[::1]", "https://[", "https://shop.example:x", "https://-.example", "javascript:alert(1)"),
        *("https://shop.example/a//b", "https://shop\u2024.example\u2044x", f"https://{'a' * 64}.example", "0x7f.1"),
        "https://shop.example\nHost: evil.example",
    ],
)
def test_what_is_no_address_of_a_store_is_refused(typed: str) -> None:
    with pytest.raises(Wrong):
        address_of(typed, allow_private=False)


def test_plain_http_and_ports_are_for_trials_only() -> None:
    assert address_of("http://127.0.0.1:8080/", allow_private=True) == "http://127.0.0.1:8080"
    assert address_of("http://[::1]:80", allow_private=True) == "http://[::1]"


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_keys_made_by_hand_connect_as_well(walks: Walks) -> None:
    key = walks.store.make_key()
    typed = (f"{walks.store.url}/", f" {key.consumer_key}\n", key.consumer_secret)
    shop = by_hand(walks.stores, walks.account, *typed, NOW)
    assert (walks.connection(shop).state, len(walks.hooks())) == ("connected", 4)
    assert [(each.account_id, each.shop_id) for each in walks.rows(Membership)] == [(walks.account, shop)]


@pytest.mark.parametrize(("key", "secret"), [("", ""), ("ck_1", "cs_1"), ("ck_" + "a" * 40, "ck_" + "a" * 40)])
def test_what_is_no_key_is_refused_before_anybody_is_called(walks: Walks, key: str, secret: str) -> None:
    with pytest.raises(Wrong, match="begins with ck_"):
        by_hand(walks.stores, walks.account, walks.store.url, key, secret, NOW)
    assert walks.store.calls() == []


def test_a_wrong_secret_is_told_without_repeating_it(walks: Walks) -> None:
    key = walks.store.make_key()
    with pytest.raises(Wrong) as raised:
        by_hand(walks.stores, walks.account, walks.store.url, key.consumer_key, "cs_" + "0" * 40, NOW)
    assert str(raised.value) == (
        "The store does not accept the key: it was revoked, its secret is another, or it may not read and write."
        " Nothing was changed."
    )
    assert walks.rows(Shop) == []


def test_a_key_that_may_only_read_connects_and_says_what_is_missing(walks: Walks) -> None:
    key = walks.store.make_key(permissions="read")
    shop = by_hand(walks.stores, walks.account, walks.store.url, key.consumer_key, key.consumer_secret, NOW)
    connection = walks.connection(shop)
    assert (connection.state, connection.trouble) == (
        "attention",
        "The store does not accept the key: it was revoked, its secret is another, or it may not read and write."
        " What arrived before is safe, and what is missed now is fetched once it works again."
        " Mend it there, or connect the store again.",
    )


# --- another address of the store -------------------------------------------------------------------------------------


def moves(walks: Walks) -> str:
    """The store gets another name, and sends everybody on from the old one; its new address."""
    home = walks.store.url.replace("127.0.0.1", "localhost")
    walks.store.books.home, walks.store.canonical_host = home, "localhost"
    return home


def again(walks: Walks, address: str, account: int | None = None) -> int:
    key = walks.store.make_key()
    account = walks.account if account is None else account
    return by_hand(walks.stores, account, address, key.consumer_key, key.consumer_secret, LATER)


def test_a_store_that_moved_stays_the_shop_that_it_was(walks: Walks) -> None:
    shop = walks.connect()
    address = moves(walks)
    assert again(walks, address) == shop
    moved = walks.shop(shop)
    assert (moved.url, moved.domain) == (address, address.removeprefix("http://"))
    assert walks.hooks() == [(topic, "active", walks.url(walks.living(shop)[topic])) for topic in TOPICS]
    assert len(walks.rows(Shop)) == 1


def test_a_store_that_does_not_say_what_it_was_is_asked_again(walks: Walks, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = walks.connect()
    address = moves(walks)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "webhooks", _unanswered)
        with pytest.raises(Wrong, match=r"could not reach your store .* Nothing was changed\."):
            again(walks, address)
    assert (len(walks.rows(Shop)), again(walks, address)) == (1, shop)


def _unanswered(*_: object) -> None:
    raise StoreUnavailable("webhooks: ReadTimeout")


def test_a_copy_of_a_store_is_a_shop_of_its_own(walks: Walks, make: Make) -> None:
    shop, copy = walks.connect(), make().store
    for hook in walks.store.webhooks():  # as they are copied with the database
        copy.add_webhook(hook.topic, hook.delivery_url, hook.secret)
    key = copy.make_key()
    other = by_hand(walks.stores, walks.account, copy.url, key.consumer_key, key.consumer_secret, LATER)
    assert (other == shop, walks.shop(shop).url, walks.shop(other).url) == (False, walks.store.url, copy.url)


def test_who_may_not_see_a_shop_does_not_move_it(walks: Walks) -> None:
    shop = walks.connect()
    address = moves(walks)
    other = again(walks, address, walks.new_account("bob@shop.example"))
    assert (other == shop, walks.shop(shop).url) == (False, walks.store.url)


def test_a_shop_does_not_move_to_where_another_one_is(walks: Walks) -> None:
    shop = walks.connect()
    address = moves(walks)
    other = again(walks, address, walks.new_account("bob@shop.example"))
    assert (again(walks, address), walks.shop(shop).url) == (other, walks.store.url)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_what_was_never_walked_through_is_still_to_be_seen_after_another_connection(walks: Walks) -> None:
    shop = walks.connect()
    assert walks.connection(shop).reconciled_to is None
    for _ in range(2):
        walks.connect(now=LATER)
    assert (walks.connection(shop).installed_at, walks.connection(shop).reconciled_to) == (LATER, NOW - BEFORE_INSTALL)
    seen = NOW + timedelta(days=1)
    with walks.db.write() as session:
        session.execute(update(Connection).values(reconciled_to=seen))
    walks.connect(now=LATER)
    assert walks.connection(shop).reconciled_to == seen


def test_no_key_and_no_state_stand_in_the_database_in_clear(walks: Walks) -> None:
    state = walks.approved()
    stages = [_dump(walks)]
    come_back(walks.stores, walks.account, state, refused=False, now=NOW)
    stages.append(_dump(walks))
    key = walks.keys()[0]
    secrets = [hook.secret for hook in walks.store.webhooks()]
    for told in stages:
        assert [each for each in (state, key.consumer_key, key.consumer_secret, *secrets) if each in told] == []


def _dump(walks: Walks) -> str:
    with walks.db.read() as session:
        tables = inspect(session.connection()).get_table_names()
        return "\n".join(str(row) for table in tables for row in session.execute(text(f"SELECT * FROM {table}")))
