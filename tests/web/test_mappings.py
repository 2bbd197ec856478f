"""The mapping pages: a draft is changed field by field, looked at, saved, taken back; nobody's change is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.models import AuditEntry, MappingVersion
from app.providers.registry import PROVIDERS
from app.services import configure, own_mappings
from app.web import mapping_form
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, Forms, Visitor, connect, id_token, serving
from tests.web.test_providers_pages import said, words

OWN = '[[rules]]\nname = "order"\n\n[rules.fields.spriiOrderNumber]\nfrom = "order.number"\nas = "text"\n'


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
        yield app


@pytest.fixture
def shop(rig: Rig) -> int:
    """With Sprii switched on and one order, number 1042."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    sell(rig, shop, 1042)
    return shop


@pytest.fixture
def anna(app: Flask, shop: int) -> Visitor:
    visitor = Visitor(app)
    visitor.join(visitor.sign_in(), shop)
    return visitor


def sell(rig: Rig, shop: int, *numbers: int, **more: Any) -> None:
    for number in numbers:
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(number, **more)) == "stored"
    rig.work(settled="sprii")  # it does not know every number that these tests make up


def page(shop: int, more: str = "", provider: str = "sprii") -> str:
    return f"/shops/{shop}/mappings/{provider}{more}"


def forms(answer: TestResponse, shop: int, more: str = "", provider: str = "sprii") -> dict[str, str]:
    """The fields of the last form in a page that leads to a page of the mapping."""
    return Forms(answer.get_data(as_text=True)).found[page(shop, more, provider)]


def opened(anna: Visitor, shop: int, draft: str = "", **more: str) -> dict[str, str]:
    """What every form of a draft carries."""
    return {"csrf_token": anna.token(), "draft": draft, "version": "0", "event": "", **more}


def edit(anna: Visitor, shop: int, field: str, *, draft: str = "", rule: str = "order", **entered: str) -> TestResponse:
    """Open a field's form, enter something, and keep it."""
    carried = opened(anna, shop, draft, rule=rule, field=field)
    form = forms(anna.post(page(shop, "/field"), **carried), shop, "/field")
    return anna.post(page(shop, "/field"), **{**form, "do": "keep", **entered})


def row(answer: TestResponse, field: str) -> str:
    """What the table says of one field."""
    (found,) = re.findall(rf'<tr[^>]*>((?:(?!</tr>).)*value="{re.escape(field)}".*?)</tr>', text_of(answer), re.DOTALL)
    return words(f"<main>{found}</main>")


def text_of(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


def versions(rig: Rig, shop: int) -> list[tuple[int, str, str | None]]:
    with rig.db.read() as session:
        rows = session.scalars(
            select(MappingVersion).where(MappingVersion.shop_id == shop).order_by(MappingVersion.version)
        )
        return [(each.version, each.text, each.actor) for each in rows]


def actions(rig: Rig) -> list[tuple[str, str]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.action != "sign in").order_by(AuditEntry.id))
        return [(each.actor, each.action) for each in rows]


# the table


def test_each_field_says_what_it_is_where_it_comes_from_and_what_results(anna: Visitor, shop: int) -> None:
    answer = anna.get(page(shop))
    assert answer.status_code == 200
    assert "Report an order When: order placed, order paid, order changed, order sent out" in words(answer)
    assert "Result for order 1042" in words(answer)
    assert row(answer, "spriiOrderNumber").endswith(
        "Order → Sprii number → value as text 5934-14 Change spriiOrderNumber"
    )
    assert row(answer, "orderTotal") == (
        "orderTotal needed What the customer paid in all: tax and shipping included, discounts taken off."
        " Order → total to 2 decimals, as a number 80 Change orderTotal"
    )
    assert row(answer, "items").endswith("is there 1 entry Change items")
    assert '"unitPrice": 80' in words(answer)
    assert "not saved yet" not in words(answer)


