"""What goes wrong between Shopify and those who build on it: each known trap, and what happens here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from app.config import ConfigError, read_config
from app.metrics import REGISTRY
from app.models import Connection, Receipt, Shop, Webhook
from app.services.chores import SETTLED
from app.services.shopify_tokens import NeedsReopening
from app.services.shopify_troubles import REMOVED, REOPEN
from app.services.upkeep import check_at_start, check_due
from app.simulators.story import OrderStory
from connectors.base import Names
from connectors.events import facts
from connectors.reading import parse
from connectors.shopify import wire
from connectors.shopify.admin import AdminUnavailable
from connectors.shopify.normalize import read_order
from connectors.shopify.subscriptions import APP_TOPICS, COMPLIANCE_TOPICS, subscribe
from tests.rig import signature
from tests.shopify_store import DOMAIN, NUMBER, SECRET
from tests.shopify_world import World

SECOND = "second.myshopify.com"
PLACED_AND_PAID = ["order.placed", "order.paid"]


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with World(tmp_path, database_url) as world:
        yield world


@pytest.fixture
def shop(world: World) -> int:
    return world.installed()


def place(world: World, **how: Any) -> dict[str, Any]:
    """An order of a customer, paid with a card as it was placed."""
    return world.platform.place_order(DOMAIN, **{"want": plain, **how})


def plain(story: OrderStory) -> bool:
    bought = story.source == "web" and story.payment == "card" and not story.test
    return bought and story.buyer.customer_id is not None and not story.tip


def as_read(body: dict[str, Any]) -> dict[str, Any]:
    """The facts of an order's body."""
    return facts(read_order(parse(json.dumps(body).encode()), Names()))


def changes(world: World) -> list[str]:
    """The kinds of what was understood of orders, oldest first."""
    return [kind for kind in world.kinds() if kind.startswith("order.")]


def check(world: World) -> dict[str, Any]:
    return world.checker.check(world.shop().id, world.now())


def own(world: World, domain: str = DOMAIN) -> list[tuple[str, str]]:
    """The subscriptions that were made in the shop."""
    return sorted((each.topic, each.uri) for each in world.platform.subscriptions(domain))


def test_pitfall_01_a_signature_is_of_the_bytes_as_they_came_and_not_of_json_written_anew(
    world: World, shop: int, caplog: pytest.LogCaptureFixture
) -> None:
    body = place(world, quiet=True)
    raw = json.dumps(body | {"note": "\u00e6 / \u20ac"}, indent=3).replace("/", "\\/").encode()
    anew = json.dumps(json.loads(raw)).encode()
    signed = {"topic": "orders/create", "shop_domain": DOMAIN, "hmac_sha256": signature(SECRET, raw)}
    with caplog.at_level("INFO", logger="app.web.webhooks"):
        for altered in (anew, raw[:-1], raw + b"\n", raw.decode().encode("utf-16")):
            assert world.post(altered, **signed) == 401
    assert caplog.messages == [
        f"not proven: {len(altered)} bytes for shopify, SHA-256 {hashlib.sha256(altered).hexdigest()[:12]}"
        for altered in (anew, raw[:-1], raw + b"\n", raw.decode().encode("utf-16"))
    ]
    assert world.bodies() == []
    assert world.post(raw, **signed) == 200
    assert world.bodies() == [raw]
    world.account()
    assert world.known(body["id"])["note"] == "\u00e6 / \u20ac"


@pytest.mark.parametrize("topic", COMPLIANCE_TOPICS)
def test_pitfall_02_a_forged_compliance_webhook_is_refused_and_erases_nothing(
    world: World, shop: int, topic: str
) -> None:
    body = place(world)
    world.arrive()
    told = world.rows(Webhook)
    customer = {"id": body["customer"]["id"], "email": body["email"], "phone": None}
    asked = {"shop_id": NUMBER, "shop_domain": DOMAIN, "customer": customer, "orders_to_redact": [body["id"]]}
    raw = json.dumps(asked).encode()
    good = signature(SECRET, raw)
    named = {"topic": topic, "shop_domain": DOMAIN}
    in_hex = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    for forged in ("", "x", in_hex, good[:-1], signature("another-secret", raw), signature("", raw)):
        assert world.post(raw, hmac_sha256=forged, **named) == 401
    assert world.post(raw, **named) == 401
    world.work()
    assert (world.rows(Receipt), len(world.rows(Webhook))) == ([], len(told))
    assert world.known(body["id"]) == as_read(body)
    assert world.post(raw, hmac_sha256=good, **named) == 200
    world.work()
    assert [each.kind for each in world.rows(Receipt)] == [
        {
            "customers/data_request": "data_request",
            "customers/redact": "customer_erased",
            "shop/redact": "shop_kept",
        }[topic]
    ]


