"""``make faults``: rounds of made-up orders, told badly to a Tillwire that things happen to, and told well to another.

Each round tells the same lives twice: in order to a Tillwire whose providers never fail, and shuffled and repeated to
one whose providers fail one call in ten. At the end every order must be accounted for, and every provider must have
been left in the same state by both. There are three modes. ``told``: SQLite, and no process of its own. ``embedded``:
one process on SQLite, and ``large``: PostgreSQL, a broker, a web process and two workers; to these all of
`bench.mischief` happens, see `bench.rounds`.

``python -m bench.faults [--mode M] [--rounds N] [--size N] [--faults N] [--minutes N] [--seed N] [--again]``; what
passed is remembered in ``var/faults.json`` and not repeated, so that it may be stopped at will.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from app.simulators.shops import Webhook as Sent
from app.simulators.shops import shuffle
from bench import rounds
from bench.judged import SETTLED, Failed, check, disturb, lives, prepared, send, still_open, told_well
from bench.rounds import Ground
from tests.rig import Rig

PROGRESS = Path("var/faults.json")
KEPT = Path("var/faults")  #: logs of rounds that failed
MODES = ("told", "embedded", "large")


# --- a round without processes of its own -----------------------------------------------------------------------------


def tell_badly(seed: int, size: int) -> None:
    """Run one round, or raise `Failed`."""
    with tempfile.TemporaryDirectory(prefix="tillwire-faults-") as folder:
        well = told_well(Path(folder) / "well", seed, size)
        with Rig(Path(folder) / "badly") as rig:
            told, truth = lives(seed, size, prepared(rig))
            disturb(rig, seed)
            _tell(rig, shuffle(told, seed=seed), seed)
            check(rig, truth, well)


def _tell(rig: Rig, webhooks: Sequence[Sent], seed: int) -> None:
    """Tell all, working now and then, so that deliveries meet orders half told."""
    chance = random.Random(seed)
    for webhook in webhooks:
        send(rig, webhook)
        if chance.random() < 0.05:
            rig.account()
            rig.deliverer.work()
    _rest(rig)


def _rest(rig: Rig) -> None:
    """Work until nothing moves; asked waits (Retry-After) are not waited for."""
    until = time.monotonic() + SETTLED
    while True:
        rig.account()
        while rig.deliverer.work():
            pass
        if not still_open(rig.db):
            return
        if time.monotonic() > until:
            raise Failed(f"not at rest after {SETTLED:.0f} s")
        time.sleep(0.01)
        rig.hurry()


# --- what is remembered -----------------------------------------------------------------------------------------------


def code() -> str:
    """What the remembered rounds hold for: any change of the code makes them worthless."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for top in ("app", "bench", "connectors", "mappings", "tests/rig.py"):
        paths = [root / top] if top.endswith(".py") else sorted((root / top).rglob("*"))
        for path in paths:
            if path.suffix in {".py", ".toml"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Progress:
    """The rounds that passed and failed with the code as it is, by the command that repeats them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._code = code()
        known = json.loads(file.read_text()) if file.exists() else {}
        known = known if known.get("code") == self._code else {}
        self.passed: dict[str, dict[str, int]] = known.get("passed", {})
        self.failed: dict[str, str] = known.get("failed", {})

    def note(self, name: str, happened: Mapping[str, int] | None, failure: str = "") -> None:
        """What came of a round; ``happened`` is None if it failed."""
        self.passed.pop(name, None)
        self.failed.pop(name, None)
        if happened is None:
            self.failed[name] = failure
        else:
            self.passed[name] = dict(happened)
        self._file.parent.mkdir(exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"code": self._code, "passed": self.passed, "failed": self.failed}, indent=1))
        new.rename(self._file)

    def summary(self) -> Iterator[str]:
        """Lines: rounds by mode, what happened in them, and what failed."""
        for mode in MODES:
            found = [happened for name, happened in self.passed.items() if f"--mode {mode} " in name]
            if found:
                total = Counter[str]()
                for each in found:
                    total.update(each)
                words = ", ".join(f"{name} {times}" for name, times in sorted(total.items()))
                yield f"{mode}: {len(found)} rounds passed{f' ({words})' if words else ''}"
        for name, failure in self.failed.items():
            yield f"FAILED {name}: {failure}"


# --- all of them ------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    given = _given(arguments)
    _hush()
    progress = Progress(PROGRESS)
    until = time.monotonic() + given.minutes * 60
    failed = 0
    with Ground() as ground:
        for mode, seed in _wanted(given):
            name = f"--mode {mode} --size {given.size} --faults {given.faults} --seed {seed}"
            if time.monotonic() > until:
                print("the time is over", flush=True)
                break
            if given.again or name not in progress.passed:
                failed += not _round(ground, progress, name, mode, seed, given)
        for reason in ground.missing:
            print(f"left out: {reason}")
    print(*progress.summary(), sep="\n")
    return 1 if failed else 0


def _hush() -> None:
    """Our own connections complain of a broker that comes and goes, at length."""
    logger = logging.getLogger("pika")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)  # so that servers end and disks go


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both", help="both: embedded and large in turn")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--size", type=int, default=2, help="orders of each platform in a round")
    parser.add_argument("--faults", type=int, default=4, help="in a round; not for told")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so many")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--again", action="store_true", help="also what passed before")
    return parser.parse_args(arguments)


def _wanted(given: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Mode and seed of each round; of both modes, half of the rounds each."""
    modes = ("embedded", "large") if given.mode == "both" else (given.mode,)
    for number in range(given.rounds):
        yield modes[number % len(modes)], given.seed + number // len(modes)


def _round(ground: Ground, progress: Progress, name: str, mode: str, seed: int, given: argparse.Namespace) -> bool:
    started = time.monotonic()
    happened: Mapping[str, int] = {}
    try:
        if mode == "told":
            tell_badly(seed, given.size)
        else:
            keep = KEPT / f"{mode}-{seed}"
            happened = rounds.run_round(ground, mode, seed, given.size, faults=given.faults, keep=keep)
    except Failed as error:
        progress.note(name, None, str(error))
        print(f"{name}: FAILED: {error}", flush=True)
        print(f"  to repeat it: python -m bench.faults {name} --rounds 1 --again", flush=True)
        return False
    progress.note(name, happened)
    print(f"{name}: {time.monotonic() - started:.1f} s {dict(happened) or ''}", flush=True)
    return True


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background of a shell SIGINT would be ignored
        signal.signal(number, _stop)
    sys.exit(main())
