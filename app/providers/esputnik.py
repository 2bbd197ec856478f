"""eSputnik, outside its home market Yespo: orders kept up to date, carts, and the contacts that both belong to.

Sources: docs.esputnik.com (add orders, register event, adding contacts, API keys), esputnik.com/en/support
(how-send-events-resource-v1event). What those pages leave open is named in docs/providers/esputnik.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.providers.answers import retry_after
from app.providers.base import (
    NOTHING,
    Accepted,
    Action,
    Answer,
    Facts,
    Limit,
    Outcome,
    Payload,
    Probe,
    Provider,
    Request,
    Settings,
    Split,
    credential,
)
from app.providers.errors import Refused, Unavailable
from app.providers.esputnik_fields import CART, CONTACT, EVENT_CUSTOM, ORDER_EVENT, ORDERS, ORDERS_CUSTOM
from app.providers.esputnik_settings import SETTINGS, STATUSES
from app.providers.esputnik_state import DERIVED
from app.providers.marks import mark
from app.providers.money import amount, apart, goods, rounding
from app.providers.texts import redact, short

JSON = "application/json; charset=UTF-8"
WAIT = 30.0  #: seconds after 429 or 500, where the answer names none
KEY_VALUES = ("email", "phone", "externalCustomerId")  #: what names the person of an event, the best first


def headers(settings: Settings) -> Mapping[str, str]:
    """Basic authentication whose password is the key; the user name is of no account."""
    pair = f"api:{credential(settings, 'api_key', ascii_only=False)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}", "Content-Type": JSON, "Accept": JSON}


def post_orders(payloads: Sequence[Payload], settings: Settings) -> Request:
    return Request(method="POST", path="/v1/orders", json={"orders": list(payloads)})


def post_contact(payloads: Sequence[Payload], settings: Settings) -> Request:
    return Request(method="POST", path="/v1/contact", json=payloads[0])


def post_event(payloads: Sequence[Payload], settings: Settings) -> Request:
    """A mapping gives the parameters as an object; eSputnik wants a list of pairs, in v1 with texts as values."""
    version = "v2" if settings.get("event_version") == "v2" else "v1"
    params: Mapping[str, Any] = payloads[0]["params"]
    given = payloads[0].get("keyValue")
    body = {
        "eventTypeKey": payloads[0]["eventTypeKey"],
        "keyValue": str(given or next((params[name] for name in KEY_VALUES if params.get(name)), ""))[:300],
        "params": [
            {"name": name, "value": value if version == "v2" else _text(value)} for name, value in params.items()
        ],
    }
    return Request(method="POST", path=f"/{version}/event", json=body)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- answers ----------------------------------------------------------------------------------------------------------


def read_orders(answer: Answer, payloads: Sequence[Payload]) -> list[Outcome]:
    """A 200 may name orders that were not stored; how it names them is not published, so their ids are looked for."""
    body = answer.json()
    if body is None and answer.truncated:  # only a long list of failures makes an answer so long
        if len(payloads) > 1:
            raise Split(mark("eSputnik's answer is too long to read"))
        return [_failed(answer.text())]
    failed = body.get("failedOrders") if isinstance(body, dict) else None
    elements = failed if isinstance(failed, list) else [failed] if failed else []
    if not elements:
        return [Accepted()] * len(payloads)
    texts = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in elements]
    if len(payloads) == 1:
        return [_failed("; ".join(texts))]
    outcomes: list[Outcome] = [Accepted()] * len(payloads)
    for element, text in zip(elements, texts, strict=True):
        at = next((n for n, each in enumerate(payloads) if _names(element, str(each["externalOrderId"]))), None)
        if at is None:
            raise Split(mark("eSputnik refused an order without naming it"))
        outcomes[at] = _failed(text)
    return outcomes


def _names(element: Any, order_id: str) -> bool:
    """Whether the id stands somewhere in it as a whole."""
    if isinstance(element, dict):
        return any(_names(each, order_id) for each in element.values())
    if isinstance(element, list):
        return any(_names(each, order_id) for each in element)
    text = str(element)
    return text == order_id or order_id in "".join(c if c.isalnum() or c in "_-" else " " for c in text).split()


def _failed(text: str) -> Refused:
    return Refused("eSputnik did not store the order: " + short(redact(text)))


def refused(answer: Answer) -> Outcome | None:
    """A repeat is as good as the first; overload asks for longer pauses than elsewhere."""
    if answer.status == 409 or "duplicated request" in answer.text(2000).lower():
        return Accepted(note=mark("eSputnik had it already"))
    if answer.status in {429, 500}:
        wait = retry_after(answer.headers)
        return Unavailable(
            mark("eSputnik answered {status}").format(status=answer.status), retry_after=WAIT if wait is None else wait
        )
    return None


def test(settings: Settings) -> Probe:
    def read(answer: Answer) -> str:
        return {200: "accepted", 401: "refused", 403: "refused"}.get(answer.status, "unknown")

    return Probe(
        request=Request(method="GET", path="/v1/account/info"),
        read=read,
        note="eSputnik knows the key. Whether the key may write orders shows with the first one.",
    )


# --- before sending ---------------------------------------------------------------------------------------------------


def check_order(payload: Payload, facts: Facts) -> list[str]:
    """Products and shipping should make the total, where costs are those paid with tax."""
    options = facts.get("options") or {}
    complaints = []
    if payload.get("status") not in STATUSES:
        complaints.append(
            mark("The status {status} is none that eSputnik knows.").format(status=repr(payload.get("status")))
        )
    order = facts.get("order") or {}
    lines = payload.get("items", [])
    if options.get("item_cost", "unit_gross_paid") == "unit_gross_paid" and lines:
        whole = goods(lines, "cost") + amount(payload.get("shipping")) - amount(order.get("unassigned_discount"))
        total = amount(payload.get("totalCost"))
        # Money given back without products leaves the lines as they were.
        if not amount(order.get("refunded")) or whole < total:
            complaints += apart(
                mark("Products and shipping against totalCost"), whole, total, rounding(lines, places=6)
            )
    return complaints


ORDER_FIELDS = frozenset({"externalOrderId", "totalCost", "status", "date", "currency"})

ESPUTNIK = Provider(
    name="esputnik",
    title="eSputnik",
    base_url="https://esputnik.com/api",
    docs="https://docs.esputnik.com/docs/order-transfer-using-the-add-orders-api-method",
    settings=SETTINGS,
    actions={
        "orders": Action(
            title="Bring an order up to date",
            request=post_orders,
            required=ORDER_FIELDS,
            fields=ORDERS,
            custom=ORDERS_CUSTOM,
            batch=150,
            read=read_orders,
            refused=refused,
            repeatable=True,
            adds_value=False,
            collapse=True,
            unchanged=("status", "totalCost", "discount", "shipping", "taxes"),
            check=check_order,
        ),
        "contact": Action(
            title="Create or update a contact",
            request=post_contact,
            required=frozenset({"channels"}),
            fields=CONTACT,
            refused=refused,
            repeatable=True,
            adds_value=False,
        ),
        "order_event": Action(
            title="Bring an order up to date by an event",
            request=post_event,
            required=frozenset({"eventTypeKey", "params"}),
            fields=ORDER_EVENT,
            custom=EVENT_CUSTOM,
            refused=refused,
            repeatable=True,
            adds_value=False,
            unchanged=("eventTypeKey", "params.status", "params.totalCost"),
        ),
        "cart": Action(
            title="Report a cart",
            request=post_event,
            required=frozenset({"eventTypeKey", "params"}),
            fields=CART,
            custom=EVENT_CUSTOM,
            refused=refused,
            repeatable=True,
            adds_value=False,
            collapse=True,
        ),
        "nothing": NOTHING,
    },
    limits=(Limit(requests=10),),
    derived=DERIVED,
    hosts={"esputnik.com": "https://esputnik.com/api", "yespo.io": "https://yespo.io/api"},
    test=test,
    headers=headers,
    hints=(
        "The key needs full access: eSputnik does not say which lower level covers orders.",
        "Every change of an order starts the automation that belongs to its new status in your eSputnik account.",
        "If eSputnik's own app or website script reports orders or carts too, they arrive twice.",
        "Only delivered orders count as revenue: choose in its settings when an order counts as delivered.",
        "One page of eSputnik's documentation names USD, EUR and UAH as the only currencies.",
    ),
)
