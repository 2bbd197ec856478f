"""People: who may see a shop's pages outside of its store's own admin; invited by mail, and sent away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from app.models import Account, Membership, SignInLink
from app.services import accounts, audit, sign_in
from app.services.errors import NotFound, Wrong
from app.services.said import mark

MOST_INVITED = 10  #: open invitations of a shop: to how many strangers at a time it can write
MOST_MAILS, MAILS_WITHIN = 3, timedelta(days=1)  #: of a shop to one address, taken back and replaced ones included


@dataclass(frozen=True, slots=True)
class Person:
    account_id: int
    email: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Invitation:
    id: int
    email: str
    until: datetime


def members(session: Session, shop_id: int) -> list[Person]:
    wanted = select(Account.id, Account.email, Membership.created_at).join(Membership)
    rows = session.execute(wanted.where(Membership.shop_id == shop_id).order_by(Account.email))
    return [Person(*row) for row in rows]


def invited(session: Session, shop_id: int, now: datetime) -> list[Invitation]:
    """Who has not come yet."""
    wanted = select(SignInLink.id, SignInLink.email, SignInLink.expires_at).where(*_open(shop_id, now))
    rows = session.execute(wanted.order_by(SignInLink.email, SignInLink.id))
    return [Invitation(row.id, row.email or "", row.expires_at) for row in rows]


def invite(session: Session, shop_id: int, given: str, actor: str, now: datetime) -> tuple[str, str]:
    """Invite whoever reads the mail of an address; an earlier invitation of theirs ends.

    Returns: the address as it is written to, and the token of the link.
    Raises:
        Wrong: it is no address, is a member already, was written to often enough today, or too many were invited who
            have not come.
    """
    email = accounts.read_email(given)
    if email in {each.email for each in members(session, shop_id)}:
        raise Wrong(mark("This person sees the store already. Nothing was changed."))
    lately = (SignInLink.shop_id == shop_id, SignInLink.email == email, SignInLink.created_at > now - MAILS_WITHIN)
    if (session.scalar(select(func.count()).where(*lately)) or 0) >= MOST_MAILS:
        raise Wrong(
            mark(
                "Three invitations went to this address within a day. No further one was sent, and the last one still"
                " counts unless it was taken back. Let them look among the junk mail, or try again tomorrow."
            )
        )
    others = [each for each in invited(session, shop_id, now) if each.email != email]
    if len(others) >= MOST_INVITED:
        raise Wrong(
            mark("Ten people are invited and have not come yet. Nobody was invited. Take an invitation back first.")
        )
    _end(session, now, *_open(shop_id, now), SignInLink.email == email)
    audit.record(session, shop_id=shop_id, actor=actor, action="invite person")
    return email, sign_in.invite(session, email, shop_id, now)


def withdraw(session: Session, shop_id: int, invitation_id: int, actor: str, now: datetime) -> None:
    """Take an invitation back; raises `NotFound` where it was used meanwhile, or is none of this shop's."""
    if not _end(session, now, *_open(shop_id, now), SignInLink.id == invitation_id):
        raise NotFound(f"shop {shop_id} has no open invitation {invitation_id}")
    audit.record(session, shop_id=shop_id, actor=actor, action="take back invitation")


def removable(here: int, actor: str) -> bool:
    """Whether ``actor`` may remove one of ``here`` people.

    Whoever comes from the store's own admin gets in without an account, so they may remove the last one that has one.
    """
    return here > 1 or not actor.startswith("account:")


def remove(session: Session, shop_id: int, account_id: int, actor: str) -> None:
    """Take a person's right to the shop away, from the next request on.

    Raises:
        NotFound: they have none; Wrong: see `removable`.
    """
    here = {each.account_id for each in members(session, shop_id)}
    if account_id not in here:
        raise NotFound(f"account {account_id} does not see shop {shop_id}")
    if not removable(len(here), actor):
        raise Wrong(
            mark("This is the last person who sees the store here. Nothing was changed. Invite somebody else first.")
        )
    accounts.leave(session, account_id, shop_id)
    # They may have been invited before they came by another way; that link would let them in again.
    email = select(Account.email).where(Account.id == account_id).scalar_subquery()
    now = datetime.now(UTC)
    _end(session, now, *_open(shop_id, now), SignInLink.email == email)
    person = {"person": f"account:{account_id}"}
    audit.record(session, shop_id=shop_id, actor=actor, action="remove person", before=person)


def _open(shop_id: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    mine = (SignInLink.shop_id == shop_id, SignInLink.email.is_not(None))
    return (*mine, SignInLink.used_at.is_(None), SignInLink.expires_at > now)


def _end(session: Session, now: datetime, *which: ColumnElement[bool]) -> int:
    ended = session.execute(
        update(SignInLink).where(*which).values(used_at=now), execution_options={"synchronize_session": False}
    )
    return int(ended.rowcount)  # type: ignore[attr-defined]
