"""Every route under attack: refused, counted, nothing stored, nobody called, and nothing told of other tenants."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.test import TestResponse

from app.models import Endpoint, Event, Webhook
from app.providers import wire
from app.services.chores import Chores
from app.simulators.server import Server
from app.simulators.wp_certificate import make_certificate
from app.web import access, limits
from bench.ports import free_port
from tests.attacked import (
    ANNA,
    ELSEWHERE,
    EVE,
    OTHER_DOMAIN,
    OTHER_STORE,
    PREVIOUS,
    Target,
    forged_id_tokens,
)
from tests.attacks.alerting import dead_alert_links, forged_stop_links, smuggled_alert_addresses
from tests.attacks.base import CALLBACK, EVIL, Attack, by, method, path_of
from tests.attacks.connecting import (
    addresses_in_links,
    attempts_of_others,
    callback_body,
    forged_callbacks,
    forged_grants,
    open_redirects,
    private_addresses,
    returns_of_others,
    signed_query,
    walks_to_no_shop,
    wrong_keys,
)
from tests.attacks.everywhere import (
    odd_bytes,
    odd_methods,
    other_hosts,
)
from tests.attacks.people import (
    forged_identities,
    forged_sessions,
    forms_of_others,
    not_for_the_admin,
    other_accounts,
    other_shops_identities,
)
from tests.attacks.signing_in import (
    dead_links,
    forged_plugin_links,
    links_for_another_browser,
    plugin_links_of_others,
    smuggled_addresses,
)
from tests.attacks.webhooks import (
    BODY,
    files_of_ours,
    forged_store_webhooks,
    forged_webhooks,
    hook_headers,
    metrics_for_strangers,
)
from tests.databases import Databases, settings
from tests.processes import Running, answers, until
from tests.rig import signature
from tests.visitor import DOMAIN, SECRET, US, Visitor


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Target]:
    with databases.lend() as url, Target(tmp_path_factory.mktemp("target"), url) as target:
        yield target


@pytest.fixture
def fresh(tmp_path: Path, database_url: str) -> Iterator[Target]:
    """One of its own, for attacks that may leave something."""
    with Target(tmp_path, database_url) as target:
        yield target


EVERYWHERE: tuple[Attack, ...] = (odd_methods, odd_bytes, other_hosts)
GUARDED: tuple[Attack, ...] = (forged_identities, forged_sessions)
STORES: tuple[Attack, ...] = (*GUARDED, other_shops_identities, other_accounts)
ACCOUNTS: tuple[Attack, ...] = (*GUARDED, not_for_the_admin)
#: Every route and what is tried on it, beside what is tried on all of them.
ROUTES: dict[str, tuple[Attack, ...]] = {
    "static": (files_of_ours,),
    "webhooks.shopify": (forged_webhooks,),
    "webhooks.woocommerce": (forged_store_webhooks,),
    "operations.healthz": (),  # tells one word to everybody
    "operations.readyz": (),
    "operations.metrics": (metrics_for_strangers,),
    "home.index": (),  # leads strangers to signing in; see below for what others see there
    "sign_in.form": (),
    "sign_in.ask": (smuggled_addresses, forms_of_others),
    "sign_in.link": (),
    "sign_in.use_link": (dead_links, links_for_another_browser, forms_of_others),
    "sign_in.wordpress": (forged_plugin_links, plugin_links_of_others),
    "sign_in.become_another": (forged_plugin_links, plugin_links_of_others, forms_of_others),
    "sign_in.leave": (forms_of_others,),
    "sign_in.leave_everywhere": (forms_of_others,),
    "short.orders": GUARDED,
    "short.deliveries": GUARDED,
    "short.mappings": GUARDED,
    "short.settings": GUARDED,
    "overview.show": STORES,
    "orders.index": STORES,
    "orders.search": (*STORES, forms_of_others),
    "orders.show": STORES,
    "orders.body": (*STORES, forms_of_others),
    "deliveries.index": STORES,
    "deliveries.csv": STORES,
    "deliveries.show": STORES,
    "deliveries.payload": (*STORES, forms_of_others),
    "deliveries.resend": (*STORES, forms_of_others),
    "deliveries.settle": (*STORES, forms_of_others),
    "deliveries.release": (*STORES, forms_of_others),
    "providers.index": STORES,
    "providers.edit": STORES,
    "providers.save": (*STORES, forms_of_others),
    "providers.test": (*STORES, forms_of_others),
    "providers.ready": STORES,
    "providers.mode": (*STORES, forms_of_others),
    "mappings.show": STORES,
    "mappings.draft": (*STORES, forms_of_others),
    "mappings.field": (*STORES, forms_of_others),
    "mappings.preview": (*STORES, forms_of_others),
    "mappings.text": STORES,
    "mappings.write": (*STORES, forms_of_others),
    "mappings.changes": (*STORES, forms_of_others),
    "mappings.save": (*STORES, forms_of_others),
    "mappings.versions": STORES,
    "mappings.restore": (*STORES, forms_of_others),
    "settings.show": STORES,
    "settings.save_names": (*STORES, forms_of_others),
    "settings.invite": (*STORES, forms_of_others),
    "settings.withdraw": (*STORES, forms_of_others),
    "settings.remove": (*STORES, forms_of_others),
    "settings.changes": STORES,
    "settings.save_tests": (*STORES, forms_of_others),
    "settings.save_retention": (*STORES, forms_of_others),
    "settings.save_language": (*STORES, forms_of_others),
    "settings.ask_for_alerts": (*STORES, forms_of_others, smuggled_alert_addresses),
    "settings.stop_alerts": (*STORES, forms_of_others),
    "alerts.confirm": (),  # a button; the link behind it is tried below
    "alerts.agree": (dead_alert_links, forms_of_others),
    "alerts.stop": (),
    "alerts.refuse": (forged_stop_links, forms_of_others),
    "operator.index": GUARDED,
    "store.show": STORES,
    "store.check": (*STORES, forms_of_others),
    "store.disconnect": (*STORES, forms_of_others),
    "storefront.code": (files_of_ours,),
    "connect_woocommerce.form": ACCOUNTS,
    "connect_woocommerce.begin": (*ACCOUNTS, forms_of_others, private_addresses),
    "connect_woocommerce.callback": (forged_callbacks,),
    "connect_woocommerce.come_back": (*ACCOUNTS, returns_of_others),
    "connect_woocommerce.attempt": (*ACCOUNTS, attempts_of_others),
    "connect_woocommerce.manual": (*ACCOUNTS, addresses_in_links),
    "connect_woocommerce.connect_by_hand": (*ACCOUNTS, forms_of_others, private_addresses, wrong_keys),
    "shopify.patch": (open_redirects,),
    "shopify.begin": (walks_to_no_shop,),
    "shopify.callback": (forged_grants,),
}
CASES = [(endpoint, attack) for endpoint, own in ROUTES.items() for attack in (*EVERYWHERE, *own)]


def test_every_route_has_its_attacks(target: Target) -> None:
    assert {rule.endpoint for rule in target.app.url_map.iter_rules()} == set(ROUTES)


@pytest.mark.parametrize(
    ("endpoint", "attack"), CASES, ids=[f"{endpoint}-{attack.__name__}" for endpoint, attack in CASES]
)
def test_is_refused_and_counted_and_leaves_nothing(target: Target, endpoint: str, attack: Attack) -> None:
    struck = 0
    for blow in attack(target, endpoint):
        before, outward = target.dump(), target.outward()
        counts = target.refused(endpoint), target.refused("none")
        answer = blow.send()
        allowed = blow.status if isinstance(blow.status, tuple) else (blow.status,)
        said = answer.get_data()
        answer.close()
        assert answer.status_code in allowed, (blow.name, answer.status_code, said[:500], dict(answer.headers))
        assert target.dump() == before, blow.name
        assert target.outward() == outward, blow.name
        if blow.counted:
            assert target.refused(endpoint) + target.refused("none") == sum(counts) + 1, blow.name
        whole = said + repr(sorted(answer.headers)).encode()
        for word in (*blow.tokens, OTHER_STORE, EVE, "Traceback", str(target.rig.config.database_url)):
            assert word.encode() not in whole, (blow.name, word[:40])
        assert EVIL not in urlsplit(answer.location or "").netloc, blow.name
        assert "sign_in" not in str(answer.headers.getlist("Set-Cookie")), blow.name
        struck += 1
    assert struck, "nothing was tried"


#: Values for fields of forms that come with a living session and its own token: they reach the views themselves.
ODD_VALUES = {
    "nothing": "",
    "a null byte": "a\0b",
    "no text": b"\xff\xfe\x80",
    "half a character": "\ud83d".encode("utf-8", "surrogatepass"),
    "long": "a" * 100_000,
    "a number beyond all": "9" * 400,
    "digits of others": "\u0663\u0664",
    "less than nothing": "-1",
    "no number": "NaN",
    "lines": "a\r\nSet-Cookie: b=c",
    "markup": "<script>alert(1)</script>",
}


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Target]:
    """One that genuine changes are sent to."""
    with databases.lend() as url, Target(tmp_path_factory.mktemp("worn"), url) as target:
        yield target


def fields_of_forms() -> list[str]:
    """Every name that a view looks for in a form."""
    sources = "".join(path.read_text() for path in Path(access.__file__).parent.glob("*.py"))
    return sorted(set(re.findall(r'form(?:\.get(?:list)?\(|\[)"(\w+)"', sources)))


@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
def test_odd_values_in_a_genuine_form_break_nothing(worn: Target, value: str | bytes) -> None:
    odd = dict.fromkeys(fields_of_forms(), value)
    taking = [each for each in ROUTES if each not in access.CSRF_EXEMPT and method(worn, each) == "POST"]
    assert len(taking) > 15
    for endpoint in taking:
        visitor, unproven = worn.person(), worn.refused(endpoint, "form token")
        fields = {**odd, "csrf_token": visitor.token()}
        answer = by(visitor, "POST", path_of(worn, endpoint), data=fields)
        said = answer.get_data(as_text=True)
        assert answer.status_code in (200, 303, 400, 404, 409, 502), (endpoint, answer.status_code, said[:500])
        assert "<script>alert(1)" not in said, endpoint
        assert "b=c" not in str(answer.headers), endpoint
        assert worn.refused(endpoint, "form token") == unproven, endpoint


def test_the_metric_tells_why(fresh: Target) -> None:
    over, page = fresh.person(ended_at=datetime.now(UTC)), f"/shops/{fresh.shop}"
    old = forged_id_tokens()["expired"][0]
    blows: dict[tuple[str, str], Callable[[], TestResponse]] = {
        ("sign_in.ask", "form token"): lambda: by(fresh.stranger(), "POST", "/sign-in", data={"email": ANNA}),
        ("overview.show", "session over"): lambda: by(over, "GET", page),
        ("overview.show", "signed out"): lambda: by(fresh.stranger(), "GET", page),
        ("overview.show", "token expired"): lambda: by(fresh.stranger(), "GET", f"{page}?embedded=1&id_token={old}"),
    }
    for (route, reason), send in blows.items():
        before = fresh.refused(route, reason)
        send()
        assert fresh.refused(route, reason) == before + 1, reason


# --- what is refused above is taken when it is genuine ----------------------------------------------------------------


def test_genuine_proofs_open_exactly_their_own(fresh: Target) -> None:
    """Else all of the above would prove no more than that nothing works."""
    for secret in (SECRET, PREVIOUS):
        token = fresh.id_token(secret)
        bearer = {"Authorization": f"Bearer {token}"}
        assert by(fresh.stranger(), "GET", f"/shops/{fresh.inside}", headers=bearer).status_code == 200
        load = f"/shops/{fresh.inside}?embedded=1&shop={DOMAIN}&id_token={token}"
        assert by(fresh.stranger(), "GET", load).status_code == 200
    assert by(fresh.person(), "GET", f"/shops/{fresh.shop}").status_code == 200
    visitor = fresh.stranger()
    answer = by(visitor, "GET", f"/sign-in/wordpress?token={fresh.plugin_link()}")
    assert (answer.status_code, answer.location) == (303, "/")
    assert by(visitor, "GET", f"/shops/{fresh.shop}").status_code == 200
    for token in (fresh.mailed(), fresh.mailed(shop_id=fresh.shop)):
        visitor = fresh.stranger()
        answer = by(visitor, "POST", "/sign-in/link", data={"csrf_token": visitor.token(), "token": token})
        assert (answer.status_code, answer.location) == (303, "/")
        again = by(visitor, "POST", "/sign-in/link", data={"csrf_token": visitor.token(), "token": token})
        assert again.status_code == 400
    state = fresh.attempt(account=fresh.anna)
    for _ in range(2):
        answer = by(fresh.stranger(), "POST", CALLBACK, data=callback_body(state), content_type="application/json")
        assert (answer.status_code, answer.get_json()) == (200, {"status": "taken"})
    sent = by(fresh.stranger(), "POST", "/webhooks/shopify", data=BODY, headers=hook_headers(BODY))
    assert (sent.status_code, sent.get_json()) == (200, {"status": "stored"})


def test_the_operators_link_to_one_store_opens_no_other(fresh: Target) -> None:
    visitor = fresh.stranger()
    token = fresh.mailed(shop_id=fresh.shop)
    by(
        visitor,
        "POST",
        "/sign-in/link",
        data={"csrf_token": visitor.token(), "token": token, "shop_id": str(fresh.other)},
    )
    statuses = [by(visitor, "GET", f"/shops/{each}").status_code for each in (fresh.shop, fresh.other, fresh.inside)]
    assert statuses == [200, 404, 404]
    assert by(visitor, "GET", "/connect/woocommerce").status_code == 404


def test_a_genuine_grant_of_shopifys_connects_once_and_in_its_own_browser(fresh: Target) -> None:
    thief, visitor = fresh.stranger(), fresh.stranger()
    begun = by(visitor, "GET", "/connect/shopify?shop=new.myshopify.com")
    state = parse_qs(urlsplit(begun.location).query)["state"][0]
    back = f"/connect/shopify/callback?{signed_query(state=state, shop='new.myshopify.com', code='never')}"
    by(thief, "GET", "/connect/shopify?shop=new.myshopify.com")
    before = fresh.dump()
    assert by(thief, "GET", back).status_code == 400
    assert fresh.dump() == before
    first, second = by(visitor, "GET", back), by(visitor, "GET", back)
    assert (first.status_code, second.status_code) == (502, 400)  # no such code; and the state is used up
    assert fresh.dump()["shops"] == before["shops"]


def test_a_link_of_another_stores_wordpress_changes_nothing_until_a_button_is_pressed(fresh: Target) -> None:
    """Somebody can be lured to such a link. Who presses it sees the lurer's store alone, and can connect nothing."""
    visitor = fresh.person()
    lure = fresh.plugin_link(fresh.other_link_key, iss=OTHER_STORE)
    page = by(visitor, "GET", f"/sign-in/wordpress?token={lure}")
    assert (page.status_code, "Sign in to eves.example" in page.get_data(as_text=True)) == (200, True)
    statuses = [by(visitor, "GET", f"/shops/{each}").status_code for each in (fresh.shop, fresh.other)]
    assert statuses == [200, 404]
    fields = {"csrf_token": visitor.token(), "token": lure}
    assert by(visitor, "POST", "/sign-in/wordpress", data=fields).status_code == 303
    statuses = [by(visitor, "GET", f"/shops/{each}").status_code for each in (fresh.shop, fresh.other)]
    assert statuses == [404, 200]
    assert by(visitor, "GET", "/connect/woocommerce").status_code == 404


