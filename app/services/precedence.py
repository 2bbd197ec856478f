"""Precedence: where one shop has very much to do, all others go first, and its own work goes in steps between theirs.

Python runs one thread of a process at a time. So a worker's two clerks, who account and deliver, get into each other's
way, and whoever has little to do would wait for what both of them do for somebody else.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

WINDOW = 3.0  #: seconds
MUCH = 300  #: done for a shop in `WINDOW` to twice that, in deliveries: six orders a second and more
WEBHOOK = 5  #: deliveries that a webhook counts for: accounted for, or sent to five providers, an order is as much
MEANWHILE = 2.0  #: seconds from the last work for others, or for the busy, in which more of it is expected
PATIENCE = 0.1  #: seconds after which a step no longer gives way: others that are always there would leave it nothing
LOOK = 0.05  #: seconds that a step waits before its clerk looks by itself whether there is anything for others


class Clerk(Enum):
    """Who works."""

    ACCOUNTS = "accounts"
    DELIVERS = "delivers"


class Recent:
    """How much was done for whom of late, to tell who is busy."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._now: Counter[int | None] = Counter()
        self._before: Counter[int | None] = Counter()
        self._known: set[int | None] = set()
        self._busy: set[int | None] = set()
        self._guard = threading.Lock()

    def note(self, done: Mapping[int | None, int]) -> None:
        """So much was done for these shops."""
        with self._guard:
            self._turn()
            self._now.update(done)
            self._known.update(done)
            self._busy |= {shop for shop in done if self._now[shop] + self._before[shop] > MUCH}

    def busy(self, shop_id: int | None) -> bool:
        with self._guard:
            self._turn()
            return shop_id in self._busy

    def beside(self, shops: Iterable[int | None]) -> bool:
        """Whether some shop is busy and any of these is not."""
        with self._guard:
            self._turn()
            return bool(self._busy) and not self._busy.issuperset(shops)

    def others(self) -> bool:
        """Whether anything was done for anybody who is not busy."""
        with self._guard:
            self._turn()
            return self._known > self._busy

    def _turn(self) -> None:
        passed = self._clock() - self._began
        if passed < WINDOW:
            return
        self._before = self._now if passed < 2 * WINDOW else Counter()
        self._now = Counter()
        self._known = set(self._before)
        self._busy = {shop for shop, done in self._before.items() if done > MUCH}
        self._began = self._clock()


class Precedence:
    """What the two clerks of one worker tell each other, and are told by whoever stores webhooks."""

    def __init__(self) -> None:
        self.recent = Recent()
        self._changed = threading.Condition()
        self._called: set[Clerk] = set()  #: who has to look, for there is something to do for others
        self._at_first: set[Clerk] = set()  #: who looks, or works for others
        self._stepping: Clerk | None = None  #: who works for a busy one
        self._stepped: Clerk | None = None  #: who did last
        self._wanted: dict[Clerk, float] = {}  #: who wants a step, and since when
        self._others_at = self._busy_at = -MEANWHILE  #: by time.monotonic(), when there was work for them last

    def crowded(self) -> bool:
        """Whether there is work for busy ones and for others at the same time, so that steps are to be short."""
        return min(self._others_at, self._busy_at) > time.monotonic() - MEANWHILE

    def of_whom(self, found: Iterable[T], shop: Callable[[T], int | None]) -> tuple[list[T], list[T]]:
        """What is busy shops', and what is others'."""
        parts: tuple[list[T], list[T]] = ([], [])
        for each in found:
            parts[0 if self.recent.busy(shop(each)) else 1].append(each)
        return parts

    def parted(self, found: Iterable[T], shop: Callable[[T], int | None]) -> tuple[list[T], list[T]]:
        """What is there to do for busy shops, and for others; whether there is a crowd goes by it."""
        busy, others = self.of_whom(found, shop)
        if busy:
            self._busy_at = time.monotonic()
        if others:
            self._others_at = time.monotonic()
        return busy, others

    def call(self, clerk: Clerk) -> None:
        """There is something for others: in a crowd ``clerk`` rests no longer, and nobody steps until it looked."""
        with self._changed:
            self._others_at = time.monotonic()
            self._called.add(clerk)
            self._changed.notify_all()

    def at_first(self, clerk: Clerk) -> bool:
        """Whether it works for others just now."""
        with self._changed:
            return clerk in self._at_first

    @contextmanager
    def first(self, clerk: Clerk) -> Iterator[None]:
        """Look what there is to do, and work for those who have little."""
        with self._changed:
            self._called.discard(clerk)
            self._at_first.add(clerk)
        try:
            yield
        finally:
            with self._changed:
                self._at_first.discard(clerk)
                self._changed.notify_all()

    @contextmanager
    def step(self, clerk: Clerk) -> Iterator[bool]:
        """Work for a busy one, if True: one clerk at a time, by turns, and while there is nothing to do for others.

        False where it had to wait: look first whether there is anything for others, and then ask again.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._clear(clerk) or self._waited_for(clerk), LOOK)
            ours = self._clear(clerk)
            if ours:
                self._wanted.pop(clerk, None)
                self._stepping = self._stepped = clerk
            else:
                self._wanted.setdefault(clerk, time.monotonic())
        try:
            yield ours
        finally:
            with self._changed:
                if ours:
                    self._stepping = None
                self._changed.notify_all()

    def want(self, clerk: Clerk) -> None:
        """``clerk`` wants another step, as soon as may be."""
        with self._changed:
            self._wanted.setdefault(clerk, time.monotonic())

    def waive(self, clerk: Clerk) -> None:
        """``clerk`` wants no step now."""
        with self._changed:
            self._wanted.pop(clerk, None)
            self._changed.notify_all()

    def rest(self, clerk: Clerk, seconds: float) -> None:
        """Wait for so long; in a crowd only until there is something for others, and not at all before a step."""
        with self._changed:
            if clerk not in self._wanted:
                self._changed.wait_for(lambda: self._waited_for(clerk), seconds)

    def _waited_for(self, clerk: Clerk) -> bool:
        return clerk in self._called and self.crowded()

    def _clear(self, clerk: Clerk) -> bool:
        if self._stepping is not None:
            return False
        now = time.monotonic()
        if now - self._wanted.get(clerk, now) > PATIENCE:
            return True
        if self._at_first - {clerk} or (self._called and self.crowded()):
            return False
        return self._stepped is not clerk or not self._wanted.keys() - {clerk}
