"""Causes: what is wrong at a shop, and needs somebody; for its first page and for mails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import (
    Connection,
    Delivery,
    DeliveryState,
    Destination,
    Event,
    EventState,
    Mode,
    Webhook,
    WebhookState,
)
from app.models.delivery import CLAIMABLE
from app.models.event import in_state
from app.services import data_request, tally
from app.services.asked import RECONCILED

ENOUGH = 1000  #: so many are counted; beyond that "or more" says all that anybody needs
LATELY = timedelta(days=tally.DAYS)  #: what was left alone for longer was left on purpose
SLOW = timedelta(minutes=10)  #: what waits to be read for longer shows that nobody works
LATE = timedelta(hours=2)  #: what a provider could not take for longer
DAY = timedelta(days=1)
REMOVED = "removed"  #: the store's people took the app away; its pages are closed
_LOOKED_AT = 200  #: of the newest webhooks, or the oldest deliveries that wait
_STUCK = (DeliveryState.DEAD, DeliveryState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something wrong.

    Attributes:
        kind: ``removed``, ``connection``, ``silent``, ``held``, ``late``, ``dead``, ``unknown``, ``unread``,
            ``stalled``, ``asked``.
        provider: whose deliveries it is about, where it is about one's.
        said: in the words of whoever found it: what happened and what to do.
        number: how many are concerned, `ENOUGH` at most; None where it is not about a number.
        until: by when something is to be done; None where it is not about a day.
    """

    kind: str
    provider: str | None = None
    said: str | None = None
    number: int | None = None
    until: datetime | None = None


def causes(
    session: Session, shop_id: int, trouble: str | None, destinations: Sequence[Destination], now: datetime
) -> tuple[Cause, ...]:
    """The gravest first: without a connection nothing comes, behind a hold everything waits.

    Args:
        trouble: of the connection, as `app.services.progress` tells it.
        destinations: all of the shop's.
    """
    found = [Cause(kind="connection", said=trouble)] if trouble else []
    if not trouble and (number := _fetched(session, shop_id, now)):
        found.append(Cause(kind="silent", number=number))
    found += [Cause(kind="held", provider=each.provider, said=each.held) for each in destinations if each.held]
    found += _late(session, shop_id, destinations, now)
    for state in _STUCK:
        found += _stuck(session, shop_id, state, now)
    if number := _unread(session, shop_id, now):
        found.append(Cause(kind="unread", number=number))
    if _stalled(session, shop_id, now):
        found.append(Cause(kind="stalled"))
    if asked := data_request.waiting(session, shop_id, now):
        found.append(Cause(kind="asked", number=asked[0], until=asked[1]))
    return tuple(found)


def _fetched(session: Session, shop_id: int, now: datetime) -> int:
    """How many changes of orders we had to ask the store for since it last told of any, where that is a day ago.

    Right after an install it is asked for what was before.
    """
    connection = session.get(Connection, shop_id)
    if connection is None or connection.installed_at > now - DAY:
        return 0
    wanted = select(Webhook.topic, Webhook.dedup_key, Webhook.received_at).where(Webhook.shop_id == shop_id)
    newest = session.execute(wanted.order_by(Webhook.id.desc()).limit(_LOOKED_AT)).all()
    rows = [row for row in newest if row.received_at > now - DAY and row.topic.startswith("order")]
    asked = [row.dedup_key.startswith(RECONCILED) for row in rows]
    return len(asked) if asked and all(asked) else 0


def _late(session: Session, shop_id: int, destinations: Sequence[Destination], now: datetime) -> list[Cause]:
    """Providers that are not held, and could not take something for `LATE`."""
    open_ = {each.provider for each in destinations if each.mode != Mode.OFF and each.held is None}
    late: Counter[str] = Counter()
    for state in CLAIMABLE:
        mine = (Delivery.shop_id == shop_id, Delivery.state == state)
        wanted = select(Delivery.provider, Delivery.since).where(*mine).order_by(Delivery.id).limit(_LOOKED_AT)
        late.update(row.provider for row in session.execute(wanted) if row.since < now - LATE)
    return [Cause(kind="late", provider=each, number=late[each]) for each in sorted(late) if each in open_]


def _stuck(session: Session, shop_id: int, state: str, now: datetime) -> list[Cause]:
    """What a person has to decide about, by provider, with the reason of the newest."""
    mine = (Delivery.shop_id == shop_id, Delivery.state == state)
    wanted = select(Delivery.provider, Delivery.reason, Delivery.created_at).where(*mine)
    newest_first = session.execute(wanted.order_by(Delivery.id.desc()).limit(ENOUGH)).all()
    # Sorted out here: asked for by time as well, SQLite reads all deliveries of that time, not the few in this state.
    rows = [row for row in newest_first if row.created_at >= now - LATELY]
    newest = {row.provider: row.reason for row in reversed(rows)}
    numbers = Counter(row.provider for row in rows)
    return [Cause(kind=state, provider=each, said=newest[each], number=numbers[each]) for each in sorted(numbers)]


def _unread(session: Session, shop_id: int, now: datetime) -> int:
    mine = (Event.shop_id == shop_id, Event.state == EventState.ERROR, Event.received_at >= now - LATELY)
    some = select(Event.id).where(*mine).limit(ENOUGH).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _stalled(session: Session, shop_id: int, now: datetime) -> bool:
    first = select(Webhook.received_at).where(in_state(WebhookState.PENDING), Webhook.shop_id == shop_id)
    oldest = session.scalar(first.order_by(Webhook.id).limit(1))
    return oldest is not None and oldest < now - SLOW
