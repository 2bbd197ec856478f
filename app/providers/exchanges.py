"""Exchanges: one call of a provider each, made in threads that know nothing but what the call needs.

What goes in and what comes out can be pickled, so that the threads may belong to another process (`calling.py`).
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.providers import http
from app.providers.base import TIMEOUT, Answer, Outcome, Payload, Settings, Split
from app.providers.errors import DeliveryError, Unavailable
from app.providers.marks import mark
from app.providers.registry import PROVIDERS

LATEST = 3.0  #: seconds from the claim within which a call begins: what is left of its lease must do for all of it
FURTHER = LATEST + 2 * TIMEOUT  #: the same for each further request of it, see `Doubt`
LONGEST = FURTHER + TIMEOUT  #: within which all of it is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A call to make."""

    provider: str
    action: str
    payloads: list[Payload]
    settings: Settings
    base_url: str
    question: bool  #: ask what became of the only payload, instead of sending it
    claimed_at: float  #: by `time.monotonic`, which all processes of a machine share


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it."""

    outcomes: list[Outcome] = field(default_factory=list)  #: one for each payload, unless it was a question
    verdict: str = "unknown"  #: of a question
    answers: list[Answer] = field(default_factory=list)
    split: bool = False  #: refused as a batch: to be sent singly
    unmade: str | None = None  #: why the call was not made
    failure: str | None = None  #: a bug of ours: its kind, and where; whether anything was sent is not known


class Threads:
    """Makes exchanges, each in a thread of its own."""

    def __init__(
        self,
        size: int,
        on_done: Callable[[int, Result], None],
        *,
        new_session: Callable[[], http.Pooled],
        allow_private: bool,
    ) -> None:
        """
        Args:
            on_done: called in the exchange's thread, with the number that the job was given.
        """
        self._on_done = on_done
        self._session = new_session()  # for all threads: one each would keep connections to each host open
        self._allow_private = allow_private
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="call")

    def start(self, jobs: dict[int, Job]) -> None:
        for number, job in jobs.items():
            self._pool.submit(self._make, number, job)

    def close(self) -> None:
        """Let the exchanges under way finish."""
        self._pool.shutdown(wait=True)

    def _make(self, number: int, job: Job) -> None:
        result = Result()
        try:
            self._exchange(job, result)
        except Exception as error:  # whatever it was, it must not leave the rows to their leases
            result = Result(failure=_place(error))
        self._on_done(number, result)

    def _exchange(self, job: Job, result: Result) -> None:
        if time.monotonic() - job.claimed_at > LATEST:
            result.unmade = mark("not sent: it was begun too late")  # its lease could end under it
            return
        provider = PROVIDERS[job.provider]
        action = provider.actions[job.action]
        arguments: dict[str, Any] = {
            "base_url": job.base_url,
            "session": self._session,
            "allow_private": self._allow_private,
            "seen": result.answers,
        }
        until = job.claimed_at + FURTHER
        try:
            if job.question:
                probe = action.resolve(job.payloads[0], job.settings)
                if probe is not None:
                    result.verdict = http.probe(provider, probe, job.settings, **arguments)
            else:
                result.outcomes = http.call(provider, action, job.payloads, job.settings, until=until, **arguments)
        except Split as refusal:
            result.split = True
            words = mark("refused as a batch, sent singly: {refusal}").format(refusal=refusal)
            result.outcomes = [Unavailable(words, retry_after=0.0)] * len(job.payloads)
        except DeliveryError as error:
            result.outcomes = [error] * len(job.payloads)


def _place(error: Exception) -> str:
    """The kind of ``error`` and where it was raised; its text may hold a person or a key."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
