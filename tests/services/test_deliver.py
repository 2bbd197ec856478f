"""What happens to a delivery, by what comes of its call; over real HTTP to simulated providers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.models import Attempt, Delivery, Destination, Gate
from app.providers import exchanges
from app.services import holds, replay, shared_clock
from app.services.calls import Call
from app.services.deliver import Deliverer
from app.services.erase_shop import erase_shop
from app.services.holds import LEASE, SETTLING
from app.services.settle import ASKS, HORIZON, backoff
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def order(rig: Rig, shop: int, order_id: int = 1, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


def faults(rig: Rig, provider: str, *plan: dict[str, Any]) -> None:
    rig.simulators.app.set_faults(provider, list(plan))


def attempts(rig: Rig) -> list[tuple[str, str | None, int | None]]:
    with rig.db.read() as session:
        return [
            (each.purpose, each.outcome, each.status) for each in session.scalars(select(Attempt).order_by(Attempt.id))
        ]


def kill(rig: Rig) -> None:
    """As `kill -9` between the call and its settling: what came back is lost, leases stay and run out."""
    rig.deliverer.caller.close()
    rig.deliverer = rig.new_deliverer()
    with rig.db.write() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.leased_until.is_not(None))
            .values(leased_until=datetime.now(UTC) - timedelta(seconds=1))
        )


def step(monkeypatch: pytest.MonkeyPatch, **ahead: float) -> None:
    """Set the clock that workers share, for every process at once."""
    monkeypatch.setattr(shared_clock, "clock", lambda session: datetime.now(UTC) + timedelta(**ahead))


def run_on(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let this process's own clock run."""
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + seconds)


def settled(rig: Rig) -> None:
    until = time.monotonic() + 60
    while not rig.deliverer.settle():
        assert time.monotonic() < until
        time.sleep(0.01)


def later(**ahead: float) -> datetime:
    return datetime.now(UTC) + timedelta(**ahead)


def old(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Deliverer:
    """Another clerk that has run for a while."""
    found = rig.new_deliverer(factor=1.0)
    assert found.work() == 0
    run_on(monkeypatch, LEASE.total_seconds())
    return found


def end_lease(rig: Rig) -> None:
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))


def own_mapping(rig: Rig, shop: int, text: str) -> None:
    rig.map(shop, "sprii", text)


def sprii_reports(rig: Rig) -> dict[str, int]:
    """How often each order was counted at Sprii."""
    account = rig.simulators.app.state("sprii")["state"].get("sprii-key", {"orders": {}})
    return {id_: each["times"] for orders in account["orders"].values() for id_, each in orders.items()}


# --- what an answer means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["500", "502", "503", "429", "408", "425", "drop_before"])
def test_what_passes_is_tried_again(rig: Rig, shop: int, kind: str) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": kind, "times": 2})
    order(rig, shop)
    rig.work()
    assert rig.states() == [("order", "delivered", "queued by Seeka")]
    assert [outcome for _, outcome, _ in attempts(rig)][-1] == "accepted"
    assert len(attempts(rig)) == 3


@pytest.mark.parametrize("kind", ["400", "404", "422", "301", "410"])
def test_a_refusal_is_final_until_a_person_decides(rig: Rig, shop: int, kind: str) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": kind, "times": 1})
    order(rig, shop)
    rig.work()
    ((action, state, reason),) = rig.states()
    assert (action, state) == ("order", "dead")
    assert reason is not None
    assert kind in reason


