"""The fault runs themselves: a short round of either mode, that faults do what they say, and that losses are found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pika
import psycopg
import pytest
import redis
import requests
from sqlalchemy import insert, make_url, select, update

from app.models import Attempt, Delivery, Webhook
from bench import clock, faults
from bench.brokers import RabbitMQ, Redis
from bench.clock import Clock
from bench.disk import Disk, NoDisk, allow_no_writing, allow_writing
from bench.faults import Progress
from bench.judged import Failed
from bench.nursery import Nursery
from bench.ports import free_port
from bench.proxy import Proxy
from bench.rounds import Ground, run_round
from bench.rows import check_rows
from bench.servers import Postgres, programs
from tests.bodies import woocommerce_order
from tests.conftest import missing
from tests.processes import answers, until
from tests.rig import Rig


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says again what it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client:
            while data := client.recv(100):
                client.sendall(data)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    serving.join()
    listener.close()


def told(proxy: Proxy) -> bytes:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
        client.sendall(b"hello")
        return client.recv(100)


def test_a_proxy_passes_on_and_can_be_cut(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy:
        assert told(proxy) == b"hello"
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            proxy.cut(0.0)
            assert client.recv(100) == b""
        assert told(proxy) == b"hello"


def test_a_deaf_client_is_cut_off_without_its_answer(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        deaf = threading.Thread(target=proxy.deafen, args=(0.5,))
        deaf.start()
        until(lambda: not proxy._hearing.is_set())
        client.sendall(b"and again")
        assert client.recv(100) == b""
        deaf.join()


# --- rounds -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with Ground() as ground:
        yield ground


@pytest.mark.parametrize("seed", [3, 4])  # one with clocks that are stepped, one killed while it makes its tables
def test_one_process_on_sqlite_loses_and_doubles_nothing_whatever_happens(ground: Ground, seed: int) -> None:
    assert sum(run_round(ground, "embedded", seed, 1, faults=2).values()) >= 2


def test_a_web_process_and_two_workers_lose_and_double_nothing_whatever_happens(ground: Ground) -> None:
    if programs() is None:
        missing("PostgreSQL's programs are not installed")
    assert sum(run_round(ground, "large", 11, 1, faults=3).values()) >= 3


def test_what_passed_is_not_run_again_and_what_failed_is_told_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(faults, "PROGRESS", tmp_path / "faults.json")
    ran: list[int] = []

    def round_(_ground: Ground, _mode: str, seed: int, _size: int, **_options: object) -> dict[str, int]:
        ran.append(seed)
        if seed == 1:
            raise Failed("lost one")
        return {"kill web": seed + 1}

    monkeypatch.setattr(faults.rounds, "run_round", round_)
    wanted = ["--mode", "embedded", "--rounds", "3", "--size", "2", "--faults", "4"]
    assert faults.main(wanted) == 1
    assert "python -m bench.faults --mode embedded --size 2 --faults 4 --seed 1 --rounds 1 --again" in (
        capsys.readouterr().out
    )
    assert faults.main(wanted) == 1
    assert ran == [0, 1, 2, 1]
    assert list(Progress(tmp_path / "faults.json").summary()) == [
        "embedded: 2 rounds passed (kill web 4)",
        "FAILED --mode embedded --size 2 --faults 4 --seed 1: lost one",
    ]


def test_rounds_of_other_code_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"code": "other", "passed": {"--mode large --seed 1": {}}, "failed": {}}))
    assert list(Progress(file).summary()) == []


# --- what is thrown ---------------------------------------------------------------------------------------------------


@pytest.fixture
def postgres(ground: Ground) -> Postgres:
    if (found := ground.postgres()[0]) is None:
        missing("PostgreSQL's programs are not installed")
    assert found
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_the_database_can_be_stopped_and_killed_and_comes_back_with_all(
    postgres: Postgres, how: signal.Signals
) -> None:
    with postgres.database() as url:
        where = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(where) as connection:
            connection.execute("INSERT INTO accounts (email, created_at) VALUES ('a@shop.example', now())")
        postgres.stop(how)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(where)
        postgres.start()
        with psycopg.connect(where) as connection:
            assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (1,)


def test_a_redis_of_our_own_comes_back_empty(tmp_path: Path) -> None:
    if not shutil.which("redis-server"):
        missing("Redis is not installed")
    with Redis(tmp_path) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("a", 1)
        server.stop(signal.SIGKILL)
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("a") is None


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_rabbitmq_of_our_own_comes_back_with_its_queues(tmp_path: Path, how: signal.Signals) -> None:
    if not RabbitMQ.installed():
        missing("RabbitMQ is not installed")
    with RabbitMQ(tmp_path) as server:
        parameters = pika.URLParameters(server.url)
        with pika.BlockingConnection(parameters) as connection:
            connection.channel().queue_declare("kept", durable=True)
        server.stop(how)
        with pytest.raises(pika.exceptions.AMQPError):
            pika.BlockingConnection(parameters)
        server.start()
        with pika.BlockingConnection(parameters) as connection:
            connection.channel().queue_declare("kept", durable=True, passive=True)


def test_a_full_disk_takes_nothing_until_it_is_freed(tmp_path: Path) -> None:
    try:
        disk = Disk(tmp_path / "disk", 1)
    except NoDisk:
        missing("no file system can be mounted by this user")
        return
    with disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left on device"):
            (disk.folder / "one").write_bytes(b"1")
        disk.free()
        (disk.folder / "one").write_bytes(b"1")


def test_a_process_may_be_forbidden_to_write_for_a_while(tmp_path: Path) -> None:
    code = "for _ in range(3): input(); print(try_())"
    tried = f"""
