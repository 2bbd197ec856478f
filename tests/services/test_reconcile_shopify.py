"""A Shopify shop is reconciled by GraphQL, through the same ledger; one state is told once, whoever brings it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import factory
from app.models import Connection
from app.models import Shop as ShopRow
from app.services import show
from app.services.errors import Failed
from app.simulators.shopify_platform import ShopifyPlatform
from tests.rig import DOMAIN, Rig
from tests.services.reconciling import connect

SECRET = "a-secret-of-more-than-thirty-two-characters"
SCOPES = ("read_orders", "read_customers", "read_products")
WHOLE = ["order.placed", "order.paid", "order.fulfilled"]


@dataclass
class Shop:
    rig: Rig
    platform: ShopifyPlatform
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __post_init__(self) -> None:
        self.id = self.rig.shop(external_id=str(self.platform.shop(DOMAIN).id))
        token = self.platform.mint_token(DOMAIN)
        connect(
            self.rig,
            self.id,
            {"access_token": token["access_token"], "refresh_token": token["refresh_token"]},
            installed_at=self.now,
            scopes=list(SCOPES),
            expires_at=self.now + timedelta(hours=1),
            refresh_expires_at=self.now + timedelta(days=90),
        )
        self.config = replace(
            self.rig.config,
            shopify_api_key="client",
            shopify_secrets=(SECRET,),
            shopify_admin_url=self.platform.url,
            public_url="https://app.example",
        )

    def run(self, since: datetime | None = None) -> dict[str, Any]:
        with closing(factory.create_shopify(self.config)) as shopify:
            return factory.create_reconciler(self.rig.parts, shopify).run(self.id, since, now=self.now)

    def kinds(self) -> list[str]:
        return [each["kind"] for each in self.rig.events(state="understood")]

    def order(self, order_id: int) -> dict[str, Any]:
        """As the ledger knows it."""
        with self.rig.db.read() as session:
            known: dict[str, Any] = show.order(session, session.get_one(ShopRow, self.id), str(order_id))["known"]
            return known


@pytest.fixture
def shop(rig: Rig) -> Iterator[Shop]:
    with ShopifyPlatform("client", SECRET, app_url="https://app.example", scopes=SCOPES) as platform:
        platform.add_shop(DOMAIN, plan="plus")
        platform.install(DOMAIN)
        yield Shop(rig, platform)


def test_orders_whose_webhooks_were_lost_are_found(shop: Shop) -> None:
    for until in ("paid", "fulfilled", "created"):
        shop.platform.place_order(DOMAIN, until=until, quiet=True, want=lambda story: story.payment == "card")
    found = shop.run()
    assert (found["seen"], found["known"], found["unexplained"], found["clipped"]) == (3, 0, [], False)
    assert found["added"] == len(shop.kinds())
    assert shop.kinds().count("order.placed") == 3
    assert shop.platform.sentences() == []


def test_asking_again_adds_nothing(shop: Shop) -> None:
    shop.platform.place_order(DOMAIN, quiet=True)
    shop.run()
    again = shop.run()
    assert (again["seen"], again["known"], again["added"], again["unexplained"]) == (1, 1, 0, [])


def test_what_came_by_webhook_is_known_and_what_comes_later_tells_nothing_new(shop: Shop) -> None:
    body = shop.platform.place_order(DOMAIN, quiet=True)
    shop.rig.shopify("orders/create", body)
    shop.rig.account()
    before = shop.kinds()
    found = shop.run()
    assert (found["seen"], found["known"], found["added"]) == (1, 1, 0)
    shop.rig.shopify("orders/updated", body)
    shop.rig.account()
    assert shop.kinds() == before


def test_a_webhook_after_the_reconciliation_tells_nothing_new(shop: Shop) -> None:
    body = shop.platform.place_order(DOMAIN, quiet=True, until="fulfilled")
    shop.run()
    before = shop.kinds()
    shop.rig.shopify("orders/paid", body)
    shop.rig.shopify("orders/fulfilled", body)
    shop.rig.account()
    assert shop.kinds() == before


def test_a_refund_whose_webhooks_were_lost_is_found_with_its_lines(shop: Shop) -> None:
    body = shop.platform.place_order(DOMAIN, quiet=True, until="paid", want=lambda story: any(
        step.name == "refunded" for step in story.steps
    ))  # fmt: skip
    shop.rig.shopify("orders/create", body)
    shop.rig.account()
    shop.platform.continue_order(DOMAIN, body["id"], until="refunded", quiet=True)
    found = shop.run()
    assert found["unexplained"] == []
    assert "order.refunded" in shop.kinds()


def test_what_the_scopes_hide_is_kept_from_what_was_known(shop: Shop) -> None:
    body = shop.platform.place_order(
        DOMAIN, quiet=True, until="paid", want=lambda story: story.buyer.customer_id is not None and not story.tip
    )
    shop.rig.shopify("orders/create", body)
    shop.rig.account()
    known = shop.order(body["id"])
    shop.platform.change_scopes(DOMAIN, ("read_orders",))
    with shop.rig.db.write() as session:
        session.get_one(Connection, shop.id).scopes = ["read_orders"]
    shop.platform.state.clock = lambda: time.time() + 60
    shop.platform.edit_order(DOMAIN, body["id"], note="gift", quiet=True)
    assert shop.run()["unexplained"] == []
    now = shop.order(body["id"])
    assert now["note"] == "gift"
    assert (now["customer_id"], now["lines"]) == (known["customer_id"], known["lines"])


def test_nothing_older_than_sixty_days_is_asked_for_without_the_scope_for_it(shop: Shop) -> None:
    found = shop.run(shop.now - timedelta(days=90))
    assert found["clipped"] is True
    assert datetime.fromisoformat(found["since"]) == shop.now - timedelta(days=60)


def test_a_refused_call_says_what_to_do_and_moves_nothing(shop: Shop) -> None:
    shop.platform.place_order(DOMAIN, quiet=True)
    shop.platform.allowlist = False
    with pytest.raises(Failed, match=r"Shopify refuses calls from this server.*Nothing is lost"):
        shop.run()
    shop.platform.allowlist = True
    assert shop.run()["seen"] == 1


def test_an_app_that_is_not_approved_for_orders_is_told_so(shop: Shop) -> None:
    shop.platform.approve(DOMAIN, 0)
    with pytest.raises(Failed, match="check the app's scopes and its approval for customer data"):
        shop.run()
