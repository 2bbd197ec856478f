"""Gameball (loyalty): paid orders, refunds, and carts of known customers.

Sources: docs.gameball.co (API reference v4.0 as OpenAPI file; status and error codes; rate limiting; order calculation
examples; how refunds work). What those pages leave open is named in docs/providers/gameball.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from app.providers.base import (
    NOTHING,
    Accepted,
    Action,
    Answer,
    Doubt,
    Facts,
    Limit,
    Outcome,
    Payload,
    Probe,
    Provider,
    Request,
    Settings,
    credential,
)
from app.providers.choices import DERIVED, order_of
from app.providers.errors import Refused, Unauthorized, Unavailable
from app.providers.gameball_settings import SETTINGS
from app.providers.money import CENT, amount, apart
from app.providers.texts import said

TIME_EXISTS = 9003

#: What becomes of a documented code (docs.gameball.co, status and error codes); the others are decided by the status.
_ACCOUNT = frozenset({1000, 1001, 1002, 8000})
_APPLIED = frozenset({9001, 9004})
_REFUSED = frozenset(
    {2000, 3000, 3001, 3003, 3009, 3011, 3016, 4004, 6000, 6001, 7000, 7001, 7004, 9000, 9002, 9003, 9007, 9008}
)
_MEANINGS = {
    1000: "the API key is wrong",
    1001: "the secret key is wrong or missing",
    1002: "the keys lack the right to do this",
    3009: "the customer is inactive",
    3011: "a limit of the account is reached",
    6000: "Gameball is switched off for this account",
    6001: "cashback is switched off for this account",
    7001: "the customer id exists already",
    7004: "the guest id exists already",
    8000: "the account's plan lacks this feature",
    9000: "the transaction cannot be reversed",
    9005: "the order to reverse is not known to Gameball",
    9007: "the time is not acceptable",
    9008: "there are no points to reverse",
}


def headers(settings: Settings) -> Mapping[str, str]:
    return {"APIKey": credential(settings, "api_key"), "SecretKey": credential(settings, "secret_key")}


def _path(settings: Settings, rest: str) -> str:
    return f"/api/{settings.get('api_version') or 'v4.0'}/integrations/{rest}"


def _post(rest: str) -> Callable[[Sequence[Payload], Settings], Request]:
    def request(payloads: Sequence[Payload], settings: Settings) -> Request:
        return Request(method="POST", path=_path(settings, rest), json=payloads[0])

    return request


def post_event(payloads: Sequence[Payload], settings: Settings) -> Request:
    """Gameball wants the event's name as a key; a mapping gives it as a value, for its name is an option."""
    payload = dict(payloads[0])
    events = {payload.pop("event"): payload.pop("metadata")}
    return Request(method="POST", path=_path(settings, "events"), json={**payload, "events": events})


# --- answers ----------------------------------------------------------------------------------------------------------


def read_order(answer: Answer, payloads: Sequence[Payload]) -> list[Outcome]:
    body = answer.json()
    if not isinstance(body, dict) or "rewardedPoints" not in body:
        return [Accepted()]
    points = amount(body["rewardedPoints"])
    return [Accepted(note=f"{points.normalize():f} points" if points else "accepted, no points")]


def _code(answer: Answer) -> int | None:
    body = answer.json()
    code = body.get("code") if isinstance(body, dict) else None
    return int(code) if str(code).isascii() and str(code).isdigit() else None


def refused(answer: Answer) -> Outcome | None:
    """The code decides, the status only where there is none."""
    code = _code(answer)
    if code is None:
        return None
    text = f"Gameball answered {answer.status}, code {code}: {_MEANINGS.get(code) or said(answer)}"
    if code in _ACCOUNT:
        return Unauthorized(text)
    if code == 2001:
        return Unavailable("another request for this customer is running", retry_after=2.0)
    if code in {4000, 4500}:
        return Unavailable(text, attempts=3)
    if code == 9005:
        return Unavailable(text, retry_after=30.0, attempts=3)
    return Refused(text) if code in _REFUSED else None


def booking_refused(answer: Answer) -> Outcome | None:
    """Orders and refunds carry their own ids: a second arrival is refused, which proves the first."""
    if _code(answer) in _APPLIED:
        return Accepted(note="already applied")
    return refused(answer)


# --- "transaction time exists" ----------------------------------------------------------------------------------------


