"""What the platforms are answered, and what is on disk by then."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from a2wsgi import ASGIMiddleware
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, text
from werkzeug.test import TestResponse

from app import factory
from app.db import Database
from app.metrics import REGISTRY
from app.models import Webhook
from app.services import configure, intake
from app.web.front import Front
from tests.bodies import woocommerce_order
from tests.databases import POSTGRESQL, SQLITE
from tests.rig import DOMAIN, SHOPIFY_SECRET, Rig, signature

BODY = '{"id": 7, "note": "grüße", "email": "anna@example.test"}'.encode()
TOPIC = "orders/updated"
WOO_TOPIC = "order.updated"

Serve = Callable[..., AbstractContextManager[FlaskClient]]


@pytest.fixture(params=["flask", "front"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways to serve the routes: in Flask, and before it in an event loop."""
    with ExitStack() as stack:
        if request.param == "front":
            bridge, create = stack.enter_context(Bridge()), factory.create_app

            def create_app(*given: Any) -> Flask:
                app = create(*given)
                app.wsgi_app = bridge.to(factory.create_front(app))  # type: ignore[method-assign]
                return app

            monkeypatch.setattr(factory, "create_app", create_app)
        yield str(request.param)


class Bridge:
    """An event loop in a thread, by which Flask's client asks what an ASGI server would call."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._fronts: list[Front] = []

    def to(self, front: Front) -> Callable[..., list[bytes]]:
        self._fronts.append(front)
        serve = ASGIMiddleware(front, loop=self._loop)  # type: ignore[arg-type]
        # Taken whole, as a server does, whatever the test reads of it: nothing of a request outlives it.
        return lambda environ, start_response: list(serve(environ, start_response))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._fronts:
            each._flask.executor.shutdown()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Let tasks that are told to end do so."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture
def serve(rig: Rig) -> Serve:
    """The rig's Tillwire again, with another configuration or database."""

    @contextmanager
    def served(db: Database | None = None, **changes: Any) -> Iterator[FlaskClient]:
        config = dataclasses.replace(rig.config, **changes)
        app = factory.create_app(dataclasses.replace(rig.parts, config=config, db=db or rig.db))
        yield app.test_client()
        app.extensions["intake"].close()

    return served


def shopify(
    client: FlaskClient,
    body: bytes = BODY,
    *,
    secret: str = SHOPIFY_SECRET,
    topic: str = TOPIC,
    domain: str | None = DOMAIN,
    webhook_id: str = "w1",
    **headers: str | None,
) -> TestResponse:
    sent = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signature(secret, body),
        "X-Shopify-Webhook-Id": webhook_id,
        "X-Shopify-Shop-Domain": domain,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return client.post("/webhooks/shopify", data=body, headers=_given(sent), content_type="application/json")


