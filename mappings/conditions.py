"""Conditions: ``{ path = "order.test", is = true }``, compiled to a function of the facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from mappings.paths import Facts, Read, reader

Test = Callable[[Facts], bool]


def is_empty(value: Any) -> bool:
    """None, "", [] and {}; but not 0 and not False."""
    return not value and not isinstance(value, int | float)


def equal(one: Any, other: Any) -> bool:
    """Equality as JSON has it: true is not 1, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(part, other[key]) for key, part in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def every(conditions: Sequence[dict[str, Any]]) -> Test | None:
    """All of ``conditions``; None where there are none."""
    tests = [condition(each) for each in conditions]
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda facts: all(test(facts) for test in tests)


def condition(given: dict[str, Any]) -> Test:
    """One checked condition."""
    read = reader(given["path"])
    if "is" in given:
        return _one_of(read, [given["is"]])
    if "in" in given:
        return _one_of(read, given["in"])
    if "not" in given:
        unwanted = given["not"]
        test = _one_of(read, unwanted if isinstance(unwanted, list) else [unwanted])
        return lambda facts: not test(facts)
    if "same" in given:
        other = reader(given["same"])
        return lambda facts: _same(read(facts), other(facts))
    present = given["present"]
    return lambda facts: is_empty(read(facts)) is not present


def _same(one: Any, other: Any) -> bool:
    return one is not None and equal(one, other)


def _one_of(read: Read, wanted: Sequence[Any]) -> Test:
    if len(wanted) == 1 and isinstance(wanted[0], bool):
        only = wanted[0]
        return lambda facts: read(facts) is only
    if all(isinstance(each, str) for each in wanted):
        texts = frozenset(wanted)

        def among(facts: Facts) -> bool:
            value = read(facts)
            return isinstance(value, str) and value in texts

        return among
    return lambda facts: _matches(read(facts), wanted)


def _matches(value: Any, wanted: Sequence[Any]) -> bool:
    return any(equal(value, each) or _same_amount(value, each) for each in wanted)


def _same_amount(value: Any, wanted: Any) -> bool:
    """A number of the mapping equals an amount of the facts, which is decimal text, of the same worth."""
    if not isinstance(value, str) or isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return False
    try:
        return Decimal(value) == Decimal(str(wanted))
    except InvalidOperation:
        return False
