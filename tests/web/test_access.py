"""Who may see and change what: every route, every kind of visitor; and what a stranger can learn of a store."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.models import AuditEntry, ConnectionState
from app.services import accounts, configure
from app.services.connections import Connections
from app.services.errands import Errands
from app.web import access
from tests.bodies import woocommerce_order
from tests.processes import until
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, US, Calls, Forms, Visitor, connect, id_token, platforms, serving

STANDALONE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def app(rig: Rig, calls: Calls) -> Iterator[Flask]:
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
        app.extensions["connections"] = Connections(rig.db, platforms(calls))
        yield app


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def mine(rig: Rig, visitor: Visitor) -> int:
    """A connected store of Anna, who is signed in."""
    shop = connect(rig, rig.shop("woocommerce"))
    visitor.join(visitor.sign_in(), shop)
    return shop


# every route


def changing(app: Flask) -> dict[str, str]:
    """The routes that change something, with an address for each."""
    found = {}
    with app.test_request_context(base_url=US):
        for rule in app.url_map.iter_rules():
            if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
                values: dict[str, Any] = dict.fromkeys(rule.arguments, 1)
                found[rule.endpoint] = app.url_for(rule.endpoint, **values, _external=False)
    return found


def test_every_change_demands_a_forms_token_but_for_the_named_exemptions(app: Flask, visitor: Visitor) -> None:
    visitor.sign_in()
    found = changing(app)
    assert {"sign_in.leave", "store.check", "store.disconnect", "connect_woocommerce.begin"} <= set(found)
    for endpoint, path in found.items():
        if endpoint in access.CSRF_EXEMPT:
            continue
        for fields in ({}, {"csrf_token": "forged"}):
            answer = visitor.post(path, **fields)
            assert answer.status_code == 400, endpoint
            assert "This page was open for too long" in answer.get_data(as_text=True), endpoint


def test_only_what_proves_itself_is_exempt(app: Flask) -> None:
    assert {"webhooks.shopify", "webhooks.woocommerce", "connect_woocommerce.callback"} == access.CSRF_EXEMPT
    assert set(changing(app)) >= access.CSRF_EXEMPT
    for endpoint in access.CSRF_EXEMPT:
        answer = app.test_client().post(changing(app)[endpoint], base_url=US)
        assert answer.status_code in (400, 401), endpoint
        assert answer.get_json()["status"] in ("unproven", "refused"), endpoint


def test_a_forms_token_of_another_browser_is_none(app: Flask, visitor: Visitor, mine: int, calls: Calls) -> None:
    thief = Visitor(app)
    thief.sign_in("eve@evil.example")
    assert visitor.post(f"/shops/{mine}/disconnect", csrf_token=thief.token()).status_code == 400
    assert calls.made == []


def test_webhooks_pay_for_no_limit_and_meet_none(rig: Rig, app: Flask) -> None:
    hooks = [*app.before_request_funcs[None], *app.after_request_funcs[None]]
    assert [each.__name__ for each in hooks] == ["<lambda>", "csrf_protect", "_check_csrf", "_tell", "_harden"]
    assert {each.__name__ for each in app.teardown_request_funcs[None]} == {"<lambda>"}  # forgets the ids of its logs
    client = app.test_client()
    statuses = {client.post("/webhooks/shopify", data=b"{}", base_url=US).status_code for _ in range(200)}
    assert statuses == {401}


# nobody


def test_who_is_not_signed_in_is_led_to_signing_in_whatever_the_store(rig: Rig, visitor: Visitor) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    answers = [visitor.get(path) for path in (f"/shops/{shop}", "/shops/999", "/settings")]
    assert {(each.status_code, each.location) for each in answers} == {(303, "/sign-in")}
    assert len({each.get_data() for each in answers}) == 1


def test_who_is_not_signed_in_changes_nothing_whatever_the_store(rig: Rig, visitor: Visitor, calls: Calls) -> None:
    shop = connect(rig, rig.shop("woocommerce"))
    token = visitor.token()
    answers = [visitor.post(f"/shops/{each}/disconnect", csrf_token=token) for each in (shop, 999)]
    assert [each.status_code for each in answers] == [401, 401]
    assert answers[0].get_data() == answers[1].get_data()
    assert "You are signed out. Nothing was changed." in answers[0].get_data(as_text=True)
    assert calls.made == []


# somebody else's


def test_no_answer_tells_whether_a_store_is_here(rig: Rig, visitor: Visitor, mine: int, calls: Calls) -> None:
    others = connect(rig, rig.shop("woocommerce", "https://other.example"))
    removed = connect(rig, rig.shop("woocommerce", "https://removed.example"))
    visitor.join(visitor.sign_in(), removed)
    with rig.db.write() as session:
        configure.remove_shop(session, configure.find_shop(session, str(removed)))
    stores = (others, removed, 999, 2**70)
    token = visitor.token()
    for answers in (
        [visitor.get(f"/shops/{each}") for each in stores],
        [visitor.post(f"/shops/{each}/check", csrf_token=token) for each in stores],
        [visitor.post(f"/shops/{each}/disconnect", csrf_token=token) for each in stores],
    ):
        assert {each.status_code for each in answers} == {404}
        # The token of the form for signing out tells the second in which it was made.
        assert len({re.sub(rb'value="[^"]*"', b"", each.get_data()) for each in answers}) == 1
        for each in answers:
            del each.headers["X-Request-Id"]
        assert len({tuple(sorted(each.headers.items())) for each in answers}) == 1
    assert calls.made == []
    assert "removed.example" not in visitor.get("/").get_data(as_text=True)
    assert visitor.get(f"/shops/{mine}").status_code == 200


def test_a_right_that_is_taken_away_is_gone_with_the_next_request(rig: Rig, visitor: Visitor, mine: int) -> None:
    account = visitor.sign_in()
    assert visitor.get(f"/shops/{mine}").status_code == 200
    with rig.db.write() as session:
        accounts.leave(session, account, mine)
    assert visitor.get(f"/shops/{mine}").status_code == 404
    assert "store.example" not in visitor.get("/").get_data(as_text=True)


def test_a_request_with_an_authorization_header_is_judged_by_that_alone(
    visitor: Visitor, mine: int, calls: Calls
) -> None:
    """Otherwise a made-up header would do away with the form's token."""
    for header in ("Bearer x", "Bearer ", "Basic x"):
        answer = visitor.post(f"/shops/{mine}/disconnect", headers={"Authorization": header})
        assert answer.status_code == 401
        assert visitor.get(f"/shops/{mine}", headers={"Authorization": header}).status_code == 401
    assert visitor.post("/sign-out", headers={"Authorization": "Bearer x"}).status_code == 400
    assert calls.made == []


