"""``tillwire demo``: everything at once, alive within seconds, gone without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import requests

from app.providers.registry import PROVIDERS
from bench.ports import free_port
from tests.processes import Running, until


def read(url: str) -> Any:
    with requests.get(url, timeout=60) as answer:
        return answer.json() if "json" in answer.headers["Content-Type"] else answer.text


def live(page: str) -> bool:
    """Deliveries of both shops, some of them accepted."""
    return (
        "tillwire-demo.myshopify.com" in page
        and re.search(r"<td>delivered</td><td class=.number.>\d+</td>", page) is not None
    )


def nobody_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_demo_delivers_keeps_every_contract_and_ends_at_once(tmp_path: Path) -> None:
    with Running(tmp_path, "demo", "--port", str(free_port()), "--json") as demo:
        told = json.loads(demo.line(30))
        assert set(told) == {"url", "simulators", "database"}
        until(lambda: live(read(told["url"])), seconds=60)

        def receivers() -> set[str]:
            return {name for name in PROVIDERS if read(f"{told['simulators']}/_sim/{name}/requests")["requests"]}

        until(lambda: receivers() == set(PROVIDERS), seconds=60)
        assert read(f"{told['simulators']}/_sim/violations") == {"violations": []}

        begun = time.monotonic()
        os.killpg(demo.process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
        assert demo.wait(20) == 0
        until(lambda: nobody_left(demo.process.pid), seconds=20 - (time.monotonic() - begun))
        assert demo.told == [json.dumps(told)]
        assert [line for line in demo.complained if " INFO " not in line] == []


def test_told_by_itself_it_ends_its_children_even_while_they_start(tmp_path: Path) -> None:
    with Running(tmp_path, "demo", "--port", str(free_port()), "--json") as demo:
        until((tmp_path / "var" / "demo" / "tillwire.db").exists)
        assert demo.stop(signal.SIGTERM) == 0
        assert demo.told == []
        until(lambda: nobody_left(demo.process.pid), seconds=60)