def test_another_order_can_be_chosen(rig: Rig, anna: Visitor, shop: int) -> None:
    sell(rig, shop, 1043, sprii="7777-1")
    offered = re.findall(r'<option value="(\d+)"[^>]*>(Order \d+), ', text_of(anna.get(page(shop))))
    assert [name for _, name in offered] == ["Order 1043", "Order 1042"]
    assert "5934-14" in row(anna.get(page(shop, f"?event={offered[1][0]}")), "spriiOrderNumber")
    assert "7777-1" in row(anna.get(page(shop)), "spriiOrderNumber")
    drafted = anna.post(page(shop), **opened(anna, shop, OWN, event=offered[1][0]))
    assert "1042 Change" in row(drafted, "spriiOrderNumber")
    assert forms(drafted, shop)["event"] == offered[1][0]


@pytest.mark.parametrize("event", ["0", "-1", "x", "9" * 18, "9" * 40, "1e3", "²"])
def test_an_event_that_is_not_there_shows_the_newest(anna: Visitor, shop: int, event: str) -> None:
    assert "5934-14" in row(anna.get(page(shop, f"?event={event}")), "spriiOrderNumber")


def test_an_event_of_another_store_is_not_shown(rig: Rig, anna: Visitor, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "sprii")
    sell(rig, other, 2001, sprii="6666-6")
    for event in range(1, 20):
        assert "6666-6" not in text_of(anna.get(page(shop, f"?event={event}")))


def test_without_an_order_the_table_still_says_where_values_come_from(app: Flask, rig: Rig) -> None:
    empty = rig.shop("woocommerce")
    anna = Visitor(app)
    anna.join(anna.sign_in(), empty)
    answer = anna.get(page(empty))
    told = words(answer)
    assert "Sprii is not set up yet, so this shows what its standard settings would send. Set it up" in told
    assert "No orders yet Below stands where each value will come from." in told
    assert row(answer, "orderTotal").endswith("Order → total to 2 decimals, as a number Change orderTotal")
    editing = anna.post(page(empty, "/field"), **opened(anna, empty, rule="order", field="orderTotal"))
    assert "these are the values that orders can have" in words(editing)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_has_its_pages(rig: Rig, anna: Visitor, shop: int, provider: str) -> None:
    rig.switch_on(shop, provider)
    paths = [page(shop, more, provider) for more in ("", "/text", "/versions")]
    assert [anna.get(path).status_code for path in paths] == [200, 200, 200]
    table = text_of(anna.get(paths[0]))
    assert len(table.encode()) < 100_000
    token = anna.token()
    for rule in re.findall(r'<section class="card rule".*?</section>', table, re.DOTALL):
        (name,) = set(re.findall(r'name="rule" value="(\w+)"', rule))
        for field in re.findall(r'<button class="second small" name="field" value="([^"]+)"', rule)[::5]:
            carried = {"csrf_token": token, "draft": "", "version": "0", "event": "", "rule": name, "field": field}
            answer = anna.post(page(shop, "/field", provider), **carried)
            assert (answer.status_code, len(answer.data) < 100_000) == (200, True), (name, field)


def test_what_does_not_exist_is_not_found(anna: Visitor, shop: int) -> None:
    token = anna.token()
    assert [anna.get(page(shop, more, "mailer")).status_code for more in ("", "/text", "/versions")] == [404] * 3
    posts = ["", "/field", "/try", "/text", "/changes", "/save", "/versions/1/restore"]
    assert [anna.post(page(shop, more, "mailer"), csrf_token=token).status_code for more in posts] == [404] * 7
    for more, fields in {
        "/field": {"rule": "nothing", "field": "id"},
        "/try": {"rule": "nothing", "field": "id", "how": "default"},
        "/versions/7/restore": {"version": "0"},
        f"/versions/{2**70}/restore": {"version": "0"},
    }.items():
        assert anna.post(page(shop, more), **opened(anna, shop, **fields)).status_code == 404, more


# a field


