"""What happens once per order, where an earlier one of several events that it is due to turns out to owe nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from app.models import Destination, Shop
from app.services import holds, missed, owed, replay, route
from app.services.account import Accountant
from mappings.errors import MappingError
from tests.bodies import woocommerce_order
from tests.databases import Databases
from tests.rig import Rig
from tests.services.lives import profile

NO_NUMBER = ("process_orders", "skipped", "no_sprii_reference")
REPORTED = ("process_orders", "delivered", None)


@pytest.fixture
def rig(tmp_path: Path, either_url: str) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=either_url) as rig:
        yield rig


def sprii(rig: Rig, **options: str) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii", trigger_status="processing", **options)
    return shop


def tell(rig: Rig, shop: int, minute: int = 0, number: str | None = None, order_id: int = 1, **changes: Any) -> None:
    body = woocommerce_order(order_id, minute=minute, sprii=number, **changes)
    assert rig.woocommerce(shop, "order.updated", body) == "stored"


def destination(rig: Rig) -> int:
    with rig.db.read() as session:
        return session.scalars(select(Destination.id)).one()


def hold(rig: Rig) -> None:
    with rig.db.write() as session:
        holds.hold(session, destination(rig), "wrong key", datetime.now(UTC))


def release(rig: Rig) -> None:
    with rig.db.write() as session:
        holds.release(session, destination(rig))


def replayed(rig: Rig, *ids: int) -> None:
    with rig.db.write() as session:
        chosen = replay.choose(session, ids=ids)
        assert replay.replay(session, chosen, force=True, dry_run=False)["replayed"] == len(ids)


@pytest.mark.parametrize("way", ["one by one", "in one round", "held meanwhile", "in two rounds"])
def test_an_order_whose_number_comes_later_is_reported_once_whenever_it_is_looked_at(rig: Rig, way: str) -> None:
    shop = sprii(rig)
    if way == "held meanwhile":
        hold(rig)
    tell(rig, shop)
    if way == "one by one":
        rig.work()
    elif way != "in one round":
        rig.account()
    tell(rig, shop, minute=1, number="5934-1")
    rig.account()
    if way == "held meanwhile":
        release(rig)
    rig.work()
    assert rig.states()[-1] == REPORTED
    assert {*rig.states()[:-1]} == {NO_NUMBER}
    assert [each["orders"][0]["spriiOrderNumber"] for each in rig.received("sprii")] == ["5934-1"]


def test_an_order_that_is_reported_at_its_first_trigger_has_one_delivery(rig: Rig) -> None:
    shop = sprii(rig)
    for minute in range(3):
        tell(rig, shop, minute=minute, number="5934-1")
    rig.work()
    tell(rig, shop, minute=3, number="5934-1")
    rig.work()
    assert rig.states() == [REPORTED]


def test_an_order_without_a_number_has_one_line_however_many_triggers_came_before_it_was_looked_at(rig: Rig) -> None:
    shop = sprii(rig)
    for minute in range(3):
        tell(rig, shop, minute=minute, total=f"{80 + minute}.00")
    rig.work()
    assert rig.states() == [NO_NUMBER]


def test_a_next_event_of_which_no_payload_can_be_made_waits_itself(rig: Rig) -> None:
    shop = sprii(rig)
    rig.map(shop, "sprii", "[[rules]]\nname = 'order'\nfields.orderTotal = { from = 'order.note' }\n")
    tell(rig, shop)
    tell(rig, shop, minute=1, number="5934-1")
    rig.work()
    assert rig.states()[0] == NO_NUMBER
    [(_, state, reason)] = rig.states()[1:]
    assert (state, "the payload lacks orderTotal" in str(reason)) == ("held", True)


def test_in_shadow_mode_it_is_the_same(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii", mode="shadow", trigger_status="processing")
    tell(rig, shop)
    tell(rig, shop, minute=1, number="5934-1")
    rig.work()
    assert [(state, reason) for _, state, reason in rig.states()][-1] == ("shadow", "built and checked, not sent")
    assert {*rig.states()[:-1]} == {NO_NUMBER}


def test_what_was_asked_for_of_the_past_is_owed_though_it_is_old(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    with rig.db.write() as session:
        session.execute(update(Shop).values(created_at=datetime.now(UTC) + timedelta(days=9)))
    tell(rig, shop)
    tell(rig, shop, minute=1, number="5934-1")
    rig.account()
    rig.switch_on(shop, "sprii", trigger_status="processing")
    rig.set(shop, "sprii", last_days=9000)
    rig.work()
    assert rig.states()[-1] == REPORTED


def test_money_given_back_meanwhile_is_taken_back_after_the_purchase(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball", trigger_status="processing")
    rig.map(shop, "gameball", "[[rules]]\nname = 'order'\nskip_without = { 'order.sprii.value' = 'not_yet' }\n")
    hold(rig)
    tell(rig, shop)
    tell(rig, shop, minute=1, number="5934-1")
    tell(rig, shop, minute=2, number="5934-1", refunds=((9, "30.00"),))
    rig.account()
    release(rig)
    rig.work()
    assert [("orderId" in each, "reverseTransactionId" in each) for each in rig.received("gameball")] == [
        (True, False),
        (False, True),
    ]
    assert rig.violations() == []


def test_a_second_report_that_a_person_forced_and_the_mapping_skips_brings_no_other(rig: Rig) -> None:
    shop = sprii(rig)
    tell(rig, shop, number="5934-1")
    tell(rig, shop, minute=1, number="5934-1", total="90.00")
    rig.work()
    own = "[[rules]]\nname = 'order'\nskip_when = [{ path = 'event.kind', is = 'order.placed', reason = 'not_yet' }]\n"
    rig.map(shop, "sprii", own)
    replayed(rig, 1)
    rig.work()
    tell(rig, shop, minute=2, number="5934-1", total="91.00")
    rig.work()
    assert rig.states() == [("process_orders", "skipped", "not_yet")]
    assert len(rig.received("sprii")) == 1


def test_a_next_event_that_cannot_be_worked_out_holds_the_delivery_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = sprii(rig)
    tell(rig, shop)
    tell(rig, shop, minute=1, number="5934-1")
    tell(rig, shop, number="5934-2", order_id=2)
    rig.account()

    def broken(*given: Any) -> None:
        raise MappingError("no such thing", source="sprii", rule="order", path="when")

    with monkeypatch.context() as patch:
        patch.setattr(route, "complete_facts", broken)
        rig.work()
    by_order = {each["order"]: each["state"] for each in rig.deliveries()}
    assert by_order == {"1": "held", "2": "delivered"}
    release(rig)
    rig.work()
    assert {each["order"]: each["state"] for each in rig.deliveries(order="1")} == {"1": "delivered"}


def test_an_event_that_was_missed_is_not_owed_out_of_its_turn(rig: Rig) -> None:
    shop = sprii(rig)
    tell(rig, shop)
    rig.account()
    first = {each["id"] for each in rig.events()}
    tell(rig, shop, minute=1, number="5934-1")
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Destination).values(missed_from=min({each["id"] for each in rig.events()} - first)))
    rig.work()
    assert {*rig.states()} == {NO_NUMBER}
    missed.catch_up(rig.db, rig.parts.router)
    rig.work()
    assert rig.states()[-1] == REPORTED
    assert len(rig.received("sprii")) == 1


def test_the_next_event_is_owed_by_the_mapping_as_it_is_now(rig: Rig) -> None:
    shop = sprii(rig)
    hold(rig)
    tell(rig, shop, number="5934-1")
    tell(rig, shop, minute=1, number="5934-1", total="90.00")
    rig.account()
    own = "[[rules]]\nname = 'order'\non = 'order.updated'\n"
    rig.map(shop, "sprii", own + "skip_when = [{ path = 'event.kind', is = 'order.placed', reason = 'not_yet' }]\n")
    release(rig)
    rig.work()
    assert rig.states() == [("process_orders", "skipped", "not_yet"), REPORTED]


def test_an_event_that_is_being_written_at_that_moment_is_waited_for(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was refused because the place was taken, and whoever gives the place back does not see the event yet."""
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = sprii(rig)
        tell(rig, shop)
        rig.account()
        tell(rig, shop, minute=1, number="5934-1")
        refused, go_on = threading.Event(), threading.Event()
        write = owed.write

        def pausing(*given: Any) -> None:
            write(*given)
            refused.set()
            assert go_on.wait(20.0)

        monkeypatch.setattr(owed, "write", pausing)
        other = threading.Thread(target=Accountant(rig.db.of_clerks(), rig.parts.router).work)
        other.start()
        assert refused.wait(20.0)
        monkeypatch.undo()
        try:
            assert rig.deliverer.work() == 0
            assert [state for _, state, _ in rig.states()] == ["pending"]
        finally:
            go_on.set()
            other.join(20.0)
        rig.work()
        assert rig.states()[-1] == REPORTED
        assert len(rig.received("sprii")) == 1


STEPS = ("tell", "tell the number", "account", "deliver", "hold", "release", "restart")


@profile(examples=25, steps=1)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=12))
def test_an_order_with_a_number_is_reported_once_in_whatever_order_things_happen(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    with databases.lend() as url, Rig(tmp_path_factory.mktemp("once"), database_url=url) as rig:
        shop = sprii(rig)
        for minute, step in enumerate([*steps, "tell the number", "release"]):
            if step.startswith("tell"):
                told = "tell the number" in steps[: minute + 1] or step == "tell the number"
                tell(rig, shop, minute, "5934-1" if told else None, total=f"{80 + minute}.00")
            elif step == "account":
                rig.account()
            elif step == "deliver":
                rig.deliverer.work()
            elif step == "hold":
                hold(rig)
            elif step == "release":
                release(rig)
            else:
                rig.deliverer.close()
                rig.deliverer = rig.new_deliverer()
        rig.work()
        assert rig.states()[-1] == REPORTED
        assert [state for _, state, _ in rig.states()].count("delivered") == 1
        assert len(rig.received("sprii")) == 1