def test_pitfall_03_one_event_that_comes_twice_counts_once_whether_repeated_or_told_by_two_subscriptions(
    world: World, shop: int
) -> None:
    world.switch_on("seeka")
    assert subscribe(world.admin(), "orders/create", f"{world.url}/webhooks/shopify") == []
    place(world)
    told = [each.topic for each in world.platform.waiting]
    assert told.count("orders/create") == 2
    world.arrive()
    rows = len(world.rows(Webhook))
    assert rows == len(told)
    webhooks = world.platform.webhooks
    for each in webhooks.done:  # our answer was lost
        each.due = 0.0
    webhooks.waiting += webhooks.done
    assert [answer for _, answer in world.arrive()] == ["200"] * rows
    assert len(world.rows(Webhook)) == rows
    assert (changes(world), world.events(state="error")) == (PLACED_AND_PAID, [])
    assert [each["state"] for each in world.deliveries()] == ["delivered"]
    assert len(world.received("seeka")) == 1


def test_pitfall_04_subscriptions_from_before_the_toml_are_removed_and_each_topic_is_told_once(
    world: World, shop: int
) -> None:
    ours, others = f"{world.url}/webhooks/shopify", "https://other.example/hooks"
    for topic in ("orders/create", "orders/paid", "checkouts/update"):
        assert subscribe(world.admin(), topic, ours) == []
    assert subscribe(world.admin(), "orders/create", others) == []
    check_at_start(world.db, world.now())
    assert check_due(world.db, lambda shop_id: world.checker.check(shop_id, world.now()), world.now()) == 1
    assert own(world) == [("orders/create", others)]
    topics = world.connection().report["topics"]
    assert {topic: entry["state"] for topic, entry in topics.items() if entry["state"] != "ok"} == {
        "orders/create": "twin removed",
        "orders/paid": "twin removed",
        "checkouts/update": "twin removed",
    }
    place(world)
    told = [(each.topic, each.body) for each in world.platform.waiting if each.subscription.uri == ours]
    assert len(set(told)) == len(told)
    assert [topic for topic, _ in told].count("orders/create") == 1


def test_pitfall_05_orders_updated_before_orders_create_ends_in_the_newest_state(world: World, shop: int) -> None:
    body = place(world)
    world.offset = 3600
    body = world.platform.edit_order(DOMAIN, body["id"], note="ring twice", tags="late")
    assert [each.topic for each in world.platform.waiting][-1] == "orders/updated"
    world.platform.webhooks.waiting.reverse()
    world.arrive()
    assert changes(world) == PLACED_AND_PAID
    assert world.known(body["id"]) == as_read(body)
    assert world.known(body["id"])["note"] == "ring twice"
    late = [each["error"] for each in world.events(state="ignored")]
    assert "older than what is known of this order" in late


def test_pitfall_06_what_is_lost_is_fetched_within_the_hour_and_what_comes_late_is_measured_and_changes_nothing(
    world: World, shop: int
) -> None:
    world.switch_on("seeka")
    world.platform.lose_next(100)
    body = place(world)
    assert (world.arrive(), changes(world)) == ([], [])
    assert world.connection().reconcile_at == world.connection().installed_at  # from the first minute on
    assert world.reconciler.run_due(world.now()) == 1
    world.work()
    assert (changes(world), world.known(body["id"])) == (PLACED_AND_PAID, as_read(body))
    assert len(world.received("seeka")) == 1
    world.offset = 3500
    assert world.reconciler.run_due(world.now()) == 0
    world.offset = 3602
    assert world.reconciler.run_due(world.now()) == 1

    def late() -> float:
        return REGISTRY.get_sample_value("tillwire_store_lag_seconds_count", {"platform": "shopify"}) or 0.0

    before = late()
    webhooks = world.platform.webhooks
    webhooks.waiting, webhooks.lost = webhooks.lost, []
    orders = [each for each in webhooks.waiting if each.topic.startswith("orders/")]
    world.arrive()
    assert late() == before + len(orders)
    assert changes(world) == PLACED_AND_PAID
    assert len(world.received("seeka")) == 1


