"""Real processes: they start, say where they are, work together, and end cleanly."""

from __future__ import annotations

import asyncio
import ctypes
import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import uvicorn
from click.testing import CliRunner

from app import serving
from app.cli import main
from app.providers.registry import PROVIDERS
from tests.bodies import woocommerce_order
from tests.databases import settings
from tests.processes import Running, answers, run, until
from tests.rig import CREDENTIALS, signature

KEYS = {"SECRET_KEY": "0123456789abcdef", "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}


def url_of(running: Running) -> str:
    return str(json.loads(running.line())["url"])


def post(url: str, body: bytes, secret: str, **headers: str) -> requests.Response:
    given = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature(secret, body), **headers}
    with requests.post(url, data=body, headers=given, timeout=60) as answer:
        return answer


class Town:
    """Simulated providers and a store, set up by commands alone."""

    def __init__(self, folder: Path, database_url: str, simulators: Running) -> None:
        self.folder = folder
        self.simulators = url_of(simulators)
        self.settings = {
            **KEYS,
            **settings(database_url),
            **{f"{name.upper()}_API_URL": f"{self.simulators}/{name}" for name in PROVIDERS},
            "ALLOW_PRIVATE_NETWORKS": "1",
        }
        assert self.json("shops", "add", "woocommerce", "https://store.example") == {"shop": 1}
        made = self.json("webhooks", "add", "1", "order.updated")
        self.path, self.secret = made["url"], made["secret"]
        credentials = [f"{name}={value}" for name, value in CREDENTIALS["gameball"].items()]
        self.json("destinations", "set", "1", "gameball", *credentials, "--mode", "live")

    def json(self, *arguments: str) -> Any:
        done = CliRunner().invoke(main, [*arguments, "--json"], env=self.settings)
        assert (done.exit_code, done.stderr) == (0, "")
        return json.loads(done.stdout)

    def running(self, *arguments: str) -> Running:
        return Running(self.folder, *arguments, **self.settings)

    def buy(self, url: str, order: int) -> None:
        body = json.dumps(woocommerce_order(order, customer_id=5)).encode()
        assert post(url + self.path, body, self.secret).json() == {"status": "stored"}

    def orders(self) -> list[str]:
        """What Gameball was told of."""
        with requests.get(f"{self.simulators}/_sim/gameball/requests", timeout=60) as answer:
            return [each["body"]["orderId"] for each in answer.json()["requests"]]


@pytest.fixture
def town(tmp_path: Path, database_url: str) -> Iterator[Town]:
    with Running(tmp_path, "simulate", "providers", "--port", "0", "--json") as simulators:
        yield Town(tmp_path, database_url, simulators)
        assert simulators.stop(signal.SIGINT) == 0


