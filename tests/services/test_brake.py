"""A store that sends very much gets its answers later, while others send too."""

from __future__ import annotations

import asyncio

import pytest

from app.services import brake as brake_module
from app.services.brake import LONGEST, PACE, Brake
from app.services.precedence import MUCH, WEBHOOK, WINDOW

VERY_MANY = MUCH // WEBHOOK + 1
BUSY, OTHER = 1, 2


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def brake(clock: Clock) -> Brake:
    """One store sends very much, and another one just sent something."""
    found = Brake(clock)
    assert not found.stored({BUSY: VERY_MANY})
    assert found.stored({OTHER: 1})
    return found


def test_who_sends_very_much_is_answered_at_the_pace_and_others_at_once(brake: Brake, clock: Clock) -> None:
    assert [brake._delay(BUSY) for _ in range(4)] == pytest.approx([0.0, 1 / PACE, 2 / PACE, 3 / PACE])
    assert brake._delay(OTHER) == 0.0
    clock.now += 2.5 / PACE
    assert brake._delay(BUSY) == pytest.approx(1.5 / PACE)
    clock.now += 10.0
    assert brake.stored({BUSY: VERY_MANY, OTHER: 1})
    assert brake._delay(BUSY) == 0.0  # what was not sent meanwhile is not made up for
    assert brake._delay(BUSY) == pytest.approx(1 / PACE)


def test_of_several_that_send_very_much_each_has_the_pace(brake: Brake) -> None:
    brake.stored({3: VERY_MANY})
    assert [brake._delay(shop) for shop in (BUSY, 3, BUSY, 3)] == pytest.approx([0.0, 0.0, 1 / PACE, 1 / PACE])


def test_no_answer_is_held_back_for_long(brake: Brake, clock: Clock) -> None:
    delays = [brake._delay(BUSY) for _ in range(100)]
    held = int(PACE * LONGEST)
    assert delays == pytest.approx([*(number / PACE for number in range(held)), *[LONGEST] * (100 - held)])
    clock.now += LONGEST + 2 / PACE
    assert brake._delay(BUSY) == 0.0


def test_no_more_answers_are_held_back_at_a_time_than_may_be(brake: Brake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brake_module, "MOST", 3)
    loop = asyncio.new_event_loop()
    answers = [loop.create_task(brake.hold(BUSY, 0.0)) for _ in range(6)]
    loop.run_until_complete(asyncio.sleep(0))
    assert [each.done() for each in answers] == [True, False, False, False, True, True]
    answers[1].cancel()  # who hangs up makes room
    loop.run_until_complete(asyncio.sleep(0))
    another = loop.create_task(brake.hold(BUSY, 0.0))
    loop.run_until_complete(asyncio.sleep(0))
    assert not another.done()
    loop.run_until_complete(asyncio.wait([another, *answers[2:]]))
    assert brake._held == 0
    loop.close()


def test_what_was_long_in_being_stored_is_not_held_back_as_well(brake: Brake, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[float] = []

    async def sleep(seconds: float) -> None:
        held.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(20):
        brake._delay(BUSY)
    for waited in (0.0, LONGEST - 0.1, LONGEST, 4.6):
        asyncio.run(brake.hold(BUSY, waited))
    assert held == pytest.approx([20 / PACE, 0.1])


def test_without_others_nobody_is_held_back(clock: Clock) -> None:
    brake = Brake(clock)
    assert not brake.stored({BUSY: VERY_MANY})
    assert [brake._delay(BUSY) for _ in range(3)] == [0.0] * 3
    assert brake.stored({OTHER: 1})
    brake._delay(BUSY)
    assert brake._delay(BUSY) > 0.0
    for _ in range(2):
        clock.now += WINDOW
        assert not brake.stored({BUSY: VERY_MANY})
    assert [brake._delay(BUSY) for _ in range(2)] == [0.0] * 2


def test_others_may_have_sent_before(clock: Clock) -> None:
    brake = Brake(clock)
    assert not brake.stored({OTHER: 1})
    assert not brake.stored({BUSY: VERY_MANY})
    assert [brake._delay(BUSY) for _ in range(2)] == pytest.approx([0.0, 1 / PACE])


def test_who_sent_very_much_long_ago_is_not_held_back(brake: Brake, clock: Clock) -> None:
    clock.now += 2 * WINDOW
    assert not brake.stored({BUSY: 1, OTHER: 1})
    assert [brake._delay(BUSY) for _ in range(2)] == [0.0] * 2


def test_who_is_held_to_the_pace_still_counts_as_sending_very_much() -> None:
    assert PACE * WINDOW * WEBHOOK > MUCH
