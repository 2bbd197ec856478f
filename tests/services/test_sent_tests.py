"""Which providers are told of test orders, for all of them in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.models import AuditEntry, Destination
from app.services import sent_tests
from app.services.sent_tests import Choice
from tests.connectors.shopify_fixtures import body_of
from tests.rig import Rig

NOW = datetime.now(UTC)


def choices(rig: Rig, shop: int, now: datetime = NOW) -> list[Choice]:
    with rig.db.read() as session:
        return sent_tests.choices(session, shop, now)


def save(rig: Rig, shop: int, *sent: str, seen: str | None = None) -> None:
    version = seen or sent_tests.version(choices(rig, shop))
    with rig.db.write() as session:
        sent_tests.save(session, shop, sent, version, "account:1")


def choice(provider: str, title: str, *, sent: bool = False, left_out: int = 0) -> Choice:
    return Choice(provider=provider, title=title, mode="live", sent=sent, left_out=left_out)


def test_what_was_left_out_lately_is_counted_and_a_choice_is_in_the_trail(rig: Rig) -> None:
    shop, other = rig.shop("shopify"), rig.shop("woocommerce", "https://other.example")
    rig.switch_on(shop, "gameball", "seeka")
    rig.switch_on(other, "gameball")
    assert choices(rig, shop) == [choice("gameball", "Gameball"), choice("seeka", "Seeka")]
    rig.shopify("orders/paid", order(1))
    rig.work()
    assert choices(rig, shop) == [choice("gameball", "Gameball", left_out=1), choice("seeka", "Seeka", left_out=1)]
    assert [each.left_out for each in choices(rig, shop, NOW + timedelta(days=15))] == [0, 0]
    save(rig, shop, "gameball", "sprii", "nonsense")
    save(rig, shop, "gameball")
    assert [(each.provider, each.sent) for each in choices(rig, shop)] == [("gameball", True), ("seeka", False)]
    assert [each.sent for each in choices(rig, other)] == [False]
    with rig.db.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == "change test orders"))
        assert (entry.before, entry.after) == ({"test orders go to": []}, {"test orders go to": ["gameball"]})


def test_the_next_test_order_goes_where_it_was_chosen(rig: Rig) -> None:
    shop = rig.shop("shopify")
    rig.switch_on(shop, "gameball", "seeka")
    rig.shopify("orders/paid", order(1))
    rig.work()
    save(rig, shop, "seeka")
    rig.shopify("orders/paid", order(2))
    rig.work()
    found = [(each["provider"], each["order"], each["state"]) for each in rig.deliveries()]
    assert found == [
        ("gameball", "1", "skipped"),
        ("seeka", "1", "skipped"),
        ("gameball", "2", "skipped"),
        ("seeka", "2", "delivered"),
    ]
    save(rig, shop)
    rig.shopify("orders/paid", order(3))
    rig.work()
    assert [each["state"] for each in rig.deliveries()][4:] == ["skipped", "skipped"]


def test_a_form_that_another_one_overtook_saves_nothing_and_a_hold_stays(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    with rig.db.write() as session:
        session.execute(update(Destination).values(held="401"))
    seen = sent_tests.version(choices(rig, shop))
    save(rig, shop, "gameball", seen=seen)
    with pytest.raises(sent_tests.Overtaken):
        save(rig, shop, seen=seen)
    assert [each.sent for each in choices(rig, shop)] == [True]
    with rig.db.read() as session:
        assert session.scalars(select(Destination.held)).all() == ["401"]


def order(number: int) -> dict[str, object]:
    return body_of("orders_paid__worked_a") | {"id": number, "order_number": number, "name": f"#{number}", "test": True}