def test_a_field_is_changed_looked_at_saved_and_sent(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = edit(anna, shop, "spriiOrderNumber", how="from", **{"path-0": "order.number"})
    assert row(answer, "spriiOrderNumber") == (
        "spriiOrderNumber needed not saved yet The number that Sprii gave the purchase in the live show."
        " Sprii finds its checkout by it. Order → number on the receipt as text 1042 Change spriiOrderNumber"
    )
    assert "1 change not saved yet" in words(answer)
    assert versions(rig, shop) == []
    looked = anna.post(page(shop, "/changes"), **forms(answer, shop, "/changes"))
    told = words(looked)
    assert "The last 1 event that concerns Sprii, sent this way changed 1" in told
    assert (
        "spriiOrderNumber Report an order Order → Sprii number → value, as text → Order → number on the receipt" in told
    )
    assert "spriiOrderNumber 5934-14 1042" in told
    saved = anna.post(page(shop, "/save"), **forms(looked, shop, "/save"))
    assert (saved.status_code, saved.location) == (303, page(shop, "?done=saved"))
    assert versions(rig, shop) == [(1, OWN, "account:1")]
    assert actions(rig) == [("account:1", "change mapping")]
    told = anna.get(saved.location)
    assert said(told, "status")[0].startswith("Saved. Orders are sent like this from now on")
    assert row(told, "spriiOrderNumber").startswith("spriiOrderNumber needed yours ")
    sell(rig, shop, 1043)
    assert [each["orders"][0]["spriiOrderNumber"] for each in rig.received("sprii")] == ["5934-14", "1043"]


def test_a_kept_change_can_be_taken_back(anna: Visitor, shop: int) -> None:
    changed = edit(anna, shop, "spriiOrderNumber", how="from", **{"path-0": "order.number"})
    draft = forms(changed, shop, "/changes")["draft"].replace("\r\n", "\n")
    assert draft == OWN
    assert forms(edit(anna, shop, "spriiOrderNumber", draft=draft, how="default"), shop, "/text")["draft"] == ""
    reset = anna.post(page(shop), **opened(anna, shop, draft, do="reset_rule", rule="order"))
    assert forms(reset, shop, "/text")["draft"] == ""
    assert "not saved yet" not in words(reset)


#: What is chosen or typed, and what the next order carries for it; its number is 1043.
CHOICES = {
    "first that is there": ({"how": "from", "path-0": "order.note", "path-1": "order.name"}, "#1043"),
    "gaps between": ({"how": "from", "path-3": "order.name"}, "#1043"),
    "several, joined": (
        {"how": "list", "path-0": "order.name", "path-1": "order.currency", "conversion-0": "spaced"},
        "#1043 DKK",
    ),
    "text": ({"how": "value", "value": "  always this "}, "always this"),
    "number": ({"how": "value", "value": "12.50", "value_kind": "number"}, 12.5),
    "whole number": ({"how": "value", "value": "-3", "value_kind": "number"}, -3),
    "yes": ({"how": "value", "value": "ignored", "value_kind": "yes"}, True),
    "no": ({"how": "value", "value_kind": "no"}, False),
    "json": ({"how": "value", "value": '["a", {"b": 1}]', "value_kind": "json"}, ["a", {"b": 1}]),
    "default": ({"how": "from", "path-0": "order.note", "default": "none"}, "none"),
    "converted": ({"how": "from", "path-0": "order.name", "conversion-0": "lower", "conversion-1": "list"}, ["#1043"]),
    "empty, and sent": ({"how": "from", "path-0": "order.note", "keep_empty": "y"}, None),
}


@pytest.mark.parametrize("case", CHOICES)
def test_what_is_entered_is_what_is_sent(rig: Rig, anna: Visitor, shop: int, case: str) -> None:
    entered, expected = CHOICES[case]
    sell(rig, shop, 1041, customer_note="Please ring")  # so that notes can be chosen; the order that is sent has none
    answer = edit(anna, shop, "openForCheckout", **entered)
    assert answer.status_code == 200, said(answer)
    anna.post(page(shop, "/save"), **forms(answer, shop, "/changes"))
    sell(rig, shop, 1043)
    sent = rig.received("sprii")[-1]["orders"][0]
    assert sent["openForCheckout"] == expected


def test_a_field_is_left_out(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = edit(anna, shop, "items.unitPrice", how="leave_out")
    assert 'value="items.unitPrice"' not in text_of(answer).partition("Add a field")[0]
    anna.post(page(shop, "/save"), **forms(answer, shop, "/changes"))
    sell(rig, shop, 1043)
    assert rig.received("sprii")[-1]["orders"][0]["items"] == [{"product_id": "12", "sku": "EBOOK", "quantity": 1}]


def test_a_field_that_stays_changes_nothing(anna: Visitor, shop: int) -> None:
    for field in ("items", "items.sku", "orderTotal"):
        assert forms(edit(anna, shop, field), shop, "/text")["draft"] == "", field


def test_what_a_field_is_made_of_stays_when_its_list_is_looked_at(anna: Visitor, shop: int) -> None:
    changed = edit(anna, shop, "items.sku", how="from", **{"path-0": "item.name"})
    draft = forms(changed, shop, "/changes")["draft"]
    assert forms(edit(anna, shop, "items", draft=draft), shop, "/changes")["draft"] == draft
    back = edit(anna, shop, "items", draft=draft, how="default")
    assert forms(back, shop, "/text")["draft"] == ""


WRONG = {
    "nothing chosen": ({"how": "from", "path-0": ""}, "Choose where the value comes from."),
    "no such way": ({"how": "magic"}, "Choose one of the list."),
    "no such value": ({"how": "from", "path-0": "order.secret"}, "Choose one of the list."),
    "no such conversion": ({"how": "from", "path-0": "order.name", "conversion-0": "eval"}, "Choose one of the list."),
    "no text": ({"how": "value", "value": "  "}, "Enter the text, or choose another way."),
    "no number": ({"how": "value", "value": "1,5", "value_kind": "number"}, "Enter a number such as 12 or 12.50."),
    "no JSON": (
        {"how": "value", "value": "{", "value_kind": "json"},
        'This is no JSON, or none that says anything. An example: ["a", "b"]',
    ),
    "too long": ({"how": "value", "value": "x" * (mapping_form.LONGEST + 1)}, "This is too long."),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_said_and_changes_nothing(anna: Visitor, shop: int, case: str) -> None:
    entered, expected = WRONG[case]
    answer = edit(anna, shop, "orderTotal", **entered)
    assert answer.status_code == 400
    assert said(answer) == [f"{expected} Nothing was changed."]
    assert forms(answer, shop)["draft"] == ""


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "[NaN]", "null", "9" * 400, "[" * 900])
def test_a_value_that_no_provider_could_read_is_refused(anna: Visitor, shop: int, value: str) -> None:
    answer = edit(anna, shop, "orderTotal", how="value", value=value, value_kind="json")
    assert answer.status_code == 400, words(answer)[:300]


HOSTILE = '"><script>alert(1)</script>{{ 7 * 7 }}%(x)s\'"""'


def test_a_hostile_value_stays_text(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = edit(anna, shop, "openForCheckout", how="value", value=HOSTILE)
    looked = anna.post(page(shop, "/changes"), **forms(answer, shop, "/changes"))
    anna.post(page(shop, "/save"), **forms(looked, shop, "/save"))
    shown = [answer, looked, anna.get(page(shop)), anna.get(page(shop, "/text")), anna.get(page(shop, "/versions"))]
    assert all("<script>alert" not in text_of(each) for each in shown)
    sell(rig, shop, 1043)
    assert rig.received("sprii")[-1]["orders"][0]["openForCheckout"] == HOSTILE


@pytest.mark.parametrize("field", ["<script>", "a.b.c", "items..x", "x" * 5000, ""])
def test_a_field_that_cannot_be_is_not_added(anna: Visitor, shop: int, field: str) -> None:
    carried = opened(anna, shop, rule="order", field=field, how="value", value="x", value_kind="text", do="keep")
    answer = anna.post(page(shop, "/field"), **carried, default="", default_kind="text")
    assert answer.status_code in (400, 404)
    assert "<script>" not in text_of(answer).replace('<script src="', "")


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 30])
def test_a_form_without_its_version_is_refused(anna: Visitor, shop: int, version: str) -> None:
    for more in ("", "/field", "/try", "/text", "/changes", "/save"):
        carried = {**opened(anna, shop), "version": version}
        assert anna.post(page(shop, more), **carried).status_code == 400, more


