"""Reconcile: ask a store for its orders since a time, and let what is missing here take the way of every webhook.

An order that is not known in the state in which the store shows it is stored as a webhook would be, and read by the
same clerk: the bytes are kept, a repeat meets the unique key, and a process that dies at any line leaves rows that are
read later and orders that are asked for again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Connection, ConnectionState, Event, EventState, Shop, Webhook, WebhookState
from app.services.account import Accountant
from app.services.agreement import SOURCE, Shown, Source, agree, filled, ledgers, parts, read, trouble
from app.services.errors import Failed, NotFound
from app.services.packing import compress
from app.services.parked_orders import close, parked
from connectors.base import Fetched
from connectors.events import time_text

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
#: The tries of an install that failed may have taken long, and webhooks of a shop that is not known are not kept.
BEFORE_INSTALL = timedelta(days=1)
MOST = 100  #: connections taken up in one go
AT_ONCE = 4  #: stores that are asked at a time
WAIT = 60.0  #: seconds for a worker elsewhere to read what was stored
LOOK = 0.1  #: seconds between looks at how far it is
_REACHABLE = (ConnectionState.CONNECTED, ConnectionState.ATTENTION)


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

    def run(self, shop_id: int, since: datetime | None = None, *, now: datetime | None = None) -> dict[str, Any]:
        """Walk through the store's orders and say what was found.

        Args:
            since: where to begin; without it where the last walk ended, at first a day before the connection.
        Returns:
            ``since`` (where it began), ``clipped`` (the store tells nothing older), ``seen`` (orders fetched),
            ``known`` (nothing followed from them), ``added`` (events that came of the others) and ``unexplained``
            (``order`` and ``reason`` of those on which store and ledger still differ).
        Raises:
            NotFound: there is no connection; Failed: the store did not answer as it should. Nothing is lost by that.
        """
        shop, connection = self._connected(shop_id)
        walk = _Walk(shop, self._source(shop, connection), connection.generation)
        now = now or datetime.now(UTC)
        waiting = self._waiting(walk) if since is None else {}
        start, clipped = _start(connection, walk.source, since, waiting.values(), now)
        with closing(walk.source.fetch(start)) as pages:
            for page in pages:
                self._take(walk, page)
        self._account(walk)
        unexplained = self._unexplained(walk)
        if waiting and not unexplained:
            with self._db.write() as session:
                close(session, waiting)
        added, changed = self._events(walk)
        if start <= _earliest(connection, walk.source, now):
            self._move(walk)
        return {
            "shop": shop_id,
            "since": time_text(start),
            "clipped": clipped,
            "seen": walk.seen,
            "known": walk.seen - len(changed | {each["order"] for each in unexplained}),
            "added": added,
            "unexplained": unexplained,
        }

    def run_due(self, now: datetime) -> int:
        """Reconcile the shops whose time has come; return how many. A store that cannot be asked is tried again."""
        with self._db.read() as session:
            shops = due(session, now)
        claimed = [shop_id for shop_id in shops if self._claim(shop_id, now)]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reconcile") as pool:
            return sum(pool.map(lambda shop_id: self._try(shop_id, now), claimed))

    def _try(self, shop_id: int, now: datetime) -> bool:
        try:
            self.run(shop_id, now=now)
        except (Failed, NotFound) as error:
            log.warning("shop %d was not reconciled: %s", shop_id, error)
        except Exception:  # one shop's trouble must not keep the others from it
            log.exception("reconciling shop %d failed; it is tried again", shop_id)
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
            walk.newest = max(filter(None, (walk.newest, each.changed_at)), default=None)
            if not agree(walk.source, state, order):
                missing.append((order, each))
        if missing:
            self._store(walk, missing)

    def _store(self, walk: _Walk, missing: Sequence[tuple[Shown, Fetched]]) -> None:
        rows = [_row(walk.shop, order, fetched) for order, fetched in missing]
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

    def _move(self, walk: _Walk) -> None:
        """Remember how far the store was seen, by its own clock; never back, and not for another installation."""
        if walk.newest is None:
            return
        ours = (Connection.shop_id == walk.shop.id) & (Connection.generation == walk.generation)
        ahead = Connection.reconciled_to.is_(None) | (Connection.reconciled_to < walk.newest)
        with self._db.begin() as connection:
            connection.execute(update(Connection).where(ours, ahead).values(reconciled_to=walk.newest))


def due(session: Session, now: datetime) -> list[int]:
    """The shops whose reconciliation is due, the longest waiting first."""
    wanted = select(Connection.shop_id).where(Connection.reconcile_at <= now, Connection.state.in_(_REACHABLE))
    return list(session.scalars(wanted.order_by(Connection.reconcile_at).limit(MOST)))


def _start(
    connection: Connection, source: Source, since: datetime | None, waiting: Iterable[datetime], now: datetime
) -> tuple[datetime, bool]:
    """Where the walk begins, before all that waits for it, and whether the store's reach cut it off."""
    start = since or min([_resume(connection, source), *waiting])
    if source.reach is None or start >= now - source.reach:
        return start, False
    return now - source.reach, True


def _resume(connection: Connection, source: Source) -> datetime:
    if connection.reconciled_to is None:
        return connection.installed_at - BEFORE_INSTALL
    return connection.reconciled_to - source.overlap


def _earliest(connection: Connection, source: Source, now: datetime) -> datetime:
    """Where a walk must begin to leave no gap behind it that could still be filled."""
    resume = _resume(connection, source)
    return resume if source.reach is None else max(resume, now - source.reach)


def _still_connected(session: Session, walk: _Walk) -> None:
    """A shop that was erased, left or connected anew meanwhile is written to no more."""
    wanted = select(Connection.generation, Connection.state).where(Connection.shop_id == walk.shop.id)
    row = session.execute(wanted.with_for_update()).one_or_none()
    if row is None or row.generation != walk.generation or row.state == ConnectionState.ENDED:
        raise Failed("the connection to the store ended while it was being asked; what was found until then is kept")


def _row(shop: Shop, order: Shown, fetched: Fetched) -> dict[str, Any]:
    return {
        "platform": shop.platform,
        "shop_id": shop.id,
        "endpoint_id": None,
        "dedup_key": order.key,
        "topic": fetched.topic,
        "headers": SOURCE,
        "body": compress(fetched.body),
        "body_hash": hashlib.sha256(fetched.body).hexdigest(),
        "received_at": datetime.now(UTC),
        "state": WebhookState.PENDING,
    }
