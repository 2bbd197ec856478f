"""A shop goes with everything that is its own, and nothing of another one's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.db import Base, Database
from app.models import (
    Account,
    Alert,
    AlertAddress,
    AlertLink,
    AuditEntry,
    ConnectAttempt,
    Connection,
    ConnectionState,
    Delivery,
    Export,
    HourlyAnswers,
    LinkKey,
    MappingVersion,
    Membership,
    Pruning,
    Receipt,
    Shop,
    SignIn,
    SignInLink,
    Tally,
)
from app.services import erase_shop
from app.services.erase import UnderWay
from app.services.errors import NotFound
from tests.bodies import woocommerce_order
from tests.rig import Rig

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADDRESSES = ("https://one.example", "https://two.example")


def fill(rig: Rig, number: int) -> int:
    """A shop with a row in every table that a shop can have rows in."""
    shop = rig.shop("woocommerce", ADDRESSES[number])
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    common: dict[str, Any] = {"shop_id": shop, "created_at": NOW}
    with rig.db.write() as session:
        account = Account(email=f"merchant{number}@example.test", created_at=NOW)
        session.add(account)
        session.flush()
        session.add_all(
            [
                Membership(account_id=account.id, **common),
                SignInLink(**common, token_hash=f"l{number}", email=account.email, expires_at=NOW),
                SignIn(
                    **common,
                    token_hash=f"s{number}",
                    actor="x",
                    account_id=account.id,
                    seen_at=NOW,
                    expires_at=NOW,
                ),
                AuditEntry(shop_id=shop, actor="operator", action="x", at=NOW),
                ConnectAttempt(
                    **common, state_hash=f"h{number}", platform="woocommerce", address="https://x", expires_at=NOW
                ),
                Connection(shop_id=shop, state=ConnectionState.CONNECTED, installed_at=NOW, scopes=[]),
                LinkKey(**common, name=f"k{number}", secret="x"),
                Export(**common, dedup_key=f"e{number}", content="x", expires_at=NOW),
                MappingVersion(**common, provider="sprii", version=1, text=""),
                Tally(shop_id=shop, day="2026-11-21", provider="sprii", state="delivered", number=1),
                AlertLink(**common, email="alerts@example.test", token_hash=f"a{number}", expires_at=NOW),
                AlertAddress(shop_id=shop, email="alerts@example.test", confirmed_at=NOW, due_at=NOW),
                Alert(shop_id=shop, kind="held", about="sprii", began_at=NOW, seen_at=NOW),
                Pruning(shop_id=shop, webhook_id=1, delivery_id=1, round_at=NOW, due_at=NOW),
                HourlyAnswers(shop_id=shop, hour="2026-11-21T08", topic="x", result="stored", number=1, last_at=NOW),
            ]
        )
    return shop


def rows(db: Database) -> dict[str, int]:
    with db.read() as session:
        counts = {
            each.name: session.scalar(select(func.count()).select_from(each)) for each in Base.metadata.tables.values()
        }
    return {name: int(count or 0) for name, count in counts.items() if name != "spent_links"}


def test_every_table_is_emptied_of_the_one_shop_and_keeps_the_other(rig: Rig) -> None:
    one = fill(rig, 0)
    alone = rows(rig.db)
    assert [name for name, count in alone.items() if not count] == ["receipts"]
    fill(rig, 1)
    receipt = erase_shop.erase_shop(rig.db, one, NOW, actor="operator")
    left = rows(rig.db)
    assert left == alone | {"receipts": 1, "audit_entries": alone["audit_entries"] + 1}
    gone = {name: count for name, count in receipt.counts.items() if count}
    assert gone == {
        name: count for name, count in alone.items() if name not in ("receipts", "accounts", *_WITH_ACCOUNT)
    }
    with rig.db.read() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.shop_id.is_(None)))
    assert (entry.actor, entry.action) == ("operator", "erase shop")


#: Deleted with the account that nothing else needs, before their own turn.
_WITH_ACCOUNT = ("memberships",)


def test_an_account_with_another_shop_stays(rig: Rig) -> None:
    one, two = fill(rig, 0), fill(rig, 1)
    with rig.db.write() as session:
        session.add(Membership(account_id=1, shop_id=two, created_at=NOW))
    erase_shop.erase_shop(rig.db, one, NOW, actor="operator")
    with rig.db.read() as session:
        assert [each.email for each in session.scalars(select(Account).order_by(Account.id))] == [
            "merchant0@example.test",
            "merchant1@example.test",
        ]


def test_a_shop_with_more_rows_than_a_chunk_is_emptied(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase_shop, "CHUNK", 2)
    shop = rig.shop("woocommerce")
    for number in range(1, 8):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number))
    rig.account()
    counts = erase_shop.erase_shop(rig.db, shop, NOW, actor="operator").counts
    assert (counts["ledgers"], counts["webhooks"], counts["shops"]) == (7, 7, 1)
    assert rows(rig.db)["events"] == 0


def test_a_run_that_dies_is_finished_by_the_next_and_leaves_one_receipt(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = fill(rig, 0)
    with monkeypatch.context() as patch:
        patch.setattr(erase_shop, "_finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erase_shop.erase_shop(rig.db, shop, NOW, dedup_key="webhook:1", actor="shopify")
    assert rows(rig.db)["receipts"] == 0
    first = erase_shop.erase_shop(rig.db, shop, NOW, dedup_key="webhook:1", actor="shopify")
    again = erase_shop.erase_shop(rig.db, shop, NOW, dedup_key="webhook:1", actor="shopify")
    assert first.id == again.id
    left = {name: count for name, count in rows(rig.db).items() if count}
    assert left == {"receipts": 1, "audit_entries": 1}


def test_calls_under_way_are_waited_for_and_nothing_new_begins(rig: Rig) -> None:
    shop = fill(rig, 0)
    with rig.db.write() as session:
        later = datetime.now(UTC) + timedelta(seconds=60)
        session.execute(update(Delivery).values(leased_until=later, state="retrying", due_at=NOW))
    with pytest.raises(UnderWay):
        erase_shop.erase_shop(rig.db, shop, NOW, actor="operator", patience=0.0)
    assert rig.deliverer.work() == 0
    with rig.db.read() as session:
        assert session.scalars(select(Shop.removed_at)).one() is not None
        assert session.scalar(select(Receipt.id)) is None


def test_a_webhook_that_arrives_at_the_last_moment_goes_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = rig.shop("woocommerce")
    finish = erase_shop._finish

    def arriving(*arguments: Any) -> Any:
        with rig.db.write() as session:
            session.execute(update(Shop).values(removed_at=None))
        rig.woocommerce(shop, "order.updated", woocommerce_order(1))
        return finish(*arguments)

    monkeypatch.setattr(erase_shop, "_finish", arriving)
    counts = erase_shop.erase_shop(rig.db, shop, NOW, actor="operator").counts
    assert counts["webhooks"] == 1
    assert rows(rig.db)["shops"] == 0


def test_the_number_of_an_erased_shop_is_never_given_out_again(rig: Rig) -> None:
    """Its receipts stand under it, and whoever receives webhooks may know it by heart for some seconds."""
    first = rig.shop()
    erase_shop.erase_shop(rig.db, first, NOW, actor="operator")
    second = rig.shop("woocommerce")
    erase_shop.erase_shop(rig.db, second, NOW, actor="operator")
    assert (first, second, rig.shop()) == (1, 2, 3)


def test_a_removed_shop_is_found_and_an_unknown_one_is_not(rig: Rig) -> None:
    shop = rig.shop("woocommerce", "https://One.example/")
    with rig.db.write() as session:
        session.execute(update(Shop).values(removed_at=NOW))
        for name in (str(shop), "one.example", "https://ONE.example/"):
            assert erase_shop.find_shop(session, name).id == shop
        with pytest.raises(NotFound):
            erase_shop.find_shop(session, "two.example")


def test_on_both_databases_a_shop_goes(database: Database) -> None:
    with database.write() as session:
        session.add(Shop(platform="woocommerce", domain="x.example", created_at=NOW, settings={}))
        session.flush()
        session.add(Account(email="a@example.test", created_at=NOW))
        session.flush()
        session.add(Membership(account_id=1, shop_id=1, created_at=NOW))
    erase_shop.erase_shop(database, 1, NOW, actor="operator")
    assert {name: count for name, count in rows(database).items() if count} == {"receipts": 1, "audit_entries": 1}