def test_pitfall_07_a_subscription_that_shopify_deleted_for_failing_is_made_again_and_the_apps_own_are_never_deleted(
    world: World, shop: int
) -> None:
    ours = f"{world.url}/webhooks/shopify"
    world.want("orders/edited")
    check(world)
    assert own(world) == [("orders/edited", ours)]
    world.platform.webhooks.routes = {world.url: "http://127.0.0.1:9"}  # nobody answers there
    declared = world.platform.subscriptions()
    place(world)
    for _ in range(3):
        world.platform.send_webhook(DOMAIN, "orders/edited", {"order_edit": {"id": 1, "order_id": 2}})
    for _ in range(4):
        world.platform.deliver_due()
        world.offset += 7200
    assert own(world) == []
    assert world.platform.subscriptions() == declared
    world.platform.webhooks.routes = {}
    report = check(world)
    assert own(world) == [("orders/edited", ours)]
    assert report["topics"]["orders/edited"] == {
        "state": "ok",
        "owner": "shop",
        "why": "Made in this shop.",
        "last_event_at": None,
    }
    world.platform.webhooks.waiting.clear()
    world.platform.send_webhook(DOMAIN, "orders/edited", {"order_edit": {"id": 1, "order_id": 2}})
    assert world.arrive() == [("orders/edited", "200")]


def test_pitfall_08_a_subscription_that_cannot_be_made_says_why_on_the_page_topic_by_topic(
    world: World, shop: int
) -> None:
    world.want("orders/edited")
    world.platform.change_scopes(DOMAIN, ["read_customers", "read_orders", "read_products"])
    world.platform.approve(DOMAIN, 0)
    report = check(world)
    topics = report["topics"]
    assert (topics["orders/edited"]["state"], topics["orders/edited"]["why"]) == (
        "refused",
        "Shopify refused it: webhookSubscription: This app is not approved to subscribe to webhook topics containing"
        " protected customer data. See https://shopify.dev/docs/apps/launch/protected-customer-data for more details..",
    )
    assert (topics["fulfillments/create"]["state"], topics["fulfillments/create"]["why"]) == (
        "missing",
        "Declared in shopify.app.toml. The store has not granted the right read_fulfillments, so nothing arrives.",
    )
    assert (topics["orders/paid"]["state"], topics["orders/paid"]["why"]) == (
        "missing",
        "Declared in shopify.app.toml. The app is not approved for protected customer data, so nothing arrives.",
    )
    assert topics["app/uninstalled"]["state"] == "ok"
    page = " ".join(unescape(re.sub(r"<[^>]+>", " ", world.page("connection"))).split())
    assert "The store has not granted the rights read_fulfillments" in page
    for topic in ("orders/edited", "fulfillments/create", "orders/paid"):
        assert re.search(f"{topic} .{{0,30}}{re.escape(topics[topic]['why'])}", page), page


def test_pitfall_09_uninstall_needs_no_living_token_and_a_reinstall_gets_new_ones(world: World, shop: int) -> None:
    old = world.secrets()
    world.platform.uninstall(DOMAIN)
    assert world.arrive() == [("app/uninstalled", "200")]
    connection = world.connection()
    assert (connection.state, connection.trouble, connection.secrets) == ("ended", REMOVED, None)
    with pytest.raises(NeedsReopening):
        world.tokens.token(shop)
    assert world.installed() == shop
    assert (world.connection().state, world.connection().trouble) == ("connected", None)
    assert set(world.secrets().values()).isdisjoint(old.values())
    assert check(world)["problem"] is None


