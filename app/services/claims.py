"""Claims: which deliveries a worker may take, so that all workers together keep to the rules.

Whoever claims holds a destination's gate, and its row, until the leases are committed: nobody else claims for it, and
its settings, its mode and its holds stay as they were read. What somebody else has is left out, never waited for. What
is under way anywhere is known from the leases: how many calls there are, and in which of the provider's lanes.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import BindParameter, Connection, Integer, Table, Text, and_, bindparam, func, or_, select, update
from sqlalchemy import cast as cast_to_text
from sqlalchemy.orm import Session

from app.models import Destination, Gate, Mode
from app.models.delivery import CLAIMABLE, OPEN, among
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services import gates, rows
from app.services.budgets import Budgets, Spending
from app.services.calls import Call
from app.services.gates import Place
from app.services.holds import LEASE
from app.services.one_of import one_of
from app.services.pauses import Pauses
from app.services.route import On
from app.services.rows import ANSWER_LOST, ATTEMPTS, DELIVERIES, Row
from app.services.said import mark
from app.services.shared_clock import SharedClock

MOST = 100  #: rows of a destination in one claim
LOOK_AHEAD = 4  #: rows looked at per free call where some may have to wait for their lane


@dataclass(slots=True)
class Claim:
    """What one worker may take of one destination's deliveries, while it holds the gate."""

    destination: On
    threads: int  #: reserved; no more calls than that
    under_way: int  #: calls that began before, of all workers together
    lanes: set[int | None]  #: in which a call is under way
    rows: list[Row]  #: due, none behind an earlier delivery of the same order; as many as may be of use
    calls: list[Call] = field(default_factory=list)

    def room(self, row: Row) -> Call | None:
        """The call of this claim that the delivery may ride with."""
        return next((call for call in self.calls if call.has_room(row)), None)


@dataclass(frozen=True, slots=True)
class Own:
    """What the worker itself knows, whatever clocks say that were stepped."""

    under_way: Collection[int]  #: deliveries whose calls it has under way
    clock: SharedClock


@dataclass(slots=True)
class Claims:
    """What one transaction may take."""

    now: datetime  #: when its leases begin
    began: float  #: the same moment by this process's `time.monotonic`, or a little before
    spending: Spending
    claims: list[Claim]  #: in the order in which providers' gates are entered
    left: list[int]  #: destinations that were too many for this transaction


class Due(NamedTuple):
    """A destination that may send now and has something due."""

    id: int
    shop_id: int


def due(session: Session, now: datetime) -> list[Due]:
    """Destinations that may send now and have something due, in no order that would favour a shop or one of its own.

    Those of a shop come together, for they tell of the same events.
    """
    pauses, connection = Pauses(session), session.connection()
    calling: dict[int, int] = {row.destination_id: row.calls for row in connection.execute(_CALLING, {"now": now})}
    found = [
        row
        for row in connection.execute(_DUE, {"now": now})
        if pauses.concurrency(row.provider, row.id, now) > calling.get(row.id, 0)
    ]
    random.shuffle(found)
    turns: dict[int, int] = {}
    found.sort(key=lambda row: turns.setdefault(row.shop_id, len(turns)))
    return [Due(row.id, row.shop_id) for row in found]


def enter(
    session: Session,
    ids: Sequence[int],
    budgets: Budgets,
    reserve: Callable[[int], int],
    own: Own,
    at_once: int = MOST,
) -> Claims:
    """Begin to claim for the destinations ``ids``; not for those that another worker is at, or that may not send now.

    Args:
        reserve: takes up to so many threads for calls, and says how many there were.
        at_once: deliveries to look at; more only where the first destination has more.
    """
    connection = session.connection()
    entered = gates.enter_free(connection, [gates.own(each) for each in ids])
    found = connection.execute(_DESTINATIONS, {"ids": [place.destination_id for place in entered]})
    destinations = {row.id: On(*row) for row in found}
    began, now = time.monotonic(), own.clock.now(session)  # after the locks: leases begin here
    spending = budgets.open(session, entered, now)
    able = _able(session, [destinations[each] for each in ids if each in destinations], spending, now, own)
    waiting = _waiting(connection, able, now)
    claims, left = _choose(able, waiting, reserve, at_once)
    _read(connection, claims, [row for each in claims for row in waiting[each.destination.id]])
    _let_settle(connection, claims, now, own)
    claims.sort(key=lambda claim: _place(claim.destination))
    return Claims(now, began, spending, claims, left)


def _place(destination: On) -> Place:
    return gates.of(destination.provider, destination.id)


