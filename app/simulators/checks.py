"""Checks of JSON that a client sent, put together from small ones.

A check takes a value, its path (``orders[0].items[1].sku``) and the `Findings` so far, and adds a sentence to them for
each thing that is wrong. What a provider would turn down is *refused*; what it would take in silence, though its
documentation says otherwise, is a *remark*: both end among the violations, only the first changes the answer.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from babel import Locale
from babel.numbers import list_currencies


@dataclass(slots=True)
class Findings:
    """What is wrong with one body, sentence by sentence."""

    refused: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def refuse(self, path: str, what: str) -> None:
        self.refused.append(f"{path} {what}".lstrip())

    def remark(self, path: str, what: str) -> None:
        self.remarks.append(f"{path} {what}".lstrip())


Check = Callable[[Any, str, Findings], None]

#: CLDR's lists; both keep a few withdrawn codes, which old orders may carry.
CURRENCIES = frozenset(list_currencies())
COUNTRIES = frozenset(code for code in map(str, Locale("en").territories) if re.fullmatch("[A-Z]{2}", code)) - {
    "ZZ",
    "EU",
    "EZ",
    "UN",
}


def examine(check: Check, value: object, path: str = "") -> Findings:
    """Run ``check`` over ``value`` and hand back what it found."""
    found = Findings()
    check(value, path, found)
    return found


def anything(_value: object, _path: str, _found: Findings) -> None:
    """For values whose form the documentation leaves open."""


def text(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str):
        found.refuse(path, "must be a string")
    elif not value.strip():
        found.refuse(path, "must not be empty")


def boolean(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, bool):
        found.refuse(path, "must be true or false")


def text_or_integer(value: object, path: str, found: Findings) -> None:
    if not _is_number(value) or isinstance(value, float):
        text(value, path, found)


def email(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s@]+@[^\s@]+", value) or value != value.lower():
        found.refuse(path, "must be an e-mail address, trimmed and in lower case")


def currency(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str) or value not in CURRENCIES:
        found.refuse(path, "must be an ISO 4217 currency code")


def country(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str) or value not in COUNTRIES:
        found.refuse(path, "must be an ISO 3166-1 alpha-2 country code")


def number(
    *,
    over: float | None = None,
    least: float | None = None,
    most: float | None = None,
    decimals: int | None = None,
    whole: bool = False,
) -> Check:
    """A JSON number (never its text form) within bounds; more than ``decimals`` places is only a remark."""

    def check(value: Any, path: str, found: Findings) -> None:
        if not _is_number(value) or (whole and not isinstance(value, int)):
            found.refuse(path, "must be an integer" if whole else "must be a number")
        elif over is not None and value <= over:
            found.refuse(path, f"must be more than {over:g}")
        elif least is not None and value < least:
            found.refuse(path, f"must be at least {least:g}")
        elif most is not None and value > most:
            found.refuse(path, f"must be at most {most:g}")
        elif decimals is not None and round(value, decimals) != value:
            found.remark(path, f"has more than {decimals} decimals")

    return check


def matching(pattern: str, what: str) -> Check:
    compiled = re.compile(pattern)

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            found.refuse(path, f"must be {what}")

    return check


def one_of(*values: str) -> Check:
    def check(value: object, path: str, found: Findings) -> None:
        if value not in values:
            found.refuse(path, f"must be one of {', '.join(values)}")

    return check


def moment(pattern: str, what: str) -> Check:
    """A date and time of the given written form that also exists in the calendar."""
    form = matching(pattern, what)

    def check(value: Any, path: str, found: Findings) -> None:
        before = len(found.refused)
        form(value, path, found)
        if len(found.refused) == before:
            try:
                datetime.fromisoformat(value)
            except ValueError:
                found.refuse(path, "must be a moment that exists")

    return check


_SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_ZONE = r"(?:Z|[+-]\d\d:\d\d)"
utc_moment = moment(_SECONDS + r"(?:\.\d{1,6})?Z", "an ISO 8601 time in UTC ending in Z")
zoned_moment = moment(_SECONDS + r"(?:\.\d{1,6})?" + _ZONE, "an ISO 8601 time with Z or an offset")
whole_second_moment = moment(_SECONDS + _ZONE, "an ISO 8601 time with an offset and without a fraction")
day = matching(r"\d{4}-\d\d-\d\d", "a date as YYYY-MM-DD")
e164 = matching(r"\+[1-9]\d{6,14}", "a phone number in E.164 form")
phone_digits = matching(r"[1-9]\d{4,14}", "a phone number of 5 to 15 digits, without a plus")
language_region = matching(r"[a-z]{2}-[A-Z]{2}", "a language in the form nl-NL")


def array(item: Check, *, least: int = 0, most: int | None = None) -> Check:
    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, list):
            found.refuse(path, "must be an array")
            return
        if len(value) < least or (most is not None and len(value) > most):
            found.refuse(path, f"must have {least} to {'any number of' if most is None else most} elements")
        for index, element in enumerate(value):
            item(element, f"{path}[{index}]", found)

    return check


def fields(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    *,
    expected: Collection[str] = (),
    extra: Callable[[str], Check | None] | None = None,
) -> Check:
    """An object with these fields.

    Args:
        required: absent is refused.
        optional: may be absent; where named in ``expected`` too, absence is a remark.
        extra: gives the check of a field of any other name, or None where it is unknown (a remark).
    """
    known = {**required, **(optional or {})}

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, dict):
            found.refuse(path, "must be an object")
            return
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                found.refuse(prefix + name, "is required")
        for name in expected:
            if name not in value:
                found.remark(prefix + name, "should always be sent")
        for name, element in value.items():
            rule = known.get(name) or (extra(name) if extra else None)
            if rule is None:
                found.remark(prefix + name, "is an unknown field")
            else:
                rule(element, prefix + name, found)

    return check


def mapping_of(item: Check) -> Check:
    """An object with any field names, all of one form."""
    return fields({}, extra=lambda _name: item)


def scalar(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str) and not _is_number(value):
        found.refuse(path, "must be a string or a number")


def some_of(names: Iterable[str], value: Mapping[str, object], path: str, found: Findings) -> None:
    """Refuse ``value`` where it has none of the fields ``names``."""
    wanted = tuple(names)
    if not any(value.get(name) for name in wanted):
        found.refuse(path, f"needs at least one of {', '.join(wanted)}")


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)  # 1e999 is good JSON, and infinite in memory
    return isinstance(value, int) and not isinstance(value, bool)
