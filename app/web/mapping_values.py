"""JSON values on the mapping pages."""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 300  #: characters of a value in a table
_MEMBERS = 3  #: of a list, in a table


def written(value: Any) -> str:
    """A value as a person reads it: text as it is, lists with commas."""
    match value:
        case str():
            return value
        case list():
            return ", ".join(map(written, value))
        case _:
            return json.dumps(value, ensure_ascii=False)


def cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def members(value: Any) -> tuple[list[str], int]:
    """The first members of a list as text, and how many more there are; any other value is its own only member."""
    values = value if isinstance(value, list) else [value]
    return [cut(written(each)) for each in values[:_MEMBERS]], max(0, len(values) - _MEMBERS)