def _able(session: Session, destinations: Sequence[On], spending: Spending, now: datetime, own: Own) -> list[Claim]:
    """A claim for each destination that may begin calls, with a thread for each of these."""
    leased = _leased(session.connection(), [each.id for each in destinations], now, own)
    pauses = Pauses(session, *{_place(each) for each in destinations})
    claims = []
    for each in destinations:
        under_way = len({row.call_id for row in leased[each.id]})
        calls = pauses.concurrency(each.provider, each.id, now) - under_way
        if calls > 0 and not _spent(each, spending, under_way):
            lanes = {row.provider_lane for row in leased[each.id]} - {None}
            claims.append(Claim(each, calls, under_way, lanes, []))
    return claims


def _spent(destination: On, spending: Spending, under_way: int) -> bool:
    """Whether its own budget is used up; a provider's is asked for only where there is something to send."""
    if destination.mode != Mode.LIVE or PROVIDERS[destination.provider].shared_limits:
        return False
    return not spending.left(destination.provider, destination.id, under_way)


def _waiting(connection: Connection, claims: Sequence[Claim], now: datetime) -> dict[int, list[int]]:
    """The deliveries that each destination may send next, as many as may be of use."""
    by_provider: dict[str, list[int]] = defaultdict(list)
    for claim in claims:
        by_provider[claim.destination.provider].append(claim.destination.id)
    found = {}
    for name, ids in by_provider.items():
        wanted = {"ids": ids, "now": now, "most": _useful(PROVIDERS[name])}
        for row in connection.execute(_NEXT, wanted):
            if row.deliveries:
                found[row.id] = [int(each) for each in row.deliveries.split(",")]
    return found


def _useful(provider: Provider) -> int:
    most = max(action.batch for action in provider.actions.values())
    return min(provider.concurrency * max(most, LOOK_AHEAD if provider.lane else 1), MOST)


def _choose(
    claims: Sequence[Claim], waiting: Mapping[int, Sequence[int]], reserve: Callable[[int], int], at_once: int
) -> tuple[list[Claim], list[int]]:
    """Give out threads and the transaction's rows, first come, first served; and the destinations beyond these."""
    chosen: list[Claim] = []
    left: list[int] = []
    number = 0
    for claim in claims:
        wanted = len(waiting.get(claim.destination.id, ()))
        if wanted and chosen and number + wanted > at_once:
            left.append(claim.destination.id)
        elif wanted and (threads := reserve(min(claim.threads, wanted))):
            claim.threads = threads
            chosen.append(claim)
            number += wanted
    return chosen, left


def _read(connection: Connection, claims: Sequence[Claim], ids: Sequence[int]) -> None:
    """Lock the rows of ``claims``; what somebody else has locked, or changed, is left out."""
    by_destination = {claim.destination.id: claim for claim in claims}
    for row in rows.read(connection, _ROWS, {"ids": ids}) if ids else ():
        by_destination[row.destination_id].rows.append(row)
    for claim in claims:
        claim.rows.sort(key=lambda row: (row.due_at, row.id))


def _let_settle(connection: Connection, claims: Sequence[Claim], now: datetime, own: Own) -> None:
    """Put off what somebody has to be asked about, while nobody knows how long ago its answer was lost."""
    rest = own.clock.ask_in()
    if not rest:
        return
    early = [row for claim in claims for row in claim.rows if row.doubt]
    for row in early:
        row.due_at = now + rest
    rows.write(connection, early, ("due_at",))
    for claim in claims:
        claim.rows = [row for row in claim.rows if not row.doubt]


def _leased(connection: Connection, ids: Sequence[int], now: datetime, own: Own) -> dict[int, list[Any]]:
    """What is under way of each destination."""
    found = connection.execute(_LEASED, {"ids": ids}).all()
    over = any(row.leased_until < now and row.id not in own.under_way for row in found)
    ended = _end_leases(connection, ids, now, own) if over and own.clock.leases_count() else set()
    leased: dict[int, list[Any]] = defaultdict(list)
    for row in found:
        if row.id not in ended:
            leased[row.destination_id].append(row)
    return leased


def _end_leases(connection: Connection, ids: Sequence[int], now: datetime, own: Own) -> set[int]:
    """End leases that ran out over unfinished attempts, for their answers are lost; return whose.

    A provider that has to be asked is left alone for a while: it may still be at what it was sent last.
    """
    found = rows.read(connection, _OVER, {"ids": ids, "now": now})
    over = [row for row in found if row.id not in own.under_way]
    _end(connection, over, now + own.clock.settling)
    return {row.id for row in over}


def end_leases(session: Session, shared: SharedClock) -> None:
    """Take up what a dead worker left, all of it at once, so that nobody meets leases of the dead.

    Only for whoever knows that there is no other worker alive.
    """
    connection = session.connection()
    _end(connection, rows.read(connection, _ANY, {}), shared.now(session) + shared.settling)


def begin_anew(session: Session, now: datetime) -> None:
    """After the clock was set back: leases and waits that were given by the later one end as if given now.

    How long they were meant to be is not known any more: leases have their full length, everything else is due.
    """
    connection = session.connection()
    for statement in (_LEASED_ANEW, _DUE_ANEW, _PAUSED_ANEW):
        connection.execute(statement, {"now": now, "lease": now + LEASE})


