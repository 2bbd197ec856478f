"""Under which names the number of a live sale is looked for, and two people who change them at once."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.models import AuditEntry, Ledger, Shop
from app.services import names
from app.services.errors import Wrong
from connectors.base import SPRII_NAMES
from tests.bodies import woocommerce_order
from tests.rig import Rig

SEEN = names.version(SPRII_NAMES)


def save(rig: Rig, shop: int, typed: str, seen: str = SEEN) -> None:
    with rig.db.write() as session:
        names.save_sprii_names(session, shop, typed, seen, "account:1")


def kept(rig: Rig, shop: int) -> tuple[str, ...]:
    with rig.db.read() as session:
        return names.sprii_names(session.get_one(Shop, shop))


def trail(rig: Rig) -> list[tuple[str, str, object, object]]:
    with rig.db.read() as session:
        return [(row.actor, row.action, row.before, row.after) for row in session.scalars(select(AuditEntry))]


def test_names_are_kept_in_the_order_in_which_they_were_typed(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    assert kept(rig, shop) == SPRII_NAMES
    save(rig, shop, "  live_no \r\n\r\nsprii_order_no\nlive_no\n")
    assert kept(rig, shop) == ("live_no", "sprii_order_no")
    before, after = {"sprii names": list(SPRII_NAMES)}, {"sprii names": ["live_no", "sprii_order_no"]}
    assert trail(rig) == [("account:1", "change sprii names", before, after)]


def test_orders_that_come_from_then_on_are_read_by_them(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    save(rig, shop, "live_no")
    meta = [{"id": 1, "key": "live_no", "value": "L-77"}]
    rig.woocommerce(shop, "order.updated", {**woocommerce_order(1, customer_id=5), "meta_data": meta})
    rig.account()
    with rig.db.read() as session:
        assert session.scalars(select(Ledger.sprii)).all() == ["L-77"]


def test_nothing_brings_the_standard_names_back(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    save(rig, shop, "live_no")
    save(rig, shop, " \n ", names.version(("live_no",)))
    assert kept(rig, shop) == SPRII_NAMES


def test_what_is_saved_as_it_was_is_no_change(rig: Rig) -> None:
    save(rig, rig.shop("woocommerce"), "\n".join(SPRII_NAMES))
    assert trail(rig) == []


def test_who_comes_second_loses_nothing_and_overwrites_nothing(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    save(rig, shop, "first")
    with pytest.raises(names.Overtaken) as told:
        save(rig, shop, "second")
    assert told.value.names == ("first",)
    assert kept(rig, shop) == ("first",)
    save(rig, shop, "second", names.version(told.value.names))
    assert kept(rig, shop) == ("second",)


@pytest.mark.parametrize("typed", ["a" * 101, "a\0b", "a\u202eb", "\n".join(map(str, range(21)))])
def test_names_that_cannot_be_are_refused(rig: Rig, typed: str) -> None:
    shop = rig.shop("woocommerce")
    with pytest.raises(Wrong, match="Nothing was changed"):
        save(rig, shop, typed)
    assert kept(rig, shop) == SPRII_NAMES
    assert trail(rig) == []


def test_the_longest_and_the_most_are_taken(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    most = tuple(f"{number:0100}" for number in range(20))
    save(rig, shop, "\n".join(most))
    assert kept(rig, shop) == most


def test_other_names_of_the_shop_stay(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    with rig.db.write() as session:
        session.get_one(Shop, shop).settings = {"names": {"tcf_consent": ["tcf"]}, "facts": {"currency": "DKK"}}
    save(rig, shop, "live_no")
    with rig.db.read() as session:
        assert session.get_one(Shop, shop).settings == {
            "names": {"tcf_consent": ["tcf"], "sprii": ["live_no"]},
            "facts": {"currency": "DKK"},
        }