def woocommerce(
    client: FlaskClient,
    endpoint: tuple[str, str],
    body: bytes = BODY,
    *,
    secret: str | None = None,
    topic: str = WOO_TOPIC,
    delivery_id: str = "d1",
    **headers: str | None,
) -> TestResponse:
    path, own = endpoint
    sent = {
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Signature": signature(own if secret is None else secret, body),
        "X-WC-Webhook-Delivery-ID": delivery_id,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return client.post(path, data=body, headers=_given(sent), content_type="application/json")


def _given(headers: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if value is not None}


def said(answer: TestResponse) -> tuple[int, str]:
    assert set(answer.get_json()) == {"status"}
    return answer.status_code, answer.get_json()["status"]


def stored(rig: Rig) -> list[Webhook]:
    with rig.db.read() as session:
        return list(session.scalars(select(Webhook).order_by(Webhook.id)))


def count(rig: Rig) -> int:
    with rig.db.read() as session:
        return session.scalar(select(func.count()).select_from(Webhook)) or 0


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("shopify", external_id="12345")


@pytest.fixture
def endpoint(rig: Rig) -> tuple[str, str]:
    return rig.endpoint(rig.shop("woocommerce"), WOO_TOPIC)


# stored


def test_a_webhook_of_shopify_is_stored_as_it_came(rig: Rig, shop: int) -> None:
    assert said(shopify(rig.client)) == (200, "stored")
    (row,) = stored(rig)
    assert (row.platform, row.shop_id, row.topic, row.state) == ("shopify", shop, TOPIC, "pending")
    assert zlib.decompress(row.body) == BODY
    assert row.body_hash == hashlib.sha256(BODY).hexdigest()


def test_a_webhook_of_woocommerce_is_stored_as_it_came(rig: Rig, endpoint: tuple[str, str]) -> None:
    assert said(woocommerce(rig.client, endpoint)) == (200, "stored")
    (row,) = stored(rig)
    assert (row.platform, row.shop_id, row.topic, row.state) == ("woocommerce", 1, WOO_TOPIC, "pending")
    assert zlib.decompress(row.body) == BODY


def test_the_row_is_committed_before_the_answer(
    rig: Rig, shop: int, endpoint: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    inner = rig.app.wsgi_app

    def looking(environ: Any, start_response: Any) -> Any:
        def start(*given: Any) -> Any:
            with closing(Database(rig.config.database_url)) as other, other.read() as session:
                seen.extend(session.scalars(select(func.count()).select_from(Webhook)))
            return start_response(*given)

        return inner(environ, start)

    monkeypatch.setattr(rig.app, "wsgi_app", looking)
    event.listen(rig.db.engine, "commit", lambda _connection: time.sleep(0.1))
    shopify(rig.client)
    woocommerce(rig.client, endpoint)
    assert seen == [1, 2]


def test_headers_are_kept_without_credentials_and_addresses_of_proxies(rig: Rig, endpoint: tuple[str, str]) -> None:
    secret = {"Authorization": "Bearer t0ken", "Cookie": "session=t0ken", "Proxy_Authorization": "Basic t0ken"}
    proxies = {"Forwarded": "for=192.0.2.1", "X_Real_Ip": "192.0.2.1", "X_Forwarded_For": "192.0.2.1"}
    woocommerce(rig.client, endpoint, X_WC_Webhook_ID="5", **secret, **proxies)
    (row,) = stored(rig)
    assert row.headers == {
        "host": "localhost",
        "user-agent": row.headers["user-agent"],
        "content-type": "application/json",
        "x-wc-webhook-topic": WOO_TOPIC,
        "x-wc-webhook-signature": signature(rig.endpoint(1, WOO_TOPIC)[1], BODY),
        "x-wc-webhook-delivery-id": "d1",
        "x-wc-webhook-id": "5",
    }


@pytest.mark.parametrize("topic", ["customers/data_request", "customers/redact", "shop/redact"])
def test_a_privacy_request_is_stored_and_parked_also_after_a_removal(
    rig: Rig, serve: Serve, shop: int, topic: str
) -> None:
    body = json.dumps({"shop_id": 12345, "shop_domain": DOMAIN, "customer": {"id": 1}}).encode()
    assert said(shopify(rig.client, body, topic=topic, secret="other")) == (401, "unproven")
    assert said(shopify(rig.client, body, topic=topic)) == (200, "stored")
    with rig.db.write() as session:
        configure.remove_shop(session, configure.find_shop(session, str(shop)))
    with serve() as afresh:
        assert said(shopify(afresh, body, topic=topic, webhook_id="w2")) == (200, "stored")
        assert said(shopify(afresh, webhook_id="w3")) == (200, "ignored")
    rig.account()
    assert [(each["shop"], each["state"]) for each in rig.events()] == [(shop, "parked")] * 2


def test_what_cannot_be_read_is_stored_all_the_same(rig: Rig, shop: int, endpoint: tuple[str, str]) -> None:
    assert said(shopify(rig.client, b"not json")) == (200, "stored")
    assert said(woocommerce(rig.client, endpoint, b"\xff\xfe\x00")) == (200, "stored")


# 401


MANGLED = {
    "a blank more": BODY + b" ",
    "a line end less": BODY[:-1],
    "reordered": b'{"note": "gr\xc3\xbc\xc3\x9fe", "id": 7, "email": "anna@example.test"}',
    "escaped": json.dumps(json.loads(BODY)).encode(),
    "with a byte order mark": b"\xef\xbb\xbf" + BODY,
    "empty": b"",
}


@pytest.mark.parametrize("body", MANGLED.values(), ids=MANGLED)
def test_the_signature_proves_the_exact_bytes(rig: Rig, shop: int, endpoint: tuple[str, str], body: bytes) -> None:
    proof = signature(SHOPIFY_SECRET, BODY)
    assert said(shopify(rig.client, body, X_Shopify_Hmac_Sha256=proof)) == (401, "unproven")
    proof = signature(endpoint[1], BODY)
    assert said(woocommerce(rig.client, endpoint, body, X_WC_Webhook_Signature=proof)) == (401, "unproven")
    assert count(rig) == 0


WRONG_PROOFS: dict[str, str | None] = {
    "missing": None,
    "empty": "",
    "of an empty secret": signature("", BODY),
    "of another secret": signature("another", BODY),
    "in hex": hashlib.sha256(BODY).hexdigest(),
    "not ASCII": "grüße",
}


@pytest.mark.parametrize("proof", WRONG_PROOFS.values(), ids=WRONG_PROOFS)
def test_a_wrong_signature_is_refused(rig: Rig, shop: int, endpoint: tuple[str, str], proof: str | None) -> None:
    assert said(shopify(rig.client, X_Shopify_Hmac_Sha256=proof)) == (401, "unproven")
    assert said(woocommerce(rig.client, endpoint, X_WC_Webhook_Signature=proof)) == (401, "unproven")
    assert count(rig) == 0


@pytest.mark.parametrize(
    ("secret", "answer"),
    [("new", (200, "stored")), ("old", (200, "stored")), ("older", (401, "unproven")), ("", (401, "unproven"))],
)
def test_during_a_rotation_both_secrets_of_shopify_prove(
    serve: Serve, shop: int, secret: str, answer: tuple[int, str]
) -> None:
    with serve(shopify_secrets=("new", "old")) as client:
        assert said(shopify(client, secret=secret)) == answer


@pytest.mark.parametrize("token", ["unknown", "a" * 101, "%00", "%FF", "%F0%9F%9A%80"])
def test_an_unknown_token_is_refused(rig: Rig, endpoint: tuple[str, str], token: str) -> None:
    answer = woocommerce(rig.client, (f"/webhooks/woocommerce/{token}", endpoint[1]))
    assert said(answer) == (401, "unproven")
    assert count(rig) == 0


def test_on_postgres_too_a_token_with_a_null_byte_is_only_unknown(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        assert said(woocommerce(rig.client, ("/webhooks/woocommerce/a%00b", "s"))) == (401, "unproven")


@pytest.mark.parametrize("topic", ["order.created", "ORDER.UPDATED", "", None])
def test_a_topic_other_than_our_record_is_refused(rig: Rig, endpoint: tuple[str, str], topic: str | None) -> None:
    assert said(woocommerce(rig.client, endpoint, X_WC_Webhook_Topic=topic)) == (401, "unproven")
    assert count(rig) == 0


def test_the_secret_of_one_woocommerce_webhook_proves_nothing_at_another(rig: Rig, endpoint: tuple[str, str]) -> None:
    other = rig.endpoint(1, "order.created")
    answer = woocommerce(rig.client, other, secret=endpoint[1], topic="order.created")
    assert said(answer) == (401, "unproven")


# ping


def ping(client: FlaskClient, path: str, body: bytes = b"webhook_id=12", **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, data=body, headers=given, content_type="application/x-www-form-urlencoded")


def test_a_ping_is_answered_and_stores_nothing(rig: Rig, endpoint: tuple[str, str]) -> None:
    assert said(ping(rig.client, endpoint[0])) == (200, "ping")
    assert count(rig) == 0


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"webhook_id=12", {"X_WC_Webhook_Topic": WOO_TOPIC}),
        (b"webhook_id=12", {"X_WC_Webhook_Signature": "AAAA"}),
        (b"webhook_id=12&id=7", {}),
        (b"webhook_id=x", {}),
        (b"", {}),
    ],
)
def test_what_only_looks_like_a_ping_needs_a_signature(
    rig: Rig, endpoint: tuple[str, str], body: bytes, headers: dict[str, str]
) -> None:
    assert said(ping(rig.client, endpoint[0], body, **headers)) == (401, "unproven")


