"""The pages of the tracking services: set up, test, go live, and nothing lost to another tab."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from app.models import AuditEntry, Destination
from app.providers.registry import PROVIDERS
from app.services import configure, provider_page
from app.web import limits
from app.web.limits import limiter
from tests.bodies import woocommerce_order
from tests.rig import CREDENTIALS, Rig
from tests.visitor import DOMAIN, KEY, SECRET, Forms, Visitor, connect, id_token, serving

HUSH = "hush-hush-hush-hush"


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
        app.config["RATELIMIT_ENABLED"] = False
        yield app


@pytest.fixture
def shop(rig: Rig) -> int:
    return rig.shop("woocommerce")


@pytest.fixture
def anna(app: Flask, shop: int) -> Visitor:
    visitor = Visitor(app)
    visitor.join(visitor.sign_in(), shop)
    return visitor


def page(shop: int, name: str = "gameball", more: str = "") -> str:
    return f"/shops/{shop}/providers/{name}{more}"


def words(answer: TestResponse | str) -> str:
    """What a page says, in one line."""
    found = answer if isinstance(answer, str) else answer.get_data(as_text=True)
    main = found.partition("<main")[2].partition("</main>")[0].partition(">")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def said(answer: TestResponse, role: str = "alert") -> list[str]:
    """The notices of a page that a screen reader announces."""
    found = re.findall(
        rf'<(p|div) class="notice[^"]*" role="{role}">(.*?)</\1>', answer.get_data(as_text=True), re.DOTALL
    )
    return [words(f"<main>{inner}</main>") for _, inner in found]


def fields(answer: TestResponse, shop: int, name: str = "gameball") -> dict[str, str]:
    return Forms(answer.get_data(as_text=True)).found[page(shop, name)]


def stored(rig: Rig, shop: int, name: str = "gameball") -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Mode, options and secrets of a destination."""
    with rig.db.read() as session:
        row = session.scalars(
            select(Destination).where(Destination.shop_id == shop, Destination.provider == name)
        ).one()
        return row.mode, row.options, rig.parts.vault.open(row.secrets)


def actions(rig: Rig) -> list[tuple[str, str]]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.action != "sign in").order_by(AuditEntry.id))
        return [(row.actor, row.action) for row in rows]


# cards


def test_every_provider_has_a_card_that_says_how_it_stands(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    rig.set(shop, "sprii", mode="live", api_key="k")
    rig.set(shop, "esputnik", mode="shadow", api_key="k")
    rig.set(shop, "seeka", organisation_id="o")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    told = words(anna.get(f"/shops/{shop}/providers"))
    assert told.startswith(
        "Providers The tracking services that your orders are sent to. Each one is switched on by itself."
        " Sprii Live Orders are sent as they come in. 1 delivered Settings Sprii"
        " Spotler Activate Not set up Enter the credentials to begin. Nothing is sent before you switch it on. Set up"
        " Spotler Activate"
        " Seeka Off Something is still to be entered before it can be switched on. Settings Seeka"
        " Gameball Waits for you Nothing is sent at the moment: Gameball answered 401, code 1000: the API key is wrong."
        " Nothing is lost. Mend it, usually by entering the credentials anew, and test the connection: what waits goes"
        " out by itself then. 1 waiting Settings Gameball"
        " eSputnik Shadow mode What would be sent is built and checked, and kept here. Nothing leaves."
    ), told


def test_nobody_sees_or_changes_the_providers_of_another_store(rig: Rig, anna: Visitor) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "gameball")
    before = stored(rig, other)
    token = anna.token()
    gets = [f"/shops/{other}/providers", page(other), page(other, more="/ready")]
    posts = [page(other), page(other, more="/test"), page(other, more="/mode")]
    assert [anna.get(path).status_code for path in gets] == [404] * 3
    form = {"csrf_token": token, "mode": "off", "api_key": HUSH}
    assert [anna.post(path, **form).status_code for path in posts] == [404] * 3
    assert (stored(rig, other), actions(rig)) == (before, [])


