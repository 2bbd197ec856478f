"""Accounts: one per address, and only the shops that they proved rights to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.db import Database
from app.services import accounts, configure
from app.services.errors import Wrong

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "known_as"),
    [
        ("anna@shop.example", "anna@shop.example"),
        ("  Anna.B+live@Shop.Example\n", "anna.b+live@shop.example"),
        ("o'neil@a.b.example", "o'neil@a.b.example"),
    ],
)
def test_an_address_is_known_in_one_spelling(typed: str, known_as: str) -> None:
    assert accounts.read_email(typed) == known_as


@pytest.mark.parametrize(
    "typed",
    [
        *("", "anna", "anna@", "@shop.example", "anna@shop", "a b@shop.example", "anna@shop..example"),
        *("anna@shop.example\nBcc: all@shop.example", "anna@shop.example, eve@evil.example", "<anna@shop.example>"),
        *("anna@shop.example\x00", "änna@shop.example", "anna@\u017fhop.example", "\u212aate@shop.example"),
        *("x" * 65 + "@shop.example", "a@" + "x" * 64 + ".example", "a@" + "xxxxxxxxx." * 25 + "example"),
        "Anna <anna@shop.example>",
    ],
)
def test_what_is_no_plain_address_is_refused_in_words(typed: str) -> None:
    with pytest.raises(Wrong) as refused:
        accounts.read_email(typed)
    said = "This is no e-mail address that we can write to. Enter it like name@shop.example."
    assert str(refused.value) == said


def test_an_address_has_one_account_however_often_it_signs_in(database: Database) -> None:
    with database.write() as session:
        first = accounts.find_or_add(session, "anna@shop.example", NOW)
        other = accounts.find_or_add(session, "bert@shop.example", NOW)
    with database.write() as session:
        assert accounts.find_or_add(session, "anna@shop.example", NOW) == first
    assert other != first


def test_an_account_sees_the_shops_it_joined_and_no_others(database: Database) -> None:
    with database.write() as session:
        anna = accounts.find_or_add(session, "anna@shop.example", NOW)
        bert = accounts.find_or_add(session, "bert@shop.example", NOW)
        b, a, c, gone = (configure.add_shop(session, "woocommerce", f"https://{name}.example") for name in "bacd")
        for each in (b, a, gone):
            accounts.join(session, anna, each.id, NOW)
            accounts.join(session, anna, each.id, NOW)  # again does no harm
        accounts.join(session, bert, c.id, NOW)
        configure.remove_shop(session, gone)
        session.flush()
        assert [each.domain for each in accounts.visible_shops(session, anna, None)] == ["a.example", "b.example"]
        assert [each.domain for each in accounts.visible_shops(session, bert, None)] == ["c.example"]
        accounts.leave(session, anna, a.id)
        assert [each.domain for each in accounts.visible_shops(session, anna, None)] == ["b.example"]
        assert [each.domain for each in accounts.visible_shops(session, anna, c.id)] == []


def test_access_to_one_shop_ends_when_it_is_removed(database: Database) -> None:
    with database.write() as session:
        shop = configure.add_shop(session, "woocommerce", "https://a.example")
        configure.add_shop(session, "woocommerce", "https://b.example")
        assert [each.domain for each in accounts.visible_shops(session, None, shop.id)] == ["a.example"]
        configure.remove_shop(session, shop)
        session.flush()
        assert accounts.visible_shops(session, None, shop.id) == []
        assert accounts.visible_shops(session, None, None) == []
