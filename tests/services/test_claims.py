"""Many destinations in one transaction: what shares it, and what one destination's trouble costs the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.models import Attempt, Delivery, Destination
from app.services import assemble, claims, deliver, replay
from app.services.calls import Call
from app.services.holds import LEASE
from app.services.prepare import Prepared
from app.services.route import On, Router, Target
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def rig(tmp_path: Path, either_url: str) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=either_url) as rig:
        yield rig


def shops(rig: Rig, number: int, *providers: str, orders: int = 1) -> list[int]:
    found = [rig.shop("woocommerce", f"https://store-{each}.example") for each in range(number)]
    for shop in found:
        rig.switch_on(shop, *providers)
        for order_id in range(1, orders + 1):
            assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, customer_id=order_id)) == "stored"
    rig.account()
    return found


def begun(rig: Rig) -> dict[datetime, int]:
    """How many attempts were written at which moment; a transaction has one for all."""
    with rig.db.read() as session:
        rows = session.execute(select(Attempt.started_at, func.count()).group_by(Attempt.started_at))
        return {row[0]: row[1] for row in rows}


def nothing_called(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    calls: list[Call] = []
    monkeypatch.setattr(rig.deliverer.caller, "start", calls.extend)
    return calls


def test_what_ten_shops_owe_to_three_providers_is_claimed_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shops(rig, 10, "sprii", "seeka", "gameball")
    calls = nothing_called(rig, monkeypatch)
    assert rig.deliverer.work() == 30
    assert list(begun(rig).values()) == [30]
    assert sorted(call.target.id for call in calls) == list(range(1, 31))
    with rig.db.read() as session:
        leases = session.execute(select(Delivery.leased_until, Delivery.attempts, Delivery.call_id, Delivery.id)).all()
    assert {(row.leased_until - min(begun(rig)), row.attempts) for row in leases} == {(LEASE, 1)}
    assert all(row.call_id == row.id for row in leases)


def test_a_burst_is_claimed_in_transactions_that_end_soon(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shops(rig, 2, "seeka", orders=deliver.ROWS[0])
    calls = nothing_called(rig, monkeypatch)
    assert rig.deliverer.work() == 2 * deliver.ROWS[0]
    assert list(begun(rig).values()) == [deliver.ROWS[0]] * 2
    assert sorted(len(call.items) for call in calls) == [12, 12, 20, 20]


def test_what_could_not_go_out_is_not_begun(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours: found before a lease is given, nothing is lost and nobody has to be asked."""
    shops(rig, 1, "sprii")
    prepare = assemble.prepare

    def with_a_decimal(*given: Any) -> Any:
        prepared = prepare(*given)
        assert isinstance(prepared, Prepared)
        prepared.payload["orderTotal"] = Decimal("1.50")
        return prepared

    monkeypatch.setattr(assemble, "prepare", with_a_decimal)
    assert rig.deliverer.work() == 0
    with rig.db.read() as session:
        assert session.scalar(select(func.count(Attempt.id))) == 0
        [left] = session.scalars(select(Delivery))
        assert (left.state, left.attempts, left.leased_until, left.doubt) == ("pending", 0, None, False)


def test_no_more_destinations_are_looked_at_than_there_was_room_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shops(rig, 20, "seeka", orders=8)
    nothing_called(rig, monkeypatch)
    looked_at: list[int] = []
    enter = claims.enter

    def seen(session: Any, ids: Any, *more: Any) -> Any:
        looked_at.append(len(ids))
        return enter(session, ids, *more)

    monkeypatch.setattr(claims, "enter", seen)
    monkeypatch.setattr(rig.deliverer, "_pace", lambda seconds: None)  # 32 rows in each transaction: four of them
    assert rig.deliverer.work() == 160
    assert looked_at == [20, 12, 12, 8, 4]
    assert rig.deliverer._together == 12
    for _ in range(4):
        rig.deliverer._gather(rig.deliverer._together, 0)
    assert rig.deliverer._together == deliver.DESTINATIONS[1]


def test_no_more_is_claimed_than_there_are_threads(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shops(rig, 3, "sprii", "gameball", orders=4)
    calls = nothing_called(rig, monkeypatch)
    assert rig.deliverer.caller.reserve(59) == 59
    assert rig.deliverer.work() == len(calls) == 5
    assert rig.deliverer.work() == 0
    rig.deliverer.caller.free(2)
    assert rig.deliverer.work() == 2


def test_one_destination_that_cannot_be_claimed_for_keeps_none_of_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, *_ = shops(rig, 4, "sprii", "seeka")
    with rig.db.read() as session:
        broken = session.scalar(
            select(Destination.id).where(Destination.shop_id == first, Destination.provider == "sprii")
        )
    ready = Router.ready

    def fail(router: Router, session: Any, destination: On) -> Target:
        if destination.id == broken:
            raise RuntimeError("a bug that only this one meets")
        return ready(router, session, destination)

    monkeypatch.setattr(Router, "ready", fail)
    monkeypatch.setattr(deliver.log, "handlers", [caplog.handler])
    calls = nothing_called(rig, monkeypatch)
    assert rig.deliverer.work() == 7
    assert broken not in {call.target.id for call in calls}
    failed = [record for record in caplog.records if record.levelname == "ERROR"]
    assert {vars(record)["destination"] for record in failed} == {broken}
    with rig.db.read() as session:
        left = session.execute(select(Delivery.destination_id, Delivery.state).where(Delivery.leased_until.is_(None)))
        assert [tuple(row) for row in left] == [(broken, "pending")]

    caplog.clear()
    assert rig.deliverer.work() == 0
    assert caplog.records == []  # it rests
    monkeypatch.setattr(Router, "ready", ready)
    monkeypatch.setattr(rig.deliverer, "_resting", {})
    assert rig.deliverer.work() == 1
    assert rig.deliverer.caller.room() == 64 - 8


def test_the_tries_of_an_earlier_life_keep_their_outcome(rig: Rig) -> None:
    """A person sends it again: its tries are counted from one anew."""
    [shop] = shops(rig, 1, "sprii")
    rig.work()
    with rig.db.write() as session:
        [first] = session.scalars(select(Attempt))
        chosen = replay.choose(session, shop_id=shop)
        assert replay.replay(session, chosen, force=True, dry_run=False)["replayed"] == 1
    rig.simulators.app.set_faults("sprii", [{"kind": "422", "times": 1}])
    rig.work()
    with rig.db.read() as session:
        tries = session.scalars(select(Attempt).order_by(Attempt.id)).all()
    assert [(each.number, each.outcome, each.status) for each in tries] == [(1, "accepted", 200), (1, "refused", 422)]
    assert tries[0].finished_at == first.finished_at
