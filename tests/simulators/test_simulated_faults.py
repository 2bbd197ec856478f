"""Faults over real connections, rate limits, and the control routes."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from app.simulators.faults import TRANSIENT, Faults, read_plan
from app.simulators.providers import ProvidersServer, create_providers_app


def reported(client: Any) -> int:
    state = client.state("sprii")
    return 0 if state is None else state["orders"]["5934-14"]["5501234567890"]["times"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("provider", ["sprii", "spotler", "seeka", "gameball", "esputnik"])
def test_a_status_is_answered_and_nothing_applied(client: Any, provider: str, status: int, examples: Any) -> None:
    client.app.set_faults(provider, [{"kind": "status", "status": status, "retry_after": 2, "times": 1}])
    case = next(iter(examples[provider]))
    answer = client.example(provider, case)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "2")
    assert client.app.state(provider)["state"] == {}
    assert client.example(provider, case).ok


def test_a_status_may_carry_a_body_and_take_effect(client: Any) -> None:
    fault = {"kind": "422", "body": {"code": 9003}, "applied": True, "times": 1}
    client.app.set_faults("gameball", [fault])
    answer = client.example("gameball", "paid order")
    assert (answer.status_code, answer.json()) == (422, {"code": 9003})
    assert client.example("gameball", "paid order").json()["code"] == 9004


def test_a_connection_is_cut_before_the_request_is_applied(client: Any) -> None:
    client.app.set_faults("sprii", [{"kind": "drop_before", "times": 2}])
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            client.example("sprii", "paid order")
    assert reported(client) == 0
    assert client.example("sprii", "paid order").ok
    assert reported(client) == 1


def test_a_lost_answer_is_applied_exactly_once(client: Any) -> None:
    client.example("sprii", "paid order")  # the connection that is cut is one kept alive
    client.app.reset()
    client.app.set_faults("sprii", [{"kind": "drop_after"}])
    with pytest.raises(requests.ConnectionError):
        client.example("sprii", "paid order")
    assert reported(client) == 1
    [record] = client.app.requests("sprii")
    assert (record["fault"], record["status"], record["answer"]) == ("drop_after", None, None)


def test_a_delay_outlasts_the_client(client: Any) -> None:
    client.app.set_faults("sprii", [{"kind": "delay", "seconds": 0.5}])
    with pytest.raises(requests.Timeout):
        client.send("sprii", "/orders/1-1", method="GET", timeout=0.1)
    started = time.monotonic()
    assert client.example("sprii", "paid order").ok
    assert time.monotonic() - started >= 0.5


def test_an_end_of_the_server_waits_for_no_delay() -> None:
    with ProvidersServer() as server:
        server.app.set_faults("sprii", [{"kind": "delay", "seconds": 60}])
        thread = threading.Thread(target=lambda: requests.get(server.base("sprii") + "/orders/1-1", timeout=30))
        thread.start()
        while not server.app.requests("sprii"):
            time.sleep(0.01)
        started = time.monotonic()
    thread.join(30)
    assert time.monotonic() - started < 25


def test_a_page_of_html_stands_in_for_the_answer(client: Any) -> None:
    client.app.set_faults("sprii", [{"kind": "garbage"}])
    answer = client.example("sprii", "paid order")
    assert (answer.status_code, answer.headers["Content-Type"], answer.content[:9]) == (200, "text/html", b"<!doctype")
    assert reported(client) == 0


def test_an_answer_comes_drop_by_drop(client: Any) -> None:
    client.app.set_faults("sprii", [{"kind": "slow_drip", "seconds": 0.002}])
    started = time.monotonic()
    assert client.example("sprii", "paid order").json() == {"success": True, "processed": 1}
    assert time.monotonic() - started > 0.2
    client.app.set_faults("sprii", [{"kind": "slow_drip", "seconds": 0.3}])
    with pytest.raises(requests.Timeout):  # headers drip too: not even they arrive in time
        client.send("sprii", "/orders/1-1", method="GET", timeout=0.1)


@pytest.mark.parametrize("provider", ["sprii", "seeka", "esputnik"])
def test_an_answer_is_larger_than_anyone_should_read(client: Any, provider: str, examples: Any) -> None:
    client.app.set_faults(provider, [{"kind": "huge"}])
    answer = client.example(provider, next(iter(examples[provider])))
    assert answer.ok
    assert len(answer.content) > 128 * 1024
    assert "padding" in answer.json()


def test_a_part_of_a_batch_is_refused(client: Any, examples: Any) -> None:
    for provider in ("sprii", "spotler", "esputnik"):
        client.app.set_faults(provider, [{"kind": "partial", "times": 1}])
    order = examples["sprii"]["paid order"][0]["body"]["orders"][0]
    answer = client.send("sprii", "/processOrders", {"orders": [order, {**order, "id": "2"}]})
    assert answer.json()["errors"] == [{"id": "2", "message": "Order could not be processed"}]
    assert list(client.state("sprii")["orders"]["5934-14"]) == ["5501234567890"]
    purchase = examples["spotler"]["purchase"][0]["body"]
    answer = client.send("spotler", "/track", {"events": [purchase, {**purchase, "orderid": "2"}]})
    assert answer.json()["errors"] == [{"index": 1, "message": "simulated refusal"}]
    assert list(client.state("spotler", "account-1")["purchases"]) == ["1042"]
    bought = examples["esputnik"]["paid order"][0]["body"]["orders"][0]
    answer = client.send("esputnik", "/v1/orders", {"orders": [bought, {**bought, "externalOrderId": "2"}]})
    assert answer.json() == {"failedOrders": [{"externalOrderId": "2", "reason": "simulated refusal"}]}
    assert list(client.state("esputnik")["orders"]) == ["6100234500001"]
    assert client.sentences() == []
    with pytest.raises(ValueError, match="no way"):
        client.app.set_faults("seeka", [{"kind": "partial"}])


def test_a_fault_keeps_to_its_path_and_text(client: Any) -> None:
    client.app.set_faults("sprii", [{"kind": "500", "path": "orders/"}, {"kind": "503", "contains": "no such"}])
    assert client.example("sprii", "paid order").status_code == 200
    assert client.send("sprii", "/orders/5934-14", method="GET").status_code == 500


def test_chance_is_the_same_for_the_same_work_whatever_the_order() -> None:
    bodies = [b"%d" % n for n in range(2000)]

    def drawn(work: list[bytes]) -> dict[bytes, str | None]:
        faults = Faults(read_plan({"rate": 0.1, "seed": 7}))
        return {body: (trouble := faults.draw("POST", "/", body)) and trouble.name for body in work}

    first = drawn(bodies)
    assert drawn(bodies[::-1]) == first
    counted = Counter(first.values())
    assert 0.07 < 1 - counted.pop(None) / 2000 < 0.13
    assert set(counted) == set(TRANSIENT)


def test_a_repeat_has_its_own_chance() -> None:
    faults = Faults(read_plan({"rate": 0.5, "seed": 1, "kinds": ["500"]}))
    assert {faults.draw("POST", "/", b"same") is None for _ in range(20)} == {True, False}


@pytest.mark.parametrize(
    "plan",
    [
        [{"kind": "explode"}],
        [{}],
        [{"kind": "500", "when": 1}],
        {"rate": 2},
        [{"kind": "9"}],
        [7],
        [{"kind": "500", "times": "1"}],
    ],
)
def test_a_plan_that_cannot_be_read_is_refused(client: Any, plan: Any) -> None:
    url = f"{client.server.url}/_sim/sprii/faults"
    assert client.session.post(url, json=plan, timeout=5).status_code == 400


# Limits


@pytest.mark.parametrize(
    ("provider", "allowed"), [("sprii", 10), ("spotler", 10), ("seeka", 30), ("gameball", 30), ("esputnik", 20)]
)
def test_one_request_too_many_in_a_second_is_refused(limited: Any, provider: str, allowed: int) -> None:
    paths = {
        "sprii": ("GET", "/orders/1-1"),
        "spotler": ("POST", "/verifyAuth"),
        "seeka": ("POST", "/ingest"),
        "gameball": ("GET", "/api/v4.0/integrations/transactions"),
        "esputnik": ("GET", "/v1/account/info"),
    }
    method, path = paths[provider]
    body = {"data": []} if provider == "seeka" else None
    statuses = [limited.send(provider, path, body, method=method).status_code for _ in range(allowed + 3)]
    assert statuses.index(429) == allowed
    assert limited.sentences() == ["more requests than the rate limit allows"] * statuses.count(429)
    time.sleep(1)
    assert limited.send(provider, path, body, method=method).status_code != 429


def test_seeka_counts_all_organisations_of_an_address_together(limited: Any) -> None:
    statuses = [
        limited.send("seeka", "/ingest", {"data": []}, headers={"X-OrgId": f"org-{n}"}).status_code for n in range(31)
    ]
    assert (statuses[:30], statuses[30]) == ([202] * 30, 429)


def test_the_others_count_each_account_apart(limited: Any) -> None:
    for n in range(30):
        sent = limited.send("sprii", "/orders/1-1", method="GET", headers={"Authorization": f"Bearer key-{n}"})
        assert sent.status_code == 404


def test_gameball_has_a_longer_window_too() -> None:
    app = create_providers_app()
    limit = app.simulators["gameball"]._rate
    assert all(limit.admits("key", second * 1.0) for second in range(12) for _ in range(30))
    assert not limit.admits("key", 20.0)
    assert limit.admits("key", 30.0)


# Looking in


def test_control_routes(client: Any) -> None:
    url, get = client.server.url, client.session.get
    client.example("gameball", "partial refund")
    client.send("gameball", "/nowhere")
    listed = get(f"{url}/_sim/gameball/requests?since=1", timeout=5).json()["requests"]
    assert [(each["n"], each["status"], each["account"]) for each in listed] == [(2, 200, "key-1"), (3, 404, "key-1")]
    assert listed[0]["body"]["refundTransactionId"] == "refund-9100045"
    assert listed[0]["answer"]["refundAmount"] == 43.56
    assert (listed[0]["headers"]["apikey"], listed[0]["headers"]["secretkey"]) == ("***", "***")
    assert get(f"{url}/_sim/gameball/state", timeout=5).json() == client.app.state("gameball")
    [violation] = get(f"{url}/_sim/violations", timeout=5).json()["violations"]
    assert violation == {
        "provider": "gameball",
        "n": 3,
        "account": "key-1",
        "path": "/nowhere",
        "sentence": "there is no POST /nowhere",
    }
    plan = {"rate": 1.0, "seed": 1, "kinds": ["500"]}
    assert client.session.post(f"{url}/_sim/gameball/faults", json=plan, timeout=5).ok
    assert client.example("gameball", "cart").status_code == 500
    assert client.session.post(f"{url}/_sim/reset", timeout=5).ok
    assert client.example("gameball", "cart").status_code == 200
    assert client.app.state("gameball")["calls"] == {
        "requests": 1,
        "statuses": {"200": 1},
        "faults": {},
        "counts": {},
    }
    assert get(f"{url}/_sim/nobody/state", timeout=5).status_code == 404
    assert get(f"{url}/_sim/sprii/requests?since=x", timeout=5).status_code == 400


def test_a_request_to_no_provider_is_a_violation(client: Any) -> None:
    assert client.session.get(f"{client.server.url}/processOrders", timeout=5).status_code == 404
    assert client.sentences() == ["no provider has this path"]


def test_credentials_may_be_pinned() -> None:
    app = create_providers_app(credentials={"sprii": {"api_key": "the-one"}})
    with ProvidersServer(app) as server:
        url = server.base("sprii") + "/orders/1-1"
        for key, status in (("the-one", 404), ("key-1", 401)):
            headers = {"Authorization": f"Bearer {key}", "User-Agent": "Tillwire/1"}
            assert requests.get(url, headers=headers, timeout=60).status_code == status
    assert app.violations() == []


def test_bodies_need_not_be_kept(examples: Any) -> None:
    app = create_providers_app(record_bodies=False)
    with ProvidersServer(app) as server:
        requests.post(server.base("sprii") + "/processOrders", data=b"{}", timeout=60)
    [record] = app.requests("sprii")
    assert (record["n"], record["status"], record["headers"], record["body"], record["answer"]) == (
        1,
        401,
        None,
        None,
        None,
    )


def test_a_crowd_is_served_over_kept_connections(client: Any, examples: Any) -> None:
    order = examples["sprii"]["paid order"][0]["body"]["orders"][0]

    def report(worker: int) -> set[int]:
        return {
            client.send("sprii", "/processOrders", {"orders": [{**order, "id": f"{worker}-{n}"}]}).status_code
            for n in range(50)
        }

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(report, range(8))) == {200}
    orders = client.state("sprii")["orders"]["5934-14"]
    assert (len(orders), {each["times"] for each in orders.values()}) == (400, {1})
    assert [record["n"] for record in client.app.requests("sprii")] == list(range(1, 401))


def test_a_request_that_cannot_be_read_ends_its_connection(client: Any) -> None:
    answer = client.session.post(client.server.base("sprii") + "/orders/1-1", data=iter([b"{}"]), timeout=5)
    assert (answer.status_code, answer.content) == (411, b"")
