"""The clock that all workers share: how far leases and waits that go by it can be believed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy.orm import Session

from app.services import shared_clock
from app.services.holds import LEASE, SETTLING
from app.services.shared_clock import SharedClock

LONG = LEASE.total_seconds(), SETTLING.total_seconds()


class Time:
    """Both clocks, as far as a test lets them run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours = 1000.0
        self.shared = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
        self.asking = (0.0, 0.0)  #: seconds before and after the answer
        monkeypatch.setattr(time, "monotonic", lambda: self.ours)
        monkeypatch.setattr(shared_clock, "clock", self._read)

    def run(self, seconds: float) -> None:
        self.ours += seconds
        self.shared += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        self.shared += timedelta(seconds=seconds)

    def _read(self, _: Session) -> datetime:
        before, after = self.asking
        self.run(before)
        read = self.shared
        self.run(after)
        return read


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def look(found: SharedClock) -> tuple[bool, float]:
    found.now(cast(Session, None))
    return found.leases_count(), found.ask_in().total_seconds()


@pytest.fixture
def old(times: Time) -> SharedClock:
    """Of a worker that has run for a while."""
    found = SharedClock()
    assert look(found) == (True, SETTLING.total_seconds())
    for _ in range(100):
        times.run(1.0)
        look(found)
    assert look(found) == (True, 0.0)
    return found


def test_what_was_before_a_worker_began_nobody_knows(times: Time) -> None:
    found = SharedClock()
    times.run(SETTLING.total_seconds() - 1)
    assert look(found) == (True, 1.0)
    times.run(1)
    assert look(found) == (True, 0.0)


@pytest.mark.parametrize("seconds", [2.0, 60.0, 86400.0])
def test_a_step_forward_lets_leases_and_questions_wait_by_a_clock_that_nobody_sets(
    times: Time, old: SharedClock, seconds: float
) -> None:
    lease, settling = LONG
    times.step(seconds)
    assert look(old) == (False, settling)
    times.run(settling)
    assert look(old) == (False, 0.0)
    times.run(lease - settling - 0.1)
    assert look(old) == (False, 0.0)
    times.run(0.1)
    assert look(old) == (True, 0.0)


def test_a_step_back_shortens_nothing_and_the_way_forth_again_does(times: Time, old: SharedClock) -> None:
    times.step(-3600)
    assert look(old) == (True, 0.0)
    times.step(3600)
    assert look(old) == (False, SETTLING.total_seconds())


def test_a_clock_that_is_set_right_slowly_is_not_stepped(times: Time, old: SharedClock) -> None:
    for _ in range(100):
        times.run(1.0)
        times.step(0.5)
        assert look(old) == (True, 0.0)


@pytest.mark.parametrize("asking", [(30.0, 0.0), (0.0, 30.0), (15.0, 15.0)])
def test_a_process_that_stood_still_while_it_asked_has_seen_no_step(
    times: Time, old: SharedClock, asking: tuple[float, float]
) -> None:
    times.asking = asking
    assert look(old) == (True, 0.0)
    times.asking = (0.0, 0.0)
    for _ in range(3):
        assert look(old) == (True, 0.0)
        times.run(1.0)


@pytest.mark.parametrize("asking", [(30.0, 0.0), (0.0, 30.0), (15.0, 15.0)])
def test_a_step_is_seen_after_a_look_that_took_long(times: Time, old: SharedClock, asking: tuple[float, float]) -> None:
    times.asking = asking
    look(old)
    times.asking = (0.0, 0.0)
    times.step(5)
    assert look(old) == (False, SETTLING.total_seconds())


def test_trials_wait_for_less(times: Time) -> None:
    found = SharedClock(scale=10.0)
    assert found.settling == SETTLING / 10
    assert look(found) == (True, SETTLING.total_seconds() / 10)
    times.step(60)
    assert look(found) == (False, SETTLING.total_seconds() / 10)
    times.run(LEASE.total_seconds() / 10)
    assert look(found) == (True, 0.0)
