"""Deliveries in lists: counted, chosen, paged, sent again, and downloaded; each shop's own alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.models import Attempt, AuditEntry, Delivery, Destination, Shop
from app.providers.registry import PROVIDERS
from app.services import configure, delivery_list, download, orders, provider_page, resend
from app.services.delivery_list import Choice, mark
from app.services.delivery_page import delivery_view
from app.services.download import COLUMNS, harmless
from app.services.errors import NotFound, Wrong
from app.services.resend import Resending
from tests.bodies import woocommerce_order
from tests.rig import Rig

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def shop(rig: Rig) -> int:
    """One with five orders for Sprii: delivered, dead, dead for another reason, held, unknown."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    for order_id in (1, 2, 3, 4, 5):
        tell(rig, shop, order_id)
    rig.work()
    put(rig, 2, state="dead", reason="refused")
    put(rig, 3, state="dead", reason="too late")
    put(rig, 4, state="held", reason="mend it")
    put(rig, 5, state="unknown", reason="lost")
    answered(rig, "refused", 2, 3, 4)
    return shop


def tell(rig: Rig, shop: int, order_id: int, **changes: Any) -> None:
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id, **changes)) == "stored"


def put(rig: Rig, delivery_id: int, **values: Any) -> None:
    with rig.db.write() as session:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def answered(rig: Rig, outcome: str, *deliveries: int) -> None:
    with rig.db.write() as session:
        session.execute(update(Attempt).where(Attempt.delivery_id.in_(deliveries)).values(outcome=outcome))


def ids(rig: Rig, shop: int, choice: Choice = Choice(), **more: Any) -> list[int]:  # noqa: B008 - frozen
    with rig.db.read() as session:
        return [row.id for row in delivery_list.page(session, shop, choice, **more).rows]


def again(rig: Rig, shop: int, choice: Choice, *, twice: bool = False, **more: Any) -> Resending:
    with rig.db.write() as session:
        return resend.resend(session, shop, choice, twice=twice, actor="account:1", **more)


def states(rig: Rig) -> list[str]:
    return [each["state"] for each in rig.deliveries()]


def audited(rig: Rig) -> list[tuple[str, str, Any, Any]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.before, row.after) for row in rows]


# --- counts and lists -------------------------------------------------------------------------------------------------


def test_what_is_undone_is_counted_however_old_and_what_is_done_for_a_week(rig: Rig, shop: int) -> None:
    put(rig, 2, created_at=NOW - timedelta(days=30))
    with rig.db.read() as session:
        now = datetime.now(UTC)
        counts = delivery_list.counts(session, shop, now)
        later = delivery_list.counts(session, shop, now + timedelta(days=8))
    assert counts.numbers == {"sprii": {"delivered": 1, "dead": 2, "held": 1, "unknown": 1}}
    assert (counts.since, counts.more) == (now - timedelta(days=7), frozenset())
    assert later.numbers == {"sprii": {"dead": 2, "held": 1, "unknown": 1}}


def test_counting_ends_somewhere_and_says_so(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_list, "COUNTED", 1)
    with rig.db.read() as session:
        counts = delivery_list.counts(session, shop, datetime.now(UTC))
    assert "dead" in counts.more
    assert "held" not in counts.more


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (Choice(), [5, 4, 3, 2, 1]),
        (Choice(state="dead"), [3, 2]),
        (Choice(state="dead", reason=mark("too late")), [3]),
        (Choice(state="dead", reason=mark("mend it")), []),
        (Choice(state="dead", reason="no mark"), []),
        (Choice(provider="sprii", state="held"), [4]),
        (Choice(provider="gameball"), []),
        (Choice(ids=(1, 5, 2**70)), [5, 1]),
        (Choice(since=NOW), []),
    ],
)
def test_a_choice_is_what_it_says(rig: Rig, shop: int, choice: Choice, found: list[int]) -> None:
    with rig.db.write() as session:
        session.execute(update(Delivery).values(created_at=NOW - timedelta(hours=1)))
    assert ids(rig, shop, choice) == found


