"""Reading and writing mapping files; every complaint names file, rule and path."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

import mappings.files
from connectors.events import Kind
from mappings.check import KINDS
from mappings.data import MappingFile
from mappings.engine import Skip
from mappings.errors import MappingError
from mappings.files import compile, difference, dump, load_default, merge, parse

HEAD = '[[rules]]\nname = "order"\non = ["order.paid"]\naction = "place_order"\n'


def complaint(text: str) -> str:
    with pytest.raises(MappingError) as caught:
        compile(parse(text, source="own.toml"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = [", "own.toml: Invalid value (at line 1, column 10)"),
        ('[[rules]]\nname = "a\n', "own.toml: Illegal character '\\n' (at line 2, column 10)"),
        ("[[rules]]\nname = 1\nname = 2", "own.toml: Cannot overwrite a value (at line 3, column 9)"),
        ("[[rules]]\nname =", "own.toml: Invalid value (at line 2, column 7)"),
        ('[rule]\nname = "order"', 'own.toml: unknown key "rule"; a mapping holds [[rules]]'),
        ('[rules]\nname = "order"', "own.toml: rules must be written as [[rules]]"),
        ("rules = [1]", "own.toml: rules must be written as [[rules]]"),
        ("rules = " + "[" * 5000, "own.toml: is nested too deeply"),
        ("#" * 200_001, "own.toml: longer than 200000 characters"),
        ("x = " + "1" * 5000, "own.toml: holds a number of too many digits"),
        ("# \ud800", "own.toml: holds characters that are no text"),
    ],
)
def test_what_is_no_mapping_at_all(text: str, message: str) -> None:
    assert complaint(text) == message


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ('on = ["order.paid"]', "the rule at place 1 needs a name of letters, digits, dots, hyphens, underscores"),
        ('name = "a b"', 'rule "a b": the rule at place 1 needs a name of letters, digits, dots, hyphens, underscores'),
        ('name = "a"\n[[rules]]\nname = "a"', 'rule "a": two rules have this name'),
        ('name = "a"\naction = "x"\nfields.x = { value = 1 }',
         'rule "a": needs on; only a rule that changes one of the default\'s can do without'),
        ('name = "a"\non = ["order.paid"]\nfields.x = { value = 1 }',
         'rule "a": needs action; only a rule that changes one of the default\'s can do without'),
        ('name = "a"\non = ["order.paid"]\naction = "x"', 'rule "a": needs fields or skip'),
        ('name = "a"\non = ["order.paid"]\naction = "x"\nfields.x = { off = true }', 'rule "a": needs fields or skip'),
        ('name = "a"\non = ["order.refund"]',
         'rule "a": on: unknown event kind "order.refund"; did you mean "order.refunded"?'),
        ('name = "a"\non = []', 'rule "a": on: must be a list of event kinds, such as ["order.paid"]'),
        ('name = "a"\non = [1]', 'rule "a": on: unknown event kind a number'),
        ('name = "a"\naction = ""', 'rule "a": action must be a text, and is empty'),
        ('name = "a"\naction = 1', 'rule "a": action must be a text, and is a number'),
        ('name = "a"\nskip = true', 'rule "a": skip must be a text, and is a yes or no'),
        ('name = "a"\nskip = "x"\nfields.x = { value = 1 }',
         'rule "a": has both skip and fields; a rule either skips or sends'),
        ('name = "a"\nskip_if = []', 'rule "a": unknown key "skip_if"; did you mean "skip"?'),
        ('name = "a"\noff = "yes"', 'rule "a": off must be true or false'),
        ('name = "a"\nfields = 1', 'rule "a": fields: fields must be a table, and is a number'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule(rules: str, message: str) -> None:
    assert complaint(f"[[rules]]\n{rules}") == f"own.toml: {message}"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('"order.id"', 'must be a table such as { from = "order.id" }, and is text'),
        ("{}", "needs one of from, first, value, each, fields"),
        ('{ default = "x" }', "needs one of from, first, value, each, fields"),
        ('{ form = "order.id" }', 'unknown key "form"; did you mean "from"?'),
        ('{ from = "order.id", value = 1 }', "has several verbs (from, value); it needs one"),
        ('{ from = "order.id", fields = { a = { value = 1 } } }', "has from, and so no fields or item"),
        ('{ value = 1, item = { value = 1 } }', "has value, and so no fields or item"),
        ('{ each = "order.lines" }', "each needs fields or item"),
        ('{ each = "order.lines", fields = {}, item = { value = 1 } }',
         "has both fields and item; each needs one of them"),
        ('{ item = { value = 1 } }', "item and where belong to each"),
        ('{ from = "order.id", where = [] , as = "text" }', "item and where belong to each"),
        ('{ each = "order.lines", item = { off = true } }', "item cannot be off"),
        ('{ each = "order.lines", item = 1 }', 'must be a table such as { from = "order.id" }, and is a number'),
        ('{ from = 1 }', "from: needs a path, and has a number"),
        ('{ from = [] }', "from: needs a path, and has a list"),
        ('{ from = "" }', 'from: "" is not a path'),
        ('{ from = "order..id" }', 'from: "order..id" is not a path'),
        ('{ from = "order.id." }', 'from: "order.id." is not a path'),
        ('{ from = "order id" }', 'from: "order id" is not a path'),
        ('{ from = "order.id|order.number" }', 'from: "order.id|order.number" is not a path'),
        ('{ from = "order[options.x" }', 'from: "order[options.x" is not a path: a bracket is not closed'),
        ('{ from = "order[x]" }', None),
        ('{ from = "ordre.id" }', None),
        ('{ from = ["order.id", "item.id"] }', 'from: "item.id": item can be read inside each only'),
        ('{ from = "order[item.key]" }', 'from: "order[item.key]": item can be read inside each only'),
        ('{ first = "order.id" }', "first must be a list of paths"),
        ('{ first = [] }', "first must be a list of paths"),
        ('{ first = ["order.id", 1] }', "first: needs a path, and has a number"),
        ('{ each = 1, item = { value = 1 } }', "each: needs a path, and has a number"),
        ('{ from = "order.id", as = "nummer" }', 'unknown conversion "nummer"; did you mean "number"?'),
        ('{ from = "order.id", as = [1] }', "unknown conversion a number"),
        ('{ from = "order.id", as = 1 }', "as must be the name of a conversion, or a list of names"),
        ('{ value = 2026-03-02 }', "value must be a text, a number, true or false, a list or a table of these"),
        ('{ value = [inf] }', "value must be a text, a number, true or false, a list or a table of these"),
        ('{ value = 9223372036854775808 }',
         "value must be a text, a number, true or false, a list or a table of these"),
        ('{ from = "order.id", default = { a = nan } }',
         "default must be a text, a number, true or false, a list or a table of these"),
        ('{ value = [[[[[[[[[[[[[1]]]]]]]]]]]]] }', "value is nested too deeply"),
        ('{ from = "order.id", keep_empty = 1 }', "keep_empty must be true or false"),
        ('{ from = "order.id", when = { path = "order.id", is = 1 } }',
         'when must be a list of conditions such as { path = "...", is = true }'),
        ('{ from = "order.id", when = [{ path = "order.id", is = 1, not = 2 }] }',
         "when, condition 1: needs exactly one of is, in, not, same, present, and has is, not"),
        ('{ from = "order.id", when = [{ path = "order.id" }] }',
         "when, condition 1: needs exactly one of is, in, not, same, present, and has none"),
        ('{ from = "order.id", when = [{ path = "order.id", equals = 1 }] }',
         'when, condition 1: unknown key "equals"'),
        ('{ from = "order.id", when = [{ is = 1 }] }', "when, condition 1: needs a path, and has nothing"),
        ('{ from = "order.id", when = [{ path = "order.id", same = "x.y" }] }', None),
        ('{ from = "order.id", when = [{ path = "order.id", in = "web" }] }',
         "when, condition 1: in must be a list of values"),
        ('{ from = "order.id", when = [{ path = "order.id", present = "yes" }] }',
         "when, condition 1: present must be true or false"),
        ('{ from = "order.id", when = [{ path = "order.id", is = 2026-03-02 }] }',
         "when, condition 1: is must be a text, a number, true or false, a list or a table of these"),
        ('{ from = "order.id", when = [{ path = "order.id", is = 1, reason = "r" }] }',
         'when, condition 1: unknown key "reason"; did you mean "present"?'),
        ('{ from = "order.id", when = [{ path = "item.id", is = 1 }] }',
         'when, condition 1: "item.id": item can be read inside each only'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_field(field: str, message: str | None) -> None:
    found = complaint(f"{HEAD}fields.outer = {{ fields = {{ x = {field} }} }}")
    if message is None:
        assert found.startswith('own.toml: rule "order": fields.outer.x: ')
        assert found.endswith(
            "it must begin with one of cart, checkout, event, item, options, order, refund, remaining, reversal, shop"
        )
    else:
        assert found == f'own.toml: rule "order": fields.outer.x: {message}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('when = [{ path = "item.id", is = 1 }]', 'when: condition 1: "item.id": item can be read inside each only'),
        ('skip_when = [{ path = "order.test", is = true }]',
         "skip_when: condition 1: reason must be a text, and is nothing"),
        ('skip_when = { path = "order.test" }',
         'skip_when: skip_when must be a list of conditions such as { path = "...", is = true }'),
        ('skip_without = "order.email"',
         'skip_without: must be a table such as { "order.email|order.phone" = "reason" }'),
        ('skip_without.order.email = "no_identity"',
         'skip_without: paths stand in quotes: { "order.email" = "reason" }'),
        ('skip_without = { "order.email" = 1 }',
         'skip_without: the reason of "order.email" must be a text, and is a number'),
        ('skip_without = { "order.email||order.phone" = "r" }', 'skip_without: "" is not a path'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_conditions_of_a_rule(body: str, message: str) -> None:
    assert complaint(f"{HEAD}fields.x = {{ value = 1 }}\n{body}") == f'own.toml: rule "order": {message}'


def test_deep_files_are_refused_in_words() -> None:
    deep = ".".join(["fields.a"] * 3000)
    assert complaint(f"{HEAD}{deep} = {{ value = 1 }}").endswith("is nested too deeply")
    items = "{ each = 'order.lines', item = " * 30 + "{ value = 1 }" + " }" * 30
    assert complaint(f"{HEAD}fields.a = {items}") == 'own.toml: rule "order": fields.a: is nested too deeply'
    path = "order[" * 500 + "order" + "]" * 500
    assert complaint(f'{HEAD}fields.a = {{ from = "{path}" }}').endswith("a path of more than 200 characters")


def test_a_part_of_a_rule_can_be_read_but_not_compiled() -> None:
    own = parse('[[rules]]\nname = "order"\nfields.lines.fields.sku = { from = "item.sku" }', source="own.toml")
    assert own.rules == ({"name": "order", "fields": {"lines": {"fields": {"sku": {"from": "item.sku"}}}}},)
    with pytest.raises(MappingError, match="needs on"):
        compile(own)


def test_what_is_off_is_not_compiled() -> None:
    text = f'{HEAD}fields.x = {{ value = 1 }}\nfields.y = {{ off = true }}\n[[rules]]\nname = "gone"\noff = true'
    mapping = compile(parse(text, source="own.toml"))
    assert [rule.name for rule in mapping.rules] == ["order"]
    assert mapping.rules[0].render({}) == {"x": 1}


def test_an_empty_file_is_a_mapping_without_rules() -> None:
    assert parse("\ufeff# nothing of our own\r\n", source="own.toml").rules == ()
    assert compile(MappingFile("own.toml")).rules == ()
    assert dump(MappingFile("own.toml")) == ""


def test_dump_writes_what_parse_reads_as_equal() -> None:
    text = f"""{HEAD}
