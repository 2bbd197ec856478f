"""Budgets: how many calls a destination, or a provider for the whole installation, may make now."""

from __future__ import annotations

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.providers.base import Limit
from app.providers.registry import PROVIDERS
from app.services.route import Target

#: Beyond this many calls in a window, counting them costs more than it guards.
BOUNDLESS = 50_000


class Budgets:
    """Moving windows, because providers count any window of that length. ``factor`` scales all limits (tests)."""

    def __init__(self, factor: float = 1.0) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._items = {name: _items(provider.limits, factor) for name, provider in PROVIDERS.items()}

    def take(self, target: Target) -> bool:
        """Use up one call; False where the budget has none left at the moment."""
        key = target.provider if PROVIDERS[target.provider].shared_limits else f"destination-{target.id}"
        items = self._items[target.provider]
        if not all(self._limiter.test(item, key) for item in items):
            return False
        for item in items:
            self._limiter.hit(item, key)
        return True


def _items(limits: tuple[Limit, ...], factor: float) -> list[RateLimitItemPerSecond]:
    return [
        RateLimitItemPerSecond(most, limit.seconds)
        for limit in limits
        if 1 <= (most := max(int(limit.requests * factor), 1)) <= BOUNDLESS
    ]
