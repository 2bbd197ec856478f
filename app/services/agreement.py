"""Whether the ledger knows an order as its store shows it; what the answer rests on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Ledger, Shop, Webhook, WebhookState
from app.services.asked import RECONCILED, RECONCILIATION
from app.services.erase_late import is_late
from app.services.observe import names_of
from app.services.packing import unpack
from connectors.base import Fetched
from connectors.errors import Unreadable
from connectors.events import OrderGone, OrderSeen, facts, time_text
from connectors.registry import CONNECTORS

log = logging.getLogger(__name__)

#: What is compared where a store tells an order in other words than its webhooks do.
_STATE = (
    "status",
    "financial_status",
    "fulfilment_status",
    "paid",
    "cancelled",
    "total",
    "current_total",
    "attributes",
)

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """How one store is asked for its orders."""

    #: Orders changed since a time, in pages, the oldest change first. Raises `Failed`, with what the merchant can do.
    fetch: Callable[[datetime], Generator[list[Fetched], None, None]]
    whole: bool  #: it tells an order exactly as its webhooks do
    overlap: timedelta  #: by how much a walk begins before the end of the last one
    reach: timedelta | None = None  #: how far back it can be asked
    partial: bool = False  #: it hides a part of every order
    #: Adds to a body what the store did not tell and the ledger's facts of that order know.
    fill: Callable[[bytes, Facts], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be remembered of an order that a store showed."""

    order_id: str
    key: str  #: of its row
    changed_at: str  #: UTC text, as in facts
    outline: str | None  #: None: gone
    webhook_id: int = 0  #: once it is stored


def filled(source: Source, fetched: Fetched, state: Facts | None) -> Fetched:
    """``fetched`` with what the store did not tell and the ledger knows."""
    known = (state or {}).get("order")
    return replace(fetched, body=source.fill(fetched.body, known)) if source.fill and known else fetched


def read(shop: Shop, source: Source, fetched: Fetched) -> Shown:
    """The order's outline. What cannot be read takes the way of a webhook that cannot be read."""
    outline: str | None = ""
    try:
        connector = CONNECTORS[shop.platform]
        seen = connector.observe(fetched.topic, RECONCILIATION, fetched.body, names_of(shop)).seen
        if isinstance(seen, OrderSeen):
            outline = _outline(facts(seen.order), whole=source.whole)
        elif isinstance(seen, OrderGone):
            outline = None
    except Unreadable:
        pass
    except Exception:  # a bug of ours: the clerk meets it too, and shows it as that order's event
        log.exception("an order of shop %d could not be read", shop.id, extra={"shop": shop.id})
    changed_at = time_text(fetched.changed_at) if fetched.changed_at else ""
    kind = changed_at if outline is None else hashlib.sha256(fetched.body).hexdigest()
    key = f"{RECONCILED}{shop.id}:{fetched.order_id}:{kind}"
    return Shown(fetched.order_id, key, changed_at, outline)


def _outline(order: Facts, *, whole: bool) -> str:
    """A digest of what must be equal where ledger and store agree.

    Refunds are told by id and amount alone: their lines come from another question.
    """
    shown = {name: value for name, value in order.items() if name != "refunds"} if whole else _essence(order)
    refunds = [[refund["id"], refund["amount"]] for refund in order.get("refunds", [])]
    return hashlib.sha256(json.dumps([shown, refunds], sort_keys=True).encode()).hexdigest()


def _essence(order: Facts) -> Facts:
    lines = [[line["line_id"], line["quantity"]] for line in order.get("lines", []) if line["kind"] == "product"]
    return {**{name: order.get(name) for name in _STATE}, "lines": sorted(lines)}


def agree(source: Source, state: Facts | None, order: Shown) -> bool:
    """Whether the ledger knows the order in this state or a later one."""
    if order.outline is None:
        return bool(state and state.get("trashed"))
    known = (state or {}).get("order")
    if state is None or known is None:
        return False
    if is_late(state, order.changed_at) and order.changed_at <= known.get("updated_at", ""):
        return True  # known without its person, whom the store may still show
    if known.get("updated_at", "") != order.changed_at:
        return bool(known.get("updated_at", "") > order.changed_at)
    return bool(state.get("trashed")) or _outline(known, whole=source.whole) == order.outline


def ledgers(session: Session, shop_id: int, orders: Sequence[str]) -> dict[str, Facts]:
    wanted = select(Ledger.key, Ledger.state).where(
        Ledger.shop_id == shop_id, Ledger.kind == "order", Ledger.key.in_(orders)
    )
    return {key: unpack(state) for key, state in session.execute(wanted) if state}


def trouble(session: Session, webhooks: Sequence[int]) -> dict[int, str]:
    """Why rows came to nothing: not read, not understood, another shop's, or seen in part."""
    waiting = select(Webhook.id).where(Webhook.id.in_(webhooks), Webhook.state == WebhookState.PENDING)
    found = dict.fromkeys(session.scalars(waiting), "stored, but no worker has read it yet")
    wrong = select(Event.webhook_id, Event.state, Event.error).where(
        Event.webhook_id.in_(webhooks), Event.state.in_((EventState.ERROR, EventState.QUARANTINED, EventState.PARKED))
    )
    return found | {row: f"{state}: {error}" for row, state, error in session.execute(wrong)}


def parts(values: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    """In pieces that any database takes into one ``IN``."""
    return (values[start : start + size] for start in range(0, len(values), size))
