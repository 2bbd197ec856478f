"""Calls: one HTTP exchange for one delivery or a batch of them, made in a thread that knows no database."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.providers import http
from app.providers.base import Action, Answer, Outcome, Payload, Probe, Provider, Split
from app.providers.errors import AnswerLost, DeliveryError, Unavailable
from app.providers.registry import PROVIDERS
from app.services.route import Target
from app.services.rows import Row
from app.services.said import mark

log = logging.getLogger(__name__)

CALLS = 64  #: at a time, all destinations together
LATEST = 3.0  #: seconds from the claim within which a call begins: what is left of its lease must do for all of it


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
    late: bool = False  #: not made, for its lease could have ended under it

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
    """Makes calls in threads of its own and hands them back through `finished`."""

    def __init__(self, base_urls: Callable[[Target], str], *, allow_private: bool) -> None:
        self._base_urls = base_urls
        self._allow_private = allow_private
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="call")
        self._sessions = threading.local()
        self._finished: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._free = CALLS
        self._counting = threading.Lock()
        self.on_finished: Callable[[], None] = lambda: None
        self.new_session: Callable[[], http.Pooled] = http.new_session

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
            return self._free == CALLS

    def start(self, call: Call) -> None:
        """Make a call, in a thread that was reserved."""
        self._pool.submit(self._make, call)

    def finished(self) -> list[Call]:
        """The calls that are over since the last question."""
        found = []
        while not self._finished.empty():
            found.append(self._finished.get())
        return found

    def give_back(self, calls: list[Call]) -> None:
        """Calls that could not be settled now."""
        for call in calls:
            self._finished.put(call)

    def close(self) -> None:
        """Let the calls under way finish."""
        self._pool.shutdown(wait=True)

    def _make(self, call: Call) -> None:
        try:
            if time.monotonic() - call.claimed_at > LATEST:
                call.late = True
                late = Unavailable(mark("not sent: it was begun too late"), retry_after=0.0)
                call.outcomes = [late] * len(call.items)
            else:
                self._exchange(call)
        except Exception as error:
            # Whatever it was, it must not leave the rows to their leases; the request may have gone out.
            about = {"shop": call.target.shop_id, "delivery": call.items[0].delivery_id}
            log.exception("a call to %s failed in an unforeseen way", call.target.provider, extra=about)
            call.lose(type(error).__name__)
        self._finished.put(call)
        self.on_finished()

    def _exchange(self, call: Call) -> None:
        arguments: dict[str, Any] = {
            "base_url": self._base_urls(call.target),
            "session": self._session(),
            "allow_private": self._allow_private,
            "seen": call.answers,
        }
        settings = call.target.settings
        try:
            if call.probe:
                call.verdict = http.probe(call.provider, call.probe, settings, **arguments)
            else:
                payloads = [item.payload for item in call.items]
                call.outcomes = http.call(call.provider, call.action, payloads, settings, **arguments)
        except Split as refusal:
            call.split = True
            call.outcomes = [
                Unavailable(mark("refused as a batch, sent singly: {refusal}").format(refusal=refusal), retry_after=0.0)
            ] * len(call.items)
        except DeliveryError as error:
            call.outcomes = [error] * len(call.items)

    def _session(self) -> http.Pooled:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = self.new_session()
        session: http.Pooled = self._sessions.session
        return session
