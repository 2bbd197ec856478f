"""An order asked for by GraphQL reads as the same order told by webhook, from a simulated Shopify over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphql import parse as parse_graphql

from app.services.shopify_client import ShopifyClient
from app.simulators.shopify_orders import OrderView
from app.simulators.shopify_platform import ShopifyPlatform
from app.simulators.shopify_shop import ShopifyShop
from app.simulators.shopify_state import Order as Placed
from app.simulators.shops import Story
from connectors.base import Fetched, Names
from connectors.events import OrderSeen, facts
from connectors.reading import parse
from connectors.shopify import orders
from connectors.shopify.admin import Admin, AdminAnswer, AdminUnavailable
from connectors.shopify.connector import Shopify
from connectors.shopify.normalize import read_order
from connectors.shopify.order_query import REFUND_PARTS, Allowed, order_parts, orders_query, rest_query
from connectors.shopify.order_shape import fill, webhook_body
from connectors.shopify.orders import ask, fetch

DOMAIN = "plain.myshopify.com"
SECRET = "a-secret-of-more-than-thirty-two-characters"
ALL_SCOPES = ("read_orders", "read_customers", "read_products")
CONNECTIONS = {"lineItems", "shippingLines", *REFUND_PARTS}


@dataclass
class Shop:
    platform: ShopifyPlatform
    admin: Admin
    since: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(hours=1))

    def fetch(self, allowed: Allowed | None = None) -> list[Fetched]:
        return [each for page in fetch(self.admin, self.since, allowed or Allowed()) for each in page]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with ShopifyPlatform("client", SECRET, app_url="https://app.example", scopes=ALL_SCOPES) as platform:
        platform.add_shop(DOMAIN, plan="plus")
        platform.install(DOMAIN)
        token = platform.mint_token(DOMAIN)["access_token"]
        client = ShopifyClient(
            client_id="client",
            secrets=(SECRET,),
            api_version="2026-10",
            public_url="https://app.example",
            inner=platform.transport(),
        )
        with closing(client):
            yield Shop(platform, client.admin(DOMAIN, lambda _rejected: token))
            assert platform.sentences() == []


def read(body: bytes | Mapping[str, Any]) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found: dict[str, Any] = facts(read_order(parse(raw), Names()))
    return found


def in_pages(value: Any) -> Any:
    """Lists of the simulator's view as the connections that an answer has."""
    if isinstance(value, list):
        return [in_pages(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: {"nodes": in_pages(part)} if name in CONNECTIONS and isinstance(part, list) else in_pages(part)
        for name, part in value.items()
    }


# --- the same facts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["created", "paid", "fulfilled", "refunded", "cancelled"])
def test_an_order_asked_for_reads_as_the_order_told(shop: Shop, until: str) -> None:
    told = shop.platform.place_order(DOMAIN, until=until, quiet=True)
    (fetched,) = shop.fetch()
    assert read(fetched.body) == read(told)
    assert (fetched.order_id, fetched.topic) == (str(told["id"]), "orders/updated")
    assert fetched.changed_at == datetime.fromisoformat(told["updated_at"])


@pytest.mark.parametrize("seed", range(4))
def test_whole_lives_read_alike_in_every_state(seed: int) -> None:
    renderer, compared = ShopifyShop(), 0
    for story in Story("shopify", seed).orders(60):
        for webhook in renderer.webhooks(story):
            if webhook.topic.startswith("orders/"):
                view = OrderView(Placed(story, 0, json.loads(webhook.body), {})).show()
                shown = {**in_pages(view), "transactions": view["transactions"]}  # of an order, a plain list
                assert read(webhook_body(shown)) == read(webhook.body)
                compared += 1
    assert compared > 100


def test_an_order_asked_for_tells_when_it_was_paid(shop: Shop) -> None:
    told = shop.platform.place_order(
        DOMAIN, until="paid", quiet=True, want=lambda story: not any(step.pays for step in story.steps[:1])
    )
    (fetched,) = shop.fetch()
    seen = Shopify().observe(fetched.topic, {}, fetched.body, Names()).seen
    assert isinstance(seen, OrderSeen)
    assert seen.paid_at == datetime.fromisoformat(told["updated_at"])


def test_without_the_scopes_customer_and_products_are_not_told_and_nothing_else_is_missing(shop: Shop) -> None:
    told = shop.platform.place_order(
        DOMAIN,
        quiet=True,
        want=lambda story: story.source == "web" and story.buyer.customer_id is not None and not story.tip,
    )
    shop.platform.change_scopes(DOMAIN, ("read_orders",))
    (fetched,) = shop.fetch(Allowed(customer=False, products=False))
    hidden = {"customer", "customer_id", "lines"}
    shown, known = read(fetched.body), read(told)
    assert {name for name in known if shown.get(name) != known[name]} <= hidden
    ids = {"product_id", "variant_id", "unit_id"}
    bare = [{name: value for name, value in line.items() if name not in ids} for line in known["lines"]]
    assert [{name: value for name, value in line.items() if name != "custom_id"} for line in shown["lines"]] == bare
    assert json.loads(fetched.body)["hidden_by"] == ["read_customers", "read_products"]


def test_what_the_ledger_knows_fills_in_what_the_scopes_hide(shop: Shop) -> None:
    told = shop.platform.place_order(DOMAIN, quiet=True, want=lambda story: story.buyer.customer_id is not None)
    shop.platform.change_scopes(DOMAIN, ("read_orders",))
    (fetched,) = shop.fetch(Allowed(customer=False, products=False))
    known = read(told)
    body = fill(json.loads(fetched.body), known)
    filled = read(body)
    assert (filled["customer_id"], filled["lines"], body["hidden_by"]) == (known["customer_id"], known["lines"], [])


def test_a_line_that_came_since_stays_hidden(shop: Shop) -> None:
    told = shop.platform.place_order(DOMAIN, quiet=True, want=lambda story: len(story.lines) > 1)
    shop.platform.change_scopes(DOMAIN, ("read_orders",))
    (fetched,) = shop.fetch(Allowed(customer=False, products=False))
    known = read(told)
    body = fill(json.loads(fetched.body), {**known, "lines": known["lines"][1:]})
    assert body["hidden_by"] == ["read_products"]


@pytest.mark.parametrize("scope", ["read_customers", "read_products"])
def test_a_scope_that_was_taken_away_unnoticed_is_no_guest_and_no_line_without_product(shop: Shop, scope: str) -> None:
    shop.platform.place_order(DOMAIN, quiet=True, want=lambda story: story.buyer.customer_id is not None)
    shop.platform.change_scopes(DOMAIN, [each for each in ALL_SCOPES if each != scope])
    with pytest.raises(AdminAnswer, match="ACCESS_DENIED"):
        shop.fetch()


def test_fields_that_are_not_approved_for_the_app_are_absent_and_the_order_comes(shop: Shop) -> None:
    shop.platform.approve(DOMAIN, 1)
    told = shop.platform.place_order(DOMAIN, quiet=True)
    (fetched,) = shop.fetch()
    shown, known = read(fetched.body), read(told)
    assert (shown["id"], shown["total"], shown.get("email")) == (known["id"], known["total"], None)


def test_an_app_without_any_approval_is_refused(shop: Shop) -> None:
    shop.platform.approve(DOMAIN, 0)
    with pytest.raises(AdminAnswer, match="ACCESS_DENIED"):
        shop.fetch()


# --- pages ------------------------------------------------------------------------------------------------------------


def test_every_order_comes_once_over_many_pages(shop: Shop) -> None:
    told = [shop.platform.place_order(DOMAIN, quiet=True)["id"] for _ in range(8)]
    assert sorted(int(each.order_id) for each in shop.fetch()) == sorted(told)


def test_orders_that_did_not_change_since_are_left_out(shop: Shop) -> None:
    shop.platform.place_order(DOMAIN, quiet=True)
    shop.since = datetime.now(UTC) + timedelta(hours=1)
    assert shop.fetch() == []


def test_what_does_not_fit_into_the_first_page_of_an_order_is_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = shop.platform.place_order(DOMAIN, quiet=True, until="refunded", want=lambda story: len(story.lines) > 2)
    for name in ("LINES", "REST"):
        monkeypatch.setattr(f"connectors.shopify.order_query.{name}", 1)
    (fetched,) = shop.fetch()
    assert read(fetched.body) == read(told)


def test_a_refund_with_more_parts_than_a_page_is_asked_for_by_itself() -> None:
    canned = Canned(
        [{"refund": {"refundLineItems": {"nodes": [2, 3], "pageInfo": {"hasNextPage": True, "endCursor": "b"}}}},
         {"refund": {"refundLineItems": {"nodes": [4], "pageInfo": {"hasNextPage": False}}}}]
    )  # fmt: skip
    first = {"nodes": [1], "pageInfo": {"hasNextPage": True, "endCursor": "a"}}
    order = {"refunds": [{"id": "gid://shopify/Refund/9", "refundLineItems": first}]}
    orders._whole(canned, order, Allowed())
    assert order["refunds"][0]["refundLineItems"] == {"nodes": [1, 2, 3, 4]}
    assert [each["after"] for each in canned.variables] == ["a", "b"]


def test_behind_a_cursor_that_is_too_deep_a_new_one_begins(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "DEEPEST", 3)
    told = {
        str(shop.platform.place_order(DOMAIN, quiet=True, updated_at=f"2026-11-21T0{n}:00:00Z")["id"]) for n in range(7)
    }
    shop.since = datetime(2026, 11, 1, tzinfo=UTC)
    assert {each.order_id for each in shop.fetch()} == told


def test_the_new_cursor_begins_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "DEEPEST", 1)
    order = {"id": "gid://shopify/Order/1", "updatedAt": "2026-11-21T02:00:00Z"}
    more = {"orders": {"nodes": [order], "pageInfo": {"hasNextPage": True, "endCursor": "deep"}}}
    canned = Canned([more, NOTHING])
    list(fetch(canned, datetime(2026, 11, 1, tzinfo=UTC), Allowed()))
    assert [(each["query"], each["after"]) for each in canned.variables] == [
        ("updated_at:>='2026-11-01T00:00:00Z'", None),
        ("updated_at:>='2026-11-21T02:00:00Z'", None),
    ]


