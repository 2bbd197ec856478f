"""The only sender: from an action and its payloads to outcomes.

What a request may cost is bounded: connecting, the whole exchange, the answer's size. What came of it is never guessed:
an error before the first byte of the request left us is `Unavailable`, after it `AnswerLost`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import urllib3.exceptions
from urllib3 import BaseHTTPResponse

from app.providers.answers import classify, retry_after
from app.providers.base import (
    Accepted,
    Action,
    Answer,
    Outcome,
    Payload,
    Probe,
    Provider,
    Request,
    Settings,
    Split,
    version,
)
from app.providers.errors import AnswerLost, DeliveryError, Refused, Unauthorized, Unavailable
from app.providers.marks import mark
from app.providers.texts import redact, said, short
from app.providers.transports import TRANSPORTS, Pooled, opened
from app.providers.wire import POOL, Exchange, exchange

LARGEST_ANSWER = 64 * 1024
CONNECT = 5.0  #: seconds
__all__ = ["TRANSPORTS", "Pooled", "call", "classify", "describe", "new_session", "probe", "retry_after", "send"]

SPLITTABLE = frozenset({400, 404, 409, 413, 422})  #: refusals of a batch that one of its items may have caused


def new_session(transport: str = "requests", size: int = POOL) -> Pooled:
    """A pooled session; carries no cookies and nothing of the environment. Any number of threads may use it.

    Args:
        size: connections that are kept to each host, at most.
    """
    return TRANSPORTS[transport](size)


def call(
    provider: Provider,
    action: Action,
    payloads: Sequence[Payload],
    settings: Settings,
    *,
    base_url: str,
    session: Pooled,
    allow_private: bool = False,
    seen: list[Answer] | None = None,
    until: float | None = None,
) -> list[Outcome]:
    """Send ``payloads`` in one call and return an outcome for each, in their order.

    Args:
        seen: gains the answers as they come, for the record.
        until: of `time.monotonic`; no further request begins after it, for somebody else may be at it then.
    Raises:
        Split: of several, at least one was refused, and it is not known which: send each by itself.
        Unavailable, Unauthorized, AnswerLost: it came to nothing for all of them.
    """

    def ask(request: Request) -> Answer:
        answer = send(
            provider,
            request,
            settings,
            base_url=base_url,
            session=session,
            allow_private=allow_private,
            fresh=not action.repeatable,
        )
        if seen is not None:
            seen.append(answer)
        return answer

    answer = ask(action.request(payloads, settings))
    if action.doubt and answer.status // 100 != 2 and len(payloads) == 1:
        doubt = action.doubt(answer, payloads[0], settings)
        if doubt is not None:
            verdict = doubt.probe.read(ask(doubt.probe.request)) if _in_time(until) else "unknown"
            if verdict == "applied":
                return [Accepted(note=mark("already applied"))]
            if verdict != "absent" or not _in_time(until):
                raise Unavailable(
                    mark("{title} refused it as a repeat, and asking did not tell").format(title=provider.title),
                    attempts=5,
                )
            payloads = [doubt.otherwise()]
            answer = ask(action.request(payloads, settings))
    return _outcomes(provider, action, payloads, answer)


_now = time.monotonic


def _in_time(until: float | None) -> bool:
    return until is None or _now() <= until


def _outcomes(provider: Provider, action: Action, payloads: Sequence[Payload], answer: Answer) -> list[Outcome]:
    if answer.status // 100 == 2:
        if _is_page(answer):
            # Somebody in between answered: a proxy, a parking or maintenance page. Whether it was passed on, who knows.
            raise AnswerLost(
                mark("{title} answered with a web page instead of its own words").format(title=provider.title)
            )
        outcomes = action.read(answer, payloads)
        if len(outcomes) != len(payloads):
            raise AssertionError(f"{provider.name}: {len(outcomes)} outcomes for {len(payloads)} payloads")
        return outcomes
    outcome = action.refused(answer) or classify(answer, who=provider.title)
    if outcome is None or isinstance(outcome, Accepted):
        return [outcome or Accepted()] * len(payloads)
    if not isinstance(outcome, Refused):
        raise outcome
    if len(payloads) > 1 and answer.status in SPLITTABLE:
        raise Split(str(outcome))
    return [outcome] * len(payloads)


def _is_page(answer: Answer) -> bool:
    return "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<"


def probe(
    provider: Provider,
    probe: Probe,
    settings: Settings,
    *,
    base_url: str,
    session: Pooled,
    allow_private: bool = False,
    seen: list[Answer] | None = None,
) -> str:
    """Make a call that changes nothing and return its verdict; see `Probe`.

    Raises:
        Unavailable, AnswerLost: there was no answer. Unauthorized: the credentials cannot even be sent.
    """
    answer = send(
        provider, probe.request, settings, base_url=base_url, session=session, allow_private=allow_private, fresh=True
    )
    if seen is not None:
        seen.append(answer)
    return probe.read(answer)


# --- sending ----------------------------------------------------------------------------------------------------------


def send(
    provider: Provider,
    request: Request,
    settings: Settings,
    *,
    base_url: str,
    session: Pooled,
    allow_private: bool = False,
    fresh: bool = False,
) -> Answer:
    """Make one HTTP call and return its answer, whatever its status.

    Args:
        base_url: scheme, host and everything before the request's path.
        allow_private: also http, and addresses that are not public.
        fresh: on a connection of its own. A kept one may have been closed by the server a moment ago, which looks like
            a lost answer; use this where a lost answer cannot simply be sent again.
    Raises:
        Unavailable: nothing was sent. AnswerLost: something was, and no whole answer came.
        Unauthorized: a credential cannot stand in a header.
    """
    url = _url(base_url, request, allow_private=allow_private)
    body = None if request.json is None else as_sent(request.json)
    headers = _headers(provider, request, settings, body)
    timeout = (min(CONNECT, request.timeout), request.timeout)
    with exchange(seconds=request.timeout, allow_private=allow_private, fresh=fresh, remember=True) as current:
        try:
            with opened(session, request.method, url, headers, body, timeout) as response:
                return _answer(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _trouble(provider, current, error) from None


def _trouble(provider: Provider, current: Exchange, error: Exception) -> DeliveryError:
    """The text names the kind of trouble only: the library's own texts hold addresses and headers."""
    words = f"{provider.title}: {current.reason or _kind(error)}"
    if not current.sent:
        return Unavailable(mark("{words}; nothing was sent").format(words=words))
    return AnswerLost(mark("{words}; it was sent, but no whole answer came").format(words=words))


