"""A page waits so long for what it asked for, and what it asked for goes on without it."""

from __future__ import annotations

import threading

import pytest

from app.services import errands
from app.services.errands import Errands, StillAtIt
from app.services.errors import Failed
from tests.processes import until


def fails() -> int:
    raise Failed("the store says no")


def test_what_is_done_in_time_is_told_also_where_it_fails() -> None:
    runner = Errands(5.0)
    assert runner.run("a", lambda: 7) == 7
    with pytest.raises(Failed, match="the store says no"):
        runner.run("a", fails)


def test_what_takes_longer_goes_on_once_whoever_asks_for_it_meanwhile() -> None:
    runner, go, begun = Errands(0.05), threading.Event(), []

    def slow() -> int:
        begun.append(1)
        assert go.wait(10)
        return 7

    for _ in range(2):
        with pytest.raises(StillAtIt):
            runner.run("a", slow)
    assert begun == [1]
    assert runner.run("b", lambda: 8) == 8  # another one does not wait for it
    go.set()
    until(lambda: not [each for each in threading.enumerate() if each.name == "errand"])
    assert runner.run("a", lambda: 9) == 9


def test_a_flood_of_errands_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "MOST", 1)
    runner, go = Errands(0.05), threading.Event()
    with pytest.raises(StillAtIt):
        runner.run("a", lambda: go.wait(10))
    with pytest.raises(StillAtIt):
        runner.run("b", lambda: 1)
    go.set()
    until(lambda: not [each for each in threading.enumerate() if each.name == "errand"])
    assert runner.run("b", lambda: 1) == 1