def _repeatable(row: Row) -> bool:
    """Not what this version does not know: one such row must not keep a worker from beginning."""
    provider = PROVIDERS.get(row.provider)
    action = provider.actions.get(row.action) if provider else None
    return action is not None and action.repeatable


def _end(connection: Connection, found: Sequence[Row], ask_at: datetime) -> None:
    over = {row.id: row for row in found}
    unfinished = connection.execute(_UNFINISHED, {"ids": list(over)}).all()
    for attempt in unfinished:
        row = over[attempt.delivery_id]
        if attempt.purpose == "send":
            row.doubt = not _repeatable(row)
            if row.doubt:
                row.due_at = max(row.due_at, ask_at)
    for row in over.values():
        row.leased_until = None
    rows.write(connection, list(over.values()), ("leased_until", "doubt", "due_at"))
    if unfinished:
        answer = mark("the process ended before the answer came")
        connection.execute(_LOST, [{"attempt": each.id, "said": answer} for each in unfinished])


# Made once: what is asked for every claim costs several times as much to write as to carry out.
_D, _A, _T = DELIVERIES.c, ATTEMPTS.c, cast(Table, Destination.__table__)
_G = cast(Table, Gate.__table__)
_NOW: BindParameter[datetime] = bindparam("now")
_FREE = or_(_D.leased_until.is_(None), _D.leased_until < _NOW)  # nobody is at it, or whoever was has died
_WAITING = and_(_D.destination_id == _T.c.id, among(_D.state, CLAIMABLE), _D.due_at <= _NOW)
_MAY_SEND = and_(_T.c.mode != Mode.OFF, _T.c.held.is_(None))
_DUE = select(_T.c.id, _T.c.shop_id, _T.c.provider).where(_MAY_SEND, select(_D.id).where(_WAITING, _FREE).exists())
_DESTINATIONS = (
    select(*[_T.c[name] for name in On._fields])
    .where(one_of(_T.c.id, "ids"), _MAY_SEND)
    .with_for_update(skip_locked=True, key_share=True)
)
#: Calls under way, by destination, of all workers together.
_CALLING = (
    select(_D.destination_id, func.count(_D.call_id.distinct()).label("calls"))
    .where(_D.leased_until >= _NOW)
    .group_by(_D.destination_id)
)
_LEASED = select(_D.id, _D.destination_id, _D.call_id, _D.provider_lane, _D.leased_until).where(
    one_of(_D.destination_id, "ids"), _D.leased_until.is_not(None)
)
_ANY = rows.free(_D.leased_until.is_not(None))
_OVER = rows.free(one_of(_D.destination_id, "ids"), _D.leased_until < _NOW)
_UNFINISHED = select(_A.id, _A.delivery_id, _A.purpose).where(one_of(_A.delivery_id, "ids"), _A.outcome.is_(None))
_LOST = update(ATTEMPTS).where(_A.id == bindparam("attempt")).values(outcome=ANSWER_LOST, answer=bindparam("said"))

_LEASED_ANEW = update(DELIVERIES).where(_D.leased_until > bindparam("lease")).values(leased_until=bindparam("lease"))
_DUE_ANEW = update(DELIVERIES).where(among(_D.state, CLAIMABLE), _D.due_at > _NOW).values(due_at=_NOW)
_PAUSED_ANEW = update(_G).where(_G.c.paused_until > _NOW).values(paused_until=None)

_EARLIER = DELIVERIES.alias()
_BLOCKED = select(_EARLIER.c.id).where(
    _EARLIER.c.destination_id == _D.destination_id,
    _EARLIER.c.lane == _D.lane,
    among(_EARLIER.c.state, OPEN),
    _EARLIER.c.id < _D.id,
)
_ABREAST = DELIVERIES.alias()
_LANE_BUSY = select(_ABREAST.c.id).where(
    _ABREAST.c.destination_id == _D.destination_id,
    _ABREAST.c.provider_lane == _D.provider_lane,
    _ABREAST.c.leased_until.is_not(None),
)
_FIRST = (
    select(_D.id)
    .where(_WAITING, _D.leased_until.is_(None), ~_BLOCKED.exists(), ~_LANE_BUSY.exists())
    .order_by(_D.due_at, _D.id)
    .limit(bindparam("most", type_=Integer))
    .correlate(_T)
    .subquery()
)
#: Of several destinations at once, each with its own limit, without looking at all that waits.
_NEXT = select(
    _T.c.id,
    select(func.aggregate_strings(cast_to_text(_FIRST.c.id, Text), ",")).scalar_subquery().label("deliveries"),
).where(one_of(_T.c.id, "ids"))
_ROWS = rows.free(one_of(_D.id, "ids"), among(_D.state, CLAIMABLE), _D.leased_until.is_(None))
