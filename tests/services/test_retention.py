"""After so many days bodies go, and nothing that protects from doing a thing twice goes with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import event as events_of
from sqlalchemy import select, update

from app.models import Attempt, AuditEntry, Delivery, DeliveryState, Event, EventState, Ledger, Pruning, Shop, Webhook
from app.services import configure, data_request, erase, persons, replay, retention, show, timeline
from app.services.errors import Wrong
from app.services.packing import decompress
from tests.bodies import woocommerce_order
from tests.databases import BROKER, Databases
from tests.rig import Rig

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=91)


@pytest.fixture
def rig(either_url: str, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=either_url, broker_url=BROKER) as rig:
        yield rig


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball", "seeka")
    return shop


def sold(rig: Rig, shop: int, *orders: int) -> None:
    for order in orders:
        rig.woocommerce(shop, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()


def bodies(rig: Rig) -> list[bool]:
    """Whether each webhook has its body, then whether each attempt has payload and answer."""
    with rig.db.read() as session:
        webhooks = session.scalars(select(Webhook).order_by(Webhook.id)).all()
        tries = session.scalars(select(Attempt).order_by(Attempt.delivery_id)).all()
        return [bool(each.body) for each in webhooks] + [bool(each.payload or each.answer) for each in tries]


def rest(rig: Rig) -> list[Any]:
    """All that has to stay as it is."""
    kept = (
        select(Ledger.key, Ledger.number, Ledger.state),
        select(Event.dedup_key, Event.state, Event.facts),
        select(Delivery.state, Delivery.reason, Delivery.once_key, Delivery.effect, Delivery.delivered_at),
        select(Webhook.dedup_key, Webhook.body_hash, Webhook.headers, Webhook.received_at, Webhook.state),
        select(Attempt.number, Attempt.outcome, Attempt.status, Attempt.started_at),
    )
    with rig.db.read() as session:
        return [sorted(map(repr, map(tuple, session.execute(each)))) for each in kept]


def test_bodies_go_after_the_days_and_all_else_stays(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1, 2)
    before = rest(rig)
    assert bodies(rig) == [True] * 6
    assert retention.prune_due(rig.db, NOW + timedelta(days=89)) == 0
    assert bodies(rig) == [True] * 6
    assert retention.prune_due(rig.db, LATER) == 6
    assert bodies(rig) == [False] * 6
    assert rest(rig) == before
    assert retention.prune_due(rig.db, LATER + timedelta(days=2)) == 0


def test_an_old_webhook_that_comes_again_is_a_repeat_still_and_an_old_state_gives_nothing(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1)
    retention.prune_due(rig.db, LATER)
    before = rest(rig)
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5)) == "duplicate"
    rig.work()
    assert rest(rig) == before
    assert rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5, minute=9)) == "stored"
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered", "delivered"]
    assert len(rig.received("gameball")) == 1


SNAPSHOTS = st.fixed_dictionaries(
    {
        "order_id": st.integers(1, 2),
        "minute": st.integers(0, 3),
        "paid": st.booleans(),
        "refunds": st.sampled_from([(), ((9, "10.00"),)]),
    }
)


@hypothesis_settings(max_examples=6, deadline=None)
@given(first=st.lists(SNAPSHOTS, min_size=1, max_size=4), then=st.lists(SNAPSHOTS, max_size=3), data=st.data())
def test_whatever_came_before_and_comes_again_ends_as_if_nothing_had_been_removed(
    databases: Databases, first: list[dict[str, Any]], then: list[dict[str, Any]], data: st.DataObject
) -> None:
    again = data.draw(st.permutations([*first, *then]))

    def ends(*, pruned: bool) -> tuple[Any, ...]:
        with (
            databases.lend() as url,
            tempfile.TemporaryDirectory() as folder,
            Rig(Path(folder), database_url=url, broker_url=BROKER) as rig,
        ):
            shop = rig.shop("woocommerce")
            rig.switch_on(shop, "gameball", "seeka")
            said = []
            for part in (first, again):
                for each in part:
                    said.append(rig.woocommerce(shop, "order.updated", woocommerce_order(**each, customer_id=5)))
                    rig.work()
                    if pruned:
                        retention.prune_due(rig.db, LATER)
                        with rig.db.write() as session:
                            session.execute(update(Pruning).values(due_at=NOW))
            with rig.db.read() as session:
                keys = session.scalars(select(Event.dedup_key).order_by(Event.id)).all()
            return said, keys, rig.states(), rig.received("gameball"), rig.received("seeka")

    assert ends(pruned=True) == ends(pruned=False)


def test_a_delivery_whose_payload_is_gone_is_sent_again_the_same(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1)
    retention.prune_due(rig.db, LATER)
    with rig.db.write() as session:
        [seeka] = session.scalars(select(Delivery).where(Delivery.provider == "seeka"))
        assert replay.replay(session, [seeka], force=False, dry_run=False)["replayed"] == 1
    rig.work()
    first, again = rig.received("seeka")
    assert first == again


@pytest.mark.parametrize("state", [EventState.PARKED, EventState.ERROR])
def test_what_waits_keeps_its_body_until_it_is_done_and_a_later_round_finds_it(
    rig: Rig, shop: int, state: EventState
) -> None:
    sold(rig, shop, 1, 2)
    with rig.db.write() as session:
        session.execute(update(Event).where(Event.webhook_id == 1).values(state=state))
        session.execute(update(Delivery).where(Delivery.id == 1).values(state=DeliveryState.HELD))
    retention.prune_due(rig.db, LATER)
    assert bodies(rig) == [True, False, True, False, False, False]
    with rig.db.write() as session:
        session.execute(update(Event).values(state=EventState.UNDERSTOOD))
        session.execute(update(Delivery).values(state=DeliveryState.DELIVERED))
    for day in range(2, 40):
        retention.prune_due(rig.db, LATER + timedelta(days=day))
    assert bodies(rig) == [False] * 6


def test_what_is_unread_or_stands_for_a_question_of_ours_keeps_its_body(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1)
    rig.woocommerce(shop, "order.updated", woocommerce_order(2, customer_id=5))
    with rig.db.write() as session:
        asked = {"platform": "woocommerce", "shop_id": shop, "dedup_key": "refunds:1", "topic": "x", "headers": {}}
        session.add(Webhook(**asked, body=b"lines", body_hash="", received_at=NOW, state="done"))
    retention.prune_due(rig.db, LATER)
    assert bodies(rig)[:3] == [False, True, True]


def test_one_store_does_not_decide_for_another(rig: Rig, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "gameball")
    sold(rig, shop, 1)
    sold(rig, other, 2)
    with rig.db.write() as session:
        retention.save(session, other, "14", "90", "operator", NOW)
    retention.prune_due(rig.db, NOW + timedelta(days=20))
    with rig.db.read() as session:
        kept = session.execute(select(Webhook.shop_id, Webhook.body != b"").order_by(Webhook.id)).all()
    assert [tuple(row) for row in kept] == [(shop, True), (other, False)]


def test_one_stores_trouble_does_not_keep_the_bodies_of_another(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "gameball")
    sold(rig, shop, 1)
    sold(rig, other, 2)
    days = retention.days
    monkeypatch.setattr(retention, "days", lambda row: 10**7 if row.id == shop else days(row))
    assert retention.prune_due(rig.db, NOW + timedelta(days=100)) == 2  # its webhook and its attempt
    with rig.db.read() as session:
        kept = session.execute(select(Webhook.shop_id, Webhook.body != b"").order_by(Webhook.id)).all()
    assert [tuple(row) for row in kept] == [(shop, True), (other, False)]


@pytest.mark.parametrize(("kept", "days"), [(14_999_999, 730), (0, 14), (90, 90)])
def test_days_that_were_saved_some_other_way_do_no_harm(rig: Rig, shop: int, kept: int, days: int) -> None:
    with rig.db.write() as session:
        row = configure.find_shop(session, str(shop))
        row.settings = {**row.settings, "retention_days": kept}
        assert retention.days(row) == days


def test_what_names_no_shop_is_kept_for_the_usual_days(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can open it, and nobody's settings are about it."""
    monkeypatch.setattr(retention, "CHUNK", 2)
    for number in range(5):
        rig.shopify("orders/paid", {"id": number, "email": "ines@example.com"}, domain=None)
    rig.account()
    sold(rig, shop, 1)
    assert [event["shop"] for event in rig.events(state="error")] == [None] * 5
    before = rest(rig)
    assert retention.prune_strays(rig.db, NOW + timedelta(days=89)) == 0
    assert retention.prune_strays(rig.db, LATER) == 5
    assert bodies(rig) == [False] * 5 + [True] * 3
    assert rest(rig) == before
    assert retention.prune_strays(rig.db, LATER) == 0


