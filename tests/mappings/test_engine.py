"""Rendering: facts in, payload or Skip out."""

from __future__ import annotations

import contextlib
import copy
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.conversions import CONVERSIONS
from mappings.engine import CompiledMapping, Rule, Skip
from mappings.errors import MappingError
from mappings.files import compile, parse
from mappings.paths import split

FACTS: dict[str, Any] = {
    "event": {"kind": "order.paid", "id": "e1", "occurred_at": "2026-03-02T09:15:30Z"},
    "shop": {"platform": "shopify", "domain": "example.myshopify.com"},
    "options": {"order_trigger": "order.paid", "item_id": "sku", "prefix": "", "nothing": None},
    "order": {
        "id": "6100234500001",
        "number": "1042",
        "total": "114.95",
        "discount": "0",
        "test": False,
        "channel": "web",
        "email": "ines.example@example.com",
        "note": "",
        "first_name": "Ines",
        "discount_codes": ["spring10", "live"],
        "attribute": {"name": "live", "value": "5934-14"},
        "address": {"city": "Amsterdam", "country_code": "NL"},
        "lines": [
            {"sku": "MUG-BLUE", "unit_id": "880001", "quantity": "2", "unit_gross": "48.4", "kind": "product"},
            {"unit_id": "880002", "quantity": "1", "unit_gross": "24.205", "kind": "product"},
            {"unit_id": "fee-1", "quantity": "1", "unit_gross": "1", "kind": "fee"},
        ],
    },
}


def rule_of(body: str, head: str = 'on = ["order.paid"]\naction = "place_order"') -> Rule:
    return compile(parse(f'[[rules]]\nname = "order"\n{head}\n{body}\n', source="sprii.toml")).rules[0]


def rendered(body: str, facts: dict[str, Any] = FACTS) -> dict[str, Any] | Skip:
    return rule_of(body).render(facts)


def with_order(**changes: Any) -> dict[str, Any]:
    return {**FACTS, "order": {**FACTS["order"], **changes}}


