"""The bench of delivering: what it tells, what it counts, and that the app beside it really reports its orders."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from app.providers import http
from app.providers.base import Accepted, Payload
from app.providers.registry import PROVIDERS
from app.simulators.providers import ProvidersServer
from bench import burst, deliver, fair, machine, orders, payloads, systems, targets, turns
from bench.answering import CALLS
from bench.burst import Burst, Stores, requests_of
from bench.load import signature
from bench.systems import Missing
from bench.targets import Target
from bench.turns import Round, Unfinished
from tests.rig import CREDENTIALS

DELAY = 0.05


@pytest.fixture(scope="module")
def answering() -> Iterator[turns.Providers]:
    with systems.answering(DELAY) as (url, process):
        yield turns.Providers(url, process)


# --- the providers ----------------------------------------------------------------------------------------------------


def ours(name: str, number: int) -> list[Payload]:
    """Payloads as Tillwire makes them, in the number that their action's batch allows, at most two."""
    golden = {"sprii": "order_paid", "spotler": "purchase", "seeka": "order", "gameball": "order"}
    path = Path(__file__).parent / "golden" / name / f"{golden.get(name, 'order_paid')}.json"
    made = []
    for at in range(2):
        text = json.dumps(json.loads(path.read_text())["payload"])
        for known in ("5501234567890", "6100234500001", '"1042"'):
            text = text.replace(known, f'"{number + at}"' if known.startswith('"') else str(number + at))
        made.append(json.loads(text))
    return made


ACTIONS = {"sprii": "process_orders", "spotler": "purchase", "gameball": "order", "esputnik": "orders"}


@pytest.mark.parametrize("name", CALLS)
def test_tillwires_own_calls_are_accepted_and_each_order_is_counted(answering: turns.Providers, name: str) -> None:
    provider = PROVIDERS[name]
    action = provider.actions[ACTIONS.get(name, "activity" if "activity" in provider.actions else "order")]
    number = 5_000 + 10 * list(CALLS).index(name)
    batch = ours(name, number)[: action.batch]
    base_url = provider.address({}, f"{answering.url}/{name}")
    before = time.monotonic()
    with http.new_session() as session:
        outcomes = http.call(
            provider, action, batch, CREDENTIALS[name], base_url=base_url, session=session, allow_private=True
        )
    assert [type(each) for each in outcomes] == [Accepted] * len(batch)
    told = Burst(url="", first=number, orders=3)
    moments = answering.moments(told)
    assert {each: list(found) for each, found in moments.items() if found} == {
        name: [str(number + at) for at in range(len(batch))]
    }
    assert all(before + DELAY <= at[0] <= time.monotonic() for at in moments[name].values())
    assert answering.accepted(told) == len(batch)


def test_a_call_that_reports_no_order_is_refused_and_not_counted(answering: turns.Providers) -> None:
    before = answering.calls()
    with pytest.raises(OSError, match="404"):
        urlopen(Request(f"{answering.url}/esputnik/v1/contact", data=b"{}", method="POST"))
    assert answering.calls() == before


# --- the classic app --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", payloads.PROVIDERS)
def test_the_classic_apps_calls_keep_to_the_providers_contracts(answering: turns.Providers, name: str) -> None:
    number = 7_000 + list(CALLS).index(name)
    path, headers, body = payloads.call(name, json.loads(orders.shopify(number)), CREDENTIALS[name])
    with ProvidersServer() as server:
        for base in (server.base(name), f"{answering.url}/{name}"):
            headers = {"Content-Type": "application/json", **headers, "User-Agent": "Tillwire/0"}
            with urlopen(Request(base + path, data=json.dumps(body).encode(), headers=headers)) as answer:
                assert answer.status // 100 == 2
        with urlopen(f"{server.url}/_sim/violations") as answer:
            assert [each["sentence"] for each in json.loads(answer.read())["violations"]] == []
    assert list(answering.moments(Burst(url="", first=number, orders=1))[name]) == [str(number)]


