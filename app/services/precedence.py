"""Precedence: where one shop has very much to do, all others go first, and its own work goes in steps between theirs.

Python runs one thread of a process at a time. So a worker's two clerks, who account and deliver, get into each other's
way, and whoever has little to do would wait for what both of them do for somebody else.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

MUCH = 50  #: webhooks, or deliveries of one destination, in `WINDOW` to twice that: ten a second and more
WINDOW = 3.0  #: seconds
MEANWHILE = 2.0  #: seconds from the last work for others, or for the busy, in which more of it is expected
LOOK = 0.005  #: seconds that a busy one's step waits before its clerk looks whether there is anything for others
PATIENCE = 0.2  #: seconds after which it no longer gives way: others that are always there would leave it nothing


class Recent:
    """How much was done for whom of late, to tell who is busy."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._now: Counter[int | None] = Counter()
        self._before: Counter[int | None] = Counter()

    def note(self, done: Iterable[int | None]) -> None:
        """Something was done for each of these."""
        self._turn()
        self._now.update(done)

    def busy(self, who: int | None) -> bool:
        self._turn()
        return self._now[who] + self._before[who] > MUCH

    def _turn(self) -> None:
        passed = self._clock() - self._began
        if passed < WINDOW:
            return
        self._before = self._now if passed < 2 * WINDOW else Counter()
        self._now = Counter()
        self._began = self._clock()


def parted(all_of_them: Iterable[T], busy: Callable[[T], bool]) -> tuple[list[T], list[T]]:
    """The busy ones, and the others."""
    found: tuple[list[T], list[T]] = ([], [])
    for each in all_of_them:
        found[0 if busy(each) else 1].append(each)
    return found


class Precedence:
    """What the two clerks of one worker tell each other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._others = 0  #: clerks who work for others
        self._stepping = False  #: a clerk works for a busy one
        self._others_at = self._busy_at = -MEANWHILE  #: by time.monotonic(), when they last did
        self._worked = False  #: for others, since a clerk rested
        self._stepped_at = 0.0  #: when a step for a busy one last began

    def crowded(self) -> bool:
        """Whether there is work for busy ones and for others at the same time, so that steps are to be short."""
        return min(self._others_at, self._busy_at) > time.monotonic() - MEANWHILE

    @contextmanager
    def others(self) -> Iterator[None]:
        """Work for those who have little to do."""
        with self._changed:
            self._others += 1
            self._others_at = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._others -= 1
                self._others_at = time.monotonic()
                self._worked = True
                self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Wait until that is over, or in a crowd the other clerk has worked for others."""
        with self._changed:
            self._changed.wait_for(lambda: self._worked and self.crowded(), seconds)
            self._worked = False

    @contextmanager
    def step(self, *, busy: bool = True) -> Iterator[bool]:
        """Work for a busy one, if True: in a crowd one clerk at a time, and neither while the other works for others.

        Where it is not so within `LOOK`, False: look first whether there is anything for others.

        Args:
            busy: False for what is only to be done in a step, such as settling: it does not make a crowd last.
        """
        with self._changed:
            self._note_busy(busy)
            mine = self.crowded() and self._changed.wait_for(self._clear, LOOK)
            if mine:
                self._stepping = True
                self._stepped_at = time.monotonic()
            goes_on = mine or not self.crowded()
        try:
            yield goes_on
        finally:
            with self._changed:
                self._note_busy(busy)
                self._stepping = self._stepping and not mine
                self._changed.notify_all()

    def _note_busy(self, busy: bool) -> None:
        if busy:
            self._busy_at = time.monotonic()

    def _clear(self) -> bool:
        out_of_patience = time.monotonic() - self._stepped_at > PATIENCE
        return not self._stepping and (not self._others or out_of_patience)
