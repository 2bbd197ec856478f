"""A Shopify shop is reconciled by GraphQL, through the same ledger; one state is told once, whoever brings it."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import factory
from app.models import Connection, Webhook
from app.models import Shop as ShopRow
from app.services import show
from app.services.erase import remove_person
from app.services.errors import Failed
from app.services.packing import decompress
from app.services.persons import from_request
from app.simulators.shopify_platform import ShopifyPlatform
from connectors.base import Names
from connectors.events import facts
from connectors.reading import parse
from connectors.shopify.normalize import read_order
from tests.rig import DOMAIN, Rig
from tests.services.reconciling import connect

SECRET = "a-secret-of-more-than-thirty-two-characters"
TOML = tomllib.loads((Path(__file__).parent.parent.parent / "shopify.app.toml").read_text())
SCOPES = tuple(TOML["access_scopes"]["scopes"].split(","))
FEWER = ("read_fulfillments", "read_orders")
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

    def grant(self, scopes: Sequence[str]) -> None:
        """Let the store grant other rights, and let us know of it."""
        self.platform.change_scopes(DOMAIN, scopes)
        with self.rig.db.write() as session:
            session.get_one(Connection, self.id).scopes = list(scopes)

    def parked(self) -> list[tuple[str, str]]:
        return [(each["order"], each["error"]) for each in self.rig.events(state="parked")]

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
    shop.grant(("read_orders",))
    shop.platform.state.clock = lambda: time.time() + 60
    shop.platform.edit_order(DOMAIN, body["id"], note="gift", quiet=True)
    assert shop.run()["unexplained"] == []
    now = shop.order(body["id"])
    assert now["note"] == "gift"
    assert (now["customer_id"], now["lines"]) == (known["customer_id"], known["lines"])


def test_with_the_rights_that_the_app_asks_for_an_order_first_seen_here_is_as_its_webhook_tells_it(shop: Shop) -> None:
    told = [
        shop.platform.place_order(
            DOMAIN, quiet=True, until=until, want=lambda story: story.buyer.customer_id is not None and not story.tip
        )
        for until in ("created", "paid", "fulfilled", "refunded", "cancelled")
    ]
    assert shop.run()["unexplained"] == []
    for body in told:
        known = shop.order(body["id"])
        assert known == facts(read_order(parse(json.dumps(body).encode()), Names()))
        assert known["customer_id"] == str(body["customer"]["id"])
        assert [line["product_id"] for line in known["lines"] if line["kind"] == "product"] == [
            str(line["product_id"]) for line in body["line_items"]
        ]


HIDDEN = (
    "hidden in part, because the store has not granted read_customers and read_products; its own webhook tells it whole"
)


def hide_one(shop: Shop) -> dict[str, Any]:
    """An order of which we hear by asking alone, while the store grants less than the app asks for."""
    shop.rig.switch_on(shop.id)
    shop.grant(FEWER)
    return shop.platform.place_order(
        DOMAIN, quiet=True, want=lambda story: story.buyer.customer_id is not None and not story.tip
    )


def test_an_order_that_is_hidden_in_part_is_reported_as_such_and_not_sent_with_other_ids(shop: Shop) -> None:
    body = hide_one(shop)
    order = str(body["id"])
    for _ in range(2):
        found = shop.run()
        assert (found["seen"], found["known"], found["added"]) == (1, 0, 0)
        assert found["unexplained"] == [{"order": order, "reason": f"parked: {HIDDEN}"}]
    assert (shop.parked(), shop.kinds(), shop.rig.deliveries()) == ([(order, HIDDEN)], [], [])


def test_the_buyer_of_an_order_that_is_hidden_in_part_can_be_erased_and_it_stays_hidden(shop: Shop) -> None:
    body = hide_one(shop)
    shop.run()
    with shop.rig.db.read() as session:
        before = decompress(session.scalars(select(Webhook.body)).one()).decode()
    assert body["email"] in before
    person = from_request({"customer": {"id": body["customer"]["id"], "email": body["email"], "phone": None}})
    remove_person(shop.rig.db, shop.rig.parts.vault, shop.id, person)
    with shop.rig.db.read() as session:
        after = decompress(session.scalars(select(Webhook.body)).one()).decode()
    assert body["email"] not in after
    assert json.loads(after)["hidden_by"] == ["read_customers", "read_products"]


def test_its_own_webhook_tells_an_order_that_was_hidden(shop: Shop) -> None:
    body = hide_one(shop)
    shop.run()
    shop.rig.shopify("orders/create", body)
    shop.rig.account()
    assert (shop.parked(), shop.kinds()) == ([], ["order.placed", "order.paid"])
    assert shop.order(body["id"]) == facts(read_order(parse(json.dumps(body).encode()), Names()))
    assert shop.run()["unexplained"] == []


def test_an_order_that_was_hidden_is_asked_for_again_once_the_rights_are_granted(shop: Shop) -> None:
    body = hide_one(shop)
    shop.run()
    shop.platform.state.clock = lambda: time.time() + 7200
    shop.now += timedelta(hours=3)
    later = shop.platform.place_order(DOMAIN, quiet=True)
    shop.run()
    assert [order for order, _ in shop.parked()] == [str(body["id"]), str(later["id"])]
    shop.grant(SCOPES)
    found = shop.run()
    assert (found["seen"], found["unexplained"], shop.parked()) == (2, [], [])
    assert shop.order(body["id"]) == facts(read_order(parse(json.dumps(body).encode()), Names()))
    assert shop.kinds() == ["order.placed", "order.paid"] * 2
    assert shop.run()["seen"] == 1  # from where the last walk ended


def test_an_order_that_was_hidden_and_is_not_shown_any_more_is_let_go(shop: Shop) -> None:
    body = hide_one(shop)
    shop.run()
    del shop.platform.shop(DOMAIN).orders[body["id"]]
    shop.grant(SCOPES)
    assert (shop.run()["seen"], shop.parked()) == (0, [])
    (gone,) = shop.rig.events(state="ignored")
    assert (gone["order"], gone["error"]) == (
        str(body["id"]),
        "hidden in part before, and not shown by the store any more",
    )


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
