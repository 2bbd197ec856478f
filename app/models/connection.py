"""How a shop's store is reached, and how it got here."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Moment


class ConnectionState(StrEnum):
    UNPROVEN = "unproven"  #: keys are here, no call with them succeeded yet
    CONNECTED = "connected"
    ATTENTION = "attention"  #: the merchant must mend something; `Connection.trouble` says what
    REOPEN = "reopen"  #: Shopify: works again once the merchant opens the app in the admin
    ENDED = "ended"  #: uninstalled or disconnected; no keys are kept


class Connection(Base):
    """One shop's keys to its store, and what is known of them. A shop added by hand has none.

    A refresh or a check is claimed by a lease in a short transaction and runs with none open: SQLite has one writer,
    and a webhook must never wait for a store's answer.
    """

    __tablename__ = "connections"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(Text)
    trouble: Mapped[str | None] = mapped_column(Text)  #: what happened, whether data is safe, what to do; for people
    trouble_code: Mapped[str | None] = mapped_column(Text)  #: which one it is, where what follows depends on it
    #: Encrypted JSON. shopify: access_token, refresh_token; woocommerce: consumer_key, consumer_secret.
    secrets: Mapped[str | None] = mapped_column(Text)
    auth: Mapped[str | None] = mapped_column(Text)  #: woocommerce: basic or query, as found by trying
    scopes: Mapped[list[str]] = mapped_column(JSON, default=list)  #: granted, as the store said
    generation: Mapped[int] = mapped_column(default=1)  #: raised by every install: what began before it writes nothing
    expires_at: Mapped[datetime | None] = mapped_column(Moment)  #: of the access token
    refresh_expires_at: Mapped[datetime | None] = mapped_column(Moment)  #: of the refresh token
    refreshing_until: Mapped[datetime | None] = mapped_column(Moment)  #: somebody is at it until then
    installed_at: Mapped[datetime] = mapped_column(Moment)
    opened_at: Mapped[datetime | None] = mapped_column(Moment)  #: Shopify vouched for staff, so it was installed then
    ended_at: Mapped[datetime | None] = mapped_column(Moment)  #: Shopify: of the last uninstall, also after an install
    check_at: Mapped[datetime | None] = mapped_column(Moment, index=True)  #: when the next health check is due
    checked_at: Mapped[datetime | None] = mapped_column(Moment)
    report: Mapped[dict[str, Any] | None] = mapped_column(JSON)  #: what the last check found, per topic
    reconcile_at: Mapped[datetime | None] = mapped_column(Moment, index=True)  #: when the next reconciliation is due
    reconciled_to: Mapped[datetime | None] = mapped_column(Moment)  #: by the store's clock: all until then was seen
    reconcile_trouble: Mapped[str | None] = mapped_column(Text)  #: why its orders could not be compared the last time


class ConnectAttempt(Base):
    """One walk of a merchant to a store and back: an unguessable state, bound to who began it and to one address."""

    __tablename__ = "connect_attempts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    state_hash: Mapped[str] = mapped_column(Text, unique=True)  #: SHA-256 of the state; the state itself is not kept
    platform: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)  #: the store's, as checked; never taken from what comes back
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)  #: who began it
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    #: Encrypted JSON: the keys as the store sent them, until they are proved.
    secrets: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[datetime | None] = mapped_column(Moment)  #: when the store's callback brought the keys
    prove_at: Mapped[datetime | None] = mapped_column(Moment)  #: when a store that did not answer is asked again
    finished_at: Mapped[datetime | None] = mapped_column(Moment)  #: proved, refused or given up; used up in any case
    error: Mapped[str | None] = mapped_column(Text)  #: why it came to nothing, for the merchant
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"), index=True)  #: what it led to


class LinkKey(Base):
    """The key with which a store's WordPress plugin signs its one-minute sign-in links."""

    __tablename__ = "link_keys"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)  #: the ``kid`` of the links
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), index=True)
    secret: Mapped[str] = mapped_column(Text)  #: encrypted
    created_at: Mapped[datetime] = mapped_column(Moment)
    retired_at: Mapped[datetime | None] = mapped_column(Moment)


class Receipt(Base):
    """That a privacy request was carried out: what kind, when, how many rows. No personal data, and no foreign key:
    it outlives its shop."""

    __tablename__ = "receipts"
    __table_args__ = (Index("ix_receipts_shop", "shop_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int | None] = mapped_column(BigId)
    kind: Mapped[str] = mapped_column(Text)  #: customer_erased, shop_erased, shop_kept, data_request
    #: What was asked for, once: ``webhook:`` and the dedup key of a compliance request, or ``command:`` and a UUID.
    dedup_key: Mapped[str] = mapped_column(Text, unique=True)
    requested_at: Mapped[datetime] = mapped_column(Moment)
    done_at: Mapped[datetime] = mapped_column(Moment)
    counts: Mapped[dict[str, int]] = mapped_column(JSON)  #: rows touched, by table


class Export(Base):
    """The file that answers a customer's data request; for the merchant to fetch and hand over, then deleted."""

    __tablename__ = "exports"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), index=True)
    dedup_key: Mapped[str] = mapped_column(Text, unique=True)
    content: Mapped[str] = mapped_column(Text)  #: encrypted JSON
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    fetched_at: Mapped[datetime | None] = mapped_column(Moment)