def try_():
    try:
        with open({str(tmp_path / "one")!r}, "wb") as file:
            file.write(b"two")
    except OSError as error:
        return error.strerror
    return "written"
"""
    ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, "-u", "-c", tried + code], **ends) as process:  # type: ignore[call-overload]

        def told() -> str:
            process.stdin.write("\n")
            return str(process.stdout.readline().strip())

        found = [told()]
        allow_no_writing(process.pid)
        found.append(told())
        allow_writing(process.pid)
        found.append(told())
    assert found == ["written", "File too large", "written"]


def test_a_child_is_killed_and_says_so(tmp_path: Path) -> None:
    with Nursery() as nursery:
        child = nursery.start(["--version"], dict(os.environ), tmp_path / "log")
        assert child.wait(60) == 0
        settings = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'tillwire.db'}", "SECRET_KEY": "s" * 16}
        child = nursery.start(["serve", "--port", str(free_port())], settings, tmp_path / "log")
        child.kill()
        assert child.wait(60) == -signal.SIGKILL


def test_a_process_can_be_told_another_time_while_it_runs(tmp_path: Path) -> None:
    if clock.library() is None:
        missing("libfaketime is not installed")
    told = Clock(tmp_path / "clock")
    log, port = tmp_path / "log", free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {**os.environ, **told.settings, "SECRET_KEY": "s" * 16, "SHOPIFY_API_SECRET": "", "LOG_FORMAT": "json"}
    settings |= {"DATABASE_URL": f"sqlite:///{tmp_path / 'tillwire.db'}", "BROKER_URL": ""}

    def said() -> datetime:
        return parsedate_to_datetime(requests.get(f"{url}/healthz", timeout=60).headers["Date"])

    with Nursery(clocked=True) as nursery:
        child = nursery.start(["serve", "--port", str(port)], settings, log)
        until(lambda: answers(f"{url}/readyz"), 60)
        told.step_to(-7200)
        until(
            lambda: timedelta(hours=-2, minutes=-1) < said() - datetime.now(UTC) < timedelta(hours=-1, minutes=-59), 30
        )
        child.terminate()
        assert child.wait(60) == 0


# --- what is found ----------------------------------------------------------------------------------------------------


def delivered(rig: Rig) -> set[str]:
    """One order that Sprii has; what was stored of it."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, sprii="5934-1"))
    rig.work()
    with rig.db.read() as session:
        return set(session.scalars(select(Webhook.body_hash)))


def test_the_rows_of_a_faultless_run_are_found_right(rig: Rig) -> None:
    check_rows(rig, delivered(rig))


def test_a_webhook_that_was_answered_and_is_not_here_is_found(rig: Rig) -> None:
    lost = hashlib.sha256(b"lost").hexdigest()
    with pytest.raises(Failed, match="1 webhooks were answered 200 and are not accounted for"):
        check_rows(rig, delivered(rig) | {lost})


def test_a_lease_that_nobody_ends_is_found(rig: Rig) -> None:
    stored = delivered(rig)
    with rig.db.write() as session:
        session.execute(update(Delivery).where(Delivery.state == "delivered").values(leased_until=datetime.now(UTC)))
    with pytest.raises(Failed, match="1 leases were left"):
        check_rows(rig, stored)


def test_what_is_sent_again_without_asking_is_found(rig: Rig) -> None:
    stored = delivered(rig)
    with rig.db.write() as session:
        again = {"delivery_id": 1, "number": 2, "started_at": datetime.now(UTC), "outcome": "accepted"}
        session.execute(insert(Attempt).values(**again, purpose="send"))
    with pytest.raises(Failed, match="sprii process_orders: delivery 1 was repeated on a guess"):
        check_rows(rig, stored)
