"""Alerts, test orders and how long messages are kept: what a merchant decides on the settings page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from flask import Flask
from sqlalchemy import select, update

from app import factory
from app.models import AlertAddress, AuditEntry, Connection, Delivery, Destination, Shop, Webhook
from app.services import retention
from app.services.alert_addresses import StopLinks
from tests.attacked import Sender
from tests.bodies import woocommerce_order
from tests.browser import eventually
from tests.postbox import Postbox
from tests.rig import Rig
from tests.visitor import ANNA, DOMAIN, KEY, SECRET, US, Visitor, connect, id_token, serving

SMTP = {"smtp_url": "smtp://127.0.0.1:9", "mail_from": "us@tillwire.example"}


class Links(Sender):
    """In place of mail."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, str]] = []  #: address, link, domain

    def ask_for_alerts(self, address: str, page: str, token: str, domain: str) -> None:
        self.sent.append((address, f"{page}#{token}", domain))


@pytest.fixture
def mails() -> Links:
    return Links()


@pytest.fixture
def app(rig: Rig, mails: Links) -> Iterator[Flask]:
    with serving(rig, **SMTP) as app:
        app.extensions["link_sender"].close()
        app.extensions["link_sender"] = mails
        yield app


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def mine(rig: Rig, visitor: Visitor) -> int:
    shop = connect(rig, rig.shop("woocommerce"))
    visitor.join(visitor.sign_in(), shop)
    return shop


def settings(visitor: Visitor, shop: int) -> str:
    return visitor.get(f"/shops/{shop}/settings").get_data(as_text=True)


def part(page: str, name: str) -> str:
    """The text of one part of the settings."""
    [found] = re.findall(rf'<section class="card" aria-labelledby="{name}">(.*?)</section>', page, re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def changes(rig: Rig, shop: int) -> list[tuple[str, str, object, object]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.shop_id == shop).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.before, row.after) for row in rows]


# alerts


def test_an_address_is_asked_agrees_gets_alerts_and_stops_them_by_the_links_of_mails(
    rig: Rig, app: Flask, visitor: Visitor, mine: int, mails: Links
) -> None:
    path = f"/shops/{mine}/settings"
    assert part(settings(visitor, mine), "alerts").startswith("Alerts by e-mail Off ")
    answer = visitor.press(path, f"{path}/alerts", address="Bert@Shop.example")
    assert (answer.status_code, answer.location) == (303, f"{path}?done=asked")
    [(address, link, domain)] = mails.sent
    page, _, token = link.partition("#")
    assert (address, page, domain) == ("bert@shop.example", f"{US}/alerts/confirm", "store.example")
    shown = part(settings(visitor, mine), "alerts")
    assert "To be confirmed" in shown
    assert "A mail went to bert@shop.example." in shown
    stranger = Visitor(app)
    assert stranger.get("/alerts/confirm").status_code == 200
    assert part(settings(visitor, mine), "alerts") == shown  # looking uses nothing up
    answer = stranger.press("/alerts/confirm", "/alerts/confirm", token=token)
    assert answer.status_code == 200
    assert "Alerts about store.example come to your address from now on." in answer.get_data(as_text=True)
    assert stranger.cookie() is not None
    assert stranger.get(f"/shops/{mine}").status_code == 303  # agreeing signs nobody in
    assert stranger.press("/alerts/confirm", "/alerts/confirm", token=token).status_code == 400
    shown = part(settings(visitor, mine), "alerts")
    assert shown.startswith("Alerts by e-mail On ")
    assert "They go to bert@shop.example ." in shown
    stop = StopLinks(rig.config.secret_key).token(mine, "bert@shop.example")
    answer = stranger.press("/alerts/stop", "/alerts/stop", token=stop)
    assert "No more alerts come to your address." in answer.get_data(as_text=True)
    assert part(settings(visitor, mine), "alerts").startswith("Alerts by e-mail Off ")
    assert [each[:2] for each in changes(rig, mine)] == [
        ("account:1", "ask for alerts"),
        ("mail", "confirm alerts"),
        ("mail", "stop alerts"),
    ]
    trail = visitor.get(f"{path}/changes").get_data(as_text=True)
    assert "<td>Whoever reads the mail of the address</td>" in trail
    assert "bert@" not in trail