def test_a_ping_to_an_unknown_token_or_to_shopify_is_refused(rig: Rig) -> None:
    assert said(ping(rig.client, "/webhooks/woocommerce/unknown")) == (401, "unproven")
    assert said(ping(rig.client, "/webhooks/shopify")) == (401, "unproven")


# ignored


def test_an_unknown_shop_is_ignored(rig: Rig, shop: int) -> None:
    assert said(shopify(rig.client, domain="stranger.myshopify.com")) == (200, "ignored")
    assert count(rig) == 0


def test_a_removed_shop_is_unknown(rig: Rig, shop: int, endpoint: tuple[str, str]) -> None:
    with rig.db.write() as session:
        for each in (str(shop), "store.example"):
            configure.remove_shop(session, configure.find_shop(session, each))
    assert said(shopify(rig.client)) == (200, "ignored")
    assert said(woocommerce(rig.client, endpoint)) == (401, "unproven")


@pytest.mark.parametrize("topic", ["products/update", "", "x" * 300])
def test_a_topic_of_shopify_without_use_is_ignored(rig: Rig, shop: int, topic: str) -> None:
    assert said(shopify(rig.client, topic=topic)) == (200, "ignored")
    assert count(rig) == 0


def test_a_topic_of_woocommerce_without_use_is_ignored(rig: Rig, endpoint: tuple[str, str]) -> None:
    product = rig.endpoint(1, "product.updated")
    assert said(woocommerce(rig.client, product, topic="product.updated")) == (200, "ignored")
    assert count(rig) == 0


