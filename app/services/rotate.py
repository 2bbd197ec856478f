"""Rotate: encrypt everything that lies encrypted anew, under the first of the keys.

A row is written only if it still holds what was read, so whoever changes it at the same time wins: a process that
started with the new keys writes under the first one as well. A second run finds what a run that died left.
"""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from app.db import Database
from app.models import ConnectAttempt, Connection, Destination, Endpoint, Export, LinkKey
from app.services import audit

CHUNK = 50  #: rows in a transaction

#: Every column that lies encrypted; a test compares them with what the models say of themselves.
ENCRYPTED: tuple[InstrumentedAttribute[Any], ...] = (
    Destination.secrets,
    Endpoint.secret,
    Connection.secrets,
    ConnectAttempt.secrets,
    LinkKey.secret,
    Export.content,
)


def rotate(db: Database, keys: tuple[str, ...]) -> dict[str, Any]:
    """Encrypt all under ``keys[0]``; one column after the other.

    Returns:
        ``rotated`` and ``current`` (it was under the first key already), by column, and ``locked``: the rows that open
        with none of the keys, each as its column and the row's number.
    """
    first, every = Fernet(keys[0]), MultiFernet([Fernet(key) for key in keys])
    done: dict[str, Any] = {"rotated": {}, "current": {}, "locked": []}
    for column in ENCRYPTED:
        name = f"{column.class_.__tablename__}.{column.key}"
        rotated, current, locked = _rotate_column(db, column, first, every)
        done["rotated"][name], done["current"][name] = rotated, current
        done["locked"] += [{"column": name, "row": row} for row in locked]
    with db.write() as session:
        after = {"rotated": sum(done["rotated"].values()), "locked": len(done["locked"])}
        audit.record(session, shop_id=None, actor="operator", action="rotate keys", after=after)
    return done


def _rotate_column(
    db: Database, column: InstrumentedAttribute[Any], first: Fernet, every: MultiFernet
) -> tuple[int, int, list[int]]:
    (key,) = column.class_.__table__.primary_key.columns
    last, rotated, current = 0, 0, 0
    locked: list[int] = []
    while True:
        with db.read() as session:
            wanted = select(key, column).where(column.is_not(None), key > last).order_by(key).limit(CHUNK)
            rows = session.execute(wanted).all()
        if not rows:
            return rotated, current, locked
        changes = {}
        for row_id, stored in rows:
            if _opens(first, stored):
                current += 1
            elif (renewed := _renewed(every, stored)) is None:
                locked.append(row_id)
            else:
                changes[row_id] = (stored, renewed)
        rotated += _write(db, column, key, changes)
        last = rows[-1][0]


def _opens(first: Fernet, stored: str) -> bool:
    try:
        first.decrypt(stored.encode())
    except InvalidToken:
        return False
    return True


def _renewed(every: MultiFernet, stored: str) -> str | None:
    try:
        return every.rotate(stored.encode()).decode()
    except InvalidToken:
        return None


def _write(db: Database, column: InstrumentedAttribute[Any], key: Any, changes: dict[int, tuple[str, str]]) -> int:
    """Only where nobody changed it since it was read; return how many were written."""
    if not changes:
        return 0
    written = 0
    with db.begin() as connection:
        for row_id, (stored, renewed) in changes.items():
            unchanged = update(column.class_).where(key == row_id, column == stored)
            changed = connection.execute(unchanged.values({column.key: renewed}))
            written += changed.rowcount
    return written
