"""Where in a mapping's text something stands: for messages that name a rule and a path, and an editor of lines."""

from __future__ import annotations

import re
from itertools import pairwise

_RULE = re.compile(r"\[\[\s*rules\s*\]\]")
_TABLE = re.compile(r"\[\s*rules\s*\.(?P<path>[^\]]+)\]")
_WORD = r"(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)"
_KEY = re.compile(rf"(?P<path>{_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_NAME = re.compile(r"name\s*=\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')")
_PLACE = re.compile(r"at line (\d+), column (\d+)")


def named(message: str) -> tuple[int, int] | None:
    """Line and column that a message of the TOML reader names, from 1."""
    found = _PLACE.search(message)
    return (int(found[1]), int(found[2])) if found else None


def line_of(text: str, rule: str | None, path: str | None) -> int | None:
    """The line, from 1, of the rule named ``rule``, or of its deepest part on the way to ``path``, as errors name both.

    None where the rule is not found.
    """
    lines = text.split("\n")
    block = _block(lines, rule)
    if block is None:
        return None
    start, end = block
    best, depth = start, 0
    wanted = _parts(path or "")
    table: list[str] = []
    for number in range(start, end):
        line = lines[number].strip()
        header = _TABLE.match(line)
        if header:
            table = _parts(header["path"])
        key = None if header else _KEY.match(line)
        here = table if header else [*table, *_parts(key["path"])] if key else []
        if len(here) > depth and here == wanted[: len(here)]:
            best, depth = number, len(here)
    return best + 1


def _block(lines: list[str], rule: str | None) -> tuple[int, int] | None:
    """First line and the one after the last of the rule's text; of the last rule of that name, if there are several."""
    starts = [number for number, line in enumerate(lines) if _RULE.match(line.strip())]
    found = None
    for start, end in pairwise([*starts, len(lines)]):
        names = (_NAME.match(line.strip()) for line in lines[start:end])
        name = next((each["double"] if each["single"] is None else each["single"] for each in names if each), None)
        if rule is not None and name == rule:
            found = (start, end)
    return found


def _parts(path: str) -> list[str]:
    """Names of a path without the levels called ``fields`` and ``item``, which messages leave out below the first."""
    names = [each.strip().strip("\"'") for each in path.split(".")]
    return [each for each in names if each not in {"fields", "item", ""}]