def test_a_whole_payload() -> None:
    body = """
    when = [{ path = "event.kind", same = "options.order_trigger" }]
    skip_when = [{ path = "order.test", is = true, reason = "test_order" }]
    skip_without = { "order.email|order.phone" = "no_identity" }
    fields.orderRef = { from = "order.number" }
    fields.paid = { from = "order.total", as = ["round2", "number"] }
    fields.discount = { from = "order.discount", as = "number" }
    fields.guest = { from = "order.customer_id", default = "guest" }
    fields.currency = { value = "EUR" }
    fields.who = { fields = { email = { from = "order.email", as = "list" }, phone = { from = "order.phone" } } }
    fields.consent = { fields = { tcf = { from = "order.tcf_consent" } } }
    fields.codes = { from = "order.discount_codes", as = "csv" }

    [rules.fields.lines]
    each = "order.lines"
    where = [{ path = "item.kind", is = "product" }]
    fields.id = { first = ["item[options.item_id]", "item.unit_id"] }
    fields.quantity = { from = "item.quantity", as = "integer" }
    fields.price = { from = "item.unit_gross", as = ["round2", "number"] }
    """
    payload = rendered(body)
    assert payload == {
        "orderRef": "1042",
        "paid": 114.95,
        "discount": 0,
        "guest": "guest",
        "currency": "EUR",
        "who": {"email": ["ines.example@example.com"]},
        "codes": "spring10,live",
        "lines": [
            {"id": "MUG-BLUE", "quantity": 2, "price": 48.4},
            {"id": "880002", "quantity": 1, "price": 24.21},
        ],
    }
    assert json.loads(json.dumps(payload)) == payload


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('{ from = "order.number" }', "1042"),
        ('{ from = "order.test" }', False),
        ('{ from = "order.address.city" }', "Amsterdam"),
        ('{ from = "order.address" }', {"city": "Amsterdam", "country_code": "NL"}),
        ('{ from = "order.phone" }', None),
        ('{ from = "refund.amount" }', None),
        ('{ from = "order.customer.id" }', None),
        ('{ from = "order.note" }', None),
        ('{ from = "order.note", keep_empty = true }', ""),
        ('{ from = "order.phone", keep_empty = true }', "null"),
        ('{ from = "order.note", default = "-" }', "-"),
        ('{ from = "order.phone", default = 0 }', 0),
        ('{ from = "order.phone", default = false }', False),
        ('{ from = "order.number", default = "-" }', "1042"),
        ('{ from = "order.note", as = "email", default = "none" }', "none"),
        ('{ from = "order.discount", as = "number", default = 9 }', 0),
        ('{ from = ["order.id", "order.phone", "order.note", "order.number"] }', ["6100234500001", "1042"]),
        ('{ from = ["order.phone", "order.note"] }', None),
        ('{ from = ["order.phone", "order.note"], keep_empty = true }', []),
        ('{ from = ["order.phone", "order.note"], as = "count", default = 0 }', 1),
        ('{ from = ["options.prefix", "order.id"], as = "concat" }', "6100234500001"),
        ('{ from = ["options.nothing", "order.id"], as = "concat" }', None),
        ('{ from = ["order.phone", "order.number"], as = "list" }', ["1042"]),
        ('{ first = ["order.phone", "order.note", "order.discount", "order.number"] }', "0"),
        ('{ from = ["order.attribute", "order.phone"], as = "attributes" }', {"live": "5934-14"}),
        ('{ first = ["order.phone", "order.test"] }', False),
        ('{ first = ["order.phone", "order.note"] }', None),
        ('{ value = 5 }', 5),
        ('{ value = 0 }', 0),
        ('{ value = "" }', None),
        ('{ value = [] , keep_empty = true }', []),
        ('{ value = { a = [1, "", { b = true }] } }', {"a": [1, "", {"b": True}]}),
        ('{ each = "order.lines", item = { from = "item.sku" } }', ["MUG-BLUE"]),
        ('{ each = "order.lines", fields = { sku = { from = "item.sku" } } }', [{"sku": "MUG-BLUE"}]),
        ('{ each = "order.discount_codes", item = { from = "item", as = "upper" } }', ["SPRING10", "LIVE"]),
        ('{ each = "order.fulfilments", item = { from = "item.id" } }', None),
        ('{ each = "order.fulfilments", item = { from = "item.id" }, keep_empty = true }', []),
        ('{ each = "order.fulfilments", item = { from = "item.id" }, as = "count" }', 0),
        ('{ each = "order.lines", item = { from = "item.quantity" }, as = ["sum", "number"] }', 4),
        ('{ each = "order.lines", item = { from = "item.sku", keep_empty = true } }', ["MUG-BLUE", None, None]),
        ('{ fields = { a = { from = "order.phone" } } }', None),
        ('{ fields = { a = { from = "order.phone" } }, keep_empty = true }', {}),
        ('{ fields = { a = { value = 1 } }, as = "name_values" }', [{"name": "a", "value": 1}]),
        ('{ from = "order.id", when = [{ path = "order.id", is = "x" }], default = 1 }', None),
    ],
)  # fmt: skip
def test_verbs_defaults_and_what_is_empty(field: str, expected: Any) -> None:
    payload = rendered(f"fields.x = {field}")
    assert payload == ({} if expected is None else {"x": None if expected == "null" else expected})


def test_each_inside_each_reads_the_inner_member() -> None:
    body = """
    fields.refunds = { each = "order.refunds", fields = { id = { from = "item.id" }, lines = \
{ each = "item.lines", item = { from = "item.line_id" } }, note = { from = "item.note" } } }
    """
    facts = with_order(refunds=[{"id": "r1", "lines": [{"line_id": "a"}, {"line_id": "b"}], "note": "n"}, {"id": "r2"}])
    assert rendered(body, facts) == {"refunds": [{"id": "r1", "lines": ["a", "b"], "note": "n"}, {"id": "r2"}]}


