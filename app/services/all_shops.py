"""All shops, for the operator: which of them need somebody. No personal data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import Connection, Delivery, DeliveryState, Destination, Shop, Webhook
from app.services.causes import ENOUGH
from app.services.overview import oldest_waiting

PAGE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    shop_id: int
    platform: str
    domain: str
    state: str | None  #: of the connection; None: added by hand
    held: int  #: destinations that wait for the merchant
    dead: int  #: deliveries that a person has to decide about, `ENOUGH` at most
    oldest: datetime | None  #: since when the delivery that waits longest has waited
    heard_at: datetime | None  #: when the store told us something last


def page(session: Session, *, after: int = 0) -> tuple[list[Health], int | None]:
    """One page, by id.

    Args:
        after: the id of the last shop of the page before.
    Returns: the shops, and the id to go on from; None where there are no more.
    """
    wanted = select(Shop, Connection.state).outerjoin(Connection, Connection.shop_id == Shop.id)
    mine = (Shop.removed_at.is_(None), Shop.id > after)
    rows = session.execute(wanted.where(*mine).order_by(Shop.id).limit(PAGE + 1)).all()
    held = _held(session, [shop.id for shop, _ in rows])
    found = [
        Health(
            shop_id=shop.id,
            platform=shop.platform,
            domain=shop.domain,
            state=state,
            held=held.get(shop.id, 0),
            dead=_dead(session, shop.id),
            oldest=oldest_waiting(session, shop.id),
            heard_at=_heard_at(session, shop.id),
        )
        for shop, state in rows[:PAGE]
    ]
    return found, found[-1].shop_id if len(rows) > PAGE else None


def _held(session: Session, shop_ids: list[int]) -> dict[int, int]:
    wanted = select(Destination.shop_id, func.count()).where(
        Destination.shop_id.in_(shop_ids), Destination.held.is_not(None)
    )
    return {row[0]: row[1] for row in session.execute(wanted.group_by(Destination.shop_id))}


def _dead(session: Session, shop_id: int) -> int:
    mine = (Delivery.shop_id == shop_id, Delivery.state == DeliveryState.DEAD)
    some = select(Delivery.id).where(*mine).limit(ENOUGH).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _heard_at(session: Session, shop_id: int) -> datetime | None:
    newest = select(Webhook.received_at).where(Webhook.shop_id == shop_id).order_by(Webhook.id.desc()).limit(1)
    return session.scalar(newest)
