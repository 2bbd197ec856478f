"""Orders: a shop's newest ones, and those that somebody looks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.orm import Session

from app.db import BigId, Moment
from app.models import Delivery, DeliveryState, Destination, Event, EventState, Ledger, Webhook, WebhookState
from app.models.event import in_state
from app.services import finding
from app.services.amounts import amount
from app.services.packing import unpack

PAGE = 50
LONGEST = 320  #: characters of the longest address that a mailbox can have
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"([0-9]{1,17})\.([0-9]{1,18})", re.ASCII)
_COUNTED = 1000  #: troubles are counted so far and no further

#: Of several deliveries of an order to one provider, the state that a merchant has to know first.
PRECEDENCE = (
    DeliveryState.DEAD,
    DeliveryState.UNKNOWN,
    DeliveryState.HELD,
    DeliveryState.RETRYING,
    DeliveryState.PENDING,
    DeliveryState.DELIVERED,
    DeliveryState.SHADOW,
    DeliveryState.SKIPPED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One order in a list; no personal data."""

    key: str  #: the platform's id
    number: str | None  #: on the receipt
    sprii: str | None
    updated_at: datetime  #: when the store told of it last
    standing: str  #: see `standing`
    test: bool
    total: Decimal | None  #: at placement
    refunded: Decimal
    currency: str | None
    providers: Mapping[str, str]  #: by the provider's name, the state that tells most


@dataclass(frozen=True, slots=True)
class Orders:
    rows: tuple[OrderRow, ...]
    older: str | None  #: the cursor of the next page


def newest(session: Session, shop_id: int, *, before: str | None = None, size: int = PAGE) -> Orders:
    """The orders that the store told of last, newest first.

    Args:
        before: ``older`` of the page before; anything else begins at the newest.
    """
    wanted = select(Ledger).where(Ledger.shop_id == shop_id, Ledger.kind == "order")
    if (key := read_cursor(before)) is not None:
        wanted = wanted.where(older_than(Ledger.updated_at, Ledger.id, key))
    wanted = wanted.order_by(Ledger.updated_at.desc(), Ledger.id.desc())
    found = session.scalars(wanted.limit(size + 1)).all()
    shown = found[:size]
    older = cursor(shown[-1].updated_at, shown[-1].id) if len(found) > size else None
    return Orders(tuple(_rows(session, shop_id, shown)), older)


def find(session: Session, shop_id: int, text: str) -> tuple[OrderRow, ...]:
    """The orders meant by what somebody typed: a number, the platform's id, Sprii's number, or the buyer's address."""
    text = text.strip()
    if not text or not text.isprintable() or len(text) > LONGEST:
        return ()
    if "@" in text:
        found = _by(session, shop_id, [Ledger.person == finding.person(shop_id, text)])
    else:
        number = text.lstrip("#").strip()
        found = _by(session, shop_id, [Ledger.number == number, Ledger.key == text, Ledger.sprii == text])
        if not found:  # receipts may carry a prefix that the number itself has not: EN1043
            runs = re.findall(r"\d+", number, re.ASCII)
            found = _by(session, shop_id, [Ledger.number == max(runs, key=len)]) if runs else []
    return tuple(_rows(session, shop_id, found))


def _by(session: Session, shop_id: int, ways: Iterable[ColumnElement[bool]]) -> list[Ledger]:
    """Each way has its own index, which one question for all of them would not use."""
    found: dict[int, Ledger] = {}
    for way in ways:
        wanted = select(Ledger).where(Ledger.shop_id == shop_id, Ledger.kind == "order", way)
        found |= {row.id: row for row in session.scalars(wanted.order_by(Ledger.id.desc()).limit(PAGE))}
    return sorted(found.values(), key=lambda row: (row.updated_at, row.id), reverse=True)[:PAGE]


def unread(session: Session, shop_id: int) -> dict[str, int]:
    """What the store told and nobody understood (yet): an order that is missing may be among it."""
    waiting = select(Webhook.id).where(in_state(WebhookState.PENDING), Webhook.shop_id == shop_id)
    failed = select(Event.id).where(Event.shop_id == shop_id, Event.state == EventState.ERROR)
    pairs = {"waiting": waiting, "failed": failed}
    return {name: len(session.scalars(wanted.limit(_COUNTED)).all()) for name, wanted in pairs.items()}


def _rows(session: Session, shop_id: int, ledgers: Sequence[Ledger]) -> list[OrderRow]:
    states = _states(session, shop_id, [each.key for each in ledgers])
    return [_row(each, states.get(each.key, {})) for each in ledgers]


def _row(ledger: Ledger, providers: Mapping[str, str]) -> OrderRow:
    state = unpack(ledger.state) if ledger.state else {}
    order = state.get("order") or {}
    return OrderRow(
        key=ledger.key,
        number=ledger.number,
        sprii=ledger.sprii,
        updated_at=ledger.updated_at,
        standing=standing(state),
        test=bool(order.get("test")),
        total=amount(order["total"]) if "total" in order else None,
        refunded=amount(order.get("refunded")),
        currency=order.get("currency"),
        providers=providers,
    )


def _states(session: Session, shop_id: int, keys: Sequence[str]) -> dict[str, dict[str, str]]:
    """By order and provider, the first of `PRECEDENCE`."""
    destinations = session.scalars(select(Destination.id).where(Destination.shop_id == shop_id)).all()
    wanted = select(Delivery.subject, Delivery.provider, Delivery.state).distinct()
    rows = session.execute(wanted.where(Delivery.destination_id.in_(destinations), Delivery.subject.in_(keys)))
    found: dict[str, dict[str, str]] = {}
    for subject, provider, state in sorted(rows, key=lambda row: PRECEDENCE.index(row.state), reverse=True):
        found.setdefault(subject or "", {})[provider] = state
    return found


def standing(state: Mapping[str, Any]) -> str:
    """Where an order is in its life, by what its ledger knows.

    One of ``unknown``, ``trashed``, ``draft``, ``refunded``, ``cancelled``, ``partly_refunded``, ``fulfilled``,
    ``paid``, ``placed``.
    """
    order = state.get("order")
    if not order:
        return "unknown"
    stages = {
        "trashed": state.get("trashed"),
        "draft": order.get("draft"),
        "refunded": order.get("refunded_in_full"),
        "cancelled": order.get("cancelled"),
        "partly_refunded": amount(order.get("refunded")) > 0,
        "fulfilled": order.get("fulfilment_status") == "full",
        "paid": order.get("paid"),
    }
    return next((name for name, holds in stages.items() if holds), "placed")


# paging by key


def cursor(at: datetime, id_: int) -> str:
    """Where a list goes on: behind this row."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}.{id_}"


def read_cursor(text: str | None) -> tuple[datetime, int] | None:
    """What `cursor` wrote; None for anything else."""
    found = _CURSOR.fullmatch(text or "")
    return (_EPOCH + timedelta(microseconds=int(found[1])), int(found[2])) if found else None


def older_than(at: Any, id_: Any, key: tuple[datetime, int]) -> ColumnElement[bool]:
    """The rows behind ``key`` in a list that is sorted by both columns, newest first."""
    return tuple_(at, id_) < tuple_(literal(key[0], Moment()), literal(key[1], BigId))
