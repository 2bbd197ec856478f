"""Sign in: one-time links, and the sessions that they open.

Of every token only its SHA-256 is kept, so whoever reads the database opens nothing. A token is 256 random bits: it
needs no salt and no slow hash.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from app.models import Account, Shop, SignIn, SignInLink, SpentLink
from app.services import accounts, audit
from app.services.errors import Wrong
from app.services.said import mark

LINK_LIFETIME = timedelta(minutes=15)
OPERATOR_LINK_LIFETIME = timedelta(minutes=5)
INVITATION_LIFETIME = timedelta(days=3)  #: whoever is invited did not ask for it, and may read it on another day
MOST_LINKS = 3  #: unused ones of one address at a time: how many mails a stranger can cause in `LINK_LIFETIME`

IDLE = timedelta(hours=12)  #: a session that nobody uses for so long ends
LONGEST = timedelta(days=7)  #: and any ends then
#: A store cannot tell us that it sent one of its people away, so what it vouched for ends on the same day.
LONGEST_WORDPRESS = timedelta(hours=12)
LONGEST_OPERATOR = timedelta(hours=1)
SEEN_EVERY = timedelta(minutes=1)  #: how exactly we note the last use: not every look at a page is a write

KEPT = timedelta(days=1)  #: how long what is over stays, for whoever asks what happened

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Signed:
    """Whose session it is."""

    id: int
    actor: str
    account_id: int | None
    shop_id: int | None  #: where the session is for one shop


def fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# links


def ask(session: Session, email: str, now: datetime) -> str | None:
    """Make a link for ``email`` and return its token; None while enough of them are unused. Makes no account."""
    mine = (SignInLink.email == email, SignInLink.shop_id.is_(None))  # invitations come on top
    unused = (*mine, SignInLink.used_at.is_(None), SignInLink.expires_at > now)
    if (session.scalar(select(func.count()).where(*unused)) or 0) >= MOST_LINKS:
        return None
    return _new_link(session, now, LINK_LIFETIME, email=email)


def open_shop(session: Session, shop: Shop, now: datetime) -> str:
    """Make the operator's link to one shop and return its token."""
    token = _new_link(session, now, OPERATOR_LINK_LIFETIME, shop_id=shop.id)
    audit.record(session, shop_id=shop.id, actor=OPERATOR, action="make sign-in link")
    return token


def open_all(session: Session, now: datetime) -> str:
    """Make the operator's link to the page of all shops and return its token."""
    token = _new_link(session, now, OPERATOR_LINK_LIFETIME)
    audit.record(session, shop_id=None, actor=OPERATOR, action="make sign-in link")
    return token


def invite(session: Session, email: str, shop_id: int, now: datetime) -> str:
    """Make a link that signs ``email`` in and gives that account the right to a shop; return its token."""
    return _new_link(session, now, INVITATION_LIFETIME, email=email, shop_id=shop_id)


def withdraw_link(session: Session, token: str) -> None:
    """Forget a link that could not be handed over: it must not count against the address."""
    session.execute(
        delete(SignInLink).where(SignInLink.token_hash == fingerprint(token)),
        execution_options={"synchronize_session": False},
    )


