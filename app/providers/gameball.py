"""Gameball (loyalty): paid orders, refunds, and carts of known customers.

Sources: docs.gameball.co (API reference v4.0 as OpenAPI file; status and error codes; rate limiting; order calculation
examples; how refunds work). What those pages leave open is named in docs/providers/gameball.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from app.providers.base import (
    NOTHING,
    Action,
    Answer,
    Facts,
    Limit,
    Payload,
    Probe,
    Provider,
    Request,
    Settings,
    credential,
)
from app.providers.gameball_answers import booking_refused, doubt_of, path, read_order, refused
from app.providers.gameball_fields import EVENT, EVENT_CUSTOM, ORDER, ORDER_CUSTOM, REFUND
from app.providers.gameball_settings import SETTINGS
from app.providers.gameball_words import DERIVED
from app.providers.marks import mark
from app.providers.money import CENT, amount, apart


def headers(settings: Settings) -> Mapping[str, str]:
    return {"APIKey": credential(settings, "api_key"), "SecretKey": credential(settings, "secret_key")}


def _post(rest: str) -> Callable[[Sequence[Payload], Settings], Request]:
    def request(payloads: Sequence[Payload], settings: Settings) -> Request:
        return Request(method="POST", path=path(settings, rest), json=payloads[0])

    return request


def post_event(payloads: Sequence[Payload], settings: Settings) -> Request:
    """Gameball wants the event's name as a key; a mapping gives it as a value, for its name is an option."""
    payload = dict(payloads[0])
    events = {payload.pop("event"): payload.pop("metadata")}
    return Request(method="POST", path=path(settings, "events"), json={**payload, "events": events})


# --- before sending ---------------------------------------------------------------------------------------------------


def hold(payload: Payload, facts: Facts, settings: Settings) -> str | None:
    """Gameball has no currency field: amounts of another currency than the account's would be wrong points."""
    account = str(settings.get("account_currency") or (facts.get("shop") or {}).get("currency") or "").upper()
    order = str((facts.get("order") or {}).get("currency") or "").upper()
    if not account or not order or order == account:
        return None
    return mark("the order is in {order}, the Gameball account in {account}").format(order=order, account=account)


def check_order(payload: Payload, facts: Facts) -> list[str]:
    """The equation that Gameball computes itself, silently correcting what does not add up."""
    lines = payload.get("lineItems", [])
    whole = sum((_line(each) for each in lines), amount(payload.get("totalShipping")))
    whole -= amount((facts.get("order") or {}).get("unassigned_discount"))
    paid = amount(payload.get("totalPaid"))
    complaints = apart(mark("Lines and shipping against totalPaid"), whole, paid, CENT)
    before = amount(payload.get("totalPrice")) - amount(payload.get("totalDiscount"))
    complaints += apart(mark("totalPrice less totalDiscount against totalPaid"), before, paid, CENT)
    if any(amount(each.get("price")) < 0 for each in lines):
        complaints.append(mark("A line has a negative price; Gameball drops such lines."))
    return complaints


def check_refund(payload: Payload, facts: Facts) -> list[str]:
    complaints = []
    if amount(payload.get("refundAmount")) > amount((facts.get("order") or {}).get("total")):
        complaints.append(mark("More is given back (refundAmount) than the order was worth."))
    if (facts.get("reversal") or {}).get("estimated"):
        complaints.append(
            mark("The shop did not say which products were given back: the lines are estimated from the amount.")
        )
    return complaints


def _line(line: Mapping[str, Any]) -> Decimal:
    return (
        amount(line.get("price")) * amount(line.get("quantity"))
        + amount(line.get("taxes"))
        - amount(line.get("discount"))
    )


def test(settings: Settings) -> Probe:
    def read(answer: Answer) -> str:
        return {200: "accepted", 401: "refused", 403: "refused"}.get(answer.status, "unknown")

    return Probe(
        request=Request(method="GET", path=path(settings, "transactions"), params={"limit": "1"}),
        read=read,
        note=mark("Gameball took both keys. It does not say whether the API key is the test or the live one."),
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
            fields=ORDER,
            custom=ORDER_CUSTOM,
            read=read_order,
            refused=booking_refused,
            repeatable=True,
            adds_value=False,
            once=True,
            kept={"customer_id": "customerId"},  # a refund that names another customer finds no order
            check=check_order,
            hold=hold,
            doubt=doubt_of("orderId", "orderId", "orderDate"),
        ),
        "refund": Action(
            title="Take back points for money given back",
            request=_post("transactions/refund"),
            required=frozenset(
                {"customerId", "refundTransactionId", "reverseTransactionId", "transactionTime", "refundAmount"}
            ),
            fields=REFUND,
            refused=booking_refused,
            repeatable=True,
            adds_value=False,
            reverses="order",
            check=check_refund,
            hold=hold,
            doubt=doubt_of("reverseTransactionId", "refundTransactionId", "transactionTime"),
        ),
        "event": Action(
            title="Report a cart or a checkout",
            request=post_event,
            required=frozenset({"customerId", "event", "metadata"}),
            fields=EVENT,
            custom=EVENT_CUSTOM,
            refused=refused,
        ),
        "nothing": NOTHING,
    },
    derived=DERIVED,
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
