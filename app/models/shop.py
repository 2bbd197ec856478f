"""Who our merchants are, where their webhooks arrive, and where their events go."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, BigId, Moment


class Mode(StrEnum):
    OFF = "off"
    SHADOW = "shadow"  #: payloads are built and checked, nothing is sent
    LIVE = "live"


class Shop(Base):
    """One merchant's installed store."""

    __tablename__ = "shops"
    __table_args__ = (UniqueConstraint("platform", "domain"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    platform: Mapped[str] = mapped_column(Text)
    domain: Mapped[str] = mapped_column(Text)  #: shopify: x.myshopify.com; woocommerce: host and path
    url: Mapped[str | None] = mapped_column(Text)
    external_id: Mapped[str | None] = mapped_column(Text)  #: the platform's own id; binds bodies to this shop
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  #: attribute names and the like
    trouble: Mapped[str | None] = mapped_column(Text)  #: what the store's own webhooks complain of
    created_at: Mapped[datetime] = mapped_column(Moment)
    removed_at: Mapped[datetime | None] = mapped_column(Moment)
    #: When a backup was last put back: of what happened before, more may have been sent than the database knows.
    restored_at: Mapped[datetime | None] = mapped_column(Moment)


class Endpoint(Base):
    """Where one WooCommerce webhook arrives: its own token, topic and secret."""

    __tablename__ = "endpoints"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), index=True)
    token: Mapped[str] = mapped_column(Text, unique=True)
    topic: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(Text)  #: encrypted
    remote_id: Mapped[str | None] = mapped_column(Text)  #: the webhook's id in the store, where we made it there
    created_at: Mapped[datetime] = mapped_column(Moment)
    retired_at: Mapped[datetime | None] = mapped_column(Moment)  #: replaced or disconnected; what comes late is taken


class Destination(Base):
    """One shop's provider: credentials, options, on or off."""

    __tablename__ = "destinations"
    __table_args__ = (UniqueConstraint("shop_id", "provider"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    provider: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text, default=Mode.OFF)
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    secrets: Mapped[str | None] = mapped_column(Text)  #: encrypted JSON
    held: Mapped[str | None] = mapped_column(Text)  #: why nothing is sent until the merchant mends something
    probe_at: Mapped[datetime | None] = mapped_column(Moment)  #: while held: when it is tried again
    missed_from: Mapped[int | None] = mapped_column(BigId)  #: first event whose deliveries could not be worked out
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class MappingVersion(Base):
    """A merchant's own mapping for a provider; the highest version counts, an empty text means the default."""

    __tablename__ = "mapping_versions"
    __table_args__ = (UniqueConstraint("shop_id", "provider", "version"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    provider: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)  #: who saved it, as in the audit trail
    created_at: Mapped[datetime] = mapped_column(Moment)
