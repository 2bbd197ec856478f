"""Servers to measure: Tillwire's own command, and a bare Flask route on the same server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from app import factory
from app.config import read_config
from app.factory import Parts
from bench.load import SECRET

BARE = """
import sys
import waitress
from flask import Flask, request
from app.serving import THREADS

app = Flask("bare")

@app.post("/webhooks/shopify")
def webhook():
    request.get_data(cache=False)
    return {"status": "stored"}

@app.get("/readyz")
def ready():
    return {"status": "ok"}

waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=THREADS, _quiet=True)
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


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
            _wait(url, process)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[Any], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"a server ended at start with {process.returncode}")
        with suppress(requests.RequestException):
            if requests.get(url, timeout=2).ok:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers at {url}")


def tillwire(port: int, *options: str) -> list[str]:
    return ["-m", "app.cli", "serve", "--port", str(port), *options]


def bare(port: int) -> list[str]:
    return ["-c", BARE, str(port)]


def load(url: str, seconds: float, connections: int, rate: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", url, str(seconds), str(connections), str(rate)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def resident(process: subprocess.Popen[Any]) -> float:
    """MiB of memory that a process holds."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]
