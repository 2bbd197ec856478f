"""The ledger's promise: the newest snapshot decides, and every event is given once, whatever arrives when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services import ledger
from connectors.events import Kind

Facts = dict[str, Any]


def order(**changes: Any) -> Facts:
    return {
        "id": "7",
        "created_at": "2026-03-02T09:00:00Z",
        "updated_at": "2026-03-02T09:00:00Z",
        "currency": "EUR",
        "total": "100",
        "fulfilment_status": "none",
        "paid": False,
        "cancelled": False,
        "refunds": [],
        "refunded": "0",
        "refunded_in_full": False,
        "lines": [],
        **changes,
    }


def refund(number: int, amount: str) -> Facts:
    return {"id": f"r{number}", "amount": amount, "created_at": f"2026-03-03T09:00:0{number}Z", "lines": []}


def kinds(verdict: ledger.Verdict) -> list[str]:
    return [change.kind for change in verdict.changes]


def test_an_order_first_seen_at_its_end_gives_its_whole_life_in_order() -> None:
    both = [refund(1, "30"), refund(2, "70")]
    end = order(
        paid=True, cancelled=True, fulfilment_status="full", refunds=both, refunded="100", refunded_in_full=True
    )
    verdict = ledger.see_order({}, end, "h")
    assert kinds(verdict) == [
        Kind.PLACED,
        Kind.PAID,
        Kind.FULFILLED,
        Kind.REFUNDED,
        Kind.REFUNDED,
        Kind.CANCELLED,
    ]
    assert [change.key for change in verdict.changes[3:5]] == ["refunded:r1", "refunded:r2"]


def paid_at(verdict: ledger.Verdict) -> list[str | None]:
    return [change.occurred_at for change in verdict.changes if change.kind == Kind.PAID]


def test_an_old_order_first_seen_when_it_is_edited_counts_as_paid_when_it_was_placed() -> None:
    edited = order(paid=True, updated_at="2026-05-01T09:00:00Z")
    assert paid_at(ledger.see_order({}, edited, "h")) == ["2026-03-02T09:00:00Z"]
    soon = order(paid=True, updated_at="2026-03-02T23:00:00Z")
    assert paid_at(ledger.see_order({}, soon, "h")) == ["2026-03-02T23:00:00Z"]
    assert paid_at(ledger.see_order({}, edited, "h", paid_at="2026-04-30T08:00:00Z")) == ["2026-04-30T08:00:00Z"]
    assert paid_at(ledger.see_order({}, {**edited, "paid_at": "2026-04-02T09:00:00Z"}, "h")) == ["2026-04-02T09:00:00Z"]


def test_an_old_order_whose_payment_was_seen_is_paid_then() -> None:
    state: Facts = {}
    ledger.see_order(state, order(updated_at="2026-03-02T10:00:00Z"), "a")
    verdict = ledger.see_order(state, order(paid=True, updated_at="2026-05-01T09:00:00Z"), "b")
    assert paid_at(verdict) == ["2026-05-01T09:00:00Z"]
    later = ledger.see_order(
        state, order(paid=True, updated_at="2026-05-01T09:00:00Z"), "b", paid_at="2026-05-01T08:59:59Z"
    )
    assert later.paid_at is None


def test_a_guessed_payment_is_dated_once_by_whoever_knows_also_by_an_older_snapshot() -> None:
    state: Facts = {}
    ledger.see_order(state, order(paid=True, updated_at="2026-05-01T09:00:05Z"), "a")
    told = order(paid=True, updated_at="2026-05-01T09:00:00Z")
    verdict = ledger.see_order(state, told, "b", paid_at="2026-05-01T09:00:00Z")
    assert (verdict.changes, verdict.paid_at) == ([], "2026-05-01T09:00:00Z")
    assert ledger.see_order(state, told, "b", paid_at="2026-05-01T09:00:00Z").paid_at is None


def test_an_older_snapshot_changes_nothing() -> None:
    state: Facts = {}
    ledger.see_order(state, order(paid=True, updated_at="2026-03-02T10:00:00Z"), "b")
    known = dict(state)
    verdict = ledger.see_order(state, order(), "a")
    assert (verdict.changes, verdict.reason) == ([], "older than what is known of this order")
    assert state == known


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"refunds": [refund(1, "5")], "refunded": "5"}),
        ({}, {"paid": True}),
        ({"paid": True}, {"paid": True, "completed_at": "2026-03-02T09:00:00Z"}),
        ({"paid": True}, {"paid": True, "cancelled": True}),
        ({"draft": True}, {}),
    ],
)
def test_of_two_snapshots_of_one_second_the_further_one_wins(one: Facts, other: Facts) -> None:
    for first, second in ((one, other), (other, one)):
        state: Facts = {}
        ledger.see_order(state, order(**first), "z" if first is one else "a")
        ledger.see_order(state, order(**second), "z" if second is one else "a")
        assert state["order"] == order(**other)


def test_a_draft_is_no_order_until_it_is_placed() -> None:
    state: Facts = {}
    draft = ledger.see_order(state, order(draft=True), "a")
    assert (draft.changes, draft.reason) == ([], "an unfinished checkout, not an order yet")
    assert kinds(ledger.see_order(state, order(updated_at="2026-03-02T09:05:00Z"), "b")) == [Kind.PLACED]


def test_a_refund_without_its_order_waits_and_then_comes_with_it() -> None:
    state: Facts = {}
    waiting = ledger.see_refund(state, refund(1, "30"))
    assert (waiting.parked, waiting.changes) == (True, [])
    verdict = ledger.see_order(state, order(paid=True), "a")
    assert kinds(verdict) == [Kind.PLACED, Kind.PAID, Kind.REFUNDED]
    assert state["order"]["refunded"] == "30"


@pytest.mark.parametrize(("taxes_included", "amount"), [(True, "0.37"), (False, "0.43")])
@pytest.mark.parametrize("order_first", [True, False])
def test_the_order_tells_how_a_lone_refund_is_to_be_read(taxes_included: bool, amount: str, order_first: bool) -> None:
    readings = {"with_tax": refund(1, "0.37"), "without_tax": refund(1, "0.43")}
    lone = {**refund(1, "0.43"), "readings": readings}
    whole = order(paid=True, taxes_included=taxes_included)
    state: Facts = {}
    changes = ledger.see_order(state, whole, "a").changes if order_first else []
    changes += ledger.see_refund(state, lone).changes
    changes += ledger.see_order(state, whole, "a").changes if not order_first else []
    told = [change.facts["refund"] for change in changes if change.kind is Kind.REFUNDED]
    assert told == [refund(1, amount)]
    assert (state["order"]["refunds"], state["order"]["refunded"]) == ([refund(1, amount)], amount)


def test_a_refund_by_itself_and_inside_its_order_is_one_refund() -> None:
    state: Facts = {}
    ledger.see_order(state, order(paid=True), "a")
    assert kinds(ledger.see_refund(state, refund(1, "30"))) == [Kind.REFUNDED]
    later = order(paid=True, refunds=[refund(1, "30")], refunded="30", updated_at="2026-03-03T09:00:01Z")
    assert kinds(ledger.see_order(state, later, "b")) == []
    assert ledger.see_refund(state, refund(1, "30")).reason == "already known"
    assert state["order"]["refunded"] == "30"


def test_a_refund_counts_by_the_money_that_went_out() -> None:
    state: Facts = {}
    ledger.see_order(state, order(paid=True), "a")
    assert kinds(ledger.see_refund(state, refund(1, "0"))) == [Kind.UPDATED]
    assert kinds(ledger.see_refund(state, refund(2, "0"))) == [Kind.UPDATED]
    first = ledger.see_refund(state, refund(1, "10"))
    later = ledger.see_refund(state, refund(1, "43.56"))
    told = [(each.kind, each.key, each.facts["refund"]["amount"]) for each in (*first.changes, *later.changes)]
    assert told == [
        (Kind.REFUNDED, "refunded:r1", "10"),
        (Kind.REFUNDED, "refunded:r1-43.56", "33.56"),
    ]
    assert state["order"]["refunded"] == "43.56"


def test_keys_never_repeat_however_often_an_order_changes() -> None:
    state: Facts = {}
    keys = []
    for minute, changes in enumerate(
        [
            {"cancelled": True},
            {"cancelled": False, "paid": True},
            {"paid": True, "note": "a"},
            {"paid": True, "note": "b"},
            {"paid": True, "cancelled": True},
        ]
    ):
        verdict = ledger.see_order(state, order(updated_at=f"2026-03-02T09:{minute:02d}:00Z", **changes), str(minute))
        keys += [change.key for change in verdict.changes]
    assert keys == ["placed", "cancelled:1", "paid", "updated:1", "updated:2", "cancelled:2"]


def test_an_older_restored_order_comes_back_without_winning() -> None:
    state: Facts = {}
    ledger.see_order(state, order(paid=True, updated_at="2026-03-05T00:00:00Z"), "b")
    ledger.see_gone(state, "2026-03-06T00:00:00Z")
    verdict = ledger.see_order(state, order(updated_at="2026-03-03T00:00:00Z"), "a", restored=True)
    assert kinds(verdict) == [Kind.RESTORED]
    assert (state["order"]["paid"], state["mark"][0]) == (True, "2026-03-05T00:00:00Z")


def test_nothing_happened_where_only_the_time_moved() -> None:
    state: Facts = {}
    ledger.see_order(state, order(), "a")
    verdict = ledger.see_order(state, order(updated_at="2026-03-02T10:00:00Z"), "b")
    assert (verdict.changes, verdict.reason) == ([], "nothing changed that matters")


def test_trash_and_restore_are_told_each_time() -> None:
    state: Facts = {}
    ledger.see_order(state, order(), "a")
    assert [change.key for change in ledger.see_gone(state, "2026-03-04T00:00:00Z").changes] == ["deleted:1"]
    assert ledger.see_gone(state, "2026-03-04T00:00:01Z").reason == "already known"
    assert kinds(ledger.see_order(state, order(), "a")) == []
    assert kinds(ledger.see_order(state, order(), "a", restored=True)) == [Kind.RESTORED]
    assert [change.key for change in ledger.see_gone(state, "2026-03-05T00:00:00Z").changes] == ["deleted:2"]


# --- the property -----------------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Facts, str]]:
    """The snapshots of one order's life, oldest first; several may share a second, as on real platforms."""
    now: Facts = order()
    found: list[tuple[Facts, str]] = []
    second = 0
    for step in range(draw(st.integers(1, 7))):
        what = draw(st.sampled_from(["pay", "note", "fulfil", "refund", "cancel"]))
        if what == "refund" and now["paid"]:
            refunds = [*now["refunds"], refund(len(now["refunds"]) + 1, "10")]
            now = {**now, "refunds": refunds, "refunded": str(10 * len(refunds))}
        changes: dict[str, Facts] = {
            "pay": {"paid": True},
            "note": {"note": f"note {step}"},
            "fulfil": {"fulfilment_status": "full"},
            "cancel": {"cancelled": True},
        }
        now = {**now, **changes.get(what, {})}
        second += draw(st.integers(0, 1)) if what != "note" else 1
        now = {**now, "updated_at": f"2026-03-02T09:00:{second:02d}Z"}
        found.append((now, f"{draw(st.integers(0, 999)):03d}-{step}"))
    return found


