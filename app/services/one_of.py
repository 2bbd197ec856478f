"""A condition that a column is one of the values of a list, which is one parameter however long it is.

``IN`` with a parameter for each value is another statement for each length: SQLAlchemy writes it anew each time, and no
database has it prepared.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text, TypeDecorator, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal


def one_of(column: ColumnElement[Any] | InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """``name``: the parameter, which takes a list of the column's values, of numbers or texts."""
    return OneOf(column.expression, name)


class _Listed(TypeDecorator[list[Any]]):
    """A list as JSON, which SQLite can read."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: list[Any] | None, dialect: Any) -> str:
        return json.dumps(list(value or ()))


class OneOf(ColumnElement[bool]):
    """See `one_of`."""

    inherit_cache = True
    type = Boolean()
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy declares it
        ("column", InternalTraversal.dp_clauseelement),
        ("array", InternalTraversal.dp_clauseelement),
        ("listed", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.array = bindparam(name, type_=ARRAY(column.type))
        self.listed = bindparam(name, type_=_Listed)

    @property
    def _from_objects(self) -> list[Any]:
        return self.column._from_objects

    def self_group(self, against: Any = None) -> OneOf:
        """As it stands: compared with 1, as SQLite's truth values are, no index would be found for it."""
        return self


@compiles(OneOf, "postgresql")
def _any(element: OneOf, compiler: SQLCompiler, **more: Any) -> str:
    # www.postgresql.org/docs/current/functions-comparisons.html#FUNCTIONS-COMPARISONS-ANY-SOME
    return f"{compiler.process(element.column, **more)} = ANY ({compiler.process(element.array, **more)})"


@compiles(OneOf, "sqlite")
def _each(element: OneOf, compiler: SQLCompiler, **more: Any) -> str:
    # www.sqlite.org/json1.html#jeach
    listed = compiler.process(element.listed, **more)
    return f"{compiler.process(element.column, **more)} IN (SELECT value FROM json_each({listed}))"  # noqa: S608 - of compiled parts