@pytest.mark.parametrize(
    ("shown", "parcels", "status"),
    [
        ("UNFULFILLED", [], None),
        ("PARTIALLY_FULFILLED", ["SUCCESS"], "partial"),
        ("FULFILLED", ["SUCCESS"], "fulfilled"),
        ("RESTOCKED", [], "restocked"),
        ("ON_HOLD", ["SUCCESS"], "partial"),
        ("IN_PROGRESS", ["CANCELLED"], None),
        ("SCHEDULED", [], None),
    ],
)
def test_what_was_sent_is_seen_behind_what_waits(shown: str, parcels: list[str], status: str | None) -> None:
    sent = [{"id": f"gid://shopify/Fulfillment/{n}", "status": each} for n, each in enumerate(parcels)]
    body = webhook_body({"id": "gid://shopify/Order/1", "displayFulfillmentStatus": shown, "fulfillments": sent})
    assert body["fulfillment_status"] == status


@pytest.mark.parametrize("reason", ["RESTOCK", "FULL_RETURN_BALANCING_ADJUSTMENT", None])
def test_an_adjustment_is_a_discrepancy_whatever_its_reason(reason: str | None) -> None:
    adjustment = {"id": "gid://shopify/OrderAdjustment/3", "reason": reason}
    refund = {"id": "gid://shopify/Refund/2", "orderAdjustments": {"nodes": [adjustment]}}
    body = webhook_body({"id": "gid://shopify/Order/1", "refunds": [refund]})
    assert [each["kind"] for each in body["refunds"][0]["order_adjustments"]] == ["refund_discrepancy"]


