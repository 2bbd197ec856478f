"""What a merchant enters for eSputnik."""

from __future__ import annotations

from app.providers.base import Setting
from app.providers.choices import POS_ORDERS, TEST_ORDERS, item_id

STATUSES = ("INITIALIZED", "IN_PROGRESS", "DELIVERED", "CANCELLED")

#: The shop's own words (WooCommerce's) as eSputnik's own plugin maps them, and the words that we work out ourselves.
STATUS_MAP = {
    "pending": "INITIALIZED",
    "processing": "IN_PROGRESS",
    "on-hold": "IN_PROGRESS",
    "completed": "DELIVERED",
    "failed": "CANCELLED",
    "unpaid": "INITIALIZED",
    "paid": "IN_PROGRESS",
    "partly_fulfilled": "IN_PROGRESS",
    "fulfilled": "DELIVERED",
    "refunded": "CANCELLED",
    "cancelled": "CANCELLED",
    "trash": "CANCELLED",
}

SETTINGS = (
    Setting(
        name="api_key",
        label="API key",
        secret=True,
        required=True,
        help="eSputnik, your profile, Settings, API, New key. Choose full access.",
    ),
    Setting(
        name="host",
        label="Your account is at",
        kind="choice",
        choices=(("esputnik.com", "esputnik.com"), ("yespo.io", "yespo.io")),
        default="esputnik.com",
        help="The address where you log in.",
    ),
    Setting(
        name="order_route",
        label="Orders are sent as",
        kind="choice",
        choices=(("orders", "orders"), ("event", "events")),
        default="orders",
        advanced=True,
        help="Events need segmentation by events in your account, and eSputnik drops incomplete ones without a word.",
    ),
    Setting(
        name="event_version",
        label="Version of the event API",
        kind="choice",
        choices=(("v1", "v1"), ("v2", "v2")),
        default="v1",
        advanced=True,
    ),
    Setting(
        name="delivered_when",
        label="An order counts as delivered when it is",
        kind="choice",
        choices=(("fulfilled", "sent out or completed"), ("paid", "paid")),
        default="fulfilled",
        help="Only delivered orders count as revenue. Choose paid if your shop never marks orders as sent out.",
    ),
    Setting(
        name="status_map",
        label="What the statuses become",
        kind="table",
        choices=tuple((each, each) for each in STATUSES),
        default=STATUS_MAP,
        advanced=True,
        help="Left the shop's own status, or one of ours: unpaid, paid, partly_fulfilled, fulfilled, refunded, "
        "cancelled. "
        f"Right one of {', '.join(STATUSES)}. What you leave out keeps its default.",
    ),
    item_id("variant_id", "Must equal the ids in your product feed, or recommendations do not match."),
    Setting(
        name="item_cost",
        label="Cost of a product",
        kind="choice",
        choices=(("unit_gross_paid", "with tax, after discounts"), ("unit_gross", "with tax, before order discounts")),
        default="unit_gross_paid",
        advanced=True,
        help="After discounts, products and shipping add up to the order's total.",
    ),
    Setting(
        name="partial_refund",
        label="When part of the money is given back",
        kind="choice",
        choices=(("update", "send the lower total"), ("ignore", "leave the order as it was")),
        default="update",
        advanced=True,
        help="An update starts the automation of the order's status once more.",
    ),
    Setting(name="guest_orders", label="Send orders of guests", kind="boolean", default=True),
    Setting(
        name="create_contacts",
        label="Create contacts",
        kind="choice",
        choices=(
            ("on_order", "from orders only"),
            ("with_consent", "also from begun checkouts, of people who accepted marketing"),
            ("always", "also from every cart and checkout"),
        ),
        default="on_order",
        help="eSputnik treats the address of a contact that we create as confirmed: mind the consent.",
    ),
    Setting(name="send_carts", label="Send carts", kind="boolean", default=True, help="Of known people only."),
    Setting(
        name="recycle_by",
        label="A cart's recycle state id is new",
        kind="choice",
        choices=(("content", "whenever its content changes"), ("id", "for every cart")),
        default="content",
        advanced=True,
        help="eSputnik's page says both. One for every cart can also be sent with the order.",
    ),
    Setting(
        name="cancel_trashed",
        label="Cancel orders that are moved to the trash",
        kind="boolean",
        default=False,
        advanced=True,
        help="Taken back when the order is restored.",
    ),
    Setting(name="store_id", label="Store id", default="", advanced=True, help="For accounts with several shops."),
    POS_ORDERS,
    TEST_ORDERS,
)
