"""What changes: the last events of a shop, as they are sent now and as a draft would have them sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from app.models import Shop
from app.providers.registry import PROVIDERS
from app.services import mapping_report, own_mappings, preview
from app.services.mapping_draft import BadMapping, Change, edit
from app.services.mapping_report import AmountChange, Count, FieldChange, Report
from tests.bodies import woocommerce_order
from tests.rig import Rig

GAMEBALL = PROVIDERS["gameball"]
NOTHING = {"changed": 0, "sent": 0, "skipped": 0, "failing": 0, "dropped": 0, "same": 0}


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball", "sprii")
    return shop


def told(rig: Rig, shop: int, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        rig.woocommerce(shop, "order.updated", body)
    rig.account()


def report(rig: Rig, shop: int, text: str, provider: str = "gameball") -> Report:
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        return mapping_report.report(session, rig.parts.router, row, PROVIDERS[provider], text)


def change(path: str, change: Change, text: str = "", rule: str = "order") -> str:
    return edit(GAMEBALL, text, rule, path, change)


def test_fields_and_amounts_that_would_change_are_listed_newest_order_first(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5), woocommerce_order(8, customer_id=5))
    text = change("orderId", Change(how="from", paths=("order.name",)))
    text = change("lineItems.price", Change(how="from", paths=("item.unit_gross",), conversions=("number",)), text)
    found = report(rig, shop, text)
    assert (found.events, found.concerned, found.same, found.broken) == (4, 2, False, None)
    assert found.counts == {**NOTHING, "changed": 2}
    assert [(each.number, each.kind, each.rule, each.title, each.change) for each in found.orders] == [
        ("8", "order.paid", "order", "Report a paid order", "changed"),
        ("7", "order.paid", "order", "Report a paid order", "changed"),
    ]
    assert found.orders[0].fields == (
        FieldChange(path="orderId", now="8", then="#8"),
        FieldChange(path="lineItems[0].price", now=64, then=80),
    )
    assert found.amounts == (
        AmountChange(
            title="Report a paid order",
            path="lineItems.price",
            now=Decimal(128),
            then=Decimal(160),
            currency="DKK",
        ),
    )
    assert found.complaints_new == (
        Count(text="Lines and shipping against totalPaid: 96.00 against 80.00, 16.00 apart.", number=2),
    )
    assert found.complaints_gone == ()


def test_a_draft_that_says_the_same_changes_nothing(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    found = report(rig, shop, "")
    assert (found.counts, found.orders, found.amounts, found.same) == ({**NOTHING, "same": 1}, (), (), True)


def test_what_a_rare_event_would_become_is_told_however_many_others_came_since(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that is edited again and again is no reason to say that nothing would change."""
    monkeypatch.setattr(mapping_report, "TOLD", 2)
    edits = [woocommerce_order(7, customer_id=5, minute=number, total=f"8{number}.00") for number in range(9)]
    told(rig, shop, woocommerce_order(8, customer_id=5), *edits)
    assert [each["kind"] for each in rig.events()][-8:] == ["order.updated"] * 8
    draft = change("orderId", Change(how="from", paths=("order.name",)))
    found = report(rig, shop, draft)
    assert (found.concerned, found.counts, found.same) == (2, {**NOTHING, "changed": 2}, False)
    monkeypatch.setattr(mapping_report, "TOLD", 1)
    assert [each.number for each in report(rig, shop, draft).orders] == ["7"]