ATTACHED = [
    {"name": "Gift message", "value": "old"},
    {"value": "of nobody"},
    "odd",
    {"name": " gift MESSAGE ", "value": "new"},
]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ('order.attributes["Gift message"].value', "new"),
        ('order.attributes["gift message"].value', "new"),
        ('order.attributes["Gift"].value', None),
        ('order.nothing["Gift"].value', None),
        ('order.named["a.b [c]"]', "d"),
        ('order.named["A.B [C]"]', None),
    ],
)
def test_a_name_in_quotes_finds_what_is_called_so(path: str, value: str | None) -> None:
    facts = with_order(attributes=ATTACHED, named={"a.b [c]": "d"})
    expected = {} if value is None else {"x": value}
    assert rendered(f"fields.x = {{ from = '{path}' }}", facts) == expected
    skipping = rendered(f"skip_without = {{ '{path}|order.none' = 'r' }}\nfields.x = {{ value = 1 }}", facts)
    assert isinstance(skipping, Skip) is (value is None)


def test_a_name_in_quotes_leads_through_no_text() -> None:
    with pytest.raises(MappingError, match="leads through text, not through an object"):
        rendered("""fields.x = { from = 'order.number["a"]' }""", with_order(number="1"))


@pytest.mark.parametrize("path", ['order["]', 'order[""]', 'order["a', 'order["a|b"]', 'order["a"', '"order"'])
def test_a_name_that_is_not_quoted_rightly_is_no_path(path: str) -> None:
    with pytest.raises(MappingError, match="is not a path"):
        split(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("item[options.item_id]", "MUG-BLUE"),
        ("item[options.absent]", None),
        ("item[options.nothing]", None),
        ("item[options.prefix]", None),
        ("item[options.deep[options.item_id]]", "2"),
        ("item.by[options.item_id].id", "7"),
    ],
)
def test_brackets_name_a_key(path: str, value: str | None) -> None:
    options = {**FACTS["options"], "deep": {"sku": "quantity"}}
    facts = {"options": options, "order": {"lines": [{"sku": "MUG-BLUE", "quantity": "2", "by": {"sku": {"id": "7"}}}]}}
    expected = {} if value is None else {"x": [value]}
    assert rendered(f'fields.x = {{ each = "order.lines", item = {{ from = "{path}" }} }}', facts) == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('path = "order.channel", is = "web"', True),
        ('path = "order.channel", is = "pos"', False),
        ('path = "order.phone", is = "web"', False),
        ('path = "order.test", is = false', True),
        ('path = "order.test", is = 0', False),
        ('path = "order.discount", is = "0"', True),
        ('path = "order.discount", is = 0', True),
        ('path = "order.total", is = 114.950', True),
        ('path = "order.total", is = 114', False),
        ('path = "order.note", is = 0', False),
        ('path = "order.discount_codes", is = ["spring10", "live"]', True),
        ('path = "order.discount_codes", is = ["live", "spring10"]', False),
        ('path = "order.address", is = { city = "Amsterdam", country_code = "NL" }', True),
        ('path = "order.channel", in = ["pos", "web"]', True),
        ('path = "order.channel", in = ["pos"]', False),
        ('path = "order.discount", in = [1, 0]', True),
        ('path = "order.channel", not = "pos"', True),
        ('path = "order.channel", not = "web"', False),
        ('path = "order.channel", not = ["pos", "web"]', False),
        ('path = "order.phone", not = "web"', True),
        ('path = "event.kind", same = "options.order_trigger"', True),
        ('path = "event.kind", same = "order.channel"', False),
        ('path = "order.phone", same = "order.customer_id"', False),
        ('path = "order.phone", present = true', False),
        ('path = "order.phone", present = false', True),
        ('path = "order.note", present = true', False),
        ('path = "order.test", present = true', True),
        ('path = "order.lines", present = true', True),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    rule = rule_of(f"when = [{{ {condition} }}]\nfields.x = {{ value = 1 }}")
    assert rule.applies(FACTS) is holds
    assert rule.render(FACTS) == ({"x": 1} if holds else Skip("not_applicable"))


