"""The simulated Shopify's webhooks, sent over real HTTP to a receiver that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from werkzeug import Request, Response

from app.simulators.server import Server
from app.simulators.shopify_platform import ShopifyPlatform
from app.simulators.shopify_webhooks import RETRY_GAPS
from app.simulators.story import sign

SHOP = "first.myshopify.com"
NOW = 1_795_000_000.0
DECLARED = [
    {"topics": ["app/uninstalled", "app/scopes_update", "orders/create", "orders/paid"], "uri": "/webhooks/shopify"},
    {"topics": ["orders/updated"], "uri": "/webhooks/shopify", "filter": "test:true", "name": "tests-only"},
    {
        "compliance_topics": ["customers/data_request", "customers/redact", "shop/redact"],
        "uri": "/webhooks/shopify",
    },
]
CUSTOMER = {"id": 7, "email": "a@b.example", "phone": None}


@dataclass
class Receiver:
    status: int = 200
    got: list[Request] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        request.get_data()
        self.got.append(request)
        return Response(status=self.status)(environ, start_response)

    def topics(self) -> list[str]:
        return [request.headers["X-Shopify-Topic"] for request in self.got]

    def bodies(self) -> list[Any]:
        return [json.loads(request.get_data()) for request in self.got]


@dataclass
class Stage:
    receiver: Receiver
    platform: ShopifyPlatform
    now: list[float]

    def subscribe(self, topic: str) -> None:
        made, errors = self.platform._admin.subscriptions.create(
            self.platform.shop(SHOP), topic, {"uri": "https://hooks.example/own"}, "2026-07", "/"
        )
        assert made, errors


@pytest.fixture
def stage() -> Iterator[Stage]:
    now = [NOW]
    receiver = Receiver()
    with (
        Server(receiver) as server,
        ShopifyPlatform(
            "client",
            "newest",
            previous_secret="older",
            app_url=server.url,
            clock=lambda: now[0],
            subscriptions=DECLARED,
            routes={"https://hooks.example": server.url},
        ) as platform,
    ):
        platform.add_shop(SHOP, id=42)
        platform.install(SHOP)
        yield Stage(receiver, platform, now)


def test_an_order_is_told_with_the_headers_of_the_platform(stage: Stage) -> None:
    body = stage.platform.place_order(SHOP, want=lambda story: not story.test)
    assert {answer for _, answer in stage.platform.deliver_due()} == {"200"}
    [created] = [each for each in stage.receiver.got if each.headers["X-Shopify-Topic"] == "orders/create"]
    headers = created.headers
    assert created.path == "/webhooks/shopify"
    assert headers["X-Shopify-Hmac-Sha256"] == sign(created.get_data(), "older")
    assert (headers["X-Shopify-Shop-Domain"], headers["X-Shopify-API-Version"]) == (SHOP, "2026-10")
    assert headers["X-Shopify-Triggered-At"] == "2026-11-18T11:06:40.000000000Z"
    assert json.loads(created.get_data())["id"] == body["id"]
    assert stage.receiver.topics().count("orders/paid") == 1
    assert "orders/updated" not in stage.receiver.topics()


def test_two_subscriptions_share_the_event_and_not_the_webhook_id(stage: Stage) -> None:
    stage.subscribe("orders/create")
    stage.platform.place_order(SHOP, until="created")
    stage.platform.deliver_due()
    twins = [each.headers for each in stage.receiver.got if each.headers["X-Shopify-Topic"] == "orders/create"]
    assert len({each["X-Shopify-Event-Id"] for each in twins}) == 1
    assert len({each["X-Shopify-Webhook-Id"] for each in twins}) == 2
    assert [each["X-Shopify-API-Version"] for each in twins] == ["2026-10", "2026-07"]


def test_the_oldest_secret_signs_until_it_is_revoked(stage: Stage) -> None:
    signatures = []
    for step in (stage.platform.change_scopes, None):
        stage.platform.change_scopes(SHOP, ["read_orders"])
        stage.platform.deliver_due()
        got = stage.receiver.got[-1]
        signatures.append(
            [sign(got.get_data(), secret) for secret in ("older", "newest")].index(got.headers["X-Shopify-Hmac-Sha256"])
        )
        if step:
            stage.platform.revoke_old_secret()
    assert signatures == [0, 1]


def test_a_revoked_secret_may_sign_for_a_while(stage: Stage) -> None:
    stage.platform.revoke_old_secret(lag=3600)
    assert stage.platform.state.signing_secret() == "older"
    stage.now[0] += 3600
    assert stage.platform.state.signing_secret() == "newest"


def test_a_failed_delivery_is_tried_eight_times_more_with_the_same_id_and_body(stage: Stage) -> None:
    stage.receiver.status = 503
    stage.platform.change_scopes(SHOP, ["read_orders"])
    assert stage.platform.deliver_due() == [("app/scopes_update", "503")]
    assert stage.platform.deliver_due() == []
    for gap in RETRY_GAPS:
        stage.now[0] += gap
        assert stage.platform.deliver_due() == [("app/scopes_update", "503")]
    assert (stage.platform.waiting, len(stage.platform.webhooks.given_up)) == ([], 1)
    assert len({(each.headers["X-Shopify-Webhook-Id"], each.get_data()) for each in stage.receiver.got}) == 1
    assert (len(stage.receiver.got), sum(RETRY_GAPS)) == (9, 14280)
    assert len(stage.platform.subscriptions()) == 8


def test_a_subscription_made_through_the_api_is_deleted_after_eight_failures_in_a_row(stage: Stage) -> None:
    stage.platform.webhooks.declare([], "2026-10")
    stage.subscribe("orders/create")
    stage.receiver.status = 500
    for _ in range(7):
        stage.platform.place_order(SHOP, until="created")
    stage.platform.deliver_due()
    assert len(stage.platform.subscriptions(SHOP)) == 1
    stage.platform.place_order(SHOP, until="created")
    stage.platform.deliver_due()
    assert stage.platform.subscriptions(SHOP) == []


def test_a_redirect_is_a_failure_and_noted(stage: Stage) -> None:
    stage.receiver.status = 308
    stage.platform.change_scopes(SHOP, ["read_orders"])
    stage.platform.deliver_due()
    assert (len(stage.platform.waiting), stage.platform.sentences()) == (1, ["a webhook was answered with a redirect"])


def test_lost_webhooks_leave_no_trace(stage: Stage) -> None:
    stage.platform.lose_next(1)
    stage.platform.change_scopes(SHOP, ["read_products"])
    stage.platform.change_scopes(SHOP, ["read_orders"])
    assert stage.platform.deliver_due() == [("app/scopes_update", "200")]
    assert [(each["previous"], each["current"]) for each in stage.receiver.bodies()] == [
        (["read_products"], ["read_orders"])
    ]


def test_uninstalling_tells_the_app_and_two_days_later_has_the_shop_redacted(stage: Stage) -> None:
    stage.subscribe("orders/paid")
    stage.platform.uninstall(SHOP)
    assert stage.platform.subscriptions(SHOP) == []
    stage.platform.place_order(SHOP)
    assert stage.platform.deliver_due() == [("app/uninstalled", "200")]
    [body] = stage.receiver.bodies()
    assert (body["id"], body["myshopify_domain"]) == (42, None)
    stage.now[0] += 48 * 3600
    assert stage.platform.deliver_due() == [("shop/redact", "200")]
    assert stage.receiver.bodies()[-1] == {"shop_id": 42, "shop_domain": SHOP}


@pytest.mark.parametrize(("spared", "later"), [(False, [("shop/redact", "200")]), (True, [])])
def test_after_a_quick_reinstall_the_news_of_the_uninstall_comes_late_and_the_redaction_unless_spared(
    stage: Stage, spared: bool, later: list[tuple[str, str]]
) -> None:
    stage.platform.uninstall(SHOP)
    stage.now[0] += 30
    stage.platform.install(SHOP, spared=spared)
    assert stage.platform.deliver_due() == [("app/uninstalled", "200")]
    assert stage.receiver.got[0].headers["X-Shopify-Triggered-At"] == "2026-11-18T11:06:40.000000000Z"
    assert stage.platform.shop(SHOP).installed_at == NOW + 30
    stage.now[0] += 48 * 3600
    assert stage.platform.deliver_due() == later


def test_compliance_webhooks_may_come_without_the_shop_in_the_head(stage: Stage) -> None:
    stage.platform.request_data(SHOP, CUSTOMER, [1, 2], names_shop=False)
    stage.platform.redact_customer(SHOP, CUSTOMER, [1])
    stage.platform.deliver_due()
    first, second = stage.receiver.bodies()
    assert ["X-Shopify-Shop-Domain" in each.headers for each in stage.receiver.got] == [False, True]
    head = {"shop_id": 42, "shop_domain": SHOP, "customer": CUSTOMER}
    assert (first | {"data_request": None}) == {**head, "orders_requested": [1, 2], "data_request": None}
    assert second == {**head, "orders_to_redact": [1]}


def test_without_approval_no_orders_are_told_and_level_one_has_no_persons(stage: Stage) -> None:
    stage.platform.approve(SHOP, 0)
    stage.platform.place_order(SHOP)
    assert stage.platform.deliver_due() == []
    stage.platform.approve(SHOP, 1)
    stage.platform.place_order(SHOP, want=lambda story: story.buyer.email is not None)
    stage.platform.deliver_due()
    for body in stage.receiver.bodies():
        assert (body["email"], body["contact_email"], body["order_status_url"]) == (None, None, None)
        assert body["billing_address"] is None or body["billing_address"]["city"] is None


def test_included_fields_alone_are_told(stage: Stage) -> None:
    fields = ["id", "line_items.sku", "line_items.quantity"]
    declared = [{"topics": ["orders/create"], "uri": "/hook", "include_fields": fields}]
    stage.platform.webhooks.declare(declared, "2026-10")
    order = stage.platform.place_order(SHOP, until="created")
    stage.platform.deliver_due()
    lines = [{"sku": each["sku"], "quantity": each["quantity"]} for each in order["line_items"]]
    assert stage.receiver.bodies() == [{"id": order["id"], "line_items": lines}]


def test_an_order_goes_on_where_it_was(stage: Stage) -> None:
    order = stage.platform.place_order(
        SHOP, until="paid", want=lambda story: any(step.name == "refunded" for step in story.steps)
    )
    stage.now[0] += 3600
    later = stage.platform.continue_order(SHOP, order["id"], until="refunded", quiet=True)
    assert (len(order["refunds"]), len(later["refunds"])) == (0, 1)
    assert (order["updated_at"], later["updated_at"]) == (at(NOW, order), at(NOW + 3600, later))


def at(moment: float, body: Any) -> str:
    zone = datetime.fromisoformat(body["created_at"]).tzinfo
    return datetime.fromtimestamp(moment, zone).isoformat()


TOML = """
client_id = "client"
[access_scopes]
scopes = "read_orders, read_products"
[auth]
redirect_urls = ["https://app.example/callback"]
[webhooks]
api_version = "2026-07"
[[webhooks.subscriptions]]
topics = ["orders/create"]
uri = "{uri}"
[[webhooks.subscriptions]]
compliance_topics = ["shop/redact"]
uri = "/webhooks/shopify"
"""


def test_a_toml_file_is_deployed(stage: Stage) -> None:
    stage.platform.deploy(TOML.format(uri="/webhooks/shopify/"))
    base = stage.platform.state.app_url
    assert [(each.topic, each.uri, each.api_version) for each in stage.platform.subscriptions()] == [
        ("orders/create", f"{base}/webhooks/shopify", "2026-07"),
        ("shop/redact", f"{base}/webhooks/shopify", "2026-07"),
    ]
    assert stage.platform.add_shop("next").scopes == ("read_orders", "read_products")
    assert stage.platform.sentences() == ["a declared subscription's uri ends with a slash: /webhooks/shopify/"]


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param([{"uri": "/hook"}], id="no topic"),
        pytest.param([{"topics": ["orders/invented"], "uri": "/hook"}], id="unknown topic"),
        pytest.param([{"topics": ["orders/create"], "uri": "/hook"}] * 2, id="twice the same"),
        pytest.param(
            [{"compliance_topics": ["shop/redact"], "uri": f"/{each}"} for each in "ab"], id="compliance topic twice"
        ),
        pytest.param([{"topics": ["orders/create"], "uri": "/hook", "name": "a b"}], id="a name with a space"),
    ],
)
def test_what_the_command_line_would_refuse_is_refused(stage: Stage, declared: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"subscription|unique|compliance"):
        stage.platform.webhooks.declare(declared, "2026-10")
