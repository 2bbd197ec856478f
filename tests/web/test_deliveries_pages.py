"""The pages of deliveries: filters, sending again after a count, settling what is unknown, a download."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.models import Attempt, AuditEntry, Delivery, Shop
from app.services import resend
from app.services.delivery_list import mark
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, Forms, Visitor, connect, id_token, serving

OLD = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
        yield app


@pytest.fixture
def shop(rig: Rig) -> int:
    """One with four orders for Sprii: delivered, dead, held, unknown."""
    shop = rig.shop("woocommerce")
    rig.switch_on(shop, "sprii")
    for order_id in (1, 2, 3, 4):
        assert rig.woocommerce(shop, "order.updated", woocommerce_order(order_id)) == "stored"
    rig.work()
    put(rig, 2, state="dead", reason="refused", created_at=OLD)
    put(rig, 3, state="held", reason="mend it")
    put(rig, 4, state="unknown", reason="lost")
    with rig.db.write() as session:
        session.execute(update(Attempt).where(Attempt.delivery_id.in_([2, 3])).values(outcome="refused"))
    return shop


@pytest.fixture
def anna(app: Flask, shop: int) -> Visitor:
    visitor = Visitor(app)
    visitor.join(visitor.sign_in(), shop)
    return visitor


def put(rig: Rig, delivery_id: int, **values: Any) -> None:
    with rig.db.write() as session:
        session.execute(update(Delivery).where(Delivery.id == delivery_id).values(**values))


def states(rig: Rig) -> list[str]:
    return [each["state"] for each in rig.deliveries()]


def listed(answer: TestResponse) -> list[int]:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    parts = answer.get_data(as_text=True).split('name="id" value="')[1:]
    return [int(part.partition('"')[0]) for part in parts]


def actions(rig: Rig) -> list[str]:
    with rig.db.read() as session:
        rows = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    return [each for each in rows if each.startswith(("resend", "settle", "try"))]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [4, 3, 1, 2]),
        ("state=dead", [2]),
        ("provider=sprii&state=held", [3]),
        ("provider=gameball", []),
        (f"state=dead&reason={mark('refused')}", [2]),
        (f"state=dead&reason={mark('mend it')}", []),
        ("until=2026-11-20", []),
        ("until=2026-11-21&since=2026-11-21&state=dead", [2]),  # half past midnight on the shop's clock
        ("state=nonsense&provider=nonsense&since=yesterday&until=9999-12-31&before=x&since=", [4, 3, 1, 2]),
        ("since=0001-01-01", [4, 3, 1, 2]),
    ],
)
def test_a_filter_is_what_it_says_and_nonsense_is_none(
    rig: Rig, anna: Visitor, shop: int, query: str, found: list[int]
) -> None:
    with rig.db.write() as session:
        session.execute(update(Shop).values(settings={"facts": {"timezone": "Europe/Amsterdam"}}))
    assert listed(anna.get(f"/shops/{shop}/deliveries?{query}")) == found


def test_a_list_without_deliveries_says_what_will_stand_there(rig: Rig, anna: Visitor, app: Flask) -> None:
    empty = rig.shop("woocommerce", "https://empty.example")
    anna.join(1, empty)
    text = anna.get(f"/shops/{empty}/deliveries").get_data(as_text=True)
    assert "<h2>No deliveries yet</h2>" in text
    assert "How many there are" not in text


def test_a_reason_stands_in_no_address(rig: Rig, anna: Visitor, shop: int) -> None:
    put(rig, 2, reason="Robin Sample is refused")
    text = anna.get(f"/shops/{shop}/deliveries?state=dead").get_data(as_text=True)
    assert "Robin Sample is refused" in text
    assert f'<option value="{mark("Robin Sample is refused")}">' in text
    assert "Robin" not in "".join(each.partition('"')[0] for each in text.split('href="')[1:])


def ask(anna: Visitor, shop: int, **fields: Any) -> TestResponse:
    path = f"/shops/{shop}/deliveries/resend"
    return anna.client.post(path, base_url=anna.url, data={"csrf_token": anna.token(), **fields})


def confirm(anna: Visitor, shop: int, asked: TestResponse, **more: str) -> TestResponse:
    path = f"/shops/{shop}/deliveries/resend"
    return anna.post(path, **{**Forms(asked.get_data(as_text=True)).found[path], **more})


def test_sending_again_asks_first_with_the_count(rig: Rig, anna: Visitor, shop: int) -> None:
    asked = ask(anna, shop, id=["1", "2", "3"], what="marked")
    text = asked.get_data(as_text=True)
    assert (asked.status_code, states(rig)) == (200, ["delivered", "dead", "held", "unknown"])
    assert "<h1>Send 3 deliveries again?</h1>" in text
    assert "<dt>Safe to send again</dt><dd>2</dd>" in text
    assert "<dt>Might count twice</dt><dd>1</dd>" in text
    assert actions(rig) == []


def test_what_might_count_twice_goes_only_with_a_tick(rig: Rig, anna: Visitor, shop: int) -> None:
    asked = ask(anna, shop, id="1")
    answer = confirm(anna, shop, asked)
    assert (answer.status_code, states(rig)[0], actions(rig)) == (303, "delivered", [])
    answer = confirm(anna, shop, asked, twice="yes")
    assert answer.location == f"/shops/{shop}/deliveries/1?done=resent&number=1"
    assert (states(rig)[0], actions(rig)) == ("pending", ["resend deliveries"])
    said = anna.get(answer.location).get_data(as_text=True)
    assert "1 delivery is on its way again." in said


def test_what_was_confirmed_is_what_was_shown_though_the_numbers_are_the_same(
    rig: Rig, anna: Visitor, shop: int
) -> None:
    asked = ask(anna, shop, what="all", state="unknown")
    put(rig, 4, state="delivered")  # somebody found it at the provider
    put(rig, 2, state="unknown")  # and the answer to another was lost
    answer = confirm(anna, shop, asked, twice="yes")
    assert (answer.status_code, states(rig), actions(rig)) == (409, ["delivered", "unknown", "held", "delivered"], [])
    assert "Meanwhile these became others, so nothing was sent." in answer.get_data(as_text=True)


def test_a_second_press_sends_nothing_more(rig: Rig, anna: Visitor, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(resend.resend.__kwdefaults__, "most", 1)
    put(rig, 3, state="dead")
    asked = ask(anna, shop, what="all", state="dead")
    assert confirm(anna, shop, asked).status_code == 303
    assert confirm(anna, shop, asked).status_code == 409
    assert states(rig) == ["delivered", "pending", "dead", "unknown"]


def test_what_goes_to_a_provider_that_is_off_is_said_to_be_kept(rig: Rig, anna: Visitor, shop: int) -> None:
    rig.set(shop, "sprii", mode="off")
    answer = confirm(anna, shop, ask(anna, shop, id="2"))
    assert answer.location == f"/shops/{shop}/deliveries/2?done=resent&number=0&waiting=1"
    text = anna.get(answer.location).get_data(as_text=True)
    assert "1 delivery is kept: its provider is held or switched off. It goes out once you mend that." in text
    assert "on its way" not in text


def test_all_that_match_are_sent_again(rig: Rig, anna: Visitor, shop: int) -> None:
    asked = ask(anna, shop, what="all", state="dead", provider="sprii")
    answer = confirm(anna, shop, asked)
    assert answer.location == f"/shops/{shop}/deliveries?done=resent&number=1&provider=sprii&state=dead"
    assert states(rig) == ["delivered", "pending", "held", "unknown"]
    rig.work()
    assert states(rig)[1] == "delivered"


@pytest.mark.parametrize(
    "fields", [{"what": "marked"}, {"what": "all"}, {"what": "all", "state": "pending"}, {"id": "x"}]
)
def test_nothing_chosen_sends_nothing(rig: Rig, anna: Visitor, shop: int, fields: dict[str, str]) -> None:
    answer = ask(anna, shop, **fields)
    assert answer.status_code == 303
    assert "done=nothing" in answer.location
    assert "Nothing was sent." in anna.get(answer.location).get_data(as_text=True)
    assert states(rig) == ["delivered", "dead", "held", "unknown"]


def test_what_changed_meanwhile_is_asked_about_anew(rig: Rig, anna: Visitor, shop: int) -> None:
    asked = ask(anna, shop, what="all", state="dead")
    put(rig, 3, state="dead")
    answer = confirm(anna, shop, asked)
    assert (answer.status_code, states(rig)) == (409, ["delivered", "dead", "dead", "unknown"])
    assert "Meanwhile these became others, so nothing was sent." in answer.get_data(as_text=True)
    assert confirm(anna, shop, answer).status_code == 303
    assert states(rig) == ["delivered", "pending", "pending", "unknown"]


def test_another_stores_deliveries_are_none_of_the_marked(rig: Rig, anna: Visitor, shop: int) -> None:
    other = rig.shop("woocommerce", "https://other.example")
    rig.switch_on(other, "sprii")
    assert rig.woocommerce(other, "order.updated", woocommerce_order(9)) == "stored"
    rig.work()
    put(rig, 5, state="dead")
    asked = ask(anna, shop, id=["5", "2"])
    assert "<dt>Chosen</dt><dd>1</dd>" in asked.get_data(as_text=True)
    confirm(anna, shop, asked, id="5", confirmed="0-0-0-0")
    assert states(rig)[4] == "dead"


@pytest.mark.parametrize(
    ("found", "state", "said"), [("yes", "delivered", "counts as delivered"), ("no", "pending", "on its way")]
)
def test_what_is_unknown_is_settled_by_what_a_person_found(
    rig: Rig, anna: Visitor, shop: int, found: str, state: str, said: str
) -> None:
    page, form = f"/shops/{shop}/deliveries/4", f"/shops/{shop}/deliveries/4/settle"
    answer = anna.press(page, form, found=found)
    assert (answer.status_code, states(rig)[3], actions(rig)) == (303, state, ["settle delivery"])
    assert said in anna.get(answer.location).get_data(as_text=True)
    late = anna.post(form, csrf_token=anna.token(), found=found)
    assert (late.status_code, actions(rig)) == (400, ["settle delivery"])
    assert "somebody settled it already" in late.get_data(as_text=True)


def test_an_answer_that_is_none_settles_nothing(rig: Rig, anna: Visitor, shop: int) -> None:
    answer = anna.press(f"/shops/{shop}/deliveries/4", f"/shops/{shop}/deliveries/4/settle", found="perhaps")
    assert (answer.status_code, states(rig)[3]) == (400, "unknown")


def test_held_ones_are_tried_at_once(rig: Rig, anna: Visitor, shop: int) -> None:
    page = f"/shops/{shop}/deliveries?state=held&provider=sprii"
    answer = anna.press(page, f"/shops/{shop}/deliveries/release")
    assert answer.location == f"/shops/{shop}/deliveries?provider=sprii&done=released&number=1"
    assert (states(rig)[2], actions(rig)) == ("pending", ["try held deliveries"])
    form = f"/shops/{shop}/deliveries/release"
    assert anna.post(form, csrf_token=anna.token(), provider="nobody").status_code == 404
    assert anna.post(form, csrf_token=anna.token(), provider="seeka").status_code == 404


def test_a_delivery_says_why_and_what_can_be_done(rig: Rig, anna: Visitor, shop: int) -> None:
    held = anna.get(f"/shops/{shop}/deliveries/3").get_data(as_text=True)
    assert "It is kept until something is mended, and goes out by itself then: mend it" in held
    assert f'href="/shops/{shop}/providers/sprii"' in held
    delivered = anna.get(f"/shops/{shop}/deliveries/1").get_data(as_text=True)
    assert "The provider has it already and would add its value a second time." in delivered
    put(rig, 1, state="retrying")
    assert "deliveries/resend" not in anna.get(f"/shops/{shop}/deliveries/1").get_data(as_text=True)


def test_the_download_is_the_filtered_list(anna: Visitor, shop: int) -> None:
    answer = anna.get(f"/shops/{shop}/deliveries.csv?state=dead")
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    assert (
        answer.headers["Content-Disposition"] == f'attachment; filename="deliveries-{datetime.now(UTC):%Y-%m-%d}.csv"'
    )
    assert answer.headers["Cache-Control"] == "no-store"
    rows = list(csv.DictReader(answer.get_data(as_text=True).splitlines()))
    assert [(row["delivery"], row["order"], row["state"]) for row in rows] == [("2", "2", "dead")]


def test_inside_the_admin_links_keep_what_the_next_page_needs(rig: Rig, app: Flask) -> None:
    inside = connect(rig, rig.shop("shopify", DOMAIN))
    bearer = {"Authorization": f"Bearer {id_token()}"}
    path = f"/shops/{inside}/deliveries?shop={DOMAIN}&host=aG9zdA&embedded=1&state=held"
    text = Visitor(app).get(path, headers=bearer).get_data(as_text=True)
    assert '<input type="hidden" name="host" value="aG9zdA">' in text
    assert f'action="/shops/{inside}/deliveries?' in text