def test_all_conditions_of_a_list_must_hold() -> None:
    both = (
        'when = [{ path = "order.channel", is = "web" }, { path = "order.test", is = true }]\nfields.x = { value = 1 }'
    )
    assert rendered(both) == Skip("not_applicable")
    assert rendered(both, with_order(test=True)) == {"x": 1}


def test_an_empty_list_of_conditions_always_holds() -> None:
    assert rendered("when = []\nfields.x = { value = 1, when = [] }") == {"x": 1}


@pytest.mark.parametrize(
    ("changes", "skip"),
    [
        ({"channel": "pos", "test": True, "email": ""}, Skip("not_applicable")),
        ({"test": True, "draft": True, "email": ""}, Skip("test_order")),
        ({"draft": True, "email": ""}, Skip("draft")),
        ({"email": "", "id": None}, Skip("no_identity")),
        ({"id": None}, Skip("no_id")),
    ],
)
def test_the_first_reason_to_skip_in_the_order_of_the_grammar(changes: dict[str, Any], skip: Skip) -> None:
    body = """
    when = [{ path = "order.channel", is = "web" }]
    skip_without = { "order.email | order.phone" = "no_identity", "order.id" = "no_id" }
    skip_when = [{ path = "order.test", is = true, reason = "test_order" },
                 { path = "order.draft", is = true, reason = "draft" }]
    fields.x = { value = 1 }
    """
    assert rendered(body, with_order(**changes)) == skip
    assert rendered(body) == {"x": 1}
    assert rendered(body, with_order(email=None, phone="+31612345678")) == {"x": 1}


def test_a_skip_rule_skips_where_it_applies() -> None:
    body = 'when = [{ path = "order.test", is = true }]\nskip = "trashed"'
    assert rendered(body) == Skip("not_applicable")
    assert rendered(body, with_order(test=True)) == Skip("trashed")


