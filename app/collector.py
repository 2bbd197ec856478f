"""Python's collector of garbage, told what we know of ours.

Objects go as soon as nobody refers to them any more. The collector looks for those that only refer to each other: it
walks through some after each 700 new ones, and now and then through all that there are, which takes 0.1 s, while
everybody waits. A worker that delivers spent a twentieth of its time on it, and nearly nothing was found.
"""

from __future__ import annotations

import gc

OFTEN = 20_000  #: objects more than before until the youngest are walked through
OLDER = 5  #: such walks until those are that outlived one; and of these, until all are that came after the start


def collect_seldom() -> None:
    """To be called once all is loaded, which is left out from now on, for it stays."""
    gc.collect()
    gc.freeze()
    gc.collect()  # what is left out does not count either when it asks how much has become old since
    gc.set_threshold(OFTEN, OLDER, OLDER)
