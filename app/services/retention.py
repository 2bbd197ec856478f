"""Retention: after so many days the bodies of webhooks, payloads and answers go; what they led to stays.

Ledgers, events with their facts, states, dedup keys and times stay, so a repeat is recognised as one for ever, and a
delivery can be sent again: its payload is made anew. What still waits for something keeps its body: a webhook that is
unread, parked or in error, a delivery that is not finished.

A walk goes through a shop's rows by key, some at a time, and begins anew from time to time for what it passed while
that waited. How far it is stands in the transaction of what it removed, so a process that dies loses nothing of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Database, lies_in_the_data
from app.models import Attempt, Delivery, Event, EventState, Pruning, Shop, Webhook, WebhookState
from app.models.delivery import OPEN
from app.services import audit
from app.services.errors import Wrong
from app.services.said import mark

log = logging.getLogger(__name__)

DAYS = 90  #: unless the shop's people chose otherwise
FEWEST, MOST = 14, 730  #: a delivery is tried for ten days, and somebody has to see why it failed
CHUNK = 50  #: rows in a transaction; on SQLite webhooks wait to be stored meanwhile
SPAN = 5000  #: rows passed in one step, as most of a later walk have nothing left to remove
CHUNKS = 100  #: steps for each shop in one go
EVERY = timedelta(days=1)  #: once a walk has come to what is too young
ROUND = timedelta(days=30)  #: when it begins anew
#: Of such an event the webhook is read once more.
_WAITS = (EventState.PENDING, EventState.PARKED, EventState.ERROR)
_SETTING = "retention_days"
GONE = b""  #: in place of a body: no compressed one is empty
_SENT = func.length(Attempt.payload) > 0
_KEEPS = or_(_SENT, Attempt.answer.is_not(None))


class Removed(Exception):
    """What is asked for was here, and retention removed it."""

    def __init__(self, days: int) -> None:
        super().__init__(
            mark(
                "This was removed: by this store's settings, messages and what was sent are kept for"
                " {days} days. What was understood of it and what became of it is still here, and"
                " deliveries can be sent again."
            ).format(days=days)
        )


class Overtaken(Exception):
    """Somebody else saved since the form was opened; ``days`` is what they saved."""

    def __init__(self, days: int) -> None:
        super().__init__("the days were changed meanwhile")
        self.days = days


def days(shop: Shop) -> int:
    return min(max(int(shop.settings.get(_SETTING, DAYS)), FEWEST), MOST)


def save(session: Session, shop_id: int, typed: str, seen: str, actor: str, now: datetime) -> None:
    """Keep bodies for so many days from now on.

    Args:
        seen: the days that the form showed.
    Raises:
        Wrong: it is no number of days that can be; Overtaken: another form was faster.
    """
    wanted = _read(typed)
    shop = session.scalars(select(Shop).where(Shop.id == shop_id).with_for_update()).one()
    before = days(shop)
    if str(before) != seen:
        raise Overtaken(before)
    if wanted == before:
        return
    shop.settings = {**shop.settings, _SETTING: wanted}
    _mark(session, shop_id, now).due_at = now
    change = {"before": {"days kept": before}, "after": {"days kept": wanted}}
    audit.record(session, shop_id=shop_id, actor=actor, action="change retention", **change)


def _read(typed: str) -> int:
    text = typed.strip()
    wanted = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) else 0
    if not FEWEST <= wanted <= MOST:
        raise Wrong(
            mark("Enter a number of days from {fewest} to {most}. Nothing was changed.").format(
                fewest=FEWEST, most=MOST
            )
        )
    return wanted


def prune_due(db: Database, now: datetime) -> int:
    """Go on with the shops whose time has come; return of how many webhooks and tries."""
    wanted = select(Shop).outerjoin(Pruning, Pruning.shop_id == Shop.id)
    with db.read() as session:
        shops = session.scalars(wanted.where(or_(Pruning.shop_id.is_(None), Pruning.due_at <= now))).all()
    return sum(_prune_apart(db, shop, now) for shop in shops)


def _prune_apart(db: Database, shop: Shop, now: datetime) -> int:
    """One shop's trouble must not keep the others' bodies."""
    try:
        return _prune(db, shop, now)
    except Exception as error:
        if not lies_in_the_data(error):
            raise
        log.exception("retention failed; trying again later", extra={"shop": shop.id})
        return 0


def prune_strays(db: Database, now: datetime) -> int:
    """Of webhooks that name no shop here: nobody chose their days, so `DAYS` count; return of how many."""
    stray = (Webhook.shop_id.is_(None), Webhook.state == WebhookState.DONE, func.length(Webhook.body) > 0)
    old = select(Webhook.id).where(*stray, Webhook.received_at < now - timedelta(days=DAYS))
    removed = 0
    while True:
        with db.write() as session:
            ids = session.scalars(old.order_by(Webhook.id).limit(CHUNK)).all()
            removed += _remove(session, ids, [], now)
        if len(ids) < CHUNK:
            return removed


def _prune(db: Database, shop: Shop, now: datetime) -> int:
    before, removed = now - timedelta(days=days(shop)), 0
    with db.write() as session:
        _mark(session, shop.id, now)
    for _ in range(CHUNKS):
        with db.read() as session:
            mark = session.get_one(Pruning, shop.id)
            webhooks, webhook_id = _old_webhooks(session, shop.id, mark.webhook_id, before)
            deliveries, delivery_id = _old_deliveries(session, shop.id, mark.delivery_id, before)
        if (webhook_id, delivery_id) == (mark.webhook_id, mark.delivery_id):
            _rest(db, mark, now)
            break
        with db.write() as session:
            if not _move(session, mark, webhook_id, delivery_id):
                break  # another process is at it
            removed += _remove(session, webhooks, deliveries, before)
    return removed


def _mark(session: Session, shop_id: int, now: datetime) -> Pruning:
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    row = {"shop_id": shop_id, "webhook_id": 0, "delivery_id": 0, "round_at": now, "due_at": now}
    session.execute(dialect.insert(Pruning).values(row).on_conflict_do_nothing())
    return session.scalars(select(Pruning).where(Pruning.shop_id == shop_id).with_for_update()).one()


def _old_webhooks(session: Session, shop_id: int, after: int, before: datetime) -> tuple[list[int], int]:
    """Those of the next ones, `CHUNK` at most, whose bodies may go, and the number up to which all were looked at."""
    mine = (Webhook.shop_id == shop_id, Webhook.id > after)
    until = _reach(session, select(Webhook.id, Webhook.received_at.label("at")).where(*mine), after, before)
    full = select(Webhook.id, Webhook.state).where(*mine, Webhook.id <= until, func.length(Webhook.body) > 0)
    rows = session.execute(full.order_by(Webhook.id).limit(CHUNK)).all()
    done = [row.id for row in rows if row.state == WebhookState.DONE]
    states: dict[int, list[str]] = {}
    for webhook_id, state in session.execute(select(Event.webhook_id, Event.state).where(Event.webhook_id.in_(done))):
        states.setdefault(webhook_id, []).append(state)
    # Without an event it is an answer to a question of ours, which is looked up as long as its order lives.
    free = [id_ for id_ in done if id_ in states and not any(state in _WAITS for state in states[id_])]
    return free, rows[-1].id if len(rows) == CHUNK else until


def _old_deliveries(session: Session, shop_id: int, after: int, before: datetime) -> tuple[list[int], int]:
    mine = (Delivery.shop_id == shop_id, Delivery.id > after)
    until = _reach(session, select(Delivery.id, Delivery.created_at.label("at")).where(*mine), after, before)
    tried = select(Attempt.id).where(Attempt.delivery_id == Delivery.id, _KEEPS).exists()
    wanted = select(Delivery.id, Delivery.state, Delivery.leased_until).where(*mine, Delivery.id <= until, tried)
    rows = session.execute(wanted.order_by(Delivery.id).limit(CHUNK)).all()
    free = [row.id for row in rows if row.state not in OPEN and row.leased_until is None]
    return free, rows[-1].id if len(rows) == CHUNK else until


def _reach(session: Session, wanted: Select[int, datetime], after: int, before: datetime) -> int:
    """The number of the last of the next `SPAN` rows, or where the first one follows that is too young."""
    rows = wanted.order_by("id").limit(SPAN).subquery()
    young = func.min(case((rows.c.at >= before, rows.c.id)))
    last, too_young = session.execute(select(func.max(rows.c.id), young)).one()
    if last is None:
        return after
    return int(last if too_young is None else too_young - 1)


def _move(session: Session, mark: Pruning, webhook_id: int, delivery_id: int) -> bool:
    """Go on to these numbers; False where another process did so first."""
    mine = (Pruning.webhook_id == mark.webhook_id, Pruning.delivery_id == mark.delivery_id)
    moved = session.execute(
        update(Pruning)
        .where(Pruning.shop_id == mark.shop_id, *mine)
        .values(webhook_id=webhook_id, delivery_id=delivery_id)
        .execution_options(synchronize_session=False)
    )
    return bool(moved.rowcount)  # type: ignore[attr-defined]


def _remove(session: Session, webhooks: Sequence[int], deliveries: Sequence[int], before: datetime) -> int:
    """Looked up a moment ago: what was begun anew since then keeps what it has."""
    bodies = update(Webhook).where(Webhook.id.in_(webhooks), Webhook.state == WebhookState.DONE).values(body=GONE)
    finished = session.scalars(select(Delivery.id).where(Delivery.id.in_(deliveries), Delivery.state.not_in(OPEN)))
    tries = update(Attempt).where(
        Attempt.delivery_id.in_(finished.all()),
        Attempt.started_at < before,
        Attempt.outcome.is_not(None),
        _KEEPS,
    )
    values = {"payload": case((_SENT, GONE), else_=Attempt.payload), "answer": None}
    done = [
        session.execute(each.execution_options(synchronize_session=False)) for each in (bodies, tries.values(values))
    ]
    return sum(each.rowcount for each in done)  # type: ignore[attr-defined]


def _rest(db: Database, mark: Pruning, now: datetime) -> None:
    """Nothing more is old enough for today; after a while all is looked through again."""
    again = {"webhook_id": 0, "delivery_id": 0, "round_at": now} if mark.round_at <= now - ROUND else {}
    with db.write() as session:
        session.execute(
            update(Pruning)
            .where(Pruning.shop_id == mark.shop_id, Pruning.due_at == mark.due_at)
            .values(due_at=now + EVERY, **again)
            .execution_options(synchronize_session=False)
        )