def test_the_same_holds_where_shopify_is_not_set_up(rig: Rig) -> None:
    with serving(rig) as app:
        visitor = Visitor(app)
        shop = connect(rig, rig.shop("woocommerce"))
        visitor.join(visitor.sign_in(), shop)
        assert visitor.get(f"/shops/{shop}").status_code == 200
        header = {"Authorization": "Bearer x"}
        assert visitor.get(f"/shops/{shop}", headers=header).status_code == 401
        assert visitor.post(f"/shops/{shop}/disconnect", headers=header).status_code == 401


# what a merchant sees and does


def test_the_start_page_lists_the_accounts_stores_with_their_state(rig: Rig, visitor: Visitor, mine: int) -> None:
    second = connect(rig, rig.shop("woocommerce", "https://b.example"), ConnectionState.ATTENTION, trouble="x")
    by_hand = rig.shop("woocommerce", "https://a.example")
    visitor.join(visitor.sign_in(), second, by_hand)
    page = visitor.get("/").get_data(as_text=True)
    for shop, domain, tone, word in (
        (mine, "store.example", "good", "Connected"),
        (second, "b.example", "bad", "Needs attention"),
        (by_hand, "a.example", "none", "Added by hand"),
    ):
        line = f'<li><a href="/shops/{shop}">{domain}</a> <span class="state {tone}">{word}</span></li>'
        assert line in page
    assert '<a class="button" href="/connect/woocommerce">Connect a WooCommerce store</a>' in page
    assert visitor.get("/settings").location == "/"


