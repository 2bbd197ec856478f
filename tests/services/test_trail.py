"""What was changed and by whom, a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime

from app.services import accounts, audit, trail
from app.services.trail import Change
from tests.rig import Rig


def add(rig: Rig, shop: int, actor: str = "operator", action: str = "do", **more: dict[str, object]) -> None:
    with rig.db.write() as session:
        audit.record(session, shop_id=shop, actor=actor, action=action, **more)


def read(rig: Rig, shop: int, before: int | None = None) -> tuple[list[trail.Entry], int | None]:
    with rig.db.read() as session:
        return trail.read(session, shop, before=before)


def test_the_newest_stands_first_and_the_pages_meet_without_gap_or_repeat(rig: Rig) -> None:
    shop, other = rig.shop("woocommerce"), rig.shop("woocommerce", "https://other.example")
    for number in range(103):
        add(rig, other)
        add(rig, shop, action=f"do {number}")
    seen, sizes, before = [], [], None
    while True:
        entries, before = read(rig, shop, before)
        seen += [entry.action for entry in entries]
        sizes.append(len(entries))
        if before is None:
            break
    assert seen == [f"do {number}" for number in range(102, -1, -1)]
    assert sizes == [50, 50, 3]


def test_a_page_that_is_just_full_is_the_last(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    for _ in range(50):
        add(rig, shop)
    entries, more = read(rig, shop)
    assert (len(entries), more) == (50, None)


def test_only_what_differs_is_shown(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    add(rig, shop, before={"a": 1, "same": True, "gone": "x"}, after={"a": 2, "same": True, "new": ["y"]})
    add(rig, shop, before={"a": 1})
    add(rig, shop)
    nothing, gone, both = (entry.changes for entry in read(rig, shop)[0])
    assert (nothing, gone) == ((), (Change("a", 1, None),))
    assert both == (Change("a", 1, 2), Change("gone", "x", None), Change("new", None, ["y"]))


def test_an_entry_says_which_provider_it_is_about_once(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    named = {"provider": "gameball"}
    add(rig, shop, action="switch provider", before={**named, "mode": "off"}, after={**named, "mode": "live"})
    add(rig, shop, action="test provider", after={**named, "result": "accepted"})
    add(rig, shop, action="change mapping", before={**named, "version": 0}, after={**named, "version": 1})
    add(rig, shop, before={"provider": "gone"}, after={"provider": "gone"})
    assert [(entry.action, entry.provider, entry.changes) for entry in read(rig, shop)[0]] == [
        ("do", None, ()),
        ("change mapping", "Gameball", (Change("version", 0, 1),)),
        ("test provider", "Gameball", (Change("result", None, "accepted"),)),
        ("switch provider", "Gameball", (Change("mode", "off", "live"),)),
    ]


def test_people_are_named_as_long_as_they_see_the_shop(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    now = datetime.now(UTC)
    with rig.db.write() as session:
        anna = accounts.find_or_add(session, "anna@shop.example", now)
        bert = accounts.find_or_add(session, "bert@shop.example", now)
        accounts.join(session, anna, shop, now)
    for actor in (f"account:{anna}", f"account:{bert}", "operator"):
        add(rig, shop, actor)
    assert [(entry.actor, entry.email) for entry in read(rig, shop)[0]] == [
        ("operator", None),
        (f"account:{bert}", None),
        (f"account:{anna}", "anna@shop.example"),
    ]
