"""Delivery page: one delivery with its attempts, and what a person may do to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import DeliveryState, Destination, Event, Ledger
from app.services import attempts
from app.services.cover import Cover
from app.services.delivery_list import one
from app.services.packing import unpack
from app.services.replay import FINISHED, counted_twice, overtaken
from app.services.timeline import Sent, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    sent: Sent
    order: str | None  #: the platform's id, of a delivery about an order
    number: str | None  #: on the receipt
    kind: str | None  #: of its event
    occurred_at: datetime  #: of its event, in the store
    created_at: datetime
    mode: str | None  #: of its destination
    finished: bool  #: it may be sent again
    unknown: bool  #: somebody has to look it up
    twice: bool  #: the provider might count a second one
    overtaken: bool  #: the provider has a newer state of the order


def delivery_view(session: Session, shop_id: int, delivery_id: int) -> DeliveryView:
    """
    Raises:
        NotFound: this shop has no such delivery.
    """
    delivery = one(session, shop_id, delivery_id)
    event = session.get_one(Event, delivery.event_id)
    destination = session.get(Destination, delivery.destination_id)
    wanted = select(Ledger).where(Ledger.shop_id == shop_id, Ledger.kind == "order", Ledger.key == delivery.subject)
    ledger = session.scalar(wanted)
    cover = Cover.of(unpack(event.facts) if event.facts else {})
    tries = attempts.tries(session, [delivery.id], cover).get(delivery.id, [])
    return DeliveryView(
        sent=describe(delivery, destination, tries, cover),
        order=ledger.key if ledger else None,
        number=ledger.number if ledger else None,
        kind=event.kind,
        occurred_at=event.occurred_at,
        created_at=delivery.created_at,
        mode=destination.mode if destination else None,
        finished=delivery.state in FINISHED,
        unknown=delivery.state == DeliveryState.UNKNOWN,
        twice=bool(counted_twice(session, [delivery])),
        overtaken=delivery.id in overtaken(session, [delivery]),
    )
