"""Why a delivery is where it is, in a merchant's words: what happened, whether data is safe, what to do."""

from __future__ import annotations

from collections.abc import Mapping

from app.models import DeliveryState
from app.services.said import mark

#: Why something was not owed. A merchant's own mapping may give other reasons; those are shown as they are.
SKIPPED: Mapping[str, str] = {
    "already_sent": mark("It was reported before, by another trigger, and happens once per order."),
    "before_start": mark(
        "It happened before your store was connected, so it is no new purchase. Resend it if you want it."
    ),
    "erased": mark("The personal data of this order was erased, so nothing is sent about it any more."),
    "guest": mark("The buyer has no account in your store, and guests are not sent to this provider."),
    "no_identity": mark("Nobody is known to attach it to: no e-mail address, phone number or customer came with it."),
    "no_sprii_reference": mark("The order carries no Sprii number, so it was not bought in a live show."),
    "not_cancelled": mark("The order came back to life after it was cancelled, so there is nothing to take back."),
    "nothing_to_reverse": mark("The provider does not have the purchase (yet), so there is nothing to take back."),
    "pos_order": mark("It was sold at the till, and such orders are not sent to this provider."),
    "rule_removed": mark("Your mapping no longer has the rule that this was made by."),
    "superseded": mark("A newer state of the same order is on its way or was sent, and only the newest counts."),
    "test_order": mark("It is a test order; an option of the provider decides whether those are sent."),
    "trashed": mark("The order was moved to the trash in your store; the provider is not told of that."),
    "unchanged": mark("Nothing changed that this provider is told about."),
    "unsupported_event": mark("The provider has no way to be told of this."),
}

_STATES: Mapping[str, str] = {
    DeliveryState.PENDING: mark("It waits for its turn and goes out by itself."),
    DeliveryState.RETRYING: mark("The provider could not take it yet. It is kept and tried again by itself: {reason}"),
    DeliveryState.DELIVERED: mark("The provider accepted it."),
    DeliveryState.HELD: mark("It is kept until something is mended, and goes out by itself then: {reason}"),
    DeliveryState.DEAD: mark(
        "The provider refused it, or could not be reached for too long. It is kept; mend the cause and"
        " resend it: {reason}"
    ),
    DeliveryState.SHADOW: mark("It was built and checked, and not sent: the provider is in shadow mode."),
    DeliveryState.UNKNOWN: mark(
        "It was sent, and the answer was lost. Look the order up at the provider, then open this"
        " delivery and say what you found."
    ),
}


def sentence(state: str, reason: str | None) -> str:
    """Why a delivery is in ``state``, for the merchant."""
    if state == DeliveryState.SKIPPED:
        return SKIPPED.get(
            reason or "",
            mark("Your mapping skips it: {reason}").format(reason=reason) if reason else mark("It is not owed."),
        )
    if state == DeliveryState.DELIVERED and reason:
        return mark("The provider accepted it: {reason}").format(reason=reason)
    return _STATES[state].format(reason=reason or mark("no reason was given"))
