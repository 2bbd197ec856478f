"""Brake: where one store sends very much while others send too, it gets its answers later, so that it sends less.

What is held back is committed already, and only its answer waits. A store that waits for an answer before it sends more
than some webhooks at a time is slowed down by it, as WooCommerce is; another is not, and loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from app.services.precedence import WEBHOOK, Recent

PACE = 25.0  #: webhooks of such a store in a second; most providers take fewer of one merchant
LONGEST = 1.0  #: seconds from a webhook to an answer that is held back; Shopify waits for five, WooCommerce for longer
MOST = 200  #: answers held back at a time, for each holds a connection


class Brake:
    """Of one process that receives."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = Recent(clock)
        self._next: dict[int, float] = {}  #: by shop: when its next answer may go
        self._held = 0

    def stored(self, webhooks: Mapping[int | None, int]) -> bool:
        """So many were stored for these shops; return whether some are for others than one that sends very much."""
        self._recent.note({shop_id: WEBHOOK * number for shop_id, number in webhooks.items()})
        return self._recent.beside(webhooks)

    async def hold(self, shop_id: int, waited: float) -> None:
        """Wait until an answer to this shop's store may go; it has waited for so many seconds already."""
        delay = min(self._delay(shop_id), LONGEST - waited)
        if delay <= 0 or self._held == MOST:
            return
        self._held += 1
        try:
            await asyncio.sleep(delay)
        finally:
            self._held -= 1

    def _delay(self, shop_id: int) -> float:
        now = self._clock()
        if not (self._recent.busy(shop_id) and self._recent.others()):
            return 0.0
        at = min(max(self._next.get(shop_id, now), now), now + LONGEST)
        self._next[shop_id] = at + 1 / PACE
        return at - now
