"""Waiting until a Tillwire in processes of its own has nothing left to do, and what it may hold then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.models import Delivery, Gate
from bench.judged import SETTLED, Failed, still_open
from bench.site import Site
from tests.rig import Rig

ABANDONED = 3.0  #: seconds after which a lease that did not move was a dead worker's: no call here takes so long
FILES = 150  #: handles that a process may hold
MEMORY = 300  #: MiB that it may hold

Lease = tuple[int, int]  #: a delivery and which of its attempts


def rest(running: Site) -> None:
    """Wait until nothing moves; leases of the dead and long waits are not waited for."""
    until = time.monotonic() + SETTLED
    seen: dict[Lease, float] = {}
    while still_open(running.rig.db):
        if time.monotonic() > until:
            raise Failed(f"not at rest after {SETTLED:.0f} s: {_words(running.rig)}")
        with suppress(SQLAlchemyError):  # the workers had the same rows: another time
            _hurry(running, seen)
        time.sleep(0.1)


def _hurry(running: Site, seen: dict[Lease, float]) -> None:
    """As if time had passed: leases of the dead run out, and waits are over."""
    now = running.now()
    with running.rig.db.write() as session:
        for row in _free(session, Delivery.leased_until > now):
            lease = (row.id, row.attempts)
            if time.monotonic() - seen.setdefault(lease, time.monotonic()) > ABANDONED:
                row.leased_until = now - timedelta(seconds=1)
        for row in _free(session, Delivery.leased_until.is_(None), Delivery.due_at > now + timedelta(seconds=1)):
            row.due_at = now
    with running.rig.db.write() as session:
        session.execute(update(Gate).values(failures=0, paused_until=None))


def _free(session: Session, *which: Any) -> Sequence[Delivery]:
    wanted = select(Delivery).where(Delivery.state.in_(("pending", "retrying")), *which)
    return session.scalars(wanted.order_by(Delivery.id).with_for_update(skip_locked=True)).all()


def _words(rig: Rig) -> list[Any]:
    names = ("provider", "action", "order", "state", "reason", "attempts")
    left = [each for each in rig.deliveries() if each["state"] in ("pending", "retrying")]
    return [still_open(rig.db), *([each[name] for name in names] for each in left[:5])]


def check_at_rest(running: Site) -> None:
    """Raise `Failed` where a process holds more handles or memory than one that does nothing should."""
    for name, (files, memory) in running.at_rest().items():
        if files > FILES or memory > MEMORY:
            raise Failed(f"{name} holds {files} files and {memory} MiB at rest")
