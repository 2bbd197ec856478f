"""Several clerks at one PostgreSQL at the same time, each with its own connections: the rules hold for all together."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import func, select, update

from app import factory
from app.db import Database
from app.models import Attempt, Delivery, Destination, Event, Gate, Webhook
from app.models.delivery import CLAIMABLE, among
from app.providers.errors import Unauthorized, Unavailable
from app.providers.registry import PROVIDERS
from app.services import gates
from app.services.account import BATCH, Accountant
from app.services.budgets import PARTS, Budgets
from app.services.calls import Call, Caller
from app.services.deliver import Deliverer
from app.services.pauses import BREAK_AFTER
from app.services.route import Router
from tests.bodies import woocommerce_order
from tests.rig import FACTOR, Rig

CLERKS = 3


@pytest.fixture
def rig(tmp_path: Path, postgres_url: str) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        yield rig


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


class Clerk:
    """What one worker process has of its own: connections, compiled mappings, threads for calls."""

    def __init__(self, rig: Rig, factor: float = float(FACTOR)) -> None:
        self.db = Database(rig.config.database_url).of_clerks()
        router = Router(rig.parts.vault)
        self.accountant = Accountant(self.db, router)
        self.deliverer = Deliverer(
            self.db,
            router,
            Budgets(factor),
            caller=Caller(lambda target: factory.base_url(rig.config, target), allow_private=True),
            scale=factor,
        )

    def close(self) -> None:
        self.deliverer.close()
        self.db.close()


@contextmanager
def clerks(rig: Rig, number: int = CLERKS, factor: float = float(FACTOR)) -> Iterator[list[Clerk]]:
    with ExitStack() as stack:
        found = [Clerk(rig, factor) for _ in range(number)]
        for each in found:
            stack.callback(each.close)
        yield found


def together(work: list[Callable[[], int]], done: Callable[[], bool], seconds: float = 60.0) -> None:
    """Each in a thread of its own, again and again, until ``done``."""
    over, errors = threading.Event(), list[BaseException]()

    def loop(each: Callable[[], int]) -> None:
        try:
            while not over.is_set():
                if not each():
                    time.sleep(0.005)
        except BaseException as error:
            errors.append(error)
            over.set()

    threads = [threading.Thread(target=loop, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    while not over.is_set() and not done() and time.monotonic() < until:
        time.sleep(0.02)
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert done()


def count(rig: Rig, table: Any, *wanted: Any) -> int:
    with rig.db.read() as session:
        return int(session.scalar(select(func.count()).select_from(table).where(*wanted)) or 0)


def at_rest(rig: Rig) -> bool:
    return not count(rig, Webhook, Webhook.state == "pending") and not count(
        rig, Delivery, among(Delivery.state, CLAIMABLE)
    )


def order(rig: Rig, shop: int, order_id: int, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


def test_all_that_was_told_is_accounted_for_and_sent_once(rig: Rig) -> None:
    shops = [rig.shop("woocommerce", f"https://store-{number}.example") for number in range(4)]
    for shop in shops:
        rig.switch_on(shop, "sprii", "seeka", "gameball")
    for order_id in range(1, 21):
        for shop in shops:
            order(rig, shop, order_id, customer_id=order_id % 3 + 1)
            order(rig, shop, order_id, customer_id=order_id % 3 + 1, minute=1, refunds=((100 + order_id, "30.00"),))
    with clerks(rig) as found:
        together(
            [each.accountant.work for each in found] + [each.deliverer.work for each in found], lambda: at_rest(rig)
        )
    assert count(rig, Event, Event.state == "error") == 0
    sent_to = Counter(each["provider"] for each in rig.deliveries() if each["state"] == "delivered")
    assert sent_to == {"sprii": 4 * 20, "seeka": 4 * 20, "gameball": 2 * 4 * 20}
    assert {each["reason"] for each in rig.deliveries() if each["state"] != "delivered"} == {"unsupported_event"}
    with rig.db.read() as session:
        assert list(session.scalars(select(Attempt.outcome).distinct())) == ["accepted"]
        sent = session.execute(select(Attempt.delivery_id, func.count()).group_by(Attempt.delivery_id)).all()
    assert {times for _, times in sent} == {1}
    assert rig.violations() == []


def test_a_refund_never_overtakes_its_purchase_whoever_sends_them(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    rig.simulators.app.set_faults("gameball", [{"kind": "503", "times": 25, "path": "/orders"}])
    for order_id in range(1, 16):
        order(rig, shop, order_id, customer_id=order_id)
        order(rig, shop, order_id, customer_id=order_id, minute=1, refunds=((100 + order_id, "30.00"),))
    rig.account()
    with clerks(rig) as found:
        together([each.deliverer.work for each in found], lambda: at_rest(rig))
    taken: dict[str, list[str]] = {}
    for each in rig.simulators.app.requests("gameball"):
        if each["status"] == 200:
            body = each["body"]
            taken.setdefault(body.get("orderId") or body["reverseTransactionId"], []).append(
                each["path"].rpartition("/")[2]
            )
    assert taken == {str(order_id): ["orders", "refund"] for order_id in range(1, 16)}


def test_one_call_at_a_time_per_customer(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    rig.simulators.app.set_faults("gameball", [{"kind": "delay", "seconds": 0.05}])
    for order_id in range(1, 25):
        order(rig, shop, order_id, customer_id=order_id % 3 + 5)
    rig.account()
    with clerks(rig) as found:
        together([each.deliverer.work for each in found], lambda: at_rest(rig))
    assert {each["state"] for each in rig.deliveries()} == {"delivered"}
    assert rig.violations() == []


def test_a_destination_has_no_more_calls_at_a_time_than_its_provider_wants(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    rig.simulators.app.set_faults("sprii", [{"kind": "delay", "seconds": 0.1}])
    for order_id in range(1, 31):
        order(rig, shop, order_id)
    rig.account()
    most = [0]

    def look() -> int:
        under_way = Delivery.leased_until > datetime.now(UTC)
        with rig.db.read() as session:
            calls = session.scalar(select(func.count(Delivery.call_id.distinct())).where(under_way)) or 0
        most[0] = max(most[0], calls)
        return 0

    with clerks(rig) as found:
        together([look, *(each.deliverer.work for each in found)], lambda: at_rest(rig))
    assert most[0] == 4


def calls_of(rig: Rig, found: list[Clerk], seconds: float) -> tuple[int, float]:
    """Let all of them work for so long; return how many calls they made, and in how many seconds."""
    began = time.monotonic()
    together([each.deliverer.work for each in found], lambda: time.monotonic() > began + seconds)
    return count(rig, Attempt), time.monotonic() - began


def test_the_budget_of_a_merchant_is_one_for_all(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    for order_id in range(1, 61):
        order(rig, shop, order_id, customer_id=order_id)
    rig.account()
    with clerks(rig, factor=0.2) as found:  # 6 a second
        calls, seconds = calls_of(rig, found, 2.5)
    assert 6 <= calls <= 6 * (seconds + 1)


def test_the_budget_of_an_installation_is_one_for_all_merchants(rig: Rig) -> None:
    for number in range(3):
        shop = rig.shop("woocommerce", f"https://store-{number}.example")
        rig.switch_on(shop, "seeka")
        for order_id in range(1, 16):
            order(rig, shop, order_id)
    with rig.db.write() as session:
        session.execute(update(Delivery).values(singly=True))
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(singly=True))  # a batch is one call
    with clerks(rig, factor=0.2) as found:  # 4 a second
        calls, seconds = calls_of(rig, found, 2.5)
    assert 4 <= calls <= 4 * (seconds + 1)


def test_what_others_spent_while_a_claim_waited_for_the_budget_of_all_is_not_forgotten(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        shop = rig.shop("woocommerce", f"https://store-{number}.example")
        rig.switch_on(shop, "seeka")
        for order_id in range(1, 6):
            order(rig, shop, order_id)
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(singly=True))  # a batch is one call
    mine, theirs = destinations(rig, "seeka")
    enter, meanwhile = gates.enter, list[int]()
    with clerks(rig, 2, factor=0.2) as [one, other]:  # 4 a second
        for each in (one, other):
            monkeypatch.setattr(each.deliverer.caller, "start", lambda call: None)

        def others_first(*given: Any) -> Gate:
            if not meanwhile:  # the claim has read the clock
                meanwhile.append(0)
                time.sleep(2 / PARTS)
                meanwhile[0] = other.deliverer.deliver(theirs)
            return enter(*given)

        monkeypatch.setattr(gates, "enter", others_first)
        assert one.deliverer.deliver(mine) == 0
        assert meanwhile == [4]
        time.sleep(1 + 2 / PARTS)
        assert one.deliverer.deliver(mine) == 4


def test_what_is_asked_after_a_refusal_keeps_to_the_budget_too(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    time_exists = {"kind": "422", "body": {"code": 9003}, "contains": "totalPaid"}
    rig.simulators.app.set_faults("gameball", [time_exists, {"kind": "delay", "seconds": 0.05}])
    for order_id in range(1, 41):
        order(rig, shop, order_id, customer_id=order_id)
    rig.account()
    with clerks(rig, factor=0.4) as found:  # 12 a second
        end = time.monotonic() + 2.5
        together([each.deliverer.work for each in found], lambda: time.monotonic() > end)
    requests = rig.simulators.app.requests("gameball")
    assert [each["method"] for each in requests].count("GET") >= 6
    times = [each["at"] for each in requests]
    assert max(sum(since <= each < since + 1 for each in times) for since in times) <= 12


def test_failures_that_different_workers_met_pause_a_destination_for_all(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    rig.simulators.app.set_faults("sprii", [{"kind": "503"}])
    for order_id in range(1, 40):
        order(rig, shop, order_id)
    rig.account()
    with clerks(rig, factor=1.0) as found:
        until = time.monotonic() + 20
        while count(rig, Gate, Gate.failures >= BREAK_AFTER) == 0:
            assert time.monotonic() < until
            for each in found:
                each.deliverer.work()
        for each in found:
            while not each.deliverer.settle():
                time.sleep(0.01)
        before = len(rig.received("sprii"))
        assert before <= 12
        assert [each.deliverer.work() for each in found] == [0] * CLERKS
        with rig.db.write() as session:  # as if it were over
            session.execute(update(Gate).values(paused_until=datetime.now(UTC) - timedelta(seconds=1), calls={}))
            session.execute(update(Delivery).values(due_at=datetime.now(UTC) - timedelta(seconds=1)))
        assert sum(each.deliverer.work() for each in found) == 1  # one call feels whether it is back
        for each in found:
            while not each.deliverer.settle():
                time.sleep(0.01)
    assert len(rig.received("sprii")) == before + 1


def test_while_one_worker_claims_for_a_destination_another_turns_to_the_next(rig: Rig) -> None:
    first, second = (rig.shop("woocommerce", f"https://store-{number}.example") for number in (1, 2))
    for shop in (first, second):
        rig.switch_on(shop, "spotler")
        order(rig, shop, 1)
    rig.account()
    with rig.db.write() as session:
        claimed, other = session.scalars(select(Destination.id).order_by(Destination.shop_id))
        gates.enter(session, gates.own(claimed))
    with clerks(rig, 1) as [clerk], rig.db.write() as session:
        gates.enter(session, gates.own(claimed))
        assert clerk.deliverer.deliver(claimed) == 0
        assert clerk.deliverer.deliver(other) == 1


def destinations(rig: Rig, provider: str) -> list[int]:
    with rig.db.read() as session:
        wanted = select(Destination.id).where(Destination.provider == provider).order_by(Destination.id)
        return list(session.scalars(wanted))


def two_shops(rig: Rig) -> None:
    for number in (1, 2):
        shop = rig.shop("woocommerce", f"https://store-{number}.example")
        rig.switch_on(shop, "sprii", "seeka")
        order(rig, shop, 1)
    rig.account()


def finish(threads: list[threading.Thread], errors: list[BaseException]) -> None:
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert errors == []


def in_thread(work: Callable[[], object], errors: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_claims_for_several_providers_with_one_budget_each_never_wait_for_each_other_in_a_circle(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast(Any, PROVIDERS), "sprii", dataclasses.replace(PROVIDERS["sprii"], shared_limits=True))
    two_shops(rig)
    (sprii, other_sprii), (seeka, other_seeka) = destinations(rig, "sprii"), destinations(rig, "seeka")
    with rig.db.write() as session:
        for name in ("sprii", "seeka"):
            gates.enter(session, gates.of(name, 0))
    both, enter = threading.Barrier(2), gates.enter

    def enter_and_linger(*given: Any) -> Gate:
        found = enter(*given)
        with suppress(threading.BrokenBarrierError):
            both.wait(1.0)  # until the other one has its first gate, too
        return found

    monkeypatch.setattr(gates, "enter", enter_and_linger)
    errors: list[BaseException] = []
    with clerks(rig, 2) as [one, two]:
        threads = [
            in_thread(lambda: one.deliverer._claim([sprii, seeka]), errors),
            in_thread(lambda: two.deliverer._claim([other_seeka, other_sprii]), errors),
        ]
        finish(threads, errors)
    assert count(rig, Attempt) == 4


def test_who_settles_a_failure_and_a_refusal_does_not_wait_for_who_claims_in_a_circle(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_shops(rig)
    (sprii, _), (seeka, _) = destinations(rig, "sprii"), destinations(rig, "seeka")
    errors: list[BaseException] = []
    with clerks(rig, 2) as [one, two]:
        under_way: list[Call] = []
        monkeypatch.setattr(two.deliverer.caller, "start", under_way.extend)
        assert two.deliverer._claim([sprii, seeka])[0] == 2
        for call in under_way:
            call.outcomes = [Unavailable("down") if call.target.provider == "seeka" else Unauthorized("wrong key")]
        two.deliverer.caller.give_back(under_way)
        order(rig, 1, 2)
        rig.account()
        enter, settling = gates.enter, list[threading.Thread]()

        def settled_meanwhile(*given: Any) -> Gate:
            if not settling:  # the claim has both destinations, and is about to ask for Seeka's budget
                settling.append(in_thread(two.deliverer.settle, errors))
                settling[0].join(1.0)
            return enter(*given)

        monkeypatch.setattr(gates, "enter", settled_meanwhile)
        claiming = in_thread(lambda: one.deliverer._claim([sprii, seeka]), errors)
        claiming.join(30)
        finish([claiming, *settling], errors)
        assert count(rig, Destination, Destination.held == "wrong key", Destination.id == sprii) == 1
        assert count(rig, Gate, Gate.failures == 1) == 1


def test_a_burst_of_one_shop_does_not_stand_before_another_shops_order(rig: Rig) -> None:
    busy, quiet = (rig.shop("woocommerce", f"https://store-{number}.example") for number in (1, 2))
    rig.switch_on(busy, "sprii")
    rig.switch_on(quiet, "sprii")
    for order_id in range(1, 5 * BATCH):
        order(rig, busy, order_id)
    order(rig, quiet, 1)
    rig.accountant.work()
    assert count(rig, Webhook, Webhook.state == "pending", Webhook.shop_id == quiet) == 0
    assert count(rig, Webhook, Webhook.state == "pending", Webhook.shop_id == busy) == 4 * BATCH - 1
    rig.account()
    order(rig, quiet, 2)
    rig.account()
    rig.deliverer.work()
    assert count(rig, Delivery, Delivery.shop_id == quiet, Delivery.attempts == 1) == 2
    assert count(rig, Delivery, Delivery.shop_id == busy, Delivery.attempts == 1) < 5


def test_what_a_dead_worker_left_comes_back_when_its_lease_runs_out_and_not_before(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "sprii")
    order(rig, shop, 1)
    rig.account()
    with clerks(rig, 2) as [dead, living]:
        monkeypatch.setattr(dead.deliverer.caller, "start", lambda call: None)
        assert dead.deliverer.work() == 1
        assert living.deliverer.work() == 0
        with rig.db.write() as session:
            session.execute(update(Delivery).values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
        together([living.deliverer.work], lambda: at_rest(rig))
    with rig.db.read() as session:
        tries = session.execute(select(Attempt.purpose, Attempt.outcome).order_by(Attempt.id)).all()
    assert [tuple(each) for each in tries] == [("send", "answer lost"), ("ask", "absent"), ("send", "accepted")]


def test_one_worker_at_a_time_is_at_a_shop(rig: Rig, shop: int) -> None:
    order(rig, shop, 1)
    with clerks(rig, 2) as [one, other], one.db.turns([shop]) as ours:
        assert ours == {shop}
        assert other.accountant.work() == 0
    assert rig.accountant.work() == 1