def _doubt(order: str, ours: str, time: str) -> Callable[[Answer, Payload, Settings], Doubt | None]:
    """Code 9003 may mean our own first arrival, or another transaction of that very moment: look, else move the time."""

    def doubt(answer: Answer, payload: Payload, settings: Settings) -> Doubt | None:
        if _code(answer) != TIME_EXISTS:
            return None
        return Doubt(
            probe=transactions_of(str(payload[order]), str(payload[ours]), settings),
            otherwise={**payload, time: later(str(payload[time]))},
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

    path = _path(settings, f"orders/{quote(order_id, safe='')}/transactions")
    return Probe(request=Request(method="GET", path=path), read=read)


def later(time: str) -> str:
    """``time`` moved by a millisecond."""
    moment = datetime.fromisoformat(time.replace("Z", "+00:00")) + timedelta(milliseconds=1)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- what mappings read beside the settings ---------------------------------------------------------------------------


def _buyer(facts: Facts) -> Mapping[str, Any]:
    """Whatever of the event names a person: its order, cart or checkout."""
    return facts.get("order") or facts.get("cart") or facts.get("checkout") or {}


def is_guest(facts: Facts, settings: Settings) -> bool:
    return not _buyer(facts).get("customer_id")


def unwanted_guest(facts: Facts, settings: Settings) -> bool:
    return is_guest(facts, settings) and not settings.get("send_guests", True)


def guest_id(facts: Facts, settings: Settings) -> str | None:
    """The id of somebody without an account: stable for a returning guest, and never equal to a shop's numbers."""
    email = str(_buyer(facts).get("email") or "").strip().lower()
    if not email:
        return None
    return email if settings.get("guest_ids") == "email" else f"{settings.get('guest_prefix') or 'guest:'}{email}"


def _attribute(setting: str) -> Callable[[Facts, Settings], str | None]:
    def read(facts: Facts, settings: Settings) -> str | None:
        wanted = str(settings.get(setting) or "").strip().lower()
        found = [
            str(each.get("value") or "").strip()
            for each in order_of(facts).get("attributes", [])
            if wanted and str(each.get("name") or "").strip().lower() == wanted
        ]
        return next((value for value in reversed(found) if value), None)

    return read


points_hold = _attribute("points_hold_attribute")
coupons_lock = _attribute("coupons_lock_attribute")


# --- before sending ---------------------------------------------------------------------------------------------------


def hold(payload: Payload, facts: Facts, settings: Settings) -> str | None:
    """Gameball has no currency field: amounts of another currency than the account's would be wrong points."""
    account = str(settings.get("account_currency") or (facts.get("shop") or {}).get("currency") or "").upper()
    order = str((facts.get("order") or {}).get("currency") or "").upper()
    if not account or not order or order == account:
        return None
    return f"the order is in {order}, the Gameball account in {account}"


def check_order(payload: Payload, facts: Facts) -> list[str]:
    """The equation that Gameball computes itself, silently correcting what does not add up."""
    lines = payload.get("lineItems", [])
    whole = sum((_line(each) for each in lines), amount(payload.get("totalShipping")))
    whole -= amount((facts.get("order") or {}).get("unassigned_discount"))
    paid = amount(payload.get("totalPaid"))
    complaints = apart("Lines and shipping against totalPaid", whole, paid, CENT)
    before = amount(payload.get("totalPrice")) - amount(payload.get("totalDiscount"))
    complaints += apart("totalPrice less totalDiscount against totalPaid", before, paid, CENT)
    if any(amount(each.get("price")) < 0 for each in lines):
        complaints.append("A line has a negative price; Gameball drops such lines.")
    return complaints


def check_refund(payload: Payload, facts: Facts) -> list[str]:
    complaints = []
    if amount(payload.get("refundAmount")) > amount((facts.get("order") or {}).get("total")):
        complaints.append("More is given back (refundAmount) than the order was worth.")
    if (facts.get("reversal") or {}).get("estimated"):
        complaints.append(
            "The shop did not say which products were given back: the lines are estimated from the amount."
        )
    return complaints


def _line(line: Mapping[str, Any]) -> Any:
    return (
        amount(line.get("price")) * amount(line.get("quantity"))
        + amount(line.get("taxes"))
        - amount(line.get("discount"))
    )


def test(settings: Settings) -> Probe:
    def read(answer: Answer) -> str:
        return {200: "accepted", 401: "refused", 403: "refused"}.get(answer.status, "unknown")

    return Probe(
        request=Request(method="GET", path=_path(settings, "transactions"), params={"limit": "1"}),
        read=read,
        note="Gameball took both keys. It does not say whether the API key is the test or the live one.",
    )


GAMEBALL = Provider(
    name="gameball",
    title="Gameball",
    base_url="https://api.gameball.co",
    docs="https://docs.gameball.co/api-reference/order/order-tracking",
    settings=SETTINGS,
    actions={
        "order": Action(
            title="Report a paid order",
            request=_post("orders"),
            required=frozenset({"customerId", "orderId", "orderDate", "totalPaid"}),
            read=read_order,
            refused=booking_refused,
            repeatable=True,
            adds_value=False,
            once=True,
            check=check_order,
            hold=hold,
            doubt=_doubt("orderId", "orderId", "orderDate"),
        ),
        "refund": Action(
            title="Take back points for money given back",
            request=_post("transactions/refund"),
            required=frozenset(
                {"customerId", "refundTransactionId", "reverseTransactionId", "transactionTime", "refundAmount"}
            ),
            refused=booking_refused,
            repeatable=True,
            adds_value=False,
            reverses="order",
            check=check_refund,
            hold=hold,
            doubt=_doubt("reverseTransactionId", "refundTransactionId", "transactionTime"),
        ),
        "event": Action(
            title="Report a cart or a checkout",
            request=post_event,
            required=frozenset({"customerId", "event", "metadata"}),
            refused=refused,
        ),
        "nothing": NOTHING,
    },
    derived={
        **DERIVED,
        "unwanted_guest": unwanted_guest,
        "guest": is_guest,
        "guest_id": guest_id,
        "points_hold": points_hold,
        "coupons_lock": coupons_lock,
    },
    limits=(Limit(requests=30), Limit(requests=360, seconds=30)),
    lane="customerId",
    test=test,
    headers=headers,
    hints=(
        "Accounts that came through the Shopify or Salla app see API keys on the Guru plan only.",
        "If Gameball's own app reports this shop's orders already, use one of the two, or points are given twice.",
        "Keys replaced in Gameball stop working here at once: enter the new ones then.",
        "Guests get points only where the programme is open to guests (Programs Participation).",
    ),
)
