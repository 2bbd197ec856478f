"""Several worker processes, a broker that comes and goes, and nothing lost or doubled."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select, update

from app import factory, hints, worker
from app.models import Attempt, Delivery, Webhook
from app.models.delivery import CLAIMABLE, among
from app.services.precedence import Clerk
from bench.proxy import Proxy
from tests.bodies import woocommerce_order
from tests.processes import Running, until
from tests.rig import Rig

NOWHERE = "amqp://127.0.0.1:9"


@contextmanager
def furnished(folder: Path, postgres_url: str, broker_url: str) -> Iterator[tuple[Rig, int]]:
    """A server with a shop that reports to three providers; its workers are processes of their own."""
    with Rig(folder, database_url=postgres_url, broker_url=broker_url) as rig:
        shop = rig.shop("woocommerce")
        rig.switch_on(shop, "sprii", "seeka", "gameball")
        yield rig, shop


@contextmanager
def embedded(rig: Rig) -> Iterator[None]:
    """A worker in this process."""
    found = factory.create_worker(rig.parts)
    found.start()
    try:
        yield
    finally:
        found.stop()


def tell(rig: Rig, shop: int, first: int, number: int) -> None:
    for order_id in range(first, first + number):
        body = woocommerce_order(order_id, customer_id=order_id % 7 + 1, sprii=f"5934-{order_id}")
        assert rig.woocommerce(shop, "order.updated", body) == "stored"


def waiting(rig: Rig) -> int:
    """What is not done yet, and what nobody may take."""
    with rig.db.read() as session:
        webhooks = session.scalar(select(func.count()).where(Webhook.state == "pending")) or 0
        return webhooks + (session.scalar(select(func.count()).where(among(Delivery.state, CLAIMABLE))) or 0)


def delivered(rig: Rig) -> Counter[str]:
    return Counter(each["provider"] for each in rig.deliveries() if each["state"] == "delivered")


def unfinished(rig: Rig) -> list[dict[str, Any]]:
    return [each for each in rig.deliveries() if each["state"] not in ("delivered", "skipped")]


def all_of(number: int) -> dict[str, int]:
    return dict.fromkeys(("sprii", "seeka", "gameball"), number)


def times_sent(rig: Rig) -> set[int]:
    """How often deliveries were sent: ``{1}`` where each was once."""
    with rig.db.read() as session:
        rows = session.execute(select(func.count()).select_from(Attempt).group_by(Attempt.delivery_id))
        return {count for (count,) in rows}


def test_a_hint_is_followed_long_before_anybody_looks(
    tmp_path: Path, postgres_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IDLE", 60.0)
    monkeypatch.setattr(worker, "UPKEEP", 60.0)
    with furnished(tmp_path, postgres_url, broker_url) as (rig, shop), embedded(rig):
        time.sleep(1.0)  # the first look of all is over
        tell(rig, shop, 1, 5)
        until(lambda: delivered(rig) == all_of(5), 60)


def test_two_processes_share_the_work_and_do_nothing_twice(tmp_path: Path, postgres_url: str, broker_url: str) -> None:
    with furnished(tmp_path, postgres_url, broker_url) as (rig, shop):
        workers = [Running(tmp_path, "worker", **rig.environment) for _ in range(2)]
        with workers[0], workers[1]:
            for each in workers:
                assert each.line() == "Tillwire works (Ctrl-C stops it)"
            tell(rig, shop, 1, 40)
            until(lambda: delivered(rig) == all_of(40), 60)
            assert [each.stop() for each in workers] == [0, 0]
        assert times_sent(rig) == {1}
        assert rig.violations() == []


def test_one_of_two_is_killed_and_the_other_finishes(tmp_path: Path, postgres_url: str, broker_url: str) -> None:
    with furnished(tmp_path, postgres_url, broker_url) as (rig, shop):
        for name in ("sprii", "seeka", "gameball"):
            rig.simulators.app.set_faults(name, [{"kind": "delay", "seconds": 0.2}])
        with Running(tmp_path, "worker", **rig.environment) as one, Running(tmp_path, "worker", **rig.environment):
            one.line()
            tell(rig, shop, 1, 30)
            until(lambda: len(delivered(rig)) == 3, 60)
            one.stop(signal.SIGKILL)
            tell(rig, shop, 31, 10)

            def only_the_dead_ones_calls_wait() -> bool:
                with rig.db.read() as session:
                    free = among(Delivery.state, CLAIMABLE), Delivery.leased_until.is_(None)
                    left = session.scalar(select(func.count()).where(*free)) or 0
                return left == 0 and delivered(rig)["sprii"] >= 35

            until(only_the_dead_ones_calls_wait, 60)
            time.sleep(1.0)
            with rig.db.write() as session:  # as if the lease had run out
                stuck = Delivery.leased_until.is_not(None)
                session.execute(update(Delivery).where(stuck).values(leased_until=datetime.now(UTC) - timedelta(1)))
            until(lambda: not waiting(rig), 60)
        assert unfinished(rig) == []
        assert delivered(rig) == all_of(40)
        counted = rig.simulators.app.state("sprii")["state"]["sprii-key"]["orders"]
        assert {each["times"] for orders in counted.values() for each in orders.values()} == {1}
        assert rig.violations() == []


def test_a_broker_that_loses_everything_loses_nothing_of_ours(
    tmp_path: Path, postgres_url: str, broker_url: str
) -> None:
    with furnished(tmp_path, postgres_url, broker_url) as (rig, shop):
        tell(rig, shop, 1, 10)
        time.sleep(0.5)  # the hints are at the broker, and nobody listens
        assert rig.parts.hints is not None
        rig.parts.hints._broker.flush_all()
        with embedded(rig):
            until(lambda: delivered(rig) == all_of(10), 60)
        assert times_sent(rig) == {1}


def test_without_its_broker_it_takes_webhooks_and_delivers_all_the_same(tmp_path: Path, postgres_url: str) -> None:
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, shop), embedded(rig):
        answer = rig.client.get("/readyz")
        assert (answer.status_code, answer.get_json()) == (
            503,
            {"status": "not ready", "not_answering": ["broker"]},
        )
        started = time.monotonic()
        tell(rig, shop, 1, 10)
        assert time.monotonic() - started < 15
        until(lambda: delivered(rig) == all_of(10), 60)
        assert waiting(rig) == 0


def test_a_server_with_its_broker_is_ready(tmp_path: Path, postgres_url: str, broker_url: str) -> None:
    with furnished(tmp_path, postgres_url, broker_url) as (rig, _):
        assert rig.client.get("/readyz").get_json() == {"status": "ok"}


def test_a_broker_that_fell_silent_does_not_hold_up_the_end(tmp_path: Path, postgres_url: str, broker_url: str) -> None:
    there = urlsplit(broker_url)
    with Proxy(str(there.hostname), there.port or 5672) as proxy:
        account = f"{there.netloc.rpartition('@')[0]}@" if "@" in there.netloc else ""
        silent = there._replace(netloc=f"{account}127.0.0.1:{proxy.port}").geturl()
        with (
            furnished(tmp_path, postgres_url, silent) as (rig, shop),
            Running(tmp_path, "worker", **rig.environment) as one,
        ):
            one.line()
            tell(rig, shop, 1, 3)
            until(lambda: delivered(rig) == all_of(3), 60)
            threading.Thread(target=proxy.deafen, args=(60.0,), daemon=True).start()
            time.sleep(0.5)
            assert one.stop(timeout=25) == 0


def test_hints_of_an_hour_ago_are_not_followed(tmp_path: Path, postgres_url: str, broker_url: str) -> None:
    with furnished(tmp_path, postgres_url, broker_url) as (rig, _):
        found = rig.parts.hints
        assert found is not None
        followed: list[str] = []
        found._wake, found._settle = (
            (lambda others: followed.append(f"wake, others {others}")),
            (lambda: followed.append("settle")),
        )
        found._on_delivery(7, time.time() - 3600)
        found._on_webhooks(time.time() - 3600)
        assert followed == []
        found._on_delivery(7, time.time())
        found._on_webhooks(time.time())
        assert followed == ["settle", "wake, others False"]


def test_equal_hints_become_one(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, _):
        found = rig.parts.hints
        assert found is not None
        monkeypatch.setattr(hints, "GATHER", 0.2)
        monkeypatch.setattr(found._send, "send", lambda destination, at: sent.append(destination))
        found.deliveries([1, 2])
        until(lambda: sent == [1])  # whoever is woken claims for all of them
        for _ in range(50):
            found.deliveries([1, 2])
        until(lambda: sent == [1, 1])
        time.sleep(0.3)
        assert sent == [1, 1]


def test_webhooks_of_others_than_who_gets_very_many_are_told_of_at_once(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bool] = []
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, _):
        found = rig.parts.hints
        assert found is not None
        monkeypatch.setattr(hints, "GATHER", 60.0)
        monkeypatch.setattr(found._read, "send_with_options", lambda *, args, others: sent.append(others))
        found.webhooks()
        until(lambda: sent == [False])
        found.webhooks()
        time.sleep(0.3)
        assert sent == [False]
        found.webhooks(others=True)
        found.webhooks()
        until(lambda: sent == [False, True])
        found.webhooks()
        time.sleep(0.3)
        assert sent == [False, True]


def test_a_broker_that_takes_nothing_is_left_in_peace_whoever_it_is_for(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, _):
        found = rig.parts.hints
        assert found is not None

        def fail(**_: object) -> None:
            tries.append(time.monotonic())
            raise OSError

        monkeypatch.setattr(hints, "AFTER_ERROR", 60.0)
        monkeypatch.setattr(found._read, "send_with_options", fail)
        found.webhooks(others=True)
        until(lambda: tries)
        found.webhooks(others=True)
        time.sleep(0.3)
        assert len(tries) == 1


def test_who_delivers_beside_a_busy_shop_looks_as_soon_as_something_is_owed(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clerks step no more until it has looked, so a hint, which may wake another worker, is not enough."""
    told: list[set[int]] = []
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, _):
        made = factory.create_worker(rig.parts)
        monkeypatch.setattr(made._hints, "deliveries", told.append)
        with made._precedence.first(Clerk.ACCOUNTS):
            made._accountant.on_owed({1})
        assert (told, made._due.is_set(), made._precedence._called) == ([{1}], False, set())
        monkeypatch.setattr(made._precedence, "crowded", lambda: True)
        made._accountant.on_owed({2})  # to the busy one
        assert (told, made._due.is_set(), made._precedence._called) == ([{1}, {2}], False, set())
        with made._precedence.first(Clerk.ACCOUNTS):
            made._accountant.on_owed({3})
        assert (told, made._due.is_set(), made._precedence._called) == ([{1}, {2}, {3}], True, {Clerk.DELIVERS})
        made._deliverer.close()


