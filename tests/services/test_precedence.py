"""Where one shop has very much to do, others go first, and its own work goes in steps between theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select

from app import factory
from app.models import Attempt, Delivery, Event
from app.services import deliver, precedence
from app.services.account import BATCH, Accountant
from app.services.deliver import Deliverer
from app.services.precedence import MEANWHILE, MUCH, WINDOW, Precedence, Recent
from tests.bodies import woocommerce_order
from tests.rig import Rig


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def beside(context: Callable[[], object]) -> Iterator[None]:
    """Another clerk is within ``context`` meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with context():  # type: ignore[attr-defined]
            entered.set()
            leave.wait(10)

    clerk = threading.Thread(target=stay)
    clerk.start()
    assert entered.wait(10)
    try:
        yield
    finally:
        leave.set()
        clerk.join()


def crowd() -> Precedence:
    """There was work for busy ones and for others just now."""
    found = Precedence()
    with found.others(), found.step():
        pass
    return found


def steps(found: Precedence) -> bool:
    with found.step() as ours:
        return ours


def test_who_had_much_done_of_late_is_busy_for_one_to_two_windows() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note([1] * MUCH + [None])
    assert not recent.busy(1)
    recent.note([1])
    assert [recent.busy(who) for who in (1, 2, None)] == [True, False, False]
    clock.now += WINDOW
    assert recent.busy(1)
    clock.now += WINDOW
    assert not recent.busy(1)


def test_what_was_done_long_ago_counts_no_more_however_long_nobody_asked() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note([1] * (MUCH + 1))
    clock.now += 2 * WINDOW
    assert not recent.busy(1)


def test_a_crowd_takes_busy_ones_and_others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Precedence()
    with found.step() as ours:
        assert (ours, found.crowded()) == (True, False)
    with found.others():
        assert found.crowded()
    assert found.crowded()
    monkeypatch.setattr(precedence, "MEANWHILE", 0.0)
    assert not found.crowded()
    assert MEANWHILE > 0


def test_settling_does_not_make_a_crowd_last(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    found = crowd()
    rig.deliverer._precedence = found
    monkeypatch.setattr(precedence, "MEANWHILE", 0.3)
    until = time.monotonic() + 10
    while found.crowded():
        with found.others():
            rig.deliverer.work()
        assert time.monotonic() < until


def test_busy_ones_among_themselves_have_both_clerks() -> None:
    found = Precedence()
    with beside(found.step):
        assert steps(found)


def test_in_a_crowd_one_clerk_at_a_time_steps_for_a_busy_one() -> None:
    found = crowd()
    with beside(found.step):
        assert not steps(found)
    assert steps(found)


def test_a_busy_one_gives_way_to_work_for_others_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    found = crowd()
    assert steps(found)
    with beside(found.others):
        assert not steps(found)
        monkeypatch.setattr(precedence, "PATIENCE", 0.0)
        assert steps(found)


def test_a_step_begins_as_soon_as_the_way_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "LOOK", 30.0)
    monkeypatch.setattr(precedence, "PATIENCE", 60.0)
    found = crowd()
    assert steps(found)
    began = time.monotonic()
    with beside(found.others):
        waiting: list[bool] = []
        clerk = threading.Thread(target=lambda: waiting.append(steps(found)))
        clerk.start()
        time.sleep(0.05)
        assert not waiting
    clerk.join()
    assert waiting == [True]
    assert time.monotonic() - began < 20


def rests(found: Precedence) -> bool:
    """Whether somebody who rests for long is left to it."""
    clerk = threading.Thread(target=found.rest, args=(2.0,))
    began = time.monotonic()
    clerk.start()
    with found.others():
        pass
    clerk.join()
    return time.monotonic() - began > 1.5


def test_a_clerk_rests_until_the_other_has_worked_for_others_in_a_crowd() -> None:
    assert rests(Precedence())
    assert not rests(crowd())


# accounting


def stored(rig: Rig, shop: int, first: int, number: int) -> None:
    for order_id in range(first, first + number):
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id)) == "stored"


def accounted(rig: Rig) -> list[int]:
    """The shops of the webhooks that were accounted for, in that order."""
    with rig.db.read() as session:
        found = session.execute(select(Event.webhook_id, Event.shop_id, func.min(Event.id)).group_by(Event.webhook_id))
        return [row.shop_id for row in sorted(found, key=lambda row: row[2])]


