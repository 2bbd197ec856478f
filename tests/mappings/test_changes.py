"""A merchant's own file: what it changes of a default, and how little of it has to be kept."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.data import MappingFile
from mappings.errors import MappingError
from mappings.files import compile, difference, dump, merge, parse

DEFAULT = """
[[rules]]
name = "order"
on = ["order.paid"]
action = "place_order"
when = [{ path = "order.total", not = "0" }]
skip_without = { "order.email" = "no_identity" }
fields.id = { from = "order.id" }
fields.total = { from = "order.total", as = ["round2", "number"], default = 0 }
fields.who = { fields = { email = { from = "order.email" }, phone = { from = "order.phone" } } }
fields.lines = { each = "order.lines", where = [{ path = "item.kind", is = "product" }], \
fields = { sku = { from = "item.sku" }, price = { from = "item.unit_gross", as = "number" } } }

[[rules]]
name = "gone"
on = ["order.deleted"]
action = "place_order"
skip = "trashed"
"""

FACTS: dict[str, Any] = {
    "order": {
        "id": "61",
        "number": "1042",
        "total": "9.5",
        "email": "a@b.nl",
        "phone": "+31612345678",
        "lines": [{"kind": "product", "sku": "MUG", "unit_gross": "9.5"}, {"kind": "fee", "unit_gross": "1"}],
    }
}
PAYLOAD: dict[str, Any] = {
    "id": "61",
    "total": 9.5,
    "who": {"email": "a@b.nl", "phone": "+31612345678"},
    "lines": [{"sku": "MUG", "price": 9.5}],
}


def default() -> MappingFile:
    return parse(DEFAULT, source="acme.toml")


def own(body: str, name: str = "order") -> MappingFile:
    return parse(f'[[rules]]\nname = "{name}"\n{body}', source="own.toml")


def payload(body: str) -> Any:
    rule = compile(merge(default(), own(body))).by_name("order")
    return None if rule is None else rule.render(FACTS)


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ("", {}),
        ('fields.id = { from = "order.number" }', {"id": "1042"}),
        ('fields.extra = { value = "x" }', {"extra": "x"}),
        ("fields.total = { as = [] }", {"total": "9.5"}),
        ('fields.total = { from = "order.total" }', {"total": "9.5"}),
        ('fields.who.fields.email = { value = "x" }', {"who": {"email": "x", "phone": "+31612345678"}}),
        ("fields.who.fields.phone.off = true", {"who": {"email": "a@b.nl"}}),
        ('fields.who = { replace = true, fields = { id = { value = 1 } } }', {"who": {"id": 1}}),
        ('fields.who = { from = "order.email" }', {"who": "a@b.nl"}),
        ('fields.lines.fields.price = { as = "round2" }', {"lines": [{"sku": "MUG", "price": "9.5"}]}),
        ('fields.lines.fields.new = { from = "item.kind" }', {"lines": [PAYLOAD["lines"][0] | {"new": "product"}]}),
        ("fields.lines.where = []", {"lines": [{"sku": "MUG", "price": 9.5}, {"price": 1}]}),
        ('fields.lines.item = { from = "item.sku" }', {"lines": ["MUG"]}),
        ('fields.lines = { each = "order.lines", item = { from = "item.kind" } }', {"lines": ["product", "fee"]}),
        ('fields.id = { fields = { order = { from = "order.id" } } }', {"id": {"order": "61"}}),
    ],
)  # fmt: skip
def test_an_own_file_changes_fields_and_leaves_the_others(body: str, changes: dict[str, Any]) -> None:
    assert payload(body) == PAYLOAD | changes


def test_a_field_that_is_off_is_not_in_the_payload() -> None:
    assert payload("fields.total.off = true") == {key: value for key, value in PAYLOAD.items() if key != "total"}


def test_replace_takes_the_rule_as_it_is_written() -> None:
    body = 'replace = true\non = ["order.placed"]\naction = "other"\nfields.id = { from = "order.number" }'
    merged = merge(default(), own(body))
    rule = compile(merged).rules[0]
    assert (rule.name, rule.on, rule.action, rule.render(FACTS)) == (
        "order",
        frozenset({"order.placed"}),
        "other",
        {"id": "1042"},
    )
    assert merged.rules[0] == {
        "name": "order",
        "on": ["order.placed"],
        "action": "other",
        "fields": {"id": {"from": "order.number"}},
    }


def test_a_rule_that_is_off_is_gone_and_a_new_one_comes_last() -> None:
    new = '[[rules]]\nname = "new"\non = ["cart.updated"]\naction = "cart"\nskip = "x"\n'
    both = parse(f'{new}[[rules]]\nname = "order"\noff = true', source="own.toml")
    assert [rule["name"] for rule in merge(default(), both).rules] == ["gone", "new"]


def test_fields_take_the_place_of_skip_and_the_other_way_round() -> None:
    sends = merge(default(), own("fields.id = { value = 1 }", "gone"))
    assert sends.by_name("gone") == {
        "name": "gone",
        "on": ["order.deleted"],
        "action": "place_order",
        "fields": {"id": {"value": 1}},
    }
    skips = merge(default(), own('skip = "not_wanted"')).by_name("order")
    assert skips is not None
    assert (skips["skip"], "fields" in skips) == ("not_wanted", False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "ordr"\nfields.id = { value = 1 }', 'rule "ordr": needs on; only a rule that changes one of'),
        ('name = "order"\nfields.new = { default = 1 }', 'rule "order": fields.new: needs one of'),
        ('name = "order"\nfields.who.fields.x = { from = "item.sku" }', 'rule "order": fields.who.x: from: "item.sku"'),
        ('name = "order"\nfields.id = { item = { value = 1 } }', 'rule "order": fields.id: has from, and so no'),
        ('name = "gone"\nfields = {}', 'rule "gone": needs fields or skip'),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_default_is_a_complaint_about_the_own_file(text: str, message: str) -> None:
    with pytest.raises(MappingError) as caught:
        merge(default(), parse(f"[[rules]]\n{text}", source="own.toml"))
    assert str(caught.value).startswith(f"own.toml: {message}")


def test_the_source_is_the_own_file_where_there_is_one() -> None:
    assert merge(default(), MappingFile("own.toml")).source == "acme.toml"
    assert merge(default(), own("")).source == "own.toml"


@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        (("", ""), ()),
        (('"order.id"', '"order.number"'), ({"name": "order", "fields": {"id": {"from": "order.number"}}},)),
        (('when = [{ path = "order.total", not = "0" }]\n', ""), ({"name": "order", "when": []},)),
        ((', as = ["round2", "number"]', ""), ({"name": "order", "fields": {"total": {"as": []}}},)),
        ((', default = 0', ""),
         ({"name": "order", "fields": {"total": {"from": "order.total", "as": ["round2", "number"]}}},)),
        (("default = 0", "default = false"), ({"name": "order", "fields": {"total": {"default": False}}},)),
        (('phone = { from = "order.phone" }', 'sms = { from = "order.phone" }'),
         ({"name": "order", "fields": {"who": {"fields": {"phone": {"off": True}, "sms": {"from": "order.phone"}}}}},)),
        (('as = "number" } }', 'as = "round2" } }'),
         ({"name": "order", "fields": {"lines": {"fields": {"price": {"as": "round2"}}}}},)),
        (('skip = "trashed"', "fields.id = { value = 1 }"), ({"name": "gone", "fields": {"id": {"value": 1}}},)),
        (('skip_without = { "order.email" = "no_identity" }', ""), ({"name": "order", "skip_without": {}},)),
        (('name = "gone"', 'name = "bin"'),
         ({"name": "gone", "off": True},
          {"name": "bin", "on": ["order.deleted"], "action": "place_order", "skip": "trashed"})),
        (('each = "order.lines", where = [{ path = "item.kind", is = "product" }], fields', "fields"), None),
    ],
)  # fmt: skip
def test_of_a_saved_mapping_only_the_difference_is_kept(
    edit: tuple[str, str], kept: tuple[dict[str, Any], ...] | None
) -> None:
    assert edit[0] in DEFAULT
    text = DEFAULT.replace(*edit) if edit[0] else DEFAULT
    if kept is None:
        text = text.replace("item.sku", "order.id").replace("item.unit_gross", "order.total")
    wanted = parse(text, source="own.toml")
    found = difference(default(), wanted)
    assert kept is None or found.rules == kept
    assert merge(default(), found) == merge(MappingFile("own.toml"), wanted)


def test_a_merchant_who_changed_one_field_follows_later_defaults_in_all_others() -> None:
    saved = difference(default(), parse(DEFAULT.replace('"order.id"', '"order.number"'), source="own.toml"))
    later = parse(DEFAULT.replace('"round2"', '"round6"'), source="acme.toml")
    rule = merge(later, saved).by_name("order")
    assert rule is not None
    assert rule["fields"]["id"] == {"from": "order.number"}
    assert rule["fields"]["total"]["as"] == ["round6", "number"]


# --- properties -------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "when"])
PATHS = st.sampled_from(["order.id", "order.total", "options.x"])
CONDITIONS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"path": PATHS, "is": st.sampled_from([0, 1, 1.0, True, False, "1"])}),
        st.fixed_dictionaries({"path": PATHS, "present": st.booleans()}),
    ),
    max_size=2,
)
EXTRAS: dict[str, Any] = {
    "as": st.sampled_from(["text", "number", ["text"], []]),
    "default": st.sampled_from([0, 0.0, False, "", [], {}]),
    "when": CONDITIONS,
    "keep_empty": st.booleans(),
}
SOURCES = st.one_of(
    st.fixed_dictionaries({"from": PATHS | st.lists(PATHS, min_size=1, max_size=2)}, optional=EXTRAS),
    st.fixed_dictionaries({"first": st.lists(PATHS, min_size=1, max_size=2)}, optional=EXTRAS),
    st.fixed_dictionaries({"value": st.sampled_from([1, 1.0, True, "x", {"a": [1]}])}, optional=EXTRAS),
)


def tables(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(NAMES, inner, max_size=3)
    looped: dict[str, Any] = {"each": PATHS, "fields": fields}
    return st.one_of(
        st.fixed_dictionaries({"fields": fields}, optional=EXTRAS),
        st.fixed_dictionaries(looped, optional=EXTRAS | {"where": CONDITIONS}),
        st.fixed_dictionaries({"each": PATHS, "item": inner}, optional=EXTRAS | {"where": CONDITIONS}),
    )


FIELDS = st.recursive(SOURCES, tables, max_leaves=6)
HEAD: dict[str, Any] = {
    "on": st.sampled_from([["order.paid"], ["order.paid", "cart.updated"], "order.paid"]),
    "action": st.sampled_from(["x", "y"]),
}
MORE: dict[str, Any] = {
    "when": CONDITIONS,
    "skip_when": st.sampled_from([[], [{"path": "order.test", "is": True, "reason": "r"}]]),
    "skip_without": st.sampled_from([{}, {"order.email": "r"}]),
}
RULES = st.one_of(
    st.fixed_dictionaries(HEAD | {"fields": st.dictionaries(NAMES, FIELDS, min_size=1, max_size=4)}, optional=MORE),
    st.fixed_dictionaries(HEAD | {"skip": st.sampled_from(["r", "s"])}, optional=MORE),
)
WHOLE = st.dictionaries(st.sampled_from(["order", "cart", "refund", "z"]), RULES, max_size=3)

FLAGS: dict[str, Any] = {"off": st.booleans(), "replace": st.booleans()}
PARTS = st.recursive(
    st.one_of(SOURCES, st.fixed_dictionaries({}, optional=EXTRAS | FLAGS)),
    lambda inner: st.one_of(
        tables(inner),
        st.fixed_dictionaries({"fields": st.dictionaries(NAMES, inner, max_size=3)}, optional=EXTRAS | FLAGS),
    ),
    max_leaves=6,
)
PART = st.dictionaries(
    st.sampled_from(["order", "cart", "refund", "z"]),
    st.fixed_dictionaries({}, optional=HEAD | MORE | FLAGS | {"fields": st.dictionaries(NAMES, PARTS, max_size=3)}),
    max_size=3,
)


def as_file(rules: dict[str, dict[str, Any]], source: str = "x.toml") -> MappingFile:
    return MappingFile(source, tuple({"name": name, **rule} for name, rule in rules.items()))


def in_order_of(base: MappingFile, wanted: MappingFile) -> MappingFile:
    places = {rule["name"]: place for place, rule in enumerate(base.rules)}
    return MappingFile(wanted.source, tuple(sorted(wanted.rules, key=lambda rule: places.get(rule["name"], 99))))


@settings(max_examples=120, deadline=None)
@given(WHOLE, WHOLE)
def test_the_difference_laid_over_the_default_gives_the_saved_mapping(base: Any, wanted: Any) -> None:
    default, effective = as_file(base), in_order_of(as_file(base), as_file(wanted))
    before = copy.deepcopy((default, effective))
    own = difference(default, effective)
    assert merge(default, own) == merge(MappingFile(""), effective)
    assert merge(default, parse(dump(own), source="own.toml")) == merge(MappingFile(""), effective)
    assert (default, effective) == before


@settings(max_examples=120, deadline=None)
@given(WHOLE, PART)
def test_an_own_file_can_be_found_again_from_what_it_made(base: Any, part: Any) -> None:
    default = as_file(base)
    try:
        effective = merge(default, as_file(part))
    except MappingError:
        return
    own = difference(default, effective)
    assert merge(default, own) == effective
    assert difference(default, merge(default, own)) == own
    assert merge(MappingFile(""), effective) == effective
    compile(effective)


@settings(max_examples=100, deadline=None)
@given(WHOLE)
def test_a_default_saved_unchanged_leaves_nothing_to_keep(base: Any) -> None:
    assert difference(as_file(base), as_file(base)).rules == ()


@settings(max_examples=80, deadline=None)
@given(WHOLE, WHOLE)
def test_nothing_can_be_taken_out_of_a_difference(base: Any, wanted: Any) -> None:
    default, effective = as_file(base), in_order_of(as_file(base), as_file(wanted))
    own = difference(default, effective)
    for less in _one_less(list(own.rules)):
        try:
            assert merge(default, MappingFile("own.toml", tuple(less))) != merge(MappingFile(""), effective)
        except MappingError:
            continue


def _one_less(rules: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Every file with one key less in a rule or a field, or one rule less."""
    for place, rule in enumerate(rules):
        yield rules[:place] + rules[place + 1 :]
        for smaller in _smaller(rule):
            yield [*rules[:place], smaller, *rules[place + 1 :]]


def _smaller(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in table:
        if key == "name":
            continue
        yield {other: value for other, value in table.items() if other != key}
        if key == "fields":
            for name, spec in table["fields"].items():
                yield {**table, "fields": {other: each for other, each in table["fields"].items() if other != name}}
                for smaller in _smaller(spec):
                    yield {**table, "fields": {**table["fields"], name: smaller}}


@settings(max_examples=100, deadline=None)
@given(WHOLE)
def test_every_mapping_survives_being_written_and_read(base: Any) -> None:
    file = as_file(base)
    assert parse(dump(file), source="again.toml") == file
