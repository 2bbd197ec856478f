"""Python's collector of garbage leaves alone what stays, and still finds circles."""

from __future__ import annotations

import subprocess
import sys

TRIED = """
import gc
import weakref
from app.collector import OFTEN, collect_seldom

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
"""


def test_the_collector_looks_seldom_and_only_at_what_is_new() -> None:
    ended = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
