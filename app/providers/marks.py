"""Marks on sentences that a merchant may read: translators are given them, and pages find them again."""

from __future__ import annotations


def mark(text: str) -> str:
    """``text`` as it is; `babel` collects what stands in the brackets. Places, ``{name}``, are for `str.format`."""
    return text
