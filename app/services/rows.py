"""Rows: deliveries as clerks read and write them, many at once and without the bookkeeping of SQLAlchemy's objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import JSON, BindParameter, Connection, Select, Table, bindparam, select, update

from app.models import Attempt, Delivery
from app.services.many import Many

DELIVERIES = cast(Table, Delivery.__table__)
ATTEMPTS = cast(Table, Attempt.__table__)
ANSWER_LOST = "answer lost"  #: the outcome of an attempt of which nobody can say what came of it
TAKEN = ATTEMPTS.c.outcome.in_(["accepted", "applied"])  #: the provider had the delivery, then at least


@dataclass(slots=True)
class Row:
    """A row of deliveries that this transaction has locked; what is changed of it counts once it is written."""

    id: int
    shop_id: int
    destination_id: int
    event_id: int
    provider: str
    rule: str
    action: str
    subject: str | None
    once_key: str | None
    state: str
    reason: str | None
    complaints: list[str] | None
    attempts: int
    due_at: datetime
    since: datetime
    leased_until: datetime | None
    call_id: int | None
    provider_lane: int | None
    singly: bool
    doubt: bool
    effect: dict[str, Any] | None
    created_at: datetime
    delivered_at: datetime | None


_COLUMNS = [DELIVERIES.c[name] for name in Row.__dataclass_fields__]


def free(*where: Any) -> Select[Any]:
    """A statement for `read` that locks what it finds; what others have locked is left out."""
    return select(*_COLUMNS).where(*where).with_for_update(skip_locked=True)


def awaited(*where: Any) -> Select[Any]:
    """As `free`, but waits for what others have locked."""
    return select(*_COLUMNS).where(*where).order_by(DELIVERIES.c.id).with_for_update()


def read(connection: Connection, wanted: Select[Any], values: Mapping[str, Any]) -> list[Row]:
    """The rows of a statement that `free` or `awaited` made."""
    return [Row(*found) for found in connection.execute(wanted, values).all()]


def write(connection: Connection, rows: Sequence[Row], names: tuple[str, ...]) -> None:
    """Write the columns ``names`` of ``rows``."""
    if rows:
        values = [{"row": row.id, **{name: getattr(row, name) for name in names}} for row in rows]
        _changing(names).execute(connection, values)


@cache
def _changing(names: tuple[str, ...]) -> Many:
    """One statement for each choice of columns, so that no other index is touched."""
    changed = {name: _value(name) for name in names}
    return Many(update(DELIVERIES).where(DELIVERIES.c.id == bindparam("row")).values(changed))


def _value(name: str) -> BindParameter[Any]:
    kind = DELIVERIES.c[name].type
    return bindparam(name, type_=JSON(none_as_null=True) if isinstance(kind, JSON) else kind)