def complaints(running: Running) -> list[str]:
    return [line for line in running.complained if " INFO " not in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_is_and_ends_cleanly(tmp_path: Path, database_url: str, number: int) -> None:
    with Running(tmp_path, "serve", "--port", "0", **settings(database_url)) as serve:
        first = serve.line()
        assert first.startswith("Tillwire serves on http://127.0.0.1:")
        assert first.endswith(" (Ctrl-C stops it)")
        assert answers(first.split()[3] + "/readyz")
        assert serve.stop(number) == 0
        assert serve.told[1:] == [
            "  Shopify webhooks:  not configured (set SHOPIFY_API_SECRET)",
            "  WooCommerce store: tillwire shops add woocommerce URL, then tillwire webhooks add SHOP order.updated",
            "  Try it:            make demo",
        ]
        assert complaints(serve) == []


def test_serve_and_its_worker_deliver_an_order(town: Town) -> None:
    with town.running("serve", "--port", "0", "--json") as serve:
        url = url_of(serve)
        town.buy(url, 601)
        assert until(town.orders) == ["601"]
        assert serve.stop() == 0
        assert serve.told == [json.dumps({"url": url, "worker": True})]
        assert complaints(serve) == []
    (row,) = town.json("deliveries", "list")["deliveries"]
    assert (row["provider"], row["order"], row["state"], row["attempts"]) == ("gameball", "601", "delivered", 1)


def test_a_worker_by_itself_delivers_what_another_process_took_in(town: Town) -> None:
    with town.running("serve", "--port", "0", "--no-worker", "--json") as serve:
        url = url_of(serve)
        town.buy(url, 602)
        with town.running("worker") as worker:
            assert worker.line() == "Tillwire works (Ctrl-C stops it)"
            assert until(town.orders) == ["602"]
            town.buy(url, 603)
            until(lambda: town.orders() == ["602", "603"])
            assert worker.stop() == 0
            assert complaints(worker) == []
        assert serve.stop() == 0
        assert json.loads(serve.told[0])["worker"] is False


def test_a_worker_by_itself_tells_its_health_and_what_it_counts_where_it_is_asked_to(town: Town) -> None:
    with town.running("serve", "--port", "0", "--no-worker", "--json") as serve:
        with town.running("worker", "--port", "0", "--json") as worker:
            watched = url_of(worker)
            town.buy(url_of(serve), 604)
            assert until(town.orders) == ["604"]
            delivered = 'tillwire_deliveries_total{provider="gameball",state="delivered"} 1.0'
            until(lambda: delivered in requests.get(f"{watched}/metrics", timeout=60).text.splitlines())
            got = {path: requests.get(watched + path, timeout=60).status_code for path in ("/healthz", "/readyz", "/")}
            assert got == {"/healthz": 200, "/readyz": 200, "/": 404}
            forwarded = requests.get(f"{watched}/metrics", headers={"X-Forwarded-For": "192.0.2.1"}, timeout=60)
            assert forwarded.status_code == 403
            assert worker.stop() == 0
            assert complaints(worker) == []
        assert serve.stop() == 0


def test_the_end_waits_for_the_call_under_way_even_if_told_twice(town: Town) -> None:
    fault = [{"kind": "delay", "seconds": 1.5}]
    with requests.post(f"{town.simulators}/_sim/gameball/faults", json=fault, timeout=60) as answer:
        assert answer.ok
    with town.running("serve", "--port", "0", "--json") as serve:
        url = url_of(serve)
        town.buy(url, 604)
        until(lambda: [each for each in town.json("deliveries", "list")["deliveries"] if each["attempts"]])
        serve.process.send_signal(signal.SIGINT)
        assert serve.stop(signal.SIGTERM) == 0
        assert complaints(serve) == []
    (row,) = town.json("deliveries", "list")["deliveries"]
    assert (row["state"], row["attempts"]) == ("delivered", 1)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are not listed here")
@pytest.mark.parametrize("arguments", [["worker"], ["serve", "--port", "0"]])
def test_a_signal_that_reaches_another_thread_ends_it_too(
    tmp_path: Path, database_url: str, arguments: list[str]
) -> None:
    with Running(tmp_path, *arguments, **settings(database_url)) as running:
        running.line()
        pid = running.process.pid
        other = next(each for each in map(int, os.listdir(f"/proc/{pid}/task")) if each != pid)
        assert ctypes.CDLL(None).tgkill(pid, other, int(signal.SIGTERM)) == 0
        assert running.wait() == 0


def test_the_worker_ends_while_requests_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()

    async def wait_for_requests(_server: uvicorn.Server, _sockets: object = None) -> None:
        assert await asyncio.to_thread(stopped.wait, 10)

    monkeypatch.setattr(uvicorn.Server, "shutdown", wait_for_requests)
    asyncio.run(serving._Server(uvicorn.Config(lambda: None), stopped.set).shutdown())


def test_an_address_in_use_fails_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments in (("serve",), ("demo",), ("simulate", "providers")):
            done = run(tmp_path, *arguments, "--port", port)
            assert (done.returncode, done.stdout) == (1, "")
            assert f"{port} cannot be had (Address already in use): choose" in done.stderr
            assert done.stderr.count("\n") == 1


def test_the_environment_chooses_the_address(tmp_path: Path, database_url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Running(tmp_path, "serve", "--json", HOST="localhost", PORT=str(port), **settings(database_url)) as serve:
        assert url_of(serve) == f"http://localhost:{port}"
        assert serve.stop() == 0


def test_behind_a_proxy_on_this_machine_the_metrics_stay_shut(tmp_path: Path, database_url: str) -> None:
    with Running(tmp_path, "serve", "--port", "0", "--json", **settings(database_url)) as serve:
        url = f"{url_of(serve)}/metrics"
        statuses = {}
        for name in ("None", "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via"):
            with requests.get(url, headers={name: "for=192.0.2.1"}, timeout=60) as answer:
                statuses[name] = answer.status_code
        assert statuses == {
            "None": 200,
            **dict.fromkeys(("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via"), 403),
        }
        assert serve.stop() == 0


def test_the_limit_holds_on_the_wire_and_the_server_goes_on(tmp_path: Path, database_url: str) -> None:
    here = {**KEYS, "MAX_WEBHOOK_BYTES": "100000", **settings(database_url)}
    CliRunner().invoke(main, ["shops", "add", "woocommerce", "https://store.example"], env=here)
    made = json.loads(CliRunner().invoke(main, ["webhooks", "add", "1", "order.updated", "--json"], env=here).stdout)
    with Running(tmp_path, "serve", "--port", "0", "--json", "--no-worker", **here) as serve:
        parts = urlsplit(url_of(serve))

        def send(size: int, *, chunked: bool) -> int:
            body = b"x" * size
            headers = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature(made["secret"], body)}
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
            try:
                content = (body[at : at + 50_000] for at in range(0, size, 50_000)) if chunked else body
                connection.request("POST", made["url"], content, headers, encode_chunked=chunked)
                return connection.getresponse().status
            finally:
                connection.close()

        sizes = (99_999, 100_000, 100_001, 150_000)
        assert [send(size, chunked=False) for size in sizes] == [200, 200, 413, 413]
        assert [send(size, chunked=True) for size in (99_998, 100_001, 150_000, 300_000)] == [200, 413, 413, 413]
        assert answers(parts.geturl() + "/healthz")
        assert serve.stop() == 0


def test_headers_without_end_are_cut_off(tmp_path: Path, database_url: str) -> None:
    with Running(tmp_path, "serve", "--port", "0", "--json", "--no-worker", **settings(database_url)) as serve:
        parts = urlsplit(url_of(serve))
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            with pytest.raises(ConnectionError):
                connection.sendall(b"x" * 100_000_000)
        assert answers(parts.geturl() + "/healthz")
        assert serve.stop() == 0
