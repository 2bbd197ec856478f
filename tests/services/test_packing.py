"""JSON and bytes as they lie in the database."""

from __future__ import annotations

import enum
import json
import zlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.packing import compress, decompress, pack, unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(JSON)
def test_what_is_packed_comes_back_here_and_by_any_other_means(value: Any) -> None:
    packed = pack(value)
    assert unpack(packed) == value
    assert json.loads(zlib.decompress(packed)) == value


@given(JSON)
def test_what_earlier_versions_wrote_is_read(value: Any) -> None:
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert unpack(zlib.compress(written)) == value
    assert repr(unpack(zlib.compress(written))) == repr(json.loads(written))


@given(st.binary())
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    assert decompress(compress(data)) == zlib.decompress(compress(data)) == data
    assert decompress(zlib.compress(data, 9)) == data


def test_nothing_is_left_of_what_retention_removed() -> None:
    assert decompress(b"") == b""


def test_numbers_longer_than_a_machine_word_stay_exact() -> None:
    assert unpack(pack({"id": 2**64, "other": -(10**30)})) == {"id": 2**64, "other": -(10**30)}


class Kind(enum.StrEnum):
    ORDER = "order"


class Marked(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [Kind.ORDER, Marked("order")])
def test_texts_of_a_kind_of_their_own_are_texts(value: str) -> None:
    assert unpack(pack({value: value})) == {"order": "order"}


def test_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="object is nothing that JSON has"):
        pack({"amount": object()})


def test_an_amount_becomes_the_text_that_stands_for_it() -> None:
    assert unpack(pack(Decimal("10.50"))) == "10.50"
