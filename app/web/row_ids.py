"""Ids of rows, as somebody may have typed them into an address or a form."""

from __future__ import annotations


def row_id(given: str | None) -> int | None:
    """A row's id; None for anything else, a number that no database could hold included."""
    text = given or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
