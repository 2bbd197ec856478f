"""Account: turn stored webhooks into ledgers, events and owed deliveries, each exactly once.

Everything that a webhook means is written in one transaction together with its own new state, so a process that dies
leaves it either untouched or done.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import cast

from sqlalchemy import Table, bindparam, literal_column, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from app.db import Database, lies_in_the_data
from app.models import Event, EventState, Shop, Webhook, WebhookState
from app.services import observe, page, traces
from app.services.books import Books
from app.services.observe import Read
from app.services.one_of import one_of
from app.services.page import Page
from app.services.precedence import WEBHOOK, Clerk, Precedence
from app.services.route import Router
from app.services.said import mark
from connectors.events import Chore

log = logging.getLogger(__name__)

BATCH = 10  #: webhooks of a shop in a round
IN_A_STEP = 3  #: of a busy one, while others have work
SHOPS = 10  #: whose webhooks are read together
TOGETHER = 20  #: webhooks in a transaction; on SQLite others wait to be stored meanwhile
TRIES = 3  #: where another worker is at the same rows


class Accountant:
    """Works off stored webhooks, those of one shop in the order of their arrival."""

    def __init__(
        self,
        db: Database,
        router: Router,
        complete: Callable[[list[Read]], list[Read]] = list,
        away: Callable[[], Collection[int]] = frozenset,
        precedence: Precedence | None = None,
    ) -> None:
        """
        Args:
            complete: adds to what was read what only another question to a store tells, and leaves out what waits for
                an answer; no session is open then.
            away: the shops of which something waits so; their webhooks stay as they are until it is here.
            precedence: shared with whoever delivers in the same process.
        """
        self._db = db
        self._router = router
        self._complete = complete
        self._away = away
        self._precedence = precedence or Precedence()
        self.on_owed: Callable[[set[int]], None] = lambda destinations: None

    def work(self) -> int:
        """Account for some webhooks of every shop that has any, of busy ones last; return how many were read.

        Where busy ones had to give way it is one more, so that nobody takes it that there is nothing to do.
        """
        with self._precedence.first(Clerk.ACCOUNTS):
            with self._db.read() as session:
                shops = list(session.scalars(observe.WAITING))
            away = self._away()
            waiting = [shop_id for shop_id in shops if shop_id not in away]
            busy, others = self._precedence.parted(waiting, lambda shop_id: shop_id)
            done = self._work_in_parts(others)
        if busy and self._precedence.crowded():
            return done + self._step(busy)
        self._precedence.waive(Clerk.ACCOUNTS)
        return done + self._work_in_parts(busy)

    def _step(self, busy: list[int | None]) -> int:
        """Work for one of them, for whom it happens to be; return 1 where there was no time for any."""
        random.shuffle(busy)
        with self._precedence.step(Clerk.ACCOUNTS) as ours:
            if not ours:
                return 1
            # Another worker may be at some of them.
            done = next((done for shop_id in busy if (done := self._work_apart([shop_id], IN_A_STEP))), 0)
        if done == IN_A_STEP or (done and len(busy) > 1):
            self._precedence.want(Clerk.ACCOUNTS)
        return done

    def _work_in_parts(self, shop_ids: Sequence[int | None]) -> int:
        return sum(self._work_apart(shop_ids[start : start + SHOPS]) for start in range(0, len(shop_ids), SHOPS))

    def _work_apart(self, shop_ids: Sequence[int | None], most: int = BATCH) -> int:
        """Where one of these shops cannot be worked for, the others go on."""
        try:
            return self._work_for(shop_ids, most)
        except Exception as error:
            if not lies_in_the_data(error):
                raise
            if len(shop_ids) > 1:
                return sum(self._work_apart([shop_id], most) for shop_id in shop_ids)
            log.exception("webhooks could not be accounted for; trying again", extra={"shop": shop_ids[0]})
            return 0

    def _work_for(self, shop_ids: Sequence[int | None], most: int) -> int:
        """Account for the next webhooks of these shops, or (None) of those whose bodies have to tell theirs.

        One worker at a time is at a shop: two would get into each other's way over its orders.
        """
        with self._db.turns([shop_id or 0 for shop_id in shop_ids]) as ours:
            return self._account([shop_id for shop_id in shop_ids if (shop_id or 0) in ours], most)

    def _account(self, shop_ids: Sequence[int | None], most: int) -> int:
        found = self._read(shop_ids, most)
        reads = self._complete(found)
        for start in range(0, len(reads), TOGETHER):
            self._settle(reads[start : start + TOGETHER])
        self._precedence.recent.note(Counter(read.webhook.shop_id for read in found for _ in range(WEBHOOK)))
        return len(found)

    def _read(self, shop_ids: Sequence[int | None], most: int) -> list[Read]:
        """Parse outside of any transaction: it is the larger part of the work and needs no lock."""
        with self._db.read() as session:
            return observe.observe(session, shop_ids, most)

    def _settle(self, reads: Sequence[Read]) -> None:
        """Write all of them together; where one stands in the others' way, each by itself."""
        try:
            self._write(reads)
        except Exception as error:
            if not (_raced(error) or lies_in_the_data(error)):
                raise  # the database is in trouble, not a webhook: all of them stay pending
            log.warning("a batch of %d webhooks failed; going one by one", len(reads), exc_info=error)
            for each in reads:
                self._write_alone(each)

    def _write_alone(self, read: Read) -> None:
        for left in reversed(range(TRIES)):
            try:
                return self._write([self._anew(read)])
            except Exception as error:
                if left and _raced(error):
                    continue  # the other worker has committed by now, and its rows are found
                if not lies_in_the_data(error):
                    raise
                log.exception("webhook %s could not be accounted for", read.webhook.id, extra=read.webhook.ids)
                text = f"internal error while accounting ({type(error).__name__}); the body is kept"
                return self._write([Read(read.webhook, read.shop, None, text)])

    def _anew(self, read: Read) -> Read:
        """With its shop as it stands: what a transaction that failed learnt of it was never written."""
        if read.shop is None:
            return read
        with self._db.read() as session:
            return replace(read, shop=session.get(Shop, read.shop.id))

    def _write(self, reads: Sequence[Read]) -> None:
        with self._db.write() as session:
            books = Books(session, self._router)
            ours = _claimed(session, reads)
            books.hold(key for each in ours for key in page.keys(each))
            for each in ours:
                self._enter(books, each)
            books.close()
        books.count()
        traces.accounted(each.webhook for each in ours)
        if owed := session.info.get("owed"):
            self.on_owed(owed)

    def _enter(self, books: Books, read: Read) -> None:
        if read.observation is None:
            books.note(read, EventState.ERROR, read.error)
        elif (foreign := read.foreign) is not None:
            log.warning("webhook %s is quarantined: %s", read.webhook.id, foreign, extra=read.webhook.ids)
            books.note(read, EventState.QUARANTINED, foreign)
        elif read.shop is None:
            books.note(read, EventState.ERROR, mark("names no shop that is installed here"))
        else:
            Page(books, self._router, read, read.shop).take(read.observation)


