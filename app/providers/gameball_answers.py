"""What Gameball's answers mean. Source: docs.gameball.co, status and error codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from app.providers.base import Accepted, Answer, Doubt, Outcome, Payload, Probe, Request, Settings
from app.providers.errors import NeedsMending, Refused, Unauthorized, Unavailable
from app.providers.marks import mark
from app.providers.money import amount
from app.providers.texts import said

TIME_EXISTS = 9003

#: What becomes of a documented code (docs.gameball.co, status and error codes); the others are decided by the status.
_ACCOUNT = frozenset({1000, 1001, 1002, 8000})
_APPLIED = frozenset({9001, 9004})
_REFUSED = frozenset(
    {2000, 3000, 3001, 3003, 3009, 3011, 3016, 4004, 6000, 6001, 7000, 7001, 7004, 9000, 9002, 9003, 9007, 9008}
)
_MEANINGS = {
    1000: mark("the API key is wrong"),
    1001: mark("the secret key is wrong or missing"),
    1002: mark("the keys lack the right to do this"),
    3009: mark("the customer is inactive"),
    3011: mark("a limit of the account is reached"),
    6000: mark("Gameball is switched off for this account"),
    6001: mark("cashback is switched off for this account"),
    7001: mark("the customer id exists already"),
    7004: mark("the guest id exists already"),
    8000: mark("the account's plan lacks this feature"),
    9000: mark("the transaction cannot be reversed"),
    9005: mark("the order to reverse is not known to Gameball"),
    9007: mark("the time is not acceptable"),
    9008: mark("there are no points to reverse"),
}


def path(settings: Settings, rest: str) -> str:
    return f"/api/{settings.get('api_version') or 'v4.0'}/integrations/{rest}"


def read_order(answer: Answer, payloads: Sequence[Payload]) -> list[Outcome]:
    body = answer.json()
    if not isinstance(body, dict) or "rewardedPoints" not in body:
        return [Accepted()]
    points = amount(body["rewardedPoints"])
    return [
        Accepted(
            note=mark("{points} points").format(points=f"{points.normalize():f}")
            if points
            else mark("accepted, no points")
        )
    ]


def _code(answer: Answer) -> int | None:
    body = answer.json()
    code = body.get("code") if isinstance(body, dict) else None
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() else None


def refused(answer: Answer) -> Outcome | None:
    """The code decides, the status only where there is none."""
    code = _code(answer)
    if code is None:
        return None
    text = mark("Gameball answered {status}, code {code}: {meaning}").format(
        status=answer.status, code=code, meaning=_MEANINGS.get(code) or said(answer)
    )
    if code in _ACCOUNT:
        return Unauthorized(text)
    if code == 2001:
        return Unavailable(mark("another request for this customer is running"), retry_after=2.0)
    if code in {4000, 4500}:
        return Unavailable(text, attempts=3)
    if code == 9005:
        return Unavailable(text, retry_after=30.0, attempts=3)
    return Refused(text) if code in _REFUSED else None


def booking_refused(answer: Answer) -> Outcome | None:
    """Orders and refunds carry their own ids: a second arrival is refused, which proves the first."""
    if _code(answer) in _APPLIED:
        return Accepted(note=mark("already applied"))
    return refused(answer)


# --- "transaction time exists" ----------------------------------------------------------------------------------------


def doubt_of(order: str, ours: str, time: str) -> Callable[[Answer, Payload, Settings], Doubt | None]:
    """Code 9003 means our own first arrival, or another transaction of that moment: look, else move the time."""

    def doubt(answer: Answer, payload: Payload, settings: Settings) -> Doubt | None:
        if _code(answer) != TIME_EXISTS:
            return None
        return Doubt(
            probe=transactions_of(str(payload[order]), str(payload[ours]), settings),
            otherwise=lambda: {**payload, time: later(time, payload)},
        )

    return doubt


def transactions_of(order_id: str, transaction_id: str, settings: Settings) -> Probe:
    def read(answer: Answer) -> str:
        if answer.status == 404:
            return "absent"
        body = answer.json() if answer.status == 200 else None
        found = body.get("transactions") if isinstance(body, dict) else None
        if not isinstance(found, list):
            return "unknown"
        ids = {str(each.get("transactionId")) for each in found if isinstance(each, dict)}
        return "applied" if transaction_id in ids else "absent"

    where = path(settings, f"orders/{quote(order_id, safe='')}/transactions")
    return Probe(request=Request(method="GET", path=where), read=read)


def later(name: str, payload: Payload) -> str:
    """The time under ``name`` moved by a millisecond; `NeedsMending` where a merchant's own mapping made none of it."""
    try:
        moment = datetime.fromisoformat(str(payload[name]).replace("Z", "+00:00")) + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise NeedsMending(
            f"Gameball has another transaction of this very moment, and {name} is no time that can be moved on: "
            "change it in the mapping to a time such as 2026-03-02T09:15:30.000Z"
        ) from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
