"""What whoever hosts this can ask, and what nobody else may learn."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from app import factory
from app.db import Database
from app.metrics import CONNECTS, REFUSED
from app.models import Mode, Shop, Webhook
from app.services import configure
from tests.bodies import woocommerce_order
from tests.rig import Rig

DOWN = "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2"
SAMPLE = re.compile(r"(\w+?)(?:_bucket|_count|_sum|_created)?(?:\{(.*)\})? \S+")


@pytest.fixture
def down(rig: Rig) -> Iterator[FlaskClient]:
    """The rig's Tillwire on a database that does not answer."""
    db = Database(DOWN)
    app = factory.create_app(dataclasses.replace(rig.parts, db=db))
    yield app.test_client()
    app.extensions["intake"].close()
    db.close()


@pytest.fixture
def busy(rig: Rig) -> Rig:
    """With deliveries in four states, of a store and persons whose names must not get out."""
    shop = rig.shop("woocommerce", "https://secret-store.example")
    rig.switch_on(shop, "gameball", "esputnik")
    rig.switch_on(shop, "spotler", mode="shadow")
    rig.simulators.app.set_faults("esputnik", [{"kind": "status", "status": 503}])
    rig.woocommerce(shop, "order.updated", woocommerce_order(424242, customer_id=5, email="anna@example.test"))
    rig.work(settled="esputnik")
    rig.set(shop, "sprii", mode="live", api_key="wrong")
    rig.woocommerce(shop, "order.updated", woocommerce_order(434343, customer_id=5, email="anna@example.test"))
    rig.work(settled="esputnik")
    return rig


def metrics(client: FlaskClient, **headers: str) -> tuple[int, str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.get("/metrics", headers=given)
    return answer.status_code, answer.get_data(as_text=True)


# alive, ready


def test_it_says_that_it_is_alive_and_ready(rig: Rig) -> None:
    for path in ("/healthz", "/readyz"):
        answer = rig.client.get(path)
        assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_without_its_database_it_is_alive_and_not_ready_and_says_why(down: FlaskClient) -> None:
    answer = down.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (503, {"status": "not ready", "not_answering": ["database"]})
    assert down.get("/healthz").status_code == 200


# metrics


NAMES = {
    "tillwire_webhooks_total": {"platform", "topic", "result"},
    "tillwire_events_total": {"kind"},
    "tillwire_deliveries_total": {"provider", "state"},
    "tillwire_delivery_seconds": {"provider"},
    "tillwire_backlog": {"provider", "state"},
    "tillwire_oldest_pending_seconds": {"provider"},
    "tillwire_oldest_unread_seconds": set(),
    "tillwire_webhook_seconds": set(),
    "tillwire_store_lag_seconds": {"platform"},
    "tillwire_connects_total": {"platform", "result"},
    "tillwire_refused_total": {"route", "reason"},
}


def unread(client: FlaskClient) -> str:
    return metrics(client)[1].split("\ntillwire_oldest_unread_seconds ")[1].split("\n")[0]


def test_webhooks_that_no_worker_reads_show_by_their_age(rig: Rig, down: FlaskClient) -> None:
    shop = rig.shop("woocommerce")
    assert unread(rig.client) == "0.0"
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    with rig.db.write() as session:
        session.execute(update(Webhook).values(received_at=datetime.now(UTC) - timedelta(hours=1)))
    assert 3600 <= float(unread(rig.client)) < 3660
    assert unread(down) == "NaN"
    rig.account()
    assert unread(rig.client) == "0.0"


def test_all_metrics_are_there_with_the_promised_labels_and_no_others(busy: Rig) -> None:
    busy.deliverer.close()  # what comes now stays pending
    REFUSED.labels("sign_in.ask", "malformed")
    CONNECTS.labels("woocommerce", "begun")  # no store is connected here, and what was never counted is not shown
    busy.woocommerce(1, "order.updated", woocommerce_order(444444, customer_id=5))
    busy.account()
    status, text = metrics(busy.client)
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        labels = set(re.findall(r'(\w+)="', match[2] or "")) - {"le"}
        name = match[1] if match[1] in NAMES else match[1] + "_total"  # beside counters stand their birthdays
        found.setdefault(name, set()).update(labels)
    assert status == 200
    assert found == NAMES


def test_no_metric_names_a_shop_an_order_or_a_person(busy: Rig) -> None:
    _, text = metrics(busy.client)
    for word in ("secret-store", "424242", "434343", "anna", "example.test", "gameball-key"):
        assert word not in text


def test_the_backlog_is_counted_by_provider_and_state(busy: Rig) -> None:
    _, text = metrics(busy.client)
    backlog = re.findall(r'tillwire_backlog\{provider="(\w+)",state="(\w+)"\} (\S+)', text)
    assert sorted(backlog) == [("esputnik", "retrying", "2.0"), ("sprii", "held", "1.0")]


def test_what_waits_for_a_switch_is_counted_apart_and_a_removed_shop_not_at_all(busy: Rig) -> None:
    busy.switch_on(1, "sprii", mode=Mode.OFF)
    _, text = metrics(busy.client)
    backlog = re.findall(r'tillwire_backlog\{provider="(\w+)",state="(\w+)"\} (\S+)', text)
    assert sorted(backlog) == [("esputnik", "retrying", "2.0"), ("sprii", "off", "1.0")]
    with busy.db.write() as session:
        session.execute(update(Shop).values(removed_at=datetime.now(UTC)))
    assert "tillwire_backlog{" not in metrics(busy.client)[1]


def test_while_the_database_is_down_the_counters_can_still_be_read(down: FlaskClient) -> None:
    status, text = metrics(down)
    assert status == 200
    assert "tillwire_webhook_seconds_count" in text
    assert "tillwire_backlog{" not in text


FORWARDED = (
    *("X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "Forwarded", "Via", "X_Real_Ip"),
    *("X_Client_Ip", "True_Client_Ip", "Fly_Client_Ip", "Cf_Connecting_Ip"),
)


@pytest.mark.parametrize("header", FORWARDED)
def test_what_a_proxy_passed_on_may_not_read_the_metrics(rig: Rig, header: str) -> None:
    status, text = metrics(rig.client, **{header: "127.0.0.1"})
    assert (status, "tillwire" in text) == (403, False)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("192.0.2.1", 403), ("10.0.0.1", 403)),
        *(("", 403), ("localhost", 403)),  # as for a socket file
    ],
)
def test_only_this_machine_may_read_the_metrics(rig: Rig, address: str, status: int) -> None:
    assert rig.client.get("/metrics", environ_overrides={"REMOTE_ADDR": address}).status_code == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("Bearer t0ken", 200), ("Bearer t0ke", 403), ("t0ken", 403), ("Bearer ", 403), ("Bearer grüße", 403)],
)
def test_from_elsewhere_the_token_opens_the_metrics(rig: Rig, authorization: str, status: int) -> None:
    config = dataclasses.replace(rig.config, metrics_token="t0ken")
    app = factory.create_app(dataclasses.replace(rig.parts, config=config))
    answer = metrics(app.test_client(), Authorization=authorization, X_Forwarded_For="192.0.2.1")
    app.extensions["intake"].close()
    assert answer[0] == status


