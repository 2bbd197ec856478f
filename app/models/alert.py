"""Alerts: who is told by mail that a store needs somebody, and what they were told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Moment

_ONGOING_SQL = "over_at IS NULL"


class AlertLink(Base):
    """A mailed link by which whoever reads the mail of an address agrees to get a shop's alerts."""

    __tablename__ = "alert_links"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), index=True)
    email: Mapped[str] = mapped_column(Text)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Moment)


class AlertAddress(Base):
    """Where a shop's alerts go. The row is there only once the address was confirmed."""

    __tablename__ = "alert_addresses"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    email: Mapped[str] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)  #: of the page on which it was confirmed
    confirmed_at: Mapped[datetime] = mapped_column(Moment)
    due_at: Mapped[datetime] = mapped_column(Moment, index=True)  #: when the shop is looked at next
    mailed_at: Mapped[datetime | None] = mapped_column(Moment)  #: the last mail that the mail server took
    failed_at: Mapped[datetime | None] = mapped_column(Moment)  #: the last one that it did not, if none was since


class Alert(Base):
    """One episode of a condition, from when it was first seen until it was gone for a while."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "ix_alerts_ongoing",
            "shop_id",
            "kind",
            "about",
            unique=True,
            sqlite_where=text(_ONGOING_SQL),
            postgresql_where=text(_ONGOING_SQL),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), index=True)
    kind: Mapped[str] = mapped_column(Text)  #: as `app.services.causes.Cause`
    about: Mapped[str] = mapped_column(Text)  #: the provider, or empty
    began_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)  #: when it was there last
    told_at: Mapped[datetime | None] = mapped_column(Moment)  #: when a mail told of it last
    over_at: Mapped[datetime | None] = mapped_column(Moment)
    over_told_at: Mapped[datetime | None] = mapped_column(Moment)
