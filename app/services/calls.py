"""Calls: one HTTP exchange for one delivery or a batch of them, made by threads that know no database."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from app.providers import http
from app.providers.base import Action, Answer, Outcome, Payload, Probe, Provider
from app.providers.errors import AnswerLost, Unavailable
from app.providers.exchanges import Job, Result, Threads
from app.providers.registry import PROVIDERS
from app.services.calling import Apart
from app.services.route import Target
from app.services.rows import Row

log = logging.getLogger(__name__)

CALLS = {True: 192, False: 64}  #: at a time, all destinations together: of a process of their own, of threads here


@dataclass(slots=True)
class Item:
    """A claimed delivery, as far as calling and settling need it."""

    delivery_id: int
    attempts: int  #: with this one, since it was owed or sent again by a person
    started_at: datetime  #: with the delivery and ``attempts``, what names the attempt in the database
    payload: Payload
    since: datetime
    received_at: datetime
    effect: dict[str, Any]


@dataclass(slots=True)
class Call:
    """One exchange to make, and what came of it."""

    target: Target
    saved_at: datetime  #: when the settings and the mapping that it is made by were saved
    action_name: str
    claimed_at: float  #: when its lease began, by `time.monotonic`
    items: list[Item]
    probe: Probe | None = None  #: set: ask what became of ``items[0]`` instead of sending it
    outcomes: list[Outcome] = field(default_factory=list)  #: one per item, unless it was a question
    verdict: str = "unknown"  #: of a question
    alone: bool = False  #: for one delivery, whatever the action's batch
    split: bool = False  #: refused as a batch: to be sent singly
    answers: list[Answer] = field(default_factory=list)
    unmade: bool = False  #: nothing was asked of anybody

    def job(self, base_url: str) -> Job:
        return Job(
            provider=self.target.provider,
            action=self.action_name,
            payloads=[item.payload for item in self.items],
            settings=self.target.settings,
            base_url=base_url,
            question=self.probe is not None,
            claimed_at=self.claimed_at,
        )

    def take(self, result: Result) -> None:
        """Note what came of it."""
        self.outcomes, self.verdict, self.answers = result.outcomes, result.verdict, result.answers
        self.split, self.unmade = result.split, result.unmade is not None
        if result.unmade:
            self.outcomes = [Unavailable(result.unmade, retry_after=0.0)] * len(self.items)
        if result.failure:
            # The request may have gone out.
            about = {"shop": self.target.shop_id, "delivery": self.items[0].delivery_id}
            log.error("a call to %s failed: %s", self.target.provider, result.failure, extra=about)
            self.lose(result.failure)

    def lose(self, error: str) -> None:
        """It may have been applied, and nobody can say."""
        self.outcomes = [AnswerLost(f"internal error ({error})") for _ in self.items]
        self.answers = []

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.target.provider]

    @property
    def action(self) -> Action:
        return self.provider.actions[self.action_name]

    @property
    def further(self) -> int:
        """Requests beyond the first; where an answer was lost, with the one that it was the answer to."""
        lost = any(isinstance(each, AnswerLost) for each in self.outcomes)
        return min(max(len(self.answers) + lost - 1, 0), self.provider.further)

    def has_room(self, row: Row) -> bool:
        """Whether a delivery may ride with the others."""
        if self.alone or self.probe is not None or row.singly or row.doubt:
            return False
        return self.action_name == row.action and len(self.items) < self.action.batch


class Caller:
    """Has calls made, by threads or by another process, and hands them back through `finished`."""

    def __init__(
        self,
        base_urls: Callable[[Target], str],
        *,
        allow_private: bool,
        transport: str = "requests",
        apart: bool = False,
    ) -> None:
        """
        Args:
            apart: in a process of their own.
        """
        self._base_urls = base_urls
        self._finished: deque[Call] = deque()
        self._numbers = itertools.count()
        self._under_way: dict[int, Call] = {}
        self.size = self._free = CALLS[apart]  #: how many threads there are in all
        self._counting = threading.Lock()
        self.on_finished: Callable[[], None] = lambda: None
        self._made_by: Apart | Threads
        if apart:
            self._made_by = Apart(self.size, self._take, transport=transport, allow_private=allow_private)
        else:
            new_session = partial(http.new_session, transport, self.size)
            self._made_by = Threads(self.size, self._take, new_session=new_session, allow_private=allow_private)

    def reserve(self, most: int) -> int:
        """Take up to ``most`` threads, and say how many; a claimed call must start at once, for its lease runs."""
        with self._counting:
            taken = max(min(most, self._free), 0)
            self._free -= taken
            return taken

    def free(self, threads: int) -> None:
        """Give back threads whose calls were settled or not needed."""
        with self._counting:
            self._free += threads

    def room(self) -> int:
        """How many threads are free."""
        with self._counting:
            return self._free

    def idle(self) -> bool:
        with self._counting:
            return self._free == self.size

    def start(self, calls: Sequence[Call]) -> None:
        """Make calls, in threads that were reserved."""
        numbered = {next(self._numbers): call for call in calls}
        self._under_way |= numbered
        try:
            jobs = {number: call.job(self._base_urls(call.target)) for number, call in numbered.items()}
            self._made_by.start(jobs)
        except Exception as error:  # a bug, which must not leave the rows to their leases
            log.exception("calls could not be started")
            for number in numbered:
                self._take(number, Result(failure=type(error).__name__))

    def finished(self) -> list[Call]:
        """The calls that are over since the last question."""
        found = []
        while self._finished:
            found.append(self._finished.popleft())
        return found

    def give_back(self, calls: Sequence[Call]) -> None:
        """Calls that could not be settled now; they come first again, for their leases run."""
        self._finished.extendleft(reversed(calls))

    def close(self) -> None:
        """Let the calls under way finish."""
        self._made_by.close()

    def _take(self, number: int, result: Result) -> None:
        call = self._under_way.pop(number, None)
        if call is None:
            return  # it could not be started, and was noted as lost
        call.take(result)
        self._finished.append(call)
        self.on_finished()
