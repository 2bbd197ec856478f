"""What Shopify is told of the app is what the code wants; and what the packages offer and must not be used is not."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.config import read_config
from app.services.shopify_client import CALLBACK
from app.simulators.shopify_platform import ShopifyPlatform
from connectors.shopify.connector import Shopify
from connectors.shopify.subscriptions import (
    APP_TOPICS,
    COMPLIANCE_TOPICS,
    PATH,
    SCOPES,
    SHOP_TOPICS,
    Subscription,
    compare,
    needed_scope,
)

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "shopify.app.toml").read_text()
TOML: dict[str, Any] = tomllib.loads(TEXT)
URI = "https://tillwire.example/webhooks/shopify"


def listed(kind: str) -> list[str]:
    return [topic for each in TOML["webhooks"]["subscriptions"] for topic in each.get(kind, [])]


def test_every_wanted_topic_is_declared_once() -> None:
    assert sorted(listed("topics")) == sorted(APP_TOPICS)
    assert sorted(listed("compliance_topics")) == sorted(COMPLIANCE_TOPICS)


def test_all_webhooks_arrive_at_our_route_without_a_redirect() -> None:
    assert {each["uri"] for each in TOML["webhooks"]["subscriptions"]} == {PATH}
    assert not PATH.endswith("/")


def test_scopes_version_and_addresses_are_those_of_the_code(tmp_path: Path) -> None:
    assert tuple(TOML["access_scopes"]["scopes"].split(",")) == SCOPES
    assert "use_legacy_install_flow" not in TOML["access_scopes"]
    assert TOML["webhooks"]["api_version"] == read_config({}, var=tmp_path).shopify_api_version
    assert TOML["embedded"] is True
    assert TOML["auth"]["redirect_urls"] == [TOML["application_url"] + CALLBACK]
    assert TOML["app_preferences"]["url"].startswith(TOML["application_url"])
    assert not TOML["application_url"].endswith("/")


def test_what_is_declared_could_be_deployed_and_is_of_use() -> None:
    with ShopifyPlatform("client", "s" * 32, app_url=TOML["application_url"]) as platform:
        platform.deploy(TEXT)
        assert sorted(each.topic for each in platform.subscriptions()) == sorted([*APP_TOPICS, *COMPLIANCE_TOPICS])
        assert {each.uri for each in platform.subscriptions()} == {URI}
    assert all(Shopify().uses(topic) for topic in (*APP_TOPICS, *COMPLIANCE_TOPICS, *SHOP_TOPICS))
    for_topics = {needed_scope(topic) for topic in APP_TOPICS}
    assert for_topics == {"", "read_fulfillments", "read_orders"}
    assert SCOPES == ("read_customers", "read_fulfillments", "read_orders", "read_products")


def test_a_topic_has_one_owner() -> None:
    assert not set(APP_TOPICS) & set(SHOP_TOPICS)
    assert len(set(APP_TOPICS)) == len(APP_TOPICS)


def test_the_guide_names_everything_that_an_operator_must_fill_in() -> None:
    guide = (ROOT / "docs/platforms/shopify.md").read_text()
    for name in ("client_id", "application_url", "redirect_urls", "app_preferences", "shopify app deploy", *SCOPES):
        assert f"`{name}" in guide, name


def sub(number: int, topic: str, uri: str = URI) -> Subscription:
    return Subscription(str(number), topic, uri)


@pytest.mark.parametrize(
    ("found", "wanted", "missing", "twins"),
    [
        ([], (), (), ()),
        ([], ("orders/edited",), ("orders/edited",), ()),
        ([sub(1, "orders/edited")], ("orders/edited",), (), ()),
        ([sub(1, "orders/edited"), sub(2, "orders/edited")], ("orders/edited",), (), ("2",)),
        ([sub(1, "orders/edited")], (), (), ("1",)),
        ([sub(1, "orders/create")], (), (), ("1",)),
        ([sub(1, "orders/create", "https://other.example/webhooks/woocommerce")], (), (), ()),
        ([sub(1, "orders/create", URI + "/")], (), (), ()),
        ([sub(1, "orders/edited", "https://other.example/")], ("orders/edited",), ("orders/edited",), ()),
    ],
)
def test_twins_go_missing_ones_come_and_other_addresses_stay(
    found: list[Subscription], wanted: tuple[str, ...], missing: tuple[str, ...], twins: tuple[str, ...]
) -> None:
    plan = compare(found, wanted, URI)
    assert plan.missing == missing
    assert tuple(each.id for each in plan.twins) == twins
    assert plan.old == ()


def test_those_at_an_address_that_we_had_are_old() -> None:
    had = "https://had.example/sub/webhooks/shopify"
    hers = ["https://had.example/webhooks/shopify/", "https://had.example/webhooks/shopify?a=1", "pubsub://a:webhooks"]
    found = [sub(1, "orders/edited", had), sub(2, "orders/edited"), *[sub(3, "orders/paid", each) for each in hers]]
    plan = compare(found, ("orders/edited",), URI)
    assert (plan.missing, plan.twins, [each.id for each in plan.old]) == ((), (), ["1"])


FORBIDDEN = {
    "activate_session": "leaves one shop's address behind for the whole process",
    "temp": "leaves a shop and its token active after an exception",
    "GraphQL": "has no timeout and reads the process's active shop",
    "request_token": "has no timeout, checks no state, and gives tokens that never expire",
    "ShopifyResource": "is the REST Admin API, and shared by the whole process",
    "setup": "keeps one secret for the whole process",
}


@pytest.mark.parametrize("path", sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")]), ids=str)
def test_what_shopifyapi_shares_between_shops_is_not_used(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "shopify"
        for alias in node.names
    }
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert not any(alias.name.partition(".")[0] == "shopify" for node in whole for alias in node.names)
    assert imported <= {"ApiAccess", "Session", "shop_url"}
    if imported:
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert names & set(FORBIDDEN) == set()
