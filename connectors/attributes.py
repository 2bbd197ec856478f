"""Looking a value up among attributes that anybody may have written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain

from connectors.events import Attribute, Found

LONGEST_VALUE = 255


def clean(value: str, longest: int = LONGEST_VALUE) -> str | None:
    """Trimmed text without control characters, at most ``longest``; None where nothing usable is left."""
    text = value.strip()
    if not text or len(text) > longest:
        return None
    printable = text.isprintable() or all(unicodedata.category(char) != "Cc" for char in text)
    return text if printable else None


def find(attributes: Iterable[Attribute], names: Sequence[str], *, longest: int = LONGEST_VALUE) -> Found | None:
    """Return the first value by the order of ``names``; order-level places win over lines, within a name the newest.

    Names are compared without regard to case and surrounding blanks. Every other usable value under any of the names
    that differs from the one found is kept in ``others``: a disagreement for a person to see.
    """
    wanted = _ranks(tuple(names))
    hits = [
        (0 if each.place == "order" else 1, wanted[key], -each.rank, each, value)
        for each in attributes
        if (key := each.name.strip().casefold()) in wanted and (value := clean(each.value, longest))
    ]
    if not hits:
        return None
    hits.sort(key=lambda hit: hit[:3])
    best, value = hits[0][3], hits[0][4]
    others = tuple(dict.fromkeys(hit[4] for hit in hits if hit[4] != value))
    return Found(value=value, name=best.name.strip(), place=best.place, others=others)


def of_lines(lines: Iterable[Iterable[Attribute]]) -> Iterator[Attribute]:
    """The attributes of all lines for `find`, where ranks are positions: those of a later line are newer."""
    for rank, each in enumerate(chain.from_iterable(lines)):
        yield replace(each, rank=rank)


def among(attributes: Iterable[Attribute], *names: Sequence[str]) -> list[Attribute]:
    """Those that any of the lists of names asks for: one pass over many, before several lookups with `find`."""
    wanted = _ranks(tuple(chain.from_iterable(names)))
    return [each for each in attributes if each.name.strip().casefold() in wanted]


@lru_cache(maxsize=1024)  # a merchant's lists of names are the same for every order
def _ranks(names: tuple[str, ...]) -> Mapping[str, int]:
    """The names as they are compared, each with the place where it first stands."""
    return {name.strip().casefold(): index for index, name in reversed(list(enumerate(names)))}


def value_of(attributes: Iterable[Attribute], names: Sequence[str], *, longest: int = LONGEST_VALUE) -> str | None:
    """The value alone, see `find`."""
    found = find(attributes, names, longest=longest)
    return found.value if found else None