def test_the_domain_is_compared_without_case(rig: Rig, shop: int) -> None:
    assert said(shopify(rig.client, domain=DOMAIN.upper())) == (200, "stored")
    assert stored(rig)[0].shop_id == shop


# without the shop's header


def test_without_the_header_the_body_tells_the_shop(rig: Rig, shop: int) -> None:
    body = json.dumps({"shop_id": 12345, "shop_domain": DOMAIN, "customer": {"id": 1}}).encode()
    assert said(shopify(rig.client, body, topic="customers/redact", domain=None)) == (200, "stored")
    assert stored(rig)[0].shop_id is None
    rig.account()
    assert [(each["shop"], each["state"]) for each in rig.events()] == [(shop, "parked")]


def test_without_the_header_a_body_that_names_no_shop_of_ours_is_an_event_in_error(rig: Rig, shop: int) -> None:
    body = json.dumps({"shop_id": 9, "shop_domain": "stranger.myshopify.com", "customer": {"id": 1}}).encode()
    assert said(shopify(rig.client, body, topic="customers/redact", domain=None)) == (200, "stored")
    rig.account()
    ((shop_id, state, error),) = [(each["shop"], each["state"], each["error"]) for each in rig.events()]
    assert (shop_id, state, error) == (None, "error", "names no shop that is installed here")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"shop_domain": "stranger.myshopify.com"}, "the body names another shop than the request did"),
        ({"shop_domain": DOMAIN, "shop_id": 999}, "the body carries another shop's id"),
    ],
)
def test_a_body_of_another_shop_is_quarantined(rig: Rig, shop: int, named: dict[str, Any], reason: str) -> None:
    rig.switch_on(shop)
    assert said(shopify(rig.client, json.dumps(named).encode(), topic="customers/redact")) == (200, "stored")
    rig.account()
    assert [(each["state"], each["error"]) for each in rig.events()] == [("quarantined", reason)]
    assert rig.deliveries() == []


