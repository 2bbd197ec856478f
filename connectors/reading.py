"""Typed reads of untrusted JSON: every complaint names the path, ``$.line_items[0].quantity: expected a number``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.errors import Unreadable

#: More digits than any amount or id has; beyond it a "number" is an attack on the reader's memory.
LONGEST_NUMBER = 64
#: Powers of ten: no amount or quantity is larger, and sums and products of such still fit `Decimal`'s 28 digits.
LARGEST = 15
LONGEST_ID = 255


def parse(body: bytes) -> Reader:
    """Parse JSON text in UTF-8 with exact numbers; anything else is `Unreadable` and names why."""
    try:
        return Reader(_JSON.decode(body.decode("utf-8-sig")), None, "$")
    except UnicodeDecodeError as error:
        raise Unreadable(f"$: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"$: not JSON ({error.msg}, line {error.lineno} column {error.colno})") from None
    except RecursionError:
        raise Unreadable("$: nested too deeply") from None


def _exact(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise Unreadable(f"$: a number of {len(text)} characters")
    return Decimal(text)


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise Unreadable(f"$: a number of {len(text)} digits")
    return int(text)


def _clean(text: str) -> str | None:
    """Trimmed, without what no database keeps (null bytes, halves of surrogate pairs); None where nothing is left."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if "\x00" in text:
        text = text.replace("\x00", "")
    return text.strip() or None


def _compact(value: Any) -> str:
    """JSON without blanks; written here because `json` cannot write a `Decimal` as the number that it was."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{_compact(key)}:{_compact(part)}" for key, part in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_compact(part) for part in value]) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def _no_constant(text: str) -> Any:
    raise Unreadable(f"$: {text} is not JSON")


_JSON = json.JSONDecoder(parse_float=_exact, parse_int=_whole, parse_constant=_no_constant)


class Reader:
    """A place in a JSON document, which may be absent; absent and ``null`` read the same."""

    __slots__ = ("_key", "_parent", "value")

    def __init__(self, value: Any, parent: Reader | None, key: str | int) -> None:
        self.value = value
        self._parent = parent
        self._key = key

    @property
    def path(self) -> str:
        if self._parent is None:
            return str(self._key)
        step = f"[{self._key}]" if isinstance(self._key, int) else f".{self._key}"
        return self._parent.path + step

    def wrong(self, expected: str) -> Unreadable:
        """The complaint about this place; it shows the kind of what was there, never the value (it may be personal)."""
        kind = "nothing" if self.value is None else type(self.value).__name__
        return Unreadable(f"{self.path}: expected {expected}, found {kind}")

    def __getitem__(self, key: str) -> Reader:
        value = self.value
        if isinstance(value, dict):
            return Reader(value.get(key), self, key)
        if value is None:
            return Reader(None, self, key)
        raise self.wrong("an object")

    def __bool__(self) -> bool:
        return self.value is not None

    def has(self, key: str) -> bool:
        """Whether the key is there at all, be it null."""
        return isinstance(self.value, dict) and key in self.value

    def items(self) -> Sequence[Reader]:
        """The members of a list; an absent list is empty."""
        if self.value is None:
            return ()
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return [Reader(member, self, index) for index, member in enumerate(self.value)]

    def object_or_none(self) -> Reader | None:
        """This place if it holds an object; None where absent, or where PHP or others wrote an empty list for it."""
        if self.value is None or self.value == [] or self.value == "":
            return None
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self

    def text_or_none(self) -> str | None:
        """Trimmed text; numbers become text; empty is None. Null bytes are dropped, as no database keeps them."""
        value = self.value
        if isinstance(value, str):
            return _clean(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.wrong("text")
        return str(value)

    def text_at(self, key: str) -> str | None:
        """``self[key].text_or_none()``, cheaper where it is text or absent: for the many that nobody complains of."""
        holder = self.value
        if type(holder) is not dict:
            return self[key].text_or_none()
        value = holder.get(key)
        if type(value) is str:
            return _clean(value)
        return None if value is None else self[key].text_or_none()

    def flat_text_or_none(self) -> str | None:
        """As `text_or_none`, but of any JSON: what is neither text nor a number becomes JSON without blanks."""
        if not isinstance(self.value, dict | list | bool):
            return self.text_or_none()
        try:
            return _clean(_compact(self.value))
        except RecursionError:
            raise self.wrong("a value of fewer levels") from None

    def text(self) -> str:
        found = self.text_or_none()
        if found is None:
            raise self.wrong("text")
        return found

    def id(self) -> str:
        """An id as text; numbers keep every digit."""
        found = self.id_or_none()
        if found is None:
            raise self.wrong("an id")
        return found

    def id_or_none(self) -> str | None:
        """An id as text; absent, empty and 0 (WooCommerce's "none") are None."""
        value = self.value
        if isinstance(value, bool) or (value is not None and not isinstance(value, int | str)):
            raise self.wrong("an id")
        text = self.text_or_none()
        if text is not None and len(text) > LONGEST_ID:
            raise self.wrong(f"an id of at most {LONGEST_ID} characters")
        return None if text == "0" else text

    def decimal_or_none(self) -> Decimal | None:
        """An exact number from a JSON number or a decimal text; empty text is None."""
        value = self.value
        if value is None:
            return None
        if isinstance(value, str):
            text = value.strip()
            if not text:
                return None
            try:
                found = _exact(text)
            except (InvalidOperation, Unreadable):
                raise self.wrong("a number") from None
        elif isinstance(value, Decimal):
            found = value
        elif isinstance(value, int) and not isinstance(value, bool):
            found = Decimal(value)
        else:
            raise self.wrong("a number")
        if not found.is_finite() or not -LONGEST_NUMBER <= found.adjusted() < LARGEST:
            raise self.wrong("a number")
        return found

    def decimal(self) -> Decimal:
        found = self.decimal_or_none()
        if found is None:
            raise self.wrong("a number")
        return found

    def money(self) -> Decimal:
        """An amount; absent is 0."""
        return self.decimal_or_none() or Decimal(0)

    def boolean(self) -> bool:
        """Absent is False."""
        if self.value is None:
            return False
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def time_or_none(self, *, utc: bool = False) -> datetime | None:
        """An aware moment in UTC.

        Args:
            utc: the platform writes UTC without saying so (WooCommerce ``*_gmt``); otherwise an offset is demanded.
        """
        text = self.text_or_none()
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise self.wrong("a time in ISO 8601") from None
        if moment.tzinfo is None:
            if not utc:
                raise self.wrong("a time with an offset")
            moment = moment.replace(tzinfo=UTC)
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise self.wrong("a time in ISO 8601") from None
