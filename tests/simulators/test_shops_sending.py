"""The made-up shops on the wire: against a small server on this machine."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.simulators.shops import (
    ShopifyShop,
    ShopSimulator,
    Story,
    Webhook,
    WooCommerceShop,
    run_shop,
    stream,
    unsettled,
)

Answer = Callable[[str, int], int]


class Listener:
    """Keeps every request, and answers with what `answer` says of its path and how often it came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Answer = lambda _path, _times: 200
        self.times: defaultdict[bytes, int] = defaultdict(int)
        self.lock = threading.Lock()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with listener.lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    listener.requests.append((self.path, headers, body))
                    listener.times[self.headers.get("X-Shopify-Webhook-Id", "").encode() or body] += 1
                    times = listener.times[self.headers.get("X-Shopify-Webhook-Id", "").encode() or body]
                self.send_response(listener.answer(self.path, times))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False  # so that closing waits for them, and nothing is left open

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    opened = Listener()
    yield opened
    opened.close()


def some(platform: Any, count: int = 12) -> list[Webhook]:
    shop = ShopifyShop() if platform == "shopify" else WooCommerceShop()
    return list(stream(shop, Story(platform).orders(count)))


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_everything_arrives_as_written_and_each_order_in_order(listener: Listener, platform: Any) -> None:
    webhooks = some(platform)
    tally = ShopSimulator(listener.url).send(webhooks)
    assert (tally.accepted, tally.requests, tally.retried) == (len(webhooks), len(webhooks), 0)
    assert tally.answers == {"200": len(webhooks)}
    assert sorted(body for _, _, body in listener.requests) == sorted(each.body for each in webhooks)
    for order_id in {each.order_id for each in webhooks} - {None}:
        mine = [each.body for each in webhooks if each.order_id == order_id]
        known = set(mine)
        assert [body for _, _, body in listener.requests if body in known] == mine
    path, headers, body = listener.requests[0]
    written = next(each for each in webhooks if each.body == body and each.path == path)
    assert headers.items() >= {(name.lower(), value) for name, value in written.headers.items()} or (
        platform == "woocommerce"  # the same body may have come as another topic's
    )


def test_shopify_repeats_the_same_request_until_it_is_taken(listener: Listener) -> None:
    listener.answer = lambda _path, times: 503 if times < 3 else 200
    webhooks = some("shopify", 3)
    tally = ShopSimulator(listener.url, retry_gaps=(0.01, 0.01, 0.01)).send(webhooks)
    assert (tally.accepted, tally.retried, tally.given_up) == (len(webhooks), 2 * len(webhooks), [])
    assert tally.answers == {"503": 2 * len(webhooks), "200": len(webhooks)}


def test_shopify_gives_up_after_its_retries(listener: Listener) -> None:
    listener.answer = lambda _path, _times: 301
    webhooks = some("shopify", 2)
    tally = ShopSimulator(listener.url, retry_gaps=(0.01, 0.01)).send(webhooks)
    assert (tally.accepted, tally.requests) == (0, 3 * len(webhooks))
    assert len(tally.given_up) == len(webhooks)


@pytest.mark.parametrize(("status", "accepted"), [(204, True), (302, True), (303, False), (500, False)])
def test_woocommerce_never_repeats(listener: Listener, status: int, accepted: bool) -> None:
    listener.answer = lambda _path, _times: status
    webhooks = some("woocommerce", 3)
    tally = ShopSimulator(listener.url).send(webhooks)
    assert tally.requests == len(webhooks)
    assert tally.accepted == (len(webhooks) if accepted else 0)


def test_nobody_listening_is_an_answer_too() -> None:
    webhooks = some("woocommerce", 2)
    tally = ShopSimulator("http://127.0.0.1:1").send(webhooks)
    assert tally.answers == {"ConnectionError": len(webhooks)}


def test_a_rate_is_kept(listener: Listener) -> None:
    webhooks = some("woocommerce", 6)[:20]
    began = time.monotonic()
    ShopSimulator(listener.url, rate=50).send(webhooks)
    assert time.monotonic() - began > 0.36


def test_live_webhooks_wait_for_their_time_and_can_be_stopped(listener: Listener) -> None:
    stop = threading.Event()
    endless = Story("shopify", start=time.time() - 1, pace=0.0001, every=0.3)
    told = unsettled(stream(ShopifyShop(), (endless.order(n) for n in range(10**6))), seed=1, duplicates=0.3)
    timer = threading.Timer(2.5, stop.set)
    timer.start()
    tally = ShopSimulator(listener.url, stop=stop).send(told, live=True)
    timer.join()
    assert tally.accepted > 3
    topics = {headers["x-shopify-topic"] for _, headers, _ in listener.requests}
    assert topics & {"carts/create", "orders/create"}


def test_the_command_tells_a_line_for_each_order_and_no_names(
    listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    run_shop(
        "woocommerce",
        url=listener.url,
        secret=None,
        domain="store.example",
        webhooks={"order.updated": ("/webhooks/woocommerce/t", "s")},
        orders=20,
        rate=0,
        seed=3,
        duplicates=0.2,
        shuffle=True,
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[-1].endswith(f"{len(listener.requests)} requests (200: {len(listener.requests)})")
    assert not any("@" in line for line in lines)
    assert {headers["x-wc-webhook-source"] for _, headers, _ in listener.requests} == {"https://store.example/"}
    assert {path for path, _, _ in listener.requests} == {"/webhooks/woocommerce/t"}
    assert all("id" in json.loads(body) or "code" in json.loads(body) for _, _, body in listener.requests)


@pytest.mark.parametrize("platform", ["shopify", "woocommerce", "magento"])
def test_a_shop_with_nothing_to_sign_with_is_refused(platform: str) -> None:
    with pytest.raises(ValueError, match=r"none given|no such platform"):
        run_shop(
            platform,
            url="http://127.0.0.1:1",
            secret=None,
            domain="x",
            webhooks=None,
            orders=1,
            rate=0,
            seed=1,
            duplicates=0,
            shuffle=False,
        )