# repeats (ruling 8)


def test_of_shopify_the_shop_and_the_webhook_id_make_a_repeat(rig: Rig, shop: int) -> None:
    other = rig.shop("shopify", "other.myshopify.com")
    sent = [
        (shopify(rig.client), "stored"),
        (shopify(rig.client), "duplicate"),
        (shopify(rig.client, BODY + b"\n"), "duplicate"),  # the id decides, not the body
        (shopify(rig.client, topic="orders/paid"), "duplicate"),
        (shopify(rig.client, webhook_id="w2"), "stored"),  # the same body under another id
        (shopify(rig.client, domain="other.myshopify.com"), "stored"),
    ]
    assert [said(answer) for answer, _ in sent] == [(200, word) for _, word in sent]
    assert [row.shop_id for row in stored(rig)] == [shop, shop, other]


def test_of_shopify_without_an_id_topic_and_body_make_a_repeat(rig: Rig, shop: int) -> None:
    answers = [
        shopify(rig.client, body, topic=topic, X_Shopify_Webhook_Id=None)
        for body, topic in [(BODY, TOPIC), (BODY, TOPIC), (BODY + b" ", TOPIC), (BODY, "orders/paid")]
    ]
    assert [said(each)[1] for each in answers] == ["stored", "duplicate", "stored", "stored"]


def test_of_woocommerce_the_token_and_the_body_make_a_repeat(rig: Rig, endpoint: tuple[str, str]) -> None:
    created = rig.endpoint(1, "order.created")
    answers = [
        woocommerce(rig.client, endpoint),
        woocommerce(rig.client, endpoint),
        woocommerce(rig.client, endpoint, delivery_id="d2"),
        woocommerce(rig.client, endpoint, BODY + b" "),  # the same Delivery-ID with another body
        woocommerce(rig.client, created, topic="order.created"),
    ]
    assert [said(each)[1] for each in answers] == ["stored", "duplicate", "duplicate", "stored", "stored"]


def test_of_deletions_the_delivery_id_tells_two_from_a_repeat(rig: Rig, endpoint: tuple[str, str]) -> None:
    deleted = rig.endpoint(1, "order.deleted")
    answers = [
        woocommerce(rig.client, deleted, b'{"id":7}', topic="order.deleted", delivery_id=each)
        for each in ("d1", "d1", "d2", "d2")
    ]
    assert [said(each)[1] for each in answers] == ["stored", "duplicate", "stored", "duplicate"]


def _at_once(sends: list[Callable[[], TestResponse]]) -> list[str]:
    barrier = threading.Barrier(len(sends))

    def send(each: Callable[[], TestResponse]) -> str:
        barrier.wait(10)
        return said(each())[1]

    with ThreadPoolExecutor(len(sends)) as pool:
        return sorted(pool.map(send, sends))


def test_of_the_same_webhook_sent_many_times_at_once_exactly_one_is_stored(
    rig: Rig, shop: int, endpoint: tuple[str, str]
) -> None:
    for round_ in range(5):
        body = BODY + b" " * round_
        sends = [lambda: shopify(rig.app.test_client(), body, webhook_id=f"r{round_}")] * 8  # noqa: B023 - run at once
        assert _at_once(sends) == ["duplicate"] * 7 + ["stored"]
        sends = [lambda: woocommerce(rig.app.test_client(), endpoint, body)] * 8  # noqa: B023
        assert _at_once(sends) == ["duplicate"] * 7 + ["stored"]
    assert count(rig) == 10