def test_a_person_stops_alerts_on_the_page_and_a_failed_mail_is_told(rig: Rig, visitor: Visitor, mine: int) -> None:
    path, now = f"/shops/{mine}/settings", datetime.now(UTC)
    with rig.db.write() as session:
        row = {"email": ANNA, "confirmed_at": now, "due_at": now, "failed_at": now}
        session.add(AlertAddress(shop_id=mine, **row))
    assert "The last mail could not be sent." in part(settings(visitor, mine), "alerts")
    answer = visitor.press(path, f"{path}/alerts", address=ANNA)
    assert (answer.status_code, "Alerts go to this address already." in answer.get_data(as_text=True)) == (400, True)
    answer = visitor.press(path, f"{path}/alerts/stop")
    assert answer.location == f"{path}?done=stopped"
    with rig.db.read() as session:
        assert session.get(AlertAddress, mine) is None


@pytest.mark.parametrize("address", ["", "bert", "bert@shop.example\nBcc: x@y.example", "<b>"])
def test_what_is_no_address_is_said_in_place(visitor: Visitor, mine: int, mails: Links, address: str) -> None:
    path = f"/shops/{mine}/settings"
    answer = visitor.press(path, f"{path}/alerts", address=address)
    assert answer.status_code == 400
    assert "This is no e-mail address that we can write to." in answer.get_data(as_text=True)
    assert mails.sent == []


def test_without_a_mail_server_the_page_says_so_and_nobody_is_asked(rig: Rig) -> None:
    with serving(rig) as app:
        visitor = Visitor(app)
        shop = connect(rig, rig.shop("woocommerce"))
        visitor.join(visitor.sign_in(), shop)
        assert "No alerts can be sent: this Tillwire sends no mail." in part(settings(visitor, shop), "alerts")
        token = visitor.token()
        assert visitor.post(f"/shops/{shop}/settings/alerts", csrf_token=token, address=ANNA).status_code == 503
    assert changes(rig, shop) == []


# test orders


