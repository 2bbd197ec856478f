"""How a provider is declared: settings, actions, limits, and what its answers mean.

The settings page, the command line, the worker and the docs' checks read these declarations; none of them knows a
provider by name.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from app.providers.errors import DeliveryError, Unauthorized
from app.providers.marks import mark
from app.providers.payload_fields import CustomFields, PayloadField

TIMEOUT = 15.0  #: seconds for a request and its answer

Payload = dict[str, Any]  #: JSON, as a mapping rendered it
Facts = Mapping[str, Any]  #: JSON: event, shop, order, refund, cart, checkout, options, reversal
Settings = Mapping[str, Any]  #: a destination's settings by name, typed as declared, defaults filled in


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that a merchant enters or chooses."""

    name: str
    label: str
    help: str = ""
    link: str | None = None  #: where the merchant finds it
    secret: bool = False  #: encrypted at rest, never shown again, never in ``options`` facts
    required: bool = False
    kind: str = "text"  #: text, choice, boolean, integer, table (text to text)
    choices: tuple[tuple[str, str], ...] = ()  #: value and label, for ``choice``; what a ``table`` may lead to
    pattern: tuple[str, str] | None = None  #: regular expression of the whole text, and what to do where it is not met
    between: tuple[int, int] | None = None  #: lowest and highest, for ``integer``
    default: Any = None
    advanced: bool = False  #: of use to few: shown folded


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most ``requests`` in any ``seconds``."""

    requests: int
    seconds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP call; ``path`` follows the provider's base address."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    timeout: float = TIMEOUT  #: seconds in all, and at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: at most 64 KiB of body; ``truncated`` where there was more."""

    status: int
    headers: Mapping[str, str]  #: names lower-cased
    body: bytes
    truncated: bool = False

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def text(self, longest: int = 500) -> str:
        return self.body[: longest * 4].decode("utf-8", "replace").strip()[:longest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The provider took it. ``note`` says what is worth telling the merchant, for example "already applied"."""

    note: str | None = None


Outcome = Accepted | DeliveryError


class Split(Exception):
    """A batch was refused as a whole, or the answer does not say which of it: send its items singly to find out."""


def accept_2xx(answer: Answer, payloads: Sequence[Payload]) -> list[Outcome]:
    """Every item accepted; `app.providers.http.send` has raised for any other status."""
    return [Accepted()] * len(payloads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A call that changes nothing, and how to read its answer."""

    request: Request
    read: Callable[
        [Answer], str
    ]  #: connection test: "accepted", "refused" or "unknown"; resolver: "applied", "absent", "unknown"
    note: str = ""  #: what "accepted" does and does not prove


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A refusal that may only mean "this was applied before": what to ask, and what to send once if it was not."""

    probe: Probe
    otherwise: Callable[[], Payload]  #: asked for only then; may raise `NeedsMending`


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a provider can be asked to do."""

    title: str
    request: Callable[[Sequence[Payload], Settings], Request]  #: one call for 1 to ``batch`` payloads
    required: frozenset[str] = frozenset()  #: top-level payload fields; a payload without one is a mapping error
    fields: Mapping[str, PayloadField] = field(default_factory=dict)  #: by path: what the provider documents
    custom: tuple[CustomFields, ...] = ()  #: where it takes fields of any name
    batch: int = 1
    read: Callable[[Answer, Sequence[Payload]], list[Outcome]] = accept_2xx
    #: Called for answers that are no 2xx, before the general reading of the status; None leaves it to that.
    refused: Callable[[Answer], Outcome | None] = lambda answer: None
    repeatable: bool = False  #: sending the same payload again does no harm, so a lost answer is simply sent again
    adds_value: bool = True  #: a second acceptance would count twice (replays warn); False for upserts
    once: bool = False  #: at most one delivery of this action per order and destination, whatever triggers it
    collapse: bool = False  #: of several unsent ones for one order only the newest is sent
    unchanged: tuple[str, ...] = ()  #: payload paths; if all equal those last accepted for this order, it is skipped
    reverses: str | None = None  #: the action that must have been accepted before; makes ``reversal`` facts available
    #: Fact name to payload field: what was accepted under it is kept, and what reverses it reads it in ``reversal``.
    kept: Mapping[str, str] = field(default_factory=dict)
    ordered: bool = True  #: waits for earlier unfinished deliveries of the same order or cart at this destination
    check: Callable[[Payload, Facts], list[str]] = lambda payload, facts: []  #: complaints; they never block
    hold: Callable[[Payload, Facts, Settings], str | None] = lambda payload, facts, settings: None
    #: After a lost answer of an action that is not repeatable: how to ask the provider; None: a person decides.
    resolve: Callable[[Payload, Settings], Probe | None] = lambda payload, settings: None
    #: Of a refused single payload: whether the refusal may mean that it had been applied; `http.call` asks by itself.
    doubt: Callable[[Answer, Payload, Settings], Doubt | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A tracking service."""

    name: str
    title: str
    base_url: str  #: default of the ``<NAME>_API_URL`` setting
    docs: str  #: the public page that its contract stands on
    settings: tuple[Setting, ...]
    actions: Mapping[str, Action]
    limits: tuple[Limit, ...]
    shared_limits: bool = False  #: the limits are one budget for the whole installation, not one per destination
    lane: str | None = None  #: payload field; never two calls at a time with one value of it (per destination)
    concurrency: int = 4  #: calls at a time per destination
    test: Callable[[Settings], Probe] | None = None  #: connection test; None: there is no call that changes nothing
    headers: Callable[[Settings], Mapping[str, str]] = lambda settings: {}  #: credentials and fixed headers
    #: Words beside the settings in ``options``, worked out from an event's facts where a mapping's grammar cannot.
    derived: Mapping[str, Callable[[Facts, Settings], Any]] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)  #: value of the setting ``host`` to base address
    hints: tuple[str, ...] = ()  #: what a merchant must know before going live

    def address(self, settings: Settings, configured: str | None = None) -> str:
        """The base address: ``configured`` (from the environment) wins over the merchant's choice of host."""
        return (configured or self.hosts.get(str(settings.get("host")), self.base_url)).rstrip("/")

    @property
    def further(self) -> int:
        """Requests that a call may make beyond its first: a `Doubt` is asked about, and then it is sent once more."""
        return 2 if any(action.doubt for action in self.actions.values()) else 0

    def setting(self, name: str) -> Setting:
        return next(each for each in self.settings if each.name == name)

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """``given`` with the defaults of what is missing; text is trimmed, for keys are pasted with blanks."""
        values = {each.name: given.get(each.name, each.default) for each in self.settings}
        return {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}

    def options(self, settings: Settings, facts: Facts) -> dict[str, Any]:
        """What mappings read as ``options``: the settings without secrets, and what is derived from ``facts``.

        Args:
            facts: all others of the event: ``event``, ``shop``, ``order`` and so on.
        """
        return self.public(settings) | self.worked_out(settings, facts)

    def public(self, settings: Settings) -> dict[str, Any]:
        """The settings without secrets."""
        return {each.name: settings.get(each.name) for each in self.settings if not each.secret}

    def worked_out(self, settings: Settings, facts: Facts) -> dict[str, Any]:
        """What `derived` says of these ``facts``."""
        found = {name: derive(facts, settings) for name, derive in self.derived.items()}
        return {name: value for name, value in found.items() if value is not None}


def _never(payloads: Sequence[Payload], settings: Settings) -> Request:
    raise AssertionError("a rule of this action only skips")


#: For rules that only say why nothing is sent. An action of its own, for a skip must not use up another one's ``once``.
NOTHING = Action(title="Nothing is sent", request=_never, ordered=False, adds_value=False)


_HEADER_SAFE = frozenset(string.ascii_letters + string.digits + string.punctuation)


def credential(settings: Settings, name: str, *, ascii_only: bool = True) -> str:
    """The secret ``name``, trimmed; Unauthorized where it is missing or could not stand in a header."""
    value = str(settings.get(name) or "").strip()
    if not value:
        raise Unauthorized(mark("the setting {name} is empty").format(name=name))
    if any(each.isspace() or not each.isprintable() for each in value) or (
        ascii_only and not set(value) <= _HEADER_SAFE
    ):
        raise Unauthorized(
            mark("the setting {name} holds characters that no such key has; enter it again").format(name=name)
        )
    return value


@cache
def version() -> str:
    """Ours, as installed."""
    try:
        return installed("tillwire")
    except PackageNotFoundError:
        return "0"