# adding


def test_a_field_that_the_provider_knows_is_added(rig: Rig, anna: Visitor, shop: int) -> None:
    opening = anna.post(page(shop, "/field"), **opened(anna, shop, rule="order", field="openForCheckout"))
    assert "Keeps Sprii's checkout open for a further order." in words(opening)
    assert "Now It is left out." in words(opening)
    answer = edit(anna, shop, "openForCheckout", how="value", value_kind="yes")
    assert row(answer, "openForCheckout").startswith("openForCheckout not saved yet Keeps Sprii's checkout open")
    assert row(answer, "openForCheckout").endswith("always true true Change openForCheckout")


def test_a_field_of_ones_own_is_added_where_the_provider_takes_them(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.switch_on(shop, "spotler")
    carried = opened(anna, shop, rule="purchase", place="custom_", name="show")
    opening = anna.post(page(shop, "/field", "spotler"), **carried)
    form = forms(opening, shop, "/field", "spotler")
    assert form["field"] == "custom_show"
    entered = {"do": "keep", "how": "from", "path-0": "order.sprii.value"}
    answer = anna.post(page(shop, "/field", "spotler"), **{**form, **entered})
    anna.post(page(shop, "/save", "spotler"), **forms(answer, shop, "/changes", "spotler"))
    sell(rig, shop, 1043)
    assert rig.received("spotler")[-1]["custom_show"] == "5934-14"


@pytest.mark.parametrize("name", ["", "  ", "a b", "x" * 61, "<b>", "ø"])
def test_a_name_that_cannot_be_is_refused_beside_the_table(rig: Rig, anna: Visitor, shop: int, name: str) -> None:
    rig.switch_on(shop, "spotler")
    carried = opened(anna, shop, rule="purchase", place="custom_", name=name)
    answer = anna.post(page(shop, "/field", "spotler"), **carried)
    assert answer.status_code == 400
    assert said(answer)[0].startswith("A field's name is made of letters, digits, dots, hyphens and underscores.")


# without a script, and with one


def test_the_result_is_shown_before_anything_is_kept(rig: Rig, anna: Visitor, shop: int) -> None:
    carried = opened(anna, shop, rule="order", field="spriiOrderNumber")
    form = forms(anna.post(page(shop, "/field"), **carried), shop, "/field")
    entered = {**form, "how": "from", "path-0": "order.name", "do": "try"}
    tried = anna.post(page(shop, "/field"), **entered)
    assert "Now 5934-14 With your change #1042 Order → name, as text" in words(tried)
    assert forms(tried, shop, "/field")["path-0"] == "order.name"
    assert forms(tried, shop, "/field")["how"] == "from"
    part = anna.post(page(shop, "/try"), **entered)
    assert part.status_code == 200
    assert words(f"<main>{text_of(part)}</main>") == ("Now 5934-14 With your change #1042 Order → name, as text")
    wrong = anna.post(page(shop, "/try"), **{**entered, "path-0": ""})
    assert words(f"<main>{text_of(wrong)}</main>") == "Now 5934-14 Choose where the value comes from."
    assert versions(rig, shop) == []


def test_a_value_that_would_hold_the_order_is_said(anna: Visitor, shop: int) -> None:
    carried = opened(anna, shop, rule="order", field="orderTotal")
    form = forms(anna.post(page(shop, "/field"), **carried), shop, "/field")
    tried = anna.post(page(shop, "/try"), **{**form, "how": "from", "path-0": "order.name", "conversion-0": "number"})
    assert 'class="wrong"' in text_of(tried)
    kept = edit(anna, shop, "orderTotal", how="from", **{"path-0": "order.name", "conversion-0": "number"})
    assert "This could not be sent, and would be held until it is mended:" in words(kept)
    told = words(anna.post(page(shop, "/changes"), **forms(kept, shop, "/changes")))
    assert "held from now on 1" in told
    assert "Some orders could not be sent any more. Nothing of them would be lost" in told


def test_an_order_that_would_be_left_out_and_sums_that_change_are_told(rig: Rig, anna: Visitor, shop: int) -> None:
    draft = '[[rules]]\nname = "order"\nskip = "not_wanted"\n'
    told = words(anna.post(page(shop, "/changes"), **opened(anna, shop, draft)))
    assert "skipped from now on 1" in told
    changed = edit(anna, shop, "orderTotal", how="from", **{"path-0": "order.tax"})
    told = words(anna.post(page(shop, "/changes"), **forms(changed, shop, "/changes")))
    assert (
        "Amounts, added up Field Now Then Difference orderTotal Report an order DKK 80.00 DKK 16.00 -DKK 64.00" in told
    )


def test_what_changes_nothing_is_not_saved(rig: Rig, anna: Visitor, shop: int) -> None:
    looked = anna.post(page(shop, "/changes"), **opened(anna, shop))
    assert "Nothing was changed: the draft says the same as what counts now." in words(looked)
    saved = anna.post(page(shop, "/save"), **opened(anna, shop))
    assert (saved.status_code, saved.location) == (303, page(shop, "?done=same"))
    assert (versions(rig, shop), actions(rig)) == ([], [])


# as text


def test_the_text_is_checked_and_leads_back_to_the_table(anna: Visitor, shop: int) -> None:
    shown = anna.get(page(shop, "/text"))
    assert "# Sprii: finished orders that carry a Sprii order number." in forms(shown, shop, "/text")["text"]
    typed = OWN.replace("order.number", "order.name").replace("\n", "\r\n")
    answer = anna.post(page(shop, "/text"), **{**forms(shown, shop, "/text"), "text": typed, "do": "keep"})
    assert "#1042 Change" in row(answer, "spriiOrderNumber")
    again = anna.post(page(shop, "/text"), **forms(answer, shop, "/text"))
    assert 'from = "order.name"' in forms(again, shop, "/text")["text"]


@pytest.mark.parametrize(
    ("typed", "line", "told"),
    [
        ('[[rules]]\nname = "order"\nfields.x = { from = \n', 3, "Line 3:"),
        ('[[rules]]\nname = "order"\n\nfields.id = { from = "order.id", as = "nummer" }\n', 4, 'conversion "nummer"'),
    ],
)
def test_what_is_wrong_in_the_text_is_shown_at_its_line(
    anna: Visitor, shop: int, typed: str, line: int, told: str
) -> None:
    answer = anna.post(page(shop, "/text"), **opened(anna, shop, text=typed, do="keep"))
    assert answer.status_code == 400
    (alert,) = said(answer)
    assert alert.startswith(f"This cannot be used, so nothing was changed. Line {line}:")
    assert told in alert
    marked = re.findall(r"<mark><b>(\d+)</b>", text_of(answer))
    assert marked == [str(line)]
    assert f'data-line="{line}"' in text_of(answer)
    assert forms(answer, shop, "/text")["text"].replace("\r\n", "\n") == typed


@pytest.mark.parametrize("draft", ["x", "[[rules]]", "\0", '[[rules]]\nname = "order"\nfields.id = 1\n', "é" * 70_000])
def test_a_draft_that_cannot_be_used_leads_to_its_text_from_everywhere(
    rig: Rig, anna: Visitor, shop: int, draft: str
) -> None:
    carried = opened(anna, shop, draft, rule="order", field="id", text=draft)
    for more, do in (("", "reset_rule"), ("/field", "keep"), ("/text", "keep"), ("/changes", ""), ("/save", "")):
        answer = anna.post(page(shop, more), **{**carried, "do": do})
        assert answer.status_code == 400, more
        assert said(answer)[0].startswith("This cannot be used, so nothing was changed."), more
    assert anna.post(page(shop, "/try"), **carried).status_code == 400
    assert versions(rig, shop) == []


def test_a_text_that_is_too_long_is_refused(anna: Visitor, shop: int) -> None:
    answer = anna.post(page(shop, "/text"), **opened(anna, shop, text="#" * 200_001, do="keep"))
    assert answer.status_code == 400
    assert said(answer) == ["This cannot be used, so nothing was changed. longer than 200000 characters"]


def test_a_saved_mapping_that_cannot_be_used_any_more_is_mended_there(rig: Rig, anna: Visitor, shop: int) -> None:
    broken = OWN.replace('as = "text"', 'as = "gone"')
    with rig.db.write() as session:
        found = configure.find_shop(session, str(shop))
        own_mappings.keep(session, found, PROVIDERS["sprii"], broken, after=0)
    answer = anna.get(page(shop))
    assert said(answer)[0].startswith("This cannot be used, so nothing was changed.")
    form = forms(answer, shop, "/text")
    assert form["text"].replace("\r\n", "\n") == broken
    mended = anna.post(page(shop, "/text"), **{**form, "text": OWN, "do": "keep"})
    assert "1042 Change" in row(mended, "spriiOrderNumber")
    looked = anna.post(page(shop, "/changes"), **forms(mended, shop, "/changes"))
    assert "Saving this mends it." in words(looked)
    assert anna.post(page(shop, "/save"), **forms(looked, shop, "/save")).status_code == 303
    assert [text for _, text, _ in versions(rig, shop)] == [broken, OWN]


# two tabs, and versions


def theirs(anna: Visitor, shop: int) -> None:
    """Somebody else leaves the price out, and saves."""
    answer = edit(anna, shop, "items.unitPrice", how="leave_out")
    assert anna.post(page(shop, "/save"), **forms(answer, shop, "/changes")).status_code == 303


def test_a_tab_that_saves_second_is_warned_and_keeps_its_draft(rig: Rig, anna: Visitor, shop: int) -> None:
    mine = edit(anna, shop, "spriiOrderNumber", how="from", **{"path-0": "order.number"})
    theirs(anna, shop)
    before = versions(rig, shop)
    answer = anna.post(page(shop, "/save"), **forms(mine, shop, "/changes"))
    assert answer.status_code == 409
    assert said(answer) == ["Your changes were not saved, and are not lost. Look at both, then decide."]
    assert "Saved meanwhile anna@shop.example" in words(answer)
    assert versions(rig, shop) == before
    looked = anna.post(page(shop, "/changes"), **forms(answer, shop, "/changes"))
    assert anna.post(page(shop, "/save"), **forms(looked, shop, "/save")).status_code == 303
    assert [(number, text) for number, text, _ in versions(rig, shop)][1:] == [(2, OWN)]


def test_a_form_of_a_version_where_none_is_saved_is_stale_and_can_be_saved_then(
    rig: Rig, anna: Visitor, shop: int
) -> None:
    answer = anna.post(page(shop, "/save"), **opened(anna, shop, OWN, version="7"))
    assert answer.status_code == 409
    assert "Saved meanwhile As Tillwire does it, without changes of yours." in words(answer)
    restored = anna.post(page(shop, "/versions/0/restore"), csrf_token=anna.token(), version="7")
    assert restored.status_code == 409
    assert versions(rig, shop) == []
    looked = anna.post(page(shop, "/changes"), **forms(answer, shop, "/changes"))
    assert anna.post(page(shop, "/save"), **forms(looked, shop, "/save")).status_code == 303
    assert versions(rig, shop) == [(1, OWN, "account:1")]


def test_versions_say_who_when_and_what_and_can_be_brought_back(rig: Rig, anna: Visitor, shop: int) -> None:
    assert "Nothing was changed yet" in words(anna.get(page(shop, "/versions")))
    theirs(anna, shop)
    first = versions(rig, shop)[0][1]
    mine = opened(anna, shop, OWN, version="1")
    assert anna.post(page(shop, "/save"), **mine).status_code == 303
    told = words(anna.get(page(shop, "/versions")))
    assert re.match(
        r"What Sprii is sent Versions Version 2 counts now anna@shop\.example, \d+ \w+ \d+, \d\d:\d\d", told
    )
    assert "items.unitPrice Report an order" in told
    listed = Forms(text_of(anna.get(page(shop, "/versions")))).found
    back = anna.post(page(shop, "/versions/1/restore"), **listed[page(shop, "/versions/1/restore")])
    assert (back.status_code, back.location) == (303, page(shop, "?done=restored"))
    assert versions(rig, shop)[2] == (3, first, "account:1")
    stale = anna.post(page(shop, "/versions/2/restore"), **listed[page(shop, "/versions/1/restore")])
    assert stale.status_code == 409
    assert said(stale)[0].startswith("Somebody else saved meanwhile, so nothing was restored.")
    fresh = Forms(text_of(anna.get(page(shop, "/versions")))).found[page(shop, "/versions/0/restore")]
    assert anna.post(page(shop, "/versions/0/restore"), **fresh).status_code == 303
    assert versions(rig, shop)[3] == (4, "", "account:1")
    assert actions(rig) == [("account:1", action) for action in ["change mapping"] * 2 + ["restore mapping"] * 2]


# whose, and where


def test_nobody_sees_or_changes_the_mapping_of_another_store(rig: Rig, anna: Visitor, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "sprii")
    gets = [page(other, more) for more in ("", "/text", "/versions")]
    posts = [page(other, more) for more in ("", "/field", "/try", "/text", "/changes", "/save", "/versions/0/restore")]
    assert [anna.get(path).status_code for path in gets] == [404] * 3
    form = opened(anna, other, OWN, rule="order", field="id", do="keep")
    assert [anna.post(path, **form).status_code for path in posts] == [404] * 7
    assert (versions(rig, other), actions(rig)) == ([], [])


def test_inside_the_admin_a_draft_is_saved_by_the_id_token_alone(rig: Rig, app: Flask) -> None:
    inside = connect(rig, rig.shop("shopify", DOMAIN))
    visitor, headers = Visitor(app), {"Authorization": f"Bearer {id_token()}"}
    answer = visitor.post(page(inside, "/save"), headers=headers, draft=OWN, version="0")
    assert answer.status_code == 303
    assert versions(rig, inside) == [(1, OWN, "shopify:77")]
    assert "csrf_token" not in text_of(visitor.get(page(inside), headers=headers))


def test_locked_credentials_are_said_and_nothing_changes(rig: Rig, shop: int) -> None:
    with serving(rig) as app:
        anna = Visitor(app)
        anna.join(anna.sign_in(), shop)
        app.extensions["router"] = type(rig.parts.router)(
            configure.Vault(type(rig.config.cipher())([Fernet(Fernet.generate_key())]))
        )
        answers = [anna.get(page(shop)), anna.post(page(shop, "/changes"), **opened(anna, shop, OWN))]
    assert [each.status_code for each in answers] == [502, 502]
    assert all("The stored credentials of Sprii cannot be opened here" in text_of(each) for each in answers)


def test_the_page_of_the_provider_leads_there(anna: Visitor, shop: int) -> None:
    assert f'href="{page(shop)}"' in text_of(anna.get(f"/shops/{shop}/providers/sprii"))