def test_two_servers_on_one_postgres_store_it_once_too(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        rig.shop("shopify")
        other: Flask = factory.create_app(rig.parts)
        for round_ in range(5):
            sends = [lambda app=app: shopify(app.test_client(), webhook_id=f"r{round_}") for app in (rig.app, other)]  # noqa: B023
            assert _at_once(sends * 3) == ["duplicate"] * 5 + ["stored"]
        other.extensions["intake"].close()
        assert count(rig) == 5


# 503


def test_without_a_secret_shopify_is_answered_503_whatever_proves_it(rig: Rig, serve: Serve, shop: int) -> None:
    with serve(shopify_secrets=()) as client:
        answer = shopify(client, secret="")
    assert said(answer) == (503, "not configured")
    assert answer.headers["Retry-After"] == "30"
    assert count(rig) == 0


def test_a_woocommerce_secret_that_no_key_opens_is_answered_503(
    rig: Rig, serve: Serve, endpoint: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(encryption_keys=(Fernet.generate_key().decode(),)) as client:
        answer = woocommerce(client, endpoint)
    assert (said(answer), answer.headers["Retry-After"]) == ((503, "not configured"), "30")
    assert "the secret of webhook address 1 opens with none of ENCRYPTION_KEYS" in capsys.readouterr().err


@contextmanager
def locked(rig: Rig) -> Iterator[None]:
    """Nobody can store a webhook until the block ends."""
    with closing(Database(rig.config.database_url)) as other, other.begin() as connection:
        if not other.sqlite:
            connection.execute(text("LOCK TABLE webhooks IN EXCLUSIVE MODE"))
        yield


def test_while_the_database_is_locked_nothing_is_answered_200_and_nothing_lost(
    rig: Rig, shop: int, endpoint: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LONGEST_WAIT", 0.3)
    with locked(rig):
        answers = [shopify(rig.client), woocommerce(rig.client, endpoint)]
    assert [(said(each), each.headers["Retry-After"]) for each in answers] == [((503, "not storable now"), "30")] * 2
    monkeypatch.setattr(intake, "LONGEST_WAIT", 10.0)
    assert {said(each)[0] for each in (shopify(rig.client), woocommerce(rig.client, endpoint))} == {200}
    assert count(rig) == 2


@pytest.mark.sqlite
def test_a_full_disk_is_answered_503(rig: Rig, shop: int, endpoint: tuple[str, str]) -> None:
    @event.listens_for(rig.db.engine, "connect")
    def fill(connection: Any, _record: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    rig.db.engine.dispose()
    body = random.Random(1).randbytes(100_000)
    assert said(shopify(rig.client, body)) == (503, "not storable now")
    assert said(woocommerce(rig.client, endpoint, body)) == (503, "not storable now")
    assert count(rig) == 0


def test_a_database_that_is_down_is_answered_503(serve: Serve, shop: int, endpoint: tuple[str, str]) -> None:
    down = Database("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")
    with serve(down) as client:
        answers = [shopify(client), woocommerce(client, endpoint), shopify(client, domain=None)]
    down.close()
    assert [(said(each), each.headers["Retry-After"]) for each in answers] == [((503, "not storable now"), "30")] * 3


REFUSE_PAID = {
    SQLITE: (
        "CREATE TRIGGER refuse BEFORE INSERT ON webhooks WHEN NEW.topic = 'orders/paid'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    ),
    POSTGRESQL: "ALTER TABLE webhooks ADD CONSTRAINT refuse CHECK (topic <> 'orders/paid')",
}


def test_one_row_that_the_database_refuses_takes_no_other_with_it(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        session.execute(text(REFUSE_PAID[rig.db.engine.dialect.name]))
    with ThreadPoolExecutor(4) as pool:
        topics = ["orders/create", "orders/paid", "orders/updated", "orders/cancelled"]
        with locked(rig):  # until all of them wait for one commit
            sent = [
                pool.submit(lambda topic=topic: said(shopify(rig.app.test_client(), topic=topic, webhook_id=topic)))
                for topic in topics
            ]
            time.sleep(0.3)
        answers = [each.result() for each in sent]
    assert answers == [(200, "stored"), (503, "not storable now"), (200, "stored"), (200, "stored")]


# the limit, other methods


@pytest.mark.parametrize(("size", "answer"), [(999, 200), (1000, 200), (1001, 413), (100_000, 413)])
def test_the_limit_is_exact(
    rig: Rig, serve: Serve, shop: int, endpoint: tuple[str, str], size: int, answer: int
) -> None:
    body = b'"' + b"x" * (size - 2) + b'"'
    with serve(max_webhook_bytes=1000) as client:
        answers = [shopify(client, body), woocommerce(client, endpoint, body)]
    assert [each.status_code for each in answers] == [answer] * 2
    assert {each.get_json()["status"] for each in answers} == {
        "stored" if answer == 200 else "request entity too large"
    }
    assert count(rig) == (2 if answer == 200 else 0)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/webhooks/shopify", "/webhooks/woocommerce/token"])
def test_other_methods_are_refused(rig: Rig, method: str, path: str) -> None:
    answer = rig.client.open(path, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


# what others may learn


def test_neither_answers_nor_logs_tell_of_persons_or_secrets(
    rig: Rig, shop: int, endpoint: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    person = {"email": "anna@example.test", "first_name": "Annabella", "line_items": "Annabella"}
    order = {**woocommerce_order(7, email="anna@example.test"), "line_items": "Annabella"}
    answers = []
    for body in (b"Annabella anna@example.test", json.dumps({"id": 7, **person}).encode(), json.dumps(order).encode()):
        answers += [
            shopify(rig.client, body, webhook_id=str(len(body))),
            shopify(rig.client, body, secret="wrong-secret"),
            woocommerce(rig.client, endpoint, body),
            woocommerce(rig.client, endpoint, body, secret="wrong-secret"),
        ]
    rig.account()
    with rig.db.write() as session:
        session.execute(text("ALTER TABLE webhooks RENAME TO gone"))
    answers += [
        shopify(rig.client, b"Annabella", webhook_id="x"),
        woocommerce(rig.client, endpoint, b"Annabella anna@example.test!"),
    ]
    assert {each.status_code for each in answers} == {200, 401, 503}
    assert "storing 1 webhooks failed" in caplog.text
    told = caplog.text + "".join(each.get_data(as_text=True) + str(each.headers) for each in answers)
    for word in ("annabella", "anna@", SHOPIFY_SECRET, endpoint[1], endpoint[0].rpartition("/")[2]):
        assert word.lower() not in told.lower()


def test_every_answer_is_counted_under_a_label_that_we_know(rig: Rig, shop: int, endpoint: tuple[str, str]) -> None:
    def counted(platform: str, topic: str, result: str) -> float:
        labels = {"platform": platform, "topic": topic, "result": result}
        return REGISTRY.get_sample_value("tillwire_webhooks_total", labels) or 0

    wanted = [
        ("shopify", TOPIC, "stored"),
        ("shopify", TOPIC, "duplicate"),
        ("shopify", "other", "ignored"),
        ("shopify", TOPIC, "unproven"),
        ("woocommerce", WOO_TOPIC, "stored"),
        ("woocommerce", "other", "ping"),
    ]
    before = [counted(*each) for each in wanted]
    shopify(rig.client)
    shopify(rig.client)
    shopify(rig.client, topic="made/up")
    shopify(rig.client, secret="wrong")
    woocommerce(rig.client, endpoint)
    ping(rig.client, endpoint[0])
    assert [counted(*each) for each in wanted] == [each + 1 for each in before]
