"""What every worker has to know before it calls a provider."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, Moment


class Gate(Base):
    """Budget and circuit breaker of one destination, or of a provider whose limits are for the whole installation.

    Whoever claims deliveries of a destination holds its row locked, so one worker at a time decides what goes out.
    """

    __tablename__ = "gates"
    __table_args__ = (Index("ix_gates_destination", "destination_id"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)  #: see `app.services.gates`
    destination_id: Mapped[int | None] = mapped_column(ForeignKey("destinations.id"))  #: None: the provider's
    #: Calls made lately: length of a window in seconds, to pairs of a part of it and the calls that began in it.
    calls: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    failures: Mapped[int] = mapped_column(default=0)  #: failed calls in a row
    paused_until: Mapped[datetime | None] = mapped_column(Moment)
