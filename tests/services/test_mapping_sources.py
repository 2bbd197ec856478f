"""What a field can be taken from: paths with words, kinds and samples of the shop's own events."""

from __future__ import annotations

from typing import Any

import pytest

from app.models import Shop
from app.providers.registry import PROVIDERS
from app.services import mapping_sources
from app.services.errors import NotFound
from app.services.mapping_draft import Change, edit
from app.services.mapping_sources import Choice, Sources
from mappings.paths import split
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def sources(
    rig: Rig, shop: int, rule: str = "order", path: str | None = None, provider: str = "gameball", text: str = ""
) -> Sources:
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        return mapping_sources.sources(session, rig.parts.router, row, PROVIDERS[provider], text, rule, path)


def choice(found: Sources, path: str) -> Choice:
    return next(each for each in found.choices if each.path == path)


def told(rig: Rig, shop: int, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        rig.woocommerce(shop, "order.updated", body)
    rig.account()


def test_paths_come_with_samples_and_how_often_they_are_there(rig: Rig, shop: int) -> None:
    emails = ("a@example.test", "b@example.test", "b@example.test", "c@example.test", "d@example.test")
    told(rig, shop, *(woocommerce_order(number, paid=False, email=each) for number, each in enumerate(emails, 1)))
    found = sources(rig, shop)
    assert found.events == 5
    assert choice(found, "order.email") == Choice(
        path="order.email",
        label="Order → e-mail address",
        group="Order",
        kind="text",
        samples=("d@example.test", "c@example.test", "b@example.test"),
        present=5,
        of=5,
    )
    assert (choice(found, "order.total").kind, choice(found, "order.total").samples) == ("amount", ("80",))
    kinds = {
        path: choice(found, path).kind for path in ("order.created_at", "order.test", "order.lines", "order.address")
    }
    assert kinds == {
        "order.created_at": "time",
        "order.test": "boolean",
        "order.lines": "list",
        "order.address": "object",
    }
    assert choice(found, "event.kind").samples == ("order.placed",)
    assert choice(found, "options.customer_id").label == "Settings → Customers are known by their"
    assert "refund.id" not in {each.path for each in found.choices}


def test_what_could_be_there_stands_behind_what_was_seen(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(1, paid=False))
    found = sources(rig, shop, path="lineItems.price")
    note, brand = choice(found, "order.shipping.line2"), choice(found, "item.vendor")
    assert (note.kind, note.samples, note.present, note.of) == ("text", (), 0, 1)
    assert (brand.kind, brand.samples, brand.present, brand.of) == ("text", (), 0, 1)
    for group in {each.group for each in found.choices}:
        there = [each.present > 0 for each in found.choices if each.group == group]
        assert there == sorted(there, reverse=True), group


def test_what_only_some_orders_have_says_so(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(1, paid=False), woocommerce_order(2, paid=False, sprii=None))
    number = choice(sources(rig, shop), "order.sprii.value")
    assert (number.samples, number.present, number.of) == (("5934-14",), 1, 2)


def test_inside_a_list_the_members_fields_come_first(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(1, customer_id=5))
    found = sources(rig, shop, path="lineItems.price")
    assert {each.path.partition(".")[0] for each in found.choices[:10]} == {"item"}
    assert choice(found, "item.unit_net") == Choice(
        path="item.unit_net",
        label="Each line → price of one, without tax, before discounts",
        group="Each line",
        kind="amount",
        samples=("64",),
        present=2,
        of=2,
    )
    assert not [each for each in sources(rig, shop, path="lineItems").choices if each.path.startswith("item.")]
    assert not [each for each in sources(rig, shop, path="totalPaid").choices if each.path.startswith("item.")]


def test_members_are_those_of_the_list_as_the_draft_has_it(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(1, customer_id=5))
    text = edit(PROVIDERS["gameball"], "", "order", "lineItems", Change(how="each", paths=("order.attributes",)))
    names = {each.path for each in sources(rig, shop, path="lineItems.price", text=text).choices}
    assert {each for each in names if each.startswith("item.")} == {
        *("item.name", "item.place", "item.rank", "item.value"),
    }


def test_what_is_taken_back_can_be_read_where_something_is(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(1, customer_id=5), woocommerce_order(1, minute=3, refunds=((9, "10.00"),)))
    found = sources(rig, shop, "refund", "lineItems.price")
    assert (choice(found, "reversal.amount").samples, choice(found, "reversal.id").samples) == (("10",), ("refund-9",))
    assert choice(found, "item.quantity").present == 1


def test_long_values_are_cut_and_secrets_are_not_there(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    told(rig, shop, woocommerce_order(1, customer_note="n" * 500))
    found = sources(rig, shop)
    assert choice(found, "order.note").samples == ("n" * 79 + "…",)
    shown = repr(found)
    assert "gameball-key" not in shown
    assert "gameball-secret" not in shown


@pytest.mark.parametrize("provider", PROVIDERS)
def test_before_the_first_event_all_that_could_be_there_is_offered(rig: Rig, shop: int, provider: str) -> None:
    rules = {"sprii": "order", "spotler": "purchase", "seeka": "order", "gameball": "order", "esputnik": "order"}
    found = sources(rig, shop, rules[provider], provider=provider)
    paths = {each.path for each in found.choices}
    assert found.events == 0
    assert {(each.samples, each.present, each.of) for each in found.choices} == {((), 0, 0)}
    wanted = {"order.email", "order.address.line1", "order.sprii.value", "order.lines", "remaining.total", "event.kind"}
    assert wanted <= paths
    assert choice(found, "order.total").kind == "amount"
    assert choice(found, "order.paid_at").kind == "time"


def test_before_the_first_refund_what_is_taken_back_is_offered(rig: Rig, shop: int) -> None:
    found = sources(rig, shop, "refund", "lineItems.price")
    assert {"reversal.amount", "reversal.full", "refund.note", "item.unit_net"} <= {each.path for each in found.choices}
    cart = {each.path for each in sources(rig, shop, "cart", "metadata.product_id[]").choices}
    assert {"cart.total", "item.unit_price"} <= cart
    assert not [each for each in cart if each.startswith("order.")]


def test_every_path_can_be_written_in_a_mapping(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(1, customer_id=5))
    for each in sources(rig, shop, path="lineItems.price").choices:
        split(each.path)


GIFT = 'order.attributes["Gift message"].value'


def test_what_was_attached_to_orders_is_offered_by_its_name_and_sent(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field of the checkout that a merchant, a theme or a plugin made."""
    meta = [{"id": 9, "key": "Gift message", "value": "Hello"}, {"id": 10, "key": 'a "quote"', "value": "x"}]
    meta = [{"id": 8, "key": "Gift message", "value": "as it was"}, *meta]
    rig.switch_on(shop, "gameball")
    body = woocommerce_order(1, customer_id=5)
    told(rig, shop, {**body, "meta_data": meta})
    found = choice(sources(rig, shop), GIFT)
    assert (found.label, found.kind, found.samples, found.present) == (
        "Order → attached fields → “Gift message” → value",
        "text",
        ("Hello",),
        2,  # events: the order was placed, and paid
    )
    assert not [each.path for each in sources(rig, shop).choices if "quote" in each.path]
    rig.map(shop, "gameball", edit(PROVIDERS["gameball"], "", "order", "extra.gift", Change(how="from", paths=(GIFT,))))
    rig.work()
    assert [each["extra"]["gift"] for each in rig.received("gameball")] == ["Hello"]
    monkeypatch.setattr(mapping_sources, "MOST_ATTACHED", 0)
    assert GIFT not in {each.path for each in sources(rig, shop).choices}


def test_events_of_another_shop_are_no_samples(rig: Rig, shop: int) -> None:
    told(rig, rig.shop("woocommerce", "https://other.example"), woocommerce_order(1, customer_id=5))
    assert sources(rig, shop).events == 0


def test_there_is_no_such_rule(rig: Rig, shop: int) -> None:
    with pytest.raises(NotFound):
        sources(rig, shop, "none")
