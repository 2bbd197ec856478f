"""Who may see which shop outside of a store's own admin, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Moment


class Account(Base):
    """A merchant, known by an e-mail address that was proved by a link sent there."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)  #: lower-case
    created_at: Mapped[datetime] = mapped_column(Moment)


class Membership(Base):
    """An account's right to a shop, gained by proving the rights to its store."""

    __tablename__ = "memberships"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False, index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)


class SignInLink(Base):
    """A link that signs in once: sent to an e-mail address, or printed for the operator."""

    __tablename__ = "sign_in_links"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    email: Mapped[str | None] = mapped_column(Text)  #: of a merchant's link
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"), index=True)  #: of an operator's link
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Moment)


class SpentLink(Base):
    """A signed link of a WordPress plugin that was used; kept until it would have run out."""

    __tablename__ = "spent_links"

    key: Mapped[str] = mapped_column(Text, primary_key=True)  #: ``<kid>:<jti>``
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)


class SignIn(Base):
    """A session: somebody at a browser. Its cookie holds a token of which the hash is here."""

    __tablename__ = "sign_ins"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    token_hash: Mapped[str] = mapped_column(Text, unique=True)
    actor: Mapped[str] = mapped_column(Text)  #: ``account:<id>``, ``wordpress:<user id>``, ``operator``
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    shop_id: Mapped[int | None] = mapped_column(
        ForeignKey("shops.id"), index=True
    )  #: where the session is for one shop
    created_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)  #: the absolute limit
    ended_at: Mapped[datetime | None] = mapped_column(Moment)


class AuditEntry(Base):
    """One thing that somebody changed or opened. Secrets stand here as set or not set."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_shop", "shop_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    #: ``account:<id>``, ``wordpress:<user id>``, ``shopify:<staff id>``, ``operator``, ``tillwire``, or the platform
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)  #: verb first: ``connect``, ``open pages``, ``rotate keys``
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(Moment)