def test_a_process_that_dies_in_between_leaves_whole_steps_and_the_next_goes_on(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 1)
    sold(rig, shop, *range(1, 6))
    before = rest(rig)
    seen: list[list[bool]] = []

    def die(_connection: Any) -> None:
        seen.append([])
        if len(seen) == 4:
            raise KeyboardInterrupt

    events_of.listen(rig.db.engine, "commit", die)
    with pytest.raises(KeyboardInterrupt):
        retention.prune_due(rig.db, LATER)
    events_of.remove(rig.db.engine, "commit", die)
    with rig.db.read() as session:
        mark = session.get_one(Pruning, shop)
        reached = (mark.webhook_id, mark.delivery_id)
        full = session.scalars(select(Webhook.id).where(Webhook.body != b"").order_by(Webhook.id)).all()
    assert reached == (full[0] - 1, full[0] - 1)  # one webhook and one delivery in each step
    assert 0 < len(full) < 5
    retention.prune_due(rig.db, LATER)
    assert not any(bodies(rig))
    assert rest(rig) == before


def test_a_later_walk_passes_what_was_emptied_in_long_steps_and_takes_what_is_left(
    rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    sold(rig, shop, *range(1, 9))
    retention.prune_due(rig.db, LATER)
    with rig.db.write() as session:
        last = session.scalars(select(Attempt).order_by(Attempt.id.desc())).first()
        assert last is not None
        last.payload, last.answer = b"x", "late"
    moves: list[tuple[int, int]] = []
    move = retention._move

    def noted(session: Any, mark: Pruning, webhook_id: int, delivery_id: int) -> bool:
        moves.append((webhook_id, delivery_id))
        return move(session, mark, webhook_id, delivery_id)

    monkeypatch.setattr(retention, "_move", noted)
    assert retention.prune_due(rig.db, LATER + retention.ROUND) == 0  # only begins anew
    assert retention.prune_due(rig.db, LATER + retention.ROUND + retention.EVERY) == 1
    assert moves == [(8, 16)]
    assert not any(bodies(rig))


def test_two_processes_at_once_remove_once(rig: Rig, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sold(rig, shop, 1)
    counts: list[int] = []
    whole = retention._old_webhooks

    def overtaken(*given: Any) -> Any:
        found = whole(*given)
        if not counts:
            counts.append(0)
            counts.append(retention.prune_due(rig.db, LATER))
        return found

    monkeypatch.setattr(retention, "_old_webhooks", overtaken)
    assert (retention.prune_due(rig.db, LATER), counts) == (0, [0, 3])


def test_pages_say_that_it_is_gone(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1)
    retention.prune_due(rig.db, LATER)
    with rig.db.read() as session:
        row = session.get_one(Shop, shop)
        found = timeline.timeline(session, rig.parts.router, row, "1")
        [arrival] = found.arrivals
        tries = [each for told in arrival.events for sent in told.deliveries for each in sent.tries]
        assert (arrival.size, [(each.removed, each.payload, each.answer) for each in tries]) == (
            None,
            [(True, None, None)] * 2,
        )
        with pytest.raises(retention.Removed, match="kept for 90 days"):
            timeline.body(session, shop, "1", arrival.id)
        story = show.order(session, row, "1")
        assert [each["bytes"] for each in story["webhooks"]] == [None]


def test_a_person_is_erased_and_asked_about_after_bodies_went(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1)
    retention.prune_due(rig.db, LATER)
    person = persons.from_text("buyer@example.test")
    vault = rig.parts.vault
    data_request.export_person(rig.db, vault, shop, person, LATER, actor="operator")
    erase.erase_customer(rig.db, vault, shop, person, LATER, actor="operator")
    assert bodies(rig) == [False] * 3
    with rig.db.read() as session:
        assert session.scalars(select(Webhook.body)).all() == [b""]
        assert b"buyer@example.test" not in decompress(session.scalars(select(Ledger.state)).one())


@pytest.mark.parametrize("typed", ["", "13", "731", "-20", "20.5", "x", "9" * 30, "²0", "000000014999999"])
def test_days_that_cannot_be_are_refused(rig: Rig, shop: int, typed: str) -> None:
    with rig.db.write() as session, pytest.raises(Wrong, match="from 14 to 730"):
        retention.save(session, shop, typed, "90", "operator", NOW)


def test_days_are_saved_once_with_before_and_after_and_count_at_once(rig: Rig, shop: int) -> None:
    sold(rig, shop, 1)
    retention.prune_due(rig.db, NOW + timedelta(days=20))
    with rig.db.write() as session:
        retention.save(session, shop, "14", "90", "account:1", NOW + timedelta(days=20))
        retention.save(session, shop, "14", "14", "account:1", NOW + timedelta(days=20))
        with pytest.raises(retention.Overtaken) as error:
            retention.save(session, shop, "20", "90", "account:1", NOW)
    assert error.value.days == 14
    with rig.db.read() as session:
        assert retention.days(configure.find_shop(session, str(shop))) == 14
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == "change retention"))
        assert (entry.before, entry.after) == ({"days kept": 90}, {"days kept": 14})
    assert retention.prune_due(rig.db, NOW + timedelta(days=20)) == 3
