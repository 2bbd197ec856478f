"""A simulated WooCommerce store's webhooks on the wire: what is told and when, how signed, and how they fall silent."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from app.simulators.story import Story, expected
from app.simulators.woocommerce_platform import WooCommercePlatform
from tests.simulators.woocommerce_receiver import Got, Receiver

NOW = 1_800_000_000
STATUS_CHANGED = "action.woocommerce_order_status_changed"
TOPICS = ("order.created", "order.updated", "order.deleted", "order.restored", STATUS_CHANGED)


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def store(clock: Clock, receiver: Receiver) -> Iterator[WooCommercePlatform]:
    """A store with a webhook for each topic, its path named like the topic."""
    with WooCommercePlatform(clock=clock, behind_tls=True) as store:
        for topic in TOPICS:
            store.add_webhook(topic, f"{receiver.url}/{topic}", f"secret of {topic}")
        yield store


def topics(receiver: Receiver) -> list[str]:
    """What came since the last look, by topic."""
    told = [got.headers["x-wc-webhook-topic"] for got in receiver.got]
    receiver.got.clear()
    return told


def body(got: Got) -> Any:
    return json.loads(got.body)


def hook(store: WooCommercePlatform, topic: str) -> Any:
    return next(each for each in store.webhooks() if each.topic == topic)


def fail(store: WooCommercePlatform, receiver: Receiver, times: int, status: int = 500) -> None:
    """Let so many deliveries of order.updated fail."""
    receiver.answer = lambda _: status
    for _ in range(times):
        store.edit(next(iter(store.orders.all)))
        store.run_cron()
    receiver.answer = lambda _: 200


@pytest.fixture
def placed(store: WooCommercePlatform, receiver: Receiver) -> int:
    """An order that was told of already."""
    order_id = store.place_order()
    store.run_cron()
    receiver.got.clear()
    return order_id


# How


def test_a_delivery_is_signed_and_names_its_webhook(
    store: WooCommercePlatform, receiver: Receiver, placed: int
) -> None:
    store.edit(placed, {"gift": "ja, Åse/Bram"})
    (made,) = store.run_cron()
    (got,) = receiver.got
    number = hook(store, "order.updated").id
    digest = hmac.digest(b"secret of order.updated", got.body, "sha256")
    assert got.headers == {
        "host": receiver.url.removeprefix("http://"),
        "user-agent": "WooCommerce/9.9.5 Hookshot (WordPress/6.9)",
        "accept": "*/*",
        "accept-encoding": "deflate, gzip, br, zstd",
        "connection": "close",
        "content-type": "application/json",
        "content-length": str(len(got.body)),
        "x-wc-webhook-source": f"{store.url}/",
        "x-wc-webhook-topic": "order.updated",
        "x-wc-webhook-resource": "order",
        "x-wc-webhook-event": "updated",
        "x-wc-webhook-signature": base64.b64encode(digest).decode(),
        "x-wc-webhook-id": str(number),
        "x-wc-webhook-delivery-id": made.headers["X-WC-Webhook-Delivery-ID"],
    }
    assert len(got.headers["x-wc-webhook-delivery-id"]) == 32
    assert body(got) == store.order(placed)
    assert b"ja, \\u00c5se\\/Bram" in got.body
    assert (made.hook, made.status, made.good) == (number, 200, True)


def test_a_secret_with_entities_signs_as_what_they_stand_for(clock: Clock, receiver: Receiver) -> None:
    with WooCommercePlatform(clock=clock) as store:
        store.add_webhook("order.deleted", f"{receiver.url}/", "a&amp;b")
        store.trash(store.place_order())
        store.run_cron()
    (got,) = receiver.got
    digest = hmac.digest(b"a&b", got.body, "sha256")
    assert got.headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode()


def test_the_source_is_what_the_store_believes_its_address_to_be(clock: Clock, receiver: Receiver) -> None:
    with WooCommercePlatform(clock=clock, home="http://www.shop.example") as store:
        store.add_webhook("order.created", f"{receiver.url}/", "s")
        store.place_order()
        store.run_cron()
    assert receiver.got[0].headers["x-wc-webhook-source"] == "http://www.shop.example/"


def test_two_orders_in_one_second_share_the_delivery_id(
    store: WooCommercePlatform, receiver: Receiver, clock: Clock
) -> None:
    store.place_order()
    store.place_order()
    store.run_cron()
    clock.now += 1
    store.place_order()
    store.run_cron()
    ids = [
        got.headers["x-wc-webhook-delivery-id"]
        for got in receiver.got
        if got.headers["x-wc-webhook-topic"] == "order.created"
    ]
    assert len(ids) == 3
    assert ids[0] == ids[1] != ids[2]


def test_deliveries_and_pings_look_like_recorded_ones(samples: Path, clock: Clock, receiver: Receiver) -> None:
    with WooCommercePlatform(clock=clock) as store:
        store.hooks.ping(store.add_webhook("order.updated", f"{receiver.url}/", "s"))
        store.place_order()
        store.run_cron()
    ping, delivery = receiver.got
    varying = {"host", "content-length", "x-wc-webhook-source", "x-wc-webhook-signature"}
    varying |= {"x-wc-webhook-id", "x-wc-webhook-delivery-id"}
    for got, name in (
        (ping, "001_ping_ping-on-create.json"),
        (delivery, "019_order-updated_rest-create-set-paid.json"),
    ):
        recorded = json.loads((samples / "woocommerce" / name).read_text())
        headers = {header.lower(): value for header, value in recorded["headers"].items()}
        assert got.headers.keys() == headers.keys()
        assert {each: got.headers[each] for each in headers.keys() - varying} == {
            each: headers[each] for each in headers.keys() - varying
        }
    assert list(body(delivery)) == list(json.loads(recorded["body"]))


# When


def test_nothing_is_sent_before_cron_runs(store: WooCommercePlatform, receiver: Receiver) -> None:
    store.place_order()
    assert (receiver.got, store.pending()) == ([], 3)
    assert len(store.run_cron()) == 3
    assert (store.run_cron(), store.pending()) == ([], 0)


def test_cron_may_run_by_itself(receiver: Receiver) -> None:
    with WooCommercePlatform(auto_cron=True) as store:
        store.add_webhook("order.created", f"{receiver.url}/", "s")
        order_id = store.place_order()
        deadline = time.monotonic() + 10
        while not receiver.got and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [body(got)["id"] for got in receiver.got] == [order_id]


def test_the_body_is_built_when_it_is_sent_and_pending_jobs_are_one(
    store: WooCommercePlatform, receiver: Receiver
) -> None:
    order_id = store.place_order(paid=False)
    store.pay(order_id)
    store.change_status(order_id, "completed")
    store.run_cron()
    created, updated, changed = receiver.got
    assert body(created)["status"] == "completed"
    assert created.body == updated.body
    assert body(changed) == {"action": "woocommerce_order_status_changed", "arg": order_id}
    assert topics(receiver) == ["order.created", "order.updated", STATUS_CHANGED]


def test_a_change_during_delivery_makes_a_new_job(store: WooCommercePlatform, receiver: Receiver, placed: int) -> None:
    def answer(_: Got) -> int:
        if len(receiver.got) == 1:
            store.edit(placed)
        return 200

    receiver.answer = answer
    store.edit(placed)
    assert (len(store.run_cron()), store.pending()) == (1, 1)
    assert len(store.run_cron()) == 1


def test_deliveries_can_be_lost_and_repeated(store: WooCommercePlatform, receiver: Receiver, placed: int) -> None:
    store.lose_next()
    store.edit(placed)
    (lost,) = store.run_cron()
    assert (lost.lost, lost.status, receiver.got) == (True, None, [])
    assert hook(store, "order.updated").failures == 0
    store.repeat_next()
    store.edit(placed)
    store.run_cron()
    first, second = receiver.got
    assert first == second


# What


@pytest.mark.parametrize(
    ("checkout", "paid", "told"),
    [
        ("rest", True, ["order.created", "order.updated", STATUS_CHANGED]),
        ("classic", True, ["order.created", "order.updated", STATUS_CHANGED]),
        ("classic", False, ["order.created", "order.updated"]),
        ("blocks", True, ["order.updated", "order.created", STATUS_CHANGED]),
    ],
)
def test_what_a_new_order_tells(
    store: WooCommercePlatform, receiver: Receiver, checkout: Any, paid: bool, told: list[str]
) -> None:
    store.place_order(checkout=checkout, paid=paid)
    store.run_cron()
    assert topics(receiver) == told


def test_the_blocks_checkout_tells_of_drafts(store: WooCommercePlatform, receiver: Receiver) -> None:
    order_id = store.place_order(checkout="blocks", draft=True)
    store.run_cron()
    assert (body(receiver.got[0])["status"], topics(receiver)) == ("checkout-draft", ["order.updated"])
    store.finish_order(order_id)
    store.run_cron()
    assert (body(receiver.got[0])["status"], topics(receiver)[:2]) == ("processing", ["order.updated", "order.created"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda store, order: store.change_status(order, "completed"), ["order.updated", STATUS_CHANGED]),
        (lambda store, order: store.change_status(order, "packed"), ["order.updated", STATUS_CHANGED]),
        (lambda store, order: store.edit(order), ["order.updated"]),
        (lambda store, order: store.refund(order), ["order.updated", STATUS_CHANGED]),
        (lambda store, order: store.trash(order), ["order.deleted"]),
        (lambda store, order: store.delete(order), []),
    ],
    ids=["completed", "custom status", "edit", "refund in full", "trash", "permanent delete"],
)
def test_what_a_change_tells(
    store: WooCommercePlatform,
    receiver: Receiver,
    placed: int,
    change: Callable[[WooCommercePlatform, int], object],
    told: list[str],
) -> None:
    change(store, placed)
    store.run_cron()
    assert topics(receiver) == told


@pytest.mark.parametrize(("hpos", "told"), [(True, ["order.restored"]), (False, ["order.restored", "order.updated"])])
def test_trash_tells_the_id_alone_and_restoring_tells_the_order(
    store: WooCommercePlatform, receiver: Receiver, placed: int, hpos: bool, told: list[str]
) -> None:
    store.hpos = hpos
    store.trash(placed)
    store.run_cron()
    (deleted,) = receiver.got
    assert deleted.body == b'{"id":%d}' % placed
    assert topics(receiver) == ["order.deleted"]
    store.restore(placed)
    store.run_cron()
    assert body(receiver.got[0])["status"] == "processing"
    assert topics(receiver) == told


def test_a_deleted_refund_tells_nothing(store: WooCommercePlatform, receiver: Receiver, placed: int) -> None:
    refund_id = store.refund(placed)
    store.run_cron()
    receiver.got.clear()
    store.delete_refund(placed, refund_id)
    assert store.run_cron() == []


def test_a_cart_is_told_by_the_plugins_own_topic_only(clock: Clock, receiver: Receiver) -> None:
    with WooCommercePlatform(clock=clock, plugin=True) as store:
        store.add_webhook("cart.updated", f"{receiver.url}/", "s")
        story = Story("woocommerce", currency="DKK").order(3)
        cart_id = store.fill_cart(story)
        store.fill_cart(story, lines=len(story.lines))
        (made,) = store.run_cron()
        assert made.topic == "cart.updated"
        assert (body(receiver.got[0])["id"], len(body(receiver.got[0])["items"])) == (cart_id, len(story.lines))


def test_whole_lives_end_as_their_stories_say(clock: Clock, receiver: Receiver) -> None:
    with WooCommercePlatform(clock=clock, plugin=True, currency="DKK") as store:
        for topic in (*TOPICS, "cart.updated"):
            store.add_webhook(topic, f"{receiver.url}/{topic}", "s")
        stories = list(Story("woocommerce", 3, currency="DKK").orders(150))
        for story in stories:
            for step in store.play(story):
                clock.now = step.at
                store.run_cron()
            store.run_cron()
        last = {body(got)["id"]: body(got) for got in receiver.got if got.path in ("/order.created", "/order.updated")}
        for known in map(expected, stories):
            if known.placed:
                shown = store.order(int(known.order_id))
                assert (shown["status"] == "trash") == known.trashed
                assert (shown["date_paid_gmt"] is not None) == known.paid
                assert Decimal(shown["total"]) == known.total
                assert {str(each["id"]): -Decimal(each["total"]) for each in shown["refunds"]} == known.refunds
                assert known.trashed or last[shown["id"]]["refunds"] == shown["refunds"]
        assert {"cart.updated", "order.deleted", "order.restored"} <= set(topics(receiver))


def test_a_store_sells_in_its_own_currency(store: WooCommercePlatform) -> None:
    with pytest.raises(ValueError, match="sells in DKK"):
        store.place_order(Story("woocommerce", currency="JPY").order(0))


# In place of an order


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        (lambda store, _: store.demote(), "woocommerce_rest_cannot_view", 403),
        (lambda store, _: store.delete_user("admin"), "woocommerce_rest_cannot_view", 401),
        (lambda store, order: store.delete(order), "woocommerce_rest_shop_order_invalid_id", 404),
    ],
    ids=["owner demoted", "owner deleted", "order gone"],
)
def test_a_signed_delivery_may_carry_an_error_object(
    store: WooCommercePlatform,
    receiver: Receiver,
    placed: int,
    change: Callable[[WooCommercePlatform, int], object],
    code: str,
    status: int,
) -> None:
    store.edit(placed)
    change(store, placed)
    store.run_cron()
    (got,) = receiver.got
    sentence = "Invalid ID." if status == 404 else "Sorry, you cannot view this resource."
    assert body(got) == {"code": code, "message": sentence, "data": {"status": status}}
    digest = hmac.digest(b"secret of order.updated", got.body, "sha256")
    assert got.headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode()


# Falling silent


@pytest.mark.parametrize("status", [200, 201, 204, 299, 300, 301, 302])
def test_these_answers_count_as_delivered(
    store: WooCommercePlatform, receiver: Receiver, placed: int, status: int
) -> None:
    hook(store, "order.updated").failures = 3
    fail(store, receiver, 1, status)
    assert hook(store, "order.updated").failures == 0
    assert len(receiver.got) == 1  # no redirect is followed


@pytest.mark.parametrize("status", [303, 307, 401, 404, 410, 500])
def test_these_answers_count_as_failures(
    store: WooCommercePlatform, receiver: Receiver, placed: int, status: int
) -> None:
    fail(store, receiver, 1, status)
    assert (hook(store, "order.updated").failures, store.run_cron()) == (1, [])  # and nothing is repeated


def test_no_answer_is_a_failure(clock: Clock) -> None:
    with WooCommercePlatform(clock=clock) as store:
        store.add_webhook("order.created", "http://127.0.0.1:9/", "s")
        store.place_order()
        (made,) = store.run_cron()
        assert (made.status, made.good, store.webhooks()[0].failures) == (None, False, 1)


def test_the_seventh_failure_in_a_row_switches_a_webhook_off_without_a_word(
    store: WooCommercePlatform, receiver: Receiver, placed: int
) -> None:
    fail(store, receiver, 6)
    assert (hook(store, "order.updated").status, hook(store, "order.updated").failures) == ("active", 6)
    fail(store, receiver, 1)
    assert hook(store, "order.updated").status == "disabled"
    receiver.got.clear()
    store.edit(placed)
    assert (store.run_cron(), receiver.got) == ([], [])
    assert [each.status for each in store.webhooks()].count("active") == 4


def test_a_good_delivery_between_starts_the_count_anew(
    store: WooCommercePlatform, receiver: Receiver, placed: int
) -> None:
    fail(store, receiver, 6)
    fail(store, receiver, 1, 200)
    fail(store, receiver, 6)
    assert hook(store, "order.updated").status == "active"


def test_set_active_by_rest_it_falls_silent_at_the_next_failure(
    store: WooCommercePlatform, receiver: Receiver, placed: int
) -> None:
    fail(store, receiver, 7)
    key, number = store.make_key(), hook(store, "order.updated").id
    answer = requests.put(
        f"{store.url}/wp-json/wc/v3/webhooks/{number}",
        json={"status": "active"},
        auth=(key.consumer_key, key.consumer_secret),
        timeout=60,
    )
    assert (answer.json()["status"], hook(store, "order.updated").failures) == ("active", 6)
    fail(store, receiver, 1)
    assert hook(store, "order.updated").status == "disabled"
    hook(store, "order.updated").status = "active"
    fail(store, receiver, 1, 200)
    assert (hook(store, "order.updated").status, hook(store, "order.updated").failures) == ("active", 0)


def test_a_job_queued_before_the_end_is_still_sent_unless_the_webhook_is_gone(
    store: WooCommercePlatform, receiver: Receiver, placed: int
) -> None:
    store.edit(placed)
    store.trash(placed)
    store.pause(hook(store, "order.updated").id)
    del store.hooks.all[hook(store, "order.deleted").id]
    store.run_cron()
    assert (body(receiver.got[0])["status"], topics(receiver)) == ("trash", ["order.updated"])
