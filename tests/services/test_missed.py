"""A long backlog of events whose deliveries could not be worked out is made up for in steps, in order, each once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import factory, worker
from app.models import Delivery, Destination, Event
from app.services import holds, missed, owed, route
from app.services.route import Router
from mappings.errors import MappingError
from tests.bodies import woocommerce_order
from tests.processes import until
from tests.rig import Rig

CHUNK = 4


@pytest.fixture
def rig(tmp_path: Path, either_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(route, "CHUNK", CHUNK)
    with Rig(tmp_path, database_url=either_url) as rig:
        yield rig


@pytest.fixture
def shop(rig: Rig) -> int:
    """Its destination takes every change of an order."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "esputnik")
    return shop


def tell(rig: Rig, shop: int, order_id: int, minute: int = 0) -> None:
    body = woocommerce_order(order_id, minute=minute, total=f"{80 + minute}.00")
    assert rig.woocommerce(shop, "order.updated", body) == "stored"


def miss(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, orders: int = 5) -> None:
    """Let events come while the destination's deliveries cannot be worked out; then mend it."""

    def broken(*given: Any) -> None:
        raise MappingError("broken", source="esputnik", rule="order", path="fields")

    with monkeypatch.context() as patch:
        patch.setattr(Router, "target", broken)
        patch.setattr(Router, "_known", lambda *given: None)
        for minute in range(2):
            for order_id in range(1, orders + 1):
                tell(rig, shop, order_id, minute)
        rig.account()
    assert rig.deliveries() == []
    with rig.db.write() as session:
        for each in session.scalars(select(Destination.id)):
            holds.release(session, each)


def behind(rig: Rig) -> list[int]:
    with rig.db.read() as session:
        return [each for each in session.scalars(select(Destination.missed_from).order_by(Destination.id)) if each]


def owing(rig: Rig) -> list[int]:
    """The events with deliveries, in the order in which these go out."""
    with rig.db.read() as session:
        return list(session.scalars(select(Delivery.event_id).order_by(Delivery.id)))


def told(rig: Rig) -> list[int]:
    with rig.db.read() as session:
        return list(session.scalars(select(Event.id).where(Event.state == "understood").order_by(Event.id)))


def check(rig: Rig) -> None:
    """Every event is owed, and none before an earlier one; a unique key keeps it from being owed twice."""
    assert behind(rig) == []
    assert owing(rig) == sorted(owing(rig))
    assert {*owing(rig)} == {*told(rig)}


def test_a_backlog_is_made_up_for_step_by_step(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    miss(rig, shop, monkeypatch)
    places = behind(rig)
    while missed.catch_up(rig.db, rig.parts.router):
        places += behind(rig)
        assert {*owing(rig)} == {each for each in told(rig) if each < places[-1]}
    assert len(places) == len(told(rig)) // CHUNK + 1
    check(rig)
    rig.work()
    assert {each["state"] for each in rig.deliveries()} <= {"delivered", "skipped"}


def test_a_step_that_dies_is_done_again(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    miss(rig, shop, monkeypatch)
    assert missed.catch_up(rig.db, rig.parts.router)
    before = owing(rig)
    write, left = owed.write, [CHUNK - 1]

    def dying(session: Session, rows: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(session, rows)

    with monkeypatch.context() as patch:
        patch.setattr(owed, "write", dying)
        with pytest.raises(KeyboardInterrupt):
            missed.catch_up(rig.db, rig.parts.router)
    assert owing(rig) == before
    router = Router(rig.parts.vault)
    while missed.catch_up(rig.db, router):
        pass
    check(rig)


def test_what_comes_meanwhile_is_stored_and_owed_after_what_was_missed(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    miss(rig, shop, monkeypatch)
    before = behind(rig)
    tell(rig, shop, 1, minute=2)
    rig.account()
    assert len({*owing(rig)}) == CHUNK  # in passing, and no more
    assert behind(rig) > before
    tell(rig, shop, 2, minute=2)
    while missed.catch_up(rig.db, rig.parts.router):
        pass
    tell(rig, shop, 3, minute=2)
    rig.account()
    check(rig)


def test_what_little_was_missed_is_made_up_for_when_the_next_event_comes(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    miss(rig, shop, monkeypatch, orders=1)
    monkeypatch.setattr(route, "CHUNK", 100)
    tell(rig, shop, 1, minute=2)
    rig.account()
    check(rig)


def test_an_event_from_before_the_place_that_was_reached_is_not_passed_over(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number was given out before those of others, and its transaction ended after theirs."""
    miss(rig, shop, monkeypatch)
    with rig.db.write() as session:
        session.execute(update(Destination).values(missed_from=10**6))
    before = told(rig)
    tell(rig, shop, 9)
    with monkeypatch.context() as patch:
        patch.setattr(Router, "make_up", lambda *given: False)
        rig.account()
    assert behind(rig) == [min({*told(rig)} - {*before})]


def test_a_destination_that_is_not_mended_keeps_no_other_from_it(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "seeka")
    miss(rig, shop, monkeypatch)
    target = Router.target

    def half_broken(router: Router, session: Session, destination: Destination) -> route.Target:
        if destination.provider == "esputnik":
            raise MappingError("broken", source="esputnik", rule="order", path="fields")
        return target(router, session, destination)

    monkeypatch.setattr(Router, "target", half_broken)
    monkeypatch.setattr(Router, "_known", lambda *given: None)
    while missed.catch_up(rig.db, rig.parts.router):
        pass
    assert {each["provider"] for each in rig.deliveries()} == {"seeka"}
    with rig.db.read() as session:
        held = session.execute(select(Destination.provider, Destination.held, Destination.missed_from)).all()
    assert {each.provider: (bool(each.held), bool(each.missed_from)) for each in held} == {
        "esputnik": (True, True),
        "seeka": (False, False),
    }


def test_the_worker_makes_up_for_all_and_lets_others_write_in_between(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    miss(rig, shop, monkeypatch)
    monkeypatch.setattr(worker, "SWEEP", 0.2)
    monkeypatch.setattr(worker, "BREATH", 0.01)
    found = factory.create_worker(rig.parts)
    found.start()
    try:
        until(lambda: behind(rig) == [])
    finally:
        found.stop()
    check(rig)


def test_destinations_are_tried_again_in_a_transaction_each(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "seeka")
    now = datetime.now(UTC)
    with rig.db.write() as session:
        for each in session.scalars(select(Destination.id)):
            holds.hold(session, each, "wrong key", now)
    sessions: list[Session] = []
    release = holds.release

    def seen(session: Session, *given: Any) -> int:
        sessions.append(session)
        return release(session, *given)

    monkeypatch.setattr(holds, "release", seen)
    assert holds.try_held(rig.db, now + holds.TRY_EVERY) == 2
    assert len({*map(id, sessions)}) == 2
    assert holds.try_held(rig.db, now + holds.TRY_EVERY) == 0