def test_a_day_is_from_its_beginning_to_before_its_end(rig: Rig, shop: int) -> None:
    put(rig, 1, created_at=NOW)
    put(rig, 2, created_at=NOW + timedelta(days=1))
    assert ids(rig, shop, Choice(since=NOW, until=NOW + timedelta(days=1))) == [1]


@pytest.mark.parametrize("choice", [Choice(), Choice(provider="sprii"), Choice(state="dead")])
def test_every_page_goes_on_where_the_one_before_ended(rig: Rig, shop: int, choice: Choice) -> None:
    seen, before = [], None
    with rig.db.read() as session:
        while True:
            page = delivery_list.page(session, shop, choice, before=before, size=1)
            seen += [row.id for row in page.rows]
            before = page.older
            if before is None:
                break
    assert seen == ids(rig, shop, choice)


def test_a_row_says_which_order_and_why(rig: Rig, shop: int) -> None:
    with rig.db.read() as session:
        row = delivery_list.page(session, shop, Choice(ids=(4,))).rows[0]
    assert (row.provider, row.title, row.action, row.order, row.number, row.state) == (
        *("sprii", "Sprii", "Report an order"),
        *("4", "4", "held"),
    )
    assert row.why == "It is kept until something is mended, and goes out by itself then: mend it"


def test_reasons_are_offered_by_a_mark_that_says_nothing(rig: Rig, shop: int) -> None:
    with rig.db.read() as session:
        found = delivery_list.reasons(session, shop, Choice(state="dead"))
        assert delivery_list.reasons(session, shop, Choice()) == []
    assert [(each, number) for each, _, number in found] == [(mark("refused"), 1), (mark("too late"), 1)]
    assert found[0][1].endswith("resend it: refused")