def test_test_orders_are_chosen_for_all_providers_at_once(rig: Rig, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    assert "No provider is set up yet" in part(settings(visitor, mine), "tests")
    rig.switch_on(mine, "gameball")
    rig.switch_on(mine, "seeka", mode="shadow")
    shown = part(settings(visitor, mine), "tests")
    left_out = "Left out; there was none in the last 14 days."
    assert f"Gameball {left_out} Seeka Shadow {left_out}" in shown
    answer = visitor.press(path, f"{path}/tests", sent="seeka")
    assert (answer.status_code, answer.location) == (303, f"{path}?done=tests")
    shown = part(settings(visitor, mine), "tests")
    assert f"Gameball {left_out} Seeka Shadow Test orders count there like real ones." in shown
    assert changes(rig, mine) == [
        ("account:1", "change test orders", {"test orders go to": []}, {"test orders go to": ["seeka"]})
    ]


def test_a_choice_that_another_one_overtook_is_not_saved(rig: Rig, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    rig.switch_on(mine, "gameball")
    version = re.findall(r'name="version" value="(\w+)"', settings(visitor, mine))[1]
    rig.set(mine, "gameball", send_test_orders="true")
    answer = visitor.post(f"{path}/tests", csrf_token=visitor.token(), version=version)
    assert (answer.status_code, changes(rig, mine)) == (409, [])
    page = answer.get_data(as_text=True)
    assert "Somebody else changed this while you chose." in part(page, "tests")
    assert 'value="gameball" checked' in page
    with rig.db.read() as session:
        assert session.scalars(select(Destination.options)).one()["send_test_orders"] is True


# how long messages are kept


def test_days_are_shown_saved_and_in_the_trail(rig: Rig, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    assert 'name="days" required min="14" max="730" step="1" inputmode="numeric" value="90"' in settings(visitor, mine)
    answer = visitor.press(path, f"{path}/retention", days="30")
    assert (answer.status_code, answer.location) == (303, f"{path}?done=kept")
    assert changes(rig, mine) == [("account:1", "change retention", {"days kept": 90}, {"days kept": 30})]
    answer = visitor.press(path, f"{path}/retention", days="9")
    page = answer.get_data(as_text=True)
    assert (answer.status_code, 'value="9" aria-describedby="days-note" aria-invalid="true"' in page) == (400, True)
    assert "Enter a number of days from 14 to 730. Nothing was changed." in page
    old = {"csrf_token": visitor.token(), "version": "90", "days": "20"}
    answer = visitor.post(f"{path}/retention", **old)
    assert answer.status_code == 409
    assert "Somebody else saved 30 days while you typed." in answer.get_data(as_text=True)
    with rig.db.read() as session:
        assert retention.days(session.get_one(Shop, mine)) == 30


def test_what_is_not_kept_any_more_is_said_on_every_page_that_showed_it(rig: Rig, visitor: Visitor, mine: int) -> None:
    rig.switch_on(mine, "gameball")
    rig.woocommerce(mine, "order.updated", woocommerce_order(7, customer_id=5))
    rig.work()
    order, delivery = f"/shops/{mine}/orders/7", f"/shops/{mine}/deliveries/1"
    assert "Show what came" in visitor.get(order).get_data(as_text=True)
    assert "What was sent" in visitor.get(delivery).get_data(as_text=True)
    retention.prune_due(rig.db, datetime.now(UTC) + timedelta(days=91))
    page = visitor.get(order).get_data(as_text=True)
    assert "Show what came" not in page
    assert "The message itself is not kept any more" in page
    assert "What was sent is not kept any more" in page
    page = visitor.get(delivery).get_data(as_text=True)
    assert "What was sent is not kept any more" in page
    assert "It is built anew with your settings and mapping of today." in page
    for path in (f"{order}/webhooks/1", f"{delivery}/attempts/1"):
        answer = visitor.post(path, csrf_token=visitor.token())
        assert answer.status_code == 410
        assert "messages and what was sent are kept for 90 days" in answer.get_data(as_text=True)
    assert changes(rig, mine) == []  # nobody saw anything


# the connection


def test_each_topic_and_each_answer_is_shown_with_what_it_means(rig: Rig, app: Flask, visitor: Visitor) -> None:
    report = {"topics": {"order.updated": {"state": "active"}, "order.deleted": {"state": "paused", "why": "Paused."}}}
    shop = connect(rig, rig.shop("woocommerce"), report=report)
    visitor.join(visitor.sign_in(), shop)
    path = f"/shops/{shop}/connection"
    page = visitor.get(path).get_data(as_text=True)
    assert "The store sent nothing in the last 24 hours." in part(page, "answers")
    assert part(page, "topics").startswith(
        "What the store tells us Topic State Last event Usually after Last one after"
        " An order changed order.updated Works none yet"
        " An order was moved to the trash order.deleted Paused. Paused none yet"
    )
    for _ in range(2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.client.post(rig.endpoint(shop, "order.updated")[0], data=b"{}", headers={"X-WC-Webhook-Topic": "order.updated"})
    rig.account()
    rig.app.extensions["intake"].close()
    page = visitor.get(path).get_data(as_text=True)
    assert re.findall(r'<th scope="row">(.*?)</th>\s*<td data-label="How often">(\d+)</td>', page) == [
        ("Taken", "1"),
        ("Known already", "1"),
        ("Refused: not proved", "1"),
    ]
    assert "It was about: order.updated" in part(page, "answers")
    assert re.search(r'data-label="Usually after">\d+ \w+</td>', page)


def test_a_store_of_which_nothing_is_known_yet_is_told_what_will_stand_there(rig: Rig, visitor: Visitor) -> None:
    shop = rig.shop("woocommerce")
    visitor.join(visitor.sign_in(), shop)
    page = visitor.get(f"/shops/{shop}/connection").get_data(as_text=True)
    assert part(page, "topics").startswith("What the store tells us Nothing yet. Once the store is connected")


def test_the_overview_tells_of_providers_that_are_late_and_of_a_silent_store(rig: Rig, visitor: Visitor) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    visitor.join(visitor.sign_in(), shop)
    rig.switch_on(shop, "gameball")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.account()
    old = datetime.now(UTC) - timedelta(hours=3)
    with rig.db.write() as session:
        session.execute(update(Delivery).values(state="retrying", since=old))
        session.execute(update(Webhook).values(dedup_key="reconcile:1"))
        session.execute(update(Connection).values(installed_at=old - timedelta(days=2)))
    page = visitor.get(f"/shops/{shop}").get_data(as_text=True)
    assert "The store does not tell Tillwire of its orders." in page
    assert "Gameball has not taken some deliveries for more than two hours." in page
    assert f'<a href="/shops/{shop}/deliveries?provider=gameball">See what Gameball answers</a>' in page


def test_staff_in_shopifys_admin_change_all_of_it_without_cookies(rig: Rig, mails: Links) -> None:
    shop = connect(rig, rig.shop("shopify", DOMAIN))
    rig.switch_on(shop, "gameball")
    path, proof = f"/shops/{shop}/settings", {"Authorization": f"Bearer {id_token()}"}
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,), **SMTP) as app:
        app.extensions["link_sender"].close()
        app.extensions["link_sender"] = mails
        visitor = Visitor(app)
        page = visitor.get(path, headers=proof).get_data(as_text=True)
        versions = dict(re.findall(r'/settings/(\w+)"[^>]*>\s*<input type="hidden" name="version" value="(\w+)"', page))
        sent = {
            "tests": {"version": versions["tests"], "sent": "gameball"},
            "retention": {"version": versions["retention"], "days": "30"},
            "alerts": {"address": ANNA},
            "alerts/stop": {},
        }
        answers = [visitor.post(f"{path}/{name}", headers=proof, **each) for name, each in sent.items()]
        assert [answer.status_code for answer in answers] == [303] * 4
        assert visitor.cookie() is None
    assert [address for address, _, _ in mails.sent] == [ANNA]
    assert [each[:2] for each in changes(rig, shop)] == [
        ("shopify:77", "change test orders"),
        ("shopify:77", "change retention"),
        ("shopify:77", "ask for alerts"),
        ("shopify:77", "stop alerts"),
    ]


# the whole way


def test_from_the_settings_page_to_the_mail_and_back_to_quiet(rig: Rig) -> None:
    """Over a real mail server, with the upkeep that the worker runs."""
    with Postbox() as box:
        smtp = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "us@tillwire.example", "public_url": US}
        with serving(rig, **smtp) as app, upkeeping(rig, **smtp) as work:
            visitor, stranger = Visitor(app), Visitor(app)
            shop = connect(rig, rig.shop("woocommerce"))
            visitor.join(visitor.sign_in(), shop)
            rig.switch_on(shop, "gameball")
            path = f"/shops/{shop}/settings"
            visitor.press(path, f"{path}/alerts", address="bert@shop.example")
            eventually(lambda: len(box.mails) == 1)
            token = link_in(box.mails[0], "/alerts/confirm")
            assert stranger.press("/alerts/confirm", "/alerts/confirm", token=token).status_code == 200
            work()
            assert len(box.mails) == 1  # nothing is wrong
            with rig.db.write() as session:
                session.execute(update(Destination).values(held="401"))
                session.execute(update(AlertAddress).values(due_at=datetime.now(UTC)))
            work()
            assert [(each["To"], each["Subject"]) for each in box.mails[1:]] == [
                ("bert@shop.example", "store.example needs you")
            ]
            mend = re.findall(rf"^  {US}(/\S+)$", box.mails[1].get_content(), re.M)
            assert mend == [f"/shops/{shop}/providers/gameball"]
            assert visitor.get(mend[0]).status_code == 200
            token = link_in(box.mails[1], "/alerts/stop")
            assert stranger.press("/alerts/stop", "/alerts/stop", token=token).status_code == 200
            with rig.db.read() as session:
                assert session.get(AlertAddress, shop) is None


def link_in(mail: EmailMessage, path: str) -> str:
    """The token of the link to one of our pages."""
    [token] = re.findall(rf"^{US}{path}#(\S+)$", mail.get_content(), re.M)
    return str(token)


@contextmanager
def upkeeping(rig: Rig, **config: str) -> Iterator[Callable[[], None]]:
    """The upkeep as the worker has it; called, it does once what is due, in a part for each thread of the worker."""
    upkeep = factory.create_upkeep(replace(rig.parts, config=replace(rig.config, **config)))

    def work() -> None:
        for part in {id(each): each for each in upkeep.parts}.values():
            part._next.clear()  # as if all its time had come
            part.work(lambda: datetime.now(UTC))

    try:
        yield work
    finally:
        upkeep.close()
