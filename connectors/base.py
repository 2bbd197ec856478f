"""What a platform must offer, and how it is told about a merchant's own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connectors.events import ChoreKind, Observation

#: Names under which Sprii's order number is looked for, in this order, case-insensitive after trimming. What our
#: storefront parts write is the first; Sprii publishes no name of its own, the rest were seen in shops.
SPRII_NAMES = ("sprii_order_no", "_sprii_order_no", "spriiOrderNumber", "orderNo", "_orderNo", "__orderNo")
SEEKA_PROFILE_NAMES = ("seeka_pid", "_seeka_pid", "__seeka_pid")
TCF_CONSENT_NAMES = ("tcf_consent", "_tcf_consent", "__tcf_consent")
SPOTLER_COOKIE_NAMES = ("sqzl_cookie", "_sqzl_cookie", "__sqzl_cookie", "sqzllocal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Attribute names to look for; a merchant may change each list."""

    sprii: tuple[str, ...] = SPRII_NAMES
    seeka_profile: tuple[str, ...] = SEEKA_PROFILE_NAMES
    tcf_consent: tuple[str, ...] = TCF_CONSENT_NAMES
    spotler_cookie: tuple[str, ...] = SPOTLER_COOKIE_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a store answered about one order, told as its own webhook would have told it."""

    order_id: str
    topic: str
    body: bytes
    changed_at: datetime | None  #: by the store's clock


class Connector(Protocol):
    """One store platform."""

    @property
    def name(self) -> str:
        """``shopify`` or ``woocommerce``, as in routes and tables."""

    @property
    def tells_refund_lines(self) -> bool:
        """Whether its webhooks say which products a refund gave back; otherwise the store is asked for them."""

    def kind(self, topic: str) -> str | None:
        """The event kind that ``topic`` is about, as far as the topic alone tells; None for chores and unknown ones."""

    def uses(self, topic: str) -> bool:
        """Whether webhooks of ``topic`` are worth keeping; others are answered ``ignored`` and not stored."""

    def chore(self, topic: str) -> ChoreKind | None:
        """What ``topic`` asks for beside orders and carts; None for every other topic."""

    def observe(self, topic: str, headers: Mapping[str, str], body: bytes, names: Names) -> Observation:
        """Read one proven webhook. Pure.

        Args:
            topic: the platform's own name (``orders/paid``, ``order.updated``), proven as far as the platform allows.
            headers: as received, names lower-cased.
            body: the exact bytes; nothing has been parsed before.
        Raises:
            Unreadable: not JSON, or a field of the wrong type; the text names its path.
        """
