"""Sprii (live shopping, formerly ELISA): finished orders reported back to the live show that they came from.

Source: docs.sprii.io/integration/order-tracking. The API reference itself is not public: base address, header and the
read-back call are those of third-party and vendor clients (github.com/patryk-sawicki/sprii-laravel,
github.com/elisaio/elisa-shopware6); docs/providers/sprii.md names each assumption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from app.providers.base import (
    NOTHING,
    Action,
    Answer,
    Facts,
    Limit,
    Outcome,
    Payload,
    Probe,
    Provider,
    Request,
    Setting,
    Settings,
    credential,
)
from app.providers.choices import DERIVED, TEST_ORDERS, TRIGGER, TRIGGER_STATUS, item_id, unit_price
from app.providers.errors import Unavailable
from app.providers.marks import mark
from app.providers.sprii_fields import ORDER

TIMEOUT = 10.0  #: seconds; assumed
NOT_MATCHED_RETRY = 30.0  #: seconds; Sprii may still be creating the checkout that the number belongs to


def headers(settings: Settings) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {credential(settings, 'api_key')}"}


def process_orders(payloads: Sequence[Payload], settings: Settings) -> Request:
    return Request(method="POST", path="/processOrders", json={"orders": list(payloads)}, timeout=TIMEOUT)


def order_refused(answer: Answer) -> Outcome | None:
    if answer.status != 404:
        return None
    text = mark("not matched: Sprii does not know this Sprii order number, or its checkout is closed")
    return Unavailable(text, retry_after=NOT_MATCHED_RETRY, attempts=2)


def ask_for(payload: Payload, settings: Settings) -> Probe | None:
    """Read the order back: applied only where Sprii's answer names our own order id."""
    if not str(payload["spriiOrderNumber"]).strip("."):
        return None  # dots alone would lead to another path

    def read(answer: Answer) -> str:
        if answer.status == 404:
            return "absent"
        body = answer.json() if answer.status == 200 else None
        order = body.get("order") if isinstance(body, dict) else None
        ours = isinstance(order, dict) and str(order.get("id")) == payload["id"]
        return "applied" if ours else "unknown"

    return Probe(
        request=_order(str(payload["spriiOrderNumber"])), read=read, note=mark("read back by its Sprii order number")
    )


def test(settings: Settings) -> Probe:
    def read(answer: Answer) -> str:
        return {200: "accepted", 404: "accepted", 401: "refused", 403: "refused"}.get(answer.status, "unknown")

    return Probe(
        request=_order("connection-test"),
        read=read,
        note=mark("Sprii took the key for a reading call; it has no call that tests reporting."),
    )


def _order(number: str) -> Request:
    return Request(method="GET", path=f"/orders/{quote(number, safe='')}", timeout=TIMEOUT)


def check(payload: Payload, facts: Facts) -> list[str]:
    """No sum is checked: Sprii's lines need not add up to the total (shipping, discounts)."""
    others = ((facts.get("order") or {}).get("sprii") or {}).get("others") or []
    if not others:
        return []
    return [
        mark("The order carries {number} different Sprii order numbers; the first place looked at was used.").format(
            number=len(others) + 1
        )
    ]


SPRII = Provider(
    name="sprii",
    title="Sprii",
    base_url="https://app.sprii.io/functions/api/v1",
    docs="https://docs.sprii.io/integration/order-tracking/",
    settings=(
        Setting(
            name="api_key",
            label="API key",
            secret=True,
            required=True,
            help="From Sprii Admin, in the integration settings; otherwise ask your Sprii contact.",
        ),
        TRIGGER,
        TRIGGER_STATUS,
        item_id("variant_id", "Must be the id under which Sprii imported your products."),
        unit_price(
            "unit_gross", "Sprii does not publish which price it expects; most clients send the price with tax."
        ),
        TEST_ORDERS,
    ),
    actions={
        "process_orders": Action(
            title="Report an order",
            request=process_orders,
            required=frozenset({"spriiOrderNumber", "id", "orderTotal", "items"}),
            fields=ORDER,
            refused=order_refused,
            once=True,
            check=check,
            resolve=ask_for,
        ),
        "nothing": NOTHING,
    },
    derived={name: DERIVED[name] for name in ("due", "unwanted_test")},
    limits=(Limit(requests=5),),
    test=test,
    headers=headers,
    hints=(
        "Only orders that carry a Sprii order number are reported.",
        "If Sprii's own app for your shop reports orders already, switch one of the two off.",
    ),
)
