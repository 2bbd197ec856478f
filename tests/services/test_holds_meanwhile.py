"""A hold that ends, or an event that is missed, while another transaction is about to write what follows from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Database
from app.models import Delivery, Destination, Event, Shop
from app.providers.errors import DeliveryError, NeedsMending, Unauthorized
from app.providers.registry import PROVIDERS
from app.services import assemble, configure, holds, missed, route, settle
from app.services.calls import Call
from app.services.route import Router
from mappings.errors import MappingError
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def rig(tmp_path: Path, postgres_url: str) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        yield rig


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    return shop


def order(rig: Rig, shop: int, order_id: int) -> None:
    body = woocommerce_order(order_id, sprii=f"5934-{order_id}")
    assert rig.woocommerce(shop, "order.updated", body) == "stored"


def destination(rig: Rig) -> Destination:
    with rig.db.read() as session:
        return session.scalars(select(Destination)).one()


class Elsewhere:
    """Work in a transaction of another process; `begin` gives it a moment, `over` waits for its end."""

    def __init__(self, rig: Rig, work: Callable[[Session], Any]) -> None:
        self._url = rig.config.database_url
        self._work = work
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        db = Database(self._url)
        with db.write() as session:
            self._work(session)
        db.close()

    def begin(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
            self._thread.join(1.0)

    def over(self) -> None:
        self._thread.join(10.0)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("released", ["before the hold is made sure of", "after it"])
def test_what_is_owed_while_a_hold_ends_is_not_held_for_ever(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, released: str
) -> None:
    with rig.db.write() as session:
        holds.hold(session, destination(rig).id, "wrong key", datetime.now(UTC))
    release = Elsewhere(rig, lambda session: holds.release(session, destination(rig).id))
    make_sure = route._still_held

    def meanwhile(*given: Any) -> str | None:
        if released == "before the hold is made sure of":
            release.begin()
        held = make_sure(*given)
        release.begin()
        return held

    monkeypatch.setattr(route, "_still_held", meanwhile)
    order(rig, shop, 1)
    rig.account()
    release.over()
    assert {(state, reason) for _, state, reason in rig.states()} == {("pending", None)}


def test_an_event_missed_while_another_worker_catches_up_is_remembered(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(rig, shop, 1)
    rig.account()
    with rig.db.write() as session:
        first = session.scalars(select(Event.id).order_by(Event.id)).first()
        session.execute(update(Destination).values(missed_from=first))
    caught_up = Elsewhere(rig, lambda session: missed.catch_up(rig.db, Router(rig.parts.vault)))
    make_sure, target = route._still_held, Router.target

    def meanwhile(*given: Any) -> str | None:
        caught_up.begin()
        return make_sure(*given)

    def still_broken_here(router: Router, *given: Any) -> route.Target:
        if router is not rig.parts.router:
            return target(router, *given)
        raise MappingError("not mended yet, as far as this worker knows", source="sprii", rule="order", path="fields")

    monkeypatch.setattr(route, "_still_held", meanwhile)
    monkeypatch.setattr(Router, "target", still_broken_here)
    order(rig, shop, 2)
    rig.account()
    caught_up.over()
    with rig.db.read() as session:
        events = session.scalars(select(Event.id).where(Event.subject == "2").order_by(Event.id)).all()
    assert destination(rig).missed_from == events[0]

    monkeypatch.undo()
    with rig.db.write() as session:
        holds.release(session, destination(rig).id)
    missed.catch_up(rig.db, rig.parts.router)
    rig.work()
    assert {each["order"]: each["state"] for each in rig.deliveries()} == {"1": "delivered", "2": "delivered"}


# --- a save that comes while the old settings are still at work ---


def save(rig: Rig, session: Session) -> None:
    row = session.scalars(select(Shop)).one()
    given = {"api_key": "mended"}
    configure.set_destination(session, rig.parts.vault, rig.parts.router, row, PROVIDERS["sprii"], given)


def state(rig: Rig) -> list[tuple[str, str | None]]:
    return [(state, reason) for _, state, reason in rig.states()]


def test_what_old_settings_hold_is_released_by_the_save_that_comes_meanwhile(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(rig, shop, 1)
    rig.account()
    saved = Elsewhere(rig, lambda session: save(rig, session))

    def saved_meanwhile(*given: Any) -> None:
        saved.begin()
        raise NeedsMending("not with these settings")

    monkeypatch.setattr(assemble, "prepare", saved_meanwhile)
    assert rig.deliverer.work() == 1
    saved.over()
    assert state(rig) == [("pending", None)]


@pytest.mark.parametrize("error", [NeedsMending("not with these settings"), Unauthorized("wrong key")], ids=str)
@pytest.mark.parametrize("when", ["before it is settled", "while it is settled"])
def test_an_answer_to_old_settings_holds_nothing_once_they_are_mended(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, error: DeliveryError, when: str
) -> None:
    order(rig, shop, 1)
    rig.account()
    calls: list[Call] = []
    monkeypatch.setattr(rig.deliverer.caller, "start", calls.extend)
    assert rig.deliverer.work() == 1
    calls[0].outcomes = [error]
    saved = Elsewhere(rig, lambda session: save(rig, session))
    if when == "while it is settled":
        finish = settle.finish

        def saved_meanwhile(*given: Any) -> None:
            saved.begin()
            finish(*given)

        monkeypatch.setattr(settle, "finish", saved_meanwhile)
    else:
        saved.begin()
        saved.over()
    rig.deliverer.caller.give_back(calls)
    rig.deliverer.settle()
    saved.over()
    waits = ("retrying", str(error)) if when == "before it is settled" else ("pending", None)
    assert state(rig) == [waits]
    assert destination(rig).held is None
    with rig.db.read() as session:
        assert session.scalar(select(Delivery.due_at)) <= datetime.now(UTC)


def test_what_is_refused_with_the_settings_as_they_are_stays_held(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(rig, shop, 1)
    rig.account()
    calls: list[Call] = []
    monkeypatch.setattr(rig.deliverer.caller, "start", calls.extend)
    rig.deliverer.work()
    calls[0].outcomes = [Unauthorized("wrong key")]
    rig.deliverer.caller.give_back(calls)
    rig.deliverer.settle()
    assert state(rig) == [("held", "wrong key")]
    assert destination(rig).held == "wrong key"
