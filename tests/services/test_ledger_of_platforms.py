"""The ledger's promise on what platforms really send: whole lives, told by Shopify and by WooCommerce."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import ledger
from app.services.page import told
from app.simulators.shopify_shop import ShopifyShop
from app.simulators.story import OrderStory, Story, Webhook, expected
from app.simulators.woocommerce_shop import WooCommerceShop
from connectors.base import Names
from connectors.errors import Unreadable
from connectors.events import Kind, OrderSeen, RefundSeen, facts
from connectors.registry import CONNECTORS

SHOPS = {"shopify": ShopifyShop(), "woocommerce": WooCommerceShop()}
#: Kinds that an order's life gives whatever gets lost on the way, as long as the last word arrives.
LASTING = (Kind.PLACED, Kind.PAID, Kind.FULFILLED, Kind.REFUNDED)


@dataclass
class Book:
    """One order's ledger, and the events that it gave."""

    state: dict[str, Any] = field(default_factory=dict)
    changes: list[ledger.Change] = field(default_factory=list)

    def read(self, webhooks: Iterable[Webhook]) -> Book:
        for webhook in webhooks:
            headers = {name.lower(): value for name, value in webhook.headers.items()}
            try:
                seen = CONNECTORS[webhook.platform].observe(webhook.topic, headers, webhook.body, Names()).seen
            except Unreadable as error:
                raise AssertionError(f"{webhook.step}: {error}") from error
            match seen:
                case OrderSeen(order=order, restored=restored):
                    digest = hashlib.sha256(webhook.body).hexdigest()
                    self.changes += ledger.see_order(self.state, facts(order), digest, restored=restored).changes
                case RefundSeen() as seen:
                    self.changes += ledger.see_refund(self.state, told(seen)).changes
        return self

    def keys(self, *kinds: Kind) -> Counter[str]:
        return Counter(change.key.partition("-")[0] for change in self.changes if change.kind in kinds)

    def refunded(self) -> Decimal:
        parts = (change.facts["refund"]["amount"] for change in self.changes if change.kind is Kind.REFUNDED)
        return sum(map(Decimal, parts), Decimal(0))


def life(platform: str, index: int) -> tuple[OrderStory, list[Webhook]]:
    """A story, and what its shop sends of the order.

    Without what has no time of the platform's: being trashed, and the error objects that stand for an order that is
    gone for good.
    """
    story = Story(platform, seed=20).order(index)
    wanted = [each for each in SHOPS[platform].webhooks(story) if each.order_id == str(story.id)]
    untimed = (".deleted", ".restored", "/delete", "order_status_changed")
    return story, [each for each in wanted if not each.topic.endswith(untimed) and each.step != "vanished"]


def newest(platform: str, webhooks: list[Webhook]) -> list[Webhook]:
    """The webhooks without which the end of the life is not known."""
    last = max(webhooks, key=lambda each: each.at)
    refunds = [each for each in webhooks if platform == "shopify" and each.topic == "refunds/create"]
    return [*[each for each in webhooks if each.at == last.at], *refunds]


@pytest.mark.parametrize("platform", SHOPS)
@settings(max_examples=150, deadline=None)
@given(index=st.integers(0, 5_000), data=st.data())
def test_any_telling_ends_in_the_ledger_of_the_straight_one(platform: str, index: int, data: st.DataObject) -> None:
    _, webhooks = life(platform, index)
    if not webhooks:
        return
    straight = Book().read(webhooks)
    kept = [each for each in webhooks if data.draw(st.booleans())]
    repeats = [each for each in kept if data.draw(st.booleans())]
    told = Book().read(data.draw(st.permutations([*kept, *repeats, *newest(platform, webhooks)])))

    assert told.state.get("order") == straight.state.get("order")
    keys = [change.key for change in told.changes]
    assert len(keys) == len(set(keys))
    assert told.keys(*LASTING).keys() == straight.keys(*LASTING).keys()
    assert told.keys(Kind.PLACED, Kind.PAID) == straight.keys(Kind.PLACED, Kind.PAID)
    assert told.refunded() == straight.refunded()


@pytest.mark.parametrize("platform", SHOPS)
@settings(max_examples=150, deadline=None)
@given(index=st.integers(0, 5_000))
def test_the_straight_telling_is_the_truth(platform: str, index: int) -> None:
    story, webhooks = life(platform, index)
    truth, book = expected(story), Book().read(webhooks)
    order = book.state.get("order")
    if not truth.placed:
        assert book.changes == []
        return
    assert order is not None
    assert (Decimal(order["refunded"]), order["paid"]) == (truth.refunded, truth.paid)
    assert bool(book.keys(Kind.PAID)) is truth.paid
    assert bool(book.keys(Kind.FULFILLED)) is truth.fulfilled
    assert book.refunded() == truth.refunded
    assert {
        each["id"]: Decimal(each["amount"]) for each in order["refunds"] if Decimal(each["amount"])
    } == truth.refunds
