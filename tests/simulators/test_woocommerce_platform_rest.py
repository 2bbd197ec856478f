"""A simulated WooCommerce store's REST API: who is calling, orders, refunds and webhooks, with the quirks of each."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from woocommerce.oauth import OAuth

from app.simulators.story import Story
from app.simulators.woocommerce_platform import WooCommercePlatform
from app.simulators.wp_books import Key
from tests.simulators.woocommerce_receiver import Receiver

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z
TILLWIRE = {"User-Agent": "Tillwire/0.1.0"}
SECRET = "0123456789abcdef" * 4
LISTED = {
    "code": "woocommerce_rest_cannot_view",
    "message": "Sorry, you cannot list resources.",
    "data": {"status": 401},
}
PLAIN = "keys sent over plain http: anyone on the way can read them"


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Caller:
    """Calls a store's REST API with one key, by Basic authentication."""

    store: WooCommercePlatform
    key: Key
    clock: Clock
    headers: dict[str, str] = field(default_factory=lambda: dict(TILLWIRE))

    def __call__(self, method: str, route: str, document: Any = None, **params: Any) -> requests.Response:
        return call(
            self.store,
            method,
            route,
            params=params,
            json=document,
            auth=(self.key.consumer_key, self.key.consumer_secret),
            headers=self.headers,
        )

    def ids(self, **params: Any) -> list[int]:
        return [order["id"] for order in self("GET", "orders", **params).json()]


