"""Alerts: a calm mail when a store needs somebody, a reminder on each day that it lasts, and one when it is over.

A condition is an episode from when it is first seen until it was gone for a while: the unique row of a condition that
is not over keeps two processes from telling of it twice. A mail is sent first and noted once the mail server took it:
a process that dies in between sends that one mail again, and none is ever lost. No transaction is open meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Alert, AlertAddress, Destination, Shop
from app.services import alert_addresses, alert_mail
from app.services.alert_mail import Letter, Links
from app.services.causes import REMOVED, Cause, causes
from app.services.mail import MailError
from app.services.progress import trouble_of

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)  #: how often a shop is looked at
GROUPED = timedelta(minutes=15)  #: at most one mail in so long
REMIND = timedelta(days=1)
SETTLED = timedelta(minutes=30)  #: gone for so long is over: what is held is tried again every 15 minutes
MOST = 200  #: shops in one go

Send = Callable[[str, str, str], None]  #: address, subject, text; raises `MailError`
Speaking = Callable[[str | None], AbstractContextManager[None]]  #: what is said within is in a language; None: English


class Alerts:
    def __init__(
        self, db: Database, send: Send, links: Links, speaking: Speaking = lambda language: nullcontext()
    ) -> None:
        self._db = db
        self._send = send
        self._links = links
        self._speaking = speaking

    def work(self, now: datetime) -> int:
        """Look at the shops whose time has come; return how many mails were sent."""
        due = select(AlertAddress.shop_id).where(AlertAddress.due_at <= now)
        with self._db.read() as session:
            shops = session.scalars(due.order_by(AlertAddress.due_at).limit(MOST)).all()
        return sum(self._try(shop_id, now) for shop_id in shops if self._claim(shop_id, now))

    def _try(self, shop_id: int, now: datetime) -> bool:
        try:
            return self._tell(shop_id, now)
        except Exception:  # one shop's trouble must not keep the others from being told
            log.exception("looking after the alerts of shop %d failed; trying again", shop_id, extra={"shop": shop_id})
            return False

    def _claim(self, shop_id: int, now: datetime) -> bool:
        """Move the next look on; False where another process did so first."""
        mine = (AlertAddress.shop_id == shop_id, AlertAddress.due_at <= now)
        with self._db.begin() as connection:
            return bool(connection.execute(update(AlertAddress).where(*mine).values(due_at=now + EVERY)).rowcount)

    def _tell(self, shop_id: int, now: datetime) -> bool:
        with self._db.read() as session:
            found = _causes(session, shop_id, now)
            known = _known(session, shop_id)
        if found is None:
            return False
        if found or known:
            with self._db.write() as session:
                _follow(session, shop_id, found, now)
        with self._db.read() as session:
            news = _news(session, shop_id, found, now)
            shop, address = session.get(Shop, shop_id), session.get(AlertAddress, shop_id)
        if news is None or shop is None or address is None:
            return False
        with self._speaking(address.language):
            subject, text = alert_mail.write(news.letter, shop, address.email, self._links)
        try:
            self._send(address.email, subject, text)
        except MailError as error:
            log.error(
                "an alert of shop %d could not be sent (%s): see SMTP_URL", shop_id, error, extra={"shop": shop_id}
            )
            self._note(shop_id, address.email, failed_at=now)
            return False
        self._note(shop_id, address.email, news, mailed_at=now, failed_at=None)
        return True

    def _note(self, shop_id: int, email: str, news: _News | None = None, **what: datetime | None) -> None:
        with self._db.write() as session:
            mine = (AlertAddress.shop_id == shop_id, AlertAddress.email == email)
            session.execute(update(AlertAddress).where(*mine).values(what))
            if news is not None:
                told = update(Alert).where(Alert.id.in_(news.ongoing)).values(told_at=what["mailed_at"])
                over = update(Alert).where(Alert.id.in_(news.over)).values(over_told_at=what["mailed_at"])
                for each in (told, over):
                    session.execute(each.execution_options(synchronize_session=False))


@dataclass(frozen=True, slots=True)
class _News:
    """What a mail is about, and the rows that it tells of."""

    letter: Letter
    ongoing: tuple[int, ...]
    over: tuple[int, ...]


def _causes(session: Session, shop_id: int, now: datetime) -> tuple[Cause, ...] | None:
    """None where nobody is to be told of anything: the operator took the shop away."""
    shop = session.get_one(Shop, shop_id)
    trouble = trouble_of(session, shop)
    if shop.removed_at is not None:
        return (Cause(kind=REMOVED),) if trouble else None
    destinations = session.scalars(select(Destination).where(Destination.shop_id == shop_id)).all()
    return causes(session, shop_id, trouble, destinations, now)


def _known(session: Session, shop_id: int) -> Sequence[Alert]:
    """Episodes of which the last word was not said, the oldest first."""
    open_ = or_(Alert.over_at.is_(None), Alert.told_at.is_not(None))
    mine = (Alert.shop_id == shop_id, Alert.over_told_at.is_(None), open_)
    return session.scalars(select(Alert).where(*mine).order_by(Alert.id)).all()


def _follow(session: Session, shop_id: int, found: Sequence[Cause], now: datetime) -> None:
    """Bring the episodes up to what is found."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    rows = [
        {"shop_id": shop_id, "kind": each.kind, "about": each.provider or "", "began_at": now, "seen_at": now}
        for each in found
    ]
    if rows:
        insert = dialect.insert(Alert)
        session.execute(
            insert.on_conflict_do_update(
                index_elements=["shop_id", "kind", "about"],
                index_where=Alert.over_at.is_(None),
                set_={"seen_at": insert.excluded.seen_at},
            ),
            rows,
        )
    gone = update(Alert).where(Alert.shop_id == shop_id, Alert.over_at.is_(None), Alert.seen_at <= now - SETTLED)
    session.execute(gone.values(over_at=now).execution_options(synchronize_session=False))


def _news(session: Session, shop_id: int, found: Sequence[Cause], now: datetime) -> _News | None:
    """What is to be told now; None for nothing, or not yet."""
    known = _known(session, shop_id)
    by_key = {(each.kind, each.provider or ""): each for each in found}
    over = [row for row in known if row.over_at is not None]
    ongoing = [row for row in known if row.over_at is None and (row.kind, row.about) in by_key]
    new = [row for row in ongoing if row.told_at is None]
    lasting = [row for row in ongoing if row.kind != REMOVED]  # who means it wants no mail of it every day
    due = [row for row in lasting if row.told_at is not None and row.told_at <= now - REMIND]
    address = session.get(AlertAddress, shop_id)
    if not (new or due or over) or address is None:
        return None
    if address.mailed_at is not None and address.mailed_at > now - GROUPED:
        return None
    letter = Letter(
        new=tuple(by_key[row.kind, row.about] for row in new),
        still=tuple(by_key[row.kind, row.about] for row in ongoing if row not in new),
        over=tuple(Cause(kind=row.kind, provider=row.about or None) for row in over),
    )
    return _News(letter, tuple(row.id for row in ongoing), tuple(row.id for row in over))


def purge(db: Database, now: datetime) -> None:
    with db.write() as session:
        alert_addresses.purge(session, now)