Telling = tuple[list[tuple[Facts, str]], list[tuple[Facts, str]]]


@st.composite
def tellings(draw: st.DrawFn) -> Telling:
    """A history, and the same one lossy, repeated and shuffled; the newest snapshot is always among it."""
    history = draw(histories())
    newest = max(history, key=lambda each: ledger.mark(*each))
    kept = [each for each in history if draw(st.booleans())]
    repeats = [each for each in kept if draw(st.booleans())]
    return history, draw(st.permutations([*kept, *repeats, newest]))


def tell(snapshots: list[tuple[Facts, str]]) -> tuple[Facts, list[ledger.Change]]:
    state: Facts = {}
    changes: list[ledger.Change] = []
    for snapshot, digest in snapshots:
        changes += ledger.see_order(state, snapshot, digest).changes
    return state, changes


@settings(max_examples=500, deadline=None)
@given(tellings())
def test_any_telling_of_a_life_ends_in_the_same_ledger_and_gives_each_event_once(telling: Telling) -> None:
    history, told = telling
    straight, all_changes = tell(history)
    state, changes = tell(told)
    assert (state["order"], state["mark"]) == (straight["order"], straight["mark"])

    keys = [change.key for change in changes]
    assert len(keys) == len(set(keys))
    once = {change.key for change in all_changes if change.kind is not Kind.UPDATED}
    assert {key for key in keys if not key.startswith("updated:")} == once

    refunds = {change.key: change.facts["refund"]["amount"] for change in changes if change.kind is Kind.REFUNDED}
    assert sum(int(each) for each in refunds.values()) == int(state["order"]["refunded"])


@settings(max_examples=200, deadline=None)
@given(tellings(), st.data())
def test_refunds_that_also_come_by_themselves_are_still_given_once(telling: Telling, data: st.DataObject) -> None:
    history, told = telling
    newest = max(history, key=lambda each: ledger.mark(*each))[0]
    apart: list[Any] = [("refund", each) for each in newest["refunds"] if data.draw(st.booleans())]
    mixed = data.draw(st.permutations([*[("order", each) for each in told], *apart]))
    state: Facts = {}
    keys: list[str] = []
    for what, each in mixed:
        verdict = ledger.see_refund(state, each) if what == "refund" else ledger.see_order(state, *each)
        keys += [change.key for change in verdict.changes]
    assert state["order"] == newest
    assert len(keys) == len(set(keys))
    assert {key for key in keys if key.startswith("refunded:")} == {
        f"refunded:{each['id']}" for each in newest["refunds"]
    }
