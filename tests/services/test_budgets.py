"""Budgets and the clock that they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.models import Gate
from app.providers.registry import PROVIDERS
from app.services import budgets, gates
from app.services.budgets import PARTS, Budgets, Spending
from app.services.gates import Calls, Place
from tests.bodies import woocommerce_order
from tests.rig import FACTOR, Rig
from tests.services.lives import profile

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WORKERS = 3
Step = tuple[float, float, int, int]  #: seconds until then, those by which the clock is set back, worker, calls wanted


class World:
    """Gates without a database, workers stepped by hand, and a clock that may be set back while time goes on."""

    def __init__(self, patch: pytest.MonkeyPatch, provider: str, requests: int) -> None:
        self.provider = provider
        self.place = gates.of(provider, 1)
        self.requests = requests
        limit = PROVIDERS[provider].limits[0]
        self.budgets = Budgets(requests / limit.requests)
        self.elapsed = 0.0
        self.set_back = 0.0
        self.counted: Calls = {}
        self.holder: Spending | None = None
        self.working: dict[int, Spending] = {}
        self.taken: dict[int, int] = {}
        self.begun: list[float] = []  #: calls, by the time that goes on
        patch.setattr(budgets, "clock", lambda session: self.now())
        patch.setattr(gates, "enter", self.enter)
        patch.setattr(gates, "write", self.write)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed - self.set_back)

    def enter(self, session: Any, place: Place) -> Any:
        assert place == self.place
        return SimpleNamespace(calls=deepcopy(self.counted))

    def write(self, connection: Any, calls: dict[Place, Calls]) -> None:
        self.counted = deepcopy(calls[self.place])

    def go(self, steps: Sequence[Step]) -> None:
        for waited, set_back, worker, most in steps:
            self.elapsed += waited
            self.set_back += set_back
            self.step(worker, most)

    def step(self, worker: int, most: int) -> None:
        """A worker reads the clock; or comes to the gate, if that is free, and takes; or writes, commits and calls."""
        if worker not in self.working:
            self.begin(worker)
        elif self.holder is None or (self.holder is self.working[worker] and worker not in self.taken):
            self.take(worker, most)
        elif self.holder is self.working[worker]:
            self.finish(worker)

    def begin(self, worker: int) -> None:
        session: Any = SimpleNamespace(connection=lambda: None)
        if self.place.destination_id is None:
            self.working[worker] = self.budgets.open(session, {}, self.now())
        elif self.holder is None:  # a destination's own gate is taken before the clock is read, or left to who has it
            self.holder = self.budgets.open(session, {self.place: deepcopy(self.counted)}, self.now())
            self.working[worker] = self.holder

    def take(self, worker: int, most: int, under_way: int = 0) -> int:
        self.holder = spending = self.working[worker]
        taken = 0
        while taken < most and spending.left(self.provider, 1, under_way + taken):
            spending.take(self.provider, 1)
            taken += 1
        self.taken[worker] = taken
        return taken

    def finish(self, worker: int) -> None:
        self.working.pop(worker).write()
        self.holder = None
        self.begun += [self.elapsed] * self.taken.pop(worker, 0)

    def settle(self, further: int) -> None:
        gate: Any = SimpleNamespace(calls=self.counted)
        budgets.note(cast(Session, None), gate, further)
        self.counted = gate.calls

    def most_in_a_second(self) -> int:
        return max((sum(1 for each in self.begun if since <= each < since + 1) for since in self.begun), default=0)


def waits(longest: float) -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, 0.01, 1 / PARTS, 0.4]) | st.floats(0, longest)


STEPS = st.lists(
    st.tuples(
        waits(1.5),
        waits(3.0).map(lambda seconds: seconds if seconds > 0.5 else 0.0),  # by which the clock is set back
        st.integers(0, WORKERS - 1),
        st.integers(1, 5),
    ),
    max_size=40,
)


@pytest.mark.parametrize("provider", ["seeka", "sprii"])  # one gate for all, waited for; a destination's own
@profile(300, 1)
@given(steps=STEPS)
def test_no_window_sees_more_calls_than_it_may_whoever_read_the_clock_first(provider: str, steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(patch, provider, 4)
        world.go(steps)
        assert world.most_in_a_second() <= 4


@pytest.mark.parametrize("provider", ["seeka", "sprii"])
@profile(100, 1)
@given(steps=STEPS)
def test_a_window_after_somebody_saw_that_the_clock_was_set_back_all_may_be_spent_anew(
    provider: str, steps: list[Step]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(patch, provider, 4)
        world.go(steps)
        while world.working:
            for worker in list(world.working):
                world.step(worker, 4)
        world.begin(0)
        world.take(0, 4)
        world.finish(0)
        world.elapsed += 1 + 2 / PARTS
        world.begin(0)
        assert world.take(0, 5) == 4


@profile(300, 1)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.0, 0.01, 0.5]), st.sampled_from([0, 1, 2]), st.integers(0, 3)),
        min_size=20,
        max_size=80,
    )
)
def test_what_calls_ask_further_is_in_the_budget_whenever_they_ask(steps: list[tuple[float, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world = World(patch, "gameball", 10)
        under_way: list[int] = []  #: calls, by what each has asked further
        for waited, further, which in steps:
            world.elapsed += waited
            if which >= len(under_way):
                world.begin(0)
                under_way += [0] * world.take(0, 1, len(under_way))
                world.finish(0)
            elif under_way[which] < further:
                under_way[which] += 1
                world.begun.append(world.elapsed)
            else:
                world.settle(under_way.pop(which))
        assert world.most_in_a_second() <= 10


@pytest.mark.parametrize(
    ("requests", "under_way", "at_once"),
    [(30, 0, 10), (30, 3, 8), (3, 0, 1), (2, 0, 1), (1, 0, 1), (2, 1, 0)],
)
def test_room_is_left_for_what_calls_may_ask_further(
    monkeypatch: pytest.MonkeyPatch, requests: int, under_way: int, at_once: int
) -> None:
    world = World(monkeypatch, "gameball", requests)
    world.begin(0)
    assert world.take(0, requests, under_way) == at_once


def test_calls_cost_one_request_each_unless_more_were_made(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    time_exists = {"kind": "422", "body": {"code": 9003}, "times": 1, "contains": "totalPaid"}
    answer_lost = {"kind": "drop_after", "times": 1, "path": "/transactions"}
    # a refusal, a question, a repeat; and a refusal, a question without answer, another call
    for order_id, plan, requests in ((1, [], 1), (2, [time_exists], 3), (3, [time_exists, answer_lost], 3)):
        rig.simulators.app.set_faults("gameball", plan)
        with rig.db.write() as session:
            session.execute(update(Gate).values(calls={}))
        before = len(rig.simulators.app.requests("gameball"))
        rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, customer_id=order_id))
        rig.work()
        assert len(rig.simulators.app.requests("gameball")) - before == requests
        with rig.db.read() as session:
            [gate] = session.scalars(select(Gate))
        assert sum(number for _, number in gate.calls["1"]) == requests
    assert [state for _, state, _ in rig.states(provider="gameball")] == ["delivered"] * 3


def test_a_clock_that_was_set_back_does_not_keep_deliveries_until_it_is_there_again(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, sprii="5934-1"))
    rig.work()
    an_hour_ahead = int((datetime.now(UTC).timestamp() + 3600) * PARTS)
    with rig.db.write() as session:
        session.execute(update(Gate).values(calls={"1": [[an_hour_ahead, 5 * int(FACTOR)]]}))
    rig.woocommerce(shop, "order.updated", woocommerce_order(2, sprii="5934-2"))
    rig.work()
    assert rig.states(provider="sprii") == [("process_orders", "delivered", None)] * 2
