"""One statement carried out for many rows, without working each row's parameters out from the statement again.

That is what SQLAlchemy does for a list of parameters, and it was an eighth of the processor's time of delivering.

On SQLite the statement is carried out for each row, which costs little within the process. On PostgreSQL all rows go as
one parameter, a text of JSON that the server reads as a table (www.postgresql.org/docs/current/functions-json.html:
json_to_recordset), so that there is one message, one statement and one answer however many rows there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Integer,
    LargeBinary,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

from app.services.packing import as_json

Row = Mapping[str, Any]
Processor = Callable[[Any], Any]
Values = Sequence[tuple[str, Processor | None]]  #: what each row gives, by its name, and how it is taken
Types = Mapping[str, TypeEngine[Any]]

_AS_TEXT = (JSON, LargeBinary)
_ROWS = "rows_as_json"  #: the parameter
_PLACE = "place"  #: of a row among them


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as one database takes it."""

    text: str
    parameters: Callable[[Sequence[Row]], Any]  #: what the driver takes beside the text


class Many:
    """An INSERT or UPDATE for rows that all have the same names, no two of which may mean the same row to UPDATE."""

    def __init__(self, statement: Insert | Update, *, singly: bool = False) -> None:
        """
        Args:
            singly: whether PostgreSQL, too, is to carry it out for each row: where UPDATE does not find rows by their
                numbers, so that it could choose an index which fits all of them instead of one that finds each.
        """
        self._statement = statement
        self._singly = singly
        self._made: dict[tuple[str, frozenset[str]], _Compiled] = {}

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """
        Args:
            rows: one at least; nothing is filled in that they leave out, but what the database fills in. They are
                inserted in their order.
        """
        key = connection.dialect.name, frozenset(rows[0])
        if key not in self._made:
            self._made[key] = _compile(self._statement, connection.dialect, list(rows[0]), self._singly)
        made = self._made[key]
        connection.exec_driver_sql(made.text, made.parameters(rows))


def _compile(statement: Insert | Update, dialect: Dialect, names: list[str], singly: bool) -> _Compiled:
    compiled: Any = statement.inline().compile(dialect=dialect, column_keys=names)
    if compiled.insert_prefetch or compiled.update_prefetch:
        raise AssertionError("columns that Python would fill in have to be in the rows")
    if missing := {bind.key for bind in compiled.bind_names if bind.required} - {*names}:
        raise AssertionError(f"rows give no {', '.join(sorted(missing))}")
    types = {name: bind.type for bind, name in compiled.bind_names.items()}
    takes = {name: _processor(kind, dialect) for name, kind in types.items()}
    if compiled.positional:
        places = [(name, takes[name]) for name in compiled.positiontup]
        return _Compiled(str(compiled), _by_place(places, _fixed(compiled, names)))
    given = {name: kind for name, kind in types.items() if name in names}
    if singly:
        return _Compiled(str(compiled), _by_name([(each, takes[each]) for each in given], _fixed(compiled, names)))
    compiled = _of_table(statement, given).compile(dialect=dialect)
    values = [(name, _processor_for_json(kind, dialect)) for name, kind in given.items()]
    return _Compiled(str(compiled), _at_once(values, _fixed(compiled, [*names, _ROWS])))


def _by_place(values: Values, fixed: Row) -> Callable[[Sequence[Row]], Any]:
    """Carried out for each row, with parameters in the order of ``values``."""
    names = [name for name, _ in values]
    taken = [(place, take) for place, (name, take) in enumerate(values) if take and name not in fixed]

    def parameters(row: Row) -> tuple[Any, ...]:
        given = [*map({**row, **fixed}.__getitem__, names)]
        for place, take in taken:
            given[place] = take(given[place])
        return tuple(given)

    return lambda rows: [parameters(row) for row in rows]


def _by_name(values: Values, fixed: Row) -> Callable[[Sequence[Row]], Any]:
    """Carried out for each row, with parameters that have names."""
    return lambda rows: [{**fixed, **_named(values, row)} for row in rows]


def _at_once(values: Values, fixed: Row) -> Callable[[Sequence[Row]], Any]:
    """Carried out once, for all rows."""
    return lambda rows: {
        **fixed,
        _ROWS: as_json([{_PLACE: place, **_named(values, row)} for place, row in enumerate(rows)]).decode(),
    }


def _named(values: Values, row: Row) -> dict[str, Any]:
    return {name: row[name] if take is None else take(row[name]) for name, take in values}


def _fixed(compiled: Any, names: Collection[str]) -> dict[str, Any]:
    """The parameters that are the statement's own, as the driver takes them."""
    own = {name: bind.type for bind, name in compiled.bind_names.items() if name not in names}
    takes = {name: _processor(kind, compiled.dialect) for name, kind in own.items()}
    return {name: take(compiled.params[name]) if take else compiled.params[name] for name, take in takes.items()}


def _processor(kind: TypeEngine[Any], dialect: Dialect) -> Processor | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _processor_for_json(kind: TypeEngine[Any], dialect: Dialect) -> Processor | None:
    """Bytes as they are, for the encoder writes them as base64; JSON as a text within the text.

    As a member JSON would be read with all that is in it, and a NUL that it may hold would be refused.
    """
    if isinstance(kind, JSON):
        if not kind.none_as_null:
            raise AssertionError("null in a column of JSON would be NULL")
        return _json_text
    return None if isinstance(kind, LargeBinary) else _processor(kind, dialect)


def _json_text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _of_table(statement: Insert | Update, types: Types) -> Insert | Update:
    """The statement for all rows at once, which it finds in a table instead of its parameters."""
    given = _given(types)
    values = {name: _value(given.c[name], kind) for name, kind in types.items()}
    if isinstance(statement, Insert):
        return statement.from_select(list(types), select(*values.values()).order_by(given.c[_PLACE]))

    def replaced(element: Any, **_: Any) -> ColumnElement[Any] | None:
        return values[element.key] if getattr(element, "required", False) else None

    made: Any = replacement_traverse(statement, {}, replaced)
    return made  # type: ignore[no-any-return]


def _given(types: Types) -> TableValuedAlias:
    columns = [column(name, Text() if isinstance(kind, _AS_TEXT) else kind) for name, kind in types.items()]
    rows = func.json_to_recordset(cast(bindparam(_ROWS, type_=Text()), JSON))
    table: TableValuedAlias = rows.table_valued(*columns, column(_PLACE, Integer))
    return table.render_derived(name="given", with_types=True)


def _value(given: ColumnElement[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    if isinstance(kind, LargeBinary):
        return func.decode(given, "base64")
    return cast(given, kind) if isinstance(kind, JSON) else given
