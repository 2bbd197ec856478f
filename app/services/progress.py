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
        trouble=trouble_of(session, shop),
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


def trouble_of(session: Session, shop: Shop) -> str | None:
    """What is wrong with the connection, or with its orders, or what the store's own webhooks complain of."""
    connection = session.get(Connection, shop.id)
    return (connection and (connection.trouble or connection.reconcile_trouble)) or shop.trouble


def _steps(session: Session, shop_id: int, connection: Connection | None, *, arrives: bool) -> tuple[Step, ...]:
    """In the order in which a merchant takes them."""
    on = exists().where(Destination.shop_id == shop_id, Destination.mode == Mode.LIVE)
    # In an order, so that an index is taken: where most shops have such a row, a plan would look through the table.
    marked = select(Ledger.id).where(Ledger.shop_id == shop_id, Ledger.sprii.is_not(None)).order_by(Ledger.sprii)
    done = (Delivery.shop_id == shop_id, Delivery.state == DeliveryState.DELIVERED)
    delivered = select(Delivery.id).where(*done).order_by(Delivery.id)
    return (
        Step("connected", connection.state == ConnectionState.CONNECTED if connection else arrives),
        Step("arriving", arrives),
        Step("storefront", session.scalar(marked.limit(1)) is not None or None),  # a shop without live sales has none
        Step("provider", bool(session.scalar(select(on)))),
        Step("delivered", session.scalar(delivered.limit(1)) is not None),
    )


def _newest(*columns: Any, table: Any, shop_id: int) -> Any:
    return select(*columns).where(table.shop_id == shop_id).order_by(table.id.desc()).limit(1)
