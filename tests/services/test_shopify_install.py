"""Installing, removing, installing again: in any order and timing, half done, at once, and over data that is there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import ORMExecuteState, Session

from app.db import Database
from app.models import Connection, ConnectionState, Destination, Mode, Shop
from app.services import configure, shopify_install, upkeep
from app.services.connections import BEFORE_INSTALL
from app.services.erase_shop import erase_shop
from app.services.errors import Failed
from app.services.shopify_install import Stale, scopes_changed, uninstalled
from app.services.shopify_troubles import ANOTHER_DOMAIN, FORBIDDEN, REMOVED, REOPEN, WRONG_CLIENT
from tests.shopify_store import DOMAIN, NUMBER, Store, enter

STAFF = "shopify:87000000001"
ASKED_FOR = ["read_customers", "read_fulfillments", "read_orders", "read_products"]
FACTS = {"currency": "DKK", "timezone": "Europe/Copenhagen", "plan": "Basic"}


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with Store(database) as store:
        yield store


def remove(store: Store, triggered_at: datetime) -> bool:
    return bool(store.change(lambda session, shop: uninstalled(session, shop, triggered_at)))


def destination(store: Store, provider: str, mode: Mode) -> None:
    now = datetime.now(UTC)
    with store.db.write() as session:
        row = Destination(shop_id=1, provider=provider, mode=mode, options={}, created_at=now, updated_at=now)
        session.add(row)


def modes(store: Store) -> dict[str, tuple[str, int | None]]:
    with store.db.read() as session:
        return {row.provider: (row.mode, row.missed_from) for row in session.scalars(select(Destination))}


def test_the_first_opening_connects_an_unknown_shop(store: Store) -> None:
    store.platform.install(DOMAIN)
    before = store.now()
    shop_id = store.open()
    shop, connection = store.shop(), store.connection()
    assert (shop.id, shop.platform, shop.domain, shop.url) == (shop_id, "shopify", DOMAIN, f"https://{DOMAIN}")
    assert (shop.external_id, shop.settings) == (str(NUMBER), {"facts": FACTS})
    assert (connection.state, connection.trouble, connection.generation) == (ConnectionState.CONNECTED, None, 1)
    assert connection.scopes == ASKED_FOR
    assert before <= connection.installed_at <= store.now()
    assert connection.check_at == connection.reconcile_at == connection.installed_at
    assert sorted(store.secrets()) == ["access_token", "refresh_token"]
    assert store.audit() == [
        (
            STAFF,
            "connect store",
            {"state": "unproven", "generation": 0},
            {"state": "connected", "generation": 1, "scopes": ASKED_FOR},
        )
    ]
    assert store.platform.sentences() == []


def test_a_connected_shop_opens_without_any_call_to_shopify(store: Store) -> None:
    shop = store.installed()
    calls = len(store.platform.requests())
    assert [store.open(), store.open()] == [shop, shop]
    assert len(store.platform.requests()) == calls
    assert store.connection().opened_at is not None
    assert len(store.audit()) == 1


def test_a_shop_added_by_hand_is_taken_over_with_its_data(store: Store) -> None:
    with store.db.write() as session:
        by_hand = configure.add_shop(session, "shopify", DOMAIN)
        by_hand.settings = {"names": {"sprii": ["x"]}, "facts": {"currency": "EUR", "language": "da"}}
        number = by_hand.id
    assert store.installed() == number
    assert store.shop().settings == {"names": {"sprii": ["x"]}, "facts": {"language": "da", **FACTS}}


def test_a_removed_shop_comes_back_with_what_was_switched_off_left_off(store: Store) -> None:
    store.installed()
    destination(store, "sprii", Mode.LIVE)
    with store.db.write() as session:
        configure.remove_shop(session, configure.find_shop(session, DOMAIN))
    store.open()
    assert store.shop().removed_at is None
    assert store.connection().generation == 2
    assert modes(store) == {"sprii": ("off", None)}


def test_a_domain_that_belongs_to_another_store_now_does_not_get_its_data(store: Store) -> None:
    with store.db.write() as session:
        configure.add_shop(session, "shopify", DOMAIN, external_id="999")
    store.platform.install(DOMAIN)
    with pytest.raises(Failed, match="belonged to another store before"):
        store.open()
    assert store.shop().external_id == "999"
    with store.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Connection)) == 0


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ({"kind": "drop_before", "path": "access_token"}, Failed, "Shopify does not answer. Nothing was changed."),
        ({"kind": "drop_after", "path": "access_token"}, Failed, "Shopify does not answer. Nothing was changed."),
        ({"kind": "garbage", "path": "access_token"}, Failed, "Shopify's answer could not be used"),
        ({"kind": "drop_before", "path": "graphql"}, Failed, "Shopify does not answer. Nothing was changed."),
        ({"kind": "garbage", "path": "graphql"}, Failed, "Shopify's answer could not be used"),
        ({"kind": "403", "path": "graphql"}, Failed, "IP"),
        ({"kind": "403", "path": "access_token"}, Failed, "IP"),
        ({"kind": "401", "path": "graphql"}, Stale, "^$"),
    ],
    ids=str,
)
def test_an_install_that_breaks_off_leaves_nothing_and_the_next_one_works(
    store: Store, fault: dict[str, Any], error: type[Exception], said: str
) -> None:
    store.platform.install(DOMAIN)
    store.platform.set_faults(fault)
    with pytest.raises(error, match=said):
        store.open()
    with store.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Shop)) == 0
    store.platform.set_faults([])
    assert store.open() == store.shop().id
    assert store.connection().state == ConnectionState.CONNECTED


def test_a_process_that_dies_before_the_commit_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.platform.install(DOMAIN)

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shopify_install.audit, "record", die)  # the last thing of the transaction
        with pytest.raises(Killed):
            store.open()
    with store.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Shop)) == 0
    assert store.open() == store.shop().id


def test_a_missing_allowlist_is_said_in_words_for_the_operator(store: Store) -> None:
    store.platform.install(DOMAIN)
    store.platform.allowlist = False
    with pytest.raises(Failed) as caught:
        store.open()
    assert str(caught.value) == FORBIDDEN


def test_an_id_token_too_old_for_an_exchange_is_to_be_brought_anew(store: Store) -> None:
    store.platform.install(DOMAIN)
    identity = store.shopify.identify(store.platform.id_token(DOMAIN, age=8, exp=store.now().timestamp() - 8))
    with pytest.raises(Stale):
        enter(store.installer, identity)


def test_an_app_that_is_not_installed_cannot_be_connected(store: Store) -> None:
    with pytest.raises(Failed) as caught:
        store.open()
    assert str(caught.value) == WRONG_CLIENT


def test_an_answer_for_another_shop_is_never_taken(store: Store) -> None:
    store.platform.install(DOMAIN)
    shop = {"id": "gid://shopify/Shop/43", "myshopifyDomain": "second.myshopify.com", "currencyCode": "EUR"}
    answer = {
        "shop": {**shop, "ianaTimezone": "UTC", "plan": {"publicDisplayName": "Basic"}},
        "currentAppInstallation": {"accessScopes": []},
    }
    store.platform.set_faults({"kind": "200", "path": "graphql", "body": {"data": answer}})
    with pytest.raises(Failed, match="the answer is another shop's"):
        store.open()
    with store.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Shop)) == 0


def test_many_pages_at_once_install_once(store: Store) -> None:
    store.platform.install(DOMAIN)
    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(lambda _: store.open(), range(6)))
    assert found == {store.shop().id}
    assert store.connection().generation == 1
    assert len(store.audit()) == 1
    assert store.tokens.admin(store.shop().id).ask("query { shop { id } }") == {"shop": {"id": "gid://shopify/Shop/42"}}


# removal


def test_a_removal_asks_shopify_nothing_and_stops_everything(store: Store) -> None:
    store.installed()
    destination(store, "sprii", Mode.LIVE)
    destination(store, "seeka", Mode.SHADOW)
    destination(store, "spotler", Mode.OFF)
    store.platform.uninstall(DOMAIN)
    calls, at = len(store.platform.requests()), store.now()
    assert remove(store, at) is True
    assert len(store.platform.requests()) == calls
    connection = store.connection()
    assert (connection.state, connection.trouble, connection.ended_at) == (ConnectionState.ENDED, REMOVED, at)
    assert (connection.secrets, connection.expires_at, connection.refresh_expires_at) == (None, None, None)
    assert (connection.check_at, connection.reconcile_at) == (None, None)
    assert store.shop().removed_at is not None
    assert modes(store) == {"sprii": ("off", 1), "seeka": ("off", 1), "spotler": ("off", None)}
    assert store.audit()[-1] == ("shopify", "remove app", {"state": "connected"}, {"state": "ended"})


def test_an_install_after_a_removal_brings_everything_back(store: Store) -> None:
    shop = store.installed()
    old = store.secrets()
    destination(store, "sprii", Mode.LIVE)
    destination(store, "seeka", Mode.SHADOW)
    destination(store, "spotler", Mode.OFF)
    store.platform.uninstall(DOMAIN)
    remove(store, store.now())
    store.platform.install(DOMAIN)
    assert store.open() == shop
    connection = store.connection()
    assert (connection.state, connection.trouble, connection.generation) == (ConnectionState.CONNECTED, None, 2)
    assert connection.ended_at is not None
    assert connection.ended_at < connection.installed_at
    assert not set(old.values()) & set(store.secrets().values())
    assert store.shop().removed_at is None
    assert store.shop().settings == {"facts": FACTS}
    # What was stored while it was off is owed from the first event that was missed.
    assert modes(store) == {"sprii": ("live", 1), "seeka": ("shadow", 1), "spotler": ("off", None)}
    assert store.tokens.token(shop) == store.secrets()["access_token"]


def test_the_news_of_a_removal_that_comes_after_the_new_install_is_ignored(store: Store) -> None:
    store.installed()
    store.platform.uninstall(DOMAIN)
    triggered_at = store.now()
    store.set(state=ConnectionState.REOPEN)  # a dead token was noticed first
    store.platform.install(DOMAIN)
    store.open()
    assert remove(store, triggered_at) is False
    assert store.connection().state == ConnectionState.CONNECTED
    assert len(store.audit()) == 2


def test_news_of_a_removal_after_which_staff_opened_the_app_ends_the_old_tokens_alone(store: Store) -> None:
    shop = store.installed()
    destination(store, "sprii", Mode.LIVE)
    triggered_at = store.now()
    store.platform.reinstall(DOMAIN)
    later = replace(store.identity(), issued_at=triggered_at + timedelta(seconds=1))
    assert enter(store.installer, later) == shop  # nothing tells yet that the tokens are dead
    assert remove(store, triggered_at) is True
    connection = store.connection()
    assert (connection.state, connection.trouble, connection.secrets) == (ConnectionState.REOPEN, REOPEN, None)
    assert store.shop().removed_at is None
    assert modes(store) == {"sprii": ("live", None)}
    assert store.open() == shop
    assert store.connection().state == ConnectionState.CONNECTED


def test_an_app_removed_and_installed_again_without_any_news_works_once_it_is_opened(store: Store) -> None:
    shop = store.installed()
    store.platform.uninstall(DOMAIN)
    store.expire()
    with pytest.raises(Failed) as caught:
        store.tokens.token(shop)
    assert str(caught.value) == WRONG_CLIENT
    store.platform.install(DOMAIN)
    assert store.open() == shop
    assert (store.connection().state, store.connection().generation) == (ConnectionState.CONNECTED, 2)
    assert store.tokens.token(shop) == store.secrets()["access_token"]


def test_an_install_again_whose_news_got_lost_is_noticed_by_the_opening_and_healed_by_the_next_request(
    store: Store,
) -> None:
    shop = store.installed()
    store.set(checked_at=store.now() - timedelta(minutes=30), check_at=store.now() + timedelta(minutes=30))
    store.platform.uninstall(DOMAIN)
    store.platform.install(DOMAIN)
    assert store.open() == shop  # nothing tells yet that the tokens are dead
    assert store.connection().state == ConnectionState.CONNECTED
    assert upkeep.check_due(store.db, lambda each: store.checker.check(each, store.now()), store.now()) == 1
    assert store.connection().state == ConnectionState.REOPEN
    assert store.open() == shop
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.CONNECTED, None)
    assert store.tokens.admin(shop).ask("query { shop { id } }") == {"shop": {"id": "gid://shopify/Shop/42"}}


def test_opening_the_app_soon_after_a_check_asks_for_no_other(store: Store) -> None:
    store.installed()
    at = store.now()
    store.set(checked_at=at - timedelta(minutes=5), check_at=at + timedelta(hours=1))
    store.open()
    assert (store.connection().opened_at is not None, store.connection().check_at) == (True, at + timedelta(hours=1))


def test_a_store_that_is_connected_under_another_domain_does_not_become_a_second_shop(store: Store) -> None:
    store.installed()
    store.platform.add_shop("renamed.myshopify.com", id=NUMBER)
    store.platform.install("renamed.myshopify.com")
    with pytest.raises(Failed) as caught:
        store.open("renamed.myshopify.com")
    assert str(caught.value) == ANOTHER_DOMAIN
    with store.db.read() as session:
        assert session.scalars(select(Shop.domain)).all() == [DOMAIN]
    with store.db.write() as session:
        configure.remove_shop(session, configure.find_shop(session, DOMAIN))
    assert store.open("renamed.myshopify.com") == store.shop("renamed.myshopify.com").id


def test_whatever_writes_to_a_shop_and_its_connection_locks_the_shop_first(store: Store) -> None:
    store.installed()
    locked: list[str] = []

    def note(state: ORMExecuteState) -> None:
        if state.is_select and getattr(state.statement, "_for_update_arg", None) is not None:
            locked.append(state.statement.get_final_froms()[0].name)  # type: ignore[attr-defined]

    event.listen(Session, "do_orm_execute", note)
    try:
        store.checker.check(1, store.now())
        store.change(lambda session, shop: scopes_changed(session, shop, [], store.now()))
        remove(store, store.now())
        store.open()
    finally:
        event.remove(Session, "do_orm_execute", note)
    assert locked == ["shops", "connections"] * 3 + ["shops", "shops", "connections"]


def test_a_removal_during_an_install_is_not_undone(store: Store) -> None:
    store.installed()
    store.set(state=ConnectionState.REOPEN)
    ask = shopify_install.read_shop

    def slow(admin: Any) -> Any:
        facts = ask(admin)
        remove(store, store.now())
        return facts

    shopify_install.read_shop = slow
    try:
        with pytest.raises(Failed) as caught:
            store.open()
    finally:
        shopify_install.read_shop = ask
    assert str(caught.value) == REMOVED
    assert store.connection().state == ConnectionState.ENDED
    assert store.open() == 1  # and staff may install again at any time
    assert store.connection().state == ConnectionState.CONNECTED


def test_the_same_removal_told_twice_changes_nothing_more(store: Store) -> None:
    store.installed()
    at = store.now()
    assert remove(store, at) is True
    with store.db.write() as session:
        shop = session.get_one(Shop, 1)
        assert uninstalled(session, shop, at) is False
    assert len(store.audit()) == 2


def test_a_shop_without_connection_is_paused(store: Store) -> None:
    with store.db.write() as session:
        configure.add_shop(session, "shopify", DOMAIN)
    destination(store, "sprii", Mode.LIVE)
    assert remove(store, store.now()) is True
    assert store.shop().removed_at is not None
    assert modes(store) == {"sprii": ("off", 1)}


def test_what_was_never_walked_through_is_still_to_be_seen_after_another_install(store: Store) -> None:
    store.installed()
    assert store.connection().reconciled_to is None
    first = store.now() - timedelta(days=3)
    store.set(installed_at=first)
    for _ in range(2):
        store.set(state=ConnectionState.REOPEN)
        store.open()
    assert store.connection().installed_at > first + timedelta(days=2)
    assert store.connection().reconciled_to == first - BEFORE_INSTALL


def test_how_far_a_store_was_seen_stays_after_another_install(store: Store) -> None:
    store.installed()
    seen = store.now()
    store.set(state=ConnectionState.REOPEN, reconciled_to=seen)
    store.open()
    assert store.connection().reconciled_to == seen


def test_the_number_of_an_erased_shop_is_not_given_to_another(store: Store) -> None:
    shop = store.installed()
    receipt = erase_shop(store.db, shop, store.now(), actor="shopify")
    assert (receipt.shop_id, store.open() > shop) == (shop, True)


# scopes


def test_changed_scopes_are_noted_and_checked_soon(store: Store) -> None:
    store.installed()
    at = store.now()
    changed = store.change(lambda session, shop: scopes_changed(session, shop, ["write_orders", "read_x"], at))
    assert changed is True
    connection = store.connection()
    assert connection.scopes == ["read_x", "write_orders"]
    assert connection.check_at == connection.reconcile_at == at  # what was hidden can be seen now
    assert store.audit()[-1] == (
        "shopify",
        "change scopes",
        {"scopes": ASKED_FOR},
        {"scopes": ["read_x", "write_orders"], "missing": ["read_customers", "read_fulfillments", "read_products"]},
    )


def test_scopes_of_an_install_before_are_ignored(store: Store) -> None:
    before = store.now()
    store.installed()
    assert store.change(lambda session, shop: scopes_changed(session, shop, [], before)) is False
    assert store.connection().scopes == ASKED_FOR