def test_an_account_without_stores_is_told_how_to_begin(visitor: Visitor) -> None:
    visitor.sign_in()
    assert "<h2>Connect your first store</h2>" in visitor.get("/").get_data(as_text=True)


def test_settings_lead_to_the_only_store(visitor: Visitor, mine: int) -> None:
    assert visitor.get("/settings").location == f"/shops/{mine}/settings"


def test_the_connections_page_shows_its_trouble_and_its_topics(rig: Rig, visitor: Visitor) -> None:
    topics = {
        "order.updated": {"state": "active", "why": None, "last_event_at": "2026-11-21T08:00:00+00:00"},
        "order.created": {"state": "paused", "why": "<b>Set it to active.</b>", "last_event_at": None},
    }
    checked = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    shop = connect(
        rig,
        rig.shop("woocommerce"),
        ConnectionState.ATTENTION,
        trouble="The store refuses our key. Nothing is lost.",
        report={"at": checked.isoformat(), "topics": topics},
        checked_at=checked,
    )
    visitor.join(visitor.sign_in(), shop)
    rig.woocommerce(shop, "order.updated", woocommerce_order(424242, customer_id=5))
    rig.work()
    page = visitor.get(f"/shops/{shop}/connection").get_data(as_text=True)
    assert '<p class="notice bad">The store refuses our key. Nothing is lost.</p>' in page
    assert re.findall(r'<td data-label="State">(.*?)</td>', page) == [
        '<span class="state good">Works</span>',
        '<span class="state warn">Paused</span>',
    ]
    assert re.findall(r'<th scope="row">(An order .*?)</th>', page) == [
        'An order changed <span class="note">order.updated</span>',
        'An order was placed <span class="note">order.created</span>'
        ' <span class="note why">&lt;b&gt;Set it to active.&lt;/b&gt;</span>',
    ]
    came = re.findall(r'<td data-label="Last event">(?:<time datetime="(.*?)">.*?</time>|none yet)</td>', page)
    assert (came[0] > "2026-11-21T08:00:00Z", came[1]) == (True, "")  # later than the check had seen
    assert '<dd><time datetime="2026-11-21T09:30:00Z">21 Nov 2026, 09:30</time></dd>' in page
    assert "Times are in the time zone UTC." in page
    assert "(An order changed)</dd>" in page
    assert "<dt>Last event</dt><dd>It was paid</dd>" in page


def test_check_and_disconnect_reach_the_platform_once_and_are_in_the_trail(
    rig: Rig, visitor: Visitor, mine: int, calls: Calls
) -> None:
    answer = visitor.press(f"/shops/{mine}/connection", f"/shops/{mine}/check")
    assert (answer.status_code, answer.location) == (303, f"/shops/{mine}/connection?done=checked")
    assert "The connection was looked at, and what could be repaired was." in visitor.get(
        answer.location or ""
    ).get_data(as_text=True)
    answer = visitor.press(f"/shops/{mine}/connection", f"/shops/{mine}/disconnect")
    assert (answer.status_code, answer.location) == (303, f"/shops/{mine}/connection?done=disconnected")
    assert calls.made == [("check", mine, None), ("disconnect", mine, "account:1")]
    with rig.db.read() as session:
        wanted = select(AuditEntry.actor, AuditEntry.action).where(AuditEntry.shop_id == mine)
        assert [tuple(row) for row in session.execute(wanted)] == [("account:1", "check connection")]


def test_a_check_that_takes_long_goes_on_without_the_page(visitor: Visitor, mine: int, calls: Calls) -> None:
    go = threading.Event()
    calls.pause = lambda: go.wait(10)
    visitor.app.extensions["errands"] = Errands(0.05)
    answer = visitor.press(f"/shops/{mine}/connection", f"/shops/{mine}/check")
    assert (answer.status_code, answer.location) == (303, f"/shops/{mine}/connection?done=checking")
    assert "The connection is still being looked at" in visitor.get(answer.location or "").get_data(as_text=True)
    assert calls.made == []
    go.set()
    until(lambda: calls.made == [("check", mine, None)])