def call(store: WooCommercePlatform, method: str, route: str, **more: Any) -> requests.Response:
    more.setdefault("headers", TILLWIRE)
    with requests.Session() as session:
        session.trust_env = False
        url = f"{store.url}/wp-json/wc/v3/{route}"
        return session.request(method, url, timeout=10, allow_redirects=False, **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[WooCommercePlatform]:
    with WooCommercePlatform(clock=clock, behind_tls=True) as store:
        yield store


@pytest.fixture
def ask(store: WooCommercePlatform, clock: Clock) -> Caller:
    return Caller(store, store.make_key(), clock)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def error(answer: requests.Response) -> tuple[int, str, str]:
    body = answer.json()
    assert body["data"]["status"] == answer.status_code
    return answer.status_code, body["code"], body["message"]


# Keys


def test_keys_are_taken_over_https_by_basic_and_by_query_string() -> None:
    with WooCommercePlatform(tls=True) as store:
        key = store.make_key()
        pair = (key.consumer_key, key.consumer_secret)
        query = {"consumer_key": pair[0], "consumer_secret": pair[1]}
        assert call(store, "GET", "orders", auth=pair, verify=store.ca_file).json() == []
        assert call(store, "GET", "orders", params=query, verify=store.ca_file).json() == []
        assert call(store, "GET", "orders", params=query, auth=("ck_no", "no"), verify=store.ca_file).status_code == 200
        assert [made["auth"] for made in store.calls()] == ["basic", "query", "query"]
        assert store.calls()[1]["query"] == {
            "consumer_key": pair[0][:6] + "***",
            "consumer_secret": pair[1][:6] + "***",
        }
        assert store.sentences() == []


def test_basic_is_ignored_where_wordpress_does_not_know_of_https() -> None:
    with WooCommercePlatform(tls=True, knows_https=False) as store:
        key = store.make_key()
        answer = call(store, "GET", "orders", auth=(key.consumer_key, key.consumer_secret), verify=store.ca_file)
        assert (answer.status_code, answer.json()) == (401, LISTED)


def test_basic_is_ignored_over_plain_http_and_noticed(store: WooCommercePlatform, ask: Caller) -> None:
    store.behind_tls = False
    answer = ask("GET", "orders")
    assert (answer.status_code, answer.json()) == (401, LISTED)
    assert store.sentences() == [PLAIN]


def test_a_host_may_drop_the_authorization_header(store: WooCommercePlatform, ask: Caller) -> None:
    store.strip_authorization = True
    assert ask("GET", "orders").json() == LISTED
    query = {"consumer_key": ask.key.consumer_key, "consumer_secret": ask.key.consumer_secret}
    assert call(store, "GET", "orders", params=query).json() == []


def test_no_key_and_a_wrong_key_get_the_same_answer(store: WooCommercePlatform) -> None:
    assert call(store, "GET", "orders").json() == LISTED
    assert call(store, "GET", "orders", auth=("ck_wrong", "cs_wrong")).json() == LISTED
    denied = (401, "woocommerce_rest_cannot_create", "Sorry, you are not allowed to create resources.")
    given = {"topic": "order.created", "delivery_url": "https://tillwire.test/"}
    assert error(call(store, "POST", "webhooks", json=given)) == denied


def test_a_wrong_secret_is_told_apart(store: WooCommercePlatform, ask: Caller) -> None:
    answer = call(store, "GET", "orders", auth=(ask.key.consumer_key, "cs_wrong"))
    assert error(answer) == (401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")


@pytest.mark.parametrize(("scope", "method", "need"), [("read", "POST", "write"), ("write", "GET", "read")])
def test_too_small_a_scope_is_told(
    store: WooCommercePlatform, clock: Clock, scope: str, method: str, need: str
) -> None:
    answer = Caller(store, store.make_key(permissions=scope), clock)(method, "webhooks")
    sentence = f"The API key provided does not have {need} permissions."
    assert error(answer) == (401, "woocommerce_rest_authentication_error", sentence)


def test_a_demoted_owner_gets_403_and_a_deleted_one_401(store: WooCommercePlatform, ask: Caller) -> None:
    store.demote()
    assert error(ask("GET", "orders")) == (403, LISTED["code"], LISTED["message"])
    assert error(ask("GET", "webhooks")) == (403, LISTED["code"], LISTED["message"])
    assert error(ask("GET", "system_status")) == (403, LISTED["code"], LISTED["message"])
    store.promote()
    assert ask("GET", "orders").status_code == 200
    store.delete_user("admin")
    assert ask("GET", "orders").json() == LISTED


def test_a_revoked_key_is_a_wrong_key(store: WooCommercePlatform, ask: Caller) -> None:
    store.revoke(ask.key.id)
    assert ask("GET", "orders").json() == LISTED


def test_callers_name_themselves_and_stay_polite(store: WooCommercePlatform, ask: Caller) -> None:
    store.polite = 2
    ask("GET", "orders")
    ask.headers["User-Agent"] = "python-requests/2"
    ask("GET", "orders")
    ask.headers["User-Agent"] = "Tillwire/9"
    ask("GET", "orders")
    assert store.violations() == [
        {
            "n": 2,
            "method": "GET",
            "path": "/wp-json/wc/v3/orders",
            "sentence": "header User-Agent must start with Tillwire/",
        },
        {"n": 3, "method": "GET", "path": "/wp-json/wc/v3/orders", "sentence": "more than 2 calls in a minute"},
    ]


# OAuth 1.0a


def signed(store: WooCommercePlatform, key: Key, digest: str = "sha256", **changed: str) -> dict[str, str]:
    """Query parameters of a signed GET of orders, as RFC 5849 asks for."""
    params = {
        "oauth_consumer_key": key.consumer_key,
        "oauth_timestamp": str(NOW),
        "oauth_nonce": secrets.token_hex(8),
        "oauth_signature_method": f"HMAC-{digest.upper()}",
        "per_page": "5",
    } | changed
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(params.items()))
    url = f"{store.url}/wp-json/wc/v3/orders"
    base = f"GET&{quote(url, safe='')}&{quote(pairs, safe='')}"
    signature = hmac.digest(f"{key.consumer_secret}&".encode(), base.encode(), digest)
    return params | {"oauth_signature": base64.b64encode(signature).decode()}


@pytest.fixture
def plain(store: WooCommercePlatform) -> WooCommercePlatform:
    store.behind_tls = False
    return store


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_over_http_requests_are_signed(plain: WooCommercePlatform, ask: Caller, digest: str) -> None:
    assert call(plain, "GET", "orders", params=signed(plain, ask.key, digest)).json() == []
    assert (plain.calls()[-1]["auth"], plain.sentences()) == ("oauth", [])


def test_the_signature_may_stand_in_the_header(plain: WooCommercePlatform, ask: Caller) -> None:
    params = signed(plain, ask.key)
    given = ", ".join(f'{name}="{quote(value, safe="")}"' for name, value in params.items() if "oauth" in name)
    headers = TILLWIRE | {"Authorization": f"OAuth {given}"}
    assert call(plain, "GET", "orders", params={"per_page": "5"}, headers=headers).json() == []


def test_a_changed_parameter_breaks_the_signature(plain: WooCommercePlatform, ask: Caller) -> None:
    answer = call(plain, "GET", "orders", params=signed(plain, ask.key) | {"per_page": "6"})
    sentence = "Invalid signature - provided signature does not match."
    assert error(answer) == (401, "woocommerce_rest_authentication_error", sentence)


def test_a_nonce_is_good_once(plain: WooCommercePlatform, ask: Caller) -> None:
    params = signed(plain, ask.key)
    assert call(plain, "GET", "orders", params=params).status_code == 200
    sentence = "Invalid nonce - nonce has already been used."
    assert error(call(plain, "GET", "orders", params=params))[2] == sentence


@pytest.mark.parametrize(("off", "status"), [(-900, 200), (900, 200), (-901, 401), (901, 401)])
def test_the_clock_may_be_15_minutes_off(plain: WooCommercePlatform, ask: Caller, off: int, status: int) -> None:
    answer = call(plain, "GET", "orders", params=signed(plain, ask.key, oauth_timestamp=str(NOW + off)))
    assert answer.status_code == status
    assert status == 200 or error(answer)[2] == "Invalid timestamp."


def test_half_a_signature_is_told_what_it_lacks(plain: WooCommercePlatform, ask: Caller) -> None:
    params = signed(plain, ask.key)
    del params["oauth_nonce"]
    answer = call(plain, "GET", "orders", params=params)
    code = "woocommerce_rest_authentication_missing_parameter"
    assert error(answer) == (401, code, "Missing OAuth parameter oauth_nonce")
    answer = call(plain, "GET", "orders", params=signed(plain, ask.key, oauth_consumer_key="ck_no"))
    assert error(answer) == (401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")


def test_the_library_signs_as_the_store_expects_but_not_lists(plain: WooCommercePlatform, ask: Caller) -> None:
    first, second = plain.place_order(), plain.place_order()

    def listed(params: dict[str, Any]) -> requests.Response:
        """As the library does it: the signed address, and the parameters once more."""
        url = f"{plain.url}/wp-json/wc/v3/orders?{urlencode(params, doseq=True)}"
        key = ask.key
        address = OAuth(url, key.consumer_key, key.consumer_secret, version="wc/v3", oauth_timestamp=NOW)
        return requests.get(address.get_oauth_url(), params=params, headers=TILLWIRE, timeout=60)

    found = listed({"include": f"{first},{second}", "_fields": "id", "order": "asc"})
    assert found.json() == [{"id": first}, {"id": second}]
    assert listed({"include[]": [first, second]}).status_code == 401


# Orders


def test_an_order_is_shown_as_webhooks_show_it(store: WooCommercePlatform, ask: Caller) -> None:
    order_id = store.place_order(number="4711-2")
    shown = ask("GET", f"orders/{order_id}").json()
    assert shown == store.order(order_id)
    assert (shown["status"], shown["date_paid_gmt"], shown["date_paid"]) == (
        "processing",
        "2027-01-15T08:00:00",
        "2027-01-15T09:00:00",
    )
    assert [each["value"] for each in shown["meta_data"] if each["key"] == "sprii_order_no"] == ["4711-2"]


def test_an_unknown_order_is_unknown_to_everyone(store: WooCommercePlatform, ask: Caller) -> None:
    expected = (404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
    assert error(ask("GET", "orders/1")) == expected
    assert error(call(store, "GET", "orders/1")) == expected
    order_id = store.place_order()
    denied = (401, "woocommerce_rest_cannot_view", "Sorry, you cannot view this resource.")
    assert error(call(store, "GET", f"orders/{order_id}")) == denied


def test_fields_make_the_answer_small(store: WooCommercePlatform, ask: Caller) -> None:
    order_id = store.place_order()
    row = {"id": order_id, "status": "processing", "date_modified_gmt": "2027-01-15T08:00:00"}
    assert ask("GET", "orders", _fields="id,status,date_modified_gmt").json() == [row]
    assert ask("GET", f"orders/{order_id}", _fields="id").json() == {"id": order_id}


@pytest.mark.parametrize(
    ("offset", "given", "gmt", "seen"),
    [
        (3600, "2027-01-15T08:00:00", True, 5),  # UTC, and said so
        (3600, "2027-01-15T08:00:00Z", False, 5),
        (3600, "2027-01-15T09:00:00+01:00", False, 5),
        (3600, "2027-01-15T09:00:00", False, 5),  # neither: the store's own time
        (3600, "2027-01-15T08:00:00", False, 11),
        (3600, "2027-01-15T08:00:00Z", True, 0),  # the mix: an hour is hidden
        (-18000, "2027-01-15T08:00:00", True, 5),
        (-18000, "2027-01-15T08:00:00Z", False, 5),
        (-18000, "2027-01-15T08:00:00Z", True, 11),  # west of Greenwich: too much
    ],
)
def test_modified_after_is_right_in_two_forms_and_wrong_in_their_mix(
    clock: Clock, offset: int, given: str, gmt: bool, seen: int
) -> None:
    with WooCommercePlatform(clock=clock, behind_tls=True, offset=offset) as store:
        ask = Caller(store, store.make_key(), clock)
        for minutes in range(-25, 30, 5):  # 11 orders within an hour, 5 of them after NOW
            clock.now = NOW + minutes * 60
            store.place_order()
        params = {"modified_after": given, "per_page": 100} | ({"dates_are_gmt": "true"} if gmt else {})
        assert len(ask.ids(**params)) == seen
        mixed = given.endswith("Z") and gmt
        bare = not gmt and given.endswith(":00") and "+" not in given
        assert len(store.sentences()) == (1 if mixed or bare else 0)


def test_bounds_of_time_are_exclusive_and_second_grained(store: WooCommercePlatform, ask: Caller) -> None:
    ids = []
    for ask.clock.now in (NOW, NOW + 1, NOW + 2):
        ids.append(store.place_order())
    gmt = {"dates_are_gmt": "true", "order": "asc"}
    assert ask.ids(modified_after="2027-01-15T08:00:00", **gmt) == ids[1:]
    assert ask.ids(modified_before="2027-01-15T08:00:02", **gmt) == ids[:2]
    assert ask.ids(modified_after="2027-01-15T08:00:00", modified_before="2027-01-15T08:00:02", **gmt) == ids[1:2]
    assert ask.ids(after="2027-01-15T08:00:01", **gmt) == ids[2:]
    ask.clock.now = NOW + 60
    store.edit(ids[0])
    assert ask.ids(modified_after="2027-01-15T08:00:00", orderby="modified", **gmt) == [*ids[1:], ids[0]]
    assert ask.ids(orderby="modified") == [ids[0], ids[2], ids[1]]
    assert ask.ids(orderby="id", order="asc") == ids


def test_pages_have_counts_and_links(store: WooCommercePlatform, ask: Caller) -> None:
    ids = [store.place_order() for _ in range(5)]
    answer = ask("GET", "orders", per_page=2, page=2, orderby="id", order="asc", _fields="id")
    assert [order["id"] for order in answer.json()] == ids[2:4]
    assert (answer.headers["X-WP-Total"], answer.headers["X-WP-TotalPages"]) == ("5", "3")
    query = {"per_page": 2, "page": 3, "orderby": "id", "order": "asc", "_fields": "id"}
    assert answer.links["next"]["url"] == f"{store.url}/wp-json/wc/v3/orders?{urlencode(query)}"
    assert answer.links["prev"]["url"] == answer.links["next"]["url"].replace("page=3", "page=1")
    assert ask("GET", "orders", page=9, per_page=2).json() == []
    assert "next" not in ask("GET", "orders", page=3, per_page=2).links
    assert len(ask.ids()) == 5


def test_the_next_link_is_what_the_store_believes_its_address_to_be(clock: Clock) -> None:
    with WooCommercePlatform(clock=clock, behind_tls=True, home="http://www.shop.example") as store:
        ask = Caller(store, store.make_key(), clock)
        store.place_order()
        store.place_order()
        link = ask("GET", "orders", per_page=1).links["next"]["url"]
        assert link == "http://www.shop.example/wp-json/wc/v3/orders?per_page=1&page=2"


@pytest.mark.parametrize(
    ("name", "value", "code", "message"),
    [
        ("per_page", "101", "rest_out_of_bounds", "per_page must be between 1 (inclusive) and 100 (inclusive)"),
        ("per_page", "0", "rest_out_of_bounds", "per_page must be between 1 (inclusive) and 100 (inclusive)"),
        ("page", "two", "rest_invalid_type", "page is not of type integer."),
        ("order", "up", "rest_not_in_enum", "order is not one of asc, and desc."),
        ("modified_after", "yesterday", "rest_invalid_date", "Invalid date."),
    ],
)
def test_parameters_that_wordpress_does_not_take(
    store: WooCommercePlatform, ask: Caller, name: str, value: str, code: str, message: str
) -> None:
    answer = ask("GET", "orders", **{name: value})
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "rest_invalid_param",
        "message": f"Invalid parameter(s): {name}",
        "data": {
            "status": 400,
            "params": {name: message},
            "details": {name: {"code": code, "message": message, "data": None}},
        },
    }
    assert store.sentences() == (["per_page is more than 100"] if value == "101" else [])


def test_any_status_holds_drafts_and_no_trash(store: WooCommercePlatform, ask: Caller) -> None:
    paid, draft, trashed = store.place_order(), store.place_order(draft=True), store.place_order()
    store.trash(trashed)
    custom = store.place_order(payment="bank", paid=False)
    assert ask.ids(status="on-hold") == [custom]
    store.change_status(custom, "packed")
    assert sorted(ask.ids()) == sorted(ask.ids(status="any")) == [paid, draft, custom]
    assert ask.ids(status="trash") == [trashed]
    assert ask.ids(status="checkout-draft,packed") == [custom, draft]
    assert ask("GET", f"orders/{trashed}").json()["status"] == "trash"
    assert ask("GET", "orders", status="unheard-of").status_code == 400


def test_status_alone_does_not_prove_payment(store: WooCommercePlatform, ask: Caller) -> None:
    order_id = store.place_order(payment="cod", paid=False)
    shown = ask("GET", f"orders/{order_id}").json()
    assert (shown["status"], shown["date_paid_gmt"]) == ("processing", None)
    ask.clock.now += 60
    store.change_status(order_id, "completed")
    shown = ask("GET", f"orders/{order_id}").json()
    assert (shown["date_paid_gmt"], shown["date_completed_gmt"]) == ("2027-01-15T08:01:00", "2027-01-15T08:01:00")


def test_no_caller_writes_orders(ask: Caller) -> None:
    assert error(ask("PUT", "orders/1", {}))[:2] == (404, "rest_no_route")


# Refunds


def sold(seed: int = 1) -> Any:
    """The first made-up order with a line of three or more, prices with tax, shipping, and no discounts."""
    for story in Story("woocommerce", seed, currency="DKK", taxes_included=True).orders(500):
        if story.lines[0].quantity >= 3 and story.shipping and story.shipping.paid and not story.discounts:
            return story
    raise AssertionError


def test_refunds_show_their_lines_with_negative_quantities(store: WooCommercePlatform, ask: Caller) -> None:
    story = sold()
    order_id, line = store.place_order(story), story.lines[0]
    first = store.refund(order_id, {line.id: 1}, reason="Broken")
    ask.clock.now += 60
    second = store.refund(order_id, {line.id: 1}, shipping=True)
    gross, ship = Decimal(line.unit) / 100, Decimal(story.shipping.paid) / 100
    order = ask("GET", f"orders/{order_id}").json()
    assert order["refunds"] == [
        {"id": second, "reason": "", "total": f"{-(gross + ship):.2f}"},
        {"id": first, "reason": "Broken", "total": f"{-gross:.2f}"},
    ]
    assert (order["status"], order["line_items"][0]["quantity"]) == ("processing", line.quantity)
    newest, oldest = ask("GET", f"orders/{order_id}/refunds").json()
    tax = Decimal(line.tax) / 100 / line.quantity
    assert (oldest["amount"], oldest["date_created_gmt"]) == (f"{gross:.2f}", "2027-01-15T08:00:00")
    assert (newest["amount"], newest["date_created"]) == (f"{gross + ship:.2f}", "2027-01-15T09:01:00")
    (row,) = oldest["line_items"]
    assert (row["quantity"], row["product_id"], row["sku"]) == (-1, line.product_id, line.sku or "")
    assert abs(Decimal(row["total_tax"]) + tax) <= Decimal("0.01")
    assert Decimal(row["total"]) + Decimal(row["total_tax"]) == -gross
    assert row["meta_data"][0]["value"] == str(line.id)
    assert oldest["shipping_lines"] == []
    (shipped,) = newest["shipping_lines"]
    assert Decimal(shipped["total"]) + Decimal(shipped["total_tax"]) == -ship
    rest = ask("GET", f"orders/{order_id}/refunds", per_page=1, page=2)
    assert ([each["id"] for each in rest.json()], rest.headers["X-WP-TotalPages"]) == ([first], "2")


def test_an_order_refunded_in_full_says_so_and_its_total_stays(store: WooCommercePlatform, ask: Caller) -> None:
    order_id = store.place_order()
    total = store.order(order_id)["total"]
    store.refund(order_id, amount=Decimal("1.00"))
    assert store.order(order_id)["status"] == "processing"
    store.refund(order_id)
    shown = store.order(order_id)
    assert (shown["status"], shown["total"]) == ("refunded", total)
    assert sum(Decimal(each["total"]) for each in shown["refunds"]) == -Decimal(total)
    store.delete_refund(order_id, shown["refunds"][0]["id"])
    assert len(store.order(order_id)["refunds"]) == 1


def test_refunds_of_no_order_are_an_empty_list(ask: Caller) -> None:
    assert ask("GET", "orders/1/refunds").json() == []


# Webhooks


def hook(receiver: Receiver, **changed: Any) -> dict[str, Any]:
    return {"name": "T", "topic": "order.updated", "delivery_url": f"{receiver.url}/a", "secret": SECRET} | changed


def test_a_webhook_is_made_active_whatever_is_asked_for_and_hides_its_secret(
    store: WooCommercePlatform, ask: Caller, receiver: Receiver
) -> None:
    answer = ask("POST", "webhooks", hook(receiver, status="paused"))
    assert answer.status_code == 201
    (made,) = store.webhooks()
    route = f"{store.url}/wp-json/wc/v3/webhooks"
    assert answer.headers["Location"] == f"{route}/{made.id}"
    shown = {
        "id": made.id,
        "name": "T",
        "status": "active",
        "topic": "order.updated",
        "resource": "order",
        "event": "updated",
        "hooks": ["woocommerce_update_order", "woocommerce_order_refunded"],
        "delivery_url": f"{receiver.url}/a",
        "date_created": "2027-01-15T09:00:00",
        "date_created_gmt": "2027-01-15T08:00:00",
        "date_modified": "2027-01-15T09:00:00",
        "date_modified_gmt": "2027-01-15T08:00:00",
        "_links": {"self": [{"href": f"{route}/{made.id}"}], "collection": [{"href": route}]},
    }
    assert answer.json() == ask("GET", f"webhooks/{made.id}").json() == shown
    assert ask("GET", "webhooks").json() == [shown]
    assert (made.secret, made.login, store.sentences()) == (SECRET, "admin", [])


def test_a_new_webhook_is_pinged_by_a_form_that_nobody_signed(
    store: WooCommercePlatform, ask: Caller, receiver: Receiver
) -> None:
    number = ask("POST", "webhooks", hook(receiver)).json()["id"]
    (ping,) = receiver.got
    assert (ping.method, ping.path, ping.body) == ("POST", "/a", f"webhook_id={number}".encode())
    assert ping.headers == {
        "host": receiver.url.removeprefix("http://"),
        "user-agent": "WooCommerce/9.9.5 Hookshot (WordPress/6.9)",
        "accept": "*/*",
        "accept-encoding": "deflate, gzip, br, zstd",
        "connection": "close",
        "content-type": "application/x-www-form-urlencoded",
        "content-length": str(len(ping.body)),
    }


def test_the_answer_to_a_ping_is_ignored(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    receiver.answer = lambda _: 500
    assert ask("POST", "webhooks", hook(receiver)).status_code == 201
    dead = hook(receiver, delivery_url="http://127.0.0.1:9/", secret=SECRET[::-1])
    assert ask("POST", "webhooks", dead).status_code == 201
    assert [made.failures for made in store.webhooks()] == [0, 0]


@pytest.mark.parametrize(
    ("topic", "status"),
    [
        *[(topic, 400) for topic in ("order.paid", "cart.updated", "", "order", "action.wp_login")],
        *[(topic, 201) for topic in ("order.restored", "action.woocommerce_order_status_changed", "action.wc_any")],
    ],
)
def test_topics_that_the_store_knows(ask: Caller, receiver: Receiver, topic: str, status: int) -> None:
    answer = ask("POST", "webhooks", hook(receiver, topic=topic))
    assert answer.status_code == status
    if status == 400:
        sentence = "Webhook topic is required and must be valid."
        assert error(answer) == (400, "woocommerce_rest_shop_webhook_invalid_topic", sentence)


def test_the_plugin_adds_the_topic_of_carts(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    store.plugin = True
    assert ask("POST", "webhooks", hook(receiver, topic="cart.updated")).json()["resource"] == "cart"


def test_a_topic_in_capitals_is_stored_empty(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    answer = ask("POST", "webhooks", hook(receiver, topic="Order.Updated"))
    assert (answer.status_code, answer.json()["topic"], answer.json()["status"]) == (201, "", "active")
    assert store.sentences() == ["topic in capitals: it is stored empty, and the webhook never fires"]
    store.place_order()
    assert store.run_cron() == []


@pytest.mark.parametrize("url", ["ftp://tillwire.test/", "tillwire.test", ""])
def test_a_delivery_url_is_http_or_https(ask: Caller, receiver: Receiver, url: str) -> None:
    sentence = "Webhook delivery URL must be a valid URL starting with http:// or https://."
    answer = ask("POST", "webhooks", hook(receiver, delivery_url=url))
    assert error(answer) == (400, "woocommerce_rest_shop_webhook_invalid_delivery_url", sentence)


def test_topic_and_delivery_url_are_needed(ask: Caller) -> None:
    answer = ask("POST", "webhooks", {"topic": "order.created"})
    assert error(answer) == (400, "rest_missing_callback_param", "Missing parameter(s): delivery_url")


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "webhook without a secret of the caller's: no REST route shows the store's"),
        ("a&amp;b", "webhook secret must be 32 hex digits or more: other characters break signatures"),
        ("ABCDEF" * 6, "webhook secret must be 32 hex digits or more: other characters break signatures"),
        (SECRET, None),
    ],
)
def test_a_secret_is_the_callers_own_and_hex(
    store: WooCommercePlatform, ask: Caller, receiver: Receiver, secret: str, sentence: str | None
) -> None:
    assert ask("POST", "webhooks", hook(receiver, secret=secret)).status_code == 201
    assert store.sentences() == ([sentence] if sentence else [])
    assert len(store.webhooks()[0].secret) == (len(secret) or 50)


def test_twins_are_made_and_noticed(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    ask("POST", "webhooks", hook(receiver))
    ask("POST", "webhooks", hook(receiver, secret=SECRET[::-1]))
    ask("POST", "webhooks", hook(receiver, topic="order.deleted", secret=SECRET))
    assert len(store.webhooks()) == 3
    assert store.sentences() == [
        "a webhook of this topic with this delivery URL is there already",
        "webhook secret is another webhook's: bodies can be replayed across topics",
        "a webhook of another topic with this delivery URL is there already",
        "a webhook of another topic with this delivery URL is there already",
    ]


def test_a_put_moves_a_webhook_and_pings_it_again(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    number = ask("POST", "webhooks", hook(receiver)).json()["id"]
    ask.clock.now += 5
    moved = ask("PUT", f"webhooks/{number}", {"delivery_url": f"{receiver.url}/b"}).json()
    assert (moved["delivery_url"], moved["date_modified_gmt"]) == (f"{receiver.url}/b", "2027-01-15T08:00:05")
    ask("PUT", f"webhooks/{number}", {"status": "paused", "name": "U"})
    assert [(got.path, got.body) for got in receiver.got] == [
        ("/a", f"webhook_id={number}".encode()),
        ("/b", f"webhook_id={number}".encode()),
    ]
    assert (store.webhooks()[0].status, store.webhooks()[0].name) == ("paused", "U")


def test_activating_instead_of_making_anew_is_noticed(
    store: WooCommercePlatform, ask: Caller, receiver: Receiver
) -> None:
    number = ask("POST", "webhooks", hook(receiver)).json()["id"]
    store.pause(number)
    ask("PUT", f"webhooks/{number}", {"status": "active"})
    store.webhooks()[0].status = "disabled"
    ask("PUT", f"webhooks/{number}", {"status": "active"})
    assert store.sentences() == [
        "a webhook that the merchant paused was set active",
        "a disabled webhook set active again: one more failure disables it at once",
    ]
    assert error(ask("PUT", f"webhooks/{number}", {"status": "gone"}))[:2] == (400, "rest_invalid_param")


def test_delete_needs_force(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    number = ask("POST", "webhooks", hook(receiver)).json()["id"]
    refused = (501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.")
    assert error(ask("DELETE", f"webhooks/{number}")) == refused
    assert error(ask("DELETE", f"webhooks/{number}", force="false")) == refused
    assert store.sentences() == ["DELETE of a webhook without force=true"] * 2
    assert ask("DELETE", f"webhooks/{number}", force="true").json()["id"] == number
    assert store.webhooks() == []
    gone = "woocommerce_rest_shop_webhook_invalid_id"
    assert error(ask("DELETE", f"webhooks/{number}", force="true")) == (404, gone, "Invalid ID.")
    assert error(ask("GET", f"webhooks/{number}")) == (400, gone, "ID is invalid.")
    assert error(ask("PUT", f"webhooks/{number}", {})) == (400, gone, "ID is invalid.")


def test_webhooks_of_others_are_not_to_be_touched(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    other = store.add_webhook("order.created", f"{receiver.url}/other", "x")
    assert receiver.got == []
    ask("PUT", f"webhooks/{other.id}", {"name": "mine"})
    ask("DELETE", f"webhooks/{other.id}", force="true")
    assert store.sentences() == ["a webhook that is not the caller's was touched"] * 2


def test_webhooks_are_listed_by_status_and_page(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    made = [store.add_webhook("order.created", f"{receiver.url}/{n}", "x").id for n in range(12)]
    store.pause(made[3])
    assert [row["id"] for row in ask("GET", "webhooks").json()] == made[:1:-1]
    answer = ask("GET", "webhooks", status="all", per_page=100, order="asc")
    assert [row["id"] for row in answer.json()] == made
    assert (answer.headers["X-WP-Total"], answer.headers["X-WP-TotalPages"]) == ("12", "1")
    assert [row["id"] for row in ask("GET", "webhooks", status="paused").json()] == [made[3]]
    assert ask("GET", "webhooks", status="unknown").status_code == 400
    assert (ask("GET", "webhooks", per_page=101).status_code, store.sentences()) == (400, ["per_page is more than 100"])


def test_a_batch_does_what_it_can(store: WooCommercePlatform, ask: Caller, receiver: Receiver) -> None:
    first = ask("POST", "webhooks", hook(receiver)).json()["id"]
    answer = ask(
        "POST",
        "webhooks/batch",
        {
            "create": [
                hook(receiver, topic="order.deleted", delivery_url=f"{receiver.url}/b", secret=SECRET[::-1]),
                hook(receiver, topic="order.paid"),
            ],
            "update": [{"id": first, "name": "V"}, {"id": 999_999}],
            "delete": [first],
        },
    ).json()
    assert answer["create"][0]["topic"] == "order.deleted"
    assert answer["create"][1]["error"]["code"] == "woocommerce_rest_shop_webhook_invalid_topic"
    assert (answer["update"][0]["name"], answer["update"][1]["id"]) == ("V", 999_999)
    assert [row["id"] for row in answer["delete"]] == [first]
    assert [made.topic for made in store.webhooks()] == ["order.deleted"]
    assert store.sentences() == []
    assert ask("POST", "webhooks/batch", {"delete": list(range(101))}).status_code == 413


# The rest


def test_the_system_status_tells_versions_and_the_kind_of_order_store(store: WooCommercePlatform, ask: Caller) -> None:
    store.hpos = False
    shown = ask("GET", "system_status").json()
    assert shown["environment"] == {
        "home_url": store.url,
        "site_url": store.url,
        "version": "9.9.5",
        "wp_version": "6.9",
    }
    assert shown["settings"] == {"currency": "DKK", "number_of_decimals": 2, "HPOS_enabled": False}


def test_the_plugins_route_is_there_with_the_plugin_and_wants_a_whole_key(
    store: WooCommercePlatform, ask: Caller
) -> None:
    given = {"kid": "k1", "secret": "0" * 31, "aud": "https://tillwire.test"}
    pair = (ask.key.consumer_key, ask.key.consumer_secret)

    def post(document: dict[str, str]) -> requests.Response:
        where = f"{store.url}/wp-json/wc-tillwire/v1/link-key"
        return requests.post(where, json=document, auth=pair, headers=TILLWIRE, timeout=60)

    assert error(post(given))[:2] == (404, "rest_no_route")
    store.plugin = True
    with pytest.raises(LookupError):
        store.plugin_link()
    missing = {"kid": "k1", "secret": "0" * 64}
    assert error(post(missing)) == (400, "rest_missing_callback_param", "Missing parameter(s): aud")
    assert post(given).json() == {"kid": "k1"}
    assert store.sentences() == ["a link key's secret has at least 32 characters"]
    store.demote()
    assert error(post(given))[0] == 403


def test_a_body_that_is_not_json_is_refused(store: WooCommercePlatform, ask: Caller) -> None:
    answer = call(
        store,
        "POST",
        "webhooks",
        data=b"{",
        headers=TILLWIRE | {"Content-Type": "application/json"},
        auth=(ask.key.consumer_key, ask.key.consumer_secret),
    )
    assert error(answer) == (400, "rest_invalid_json", "Invalid JSON body passed.")
