"""Mails about what needs a person: when it begins, on each day that it lasts, when it is over; grouped, never lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.models import (
    Alert,
    AlertAddress,
    AlertLink,
    AuditEntry,
    Connection,
    Delivery,
    Destination,
    Event,
    Shop,
    Webhook,
)
from app.services import alert_addresses, erase_shop
from app.services.alert_addresses import StopLinks
from app.services.alert_mail import PATHS, STOP_PATH, Links
from app.services.alerts import Alerts
from app.services.errors import Wrong
from app.services.mail import MailError
from app.web import texts
from tests.bodies import woocommerce_order
from tests.databases import BROKER
from tests.rig import Rig
from tests.visitor import ANNA, US, Visitor, connect

START = datetime.now(UTC)
STOPS = StopLinks("a key of sixteen")
ASK = "You get one mail when something begins, one for each day that it lasts, and one when it is over."


class Post:
    """A mail server that may be down."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.down = False

    def send(self, address: str, subject: str, text: str) -> None:
        if self.down:
            raise MailError("ConnectionRefusedError")
        self.sent.append((address, subject, text))

    def subjects(self) -> list[str]:
        found = [subject for _, subject, _ in self.sent]
        self.sent.clear()
        return found


@pytest.fixture
def rig(either_url: str, tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, database_url=either_url, broker_url=BROKER) as rig:
        yield rig


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def shop(rig: Rig) -> int:
    shop = connect(rig, rig.shop("woocommerce"))
    rig.switch_on(shop, "gameball", "seeka")
    agree(rig, shop)
    return shop


def agree(rig: Rig, shop: int, email: str = ANNA, now: datetime = START) -> None:
    with rig.db.write() as session:
        _, token = alert_addresses.ask(session, shop, email, "account:1", now)
    with rig.db.write() as session:
        alert_addresses.confirm(session, token, now)


def clerk(rig: Rig, post: Post, **admins: Any) -> Alerts:
    return Alerts(rig.db, post.send, Links(public_url=US, stop=STOPS, admins=admins))


def hold(rig: Rig, provider: str = "gameball", held: str | None = "anna@shop.example was refused") -> None:
    with rig.db.write() as session:
        session.execute(update(Destination).where(Destination.provider == provider).values(held=held))


def look(rig: Rig, post: Post, *minutes: float) -> list[str]:
    """The subjects of the mails that are sent in looks so many minutes after the start."""
    for each in minutes:
        clerk(rig, post).work(START + timedelta(minutes=each))
    return post.subjects()


def test_nothing_wrong_is_no_mail_and_nothing_written(rig: Rig, post: Post, shop: int) -> None:
    assert look(rig, post, 0, 5, 10) == []
    with rig.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Alert)) == 0


def test_one_mail_when_it_begins_one_a_day_and_one_when_it_is_over(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    assert look(rig, post, *range(0, 24 * 60, 5)) == ["store.example needs you"]
    assert look(rig, post, *range(24 * 60, 49 * 60, 5)) == ["store.example still needs you"] * 2
    hold(rig, held=None)
    assert look(rig, post, 49 * 60 + 5, 49 * 60 + 20) == []
    assert look(rig, post, *range(49 * 60 + 25, 72 * 60, 5)) == ["store.example is well again"]


def test_the_whole_mail(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5, email="buyer@example.test"))
    rig.account()
    with rig.db.write() as session:
        reason = {"state": "dead", "reason": "buyer@example.test is no address"}
        session.execute(update(Delivery).where(Delivery.provider == "seeka").values(reason))
    clerk(rig, post).work(START)
    [(address, subject, text)] = post.sent
    stop = STOPS.token(shop, ANNA)
    assert (address, subject) == (ANNA, "store.example needs you")
    assert text == (
        "This is Tillwire, about your store store.example.\n\nNeeds you:\n\n* Gameball is on hold.\n"
        "  Nothing is lost: everything waits, and goes out once this is mended.\n  Mend it:\n"
        f"  {US}/shops/{shop}/providers/gameball\n\n* 1 delivery to Seeka failed.\n  They are kept.\n"
        "  Look at them, mend the cause, resend:\n"
        f"  {US}/shops/{shop}/deliveries?provider=seeka&state=dead\n\n{ASK}\n"
        f"To get no more of them, open this link and press the button:\n{US}/alerts/stop#{stop}\n"
    )


