"""Once: what happens once per order, where the event that took the place of all others turns out to owe nothing.

Of the events that it is due to only the first gets a delivery: its `once_key` keeps the others out, so that an order
has one line and not one for each of its changes. Where that one is skipped, the next of them that has something to send
takes the place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Table, and_, literal_column, select
from sqlalchemy.orm import Session

from app.models import Event, EventState, Ledger, Shop
from app.providers.registry import PROVIDERS
from app.services import owed
from app.services.one_of import one_of
from app.services.packing import unpack
from app.services.prepare import erased, render
from app.services.route import On, Target, complete_facts, rows_owed
from app.services.rows import ATTEMPTS, DELIVERIES, TAKEN, Row
from mappings.engine import Skip
from mappings.errors import MappingError


class Places:
    """The places of deliveries that one transaction is about to skip, and who has them next."""

    def __init__(self, session: Session, rows: Sequence[Row]) -> None:
        self._session = session
        connection = session.connection()
        ids = [row.id for row in rows]
        # Before anything else is read: what others wrote of an order is seen once they have let go of its ledger.
        free = {*connection.scalars(_FREE, {"ids": ids})}
        locked = [each for each in ids if each not in free]
        self._busy = {*connection.scalars(_KNOWN, {"ids": locked})} if locked else set()
        again = [row.id for row in rows if row.since > row.created_at]  # whoever sends it again moves `since`
        self._taken = {*connection.scalars(_TAKEN, {"ids": again})} if again else set()
        self._later: dict[int, list[Any]] = defaultdict(list)
        for event in connection.execute(_LATER, {"ids": ids}):
            self._later[event.delivery].append(event)

    def busy(self, row: Row) -> bool:
        """Whether somebody is writing events of its order: one of them may have been refused the place just now, and
        is not to be seen before their commit."""
        return row.id in self._busy

    def taken(self, row: Row) -> bool:
        """Whether the provider took it before a person sent it again: then no other event gets the place."""
        return row.id in self._taken

    def next(self, destination: On, target: Target, row: Row) -> list[owed.Row]:
        """The delivery of the first later event that has something to send, to be written once the place is free.

        What would be skipped as well needs no line of its own. Empty where no later event has anything to send.

        Raises:
            MappingError: it cannot be worked out.
        """
        for event in self._later[row.id]:
            if destination.missed_from is not None and event.id >= destination.missed_from:
                break  # those are worked out by and by, in their order, and find the place free
            shop = self._session.get_one(Shop, row.shop_id)
            facts = unpack(event.facts)
            told = owed.Told(
                id=event.id,
                shop=shop,
                kind=event.kind,
                subject=event.subject,
                occurred_at=event.occurred_at,
                facts=facts,
            )
            # Where this one was owed though it is older than the connection, a person asked for the past.
            asked = owed.too_old(shop, event.first_at)
            rows = rows_owed(self._session, target, destination.held, shop, told, facts, history=asked)
            mine = [each for each in rows if each["action"] == row.action][:1]  # of several rules the first counts
            if mine and _sends(target, mine[0], told):
                return mine
        return []


def _sends(target: Target, owing: owed.Row, told: owed.Told) -> bool:
    """Whether there is something to send, as things are; or an error, which is told where it is prepared."""
    if erased(told.facts):
        return False
    action = PROVIDERS[target.provider].actions[owing["action"]]
    try:
        made = render(target, owing["rule"], action, complete_facts(target, told.shop, told, told.facts))
    except MappingError:
        return True
    return not isinstance(made, Skip)


_D, _A, _E = DELIVERIES.c, ATTEMPTS.c, cast(Table, Event.__table__).c
_LEDGERS = cast(Table, Ledger.__table__)
_L = _LEDGERS.c
_GIVEN = one_of(_D.id, "ids")
#: With the ledgers of their orders, which whoever writes events of these has locked.
_KNOWN = (
    select(_D.id)
    .join(Event, _E.id == _D.event_id)
    .join(
        _LEDGERS,
        and_(
            _L.shop_id == _D.shop_id,
            _L.kind.in_([literal_column(f"'{kind}'") for kind in ("order", "cart", "checkout")]),
            _L.key == _D.subject,
            _E.kind.startswith(_L.kind + "."),
        ),
    )
    .where(_GIVEN)
)
_FREE = _KNOWN.with_for_update(of=_LEDGERS, skip_locked=True)
_TAKEN = select(_A.delivery_id).where(one_of(_A.delivery_id, "ids"), TAKEN)
_FIRST = cast(Table, Event.__table__).alias()
_OTHER = DELIVERIES.alias()
#: Events that came after those of the deliveries, and owe their action nothing so far.
_LATER = (
    select(
        _D.id.label("delivery"),
        _FIRST.c.occurred_at.label("first_at"),
        *[_E[name] for name in ("id", "kind", "subject", "occurred_at", "facts")],
    )
    .join(_FIRST, _FIRST.c.id == _D.event_id)
    .join(Event, and_(_E.shop_id == _D.shop_id, _E.subject == _D.subject, _E.id > _D.event_id))
    .where(
        _GIVEN,
        _E.state == EventState.UNDERSTOOD,
        _E.facts.is_not(None),
        ~select(_OTHER.c.id)
        .where(_OTHER.c.event_id == _E.id, _OTHER.c.destination_id == _D.destination_id, _OTHER.c.action == _D.action)
        .exists(),
    )
    .order_by(_D.id, _E.id)
)
