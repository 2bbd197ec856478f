"""How far a shop is, for its page: how its store is reached, what came last, and what is still to be set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.models import (
    Connection,
    ConnectionState,
    Delivery,
    DeliveryState,
    Destination,
    Event,
    EventState,
    Ledger,
    Mode,
    Shop,
    Webhook,
)


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    done: bool | None  #: None: we cannot see it from here


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One thing that the store tells us of, as the last check found it."""

    name: str
    state: str
    why: str | None
    last_at: datetime | None  #: when it came last, as far as that was looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreView:
    shop_id: int
    platform: str
    domain: str
    url: str | None
    state: str | None  #: `ConnectionState`; None: added by hand, we have no keys to it
    trouble: str | None
    checked_at: datetime | None
    reconciled_to: datetime | None
    report: Mapping[str, Any]
    arrived_at: datetime | None  #: when the last webhook came
    arrived: str | None  #: its topic
    understood: str | None  #: the last event: ``order.paid``
    steps: tuple[Step, ...]


def states(session: Session, shops: list[Shop]) -> dict[int, str | None]:
    """The state of each shop's connection."""
    wanted = select(Connection.shop_id, Connection.state).where(Connection.shop_id.in_([each.id for each in shops]))
    found = {row.shop_id: row.state for row in session.execute(wanted)}
    return {each.id: found.get(each.id) for each in shops}


def store_view(session: Session, shop: Shop) -> StoreView:
    connection = session.get(Connection, shop.id)
    last = session.execute(_newest(Webhook.received_at, Webhook.topic, table=Webhook, shop_id=shop.id)).one_or_none()
    arrived_at, arrived = last or (None, None)
    return StoreView(
        shop_id=shop.id,
        platform=shop.platform,
        domain=shop.domain,
        url=shop.url,
        state=connection.state if connection else None,
        trouble=(connection.trouble if connection else None) or shop.trouble,
        checked_at=connection.checked_at if connection else None,
        reconciled_to=connection.reconciled_to if connection else None,
        report=(connection.report if connection else None) or {},
        arrived_at=arrived_at,
        arrived=arrived,
        understood=session.scalar(
            _newest(Event.kind, table=Event, shop_id=shop.id).where(Event.state == EventState.UNDERSTOOD)
        ),
        steps=_steps(session, shop.id, connection, arrives=arrived_at is not None),
    )


def topics(report: Mapping[str, Any]) -> list[Topic]:
    """What the platform's check left in a connection's report."""
    return [
        Topic(name=name, state=found["state"], why=found.get("why"), last_at=_moment(found.get("last_event_at")))
        for name, found in report.get("topics", {}).items()
    ]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _steps(session: Session, shop_id: int, connection: Connection | None, *, arrives: bool) -> tuple[Step, ...]:
    """In the order in which a merchant takes them."""
    on = exists().where(Destination.shop_id == shop_id, Destination.mode == Mode.LIVE)
    marked = exists().where(Ledger.shop_id == shop_id, Ledger.sprii.is_not(None))
    delivered = exists().where(Delivery.shop_id == shop_id, Delivery.state == DeliveryState.DELIVERED)
    return (
        Step("connected", connection.state == ConnectionState.CONNECTED if connection else arrives),
        Step("arriving", arrives),
        Step("storefront", bool(session.scalar(select(marked))) or None),  # a shop without live sales has none
        Step("provider", bool(session.scalar(select(on)))),
        Step("delivered", bool(session.scalar(select(delivered)))),
    )


def _newest(*columns: Any, table: Any, shop_id: int) -> Any:
    return select(*columns).where(table.shop_id == shop_id).order_by(table.id.desc()).limit(1)