def test_a_plugins_link_is_one_click_for_whoever_is_at_home_there(fresh: Target) -> None:
    path = f"/sign-in/wordpress?token={fresh.plugin_link()}"
    member = fresh.person()
    answer = by(member, "GET", path)
    assert (answer.status_code, answer.location) == (303, f"/shops/{fresh.shop}")
    assert by(member, "GET", "/connect/woocommerce").status_code == 200  # still their account
    same = fresh.person("wordpress:7", shop=fresh.shop)
    before = same.cookie()
    assert by(same, "GET", path).status_code == 303
    assert same.cookie() != before  # for another twelve hours
    assert by(same, "GET", f"/shops/{fresh.shop}").status_code == 200


# --- nobody learns who is here ----------------------------------------------------------------------------------------


def test_the_answer_is_the_same_for_every_address(fresh: Target) -> None:
    visitor = fresh.stranger()
    token = visitor.token()
    answers = [
        by(visitor, "POST", "/sign-in", data={"csrf_token": token, "email": each})
        for each in (ANNA, EVE, "nobody@annas.example")
    ]
    for each in answers:
        del each.headers["X-Request-Id"]
    assert len({(each.status_code, each.get_data(), repr(sorted(each.headers))) for each in answers}) == 1
    assert [address for address, _ in fresh.mails.asked] == [ANNA, EVE, "nobody@annas.example"]


