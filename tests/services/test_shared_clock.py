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
    for _ in range(100):
        look(found)
        times.run(1.0)
    assert look(found) == (True, 0.0)
    return found


def test_what_was_before_its_first_look_a_worker_does_not_know(times: Time) -> None:
    lease, settling = LONG
    found = SharedClock()
    times.run(3600)  # it waited for its turn
    assert (found.leases_count(), found.ask_in()) == (False, SETTLING)
    assert look(found) == (False, settling)
    times.run(settling - 1)
    assert look(found) == (False, 1.0)
    times.run(1)
    assert look(found) == (False, 0.0)
    times.run(lease - settling)
    assert look(found) == (True, 0.0)
    assert not found.set_back


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
    assert not old.set_back


def test_a_step_back_is_told_until_somebody_has_seen_to_it(times: Time, old: SharedClock) -> None:
    times.step(-3600)
    assert look(old) == (False, SETTLING.total_seconds())
    assert (old.set_back, look(old), old.set_back) == (True, (False, SETTLING.total_seconds()), True)
    old.set_back = False
    times.run(LEASE.total_seconds())
    assert (look(old), old.set_back) == ((True, 0.0), False)
    times.step(3600)
    assert (look(old), old.set_back) == ((False, SETTLING.total_seconds()), False)


def test_a_step_back_by_less_than_a_minute_is_waited_out(times: Time, old: SharedClock) -> None:
    times.step(-50)
    assert (look(old), old.set_back) == ((True, 0.0), False)


def test_a_clock_that_is_set_right_slowly_is_not_stepped(times: Time, old: SharedClock) -> None:
    for _ in range(1000):
        times.run(1.0)
        times.step(0.0005)  # as fast as Linux does it
        assert look(old) == (True, 0.0)


def test_many_small_steps_are_one(times: Time, old: SharedClock) -> None:
    seen = []
    for _ in range(10):
        times.run(0.5)
        times.step(0.4)
        seen.append(look(old)[0])
    assert seen[:3] == [True, True, False]


def test_after_a_time_without_looks_a_step_is_seen(times: Time, old: SharedClock) -> None:
    times.run(600)
    times.step(5)
    assert look(old) == (False, SETTLING.total_seconds())


def test_a_first_look_that_took_long_is_none(times: Time) -> None:
    found = SharedClock()
    times.asking = (10.0, 10.0)
    assert look(found) == (False, SETTLING.total_seconds())
    times.asking = (0.0, 0.0)
    times.run(100)
    assert look(found) == (False, SETTLING.total_seconds())
    times.run(LEASE.total_seconds())
    assert look(found) == (True, 0.0)


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
    assert look(found) == (False, SETTLING.total_seconds() / 10)
    times.run(LEASE.total_seconds() / 10)
    assert look(found) == (True, 0.0)
    times.step(60)
    assert look(found) == (False, SETTLING.total_seconds() / 10)
    times.run(LEASE.total_seconds() / 10)
    assert look(found) == (True, 0.0)
