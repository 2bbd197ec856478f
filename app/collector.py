"""Python's collector of garbage, told what we know of ours.

Objects go as soon as nobody refers to them any more. The collector looks for those that only refer to each other: it
walks through some after each 700 new ones, and now and then through all that there are, which takes 0.1 s, while
everybody waits. A worker that delivers spent a twentieth of its time on it, and nearly nothing was found.
"""

from __future__ import annotations

import gc

OFTEN = 20_000  #: objects more than before until the youngest are walked through; some megabytes at most


def collect_seldom() -> None:
    """To be called once all is loaded, which is left out from now on, for it stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OFTEN, 20, 20)
