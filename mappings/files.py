"""Mapping files: reading TOML, writing it, and our own defaults."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import tomli_w

from mappings.changes import difference, merge
from mappings.check import check_rules
from mappings.data import MappingFile
from mappings.engine import CompiledMapping
from mappings.errors import MappingError

__all__ = ["MappingFile", "compile", "difference", "dump", "load_default", "merge", "parse"]

_LONGEST = 200_000  #: characters; our longest default has a tenth of it


def parse(text: str, *, source: str) -> MappingFile:
    """Read and check a mapping, ours or a merchant's own, which may hold parts of rules.

    Raises:
        MappingError: the text is no TOML (with line and column), or breaks the grammar (with rule and path).
    """
    if len(text) > _LONGEST:
        raise MappingError(f"longer than {_LONGEST} characters", source=source)
    if any("\ud800" <= each <= "\udfff" for each in text):
        raise MappingError("holds characters that are no text", source=source)
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise MappingError(_with_place(str(error), text), source=source) from None
    except ValueError:
        raise MappingError("holds a number of too many digits", source=source) from None
    except RecursionError:
        raise MappingError("is nested too deeply", source=source) from None
    for key in data:
        if key != "rules":
            raise MappingError(f'unknown key "{key}"; a mapping holds [[rules]]', source=source)
    rules = data.get("rules", [])
    check_rules(rules, source=source, complete=False)
    return MappingFile(source, tuple(rules))


def _with_place(message: str, text: str) -> str:
    """tomllib names line and column everywhere but at the end."""
    lines = text.split("\n")
    return message.replace("at end of document", f"at line {len(lines)}, column {len(lines[-1]) + 1}")


def dump(file: MappingFile) -> str:
    """``file`` as TOML, which `parse` reads back as an equal one."""
    # Rule by rule: short ones would be written on one line otherwise, in which nobody finds anything.
    return "\n".join(tomli_w.dumps({"rules": rule}).replace("[rules]", "[[rules]]", 1) for rule in file.rules)


def compile(file: MappingFile) -> CompiledMapping:
    """The functions of a whole mapping: a default, or what `merge` made. `MappingError` where a part is missing."""
    whole = merge(MappingFile(file.source), file)
    return CompiledMapping.of(whole.rules, source=file.source)


def default_text(provider: str) -> str:
    """Our default for ``provider`` as it is written, with its comments."""
    source = f"{provider}.toml"
    try:
        return files("mappings").joinpath("defaults", source).read_text("utf-8")
    except FileNotFoundError:
        raise MappingError("there is no default mapping of this name", source=source) from None


@cache
def load_default(provider: str) -> MappingFile:
    """Our default for ``provider``, from ``mappings/defaults/<provider>.toml``."""
    source = f"{provider}.toml"
    default = parse(default_text(provider), source=source)
    check_rules(default.rules, source=source, complete=True)
    return default
