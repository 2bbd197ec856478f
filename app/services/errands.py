"""Errands: what a page waits for only so long, and what then goes on without it.

An errand asks somebody else, who may be slow. Nothing depends on its end being told: what it does is stored, and the
page that is loaded next, or the upkeep, finds it done or begins anew. So a process that dies midway loses nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from app.services.errors import Failed
from app.services.said import mark
from connectors.shopify import patience

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 8.0  #: seconds that a page waits
LONGEST = 60.0  #: seconds that all calls of an errand to Shopify may take together
MOST = 16  #: errands at a time


class StillAtIt(Failed):
    """It is not done yet, and goes on."""


class _Errand(threading.Thread):
    def __init__(self, work: Callable[[], object], done: Callable[[], None]) -> None:
        super().__init__(name="errand", daemon=True)
        self._work, self._done = work, done
        self.result: Any = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with patience.within(LONGEST):
                self.result = self._work()
        except Exception as error:
            self.error = error
            log.info("an errand failed (%s)", type(error).__name__)
        finally:
            self._done()


class Errands:
    """Runs errands, each in a thread of its own; of one key never two at a time."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, _Errand] = {}

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises; or `StillAtIt`, when it takes longer than a page waits.

        Args:
            key: whoever comes with the key of an errand that is under way waits for that one instead.
        """
        errand = self._begin(key, work)
        if errand is not None:
            errand.join(self._patience)
        if errand is None or errand.is_alive():
            raise StillAtIt(mark("The store answers slowly. It goes on without this page; come back in a minute."))
        if errand.error is not None:
            raise errand.error
        result: T = errand.result
        return result

    def _begin(self, key: Hashable, work: Callable[[], object]) -> _Errand | None:
        with self._lock:
            found = self._under_way.get(key)
            if found is None and len(self._under_way) < MOST:
                found = self._under_way[key] = _Errand(work, lambda: self._end(key))
                found.start()
            return found

    def _end(self, key: Hashable) -> None:
        with self._lock:
            del self._under_way[key]