def test_another_shops_deliveries_are_not_there(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    assert ids(rig, other, Choice(ids=(1, 2, 3))) == []
    assert again(rig, other, Choice(ids=(1, 2, 3)), twice=True) == Resending(0, 0, 0, 0, more=False)
    with rig.db.read() as session:
        assert delivery_list.counts(session, other, datetime.now(UTC)).numbers == {}
        for delivery_id in (1, 99, 2**70):
            with pytest.raises(NotFound):
                delivery_view(session, other, delivery_id)
    assert list(download.rows(rig.db, other, Choice())) == [list(COLUMNS)]


# --- again ------------------------------------------------------------------------------------------------------------


def test_asking_changes_nothing_and_counts_what_might_count_twice(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        plan = resend.resend(session, shop, Choice(), twice=False, actor=None)
    assert plan == Resending(found=5, sent=3, twice=2, overtaken=0, more=False)
    assert states(rig) == ["delivered", "dead", "dead", "held", "unknown"]
    assert audited(rig) == []


def test_what_might_count_twice_stays_unless_somebody_insists(rig: Rig, shop: int) -> None:
    assert again(rig, shop, Choice()).sent == 3
    assert states(rig) == ["delivered", "pending", "pending", "pending", "unknown"]
    assert audited(rig) == [
        ("account:1", "resend deliveries", None, {"number": 3, "twice": False, "first": 2, "last": 4})
    ]
    assert again(rig, shop, Choice(ids=(1,)), twice=True).sent == 1
    assert states(rig)[0] == "pending"
    rig.work()
    counted = rig.received("sprii")
    assert sum(len(each["orders"]) for each in counted) == 9


@pytest.mark.parametrize("doubt", [True, False])
def test_what_waits_after_a_lost_answer_might_count_twice(rig: Rig, shop: int, doubt: bool) -> None:
    put(rig, 4, doubt=doubt)
    assert again(rig, shop, Choice(ids=(4,))) == Resending(1, 1 - doubt, int(doubt), 0, more=False)
    if doubt:
        assert again(rig, shop, Choice(ids=(4,)), twice=True).sent == 1
    assert states(rig)[3] == "pending"


def test_what_was_delivered_once_might_count_twice_whatever_became_of_it_since(rig: Rig, shop: int) -> None:
    """Sent again in shadow mode it is only built, so the provider still has what it had."""
    put(rig, 4, state="dead")
    rig.set(shop, "sprii", mode="shadow")
    assert again(rig, shop, Choice(ids=(1,)), twice=True).sent == 1
    rig.work()
    assert states(rig)[0] == "shadow"
    assert again(rig, shop, Choice(ids=(1,))) == Resending(1, 0, 1, 0, more=False)
    with rig.db.write() as session:
        [destination] = session.scalars(select(Destination))
        assert offered(session, shop) == {}
        assert configure.send_collected(session, destination, 1) == 0
    assert states(rig)[0] == "shadow"
    answered(rig, "refused", 1)
    with rig.db.write() as session:
        assert offered(session, shop) == {1: 1}
        [destination] = session.scalars(select(Destination))
        assert configure.send_collected(session, destination, 1) == 1


def offered(session: Session, shop: int) -> dict[int, int]:
    """What going live offers to send of what shadow mode collected: days back, and how many."""
    return provider_page._collected(session, session.get_one(Shop, shop), PROVIDERS["sprii"], datetime.now(UTC))


def test_what_is_sent_again_to_a_provider_that_is_off_waits_and_is_counted_so(rig: Rig, shop: int) -> None:
    rig.set(shop, "sprii", mode="off")
    assert again(rig, shop, Choice(state="dead")) == Resending(2, 2, 0, 0, more=False, waiting=2)
    assert states(rig) == ["delivered", "held", "held", "held", "unknown"]


def test_a_mark_stands_for_just_these_deliveries_and_what_each_is(rig: Rig, shop: int) -> None:
    def asked(choice: Choice) -> str:
        with rig.db.write() as session:
            return resend.resend(session, shop, choice, twice=False, actor=None).mark

    first = asked(Choice(ids=(2,)))
    assert asked(Choice(ids=(2,))) == first
    assert asked(Choice(ids=(3,))) != first
    put(rig, 2, state="unknown")
    assert asked(Choice(ids=(2,))) != first


def test_a_second_press_finds_nothing_left(rig: Rig, shop: int) -> None:
    assert again(rig, shop, Choice(state="dead")).sent == 2
    assert again(rig, shop, Choice(state="dead")) == Resending(0, 0, 0, 0, more=False)
    assert len(audited(rig)) == 1


def test_one_press_sends_so_many_and_the_oldest_first(rig: Rig, shop: int) -> None:
    assert again(rig, shop, Choice(state="dead"), most=1) == Resending(1, 1, 0, 0, more=True)
    assert states(rig)[1:3] == ["pending", "dead"]


def test_what_a_newer_state_overtook_is_left_out(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "esputnik")
    tell(rig, shop, 1)
    rig.work()
    tell(rig, shop, 1, minute=1, status="completed")
    rig.work()
    put(rig, 1, state="dead")
    with rig.db.read() as session:
        view = delivery_view(session, shop, 1)
    assert (view.finished, view.twice, view.overtaken) == (True, False, True)
    assert again(rig, shop, Choice(ids=(1,)), twice=True) == Resending(1, 0, 0, 1, more=False)


def test_held_ones_are_tried_at_once_and_the_trail_says_by_whom(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        session.execute(update(Destination).values(held="sprii answered 401: not for ada@example.test"))
        assert resend.release(session, shop, "sprii", actor="account:1") == 1
    assert states(rig)[3] == "pending"
    before = {"provider": "sprii", "held": True}
    assert audited(rig) == [("account:1", "try held deliveries", before, {"provider": "sprii", "number": 1})]


def test_what_is_off_or_not_there_cannot_be_tried(rig: Rig, shop: int) -> None:
    rig.set(shop, "sprii", mode="off")
    with rig.db.write() as session:
        with pytest.raises(Wrong) as off:
            resend.release(session, shop, "sprii", actor="account:1")
        with pytest.raises(NotFound):
            resend.release(session, shop, "gameball", actor="account:1")
    assert str(off.value) == (
        "Sprii is switched off, so nothing was sent. What is held stays: switch it on, and it goes out."
    )
    assert audited(rig) == []


# --- download ---------------------------------------------------------------------------------------------------------


def test_a_download_has_numbers_and_states_and_nothing_of_persons(rig: Rig, shop: int) -> None:
    put(rig, 1, created_at=NOW, delivered_at=NOW)
    put(rig, 2, created_at=NOW)
    rows = list(download.rows(rig.db, shop, Choice(ids=(1, 2)), size=1))
    moment = "2026-03-02T12:00:00+00:00"
    assert rows == [
        ["delivery", "created", "provider", "action", "order", "order_id", "state", "attempts", "delivered"],
        ["2", moment, "Sprii", "Report an order", "2", "2", "dead", "1", rows[1][8]],
        ["1", moment, "Sprii", "Report an order", "1", "1", "delivered", "1", moment],
    ]


def test_a_download_ends_somewhere(rig: Rig, shop: int) -> None:
    *rows, last = download.rows(rig.db, shop, Choice(), most=3, size=2)
    assert [row[0] for row in rows] == ["delivery", "5", "4", "3"]
    said = "cut after 3 deliveries: for older ones, download again with an earlier day as the last"
    assert last == [said, *[""] * 8]
    for most in (5, 6):
        rows = list(download.rows(rig.db, shop, Choice(), most=most, size=2))
        assert [row[0] for row in rows] == ["delivery", "5", "4", "3", "2", "1"]


def test_the_times_of_a_download_are_those_of_the_stores_clock(rig: Rig, shop: int) -> None:
    with rig.db.write() as session:
        session.get_one(Shop, shop).settings = {"facts": {"timezone": "Europe/Copenhagen"}}
    put(rig, 1, created_at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC), delivered_at=datetime(2026, 3, 29, 1, tzinfo=UTC))
    row = list(download.rows(rig.db, shop, Choice(ids=(1,))))[1]
    assert (row[1], row[8]) == ("2026-03-29T00:30:00+01:00", "2026-03-29T03:00:00+02:00")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


def test_plain_cells_stay() -> None:
    assert [harmless(each) for each in ("", "1043", "A=1", "5934-14")] == ["", "1043", "A=1", "5934-14"]


def test_an_order_number_that_is_a_formula_is_none_in_the_download(rig: Rig, shop: int) -> None:
    body = {**woocommerce_order(6), "number": '=HYPERLINK("https://evil.example")'}
    assert rig.woocommerce(shop, "order.updated", body) == "stored"
    rig.work()
    row = list(download.rows(rig.db, shop, Choice(ids=(6,))))[1]
    assert row[4] == '\'=HYPERLINK("https://evil.example")'


# --- on a server ------------------------------------------------------------------------------------------------------


def test_postgresql_pages_counts_and_sends_again_alike(tmp_path: Path, postgres_url: str) -> None:
    with Rig(tmp_path, database_url=postgres_url) as rig:
        shop = rig.shop("woocommerce")
        rig.switch_on(shop, "sprii")
        for order_id in (1, 2, 3):
            tell(rig, shop, order_id)
        rig.work()
        put(rig, 2, state="dead", reason="refused")
        answered(rig, "refused", 2)
        with rig.db.read() as session:
            first = delivery_list.page(session, shop, Choice(), size=2)
            second = delivery_list.page(session, shop, Choice(), before=first.older, size=2)
            known = orders.newest(session, shop, size=2)
            older = orders.newest(session, shop, before=known.older, size=2)
            counts = delivery_list.counts(session, shop, datetime.now(UTC))
            assert [row.key for row in orders.find(session, shop, "buyer@example.test")] == ["3", "2", "1"]
        assert [row.id for row in (*first.rows, *second.rows)] == [3, 2, 1]
        assert [row.key for row in (*known.rows, *older.rows)] == ["3", "2", "1"]
        assert counts.numbers == {"sprii": {"delivered": 2, "dead": 1}}
        assert again(rig, shop, Choice(state="dead", reason=mark("refused"))).sent == 1
        assert states(rig) == ["delivered", "pending", "delivered"]