def test_links_in_mails_lead_to_us_whatever_host_was_asked(fresh: Target) -> None:
    for host in (EVIL, "tillwire.example:1", f"tillwire.example@{EVIL}"):
        visitor = fresh.stranger()
        headers = {"Host": host, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "http"}
        fields = {"csrf_token": visitor.token(), "email": ANNA}
        by(visitor, "POST", "/sign-in", data=fields, headers=headers)
    assert {page for _, page in fresh.mails.asked} == {f"{US}/sign-in/link"}


def test_a_store_that_is_known_looks_like_one_that_is_not(fresh: Target) -> None:
    """Also by what is called, and at every route that takes a store's number or address."""
    visitor = fresh.person()
    token = visitor.token()
    shops = (fresh.other, fresh.outside, 999)
    groups = [
        [by(visitor, "GET", f"/shops/{each}") for each in shops],
        [by(visitor, "POST", f"/shops/{each}/check", data={"csrf_token": token}) for each in shops],
        [by(visitor, "POST", f"/shops/{each}/disconnect", data={"csrf_token": token}) for each in shops],
        [by(fresh.stranger(), "GET", f"/shops/{each}") for each in (fresh.shop, 999)],
        [
            by(fresh.stranger(), "POST", f"/webhooks/woocommerce/{each}", data=b"{}")
            for each in (fresh.hook[0].rpartition("/")[2], "A" * 43)
        ],
        [
            by(fresh.stranger(), "POST", CALLBACK, data=callback_body(state))
            for state in ("A" * 43, fresh.attempt(account=fresh.eve, finished_at=datetime.now(UTC)))
        ],
    ]
    for group in groups:
        assert len({(each.status_code, each.get_data()) for each in group}) == 1
    typed = [
        by(visitor, "POST", "/connect/woocommerce", data={"csrf_token": token, "address": each}).get_data(as_text=True)
        for each in (OTHER_STORE, "https://nows.example")
    ]
    assert typed[0].replace("eves", "nows") == typed[1]
    assert by(fresh.stranger(), "GET", f"/connect/shopify?shop={OTHER_DOMAIN}").status_code == 302
    assert by(fresh.stranger(), "GET", "/connect/shopify?shop=unknown.myshopify.com").status_code == 302


