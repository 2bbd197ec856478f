"""Python's collector of garbage leaves alone what stays, and still finds circles."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from app import serving
from app.providers import calling
from tests.rig import Rig

TRIED = """
import gc
import weakref
from app.collector import OFTEN, OLDER, collect_seldom

class Circle:
    pass

def circle():
    made = Circle()
    made.itself = made
    return weakref.ref(made)

before = len(gc.get_objects())
collect_seldom()
assert gc.get_freeze_count() > before / 2
assert len(gc.get_objects()) < 100
left = circle()
kept = [[] for _ in range(OFTEN // 2)]
assert left() is not None, "so few new objects are not worth a walk"
kept += [[] for _ in range(OFTEN)]
assert left() is None, "what only refers to itself was not found"

class Old(Circle):
    pass

old = Old()
old.itself = old
gc.collect(0)
gc.collect(1)  # it is among those that outlived two walks now
left = weakref.ref(old)
del old
walks = 0
while left() is not None and walks < (OLDER + 2) ** 2:
    kept = [[] for _ in range(OFTEN + OFTEN // 2)]
    walks += 1
assert left() is None, "what lived for a while and then referred to itself alone was not found"
assert walks > OLDER, "all is walked through too often"
"""


def test_the_collector_looks_seldom_and_only_at_what_is_new() -> None:
    ended = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


class Asked(Exception):
    """The collector was told."""


def asked() -> None:
    raise Asked


def test_who_serves_and_who_works_tell_the_collector_before_the_work_begins(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "collect_seldom", asked)
    monkeypatch.setattr(serving, "_stop_on_signals", lambda: None)
    monkeypatch.setattr(serving.factory, "create_worker", lambda parts: None)
    monkeypatch.setattr(serving, "_listen", lambda host, port: None)
    with pytest.raises(Asked):
        serving.serve(rig.parts, host="127.0.0.1", port=0, with_worker=False, tell=lambda url, text: None)
    with pytest.raises(Asked):
        serving.work(rig.parts, host="127.0.0.1", port=None, tell=lambda url: None)


def test_who_makes_the_calls_tells_it_before_it_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> None: ...

    monkeypatch.setattr(calling, "collect_seldom", asked)
    monkeypatch.setattr(calling.signal, "signal", nothing)
    monkeypatch.setattr(calling.logging, "disable", nothing)
    for name in ("_die_with", "_tell", "_Line", "Connection", "Threads"):
        monkeypatch.setattr(calling, name, nothing)
    with pytest.raises(Asked):
        calling.main("requests", 1, False, 1)
