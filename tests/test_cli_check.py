"""What an operator sees of a shop's connection, and the command that looks at it and repairs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from app.db import Database
from app.models import AuditEntry, Connection
from app.services.shopify_troubles import REOPEN
from tests.databases import settings
from tests.shopify_store import CLIENT_ID, DOMAIN, PUBLIC, SECRET, Store
from tests.walks import Walks


class Operator:
    """Somebody at the command line of a running Tillwire."""

    def __init__(self, db: Database, environment: Mapping[str, str]) -> None:
        self.db = db
        self.environment = dict(environment)

    def run(self, *arguments: str, **settings: str) -> Result:
        found = CliRunner().invoke(main, arguments, env={**self.environment, **settings}, prog_name="tillwire")
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    def json(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert (done.exit_code, done.stdout.count("\n")) == (status, 1), done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def check(self, shop: int, *, status: int = 0) -> dict[str, Any]:
        return self.json("shops", "check", str(shop), status=status)

    def checks_on_record(self) -> list[tuple[int | None, str]]:
        with self.db.read() as session:
            wanted = select(AuditEntry).where(AuditEntry.action == "check connection").order_by(AuditEntry.id)
            return [(row.shop_id, row.actor) for row in session.scalars(wanted)]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    db = Database(database_url)
    with Store(db) as store:
        store.installed()
        yield store
    db.close()


@pytest.fixture
def shopify(store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.chdir(tmp_path)
    environment = {
        **settings(database_url),
        "ENCRYPTION_KEYS": store.key,
        "PUBLIC_URL": PUBLIC,
        "SHOPIFY_ADMIN_URL": store.platform.url,
        "SHOPIFY_API_KEY": CLIENT_ID,
        "SHOPIFY_API_SECRET": SECRET,
    }
    return Operator(store.db, environment)


@pytest.fixture
def walks(tmp_path: Path, database_url: str) -> Iterator[Walks]:
    with Walks(tmp_path, database_url) as walks:
        yield walks


@pytest.fixture
def woocommerce(walks: Walks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.chdir(tmp_path)
    environment = {
        **settings(walks.config.database_url),
        "ENCRYPTION_KEYS": ",".join(walks.config.encryption_keys),
        "PUBLIC_URL": walks.config.public_url,
        "ALLOW_PRIVATE_NETWORKS": "1",
    }
    return Operator(walks.db, environment)


def text_of(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def want(store: Store, *topics: str) -> None:
    store.change(lambda _session, shop: setattr(shop, "settings", {**shop.settings, "topics": list(topics)}))


# shopify


def test_a_sound_shopify_connection_is_shown_whole(store: Store, shopify: Operator) -> None:
    found = shopify.check(1)
    connection = store.connection()
    assert found == {
        **{"shop": 1, "platform": "shopify", "domain": DOMAIN, "works": True},
        **{"state": "connected", "trouble": None, "missing_scopes": []},
        **{"checked_at": text_of(connection.checked_at), "reconciled_to": None},
        "report": connection.report,
    }
    assert {entry["state"] for entry in found["report"]["topics"].values()} == {"ok"}
    assert shopify.checks_on_record() == [(1, "operator")]


def test_a_subscription_that_went_missing_is_made_again(store: Store, shopify: Operator) -> None:
    want(store, "orders/edited")
    assert shopify.check(1)["report"]["topics"]["orders/edited"]["state"] == "ok"
    assert [each.topic for each in store.platform.subscriptions(DOMAIN)] == ["orders/edited"]


def test_a_refused_topic_fails_though_the_shop_is_connected(
    store: Store, shopify: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(store, "orders/edited")
    monkeypatch.setattr("connectors.shopify.subscriptions.subscribe", lambda *_: ["Address is not allowed"])
    found = shopify.check(1, status=1)
    assert (found["state"], found["works"]) == ("connected", False)
    assert found["report"]["topics"]["orders/edited"]["state"] == "refused"


def test_rights_that_are_missing_are_named_by_check_list_and_show(store: Store, shopify: Operator) -> None:
    store.platform.change_scopes(DOMAIN, ["read_customers", "read_orders", "read_products"])
    found = shopify.check(1, status=1)
    assert (found["state"], found["works"], found["missing_scopes"]) == ("attention", False, ["read_fulfillments"])
    connection = {name: found[name] for name in ("state", "trouble", "checked_at", "reconciled_to", "missing_scopes")}
    assert shopify.json("shops", "list")["shops"][0]["connection"] == connection
    assert shopify.json("shops", "show", "1")["connection"] == connection
    assert "missing_scopes: read_fulfillments\n" in shopify.run("shops", "check", "1").stdout


def test_an_access_that_has_ended_says_who_can_mend_it_and_the_store_is_asked_no_more(
    store: Store, shopify: Operator
) -> None:
    store.platform.kill_tokens(DOMAIN)
    first = shopify.check(1, status=1)
    asked = len(store.platform.requests())
    second = shopify.check(1, status=1)
    for found in (first, second):
        assert (found["state"], found["trouble"], found["works"]) == ("reopen", REOPEN, False)
    assert len(store.platform.requests()) == asked
    assert shopify.checks_on_record() == [(1, "operator")]


# woocommerce


def test_a_webhook_that_the_store_switched_off_is_made_anew(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    before = walks.hooks()
    hook = next(each for each in walks.store.webhooks() if each.topic == "order.updated")
    hook.status = "disabled"
    found = woocommerce.check(shop)
    assert found["report"]["topics"]["order.updated"] == {
        "state": "active",
        "why": "The store had switched it off after failed deliveries; it was made anew.",
        "last_event_at": None,
    }
    after = walks.hooks()
    assert [each[:2] for each in after] == [each[:2] for each in before]
    assert after != before
    shown = woocommerce.json("shops", "show", str(shop))["webhooks"]
    assert sorted(walks.config.public_url + each["url"] for each in shown) == sorted(url for *_, url in after)
    assert woocommerce.checks_on_record() == [(shop, "operator")]


def test_keys_that_were_revoked_are_told_with_the_remedy(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    walks.store.revoke(walks.keys()[0].id)
    found = woocommerce.check(shop, status=1)
    assert (found["state"], found["works"]) == ("attention", False)
    assert found["trouble"].endswith("Mend it there, or connect the store again.")
    text = woocommerce.run("shops", "check", str(shop))
    assert (text.exit_code, f"trouble: {found['trouble']}\n" in text.stdout) == (1, True)


def test_a_store_that_does_not_answer_fails_though_its_keys_may_be_good(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    walks.store.set_faults([{"kind": "status", "status": 503}] * 40)
    found = woocommerce.check(shop, status=1)
    assert (found["state"], found["trouble"], found["works"]) == ("connected", None, False)
    assert found["report"]["why"].startswith("Your store answered with an error of its own.")
    assert f"problem: {found['report']['why']}\n" in woocommerce.run("shops", "check", str(shop)).stdout


def test_a_store_that_somebody_else_checks_just_now_is_left_alone(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    calls = len(walks.store.calls())
    with walks.db.write() as session:
        session.get_one(Connection, shop).refreshing_until = datetime.now(UTC) + timedelta(minutes=1)
    done = woocommerce.run("shops", "check", str(shop))
    assert (done.exit_code, done.stdout, len(walks.store.calls())) == (1, "", calls)
    assert (
        done.stderr == f"tillwire: shop {shop} is being checked or connected anew just now: try again in two minutes\n"
    )


def test_a_store_that_was_disconnected_says_so_and_is_not_asked(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    walks.app.extensions["connections"].disconnect(shop, "operator", datetime.now(UTC))
    calls = len(walks.store.calls())
    found = woocommerce.check(shop, status=1)
    assert (found["state"], found["works"], len(walks.store.calls())) == ("ended", False, calls)
    assert found["trouble"].startswith("Its webhooks to Tillwire are deleted.")


def test_without_our_own_address_no_store_is_asked(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    calls = len(walks.store.calls())
    done = woocommerce.run("shops", "check", str(shop), PUBLIC_URL="")
    assert (done.exit_code, done.stdout, len(walks.store.calls())) == (2, "", calls)
    assert done.stderr == (
        "tillwire: PUBLIC_URL is missing: set it to the https address under which stores reach this server\n"
    )


# both


@pytest.mark.parametrize(
    ("platform", "address"), [("shopify", "by-hand.myshopify.com"), ("woocommerce", "https://by-hand.example")]
)
def test_a_shop_that_was_added_by_hand_has_no_connection(woocommerce: Operator, platform: str, address: str) -> None:
    shop = woocommerce.json("shops", "add", platform, address)["shop"]
    domain = address.removeprefix("https://")
    assert woocommerce.json("shops", "show", domain)["connection"] is None
    done = woocommerce.run("shops", "check", domain)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"tillwire: shop {shop} ({domain}) was added by hand, so there is no connection to look at: connect the store"
        f" as docs/platforms/{platform}.md says; what it has stays\n"
    )


def test_an_unknown_shop_cannot_be_checked(woocommerce: Operator) -> None:
    done = woocommerce.run("shops", "check", "7")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "tillwire: there is no shop '7': `tillwire shops list` shows them all\n"


def everything(operator: Operator, shop: int) -> str:
    commands = [("list",), ("show", str(shop)), ("check", str(shop))]
    done = [operator.run("shops", *command, *form) for command in commands for form in ((), ("--json",))]
    return "".join(each.output for each in done)


def test_shopifys_tokens_are_shown_nowhere(store: Store, shopify: Operator) -> None:
    said = everything(shopify, 1)
    hidden = [*store.secrets().values(), SECRET, store.connection().secrets]
    assert [each for each in hidden if not each or each in said] == []


def test_a_stores_keys_are_shown_nowhere(walks: Walks, woocommerce: Operator) -> None:
    shop = walks.connect()
    said = everything(woocommerce, shop)
    sealed = walks.connection(shop).secrets
    keys = [str(each) for each in walks.vault.open(sealed).values()]
    hidden = [sealed, *keys, *(hook.secret for hook in walks.store.webhooks())]
    assert (len(hidden), [each for each in hidden if not each or each in said]) == (7, [])