def test_a_mail_is_in_the_language_of_the_page_on_which_its_address_was_confirmed(
    rig: Rig, post: Post, shop: int
) -> None:
    with rig.db.write() as session:
        _, token = alert_addresses.ask(session, shop, "bert@shop.example", "account:1", START)
    somebody = Visitor(rig.app)
    given = {"csrf_token": somebody.token(), "token": token}
    assert somebody.post("/alerts/confirm", headers={"Accept-Language": "de"}, **given).status_code == 200
    hold(rig)
    links = Links(public_url=US, stop=STOPS)
    Alerts(rig.db, post.send, links, texts.speaking()).work(datetime.now(UTC))
    [(address, subject, text)] = post.sent
    stop = STOPS.token(shop, "bert@shop.example")
    assert (address, subject) == ("bert@shop.example", "store.example braucht Sie")
    assert text == (
        "Hier ist Tillwire, zu Ihrem Shop store.example.\n\nBraucht Sie:\n\n* Gameball ist angehalten.\n"
        "  Es ist nichts verloren: Alles wartet und geht hinaus, sobald dies behoben ist.\n  Beheben:\n"
        f"  {US}/shops/{shop}/providers/gameball\n\n"
        "Sie erhalten eine E-Mail, wenn etwas beginnt, eine an jedem Tag, an dem es andauert, und eine, wenn es vorbei"
        " ist.\nUm keine mehr zu erhalten, öffnen Sie diesen Link und drücken Sie die Schaltfläche:\n"
        f"{US}/alerts/stop#{stop}\n"
    )


def test_all_pages_of_mails_are_the_ones_that_the_routes_have(rig: Rig, post: Post, shop: int) -> None:
    rules = {rule.endpoint: rule.rule for rule in rig.app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert {name: re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rules[name]) for name in PATHS} == dict(PATHS)
    assert rules["alerts.stop"] == STOP_PATH