def test_what_a_platform_cannot_do_now_is_said_on_the_page(visitor: Visitor, mine: int, calls: Calls) -> None:
    calls.trouble = "The store did not answer. <Nothing> is lost. Try again in a minute."
    answer = visitor.press(f"/shops/{mine}/connection", f"/shops/{mine}/check")
    assert answer.status_code == 502
    said = "The store did not answer. &lt;Nothing&gt; is lost. Try again in a minute."
    assert f'<p class="notice bad" role="alert">{said}</p>' in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("platform", "state", "offered"),
    [
        ("woocommerce", "connected", {"check", "disconnect", "reconnect"}),
        ("woocommerce", "unproven", {"check", "disconnect", "reconnect"}),
        ("woocommerce", "attention", {"check", "disconnect", "reconnect"}),
        ("woocommerce", "ended", {"reconnect"}),
        ("woocommerce", None, set()),
        ("shopify", "connected", {"check"}),
        ("shopify", "attention", {"check"}),
        ("shopify", "reopen", set()),
        ("shopify", "ended", set()),
        ("magento", "connected", set()),
    ],
)
def test_only_what_can_be_done_is_offered(app: Flask, platform: str, state: str | None, offered: set[str]) -> None:
    connections: Connections = app.extensions["connections"]
    assert connections.actions(platform, state) == offered


def test_what_is_not_offered_cannot_be_done_by_hand(rig: Rig, visitor: Visitor, calls: Calls) -> None:
    ended = connect(rig, rig.shop("woocommerce"), ConnectionState.ENDED)
    by_hand = rig.shop("woocommerce", "https://hand.example")
    inside = connect(rig, rig.shop("shopify"))
    visitor.join(visitor.sign_in(), ended, by_hand, inside)
    token = visitor.token()

    def post(shop: int, action: str) -> int:
        return visitor.post(f"/shops/{shop}/{action}", csrf_token=token).status_code

    assert post(ended, "check") == 502
    assert post(by_hand, "check") == 502
    assert post(by_hand, "disconnect") == 502
    assert post(inside, "disconnect") == 502
    assert post(ended, "disconnect") == 303  # it is done already
    assert calls.made == []


# headers


def test_a_page_outside_of_shopify_loads_ours_alone_and_can_be_framed_by_nobody(visitor: Visitor, mine: int) -> None:
    for path in ("/", "/settings", f"/shops/{mine}", "/sign-in", "/sign-in/link", "/shops/999"):
        headers = visitor.get(path).headers
        assert headers["Content-Security-Policy"] == STANDALONE, path
        assert headers["Cache-Control"] == "no-store", path
        assert headers["Referrer-Policy"] == "no-referrer", path
        assert headers["X-Content-Type-Options"] == "nosniff", path


def test_no_page_needs_inline_script_or_style_or_anything_of_others(visitor: Visitor, mine: int) -> None:
    for path in ("/", f"/shops/{mine}", "/sign-in", "/sign-in/link"):
        page = visitor.get(path).get_data(as_text=True)
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick" not in page
        ours = re.findall(r'<script src="/static/[a-z]+\.js" defer></script>', page)
        assert page.count("<script") == len(ours) > 0
        assert "https://" not in page.replace("https://store.example", "").replace(US, "").split("</head>")[0]


def test_errors_are_pages_for_browsers_and_json_for_programs(app: Flask, visitor: Visitor) -> None:
    page = visitor.get("/nowhere")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "There is nothing here, or nothing that you may see." in page.get_data(as_text=True)
    plain = app.test_client().get("/nowhere", headers={"Accept": "*/*"})
    assert (plain.status_code, plain.get_json()) == (404, {"status": "not found"})


# inside Shopify's admin


@pytest.fixture
def inside(rig: Rig) -> int:
    shop = rig.shop("shopify", DOMAIN)
    return connect(rig, shop, report={"topics": {"orders/paid": {"state": "ok", "why": "fine"}}})


def load(visitor: Visitor, path: str, **more: str) -> Any:
    query = {"id_token": id_token(), "shop": DOMAIN, "host": "aG9zdA", "embedded": "1", "locale": "de", **more}
    return visitor.get(path, query_string=query)