def test_a_provider_that_does_not_exist_is_not_found(anna: Visitor, shop: int) -> None:
    token = anna.token()
    assert [anna.get(page(shop, "mailer", more)).status_code for more in ("", "/ready")] == [404, 404]
    answers = [anna.post(page(shop, "mailer", more), csrf_token=token) for more in ("", "/test", "/mode")]
    assert [each.status_code for each in answers] == [404, 404, 404]


# the form


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_form_is_the_declaration(anna: Visitor, shop: int, name: str) -> None:
    answer = anna.get(page(shop, name))
    found, told = answer.get_data(as_text=True), words(answer)
    for setting in PROVIDERS[name].settings:
        assert f'for="{setting.name}"' in found
        assert setting.label in told
        assert setting.help in told
        assert all(label in told for _, label in setting.choices)
        assert setting.link is None or f'href="{setting.link}" target="_blank" rel="noopener noreferrer"' in found
    shown, _, folded = found.partition("<details")
    for setting in PROVIDERS[name].settings:
        assert f'id="{setting.name}"' in (folded if setting.advanced else shown)
    assert all(hint in told for hint in PROVIDERS[name].hints)


def test_a_stored_key_is_told_by_its_end_alone(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", api_key=HUSH + "-1234", secret_key="short-one")
    answer = anna.get(page(shop))
    told = words(answer)
    assert "API key set, ends with 1234" in told
    assert "Secret key set On the same page." in told
    assert "hush" not in answer.get_data(as_text=True)
    assert "short-one" not in answer.get_data(as_text=True)
    assert {name: fields(answer, shop)[name] for name in ("api_key", "secret_key")} == {"api_key": "", "secret_key": ""}


def test_saving_keeps_what_was_not_touched_and_stores_only_what_differs(rig: Rig, anna: Visitor, shop: int) -> None:
    first = anna.press(page(shop), page(shop), api_key=f" {HUSH} ", order_trigger="order.placed", guest_prefix="g:")
    assert (first.status_code, first.location) == (303, page(shop, more="?done=saved"))
    assert said(anna.get(first.location), "status") == ["The settings are saved."]
    assert stored(rig, shop) == ("off", {"order_trigger": "order.placed", "guest_prefix": "g:"}, {"api_key": HUSH})
    form = fields(anna.get(page(shop)), shop)
    del form["send_carts"]  # as a browser does with an empty box
    assert anna.post(page(shop), **{**form, "order_trigger": "order.paid"}).status_code == 303
    assert stored(rig, shop) == ("off", {"guest_prefix": "g:", "send_carts": False}, {"api_key": HUSH})
    assert actions(rig) == [("account:1", "set provider")] * 2


def test_a_form_that_changes_nothing_saves_nothing(rig: Rig, anna: Visitor, shop: int) -> None:
    assert anna.press(page(shop), page(shop)).status_code == 303
    assert actions(rig) == []
    with rig.db.read() as session:
        assert session.scalars(select(Destination)).all() == []


def test_a_stored_key_can_be_forgotten(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", api_key=HUSH, secret_key="x")
    anna.press(page(shop), page(shop), **{"forget-api_key": "1"})
    assert stored(rig, shop) == ("off", {}, {"secret_key": "x"})


def test_a_table_is_shown_and_read_line_by_line(rig: Rig, anna: Visitor, shop: int) -> None:
    form = fields(anna.get(page(shop, "esputnik")), shop, "esputnik")
    assert form["status_map"].startswith("pending = INITIALIZED\r\nprocessing = IN_PROGRESS\r\n")
    anna.post(page(shop, "esputnik"), **{**form, "status_map": "paid = DELIVERED\r\n\r\nfailed=CANCELLED\r\n"})
    assert stored(rig, shop, "esputnik")[1] == {"status_map": {"paid": "DELIVERED", "failed": "CANCELLED"}}


def test_all_wrong_fields_are_told_at_once_and_nothing_is_saved(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="k1", secret_key="k2")
    answer = anna.press(
        *(page(shop), page(shop)),
        **{"api_key": HUSH, "return_window_days": "soon", "channel": "moon", "merchant_name": "a\0b"},
        **{"guest_prefix": "mine:", "forget-secret_key": "1"},
    )
    assert answer.status_code == 400
    assert said(answer) == [
        "Nothing was saved or changed. Please look at:"
        " Secret key : Gameball cannot be switched on without it."
        " Channel : Choose one of web, pos, mobile, callcenter."
        " Days until points become final : Enter a whole number."
        " Merchant name : This holds characters that cannot be sent. Copy it again."
        " If you entered a key, enter it again: keys are never shown, not even your own."
    ]
    found = answer.get_data(as_text=True)
    assert (fields(answer, shop)["guest_prefix"], fields(answer, shop)["return_window_days"]) == ("mine:", "soon")
    assert '<details class="rare" open>' in found
    assert 'aria-describedby="wrong-return_window_days help-return_window_days" aria-invalid="true"' in found
    assert HUSH not in found
    assert stored(rig, shop) == ("live", {}, {"api_key": "k1", "secret_key": "k2"})


HOSTILE = "\"><script>alert(1)</script>{{ 7 * 7 }}%(x)s'"


def test_a_hostile_value_stays_text(rig: Rig, anna: Visitor, shop: int) -> None:
    anna.press(page(shop, "seeka"), page(shop, "seeka"), activity_id=HOSTILE)
    assert stored(rig, shop, "seeka")[1] == {"activity_id": HOSTILE}
    answer = anna.get(page(shop, "seeka"))
    assert "<script>alert" not in answer.get_data(as_text=True)
    assert fields(answer, shop, "seeka")["activity_id"] == HOSTILE


def test_a_value_too_long_is_refused(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = anna.press(page(shop), page(shop), guest_prefix="x" * 2001)
    assert answer.status_code == 400
    assert "Prefix of guest ids : This is too long. Copy it again." in said(answer)[0]


def test_fields_that_are_not_of_the_form_change_nothing(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = anna.post(page(shop), csrf_token=anna.token(), version="", mode="live", held="", colour="red")
    assert answer.status_code == 303
    assert actions(rig) == []


# two tabs


def test_a_tab_that_saves_second_is_warned_and_loses_nothing(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", api_key="first-key-00001111")
    old = fields(anna.get(page(shop)), shop)
    anna.press(page(shop), page(shop), api_key="other-key-00002222", guest_prefix="theirs:", merchant_name="Theirs")
    before = stored(rig, shop)
    answer = anna.post(page(shop), **{**old, "guest_prefix": "mine:", "order_trigger": "order.placed"})
    assert answer.status_code == 409
    (warning,) = said(answer)
    assert warning == (
        "Somebody else changed this meanwhile, so nothing was saved. What you changed still stands in its fields; keys"
        " have to be entered again, for they are never shown. Look, then save once more."
        " Setting When you opened this page Saved meanwhile"
        " API key set, ends with 1111 set, ends with 2222"
        " Prefix of guest ids guest: theirs:"
        " Merchant name empty Theirs"
    )
    assert stored(rig, shop) == before
    form = fields(answer, shop)
    shown = {name: form[name] for name in ("guest_prefix", "order_trigger", "merchant_name")}
    assert shown == {"guest_prefix": "mine:", "order_trigger": "order.placed", "merchant_name": "Theirs"}
    assert anna.post(page(shop), **form).status_code == 303
    assert stored(rig, shop) == (
        *("off", {"guest_prefix": "mine:", "order_trigger": "order.placed", "merchant_name": "Theirs"}),
        {"api_key": "other-key-00002222"},
    )


def test_a_first_save_in_two_tabs_warns_the_second(rig: Rig, anna: Visitor, shop: int) -> None:
    old = fields(anna.get(page(shop)), shop)
    anna.press(page(shop), page(shop), api_key="first-key-00001111")
    answer = anna.post(page(shop), **{**old, "api_key": "other-key-00002222"})
    assert answer.status_code == 409
    assert "API key not set set, ends with 1111" in said(answer)[0]
    assert stored(rig, shop)[2] == {"api_key": "first-key-00001111"}


@pytest.mark.parametrize(("mode", "more"), [("off", ""), ("live", "/ready")])
def test_a_stale_switch_is_warned(rig: Rig, anna: Visitor, shop: int, mode: str, more: str) -> None:
    rig.switch_on(shop, "gameball", mode="shadow")
    old = Forms(anna.get(page(shop, more=more)).get_data(as_text=True)).found[page(shop, more="/mode")]
    anna.press(page(shop), page(shop), guest_prefix="theirs:")
    answer = anna.post(page(shop, more="/mode"), **{**old, "mode": mode})
    assert answer.status_code == 409
    assert said(answer)[0].startswith("Somebody else changed ")
    assert stored(rig, shop)[0] == "shadow"


# test connection


def test_a_test_is_answered_honestly(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", **CREDENTIALS["gameball"])
    told = []
    for fault, key in ((None, "k"), (None, "wrong-key"), (500, "k")):
        rig.set(shop, "gameball", api_key=key)
        if fault:
            rig.simulators.app.set_faults("gameball", [{"kind": "status", "status": fault}])
        answer = anna.press(page(shop), page(shop, more="/test"))
        assert answer.status_code == 200
        told += said(answer, "(?:status|alert)")
    assert told == [
        "Accepted. Gameball took both keys. It does not say whether the API key is the test or the live one."
        " Nothing is sent yet. Try it in shadow mode, or go live.",
        "Refused. Gameball does not take these credentials. Gameball answered 401 1000; Unauthorized"
        " Nothing is lost. Copy the credentials from Gameball again, then save and test.",
        "Could not tell. Whether Gameball takes these credentials is not known: Gameball answered 500 5000;"
        " Simulated fault Nothing is lost, and the settings stay as they are saved. Test again in a few minutes.",
    ]
    assert actions(rig) == [("account:1", "test provider")] * 3


def test_saving_and_testing_is_one_press(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    answer = anna.press(page(shop), page(shop), api_key=HUSH, then="test")
    assert said(answer, "status") == [
        "The settings are saved.",
        "Accepted. Gameball took both keys. It does not say whether the API key is the test or the live one.",
    ]
    assert HUSH not in answer.get_data(as_text=True)
    rig.work()
    assert rig.states() == [("order", "delivered", "80 points")]
    assert actions(rig) == [("account:1", "set provider"), ("account:1", "test provider")]


def test_an_accepted_test_says_how_much_goes_out(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", mode="live", api_key="wrong-key", secret_key="x")
    for number in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number, customer_id=5))
    rig.work()
    with rig.db.write() as session:  # mended at the provider
        sealed = rig.parts.vault.close(CREDENTIALS["gameball"])
        session.execute(text("UPDATE destinations SET secrets = :s, updated_at = '2026-01-01'"), {"s": sealed})
    answer = anna.press(page(shop), page(shop, more="/test"))
    assert said(answer, "status")[0].endswith("2 deliveries that were waiting go out now.")
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered", "delivered"]


def test_without_credentials_there_is_nothing_to_test_and_nobody_is_asked(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = anna.post(page(shop, more="/test"), csrf_token=anna.token())
    assert (answer.status_code, rig.received("gameball")) == (400, [])
    assert said(answer) == [
        "The connection was not tested. Something is missing:"
        " API key : Enter it first; then test. Secret key : Enter it first; then test."
    ]
    saved = anna.press(page(shop), page(shop), api_key=HUSH, then="test")
    assert (saved.status_code, rig.received("gameball"), stored(rig, shop)[2]) == (200, [], {"api_key": HUSH})
    assert said(saved, "status") == ["The settings are saved."]
    assert said(saved) == [
        "The connection was not tested. Something is missing: Secret key : Enter it first; then test."
    ]


def test_testing_is_limited_however_it_is_asked_for_and_saving_alone_is_not(
    rig: Rig, app: Flask, anna: Visitor, shop: int
) -> None:
    token = anna.token()
    app.config["RATELIMIT_ENABLED"] = True
    limiter.reset()
    try:
        most = int(limits.CONNECT.partition(" ")[0])
        told = [anna.post(page(shop, more="/test"), csrf_token=token).status_code for _ in range(most)]
        assert told == [400] * most
        assert anna.post(page(shop, more="/test"), csrf_token=token).status_code == 429
        assert anna.post(page(shop), csrf_token=token, then="test", api_key=HUSH).status_code == 429
        assert anna.post(page(shop), csrf_token=token, api_key=HUSH, version="").status_code == 303
    finally:
        limiter.reset()


# mode


def test_modes_are_switched_and_said(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", **CREDENTIALS["gameball"])
    told = []
    for mode in ("shadow", "live", "off"):
        answer = anna.press(page(shop), page(shop, more="/mode"), mode=mode)
        assert (answer.status_code, answer.location) == (303, page(shop, more=f"?done={mode}"))
        told += said(anna.get(answer.location), "status")
        assert stored(rig, shop)[0] == mode
    assert told == [
        "Gameball is in shadow mode: look at what is built before anything is sent.",
        "Gameball is live. The next order shows here within seconds.",
        "Gameball is switched off. What was still waiting is kept.",
    ]
    assert actions(rig) == [("account:1", "switch provider")] * 3


def test_pages_agree_on_what_becomes_of_orders_that_come_while_it_is_off(rig: Rig, anna: Visitor, shop: int) -> None:
    remedy = "whoever runs Tillwire for you can send past days to it (tillwire destinations set, --last-days)."
    overview, order = f"/shops/{shop}", f"/shops/{shop}/orders/1"
    assert (
        "What the store tells us is kept. One that you switch on is sent what comes from then on; " + remedy
    ) in words(anna.get(overview))
    rig.set(shop, "sprii", **CREDENTIALS["sprii"])
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.work()
    kept = "They are kept all the same: once it is on, " + remedy
    assert f"Orders that come in while it is off are not collected for it. {kept}" in words(
        anna.get(page(shop, "sprii"))
    )
    told = words(anna.get(order))
    assert (
        "It is switched off, so nothing is sent to it, and switching it on sends only what comes from then on. The"
        " order is kept: once it is on, " + remedy
    ) in told
    anna.press(page(shop, "sprii"), page(shop, "sprii", "/mode"), mode="live")
    rig.work()
    assert "orders that come in meanwhile are not collected for it. " + kept in words(anna.get(page(shop, "sprii")))
    told = words(anna.get(order))
    assert f"As they are now it would be sent. The order is kept: {remedy}" in told
    assert rig.received("sprii") == []
    rig.set(shop, "sprii", last_days=9000)
    rig.work()
    assert len(rig.received("sprii")) == 1


@pytest.mark.parametrize("wrong", [{"mode": "loud"}, {"mode": ""}, {"mode": "live", "collected": "8"}])
def test_a_switch_that_is_none_of_ours_is_refused(rig: Rig, anna: Visitor, shop: int, wrong: dict[str, str]) -> None:
    rig.switch_on(shop, "gameball", mode="shadow")
    assert anna.press(page(shop), page(shop, more="/mode"), **wrong).status_code == 400
    assert stored(rig, shop)[0] == "shadow"


def test_nothing_goes_live_that_lacks_a_key(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = anna.post(page(shop, more="/mode"), csrf_token=anna.token(), mode="live", version="")
    assert answer.status_code == 400
    assert said(answer)[0].startswith(
        "Nothing was saved or changed. Please look at: API key : Gameball cannot be switched on without it."
    )
    assert (actions(rig), rig.states()) == ([], [])


# before going live


def test_the_check_list_names_what_is_missing(anna: Visitor, shop: int) -> None:
    answer = anna.get(page(shop, more="/ready"))
    told = words(answer)
    assert "Settings (to be mended) Still missing: API key, Secret key. Enter it" in told
    assert "Connection (worth a look) Not tested yet." in told
    assert "No order or cart came in yet that concerns Gameball." in told
    assert all(hint in told for hint in PROVIDERS["gameball"].hints)
    assert 'value="live"' not in answer.get_data(as_text=True)


def test_the_check_list_shows_the_complaints_and_the_reasons(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "spotler", api_key="k", account_id="a")
    order = woocommerce_order(1)
    order["line_items"][0]["sku"] = ""
    rig.woocommerce(shop, "order.updated", order)
    rig.account()
    told = words(anna.get(page(shop, "spotler", "/ready")))
    assert "Of the last 50 events, 1 concern Spotler Activate: 1 would be sent." in told
    assert (
        "Amounts and rules of Spotler Activate (worth a look) This looks odd. It is sent all the same, and noted on"
        " each delivery: A product without SKU was named by its id; Activate matches products by SKU."
        " (1 event; order 1 )"
    ) in told


def test_the_check_list_shows_the_last_test(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "gameball", **CREDENTIALS["gameball"])
    anna.press(page(shop), page(shop, more="/test"))
    told = words(anna.get(page(shop, more="/ready")))
    assert re.search(
        r"Connection \(in order\) Gameball took the credentials \( ?\d+ \w+ \d+, \d\d:\d\d ?\)\. Test connection", told
    ), told
    anna.press(page(shop), page(shop), guest_prefix="g:")
    assert "The settings were changed since." in words(anna.get(page(shop, more="/ready")))


def test_going_live_can_send_what_shadow_mode_collected(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.switch_on(shop, "sprii", mode="shadow")
    for number in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number))
    rig.work()
    told = words(anna.get(page(shop, "sprii", "/ready")))
    assert "Leave it: send only what comes in from now on Send it too, of the last day: 2 deliveries" in told
    form = Forms(anna.get(page(shop, "sprii", "/ready")).get_data(as_text=True)).found[page(shop, "sprii", "/mode")]
    assert form["collected"] == "0"
    answer = anna.post(page(shop, "sprii", "/mode"), **{**form, "mode": "live", "collected": "1"})
    assert answer.status_code == 303
    rig.work()
    assert [state for _, state, _ in rig.states()] == ["delivered", "delivered"]
    assert len(rig.received("sprii")) == 2


def test_more_than_was_counted_is_told_as_more(
    rig: Rig, anna: Visitor, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_page, "NEWEST", 1)
    rig.switch_on(shop, "sprii", mode="shadow")
    for number in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(number))
    rig.work()
    told = words(anna.get(page(shop, "sprii", "/ready")))
    for days in ("day", "7 days", "30 days"):
        assert f"Send it too, of the last {days}: more than 1 deliveries" in told


def test_the_check_list_warns_of_what_goes_out_at_once(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.switch_on(shop, "sprii")
    rig.woocommerce(shop, "order.updated", woocommerce_order(1))
    rig.account()
    anna.press(page(shop, "sprii"), page(shop, "sprii", "/mode"), mode="off")
    told = words(anna.get(page(shop, "sprii", "/ready")))
    assert "1 delivery is waiting and goes out at once." in told


# credentials that cannot be opened


def test_locked_credentials_are_said_and_nothing_changes(rig: Rig, shop: int) -> None:
    rig.switch_on(shop, "gameball")
    with serving(rig) as app:
        app.config["RATELIMIT_ENABLED"] = False
        anna = Visitor(app)
        anna.join(anna.sign_in(), shop)
        app.extensions["vault"] = configure.Vault(type(rig.config.cipher())([Fernet(Fernet.generate_key())]))
        assert "The stored credentials cannot be opened here" in words(anna.get(f"/shops/{shop}/providers"))
        assert "The stored credentials cannot be opened here" in words(anna.get(page(shop)))
        answers = [
            anna.press(page(shop), page(shop), api_key=HUSH),
            anna.post(page(shop, more="/test"), csrf_token=anna.token()),
            anna.press(page(shop), page(shop, more="/mode"), mode="off"),
        ]
    sentence = "The stored credentials of Gameball cannot be opened here, so nothing was changed. Nothing is lost"
    assert [each.status_code for each in answers] == [502, 502, 502]
    assert all(sentence in each.get_data(as_text=True) for each in answers)
    assert stored(rig, shop) == ("live", {}, CREDENTIALS["gameball"])


# inside Shopify's admin


def test_inside_the_admin_a_form_saves_by_the_id_token_alone(rig: Rig, app: Flask) -> None:
    shop = connect(rig, rig.shop("shopify", DOMAIN))
    visitor, headers = Visitor(app), {"Authorization": f"Bearer {id_token()}"}
    answer = visitor.post(page(shop), headers=headers, version="", api_key=HUSH)
    assert answer.status_code == 303
    assert (stored(rig, shop)[2], actions(rig)) == ({"api_key": HUSH}, [("shopify:77", "set provider")])
    assert "csrf_token" not in visitor.get(page(shop), headers=headers).get_data(as_text=True)
