"""What a merchant sees of the providers, and what changes there leave behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app.models import AuditEntry, Delivery, Destination, Mode, Shop
from app.providers.registry import PROVIDERS
from app.services import configure, own_mappings, provider_changes, provider_page
from app.services.provider_changes import Stale
from app.services.provider_page import Card, Finding
from app.services.route import Router
from app.services.secrets import Vault
from app.services.setting_values import WrongSettings
from tests.bodies import woocommerce_order
from tests.rig import Rig

ANNA = "account:1"


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def now() -> datetime:
    return datetime.now(UTC)


def card(rig: Rig, shop: int, name: str, at: datetime | None = None) -> Card:
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        (found,) = (
            each
            for each in provider_page.cards(session, rig.parts.vault, row, at or now())
            if each.provider.name == name
        )
        assert provider_page.card(session, rig.parts.vault, row, PROVIDERS[name], at or now()) == found
        return found


def ready(rig: Rig, shop: int, name: str, router: Router | None = None) -> provider_page.Ready:
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        router = router or rig.parts.router
        return provider_page.ready(session, rig.parts.vault, router, row, PROVIDERS[name], now())


def seen(rig: Rig, shop: int, name: str) -> str:
    with rig.db.read() as session:
        return provider_page.version(
            session.scalar(select(Destination).where(Destination.shop_id == shop, Destination.provider == name))
        )


def save(rig: Rig, shop: int, name: str, given: dict[str, str], version: str | None = None) -> None:
    version = seen(rig, shop, name) if version is None else version
    with rig.db.write() as session:
        row = session.get_one(Shop, shop)
        provider_changes.save(
            session, rig.parts.vault, rig.parts.router, row, PROVIDERS[name], given, seen=version, actor=ANNA
        )


def switch(rig: Rig, shop: int, name: str, mode: Mode, *, version: str | None = None, days: int = 0) -> int:
    version = seen(rig, shop, name) if version is None else version
    with rig.db.write() as session:
        row = session.get_one(Shop, shop)
        return provider_changes.switch(
            session,
            rig.parts.vault,
            rig.parts.router,
            row,
            PROVIDERS[name],
            mode,
            seen=version,
            actor=ANNA,
            collected_days=days,
        )


def note_test(rig: Rig, shop: int, name: str, result: str) -> int:
    with rig.db.write() as session:
        row = session.get_one(Shop, shop)
        return provider_changes.tested(session, row, PROVIDERS[name], result, actor=ANNA)


def trail(rig: Rig) -> list[tuple[str, str, Any, Any]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.before, row.after) for row in rows]


# cards


def test_a_provider_that_nobody_set_up_says_what_it_needs(rig: Rig, shop: int) -> None:
    assert card(rig, shop, "gameball") == Card(provider=PROVIDERS["gameball"], lacking=("api_key", "secret_key"))


def test_every_provider_has_its_card_in_the_registrys_order(rig: Rig, shop: int) -> None:
    with rig.db.read() as session:
        found = provider_page.cards(session, rig.parts.vault, session.get_one(Shop, shop), now())
    assert [each.provider.name for each in found] == list(PROVIDERS)


def test_a_card_counts_what_waits_and_what_came_of_the_rest(rig: Rig, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    rig.set(shop, "sprii", mode="live", api_key="k")
    rig.set(shop, "esputnik", mode="shadow", api_key="k")
    for number in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number, customer_id=5))
    rig.woocommerce(shop, "order.updated", woocommerce_order(3, customer_id=5, sprii=None))
    rig.work()
    told = {name: card(rig, shop, name) for name in ("gameball", "sprii", "esputnik", "seeka")}
    assert told["gameball"] == Card(
        provider=PROVIDERS["gameball"],
        set_up=True,
        mode="live",
        held="Gameball answered 401, code 1000: the API key is wrong",
        waiting=3,
        counts={"held": 3},
    )
    assert told["sprii"] == Card(
        provider=PROVIDERS["sprii"], set_up=True, mode="live", counts={"delivered": 2, "skipped": 1}
    )
    assert (told["esputnik"].mode, told["esputnik"].counts.get("shadow")) == ("shadow", 3)
    assert not told["seeka"].set_up


def test_another_shops_deliveries_are_not_counted(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "sprii")
    rig.woocommerce(other, "order.updated", woocommerce_order(1))
    rig.work()
    assert card(rig, shop, "sprii") == Card(provider=PROVIDERS["sprii"], lacking=("api_key",))
    assert card(rig, other, "sprii").counts == {"delivered": 1}


def test_counts_reach_thirty_days_back_and_what_waits_is_counted_however_old(rig: Rig, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    for days, counts in ((29, {"held": 1}), (31, {})):
        with rig.db.write() as session:
            session.execute(update(Delivery).values(created_at=now() - timedelta(days=days)))
        found = card(rig, shop, "gameball")
        assert (found.waiting, found.counts) == (1, counts)


def test_no_more_than_the_newest_are_counted(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.switch_on(shop, "sprii", "gameball")
    for number in (1, 2, 3):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number, customer_id=5))
    rig.work()
    monkeypatch.setattr(provider_page, "NEWEST", 4)
    told = [sum(card(rig, shop, name).counts.values()) for name in ("sprii", "gameball")]
    assert sum(told) == 4


def test_credentials_that_no_key_opens_are_told_and_break_no_page(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    vault = Vault(MultiFernet([Fernet(Fernet.generate_key())]))
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        provider = PROVIDERS["sprii"]
        destination = configure.find_destination(session, row, provider)
        told = provider_page.card(session, vault, row, provider, now())
        found = provider_page.ready(session, vault, Router(vault), row, provider, now())
        assert provider_page.shown(vault, provider, destination).secrets == {"api_key": None}
    assert told == Card(provider=provider, set_up=True, mode="live", locked=True)
    assert found.broken == (
        "a stored secret opens with none of ENCRYPTION_KEYS: put the key back that it was made with"
    )


# settings as shown


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (None, None),
        ("", None),
        ("short", ""),
        ("elevenchars", ""),
        ("twelve-chars", "hars"),
        ("k" * 40 + "wxyz", "wxyz"),
    ],
)
def test_of_a_secret_no_more_than_its_end_is_shown_and_nothing_of_a_short_one(
    secret: str | None, shown: str | None
) -> None:
    assert provider_page.tail(secret) == shown


def test_a_form_shows_options_as_text_and_secrets_by_their_end(rig: Rig, shop: int) -> None:
    rig.set(shop, "gameball", api_key="live-key-000-1234", send_guests="no", return_window_days="14")
    with rig.db.read() as session:
        row = session.scalars(select(Destination)).one()
        shown = provider_page.shown(rig.parts.vault, PROVIDERS["gameball"], row)
    assert shown.version == row.updated_at.isoformat()
    assert shown.secrets == {"api_key": "1234", "secret_key": None}
    assert {name: shown.texts[name] for name in ("send_guests", "return_window_days", "order_trigger", "channel")} == {
        **{"send_guests": "false", "return_window_days": "14", "order_trigger": "order.paid", "channel": ""},
    }
    assert "live-key" not in repr(shown)


def test_without_a_destination_a_form_shows_the_defaults(rig: Rig) -> None:
    shown = provider_page.shown(rig.parts.vault, PROVIDERS["sprii"], None)
    assert shown == provider_page.Shown(
        version="",
        texts={
            **{"order_trigger": "order.paid", "trigger_status": "", "item_id": "variant_id"},
            **{"unit_price": "unit_gross", "send_test_orders": "false"},
        },
        secrets={"api_key": None},
    )


# changes


def test_saved_settings_are_audited_with_masked_secrets_and_only_what_changed(rig: Rig, shop: int) -> None:
    save(rig, shop, "gameball", {"api_key": "hush-hush-hush", "send_guests": "no"})
    save(rig, shop, "gameball", {"api_key": "", "send_guests": ""})
    assert trail(rig) == [
        (
            ANNA,
            "set provider",
            {"provider": "gameball", "settings": {"api_key": "not set", "send_guests": True}},
            {"provider": "gameball", "settings": {"api_key": "set", "send_guests": False}},
        ),
        (
            ANNA,
            "set provider",
            {"provider": "gameball", "settings": {"api_key": "set", "send_guests": False}},
            {"provider": "gameball", "settings": {"api_key": "not set", "send_guests": True}},
        ),
    ]


def test_a_secret_in_place_of_another_is_told_without_a_word_of_either(rig: Rig, shop: int) -> None:
    save(rig, shop, "gameball", {"api_key": "hush-hush-hush"})
    save(rig, shop, "gameball", {"api_key": "another-key-0001", "secret_key": "first"})
    save(rig, shop, "gameball", {"api_key": "another-key-0001"})
    assert [(before["settings"], after["settings"]) for _actor, _action, before, after in trail(rig)] == [
        ({"api_key": "not set"}, {"api_key": "set"}),
        ({"api_key": "set", "secret_key": "not set"}, {"api_key": "set anew", "secret_key": "set"}),
        ({"api_key": "set"}, {"api_key": "set"}),
    ]


def test_saving_over_what_somebody_else_saved_is_stale_and_changes_nothing(rig: Rig, shop: int) -> None:
    save(rig, shop, "gameball", {"api_key": "first-key-00001"})
    version = seen(rig, shop, "gameball")
    save(rig, shop, "gameball", {"channel": "pos"})
    for given in (version, "", "nonsense"):
        with pytest.raises(Stale):
            save(rig, shop, "gameball", {"channel": "web"}, given)
        with pytest.raises(Stale):
            switch(rig, shop, "gameball", Mode.OFF, version=given)
    with rig.db.read() as session:
        assert session.scalars(select(Destination)).one().options == {"channel": "pos"}
    assert len(trail(rig)) == 2


def test_a_first_save_that_comes_second_is_stale(rig: Rig, shop: int) -> None:
    save(rig, shop, "sprii", {"api_key": "one"}, "")
    with pytest.raises(Stale):
        save(rig, shop, "sprii", {"api_key": "two"}, "")


def test_a_mode_that_lacks_settings_is_refused_by_field_and_leaves_nothing(rig: Rig, shop: int) -> None:
    with pytest.raises(WrongSettings) as told:
        switch(rig, shop, "spotler", Mode.LIVE)
    assert told.value.fields == {
        "account_id": "Spotler Activate cannot be switched on without it.",
        "api_key": "Spotler Activate cannot be switched on without it.",
    }
    assert (seen(rig, shop, "spotler"), trail(rig)) == ("", [])


def test_going_live_leaves_what_shadow_mode_collected_unless_it_is_asked_for(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii", mode=Mode.SHADOW)
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    assert switch(rig, shop, "sprii", Mode.LIVE) == 0
    rig.work()
    assert (rig.states(), rig.received("sprii")) == ([("process_orders", "shadow", "built and checked, not sent")], [])
    assert trail(rig)[-1] == (
        *(ANNA, "switch provider", {"provider": "sprii", "mode": "shadow"}),
        {"provider": "sprii", "mode": "live"},
    )


def test_going_live_sends_what_shadow_mode_collected_in_so_many_days_once(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(shop, "sprii", "seeka", mode=Mode.SHADOW)
    rig.switch_on(other, "sprii", mode=Mode.SHADOW)
    for number in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number))
    rig.woocommerce(other, "order.updated", woocommerce_order(3))
    rig.work()
    with rig.db.write() as session:
        old = now() - timedelta(days=7, minutes=1)
        session.execute(update(Delivery).where(Delivery.subject == "1").values(created_at=old))
    assert ready(rig, shop, "sprii").collected == {1: 1, 30: 2}
    assert switch(rig, shop, "sprii", Mode.LIVE, days=7) == 1
    rig.work()
    assert [each["body"]["orders"][0]["id"] for each in rig.simulators.app.requests("sprii")] == ["2"]
    assert trail(rig)[-1][3] == {"provider": "sprii", "mode": "live", "collected": 1}
    assert rig.received("seeka") == []


def test_what_shadow_mode_collected_is_counted_beside_any_number_of_others(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.switch_on(shop, "sprii", mode=Mode.SHADOW)
    rig.switch_on(shop, "gameball")
    for number in (1, 2, 3):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number, customer_id=5))
    rig.work()
    with rig.db.write() as session:
        old = now() - timedelta(days=2)
        session.execute(update(Delivery).where(Delivery.subject == "1").values(created_at=old))
    for most, told in ((3, {1: 2, 7: 3}), (2, {1: 2, 7: 3, 30: 3}), (1, {1: 2, 7: 2, 30: 2})):
        monkeypatch.setattr(provider_page, "NEWEST", most)
        assert ready(rig, shop, "sprii").collected == told, most
    assert switch(rig, shop, "sprii", Mode.LIVE, days=7) == 3


def test_days_are_of_no_effect_for_other_modes(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "sprii", mode=Mode.SHADOW)
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    assert switch(rig, shop, "sprii", Mode.OFF, days=30) == 0
    assert [state for _, state, _ in rig.states()] == ["shadow"]


# tests of the connection


def test_after_an_accepted_test_what_was_held_goes_on(rig: Rig, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    assert [note_test(rig, shop, "gameball", result) for result in ("refused", "unknown")] == [0, 0]
    assert card(rig, shop, "gameball").waiting == 1
    assert note_test(rig, shop, "gameball", "accepted") == 1
    assert [state for _, state, _ in rig.states()] == ["pending"]
    assert trail(rig)[-1] == (
        *(ANNA, "test provider", None, {"provider": "gameball", "result": "accepted", "released": 1}),
    )


def test_a_test_lets_nothing_go_that_is_switched_off(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.account()
    switch(rig, shop, "gameball", Mode.OFF)
    assert note_test(rig, shop, "gameball", "accepted") == 0
    assert rig.states() == [("order", "held", "the destination is off")]


def test_the_last_test_counts_until_the_settings_change(rig: Rig, shop: int) -> None:
    def last() -> tuple[str, bool] | None:
        with rig.db.read() as session:
            found = provider_page.last_test(session, session.get_one(Shop, shop), PROVIDERS["sprii"])
        return (found.result, found.stale) if found else None

    assert last() is None
    save(rig, shop, "sprii", {"api_key": "k"})
    note_test(rig, shop, "sprii", "refused")
    note_test(rig, shop, "seeka", "accepted")
    assert last() == ("refused", False)
    note_test(rig, shop, "sprii", "accepted")
    switch(rig, shop, "sprii", Mode.SHADOW)
    assert last() == ("accepted", False)
    save(rig, shop, "sprii", {"item_id": "sku"})
    assert last() == ("accepted", True)


# before going live


def test_the_list_before_going_live_looks_at_the_last_real_orders(rig: Rig, shop: int) -> None:
    rig.set(shop, "spotler", api_key="k" * 20, account_id="a", item_id="sku")
    rig.set(shop, "sprii", api_key="k" * 20)
    for number in (1, 2):
        order = woocommerce_order(number, sprii=None if number == 1 else "5934-14")
        order["line_items"][0]["sku"] = ""
        rig.woocommerce(shop, "order.updated", order)
    rig.account()
    spotler, sprii = ready(rig, shop, "spotler"), ready(rig, shop, "sprii")
    no_sku = "A product without SKU was named by its id; Activate matches products by SKU."
    assert spotler == provider_page.Ready(
        card=card(rig, shop, "spotler"),
        version=seen(rig, shop, "spotler"),
        test=None,
        events=2,
        payloads=2,
        complaints=(Finding(text=no_sku, orders=("1", "2"), number=2),),
    )
    not_live = "The order carries no Sprii number, so it was not bought in a live show."
    assert (sprii.events, sprii.payloads, sprii.complaints, sprii.failures) == (2, 1, (), ())
    assert sprii.skips == (Finding(text=not_live, orders=("1",), number=1),)
    assert rig.deliveries() == []


def test_what_no_payload_can_be_made_of_is_told_before_it_would_wait(rig: Rig, shop: int) -> None:
    rig.set(shop, "sprii", api_key="k" * 20)
    rig.map(shop, "sprii", '[[rules]]\nname = "order"\n[rules.fields.items]\noff = true\n')
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.account()
    found = ready(rig, shop, "sprii")
    assert (found.payloads, [each.orders for each in found.failures]) == (0, [("1",)])
    assert "the payload lacks items, which Sprii needs" in found.failures[0].text


def test_a_mapping_that_cannot_be_used_is_told_and_breaks_no_page(rig: Rig, shop: int) -> None:
    rig.set(shop, "sprii", api_key="k" * 20)
    with rig.db.write() as session:
        own_mappings.keep(session, session.get_one(Shop, shop), PROVIDERS["sprii"], "rules = 5", after=0)
    assert "your mapping" in str(ready(rig, shop, "sprii").broken)


def test_without_a_destination_the_list_says_what_is_missing(rig: Rig, shop: int) -> None:
    found = ready(rig, shop, "sprii")
    assert found == provider_page.Ready(card=card(rig, shop, "sprii"), version="", test=None)


# on a server with many writers


def test_of_two_who_save_at_the_same_moment_one_is_told_so(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = rig.shop("woocommerce")
        for version in ("", None):  # the first settings, and a change of them
            seen_by_both = seen(rig, shop, "sprii") if version is None else version
            together = Barrier(2)
            with ThreadPoolExecutor(2) as pool:
                tries = [pool.submit(_save_together, rig, shop, key, seen_by_both, together) for key in ("one", "two")]
                told = sorted(each.result() for each in tries)
            assert told in (["IntegrityError", "saved"], ["Stale", "saved"]), told
        assert [action for _, action, _, _ in trail(rig)] == ["set provider"] * 2
        assert (card(rig, shop, "sprii").mode, ready(rig, shop, "sprii").collected) == ("off", {})


def _save_together(rig: Rig, shop: int, key: str, version: str, together: Barrier) -> str:
    try:
        with rig.db.write() as session:
            row = session.get_one(Shop, shop)
            together.wait(10)
            parts = rig.parts
            provider_changes.save(
                *(session, parts.vault, parts.router, row, PROVIDERS["sprii"]),
                *({"api_key": key},),
                seen=version,
                actor=ANNA,
            )
    except (Stale, IntegrityError) as error:
        return type(error).__name__
    return "saved"
