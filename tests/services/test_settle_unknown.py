"""A person settles what became of a delivery whose answer was lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from app.models import AuditEntry, Delivery
from app.services import replay
from app.services.errors import Wrong
from tests.bodies import woocommerce_order
from tests.rig import Rig


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def tell(rig: Rig, shop: int, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(1, **changes)) == "stored"


def lose(rig: Rig, shop: int) -> None:
    """An order that Sprii took, or not, and nobody knows."""
    rig.switch_on(shop, "sprii")
    plan = [{"kind": "drop_after", "times": 1, "path": "processOrders"}, {"kind": "500", "path": "/orders/"}]
    rig.simulators.app.set_faults("sprii", plan)
    tell(rig, shop)
    rig.work()
    rig.simulators.app.set_faults("sprii", [])


def settle(rig: Rig, *, applied: bool) -> None:
    with rig.db.write() as session:
        replay.settle_unknown(session, session.get_one(Delivery, 1), applied, "account:1")


def row(rig: Rig) -> Delivery:
    with rig.db.read() as session:
        return session.get_one(Delivery, 1)


def trail(rig: Rig) -> list[tuple[str, str, Any, Any]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry))
        return [(each.actor, each.action, each.before, each.after) for each in rows]


def test_what_was_found_counts_as_delivered_and_is_not_sent_again(rig: Rig, shop: int) -> None:
    lose(rig, shop)
    assert (row(rig).state, row(rig).effect) == ("unknown", {})
    calls, began = len(rig.received("sprii")), datetime.now(UTC)
    settle(rig, applied=True)
    rig.work()
    assert rig.states() == [("process_orders", "delivered", "a person found it at the provider")]
    assert (row(rig).doubt, row(rig).effect, row(rig).delivered_at and row(rig).delivered_at > began) == (
        False,
        {},
        True,
    )
    assert len(rig.received("sprii")) == calls
    after = {"delivery": 1, "found": True, "state": "delivered"}
    assert trail(rig) == [("account:1", "settle delivery", {"delivery": 1, "state": "unknown"}, after)]


def test_what_was_not_found_is_sent_again(rig: Rig, shop: int) -> None:
    lose(rig, shop)
    settle(rig, applied=False)
    assert (row(rig).state, row(rig).doubt, row(rig).effect) == ("pending", False, None)
    rig.work()
    assert rig.states() == [("process_orders", "delivered", None)]
    after = {"delivery": 1, "found": False, "state": "pending"}
    assert trail(rig) == [("account:1", "settle delivery", {"delivery": 1, "state": "unknown"}, after)]


def test_somebody_who_comes_second_changes_nothing(rig: Rig, shop: int) -> None:
    lose(rig, shop)
    settle(rig, applied=True)
    for applied in (True, False):
        with pytest.raises(Wrong) as late:
            settle(rig, applied=applied)
    assert str(late.value) == (
        "This delivery is not unknown any more: somebody settled it already. Nothing was changed."
    )
    assert rig.states() == [("process_orders", "delivered", "a person found it at the provider")]
    assert len(trail(rig)) == 1


def test_a_found_purchase_lets_its_refund_go(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    tell(rig, shop)
    rig.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state="unknown", reason="lost"))
    tell(rig, shop, minute=1, refunds=((9, "30.00"),))
    rig.work()
    assert [(state, reason) for _, state, reason in rig.states()] == [
        ("unknown", "lost"),
        ("skipped", "nothing_to_reverse"),
    ]
    settle(rig, applied=True)
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered", "delivered"]


def test_what_a_newer_state_overtook_is_not_sent_again(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "esputnik")
    tell(rig, shop)
    rig.work()
    tell(rig, shop, minute=1, status="completed")
    rig.work()
    with rig.db.write() as session:
        session.execute(update(Delivery).where(Delivery.id == 1).values(state="unknown"))
    with pytest.raises(Wrong) as over:
        settle(rig, applied=False)
    assert str(over.value) == (
        "The provider took a newer state of this order meanwhile, so this one is not sent again."
    )
    assert (row(rig).state, trail(rig)) == ("unknown", [])