def test_a_page_of_a_store_with_an_admin_of_ours_opens_in_there(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    clerk(rig, post, woocommerce=lambda domain, path: f"https://admin.example/{domain}{path}").work(START)
    [(_, _, text)] = post.sent
    assert f"  https://admin.example/store.example/shops/{shop}/providers/gameball\n" in text


def test_what_begins_within_a_quarter_of_an_hour_comes_in_one_mail_later(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    assert look(rig, post, 0) == ["store.example needs you"]
    hold(rig, "seeka")
    assert look(rig, post, 5, 10) == []
    clerk(rig, post).work(START + timedelta(minutes=15))
    [(_, _, text)] = post.sent
    assert re.findall(r"^(?:[A-Z].*:|\* .*)$", text, re.M)[:4] == [
        "Needs you:",
        "* Seeka is on hold.",
        "Still needs you:",
        "* Gameball is on hold.",
    ]


def test_what_is_tried_again_and_held_again_is_one_episode(rig: Rig, post: Post, shop: int) -> None:
    found: list[str] = []
    for minute in range(0, 12 * 60, 5):
        hold(rig, held="401" if minute % 15 else None)
        found += look(rig, post, minute)
    assert found == ["store.example needs you"]


def test_a_new_episode_is_told_as_new(rig: Rig, post: Post, shop: int) -> None:
    for begin in (0, 120):
        hold(rig)
        assert look(rig, post, begin, begin + 5) == ["store.example needs you"]
        hold(rig, held=None)
        assert look(rig, post, *range(begin + 10, begin + 60, 5)) == ["store.example is well again"]
    with rig.db.read() as session:
        rows = session.execute(select(Alert.kind, Alert.about, Alert.over_told_at.is_(None))).all()
        assert [tuple(row) for row in rows] == [("held", "gameball", False)] * 2


def test_what_was_over_before_it_could_be_told_is_not_told(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    post.down = True
    assert look(rig, post, 0) == []
    hold(rig, held=None)
    post.down = False
    assert look(rig, post, *range(5, 120, 5)) == []


def test_a_mail_server_that_is_down_delays_and_is_shown(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    post.down = True
    assert look(rig, post, 0, 5) == []
    with rig.db.read() as session:
        found = alert_addresses.standing(session, shop, START)
    assert (found.mailed_at, found.failed_at) == (None, START + timedelta(minutes=5))
    post.down = False
    assert look(rig, post, 10, 15) == ["store.example needs you"]
    with rig.db.read() as session:
        found = alert_addresses.standing(session, shop, START)
    assert (found.mailed_at, found.failed_at) == (START + timedelta(minutes=10), None)


def test_a_process_that_dies_after_sending_sends_that_mail_once_more_and_not_forever(
    rig: Rig, post: Post, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(rig)
    monkeypatch.setattr(Alerts, "_note", lambda *_args, **_more: 1 / 0)  # as if killed between the two
    assert look(rig, post, 0) == ["store.example needs you"]
    monkeypatch.undo()
    assert look(rig, post, 5, 10, 15, 20) == ["store.example needs you"]


def test_two_processes_at_once_send_one_mail(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    other = clerk(rig, post)

    def send(address: str, subject: str, text: str) -> None:
        assert other.work(START) == 0
        post.send(address, subject, text)

    assert Alerts(rig.db, send, Links(public_url=US, stop=STOPS)).work(START) == 1
    assert post.subjects() == ["store.example needs you"]


def test_one_stores_trouble_is_not_told_to_another_and_a_removed_store_is_silent(
    rig: Rig, post: Post, shop: int
) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    agree(rig, other, "eve@other.example")
    hold(rig)
    clerk(rig, post).work(START)
    assert [address for address, _, _ in post.sent] == [ANNA]
    with rig.db.write() as session:
        session.execute(update(Shop).values(removed_at=START))
    assert clerk(rig, post).work(START + timedelta(days=2)) == 0


def test_a_store_that_took_the_app_away_is_told_once_and_when_it_is_back(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    with rig.db.write() as session:
        session.execute(update(Shop).values(removed_at=START))
        session.execute(update(Connection).values(state="ended", trouble="The app was removed."))
    clerk(rig, post).work(START)
    [(_, subject, text)] = post.sent
    assert (subject, re.findall(r"^\* (.*)$", text, re.M)) == (
        "store.example needs you",
        ["Tillwire was removed from the store."],
    )
    assert look(rig, post, *range(5, 3 * 24 * 60, 60)) == ["store.example needs you"]  # the one above
    hold(rig, held=None)
    with rig.db.write() as session:
        session.execute(update(Shop).values(removed_at=None))
        session.execute(update(Connection).values(state="connected", trouble=None))
    clerk(rig, post).work(START + timedelta(days=3))
    assert "* Tillwire is installed in the store again." in post.sent[0][2]


def test_every_condition_is_told_and_when_it_is_over(rig: Rig, post: Post, shop: int) -> None:
    old = START - timedelta(days=3)
    rig.switch_on(shop, "sprii")
    for order in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(order, customer_id=5))
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Connection).values(installed_at=old))
        session.execute(update(Webhook).values(dedup_key="reconcile:" + Webhook.dedup_key))
        ids = session.scalars(select(Delivery.id).order_by(Delivery.id)).all()
        changes: dict[int, dict[str, Any]] = {each: {"state": "skipped"} for each in ids}
        by = {row.provider: row.id for row in session.scalars(select(Delivery).order_by(Delivery.id))}
        changes[by["gameball"]] = {"state": "retrying", "since": START - timedelta(hours=3)}
        changes[by["seeka"]] = {"state": "dead"}
        changes[by["sprii"]] = {"state": "unknown"}
        for id_, values in changes.items():
            session.execute(update(Delivery).where(Delivery.id == id_).values(values))
        session.execute(update(Event).where(Event.id == 1).values(state="error"))
    clerk(rig, post).work(START)
    [(_, _, text)] = post.sent
    assert re.findall(r"^\* (.*)$", text, re.M) == [
        "The store does not tell Tillwire of its orders.",
        "Gameball has not taken some deliveries for more than two hours.",
        "1 delivery to Seeka failed.",
        "1 answer of Sprii was lost.",
        "Some messages of the store could not be read.",
    ]
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state="delivered"))
        session.execute(update(Event).values(state="understood"))
        session.execute(update(Connection).values(trouble="The store refuses our key."))
    post.sent.clear()
    clerk(rig, post).work(START + timedelta(minutes=31))
    [(_, _, text)] = post.sent
    assert re.findall(r"^\* (.*)$", text, re.M) == [
        "The connection to the store.",
        "The store tells Tillwire of its orders again.",
        "Gameball takes deliveries again.",
        "Of the last two weeks, no failed delivery to Seeka is left.",
        "Of the last two weeks, no lost answer of Sprii is left.",
        "Of the last two weeks, no message of the store is left unread.",
    ]


def test_a_store_that_tells_of_orders_or_was_connected_today_is_not_silent(rig: Rig, post: Post, shop: int) -> None:
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.woocommerce(shop, "order.updated", woocommerce_order(2))
    rig.account()
    with rig.db.write() as session:
        session.execute(update(Webhook).where(Webhook.id == 1).values(dedup_key="reconcile:1"))
    now = START + timedelta(minutes=1)
    with rig.db.write() as session:
        session.execute(update(Connection).values(installed_at=START - timedelta(days=3)))
    assert clerk(rig, post).work(now) == 0
    with rig.db.write() as session:
        session.execute(update(Webhook).values(dedup_key="reconcile:" + Webhook.dedup_key))
        session.execute(update(Connection).values(installed_at=START - timedelta(hours=20)))
    assert clerk(rig, post).work(now + timedelta(minutes=5)) == 0


# addresses


def test_nobody_is_mailed_before_they_agreed_and_the_trail_names_no_address(rig: Rig, post: Post) -> None:
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "gameball")
    hold(rig)
    with rig.db.write() as session:
        email, token = alert_addresses.ask(session, shop, "Anna@Shop.example ", "account:1", START)
    assert email == ANNA
    assert clerk(rig, post).work(START) == 0
    with rig.db.write() as session:
        assert alert_addresses.confirm(session, token, START) == "store.example"
    with rig.db.write() as session, pytest.raises(Wrong, match="used already"):
        alert_addresses.confirm(session, token, START)
    assert look(rig, post, 0) == ["store.example needs you"]
    with rig.db.write() as session:
        alert_addresses.stop(session, shop, "account:1", START)
        alert_addresses.stop(session, shop, "account:1", START)
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.shop_id == shop).order_by(AuditEntry.id))
        assert [(row.actor, row.action, row.before, row.after) for row in rows] == [
            ("account:1", "ask for alerts", {"alerts": "off"}, {"alerts": "waits for confirmation"}),
            ("mail", "confirm alerts", {"alerts": "off"}, {"alerts": "on"}),
            ("account:1", "stop alerts", {"alerts": "on"}, {"alerts": "off"}),
        ]