def test_a_hint_says_whether_it_is_for_others(tmp_path: Path, postgres_url: str, broker_url: str) -> None:
    woken: list[bool] = []
    with furnished(tmp_path, postgres_url, broker_url) as (rig, _):
        found = rig.parts.hints
        assert found is not None
        found.listen(woken.append, lambda: None)
        for number, others in enumerate((False, True, False), 1):
            found.webhooks(others)
            until(lambda expected=number: len(woken) == expected)
        found.ignore()
        assert woken == [False, True, False]


def test_what_was_noted_is_told_before_the_end(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, _):
        found = rig.parts.hints
        assert found is not None
        monkeypatch.setattr(hints, "GATHER", 60.0)
        monkeypatch.setattr(found._send, "send", lambda destination, at: sent.append(destination))
        found.deliveries([1])
        until(lambda: sent == [1])
        found.deliveries([2])
        found.close()
        assert sent == [1, 2]


def test_many_destinations_wake_several_workers(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    with furnished(tmp_path, postgres_url, NOWHERE) as (rig, _):
        found = rig.parts.hints
        assert found is not None
        monkeypatch.setattr(found._send, "send", lambda destination, at: sent.append(destination))
        found.deliveries(range(1, 101))
        until(lambda: len(sent) == 4)
        assert sorted(sent) == [1, 33, 65, 97]