def test_pitfall_09_a_removal_that_shopify_itself_contradicts_ends_nothing(world: World, shop: int) -> None:
    """Its body was signed at an earlier removal; anybody may send it again, as if it happened now."""
    body = json.dumps({"id": NUMBER, "myshopify_domain": DOMAIN}).encode()
    kept, world.offset = world.secrets(), 60.0
    replayed = {"topic": "app/uninstalled", "shop_domain": DOMAIN, "webhook_id": "another"}
    triggered = (world.now() - timedelta(seconds=1)).isoformat()
    assert world.post(body, **replayed, triggered_at=triggered, hmac_sha256=signature(SECRET, body)) == 200
    world.account()
    assert world.chores.work(world.now() + SETTLED) == 1
    assert (world.connection().state, world.secrets()) == ("connected", kept)
    assert [each["error"].partition(": ")[2] for each in world.events(state="ignored")] == [
        "the store still takes our tokens, so nothing was ended"
    ]


def test_pitfall_09_the_news_of_an_uninstall_that_a_reinstall_overtook_ends_nothing(world: World, shop: int) -> None:
    old = world.secrets()
    world.platform.reinstall(DOMAIN)
    assert world.open().status_code == 200
    assert check(world)["problem"] == REOPEN  # the old tokens are dead, and are not used again
    assert world.open().status_code == 200
    new = world.secrets()
    assert set(new.values()).isdisjoint(old.values())
    assert [topic for topic, _ in world.arrive()] == ["app/uninstalled"]
    assert (world.connection().state, world.secrets()) == ("connected", new)
    assert check(world)["problem"] is None


def test_pitfall_10_an_install_that_breaks_off_leaves_nothing_and_the_next_try_succeeds(world: World) -> None:
    world.platform.install(DOMAIN)
    for path, kind in itertools.product(("access_token", "graphql"), ("503", "drop_after", "garbage", "403")):
        world.platform.set_faults([{"kinds": [kind], "path": path}])
        assert world.open().status_code == 502, (path, kind)
        assert (world.rows(Shop), world.rows(Connection)) == ([], [])
    world.platform.set_faults([])
    assert world.open().status_code == 200
    assert world.connection().state == "connected"


@pytest.mark.parametrize("refreshed", [False, True], ids=["that cannot be refreshed", "even a fresh one"])
def test_pitfall_10_a_token_that_shopify_refuses_is_dropped_and_the_next_opening_brings_another(
    world: World, shop: int, refreshed: bool
) -> None:
    old = world.secrets()
    if refreshed:
        world.platform.set_faults([{"kinds": ["401"], "path": "graphql.json"}])
    else:
        world.platform.kill_tokens(DOMAIN)
    assert check(world)["problem"] == REOPEN
    assert (world.connection().state, world.connection().secrets) == ("reopen", None)
    world.platform.set_faults([])
    assert world.open().status_code == 200
    assert set(world.secrets().values()).isdisjoint(old.values())
    assert check(world)["problem"] is None


def test_pitfall_11_expiring_tokens_are_kept_with_their_ends_and_refreshed_before(world: World, shop: int) -> None:
    connection, first = world.connection(), world.secrets()
    assert sorted(first) == ["access_token", "refresh_token"]
    lives = (connection.expires_at - connection.installed_at, connection.refresh_expires_at - connection.installed_at)
    assert [round(life.total_seconds(), -1) for life in lives] == [3600, 7776000]
    asked = len(world.calls())
    world.offset = 3200
    assert world.tokens.token(shop) == first["access_token"]
    assert len(world.calls()) == asked
    world.offset = 3400  # less than five minutes are left
    second = world.tokens.token(shop)
    assert (second, world.secrets()["access_token"]) == (world.secrets()["access_token"], second)
    assert set(world.secrets().values()).isdisjoint(first.values())
    world.offset = 3400 + 70 * 86400  # nobody opened the app, nothing had to be asked
    assert world.tokens.keep_alive(world.now()) == 1
    world.offset = 3400 + 140 * 86400
    assert check(world)["problem"] is None
    assert world.platform.sentences() == []


