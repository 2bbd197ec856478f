"""The wall clock as Tillwire's processes see it, by libfaketime; time that only runs (monotonic) is left alone.

Source: github.com/wolfcw/libfaketime, README, sections 4c and 4d.
"""

from __future__ import annotations

import os
import select
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEEN_WITHIN = 1  #: seconds, the least that libfaketime takes besides looking at every call


def library() -> Path | None:
    """libfaketime for programs with threads, where it is installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def environment() -> dict[str, str]:
    """What a process is started with, so that it and its forks can be told another time."""
    return {
        "LD_PRELOAD": str(library() or ""),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": str(SEEN_WITHIN),
    }


def faked() -> bool:
    """Whether this process runs with it."""
    return "faketime" in os.environ.get("LD_PRELOAD", "")


def mend_sleep() -> None:
    """libfaketime 0.9.10 refuses to sleep until a moment of the monotonic clock, which is what Python's sleep does."""
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None


class Clock:
    """What one process takes for the time: the true one and so many seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.offset = 0
        self.step_to(0)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of the process."""
        return {**environment(), "FAKETIME_TIMESTAMP_FILE": str(self._file)}

    def step_to(self, offset: int) -> None:
        """Be ``offset`` seconds off from now on, or rather within `SEEN_WITHIN`."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.rename(self._file)
        self.offset = offset

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset)
