"""Tillwire as real processes, for tests that are about starting and stopping."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import requests

ROOT = Path(__file__).parent.parent
#: Settings of the machine that runs the tests must not get in.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


def environment(**settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", *arguments]


def run(folder: Path, *arguments: str, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command to its end, in ``folder``."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(**settings), capture_output=True, text=True, timeout=timeout
    )


class Running:
    """A command that runs until told to stop; at the end of the block it is stopped whatever happened."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.told: list[str] = []  #: what it wrote to standard output so far
        self.complained: list[str] = []  #: to standard error
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._listen, args=(self.process.stdout, self.told, self._lines.put)),
            threading.Thread(target=self._listen, args=(self.process.stderr, self.complained, lambda _line: None)),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _listen(stream: Any, kept: list[str], pass_on: Callable[[str | None], None]) -> None:
        with stream:
            for line in stream:
                kept.append(line.rstrip("\n"))
                pass_on(line.rstrip("\n"))
        pass_on(None)

    def line(self, timeout: float = 60) -> str:
        """The next line of standard output."""
        line = self._lines.get(timeout=timeout)
        assert line is not None, self.complained
        return line

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = 60) -> int:
        status = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(timeout)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true value of ``condition``, asked again and again."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)
    return found


def answers(url: str) -> bool:
    try:
        with requests.get(url, timeout=10) as answer:
            return answer.ok
    except requests.RequestException:
        return False
