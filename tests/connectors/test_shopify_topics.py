"""What each topic becomes, and which shop a body names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from connectors.base import Names
from connectors.errors import Unreadable
from connectors.events import (
    CartSeen,
    CheckoutSeen,
    Chore,
    ChoreKind,
    Claim,
    Fulfilment,
    FulfilmentSeen,
    Nothing,
    OrderGone,
    OrderSeen,
    RefundSeen,
)
from connectors.registry import CONNECTORS
from connectors.shopify.connector import Shopify
from tests.connectors.shopify_fixtures import body_of, observe, seen

ORDER_TOPICS = ("create", "paid", "updated", "cancelled", "fulfilled", "partially_fulfilled")
LATER = "The order's new state arrives with orders/updated."


def test_the_registry_knows_it() -> None:
    assert isinstance(CONNECTORS["shopify"], Shopify)
    assert CONNECTORS["shopify"].name == "shopify"


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("orders/create", "order.placed"),
        ("orders/paid", "order.paid"),
        ("orders/updated", "order.updated"),
        ("orders/cancelled", "order.cancelled"),
        ("orders/fulfilled", "order.fulfilled"),
        ("orders/partially_fulfilled", "order.updated"),
        ("orders/delete", "order.deleted"),
        ("refunds/create", "order.refunded"),
        ("orders/edited", "order.updated"),
        ("order_transactions/create", "order.updated"),
        ("fulfillments/create", "order.fulfilled"),
        ("fulfillments/update", "order.fulfilled"),
        ("carts/create", "cart.updated"),
        ("carts/update", "cart.updated"),
        ("checkouts/create", "checkout.started"),
        ("checkouts/update", "checkout.started"),
        ("checkouts/delete", None),
        ("app/uninstalled", None),
        ("shop/redact", None),
        ("products/update", None),
        ("", None),
    ],
)
def test_the_kind_that_a_topic_is_about(topic: str, kind: str | None) -> None:
    assert Shopify().kind(topic) == kind


@pytest.mark.parametrize(
    ("topic", "used"),
    [
        *[(f"orders/{each}", True) for each in ORDER_TOPICS],
        ("orders/edited", True),
        ("checkouts/delete", True),
        ("customers/redact", True),
        ("app/scopes_update", True),
        ("products/update", False),
        ("orders/unheard_of", False),
        ("", False),
    ],
)
def test_what_is_worth_keeping(topic: str, used: bool) -> None:
    assert Shopify().uses(topic) is used


@pytest.mark.parametrize("topic", ORDER_TOPICS)
def test_the_order_is_read_whatever_the_topic(topic: str) -> None:
    found = seen(f"orders/{topic}", body_of("orders_paid__worked_a"))
    assert isinstance(found, OrderSeen)
    assert (found.order.id, str(found.order.total), found.restored) == ("6100234500001", "114.95", False)


PLACED, PAID, CHANGED = "2026-01-05T10:00:00Z", "2026-03-02T09:00:00Z", "2026-03-07T08:00:00Z"


@pytest.mark.parametrize(
    ("topic", "fields", "paid_at"),
    [
        ("orders/updated", {}, None),
        ("orders/create", {}, None),
        ("orders/paid", {}, CHANGED),
        ("orders/paid", {"financial_status": "pending"}, None),
        ("orders/paid", {"created_at": CHANGED, "processed_at": PLACED}, PLACED),  # imported with its own date
        ("orders/updated", {"created_at": CHANGED, "processed_at": PLACED}, PLACED),
        (
            "orders/updated",
            {
                "transactions": [
                    {"kind": "authorization", "status": "success", "processed_at": PLACED},
                    {"kind": "capture", "status": "failure", "processed_at": CHANGED},
                    {"kind": "capture", "status": "success", "processed_at": PAID},
                    {"kind": "refund", "status": "success", "processed_at": CHANGED},
                ]
            },
            PAID,
        ),
    ],
)
def test_when_an_order_was_paid_is_told_by_its_payments_its_topic_or_its_import(
    topic: str, fields: dict[str, Any], paid_at: str | None
) -> None:
    body = body_of("orders_paid__worked_a") | {
        "created_at": PLACED,
        "processed_at": PLACED,
        "updated_at": CHANGED,
        **fields,
    }
    found = seen(topic, body)
    assert isinstance(found, OrderSeen)
    assert found.paid_at == (datetime.fromisoformat(paid_at) if paid_at else None)


@pytest.mark.parametrize(
    ("topic", "name", "kind"),
    [
        ("refunds/create", "refunds_create__worked_a", RefundSeen),
        ("fulfillments/create", "fulfillments_create__parcel", FulfilmentSeen),
        ("fulfillments/update", "fulfillments_create__parcel", FulfilmentSeen),
        ("carts/create", "carts_update__worked_a", CartSeen),
        ("carts/update", "carts_update__worked_a", CartSeen),
        ("checkouts/create", "checkouts_update__worked_a", CheckoutSeen),
        ("checkouts/update", "checkouts_update__worked_a", CheckoutSeen),
    ],
)
def test_other_things_are_read_as_what_they_are(topic: str, name: str, kind: type) -> None:
    assert type(seen(topic, body_of(name))) is kind


def test_a_fulfilment_names_its_order() -> None:
    found = seen("fulfillments/create", body_of("fulfillments_create__parcel"))
    assert isinstance(found, FulfilmentSeen)
    assert found.order_id == "6100234500001"
    assert found.fulfilment.tracking_numbers == ("3S1",)


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        ({"tracking_numbers": ["a", None, " b "], "tracking_number": "c"}, ("a", "b")),
        ({"tracking_numbers": [], "tracking_number": "c"}, ("c",)),
        ({"tracking_numbers": None, "tracking_number": None}, ()),
    ],
)
def test_one_tracking_number_serves_where_the_list_is_empty(fields: dict[str, Any], numbers: tuple[str, ...]) -> None:
    found = seen("fulfillments/update", {"id": 1, "order_id": 2, "status": "odd"} | fields)
    assert found == FulfilmentSeen(order_id="2", fulfilment=Fulfilment(id="1", status="odd", tracking_numbers=numbers))


def test_a_deleted_order_is_its_id_alone() -> None:
    assert seen("orders/delete", {"id": 820982911946154508}) == OrderGone(order_id="820982911946154508")


@pytest.mark.parametrize(
    ("topic", "body", "order_id"),
    [
        ("orders/edited", {"order_edit": {"id": 78, "order_id": 820982911946154508}}, "820982911946154508"),
        ("orders/edited", {"order_edit": {"id": 78}}, None),
        ("orders/edited", {}, None),
        ("order_transactions/create", {"id": 1, "order_id": 820982911946154508}, "820982911946154508"),
        ("order_transactions/create", {"id": 1, "order_id": None}, None),
    ],
)
def test_what_another_topic_tells_better(topic: str, body: dict[str, Any], order_id: str | None) -> None:
    assert seen(topic, body) == Nothing(reason=LATER, order_id=order_id)


def test_a_checkout_that_is_gone_is_of_no_use() -> None:
    found = seen("checkouts/delete", {"id": 1, "presentment_currency": "CAD"})
    assert found == Nothing(reason="A checkout that is gone tells nobody anything.")


@pytest.mark.parametrize("topic", ["products/update", "orders/unheard_of", "", "ORDERS/CREATE"])
def test_other_topics_are_of_no_use(topic: str) -> None:
    found = seen(topic, {"id": 1})
    assert isinstance(found, Nothing)
    assert found.reason
    assert found.order_id is None


#: What each topic asks for.
CHORES = {
    "app/uninstalled": ChoreKind.UNINSTALLED,
    "app/scopes_update": ChoreKind.SCOPES_CHANGED,
    "customers/data_request": ChoreKind.DATA_REQUEST,
    "customers/redact": ChoreKind.ERASE_CUSTOMER,
    "shop/redact": ChoreKind.ERASE_SHOP,
}


@pytest.mark.parametrize(
    ("topic", "body", "claim"),
    [
        (
            "customers/data_request",
            {"shop_id": 954889, "shop_domain": "Made-Up.myshopify.com", "orders_requested": [1]},
            Claim(domain="made-up.myshopify.com", shop_id="954889"),
        ),
        ("customers/redact", {"shop_domain": "made-up.myshopify.com"}, Claim(domain="made-up.myshopify.com")),
        ("shop/redact", {"shop_id": 954889}, Claim(shop_id="954889")),
        ("shop/redact", {}, Claim()),
        ("app/uninstalled", {"id": 548380009, "myshopify_domain": None}, Claim(shop_id="548380009")),
        ("app/scopes_update", {"id": 7, "current": []}, Claim()),
    ],
)
def test_chores_claim_a_shop(topic: str, body: dict[str, Any], claim: Claim) -> None:
    found = observe(topic, body)
    assert found.seen == Chore(name=topic, kind=CHORES[topic])
    assert found.claim == claim


@pytest.mark.parametrize(
    ("address", "shop_id"),
    [
        ("https://made-up.myshopify.com/60000000001/orders/0f1e/authenticate?key=x", "60000000001"),
        ("https://shop.example/60000000001/orders/0f1e", "60000000001"),
        ("https://shop.example/account/orders/0f1e", None),
        ("https://shop.example/?next=/60000000001/orders/", None),
        ("https://shop.example/a/60000000001/orders/0f1e", None),
        ("", None),
        (None, None),
    ],
)
def test_an_order_claims_the_shop_of_its_status_page(address: str | None, shop_id: str | None) -> None:
    body = body_of("orders_paid__worked_a") | {"order_status_url": address}
    assert observe("orders/paid", body).claim == Claim(shop_id=shop_id)


@pytest.mark.parametrize("name", ["refunds_create__worked_a", "carts_update__worked_a", "checkouts_update__worked_a"])
def test_other_bodies_claim_no_shop(name: str) -> None:
    topic = name.partition("__")[0].replace("_", "/")
    assert observe(topic, body_of(name)).claim == Claim()


@pytest.mark.parametrize(
    ("topic", "name", "complaint"),
    [
        ("orders/create", "refunds_create__worked_a", "$.admin_graphql_api_id: expected the id of an Order, found str"),
        ("orders/delete", "refunds_create__worked_a", "$.admin_graphql_api_id: expected the id of an Order, found str"),
        ("refunds/create", "orders_paid__worked_a", "$.admin_graphql_api_id: expected the id of a Refund, found str"),
        (
            "fulfillments/create",
            "orders_paid__worked_a",
            "$.admin_graphql_api_id: expected the id of a Fulfillment, found str",
        ),
    ],
)
def test_a_body_of_another_kind_than_the_unsigned_topic_is_not_read(topic: str, name: str, complaint: str) -> None:
    with pytest.raises(Unreadable) as raised:
        observe(topic, body_of(name))
    assert str(raised.value) == complaint


def test_a_merchants_own_names_are_looked_for() -> None:
    body = body_of("orders_paid__worked_a") | {"note_attributes": [{"name": "Live Order", "value": 77}]}
    found = seen("orders/paid", body, Names(sprii=("live order",)))
    assert isinstance(found, OrderSeen)
    assert found.order.sprii is not None
    assert (found.order.sprii.value, found.order.sprii.name) == ("77", "Live Order")
