"""Settings that several providers offer in the same words, and what follows from them for an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.providers.base import Facts, Setting, Settings

TRIGGER = Setting(
    name="order_trigger",
    label="Report an order when it is",
    kind="choice",
    choices=(("order.paid", "paid"), ("order.placed", "placed, even if not paid yet"), ("order.fulfilled", "sent out")),
    default="order.paid",
    help="Each order is reported once, at the first moment that fits.",
)

TRIGGER_STATUS = Setting(
    name="trigger_status",
    label="Also report it when its status becomes",
    help="The shop's own word for a status, for example on-hold. Leave empty to use the choice above alone.",
    default="",
    advanced=True,
)

TEST_ORDERS = Setting(
    name="send_test_orders",
    label="Report test orders",
    kind="boolean",
    default=False,
    advanced=True,
    help="Orders that the shop marks as a test are normally left out.",
)

POS_ORDERS = Setting(
    name="send_pos_orders",
    label="Report sales from the till",
    kind="boolean",
    default=True,
    advanced=True,
    help="Sales made in a physical shop with the platform's point of sale.",
)


def item_id(default: str, help_text: str) -> Setting:
    """Which id of a product the provider knows; the values are names of facts of an order line."""
    return Setting(
        name="item_id",
        label="Products are known by their",
        kind="choice",
        choices=(
            ("variant_id", "variant id (product id where there are no variants)"),
            ("sku", "SKU"),
            ("product_id", "product id"),
        ),
        default=default,
        help=help_text,
    )


def unit_price(default: str, help_text: str) -> Setting:
    """What a line's price means; the values are names of facts of an order line."""
    return Setting(
        name="unit_price",
        label="Price of a product",
        kind="choice",
        choices=(
            ("unit_gross", "with tax, before order discounts"),
            ("unit_gross_paid", "with tax, after discounts"),
            ("unit_net", "without tax, before order discounts"),
            ("unit_net_paid", "without tax, after discounts"),
        ),
        default=default,
        help=help_text,
        advanced=True,
    )


def order_of(facts: Facts) -> Mapping[str, Any]:
    """The event's order; empty where it has none."""
    order = facts.get("order")
    return order if isinstance(order, Mapping) else {}


def due(facts: Facts, settings: Settings) -> bool:
    """Whether this is the moment to report an order, by `TRIGGER` and `TRIGGER_STATUS`."""
    if (facts.get("event") or {}).get("kind") == settings.get("order_trigger"):
        return True
    status = str(settings.get("trigger_status") or "").strip().lower()
    return bool(status) and str(order_of(facts).get("status") or "").lower() == status


def unwanted_test(facts: Facts, settings: Settings) -> bool:
    return bool(order_of(facts).get("test")) and not settings.get("send_test_orders")


def unwanted_pos(facts: Facts, settings: Settings) -> bool:
    return order_of(facts).get("channel") == "pos" and not settings.get("send_pos_orders", True)


DERIVED: Mapping[str, Callable[[Facts, Settings], Any]] = {
    "due": due,
    "unwanted_test": unwanted_test,
    "unwanted_pos": unwanted_pos,
}
