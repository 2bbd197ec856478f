"""What the five simulators share: credentials, rate limits, faults, and a record of everything.

A provider's own module says who is asking (`Simulator.identify`), what a call does (`Simulator.route`) and how a
refusal looks (`Simulator.refusal`). Every breach of a contract is kept as a violation, whatever was answered.
"""

import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from typing import Any, ClassVar, Generic, TypeVar

from app.simulators.calls import Answer, Call, RateLimit, Refused, json_answer
from app.simulators.checks import Check, Findings, examine
from app.simulators.faults import FaultPlan, Faults, Trouble, read_plan
from app.simulators.server import ConnectionCut

HUGE = 128 * 1024  # bytes, twice what a careful client reads
PAGE = b"<!doctype html><html><head><title>Service</title></head><body><h1>Please stand by</h1></body></html>"
SECRET_HEADERS = frozenset({"authorization", "x-auth-apikey", "x-converge-key", "apikey", "secretkey"})

Books = TypeVar("Books")


class Simulator(ABC, Generic[Books]):
    """One provider: its accounts' books, its record of calls, its faults. Safe to call from many threads."""

    name: ClassVar[str]
    #: (requests, seconds) pairs; published where the provider publishes them.
    limits: ClassVar[Sequence[tuple[int, float]]]
    batches: ClassVar[bool] = True  #: whether it can refuse one element of a batch

    def __init__(
        self,
        *,
        limit_factor: float = 1.0,
        credentials: Mapping[str, str] | None = None,
        record_bodies: bool = True,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._limit_factor = limit_factor
        self._credentials = credentials or {}
        self._record_bodies = record_bodies
        self._pause = pause
        self._lock = RLock()
        self.reset()

    def reset(self) -> None:
        """Forget everything: books, record, violations, faults and the rates so far."""
        with self._lock:
            self._books: dict[str, Books] = {}
            self._records: list[dict[str, Any]] = []
            self._violations: list[dict[str, Any]] = []
            self._complaints: list[str] = []
            self._counts: Counter[str] = Counter()
            self._faults = Faults()
            self._rate = RateLimit(self.limits, self._limit_factor)

    # The provider's own part

    @abstractmethod
    def identify(self, call: Call) -> str:
        """The account that is asking, or `Refused` with the provider's 401."""

    @abstractmethod
    def route(self, call: Call, account: str) -> Answer:
        """Do what the call asks for, or raise `Refused`."""

    @abstractmethod
    def refusal(self, status: int, sentence: str) -> Answer:
        """An error as this provider words it."""

    @abstractmethod
    def open_books(self) -> Books:
        """A new account's business state."""

    @abstractmethod
    def view(self, books: Books) -> dict[str, Any]:
        """Business state as JSON: the same for the same outcome, whatever order or number of calls led to it."""

    def rate_key(self, _call: Call, account: str) -> str:
        """Whose requests are counted together."""
        return account

    # Serving

    def serve(self, call: Call) -> Answer:
        """Answer one call, faults included, and record it.

        Raises:
            ConnectionCut: a fault cuts the connection in place of an answer.
        """
        with self._lock:
            record = self._open_record(call)
            trouble = self._faults.draw(call.method, call.path, call.body)
        record["fault"] = trouble and trouble.name
        answer = self.perform(call, trouble)
        if trouble and trouble.kind in ("drop_before", "drop_after"):
            raise ConnectionCut
        record["status"] = answer.status
        if self._record_bodies:
            record["answer"] = answer.body
        return answer

    def perform(self, call: Call, trouble: Trouble | None) -> Answer:
        """Apply the call, unless its fault keeps it from being applied, and let the fault change the answer."""
        if trouble and trouble.wait:
            self._pause(trouble.wait)
        if trouble and not trouble.applied:
            return self._stand_in(trouble)
        call.drop_last = trouble is not None and trouble.kind == "partial"
        with self._lock:
            answer = self._apply(call)
        return self._distort(answer, trouble) if trouble else answer

    def _apply(self, call: Call) -> Answer:
        try:
            if not call.headers.get("user-agent", "").startswith("Tillwire/"):
                self.violation(call, "header User-Agent must start with Tillwire/")
            call.account = self.identify(call)
            self._records[call.n - 1]["account"] = call.account
            if not self._rate.admits(self.rate_key(call, call.account), time.monotonic()):
                raise Refused(self.refusal(429, "Too many requests"), "more requests than the rate limit allows")
            return self.route(call, call.account)
        except Refused as refused:
            for sentence in refused.violations:
                self.violation(call, sentence)
            return refused.answer

    def _stand_in(self, trouble: Trouble) -> Answer:
        if trouble.kind == "garbage":
            return Answer(200, PAGE, "text/html")
        if trouble.kind != "status":
            return Answer(503)
        headers = () if trouble.retry_after is None else (("Retry-After", f"{trouble.retry_after:g}"),)
        if trouble.body is not None:
            made = json_answer(trouble.status, trouble.body)
        elif trouble.status in (502, 503, 504):
            made = Answer(trouble.status, PAGE, "text/html")
        else:
            made = self.refusal(trouble.status, "Simulated fault")
        return Answer(made.status, made.body, made.content_type, headers)

    def _distort(self, answer: Answer, trouble: Trouble) -> Answer:
        if trouble.kind in ("status", "garbage"):
            return self._stand_in(trouble)
        if trouble.kind == "huge":
            given = json.loads(answer.body) if answer.body and answer.content_type == "application/json" else {}
            return json_answer(answer.status, {"padding": "x" * HUGE} | (given if isinstance(given, dict) else {}))
        return Answer(answer.status, answer.body, answer.content_type, answer.headers, trouble.drip)

    # For the providers' modules

    def books(self, account: str) -> Books:
        if account not in self._books:
            self._books[account] = self.open_books()
        return self._books[account]

    def accepts(self, setting: str, value: str) -> bool:
        """Whether ``value`` is a credential that this provider takes, by the name it has in Tillwire's settings."""
        pinned = self._credentials.get(setting)
        return value == pinned if pinned is not None else bool(value) and not value.startswith(("wrong", "revoked"))

    def violation(self, call: Call, sentence: str) -> None:
        kept = {"provider": self.name, "n": call.n, "account": call.account, "path": call.path, "sentence": sentence}
        with self._lock:
            self._violations.append(kept)

    def complain(self, sentence: str) -> None:
        """Note something that the provider takes, and then works out wrongly."""
        self._complaints.append(sentence)

    def count(self, what: str) -> None:
        self._counts[what] += 1

    def read(self, call: Call) -> Any:
        """The call's JSON, or `Refused` with 400."""
        media_type, _, parameters = call.headers.get("content-type", "").partition(";")
        if media_type.strip().lower() != "application/json":
            raise self.refused(400, "header Content-Type must be application/json")
        if parameters and parameters.strip().lower() not in ("charset=utf-8", 'charset="utf-8"'):
            raise self.refused(400, "header Content-Type must name UTF-8 where it names a character set")
        try:
            return call.document()
        except (ValueError, RecursionError) as error:
            raise self.refused(400, f"body is not JSON: {error}") from error

    def check(self, call: Call, check: Check, value: object, path: str = "") -> Findings:
        """What ``check`` finds; its remarks are violations already, the refused part is the caller's to answer."""
        found = examine(check, value, path)
        for sentence in found.remarks:
            self.violation(call, sentence)
        return found

    def require(self, call: Call, check: Check, value: object, status: int = 400) -> None:
        """Refuse the whole call where ``check`` finds anything that the provider would turn down."""
        found = self.check(call, check, value)
        if found.refused:
            raise self.refused(status, *found.refused)

    def refused(self, status: int, *violations: str) -> Refused:
        return Refused(self.refusal(status, "; ".join(violations)), *violations)

    def no_route(self, call: Call) -> Refused:
        return self.refused(404, f"there is no {call.method} {call.path}")

    # Looking in from outside

    def set_faults(self, plan: FaultPlan) -> None:
        """Put faults in force, in place of those before; an empty list ends them.

        Raises:
            ValueError: the plan cannot be read, or asks for what this provider cannot do.
        """
        faults = read_plan(plan)
        if not self.batches and any("partial" in fault.kinds for fault in faults):
            raise ValueError(f"{self.name} has no way to refuse a part of a batch")
        with self._lock:
            self._faults = Faults(faults)

    def state(self) -> dict[str, Any]:
        """``state`` is business, comparable between runs; ``calls`` and ``complaints`` depend on how it came about."""
        with self._lock:
            views = {account: self.view(books) for account, books in sorted(self._books.items())}
            statuses = Counter(str(record["status"] or "none") for record in self._records)
            faults = Counter(record["fault"] for record in self._records if record["fault"])
            return {
                "provider": self.name,
                "state": {account: view for account, view in views.items() if any(view.values())},
                "calls": {
                    "requests": len(self._records),
                    "statuses": dict(sorted(statuses.items())),
                    "faults": dict(sorted(faults.items())),
                    "counts": dict(sorted(self._counts.items())),
                },
                "complaints": sorted(self._complaints),
            }

    def violations(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._violations)

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The recorded calls after number ``since``, credentials masked; no ``status``: no answer went out (yet)."""
        with self._lock:
            return [_shown(record) for record in self._records[since:]]

    def _open_record(self, call: Call) -> dict[str, Any]:
        call.n = len(self._records) + 1
        record: dict[str, Any] = {
            "n": call.n,
            "at": time.time(),
            "account": None,
            "method": call.method,
            "path": call.path,
            "headers": call.headers if self._record_bodies else None,
            "body": call.body if self._record_bodies else None,
            "status": None,
            "answer": None,
            "fault": None,
        }
        self._records.append(record)
        return record


def _shown(record: Mapping[str, Any]) -> dict[str, Any]:
    headers = record["headers"]
    return {
        **record,
        "headers": headers and {name: "***" if name in SECRET_HEADERS else headers[name] for name in sorted(headers)},
        "body": _readable(record["body"]),
        "answer": _readable(record["answer"]),
    }


def _readable(raw: bytes | None) -> Any:
    """JSON as such, anything else as text; None for nothing."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
