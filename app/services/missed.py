"""Missed: events whose deliveries could not be worked out when they came, made up for once that is mended."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.models import Destination, Mode, Shop
from app.services.holds import hold
from app.services.route import LOCKED, Router, why

_BEHIND = (Destination.missed_from.is_not(None), Destination.held.is_(None), Destination.mode != Mode.OFF)


def catch_up(db: Database, router: Router) -> bool:
    """Make up for some of what each destination missed; return whether more is left.

    A transaction each, and none of them long: on SQLite no webhook is stored meanwhile.
    """
    with db.read() as session:
        behind = session.scalars(select(Destination.id).where(*_BEHIND).order_by(Destination.id)).all()
    return sum(_go_on(db, router, each) for each in behind) > 0


def _go_on(db: Database, router: Router, destination_id: int) -> bool:
    with db.write() as session:
        destination = session.scalar(LOCKED.where(Destination.id == destination_id, *_BEHIND))
        shop = session.get(Shop, destination.shop_id) if destination is not None else None
        if destination is None or shop is None:
            return False
        try:
            return not router.make_up(session, destination, shop)
        except SQLAlchemyError:
            raise
        except Exception as error:
            hold(session, destination.id, why(error), datetime.now(UTC))
            return False
