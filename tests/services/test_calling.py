"""Calls in a process of their own: the same outcomes as in threads, and what follows when that process dies."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import factory
from app.db import Database
from app.models import Attempt, Delivery
from app.providers import exchanges
from app.providers.errors import AnswerLost, DeliveryError, NeedsMending, Refused, Unauthorized, Unavailable
from app.providers.exchanges import Result
from app.services import calling
from app.services.calls import CALLS, Caller
from app.services.holds import LEASE
from app.services.settle import ASKS
from tests.bodies import woocommerce_order
from tests.processes import Running, environment
from tests.rig import Rig

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends it with its parent")


@pytest.fixture
def apart(rig: Rig) -> Rig:
    """A rig whose calls are made in a process of their own."""
    rig.deliverer.close()
    rig.deliverer.caller = caller(rig)
    return rig


def caller(rig: Rig, transport: str = "requests") -> Caller:
    return factory.create_caller(dataclasses.replace(rig.config, calls_in="process", transport=transport))


def started(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process begin before anything is claimed, however busy the machine is: calls wait for it only so long."""
    with monkeypatch.context() as patient:
        patient.setattr(calling, "START", 60.0)
        rig.deliverer.caller._made_by.start({})


def pid() -> int:
    """The process that makes the calls."""
    until = time.monotonic() + 60
    while True:
        for task in Path("/proc/self/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"app.providers.calling" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        assert time.monotonic() < until
        time.sleep(0.01)


def order(rig: Rig, shop: int, order_id: int = 1, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


def owing(rig: Rig, *providers: str) -> None:
    """An order is to be told to ``providers``, and nothing was claimed yet."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, *providers)
    order(rig, shop)
    rig.account()


def faults(rig: Rig, provider: str, *plan: dict[str, Any]) -> None:
    rig.simulators.app.set_faults(provider, list(plan))


def outcomes(rig: Rig) -> list[tuple[str, str, str | None]]:
    with rig.db.read() as session:
        made = select(Delivery.provider, Attempt.purpose, Attempt.outcome).join(Delivery)
        return [(*row,) for row in session.execute(made.order_by(Attempt.delivery_id, Attempt.number))]


def under_way(rig: Rig, provider: str) -> None:
    """Wait until the provider has got a call."""
    until = time.monotonic() + 60
    while not rig.simulators.app.requests(provider):
        assert time.monotonic() < until
        time.sleep(0.005)


def settled(rig: Rig) -> None:
    until = time.monotonic() + 60
    while not rig.deliverer.settle():
        assert time.monotonic() < until
        time.sleep(0.005)


# --- the same as in threads -------------------------------------------------------------------------------------------


def told(rig: Rig) -> tuple[list[tuple[str, str, str | None]], dict[str, list[Any]], list[Any]]:
    """Orders that are accepted, refused, refused as a batch, and lost: outcomes, what arrived, and the states."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop)
    faults(rig, "esputnik", {"kind": "partial", "times": 1})
    faults(rig, "seeka", {"kind": "status", "status": 422, "times": 1, "body": {"message": "no"}})
    faults(rig, "sprii", {"kind": "drop_after", "times": 1})
    faults(rig, "gameball", {"kind": "503", "times": 1})
    for number in (1, 2, 3):
        order(rig, shop, number)
        rig.work()
    received = {
        name: sorted((each["body"] for each in rig.simulators.app.requests(name)), key=str)
        for name in ("sprii", "spotler", "seeka", "gameball", "esputnik")
    }
    assert rig.violations() == []
    return outcomes(rig), received, sorted(rig.states(), key=str)


@pytest.mark.parametrize("transport", ["requests", "lean"])
def test_what_comes_of_calls_is_the_same_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    with Rig(tmp_path / "one") as rig:
        here = told(rig)
    with Rig(tmp_path / "other") as rig:
        rig.deliverer.close()
        rig.deliverer.caller = caller(rig, transport)
        started(rig, monkeypatch)
        there = told(rig)
    assert there == here


def test_a_lost_answer_is_asked_about_from_there(apart: Rig) -> None:
    shop = apart.shop("woocommerce")
    apart.switch_on(shop, "sprii")
    faults(apart, "sprii", {"kind": "drop_after", "times": 1})
    order(apart, shop)
    apart.work()
    assert outcomes(apart) == [("sprii", "send", "answer lost"), ("sprii", "ask", "applied")]


def test_a_call_that_begins_too_late_is_not_made_there_either(apart: Rig) -> None:
    owing(apart, "gameball")
    start = apart.deliverer.caller.start

    def slept(calls: Any) -> None:
        for each in calls:
            each.claimed_at -= exchanges.LATEST + 1
        start(calls)

    apart.deliverer.caller.start = slept  # type: ignore[method-assign]
    apart.deliverer.work()
    settled(apart)
    assert apart.states() == [("order", "retrying", "not sent: it was begun too late")]
    assert apart.received("gameball") == []


def test_what_is_under_way_is_ended_before_its_lease_is_over() -> None:
    assert exchanges.LONGEST < calling.STUCK
    assert LEASE.total_seconds() > calling.STUCK + calling.LOOK
    assert calling.START < exchanges.LATEST


# --- its end ----------------------------------------------------------------------------------------------------------


@LINUX
def test_killed_during_a_call_its_answer_is_lost_and_the_next_call_starts_another(
    apart: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(apart, monkeypatch)
    shop = apart.shop("woocommerce")
    apart.switch_on(shop, "sprii", "gameball")
    for name in ("sprii", "gameball"):
        faults(apart, name, {"kind": "slow_drip", "seconds": 0.5, "times": 1})  # applied, and answered slowly
    order(apart, shop)
    apart.account()
    apart.deliverer.work()
    under_way(apart, "sprii")
    under_way(apart, "gameball")
    first = pid()
    os.kill(first, signal.SIGKILL)
    settled(apart)
    assert outcomes(apart) == [("sprii", "send", "answer lost"), ("gameball", "send", "answer lost")]
    apart.work()
    assert pid() != first
    assert [each["state"] for each in apart.deliveries()] == ["delivered", "delivered"]
    assert outcomes(apart)[1][:2] == ("sprii", "ask")
    account = apart.simulators.app.state("sprii")["state"]["sprii-key"]
    assert {id_: each["times"] for orders in account["orders"].values() for id_, each in orders.items()} == {"1": 1}


@LINUX
def test_killed_between_calls_nothing_is_lost(apart: Rig) -> None:
    shop = apart.shop("woocommerce")
    apart.switch_on(shop, "gameball")
    order(apart, shop, 1)
    apart.work()
    os.kill(pid(), signal.SIGKILL)
    order(apart, shop, 2)
    apart.work()
    assert [each["state"] for each in apart.deliveries()] == ["delivered", "delivered"]
    # It may have been handed over to a process that was ending just then: then it was sent again.
    assert len(apart.received("gameball")) == 2


@LINUX
def test_one_that_does_not_answer_any_more_is_ended(apart: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "LOOK", 0.1)
    monkeypatch.setattr(calling, "AGAIN", 0.0)
    started(apart, monkeypatch)
    shop = apart.shop("woocommerce")
    apart.switch_on(shop, "gameball")
    order(apart, shop, 1)
    apart.work()
    monkeypatch.setattr(calling, "STUCK", 3.0)
    stopped = pid()
    os.kill(stopped, signal.SIGSTOP)
    order(apart, shop, 2)
    apart.work()
    assert pid() != stopped
    assert [each["state"] for each in apart.deliveries()] == ["delivered", "delivered"]
    assert outcomes(apart)[1:] == [("gameball", "send", "not made"), ("gameball", "send", "accepted")]


@pytest.mark.parametrize(
    "command",
    [
        ["/nowhere/python"],
        [sys.executable, "-c", "raise ImportError"],
        [sys.executable, "-c", "import time; time.sleep(600)"],
    ],
    ids=["no program", "dies", "hangs"],
)
def test_one_that_does_not_start_delays_and_nothing_counts_as_sent(
    apart: Rig, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(calling, "START", 0.5)
    made_by: Any = apart.deliverer.caller._made_by
    working, made_by._command = made_by._command, command
    owing(apart, "sprii", "gameball")
    until = time.monotonic() + 60
    while len(outcomes(apart)) < 2 * (ASKS + 3):
        assert time.monotonic() < until
        apart.deliverer.work()
        settled(apart)
    assert {outcome for _, _, outcome in outcomes(apart)} == {"not made"}
    assert {(state, reason) for _, state, reason in apart.states()} == {
        ("retrying", "not sent: the process that makes the calls does not start")
    }
    assert made_by._not_before > time.monotonic() - calling.AGAIN  # not a process for each round
    assert (apart.received("sprii"), apart.received("gameball")) == ([], [])
    made_by._command, made_by._not_before = working, 0.0
    with suppress(OSError):  # the one that hangs is still there
        made_by._child._ours.shutdown(socket.SHUT_RDWR)
    monkeypatch.setattr(calling, "START", 60.0)
    monkeypatch.setattr(calling, "AGAIN", 0.0)
    apart.work()
    assert {each["state"] for each in apart.deliveries()} == {"delivered"}


def test_what_it_had_taken_is_lost_and_what_it_had_not_was_not_sent(apart: Rig) -> None:
    made_by: Any = apart.deliverer.caller._made_by
    made_by._command = [sys.executable, "-c", TAKES_ONE]
    shop = apart.shop("woocommerce")
    apart.switch_on(shop, "gameball")
    order(apart, shop, 1, customer_id=1)
    apart.account()
    apart.deliverer.work()
    until = time.monotonic() + 60
    while not made_by._child._taken:
        assert time.monotonic() < until
        time.sleep(0.005)
    order(apart, shop, 2, customer_id=2)
    apart.account()
    apart.deliverer.work()
    settled(apart)
    assert outcomes(apart) == [("gameball", "send", "answer lost"), ("gameball", "send", "not made")]


#: It takes the first jobs that it is given, and dies at the next without reading them.
TAKES_ONE = """
import select
from multiprocessing.connection import Connection
line = Connection(0)
line.send([])
line.send(list(line.recv()))
select.select([0], [], [])
"""


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("later", retry_after=3.5, attempts=5),
        Unauthorized("key"),
        NeedsMending("currency"),
        Refused("no"),
        AnswerLost("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_through_whole(error: DeliveryError) -> None:
    found = pickle.loads(pickle.dumps(Result(outcomes=[error]))).outcomes[0]
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_of_us_does_not_cut_its_calls_short(
    apart: Rig, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started(apart, monkeypatch)
    shop = apart.shop("woocommerce")
    apart.switch_on(shop, "gameball")
    faults(apart, "gameball", {"kind": "delay", "seconds": 1, "times": 1})
    order(apart, shop)
    apart.account()
    apart.deliverer.work()
    under_way(apart, "gameball")
    os.kill(pid(), number)
    apart.deliverer.close()
    assert outcomes(apart) == [("gameball", "send", "accepted")]


def test_closed_twice_or_never_used_it_is_closed(rig: Rig) -> None:
    made = caller(rig)
    made.close()
    made.close()
    rig.deliverer.caller = caller(rig)
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    rig.work()
    rig.deliverer.close()
    rig.deliverer.close()


def test_what_cannot_be_handed_over_counts_as_lost_and_holds_no_thread(apart: Rig) -> None:
    owing(apart, "gameball")
    start = apart.deliverer.caller.start

    def broken(calls: Any) -> None:
        calls[0].items[0].payload["odd"] = threading.Lock()
        start(calls)

    apart.deliverer.caller.start = broken  # type: ignore[method-assign]
    apart.deliverer.work()
    settled(apart)
    assert apart.deliverer.caller.room() == CALLS[True]
    assert outcomes(apart) == [("gameball", "send", "answer lost")]
    apart.deliverer.caller.start = start  # type: ignore[method-assign]
    apart.work()
    assert [each["state"] for each in apart.deliveries()] == ["delivered"]


# --- and its parent's -------------------------------------------------------------------------------------------------

WORKER = """
import sys, time
from contextlib import ExitStack
from app.db import Database
from app.providers.exchanges import Job
from app.services.calling import Apart

db = Database(sys.argv[1])
stack = ExitStack()
assert db.alone(stack)
apart = Apart(4, lambda number, result: None, transport="requests", allow_private=True)
job = Job(provider="gameball", action="order", payloads=[{}],
          settings={"api_key": "gameball-key", "secret_key": "gameball-secret"},
          base_url=sys.argv[2], question=False, claimed_at=time.monotonic())
apart.start({1: job})
print("started", flush=True)
time.sleep(600)
"""


@LINUX
def test_killed_its_parent_takes_it_along_and_until_then_nobody_else_begins(rig: Rig, tmp_path: Path) -> None:
    faults(rig, "gameball", {"kind": "delay", "seconds": 60, "times": 1})
    url = f"sqlite:///{tmp_path / 'worker.db'}"
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, url, rig.simulators.base("gameball")],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        under_way(rig, "gameball")
        children = [
            int(each)
            for task in Path(f"/proc/{process.pid}/task").iterdir()
            for each in (task / "children").read_text().split()
        ]
        assert len(children) == 1
        assert os.readlink(f"/proc/{process.pid}/exe") == os.readlink(f"/proc/{children[0]}/exe")
        files = {os.readlink(f"/proc/{children[0]}/fd/{each}") for each in os.listdir(f"/proc/{children[0]}/fd")}
        # The lock, and neither the database nor anything else of its parent's.
        assert {each for each in files if each.startswith(str(tmp_path))} == {str(tmp_path / "worker.db.worker")}
        # Stopped it does not see its socket end: only the kernel can end it.
        os.kill(children[0], signal.SIGSTOP)
        with ExitStack() as stack:
            db = Database(url)
            stack.callback(db.close)
            assert db.alone(stack) is None
        process.kill()
        process.wait()
        until = time.monotonic() + 30
        while Path(f"/proc/{children[0]}/cmdline").exists() and Path(f"/proc/{children[0]}/cmdline").read_bytes():
            assert time.monotonic() < until
            time.sleep(0.005)
    with ExitStack() as stack:
        db = Database(url)
        stack.callback(db.close)
        until = time.monotonic() + 30
        while db.alone(stack) is None:
            assert time.monotonic() < until
            time.sleep(0.01)


@LINUX
def test_serving_makes_its_calls_there_and_leaves_nobody_behind(rig: Rig, tmp_path: Path) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    order(rig, shop)
    with Running(tmp_path, "serve", "--port", "0", **rig.environment) as serving:
        under_way(rig, "gameball")
        found = [
            int(each)
            for task in Path(f"/proc/{serving.process.pid}/task").iterdir()
            for each in (task / "children").read_text().split()
        ]
        assert len(found) == 1
        assert serving.stop() == 0
    assert not Path(f"/proc/{found[0]}").exists()
    assert [each["state"] for each in rig.deliveries()] == ["delivered"]
