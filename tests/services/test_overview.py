"""How a store is doing today, and what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from app.models import ConnectionState, Delivery, Destination, Event, Ledger, Shop, Webhook
from app.services import data_request, overview, persons
from app.services.causes import Cause
from app.services.overview import Row
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.visitor import connect


def look(rig: Rig, shop: int, now: datetime | None = None) -> overview.Overview:
    with rig.db.read() as session:
        return overview.look(session, session.get_one(Shop, shop), now or datetime.now(UTC))


def sold(rig: Rig, shop: int, *orders: int) -> None:
    for order in orders:
        rig.woocommerce(shop, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()


def change(rig: Rig, table: type, **values: object) -> None:
    with rig.db.write() as session:
        session.execute(update(table).values(values))


def test_a_new_store_has_nothing_to_tell_and_nothing_wrong(rig: Rig) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    found = look(rig, shop)
    assert (found.orders, found.rows, found.oldest, found.lag, found.causes) == (0, (), None, None, ())
    assert [day.counts for day in found.days] == [{}] * 14
    assert [(step.name, step.done) for step in found.store.steps] == [
        ("connected", True),
        ("arriving", False),
        ("storefront", None),
        ("provider", False),
        ("delivered", False),
    ]


def test_todays_orders_and_deliveries_are_counted_by_provider(rig: Rig) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    rig.switch_on(shop, "gameball")
    rig.switch_on(shop, "seeka", mode="shadow")
    sold(rig, shop, 1, 2)
    found = look(rig, shop)
    assert found.orders == 2
    assert found.rows == (
        Row(provider="gameball", mode="live", held=False, counts={"delivered": 2}),
        Row(provider="seeka", mode="shadow", held=False, counts={"shadow": 2}),
    )
    assert [step.done for step in found.store.steps] == [True] * 5
    assert found.causes == ()


def test_yesterday_is_not_today(rig: Rig) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    rig.switch_on(shop, "gameball")
    sold(rig, shop, 1)
    found = look(rig, shop, datetime.now(UTC) + timedelta(days=1))
    assert (found.orders, found.rows[0].counts) == (0, {})


def test_other_stores_count_for_nothing(rig: Rig) -> None:
    busy, idle = rig.shop("woocommerce"), connect(rig, rig.shop("woocommerce", "https://idle.example"))
    rig.switch_on(busy, "gameball")
    sold(rig, busy, 1)
    change(rig, Delivery, state="dead")
    change(rig, Event, state="error")
    change(rig, Webhook, state="pending", received_at=datetime.now(UTC) - timedelta(hours=1))
    found = look(rig, idle)
    assert (found.orders, found.rows, found.oldest, found.lag, found.causes) == (0, (), None, None, ())


def test_a_provider_that_is_off_shows_only_if_it_had_something_to_do(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball", "seeka")
    rig.set(shop, "seeka", mode="off")
    sold(rig, shop, 1)
    rig.set(shop, "gameball", mode="off")
    assert [(row.provider, row.mode) for row in look(rig, shop).rows] == [("gameball", "off")]


def test_the_longest_wait_is_that_of_the_oldest_delivery_that_is_still_to_go(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    sold(rig, shop, 1, 2, 3)
    start = datetime(2026, 11, 21, 8, tzinfo=UTC)
    with rig.db.write() as session:
        states = ("delivered", "held", "retrying")
        for number, (row, state) in enumerate(zip(session.scalars(select(Delivery)), states, strict=True)):
            row.state, row.created_at = state, start + timedelta(minutes=number)
    assert look(rig, shop).oldest == start + timedelta(minutes=1)


def test_the_lag_is_what_is_usual_and_never_less_than_nothing(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    sold(rig, shop, 1, 2, 3)
    at = datetime(2026, 11, 21, 8, tzinfo=UTC)
    with rig.db.write() as session:
        rows = session.scalars(select(Event).where(Event.state == "understood").order_by(Event.id)).all()
        for row, seconds in zip(rows, (-5, 7, 7, 4000, 9, 9), strict=True):  # two of each webhook
            row.occurred_at, row.received_at = at, at + timedelta(seconds=seconds)
    assert look(rig, shop).lag == timedelta(seconds=7)
    change(rig, Event, received_at=at - timedelta(seconds=5))
    assert look(rig, shop).lag == timedelta()
    change(rig, Webhook, dedup_key="reconcile:" + Webhook.dedup_key)
    assert look(rig, shop).lag is None


def test_what_is_wrong_is_told_gravest_first_with_its_cause(rig: Rig) -> None:
    shop = connect(rig, rig.shop("woocommerce"), ConnectionState.ATTENTION, trouble="The store refuses our key.")
    rig.switch_on(shop, "gameball", "seeka", "spotler")
    sold(rig, shop, 1, 2, 3)
    with rig.db.write() as session:
        mine = select(Delivery).order_by(Delivery.id)
        for number, row in enumerate(session.scalars(mine.where(Delivery.provider == "gameball"))):
            row.state, row.reason = "dead", f"reason {number}"
        lost = session.scalars(mine.where(Delivery.provider == "seeka").limit(1)).one()
        lost.state, lost.reason = "unknown", None
        session.execute(update(Destination).where(Destination.provider == "spotler").values(held="401"))
        session.scalars(select(Event).limit(1)).one().state = "error"
    change(rig, Webhook, state="pending", received_at=datetime.now(UTC) - timedelta(minutes=11))
    assert look(rig, shop).causes == (
        Cause(kind="connection", said="The store refuses our key."),
        Cause(kind="held", provider="spotler", said="401"),
        Cause(kind="dead", provider="gameball", said="reason 2", number=3),
        Cause(kind="unknown", provider="seeka", said=None, number=1),
        Cause(kind="unread", number=1),
        Cause(kind="stalled"),
    )


def test_what_was_left_alone_for_two_weeks_was_left_on_purpose(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    sold(rig, shop, 1)
    change(rig, Delivery, state="dead")
    change(rig, Event, state="error")
    now = datetime.now(UTC)
    assert [cause.kind for cause in look(rig, shop, now + timedelta(days=13)).causes] == ["dead", "unread"]
    assert look(rig, shop, now + timedelta(days=15)).causes == ()


def test_what_waits_to_be_read_for_a_moment_is_no_trouble(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    now = datetime.now(UTC)
    assert look(rig, shop, now + timedelta(minutes=9)).causes == ()
    assert look(rig, shop, now + timedelta(minutes=11)).causes == (Cause(kind="stalled"),)


def test_the_shops_pages_are_prepared_once_an_order_carried_a_number(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    sold(rig, shop, 1)
    change(rig, Ledger, sprii=None)
    steps = {step.name: step.done for step in look(rig, shop).store.steps}
    assert steps["storefront"] is None
    change(rig, Ledger, sprii="1042")
    steps = {step.name: step.done for step in look(rig, shop).store.steps}
    assert steps["storefront"] is True


def test_a_file_that_a_buyer_asked_for_is_told_of_until_it_is_fetched_or_deleted(rig: Rig) -> None:
    shop, other = connect(rig, rig.shop("woocommerce")), rig.shop("woocommerce", "https://other.example")
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def made(of: int, key: str | None, at: datetime) -> None:
        person = persons.from_text("ada@example.test")
        data_request.export_person(rig.db, rig.parts.vault, of, person, at, dedup_key=key, actor="shopify")

    made(shop, None, noon)  # by hand: whoever made it knows
    made(other, "asked-of-another", noon)
    assert look(rig, shop, noon).causes == ()
    made(shop, "asked-1", noon + timedelta(days=1))
    made(shop, "asked-2", noon + timedelta(days=2))
    first = noon + timedelta(days=31)
    assert look(rig, shop, noon).causes == (Cause(kind="asked", number=2, until=first),)
    with rig.db.write() as session:
        data_request.fetch(session, rig.parts.vault, shop, 3, noon)
    assert look(rig, shop, noon).causes == (Cause(kind="asked", number=1, until=first + timedelta(days=1)),)
    assert look(rig, shop, first + timedelta(days=1)).causes == ()
