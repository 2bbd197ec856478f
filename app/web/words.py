"""The words for what orders and deliveries can be; each with the tone in which it is shown, and a sign beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString

from app.models import DeliveryState, EventState
from app.services import alert_addresses


class Word(NamedTuple):
    text: LazyString
    tone: str  #: good, warn, bad or none
    sign: str = ""


DELIVERY: Mapping[str, Word] = {
    DeliveryState.DELIVERED: Word(_l("Delivered"), "good", "✓"),
    DeliveryState.PENDING: Word(_l("Waiting"), "none", "…"),
    DeliveryState.RETRYING: Word(_l("Trying again"), "warn", "↻"),
    DeliveryState.HELD: Word(_l("Held"), "warn", "!"),
    DeliveryState.DEAD: Word(_l("Failed"), "bad", "✕"),
    DeliveryState.UNKNOWN: Word(_l("Not known"), "bad", "?"),
    DeliveryState.SHADOW: Word(_l("Shadow"), "none", "○"),
    DeliveryState.SKIPPED: Word(_l("Skipped"), "none", "–"),
}

#: See `app.services.orders.standing`.
STANDING: Mapping[str, Word] = {
    "unknown": Word(_l("Not told yet"), "none"),
    "trashed": Word(_l("In the trash"), "none"),
    "draft": Word(_l("Unfinished checkout"), "none"),
    "refunded": Word(_l("Refunded"), "warn"),
    "cancelled": Word(_l("Cancelled"), "warn"),
    "partly_refunded": Word(_l("Partly refunded"), "warn"),
    "fulfilled": Word(_l("Sent out"), "good"),
    "paid": Word(_l("Paid"), "good"),
    "placed": Word(_l("Not paid yet"), "none"),
}

KINDS: Mapping[str, LazyString] = {
    "order.placed": _l("The order was placed"),
    "order.paid": _l("It was paid"),
    "order.updated": _l("It was changed"),
    "order.fulfilled": _l("It was sent out"),
    "order.refunded": _l("Money was given back"),
    "order.cancelled": _l("It was cancelled"),
    "order.deleted": _l("It was moved to the trash"),
    "order.restored": _l("It was taken from the trash"),
    "cart.updated": _l("A cart changed"),
    "checkout.started": _l("A checkout began"),
}

#: The same in a row of several, or beside a number.
HAPPENED: Mapping[str, LazyString] = {
    "order.placed": _l("order placed"),
    "order.paid": _l("order paid"),
    "order.updated": _l("order changed"),
    "order.fulfilled": _l("order sent out"),
    "order.refunded": _l("money given back"),
    "order.cancelled": _l("order cancelled"),
    "order.deleted": _l("order moved to the trash"),
    "order.restored": _l("order taken from the trash"),
    "cart.updated": _l("cart changed"),
    "checkout.started": _l("checkout began"),
}

#: What a store tells, by its platform's name for it, which stands beside the words.
TOPICS: Mapping[str, LazyString] = {
    "app/scopes_update": _l("The app's rights changed"),
    "app/uninstalled": _l("The app was removed"),
    "carts/create": _l("A cart began"),
    "carts/update": _l("A cart changed"),
    "checkouts/create": _l("A checkout began"),
    "checkouts/update": _l("A checkout changed"),
    "checkouts/delete": _l("A checkout was deleted"),
    "customers/data_request": _l("A buyer asked for their data"),
    "customers/redact": _l("A buyer is to be forgotten"),
    "fulfillments/create": _l("A parcel went out"),
    "fulfillments/update": _l("A parcel's news"),
    "order_transactions/create": _l("A payment was made"),
    "orders/cancelled": _l("An order was cancelled"),
    "orders/create": _l("An order was placed"),
    "orders/delete": _l("An order was deleted"),
    "orders/edited": _l("An order was edited"),
    "orders/fulfilled": _l("An order was sent out"),
    "orders/paid": _l("An order was paid"),
    "orders/partially_fulfilled": _l("A part of an order was sent out"),
    "orders/updated": _l("An order changed"),
    "refunds/create": _l("Money was given back"),
    "shop/redact": _l("The store is to be forgotten"),
    "order.created": _l("An order was placed"),
    "order.updated": _l("An order changed"),
    "order.deleted": _l("An order was moved to the trash"),
    "order.restored": _l("An order was taken from the trash"),
    "cart.updated": _l("A cart changed"),
}

#: What became of a webhook that was no event.
NOTHING: Mapping[str, LazyString] = {
    EventState.PENDING: _l("Not read yet"),
    EventState.IGNORED: _l("Nothing new"),
    EventState.PARKED: _l("Waits"),
    EventState.QUARANTINED: _l("Set aside, for its content names another store"),
    EventState.ERROR: _l("Could not be read"),
}

#: What a check of a connection finds of a topic.
TOPIC_STATES: Mapping[str, Word] = {
    "ok": Word(_l("Works"), "good"),
    "active": Word(_l("Works"), "good"),
    "twin removed": Word(_l("Works"), "good"),
    "paused": Word(_l("Paused"), "warn"),
    "disabled": Word(_l("Switched off"), "bad"),
    "missing": Word(_l("Missing"), "bad"),
    "refused": Word(_l("Refused"), "bad"),
    "not offered": Word(_l("Not offered"), "none"),
}

#: What we answer to a webhook, and what that means for the store's orders.
ANSWERS: Mapping[str, tuple[LazyString, LazyString]] = {
    "stored": (_l("Taken"), _l("It is on disk before the store gets the answer.")),
    "duplicate": (_l("Known already"), _l("The store sent it again, which changes nothing.")),
    "ping": (_l("Ping"), _l("WooCommerce tried the address when a webhook was saved.")),
    "unproven": (
        _l("Refused: not proved"),
        _l(
            "It was sent in the store's name without its secret. If that lasts, check and repair the connection; the"
            " orders are fetched from the store until then."
        ),
    ),
    "not storable": (
        _l("Refused: try again"),
        _l("It could not be written to disk at that moment. What the store does not send again is fetched from it."),
    ),
}

OUTCOMES: Mapping[str | None, LazyString] = {
    None: _l("under way, or its answer was lost"),
    "accepted": _l("accepted"),
    "unavailable": _l("could not be taken at that moment"),
    "not made": _l("not sent: it was begun too late"),
    "unauthorized": _l("the credentials were refused"),
    "needs mending": _l("something has to be mended first"),
    "refused": _l("refused"),
    "answer lost": _l("sent, and the answer was lost"),
    "applied": _l("asked: the provider has it"),
    "absent": _l("asked: the provider does not have it"),
    "unknown": _l("asked: the provider did not tell"),
    "shadow": _l("built and checked, not sent"),
    "failed": _l("failed"),
}

#: What somebody did, as the audit trail has it.
ACTIONS: Mapping[str, LazyString] = {
    "accept invitation": _l("accept invitation"),
    "answer data request": _l("answer data request"),
    "ask for alerts": _l("ask for alerts"),
    "change mapping": _l("change mapping"),
    "change retention": _l("change retention"),
    "change scopes": _l("change scopes"),
    "change sprii names": _l("change sprii names"),
    "change test orders": _l("change test orders"),
    "check connection": _l("check connection"),
    "confirm alerts": _l("confirm alerts"),
    "connect store": _l("connect store"),
    "disconnect store": _l("disconnect store"),
    "end access": _l("end access"),
    "erase customer": _l("erase customer"),
    "erase shop": _l("erase shop"),
    "export": _l("export"),
    "fetch export": _l("fetch export"),
    "invite person": _l("invite person"),
    "keep shop": _l("keep shop"),
    "lose keys": _l("lose keys"),
    "make sign-in link": _l("make sign-in link"),
    "make webhooks": _l("make webhooks"),
    "open pages": _l("open pages"),
    "remove app": _l("remove app"),
    "remove person": _l("remove person"),
    "resend deliveries": _l("resend deliveries"),
    "restore mapping": _l("restore mapping"),
    "rotate keys": _l("rotate keys"),
    "set provider": _l("set provider"),
    "settle delivery": _l("settle delivery"),
    "show payload": _l("show payload"),
    "show webhook": _l("show webhook"),
    "sign in": _l("sign in"),
    "sign out everywhere": _l("sign out everywhere"),
    "stop alerts": _l("stop alerts"),
    "switch provider": _l("switch provider"),
    "take back invitation": _l("take back invitation"),
    "test provider": _l("test provider"),
    "try held deliveries": _l("try held deliveries"),
}


def who(actor: str | None, email: str | None) -> str:
    """Whoever did something, as the audit trail names them; ``email`` where they see the store still."""
    kind, _colon, name = (actor or "").partition(":")
    known = {
        "account": email or _("Somebody who does not see the store any more"),
        "wordpress": _("User %(name)s of your WordPress", name=name),
        "shopify": _("Staff member %(name)s of your shop", name=name) if name else "Shopify",
        "woocommerce": "WooCommerce",
        "operator": _("The operator of Tillwire"),
        "tillwire": _("Tillwire itself"),
        alert_addresses.BY_MAIL: _("Whoever reads the mail of the address"),
        "": _("Nobody that is known"),
    }
    return str(known.get(kind, actor))
