"""The way before Flask: what of a request reaches which side, and its bounds."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from app import factory
from app.metrics import REGISTRY
from app.models import Webhook
from app.services import brake, precedence
from app.web import front
from tests.bodies import woocommerce_order
from tests.rig import DOMAIN, SHOPIFY_SECRET, Rig, signature

JSON = (b"content-type", b"application/json")


def proven(body: bytes, webhook_id: str = "w1", secret: str = SHOPIFY_SECRET) -> list[tuple[bytes, bytes]]:
    given = {
        "x-shopify-topic": "orders/updated",
        "x-shopify-shop-domain": DOMAIN,
        "x-shopify-webhook-id": webhook_id,
        "x-shopify-hmac-sha256": signature(secret, body),
    }
    return [JSON, *((name.encode(), value.encode()) for name, value in given.items())]


def ask(
    made: front.Front,
    *parts: bytes,
    path: str = "/webhooks/shopify",
    headers: list[tuple[bytes, bytes]] | None = None,
    method: str = "POST",
    hangs_up: bool = False,
    stalls: bool = False,
) -> tuple[int, bytes, dict[str, str]]:
    """One request whose body comes in ``parts``; its status, body and headers."""
    scope = {
        **{"type": "http", "method": method, "path": path, "query_string": b"", "http_version": "1.1"},
        **{"headers": headers or [], "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80), "scheme": "http"},
    }
    told = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if hangs_up:
        told.append({"type": "http.disconnect"})
    elif not stalls:
        told[-1]["more_body"] = False
    sent: list[Any] = []

    async def receive() -> Any:
        if not told:
            await asyncio.sleep(10)
        return told.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(made(scope, receive, send))
    body = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], body, {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.fixture
def made(rig: Rig) -> Iterator[front.Front]:
    rig.shop("shopify")
    made = factory.create_front(rig.app)
    yield made
    made._flask.executor.shutdown()


def test_a_body_in_pieces_is_stored_once_whole(made: front.Front) -> None:
    headers = proven(b"one two")
    assert ask(made, b"one", b" ", b"two", headers=headers)[:2] == (200, b'{"status":"stored"}\n')
    assert ask(made, b"one two", headers=headers)[:2] == (200, b'{"status":"duplicate"}\n')
    assert made._held == 0


@pytest.mark.parametrize(
    ("secret", "headers"), [(SHOPIFY_SECRET, {}), ("other", {}), (SHOPIFY_SECRET, {"x-shopify-shop-domain": "no.one"})]
)
def test_flask_and_the_front_answer_alike(rig: Rig, made: front.Front, secret: str, headers: dict[str, str]) -> None:
    ask(made, b"a", headers=proven(b"a"))  # so that both of them see a repeat
    given = {**{name.decode(): value.decode() for name, value in proven(b"a", secret=secret)}, **headers}
    flask = rig.client.post("/webhooks/shopify", data=b"a", headers=given)
    ours = ask(made, b"a", headers=[(name.encode(), value.encode()) for name, value in given.items()])
    assert ours == (flask.status_code, flask.get_data(), {key.lower(): value for key, value in flask.headers.items()})


def test_a_refusal_is_counted_as_flask_counts_it(rig: Rig, made: front.Front) -> None:
    def counted() -> float:
        labels = {"route": "webhooks.shopify", "reason": "unproven"}
        return REGISTRY.get_sample_value("tillwire_refused_total", labels) or 0

    before = counted()
    assert ask(made, b"a", headers=proven(b"a", secret="other"))[0] == 401
    rig.client.post("/webhooks/shopify", data=b"a")
    assert counted() == before + 2


def test_an_answer_is_held_back_only_when_its_webhook_is_stored(
    rig: Rig, made: front.Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence, "MUCH", 9)  # two webhooks
    now = time.monotonic()
    for each in (made._brake, made._brake._recent):
        monkeypatch.setattr(each, "_clock", lambda: now)
    held: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        with rig.db.read() as session:
            held.append((seconds, session.scalar(select(func.count()).select_from(Webhook)) or 0))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    other = rig.shop("woocommerce")
    for number in range(3):
        assert ask(made, b"a", headers=proven(b"a", f"before {number}"))[:2] == (200, b'{"status":"stored"}\n')
    assert rig.woocommerce(other, "order.updated", woocommerce_order(1)) == "stored"
    assert ask(made, b"a", headers=proven(b"a", "first"))[:2] == (200, b'{"status":"stored"}\n')
    assert held == []
    assert ask(made, b"a", headers=proven(b"a", "second"))[:2] == (200, b'{"status":"stored"}\n')
    assert held == [(pytest.approx(1 / brake.PACE), 6)]
    monkeypatch.setattr(front, "QUICK", 1)
    assert ask(made, b"ab", headers=proven(b"ab", "third"))[:2] == (200, b'{"status":"stored"}\n')
    assert len(held) == 1
    waited: list[float] = []

    async def hold(_shop_id: int, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(made._brake, "hold", hold)
    ask(made, b"a", headers=proven(b"a", "fourth"))
    assert [each > 0 for each in waited] == [True]  # as long as storing took


def test_who_hangs_up_in_the_middle_stores_nothing(rig: Rig, made: front.Front) -> None:
    assert ask(made, b"one", hangs_up=True, headers=proven(b"one"))[0] == 408
    assert rig.events() == []
    assert made._held == 0


def test_who_stalls_is_given_up(made: front.Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "SECONDS", 0.1)
    status, _, headers = ask(made, b"one", stalls=True, headers=proven(b"one"))
    assert (status, headers["connection"]) == (408, "close")


def test_beyond_the_memory_of_all_bodies_the_answer_is_503(made: front.Front, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted() -> float:
        labels = {"platform": "shopify", "topic": "orders/updated", "result": "busy"}
        return REGISTRY.get_sample_value("tillwire_webhooks_total", labels) or 0

    before = counted()
    monkeypatch.setattr(front, "MOST_HELD", 5)
    status, _, headers = ask(made, b"one", b"two", headers=proven(b"onetwo"))
    assert (status, headers["retry-after"]) == (503, "30")
    assert counted() == before + 1
    assert ask(made, b"one", b"two", path="/sign-in")[0] == 503
    assert counted() == before + 1
    assert made._held == 0


def test_a_body_over_the_limit_is_refused_by_flask_and_the_connection_closed(rig: Rig) -> None:
    config = dataclasses.replace(rig.config, max_webhook_bytes=10)
    app = factory.create_app(dataclasses.replace(rig.parts, config=config))
    made = factory.create_front(app)
    for parts in ([b"x" * 11], [b"x" * 6, b"x" * 5], [b"x" * 6] * 20):
        status, body, headers = ask(made, *parts, headers=[JSON])
        assert (status, body, headers["connection"]) == (413, b'{"status":"request entity too large"}\n', "close")
    made._flask.executor.shutdown()
    app.extensions["intake"].close()


def test_a_header_that_would_pass_for_another_does_not_reach_flask(made: front.Front) -> None:
    assert ask(made, b"", path="/metrics", method="GET")[0] == 200
    for name, status in ((b"x-forwarded-for", 403), (b"x_forwarded_for", 200)):
        assert ask(made, b"", path="/metrics", method="GET", headers=[(name, b"192.0.2.1")])[0] == status


def test_a_long_body_is_read_in_a_thread_and_stored_all_the_same(rig: Rig, made: front.Front) -> None:
    body = b"x" * 300_000
    assert ask(made, b"a", headers=proven(b"a"))[0] == 200
    assert ask(made, body, headers=proven(body, "w2"))[:2] == (200, b'{"status":"stored"}\n')
