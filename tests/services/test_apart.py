"""One shop's, or one provider's, trouble stays its own: everybody else's webhooks and deliveries go on."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.models import Delivery, Destination, Gate, Ledger
from app.providers import exchanges
from app.providers.base import Accepted
from app.services import holds, observe, owed, replay
from app.services.intake import _Waiting
from app.services.settle import Settler
from tests.bodies import woocommerce_order
from tests.databases import POSTGRESQL
from tests.rig import Rig

LONG = secrets.token_urlsafe(6000)  #: not to be compressed below what an index takes


@pytest.fixture
def rig(tmp_path: Path, either_url: str) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=either_url) as rig:
        yield rig


def order(rig: Rig, shop: int, order_id: int = 1, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


def two_shops(rig: Rig) -> tuple[int, int]:
    return rig.shop("woocommerce", "https://a.example"), rig.shop("woocommerce", "https://b.example")


# --- answers ----------------------------------------------------------------------------------------------------------


def test_half_a_character_in_an_answer_stops_nobody(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "seeka", "gameball")
    rig.simulators.app.set_faults("seeka", [{"kind": "status", "status": 400, "body": {"message": "name: \ud83d"}}])
    order(rig, shop, 1)
    order(rig, shop, 2)
    rig.work()
    assert [(each["provider"], each["state"]) for each in rig.deliveries()] == [
        ("seeka", "dead"),
        ("gameball", "delivered"),
    ] * 2


class _Refusing:
    """A settler that cannot write what Gameball accepted, as a bug of ours would have it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, lost_too: bool) -> None:
        settle = Settler.settle

        def broken(settler: Settler, session: Any, some: Any, now: datetime) -> None:
            for call in some:
                if call.target.provider == "gameball" and (lost_too or isinstance(call.outcomes[0], Accepted)):
                    raise ZeroDivisionError
            settle(settler, session, some, now)

        monkeypatch.setattr(Settler, "settle", broken)


def test_an_outcome_that_cannot_be_written_counts_as_a_lost_answer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "seeka", "gameball")
    _Refusing(monkeypatch, lost_too=False)
    order(rig, shop)
    rig.account()
    deliver(rig)
    assert [(each["provider"], each["state"], each["reason"]) for each in rig.deliveries()] == [
        ("seeka", "delivered", "queued by Seeka"),
        ("gameball", "retrying", "internal error (ZeroDivisionError)"),
    ]
    assert rig.deliverer.caller.idle()


def test_where_not_even_that_can_be_written_its_lease_runs_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "seeka", "gameball")
    _Refusing(monkeypatch, lost_too=True)
    order(rig, shop)
    rig.account()
    deliver(rig)
    assert [(each["provider"], each["state"]) for each in rig.deliveries()] == [
        ("seeka", "delivered"),
        ("gameball", "pending"),
    ]
    assert rig.deliverer.caller.idle()


def deliver(rig: Rig) -> None:
    """One try of each delivery, and its outcome."""
    rig.deliverer.work()
    until = time.monotonic() + 20
    while not rig.deliverer.settle():
        assert time.monotonic() < until
        time.sleep(0.01)


# --- calls that begin too late ----------------------------------------------------------------------------------------


