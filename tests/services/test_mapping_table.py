"""The mapping as a table: meanings, origins in words, and values of real events or why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.models import Shop
from app.providers.registry import PROVIDERS
from app.services import mapping_table, own_mappings
from app.services.errors import NotFound
from app.services.mapping_draft import BadMapping, Change, edit
from app.services.mapping_results import Result
from app.services.mapping_rows import Addable, Origin, Place, Row
from app.services.mapping_table import RuleTable, Tables
from tests.bodies import woocommerce_order
from tests.rig import Rig

GAMEBALL = PROVIDERS["gameball"]


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def told(rig: Rig, shop: int, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        rig.woocommerce(shop, "order.updated", body)
    rig.account()


def tables(rig: Rig, shop: int, provider: str = "gameball", text: str = "", event: int | None = None) -> Tables:
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        return mapping_table.tables(session, rig.parts.router, row, PROVIDERS[provider], text, event_id=event)


def rule(found: Tables, name: str) -> RuleTable:
    return next(each for each in found.rules if each.name == name)


def row(found: Tables, path: str, name: str = "order") -> Row:
    return next(each for each in rule(found, name).rows if each.path == path)


def event_of(rig: Rig, kind: str, order: str) -> int:
    (found,) = [each["id"] for each in rig.events(state="understood") if (each["kind"], each["order"]) == (kind, order)]
    return int(found)


def test_a_field_says_what_it_means_where_it_comes_from_and_what_results(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    origin = Origin(
        how="from",
        paths=("order.total",),
        labels=("Order → total",),
        conversions=("round2", "number"),
        words="Order → total, to 2 decimals, as a number",
    )
    meaning = (
        "What the customer paid in all: tax and shipping included, discounts taken off. Points are counted from it."
    )
    found = tables(rig, shop)
    assert row(found, "totalPaid") == Row(
        path="totalPaid",
        name="totalPaid",
        depth=0,
        inside=None,
        meaning=meaning,
        required=True,
        money=True,
        kind="number",
        custom=False,
        origin=origin,
        default=origin,
        own=False,
        result=Result(there=True, value=80),
    )
    price = row(found, "lineItems.price")
    assert (price.depth, price.inside, price.result) == (1, "lineItems", Result(there=True, value=[64]))
    assert row(found, "lineItems").origin.words == "A list: one for each of Order → lines"
    assert row(found, "extra").result == Result(there=True, value={"paymentMethod": "bacs", "orderNumber": "7"})


def test_the_rows_make_the_payload(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    for provider in PROVIDERS:
        for table in tables(rig, shop, provider).rules:
            if table.outcome == "payload":
                tops = [each for each in table.rows if each.depth == 0 and each.result and each.result.there]
                assert {each.path: each.result.value for each in tops if each.result} == table.payload


def test_a_rule_says_when_it_does_something_and_what_it_leaves_out(rig: Rig, shop: int) -> None:
    order = rule(tables(rig, shop, "sprii"), "order")
    assert (order.title, order.action, order.sends, order.own, order.off) == (
        *("Report an order", "process_orders"),
        *(True, False, False),
    )
    assert order.kinds == ("order.placed", "order.paid", "order.updated", "order.fulfilled")
    assert order.conditions == ("Worked out → time to report it: yes",)
    assert order.skips == (
        "Worked out → a test order that is not wanted: yes: It is a test order; an option of the provider decides "
        "whether those are sent.",
        "No Order → Sprii number → value: The order carries no Sprii number, so it was not bought in a live show.",
    )
    trashed = rule(tables(rig, shop, "sprii"), "trashed")
    assert (trashed.sends, trashed.rows, trashed.addable, trashed.skips) == (
        *(False, (), ()),
        ("The order was moved to the trash in your store; the provider is not told of that.",),
    )


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("mobile", "Order → phone number: empty in this event."),
        ("cashbackConfigurations.returnWindow", "Settings → Days until points become final: empty in this event."),
        ("merchant.branch.name", "Sent only if: Settings → Branch id is there."),
        ("lineItems.vendor", "None of the lines in this event has it."),
        ("redemption", "There is nothing to send in this event."),
    ],
)
def test_what_is_not_there_says_why(rig: Rig, shop: int, path: str, result: str) -> None:
    body = woocommerce_order(7, customer_id=5)
    body["billing"]["phone"] = ""
    told(rig, shop, body)
    assert row(tables(rig, shop), path).result == Result(there=False, why=result)


def test_what_a_conversion_makes_nothing_of_is_told_apart_from_what_is_empty(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    text = edit(GAMEBALL, "", "order", "mobile", Change(how="from", paths=("order.number",), conversions=("e164",)))
    assert row(tables(rig, shop, text=text), "mobile").result == Result(
        there=False, why="What is there does not fit, so it is left out."
    )


def test_a_field_that_would_hold_the_delivery_says_so_and_the_others_still_show(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    change = Change(how="from", paths=("item.name",), conversions=("number",))
    found = tables(rig, shop, text=edit(GAMEBALL, "", "order", "lineItems.price", change))
    assert row(found, "lineItems.price").result == Result(
        there=False, why="text is not a number. Such a delivery waits until the mapping is mended.", error=True
    )
    assert row(found, "lineItems.sku").result == row(tables(rig, shop), "lineItems.sku").result
    assert rule(found, "order").outcome == "error"
    assert "lineItems.price" in (rule(found, "order").why or "")


def test_own_changes_are_marked_and_show_what_our_default_says(rig: Rig, shop: int) -> None:
    text = edit(GAMEBALL, "", "order", "lineItems.price", Change(how="from", paths=("item.unit_gross",)))
    text = edit(GAMEBALL, text, "order", "extra.shop", Change(how="value", value="north"))
    text = edit(GAMEBALL, text, "order", "totalTax", Change(how="leave_out"))
    found = tables(rig, shop, text=text)
    marked = {each.path: each.default and each.default.words for each in rule(found, "order").rows if each.own}
    assert marked == {
        "lineItems.price": "Each line → price of one, without tax, before discounts, to 6 decimals, as a number",
        "extra.shop": None,
    }
    assert [each.path for each in rule(found, "order").rows if each.custom] == ["extra.shop"]
    assert [each.name for each in found.rules if each.own] == ["order"]
    assert [each for each in rule(found, "order").addable if each.left_out] == [
        Addable(
            path="totalTax",
            meaning="The tax of all lines, without that of the shipping. Needed where tax earns no points.",
            required=False,
            kind="number",
            left_out=True,
            default=Origin(
                how="from",
                paths=("order.lines_tax",),
                labels=("Order → tax of the lines",),
                conversions=("round2", "number"),
                words="Order → tax of the lines, to 2 decimals, as a number",
            ),
        )
    ]


def test_what_can_be_added_stands_where_there_is_room_for_it(rig: Rig, shop: int) -> None:
    order = rule(tables(rig, shop), "order")
    assert [each.path for each in order.addable] == [
        *("lineItems.tags", "lineItems.collection", "lineItems.weight", "redemption.couponCodes"),
    ]
    assert order.places == (
        Place(
            under="extra",
            prefix="",
            inside=None,
            help="A field of your own for the order, for campaigns and reports. Texts and numbers only.",
        ),
        Place(
            under="lineItems.extra",
            prefix="",
            inside="lineItems",
            help="A field of your own for each line. Texts and numbers only.",
        ),
    )
    without = rule(tables(rig, shop, text=edit(GAMEBALL, "", "order", "lineItems", Change(how="leave_out"))), "order")
    assert [each.path for each in without.addable] == ["lineItems", "redemption.couponCodes"]
    assert [each.under for each in without.places] == ["extra"]
    contact = rule(tables(rig, shop, "esputnik"), "order_contact")
    assert [each.path for each in contact.addable] == [
        *("timeZone", "address.region", "address.town", "address.address", "address.postcode", "fields", "groups"),
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_everything_that_is_offered_can_be_added(rig: Rig, shop: int, provider: str) -> None:
    for table in tables(rig, shop, provider).rules:
        offered = [each.path for each in table.addable]
        offered += [f"{each.under}.{each.prefix}mine".lstrip(".") for each in table.places]
        for path in offered:
            text = edit(PROVIDERS[provider], "", table.name, path, Change(how="value", value="x"))
            added = row(tables(rig, shop, provider, text), path, table.name)
            assert (added.origin.words, added.own) == ("Always “x”", True)


def test_a_rule_that_is_switched_off_stands_last_and_says_so(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    found = tables(rig, shop, text='[[rules]]\nname = "order"\noff = true\n')
    assert [(each.name, each.off, each.outcome) for each in found.rules] == [
        ("refund", False, "no_event"),
        ("cart", False, "no_event"),
        ("checkout", False, "no_event"),
        ("trashed", False, "no_event"),
        ("order", True, "no_event"),
    ]
    assert found.rules[-1].rows == ()


# which event


def test_the_chosen_order_is_shown_wherever_a_rule_knows_something_of_it(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5), woocommerce_order(8, customer_id=6))
    told(rig, shop, woocommerce_order(7, customer_id=5, minute=5, refunds=((1, "10.00"),)))
    newest = tables(rig, shop)
    assert (newest.chosen, newest.set_up) == (None, False)
    assert [(each.kind, each.subject, each.number) for each in newest.choices] == [
        ("order.refunded", "7", "7"),
        ("order.paid", "8", "8"),
    ]
    assert [(each.name, each.example and each.example.number) for each in newest.rules][:3] == [
        *(("order", "8"), ("refund", "7"), ("cart", None)),
    ]
    refunded = event_of(rig, "order.refunded", "7")
    chosen = tables(rig, shop, event=refunded)
    assert chosen.chosen == refunded
    assert [each.example and (each.example.kind, each.example.number) for each in chosen.rules][:2] == [
        ("order.paid", "7"),
        ("order.refunded", "7"),
    ]
    assert row(chosen, "refundAmount", "refund").result == Result(there=True, value=10)


def test_the_event_is_one_for_which_the_rule_does_something(rig: Rig, shop: int) -> None:
    rig.set(shop, "gameball", api_key="k", secret_key="s", order_trigger="order.fulfilled")
    told(rig, shop, woocommerce_order(7, customer_id=5))
    waiting = rule(tables(rig, shop), "order")
    assert (waiting.outcome, waiting.why) == ("none", "Only if: Worked out → time to report it: yes.")
    told(rig, shop, woocommerce_order(6, customer_id=5, status="completed"))
    told(rig, shop, woocommerce_order(9, customer_id=5))
    done = rule(tables(rig, shop), "order")
    assert (done.outcome, done.example and done.example.kind) == ("payload", "order.fulfilled")


def test_a_skip_says_why_and_the_values_are_there_all_the_same(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, sprii=None))
    found = tables(rig, shop, "sprii")
    order = rule(found, "order")
    assert (order.outcome, order.why) == (
        *("skip", "The order carries no Sprii number, so it was not bought in a live show."),
    )
    assert row(found, "orderTotal").result == Result(there=True, value=80)


def test_complaints_of_the_provider_stand_at_the_rule(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    text = edit(GAMEBALL, "", "order", "totalPaid", Change(how="value", value=1))
    assert rule(tables(rig, shop, text=text), "order").complaints == (
        "Lines and shipping against totalPaid: 80.00 against 1.00, 79.00 apart.",
        "totalPrice less totalDiscount against totalPaid: 80.00 against 1.00, 79.00 apart.",
    )


def test_no_event_of_another_shop_is_shown(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    told(rig, other, woocommerce_order(7, customer_id=5))
    found = tables(rig, shop, event=event_of(rig, "order.paid", "7"))
    assert (found.choices, found.chosen) == ((), None)
    assert {each.outcome for each in found.rules} == {"no_event"}
    assert row(found, "totalPaid").result is None


def test_a_draft_that_cannot_be_used_is_refused(rig: Rig, shop: int) -> None:
    with pytest.raises(BadMapping):
        tables(rig, shop, text="rules = 5")


def test_a_good_draft_is_shown_although_what_counts_is_broken(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    with rig.db.write() as session:
        own_mappings.keep(session, session.get_one(Shop, shop), GAMEBALL, "rules = 5", after=0)
    told(rig, shop, woocommerce_order(7, customer_id=5))
    assert rule(tables(rig, shop), "order").outcome == "payload"


# one field


def field(rig: Rig, shop: int, path: str, text: str = "", name: str = "order") -> mapping_table.FieldView:
    with rig.db.read() as session:
        found = session.get_one(Shop, shop)
        return mapping_table.field(session, rig.parts.router, found, GAMEBALL, text, name, path, event_id=None)


def tried(rig: Rig, shop: int, path: str, change: Change, text: str = "") -> mapping_table.Tried:
    with rig.db.read() as session:
        found, router = session.get_one(Shop, shop), rig.parts.router
        return mapping_table.try_change(session, router, found, GAMEBALL, text, "order", path, change, event_id=None)


def test_one_field_is_shown_with_its_rule_and_the_orders_to_choose_from(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    found = field(rig, shop, "totalPaid")
    assert found.row == row(tables(rig, shop), "totalPaid")
    assert (found.table.rows, found.table.outcome) == ((), "payload")
    assert [(each.kind, each.number) for each in found.choices] == [("order.paid", "7")]
    assert field(rig, shop, "customerId", name="cart").choices == ()


def test_a_field_that_is_not_sent_is_shown_too(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    tags = field(rig, shop, "lineItems.tags").row
    assert (tags.origin.how, tags.default, tags.own, tags.kind) == ("none", None, False, "list")
    text = edit(GAMEBALL, "", "order", "totalTax", Change(how="leave_out"))
    tax = field(rig, shop, "totalTax", text).row
    assert (tax.origin.words, tax.own, tax.result) == ("Not sent", True, Result(there=False, why="It is left out."))
    assert tax.default
    assert tax.default.paths == ("order.lines_tax",)


@pytest.mark.parametrize(
    "ask", [lambda rig, shop: field(rig, shop, "x", name="none"), lambda rig, shop: field(rig, shop, "x", name="")]
)
def test_there_is_no_such_rule(rig: Rig, shop: int, ask: Callable[[Rig, int], Any]) -> None:
    with pytest.raises(NotFound):
        ask(rig, shop)


def test_a_change_is_tried_before_it_is_made(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    name = tried(rig, shop, "orderId", Change(how="from", paths=("order.name",)))
    assert (name.before, name.row.result) == (Result(there=True, value="7"), Result(there=True, value="#7"))
    assert name.text == '[[rules]]\nname = "order"\n\n[rules.fields.orderId]\nfrom = "order.name"\n'
    gone = tried(rig, shop, "orderId", Change(how="leave_out"), name.text)
    assert (gone.before, gone.row.origin.how) == (Result(there=True, value="#7"), "none")
    back = tried(rig, shop, "orderId", Change(how="default"), name.text)
    assert (back.row.result, back.row.own, back.text) == (Result(there=True, value="7"), False, "")
    added = tried(rig, shop, "lineItems.extra.mine", Change(how="from", paths=("item.name",)))
    assert (added.before, added.row.result) == (
        Result(there=False, why="It is left out."),
        Result(there=True, value=["E-book (virtual)"]),
    )
