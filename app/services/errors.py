"""What a person's wish can fail with; the text says what to do."""

from __future__ import annotations


class NotFound(Exception):
    """There is no such shop, destination, order or delivery."""


class Failed(Exception):
    """It could not be done; the text says why, and what would help."""


class Wrong(Exception):
    """A value that cannot be; the text names the field and the remedy."""
