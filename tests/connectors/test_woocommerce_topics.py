from __future__ import annotations

import pytest

from connectors.base import Connector, Names
from connectors.errors import Unreadable
from connectors.events import CartSeen, Claim, Nothing, OrderGone, OrderSeen, StoreTrouble
from connectors.woocommerce.connector import WooCommerce
from tests.connectors.woocommerce_fixtures import FOLDER, observe, written


def test_it_is_a_connector() -> None:
    connector: Connector = WooCommerce()
    assert connector.name == "woocommerce"


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("order.created", "order.placed"),
        ("order.updated", "order.updated"),
        ("order.restored", "order.restored"),
        ("order.deleted", "order.deleted"),
        ("cart.updated", "cart.updated"),
        ("action.woocommerce_order_status_changed", None),
        ("product.updated", None),
        ("order.paid", None),
        ("", None),
    ],
)
def test_what_a_topic_is_about(topic: str, kind: str | None) -> None:
    assert WooCommerce().kind(topic) == kind


@pytest.mark.parametrize(
    ("topic", "used"),
    [
        ("order.created", True),
        ("cart.updated", True),
        ("action.woocommerce_order_status_changed", True),
        ("product.updated", False),
        ("customer.created", False),
        ("", False),
    ],
)
def test_which_topics_are_kept(topic: str, used: bool) -> None:
    assert WooCommerce().uses(topic) is used


@pytest.mark.parametrize("topic", ["order.created", "order.updated", "order.restored"])
def test_three_topics_show_an_order(topic: str) -> None:
    seen = observe(topic, (FOLDER / "order.updated__worked_a.json").read_bytes())
    assert isinstance(seen, OrderSeen)
    assert (seen.order.id, seen.restored) == ("6100234500001", topic == "order.restored")


def test_deleted_and_cart() -> None:
    assert observe("order.deleted", b'{"id":21}') == OrderGone(order_id="21")
    assert isinstance(observe("cart.updated", b'{"id":"c"}'), CartSeen)


@pytest.mark.parametrize(
    ("hook", "arg", "order_id"),
    [
        ("woocommerce_order_status_changed", b"17", "17"),
        ("woocommerce_order_status_completed", b'"17"', "17"),
        ("woocommerce_order_status_pending_to_processing", b"17", "17"),
        ("woocommerce_order_refunded", b"17", "17"),
        ("woocommerce_order_fully_refunded", b"17", "17"),
        ("woocommerce_new_order", b"17", "17"),
        ("woocommerce_payment_complete", b"17", "17"),
        ("woocommerce_order_status_changed", b"null", None),
        ("woocommerce_order_status_changed", b"0", None),
        ("woocommerce_order_note_added", b"17", None),
        ("woocommerce_refund_created", b"17", None),
        ("woocommerce_new_product", b"17", None),
        ("woocommerce_add_to_cart", b'"d3d9446802a44259755d38e6d163e820"', None),
        ("wc_anything", b'{"a":[1]}', None),
    ],
)
def test_actions_give_nothing_but_the_order_where_they_name_one(hook: str, arg: bytes, order_id: str | None) -> None:
    seen = observe(f"action.{hook}", b'{"action":"%s","arg":%s}' % (hook.encode(), arg))
    assert isinstance(seen, Nothing)
    assert seen.order_id == order_id


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("product.updated", "Nothing is sent on about a product by itself."),
        ("coupon.created", "Nothing is sent on about a coupon by itself."),
        ("customer.deleted", "Nothing is sent on about a customer by itself."),
        ("subscription.updated", "This topic is not known here."),
        ("", "This topic is not known here."),
    ],
)
def test_other_topics_give_nothing_with_a_reason(topic: str, reason: str) -> None:
    assert observe(topic, b'{"id":1}') == Nothing(reason=reason)


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        (
            "order.updated__error_unauthorized",
            StoreTrouble(code="woocommerce_rest_cannot_view", status=401, connection=True),
        ),
        ("order.created__error_gone", StoreTrouble(code="woocommerce_rest_shop_order_invalid_id", status=404)),
        (
            "product.updated__error_forbidden",
            StoreTrouble(code="woocommerce_rest_cannot_view", status=403, connection=True),
        ),
    ],
)
def test_a_signed_error_is_trouble_of_the_store(name: str, trouble: StoreTrouble) -> None:
    assert written(name) == trouble


@pytest.mark.parametrize("topic", ["order.deleted", "cart.updated", "action.woocommerce_new_order", "whatever"])
def test_a_signed_error_is_trouble_under_any_topic(topic: str) -> None:
    body = (FOLDER / "order.updated__error_unauthorized.json").read_bytes()
    assert isinstance(observe(topic, body), StoreTrouble)


@pytest.mark.parametrize("data", [b"null", b"{}", b"[]", b'{"status":"401"}', b'{"status":true}', b'"x"'])
def test_an_error_without_a_readable_status_is_trouble_all_the_same(data: bytes) -> None:
    assert observe("order.updated", b'{"code":"c","message":"m","data":%s}' % data) == StoreTrouble(code="c")


def test_an_order_with_a_code_is_no_error() -> None:
    with pytest.raises(Unreadable, match=r"^\$\.status: expected text, found nothing$"):
        observe("order.updated", b'{"id":1,"code":"c","message":"m"}')


def test_bodies_claim_no_shop() -> None:
    headers = {"x-wc-webhook-source": "https://elsewhere.example/"}
    assert WooCommerce().observe("order.deleted", headers, b'{"id":21}', Names()).claim == Claim()
