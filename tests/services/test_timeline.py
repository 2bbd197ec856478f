"""One order's timeline: what came, what it meant, what every provider has of it, and why where it has nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from app.models import Connection, ConnectionState, Delivery, Destination, Event, Shop
from app.providers.registry import PROVIDERS
from app.services import timeline, unsent
from app.services.attempts import Plan
from app.services.cover import HIDDEN
from app.services.errors import NotFound
from app.services.settle import HORIZON
from app.services.timeline import Answer, Timeline
from tests.bodies import woocommerce_order
from tests.rig import Rig

BUYER = ("buyer@example.test", "Sample")


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def tell(rig: Rig, shop: int, order_id: int = 1043, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


def look(rig: Rig, shop: int, key: str = "1043") -> Timeline:
    with rig.db.read() as session:
        return timeline.timeline(session, rig.parts.router, session.get_one(Shop, shop), key)


def answer(rig: Rig, shop: int, provider: str) -> Answer:
    return next(each for each in look(rig, shop).answers if each.provider == provider)


def why(rig: Rig, shop: int, provider: str = "gameball") -> tuple[tuple[str | None, str], ...]:
    return answer(rig, shop, provider).sentences


def test_an_order_is_told_from_its_first_webhook_to_its_refund(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    tell(rig, shop)
    rig.work()
    tell(rig, shop, minute=1, refunds=((9, "30.00"),))
    tell(rig, shop, minute=1, refunds=((9, "30.00"),), note="x")
    rig.work()
    seen = look(rig, shop)
    assert (seen.number, seen.sprii, seen.standing, seen.total, seen.refunded) == (
        *("1043", "5934-14", "partly_refunded"),
        *(Decimal("80.00"), Decimal("30.00")),
    )
    told = [[(each.kind, each.state, each.amount) for each in arrival.events] for arrival in seen.arrivals]
    assert told == [
        [("order.placed", "understood", Decimal("80.00")), ("order.paid", "understood", Decimal("80.00"))],
        [("order.refunded", "understood", Decimal("30.00"))],
        [("order.updated", "ignored", None)],
    ]
    paid, refunded = seen.arrivals[0].events[1], seen.arrivals[1].events[0]
    assert [(each.action, each.state, each.why, each.amount) for each in (*paid.deliveries, *refunded.deliveries)] == [
        ("Report a paid order", "delivered", "The provider accepted it: 80 points", None),
        ("Take back points for money given back", "delivered", "The provider accepted it.", Decimal("30.00")),
    ]
    (sent,) = paid.deliveries
    assert [(each.number, each.purpose, each.outcome, each.status) for each in sent.tries] == [
        (1, "send", "accepted", 200)
    ]
    assert sent.plan is None


def test_a_webhook_is_shown_with_its_topic_size_and_source(rig: Rig, shop: int) -> None:
    body = json.dumps(woocommerce_order(1043)).encode()
    rig.woocommerce(shop, "order.updated", body)
    rig.account()
    (arrival,) = look(rig, shop).arrivals
    assert (arrival.topic, arrival.size, arrival.asked) == ("order.updated", len(body), False)
    with rig.db.read() as session:
        assert timeline.body(session, shop, "1043", arrival.id) == body


def test_nothing_on_the_timeline_names_the_buyer(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    tell(rig, shop, customer_id=7)
    rig.work()
    seen = look(rig, shop)
    payload = seen.arrivals[0].events[1].deliveries[0].tries[0].payload
    assert (payload["customerId"], payload["email"], payload["orderId"], payload["totalPaid"]) == (
        *(HIDDEN, HIDDEN),
        *("1043", 80),
    )
    assert "buyer@example.test" not in repr(seen)


def test_what_waits_says_when_it_is_tried_next_and_until_when(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    rig.simulators.app.set_faults("gameball", [{"kind": "503"}])
    tell(rig, shop)
    rig.work(settled="gameball")
    (sent,) = look(rig, shop).arrivals[0].events[1].deliveries
    assert (sent.state, sent.attempts) == ("retrying", len(sent.tries))
    with rig.db.read() as session:
        row = session.get_one(Delivery, sent.id)
    assert sent.plan == Plan(row.due_at, row.since + HORIZON)


def test_a_repeated_payload_is_shown_once(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    rig.simulators.app.set_faults("gameball", [{"kind": "503", "times": 1}])
    tell(rig, shop)
    rig.work()
    (sent,) = look(rig, shop).arrivals[0].events[1].deliveries
    assert [(each.outcome, each.same, each.payload is None) for each in sent.tries] == [
        ("unavailable", False, False),
        ("accepted", True, True),
    ]


def test_other_shops_orders_and_webhooks_are_not_there(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    tell(rig, other)
    tell(rig, shop, 7)
    rig.account()
    theirs = look(rig, other).arrivals[0].id
    with rig.db.read() as session:
        for key, webhook in (("1043", theirs), ("7", theirs), ("7\0", theirs)):
            with pytest.raises(NotFound):
                timeline.body(session, shop, key, webhook)
    for key in ("1043", "8", "\0", ""):
        with pytest.raises(NotFound):
            look(rig, shop, key)


# --- why nothing was sent ---------------------------------------------------------------------------------------------


def test_every_provider_is_answered_for_and_what_is_set_up_stands_first(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    rig.switch_on(shop, "gameball", mode="off")
    tell(rig, shop)
    rig.work()
    assert [(each.provider, each.state, each.mode) for each in look(rig, shop).answers] == [
        ("sprii", "delivered", "live"),
        ("spotler", None, None),
        ("seeka", None, None),
        ("gameball", None, "off"),
        ("esputnik", None, None),
    ]
    assert why(rig, shop, "seeka") == ((None, unsent.NOT_SET_UP),)
    assert why(rig, shop, "gameball") == ((None, unsent.OFF),)


def test_no_points_for_a_guest(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball", send_guests="no")
    tell(rig, shop)
    rig.work()
    said = "The buyer has no account in your store, and guests are not sent to this provider."
    assert why(rig, shop) == (("Report a paid order", said),)


def test_no_points_before_it_is_paid(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    tell(rig, shop, paid=False)
    rig.work()
    assert why(rig, shop) == ((None, "It is told of an order when it is paid, and this one is not, or not yet."),)


def test_no_points_before_the_store_was_connected(rig: Rig, shop: int) -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    with rig.db.write() as session:
        session.add(Connection(shop_id=shop, state=ConnectionState.CONNECTED, installed_at=now))
        session.execute(update(Shop).values(created_at=now))
    rig.switch_on(shop, "gameball")
    tell(rig, shop)
    rig.work()
    said = "It happened before your store was connected, so it is no new purchase. Resend it if you want it."
    assert why(rig, shop) == (("Report a paid order", said),)


def test_no_points_because_it_was_set_up_later_or_was_off(rig: Rig, shop: int) -> None:
    tell(rig, shop)
    rig.work()
    rig.switch_on(shop, "gameball")
    assert why(rig, shop) == ((None, unsent.SET_UP_LATER),)
    with rig.db.write() as session:
        session.execute(update(Destination).values(created_at=datetime.now(UTC) - timedelta(days=1)))
    assert why(rig, shop) == ((None, unsent.CHANGED),)


def test_no_points_because_of_the_merchants_own_mapping(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    own(rig, shop, "[[rules]]\nname = 'order'\nwhen = [{ path = 'order.currency', is = 'EUR' }]\n")
    tell(rig, shop)
    rig.work()
    said = "Your mapping asks for order.currency, and this order does not have what it asks for."
    assert why(rig, shop) == ((None, said),)


def test_an_option_that_leaves_an_order_out_is_named(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    own(rig, shop, "[[rules]]\nname = 'order'\nwhen = [{ path = 'options.channel', is = 'x' }]\n")
    tell(rig, shop)
    rig.work()
    label = PROVIDERS["gameball"].setting("channel").label
    assert why(rig, shop) == ((None, f"Its option “{label}” leaves this order out."),)


def test_no_rule_for_what_happened(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    own(rig, shop, "[[rules]]\nname = 'order'\non = 'order.fulfilled'\n")
    tell(rig, shop)
    rig.work()
    assert why(rig, shop) == ((None, "Your mapping has no rule for what happened with this order: placed, paid."),)


def own(rig: Rig, shop: int, text: str) -> None:
    rig.map(shop, "gameball", text)


def test_on_hold_or_unusable_says_why(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    with rig.db.write() as session:
        session.execute(update(Destination).values(secrets="no text of ours", updated_at=datetime.now(UTC)))
    tell(rig, shop)
    rig.work()
    with rig.db.read() as session:
        reason = session.scalar(select(Destination.held))
    assert why(rig, shop) == ((None, unsent.ON_HOLD.format(reason=reason)),)
    with rig.db.write() as session:
        session.execute(update(Destination).values(held=None))
    assert why(rig, shop) == ((None, unsent.CATCHING_UP),)
    with rig.db.write() as session:
        session.execute(update(Destination).values(missed_from=None))
    assert why(rig, shop) == ((None, unsent.UNUSABLE.format(reason=reason)),)


def test_an_order_of_which_nothing_could_be_understood_says_so(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    tell(rig, shop, paid=False, status="checkout-draft")
    rig.work()
    assert why(rig, shop) == ((None, unsent.NOTHING_YET),)
    with rig.db.write() as session:
        session.execute(update(Event).values(state="parked", error="waits for its order"))
    assert why(rig, shop) == ((None, unsent.NOT_UNDERSTOOD.format(reason="waits for its order")),)


def test_what_a_provider_cannot_be_told_of_is_named_by_what_happened(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    tell(rig, shop)
    tell(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    assert why(rig, shop, "sprii") == (
        ("Report an order", "The provider accepted it."),
        ("When it was refunded", "The provider has no way to be told of this."),
    )
    assert answer(rig, shop, "sprii").state == "delivered"


def test_a_refund_alone_does_not_hide_why_the_order_was_not_sent(rig: Rig, shop: int) -> None:
    tell(rig, shop)
    rig.account()
    rig.switch_on(shop, "gameball")
    tell(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    assert why(rig, shop) == (
        (
            "Take back points for money given back",
            "The provider does not have the purchase (yet), so there is nothing to take back.",
        ),
        (None, unsent.SET_UP_LATER),
    )