def test_pitfall_11_a_token_of_which_no_end_is_known_is_not_used(world: World, shop: int) -> None:
    world.set(expires_at=None)
    assert world.tokens.end_eternal() == 1
    assert (world.connection().state, world.connection().secrets) == ("reopen", None)
    world.work()
    assert world.open().status_code == 200
    assert world.connection().expires_at is not None


def test_pitfall_12_shops_that_are_asked_at_once_never_see_each_other(world: World, shop: int) -> None:
    world.platform.add_shop(SECOND, currency="JPY", plan="plus")
    other = world.installed(SECOND)
    wrong: list[tuple[str, str]] = []

    def ask(domain: str) -> None:
        for _ in range(15):
            told = world.admin(domain).ask("{ shop { myshopifyDomain currencyCode } }")["shop"]
            if told != {"myshopifyDomain": domain, "currencyCode": "DKK" if domain == DOMAIN else "JPY"}:
                wrong.append((domain, str(told)))

    threads = [threading.Thread(target=ask, args=(domain,)) for domain in (DOMAIN, SECOND) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {each["status"] for each in world.calls()} == {200}
    assert world.tokens.token(shop) != world.tokens.token(other)


def test_pitfall_12_a_shop_that_hangs_is_given_up_and_holds_up_no_other(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LONGEST", 1.0)
    with World(tmp_path, database_url) as world:
        world.installed()
        world.platform.add_shop(SECOND)
        world.installed(SECOND)
        world.platform.set_faults([{"kinds": ["delay"], "seconds": 4.0, "path": f"{DOMAIN}/admin/api/"}])
        began = time.monotonic()
        with pytest.raises(AdminUnavailable):
            world.admin().ask("{ shop { name } }")
        assert 1.0 <= time.monotonic() - began < 3.9
        assert world.admin(SECOND).ask("{ shop { name } }") == {"shop": {"name": "Second"}}


NOBODY, SENT = ("skipped", "no_identity"), ("delivered", None)


@pytest.mark.parametrize(
    ("more", "providers"),
    [
        ({"customer": None}, {"spotler": NOBODY, "gameball": NOBODY, "esputnik": NOBODY}),
        ({}, {"gameball": SENT, "esputnik": SENT}),
    ],
    ids=["nobody", "a customer by number alone"],
)
def test_pitfall_13_an_order_without_name_address_and_email_goes_to_all_who_need_none(
    world: World, shop: int, more: dict[str, Any], providers: dict[str, tuple[str, str | None]]
) -> None:
    world.platform.approve(DOMAIN, 1)
    world.switch_on("sprii", "seeka", *providers)
    body = place(world, note_attributes=[{"name": "sprii_order_no", "value": "5934-14"}], quiet=True, **more)
    world.platform.send_webhook(DOMAIN, "orders/paid", body)
    assert [topic for topic, _ in world.arrive()] == ["orders/paid"]
    known = world.known(body["id"])
    assert {"email", "phone", "first_name", "last_name"}.isdisjoint(known)
    assert known.get("customer_id") == (None if more else str(body["customer"]["id"]))
    assert changes(world) == PLACED_AND_PAID
    told = {provider: (state, reason if state == "skipped" else None) for provider, state, reason in world.states()}
    assert told == {"sprii": SENT, "seeka": NOBODY, **providers}
    assert [each["orders"][0]["spriiOrderNumber"] for each in world.received("sprii")] == ["5934-14"]
    assert world.providers.app.violations() == []


def test_pitfall_14_a_compliance_webhook_without_headers_finds_its_shop_by_its_body(world: World, shop: int) -> None:
    world.platform.add_shop(SECOND)
    world.installed(SECOND)
    body = place(world)
    world.arrive()
    customer = {"id": body["customer"]["id"], "email": body["email"], "phone": body["phone"]}
    for topic, asked in (
        ("customers/data_request", {"customer": customer, "orders_requested": [], "data_request": {"id": 5}}),
        ("customers/redact", {"customer": customer, "orders_to_redact": [body["id"]]}),
    ):
        raw = json.dumps({"shop_id": NUMBER, "shop_domain": DOMAIN, **asked}).encode()
        assert world.post(raw, topic=topic, hmac_sha256=signature(SECRET, raw)) == 200
        world.work()
    assert [(each.kind, each.shop_id) for each in world.rows(Receipt)] == [
        ("data_request", shop),
        ("customer_erased", shop),
    ]
    assert "email" not in world.known(body["id"])


def test_pitfall_15_a_test_event_is_shown_and_not_sent_and_its_ids_stay_exact(world: World, shop: int) -> None:
    world.switch_on("seeka")
    body = place(world, quiet=True) | {
        **{"id": 820982911946154508, "admin_graphql_api_id": "gid://shopify/Order/820982911946154508"},
        **{"test": True, "order_status_url": None, "customer": {"id": 115310627314723954, "email": "john@example.com"}},
    }
    body["line_items"][0] |= {"id": 866550311766439020, "product_id": 9007199254740993}
    raw = json.dumps(body).encode()
    named = {"topic": "orders/create", "shop_domain": DOMAIN, "test": "true", "webhook_id": "b54557e4"}
    assert world.post(raw, hmac_sha256=signature("shpss_of_the_command_line", raw), **named) == 401
    assert world.post(raw, hmac_sha256=signature(SECRET, raw), **named) == 200
    world.work()
    assert [(each["kind"], each["order"]) for each in world.events()] == [
        ("order.placed", "820982911946154508"),
        ("order.paid", "820982911946154508"),
    ]
    assert world.states() == [("seeka", "skipped", "test_order")]
    assert world.received("seeka") == []
    known = world.known(820982911946154508)
    assert (known["id"], known["customer_id"]) == ("820982911946154508", "115310627314723954")
    assert (known["lines"][0]["line_id"], known["lines"][0]["product_id"]) == (
        "866550311766439020",
        "9007199254740993",
    )


def test_pitfall_15_a_merchant_may_have_test_events_sent(world: World, shop: int) -> None:
    world.switch_on("seeka", send_test_orders="1")
    place(world, test=True)
    world.arrive()
    assert world.states() == [("seeka", "delivered", "queued by Seeka")]


# and some more


@pytest.fixture
def granting(tmp_path: Path, database_url: str) -> Iterator[World]:
    """With the authorization code grant."""
    with World(tmp_path, database_url, SHOPIFY_CODE_GRANT="1") as world:
        yield world


def walk(world: World, browser: requests.Session) -> dict[str, str]:
    """The merchant agrees at Shopify; the query that the browser brings back."""
    begun = browser.get(f"{world.url}/connect/shopify", params={"shop": DOMAIN}, allow_redirects=False, timeout=5)
    parts = urlsplit(begun.headers["Location"])
    agreed = requests.post(
        f"{world.platform.url}{parts.path}?{parts.query}",
        headers={"Host": parts.netloc},
        allow_redirects=False,
        timeout=60,
    )
    return {name: values[0] for name, values in parse_qs(urlsplit(agreed.headers["Location"]).query).items()}


def signed(query: dict[str, str]) -> dict[str, str]:
    """As Shopify signs a query: the values themselves, not as they are written in an address."""
    query = {name: value for name, value in query.items() if name != "hmac"}
    message = "&".join(sorted(f"{name}={value}" for name, value in query.items()))
    return query | {"hmac": hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest()}


@pytest.mark.parametrize(
    ("written", "status"),
    [("a+b+%2B+c", 302), ("a%20b%20%2B%20c", 302), ("a+b+++c", 400), ("a%2Bb%2B%2B%2Bc", 400)],
)
def test_spaces_that_a_signed_query_writes_as_plus_are_spaces(granting: World, written: str, status: int) -> None:
    with requests.Session() as browser:
        query = signed({**walk(granting, browser), "title": "a b + c"})
        title = query.pop("title")
        assert title == "a b + c"
        address = f"{granting.url}/connect/shopify/callback?{urlencode(query)}&title={written}"
        assert browser.get(address, allow_redirects=False, timeout=10).status_code == status
    assert [each.state for each in granting.rows(Connection)] == (["connected"] if status == 302 else [])


def test_nothing_that_an_oauth_walk_or_a_page_signs_is_taken_for_a_webhook(granting: World, tmp_path: Path) -> None:
    with requests.Session() as browser:
        query = walk(granting, browser)
        (cookie,) = [each.value or "" for each in browser.cookies]
    granting.installed()
    named = {"topic": "orders/create", "shop_domain": DOMAIN}
    body, _, proof = cookie.rpartition(".")
    assert granting.post(body.encode(), hmac_sha256=padded(proof), **named) == 401
    assert granting.post(query["state"].encode(), hmac_sha256=padded(query["state"]), **named) == 401
    secrets = {"SHOPIFY_API_SECRET": SECRET, "SHOPIFY_API_SECRET_PREVIOUS": "the-secret-before-this"}
    for secret in secrets.values():
        with pytest.raises(ConfigError, match="SECRET_KEY is also a secret of Shopify's"):
            read_config({**secrets, "SECRET_KEY": secret}, var=tmp_path)
    # What Shopify itself signs with the same secret proves itself, and is no order all the same.
    order = json.dumps(place(granting, quiet=True))
    forged = {f' {order[:-1]},"x":"': "", "~": '"}'}
    signed_by_shopify = [by_token(granting.platform.id_token(DOMAIN)), by_query(query), by_query({**forged, **query})]
    assert json.loads(signed_by_shopify[-1][0])["id"] == json.loads(order)["id"]
    for body, proof in signed_by_shopify:
        assert granting.post(body.encode(), hmac_sha256=proof, **named) == 200
    granting.work()
    assert [(each["state"], each["order"]) for each in granting.events()] == [("error", None)] * 3


def padded(text: str) -> str:
    """In the alphabet of a webhook's signature."""
    return text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)


def by_token(token: str) -> tuple[str, str]:
    """An ID token as a body, with the signature that it carries."""
    head, _, proof = token.rpartition(".")
    return head, padded(proof)


def by_query(query: dict[str, str]) -> tuple[str, str]:
    """A signed query as a body, with the signature that it carries."""
    told = signed(query)
    proof = base64.b64encode(bytes.fromhex(told.pop("hmac"))).decode()
    return "&".join(sorted(f"{name}={value}" for name, value in told.items())), proof


def test_a_slash_at_the_end_is_no_hidden_redirect(world: World, shop: int) -> None:
    raw = b"{}"
    for path, status in (("/webhooks/shopify", 200), ("/webhooks/shopify/", 404)):
        answer = requests.post(
            world.url + path,
            data=raw,
            headers={"X-Shopify-Hmac-Sha256": signature(SECRET, raw), "X-Shopify-Topic": "a/b"},
            timeout=60,
            allow_redirects=False,
        )
        assert (answer.status_code, answer.headers.get("Location")) == (status, None)
    for topic in (*APP_TOPICS, *COMPLIANCE_TOPICS):
        world.platform.send_webhook(DOMAIN, topic, {"id": 1, "shop_id": NUMBER, "shop_domain": DOMAIN})
    assert {answer for _, answer in world.platform.deliver_due()} == {"200"}
    assert world.platform.sentences() == []


def test_the_redaction_of_a_customer_leaves_the_shop_and_its_other_customers(world: World, shop: int) -> None:
    gone = place(world)
    stays = place(
        world,
        want=lambda story: story.buyer.customer_id not in (None, gone["customer"]["id"]) and not story.tip,
    )
    world.arrive()
    before, connection = world.known(stays["id"]), world.connection()
    customer = {"id": gone["customer"]["id"], "email": gone["email"], "phone": gone["phone"]}
    world.platform.redact_customer(DOMAIN, customer, [gone["id"]])
    assert [topic for topic, _ in world.arrive()] == ["customers/redact"]
    assert world.known(stays["id"]) == before == as_read(stays)
    erased = world.known(gone["id"])
    assert (erased.get("email"), erased.get("customer_id"), erased["total"]) == (None, None, as_read(gone)["total"])
    assert (world.shop().removed_at, world.connection().state, world.secrets()) == (
        None,
        "connected",
        world.parts.vault.open(connection.secrets),
    )
    place(world)
    world.arrive()
    assert changes(world).count("order.placed") == 3
