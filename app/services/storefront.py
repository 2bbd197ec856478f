"""The code that a merchant pastes into the shop, so that Sprii's order number reaches the order.

Each platform's file is whole but for the part that both share, which is set in where it says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

_SHARED = "//= sprii.js\n"
_FILES = {
    "shopify": ("shopify.liquid", "tillwire-sprii.liquid"),
    "woocommerce": ("woocommerce.php", "tillwire-sprii.php"),
}
PLATFORMS = tuple(_FILES)


@dataclass(frozen=True, slots=True)
class Snippet:
    """Something to paste."""

    platform: str
    file_name: str  #: under which a merchant saves it
    code: str


def snippet(platform: str) -> Snippet | None:
    """What to paste into a shop of ``platform``; None where there is nothing."""
    if platform not in _FILES:
        return None
    source, file_name = _FILES[platform]
    return Snippet(platform, file_name, _read(source).replace(_SHARED, _read("sprii.js")))


def _read(name: str) -> str:
    return (files("app") / "snippets" / name).read_text(encoding="utf-8")
