"""Calls: one HTTP exchange for one delivery or a batch of them, made in a thread that knows no database."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from app.models import Attempt, Delivery
from app.providers import http
from app.providers.base import Action, Answer, Outcome, Payload, Probe, Provider, Split
from app.providers.errors import AnswerLost, DeliveryError, Unavailable
from app.providers.registry import PROVIDERS
from app.services.route import Target

log = logging.getLogger(__name__)

CALLS = 64  #: at a time, all destinations together


@dataclass(slots=True)
class Item:
    """A claimed delivery, as far as calling and settling need it."""

    delivery_id: int
    attempt: Attempt  #: written, not yet numbered; ``attempt_id`` is its number once it is
    attempts: int
    payload: Payload
    since: datetime
    received_at: datetime
    lane: str | None  #: the value of the provider's lane field
    effect: dict[str, Any]
    attempt_id: int = 0


@dataclass(slots=True)
class Call:
    """One exchange to make, and what came of it."""

    target: Target
    action_name: str
    items: list[Item]
    probe: Probe | None = None  #: set: ask what became of ``items[0]`` instead of sending it
    outcomes: list[Outcome] = field(default_factory=list)  #: one per item, unless it was a question
    verdict: str = "unknown"  #: of a question
    split: bool = False  #: refused as a batch: to be sent singly
    answers: list[Answer] = field(default_factory=list)

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.target.provider]

    @property
    def action(self) -> Action:
        return self.provider.actions[self.action_name]

    def has_room(self, delivery: Delivery) -> bool:
        return self.probe is None and self.action_name == delivery.action and len(self.items) < self.action.batch


class Caller:
    """Makes calls in threads of its own and hands them back through `finished`."""

    def __init__(self, base_urls: Callable[[Target], str], *, allow_private: bool) -> None:
        self._base_urls = base_urls
        self._allow_private = allow_private
        self._pool = ThreadPoolExecutor(CALLS, thread_name_prefix="call")
        self._sessions = threading.local()
        self._finished: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self.on_finished: Callable[[], None] = lambda: None

    def start(self, call: Call) -> None:
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
            self._exchange(call)
        except Exception as error:
            # Whatever it was, it must not leave the rows to their leases; the request may have gone out.
            log.exception("a call to %s failed in an unforeseen way", call.target.provider)
            call.outcomes = [AnswerLost(f"internal error ({type(error).__name__})") for _ in call.items]
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
            call.outcomes = [Unavailable(f"refused as a batch, sent singly: {refusal}", retry_after=0.0)] * len(
                call.items
            )
        except DeliveryError as error:
            call.outcomes = [error] * len(call.items)

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = http.new_session()
        session: requests.Session = self._sessions.session
        return session
