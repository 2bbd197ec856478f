"""Accounts: which merchant may see which shop, outside of a store's own admin."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Base
from app.models import Account, Membership, Shop
from app.services.errors import Wrong
from app.services.said import mark

#: ASCII alone: two addresses that look alike, or fold into each other, must not open the same account.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_LONGEST = 254


def read_email(given: str) -> str:
    """The address as accounts are known by: lower-case, checked; raises `Wrong`."""
    email = given.strip()
    if len(email) > _LONGEST or not _EMAIL.fullmatch(email):
        raise Wrong(mark("This is no e-mail address that we can write to. Enter it like name@shop.example."))
    return email.lower()


def find_or_add(session: Session, email: str, now: datetime) -> int:
    """The id of the account of ``email`` (as `read_email` gave it), made where there is none."""
    _insert_once(session, Account, {"email": email, "created_at": now})
    return session.scalars(select(Account.id).where(Account.email == email)).one()


def join(session: Session, account_id: int, shop_id: int, now: datetime) -> None:
    """Give the account the right to a shop, once it proved its rights to the store; harmless when it has it."""
    _insert_once(session, Membership, {"account_id": account_id, "shop_id": shop_id, "created_at": now})


def leave(session: Session, account_id: int, shop_id: int) -> None:
    """Take the right away; sessions that are open lose it with their next request."""
    session.execute(
        delete(Membership).where(Membership.account_id == account_id, Membership.shop_id == shop_id),
        execution_options={"synchronize_session": False},
    )


def visible_shops(session: Session, account_id: int | None, shop_id: int | None) -> list[Shop]:
    """The shops of an account, or the one that access is limited to; those that were removed left out."""
    wanted = select(Shop).where(Shop.removed_at.is_(None)).order_by(Shop.domain, Shop.id)
    if account_id is not None:
        wanted = wanted.join(Membership, Membership.shop_id == Shop.id).where(Membership.account_id == account_id)
    if account_id is None or shop_id is not None:
        wanted = wanted.where(Shop.id == shop_id)
    return list(session.scalars(wanted))


def _insert_once(session: Session, table: type[Base], row: dict[str, Any]) -> None:
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    session.execute(dialect.insert(table).values(row).on_conflict_do_nothing())
