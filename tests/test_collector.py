"""Python's collector of garbage leaves alone what stays, and still finds circles."""

from __future__ import annotations

import subprocess
import sys

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