@pytest.mark.parametrize(
    ("body", "changes", "message"),
    [
        ('fields.items = { each = "order.lines", fields = { quantity = { from = "item.quantity", as = "integer" } } }',
         {"lines": [{"quantity": "2.5"}]}, "fields.items.quantity: 2.5 is not a whole number"),
        ('fields.items = { each = "order.email", item = { from = "item.id" } }', {},
         "fields.items: order.email is text, not a list"),
        ('fields.items = { each = "order.address", item = { from = "item.id" } }', {},
         "fields.items: order.address is an object, not a list"),
        ('fields.items = { each = "order.lines", item = { from = "item.id" } }', {"lines": ["secret"]},
         "fields.items: item.id: leads through text, not through an object"),
        ('fields.a = { fields = { b = { from = "order.email.domain" } } }', {},
         "fields.a.b: order.email.domain: leads through text, not through an object"),
        ('fields.a = { from = "order.address.city.name.x" }', {},
         "fields.a: order.address.city.name.x: leads through text, not through an object"),
        ('fields.a = { from = "order[order.test]" }', {},
         "fields.a: order[order.test]: what stands in brackets must name a key, and is a yes or no"),
        ('fields.a = { from = "order.email", as = "number" }', {}, "fields.a: text is not a number"),
        ('fields.a = { from = "order.email", as = "number", when = [{ path = "order.email.x", present = true }] }', {},
         "fields.a: order.email.x: leads through text, not through an object"),
        ('fields.a = { value = 1 }\nwhen = [{ path = "order.email.x", present = true }]', {},
         "when: order.email.x: leads through text, not through an object"),
        ('fields.a = { value = 1 }\nskip_when = [{ path = "order.email.x", present = true, reason = "r" }]', {},
         "skip_when: order.email.x: leads through text, not through an object"),
        ('fields.a = { value = 1 }\nskip_without = { "order.email.x" = "r" }', {},
         "skip_without: order.email.x: leads through text, not through an object"),
    ],
)  # fmt: skip
def test_facts_that_do_not_fit_name_rule_and_field_and_no_personal_data(
    body: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(MappingError) as caught:
        rendered(body, with_order(**changes))
    assert str(caught.value) == f'sprii.toml: rule "order": {message}'
    assert (caught.value.source, caught.value.rule) == ("sprii.toml", "order")
    assert caught.value.path == message.partition(":")[0]


def test_one_rule_renders_many_orders_and_keeps_nothing_of_them() -> None:
    rule = rule_of("""
    fields.id = { from = "order.id" }
    fields.fixed = { value = { tags = ["a"] } }
    fields.codes = { from = "order.discount_codes", default = ["none"] }
    fields.lines = { each = "order.lines", fields = { sku = { from = "item.sku" } } }
    """)
    first, before = rule.render(FACTS), copy.deepcopy(FACTS)
    assert isinstance(first, dict)
    first["fixed"]["tags"].append("changed")
    first["codes"].append("changed")
    first["lines"].clear()
    assert before == FACTS
    bare = rule.render({"order": {"id": "2"}})
    assert bare == {"id": "2", "fixed": {"tags": ["a"]}, "codes": ["none"]}
    assert isinstance(bare, dict)
    bare["codes"].append("changed")
    for number in range(3, 100):
        assert rule.render({"order": {"id": str(number)}}) == {
            "id": str(number),
            "fixed": {"tags": ["a"]},
            "codes": ["none"],
        }
    assert rule.render(FACTS) == {
        "id": "6100234500001",
        "fixed": {"tags": ["a"]},
        "codes": ["spring10", "live"],
        "lines": [{"sku": "MUG-BLUE"}],
    }


def test_a_compiled_mapping_finds_its_rules_by_kind_and_name() -> None:
    mapping: CompiledMapping = compile(
        parse(
            """
            [[rules]]
            name = "order"
            on = ["order.paid", "order.placed"]
            action = "place_order"
            fields.x = { value = 1 }
            [[rules]]
            name = "gone"
            on = "order.deleted"
            action = "place_order"
            skip = "trashed"
            [[rules]]
            name = "paid"
            on = ["order.paid"]
            action = "event"
            fields.x = { value = 1 }
            """,
            source="x.toml",
        )
    )
    assert [rule.name for rule in mapping.rules] == ["order", "gone", "paid"]
    assert [rule.name for rule in mapping.for_kind("order.paid")] == ["order", "paid"]
    assert [rule.name for rule in mapping.for_kind("order.deleted")] == ["gone"]
    assert mapping.for_kind("cart.updated") == ()
    paid = mapping.by_name("paid")
    assert paid is not None
    assert (paid.action, paid.on) == ("event", frozenset({"order.paid"}))
    assert mapping.by_name("unknown") is None


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["2.5", "0", "nl"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "value", "id"]), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(ANY_JSON, st.sampled_from(sorted(CONVERSIONS)), st.sampled_from(sorted(CONVERSIONS)))
def test_odd_facts_end_in_a_mapping_error_or_in_json(value: Any, first: str, second: str) -> None:
    rule = one_of_each(first, second)
    with contextlib.suppress(MappingError):
        json.dumps(rule.render({"order": value, "options": {"key": value}}))


@cache
def one_of_each(first: str, second: str) -> Rule:
    steps = f'as = ["{first}", "{second}"]'
    return rule_of(f"""
    fields.a = {{ from = "order.value", {steps} }}
    fields.b = {{ first = ["order[options.key]", "order.id"], {steps} }}
    fields.c = {{ from = ["order", "order.value"], {steps} }}
    fields.d = {{ each = "order.value", where = [{{ path = "item", not = 0 }}], \
fields = {{ id = {{ from = "item.id" }} }} }}
    """)
