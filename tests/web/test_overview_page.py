"""A store's first page: what is left to set up, how today goes, what is wrong and where to mend it; and its frame."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from flask import Flask
from sqlalchemy import update

from app.models import ConnectionState, Delivery, Destination, Shop
from app.services import data_request
from tests.bodies import woocommerce_order
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, Visitor, connect, id_token, serving


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
        yield app


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def mine(rig: Rig, visitor: Visitor) -> int:
    shop = connect(rig, rig.shop("woocommerce"))
    visitor.join(visitor.sign_in(), shop)
    return shop


def text(visitor: Visitor, path: str) -> str:
    return re.sub(r"\s+", " ", visitor.get(path).get_data(as_text=True))


def steps(page: str) -> list[str]:
    return re.findall(r'<span class="seen">\(([^)]+)\)</span>', page)


def test_a_new_store_is_shown_the_way_to_its_first_delivery(visitor: Visitor, mine: int) -> None:
    page = text(visitor, f"/shops/{mine}")
    assert '<h2 id="setup">Setting up</h2>' in page
    assert steps(page) == ["done", "to do", "not seen from here", "to do", "to do"]
    assert f'<a href="/shops/{mine}/providers">Switch on a tracking service</a>' in page
    assert "First order delivered" in page
    assert "No provider is switched on yet, so nothing is sent to anybody." in page
    assert "Nothing was to be sent yet." in page
    assert "Needs your attention" not in page


def test_a_store_that_works_shows_its_day(rig: Rig, visitor: Visitor, mine: int) -> None:
    rig.switch_on(mine, "gameball")
    for order in (1, 2):
        rig.woocommerce(mine, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()
    page = text(visitor, f"/shops/{mine}")
    assert "<dt>Orders heard of</dt><dd>2</dd>" in page
    assert "<dt>Longest wait</dt><dd>nothing waits</dd>" in page
    assert '<th scope="row">Gameball </th> <td data-label="Delivered">2</td>' in page
    assert "<summary>Everything is set up</summary>" in page
    assert steps(page) == ["done"] * 5


def test_what_shadow_mode_built_is_counted_by_itself_and_never_as_delivered(
    rig: Rig, visitor: Visitor, mine: int
) -> None:
    rig.switch_on(mine, "gameball")
    assert "Shadow" not in text(visitor, f"/shops/{mine}")
    rig.switch_on(mine, "seeka", mode="shadow")
    for order in (1, 2):
        rig.woocommerce(mine, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()
    page = text(visitor, f"/shops/{mine}")
    today = {
        title: [(label, int(number)) for label, number in re.findall(r'data-label="([^"]+)">(\d+)<', cells)]
        for title, cells in re.findall(r'<th scope="row">(\w+) (.*?)</tr>', page)
        if "data-label" in cells
    }
    columns = ("Delivered", "Skipped", "On the way", "Held", "Needs you", "Shadow")
    assert today == {
        "Gameball": list(zip(columns, (2, 0, 0, 0, 0, 0), strict=True)),
        "Seeka": list(zip(columns, (0, 0, 0, 0, 0, 2), strict=True)),
    }
    assert "Shadow means that it was built and checked, and sent to nobody." in page
    names = re.findall(r'<th scope="col">([^<]+)</th>', page.partition('<h2 id="days">')[2])
    assert names == ["Day", "Delivered", "Skipped", "Waiting", "Needs you", "Shadow"]
    last_day = re.findall(r"<td>(\d+)</td>", page)[-5:]
    assert last_day == ["2", "0", "0", "0", "2"]
    wide, narrow = (
        base64.b64decode(each).decode() for each in re.findall(r'="data:image/svg\+xml;base64,([^"]+)"', page)
    )
    assert [each.count(">Shadow</text>") for each in (wide, narrow)] == [1, 1]


def test_each_thing_that_is_wrong_has_its_cause_and_a_way_on(rig: Rig, visitor: Visitor) -> None:
    shop = connect(rig, rig.shop("woocommerce"), ConnectionState.ATTENTION, trouble="The store refuses our <key>.")
    visitor.join(visitor.sign_in(), shop)
    rig.switch_on(shop, "gameball", "seeka")
    for order in (1, 2):
        rig.woocommerce(shop, "order.updated", woocommerce_order(order, customer_id=5))
    rig.work()
    with rig.db.write() as session:
        change = (
            update(Delivery).where(Delivery.provider == "gameball").values(state="dead", reason="422: <no> customer")
        )
        session.execute(change)
        session.execute(update(Delivery).where(Delivery.provider == "seeka").values(state="unknown"))
        session.execute(update(Destination).where(Destination.provider == "seeka").values(held="Seeka answered 401."))
    page = text(visitor, f"/shops/{shop}")
    listed = re.findall(r"<li> (<strong>.*?) </li>", page)
    assert listed == [
        "<strong>The connection to the store.</strong> The store refuses our &lt;key&gt;."
        f' <a href="/shops/{shop}/connection">Look at the connection</a>',
        "<strong>Seeka is on hold.</strong> Seeka answered 401. Nothing is lost: everything waits, and goes out once"
        f' this is mended. <a href="/shops/{shop}/providers/seeka">Mend it</a>',
        "<strong>2 deliveries to Gameball failed.</strong> They are kept. The newest one says: 422: &lt;no&gt;"
        f' customer. <a href="/shops/{shop}/deliveries?provider=gameball&amp;state=dead">Look at them, mend the cause,'
        " resend</a>",
        "<strong>2 answers of Seeka were lost.</strong> Whether they arrived is not known, and sending them again could"
        f' count them twice. <a href="/shops/{shop}/deliveries?provider=seeka&amp;state=unknown">Look each up, then'
        " decide</a>",
    ]
    for address in re.findall(r'href="([^"]+)"', " ".join(listed)):
        assert visitor.get(address.replace("&amp;", "&")).status_code == 200, address


def test_a_file_that_a_buyer_asked_for_is_told_of_with_its_day(rig: Rig, visitor: Visitor, mine: int) -> None:
    now = datetime.now(UTC)
    with rig.db.write() as session:
        data_request.keep(session, rig.parts.vault, mine, "asked", {}, now)
    page = text(visitor, f"/shops/{mine}")
    day = f"{now + timedelta(days=30):%B %-d, %Y}"
    assert (
        "<strong>A buyer asked for the data that you keep of them.</strong> Tillwire made the file that you have to"
        " hand over. Whoever runs Tillwire for you fetches it (tillwire exports list); ask for it."
        f" It is deleted on {day}."
    ) in page
    with rig.db.write() as session:
        data_request.keep(session, rig.parts.vault, mine, "asked again", {}, now)
    assert "<strong>2 buyers asked for the data that you keep of them.</strong>" in text(visitor, f"/shops/{mine}")


def test_the_chart_is_an_image_without_script_or_anything_of_others(rig: Rig, visitor: Visitor, mine: int) -> None:
    rig.switch_on(mine, "gameball")
    rig.woocommerce(mine, "order.updated", woocommerce_order(1, customer_id=5))
    rig.work()
    page = visitor.get(f"/shops/{mine}").get_data(as_text=True)
    charts = re.findall(r'="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(charts) == 2
    for chart in charts:
        drawn = base64.b64decode(chart).decode()
        tags = {each.tag.rpartition("}")[2] for each in ElementTree.fromstring(drawn).iter()}
        assert tags <= {"svg", "g", "rect", "text", "title", "path", "style", "defs"}
        assert set(re.findall(r"//[^\"' <>]+", drawn)) <= {"//www.w3.org/2000/svg", "//www.w3.org/1999/xlink"}
        assert drawn.count("<rect") == drawn.count('class="background"') + 4 + 1  # the legend, and one bar
    assert len(page) < 100_000


def test_times_are_those_of_the_shops_zone(rig: Rig, visitor: Visitor, mine: int) -> None:
    with rig.db.write() as session:
        session.get_one(Shop, mine).settings = {"facts": {"timezone": "Asia/Tokyo"}}
    assert "Times are in the time zone Asia/Tokyo." in text(visitor, f"/shops/{mine}")


def test_the_frame_leads_to_every_page_of_the_store_and_says_which_one_this_is(visitor: Visitor, mine: int) -> None:
    pages = {
        "": "Overview",
        "/orders": "Orders",
        "/deliveries": "Deliveries",
        "/providers": "Providers",
        "/connection": "Connection",
        "/settings": "Settings",
    }
    for path, title in pages.items():
        page = visitor.get(f"/shops/{mine}{path}").get_data(as_text=True)
        [nav] = re.findall(r"<nav [^>]*>(.*?)</nav>", page, re.DOTALL)
        found = re.findall(r'<a href="([^"]+)"( aria-current="page")?>([^<]+)</a>', nav)
        assert [(link, name) for link, _, name in found] == [(f"/shops/{mine}{p}", n) for p, n in pages.items()]
        assert [name for _, here, name in found if here] == [title]


def test_in_the_admin_the_pages_are_in_its_own_menu(rig: Rig, visitor: Visitor) -> None:
    shop = connect(rig, rig.shop("shopify", DOMAIN))
    query = {"id_token": id_token(), "shop": DOMAIN, "host": "aG9zdA", "embedded": "1"}
    page = visitor.get(f"/shops/{shop}", query_string=query).get_data(as_text=True)
    [nav] = re.findall(r"<s-app-nav>(.*?)</s-app-nav>", page, re.DOTALL)
    links = re.findall(r'<s-link href="([^?"]+)\?[^"]*"[^>]*>([^<]+)</s-link>', nav)
    assert links == [
        ("/", "Overview"),
        (f"/shops/{shop}/orders", "Orders"),
        (f"/shops/{shop}/deliveries", "Deliveries"),
        (f"/shops/{shop}/providers", "Providers"),
        (f"/shops/{shop}/connection", "Connection"),
        (f"/shops/{shop}/settings", "Settings"),
    ]
    assert "<nav" not in page


def test_where_there_is_no_store_there_is_no_menu(visitor: Visitor) -> None:
    for path in ("/sign-in", "/nowhere"):
        assert "<nav" not in visitor.get(path).get_data(as_text=True)
    visitor.sign_in()
    assert "<nav" not in visitor.get("/").get_data(as_text=True)


def test_short_addresses_lead_to_the_only_store_or_to_the_choice(rig: Rig, visitor: Visitor, mine: int) -> None:
    def led() -> dict[str, str | None]:
        return {path: visitor.get(path).location for path in ("/orders", "/deliveries", "/mappings", "/settings")}

    assert led() == {
        "/orders": f"/shops/{mine}/orders",
        "/deliveries": f"/shops/{mine}/deliveries",
        "/mappings": f"/shops/{mine}/providers",
        "/settings": f"/shops/{mine}/settings",
    }
    visitor.join(visitor.sign_in(), rig.shop("woocommerce", "https://second.example"))
    assert set(led().values()) == {"/"}