def test_a_call_that_would_outlive_its_lease_is_not_begun(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.account()
    with monkeypatch.context() as asleep:
        asleep.setattr(exchanges, "LATEST", -1.0)  # as if the process had slept between its claim and its first byte
        deliver(rig)
    assert rig.states() == [("order", "retrying", "not sent: it was begun too late")]
    assert rig.received("gameball") == []
    with rig.db.read() as session:
        assert [gate.failures for gate in session.scalars(select(Gate)) if gate.failures] == []
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered"]
    assert len(rig.received("gameball")) == 1


# --- webhooks ---------------------------------------------------------------------------------------------------------


def test_a_number_that_no_index_takes_keeps_nobody_waiting(rig: Rig) -> None:
    one, other = two_shops(rig)
    assert rig.woocommerce(one, "order.updated", woocommerce_order(1) | {"number": LONG}) == "stored"
    order(rig, other, 2)
    rig.account()
    assert {(each["order"], each["state"]) for each in rig.events()} == {("1", "understood"), ("2", "understood")}
    with rig.db.read() as session:
        assert sorted(session.scalars(select(Ledger.number))) == sorted([LONG[:255], "2"])


def test_a_shop_that_cannot_be_read_keeps_no_other_waiting(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two_shops(rig)
    order(rig, one, 1)
    order(rig, other, 2)
    read = observe.observe

    def broken(session: Any, shop_ids: Any, most: int) -> Any:
        if one in shop_ids:
            raise ZeroDivisionError
        return read(session, shop_ids, most)

    monkeypatch.setattr(observe, "observe", broken)
    rig.account()
    assert {(each["order"], each["state"]) for each in rig.events()} == {(None, "pending"), ("2", "understood")}
    monkeypatch.setattr(observe, "observe", read)
    rig.account()
    assert {(each["order"], each["state"]) for each in rig.events()} == {("1", "understood"), ("2", "understood")}


def test_a_long_id_of_a_webhook_is_stored_and_its_repeat_known(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    told = {"X-WC-Webhook-Delivery-ID": LONG}
    assert rig.woocommerce(shop, "order.deleted", {"id": 5}, **told) == "stored"
    assert rig.woocommerce(shop, "order.deleted", {"id": 5}, **told) == "duplicate"
    assert rig.woocommerce(shop, "order.deleted", {"id": 5}, **{"X-WC-Webhook-Delivery-ID": LONG + "1"}) == "stored"


def test_a_row_that_the_database_refuses_takes_no_other_with_it(rig: Rig) -> None:
    about = {"platform": "shopify", "shop_id": None, "endpoint_id": None, "topic": "orders/updated", "headers": {}}
    rest = {"body": b"", "body_hash": "", "received_at": datetime.now(UTC), "state": "pending"}
    rows = [about | rest | {"dedup_key": key} for key in ("a", LONG, "b")]
    waiting = [_Waiting(row, lambda: None) for row in rows]
    rig.app.extensions["intake"]._commit(waiting)
    refused = rig.config.database_url.startswith(POSTGRESQL)  # SQLite puts anything into an index
    assert [each.result for each in waiting] == ["stored", "" if refused else "stored", "stored"]
    assert [each.error is not None for each in waiting] == [False, refused, False]


def test_what_is_owed_falls_due_by_the_clock_that_workers_share(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    shared = datetime(2026, 3, 2, 9, tzinfo=UTC)
    monkeypatch.setattr(owed, "clock", lambda session: shared)
    order(rig, shop)
    rig.account()
    with rig.db.read() as session:
        times = select(Delivery.due_at, Delivery.since, Delivery.created_at)
        assert [tuple(each) for each in session.execute(times)] == [(shared, shared, shared)]


def test_what_a_person_releases_falls_due_by_the_clock_that_workers_share(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.account()
    shared = datetime(2026, 3, 2, 9, tzinfo=UTC)
    monkeypatch.setattr(holds, "clock", lambda session: shared)
    with rig.db.write() as session:
        destination = session.scalars(select(Destination.id)).one()
        holds.hold(session, destination, "401", datetime.now(UTC))
        assert holds.release(session, destination) == 1
        times = select(Delivery.due_at, Delivery.since)
        assert [tuple(each) for each in session.execute(times)] == [(shared, shared)]


# --- a person beside the workers --------------------------------------------------------------------------------------


def test_what_a_person_sends_again_is_not_sent_by_a_worker_meanwhile(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    order(rig, shop, sprii="5934-1")
    rig.account()
    with rig.db.write() as session:
        destination = session.scalars(select(Destination.id)).one()
        holds.hold(session, destination, "401", datetime.now(UTC))

    def release() -> None:
        with rig.db.write() as session:
            holds.release(session, destination)
        rig.work()

    meanwhile = threading.Thread(target=release)
    with rig.db.write() as session:
        chosen = replay.choose(session, shop_id=shop, state="held")
        meanwhile.start()
        meanwhile.join(1.0)
        assert replay.replay(session, chosen, force=False, dry_run=False)["replayed"] == 1
    meanwhile.join(20)
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered"]
    assert len(rig.received("sprii")) == 1