def test_a_page_in_the_admin_has_shopifys_head_first_and_is_framed_by_that_shop_alone(
    visitor: Visitor, inside: int
) -> None:
    answer = load(visitor, f"/shops/{inside}")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    bridge = '<script src="https://cdn.shopify.com/shopifycloud/app-bridge.js"></script>'
    polaris = '<script src="https://cdn.shopify.com/shopifycloud/polaris-1.js"></script>'
    places = [page.index(each) for each in (f'<meta name="shopify-api-key" content="{KEY}">', bridge, polaris)]
    assert places == sorted(places)
    assert page.index("<script") == places[1]
    frames = f"frame-ancestors https://{DOMAIN} https://admin.shopify.com"
    assert answer.headers["Content-Security-Policy"].endswith(frames)
    assert "X-Frame-Options" not in answer.headers


def test_in_the_admin_links_and_forms_carry_where_they_are_and_never_the_token(visitor: Visitor, inside: int) -> None:
    answer = load(visitor, f"/shops/{inside}/connection")
    page = answer.get_data(as_text=True)
    carried = f"shop={DOMAIN}&amp;host=aG9zdA&amp;embedded=1&amp;locale=de"
    assert f'<s-link href="/?{carried}" rel="home">' in page
    assert f'action="/shops/{inside}/check?{carried}"' in page
    assert "id_token" not in page
    assert "/sign-out" not in page


def test_the_admin_works_without_any_cookie(rig: Rig, visitor: Visitor, inside: int, calls: Calls) -> None:
    page = load(visitor, f"/shops/{inside}/connection")
    assert page.headers.getlist("Set-Cookie") == []
    [action] = Forms(page.get_data(as_text=True)).found
    answer = visitor.post(action, headers={"Authorization": f"Bearer {id_token()}"})
    carried = f"shop={DOMAIN}&host=aG9zdA&embedded=1&locale=de"
    assert (answer.status_code, answer.location) == (303, f"/shops/{inside}/connection?{carried}&done=checked")
    assert answer.headers.getlist("Set-Cookie") == []
    assert calls.made == [("check", inside, None)]
    with rig.db.read() as session:
        rows = session.execute(select(AuditEntry.actor, AuditEntry.action).where(AuditEntry.shop_id == inside))
        assert ("shopify:77", "check connection") in [tuple(row) for row in rows]


def test_the_apps_start_in_the_admin_is_the_stores_page(visitor: Visitor, inside: int) -> None:
    answer = load(visitor, "/")
    carried = f"shop={DOMAIN}&host=aG9zdA&embedded=1&locale=de"
    assert (answer.status_code, answer.location) == (303, f"/shops/{inside}?{carried}")


def test_staff_of_one_shop_see_no_other_shop_of_shopifys_or_elsewhere(
    rig: Rig, visitor: Visitor, inside: int, calls: Calls
) -> None:
    other = connect(rig, rig.shop("shopify"))
    elsewhere = connect(rig, rig.shop("woocommerce"))
    proof = {"Authorization": f"Bearer {id_token()}"}
    for shop in (other, elsewhere, 999):
        assert load(visitor, f"/shops/{shop}").status_code == 404
        assert visitor.post(f"/shops/{shop}/check", headers=proof).status_code == 404
    assert calls.made == []
    assert visitor.get("/connect/woocommerce", headers=proof).status_code == 404


def test_a_change_in_the_admin_with_a_token_that_ran_out_asks_app_bridge_for_a_fresh_one(
    visitor: Visitor, inside: int, calls: Calls
) -> None:
    late = id_token(exp=int(time.time()) - 60)
    answer = visitor.post(f"/shops/{inside}/check", headers={"Authorization": f"Bearer {late}"})
    assert (answer.status_code, answer.headers["X-Shopify-Retry-Invalid-Session-Request"]) == (401, "1")
    assert calls.made == []


def test_a_session_outside_and_a_page_in_the_admin_never_mix(
    rig: Rig, visitor: Visitor, mine: int, inside: int
) -> None:
    assert load(visitor, f"/shops/{mine}").status_code == 404
    assert load(visitor, f"/shops/{inside}").status_code == 200
    assert visitor.get(f"/shops/{inside}").status_code == 404
    assert visitor.get(f"/shops/{mine}").status_code == 200
