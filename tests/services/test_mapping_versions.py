"""Versions of a mapping: saved once, told apart in words, taken back, and never over somebody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from app.models import AuditEntry, Shop
from app.providers.registry import PROVIDERS
from app.services import mapping_versions, own_mappings
from app.services.errors import NotFound
from app.services.mapping_draft import BadMapping, Change, Draft, edit
from app.services.mapping_versions import Line, Stale, Version
from tests.bodies import woocommerce_order
from tests.rig import Rig

GAMEBALL, SPRII = PROVIDERS["gameball"], PROVIDERS["sprii"]
ANNA, EVE = "account:1", "operator"
NAMED = edit(GAMEBALL, "", "order", "orderId", Change(how="from", paths=("order.name",)))
PRICED = edit(GAMEBALL, NAMED, "order", "lineItems.price", Change(how="leave_out"))
WAS, IS = (
    "The first that is there of: Order → as set under “Orders are known by their”, Order → id, as text",
    "Order → name",
)


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


def save(rig: Rig, shop: int, text: str, seen: int, actor: str = ANNA) -> int | None:
    with rig.db.write() as session:
        draft = Draft(text=text, version=seen)
        return mapping_versions.save(session, session.get_one(Shop, shop), GAMEBALL, draft, actor=actor)


def restore(rig: Rig, shop: int, number: int, seen: int) -> int | None:
    with rig.db.write() as session:
        row = session.get_one(Shop, shop)
        return mapping_versions.restore(session, row, GAMEBALL, number, seen=seen, actor=ANNA)


def versions(rig: Rig, shop: int, before: int | None = None) -> tuple[Version, ...]:
    with rig.db.read() as session:
        return mapping_versions.versions(session, session.get_one(Shop, shop), GAMEBALL, before=before)


def trail(rig: Rig) -> list[tuple[str, str, Any, Any]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.before, row.after) for row in rows]


def test_a_version_says_who_saved_what_and_when(rig: Rig, shop: int) -> None:
    assert [save(rig, shop, NAMED, 0), save(rig, shop, PRICED, 1, EVE)] == [1, 2]
    newest, first = versions(rig, shop)
    assert (newest.number, newest.actor, newest.current, newest.text) == (2, EVE, True, PRICED)
    assert (first.number, first.actor, first.current, first.broken) == (1, ANNA, False, None)
    assert first.at < newest.at
    assert first.lines == (Line(rule="order", title="Report a paid order", path="orderId", before=WAS, after=IS),)
    before = "Each line → price of one, without tax, before discounts, to 6 decimals, as a number"
    assert newest.lines == (
        Line(rule="order", title="Report a paid order", path="lineItems.price", before=before, after=None),
    )
    assert newest.diff == (
        *(" [rules.fields.orderId]", ' from = "order.name"'),
        *("+", "+[rules.fields.lineItems.fields.price]", "+off = true"),
    )
    assert first.diff == ("+[[rules]]", '+name = "order"', "+", "+[rules.fields.orderId]", '+from = "order.name"')


def test_the_trail_tells_each_field_before_and_after(rig: Rig, shop: int) -> None:
    save(rig, shop, NAMED, 0)
    restore(rig, shop, 0, 1)
    assert trail(rig) == [
        (
            *(ANNA, "change mapping"),
            {"provider": "gameball", "version": 0, "order: orderId": WAS},
            {"provider": "gameball", "version": 1, "order: orderId": IS},
        ),
        (
            *(ANNA, "restore mapping"),
            {"provider": "gameball", "version": 1, "order: orderId": IS},
            {"provider": "gameball", "version": 2, "order: orderId": WAS},
        ),
    ]


def test_the_trail_of_a_flood_of_changes_is_short(rig: Rig, shop: int) -> None:
    rules = "".join(f'[[rules]]\nname = "r{n}"\non = "order.paid"\naction = "order"\nskip = "x"\n' for n in range(60))
    save(rig, shop, rules, 0)
    ((_, _, before, after),) = trail(rig)
    assert (len(before), len(after), after["further fields"]) == (53, 53, 10)


def test_what_is_as_it_was_is_not_saved(rig: Rig, shop: int) -> None:
    save(rig, shop, NAMED, 0)
    assert save(rig, shop, NAMED, 1) is None
    assert save(rig, shop, "# nothing but a remark\n" + NAMED, 1) is None
    assert restore(rig, shop, 1, 1) is None
    assert (len(versions(rig, shop)), len(trail(rig))) == (1, 1)


def test_a_mapping_that_only_ever_was_ours_is_not_saved_as_one(rig: Rig, shop: int) -> None:
    assert save(rig, shop, "", 0) is None
    assert versions(rig, shop) == ()


def test_who_was_overtaken_is_told_and_nothing_is_saved(rig: Rig, shop: int) -> None:
    save(rig, shop, NAMED, 0, EVE)
    for attempt in (lambda: save(rig, shop, PRICED, 0), lambda: restore(rig, shop, 0, 0)):
        with pytest.raises(Stale) as caught:
            attempt()
        theirs = caught.value.theirs
        assert theirs
        assert (theirs.number, theirs.actor, theirs.text) == (1, EVE, NAMED)
    assert [each.number for each in versions(rig, shop)] == [1]
    assert len(trail(rig)) == 1


def test_a_form_that_is_older_than_its_store_is_overtaken_by_nobody(rig: Rig, shop: int) -> None:
    for attempt in (lambda: save(rig, shop, PRICED, 7), lambda: restore(rig, shop, 0, 7)):
        with pytest.raises(Stale) as caught:
            attempt()
        assert caught.value.theirs is None
    assert (versions(rig, shop), trail(rig)) == ((), [])


def test_an_earlier_version_comes_back_as_a_new_one(rig: Rig, shop: int) -> None:
    save(rig, shop, NAMED, 0)
    save(rig, shop, PRICED, 1)
    assert restore(rig, shop, 1, 2) == 3
    assert [(each.number, each.text) for each in versions(rig, shop)] == [(3, NAMED), (2, PRICED), (1, NAMED)]
    with pytest.raises(NotFound):
        restore(rig, shop, 9, 3)


def test_a_version_that_our_default_has_left_behind_says_so(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        row = session.get_one(Shop, shop)
        own_mappings.keep(session, row, GAMEBALL, '[[rules]]\nname = "gone"\nfields.x = { value = 1 }\n', after=0)
        own_mappings.keep(session, row, GAMEBALL, "", after=1)
    newest, broken = versions(rig, shop)
    said = "gone: needs on; only a rule that changes one of the default's can do without"
    assert (broken.broken, broken.lines, newest.broken, newest.lines) == (said, (), None, ())
    with pytest.raises(BadMapping):
        restore(rig, shop, 1, 2)
    assert save(rig, shop, NAMED, 2) == 3


def test_who_mends_a_mapping_that_cannot_be_used_is_not_hindered(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        own_mappings.keep(session, session.get_one(Shop, shop), GAMEBALL, "rules = 5", after=0)
    assert save(rig, shop, NAMED, 1) == 2
    assert trail(rig)[-1][3] == {"provider": "gameball", "version": 2}


def test_versions_come_in_pages(rig: Rig, shop: int) -> None:
    for number in range(23):
        save(rig, shop, NAMED if number % 2 == 0 else PRICED, number)
    page = versions(rig, shop)
    assert [each.number for each in page] == list(range(23, 3, -1))
    rest = versions(rig, shop, before=page[-1].number)
    assert [each.number for each in rest] == [3, 2, 1]
    assert [len(each.lines) for each in (*page, *rest)] == [1] * 23


def test_each_shop_and_provider_has_versions_of_its_own(rig: Rig, shop: int) -> None:
    save(rig, shop, NAMED, 0)
    other = rig.shop("woocommerce", "https://other.example")
    assert versions(rig, other) == ()
    with pytest.raises(NotFound):
        restore(rig, other, 1, 0)
    with rig.db.read() as session:
        assert mapping_versions.versions(session, session.get_one(Shop, shop), SPRII) == ()


def test_rules_that_come_go_and_change_are_told_in_words(rig: Rig) -> None:
    def lines(text: str) -> list[tuple[str, str, str | None, str | None]]:
        return [
            (each.rule, each.path, each.before, each.after) for each in mapping_versions.difference(SPRII, "", text)
        ]

    assert lines('[[rules]]\nname = "trashed"\noff = true\n') == [
        (
            *("trashed", ""),
            "order.deleted; The order was moved to the trash in your store; the provider is not told of that.",
            None,
        )
    ]
    assert lines('[[rules]]\nname = "late"\non = "order.fulfilled"\naction = "nothing"\nskip = "late"\n') == [
        ("late", "", None, "order.fulfilled; late"),
    ]
    changed = '[[rules]]\nname = "unsupported"\non = "order.refunded"\nwhen = []\n'
    assert lines(changed) == [
        (
            *("unsupported", ""),
            "order.refunded, order.cancelled; only if Order → Sprii number → value is there; "
            "The provider has no way to be told of this.",
            "order.refunded; The provider has no way to be told of this.",
        )
    ]


def test_what_was_held_by_a_mapping_goes_on_once_it_is_mended(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    save(rig, shop, edit(GAMEBALL, "", "order", "totalPaid", Change(how="leave_out")), 0)
    rig.woocommerce(shop, "order.updated", woocommerce_order(7, customer_id=5))
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["held"]
    assert restore(rig, shop, 0, 1) == 2
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered"]


# on a server with many writers


def test_of_two_who_save_at_the_same_moment_one_is_told_so(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen that nobody was faster when they write."""
    together, write = Barrier(2), own_mappings.keep

    def slow(*given: Any, **more: Any) -> int:
        together.wait(10)
        return write(*given, **more)

    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = rig.shop("woocommerce")
        monkeypatch.setattr(own_mappings, "keep", slow)

        def attempt(text: str) -> str:
            try:
                save(rig, shop, text, 0)
            except Stale:
                return "stale"
            return "saved"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attempt, (NAMED, PRICED))) == ["saved", "stale"]
        assert [each.number for each in versions(rig, shop)] == [1]
        assert len(trail(rig)) == 1
