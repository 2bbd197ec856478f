"""Where one shop has very much to do, others go first, and its own work goes in steps between theirs."""

from __future__ import annotations

import dataclasses
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from app import factory
from app.models import Attempt, Delivery, Event
from app.services import account, deliver, precedence
from app.services.account import BATCH
from app.services.calls import Call
from app.services.deliver import Claimed, Deliverer
from app.services.precedence import MUCH, PATIENCE, WINDOW, Clerk, Precedence, Recent
from tests.bodies import woocommerce_order
from tests.rig import Rig

ACCOUNTS, DELIVERS = Clerk.ACCOUNTS, Clerk.DELIVERS
STEP = account.IN_A_STEP


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def beside(context: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Another clerk is within ``context`` meanwhile."""
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with context():
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


def parted(found: Precedence, *shops: int | None) -> tuple[list[int | None], list[int | None]]:
    return found.parted(shops, lambda shop: shop)


def crowd() -> Precedence:
    """There is work for shop 1, which is busy, and for shop 2."""
    found = Precedence()
    found.recent.note({1: MUCH + 1})
    assert parted(found, 1, 2) == ([1], [2])
    return found


def steps(found: Precedence, clerk: Clerk = DELIVERS) -> bool:
    with found.step(clerk) as ours:
        return ours


def test_for_whom_much_was_done_of_late_is_busy_for_one_to_two_windows() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note({1: MUCH, None: 1})
    assert not recent.busy(1)
    recent.note({1: 1})
    assert [recent.busy(shop) for shop in (1, 2, None)] == [True, False, False]
    clock.now += WINDOW
    assert recent.busy(1)
    clock.now += WINDOW
    assert not recent.busy(1)


def test_what_was_done_in_the_window_before_counts_too() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note({1: MUCH})
    clock.now += WINDOW
    assert not recent.busy(1)
    recent.note({1: 1})
    assert recent.busy(1)
    clock.now += WINDOW
    assert not recent.busy(1)


def test_what_was_done_long_ago_counts_no_more_however_long_nobody_asked() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note({1: MUCH + 1})
    clock.now += 2 * WINDOW
    assert not recent.busy(1)


def test_whether_any_is_for_others_than_busy_ones_is_only_asked_beside_such() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note({1: MUCH})
    assert not recent.beside([1, 2])
    recent.note({1: 1})
    assert [recent.beside(shops) for shops in ([1, 2], [2], [None], [1], [])] == [True, True, True, False, False]
    clock.now += 2 * WINDOW
    assert not recent.beside([2])


def test_a_crowd_is_work_for_busy_ones_and_for_others_and_ends_without_either(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Precedence()
    found.recent.note({1: MUCH + 1})
    assert (parted(found, 1), found.crowded()) == (([1], []), False)
    assert (parted(found, 2), found.crowded()) == (([], [2]), True)
    monkeypatch.setattr(precedence, "MEANWHILE", 0.1)
    for shop in (1, 2):
        parted(found, 1, 2)
        until = time.monotonic() + 10
        while found.crowded():
            parted(found, shop)
            found.call(DELIVERS)
            with found.first(DELIVERS), found.step(ACCOUNTS):
                assert time.monotonic() < until


def test_one_clerk_at_a_time_steps_for_a_busy_one() -> None:
    found = crowd()
    with beside(lambda: found.step(ACCOUNTS)):
        assert not steps(found)
        assert not steps(found)  # who was refused did not end the other's
    assert steps(found)


@pytest.mark.parametrize("ends", ["step", "first", "waive"])
def test_who_waits_for_a_step_has_it_at_once_when_nothing_is_in_its_way(
    monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(precedence, "LOOK", 8.0)
    monkeypatch.setattr(precedence, "PATIENCE", 60.0)
    found = crowd()
    if ends == "waive":
        found.want(ACCOUNTS)
        found._stepped = DELIVERS
    contexts = {"step": found.step, "first": found.first, "waive": nullcontext}
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with contexts[ends](ACCOUNTS):
            entered.set()
            leave.wait(10)
        if ends == "waive":
            found.waive(ACCOUNTS)

    other = threading.Thread(target=stay)
    other.start()
    assert entered.wait(10)
    threading.Timer(0.2, leave.set).start()
    assert took(lambda: steps(found)) < 6.0
    other.join()
    assert found._wanted == {}


def test_clerks_step_by_turns_where_both_want_to() -> None:
    found = crowd()
    with beside(lambda: found.step(ACCOUNTS)):
        assert not steps(found, DELIVERS)
    assert not steps(found, ACCOUNTS)
    assert steps(found, DELIVERS)
    assert steps(found, ACCOUNTS)
    assert steps(found, ACCOUNTS)
    found.want(DELIVERS)
    assert not steps(found, ACCOUNTS)
    assert steps(found, DELIVERS)
    assert steps(found, ACCOUNTS)


def looks(found: Precedence, clerk: Clerk) -> None:
    with found.first(clerk):
        pass


def test_whoever_wants_no_step_any_more_is_not_waited_for() -> None:
    found = crowd()
    with beside(lambda: found.step(ACCOUNTS)):
        assert not steps(found, DELIVERS)
    assert not steps(found, ACCOUNTS)
    found.waive(DELIVERS)
    assert steps(found, ACCOUNTS)


def test_a_step_gives_way_to_work_for_others_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    found = crowd()
    with beside(lambda: found.first(ACCOUNTS)):
        assert not steps(found)
        time.sleep(0.01)
        monkeypatch.setattr(precedence, "PATIENCE", 0.0)
        assert steps(found)


@pytest.mark.parametrize("called", Clerk)
def test_nobody_steps_before_whoever_is_called_has_looked_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, called: Clerk
) -> None:
    found = crowd()
    for clerk in Clerk:
        found.call(called)
        assert not steps(found, clerk)
        looks(found, called)
        assert steps(found, clerk)
    found.call(called)
    assert not steps(found)
    time.sleep(0.01)
    monkeypatch.setattr(precedence, "PATIENCE", 0.0)
    assert steps(found)


def test_a_call_beside_a_busy_one_makes_a_crowd_before_anybody_has_looked() -> None:
    found = Precedence()
    found.recent.note({1: MUCH + 1})
    parted(found, 1)
    assert not found.crowded()
    found.call(ACCOUNTS)
    assert found.crowded()


def test_whoever_was_called_is_not_waited_for_without_a_crowd() -> None:
    found = Precedence()
    found.call(ACCOUNTS)
    assert steps(found)


def test_whoever_is_called_waits_for_no_step_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "LOOK", 5.0)
    found = crowd()
    with beside(lambda: found.step(ACCOUNTS)):
        caller = threading.Timer(0.1, found.call, [DELIVERS])
        caller.start()
        assert took(lambda: steps(found)) < 4.0
        caller.join()


def test_a_step_that_was_not_refused_has_all_its_patience() -> None:
    found = crowd()
    assert steps(found)
    time.sleep(PATIENCE)
    with beside(lambda: found.first(ACCOUNTS)):
        assert not steps(found)


@pytest.mark.parametrize("context", [lambda found: found.first(ACCOUNTS), lambda found: found.step(ACCOUNTS)])
def test_what_failed_is_in_nobodys_way(context: Callable[[Precedence], AbstractContextManager[object]]) -> None:
    found = crowd()
    with pytest.raises(OSError, match="no disk"), context(found):
        raise OSError("no disk")
    assert steps(found)


def took(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


@pytest.mark.parametrize("clerk", Clerk)
def test_a_clerk_rests_until_it_is_called_in_a_crowd(clerk: Clerk) -> None:
    for found, woken in ((crowd(), True), (Precedence(), False)):
        rests = threading.Thread(target=found.rest, args=(clerk, 2.0))
        rests.start()
        time.sleep(0.1)
        found.call(clerk)
        assert (took(rests.join) < 1.5) is woken


def test_who_is_called_while_looking_does_not_rest_and_who_was_called_before_does() -> None:
    found = crowd()
    with found.first(DELIVERS):
        found.call(DELIVERS)
    assert took(lambda: found.rest(DELIVERS, 2.0)) < 1.5
    looks(found, DELIVERS)
    found.call(ACCOUNTS)
    assert took(lambda: found.rest(DELIVERS, 0.2)) >= 0.2


def test_nobody_rests_who_was_refused_a_step_or_wants_another() -> None:
    found = crowd()
    with beside(lambda: found.step(ACCOUNTS)):
        assert not steps(found)
        assert took(lambda: found.rest(DELIVERS, 2.0)) < 1.5
    assert steps(found)
    assert took(lambda: found.rest(DELIVERS, 0.2)) >= 0.2
    found.want(DELIVERS)
    assert took(lambda: found.rest(DELIVERS, 2.0)) < 1.5


# accounting


def stored(rig: Rig, shop: int, first: int, number: int) -> None:
    for order_id in range(first, first + number):
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id)) == "stored"


def accounted(rig: Rig) -> list[int]:
    """The shops of the webhooks that were accounted for, in that order."""
    with rig.db.read() as session:
        found = session.execute(
            select(Event.webhook_id, Event.shop_id, func.min(Event.id)).group_by(Event.webhook_id, Event.shop_id)
        )
        return [row.shop_id for row in sorted(found, key=lambda row: row[2])]


@pytest.fixture
def merchants(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """A busy shop, the first in every list, and another; a dozen orders are much here. Both clerks are one worker's."""
    monkeypatch.setattr(precedence, "MUCH", 60)
    monkeypatch.setattr(precedence, "WINDOW", 3600.0)
    monkeypatch.setattr(precedence, "MEANWHILE", 3600.0)
    rig.deliverer._precedence = rig.accountant._precedence
    return rig.shop("woocommerce", "https://busy.example"), rig.shop("woocommerce", "https://other.example")


def test_others_are_accounted_for_before_busy_ones_which_have_one_step_a_round(
    rig: Rig, merchants: tuple[int, int]
) -> None:
    busy, other = merchants
    stored(rig, busy, 1, 20)
    rig.account()
    assert accounted(rig) == [busy] * 20
    stored(rig, busy, 100, 2 * STEP)
    stored(rig, other, 200, 1)
    assert rig.accountant.work() == 1 + STEP
    assert accounted(rig)[20:] == [other] + [busy] * STEP
    stored(rig, other, 201, 1)
    assert rig.accountant.work() == 1 + STEP
    assert accounted(rig)[21 + STEP :] == [other] + [busy] * STEP


def test_without_others_all_busy_ones_have_a_batch_a_round(rig: Rig, merchants: tuple[int, int]) -> None:
    for shop in merchants:
        stored(rig, shop, 1, 13)
    rig.account()
    for shop in merchants:
        stored(rig, shop, 100, 2 * BATCH)
    rig.accountant._precedence._others_at = -3600.0  # none for long
    assert [rig.accountant.work() for _ in range(3)] == [2 * BATCH, 2 * BATCH, 0]


@pytest.fixture
def two_busy(rig: Rig, merchants: tuple[int, int]) -> tuple[int, int, int]:
    """Two busy shops with nothing to do any more, and another."""
    busy, other = merchants
    third = rig.shop("woocommerce", "https://busy-too.example")
    for shop in (busy, third):
        stored(rig, shop, 1, 13)
    rig.account()
    return busy, third, other


def test_in_a_crowd_several_busy_ones_take_turns(
    rig: Rig, two_busy: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, third, other = two_busy
    stored(rig, other, 100, 1)
    stored(rig, busy, 100, 3 * STEP)
    stored(rig, third, 100, 3 * STEP)
    turns = itertools.count()
    # For whom it happens to be: here for each after the other.
    monkeypatch.setattr(random, "shuffle", lambda found: found.sort(reverse=bool(next(turns) % 2)))
    assert [rig.accountant.work() for _ in range(7)] == [1 + STEP, *[STEP] * 5, 0]
    batches = [shop for turn in range(3) for shop in (busy, third)]
    assert accounted(rig)[26:] == [other, *(shop for shop in batches for _ in range(STEP))]


def test_a_busy_one_that_another_worker_is_at_keeps_nobody_from_the_next(
    rig: Rig, two_busy: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, third, other = two_busy
    for shop in two_busy:
        stored(rig, shop, 100, 1)

    @contextmanager
    def turns(numbers: list[int]) -> Iterator[frozenset[int]]:
        yield frozenset(numbers) - {busy}

    monkeypatch.setattr(rig.accountant._db, "turns", turns)
    monkeypatch.setattr(random, "shuffle", lambda found: found.sort())
    assert rig.accountant.work() == 2
    assert accounted(rig)[26:] == [other, third]


def test_a_busy_one_that_had_to_give_way_is_not_taken_for_nothing_to_do(rig: Rig, merchants: tuple[int, int]) -> None:
    busy, other = merchants
    shared = rig.accountant._precedence
    stored(rig, busy, 1, 13)
    stored(rig, other, 1, 1)
    rig.account()
    stored(rig, busy, 100, 1)
    with beside(lambda: shared.first(DELIVERS)):
        assert rig.accountant.work() == 1
        assert len(accounted(rig)) == 14
    assert rig.accountant.work() == 1
    assert len(accounted(rig)) == 15


# delivering


def sent_to(rig: Rig) -> list[int]:
    """The shops of the attempts, in the order in which they were written."""
    with rig.db.read() as session:
        wanted = select(Delivery.shop_id).join(Attempt, Attempt.delivery_id == Delivery.id)
        return list(session.scalars(wanted.order_by(Attempt.id)))


def all_back(clerk: Deliverer) -> Counter[int]:
    """Let all calls come back, without settling them; return how many there are, by shop."""
    until = time.monotonic() + 20
    while True:
        found = clerk.caller.finished()
        clerk.caller.give_back(found)
        if len(found) == clerk.caller.size - clerk.caller.room():
            return Counter(call.target.shop_id for call in found)
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture
def sending(rig: Rig, merchants: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Both send to Spotler and Seeka; there is a crowd, and nothing to do. A step is one call."""
    monkeypatch.setattr(deliver, "IN_A_STEP", 1)
    busy, other = merchants
    for shop in merchants:
        rig.switch_on(shop, "spotler", "seeka")
    stored(rig, busy, 1, 20)
    rig.work()
    stored(rig, busy, 50, 1)
    stored(rig, other, 50, 1)
    rig.work()
    assert rig.accountant._precedence.crowded()
    assert rig.deliverer.caller.idle()
    return merchants


def test_others_are_claimed_for_before_busy_ones_which_have_a_step_a_round(rig: Rig, sending: tuple[int, int]) -> None:
    busy, other = sending
    before = len(sent_to(rig))
    for shop in sending:
        stored(rig, shop, 100, 3)
    rig.account()
    rig.deliverer.work()
    # One destination of the busy one's.
    assert sent_to(rig)[before:] == [other] * 6 + [busy] * 3
    assert all_back(rig.deliverer) == {busy: 1, other: 2}  # a call carries three
    rig.deliverer.work()
    # All of the others' answers are settled, and one of the busy one's.
    assert all_back(rig.deliverer) == {}
    assert len(sent_to(rig)) == before + 9
    rig.deliverer.work()
    # The busy one's other destination.
    assert sent_to(rig)[before + 9 :] == [busy] * 3
    assert all_back(rig.deliverer) == {busy: 1}


def test_a_busy_one_s_steps_settle_and_claim_by_turns(rig: Rig, sending: tuple[int, int]) -> None:
    busy, _ = sending
    before = len(sent_to(rig))
    did = []
    for first in range(100, 500, 100):
        stored(rig, busy, first, 1)  # for two destinations
        rig.account()
        back = all_back(rig.deliverer)[busy]
        rig.deliverer.work()
        now = len(sent_to(rig))
        did.append((now > before, all_back(rig.deliverer)[busy] - back))
        before = now
    claims, settles = (True, 1), (False, -1)
    assert did == [claims, settles, claims, settles]
    rig.work()
    assert {each["state"] for each in rig.deliveries()} <= {"delivered", "skipped"}
    assert rig.violations() == []


def test_what_a_step_left_is_settled_before_what_comes_back_later(
    rig: Rig, sending: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, _ = sending
    stored(rig, busy, 100, 1)
    rig.account()
    with monkeypatch.context() as patch:
        patch.setattr(deliver, "IN_A_STEP", 64)
        rig.deliverer.work()
    all_back(rig.deliverer)
    first, second = calls = rig.deliverer.caller.finished()
    rig.deliverer.caller.give_back(calls)
    settled: list[object] = []
    settle = rig.deliverer._settle

    def note(some: Sequence[Call]) -> None:
        settle(some)
        settled.extend(some)
        if len(settled) == 1:  # another one comes back
            later = replace(first, items=[])
            rig.deliverer.caller._finished.append(later)  # after whatever waits
            rig.deliverer.caller.reserve(1)

    monkeypatch.setattr(rig.deliverer, "_settle", note)
    for _ in range(3):
        rig.deliverer.work()
    assert settled[0] is first
    assert settled[1] is second
    assert len(settled) == 3


def test_busy_ones_leave_threads_to_others(rig: Rig, sending: tuple[int, int]) -> None:
    busy, other = sending
    before = sent_to(rig)
    caller = rig.deliverer.caller
    taken = caller.reserve(caller.size - int(caller.size * deliver.KEPT))  # by calls that take long
    stored(rig, busy, 100, 1)
    rig.account()
    rig.deliverer.work()
    assert sent_to(rig) == before
    stored(rig, other, 100, 1)
    rig.account()
    rig.deliverer.work()
    assert sent_to(rig) == [*before, other, other]
    caller.free(taken)
    rig.work()
    assert sent_to(rig) == [*before, other, other, busy, busy]


def test_a_busy_shop_that_had_to_give_way_is_not_taken_for_nothing_to_do(rig: Rig, sending: tuple[int, int]) -> None:
    busy, _ = sending
    before = sent_to(rig)
    assert rig.deliverer.work() == 0
    stored(rig, busy, 100, 1)
    rig.account()
    with beside(lambda: rig.accountant._precedence.first(ACCOUNTS)):
        assert rig.deliverer.work() == 1
        assert sent_to(rig) == before
    rig.work()
    assert sent_to(rig) == [*before, busy, busy]


def test_a_shop_is_busy_with_what_shadow_mode_builds_too(rig: Rig, merchants: tuple[int, int]) -> None:
    busy, _ = merchants
    rig.switch_on(busy, "seeka", mode="shadow")
    rig.accountant._precedence = Precedence()  # what was accounted for does not count here
    stored(rig, busy, 1, 61)
    rig.work()
    assert parted(rig.deliverer._precedence, busy) == ([busy], [])


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


def test_both_clerks_of_a_worker_tell_each_other(rig: Rig) -> None:
    worker = factory.create_worker(rig.parts)
    shared = worker._precedence
    assert worker._accountant._precedence is shared
    assert worker._deliverer._precedence is shared
    worker._deliverer.close()


def test_a_clerk_of_a_worker_rests_as_precedence_has_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rested: set[Clerk] = set()
    rest = Precedence.rest

    def note(self: Precedence, clerk: Clerk, seconds: float) -> None:
        rested.add(clerk)
        rest(self, clerk, seconds)

    monkeypatch.setattr(Precedence, "rest", note)
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "seeka")
    stored(rig, shop, 1, 1)
    worker = factory.create_worker(rig.parts)
    worker.start()
    try:
        until = time.monotonic() + 20
        while rested != {ACCOUNTS, DELIVERS}:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        worker.stop()


def test_a_server_tells_its_worker_of_webhooks_for_others_beside_a_busy_shop(
    rig: Rig, merchants: tuple[int, int]
) -> None:
    busy, other = merchants
    parts = dataclasses.replace(rig.parts, hints=None)  # the worker is in this process
    worker = factory.create_worker(parts)
    rig.client = factory.create_app(parts, worker).test_client()
    stored(rig, other, 1, 1)
    stored(rig, busy, 1, 13)
    assert worker._precedence._called == set()
    assert worker._arrived.is_set()
    stored(rig, other, 2, 1)
    assert worker._precedence._called == {ACCOUNTS}
    worker._deliverer.close()


def test_who_delivers_is_called_where_something_is_owed_to_others_beside_a_busy_one(
    rig: Rig, merchants: tuple[int, int]
) -> None:
    busy, other = merchants
    worker = factory.create_worker(dataclasses.replace(rig.parts, hints=None))
    worker._accountant._precedence = worker._deliverer._precedence = shared = rig.accountant._precedence
    worker._precedence = shared

    def called(shop: int, order: int) -> set[Clerk]:
        shared._called.clear()
        stored(rig, shop, order, 1)
        worker._accountant.work()
        return set(shared._called)

    rig.switch_on(other, "seeka")
    rig.switch_on(busy, "seeka")
    assert called(other, 1) == set()
    stored(rig, busy, 1, 13)
    rig.account()
    assert called(other, 2) == set()  # the busy one has nothing to do
    stored(rig, busy, 30, 1)
    assert called(other, 3) == {DELIVERS}
    assert called(busy, 20) == set()
    rig.switch_on(other, "seeka", mode="off")
    stored(rig, busy, 40, 1)
    assert called(other, 4) == set()  # it reports to nobody
    worker._deliverer.close()


def test_an_answer_is_settled_once_whoever_becomes_busy_meanwhile(
    rig: Rig, sending: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = sending
    for number in (100, 101):
        stored(rig, other, number, 1)
        rig.account()
        rig.deliverer.work()
        assert all_back(rig.deliverer) == {other: 2}
        answers = itertools.cycle([bool(number % 2), not number % 2])
        with monkeypatch.context() as patch:
            patch.setattr(rig.deliverer._precedence.recent, "busy", lambda shop, answers=answers: next(answers))
            assert rig.deliverer._settle_others() == 1
        rig.work()
        assert rig.deliverer.caller.room() == rig.deliverer.caller.size
    assert {each["state"] for each in rig.deliveries()} == {"delivered"}
    assert rig.violations() == []


def test_who_claims_in_vain_does_not_rest_over_answers_that_wait(
    rig: Rig, sending: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, _ = sending
    wanted = rig.deliverer._precedence._wanted
    stored(rig, busy, 100, 1)
    rig.account()
    assert rig.deliverer.work() == 1
    assert all_back(rig.deliverer) == {busy: 1}
    rig.deliverer._settled_last = True
    monkeypatch.setattr(rig.deliverer, "_claim_next", lambda due, step: Claimed(0, (), set()))  # the budget is used up
    assert rig.deliverer.work() == 1
    assert (all_back(rig.deliverer), DELIVERS in wanted) == ({busy: 1}, True)
    assert rig.deliverer.work() == 1
    assert all_back(rig.deliverer) == {}
    assert rig.deliverer.work() == 0
    assert DELIVERS not in wanted


def test_who_delivers_wants_another_step_while_there_is_more_to_do(rig: Rig, sending: tuple[int, int]) -> None:
    busy, _ = sending
    stored(rig, busy, 100, 1)
    rig.account()
    did = []
    for _ in range(6):
        rig.deliverer.work()
        all_back(rig.deliverer)
        did.append(DELIVERS in rig.deliverer._precedence._wanted)
    # It claims, settles, claims for the other destination, settles, and there is no more.
    assert did == [True, True, True, False, False, False]


def test_who_has_nothing_to_deliver_wants_no_step(
    rig: Rig, sending: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = rig.deliverer._precedence
    for crowded in (True, False):
        monkeypatch.setattr(shared, "crowded", lambda crowded=crowded: crowded)
        shared.want(DELIVERS)
        assert rig.deliverer.work() == 0
        assert DELIVERS not in shared._wanted


def test_a_clerk_goes_on_after_a_step_that_was_full(rig: Rig, merchants: tuple[int, int]) -> None:
    busy, other = merchants
    stored(rig, busy, 1, 13)
    stored(rig, other, 1, 1)
    rig.account()
    shared = rig.accountant._precedence
    stored(rig, busy, 100, STEP + 1)
    assert rig.accountant.work() == STEP
    assert set(shared._wanted) == {ACCOUNTS}
    assert rig.accountant.work() == 1
    assert set(shared._wanted) == set()
    assert rig.accountant.work() == 0
    assert set(shared._wanted) == set()
    third = rig.shop("woocommerce", "https://busy-too.example")
    shared.recent.note({third: 61})
    for shop in (busy, third):
        stored(rig, shop, 200, 1)
    assert rig.accountant.work() == 1
    assert set(shared._wanted) == {ACCOUNTS}  # for the other busy one