def _kind(error: BaseException) -> str:
    seen: set[int] = set()
    names: list[str] = []
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        names.append(type(at).__name__)
        inner = next((each for each in at.args if isinstance(each, BaseException)), None)
        at = getattr(at, "reason", None) if isinstance(getattr(at, "reason", None), BaseException) else inner
    return _KINDS.get(names[-1], names[-1])


_KINDS = {
    "ConnectTimeoutError": mark("no connection in time"),
    "NameResolutionError": mark("its name could not be resolved"),
    "NewConnectionError": mark("no connection"),
    "ConnectionRefusedError": mark("the connection was refused"),
    "ConnectionResetError": mark("the connection was reset"),
    "BrokenPipeError": mark("the connection was reset"),
    "RemoteDisconnected": mark("the connection was closed without an answer"),
    "IncompleteRead": mark("the answer broke off"),
    "ReadTimeoutError": mark("no answer in time"),
    "TimeoutError": mark("no answer in time"),
    "SSLCertVerificationError": mark("its certificate could not be verified"),
    "SSLError": mark("no secure connection"),
}


def _answer(response: BaseHTTPResponse) -> Answer:
    body = b""
    truncated = False
    try:
        while len(body) <= LARGEST_ANSWER:
            part = response.read(LARGEST_ANSWER + 1 - len(body), decode_content=True)
            if not part:
                break
            body += part
        truncated = len(body) > LARGEST_ANSWER
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        if response.status // 100 == 2:
            raise  # what the body would have said may matter
        truncated = True
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status, headers=headers, body=body[:LARGEST_ANSWER], truncated=truncated)


def _url(base_url: str, request: Request, *, allow_private: bool) -> str:
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
        raise Unavailable("the provider's base address is not of the form https://host/path")
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise Unavailable("the provider's base address does not begin with https")
    query = f"?{urlencode(request.params)}" if request.params else ""
    return base_url.rstrip("/") + request.path + query


def as_sent(value: Any) -> bytes:
    """A payload as it goes out.

    msgspec makes it in half the time that Python's json takes, the look at it included, but of kinds too that JSON does
    not have, such as NaN. What does not come back from it as it was is left to Python's.

    Raises:
        TypeError, ValueError: it holds what JSON does not have.
    """
    with suppress(msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        made = msgspec.json.encode(value)
        if msgspec.json.decode(made) == value:
            return made
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def _headers(provider: Provider, request: Request, settings: Settings, body: bytes | None) -> dict[str, str]:
    headers = {"User-Agent": f"Tillwire/{version()}", "Accept": "application/json", "Accept-Encoding": "identity"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    headers.update({**provider.headers(settings), **request.headers})
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise Unauthorized(f"the header {name} would hold characters that no header can carry; check the settings")
    return headers


def describe(answer: Answer) -> str:
    """An answer in one harmless line, for records and screens."""
    return short(f"{answer.status} {redact(said(answer))}".strip())
