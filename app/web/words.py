"""The words for what orders and deliveries can be; each with the tone in which it is shown, and a sign beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString

from app.models import DeliveryState, EventState


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

#: What became of a webhook that was no event.
NOTHING: Mapping[str, LazyString] = {
    EventState.PENDING: _l("Not read yet"),
    EventState.IGNORED: _l("Nothing new"),
    EventState.PARKED: _l("Waits"),
    EventState.QUARANTINED: _l("Set aside, for its content names another store"),
    EventState.ERROR: _l("Could not be read"),
}

OUTCOMES: Mapping[str | None, LazyString] = {
    None: _l("under way, or its answer was lost"),
    "accepted": _l("accepted"),
    "unavailable": _l("could not be taken at that moment"),
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
