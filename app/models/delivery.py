"""The duty to bring one event to one destination, and each try of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from app.db import Base, BigId, Moment


class DeliveryState(StrEnum):
    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    HELD = "held"
    DEAD = "dead"
    SHADOW = "shadow"
    UNKNOWN = "unknown"


#: States in which a worker may claim a delivery.
CLAIMABLE = (DeliveryState.PENDING, DeliveryState.RETRYING)
#: States in which something is still to be done; later deliveries of the same order wait for these.
OPEN = (*CLAIMABLE, DeliveryState.HELD)
_OPEN_SQL = "state IN ('pending', 'retrying', 'held')"
_DUE_SQL = "state IN ('pending', 'retrying')"
_LEASED_SQL = "leased_until IS NOT NULL"


def among(column: ColumnElement[str] | InstrumentedAttribute[str], states: tuple[StrEnum, ...]) -> ColumnElement[bool]:
    """``column IN (...)`` with the states written out: SQLite takes a partial index only where it can read that."""
    return column.in_([literal_column(f"'{state}'") for state in states])


class Delivery(Base):
    """One event for one destination and action."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("event_id", "destination_id", "action"),
        Index(
            "ix_deliveries_due",
            "destination_id",
            "due_at",
            "id",
            sqlite_where=text(_DUE_SQL),
            postgresql_where=text(_DUE_SQL),
        ),
        Index(
            "ix_deliveries_open",
            "destination_id",
            "lane",
            "id",
            sqlite_where=text(_OPEN_SQL),
            postgresql_where=text(_OPEN_SQL),
        ),
        Index(
            "ix_deliveries_leased",
            "destination_id",
            sqlite_where=text(_LEASED_SQL),
            postgresql_where=text(_LEASED_SQL),
        ),
        Index(
            "ix_deliveries_provider_lane",
            "destination_id",
            "provider_lane",
            unique=True,
            sqlite_where=text(_LEASED_SQL),
            postgresql_where=text(_LEASED_SQL),
        ),
        Index("ix_deliveries_subject", "destination_id", "subject", "action", "id"),
        Index("ix_deliveries_shop", "shop_id", "id"),
        Index("ix_deliveries_state", "shop_id", "state", "id", "provider"),
        Index("ix_deliveries_day", "shop_id", "created_at", "provider", "state"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    destination_id: Mapped[int] = mapped_column(ForeignKey("destinations.id"))
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    provider: Mapped[str] = mapped_column(Text)
    rule: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)  #: the order's, cart's or checkout's id
    lane: Mapped[str | None] = mapped_column(Text)  #: the subject where order is to be kept; None where it is not
    once_key: Mapped[str | None] = mapped_column(Text, unique=True)  #: for actions that happen once per order
    state: Mapped[str] = mapped_column(Text, default=DeliveryState.PENDING)
    reason: Mapped[str | None] = mapped_column(Text)
    complaints: Mapped[list[str] | None] = mapped_column(JSON)  #: what is odd about the payload; never blocks
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(Moment)
    since: Mapped[datetime] = mapped_column(Moment)  #: start of the retry horizon; moves when a hold ends
    leased_until: Mapped[datetime | None] = mapped_column(Moment)  #: a worker is at it until then
    call_id: Mapped[int | None] = mapped_column(BigId)  #: while leased: the same for all that go out in one call
    #: Checksum of the value of the provider's lane field, as last rendered; of two alike one is leased at a time.
    provider_lane: Mapped[int | None] = mapped_column(BigId)
    singly: Mapped[bool] = mapped_column(server_default=false())  #: to go out in a call of its own
    doubt: Mapped[bool] = mapped_column(default=False)  #: an answer was lost: ask before sending again
    #: Once it was accepted, or may have been: what later deliveries must know.
    effect: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)
    delivered_at: Mapped[datetime | None] = mapped_column(Moment)


class Attempt(Base):
    """One HTTP try of a delivery. Written before the call: without an outcome, its answer is lost."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_delivery", "delivery_id", "number"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"))
    number: Mapped[int]
    purpose: Mapped[str] = mapped_column(Text, default="send")  #: send, or ask (what became of an earlier one)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)  #: zlib of the JSON sent; empty: not kept any more
    started_at: Mapped[datetime] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[str | None] = mapped_column(Text)  #: accepted, or the error's class in words; None: unfinished
    status: Mapped[int | None]  #: HTTP
    answer: Mapped[str | None] = mapped_column(Text)  #: the start of what the provider answered


class Tally(Base):
    """How many deliveries of a day came to which state, for days that are over; the chart is drawn from it."""

    __tablename__ = "tallies"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    day: Mapped[str] = mapped_column(Text, primary_key=True)  #: ISO date in the shop's zone
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int]
