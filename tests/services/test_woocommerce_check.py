"""Looking after a connected store, and letting it go, against a made-up store over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import update

from app.models import AuditEntry, Connection, Endpoint, LinkKey, Shop, Webhook
from app.services import configure, woocommerce_hooks
from app.services.errors import Failed, NotFound
from app.services.stores import Stores, open_store
from app.services.woocommerce_check import LEASE, check
from app.services.woocommerce_disconnect import disconnect, end_due
from app.services.woocommerce_prove import by_hand
from connectors.woocommerce.client import Store
from tests.rig import signature
from tests.walks import NOW, Walks

HOUR = timedelta(hours=1)
TOPICS = ["order.created", "order.deleted", "order.restored", "order.updated"]
SAFE = "What arrived before is safe, and what is missed now is fetched once it works again."
NO_CARTS = "Carts are only told by a store with the Tillwire plugin."
REVOKE = (
    "Tillwire has forgotten its key. To revoke it in your store as well, open WooCommerce > Settings > Advanced >"
    " REST API and delete the keys whose description begins with Tillwire."
)


@pytest.fixture
def walks(tmp_path: Path, database_url: str) -> Iterator[Walks]:
    with Walks(tmp_path, database_url) as walks:
        yield walks


@pytest.fixture
def shop(walks: Walks) -> int:
    shop = walks.connect()
    with walks.db.write() as session:
        session.execute(update(Connection).values(reconcile_at=None))
    return shop


def states(report: dict[str, Any]) -> dict[str, str]:
    return {topic: each["state"] for topic, each in report["topics"].items()}


def hook_of(walks: Walks, topic: str) -> Any:
    return next(hook for hook in walks.store.webhooks() if hook.topic == topic)


def sound(walks: Walks, shop: int) -> bool:
    """One active webhook of ours for each topic, with the secret that is kept here, and none beside."""
    living = walks.living(shop)
    kept = sorted(
        (topic, each.remote_id, walks.url(each), walks.vault._cipher.decrypt(each.secret.encode()).decode())
        for topic, each in living.items()
    )
    there = sorted(
        (hook.topic, str(hook.id), hook.delivery_url, hook.secret)
        for hook in walks.store.webhooks()
        if hook.status == "active" and not hook.foreign
    )
    return kept == there and [each[0] for each in kept] == TOPICS


def test_a_sound_store_is_left_as_it_is(walks: Walks, shop: int) -> None:
    before = walks.hooks()
    report = check(walks.stores, shop, NOW + HOUR)
    sound_topic = {"state": "active", "why": None, "last_event_at": None}
    assert report == {
        "at": (NOW + HOUR).isoformat(),
        "topics": {
            **dict.fromkeys(TOPICS, sound_topic),
            "cart.updated": {"state": "not offered", "why": NO_CARTS, "last_event_at": None},
        },
    }
    connection = walks.connection(shop)
    assert (connection.check_at, connection.reconcile_at) == (NOW + 2 * HOUR, None)
    assert connection.refreshing_until is None
    assert (walks.hooks(), sound(walks, shop)) == (before, True)
    assert walks.store.sentences() == []


def test_a_webhook_carries_our_name_and_a_secret_of_hex(walks: Walks, shop: int) -> None:
    for hook in walks.store.webhooks():
        assert hook.name == f"Tillwire: {hook.topic}"
        assert len(bytes.fromhex(hook.secret)) == 32
    assert len({hook.secret for hook in walks.store.webhooks()}) == 4


def test_a_webhook_that_the_store_switched_off_is_made_anew(walks: Walks, shop: int) -> None:
    dead, old = hook_of(walks, "order.updated"), walks.living(shop)["order.updated"]
    dead.status, dead.failures = "disabled", 6
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["topics"]["order.updated"] == {
        "state": "active",
        "why": "The store had switched it off after failed deliveries; it was made anew.",
        "last_event_at": None,
    }
    fresh = hook_of(walks, "order.updated")
    assert fresh.id != dead.id
    assert fresh.secret != dead.secret
    assert (fresh.failures, fresh.delivery_url != dead.delivery_url, sound(walks, shop)) == (0, True, True)
    assert walks.row(Endpoint, old.id).retired_at == NOW + HOUR
    assert walks.connection(shop).reconcile_at == NOW + HOUR
    entry = walks.rows(AuditEntry)[-1]
    assert (entry.actor, entry.action, entry.after) == ("tillwire", "make webhooks", {"topics": ["order.updated"]})


def test_what_a_retired_webhook_still_brings_is_taken(walks: Walks, shop: int) -> None:
    dead = hook_of(walks, "order.updated")
    dead.status = "disabled"
    check(walks.stores, shop, NOW + HOUR)
    body = json.dumps({"id": 7}).encode()
    headers = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature(dead.secret, body)}
    assert requests.post(dead.delivery_url, data=body, headers=headers, timeout=60).json() == {"status": "stored"}
    assert [each.shop_id for each in walks.rows(Webhook)] == [shop]


def test_a_paused_webhook_is_shown_and_left(walks: Walks, shop: int) -> None:
    walks.store.pause(hook_of(walks, "order.updated").id)
    before = walks.hooks()
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["topics"]["order.updated"] == {
        "state": "paused",
        "why": "It is paused in the store, and stays so until it is set to active there.",
        "last_event_at": None,
    }
    assert (walks.hooks(), walks.connection(shop).reconcile_at) == (before, None)
    hook_of(walks, "order.updated").status = "active"
    assert states(check(walks.stores, shop, NOW + 2 * HOUR))["order.updated"] == "active"
    assert walks.connection(shop).reconcile_at == NOW + 2 * HOUR


def test_a_webhook_that_somebody_deleted_is_made(walks: Walks, shop: int) -> None:
    gone = hook_of(walks, "order.created")
    del walks.store.hooks.all[gone.id]
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["topics"]["order.created"]["why"] == "It was not there; it was made."
    assert (sound(walks, shop), walks.connection(shop).reconcile_at) == (True, NOW + HOUR)


@pytest.mark.parametrize("status", ["active", "paused", "disabled"])
def test_webhooks_of_others_are_never_touched(walks: Walks, shop: int, status: str) -> None:
    ours = hook_of(walks, "order.updated").delivery_url
    for url in ("https://other.example/hook", f"{ours}?twin=1", f"{ours}/", ours.upper()):
        walks.store.add_webhook("order.updated", url, "secret", name="Tillwire: order.updated").status = status
    before = walks.hooks()
    check(walks.stores, shop, NOW + HOUR)
    disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    assert len(before) == 8
    assert walks.hooks() == [
        each for each in before if each[2].startswith("https://other") or each[2] not in _ours(walks)
    ]
    assert walks.store.sentences() == []


def _ours(walks: Walks) -> set[str]:
    return {walks.url(each) for each in walks.rows(Endpoint)}


@pytest.mark.parametrize("status", ["active", "paused", "disabled"])
def test_twins_of_ours_are_deleted(walks: Walks, shop: int, status: str) -> None:
    first = hook_of(walks, "order.updated")
    walks.store.add_webhook("order.updated", first.delivery_url, first.secret).foreign = False
    walks.store.webhooks()[-1].status = status
    check(walks.stores, shop, NOW + HOUR)
    assert hook_of(walks, "order.updated").id == first.id
    assert sound(walks, shop)


def test_a_webhook_with_an_empty_topic_is_made_anew(walks: Walks, shop: int) -> None:
    hook_of(walks, "order.updated").topic = ""
    check(walks.stores, shop, NOW + HOUR)
    assert sound(walks, shop)


# --- another address of ours ------------------------------------------------------------------------------------------


@pytest.fixture
def moved(walks: Walks) -> Stores:
    """This server under another name."""
    return replace(walks.stores, public_url=walks.config.public_url.replace("127.0.0.1", "localhost"))


def test_webhooks_at_an_old_address_of_ours_are_made_anew_at_the_new_one(
    walks: Walks, shop: int, moved: Stores
) -> None:
    old = {each[2] for each in walks.hooks()}
    foreign = walks.store.add_webhook("order.updated", f"{walks.config.public_url}/webhooks/woocommerce/x", "secret")
    report = check(moved, shop, NOW + HOUR)
    hooks = {each[2] for each in walks.hooks()} - {foreign.delivery_url}
    assert hooks == {f"{moved.public_url}/webhooks/woocommerce/{each.token}" for each in walks.living(shop).values()}
    assert (len(hooks), hooks & old, states(report)) == (
        4,
        set(),
        {**dict.fromkeys(TOPICS, "active"), "cart.updated": "not offered"},
    )
    assert walks.connection(shop).reconcile_at == NOW + HOUR


def test_a_webhook_that_is_paused_at_an_old_address_stays_until_it_is_set_active(
    walks: Walks, shop: int, moved: Stores
) -> None:
    paused = hook_of(walks, "order.updated")
    walks.store.pause(paused.id)
    assert states(check(moved, shop, NOW + HOUR))["order.updated"] == "paused"
    assert hook_of(walks, "order.updated").id == paused.id
    paused.status = "active"
    assert states(check(moved, shop, NOW + 2 * HOUR))["order.updated"] == "active"
    assert hook_of(walks, "order.updated").delivery_url.startswith(moved.public_url)


def test_a_webhook_that_somebody_entered_under_another_name_of_ours_is_left(
    walks: Walks, shop: int, moved: Stores
) -> None:
    with walks.db.write() as session:
        path, secret = configure.add_endpoint(session, walks.vault, walks.shop(shop), "action.woocommerce_refund", None)
    walks.store.add_webhook("action.woocommerce_refund", f"https://old.example{path}", secret)
    check(moved, shop, NOW + HOUR)
    assert [hook.topic for hook in walks.store.webhooks()].count("action.woocommerce_refund") == 1


@pytest.mark.parametrize("address", ["http://localhost:1", ""])
def test_a_disconnect_deletes_webhooks_at_an_old_address_too(walks: Walks, shop: int, address: str) -> None:
    told = disconnect(replace(walks.stores, public_url=address), shop, "account:1", NOW + HOUR)
    assert (walks.hooks(), "Its webhooks to Tillwire are deleted." in told.text) == ([], True)


def test_a_plugin_is_given_a_key_for_our_new_address(walks: Walks, shop: int, moved: Stores) -> None:
    walks.store.plugin = True
    before = check(walks.stores, shop, NOW + HOUR)["link_key"]
    after = check(moved, shop, NOW + 2 * HOUR)["link_key"]
    assert (walks.store.link.key["kid"], walks.store.link.key["aud"]) == (after, moved.public_url)
    assert before != after


def test_a_host_that_lets_nobody_delete_keeps_nothing_else_from_being_mended(walks: Walks, shop: int) -> None:
    hook_of(walks, "order.updated").status = "disabled"
    walks.store.set_faults([{"path": "/wc/v3/webhooks/", "kind": "403", "status": 403, "body": "<html>"}])
    report = check(walks.stores, shop, NOW + HOUR)
    assert (states(report)["order.updated"], walks.connection(shop).state) == ("active", "connected")


def test_more_than_a_page_of_webhooks_is_read(walks: Walks, shop: int) -> None:
    for number in range(120):
        walks.store.add_webhook("order.updated", f"https://other.example/{number}", "secret")
    hook_of(walks, "order.updated").status = "disabled"
    check(walks.stores, shop, NOW + HOUR)
    assert (sound(walks, shop), len(walks.store.webhooks())) == (True, 124)


# --- a process that dies ----------------------------------------------------------------------------------------------


class Died(BaseException):
    """As by a kill: nothing of ours gets to run."""


def test_a_crash_between_making_and_remembering_leaves_no_twin(
    walks: Walks, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_of(walks, "order.updated").status = "disabled"
    with monkeypatch.context() as patch:
        patch.setattr(woocommerce_hooks, "_remember", _die)
        with pytest.raises(Died):
            check(walks.stores, shop, NOW + HOUR)
    made = hook_of(walks, "order.updated")
    assert check(walks.stores, shop, NOW + HOUR + LEASE / 2)["at"] == NOW.isoformat()  # it is still leased
    check(walks.stores, shop, NOW + 2 * HOUR)
    assert (hook_of(walks, "order.updated").id, sound(walks, shop)) == (made.id, True)


def test_a_webhook_that_the_store_refuses_to_make_leaves_no_row(walks: Walks, shop: int) -> None:
    hook_of(walks, "order.updated").status = "disabled"
    refusal = {"code": "rest_invalid_param", "message": "", "data": {"status": 400}}
    fault = {"path": "/wc/v3/webhooks", "contains": "delivery_url", "kind": "400", "status": 400, "body": refusal}
    walks.store.set_faults([fault])
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["topics"]["order.updated"]["state"] == "missing"
    assert len(walks.rows(Endpoint)) == 4
    walks.store.set_faults([])
    assert states(check(walks.stores, shop, NOW + 2 * HOUR))["order.updated"] == "active"
    assert (sound(walks, shop), walks.connection(shop).reconcile_at) == (True, NOW + 2 * HOUR)


def test_without_an_address_of_ours_nothing_is_touched(walks: Walks, shop: int) -> None:
    before, calls = walks.hooks(), len(walks.store.calls())
    check(replace(walks.stores, public_url=""), shop, NOW + HOUR)
    assert (walks.hooks(), len(walks.store.calls()), sound(walks, shop)) == (before, calls, True)


def test_a_shop_that_was_removed_is_asked_nothing(walks: Walks, shop: int) -> None:
    with walks.db.write() as session:
        session.execute(update(Shop).values(removed_at=NOW))
    calls = len(walks.store.calls())
    check(walks.stores, shop, NOW + HOUR)
    assert len(walks.store.calls()) == calls


def test_a_crash_between_keeping_a_secret_and_making_the_webhook_leaves_nothing_behind(
    walks: Walks, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_of(walks, "order.updated").status = "disabled"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "create_webhook", _die)
        with pytest.raises(Died):
            check(walks.stores, shop, NOW + HOUR)
    assert "order.updated" not in [hook.topic for hook in walks.store.webhooks()]
    check(walks.stores, shop, NOW + 2 * HOUR)
    assert sound(walks, shop)


def _die(*_: object, **__: object) -> None:
    raise Died


def test_a_lost_answer_to_making_a_webhook_leaves_no_twin(walks: Walks, shop: int) -> None:
    hook_of(walks, "order.updated").status = "disabled"
    walks.store.set_faults([{"path": "/wc/v3/webhooks", "contains": "delivery_url", "kind": "drop_after"}])
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["unreachable_since"] == (NOW + HOUR).isoformat()
    walks.store.set_faults([])
    report = check(walks.stores, shop, NOW + 2 * HOUR)
    assert ("unreachable_since" in report, sound(walks, shop)) == (False, True)
    assert walks.connection(shop).reconcile_at == NOW + 2 * HOUR


def test_two_rounds_never_work_at_one_store(walks: Walks, shop: int) -> None:
    with walks.db.write() as session:
        session.execute(update(Connection).values(refreshing_until=NOW + HOUR))
    calls = len(walks.store.calls())
    assert check(walks.stores, shop, NOW + HOUR)["at"] == NOW.isoformat()
    assert len(walks.store.calls()) == calls


def test_a_round_that_a_disconnect_overtook_leaves_nothing_in_the_store(
    walks: Walks, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_of(walks, "order.updated").status = "disabled"
    real = Store.create_webhook

    def overtaken(self: Store, **wanted: str) -> Any:
        made = real(self, **wanted)
        disconnect(walks.stores, shop, "account:1", NOW + HOUR)
        return made

    monkeypatch.setattr(Store, "create_webhook", overtaken)
    check(walks.stores, shop, NOW + HOUR)
    assert (walks.hooks(), walks.connection(shop).state) == ([], "ended")


# --- keys that work no more -------------------------------------------------------------------------------------------


def test_an_owner_who_was_demoted_needs_attention_until_it_is_mended(walks: Walks, shop: int) -> None:
    walks.store.demote()
    check(walks.stores, shop, NOW + HOUR)
    connection = walks.connection(shop)
    assert (connection.state, connection.trouble, connection.check_at) == (
        "attention",
        "The store does not show its orders to this key: the key was revoked, or the user who approved it may no"
        f" longer manage WooCommerce. {SAFE} Mend it there, or connect the store again.",
        NOW + 2 * HOUR,
    )
    assert states(connection.report or {}) == {**dict.fromkeys(TOPICS, "active"), "cart.updated": "not offered"}
    entry = walks.rows(AuditEntry)[-1]
    assert (entry.actor, entry.action, entry.after) == ("woocommerce", "lose keys", {"status": 403})
    walks.store.promote()
    check(walks.stores, shop, NOW + 2 * HOUR)
    mended = walks.connection(shop)
    assert (mended.state, mended.trouble, mended.reconcile_at) == ("connected", None, NOW + 2 * HOUR)
    assert "why" not in (mended.report or {})


def test_a_revoked_key_needs_attention(walks: Walks, shop: int) -> None:
    walks.store.revoke(walks.keys()[0].id)
    check(walks.stores, shop, NOW + HOUR)
    assert walks.connection(shop).state == "attention"


def test_a_store_that_was_connected_anew_gets_webhooks_of_its_new_owner(walks: Walks, shop: int) -> None:
    walks.store.demote()
    check(walks.stores, shop, NOW + HOUR)
    key = walks.store.make_key("manager")
    again = by_hand(walks.stores, walks.account, walks.store.url, key.consumer_key, key.consumer_secret, NOW + HOUR)
    assert (again, walks.connection(shop).state, walks.connection(shop).generation) == (shop, "connected", 2)
    assert sound(walks, shop)
    assert {hook.login for hook in walks.store.webhooks()} == {"manager"}


def test_webhooks_that_complain_while_the_keys_work_are_made_anew(walks: Walks, shop: int) -> None:
    for hook in walks.store.webhooks():
        hook.login = "shopper"
    with walks.db.write() as session:
        session.execute(update(Shop).values(trouble="the store sent an error instead of content"))
    check(walks.stores, shop, NOW + HOUR)
    assert {hook.login for hook in walks.store.webhooks()} == {"admin"}
    assert (walks.shop(shop).trouble, walks.connection(shop).reconcile_at) == (None, NOW + HOUR)
    assert sound(walks, shop)


def test_a_store_that_does_not_answer_is_shown_and_needs_nobody(walks: Walks, shop: int) -> None:
    walks.store.maintenance = True
    check(walks.stores, shop, NOW + HOUR)
    report = check(walks.stores, shop, NOW + 2 * HOUR)
    assert report["unreachable_since"] == (NOW + HOUR).isoformat()
    assert report["why"] == (
        f"Your store answered with an error of its own. Try again in a few minutes; if it stays, ask your host. {SAFE}"
    )
    connection = walks.connection(shop)
    assert (connection.state, connection.trouble) == ("connected", None)
    assert connection.check_at == NOW + 2 * HOUR + timedelta(minutes=5)
    walks.store.maintenance = False
    assert "why" not in check(walks.stores, shop, NOW + 3 * HOUR)
    assert walks.connection(shop).reconcile_at == NOW + 3 * HOUR


def test_a_firewall_that_answers_for_the_store_needs_attention(walks: Walks, shop: int) -> None:
    walks.store.firewall = 200
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["why"].startswith("Something in front of your store answered in place of WooCommerce")
    assert walks.connection(shop).state == "attention"


def test_a_store_that_moved_says_where_to_look(walks: Walks, shop: int) -> None:
    walks.store.set_faults([{"path": "/wp-json", "kind": "301", "status": 301, "body": "moved"}])
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["why"].startswith("Your store sends visitors on to another address.")
    assert walks.connection(shop).state == "attention"


# --- the plugin -------------------------------------------------------------------------------------------------------


def test_a_store_with_our_plugin_tells_carts_and_gets_a_key_once(walks: Walks, shop: int) -> None:
    walks.store.plugin = True
    report = check(walks.stores, shop, NOW + HOUR)
    assert states(report) == dict.fromkeys([*TOPICS, "cart.updated"], "active")
    key = walks.rows(LinkKey)[0]
    secret = walks.vault.open(key.secret)["secret"]
    assert walks.store.link.key == {"kid": key.name, "secret": secret, "aud": walks.config.public_url}
    assert report["link_key"] == key.name
    assert check(walks.stores, shop, NOW + 2 * HOUR)["link_key"] == key.name
    assert len(walks.rows(LinkKey)) == 1


def test_a_plugin_that_knows_no_carts_is_noted_and_leaves_no_row(
    walks: Walks, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.woocommerce_check._has_plugin", lambda _: True)
    report = check(walks.stores, shop, NOW + HOUR)
    assert report["topics"]["cart.updated"] == {
        "state": "not offered",
        "why": "The store does not know this topic; its Tillwire plugin may be too old.",
        "last_event_at": None,
    }
    assert (len(walks.rows(Endpoint)), walks.connection(shop).state) == (4, "connected")


def test_the_last_arrival_stands_beside_its_topic(walks: Walks, shop: int) -> None:
    walks.store.place_order()
    walks.store.run_cron()
    at = {each.topic: each.received_at.isoformat() for each in walks.rows(Webhook)}
    report = check(walks.stores, shop, NOW + HOUR)
    assert {topic: each["last_event_at"] for topic, each in report["topics"].items() if each["last_event_at"]} == at
    assert sorted(at) == ["order.created", "order.updated"]


# --- letting go -------------------------------------------------------------------------------------------------------


def test_a_disconnect_deletes_our_webhooks_and_drops_the_keys(walks: Walks, shop: int) -> None:
    told = disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    assert (told.text, told.page) == (
        f"The store is disconnected. Its webhooks to Tillwire are deleted. {REVOKE}",
        f"{walks.store.url}/wp-admin/admin.php?page=wc-settings&tab=advanced&section=keys",
    )
    connection = walks.connection(shop)
    assert (connection.state, connection.secrets, connection.auth, connection.ended_at) == (
        "ended",
        None,
        None,
        NOW + HOUR,
    )
    assert (connection.check_at, connection.reconcile_at, walks.hooks(), walks.living(shop)) == (None, None, [], {})
    entry = walks.rows(AuditEntry)[-1]
    assert (entry.actor, entry.action, entry.before, entry.after) == (
        "account:1",
        "disconnect store",
        {"state": "connected"},
        {"state": "ended", "keys": "not set"},
    )
    assert walks.store.sentences() == []


def test_a_disconnected_store_is_asked_nothing_more(walks: Walks, shop: int) -> None:
    disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    calls = len(walks.store.calls())
    check(walks.stores, shop, NOW + 2 * HOUR)
    assert disconnect(walks.stores, shop, "account:1", NOW + HOUR).text.startswith("The store is disconnected.")
    assert len(walks.store.calls()) == calls
    with pytest.raises(Failed, match="the store is not connected"):
        open_store(walks.vault, walks.connection(shop), walks.shop(shop), allow_private=True)


def test_a_store_that_cannot_be_reached_is_disconnected_all_the_same(walks: Walks, shop: int) -> None:
    walks.store.maintenance = True
    told = disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    assert told.text == (
        "The store is disconnected. Your store did not let Tillwire delete its webhooks. Delete those whose name begins"
        f" with Tillwire under WooCommerce > Settings > Advanced > Webhooks. {REVOKE}"
    )
    connection = walks.connection(shop)
    assert (connection.state, connection.secrets, len(walks.hooks())) == ("ended", None, 4)
    assert connection.trouble == told.text.removeprefix("The store is disconnected. ")


def test_a_store_that_was_left_can_be_connected_again(walks: Walks, shop: int) -> None:
    walks.store.maintenance = True
    disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    walks.store.maintenance = False
    assert walks.connect(now=NOW + timedelta(minutes=5)) == shop
    connection = walks.connection(shop)
    assert (connection.state, connection.generation, connection.ended_at, connection.trouble) == (
        "connected",
        2,
        None,
        None,
    )
    assert sound(walks, shop)  # what the disconnect had left is gone too


def test_a_disconnect_whose_process_died_is_finished(walks: Walks, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("app.services.woocommerce_disconnect._leave", _die)
        with pytest.raises(Died):
            disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    assert (walks.connection(shop).state, len(walks.hooks())) == ("ended", 4)
    assert end_due(walks.stores, NOW + HOUR) == 0
    assert end_due(walks.stores, NOW + HOUR + 2 * LEASE) == 1
    assert (walks.connection(shop).secrets, walks.hooks()) == (None, [])
    assert end_due(walks.stores, NOW + 2 * HOUR) == 0


def test_keys_that_nothing_opens_do_not_keep_a_store_from_leaving(walks: Walks, shop: int) -> None:
    with walks.db.write() as session:
        session.execute(update(Connection).values(secrets="sealed with a key that is gone"))
    told = disconnect(walks.stores, shop, "account:1", NOW + HOUR)
    assert "Your store did not let Tillwire delete its webhooks." in told.text
    assert (walks.connection(shop).state, walks.connection(shop).secrets) == ("ended", None)


def test_keys_that_nothing_opens_are_told_by_the_check(walks: Walks, shop: int) -> None:
    with walks.db.write() as session:
        session.execute(update(Connection).values(secrets="sealed with a key that is gone"))
    with pytest.raises(Failed, match="opens with none of ENCRYPTION_KEYS"):
        check(walks.stores, shop, NOW + HOUR)


def test_only_a_connected_woocommerce_store_can_be_disconnected(walks: Walks) -> None:
    with pytest.raises(NotFound):
        disconnect(walks.stores, 99, "account:1", NOW)


def test_a_store_may_not_be_reached_once_its_name_leads_into_a_private_network(walks: Walks, shop: int) -> None:
    calls = len(walks.store.calls())
    strict = replace(walks.stores, allow_private=False)
    with walks.db.write() as session:
        session.execute(update(Shop).values(url="https://localhost"))
    report = check(strict, shop, NOW + HOUR)
    assert report["why"].startswith("Tillwire could not reach your store from the internet.")
    assert len(walks.store.calls()) == calls
