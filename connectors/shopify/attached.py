"""What buyers, storefronts and apps attached: note attributes of orders and checkouts, properties of lines."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.events import Attribute
from connectors.reading import Reader


def read_attributes(place: Reader, owner: str) -> tuple[Attribute, ...]:
    """Attributes of ``owner`` ("order" or "line"); those without a name or a value are left out.

    They come as a list of names and values, or as an object; carts also hold values that are no text.
    """
    found = []
    for position, (name, value) in enumerate(_pairs(place)):
        text = value.flat_text_or_none() if name else None
        if name and text:
            found.append(Attribute(name=name, value=text, place=owner, rank=position))
    return tuple(found)


def _pairs(place: Reader) -> Iterator[tuple[str | None, Reader]]:
    if isinstance(place.value, dict):
        for key in place.value:
            yield Reader(key, place, key).text_or_none(), place[key]
    elif place.value != "":
        for entry in place.items():
            yield entry.text_at("name"), entry["value"]


def token_at(body: Reader, name: str) -> str | None:
    """A cart's or checkout's token; storefronts put a secret behind it (``?key=...``), which nobody needs here."""
    return (body[name].id_or_none() or "").partition("?")[0] or None