# --- webhooks of one shop in the name of another ----------------------------------------------------------------------


def events(target: Target) -> list[tuple[int | None, str, str, str | None]]:
    target.rig.account()
    with target.db.read() as session:
        rows = session.query(Event, Webhook).join(Webhook, Webhook.id == Event.webhook_id).order_by(Event.id)
        return [(event.shop_id, webhook.topic, event.state, event.error) for event, webhook in rows]


def replay(target: Target, body: dict[str, Any], topic: str, domain: str, number: str, **more: str) -> str:
    """Send a body that Shopify signed for one shop under the headers of another: only the body is signed."""
    raw = json.dumps(body).encode()
    headers = hook_headers(raw, domain=domain, topic=topic, **{"X-Shopify-Webhook-Id": number, **more})
    answer = by(target.stranger(), "POST", "/webhooks/shopify", data=raw, headers=headers)
    assert answer.status_code == 200
    return str(answer.get_json()["status"])


@pytest.mark.parametrize("names", [{"shop_id": 41, "shop_domain": DOMAIN}, {"shop_id": 41}, {"shop_domain": DOMAIN}])
@pytest.mark.parametrize("topic", ["customers/redact", "customers/data_request", "shop/redact"])
def test_a_compliance_request_replayed_into_another_tenant_does_nothing_there(
    fresh: Target, topic: str, names: dict[str, Any]
) -> None:
    body = {
        **names,
        "customer": {"id": 5, "email": "buyer@annas.example"},
        "orders_requested": [],
    }
    before = fresh.dump()
    assert replay(fresh, body, topic, OTHER_DOMAIN, "1") == "stored"
    found = events(fresh)
    assert [(topic, state) for _, topic, state, _ in found] == [(topic, "quarantined")]
    Chores(fresh.db, fresh.vault, installed=lambda _: False).work(datetime.now(UTC))
    after = fresh.dump()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"webhooks", "events"}
    assert (after["shops"], after["connections"], after["exports"]) == (before["shops"], before["connections"], [])


