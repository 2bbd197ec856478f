"""The short way of a field and the whole one come to the same, whatever stands in the facts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.conversions import CONVERSIONS
from mappings.errors import MappingError
from mappings.fields import NOTHING, _whole_field, field_of

_TEXTS = st.sampled_from(["", "0", "-0", "1.50", "12", "2026-03-02T09:15:30Z", "a@b.nl", "+31612345678", "NL", " x "])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.just(1.0) | st.just(0.0) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "key"]), inner, max_size=2),
    max_leaves=4,
)
_SPECS = st.fixed_dictionaries(
    {"from": st.just("order.key")},
    optional={
        "as": st.lists(st.sampled_from(sorted(CONVERSIONS)), max_size=3) | st.sampled_from(sorted(CONVERSIONS)),
        "default": st.sampled_from(["otherwise", 0, ["a"]]),
        "keep_empty": st.booleans(),
    },
)


def _said(read: Any, facts: dict[str, Any]) -> object:
    try:
        value = read(facts)
    except MappingError as error:
        return str(error)
    return "left out" if value is NOTHING else (type(value), value)


@given(_SPECS, _VALUES | st.fixed_dictionaries({"key": _VALUES}))
def test_the_short_way_of_a_field_says_what_the_whole_one_says(spec: dict[str, Any], holder: Any) -> None:
    short, whole = field_of(spec, "fields.x"), _whole_field(spec, "fields.x")
    for facts in ({"order": holder}, {"order": holder}, {}):
        assert _said(short, facts) == _said(whole, facts)


@pytest.mark.parametrize(("value", "number"), [("1", 1), (1.0, 1), (1, 1), ("1.0", 1)])
def test_what_is_remembered_of_amounts_tells_texts_and_numbers_apart(value: Any, number: int) -> None:
    read = field_of({"from": "order.key", "as": "number"}, "fields.x")
    assert _said(read, {"order": {"key": value}}) == (int, number)
    assert _said(read, {"order": {"key": True}}) == "fields.x: a yes or no is not a number"
