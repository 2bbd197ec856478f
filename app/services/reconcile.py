"""Reconcile: ask a store for its orders since a time, and let what is missing here take the way of every webhook.

An order that is not known in the state in which the store shows it is stored as a webhook would be, and read by the
same clerk: the bytes are kept, a repeat meets the unique key, and a process that dies at any line leaves rows that are
read later and orders that are asked for again.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Connection, ConnectionState, Event, EventState, Shop, Webhook, WebhookState
from app.services import asked
from app.services.account import Accountant
from app.services.agreement import Shown, Source, agree, filled, ledgers, parts, read, trouble
from app.services.connections import EVERY
from app.services.errors import Failed, NotFound
from app.services.parked_orders import close, parked
from app.services.said import mark
from app.services.walk_start import due, earliest, start_of
from connectors.base import Fetched
from connectors.events import time_text

log = logging.getLogger(__name__)

AT_ONCE = 4  #: threads for `Reconciler.run_due`
LONGEST = 1800.0  #: seconds for one store while others wait
WAIT = 60.0  #: seconds for a worker elsewhere to read what was stored
LOOK = 0.1  #: seconds between looks at how far it is
_ENDLESS = mark(
    "The store is so slow, or has so many changed orders, that they could not be compared in"
    " time. What was found is kept, and it is tried again within the hour. The operator can"
    " let it take its time: tillwire reconcile."
)


@dataclass(slots=True)
class _Walk:
    shop: Shop
    source: Source
    generation: int
    seen: int = 0
    newest: datetime | None = None
    missing: list[Shown] = field(default_factory=list)
    added: list[int] = field(default_factory=list)  #: rows that were not there before


class Reconciler:
    """Compares stores with ledgers and fills the gaps."""

    def __init__(
        self,
        db: Database,
        accountant: Accountant,
        source: Callable[[Shop, Connection], Source],
        *,
        wait: float = WAIT,
    ) -> None:
        self._db = db
        self._accountant = accountant
        self._source = source
        self._wait = wait

    def run(
        self, shop_id: int, since: datetime | None = None, *, now: datetime | None = None, longest: float = math.inf
    ) -> dict[str, Any]:
        """Walk through the store's orders and say what was found.

        Args:
            since: where to begin; without it where the last walk ended, at first a day before the connection.
            longest: seconds after which it is given up; what was found until then is kept.
        Returns:
            ``since`` (where it began), ``clipped`` (the store tells nothing older), ``seen`` (orders fetched),
            ``known`` (nothing followed from them), ``added`` (events that came of the others) and ``unexplained``
            (``order`` and ``reason`` of those on which store and ledger still differ).
        Raises:
            NotFound: there is no connection; Failed: the store did not answer as it should. Nothing is lost by that.
        """
        shop, connection = self._connected(shop_id)
        try:
            found = self._run(shop, connection, since, now or datetime.now(UTC), time.monotonic() + longest)
        except Failed as error:
            self._note(connection, str(error))
            raise
        self._note(connection, None)
        return found

    def _run(
        self, shop: Shop, connection: Connection, since: datetime | None, now: datetime, until: float
    ) -> dict[str, Any]:
        walk = _Walk(shop, self._source(shop, connection), connection.generation)
        waiting = self._waiting(walk) if since is None else {}
        start, clipped = start_of(connection, walk.source, since, waiting.values(), now)
        with closing(walk.source.fetch(start)) as pages:
            for page in pages:
                self._take(walk, page)
                if time.monotonic() > until:
                    raise Failed(_ENDLESS)
        self._account(walk)
        unexplained = self._unexplained(walk)
        if waiting and not unexplained:
            with self._db.write() as session:
                close(session, waiting)
        added, changed = self._events(walk)
        if start <= earliest(connection, walk.source, now):
            self._move(walk, now)
        return {
            "shop": shop.id,
            "since": time_text(start),
            "clipped": clipped,
            "seen": walk.seen,
            "known": walk.seen - len(changed | {each["order"] for each in unexplained}),
            "added": added,
            "unexplained": unexplained,
        }

    def run_due(self, now: datetime) -> int:
        """Reconcile the shops whose time has come; return how many. A store that cannot be asked is tried again.

        For several threads at once: each takes the next shop when it is done with one, so none waits for a slow store.
        """
        with self._db.read() as session:
            shops = due(session, now)
        return sum(self._claim(shop_id, now) and self._try(shop_id, now) for shop_id in shops)

    def _try(self, shop_id: int, now: datetime) -> bool:
        try:
            if unexplained := self.run(shop_id, now=now, longest=LONGEST)["unexplained"]:
                log.warning(
                    "shop %d: %d orders differ, see `tillwire reconcile`",
                    shop_id,
                    len(unexplained),
                    extra={"shop": shop_id},
                )
        except (Failed, NotFound) as error:
            log.warning("shop %d was not reconciled: %s", shop_id, error, extra={"shop": shop_id})
        except Exception:  # one shop's trouble must not keep the others from it
            log.exception("reconciling shop %d failed; it is tried again", shop_id, extra={"shop": shop_id})
        else:
            return True
        return False

    def _claim(self, shop_id: int, now: datetime) -> bool:
        """Move the next time on; False where another process did so first."""
        with self._db.begin() as connection:
            wanted = update(Connection).where(Connection.shop_id == shop_id, Connection.reconcile_at <= now)
            return bool(connection.execute(wanted.values(reconcile_at=now + EVERY)).rowcount)

    def _connected(self, shop_id: int) -> tuple[Shop, Connection]:
        with self._db.read() as session:
            shop, connection = session.get(Shop, shop_id), session.get(Connection, shop_id)
        if shop is None or shop.removed_at is not None:
            raise NotFound(f"there is no shop {shop_id}")
        if connection is None or connection.state == ConnectionState.ENDED:
            raise NotFound(
                f"shop {shop_id} has no connection to its store: connect the store first, see its setup page"
            )
        return shop, connection

    def _waiting(self, walk: _Walk) -> dict[int, datetime]:
        """Orders that were seen in part, where the store now shows the whole."""
        if walk.source.partial:
            return {}
        with self._db.read() as session:
            return parked(session, walk.shop.id)

    # taking in

    def _take(self, walk: _Walk, page: Sequence[Fetched]) -> None:
        with self._db.read() as session:
            states = ledgers(session, walk.shop.id, [each.order_id for each in page])
        missing = []
        for fetched in page:
            state = states.get(fetched.order_id)
            each = filled(walk.source, fetched, state)
            order = read(walk.shop, walk.source, each)
            if order.outline is None and (state is None or state.get("trashed")):
                continue  # gone, and nobody here would miss it
            walk.seen += 1
            if order.outline is not None:  # those in the trash are told last: others may have changed before them
                walk.newest = max(filter(None, (walk.newest, each.changed_at)), default=None)
            if not agree(walk.source, state, order):
                missing.append((order, each))
        if missing:
            self._store(walk, missing)

    def _store(self, walk: _Walk, missing: Sequence[tuple[Shown, Fetched]]) -> None:
        rows = [
            asked.row(walk.shop, order.key, each.topic, each.body, asked.RECONCILIATION, WebhookState.PENDING)
            for order, each in missing
        ]
        dialect = sqlite if self._db.sqlite else postgresql
        insert = dialect.insert(Webhook).on_conflict_do_nothing().returning(Webhook.id)
        with self._db.write() as session:
            _still_connected(session, walk)
            walk.added += session.scalars(insert, rows).all()
            keys = [row["dedup_key"] for row in rows]
            found = session.execute(select(Webhook.dedup_key, Webhook.id).where(Webhook.dedup_key.in_(keys)))
            ids = {row.dedup_key: row.id for row in found}
        walk.missing += [
            Shown(order.order_id, order.key, order.changed_at, order.outline, ids[order.key]) for order, _ in missing
        ]

    def _account(self, walk: _Walk) -> None:
        """Until what was stored is read: by the worker that runs elsewhere, or by us where none does."""
        until = time.monotonic() + self._wait
        while self._pending(walk):
            with ExitStack() as stack:
                if self._db.alone(stack):
                    while self._pending(walk) and self._accountant.work():
                        pass
                    return
            if time.monotonic() > until:
                return
            time.sleep(LOOK)

    def _pending(self, walk: _Walk) -> bool:
        with self._db.read() as session:
            return any(
                session.scalar(
                    select(Webhook.id).where(Webhook.id.in_(ids), Webhook.state == WebhookState.PENDING).limit(1)
                )
                for ids in parts([each.webhook_id for each in walk.missing])
            )

    # what came of it

    def _events(self, walk: _Walk) -> tuple[int, set[str | None]]:
        """How many events came of the new rows, and whose they are."""
        count, orders = 0, set[str | None]()
        with self._db.read() as session:
            for ids in parts(walk.added):
                wanted = select(Event.subject).where(Event.webhook_id.in_(ids), Event.state == EventState.UNDERSTOOD)
                subjects = session.scalars(wanted).all()
                count += len(subjects)
                orders |= set(subjects)
        return count, orders

    def _unexplained(self, walk: _Walk) -> list[dict[str, str]]:
        found = []
        with self._db.read() as session:
            for part in parts(walk.missing):
                states = ledgers(session, walk.shop.id, [each.order_id for each in part])
                reasons = trouble(session, [each.webhook_id for each in part])
                for each in part:
                    reason = reasons.get(each.webhook_id)
                    if reason is None and not agree(walk.source, states.get(each.order_id), each):
                        reason = "the store shows another state than the ledger"
                    if reason is not None:
                        found.append({"order": each.order_id, "reason": reason})
        return found

    def _note(self, connection: Connection, trouble: str | None) -> None:
        """Let the shop's page say why its orders cannot be compared, until they can."""
        if connection.reconcile_trouble == trouble:
            return
        ours = (Connection.shop_id == connection.shop_id) & (Connection.generation == connection.generation)
        with self._db.begin() as writing:
            writing.execute(update(Connection).where(ours).values(reconcile_trouble=trouble))

    def _move(self, walk: _Walk, began: datetime) -> None:
        """Remember how far the store was seen, by its own clock; never back, and not for another installation.

        Never past our own clock: one order dated into the future would hide all that change before then.
        """
        if walk.newest is None:
            return
        newest = min(walk.newest, began)
        ours = (Connection.shop_id == walk.shop.id) & (Connection.generation == walk.generation)
        ahead = Connection.reconciled_to.is_(None) | (Connection.reconciled_to < newest)
        with self._db.begin() as connection:
            connection.execute(update(Connection).where(ours, ahead).values(reconciled_to=newest))


def _still_connected(session: Session, walk: _Walk) -> None:
    """A shop that was erased, left or connected anew meanwhile is written to no more."""
    wanted = select(Connection.generation, Connection.state).where(Connection.shop_id == walk.shop.id)
    row = session.execute(wanted.with_for_update()).one_or_none()
    if row is None or row.generation != walk.generation or row.state == ConnectionState.ENDED:
        raise Failed("the connection to the store ended while it was being asked; what was found until then is kept")