def test_without_a_token_an_empty_one_opens_nothing(rig: Rig) -> None:
    assert metrics(rig.client, Authorization="Bearer ", X_Forwarded_For="192.0.2.1")[0] == 403


# the start page


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/static/home.css", "/nowhere"])
def test_every_answer_to_a_browser_is_hardened(rig: Rig, path: str) -> None:
    answer = rig.client.get(path)
    policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'"
    assert answer.headers["Content-Security-Policy"] == policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    answer.close()


@pytest.mark.parametrize(
    ("public_url", "said"),
    [("https://tillwire.example", "max-age=31536000"), ("http://localhost:8000", None), ("", None)],
)
def test_browsers_are_held_to_https_where_it_is_ours(rig: Rig, public_url: str, said: str | None) -> None:
    config = dataclasses.replace(rig.config, public_url=public_url)
    app = factory.create_app(dataclasses.replace(rig.parts, config=config))
    answer = app.test_client().get("/healthz")
    app.extensions["intake"].close()
    assert answer.headers.get("Strict-Transport-Security") == said


def test_an_empty_start_page_says_how_to_begin(rig: Rig) -> None:
    page = rig.client.get("/").get_data(as_text=True)
    assert "None yet. Register one with <code>tillwire shops add</code>" in page
    assert "No event has been owed to a provider yet." in page
    assert '<meta http-equiv="refresh" content="3">' in page


def test_the_start_page_shows_shops_and_deliveries_and_no_person(busy: Rig) -> None:
    page = busy.client.get("/").get_data(as_text=True)
    assert "<li>1: secret-store.example (woocommerce)</li>" in page
    assert '<tr><td>Gameball</td><td>delivered</td><td class="number">2</td></tr>' in page
    assert "<tr><td>424242</td><td>Gameball</td><td>order</td><td>delivered</td>" in page
    assert "anna" not in page


def test_the_start_page_says_when_a_store_needs_attention(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    with rig.db.write() as session:
        configure.find_shop(session, str(shop)).trouble = "<b>connect</b> again"
    page = rig.client.get("/").get_data(as_text=True)
    assert "needs attention: &lt;b&gt;connect&lt;/b&gt; again" in page


def test_in_production_the_start_page_leads_to_signing_in_and_tells_nothing(busy: Rig) -> None:
    config = dataclasses.replace(busy.config, env="production")
    app = factory.create_app(dataclasses.replace(busy.parts, config=config))
    page = app.test_client().get("/", follow_redirects=True).get_data(as_text=True)
    app.extensions["intake"].close()
    assert "<h1>Sign in</h1>" in page
    for word in ("secret-store", "424242", "Gameball", "refresh"):
        assert word not in page


def test_what_is_not_there_and_what_breaks_is_answered_in_json(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = rig.client.get("/nowhere")
    assert (answer.status_code, answer.get_json()) == (404, {"status": "not found"})

    def broken() -> None:
        raise RuntimeError("anna@example.test")

    monkeypatch.setitem(rig.app.view_functions, "operations.healthz", broken)
    answer = rig.client.get("/healthz")
    assert (answer.status_code, answer.get_json()) == (500, {"status": "internal server error"})
