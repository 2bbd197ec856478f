"""Drafts: one change at a time, and always the smallest text that says it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import Shop
from app.providers.registry import PROVIDERS
from app.services.mapping_draft import BadMapping, Change, Draft, checked, current, edit, opened, reset_rule, whole
from mappings import files
from mappings.data import RuleData, identical
from tests.rig import Rig
from tests.services.lives import profile
from tests.services.test_expected import drafts

GAMEBALL, SPOTLER = PROVIDERS["gameball"], PROVIDERS["spotler"]
NAME = Change(how="from", paths=("order.name",))


def made(path: str, change: Change, rule: str = "order", text: str = "") -> str:
    return edit(GAMEBALL, text, rule, path, change)


@pytest.mark.parametrize(
    ("path", "change", "body"),
    [
        ("orderId", NAME, '[rules.fields.orderId]\nfrom = "order.name"\n'),
        (
            "lineItems.price",
            Change(how="from", paths=("item.unit_gross",), conversions=("round2", "number")),
            '[rules.fields.lineItems.fields.price]\nfrom = "item.unit_gross"\n'
            'as = [\n    "round2",\n    "number",\n]\n',
        ),
        ("totalTax", Change(how="leave_out"), "[rules.fields.totalTax]\noff = true\n"),
        (
            "channel",
            Change(how="first", paths=("order.source", "order.channel"), conversions=("lower",), default="web"),
            '[rules.fields.channel]\nfirst = [\n    "order.source",\n    "order.channel",\n]\n'
            'as = "lower"\ndefault = "web"\n',
        ),
        ("extra.shop", Change(how="value", value="north"), '[rules.fields.extra.fields.shop]\nvalue = "north"\n'),
        (
            "extra.names",
            Change(how="list", paths=("order.first_name", "order.last_name"), conversions=("spaced",)),
            '[rules.fields.extra.fields.names]\nfrom = [\n    "order.first_name",\n    "order.last_name",\n]\n'
            'as = "spaced"\n',
        ),
        (
            "lineItems",
            Change(how="each", paths=("remaining.lines",)),
            '[rules.fields.lineItems]\neach = "remaining.lines"\n',
        ),
        (
            "guest",
            Change(how="from", paths=("order.test",), keep_empty=True),
            '[rules.fields.guest]\nfrom = "order.test"\nkeep_empty = true\n',
        ),
        # What stands under a condition, stays there.
        (
            "merchant",
            Change(how="value", value={"uniqueId": "m", "branch": {"uniqueId": 1}}),
            '[rules.fields.merchant]\nwhen = [\n    { path = "options.branch_id", present = true },\n]\n\n'
            '[rules.fields.merchant.value]\nuniqueId = "m"\n\n[rules.fields.merchant.value.branch]\nuniqueId = 1\n',
        ),
    ],
)
def test_a_change_is_written_and_nothing_else(path: str, change: Change, body: str) -> None:
    text = made(path, change)
    head = '[[rules]]\nname = "order"\n\n'
    if path == "lineItems":  # a list with another beginning is written with its members
        assert text.startswith(head + body)
        default = opened(GAMEBALL, "").whole.by_name("order") or {}
        after = opened(GAMEBALL, text).whole.by_name("order") or {}
        assert after["fields"]["lineItems"] == {**default["fields"]["lineItems"], "each": "remaining.lines"}
    else:
        assert text == head + body
    assert made(path, Change(how="default"), text=text) == ""


def test_the_form_of_a_lists_members_is_changed() -> None:
    text = made("metadata.product_id[]", Change(how="from", paths=("item.sku",)), rule="cart")
    assert text == '[[rules]]\nname = "cart"\n\n[rules.fields.metadata.fields.product_id.item]\nfrom = "item.sku"\n'


def test_changes_add_up_and_each_can_be_taken_back() -> None:
    first = made("orderId", NAME)
    both = made("totalTax", Change(how="leave_out"), text=first)
    assert made("totalTax", Change(how="default"), text=both) == first
    assert made("totalTax", Change(how="default"), text=first) == first
    assert reset_rule(GAMEBALL, made("email", Change(how="leave_out"), "refund", both), "order") == (
        '[[rules]]\nname = "refund"\n\n[rules.fields.email]\noff = true\n'
    )


def test_what_is_set_to_what_our_default_says_is_no_change() -> None:
    same = Change(how="from", paths=("order.email",), conversions=("email",))
    assert made("email", same, text=made("email", NAME)) == ""


def test_a_field_of_ones_own_goes_only_where_the_provider_takes_it() -> None:
    assert "custom_note" in edit(SPOTLER, "", "purchase", "custom_note", Change(how="from", paths=("order.note",)))
    for path in ("note", "custom_", "custom_a.b", "products.custom_x", "custom_" + "x" * 101, "custom_ü"):
        with pytest.raises(BadMapping) as caught:
            edit(SPOTLER, "", "purchase", path, NAME)
        assert (caught.value.rule, caught.value.path) == ("purchase", path)
        said = "Spotler Activate does not document this field, and takes no field of your own here"
        assert caught.value.text == said


def test_a_field_that_the_provider_documents_can_be_added() -> None:
    text = made("lineItems.tags", Change(how="from", paths=("item.category",), conversions=("list",)))
    assert text.endswith('[rules.fields.lineItems.fields.tags]\nfrom = "item.category"\nas = "list"\n')


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        ("orderId", Change(how="from"), "choose where the value comes from"),
        ("orderId", Change(how="from", paths=("a", "b")), "choose where the value comes from"),
        ("orderId", Change(how="list"), "choose where the value comes from"),
        ("orderId", Change(how="sideways"), "choose where the value comes from"),
        ("orderId", Change(how="from", paths=("item.sku",)), 'from: "item.sku": item can be read inside each only'),
        ("orderId", Change(how="from", paths=("order.x y",)), 'from: "order.x y" is not a path'),
        (
            "orderId",
            Change(how="value", conversions=("nummer",), value=1),
            'unknown conversion "nummer"; did you mean "number"?',
        ),
        (
            "orderId",
            Change(how="value", value=2**63),
            "value must be a text, a number, true or false, a list or a table of these",
        ),
        (
            "orderId",
            Change(how="value", value=float("nan")),
            "value must be a text, a number, true or false, a list or a table of these",
        ),
        ("orderId", Change(how="value", value="\ud800"), "holds characters that are no text"),
        ("orderId", Change(how="value", value=None), "choose where the value comes from"),
        ("orderId.x", NAME, "Gameball does not document this field, and takes no field of your own here"),
        ("title[]", NAME, "Gameball does not document this field, and takes no field of your own here"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(path: str, change: Change, said: str) -> None:
    with pytest.raises(BadMapping) as caught:
        made(path, change)
    assert caught.value.text == said


def test_there_is_nothing_to_change_in_a_rule_that_is_not_there() -> None:
    for rule, text in (("nothing", ""), ("order", '[[rules]]\nname = "order"\noff = true\n')):
        with pytest.raises(BadMapping, match="there is no such rule, or it is switched off"):
            made("orderId", NAME, rule, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rules = [", ("Invalid value (at line 1, column 10)", None, None, 1, 10)),
        ("x = 1", ('unknown key "x"; a mapping holds [[rules]]', None, None, None, None)),
        (
            '[[rules]]\nname = "order"\n[rules.fields.lineItems.fields]\nsku = { from = "item.sku", as = "uper" }\n',
            ('unknown conversion "uper"; did you mean "upper"?', "order", "lineItems.sku", 4, None),
        ),
        (
            '[[rules]]\nname = "own"\non = "order.paid"\naction = "order"\n',
            ("needs fields or skip", "own", None, 1, None),
        ),
        (
            '\n[[rules]]\nname = "own"\non = "order.paid"\naction = "letter"\nskip = "x"\n',
            ("Gameball has no action 'letter'; it has order, refund, event, nothing", "own", "action", 5, None),
        ),
        (
            '[[rules]]\nname = "order"\non = ["order.payed"]\n',
            ('unknown event kind "order.payed"; did you mean "order.placed"?', "order", "on", 3, None),
        ),
    ],
)
def test_a_typed_text_is_refused_at_its_line(text: str, expected: tuple[Any, ...]) -> None:
    with pytest.raises(BadMapping) as caught:
        checked(GAMEBALL, text)
    error = caught.value
    assert (error.text, error.rule, error.path, error.line, error.column) == expected


def test_a_whole_mapping_as_it_is_shown_is_no_change_at_all() -> None:
    assert checked(GAMEBALL, whole(GAMEBALL, "")) == ""
    assert whole(GAMEBALL, "") == files.default_text("gameball")
    text = made("orderId", NAME)
    assert checked(GAMEBALL, whole(GAMEBALL, text)) == text


def test_a_draft_begins_with_what_counts(rig: Rig) -> None:
    shop = rig.shop()
    text = made("orderId", NAME)
    for expected in (Draft(text="", version=0), Draft(text=text, version=1)):
        with rig.db.read() as session:
            assert current(session, session.get_one(Shop, shop), GAMEBALL) == expected
        rig.map(shop, "gameball", text)


def test_the_order_of_a_constants_keys_is_the_one_that_is_saved() -> None:
    """TOML writes tables after values: what is shown must be what is read from the saved text."""
    typed = '[[rules]]\nname = "order"\nfields.extra = { value = { first = { inner = 1 }, second = 2 } }\n'
    for text in (typed, checked(GAMEBALL, typed)):
        rule = opened(GAMEBALL, text).compiled.by_name("order")
        assert rule
        assert list(rule.render(ORDER)["extra"]) == ["second", "first"]  # type: ignore[index]


ORDER = {"event": {"kind": "order.paid"}, "options": {"due": True, "customer_id": "id"}, "order": {"id": "1"}}


@pytest.mark.parametrize("provider", PROVIDERS)
@given(data=st.data())
@profile(10, 50)
def test_any_changes_can_be_undone_one_by_one(provider: str, data: st.DataObject) -> None:
    declared, default = PROVIDERS[provider], files.load_default(provider)
    text = data.draw(drafts(provider))
    assert checked(declared, text) == text
    for rule in opened(declared, text).own.rules:
        for path in changed(
            default.by_name(rule["name"]) or {}, opened(declared, text).whole.by_name(rule["name"]) or {}
        ):
            text = edit(declared, text, rule["name"], path, Change(how="default"))
    assert text == ""


def changed(default: RuleData, own: RuleData) -> list[str]:
    """The top fields in which two rules differ."""
    one, other = default["fields"], own["fields"]
    return [name for name in {**one, **other} if not identical(one.get(name), other.get(name))]