def test_a_link_ends_with_its_day_with_the_next_one_and_with_stopping(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    tokens = []
    for email in ("a@shop.example", "b@shop.example", "c@shop.example"):
        with rig.db.write() as session:
            tokens.append(alert_addresses.ask(session, shop, email, "operator", START)[1])
    with rig.db.write() as session:
        alert_addresses.stop(session, shop, "operator", START)
        tokens.append(alert_addresses.ask(session, shop, "d@shop.example", "operator", START)[1])
    for token, now in zip(tokens, (START, START, START, START + timedelta(days=1)), strict=True):
        with rig.db.write() as session, pytest.raises(Wrong, match="used already, or is too old"):
            alert_addresses.confirm(session, token, now)
    with rig.db.write() as session:
        alert_addresses.purge(session, START + timedelta(days=3))
        assert session.scalars(select(AlertLink.id)).all() == []


def test_a_store_cannot_flood_strangers(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    for number in range(5):
        with rig.db.write() as session:
            alert_addresses.ask(session, shop, f"{number}@victim.example", "operator", START)
    with rig.db.write() as session, pytest.raises(Wrong, match="Five addresses were asked today"):
        alert_addresses.ask(session, shop, "6@victim.example", "operator", START)
    with rig.db.write() as session:
        alert_addresses.ask(session, shop, "6@victim.example", "operator", START + timedelta(days=1, seconds=1))


def test_another_address_takes_over_and_is_not_told_of_what_the_first_was_told(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    assert look(rig, post, 0) == ["store.example needs you"]
    with rig.db.write() as session, pytest.raises(Wrong, match="already"):
        alert_addresses.ask(session, shop, ANNA, "operator", START)
    hold(rig, held=None)
    agree(rig, shop, "bert@shop.example", START + timedelta(minutes=1))
    assert look(rig, post, *range(5, 100, 5)) == []
    hold(rig)
    clerk(rig, post).work(START + timedelta(minutes=100))
    assert [(address, subject) for address, subject, _ in post.sent] == [
        ("bert@shop.example", "store.example needs you")
    ]


def test_the_link_of_a_mail_stops_that_address_alone(rig: Rig, shop: int) -> None:
    def standing() -> str | None:
        with rig.db.read() as session:
            return session.scalar(select(AlertAddress.email).where(AlertAddress.shop_id == shop))

    for wrong in ("", "x", "W10.x", StopLinks("another key of ours").token(shop, ANNA), STOPS.token(shop, ANNA)[:-2]):
        with rig.db.write() as session, pytest.raises(Wrong, match="not complete"):
            STOPS.use(session, wrong, START)
    with rig.db.write() as session:
        STOPS.use(session, STOPS.token(shop, "old@shop.example"), START)
        STOPS.use(session, STOPS.token(99, ANNA), START)
    assert standing() == ANNA
    with rig.db.write() as session:
        STOPS.use(session, STOPS.token(shop, ANNA), START)
        STOPS.use(session, STOPS.token(shop, ANNA), START)
    assert standing() is None


def test_an_erased_store_leaves_no_address(rig: Rig, post: Post, shop: int) -> None:
    hold(rig)
    look(rig, post, 0)
    erase_shop.erase_shop(rig.db, shop, START, actor="operator")
    with rig.db.read() as session:
        for table in (AlertAddress, AlertLink, Alert):
            assert session.scalar(select(func.count()).select_from(table)) == 0