def test_retry_after_is_kept_to(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": "429", "times": 1, "retry_after": 40})
    order(rig, shop)
    rig.work(settled="seeka")
    (delivery,) = rig.deliveries()
    wait = datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.now(UTC)
    assert timedelta(seconds=35) < wait <= timedelta(seconds=40)


def test_waits_double_with_jitter_and_end_at_four_hours() -> None:
    for attempt, longest in ((1, 2), (2, 4), (5, 32), (30, 14400)):
        waits = [backoff(attempt, None) for _ in range(200)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
    assert backoff(1, 90.0) == 90.0


def test_after_ten_days_it_is_dead(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": "503"})
    order(rig, shop)
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(since=datetime.now(UTC) - HORIZON))
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["dead"]


# --- held, and drained ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["401", "403"])
def test_refused_credentials_hold_the_destination_and_their_mending_drains_it_in_order(
    rig: Rig, shop: int, kind: str
) -> None:
    rig.switch_on(shop, "gameball")
    faults(rig, "gameball", {"kind": kind, "times": 1})
    order(rig, shop)
    rig.work()
    order(rig, shop, 2)
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.account()
    assert [state for _, state, _ in rig.states()] == ["held", "held", "held"]
    with rig.db.read() as session:
        assert session.scalar(select(Destination.held)) is not None
    rig.deliverer.work()
    assert len(rig.received("gameball")) == 1

    rig.set(shop, "gameball", secret_key="mended")
    rig.work()
    assert [(state, reason) for _, state, reason in rig.states()] == [
        ("delivered", "80 points"),
        ("delivered", "80 points"),
        ("delivered", None),
    ]
    mine = [
        each for each in rig.received("gameball")[1:] if "1" in (each.get("orderId"), each.get("reverseTransactionId"))
    ]
    assert ["orderId" in each for each in mine] == [True, False]
    assert rig.violations() == []


def test_what_is_held_does_not_expire(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": "401", "times": 1}, {"kind": "503", "times": 1})
    order(rig, shop)
    rig.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(since=datetime.now(UTC) - 2 * HORIZON))
    rig.set(shop, "seeka", public_key="mended")
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered"]


def test_a_held_destination_is_tried_again_by_itself_now_and_then(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": "401", "times": 1})
    order(rig, shop)
    rig.work()
    assert holds.try_held(rig.db, datetime.now(UTC)) == 0
    assert holds.try_held(rig.db, datetime.now(UTC) + holds.TRY_EVERY) == 1
    rig.make_due()
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered"]


def test_an_order_in_a_foreign_currency_is_held_and_others_go_on(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball", account_currency="DKK")
    order(rig, shop, 1, currency="EUR")
    order(rig, shop, 2)
    rig.work()
    by_order = {each["order"]: (each["state"], each["reason"]) for each in rig.deliveries()}
    assert by_order["2"] == ("delivered", "80 points")
    assert by_order["1"][0] == "held"
    assert "EUR" in (by_order["1"][1] or "")
    rig.set(shop, "gameball", account_currency="")
    rig.work()
    assert {each["state"] for each in rig.deliveries()} == {"delivered"}


# --- lost answers -----------------------------------------------------------------------------------------------------


def test_a_lost_answer_at_sprii_is_asked_about_and_never_counted_twice(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    faults(rig, "sprii", {"kind": "drop_after", "times": 1})
    order(rig, shop)
    rig.work()
    assert rig.states() == [("process_orders", "delivered", "confirmed by asking the provider after a lost answer")]
    assert sprii_reports(rig) == {"1": 1}
    assert attempts(rig) == [("send", "answer lost", None), ("ask", "applied", 200)]


def test_what_sprii_never_got_is_sent_again_after_asking(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    faults(rig, "sprii", {"kind": "drop_before", "times": 1})
    order(rig, shop)
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered"]
    assert sprii_reports(rig) == {"1": 1}
    assert attempts(rig) == [("send", "answer lost", None), ("ask", "absent", 404), ("send", "accepted", 200)]


def test_where_asking_does_not_tell_a_person_decides(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    faults(
        rig,
        "sprii",
        {"kind": "drop_after", "times": 1, "path": "processOrders"},
        {"kind": "500", "path": "/orders/"},
    )
    order(rig, shop)
    rig.work()
    assert rig.states() == [
        ("process_orders", "unknown", "sent, the answer was lost, and asking the provider did not tell")
    ]
    assert sprii_reports(rig) == {"1": 1}


@pytest.mark.parametrize(("provider", "seconds"), [("sprii", SETTLING.total_seconds()), ("seeka", 1.0)])
def test_a_provider_has_time_to_finish_before_it_is_asked_what_became_of_a_lost_answer(
    rig: Rig, shop: int, provider: str, seconds: float
) -> None:
    rig.deliverer.close()
    rig.deliverer = rig.new_deliverer(factor=1.0)
    rig.switch_on(shop, provider)
    faults(rig, provider, {"kind": "drop_after", "times": 1})
    order(rig, shop)
    rig.account()
    before = datetime.now(UTC)
    rig.deliverer.work()
    settled(rig)
    with rig.db.read() as session:
        due_at = session.scalars(select(Delivery.due_at)).one()
    assert seconds <= (due_at - before).total_seconds() <= seconds + 15


@pytest.mark.parametrize("how", ["restarted", "run out"])
@pytest.mark.parametrize(("scale", "asked_after"), [(1.0, SETTLING), (10.0, SETTLING / 10)])
def test_whoever_comes_after_a_death_asks_when_the_provider_had_time_and_repeats_at_once(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, scale: float, asked_after: timedelta, how: str
) -> None:
    rig.switch_on(shop, "sprii", "seeka")
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    rig.deliverer.caller.close()
    rig.deliverer = rig.new_deliverer(factor=scale)
    if how == "run out":
        rig.deliverer.work()
        run_on(monkeypatch, LEASE.total_seconds())
    ahead = timedelta(hours=1) if how == "restarted" else -timedelta(seconds=1)  # whatever clock they were given by
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) + ahead))
    before = datetime.now(UTC)
    if how == "restarted":
        rig.deliverer.begin_alone()
        with rig.db.read() as session:
            assert session.scalars(select(Delivery.leased_until)).all() == [None, None]
            assert set(session.scalars(select(Attempt.outcome))) == {"answer lost"}
    rig.deliverer.work()
    after = datetime.now(UTC)
    with rig.db.read() as session:
        due = {row.provider: row for row in session.scalars(select(Delivery))}
    # The connection ended only now, however long ago it was claimed.
    assert before + asked_after <= due["sprii"].due_at <= after + asked_after
    assert (due["sprii"].doubt, due["sprii"].leased_until, due["sprii"].attempts) == (True, None, 1)
    assert (due["seeka"].doubt, due["seeka"].attempts) == (False, 2)


@pytest.mark.parametrize("name", ["provider", "action"])
def test_what_was_under_way_and_is_not_known_any_more_keeps_no_worker_from_beginning(
    rig: Rig, shop: int, name: str
) -> None:
    rig.switch_on(shop, "seeka")
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    rig.deliverer.caller.close()
    rig.deliverer = rig.new_deliverer()
    with rig.db.write() as session:
        session.execute(update(Delivery).values({name: "of a version before"}))
    rig.deliverer.begin_alone()
    with rig.db.read() as session:
        left = session.scalars(select(Delivery)).one()
        assert (left.doubt, left.leased_until) == (True, None)


@pytest.mark.parametrize("provider", ["sprii", "gameball", "seeka"])
def test_a_clock_that_is_stepped_during_a_call_makes_nobody_send_or_ask_again(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    rig.switch_on(shop, provider)
    faults(rig, provider, {"kind": "delay", "seconds": 0.5, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    assert len(rig.deliverer._under_way) == 1
    step(monkeypatch, minutes=13)
    until = time.monotonic() + 30
    while not rig.deliverer.caller.idle():
        rig.deliverer.work()
        assert time.monotonic() < until
    assert [(purpose, outcome) for purpose, outcome, _ in attempts(rig)] == [("send", "accepted")]
    assert rig.deliverer._under_way == {}
    assert [each["state"] for each in rig.deliveries()] == ["delivered"]


def test_a_call_that_never_comes_back_is_its_workers_own_for_no_longer_than_a_lease(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "seeka")
    order(rig, shop)
    rig.account()
    start = rig.deliverer.caller.start
    monkeypatch.setattr(rig.deliverer.caller, "start", lambda calls: None)
    rig.deliverer.work()
    monkeypatch.setattr(rig.deliverer.caller, "start", start)
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    assert rig.deliverer.work() == 0
    run_on(monkeypatch, LEASE.total_seconds())
    assert rig.deliverer.work() == 1


def test_a_clock_that_is_stepped_after_an_answer_was_lost_makes_nobody_ask_sooner(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.deliverer.close()
    rig.deliverer = rig.new_deliverer(factor=1.0)
    rig.switch_on(shop, "sprii")
    faults(rig, "sprii", {"kind": "drop_after", "times": 1})
    order(rig, shop, 1)
    rig.account()
    rig.deliverer.work()
    settled(rig)
    run_on(monkeypatch, SETTLING.total_seconds())  # so that it is not for its beginning that it waits
    order(rig, shop, 2, sprii="5934-15")
    rig.account()
    step(monkeypatch, minutes=13)
    assert rig.deliverer.work() == 1  # of the other order, at once
    settled(rig)
    asked = [each for each in attempts(rig) if each[0] == "ask"]
    assert (asked, sprii_reports(rig)) == ([], {"1": 1, "2": 1})
    with rig.db.read() as session:
        due_at = session.scalars(select(Delivery.due_at).where(Delivery.doubt)).one()
    wait = due_at - datetime.now(UTC) - timedelta(minutes=13)
    assert SETTLING - timedelta(seconds=5) < wait <= SETTLING
    step(monkeypatch, minutes=13, seconds=20)
    run_on(monkeypatch, 20)
    assert rig.deliverer.work() == 1
    settled(rig)
    assert [each for each in attempts(rig) if each[0] == "ask"] == [("ask", "applied", 200)]
    assert sprii_reports(rig) == {"1": 1, "2": 1}


def test_whoever_begins_asks_nobody_at_once(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock may have been stepped before it looked, however long it waited for its turn."""
    rig.switch_on(shop, "sprii")
    order(rig, shop)
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(doubt=True, attempts=1))
    rig.deliverer.close()
    rig.deliverer = rig.new_deliverer(factor=1.0)
    run_on(monkeypatch, 3600.0)
    assert rig.deliverer.work() == 0
    with rig.db.read() as session:
        wait = session.scalars(select(Delivery.due_at)).one() - datetime.now(UTC)
    assert SETTLING - timedelta(seconds=5) < wait <= SETTLING


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("provider", ["sprii", "seeka"])
def test_a_clock_that_is_stepped_ends_nothing_that_another_worker_has_under_way(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, provider: str, seen: bool
) -> None:
    rig.switch_on(shop, provider)
    other = rig.new_deliverer(factor=1.0)
    if seen:
        assert other.work() == 0  # it knows what the time was
        run_on(monkeypatch, LEASE.total_seconds())
        assert other.work() == 0
    faults(rig, provider, {"kind": "delay", "seconds": 0.5, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    step(monkeypatch, minutes=13)
    until = time.monotonic() + 30
    while not rig.deliverer.settle():
        assert other.work() == 0
        assert time.monotonic() < until
    other.close()
    assert [(purpose, outcome) for purpose, outcome, _ in attempts(rig)] == [("send", "accepted")]
    assert [each["state"] for each in rig.deliveries()] == ["delivered"]


def test_after_a_step_what_is_left_of_a_dead_worker_is_taken_up_a_lease_later(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "seeka")
    other = rig.new_deliverer(factor=1.0)
    assert other.work() == 0
    run_on(monkeypatch, LEASE.total_seconds())
    assert other.work() == 0
    order(rig, shop)
    rig.account()
    monkeypatch.setattr(rig.deliverer.caller, "start", lambda calls: None)
    rig.deliverer.work()
    step(monkeypatch, minutes=13)
    assert other.work() == 0
    run_on(monkeypatch, LEASE.total_seconds() - 10)
    assert other.work() == 0
    run_on(monkeypatch, 10)
    assert other.work() == 1
    other.close()


@pytest.mark.parametrize(
    ("fault", "state", "tried"),
    [
        ({"kind": "delay", "seconds": 0.5}, "delivered", ("send", "accepted", 200)),
        ({"kind": "503"}, "retrying", ("send", "unavailable", 503)),
        ({"kind": "400"}, "dead", ("send", "refused", 400)),
    ],
)
def test_an_answer_that_comes_after_somebody_ended_its_lease_counts_while_nobody_went_on(
    rig: Rig,
    shop: int,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    state: str,
    tried: tuple[str, str, int],
) -> None:
    rig.switch_on(shop, "sprii")
    other = old(rig, monkeypatch)
    faults(rig, "sprii", {**fault, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    end_lease(rig)
    assert other.work() == 0
    with rig.db.read() as session:
        ended = session.scalars(select(Delivery)).one()
        assert (ended.leased_until, ended.doubt) == (None, True)
    assert attempts(rig) == [("send", "answer lost", None)]
    settled(rig)
    assert attempts(rig) == [tried]
    with rig.db.read() as session:
        assert session.execute(select(Delivery.state, Delivery.doubt)).all() == [(state, False)]
    other.close()


def test_that_it_arrived_counts_even_while_somebody_asks(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.switch_on(shop, "sprii")
    other = old(rig, monkeypatch)
    faults(rig, "sprii", {"kind": "delay", "seconds": 1.0, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    end_lease(rig)
    assert other.work() == 0
    rig.make_due()
    start = other.caller.start
    asked: list[Call] = []
    monkeypatch.setattr(other.caller, "start", asked.extend)
    assert other.work() == 1
    settled(rig)
    assert [each["state"] for each in rig.deliveries()] == ["delivered"]
    asked[0].verdict = "absent"  # as of a provider that reads late
    other.caller.give_back([asked[0]])
    monkeypatch.setattr(other.caller, "start", start)
    assert other.work() == 1  # settled, and nothing sent again
    assert other.work() == 0
    other.close()
    assert sprii_reports(rig) == {"1": 1}
    assert [(purpose, outcome) for purpose, outcome, _ in attempts(rig)] == [("send", "accepted"), ("ask", "absent")]
    assert [each["state"] for each in rig.deliveries()] == ["delivered"]


def test_that_it_arrived_counts_even_after_nobody_could_be_asked(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "sprii")
    other = old(rig, monkeypatch)
    faults(rig, "sprii", {"kind": "delay", "seconds": 0.5, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state="unknown", leased_until=None, doubt=True, reason="sent"))
    settled(rig)
    other.close()
    with rig.db.read() as session:
        assert session.execute(select(Delivery.state, Delivery.doubt, Delivery.leased_until)).all() == [
            ("delivered", False, None)
        ]


def test_an_answer_of_before_a_person_sent_it_again_settles_nothing(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "sprii")
    faults(rig, "sprii", {"kind": "delay", "seconds": 0.5, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state="pending", leased_until=None, attempts=0, due_at=later(hours=1)))
    settled(rig)
    with rig.db.read() as session:
        assert session.execute(select(Delivery.state, Delivery.attempts)).all() == [("pending", 0)]


@pytest.mark.parametrize("hours", [1, 12])
def test_a_clock_that_is_set_back_keeps_nothing_waiting(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    rig.switch_on(shop, "seeka", "gameball")
    order(rig, shop, 1)
    rig.work()  # so that there are gates
    step(monkeypatch, hours=hours)
    assert rig.deliverer.work() == 0
    order(rig, shop, 2, sprii="5934-15")
    rig.account()
    with rig.db.write() as session:  # as of a clock that was ahead: left by a dead worker, and paused
        ahead = later(hours=hours)
        new = Delivery.state == "pending"
        session.execute(update(Delivery).where(new, Delivery.provider == "seeka").values(leased_until=ahead + LEASE))
        session.execute(update(Delivery).where(new, Delivery.provider == "gameball").values(due_at=ahead + LEASE))
        session.execute(update(Gate).values(paused_until=ahead + LEASE))
    assert rig.deliverer.work() == 0
    step(monkeypatch, hours=0)
    moved = rig.deliverer.work()
    with rig.db.read() as session:
        leased = session.scalars(select(Delivery.leased_until).where(Delivery.provider == "seeka", new)).one()
        assert set(session.scalars(select(Gate.paused_until))) == {None}
    assert moved == 1
    assert leased is not None
    assert timedelta() < leased - datetime.now(UTC) <= LEASE
    assert rig.deliverer._clock.set_back is False


def test_an_answer_is_not_taken_for_that_of_another_call_with_the_same_number(rig: Rig, shop: int) -> None:
    """SQLite gives the numbers of erased deliveries out again."""
    rig.switch_on(shop, "sprii")
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) + timedelta(seconds=40)))
        session.execute(update(Attempt).values(started_at=datetime.now(UTC) - timedelta(seconds=10)))
    settled(rig)
    assert attempts(rig) == [("send", None, None)]
    assert [each["state"] for each in rig.deliveries()] == ["pending"]


@pytest.mark.parametrize("provider", ["gameball", "seeka", "spotler", "esputnik"])
def test_where_a_repeat_does_no_harm_a_lost_answer_is_sent_again(rig: Rig, shop: int, provider: str) -> None:
    rig.switch_on(shop, provider)
    faults(rig, provider, {"kind": "drop_after", "times": 1})
    order(rig, shop)
    rig.work()
    assert {each["state"] for each in rig.deliveries()} <= {"delivered", "skipped"}
    assert len(rig.received(provider)) == 2
    assert rig.violations() == []


def test_gameball_points_are_given_once_whatever_is_lost(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    faults(rig, "gameball", {"kind": "drop_after", "times": 3})
    order(rig, shop, refunds=((9, "30.00"),))
    rig.work()
    account = rig.simulators.app.state("gameball")["state"]["gameball-key"]
    assert [(each["points"], each["refunded"]) for each in account["orders"].values()] == [(50, 30.0)]


# --- killed -----------------------------------------------------------------------------------------------------------


def test_killed_after_the_call_sprii_is_asked_and_nothing_counts_twice(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    kill(rig)
    rig.work()
    assert sprii_reports(rig) == {"1": 1}
    assert attempts(rig) == [("send", "answer lost", None), ("ask", "applied", 200)]


def test_questions_that_were_begun_too_late_are_none_of_those_that_were_asked(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "sprii")
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    kill(rig)
    until = time.monotonic() + 60
    with monkeypatch.context() as asleep:
        asleep.setattr(exchanges, "LATEST", -1.0)  # as on a machine that stands still again and again
        while len(attempts(rig)) < ASKS + 3:
            assert time.monotonic() < until
            rig.deliverer.work()
            while not rig.deliverer.settle():
                time.sleep(0.005)
    assert attempts(rig) == [("send", "answer lost", None), *[("ask", "not made", None)] * (ASKS + 2)]
    rig.work()
    assert attempts(rig)[-1] == ("ask", "applied", 200)
    assert (sprii_reports(rig), [each["state"] for each in rig.deliveries()]) == ({"1": 1}, ["delivered"])


def test_killed_before_the_call_went_out_it_is_sent_once(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.switch_on(shop, "sprii")
    order(rig, shop)
    rig.account()
    monkeypatch.setattr(rig.deliverer.caller, "start", lambda call: None)
    rig.deliverer.work()
    assert attempts(rig) == [("send", None, None)]
    kill(rig)
    rig.work()
    assert sprii_reports(rig) == {"1": 1}


def test_a_living_lease_is_respected(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.switch_on(shop, "seeka")
    order(rig, shop)
    rig.account()
    monkeypatch.setattr(rig.deliverer.caller, "start", lambda call: None)
    rig.deliverer.work()
    other = rig.new_deliverer()
    assert other.work() == 0
    other.close()
    assert LEASE.total_seconds() < 60


def test_a_result_that_comes_after_its_lease_ran_out_changes_nothing(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": "delay", "seconds": 0.5, "times": 1})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    other = rig.new_deliverer()
    until = time.monotonic() + 10
    while not other.work() or rig.deliveries()[0]["state"] != "delivered":
        assert time.monotonic() < until
        time.sleep(0.01)
    other.close()
    delivered_at = rig.deliveries()[0]["delivered_at"]
    time.sleep(0.6)
    rig.deliverer.work()
    assert [(each["state"], each["delivered_at"]) for each in rig.deliveries()] == [("delivered", delivered_at)]


def test_a_failure_that_comes_back_after_its_shop_was_erased_changes_nothing(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "spotler")
    faults(rig, "spotler", {"kind": "503"})
    order(rig, shop)
    rig.account()
    rig.deliverer.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    erase_shop(rig.db, shop, actor="test", now=datetime.now(UTC))
    until = time.monotonic() + 10
    while not rig.deliverer.settle():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert rig.deliveries() == []


# --- order, collapse, once --------------------------------------------------------------------------------------------


def test_a_refund_waits_for_its_purchase(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    faults(rig, "gameball", {"kind": "503", "times": 3, "path": "/orders"})
    order(rig, shop)
    rig.account()
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    taken = [each for each in rig.simulators.app.requests("gameball") if each["status"] == 200]
    assert [each["path"].rpartition("/")[2] for each in taken] == ["orders", "refund"]


def test_a_refund_of_what_was_never_given_is_not_sent(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    faults(rig, "gameball", {"kind": "400", "times": 1})
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    assert [(state, reason) for _, state, reason in rig.states()][1:] == [("skipped", "nothing_to_reverse")]


def test_a_refund_told_before_its_payment_is_taken_back_after_the_purchase(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, paid=False, refunds=((9, "30.00"),))
    rig.work()
    assert rig.states() == [("refund", "skipped", "nothing_to_reverse")]
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    assert [each.get("refundAmount", each.get("totalPaid")) for each in rig.received("gameball")] == [80, 30]


def test_a_refund_comes_back_to_life_when_its_dead_purchase_is_replayed(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    faults(rig, "gameball", {"kind": "400", "times": 1})
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    with rig.db.write() as session:
        chosen = replay.choose(session, shop_id=shop, state="dead")
        replay.replay(session, chosen, force=False, dry_run=False)
    rig.work()
    assert [(action, state) for action, state, _ in rig.states()] == [("order", "delivered"), ("refund", "delivered")]


def test_a_cancellation_takes_back_only_what_refunds_left(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    order(rig, shop, minute=2, refunds=((9, "30.00"),), status="cancelled")
    rig.work()
    assert [each["refundAmount"] for each in rig.received("gameball")[1:]] == [30, 50]
    assert rig.violations() == []


def test_a_refund_after_a_cancellation_takes_nothing_twice(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, status="cancelled")
    rig.work()
    order(rig, shop, minute=2, status="refunded", refunds=((9, "80.00"),))
    rig.work()
    assert [each["refundAmount"] for each in rig.received("gameball")[1:]] == [80]
    assert rig.states()[-1] == ("refund", "skipped", "nothing_to_reverse")


def test_only_the_newest_unsent_state_goes_to_esputnik(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    order(rig, shop, paid=False, status="pending")
    order(rig, shop, minute=1)
    order(rig, shop, minute=2, status="completed", date_completed_gmt="2026-11-21T02:12:08")
    rig.work()
    assert [each["orders"][0]["status"] for each in rig.received("esputnik")] == ["DELIVERED"]
    assert [(state, reason) for _, state, reason in rig.states()] == [
        ("skipped", "superseded"),
        ("skipped", "superseded"),
        ("delivered", None),
    ]


def test_esputnik_is_not_called_when_neither_status_nor_money_changed(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, customer_note="please ring")
    rig.work()
    assert len(rig.received("esputnik")) == 1
    assert rig.states()[-1] == ("orders", "skipped", "unchanged")


def test_one_bad_order_in_a_batch_does_not_sink_the_rest(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    faults(rig, "esputnik", {"kind": "partial", "times": 1})
    for order_id in (1, 2, 3):
        order(rig, shop, order_id)
    rig.work()
    assert sorted(each["state"] for each in rig.deliveries() if each["reason"] != "superseded") == [
        *("dead", "delivered", "delivered"),
    ]


def test_a_batch_refused_as_a_whole_goes_out_singly(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    faults(rig, "seeka", {"kind": "400", "times": 1}, {"kind": "400", "contains": "order_2"})
    for order_id in (1, 2, 3):
        order(rig, shop, order_id)
    rig.work()
    assert {each["order"]: each["state"] for each in rig.deliveries()} == {
        "1": "delivered",
        "2": "dead",
        "3": "delivered",
    }


def test_gameball_gets_one_call_at_a_time_per_customer(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    faults(rig, "gameball", {"kind": "delay", "seconds": 0.05})
    for order_id in range(1, 9):
        order(rig, shop, order_id, customer_id=order_id % 2 + 5)
    rig.work()
    assert {each["state"] for each in rig.deliveries()} == {"delivered"}
    assert rig.violations() == []


def test_a_destination_that_hangs_does_not_delay_another(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka", "spotler")
    faults(rig, "seeka", {"kind": "delay", "seconds": 5})
    for order_id in range(1, 31):
        order(rig, shop, order_id)
    started = time.monotonic()
    _until_delivered(rig, "spotler", 30)
    assert time.monotonic() - started < 4.5


def _until_delivered(rig: Rig, provider: str, count: int) -> None:
    rig.account()
    until = time.monotonic() + 60
    while len(rig.deliveries(provider=provider, state="delivered")) < count:
        assert time.monotonic() < until
        if not rig.deliverer.work():
            time.sleep(0.005)


def test_after_five_failures_in_a_row_a_destination_pauses(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "spotler")
    faults(rig, "spotler", {"kind": "503"})
    for order_id in range(1, 400):
        order(rig, shop, order_id)
    rig.deliverer.close()
    rig.deliverer = rig.new_deliverer(factor=1.0)
    rig.account()
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        rig.deliverer.work()
        time.sleep(0.01)
    assert 1 <= len(rig.received("spotler")) <= 12


def test_the_declared_limit_of_a_merchant_is_kept(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    rig.deliverer.close()
    rig.deliverer = rig.new_deliverer(factor=0.4)  # 12 a second, room for two questions among them
    for order_id in range(1, 40):
        order(rig, shop, order_id, customer_id=order_id)
    rig.account()
    began = time.monotonic()
    while len(rig.received("gameball")) < 25:  # twelve, twelve, and one that needs a third second
        assert time.monotonic() < began + 60
        if not rig.deliverer.work():
            time.sleep(0.005)
    assert time.monotonic() >= began + 1.9


# --- modes ------------------------------------------------------------------------------------------------------------


def test_shadow_builds_and_sends_nothing(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii", mode="shadow")
    order(rig, shop)
    rig.work()
    (delivery,) = rig.deliveries()
    assert (delivery["state"], delivery["payload"]["spriiOrderNumber"]) == ("shadow", "5934-14")
    assert rig.received("sprii") == []


def test_what_shadow_collected_can_be_sent_later(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii", mode="shadow")
    order(rig, shop)
    rig.work()
    rig.set(shop, "sprii", mode="live")
    with rig.db.write() as session:
        chosen = replay.choose(session, shop_id=shop, state="shadow")
        assert replay.replay(session, chosen, force=False, dry_run=False)["replayed"] == 1
    rig.work()
    assert sprii_reports(rig) == {"1": 1}


def test_switched_off_waits_and_switched_on_again_goes_on(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "seeka")
    order(rig, shop)
    rig.account()
    rig.set(shop, "seeka", mode="off")
    rig.deliverer.work()
    assert rig.states() == [("order", "held", "the destination is off")]
    order(rig, shop, 2)
    rig.account()
    rig.set(shop, "seeka", mode="live")
    rig.work()
    assert [(each["order"], each["state"]) for each in rig.deliveries()] == [("1", "delivered")]


def test_switching_on_starts_with_what_comes_or_with_the_last_days(rig: Rig, shop: int) -> None:
    order(rig, shop)
    rig.account()
    rig.switch_on(shop, "sprii")
    rig.work()
    assert rig.deliveries() == []
    rig.set(shop, "sprii", last_days=30)
    rig.work()
    assert sprii_reports(rig) == {"1": 1}
    rig.set(shop, "sprii", last_days=30)
    rig.work()
    assert sprii_reports(rig) == {"1": 1}


def test_a_second_report_needs_force(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    order(rig, shop)
    rig.work()
    with rig.db.write() as session:
        chosen = replay.choose(session, ids=[1])
        refused = replay.replay(session, chosen, force=False, dry_run=False)
    assert (refused["replayed"], refused["refused"]) == (0, [1])
    rig.work()
    assert sprii_reports(rig) == {"1": 1}
    with rig.db.write() as session:
        assert replay.replay(session, replay.choose(session, ids=[1]), force=True, dry_run=False)["replayed"] == 1
    rig.work()
    assert sprii_reports(rig) == {"1": 2}


def test_a_replayed_skip_does_not_come_on_top_of_what_another_trigger_sent(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    own_mapping(rig, shop, "[[rules]]\nname = 'order'\nskip_without = { 'order.sprii.nothing' = 'not_yet' }\n")
    order(rig, shop)
    rig.work()
    own_mapping(rig, shop, "")
    rig.set(shop, "sprii", order_trigger="order.fulfilled")
    order(rig, shop, minute=5, status="completed", date_completed_gmt="2026-11-21T02:15:08")
    rig.work()
    assert rig.states() == [("process_orders", "skipped", "not_yet"), ("process_orders", "delivered", None)]
    with rig.db.write() as session:
        chosen = replay.choose(session, ids=[1])
        assert replay.replay(session, chosen, force=False, dry_run=False)["replayed"] == 1
    rig.work()
    assert rig.states()[0] == ("process_orders", "skipped", "already_sent")
    assert sprii_reports(rig) == {"1": 1}


# --- lives that do not go straight ------------------------------------------------------------------------------------


def points(rig: Rig) -> dict[str, tuple[float, float]]:
    """Per order what Gameball was given, and what was taken back."""
    account = rig.simulators.app.state("gameball")["state"].get("gameball-key", {"orders": {}})
    return {id_: (each["order"]["totalPaid"], each["refunded"]) for id_, each in account["orders"].items()}


def test_a_failed_payment_that_was_tried_again_takes_nothing_back(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, paid=False, status="failed")
    rig.work()
    order(rig, shop, minute=1)
    rig.work()
    assert points(rig) == {"1": (80, 0)}
    assert rig.states() == [("refund", "skipped", "not_cancelled"), ("order", "delivered", "80 points")]


def test_cancelled_after_a_failed_payment_is_taken_back(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    for minute, changes in enumerate(({"paid": False, "status": "failed"}, {}, {"status": "cancelled"})):
        order(rig, shop, minute=minute, **changes)
        rig.work()
    assert points(rig) == {"1": (80, 80)}
    assert rig.violations() == []


def test_an_edit_does_not_change_what_there_is_to_take_back(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, total="50.00")
    rig.work()
    order(rig, shop, minute=2, total="50.00", status="cancelled")
    rig.work()
    assert points(rig) == {"1": (80, 80)}


def test_goods_taken_back_never_exceed_what_was_bought(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    order(rig, shop, minute=2, refunds=((9, "30.00"),), status="cancelled")
    rig.work()
    goods = [
        sum(line["price"] * line["quantity"] + line["taxes"] - line.get("discount", 0) for line in each["lineItems"])
        for each in rig.received("gameball")[1:]
    ]
    assert goods == [pytest.approx(30, abs=0.01), pytest.approx(50, abs=0.01)]


def test_a_lost_answer_is_not_taken_for_an_unchanged_state(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    order(rig, shop)
    rig.work()
    faults(rig, "esputnik", {"kind": "drop_after", "times": 1})
    order(rig, shop, minute=1, status="completed", date_completed_gmt="2026-11-21T02:11:08")
    rig.account()
    rig.deliverer.work()
    time.sleep(0.2)
    order(rig, shop, minute=2)
    rig.work()
    orders = rig.simulators.app.state("esputnik")["state"]["esputnik-key"]["orders"]
    assert {id_: each["status"] for id_, each in orders.items()} == {"1": "IN_PROGRESS"}


def test_shadow_shows_refunds_too(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball", mode="shadow")
    order(rig, shop)
    rig.work()
    order(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    assert [(action, state) for action, state, _ in rig.states()] == [("order", "shadow"), ("refund", "shadow")]
    assert rig.deliveries()[1]["payload"]["refundAmount"] == 30


def test_an_order_in_another_currency_than_the_shops_first_one_is_held(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    order(rig, shop, 1)
    order(rig, shop, 2, currency="USD")
    rig.work()
    assert {each["order"]: each["state"] for each in rig.deliveries()} == {"1": "delivered", "2": "held"}