# --- the stores -------------------------------------------------------------------------------------------------------


class Shop(BaseHTTPRequestHandler):
    """Takes webhooks and remembers them."""

    protocol_version = "HTTP/1.1"
    taken: list[tuple[str, str, str, bytes, float]]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        named = (self.headers[f"X-Shopify-{each}"] for each in ("Shop-Domain", "Webhook-Id", "Hmac-Sha256"))
        self.taken.append((*named, body, time.monotonic()))  # type: ignore[arg-type]
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not told."""


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Shop, "taken", [], raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/webhooks/shopify"
    server.shutdown()
    server.server_close()


def test_each_order_is_told_once_signed_and_at_its_pace(shop: str) -> None:
    told = Burst(url=shop, first=300, orders=6, merchant=7, merchants=3, rate=40.0, connections=2)
    began = time.monotonic()
    done = Stores(told).run()
    assert (sorted(done.sent), done.again) == (["300", "301", "302", "303", "304", "305"], 0)
    assert {(domain, id_) for domain, id_, *_ in Shop.taken} == {
        (f"merchant-{7 + number % 3}.myshopify.com", str(number)) for number in range(300, 306)
    }
    for _, id_, proof, body, _ in Shop.taken:
        assert proof == signature(body)
        order = json.loads(body)
        assert (order["id"], order["name"], order["email"]) == (int(id_), f"#{id_}", f"buyer-{id_}@example.com")
        assert order["customer"]["id"] == 7_000_000 + int(id_)
    assert all(moment - began >= (int(number) - 300) / 40.0 for number, moment in done.sent.items())


def test_an_order_that_is_not_taken_is_told_again_and_its_wait_began_with_the_first_time(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shop, "status", 503)
    monkeypatch.setattr(burst, "PAUSE", 0.3)
    threading.Timer(0.2, monkeypatch.setattr, (Shop, "status", 200)).start()
    done = Stores(Burst(url=shop, first=300, orders=1)).run()
    assert done.again == 1
    assert [id_ for _, id_, *_ in Shop.taken] == ["300", "300"]
    assert done.sent["300"] <= Shop.taken[0][4]


def test_an_order_that_is_never_taken_ends_the_run(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shop, "status", 503)
    monkeypatch.setattr(burst, "PAUSE", 0.0)
    with pytest.raises(RuntimeError, match="order 300 was not answered with 200"):
        Stores(Burst(url=shop, first=300, orders=1)).run()
    assert len(Shop.taken) == burst.ATTEMPTS


def test_requests_are_as_long_as_they_say() -> None:
    for _, request in requests_of(Burst(url="http://127.0.0.1:1/webhooks/shopify", first=9, orders=2)):
        head, _, body = request.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")


# --- counting ---------------------------------------------------------------------------------------------------------

TOLD = Burst(url="", first=1, orders=2)


def test_a_wait_is_from_the_first_byte_sent_to_the_acceptance() -> None:
    waits = turns.waited(TOLD, {"1": 10.0, "2": 10.5}, {"sprii": {"1": [10.25], "2": [11.5]}})
    assert waits == {"sprii": {"1": 0.25, "2": 1.0}}


@pytest.mark.parametrize(
    ("moments", "words"),
    [
        ({"sprii": {"1": [1.0]}}, r"of 2 deliveries 1 were missing and 0 came twice \(sprii 1\)"),
        ({"sprii": {"1": [1.0], "2": [1.0, 1.5]}}, "of 2 deliveries 0 were missing and 1 came twice"),
    ],
)
def test_a_missing_or_doubled_order_makes_the_round_void(
    moments: dict[str, dict[str, list[float]]], words: str
) -> None:
    with pytest.raises(Unfinished, match=words):
        turns.waited(TOLD, {"1": 0.0, "2": 0.0}, moments)


def test_a_share_of_the_waits_is_within_the_percentile() -> None:
    assert turns.percentile([number / 1000 for number in range(100, 0, -1)], 0.95) == 96.0


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (1.7, "  two_workers_to_one                                   1.70  >= 1.7   met"),
        (1.69, "  two_workers_to_one                                   1.69  >= 1.7   not met"),
        (
            Missing("no broker"),
            "  two_workers_to_one                                      -  >= 1.7   not measured: no broker",
        ),
        (
            Unfinished("2 were missing"),
            "  two_workers_to_one                                      -  >= 1.7   not met: 2 were missing",
        ),
    ],
)
def test_each_line_says_figure_target_and_whether_it_is_met(figure: targets.Figure, words: str) -> None:
    assert targets.line("deliver", "two_workers_to_one", figure) == words


def test_a_figure_without_a_target_is_told_alone_and_most_is_a_bound_as_well() -> None:
    assert targets.line("deliver", "sqlite_p50_ms", 12.345) == f"  {'sqlite_p50_ms':<44} {'12.35':>12}"
    assert [Target(at_most=10).met(each) for each in (10.0, 10.01)] == [True, False]


def a_round(*, rate: float = 100.0, wait: float = 0.1, **processor: float) -> Round:
    """Of 100 deliveries, each of which waited as long."""
    waits = {name: [wait] * 20 for name in CALLS}
    return Round(
        **{"deliveries": 100, "calls": 50, "seconds": 100 / rate, "waits": waits},
        **{"processor": processor, "provider_processor": 0.01, "again": 0},
    )


def test_ratios_are_of_rounds_side_by_side_by_clock_and_by_processor() -> None:
    ours = [a_round(rate=500, serve=0.2, database=0.0), a_round(rate=900, serve=0.3, database=0.0)]
    classic = [
        a_round(rate=100, web=0.5, worker=1.0, database=0.5),
        a_round(rate=300, web=0.5, worker=0.5, database=0.5),
    ]
    figures = deliver._ratios(dict.fromkeys(("sqlite", "one_worker", "two_workers"), ours) | {"classic": classic})
    assert figures["sqlite_ratio_to_classic"] == 4.0
    assert figures["sqlite_cpu_ratio_to_classic"] == 7.5


def test_two_workers_are_bound_by_the_busier_one() -> None:
    one = a_round(rate=100, **{"worker 1": 1.0})
    two = a_round(rate=150, **{"worker 1": 0.4, "worker 2": 0.8})
    assert deliver._workers({"one_worker": [one], "two_workers": [two]}) == {
        "two_workers_to_one": 1.5,
        "two_workers_to_one_by_cpu": 1.25,
    }


def test_the_others_rise_is_of_their_wait_beside_the_burst_to_alone() -> None:
    figures = fair._figures("sqlite", [(a_round(wait=0.25), a_round(wait=0.5), 0.5)])
    assert figures["sqlite_p95_ms_alone"] == 250.0
    assert figures["sqlite_p95_ms_beside_the_burst"] == 500.0
    assert [figures[f"sqlite_p95_rise_percent{each}"] for each in ("", *(f"_{name}" for name in CALLS))] == [100.0] * 6
    assert figures["sqlite_burst_left_percent"] == 50.0


# --- all of it --------------------------------------------------------------------------------------------------------


def test_a_burst_reaches_five_providers_once_and_the_processor_is_accounted_for(answering: turns.Providers) -> None:
    with systems.embedded(answering.url) as system:
        found = turns.play(system, answering, Burst(url=system.url, first=100, orders=20, merchants=10))
        assert machine.proportional(system.processes["serve"]) <= system.memory()
        assert system.memory() <= system.memory("VmHWM")
    assert found.deliveries == 100
    assert {name: len(waits) for name, waits in found.waits.items()} == dict.fromkeys(CALLS, 20)
    assert all(wait >= DELAY for waits in found.waits.values() for wait in waits)
    assert set(found.processor) == {"serve", "broker", "database"}
    assert 0 < found.processor["serve"] < found.seconds * 2
