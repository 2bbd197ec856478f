"""Seeka: purchases as activities of an identity.

Sources: developers.seeka.co/http/usage/tracking-orders (bodies, 202), developers.seeka.co/http/usage (headers),
developers.seeka.co/more/limits (30 requests a second per calling address), developers.seeka.co/sdk/privacy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    Setting,
    Settings,
    credential,
    version,
)
from app.providers.choices import DERIVED, POS_ORDERS, TEST_ORDERS, TRIGGER, TRIGGER_STATUS, order_of, unit_price
from app.providers.marks import mark
from app.providers.money import amount, apart, beside_products, goods, rounding
from app.providers.seeka_fields import ACTIVITY

INGEST = "/ingest"


def headers(settings: Settings) -> Mapping[str, str]:
    return {
        "X-OrgId": credential(settings, "organisation_id"),
        "X-Converge-Key": credential(settings, "public_key"),
        "X-Sdk-Client-Version": version(),
        "X-Sdk-Client-Type": "tillwire/server",
    }


def ingest(payloads: Sequence[Payload], settings: Settings) -> Request:
    return Request(method="POST", path=INGEST, json={"data": [{"ev": payload} for payload in payloads]})


def read(answer: Answer, payloads: Sequence[Payload]) -> list[Outcome]:
    """202 is the documented answer and means queued; another 2xx is taken, with a remark."""
    note = (
        mark("queued by Seeka")
        if answer.status == 202
        else mark("answered {status} where 202 is documented").format(status=answer.status)
    )
    return [Accepted(note=note)] * len(payloads)


def test(settings: Settings) -> Probe:
    def verdict(answer: Answer) -> str:
        return {202: "accepted", 400: "accepted", 401: "refused", 403: "refused"}.get(answer.status, "unknown")

    return Probe(
        request=Request(method="POST", path=INGEST, json={"data": []}),
        read=verdict,
        note=mark("Seeka did not reject the credentials; it may check them only later."),
    )


def check(payload: Payload, facts: Facts) -> list[str]:
    """Goods and shipping should make the total, where prices are those paid with tax."""
    commerce = payload.get("payload", {}).get("commerce", {})
    total = amount(commerce.get("totalPrice"))
    complaints = []
    if amount(commerce.get("totalTax")) > total:
        complaints.append(mark("The tax (totalTax) is more than the total (totalPrice)."))
    if (facts.get("options") or {}).get("unit_price", PAID) == PAID:
        lines = commerce.get("products", [])
        whole = goods(lines, "unitPrice") + amount(commerce.get("totalShippingPrice"))
        whole += beside_products(facts.get("order") or {})
        complaints += apart(mark("Products and shipping against totalPrice"), whole, total, rounding(lines))
    return complaints


PAID = "unit_gross_paid"


def order_activity_id(facts: Facts, settings: Settings) -> str | None:
    """The setting's template filled; None where the order lacks what it asks for."""
    order, text = order_of(facts), str(settings.get("activity_id") or "order_{id}")
    for name in ("id", "number", "name"):
        if "{" + name + "}" in text:
            if not order.get(name):
                return None
            text = text.replace("{" + name + "}", str(order[name]))
    return text


def cart_activity_id(facts: Facts, settings: Settings) -> str | None:
    """One for each content of a cart, the same in every attempt."""
    cart = facts.get("cart") or {}
    return f"cart_{cart['id']}_{cart.get('content', '')}"[:200] if cart.get("id") else None


def checkout_activity_id(facts: Facts, settings: Settings) -> str | None:
    checkout = facts.get("checkout") or {}
    return f"checkout_{checkout['id']}" if checkout.get("id") else None


SETTINGS = (
    Setting(
        name="organisation_id",
        label="Organisation ID",
        required=True,
        help="In the Seeka app, beside the public key.",
    ),
    Setting(
        name="public_key",
        label="Public key",
        secret=True,
        required=True,
        help="The public key of the Seeka brand that this shop belongs to; every brand has its own.",
    ),
    Setting(
        name="activity_id",
        label="Activity ID of a purchase",
        default="order_{id}",
        help="Browser and server must name a purchase by the same activity ID, or it counts twice: enter what your "
        "Seeka tag sends. {id} stands for the order's id in the shop's system, {number} for the number on the "
        "receipt, {name} for its name, such as #1042.",
    ),
    TRIGGER,
    TRIGGER_STATUS,
    unit_price(PAID, "Seeka does not say which price it expects."),
    Setting(
        name="send_carts",
        label="Report carts",
        kind="boolean",
        default=False,
        advanced=True,
        help="Seeka's browser script reports carts by itself. Switch on only after Seeka has confirmed the name below.",
    ),
    Setting(name="cart_activity", label="Name of the cart activity", default="Add to cart", advanced=True),
    Setting(
        name="send_checkouts",
        label="Report begun checkouts",
        kind="boolean",
        default=False,
        advanced=True,
        help="As with carts: only after Seeka has confirmed the name.",
    ),
    Setting(name="checkout_activity", label="Name of the checkout activity", default="Begin checkout", advanced=True),
    Setting(
        name="send_refunds",
        label="Report refunds and cancellations",
        kind="boolean",
        default=False,
        advanced=True,
        help="Seeka publishes no activity for money given back. Only after Seeka has confirmed the name.",
    ),
    Setting(name="refund_activity", label="Name of the refund activity", default="Refund", advanced=True),
    POS_ORDERS,
    TEST_ORDERS,
)

SEEKA = Provider(
    name="seeka",
    title="Seeka",
    base_url="https://router.seeka.services/api",
    docs="https://developers.seeka.co/http/usage/tracking-orders",
    settings=SETTINGS,
    actions={
        "order": Action(
            title="Report an order",
            request=ingest,
            required=frozenset({"id", "payload"}),
            fields=ACTIVITY,
            batch=20,
            read=read,
            repeatable=True,
            adds_value=False,
            once=True,
            check=check,
        ),
        "refund": Action(
            title="Report money given back",
            request=ingest,
            required=frozenset({"id", "payload"}),
            fields=ACTIVITY,
            batch=20,
            read=read,
            repeatable=True,
            adds_value=False,
            reverses="order",
        ),
        "activity": Action(
            title="Report a cart or a checkout",
            request=ingest,
            required=frozenset({"id", "payload"}),
            fields=ACTIVITY,
            batch=20,
            read=read,
            repeatable=True,
            adds_value=False,
        ),
        "nothing": NOTHING,
    },
    derived={
        **DERIVED,
        "order_activity_id": order_activity_id,
        "cart_activity_id": cart_activity_id,
        "checkout_activity_id": checkout_activity_id,
    },
    limits=(Limit(requests=20),),
    shared_limits=True,
    test=test,
    headers=headers,
    hints=(
        "If your Seeka tag or Seeka's own app reports orders too, enter the activity ID that it uses.",
        "Where your Seeka brand asks for explicit consent, Seeka accepts an order but passes on nothing without it.",
    ),
)
