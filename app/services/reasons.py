"""Why a delivery is where it is, in a merchant's words: what happened, whether data is safe, what to do."""

from __future__ import annotations

from collections.abc import Mapping

from app.models import DeliveryState

#: Why something was not owed. A merchant's own mapping may give other reasons; those are shown as they are.
SKIPPED: Mapping[str, str] = {
    "already_sent": "It was reported before, by another trigger, and happens once per order.",
    "before_start": "It happened before your store was connected, so it is no new purchase. Resend it if you want it.",
    "erased": "The personal data of this order was erased, so nothing is sent about it any more.",
    "guest": "The buyer has no account in your store, and guests are not sent to this provider.",
    "no_identity": "Nobody is known to attach it to: no e-mail address, phone number or customer came with it.",
    "no_sprii_reference": "The order carries no Sprii number, so it was not bought in a live show.",
    "not_cancelled": "The order came back to life after it was cancelled, so there is nothing to take back.",
    "nothing_to_reverse": "The provider does not have the purchase (yet), so there is nothing to take back.",
    "pos_order": "It was sold at the till, and such orders are not sent to this provider.",
    "rule_removed": "Your mapping no longer has the rule that this was made by.",
    "superseded": "A newer state of the same order is on its way or was sent, and only the newest counts.",
    "test_order": "It is a test order; an option of the provider decides whether those are sent.",
    "trashed": "The order was moved to the trash in your store; the provider is not told of that.",
    "unchanged": "Nothing changed that this provider is told about.",
    "unsupported_event": "The provider has no way to be told of this.",
}

_STATES: Mapping[str, str] = {
    DeliveryState.PENDING: "It waits for its turn and goes out by itself.",
    DeliveryState.RETRYING: "The provider could not take it yet. It is kept and tried again by itself: {reason}",
    DeliveryState.DELIVERED: "The provider accepted it.",
    DeliveryState.HELD: "It is kept until something is mended, and goes out by itself then: {reason}",
    DeliveryState.DEAD: "The provider refused it, or could not be reached for too long. It is kept; mend the cause and"
    " resend it: {reason}",
    DeliveryState.SHADOW: "It was built and checked, and not sent: the provider is in shadow mode.",
    DeliveryState.UNKNOWN: "It was sent, and the answer was lost. Look the order up at the provider, then open this"
    " delivery and say what you found.",
}


def sentence(state: str, reason: str | None) -> str:
    """Why a delivery is in ``state``, for the merchant."""
    if state == DeliveryState.SKIPPED:
        return SKIPPED.get(reason or "", f"Your mapping skips it: {reason}" if reason else "It is not owed.")
    if state == DeliveryState.DELIVERED and reason:
        return f"The provider accepted it: {reason}"
    return _STATES[state].format(reason=reason or "no reason was given")
