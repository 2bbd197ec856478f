"""A call to a simulated provider, the answer to it, and the rate at which calls are let in."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

#: Requests that were evenly spaced when sent may arrive a little bunched; windows are this much shorter, in seconds.
JITTER = 0.05


@dataclass(slots=True)
class Call:
    """One HTTP request to a provider, as far as a simulator looks at it."""

    method: str
    path: str  #: below the provider's mount, still percent-encoded: ``/orders/5934-14``
    query: Mapping[str, str]
    headers: Mapping[str, str]  #: names in lower case
    body: bytes
    client: str  #: the sender's IP address
    n: int = 0  #: position among the provider's calls, from 1
    account: str | None = None
    drop_last: bool = False  #: fault ``partial``: refuse the batch's last element
    _document: list[Any] = field(default_factory=list)

    @property
    def parts(self) -> list[str]:
        """The path's segments, decoded each by itself, so that an id may contain a slash."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    def document(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is not JSON in UTF-8, or has NaN or Infinity in it.
        """
        if not self._document:
            self._document.append(json.loads(self.body.decode("utf-8"), parse_constant=_no_constant))
        return self._document[0]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    drip: float = 0.0  #: seconds after each byte


def json_answer(status: int, data: object) -> Answer:
    return Answer(status, json.dumps(data, separators=(",", ":")).encode())


class Refused(Exception):
    """The call ends here with ``answer``; each of ``violations`` is a breach of the contract, in a sentence."""

    def __init__(self, answer: Answer, *violations: str) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.violations = violations


class RateLimit:
    """So many requests within so many seconds, over sliding windows, counted apart for each key."""

    def __init__(self, windows: Sequence[tuple[int, float]], factor: float) -> None:
        self._windows = [(max(1, round(limit * factor)), seconds - JITTER) for limit, seconds in windows]
        self._admitted: dict[str, deque[float]] = {}

    def admits(self, key: str, now: float) -> bool:
        """Count a request at ``now`` (seconds, monotonic), unless it is one too many."""
        times = self._admitted.setdefault(key, deque(maxlen=max(limit for limit, _ in self._windows)))
        for limit, seconds in self._windows:
            if len(times) >= limit and now - times[-limit] < seconds:
                return False
        times.append(now)
        return True
