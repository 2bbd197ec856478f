"""Old and new code side by side on one database, as docs/operations.md has an upgrade done."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import Connection, create_engine, text

from bench.ports import free_port
from tests.bodies import woocommerce_order
from tests.conftest import missing
from tests.processes import ROOT, Running, answers, environment, run, until

#: The last one whose newest revision of the schema is 0003.
BEFORE = "32571ee"
SERVE = (
    "from wsgiref.simple_server import make_server as m; from wsgi import app; m('127.0.0.1', {}, app).serve_forever()"
)


#: Who holds the lock that an old worker wants for itself.
HOLDERS = (
    "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 7460284 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The code of the version before."""
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True)
    if packed.returncode:
        missing(f"the history has no {BEFORE}: a shallow clone?")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    # Its web server is not among our libraries any more; its worker only imports it.
    (tmp_path / "old" / "waitress").mkdir()
    (tmp_path / "old" / "waitress" / "server.py").write_text("create_server = None\n")
    return tmp_path / "old"


@contextmanager
def web(folder: Path, port: int, **settings: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(port)],
        cwd=folder,
        env=environment(**settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/healthz"), 60)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def pg(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


class Town:
    """Simulated providers, and a store that the code of the version before set up."""

    def __init__(self, old: Path, folder: Path, simulators: Running, database_url: str) -> None:
        self._simulators = json.loads(simulators.line())["url"]
        self.folder, self.old = folder, old
        self.settings = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": "0123456789abcdef",
            "ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(32)).decode(),
            "ALLOW_PRIVATE_NETWORKS": "1",
            "SPRII_API_URL": f"{self._simulators}/sprii",
        }
        self.before = {**self.settings, "PYTHONPATH": str(old)}
        self._command("shops", "add", "woocommerce", "https://store.example")
        self._made = json.loads(self._command("webhooks", "add", "1", "order.updated", "--json"))
        self._command("destinations", "set", "1", "sprii", "api_key=k", "--mode", "live")

    def _command(self, *arguments: str) -> str:
        done = run(self.old, *arguments, **self.before)
        done.check_returncode()
        return done.stdout

    def migrate(self) -> None:
        run(self.folder, "migrate", **self.settings).check_returncode()

    def buy(self, url: str, number: int) -> None:
        body = json.dumps(woocommerce_order(number, sprii=f"5934-{number}")).encode()
        proof = base64.b64encode(hmac.digest(self._made["secret"].encode(), body, hashlib.sha256)).decode()
        headers = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": proof}
        headers["Content-Type"] = "application/json"
        answer = requests.post(url + self._made["url"], data=body, headers=headers, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {"status": "stored"})

    def reported(self) -> list[str]:
        """The orders that Sprii was told of, each as often as it was."""
        told = requests.get(f"{self._simulators}/_sim/sprii/requests", timeout=60).json()["requests"]
        return sorted(order["id"] for each in told for order in each["body"]["orders"])


@pytest.fixture
def town(old: Path, tmp_path: Path, bare_postgres_url: str) -> Iterator[Town]:
    with Running(tmp_path, "simulate", "providers", "--port", "0", "--json") as simulators:
        yield Town(old, tmp_path, simulators, bare_postgres_url)


def test_old_web_stores_on_the_new_schema_what_a_new_worker_delivers(town: Town) -> None:
    with web(town.old, free_port(), **town.before) as url:
        town.buy(url, 1)
        town.migrate()
        town.buy(url, 2)
        with Running(town.folder, "worker", **town.settings) as worker:
            town.buy(url, 3)
            until(lambda: town.reported() == ["1", "2", "3"], 60)
            assert worker.stop() == 0
    late = run(town.old, "shops", "list", **town.before)
    assert late.returncode == 1
    assert late.stderr.startswith("tillwire: the database was made by another version of Tillwire (")


def test_old_and_new_side_by_side_deliver_each_order_once(town: Town) -> None:
    with web(town.old, free_port(), **town.before) as url, Running(town.old, "worker", **town.before) as old_worker:
        old_worker.line()
        town.buy(url, 1)
        until(lambda: town.reported() == ["1"], 60)
        town.migrate()
        town.buy(url, 2)
        until(lambda: town.reported() == ["1", "2"], 60)  # by the old worker, on the new schema
        with (
            Running(town.folder, "serve", "--no-worker", "--port", "0", "--json", **town.settings) as new_web,
            Running(town.folder, "worker", **town.settings) as new_worker,
        ):
            new_url = json.loads(new_web.line())["url"]
            until(lambda: any("one waits until that one ends" in line for line in new_worker.complained), 60)
            town.buy(url, 3)
            town.buy(new_url, 4)
            until(lambda: town.reported() == ["1", "2", "3", "4"], 60)
            assert old_worker.stop() == 0
            town.buy(url, 5)
            town.buy(new_url, 6)
            until(lambda: town.reported() == ["1", "2", "3", "4", "5", "6"], 60)
            assert (new_worker.stop(), new_web.stop()) == (0, 0)
    assert town.reported() == ["1", "2", "3", "4", "5", "6"]


def test_an_old_worker_does_not_begin_while_a_new_one_works(town: Town) -> None:
    with Running(town.old, "worker", **town.before) as first, Running(town.old, "worker", **town.before) as second:
        first.line(), second.line()
        until(lambda: any("another worker" in line for line in [*first.complained, *second.complained]), 60)
        waits, works = (first, second) if any("another" in line for line in first.complained) else (second, first)
        town.migrate()
        waits.process.send_signal(signal.SIGSTOP)
        assert works.stop() == 0
        with web(town.old, free_port(), **town.before) as url, Running(town.folder, "worker", **town.settings) as new:
            town.buy(url, 1)
            until(lambda: town.reported() == ["1"], 60)
            waits.process.send_signal(signal.SIGCONT)
            town.buy(url, 2)
            until(lambda: town.reported() == ["1", "2"], 60)
            with pg(town.settings["DATABASE_URL"]) as connection:
                holders = connection.execute(text(HOLDERS)).all()
            assert holders == [("ShareLock",), ("ShareLock",)]  # the new one's two: as a worker, and for the clock
            assert (waits.stop(), new.stop()) == (0, 0)
