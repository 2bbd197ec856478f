"""All stores at a glance, a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select, update

from app.models import ConnectionState, Delivery, Destination, Webhook
from app.services import all_shops, configure
from app.services.all_shops import Health
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.visitor import connect


def page(rig: Rig, after: int = 0) -> tuple[list[Health], int | None]:
    with rig.db.read() as session:
        return all_shops.page(session, after=after)


def test_each_store_stands_with_what_needs_somebody(rig: Rig) -> None:
    idle = connect(rig, rig.shop("shopify"), ConnectionState.REOPEN)
    busy = rig.shop("woocommerce")
    rig.switch_on(busy, "gameball", "seeka")
    for order in (1, 2, 3):
        rig.woocommerce(busy, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()
    at = datetime(2026, 11, 21, 9, tzinfo=UTC)
    with rig.db.write() as session:
        rows = session.scalars(select(Delivery).where(Delivery.provider == "gameball").order_by(Delivery.id)).all()
        for row, state in zip(rows, ("dead", "dead", "held"), strict=True):
            row.state, row.created_at = state, at
        session.execute(update(Destination).where(Destination.provider == "seeka").values(held="401"))
        session.execute(update(Webhook).values(received_at=at))
    found, more = page(rig)
    assert more is None
    assert found == [
        Health(
            shop_id=idle,
            platform="shopify",
            domain="rig.myshopify.com",
            state="reopen",
            held=0,
            dead=0,
            oldest=None,
            heard_at=None,
        ),
        Health(
            shop_id=busy,
            platform="woocommerce",
            domain="store.example",
            state=None,
            held=1,
            dead=2,
            oldest=at,
            heard_at=at,
        ),
    ]


def test_the_pages_meet_without_gap_or_repeat_and_leave_removed_stores_out(rig: Rig) -> None:
    shops = [rig.shop("woocommerce", f"https://{number}.example") for number in range(52)]
    with rig.db.write() as session:
        configure.remove_shop(session, configure.find_shop(session, str(shops.pop(30))))
    first, after = page(rig)
    second, further = page(rig, after or 0)
    third, end = page(rig, further or 0)
    assert [each.shop_id for each in (*first, *second, *third)] == shops
    assert (len(first), len(second), len(third), end) == (25, 25, 1, None)


def test_a_page_that_is_just_full_is_the_last(rig: Rig) -> None:
    for number in range(25):
        rig.shop("woocommerce", f"https://{number}.example")
    found, more = page(rig)
    assert (len(found), more) == (25, None)
