"""Addresses for alerts: confirmed by a mailed link, stopped by a person at the settings or by a link in each mail."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from app.models import Alert, AlertAddress, AlertLink, Shop
from app.services import accounts, audit
from app.services.errors import Wrong
from app.services.said import mark
from app.services.sign_in import fingerprint

LINK_LIFETIME = timedelta(days=1)
MOST_ASKED = 5  #: links of a shop in `LINK_LIFETIME`: how many mails to strangers it can cause
KEPT = timedelta(days=90)  #: episodes that are over
BY_MAIL = "mail"  #: as an actor: whoever reads the mail of the address
_OFF, _ON, _ASKED = "off", "on", "waits for confirmation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the alerts of a shop stand."""

    email: str | None  #: confirmed
    asked: str | None  #: waits for its owner to open the link
    mailed_at: datetime | None
    failed_at: datetime | None  #: the mail server took no mail since


def standing(session: Session, shop_id: int, now: datetime) -> Standing:
    row = session.get(AlertAddress, shop_id)
    return Standing(
        email=row.email if row else None,
        asked=session.scalar(
            select(AlertLink.email).where(*_open(shop_id, now)).order_by(AlertLink.id.desc()).limit(1)
        ),
        mailed_at=row.mailed_at if row else None,
        failed_at=row.failed_at if row else None,
    )


def ask(session: Session, shop_id: int, given: str, actor: str, now: datetime) -> tuple[str, str]:
    """Begin to send alerts to an address, once whoever reads its mail agrees; until then all stays as it is.

    Returns: the address as it is written to, and the token of the link.
    Raises:
        Wrong: it is no address, gets the alerts already, or too many were asked.
    """
    email = accounts.read_email(given)
    before = standing(session, shop_id, now)
    if email == before.email:
        raise Wrong(mark("Alerts go to this address already. Nothing was changed."))
    lately = (AlertLink.shop_id == shop_id, AlertLink.created_at > now - LINK_LIFETIME)
    if (session.scalar(select(func.count()).where(*lately)) or 0) >= MOST_ASKED:
        raise Wrong(
            mark("Five addresses were asked today. Nothing was changed. Look into their mail, or try again tomorrow.")
        )
    _end_links(session, shop_id, now)
    token = secrets.token_urlsafe(32)
    link = AlertLink(shop_id=shop_id, email=email, token_hash=fingerprint(token), created_at=now)
    link.expires_at = now + LINK_LIFETIME
    session.add(link)
    _record(session, shop_id, actor, "ask for alerts", _word(before), _ASKED)
    return email, token


def confirm(session: Session, token: str, now: datetime, language: str | None = None) -> str:
    """Use up a link: alerts go to its address from now on; return the store's domain.

    Args:
        language: of the mails; None for English.
    Raises:
        Wrong: the link was used, ran out, or is none of ours; which of these, nobody is told.
    """
    used = (
        update(AlertLink)
        .where(AlertLink.token_hash == fingerprint(token), AlertLink.used_at.is_(None), AlertLink.expires_at > now)
        .values(used_at=now)
        .returning(AlertLink.shop_id, AlertLink.email)
        .execution_options(synchronize_session=False)
    )
    row = session.execute(used).one_or_none()
    shop = session.get(Shop, row.shop_id) if row else None
    if row is None or shop is None or shop.removed_at is not None:
        raise Wrong(
            mark("This link was used already, or is too old. Nothing was changed. Ask for a new one in the settings.")
        )
    before = _word(standing(session, shop.id, now))
    _forget(session, shop.id, now)
    session.add(AlertAddress(shop_id=shop.id, email=row.email, language=language, confirmed_at=now, due_at=now))
    _record(session, shop.id, BY_MAIL, "confirm alerts", before, _ON)
    return shop.domain


def stop(session: Session, shop_id: int, actor: str, now: datetime) -> None:
    """Send no more alerts, and end the links that were not opened; harmless where there are none."""
    before = standing(session, shop_id, now)
    _end_links(session, shop_id, now)
    _forget(session, shop_id, now)
    if before.email or before.asked:
        _record(session, shop_id, actor, "stop alerts", _word(before), _OFF)


def _forget(session: Session, shop_id: int, now: datetime) -> None:
    """What was told to one address is not gone on with to another."""
    session.execute(delete(AlertAddress).where(AlertAddress.shop_id == shop_id))
    ongoing = update(Alert).where(Alert.shop_id == shop_id, Alert.over_told_at.is_(None))
    over = {"over_at": func.coalesce(Alert.over_at, now), "over_told_at": now}
    session.execute(ongoing.values(over).execution_options(synchronize_session=False))


def _end_links(session: Session, shop_id: int, now: datetime) -> None:
    ended = update(AlertLink).where(*_open(shop_id, now)).values(used_at=now)
    session.execute(ended.execution_options(synchronize_session=False))


def _open(shop_id: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (AlertLink.shop_id == shop_id, AlertLink.used_at.is_(None), AlertLink.expires_at > now)


def _word(found: Standing) -> str:
    if found.email:
        return _ON
    return _ASKED if found.asked else _OFF


def _record(session: Session, shop_id: int, actor: str, action: str, before: str, after: str) -> None:
    """Addresses are personal data, so the trail says only how things stand."""
    change = {"before": {"alerts": before}, "after": {"alerts": after}}
    audit.record(session, shop_id=shop_id, actor=actor, action=action, **change)


def purge(session: Session, now: datetime) -> None:
    """Delete links that ran out, and what was over long ago."""
    for stale in (
        delete(AlertLink).where(AlertLink.expires_at < now - LINK_LIFETIME),
        delete(Alert).where(Alert.over_at < now - KEPT),
    ):
        session.execute(stale.execution_options(synchronize_session=False))


class StopLinks:
    """Signed links that stop a shop's alerts to one address; good as long as they go there. Nothing is stored."""

    def __init__(self, key: str) -> None:
        self._signer = URLSafeSerializer(key, salt="stop alerts")

    def token(self, shop_id: int, email: str) -> str:
        return str(self._signer.dumps([shop_id, fingerprint(email)]))

    def use(self, session: Session, token: str, now: datetime) -> None:
        """Stop them; harmless where they were stopped before, or go elsewhere by now.

        Raises:
            Wrong: it is none of our links.
        """
        try:
            shop_id, marked = self._signer.loads(token)
        except BadSignature:
            raise Wrong(mark("This link is not complete. Nothing was changed. Open it from the mail again.")) from None
        row = session.get(AlertAddress, shop_id)
        if row is not None and fingerprint(row.email) == marked:
            stop(session, shop_id, BY_MAIL, now)
