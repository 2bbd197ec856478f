"""What can go wrong between a provider and its client, on order.

A fault is drawn per call. One that is limited by chance decides from its seed, the call's content and how often that
same content came before, so that two runs of the same work meet the same faults however their threads are timed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from threading import Lock
from typing import Any, TypeAlias

#: Kinds that pass by themselves; a random plan draws from these unless told otherwise.
TRANSIENT = ("500", "502", "503", "429", "drop_before", "drop_after", "delay")

KINDS = {
    "status": "an error status, the request not applied",
    "delay": "the answer comes late",
    "drop_before": "the connection is cut and the request is not applied",
    "drop_after": "the request is applied and the connection is cut before the answer",
    "garbage": "200 with a page of HTML, as a proxy in front may answer; the request not applied",
    "slow_drip": "status line, headers and body come byte by byte",
    "huge": "an answer of more than 64 KiB",
    "partial": "the last element of a batch is refused, the others applied",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of trouble, or a choice of kinds, and the calls that it befalls.

    Attributes:
        kinds: names from `KINDS`, or a status as text ("503"); where several stand, chance picks one.
        status: for kind ``status``.
        retry_after: seconds, sent as ``Retry-After`` along with a status.
        body: JSON to answer with a status, in place of the provider's usual error.
        seconds: wait before anything else; for ``slow_drip`` the pause after each byte.
        times: only the first so many calls that match; None is all of them.
        path, contains: only calls whose path, or body, has this text in it.
        rate: the share of matching calls, 0 to 1.
        seed: of the chance.
        applied: whether the request takes effect; None leaves it to the kind.
    """

    kinds: tuple[str, ...]
    status: int = 503
    retry_after: float | None = None
    body: Any = None
    seconds: float | None = None
    times: int | None = None
    path: str = ""
    contains: str = ""
    rate: float = 1.0
    seed: int = 0
    applied: bool | None = None

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("a fault needs a kind")
        for kind in self.kinds:
            if kind not in KINDS and not (kind.isdigit() and 200 <= int(kind) <= 599):
                raise ValueError(f"unknown kind of fault: {kind}")
        if not isinstance(self.times, int | None) or not (
            isinstance(self.path, str) and isinstance(self.contains, str)
        ):
            raise ValueError("a fault's times is a whole number, its path and contains are text")
        if not 0 <= self.rate <= 1:
            raise ValueError("a fault's rate is between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a drawn fault does to one call."""

    kind: str
    status: int
    retry_after: float | None
    body: Any
    wait: float  #: seconds before the request is looked at
    drip: float  #: seconds after each byte of the answer
    applied: bool

    @property
    def name(self) -> str:
        return str(self.status) if self.kind == "status" else self.kind


FaultPlan: TypeAlias = Sequence["Fault | Mapping[str, Any]"] | Mapping[str, Any]


def read_plan(plan: FaultPlan) -> list[Fault]:
    """Faults from their JSON form: a list of them, or one object with a rate, which defaults to the transient kinds.

    Raises:
        ValueError: a name or value in it is unknown.
    """
    if isinstance(plan, Mapping):
        return [_read({"kinds": TRANSIENT, **plan})]
    return [fault if isinstance(fault, Fault) else _read(fault) for fault in plan]


def _read(given: Mapping[str, Any]) -> Fault:
    if not isinstance(given, Mapping):
        raise ValueError("a fault is an object")
    settings = dict(given)
    if "kind" in settings:
        settings["kinds"] = (settings.pop("kind"),)
    unknown = settings.keys() - {field.name for field in fields(Fault)}
    if unknown or "kinds" not in settings:
        raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown))}" if unknown else "a fault needs a kind")
    settings["kinds"] = tuple(str(kind) for kind in settings["kinds"])
    return Fault(**settings)


class Faults:
    """The faults in force at one provider, tried in order; the first that applies befalls the call."""

    def __init__(self, plan: Iterable[Fault] = ()) -> None:
        self._plan = tuple(plan)
        self._used = [0] * len(self._plan)
        self._seen: Counter[bytes] = Counter()
        self._lock = Lock()

    def draw(self, method: str, path: str, body: bytes) -> Trouble | None:
        """The trouble that befalls this call, if any; counts it against the fault's ``times``."""
        if not self._plan:
            return None
        content = blake2b(b"\0".join((method.encode(), path.encode(), body)), digest_size=16).digest()
        with self._lock:
            again = self._seen[content]
            self._seen[content] += 1
            for position, fault in enumerate(self._plan):
                spent = fault.times is not None and self._used[position] >= fault.times
                if spent or fault.path not in path or fault.contains.encode() not in body:
                    continue
                chance = blake2b(b"%d:%d:%d:%b" % (fault.seed, position, again, content), digest_size=9).digest()
                if int.from_bytes(chance[:8], "big") / 2**64 < fault.rate:
                    self._used[position] += 1
                    return _trouble(fault, fault.kinds[chance[8] % len(fault.kinds)])
        return None


def _trouble(fault: Fault, kind: str) -> Trouble:
    status = int(kind) if kind.isdigit() else fault.status
    kind = "status" if kind.isdigit() else kind
    applied = fault.applied
    if kind in ("drop_before", "drop_after"):
        applied = kind == "drop_after"
    elif applied is None:
        applied = kind not in ("status", "garbage")
    return Trouble(
        kind=kind,
        status=status,
        retry_after=fault.retry_after,
        body=fault.body,
        wait=_wait(fault, kind),
        drip=(0.01 if fault.seconds is None else fault.seconds) if kind == "slow_drip" else 0.0,
        applied=applied,
    )


def _wait(fault: Fault, kind: str) -> float:
    if kind == "delay":
        return 0.05 if fault.seconds is None else fault.seconds
    # The seconds of a choice of kinds belong to its delay: they must not slow every other kind down too.
    return fault.seconds or 0.0 if kind != "slow_drip" and len(fault.kinds) == 1 else 0.0