# --- limits -----------------------------------------------------------------------------------------------------------


class Canned:
    """Answers in a row; an error is raised."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self._answers = list(answers)
        self.variables: list[Mapping[str, Any]] = []

    def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        self.variables.append(variables)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found


NOTHING = {"orders": {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}


def test_a_page_that_costs_too_much_is_halved() -> None:
    canned = Canned([AdminAnswer("too much", ["MAX_COST_EXCEEDED"]), NOTHING])
    assert list(fetch(canned, datetime(2026, 11, 1, tzinfo=UTC), Allowed())) == [[]]
    assert [each["first"] for each in canned.variables] == [3, 1]
    assert canned.variables[0]["query"] == "updated_at:>='2026-11-01T00:00:00Z'"


def test_throttling_is_waited_out_for_as_long_as_shopify_says() -> None:
    naps: list[float] = []
    canned = Canned([AdminUnavailable("throttled", 7.5), AdminUnavailable("no answer"), NOTHING])
    assert ask(canned, "query", {}, naps.append) == NOTHING
    assert naps == [7.5, 2.0]


def test_what_does_not_pass_is_not_waited_for_without_end() -> None:
    naps: list[float] = []
    with pytest.raises(AdminUnavailable):
        ask(Canned([AdminUnavailable("no answer")] * 9), "query", {}, naps.append)
    with pytest.raises(AdminUnavailable):
        ask(Canned([AdminUnavailable("throttled", 3600.0)]), "query", {}, naps.append)
    assert naps == [1.0, 2.0, 4.0]


def test_every_question_is_graphql_of_the_admin_api_and_none_costs_more_than_one_may(shop: Shop) -> None:
    """The simulated Shopify refuses unknown fields and dear questions, and `shop` looks for breaches at the end."""
    everything = Allowed()
    for query, variables in (
        (orders_query(everything), {"first": orders.FIRST, "query": "updated_at:>='2026-11-01T00:00:00Z'"}),
        *(
            (rest_query("order", part, each), {"id": "gid://shopify/Order/1"})
            for part, each in order_parts(everything).items()
        ),
        *((rest_query("refund", part, each), {"id": "gid://shopify/Refund/1"}) for part, each in REFUND_PARTS.items()),
    ):
        parse_graphql(query)
        shop.admin.ask(query, variables)
