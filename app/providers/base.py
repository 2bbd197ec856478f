"""How a provider is declared: settings, actions, limits, and what its answers mean.

The settings page, the command line, the worker and the docs' checks read these declarations; none of them knows a
provider by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.providers.errors import DeliveryError

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
    choices: tuple[tuple[str, str], ...] = ()  #: value and label, for ``choice``
    default: Any = None


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
    timeout: float = 15.0  #: seconds in all


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
    """A batch was refused as a whole: send its items singly to find the culprit."""


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
class Action:
    """One thing a provider can be asked to do."""

    title: str
    request: Callable[[Sequence[Payload], Settings], Request]  #: one call for 1 to ``batch`` payloads
    required: frozenset[str] = frozenset()  #: top-level payload fields; a payload without one is a mapping error
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
    ordered: bool = True  #: waits for earlier unfinished deliveries of the same order or cart at this destination
    check: Callable[[Payload, Facts], list[str]] = lambda payload, facts: []  #: complaints; they never block
    hold: Callable[[Payload, Facts, Settings], str | None] = lambda payload, facts, settings: None
    #: After a lost answer of an action that is not repeatable: how to ask the provider; None: a person decides.
    resolve: Callable[[Payload, Settings], Probe | None] = lambda payload, settings: None


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

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """``given`` with the defaults of what is missing."""
        return {each.name: given.get(each.name, each.default) for each in self.settings}

    def options(self, settings: Settings) -> dict[str, Any]:
        """The settings that mappings may read: everything but secrets."""
        return {each.name: settings.get(each.name) for each in self.settings if not each.secret}
