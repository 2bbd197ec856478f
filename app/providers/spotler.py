"""Spotler Activate (formerly Squeezely): purchases, and carts where they are wanted.

Sources: activate.spotler.help, "How do I create a back-end purchase event" and its neighbours;
app.squeezely.tech/developer/api/docs (dates); address, headers and answers as in the vendor's Magento plugin
(github.com/squeezely/magento2-plugin).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
    Split,
    credential,
)
from app.providers.choices import DERIVED, POS_ORDERS, TEST_ORDERS, TRIGGER, TRIGGER_STATUS, item_id, unit_price
from app.providers.errors import Refused, Unauthorized
from app.providers.marks import mark
from app.providers.money import CENT, amount, apart, beside_products, goods, rounding
from app.providers.spotler_fields import CART, CUSTOM, PURCHASE, REFUND
from app.providers.texts import redact, short

TRACK = "/track"
PAID = "unit_gross_paid"
_AUTHENTICATION = re.compile(r"authenti|unauthori[sz]ed|api ?key|invalid account", re.IGNORECASE)
_PLACE = re.compile(r"\bevents?\s*[\[.]\s*(\d+)", re.IGNORECASE)


def headers(settings: Settings) -> Mapping[str, str]:
    return {"X-AUTH-ACCOUNT": credential(settings, "account_id"), "X-AUTH-APIKEY": credential(settings, "api_key")}


def track(payloads: Sequence[Payload], settings: Settings) -> Request:
    """One event is the body itself (as the vendor's plugin sends it), several stand in ``events``."""
    if len(payloads) == 1 and settings.get("body_shape") != "events":
        return Request(method="POST", path=TRACK, json=payloads[0])
    return Request(method="POST", path=TRACK, json={"events": list(payloads)})


def read(answer: Answer, payloads: Sequence[Payload]) -> list[Outcome]:
    """A 2xx may name errors; of a batch they sink only their own events, as far as the answer tells which."""
    body = answer.json()
    errors = list(_errors(body))
    if body is None and answer.truncated:  # only a long list of errors makes an answer so long
        errors = [(None, answer.text())]
    if not errors:
        return [Accepted()] * len(payloads)
    if any(_AUTHENTICATION.search(text) for _, text in errors):
        raise Unauthorized("Spotler Activate answered: " + short(redact(errors[0][1])))
    if len(payloads) == 1:
        return [_rejected(text for _, text in errors)]
    blamed = [_blamed(place, text, payloads) for place, text in errors]
    if None in blamed:
        raise Split
    return [
        _rejected(text for at, (_, text) in zip(blamed, errors, strict=True) if at == index)
        if index in blamed
        else Accepted()
        for index in range(len(payloads))
    ]


def _rejected(texts: Any) -> Refused:
    return Refused("Spotler Activate rejected the event: " + short(redact("; ".join(texts))))


def _errors(body: Any) -> Iterator[tuple[Any, str]]:
    """Place (an index, an order id, or None) and text of each error; the element's shape is not published."""
    errors = body.get("errors") if isinstance(body, dict) else None
    if isinstance(errors, dict):
        pairs = list(errors.items())
    else:
        pairs = [(None, each) for each in (errors if isinstance(errors, list) else [errors] if errors else [])]
    for place, error in pairs:
        if isinstance(error, dict):
            words = next(
                (str(error[key]) for key in ("message", "error", "text", "code") if error.get(key)), str(error)
            )
            yield next((error[key] for key in ("index", "event_index", "orderid") if key in error), place), words
        else:
            yield place, "; ".join(map(str, error)) if isinstance(error, list) else str(error)


def _blamed(place: Any, text: str, payloads: Sequence[Payload]) -> int | None:
    found = _PLACE.search(text)
    named = str(place) if place is not None else found.group(1) if found else ""
    for index, payload in enumerate(payloads):
        if named and str(payload.get("orderid")) == named:
            return index
    return int(named) if named.isascii() and named.isdigit() and int(named) < len(payloads) else None


def refused(answer: Answer) -> Outcome | None:
    """A 400 that speaks of authentication is one about the credentials."""
    if answer.status == 400 and _AUTHENTICATION.search(answer.text(2000)):
        return Unauthorized("Spotler Activate answered: " + short(redact(answer.text(2000))))
    return None


def test(settings: Settings) -> Probe:
    def verdict(answer: Answer) -> str:
        if answer.status in {401, 403} or _AUTHENTICATION.search(answer.text(2000)):
            return "refused"
        return "accepted" if answer.status in {200, 201, 400} else "unknown"

    return Probe(
        request=Request(method="POST", path=TRACK, json={"events": []}),
        read=verdict,
        note=mark("Spotler Activate did not reject the credentials for an empty list of events."),
    )


def check(payload: Payload, facts: Facts) -> list[str]:
    """Products (and shipping) should make the total, where prices are those paid with tax."""
    lines = payload.get("products", [])
    order = facts.get("order") or {}
    complaints = []
    if (facts.get("options") or {}).get("unit_price", PAID) == PAID and "totalvalue" in payload:
        whole = goods(lines, "price") + amount(order.get("shipping_gross")) + beside_products(order)
        total = amount(payload["totalvalue"])
        complaints += apart(mark("Products and shipping against totalvalue"), whole, total, rounding(lines) + CENT)
    products = [each for each in order.get("lines", []) if each.get("kind") == "product"]
    if _item_id(facts) == "sku" and not all(each.get("sku") for each in products):
        complaints.append(mark("A product without SKU was named by its id; Activate matches products by SKU."))
    return complaints


def _item_id(facts: Facts) -> str:
    return str((facts.get("options") or {}).get("item_id", "sku"))


SETTINGS = (
    Setting(
        name="account_id",
        label="Account ID",
        required=True,
        link="https://app.squeezely.tech/company/settings",
        help="Spotler Activate, company settings.",
    ),
    Setting(
        name="api_key",
        label="API key",
        secret=True,
        required=True,
        link="https://app.squeezely.tech/company/settings",
        help="Beside the account ID. The webhook key is another one and not needed.",
    ),
    Setting(
        name="order_id",
        label="Purchases are named by the order's",
        kind="choice",
        choices=(
            ("number", "number on the receipt, without #"),
            ("id", "id in the shop's system"),
            ("name", "name, as #1042"),
        ),
        default="number",
        help="Activate joins the browser's purchase and ours where both name the order alike, letter for letter.",
    ),
    TRIGGER,
    TRIGGER_STATUS,
    item_id("sku", "Must equal the product's SKU in Activate."),
    unit_price(PAID, "The order's value is taken from its total where that is sent."),
    Setting(
        name="send_total",
        label="Send the order's total",
        kind="boolean",
        default=True,
        advanced=True,
        help="Otherwise Activate adds up the products, without shipping.",
    ),
    Setting(
        name="language",
        label="Language",
        default="",
        help="For example nl-NL. Leave empty to send the customer's own, where the shop knows it.",
    ),
    Setting(
        name="service_consent",
        label="Mark buyers as reachable for service messages",
        kind="boolean",
        default=False,
        advanced=True,
        help="Sends service: yes with every purchase.",
    ),
    Setting(
        name="send_carts",
        label="Report carts",
        kind="boolean",
        default=False,
        help="Only if the browser tag does not report them, or they count twice.",
    ),
    Setting(
        name="send_checkouts",
        label="Report begun checkouts",
        kind="boolean",
        default=False,
        advanced=True,
        help="Only if the browser tag does not report them.",
    ),
    Setting(
        name="send_refunds",
        label="Report refunds and cancellations",
        kind="boolean",
        default=False,
        advanced=True,
        help="As custom events OrderRefunded and OrderCancelled; create the field refund_value in Activate first.",
    ),
    Setting(
        name="body_shape",
        label="Form of a single event",
        kind="choice",
        choices=(("single", "the event itself"), ("events", "a list of one event")),
        default="single",
        advanced=True,
        help="Leave as it is unless Spotler says otherwise.",
    ),
    POS_ORDERS,
    TEST_ORDERS,
)

SPOTLER = Provider(
    name="spotler",
    title="Spotler Activate",
    base_url="https://api.squeezely.tech/v1",
    docs="https://activate.spotler.help/hc/en-gb/articles/21715997222034-How-do-I-create-a-back-end-purchase-event",
    settings=SETTINGS,
    actions={
        "purchase": Action(
            title="Report a purchase",
            request=track,
            required=frozenset({"event", "orderid", "products"}),
            fields=PURCHASE,
            custom=CUSTOM,
            batch=50,
            read=read,
            refused=refused,
            repeatable=True,
            adds_value=False,
            once=True,
            check=check,
        ),
        "refund": Action(
            title="Report money given back",
            request=track,
            required=frozenset({"event", "orderid"}),
            fields=REFUND,
            custom=CUSTOM,
            read=read,
            refused=refused,
            reverses="purchase",
        ),
        "cart": Action(
            title="Report a cart or a checkout",
            request=track,
            required=frozenset({"event", "products"}),
            fields=CART,
            custom=CUSTOM,
            read=read,
            refused=refused,
        ),
        "nothing": NOTHING,
    },
    derived=DERIVED,
    limits=(Limit(requests=5),),
    test=test,
    headers=headers,
    hints=("Ask whoever set up your Spotler tag which value it sends as order id, and choose the same here.",),
)