def test_only_so_much_of_a_large_shop_is_read(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told(rig, shop, *(woocommerce_order(7, customer_id=5, minute=number, total=f"8{number}.00") for number in range(9)))
    monkeypatch.setattr(preview, "WITHIN", 8)
    assert report(rig, shop, change("orderId", Change(how="from", paths=("order.name",)))).concerned == 0


def test_true_in_place_of_one_is_a_change(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    rig.map(shop, "gameball", change("orderId", Change(how="value", value=1)))
    found = report(rig, shop, change("orderId", Change(how="value", value=True)))
    assert found.counts == {**NOTHING, "changed": 1}
    (field,) = found.orders[0].fields
    assert (field.path, field.now, field.then is True) == ("orderId", 1, True)


def test_what_would_newly_fail_is_counted_with_its_reason(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    found = report(rig, shop, change("orderDate", Change(how="leave_out")))
    assert found.counts == {**NOTHING, "failing": 1}
    (order,) = found.orders
    assert (order.now, order.then, order.fields) == ("payload", "error", ())
    assert order.why == 'gameball: rule "order": orderDate: the payload lacks orderDate, which Gameball needs'
    assert [(each.path, each.now, each.then) for each in found.amounts][:2] == [
        ("totalPaid", Decimal(80), Decimal(0)),
        ("totalPrice", Decimal(80), Decimal(0)),
    ]


def test_another_currency_than_the_accounts_would_hold_it_and_is_told(rig: Rig, shop: int) -> None:
    rig.set(shop, "gameball", account_currency="EUR")
    told(rig, shop, woocommerce_order(7, customer_id=5))
    found = report(rig, shop, change("orderId", Change(how="from", paths=("order.name",))))
    assert found.counts == {**NOTHING, "same": 1}
    assert found.orders == ()


@pytest.mark.parametrize(
    ("text", "counted", "then", "why"),
    [
        ('[[rules]]\nname = "order"\nskip = "not_now"\n', "skipped", "skip", "not_now"),
        ('[[rules]]\nname = "order"\noff = true\n', "dropped", "none", "Nothing is owed any more."),
        (
            '[[rules]]\nname = "order"\nwhen = [{ path = "order.number", is = "8" }]\n',
            "dropped",
            "none",
            "Nothing is owed any more.",
        ),
    ],
)
def test_what_would_not_be_sent_any_more_is_told(
    rig: Rig, shop: int, text: str, counted: str, then: str, why: str
) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    found = report(rig, shop, text)
    assert found.counts == {**NOTHING, counted: 1}
    assert [(each.now, each.then, each.change, each.why) for each in found.orders] == [("payload", then, counted, why)]


def test_what_would_newly_be_sent_is_told(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, sprii=None))
    found = report(
        rig,
        shop,
        '[[rules]]\nname = "order"\nskip_without = {}\nfields.spriiOrderNumber = { value = "1-1" }\n',
        "sprii",
    )
    assert found.counts == {**NOTHING, "sent": 1}
    assert [(each.now, each.then, each.why) for each in found.orders] == [("skip", "payload", None)]
    assert [(each.path, each.now, each.then) for each in found.amounts] == [
        ("orderTotal", Decimal(0), Decimal(80)),
        ("items.unitPrice", Decimal(0), Decimal(80)),
    ]


def test_complaints_that_are_gone_are_told_once_for_all_amounts(rig: Rig, shop: int) -> None:
    wrong = change("totalPaid", Change(how="from", paths=("order.lines_tax",), conversions=("number",)))
    with rig.db.write() as session:
        own_mappings.keep(session, session.get_one(Shop, shop), GAMEBALL, wrong, after=0)
    told(rig, shop, woocommerce_order(7, customer_id=5), woocommerce_order(8, customer_id=5))
    assert report(rig, shop, "").complaints_gone == (
        Count(text="Lines and shipping against totalPaid: 80.00 against 16.00, 64.00 apart.", number=2),
        Count(text="totalPrice less totalDiscount against totalPaid: 80.00 against 16.00, 64.00 apart.", number=2),
    )


def test_where_what_counts_is_broken_the_report_says_so(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    with rig.db.write() as session:
        own_mappings.keep(session, session.get_one(Shop, shop), GAMEBALL, "rules = 5", after=0)
    found = report(rig, shop, "")
    assert (found.broken, found.same, found.counts) == (
        "rules must be written as [[rules]]",
        False,
        {**NOTHING, "sent": 1},
    )


def test_a_draft_that_cannot_be_used_is_refused(rig: Rig, shop: int) -> None:
    with pytest.raises(BadMapping):
        report(rig, shop, "rules = 5")


def test_odd_values_in_a_field_of_money_break_no_sum(rig: Rig, shop: int) -> None:
    told(rig, shop, woocommerce_order(7, customer_id=5))
    for value in ("nonsense", True, [1], {"a": 1}, "1e999999", "NaN", 1e300):
        found = report(rig, shop, change("totalDiscount", Change(how="value", value=value)))
        assert [each.path for each in found.amounts] == [], value
        assert found.counts["same"] == 0


def test_the_events_of_another_shop_are_not_looked_at(rig: Rig, shop: int) -> None:
    told(rig, rig.shop("woocommerce", "https://other.example"), woocommerce_order(7, customer_id=5))
    assert report(rig, shop, change("orderId", Change(how="leave_out"))).events == 0


def test_no_event_costs_a_question_of_its_own(rig: Rig, shop: int) -> None:
    text = change("lineItems.price", Change(how="from", paths=("item.unit_gross",), conversions=("number",)))
    asked: list[str] = []
    event.listen(rig.db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    found = []
    for first, last in ((1, 2), (3, 30)):
        told(rig, shop, *(woocommerce_order(number, customer_id=5) for number in range(first, last + 1)))
        asked.clear()
        found.append((report(rig, shop, text).events, len(asked)))
    (few, questions), (many, more) = found
    assert (few, many, more) == (4, 60, questions)
