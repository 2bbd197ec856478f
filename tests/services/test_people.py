"""Who sees a shop: invited by mail, joined by the link in it, sent away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.db import Database
from app.models import Account, AuditEntry, Shop, SignInLink
from app.services import accounts, people, sign_in
from app.services.errors import NotFound, Wrong

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BERT = "bert@shop.example"


@pytest.fixture
def shop(database: Database) -> int:
    return add_shop(database, "a.example")


def add_shop(database: Database, domain: str) -> int:
    with database.write() as session:
        row = Shop(platform="woocommerce", domain=domain, settings={}, created_at=NOW)
        session.add(row)
        session.flush()
        return row.id


def add(database: Database, shop: int, email: str) -> int:
    with database.write() as session:
        account = accounts.find_or_add(session, email, NOW)
        accounts.join(session, account, shop, NOW)
        return account


def invite(database: Database, shop: int, email: str = BERT, now: datetime = NOW) -> str:
    with database.write() as session:
        return people.invite(session, shop, email, "account:1", now)[1]


def open_link(database: Database, token: str, now: datetime = NOW) -> sign_in.Signed:
    with database.write() as session:
        found = sign_in.find(session, sign_in.use_link(session, token, now), now)
    assert found
    return found[0]


def emails(database: Database, shop: int, now: datetime = NOW) -> tuple[list[str], list[str]]:
    """Members, and who is invited."""
    with database.read() as session:
        return [each.email for each in people.members(session, shop)], [
            each.email for each in people.invited(session, shop, now)
        ]


def trail(database: Database, shop: int) -> list[tuple[str, str, object]]:
    with database.read() as session:
        wanted = select(AuditEntry).where(AuditEntry.shop_id == shop).order_by(AuditEntry.id)
        return [(row.actor, row.action, row.before) for row in session.scalars(wanted)]


def test_whoever_opens_the_invitation_is_signed_in_and_sees_the_shop(database: Database, shop: int) -> None:
    token = invite(database, shop, " Bert@Shop.Example ")
    assert emails(database, shop) == ([], [BERT])
    signed = open_link(database, token, NOW + timedelta(days=3) - timedelta(seconds=1))
    assert emails(database, shop) == ([BERT], [])
    assert (signed.account_id, signed.shop_id) == (1, None)
    assert trail(database, shop) == [
        ("account:1", "invite person", None),
        ("account:1", "accept invitation", None),
    ]


def test_before_it_is_opened_nobody_has_an_account_or_sees_anything(database: Database, shop: int) -> None:
    invite(database, shop)
    with database.read() as session:
        assert session.scalars(select(Account)).all() == []


def test_an_invitation_works_once_and_for_three_days(database: Database, shop: int) -> None:
    token = invite(database, shop)
    with pytest.raises(Wrong, match="too old"):
        open_link(database, token, NOW + timedelta(days=3))
    assert emails(database, shop, NOW + timedelta(days=3)) == ([], [])
    open_link(database, token)
    with pytest.raises(Wrong, match="used already"):
        open_link(database, token)


def test_a_second_invitation_ends_the_first(database: Database, shop: int) -> None:
    first, second = invite(database, shop), invite(database, shop)
    assert emails(database, shop) == ([], [BERT])
    with pytest.raises(Wrong, match="used already"):
        open_link(database, first)
    open_link(database, second)
    assert emails(database, shop) == ([BERT], [])


def test_what_is_taken_back_opens_nothing(database: Database, shop: int) -> None:
    token = invite(database, shop)
    with database.write() as session:
        [invitation] = people.invited(session, shop, NOW)
        people.withdraw(session, shop, invitation.id, "account:1", NOW)
    assert emails(database, shop) == ([], [])
    with pytest.raises(Wrong, match="used already"):
        open_link(database, token)
    with pytest.raises(NotFound), database.write() as session:
        people.withdraw(session, shop, invitation.id, "account:1", NOW)
    assert [action for _, action, _ in trail(database, shop)] == ["invite person", "take back invitation"]


def test_another_shops_invitation_and_other_links_cannot_be_taken_back(database: Database, shop: int) -> None:
    other = add_shop(database, "b.example")
    invite(database, other)
    with database.write() as session:
        sign_in.ask(session, BERT, NOW)
        sign_in.open_shop(session, session.get_one(Shop, shop), NOW)
        links = session.scalars(select(SignInLink.id)).all()
    assert len(links) == 3
    for link in links:
        with pytest.raises(NotFound), database.write() as session:
            people.withdraw(session, shop, link, "account:1", NOW)
    assert emails(database, other) == ([], [BERT])


def test_invitations_leave_room_for_the_links_that_one_asks_for_oneself(database: Database, shop: int) -> None:
    for number in range(4):
        invite(database, add_shop(database, f"{number}.example"))
    with database.write() as session:
        assert [sign_in.ask(session, BERT, NOW) is not None for _ in range(4)] == [True, True, True, False]


def test_who_sees_the_shop_already_is_not_invited(database: Database, shop: int) -> None:
    add(database, shop, BERT)
    with pytest.raises(Wrong, match="sees the store already"):
        invite(database, shop)
    assert trail(database, shop) == []


def test_a_shop_can_send_mail_to_ten_strangers_at_a_time(database: Database, shop: int) -> None:
    for number in range(10):
        invite(database, shop, f"{number}@shop.example")
    with pytest.raises(Wrong, match="Ten people are invited"):
        invite(database, shop)
    invite(database, shop, "3@shop.example")  # the same again: no further stranger
    invite(database, shop, BERT, NOW + timedelta(days=3))


def test_one_address_is_written_to_three_times_a_day(database: Database, shop: int) -> None:
    other = add_shop(database, "b.example")
    first = invite(database, shop)
    with database.write() as session:
        [invitation] = people.invited(session, shop, NOW)
        people.withdraw(session, shop, invitation.id, "account:1", NOW)
    second, third = invite(database, shop), invite(database, shop, BERT.upper(), NOW + timedelta(hours=1))
    for hours in (0, 1, 23.9):
        with pytest.raises(Wrong, match="Three invitations went to this address within a day"):
            invite(database, shop, BERT, NOW + timedelta(hours=hours))
    invite(database, shop, "carl@shop.example")
    invite(database, other)
    invite(database, shop, BERT, NOW + timedelta(days=1))
    assert len({first, second, third}) == 3


def test_the_last_invitation_counts_where_no_further_one_is_sent(database: Database, shop: int) -> None:
    tokens = [invite(database, shop) for _ in range(3)]
    with pytest.raises(Wrong, match="Three invitations"):
        invite(database, shop)
    open_link(database, tokens[-1])
    assert emails(database, shop) == ([BERT], [])


def test_no_address_stands_in_the_trail(database: Database, shop: int) -> None:
    anna, bert = add(database, shop, "anna@shop.example"), add(database, shop, BERT)
    invite(database, shop, "carl@shop.example")
    with database.write() as session:
        people.remove(session, shop, bert, f"account:{anna}")
    assert trail(database, shop) == [
        ("account:1", "invite person", None),
        (f"account:{anna}", "remove person", {"person": f"account:{bert}"}),
    ]


def test_who_is_removed_sees_the_shop_no_more_and_others_as_before(database: Database, shop: int) -> None:
    other = add_shop(database, "b.example")
    add(database, shop, "anna@shop.example")
    bert = add(database, shop, BERT)
    add(database, other, BERT)
    with database.write() as session:
        people.remove(session, shop, bert, "account:1")
        assert [each.id for each in accounts.visible_shops(session, bert, None)] == [other]
    assert emails(database, shop) == (["anna@shop.example"], [])


def test_who_is_removed_does_not_come_back_by_an_invitation_from_before(database: Database, shop: int) -> None:
    """They were invited, and came by connecting the store themselves."""
    add(database, shop, "anna@shop.example")
    token = invite(database, shop, BERT, datetime.now(UTC))
    bert = add(database, shop, BERT)
    with database.write() as session:
        people.remove(session, shop, bert, "account:1")
    with pytest.raises(Wrong), database.write() as session:
        sign_in.use_link(session, token, datetime.now(UTC))


def test_the_last_person_stays(database: Database, shop: int) -> None:
    anna = add(database, shop, "anna@shop.example")
    with pytest.raises(Wrong, match="the last person"), database.write() as session:
        people.remove(session, shop, anna, "account:1")
    assert emails(database, shop) == (["anna@shop.example"], [])


@pytest.mark.parametrize("actor", ["shopify:77", "wordpress:3", "operator"])
def test_whoever_gets_in_without_an_account_removes_the_last_who_has_one(
    database: Database, shop: int, actor: str
) -> None:
    anna = add(database, shop, "anna@shop.example")
    with database.write() as session:
        people.remove(session, shop, anna, actor)
    assert emails(database, shop) == ([], [])
    assert trail(database, shop) == [(actor, "remove person", {"person": f"account:{anna}"})]


def test_who_does_not_see_the_shop_cannot_be_removed_from_it(database: Database, shop: int) -> None:
    for email in ("anna@shop.example", BERT):
        add(database, shop, email)
    stranger = add(database, add_shop(database, "b.example"), "eve@evil.example")
    for account in (stranger, 999):
        with pytest.raises(NotFound), database.write() as session:
            people.remove(session, shop, account, "account:1")
