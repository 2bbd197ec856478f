"""Servers to measure: Tillwire's own command, and a bare Flask route on the same server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from app import factory
from app.config import read_config
from app.factory import Parts
from bench.load import SECRET

#: A Flask route without any storage, behind the same server as Tillwire's.
BARE = """
import sys
import uvicorn
from a2wsgi import WSGIMiddleware
from flask import Flask, request
from app.web.front import THREADS

app = Flask("bare")

@app.post("/webhooks/shopify")
def webhook():
    request.get_data(cache=False)
    return {"status": "stored"}

@app.get("/readyz")
def ready():
    return {"status": "ok"}

uvicorn.run(WSGIMiddleware(app, workers=THREADS), host="127.0.0.1", port=int(sys.argv[1]), http="httptools",
            loop="asyncio", lifespan="off", access_log=False, log_level="error")
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Settings of a Tillwire of its own in ``folder``; the caller's own are not taken over."""
    kept = {name: value for name, value in os.environ.items() if not re.search(r"_URL$|_KEY|_SECRET|^ENV$", name)}
    return {
        **kept,
        "DATABASE_URL": f"sqlite:///{folder / 'tillwire.db'}",
        "SECRET_KEY": "bench-secret-key-of-length",
        "ENCRYPTION_KEYS": "YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmU=",
        "SHOPIFY_API_SECRET": SECRET,
        "LOG_LEVEL": "ERROR",
        **more,
    }


@contextmanager
def opened(settings: dict[str, str]) -> Iterator[Parts]:
    parts = factory.create_parts(read_config(settings))
    try:
        parts.db.migrate()
        yield parts
    finally:
        parts.db.close()


@contextmanager
def running(
    command: list[str], url: str | None, settings: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[Any]]:
    """A process of our own Python, awaited until ``url`` answers, ended by SIGTERM."""
    process = subprocess.Popen([sys.executable, *command], env=settings, stdout=subprocess.DEVNULL)
    try:
        if url:
            wait(lambda: _answers(url), process, url)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()


def wait(ready: Callable[[], bool], process: subprocess.Popen[Any], what: str, seconds: float = 120.0) -> None:
    """Return once ``ready``; raise RuntimeError if the process ends, or is not ready in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended at start with {process.returncode}")
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers at {what}")


def _answers(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(url, timeout=2).ok
    return False


def tillwire(port: int, *options: str) -> list[str]:
    return ["-m", "app.cli", "serve", "--port", str(port), *options]


def bare(port: int) -> list[str]:
    return ["-c", BARE, str(port)]


def plain(port: int, app: str = "bench.plain:app") -> list[str]:
    """The handler of `bench.plain`, or another, with a process for each core and threads for all that wait."""
    serve = ["-m", "gunicorn", app, "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    return [*serve, "--workers", str(os.cpu_count()), "--threads", "16", "--timeout", "0"]


def load(url: str, seconds: float, connections: int, rate: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", url, str(seconds), str(connections), str(rate)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def processor_seconds(process: subprocess.Popen[Any]) -> float:
    """Processor time of a process and of those that it started: it says the same on a busy machine."""
    return sum(spent(pid) for pid in family(process))


def family(process: subprocess.Popen[Any]) -> list[int]:
    """A process and those that it started."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [process.pid, *(int(child) for thread in threads for child in thread.read_text().split())]


def spent(pid: int) -> float:
    """Seconds of processor that the threads of ``pid`` have used; 0.0 if it is gone.

    Source: docs.kernel.org/scheduler/sched-stats.html (/proc/<pid>/schedstat)
    """
    nanoseconds = 0
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # it ended meanwhile
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def resident(process: subprocess.Popen[Any], kind: str = "VmRSS") -> float:
    """MiB of memory that a process holds, shared pages counted whole; ``VmHWM`` is the most that it ever held."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def proportional(process: subprocess.Popen[Any]) -> float:
    """MiB of memory that a process holds, each shared page divided among those who share it (PSS)."""
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024  # type: ignore[index]