def order_of_first_shop() -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": 7,
        "admin_graphql_api_id": "gid://shopify/Order/7",
        "order_status_url": f"https://{DOMAIN}/41/orders/abc/authenticate",
        "created_at": now,
        "updated_at": now,
        "currency": "EUR",
        "total_price": "10.00",
        "financial_status": "paid",
        "email": "buyer@annas.example",
        "line_items": [{"id": 1, "quantity": 1, "price": "10.00", "title": "A"}],
    }


def test_an_order_of_one_shop_is_no_order_of_another(fresh: Target) -> None:
    order = order_of_first_shop()
    fresh.rig.switch_on(fresh.outside)
    assert replay(fresh, order, "orders/updated", OTHER_DOMAIN, "1") == "stored"
    assert [state for _, _, state, _ in events(fresh)] == ["quarantined"]
    assert fresh.rig.deliveries() == []
    assert fresh.dump()["ledgers"] == []


def test_a_removal_of_one_shop_removes_no_other(fresh: Target) -> None:
    body = {"id": 41, "myshopify_domain": DOMAIN, "domain": DOMAIN}
    before = fresh.dump()["connections"]
    assert replay(fresh, body, "app/uninstalled", OTHER_DOMAIN, "1") == "stored"
    found = events(fresh)
    Chores(fresh.db, fresh.vault, installed=lambda _: False).work(datetime.now(UTC))
    assert [state for _, _, state, _ in found] == ["quarantined"]
    assert fresh.dump()["connections"] == before


