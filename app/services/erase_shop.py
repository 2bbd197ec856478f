"""Erase a whole shop: every row of every table that is its own, in chunks, and last the shop and its receipt."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db import Base, Database, clock
from app.models import (
    Account,
    ConnectAttempt,
    Delivery,
    Destination,
    Membership,
    Mode,
    Receipt,
    Shop,
    SignIn,
    SignInLink,
)
from app.services import receipts
from app.services.erase import PATIENCE, POLL, UnderWay, empty_journal
from app.services.errors import NotFound

CHUNK = 200  #: rows deleted in a transaction
TRIES = 5  #: of the last step, where something of the shop arrives at that very moment


def find_shop(session: Session, wanted: str) -> Shop:
    """By our id, or by domain or address; also one that was removed, because its data is still here."""
    name = wanted.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    is_id = name.isascii() and name.isdecimal() and len(name) < 19
    by = Shop.id == int(name) if is_id else func.lower(Shop.domain) == name.lower()
    shops = session.scalars(select(Shop).where(by)).all()
    if len(shops) != 1:
        raise NotFound(f"there is no shop {wanted!r}: give its number, or its domain")
    return shops[0]


def erase_shop(
    db: Database,
    shop_id: int,
    now: datetime,
    *,
    dedup_key: str | None = None,
    actor: str,
    patience: float = PATIENCE,
) -> Receipt:
    """Delete the shop and all that is its own; once per ``dedup_key``. What died half-way goes on in a second run.

    Raises:
        UnderWay: a delivery's call has not come back; most is deleted.
    """
    dedup_key = dedup_key or f"command:{uuid.uuid4()}"
    with db.read() as session:
        if (known := receipts.given(session, dedup_key)) is not None:
            return known
    _stop(db, shop_id)
    _await_calls(db, shop_id, patience)
    counts: Counter[str] = Counter()
    for table, mine in _tables(shop_id):
        counts[table.name] += _delete_in_chunks(db, table, mine)
    receipt = _finish(db, shop_id, dedup_key, counts, now, actor)
    empty_journal(db)
    return receipt


def _stop(db: Database, shop_id: int) -> None:
    """Nothing is received for it or sent from it any more."""
    with db.write() as session:
        session.execute(
            update(Shop).where(Shop.id == shop_id, Shop.removed_at.is_(None)).values(removed_at=datetime.now(UTC))
        )
        session.execute(update(Destination).where(Destination.shop_id == shop_id).values(mode=Mode.OFF))


def _await_calls(db: Database, shop_id: int, patience: float) -> None:
    """A call under way writes its outcome by numbers, and SQLite gives the numbers of deleted rows out again."""
    until = time.monotonic() + patience
    wanted = select(Delivery.id).where(Delivery.shop_id == shop_id)
    while True:
        with db.read() as session:
            if session.scalar(wanted.where(Delivery.leased_until > clock(session)).limit(1)) is None:
                return
        if time.monotonic() > until:
            raise UnderWay
        time.sleep(POLL)


def _tables(shop_id: int) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Every table with rows of the shop and which they are; those that point to others first.

    Found by the schema, so that a table made later is not forgotten. Receipts point to nothing and stay.
    """
    mine: dict[str, ColumnElement[bool]] = {}
    for table in Base.metadata.sorted_tables:
        if table.name == Shop.__tablename__:
            continue
        for column in table.columns:
            for key in column.foreign_keys:
                target = key.column.table
                if target.name == Shop.__tablename__:
                    mine[table.name] = column == shop_id
                elif target.name in mine and table.name not in mine and target.name != Account.__tablename__:
                    mine[table.name] = column.in_(select(key.column).where(mine[target.name]))
    for table in reversed(Base.metadata.sorted_tables):
        if table.name in mine:
            yield table, mine[table.name]


def _delete_in_chunks(db: Database, table: Table, mine: ColumnElement[bool]) -> int:
    done = 0
    while True:
        with db.write() as session:
            if table.name == Membership.__tablename__:
                _delete_left_alone(session, mine)
            count = _delete_some(session, table, mine)
        done += count
        if count < CHUNK:
            return done


def _delete_some(session: Session, table: Table, mine: ColumnElement[bool]) -> int:
    key = list(table.primary_key.columns)
    chosen = session.execute(select(*key).where(mine).limit(CHUNK)).all()
    if chosen:
        session.execute(delete(table).where(tuple_(*key).in_([tuple(row) for row in chosen])))
    return len(chosen)


def _delete_left_alone(session: Session, mine: ColumnElement[bool]) -> None:
    """Accounts that were here for this shop only: their address would stay for nothing."""
    elsewhere = select(Membership.account_id).where(~mine)
    alone = select(Membership.account_id).where(mine, Membership.account_id.not_in(elsewhere))
    accounts = session.scalars(select(Account).where(Account.id.in_(alone)).limit(CHUNK)).all()
    for account in accounts:
        session.execute(delete(SignIn).where(SignIn.account_id == account.id))
        session.execute(delete(SignInLink).where(SignInLink.email == account.email))
        session.execute(delete(ConnectAttempt).where(ConnectAttempt.account_id == account.id))
        session.execute(delete(Membership).where(Membership.account_id == account.id))
        session.execute(delete(Account).where(Account.id == account.id))


def _finish(db: Database, shop_id: int, dedup_key: str, counts: Counter[str], now: datetime, actor: str) -> Receipt:
    """What arrived meanwhile, the shop itself, and the receipt, in one transaction."""
    for left in reversed(range(TRIES)):
        try:
            with db.write() as session:
                late = {table.name: _delete_all(session, table, mine) for table, mine in _tables(shop_id)}
                late["shops"] = _delete_all(session, _SHOPS, _SHOPS.c.id == shop_id)
                total = {name: counts[name] + late[name] for name in late}
                return receipts.give(
                    session, receipts.SHOP_ERASED, shop_id, dedup_key, total, requested_at=now, actor=actor
                )
        except IntegrityError:  # PostgreSQL: something of the shop was stored between its table and the shop
            if not left:
                raise
    raise AssertionError("unreachable")


_SHOPS: Any = Shop.__table__


def _delete_all(session: Session, table: Table, mine: ColumnElement[bool]) -> int:
    gone = session.execute(delete(table).where(mine))
    return int(gone.rowcount)  # type: ignore[attr-defined]
