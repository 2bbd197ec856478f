"""Arrivals: what a store tells us by which topic, when it came last, and how long after it happened in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Webhook
from app.services import answers
from app.services.asked import RECONCILED

RECENT = 20  #: webhooks that the store's lag is taken from
_LOOKED_AT = 500  #: of the newest events
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lag:
    """How late one webhook told of what happened."""

    topic: str
    received_at: datetime
    late: timedelta  #: never negative: clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One thing that the store tells us of."""

    name: str
    state: str | None  #: of the subscription, as the last check found it; None: nobody could look
    why: str | None
    last_at: datetime | None  #: when it came last
    usual: timedelta | None  #: how late it came, in the middle of the last day
    last: timedelta | None  #: how late it came last, within the last day


def topics(session: Session, shop_id: int, report: Mapping[str, Any], now: datetime) -> list[Topic]:
    """Those that the last check looked at, in its order, then those that came all the same."""
    checked: Mapping[str, Mapping[str, Any]] = report.get("topics", {})
    arrived = dict(answers.last_by_topic(session, shop_id))
    lags = [each for each in recent(session, shop_id, _LOOKED_AT) if each.received_at > now - DAY]
    for each in reversed(lags):
        arrived[each.topic] = max(arrived.get(each.topic, each.received_at), each.received_at)
    names = [*checked, *sorted(set(arrived) - set(checked))]
    return [_topic(name, checked.get(name, {}), arrived.get(name), lags) for name in names]


def _topic(name: str, checked: Mapping[str, Any], arrived: datetime | None, lags: Iterable[Lag]) -> Topic:
    mine = [each.late for each in lags if each.topic == name]
    seen = datetime.fromisoformat(checked["last_event_at"]) if checked.get("last_event_at") else None
    return Topic(
        name=name,
        state=checked.get("state"),
        why=checked.get("why"),
        last_at=max((at for at in (arrived, seen) if at is not None), default=None),
        usual=_middle(mine),
        last=mine[0] if mine else None,
    )


def usual_lag(session: Session, shop_id: int) -> timedelta | None:
    """How long the store usually takes to tell us."""
    found = [each.late for each in recent(session, shop_id, RECENT * 2)][:RECENT]
    return _middle(found)


def _middle(found: Sequence[timedelta]) -> timedelta | None:
    return timedelta(seconds=median(each.total_seconds() for each in found)) if found else None


def recent(session: Session, shop_id: int, events: int) -> list[Lag]:
    """By webhook, newest first: of several changes that one tells of, the last one made it come.

    What we had to ask for is left out: that the store was late with it is told elsewhere.
    """
    wanted = select(Event.webhook_id, Webhook.topic, Event.received_at, Event.occurred_at).join(
        Webhook, Webhook.id == Event.webhook_id
    )
    told = (Event.shop_id == shop_id, Event.state == EventState.UNDERSTOOD)
    ours = Webhook.dedup_key.startswith(RECONCILED, autoescape=True)
    rows = session.execute(wanted.where(*told, ~ours).order_by(Event.id.desc()).limit(events))
    found: dict[int, Lag] = {}
    for webhook_id, topic, received_at, occurred_at in rows:
        late = max(received_at - occurred_at, timedelta())
        if webhook_id not in found or late < found[webhook_id].late:
            found[webhook_id] = Lag(topic, received_at, late)
    return list(found.values())