def test_a_webhook_replayed_under_another_number_counts_once(fresh: Target) -> None:
    order = order_of_first_shop()
    fresh.rig.switch_on(fresh.inside, "esputnik")
    for number in ("1", "1", "2", "3"):
        replay(fresh, order, "orders/updated", DOMAIN, number)
    states = [state for _, _, state, _ in events(fresh)]
    assert states == ["understood", "understood", "ignored", "ignored"]  # placed and paid, and both once
    assert [each["event"] for each in fresh.rig.deliveries()] == [1, 2]


def test_a_woocommerce_body_at_another_stores_address_is_refused_and_not_stored(fresh: Target) -> None:
    body = json.dumps({"id": 1}).encode()
    headers = {"X-WC-Webhook-Topic": "order.updated", "X-WC-Webhook-Signature": signature(fresh.hook[1], body)}
    mine = by(fresh.stranger(), "POST", fresh.hook[0], data=body, headers=headers)
    others = by(fresh.stranger(), "POST", fresh.other_hook[0], data=body, headers=headers)
    assert (mine.status_code, others.status_code) == (200, 401)
    with fresh.db.read() as session:
        assert [row.shop_id for row in session.query(Webhook)] == [fresh.shop]
        assert session.query(Endpoint).count() == 2


# --- private networks -------------------------------------------------------------------------------------------------


class Canary:
    """A server that nobody may reach: a made-up private one, which notes each connection."""

    def __init__(self, folder: Path, location: str = "", context: Any = None) -> None:
        self.asked: list[str] = []
        self._location = location
        self.server = Server(self._serve, tls=context)

    def _serve(self, environ: Any, start_response: Any) -> list[bytes]:
        self.asked.append(environ["PATH_INFO"])
        start_response(
            "302 Found" if self._location else "200 OK", [("Location", self._location)] * bool(self._location)
        )
        return [b"{}"]


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Canary]]:
    """Made-up stores at 127.0.0.1 under names of their own, taken for public; 127.0.0.2 is private."""
    certificate, context = make_certificate(tmp_path, ("shop.example", "www.shop.example"))
    monkeypatch.setattr("certifi.where", lambda: str(certificate))
    monkeypatch.setattr(wire, "is_public", lambda address: address == "127.0.0.1")
    made: list[Canary] = []

    def new(location: str = "") -> Canary:
        made.append(Canary(tmp_path, location, context))
        return made[-1]

    yield new
    for each in made:
        each.server.close()


