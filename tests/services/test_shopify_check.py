"""A check says what is missing and why, mends what is ours, and touches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from app.db import Database
from app.models import ConnectionState, Webhook
from app.services.errors import NotFound
from app.services.packing import compress
from app.services.shopify_troubles import FORBIDDEN, REOPEN, WRONG_CLIENT
from app.simulators.shopify_state import Subscription
from connectors.shopify import subscriptions
from connectors.shopify.admin import Admin, AdminAnswer
from connectors.shopify.subscriptions import APP_TOPICS, COMPLIANCE_TOPICS, SCOPES
from tests.shopify_store import DOMAIN, PUBLIC, Store

URI = f"{PUBLIC}/webhooks/shopify"
NONE_YET = "Declared in shopify.app.toml."
BUYER: dict[str, Any] = {
    "email": "anna@shop.example",
    "phone": "+4512345678",
    "shipping_address": {
        **dict.fromkeys(("address1", "address2", "company", "zip", "phone", "province", "province_code")),
        **{"first_name": "Anna", "last_name": "Example", "name": "Anna Example", "city": "Odense"},
        **{"country": "Denmark", "country_code": "DK", "latitude": None, "longitude": None},
    },
}


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with Store(database) as store:
        store.installed()
        yield store


def subscribe(store: Store, topic: str, uri: str = URI) -> int:
    number = next(store.platform.state.numbers)
    made = Subscription(number, topic, uri, "2026-10", store.platform.state.clock(), shop=DOMAIN)
    store.platform.state.subscriptions[number] = made
    return number


def want(store: Store, *topics: str) -> None:
    store.change(lambda _session, shop: setattr(shop, "settings", {**shop.settings, "topics": list(topics)}))


def check(store: Store) -> dict[str, Any]:
    report = store.checker.check(1, store.now())
    assert store.connection().report == report
    return report


def own(store: Store) -> list[tuple[str, str]]:
    return sorted((each.topic, each.uri) for each in store.platform.subscriptions(DOMAIN))


def test_a_sound_connection_is_reported_whole(store: Store) -> None:
    now = store.now()
    report = store.checker.check(1, now)
    assert report == {
        "at": now.isoformat(timespec="seconds"),
        "problem": None,
        "api_version": {"wanted": "2026-10", "answered": "2026-10"},
        "scopes": {"granted": [*SCOPES], "missing": []},
        "protected_data": True,
        "hidden": [],
        "notice": None,
        "topics": {
            topic: {"state": "ok", "owner": "app", "why": NONE_YET, "last_event_at": None}
            for topic in (*APP_TOPICS, *COMPLIANCE_TOPICS)
        },
    }
    connection = store.connection()
    assert (connection.state, connection.trouble, connection.checked_at) == (ConnectionState.CONNECTED, None, now)
    assert connection.report == report
    assert own(store) == []
    assert store.platform.sentences() == []


def test_a_missing_scope_says_which_topics_it_keeps_away(store: Store) -> None:
    granted = ["read_customers", "read_orders", "read_products"]
    store.platform.change_scopes(DOMAIN, granted)
    report = check(store)
    assert report["scopes"] == {"granted": granted, "missing": ["read_fulfillments"]}
    assert report["topics"]["orders/create"]["state"] == "ok"
    assert report["topics"]["fulfillments/create"] == {
        "state": "missing",
        "owner": "app",
        "why": "Declared in shopify.app.toml. The store has not granted the right read_fulfillments, so nothing"
        " arrives.",
        "last_event_at": None,
    }
    connection = store.connection()
    assert connection.state == ConnectionState.ATTENTION
    assert connection.trouble == report["problem"]
    assert str(connection.trouble).startswith(
        "The store has not granted the rights read_fulfillments, so not everything arrives."
    )
    assert connection.scopes == granted
    store.platform.change_scopes(DOMAIN, [*granted, "write_fulfillments"])
    assert check(store)["problem"] is None
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.CONNECTED, None)


def test_a_store_that_grants_less_to_read_is_told_what_that_means_and_every_topic_works(store: Store) -> None:
    store.platform.change_scopes(DOMAIN, ["read_fulfillments", "read_orders"])
    report = check(store)
    assert report["scopes"]["missing"] == ["read_customers", "read_products"]
    assert {entry["state"] for entry in report["topics"].values()} == {"ok"}
    assert report["problem"] == (
        "The store has not granted the rights read_customers, read_products, so an order whose webhook Shopify lost"
        " cannot be seen whole, and is not reported until they are granted; all others are. What arrived is safe. Open"
        " Tillwire in the Shopify admin and accept the rights it asks for."
    )
    assert store.connection().state == ConnectionState.ATTENTION


def test_without_approval_for_protected_data_every_order_topic_says_so(store: Store) -> None:
    store.platform.approve(DOMAIN, 0)
    report = check(store)
    assert report["protected_data"] is False
    states = {topic: entry["state"] for topic, entry in report["topics"].items()}
    for topic in (*APP_TOPICS, *COMPLIANCE_TOPICS):
        assert states[topic] == ("ok" if topic.startswith(("app/", "customers/", "shop/")) else "missing"), topic
    assert "not approved for protected customer data" in report["topics"]["carts/update"]["why"]
    assert store.connection().state == ConnectionState.ATTENTION


def test_what_shopify_hides_of_buyers_is_told_and_the_store_stays_connected(store: Store) -> None:
    store.platform.place_order(DOMAIN, quiet=True, **BUYER)
    assert check(store)["hidden"] == []
    store.platform.approve(DOMAIN, {"phone", "email"})
    report = check(store)
    assert (report["protected_data"], report["hidden"], report["problem"]) == (True, ["names", "addresses"], None)
    assert report["notice"] == (
        "Shopify hides names, addresses of buyers: orders arrive without them until the app is approved for these"
        " fields of protected customer data. The operator has to ask for them in the Partner Dashboard."
    )
    assert report["topics"]["orders/create"]["why"].startswith(
        "Declared in shopify.app.toml. It comes without names, addresses, until Shopify approves them."
    )
    assert "without" not in report["topics"]["fulfillments/create"]["why"]
    assert store.connection().state == ConnectionState.CONNECTED


def test_without_the_right_to_orders_the_approval_is_not_in_doubt(store: Store) -> None:
    store.platform.change_scopes(DOMAIN, [each for each in SCOPES if each != "read_orders"])
    report = check(store)
    assert (report["scopes"]["missing"], report["protected_data"]) == (["read_orders"], True)


def test_a_twin_of_an_apps_topic_is_removed_and_a_foreign_one_stays(store: Store) -> None:
    subscribe(store, "orders/create")
    subscribe(store, "orders/edited")
    subscribe(store, "orders/create", "https://other.example/hooks")
    subscribe(store, "orders/paid", URI + "/else")
    topics = check(store)["topics"]
    assert own(store) == [("orders/create", "https://other.example/hooks"), ("orders/paid", URI + "/else")]
    assert topics["orders/create"]["state"] == "twin removed"
    assert topics["orders/edited"]["state"] == "twin removed"
    assert topics["orders/paid"]["state"] == "ok"
    assert check(store)["topics"]["orders/create"]["state"] == "ok"
    assert "orders/edited" not in check(store)["topics"]


def test_after_our_address_changed_ours_are_made_anew_and_the_old_ones_removed(store: Store) -> None:
    old = "https://old.example/webhooks/shopify"
    want(store, "orders/edited")
    subscribe(store, "orders/edited", old)
    subscribe(store, "orders/paid", old)
    kept = [("orders/edited", old + "/else"), ("orders/paid", "https://old.example/hooks")]
    for each in kept:
        subscribe(store, *each)
    topics = check(store)["topics"]
    assert own(store) == sorted([("orders/edited", URI), *kept])
    assert topics["orders/edited"]["why"].startswith("Made in this shop. A second subscription")
    assert check(store)["topics"]["orders/edited"]["state"] == "ok"
    assert own(store) == sorted([("orders/edited", URI), *kept])


def test_an_old_one_stays_where_no_new_one_can_be_made(store: Store) -> None:
    old = "https://old.example/webhooks/shopify"
    want(store, "orders/edited")
    subscribe(store, "orders/edited", old)
    store.platform.approve(DOMAIN, 0)
    assert check(store)["topics"]["orders/edited"]["state"] == "refused"
    assert own(store) == [("orders/edited", old)]


def test_what_a_merchant_switched_on_is_made_once_and_made_again(store: Store) -> None:
    want(store, "orders/edited", "products/update", "orders/create")
    for _ in range(2):
        assert check(store)["topics"]["orders/edited"] == {
            "state": "ok",
            "owner": "shop",
            "why": "Made in this shop.",
            "last_event_at": None,
        }
        assert own(store) == [("orders/edited", URI)]
    store.platform.state.subscriptions = {
        number: each for number, each in store.platform.state.subscriptions.items() if each.shop is None
    }
    check(store)
    assert own(store) == [("orders/edited", URI)]
    want(store)
    check(store)
    assert own(store) == []


def test_what_shopify_refuses_to_make_is_told_with_its_reason(store: Store) -> None:
    want(store, "orders/edited")
    store.platform.approve(DOMAIN, 0)
    entry = check(store)["topics"]["orders/edited"]
    assert entry["state"] == "refused"
    assert "not approved to subscribe to webhook topics containing protected customer data" in entry["why"]
    assert own(store) == []


def test_an_answer_about_one_topic_that_makes_no_sense_does_not_end_the_check(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(store, "checkouts/delete", "orders/edited")
    subscribe_one = subscriptions.subscribe

    def answer(admin: Admin, topic: str, uri: str) -> list[str]:
        if topic == "checkouts/delete":
            raise AdminAnswer("errors in the answer (200; UNKNOWN)")
        return subscribe_one(admin, topic, uri)

    monkeypatch.setattr(subscriptions, "subscribe", answer)
    report = check(store)
    assert report["problem"] is None
    assert report["topics"]["checkouts/delete"]["state"] == "refused"
    assert "Shopify refused it: errors in the answer (200; UNKNOWN)." in report["topics"]["checkouts/delete"]["why"]
    assert report["topics"]["orders/edited"]["state"] == "ok"
    assert own(store) == [("orders/edited", URI)]


def test_more_subscriptions_than_fit_a_page_are_all_seen(store: Store) -> None:
    for number in range(130):
        subscribe(store, "orders/create", f"https://other.example/{number}")
    subscribe(store, "orders/paid")
    check(store)
    assert len(own(store)) == 130


def arrived(store: Store, topic: str, version: str, at: datetime) -> None:
    with store.db.write() as session:
        headers = {"x-shopify-topic": topic, "x-shopify-api-version": version}
        row = Webhook(platform="shopify", shop_id=1, dedup_key=f"{topic}{at}", topic=topic, headers=headers)
        row.body, row.body_hash, row.received_at, row.state = compress(b"{}"), "x", at, "done"
        session.add(row)


def test_what_arrived_is_told_and_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    arrived(store, "orders/create", "2026-07", at.replace(hour=9))
    arrived(store, "orders/create", "2026-10", at)
    arrived(store, "orders/paid", "2026-04", at)
    topics = check(store)["topics"]
    assert topics["orders/create"]["why"] == "Declared in shopify.app.toml."
    assert topics["orders/paid"]["why"].endswith("Its version is 2026-04, ours is 2026-10.")
    with store.db.begin() as connection:
        connection.execute(text("DELETE FROM webhooks"))
    assert check(store)["topics"]["orders/create"]["last_event_at"] == "2026-11-20T10:00:00+00:00"


def test_an_answer_of_another_version_is_reported(store: Store) -> None:
    client = type(store.shopify)(
        client_id=store.shopify.client_id,
        secrets=store.shopify.secrets,
        api_version="2024-10",
        public_url=PUBLIC,
        admin_url=store.platform.url,
    )
    tokens = type(store.tokens)(store.db, store.vault, client)
    report = type(store.checker)(store.db, tokens, client).check(1, store.now())
    client.close()
    assert report["api_version"] == {"wanted": "2024-10", "answered": "2026-01"}
    assert report["problem"] is None
    assert report["notice"] == (
        "Shopify answers with version 2026-01 of its API, and 2024-10 was asked for: that one is out of support, or not"
        " out yet. Everything still works; the operator has to bring Tillwire up to date, or mend SHOPIFY_API_VERSION."
    )
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.CONNECTED, None)


# trouble


def test_a_403_is_for_the_operator(store: Store) -> None:
    sound = check(store)
    store.platform.allowlist = False
    report = check(store)
    assert report == {**sound, "at": report["at"], "problem": FORBIDDEN}
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.ATTENTION, FORBIDDEN)
    store.platform.allowlist = True
    check(store)
    assert store.connection().state == ConnectionState.CONNECTED


def test_a_store_that_does_not_answer_stays_connected(store: Store) -> None:
    store.platform.set_faults({"kind": "503", "path": "graphql"})
    report = check(store)
    assert report["problem"].startswith("The store could not be asked")
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.CONNECTED, None)


def test_dead_tokens_wait_for_the_merchant(store: Store) -> None:
    store.platform.kill_tokens(DOMAIN)
    assert check(store)["problem"] == REOPEN
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.REOPEN, REOPEN)
    assert check(store)["problem"] == REOPEN


def test_an_app_that_was_removed_without_notice_needs_attention(store: Store) -> None:
    store.platform.uninstall(DOMAIN)
    check(store)
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.ATTENTION, WRONG_CLIENT)


def test_a_token_refused_again_after_its_refresh_waits_for_the_merchant(store: Store) -> None:
    store.platform.set_faults({"kind": "401", "path": "graphql"})
    assert check(store)["problem"] == REOPEN
    assert store.connection().state == ConnectionState.REOPEN


def test_another_store_at_the_same_domain_is_not_taken_for_this_one(store: Store) -> None:
    store.platform.shop(DOMAIN).id = 999
    assert "another store answers at this domain" in check(store)["problem"]
    assert store.shop().external_id == "42"


def test_what_a_check_found_is_not_written_over_a_newer_install(store: Store) -> None:
    store.platform.change_scopes(DOMAIN, ["read_orders"])
    ask = store.tokens.admin

    def reinstall(shop_id: int) -> Any:
        admin = ask(shop_id)
        store.set(generation=2)
        return admin

    store.tokens.admin = reinstall  # type: ignore[method-assign]
    store.checker.check(1, store.now())
    assert (store.connection().state, store.connection().report) == (ConnectionState.CONNECTED, None)


def test_a_shop_that_is_not_connected_cannot_be_checked(store: Store) -> None:
    with pytest.raises(NotFound):
        store.checker.check(7, store.now())