def _claimed(session: Session, reads: Sequence[Read]) -> list[Read]:
    """Mark webhooks as done; return those that no other worker marked first."""
    alike: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for each in reads:
        chore = each.observation is not None and isinstance(each.observation.seen, Chore)
        found = each.shop.id if each.shop is not None and each.webhook.shop_id is None else None
        alike[WebhookState.TODO if chore else WebhookState.DONE, found].append(each.webhook.id)
    ours: set[int] = set()
    for (state, found), ids in alike.items():
        claim = _CLAIM if found is None else _CLAIM_FOR
        named = {} if found is None else {"found": found}
        ours |= set(session.connection().execute(claim, {"ids": ids, "now": state, **named}).scalars())
    return [each for each in reads if each.webhook.id in ours]


def _raced(error: Exception) -> bool:
    """Whether another worker was at the same rows, so that it may go well once that has committed."""
    deadlock_or_serialization = ("40P01", "40001")
    return isinstance(error, IntegrityError) or (
        isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in deadlock_or_serialization
    )


_W = cast(Table, Webhook.__table__)
_CLAIM = (
    update(_W)
    .where(
        one_of(_W.c.id, "ids"),
        _W.c.state == literal_column(f"'{WebhookState.PENDING}'"),
    )
    .values(state=bindparam("now"))
    .returning(_W.c.id)
)
_CLAIM_FOR = _CLAIM.values(shop_id=bindparam("found"))


def read_again(session: Session, shop_id: int, ids: Sequence[int]) -> int:
    """Let the webhooks behind events in error be read once more, by whatever reads them better now; return how many.

    Args:
        ids: events of this shop; empty: all of its events in error.
    """
    wanted = select(Event).where(Event.shop_id == shop_id, Event.state == EventState.ERROR)
    if ids:
        wanted = wanted.where(Event.id.in_(ids))
    found = session.scalars(wanted).all()
    for event in found:
        session.execute(
            update(Webhook)
            .where(Webhook.id == event.webhook_id)
            .values(state=WebhookState.PENDING)
            .execution_options(synchronize_session=False)
        )
        session.delete(event)
    return len(found)