def leads(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, int]) -> list[tuple[str, int]]:
    """Let every name lead to these addresses, one after the other, the last one from then on."""
    left = list(answers)

    def resolve(host: str, port: int, seconds: float) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(2, 1, 6, "", address)]

    monkeypatch.setattr(wire, "resolve", resolve)
    return left


UNREACHABLE = "Tillwire could not reach your store from the internet."
PORTAL = "https://shop.example"


def typed(target: Target, address: str = PORTAL) -> TestResponse:
    visitor = target.person()
    fields = {"csrf_token": visitor.token(), "address": address}
    return by(visitor, "POST", "/connect/woocommerce", data=fields)


def test_a_name_that_leads_into_a_private_network_is_not_called(
    fresh: Target, canary: Callable[..., Canary], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = canary()
    leads(monkeypatch, ("127.0.0.2", inside.server.port))
    answer = typed(fresh)
    assert (answer.status_code, UNREACHABLE in answer.get_data(as_text=True)) == (400, True)
    assert inside.asked == []


@pytest.mark.parametrize(
    "location", ["http://127.0.0.2/", "https://127.0.0.2/", "https://[::1]/", "file:///etc/passwd", "//127.0.0.2/"]
)
def test_a_store_that_sends_us_into_a_private_network_is_not_followed(
    fresh: Target, canary: Callable[..., Canary], monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    shop = canary(location)
    leads(monkeypatch, ("127.0.0.1", shop.server.port))
    answer = typed(fresh)
    assert answer.status_code == 400
    assert "127.0.0.2" not in answer.get_data(as_text=True).replace("https://127.0.0.2", "")
    assert shop.asked == ["/"]


def test_a_name_that_leads_elsewhere_at_the_next_call_is_not_called_there(
    fresh: Target, canary: Callable[..., Canary], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, inside = canary("https://www.shop.example/"), canary()
    leads(monkeypatch, ("127.0.0.1", shop.server.port), ("127.0.0.2", inside.server.port))
    answer = typed(fresh)
    assert (answer.status_code, UNREACHABLE in answer.get_data(as_text=True)) == (400, True)
    assert (shop.asked, inside.asked) == (["/"], [])


# --- how often --------------------------------------------------------------------------------------------------------

#: Routes that are limited, and how many requests of one client in a minute they take.
LIMITED = {
    "sign_in.ask": 10,
    "sign_in.use_link": 10,
    "sign_in.wordpress": 10,
    "sign_in.become_another": 10,
    "store.check": 10,
    "providers.test": 10,
    "settings.invite": 10,
    "settings.ask_for_alerts": 10,
    "alerts.agree": 10,
    "alerts.refuse": 10,
    "connect_woocommerce.begin": 10,
    "connect_woocommerce.callback": 60,
    "connect_woocommerce.come_back": 10,
    "connect_woocommerce.attempt": 30,
    "connect_woocommerce.connect_by_hand": 10,
    "shopify.begin": 10,
    "shopify.callback": 60,
}


@pytest.fixture
def limited(target: Target) -> Iterator[Target]:
    target.app.config["RATELIMIT_ENABLED"] = True
    limits.limiter.reset()
    yield target
    limits.limiter.reset()
    target.app.config["RATELIMIT_ENABLED"] = False


def knock(target: Target, endpoint: str, visitor: Visitor, token: str, **headers: str) -> int:
    how = method(target, endpoint)
    fields = {"csrf_token": token} if how == "POST" else None
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return by(visitor, how, path_of(target, endpoint), data=fields, headers=given).status_code


@pytest.mark.parametrize(("endpoint", "most"), LIMITED.items(), ids=LIMITED)
def test_who_knocks_too_often_is_held_back_whatever_they_say_of_their_address(
    limited: Target, endpoint: str, most: int
) -> None:
    visitor = limited.person()
    token, before = visitor.token(), limited.refused(endpoint, "too often")
    addresses = [f"198.51.100.{number}" for number in range(most + 3)]
    answers = [
        knock(limited, endpoint, visitor, token, X_Forwarded_For=each, X_Real_IP=each, Forwarded=f"for={each}")
        for each in addresses
    ]
    assert 429 not in answers[:most], answers
    assert answers[most:] == [429] * 3
    assert limited.refused(endpoint, "too often") == before + 3
    other = limited.person()
    other.client.environ_base["REMOTE_ADDR"] = "198.51.100.1"
    assert knock(limited, endpoint, other, other.token()) != 429


def test_one_subscriber_of_ipv6_is_one_client_with_all_addresses(limited: Target) -> None:
    visitor = limited.person()
    token = visitor.token()

    def ask(address: str) -> int:
        visitor.client.environ_base["REMOTE_ADDR"] = address
        return knock(limited, "sign_in.ask", visitor, token)

    answers = [ask(f"2001:db8:0:7:{number:x}::1") for number in range(12)]
    assert answers == [400] * 10 + [429] * 2
    assert ask("2001:db8:0:8::1") == 400
    assert [ask(f"::ffff:192.0.2.{number}") for number in range(12)] == [400] * 12


def test_behind_a_proxy_nobody_evades_the_limit_or_has_another_one_held_back(tmp_path: Path, database_url: str) -> None:
    """The proxy adds whom it saw at the end; what stands before that, anybody can write."""
    with Target(tmp_path, database_url, trusted_proxies=1) as target:
        target.app.config["RATELIMIT_ENABLED"] = True
        limits.limiter.reset()
        victim, visitor = "198.51.100.7", target.person()
        token = visitor.token()
        answers = [
            knock(target, "sign_in.ask", visitor, token, X_Forwarded_For=f"{each}, {ELSEWHERE}")
            for each in [victim] * 6 + [f"198.51.100.{number}" for number in range(6)]
        ]
        assert answers == [400] * 10 + [429] * 2
        assert knock(target, "sign_in.ask", visitor, token, X_Forwarded_For=victim) == 400
        limits.limiter.reset()


def test_every_route_that_hands_something_out_or_calls_somebody_is_limited(target: Target) -> None:
    """The others are webhooks, which are signed, and changes of one's own."""
    unlimited = {
        *("webhooks.shopify", "webhooks.woocommerce", "sign_in.leave", "sign_in.leave_everywhere", "store.disconnect"),
        *("providers.mode", "orders.search", "orders.body", "deliveries.payload", "deliveries.resend"),
        *("deliveries.settle", "deliveries.release", "settings.save_names", "settings.withdraw", "settings.remove"),
        *("settings.save_tests", "settings.save_retention", "settings.stop_alerts", "settings.save_language"),
        *("mappings.draft", "mappings.field", "mappings.preview", "mappings.write", "mappings.changes"),
        *("mappings.save", "mappings.restore"),
    }
    changing = {rule.endpoint for rule in target.app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    sometimes = {"providers.save"}  # where it tests the connection as well
    assert changing - set(LIMITED) - sometimes == unlimited
    assert {"webhooks.shopify", "webhooks.woocommerce", "connect_woocommerce.callback"} == access.CSRF_EXEMPT


# --- over a real connection -------------------------------------------------------------------------------------------


def test_malformed_http_is_refused_before_it_reaches_us(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    here = {"PORT": str(port), "PUBLIC_URL": url, "SHOPIFY_API_SECRET": SECRET, **settings(database_url)}
    with Running(tmp_path, "serve", **here) as server:
        until(lambda: answers(f"{url}/readyz"))
        heads = {
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 300_000 + b"\r\n\r\n": {0, 400, 431},  # cut off
            b"POST /webhooks/shopify HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n": {413},
            b"POST /webhooks/shopify HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n": {400},
            b"POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": {
                400
            },
            b"POST /sign-in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": {400},
            b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n": {400},
            b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n": {200, 303},
            b"\x00\x01\x02\r\n\r\n": {400},
        }
        for head, statuses in heads.items():
            answer = raw(port, head)
            assert int(answer.split(b" ", 2)[1]) in statuses, (head[:60], answer[:200])
            assert EVIL.encode() not in answer
        assert requests.get(f"{url}/healthz", timeout=60).status_code == 200
    assert not [line for line in server.complained if "Traceback" in line]


def raw(port: int, head: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(head)
        sock.settimeout(2)
        try:
            return sock.recv(65536)
        except (TimeoutError, ConnectionError):
            return b"HTTP/1.1 0 none"
