"""What can be wrong with a Shopify connection, said to whoever has to mend it."""

from __future__ import annotations

from enum import StrEnum

from app.services.said import mark


class Trouble(StrEnum):
    """What `Connection.trouble_code` tells; the sentence beside it is for people alone, and may change."""

    REOPEN = "reopen"
    WRONG_CLIENT = "wrong_client"
    FORBIDDEN = "forbidden"
    REMOVED = "removed"
    RIGHTS = "rights"  #: not all that we ask for were granted
    NOT_APPROVED = "not_approved"  #: for protected customer data


REOPEN = mark(
    "Shopify has ended the access to the store. Orders are still received, and nothing is"
    " lost. Open Tillwire in the Shopify admin once: that connects it again."
)
WRONG_CLIENT = mark(
    "Shopify does not take the app's client secret, or the app was removed from the store."
    " Webhooks that arrive are kept. If the app is still installed, the operator has to check"
    " SHOPIFY_API_KEY and SHOPIFY_API_SECRET."
)
FORBIDDEN = mark(
    "Shopify refuses this server's calls (403). Webhooks that arrive are kept. The operator"
    " has to check the app's IP allowlist in the Dev Dashboard, and that the app asks for"
    " expiring tokens."
)
REMOVED = mark(
    "The app was removed from the store, so nothing is received or sent. What was received"
    " until then is kept until Shopify asks for its erasure, two days later. Install the app"
    " again to go on."
)
ANOTHER_DOMAIN = mark(
    "This store is connected already, under another myshopify.com domain. Nothing was"
    " changed, and what was received is kept. Ask the operator to end the shop of the other"
    " domain first (`tillwire shops list` shows it)."
)
ANOTHER_STORE = mark(
    "This domain belonged to another store before, whose data is still here. Nothing was"
    " changed. Ask the operator to erase that store first."
)

_SENTENCES = {
    Trouble.REOPEN: REOPEN,
    Trouble.WRONG_CLIENT: WRONG_CLIENT,
    Trouble.FORBIDDEN: FORBIDDEN,
    Trouble.REMOVED: REMOVED,
}

#: The columns of a connection that has no trouble.
NO_TROUBLE: dict[str, str | None] = {"trouble": None, "trouble_code": None}


def in_trouble(code: Trouble) -> dict[str, str | None]:
    """The columns of a connection that has this one."""
    return {"trouble": _SENTENCES[code], "trouble_code": code}
