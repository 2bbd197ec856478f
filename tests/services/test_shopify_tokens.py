"""Tokens live on, whatever dies: refreshed in time by one worker, kept whole, never shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app.db import Database
from app.models import ConnectionState
from app.services import shopify_tokens
from app.services.errors import Failed
from app.services.shopify_install import uninstalled
from app.services.shopify_tokens import LEASE, NeedsReopening, NoAnswer, Tokens
from app.services.shopify_troubles import REOPEN, WRONG_CLIENT
from connectors.shopify.admin import AdminUnauthorized
from tests.shopify_store import CLIENT_ID, DOMAIN, SECRET, Store

OAUTH = r"/admin/oauth/access_token"
QUERY = "query { shop { id } }"


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with Store(database) as store:
        yield store


def test_a_token_that_lives_is_given_without_asking(store: Store) -> None:
    shop = store.installed()
    store.expire(301)
    assert store.tokens.token(shop) == store.secrets()["access_token"]
    assert store.calls(OAUTH) == [200]  # the install's


@pytest.mark.parametrize("left", [299.0, 1.0, -1.0, -86_400.0])
def test_a_token_with_less_than_five_minutes_is_refreshed_whole(store: Store, left: float) -> None:
    shop = store.installed()
    before = store.secrets()
    store.expire(left)
    store.set(refresh_expires_at=store.now())
    fresh = store.tokens.token(shop)
    after, connection = store.secrets(), store.connection()
    assert fresh == after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]
    assert connection.expires_at is not None
    assert connection.refresh_expires_at is not None
    assert abs(connection.expires_at - store.now() - timedelta(hours=1)) < timedelta(seconds=10)
    assert abs(connection.refresh_expires_at - store.now() - timedelta(days=90)) < timedelta(seconds=10)
    assert (connection.refreshing_until, connection.state) == (None, ConnectionState.CONNECTED)
    assert store.tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}
    assert store.platform.sentences() == []


def test_a_401_refreshes_once_and_asks_again(store: Store) -> None:
    shop = store.installed()
    admin = store.tokens.admin(shop)
    store.platform.state.access.clear()  # as when Shopify ends access tokens before their time
    assert admin.ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}
    assert store.calls("graphql")[1:] == [401, 200]
    assert store.calls(OAUTH) == [200, 200]


def test_a_token_that_was_refused_is_used_no_more_though_no_other_is_given(store: Store) -> None:
    shop = store.installed()
    store.platform.state.access.clear()
    store.platform.set_faults({"kind": "drop_before", "path": "access_token"})
    for _ in range(2):
        with pytest.raises(NoAnswer):
            store.tokens.admin(shop).ask(QUERY)
    store.platform.set_faults([])
    assert store.calls("graphql")[1:] == [401]
    assert store.tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}
    assert store.calls("graphql")[1:] == [401, 200]


def test_a_dead_refresh_token_waits_for_a_merchant_and_webhooks_go_on(store: Store) -> None:
    shop = store.installed()
    store.platform.kill_tokens(DOMAIN)
    store.expire()
    for _ in range(3):
        with pytest.raises(NeedsReopening, match="Open Tillwire in the Shopify admin once"):
            store.tokens.token(shop)
    connection = store.connection()
    assert (connection.state, connection.trouble, connection.secrets) == (ConnectionState.REOPEN, REOPEN, None)
    assert (connection.expires_at, connection.refresh_expires_at, connection.refreshing_until) == (None, None, None)
    assert store.shop().removed_at is None
    assert store.calls(OAUTH) == [200, 400]  # told once, it does not ask again
    assert store.audit()[-1] == ("shopify", "end access", None, {"state": "reopen"})
    assert store.open() == shop
    assert store.connection().state == ConnectionState.CONNECTED
    assert store.platform.sentences() == []


def test_a_wrong_client_secret_needs_attention_and_heals_by_itself(store: Store) -> None:
    shop = store.installed()
    store.platform.rotate_secret("shpss_another_one_0123456789abcdef012345")
    store.platform.revoke_old_secret()
    store.expire()
    with pytest.raises(Failed, match="does not take the app's client secret"):
        store.tokens.token(shop)
    connection = store.connection()
    assert (connection.state, connection.trouble) == (ConnectionState.ATTENTION, WRONG_CLIENT)
    assert connection.trouble_code == "wrong_client"
    assert connection.refreshing_until is None
    assert connection.secrets is not None
    store.platform.state.secrets = [SECRET]
    store.set(trouble="as an older version of ours said it")
    assert store.tokens.token(shop) == store.secrets()["access_token"]
    healed = store.connection()
    assert (healed.state, healed.trouble, healed.trouble_code) == (ConnectionState.CONNECTED, None, None)


def test_a_refresh_does_not_end_what_a_check_complained_of(store: Store) -> None:
    shop = store.installed()
    store.set(state=ConnectionState.ATTENTION, trouble="a scope is missing", trouble_code="rights")
    store.expire()
    store.tokens.token(shop)
    assert (store.connection().state, store.connection().trouble) == (ConnectionState.ATTENTION, "a scope is missing")


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_lost_answer_is_asked_for_again_with_the_same_refresh_token(store: Store, kind: str) -> None:
    shop = store.installed()
    before = store.secrets()
    store.expire()
    store.platform.set_faults({"kind": kind, "path": "access_token", "times": 1})
    with pytest.raises(NoAnswer):
        store.tokens.token(shop)
    assert store.secrets() == before
    assert store.connection().refreshing_until is None
    assert store.tokens.token(shop) == store.secrets()["access_token"] != before["access_token"]
    assert store.tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}
    assert store.platform.sentences() == []


def test_while_shopify_does_not_answer_a_token_that_still_lives_serves(store: Store) -> None:
    shop = store.installed()
    store.expire(200)
    store.platform.set_faults({"kind": "drop_before", "path": "access_token"})
    assert store.tokens.token(shop) == store.secrets()["access_token"]
    assert store.connection().refreshing_until is None


def test_a_process_that_dies_between_answer_and_commit_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = store.installed()
    before = store.secrets()
    store.expire()

    class Killed(BaseException):
        pass

    def die(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Tokens, "_save", die)
        with pytest.raises(Killed):
            store.tokens.token(shop)
    assert store.secrets() == before
    lease = store.connection().refreshing_until
    assert lease is not None
    assert timedelta(0) < lease - store.now() <= LEASE
    store.set(refreshing_until=store.now())  # the lease runs out
    assert store.tokens.token(shop) == store.secrets()["access_token"] != before["access_token"]
    assert store.tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}
    assert store.platform.sentences() == []


def test_while_another_worker_refreshes_a_token_that_lives_serves(store: Store) -> None:
    shop = store.installed()
    store.expire(200)
    store.set(refreshing_until=store.now() + LEASE)
    assert store.tokens.token(shop) == store.secrets()["access_token"]
    assert store.calls(OAUTH) == [200]


def test_while_another_worker_refreshes_a_dead_token_waits_and_is_then_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify_tokens, "PATIENCE", 0.2)
    shop = store.installed()
    store.expire()
    store.set(refreshing_until=store.now() + LEASE)
    with pytest.raises(NoAnswer, match="try again in a minute"):
        store.tokens.token(shop)
    assert store.calls(OAUTH) == [200]


def test_many_workers_at_once_refresh_once_and_all_get_the_same(store: Store) -> None:
    shop = store.installed()
    store.expire()
    others = [Tokens(store.db, store.vault, store.shopify) for _ in range(8)]
    barrier = threading.Barrier(8)

    def ask(tokens: Tokens) -> str:
        barrier.wait()
        return tokens.token(shop)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, others))
    assert found == {store.secrets()["access_token"]}
    assert store.calls(OAUTH) == [200, 200]


def test_a_worker_that_slept_over_its_lease_overwrites_nothing(store: Store) -> None:
    shop = store.installed()
    store.expire()
    slow = _Interrupted(store, lambda: (store.set(refreshing_until=store.now()), store.tokens.token(shop)))
    given = slow.tokens.token(shop)
    slow.shopify.close()
    assert given == store.secrets()["access_token"]
    assert store.tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}


def test_an_install_during_a_refresh_wins(store: Store) -> None:
    shop = store.installed()
    store.expire()

    def reinstall() -> None:
        store.platform.uninstall(DOMAIN)
        store.platform.install(DOMAIN)
        store.set(state=ConnectionState.REOPEN)
        store.open()

    slow = _Interrupted(store, reinstall)
    given = slow.tokens.token(shop)
    slow.shopify.close()
    connection = store.connection()
    assert (connection.generation, connection.state) == (2, ConnectionState.CONNECTED)
    assert given == store.secrets()["access_token"]
    assert store.tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}


def test_secrets_that_are_encrypted_anew_during_a_refresh_do_not_lose_it(store: Store) -> None:
    shop = store.installed()
    before = store.secrets()
    store.expire()
    slow = _Interrupted(store, lambda: store.set(secrets=store.vault.close(before)))
    given = slow.tokens.token(shop)
    slow.shopify.close()
    assert given == store.secrets()["access_token"] != before["access_token"]
    assert store.connection().refreshing_until is None


def test_a_removal_during_a_refresh_is_not_undone(store: Store) -> None:
    shop = store.installed()
    store.expire()
    slow = _Interrupted(store, lambda: store.change(lambda session, row: uninstalled(session, row, store.now())))
    with pytest.raises(NeedsReopening):
        slow.tokens.token(shop)
    slow.shopify.close()
    assert (store.connection().state, store.connection().secrets) == (ConnectionState.ENDED, None)


def test_an_answer_for_an_install_before_is_thrown_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shopify_tokens, "PATIENCE", 0.2)
    shop = store.installed()
    before = store.secrets()
    store.expire()
    slow = _Interrupted(store, lambda: store.set(generation=2))
    with pytest.raises(NoAnswer):
        slow.tokens.token(shop)
    slow.shopify.close()
    assert store.secrets() == before


@pytest.mark.parametrize("state", [ConnectionState.ENDED, ConnectionState.REOPEN, ConnectionState.UNPROVEN])
def test_tokens_of_a_connection_that_is_over_are_not_used(store: Store, state: ConnectionState) -> None:
    shop = store.installed()
    store.set(state=state)
    with pytest.raises(NeedsReopening):
        store.tokens.token(shop)


class _Interrupted:
    """Tokens whose first call to Shopify is followed by something else, before its answer is looked at."""

    def __init__(self, store: Store, then: object) -> None:
        # The store's own client goes on as it is.
        transport = store.platform.transport()
        todo = [then]

        class Slow(httpx.BaseTransport):
            def handle_request(self, request: httpx.Request) -> httpx.Response:
                response = transport.handle_request(request)
                response.read()
                if todo:
                    todo.pop()()  # type: ignore[operator]
                return httpx.Response(response.status_code, headers=response.headers, content=response.content)

            def close(self) -> None:
                transport.close()

        self.shopify = type(store.shopify)(
            client_id=CLIENT_ID,
            secrets=(SECRET,),
            api_version="2026-10",
            public_url="https://tillwire.example",
            inner=Slow(),
        )
        self.tokens = Tokens(store.db, store.vault, self.shopify)


def test_refresh_tokens_that_nobody_needs_are_kept_alive(store: Store) -> None:
    store.installed()
    before = store.secrets()
    assert store.tokens.keep_alive(store.now() + timedelta(days=59)) == 0
    assert store.secrets() == before
    assert store.tokens.keep_alive(store.now() + timedelta(days=61)) == 1
    assert store.secrets()["refresh_token"] != before["refresh_token"]
    connection = store.connection()
    assert connection.refresh_expires_at is not None
    assert connection.refresh_expires_at > store.now() + timedelta(days=89)


def test_one_shop_that_cannot_be_kept_alive_does_not_stop_the_others(store: Store) -> None:
    store.platform.add_shop("second")
    store.platform.install("second")
    store.installed()
    store.open("second.myshopify.com")
    store.platform.kill_tokens(DOMAIN)
    assert store.tokens.keep_alive(store.now() + timedelta(days=80)) == 1
    assert store.connection().state == ConnectionState.REOPEN


def test_after_a_rotation_all_tokens_are_made_by_the_new_secret(store: Store) -> None:
    shop = store.installed()
    new = "shpss_the_new_one_0123456789abcdef012345"
    store.platform.rotate_secret(new)
    client = store.client(secrets=(new, SECRET))
    tokens = Tokens(store.db, store.vault, client)
    assert tokens.refresh_all() == {"refreshed": [shop], "failed": []}
    store.platform.revoke_old_secret()
    assert tokens.admin(shop).ask(QUERY) == {"shop": {"id": "gid://shopify/Shop/42"}}
    store.expire()
    assert tokens.token(shop) == store.secrets()["access_token"]
    client.close()


def test_a_rotation_that_is_not_through_says_for_which_shops(store: Store) -> None:
    shop = store.installed()
    store.platform.kill_tokens(DOMAIN)
    assert store.tokens.refresh_all() == {"refreshed": [], "failed": [shop]}


@pytest.mark.parametrize("name", ["expires_at", "refresh_expires_at"])
def test_a_token_that_would_never_expire_is_not_used(store: Store, name: str) -> None:
    shop = store.installed()
    assert store.tokens.end_eternal() == 0
    store.set(**{name: None})
    assert store.tokens.end_eternal() == 1
    assert (store.connection().state, store.connection().secrets) == (ConnectionState.REOPEN, None)
    with pytest.raises(NeedsReopening):
        store.tokens.token(shop)


def test_a_token_refused_right_after_its_refresh_is_the_end_of_that_install_alone(store: Store) -> None:
    shop = store.installed()
    refused = store.secrets()["access_token"]
    store.tokens.lost(shop, generation=0, refused=refused)
    assert store.connection().state == ConnectionState.CONNECTED
    store.tokens.lost(shop, generation=1, refused=refused)
    assert store.connection().state == ConnectionState.REOPEN


def test_a_refused_token_that_was_replaced_meanwhile_ends_nothing(store: Store) -> None:
    shop = store.installed()
    refused = store.secrets()["access_token"]
    store.expire()
    living = store.tokens.token(shop)  # another worker's refresh
    store.tokens.lost(shop, generation=1, refused=refused)
    assert (store.connection().state, store.secrets()["access_token"]) == (ConnectionState.CONNECTED, living)


def test_a_shop_without_connection_or_removed_has_no_token(store: Store) -> None:
    shop = store.installed()
    with pytest.raises(NeedsReopening):
        store.tokens.token(shop + 1)
    with store.db.begin() as connection:
        connection.execute(text("UPDATE shops SET removed_at = created_at"))
    with pytest.raises(NeedsReopening):
        store.tokens.token(shop)


def test_tokens_are_encrypted_and_never_shown(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    shop = store.installed()
    store.expire()
    store.tokens.token(shop)
    admin = store.tokens.admin(shop)
    planted = {*store.secrets().values(), SECRET, *store.platform.state.access, *store.platform.state.refresh}
    store.platform.state.access.clear()
    store.platform.state.refresh.clear()
    with pytest.raises((NeedsReopening, AdminUnauthorized)) as caught:
        admin.ask(QUERY)
    with store.db.read() as session:
        rows = str(session.execute(text("SELECT * FROM connections")).all())
        rows += str(session.execute(text("SELECT * FROM audit_entries")).all())
    shown = [repr(caught.value), repr(admin), repr(store.tokens), repr(store.shopify), rows, caplog.text]
    for secret in planted:
        assert not any(secret in each for each in shown), secret
