"""What arrived, what is known of each order and cart, and what was understood of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Moment


class WebhookState(StrEnum):
    PENDING = "pending"  #: stored, the worker has not read it yet
    DONE = "done"
    TODO = "todo"  #: a chore (privacy request, uninstall) that waits for the part that does it


class EventState(StrEnum):
    PENDING = "pending"
    UNDERSTOOD = "understood"
    IGNORED = "ignored"
    PARKED = "parked"  #: waits: a refund for its order, an order for rights to see it, a request for its handling
    QUARANTINED = "quarantined"  #: its body names another shop
    ERROR = "error"


def in_state(state: WebhookState) -> ColumnElement[bool]:
    """That a webhook is in ``state``, written out: a partial index is only taken where a plan can read that."""
    return Webhook.state == literal_column(f"'{state}'")


class Webhook(Base):
    """One signed request, kept as bytes and headers."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index(
            "ix_webhooks_pending",
            "shop_id",
            "id",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_webhooks_todo",
            "id",
            sqlite_where=text("state = 'todo'"),
            postgresql_where=text("state = 'todo'"),
        ),
        Index("ix_webhooks_shop", "shop_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    platform: Mapped[str] = mapped_column(Text)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))  #: None until the worker resolves it
    endpoint_id: Mapped[int | None] = mapped_column(ForeignKey("endpoints.id"))
    dedup_key: Mapped[str] = mapped_column(Text, unique=True)
    topic: Mapped[str] = mapped_column(Text)
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)  #: zlib of the exact bytes; empty once retention removed it
    body_hash: Mapped[str] = mapped_column(Text)  #: SHA-256 of the exact bytes, hex
    received_at: Mapped[datetime] = mapped_column(Moment)
    state: Mapped[str] = mapped_column(Text, default=WebhookState.PENDING)


class Ledger(Base):
    """What is known of one order or cart; newer snapshots move it."""

    __tablename__ = "ledgers"
    __table_args__ = (
        UniqueConstraint("shop_id", "kind", "key"),
        Index("ix_ledgers_number", "shop_id", "number"),
        Index("ix_ledgers_sprii", "shop_id", "sprii"),
        Index("ix_ledgers_person", "shop_id", "person"),
        Index("ix_ledgers_newest", "shop_id", "kind", "updated_at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    kind: Mapped[str] = mapped_column(Text)  #: order, cart, checkout
    key: Mapped[str] = mapped_column(Text)  #: the platform's id
    number: Mapped[str | None] = mapped_column(Text)  #: on the receipt
    sprii: Mapped[str | None] = mapped_column(Text)  #: Sprii's order number
    person: Mapped[str | None] = mapped_column(Text)  #: the buyer's address as `app.services.finding.person` keeps it
    state: Mapped[bytes] = mapped_column(LargeBinary)  #: zlib of JSON; see app.services.ledger
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Event(Base):
    """One change of a ledger or a cart, or what became of a webhook that changed nothing."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("shop_id", "dedup_key"),
        Index("ix_events_subject", "shop_id", "subject", "id"),
        Index("ix_events_webhook", "webhook_id"),
        Index("ix_events_state", "shop_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id"))
    kind: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)  #: the order's, cart's or checkout's id on the platform
    dedup_key: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(Moment)
    received_at: Mapped[datetime] = mapped_column(Moment)  #: its webhook's
    state: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)  #: the reason, for every state but understood
    facts: Mapped[bytes | None] = mapped_column(LargeBinary)  #: zlib of JSON

    def __repr__(self) -> str:
        return f"Event({self.id}, {self.kind}, {self.state})"


class Pruning(Base):
    """How far retention went through a shop's rows: all below was looked at in this round."""

    __tablename__ = "prunings"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    webhook_id: Mapped[int] = mapped_column(BigId)
    delivery_id: Mapped[int] = mapped_column(BigId)
    round_at: Mapped[datetime] = mapped_column(Moment)  #: when the round began
    due_at: Mapped[datetime] = mapped_column(Moment, index=True)


class HourlyAnswers(Base):
    """What we answered a store's webhooks within an hour; a process that dies loses some seconds of it."""

    __tablename__ = "hourly_answers"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    hour: Mapped[str] = mapped_column(Text, primary_key=True)  #: UTC: ``2026-11-21T08``
    topic: Mapped[str] = mapped_column(Text, primary_key=True)
    result: Mapped[str] = mapped_column(Text, primary_key=True)  #: stored, duplicate, ignored, ping, unproven
    number: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(Moment)