when = [{{ path = "order.total", not = ["0", 0, 0.5, false] }}]
skip_without = {{ "order.email|order.phone" = "no \\"identity\\"" }}
fields."odd name" = {{ value = {{ a = [1, 1.0, true, "é\\n\\u007f", []], b = {{}} }} }}
fields.lines = {{ each = "order.lines", fields = {{ sku = {{ first = ["item.sku", "item[options.id]"] }} }} }}
[[rules]]
name = "gone"
on = "order.deleted"
action = "place_order"
skip = "trashed"
"""
    file = parse(text, source="one.toml")
    again = parse(dump(file), source="two.toml")
    assert again == file
    assert hash(again) == hash(file)
    assert dump(again) == dump(file)


def test_dump_begins_each_rule_on_a_line_of_its_own() -> None:
    rules = ({"name": "a", "fields": {"x": {"value": 1}}}, {"name": "b", "off": True})
    text = '[[rules]]\nname = "a"\n\n[rules.fields.x]\nvalue = 1\n\n[[rules]]\nname = "b"\noff = true\n'
    assert dump(MappingFile("own.toml", rules)) == text
    assert parse(text, source="own.toml") == MappingFile("own.toml", rules)


def test_files_that_differ_in_kind_of_value_only_are_not_equal() -> None:
    files = [parse(f"{HEAD}fields.x = {{ value = {value} }}", source="x") for value in ("1", "1.0", "true", "[1]")]
    assert all(one != other for place, one in enumerate(files) for other in files[place + 1 :])
    assert files[0] != HEAD


def test_the_kinds_of_events_are_those_of_the_connectors() -> None:
    assert set(Kind) == KINDS


def test_a_default_is_loaded_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "defaults").mkdir()
    rule = {"name": "order", "on": ["order.paid"], "action": "a", "skip": "x"}
    (tmp_path / "defaults" / "acme.toml").write_text(tomli_w.dumps({"rules": [rule]}))
    (tmp_path / "defaults" / "part.toml").write_text('[[rules]]\nname = "order"\n')
    monkeypatch.setattr(mappings.files, "files", lambda package: tmp_path)
    load_default.cache_clear()
    try:
        assert load_default("acme") is load_default("acme")
        assert compile(load_default("acme")).rules[0].render({}) == Skip("x")
        assert load_default("acme").source == "acme.toml"
        with pytest.raises(MappingError, match=r'part\.toml: rule "order": needs on'):
            load_default("part")
        with pytest.raises(MappingError, match=r"nobody\.toml: there is no default mapping of this name"):
            load_default("nobody")
    finally:
        load_default.cache_clear()


@pytest.mark.parametrize(
    "provider", sorted(path.stem for path in (Path(mappings.files.__file__).parent / "defaults").glob("*.toml"))
)
def test_our_defaults_compile_and_survive_being_shown_and_saved(provider: str) -> None:
    default = load_default(provider)
    shown = parse(dump(merge(default, MappingFile(""))), source="own.toml")
    assert len(compile(shown).rules) == len(default.rules)
    assert difference(default, shown).rules == ()