def use_link(session: Session, token: str, now: datetime) -> str:
    """Use up the link and return the token of the session that it opens.

    Raises:
        Wrong: the link was used, ran out, or is none of ours; which of these, nobody is told.
    """
    used = (
        update(SignInLink)
        .where(SignInLink.token_hash == fingerprint(token), SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(used_at=now)
        .returning(SignInLink.email, SignInLink.shop_id)
        .execution_options(synchronize_session=False)
    )
    row = session.execute(used).one_or_none()
    if row is None:
        raise Wrong(mark("This link was used already, or is too old. Nothing was changed. Ask for a new one."))
    email, shop_id = row
    if email is None:
        return _open_for_operator(session, shop_id, now)
    account_id = accounts.find_or_add(session, email, now)
    actor = f"account:{account_id}"
    if shop_id is not None:
        accounts.join(session, account_id, shop_id, now)
        audit.record(session, shop_id=shop_id, actor=actor, action="accept invitation")
    audit.record(session, shop_id=None, actor=actor, action="sign in")
    return start(session, actor, now, LONGEST, account_id=account_id)


def _open_for_operator(session: Session, shop_id: int | None, now: datetime) -> str:
    audit.record(session, shop_id=shop_id, actor=OPERATOR, action="open pages")
    return start(session, OPERATOR, now, LONGEST_OPERATOR, shop_id=shop_id)


def _new_link(
    session: Session, now: datetime, lifetime: timedelta, *, email: str | None = None, shop_id: int | None = None
) -> str:
    token = secrets.token_urlsafe(32)
    link = SignInLink(token_hash=fingerprint(token), email=email, shop_id=shop_id, created_at=now)
    link.expires_at = now + lifetime
    session.add(link)
    return token


# sessions


def start(
    session: Session,
    actor: str,
    now: datetime,
    longest: timedelta,
    *,
    account_id: int | None = None,
    shop_id: int | None = None,
) -> str:
    """Begin a session and return the token for its cookie."""
    token = secrets.token_urlsafe(32)
    session.add(
        SignIn(
            token_hash=fingerprint(token),
            actor=actor,
            account_id=account_id,
            shop_id=shop_id,
            created_at=now,
            seen_at=now,
            expires_at=now + longest,
        )
    )
    return token


def find(session: Session, token: str, now: datetime) -> tuple[Signed, bool] | None:
    """The living session of ``token``, and whether it is time to note its use with `seen`."""
    alive = (SignIn.ended_at.is_(None), SignIn.expires_at > now, SignIn.seen_at > now - IDLE)
    row = session.scalar(select(SignIn).where(SignIn.token_hash == fingerprint(token), *alive))
    if row is None:
        return None
    return Signed(row.id, row.actor, row.account_id, row.shop_id), row.seen_at <= now - SEEN_EVERY


def seen(session: Session, signed: Signed, now: datetime) -> None:
    """Note the use. One that ended meanwhile stays ended."""
    mine = (SignIn.id == signed.id, SignIn.seen_at < now)
    session.execute(update(SignIn).where(*mine).values(seen_at=now), execution_options={"synchronize_session": False})


def end(session: Session, token: str, now: datetime) -> None:
    """Sign this browser out."""
    _end(session, now, SignIn.token_hash == fingerprint(token))


def end_everywhere(session: Session, signed: Signed, now: datetime) -> None:
    """End every session of the account; of one without an account, all of this person at this shop.

    Links that were mailed and not used end too: somebody else may have them.
    """
    if signed.account_id is None:
        _end(session, now, SignIn.actor == signed.actor, SignIn.shop_id == signed.shop_id)
        return
    _end(session, now, SignIn.account_id == signed.account_id)
    email = select(Account.email).where(Account.id == signed.account_id).scalar_subquery()
    session.execute(
        update(SignInLink).where(SignInLink.email == email, SignInLink.used_at.is_(None)).values(used_at=now),
        execution_options={"synchronize_session": False},
    )
    audit.record(session, shop_id=None, actor=signed.actor, action="sign out everywhere")


def _end(session: Session, now: datetime, *which: ColumnElement[bool]) -> None:
    ended = update(SignIn).where(*which, SignIn.ended_at.is_(None)).values(ended_at=now)
    session.execute(ended, execution_options={"synchronize_session": False})


def purge(session: Session, now: datetime) -> None:
    """Delete links and sessions that have been over for a while, and signed links that would no longer be taken."""
    over = now - KEPT
    idle = SignIn.seen_at < over - IDLE
    stale = (
        delete(SignInLink).where(SignInLink.expires_at < over),
        delete(SpentLink).where(SpentLink.expires_at < now),
        delete(SignIn).where(or_(SignIn.expires_at < over, SignIn.ended_at < over, idle)),
    )
    for statement in stale:
        session.execute(statement, execution_options={"synchronize_session": False})