@pytest.fixture
def merchants(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A busy shop, the first in every list, and another; a dozen is much here."""
    monkeypatch.setattr(precedence, "MUCH", 12)
    monkeypatch.setattr(precedence, "WINDOW", 3600.0)
    monkeypatch.setattr(precedence, "MEANWHILE", 3600.0)
    return rig.shop("woocommerce", "https://busy.example"), rig.shop("woocommerce", "https://other.example")


def test_others_are_accounted_for_before_busy_ones_which_have_one_batch_a_round(
    rig: Rig, merchants: tuple[int, int]
) -> None:
    busy, other = merchants
    stored(rig, busy, 1, 20)
    rig.account()
    assert accounted(rig) == [busy] * 20
    stored(rig, busy, 100, 2 * BATCH)
    stored(rig, other, 200, 1)
    assert rig.accountant.work() == 1 + BATCH
    assert accounted(rig)[20:] == [other] + [busy] * BATCH
    stored(rig, other, 201, 1)
    assert rig.accountant.work() == 1 + BATCH
    assert accounted(rig)[21 + BATCH :] == [other] + [busy] * BATCH


def test_in_a_crowd_several_busy_ones_take_turns(rig: Rig, merchants: tuple[int, int]) -> None:
    busy, other = merchants
    third = rig.shop("woocommerce", "https://busy-too.example")
    for shop in (busy, third):
        stored(rig, shop, 1, 13)
    rig.account()
    stored(rig, other, 100, 1)
    stored(rig, busy, 100, 3 * BATCH)
    stored(rig, third, 100, 3 * BATCH)
    rig.accountant.work()
    rounds = [rig.accountant.work() for _ in range(6)]
    assert rounds == [BATCH] * 5 + [0]
    rest = accounted(rig)[26:]
    assert rest[0] == other
    assert sorted(rest[1:]) == sorted([busy, third] * 3 * BATCH)
    assert {len(set(rest[1 + start : 1 + start + BATCH])) for start in range(0, 6 * BATCH, BATCH)} == {1}


def test_a_busy_one_that_had_to_give_way_is_not_taken_for_nothing_to_do(rig: Rig, merchants: tuple[int, int]) -> None:
    busy, _ = merchants
    shared = crowd()
    accountant = Accountant(rig.db.of_clerks(), rig.parts.router, precedence=shared)
    stored(rig, busy, 1, 13)
    while accountant.work():
        pass
    stored(rig, busy, 100, 1)
    assert steps(shared)
    with beside(shared.others):
        assert accountant.work() == 1
        assert len(accounted(rig)) == 13
    assert accountant.work() == 1
    assert len(accounted(rig)) == 14


# delivering


def sent_to(rig: Rig) -> list[int]:
    """The shops of the attempts, in the order in which they were written."""
    with rig.db.read() as session:
        wanted = select(Delivery.shop_id).join(Attempt, Attempt.delivery_id == Delivery.id)
        return list(session.scalars(wanted.order_by(Attempt.id)))


def settled(rig: Rig, clerk: Deliverer) -> None:
    """Let all calls come back, without settling them."""
    until = time.monotonic() + 20
    while len(found := clerk.caller.finished()) < clerk.caller._size - clerk.caller.room():
        clerk.caller.give_back(found)
        assert time.monotonic() < until
        time.sleep(0.005)
    clerk.caller.give_back(found)


def test_others_are_claimed_for_before_busy_ones_which_have_a_step_a_round(
    rig: Rig, merchants: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "IN_A_STEP", 1)
    busy, other = merchants
    for shop in merchants:
        rig.switch_on(shop, "spotler", "seeka")
    stored(rig, busy, 1, 60)
    rig.work()
    before = len(sent_to(rig))
    stored(rig, busy, 100, 3)
    stored(rig, other, 200, 1)
    rig.account()
    assert rig.deliverer.work()  # there is a crowd from here on
    settled(rig, rig.deliverer)
    stored(rig, busy, 110, 3)
    stored(rig, other, 210, 1)
    rig.account()
    first = len(sent_to(rig)) - before
    free = rig.deliverer.caller.room()
    assert rig.deliverer.work()
    now = sent_to(rig)[before + first :]
    assert now[:2] == [other] * 2
    # One destination of the busy one's in one call, and of what had come back one call settled.
    assert now[2:] == [busy] * 3
    assert rig.deliverer.caller.room() == free - 2 + 1 - 1
    rig.work()
    assert {each["state"] for each in rig.deliveries()} <= {"delivered", "skipped"}
    assert rig.violations() == []


def test_a_busy_destination_that_had_to_give_way_is_not_taken_for_nothing_to_do(
    rig: Rig, merchants: tuple[int, int]
) -> None:
    busy, _ = merchants
    shared = crowd()
    rig.deliverer._precedence = shared
    rig.switch_on(busy, "seeka")
    stored(rig, busy, 1, 20)
    rig.work()
    before = sent_to(rig)
    stored(rig, busy, 100, 1)
    rig.account()
    assert steps(shared)
    with beside(shared.others):
        assert rig.deliverer.work() == 1
        assert sent_to(rig) == before
    rig.work()
    assert sent_to(rig) == [*before, busy]


def test_what_waited_behind_a_superseded_state_goes_out_in_the_same_round(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "esputnik")
    for minute, status in enumerate(("pending", "processing", "completed")):
        body = woocommerce_order(1, minute=minute, paid=minute > 0, status=status)
        rig.woocommerce(shop, "order.updated", body)
    rig.account()
    assert len(rig.deliveries()) == 3
    assert rig.deliverer.work() == 3
    rig.deliverer.close()
    assert sorted((each["state"], each["reason"]) for each in rig.deliveries()) == [
        ("delivered", None),
        ("skipped", "superseded"),
        ("skipped", "superseded"),
    ]


def test_both_clerks_of_a_worker_and_its_loop_tell_each_other(rig: Rig) -> None:
    worker = factory.create_worker(rig.parts)
    shared = worker._precedence
    assert worker._accountant._precedence is shared
    assert worker._deliverer._precedence is shared
