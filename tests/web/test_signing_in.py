"""Signing in and out over HTTP: what a stranger learns (nothing), what a thief gets (nothing), what a merchant gets."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import func, select

from app import factory
from app.cli import main
from app.db import Database
from app.models import Account, AuditEntry, ConnectionState, SignIn, SignInLink
from app.services import configure, link_keys, sign_in
from app.simulators.woocommerce_platform import WooCommercePlatform
from app.simulators.wp_link import Link
from tests.rig import Rig
from tests.visitor import ANNA, HTML, US, Visitor, connect, serving

DOWN = "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2"
MAIL = {"smtp_url": "smtp://127.0.0.1:1", "mail_from": "tillwire@us.example"}


class Outbox:
    """In place of the thread that mails: what it would have been given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def ask(self, address: str, page: str) -> None:
        self.asked.append((address, page))

    def close(self) -> None:
        pass


@pytest.fixture
def app(rig: Rig) -> Iterator[Flask]:
    with serving(rig, **MAIL) as app:
        app.extensions["link_sender"].close()
        app.extensions["link_sender"] = Outbox()
        yield app


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


def outbox(app: Flask) -> list[tuple[str, str]]:
    return list(app.extensions["link_sender"].asked)


def count(rig: Rig, table: Any, *where: Any) -> int:
    with rig.db.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


def link(rig: Rig, email: str = ANNA) -> str:
    with rig.db.write() as session:
        token = sign_in.ask(session, email, datetime.now(UTC))
    assert token
    return token


# asking


def test_every_address_gets_the_same_answer_and_one_mail(visitor: Visitor) -> None:
    visitor.sign_in()
    pages = {}
    for address in (ANNA, "stranger@nowhere.example", " Anna@SHOP.example "):
        answer = Visitor(visitor.app).press("/sign-in", "/sign-in", email=address)
        pages[address] = (answer.status_code, answer.get_data())
    assert {status for status, _ in pages.values()} == {200}
    assert len(set(pages.values())) == 1
    assert outbox(visitor.app) == [
        (ANNA, f"{US}/sign-in/link"),
        ("stranger@nowhere.example", f"{US}/sign-in/link"),
        (ANNA, f"{US}/sign-in/link"),
    ]


def test_the_answer_waits_for_nothing_that_knows_addresses(rig: Rig) -> None:
    db = Database(DOWN)
    config = dataclasses.replace(rig.config, public_url=US, **MAIL)
    app = factory.create_app(dataclasses.replace(rig.parts, config=config, db=db))
    app.extensions["link_sender"] = Outbox()
    answer = Visitor(app).press("/sign-in", "/sign-in", email=ANNA)
    app.extensions["intake"].close()
    app.extensions["shopify"].close()
    db.close()
    assert (answer.status_code, outbox(app)) == (200, [(ANNA, f"{US}/sign-in/link")])
    assert "<h1>Look into your mail</h1>" in answer.get_data(as_text=True)


def test_asking_makes_no_account(rig: Rig, visitor: Visitor) -> None:
    visitor.press("/sign-in", "/sign-in", email=ANNA)
    assert (count(rig, Account), count(rig, SignIn)) == (0, 0)


def test_what_is_no_address_is_said_beside_the_field(visitor: Visitor) -> None:
    answer = visitor.press("/sign-in", "/sign-in", email='"><script>')
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert 'role="alert">This is no e-mail address that we can write to.' in page
    assert 'value="&#34;&gt;&lt;script&gt;"' in page
    assert outbox(visitor.app) == []


def test_the_link_leads_to_our_address_whatever_host_was_asked(rig: Rig, app: Flask) -> None:
    visitor = Visitor(app, url="https://evil.example")
    visitor.press("/sign-in", "/sign-in", email=ANNA)
    assert outbox(app) == [(ANNA, f"{US}/sign-in/link")]


@pytest.mark.parametrize(
    "settings",
    [
        {"env": "production"},
        {"env": "production", "public_url": "", **MAIL},
        {"public_url": "", **MAIL},
    ],
)
def test_where_no_mail_can_be_sent_the_page_says_so_and_the_operator_is_told(
    rig: Rig, capsys: pytest.CaptureFixture[str], settings: dict[str, str]
) -> None:
    with serving(rig, **settings) as app:
        visitor = Visitor(app)
        page = visitor.get("/sign-in").get_data(as_text=True)
        answer = visitor.post("/sign-in", csrf_token=visitor.token(), email=ANNA)
    assert "Signing in by e-mail is not set up on this server." in page
    assert '<input id="email"' not in page
    assert answer.status_code == 503
    said = "nobody can sign in by mail: set SMTP_URL, MAIL_FROM and PUBLIC_URL"
    assert said in capsys.readouterr().err
    assert count(rig, SignInLink) == 0


def test_on_a_developers_machine_the_link_is_printed(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(rig, public_url="") as app:
        visitor = Visitor(app, url="http://127.0.0.1:8000")
        answer = visitor.press("/sign-in", "/sign-in", email=ANNA)
        app.extensions["link_sender"].close()
    assert "it printed the link where it was started" in answer.get_data(as_text=True)
    found = re.search(r"http://127\.0\.0\.1:8000/sign-in/link#\S{43}\n", capfd.readouterr().err)
    assert found


# using the link


def test_looking_at_a_link_uses_it_up_for_nobody(rig: Rig, visitor: Visitor) -> None:
    token = link(rig)
    assert visitor.get("/sign-in/link").status_code == 200
    assert visitor.client.head("/sign-in/link", base_url=US).status_code == 200
    answer = visitor.press("/sign-in/link", "/sign-in/link", token=token)
    assert (answer.status_code, answer.location) == (303, "/")
    assert "<h1>Your stores</h1>" in visitor.get("/").get_data(as_text=True)


def test_the_cookie_is_for_this_host_https_and_servers_alone(visitor: Visitor, rig: Rig) -> None:
    answer = visitor.press("/sign-in/link", "/sign-in/link", token=link(rig))
    [cookie] = answer.headers.getlist("Set-Cookie")
    name_and_value, *flags = cookie.split("; ")
    assert name_and_value.startswith("__Host-tillwire=")
    assert sorted(flag for flag in flags if not flag.startswith("Expires=")) == [
        "HttpOnly",
        "Path=/",
        "SameSite=Lax",
        "Secure",
    ]


@pytest.mark.parametrize(
    ("settings", "url", "name"),
    [
        ({"public_url": ""}, "http://127.0.0.1", "tillwire"),
        ({"public_url": "", "env": "production"}, "https://127.0.0.1", "__Host-tillwire"),
    ],
)
def test_only_a_developers_machine_has_cookies_without_https(
    rig: Rig, settings: dict[str, str], url: str, name: str
) -> None:
    with serving(rig, **settings) as app:
        answer = Visitor(app, url=url).get("/sign-in/link")
    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith(f"{name}=")
    assert ("; Secure" in cookie) == name.startswith("__Host-")


def test_signing_in_leaves_nothing_of_the_session_before(rig: Rig, visitor: Visitor) -> None:
    """A thief who planted a cookie, or read one, has nothing after the owner signed in."""
    visitor.get("/sign-in/link")
    planted = visitor.cookie()
    visitor.sign_in()
    first = visitor.cookie()
    visitor.sign_in("bert@shop.example")
    assert len({planted, first, visitor.cookie()}) == 3
    for stolen in (planted, first):
        thief = Visitor(visitor.app)
        thief.client.set_cookie("__Host-tillwire", stolen or "", domain="tillwire.example", secure=True)
        assert thief.get("/settings").location == "/sign-in"
    assert visitor.get("/settings").location == "/"
    assert count(rig, SignIn, SignIn.ended_at.is_(None)) == 1


def test_a_forms_token_from_before_signing_in_is_worth_nothing_after(visitor: Visitor) -> None:
    before = visitor.token()
    visitor.sign_in()
    assert visitor.post("/sign-out", csrf_token=before).status_code == 400
    assert visitor.get("/").status_code == 200


def test_a_used_or_wrong_link_is_refused_in_words(rig: Rig, visitor: Visitor) -> None:
    token = link(rig)
    visitor.press("/sign-in/link", "/sign-in/link", token=token)
    for given in (token, "x", ""):
        answer = Visitor(visitor.app).press("/sign-in/link", "/sign-in/link", token=given)
        assert answer.status_code == 400
        assert (
            '<p role="alert">This link was used already, or is too old. Nothing was changed. Ask for a new one.</p>'
            in answer.get_data(as_text=True)
        )


def test_a_link_can_be_used_by_pasting_its_code_with_spaces_around(rig: Rig, visitor: Visitor) -> None:
    assert visitor.press("/sign-in/link", "/sign-in/link", token=f"  {link(rig)}\n").status_code == 303


# signing out


def test_signing_out_ends_the_session_also_for_a_copy_of_the_cookie(rig: Rig, visitor: Visitor) -> None:
    visitor.sign_in()
    copy = visitor.cookie()
    answer = visitor.press("/", "/sign-out")
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    visitor.client.set_cookie("__Host-tillwire", copy or "", domain="tillwire.example", secure=True)
    assert visitor.get("/settings").location == "/sign-in"
    assert count(rig, SignIn, SignIn.ended_at.is_(None)) == 0


def test_signing_out_everywhere_ends_all_sessions_of_the_account(visitor: Visitor) -> None:
    phone, other = Visitor(visitor.app), Visitor(visitor.app)
    visitor.sign_in()
    phone.sign_in()
    other.sign_in("bert@shop.example")
    assert visitor.press("/", "/sign-out/everywhere").status_code == 303
    assert phone.get("/settings").location == "/sign-in"
    assert other.get("/settings").location == "/"


def test_signing_out_when_nobody_is_signed_in_does_no_harm(visitor: Visitor) -> None:
    for path in ("/sign-out", "/sign-out/everywhere"):
        assert visitor.post(path, csrf_token=visitor.token()).status_code == 303


# the WordPress plugin's link


def plugins_link(rig: Rig, shop: int, **claims: Any) -> str:
    """The path of a link as the simulated store's plugin makes it with the key that it was given."""
    with rig.db.write() as session:
        name, secret = link_keys.new_key(session, rig.parts.vault, shop)
    with WooCommercePlatform() as platform:
        plugin: Link = platform.link
        plugin.keep({"kid": name, "secret": secret, "aud": US}, {})
        token = plugin.sign(7, **{"iss": "https://store.example", **claims})
        return plugin.url(token).removeprefix(US)


def test_a_plugins_link_leads_straight_to_its_store_and_leaves_the_address_bar(rig: Rig, visitor: Visitor) -> None:
    shop, other = rig.shop("woocommerce"), rig.shop("woocommerce", "https://other.example")
    answer = visitor.get(plugins_link(rig, shop))
    assert (answer.status_code, answer.location) == (303, "/")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert visitor.get("/").location == f"/shops/{shop}"
    assert visitor.get("/settings").location == f"/shops/{shop}/settings"
    assert visitor.get(f"/shops/{shop}").status_code == 200
    assert visitor.get(f"/shops/{other}").status_code == 404
    assert count(rig, Account) == 0


def test_who_comes_by_a_plugins_link_is_told_how_to_connect_the_store_again(rig: Rig, visitor: Visitor) -> None:
    trouble = "The store does not take the keys: connect the store again as an administrator."
    shop = connect(rig, rig.shop("woocommerce"), ConnectionState.ATTENTION, trouble=trouble)
    visitor.get(plugins_link(rig, shop))
    path, told = f"/shops/{shop}/connection", "Connecting the store again takes an account. Invite yourself by e-mail"
    page = visitor.get(path).get_data(as_text=True)
    assert page.count(told) == 1
    assert f'<a href="/shops/{shop}/settings#people">Settings</a></p>' in page
    assert "/connect/woocommerce" not in page
    anna = Visitor(visitor.app)
    anna.join(anna.sign_in(), shop)
    page = anna.get(path).get_data(as_text=True)
    assert told not in page
    assert '<a class="button second" href="/connect/woocommerce">Connect again</a>' in page
    assert anna.get("/connect/woocommerce").status_code == 200


def test_what_only_looks_at_a_plugins_link_does_not_use_it_up(rig: Rig, visitor: Visitor) -> None:
    path = plugins_link(rig, rig.shop("woocommerce"))
    assert visitor.client.head(path, base_url=US).status_code == 405
    assert visitor.get(path).status_code == 303
    again = visitor.get(path)
    assert again.status_code == 400
    assert "Open Tillwire from your WordPress admin again." in again.get_data(as_text=True)


def test_a_plugins_link_for_another_server_opens_nothing(rig: Rig, visitor: Visitor) -> None:
    path = plugins_link(rig, rig.shop("woocommerce"), aud="https://other-tillwire.example")
    assert visitor.get(path).status_code == 400
    assert visitor.cookie() is None
    assert visitor.get("/settings").location == "/sign-in"


# the operator's link


def test_the_operators_link_opens_that_store_alone(rig: Rig, visitor: Visitor) -> None:
    shop, other = rig.shop("woocommerce"), rig.shop("woocommerce", "https://other.example")
    with rig.db.write() as session:
        token = sign_in.open_shop(session, configure.find_shop(session, str(shop)), datetime.now(UTC))
    assert visitor.press("/sign-in/link", "/sign-in/link", token=token).status_code == 303
    assert visitor.get("/").location == f"/shops/{shop}"
    assert visitor.get(f"/shops/{other}").status_code == 404
    with rig.db.read() as session:
        trail = session.execute(select(AuditEntry.shop_id, AuditEntry.actor, AuditEntry.action)).all()
    assert [tuple(row) for row in trail] == [
        (shop, "operator", "make sign-in link"),
        (shop, "operator", "open pages"),
    ]


# how often


def test_an_eleventh_try_in_a_minute_is_told_to_wait(app: Flask) -> None:
    visitor = Visitor(app)
    token = visitor.token()
    answers = [visitor.post("/sign-in/link", csrf_token=token, token=str(n)) for n in range(11)]
    assert [each.status_code for each in answers] == [400] * 10 + [429]
    last = answers[-1]
    assert "These were too many requests from your network." in last.get_data(as_text=True)
    assert 50 <= int(last.headers["Retry-After"]) <= 61
    elsewhere = app.test_client()
    assert elsewhere.get("/sign-in/wordpress", environ_overrides={"REMOTE_ADDR": "192.0.2.7"}).status_code == 400


def test_limits_count_by_where_the_connection_comes_from_not_by_what_a_header_claims(app: Flask) -> None:
    client = app.test_client()
    statuses = [
        client.get("/sign-in/wordpress", headers={**HTML, "X-Forwarded-For": f"192.0.2.{n}"}).status_code
        for n in range(11)
    ]
    assert statuses == [400] * 10 + [429]


def test_limits_can_be_switched_off(app: Flask) -> None:
    app.config["RATELIMIT_ENABLED"] = False
    client = app.test_client()
    assert {client.get("/sign-in/wordpress", headers=HTML).status_code for _ in range(30)} == {400}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "statuses"),
    [
        (1, "{n}.0.0.1, 192.0.2.9", [400] * 10 + [429]),  # what is before our proxy's own entry, anybody can write
        (1, "192.0.2.{n}", [400] * 11),
        (2, "192.0.2.{n}, 10.0.0.1", [400] * 11),
        (2, "10.0.0.{n}", [400] * 10 + [429]),  # fewer than promised: it did not come through all of them
    ],
)
def test_behind_proxies_limits_count_by_what_the_outermost_of_ours_saw(
    rig: Rig, proxies: int, forwarded: str, statuses: list[int]
) -> None:
    with serving(rig, trusted_proxies=proxies) as app:
        client = app.test_client()
        found = [
            client.get("/sign-in/wordpress", headers={**HTML, "X-Forwarded-For": forwarded.format(n=n)}).status_code
            for n in range(1, 12)
        ]
    assert found == statuses


def test_who_is_held_back_is_not_named_in_the_log(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    client = app.test_client()
    for _ in range(11):
        client.get("/sign-in/wordpress", environ_overrides={"REMOTE_ADDR": "192.0.2.77"})
    assert "192.0.2.77" not in capsys.readouterr().err


# the command


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"PUBLIC_URL": US}, US),
        ({"PUBLIC_URL": "", "HOST": "127.0.0.1", "PORT": "8123"}, "http://127.0.0.1:8123"),
        ({"PUBLIC_URL": "", "HOST": "::1", "PORT": "8123"}, "http://[::1]:8123"),
    ],
)
def test_shops_open_prints_a_link_that_opens_the_store(
    rig: Rig, visitor: Visitor, settings: dict[str, str], address: str
) -> None:
    shop = rig.shop("woocommerce")
    done = CliRunner().invoke(main, ["shops", "open", str(shop), "--json"], env={**rig.environment, **settings})
    assert (done.exit_code, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    page, _, token = printed.pop("url").partition("#")
    assert (page, printed) == (f"{address}/sign-in/link", {"shop": shop})
    assert visitor.press("/sign-in/link", "/sign-in/link", token=token).status_code == 303
    assert visitor.get("/").location == f"/shops/{shop}"


def test_shops_open_needs_a_public_address_in_production_and_leaves_nothing_behind(rig: Rig) -> None:
    shop = rig.shop("woocommerce")
    kept = {
        name: value for name, value in rig.environment.items() if name not in ("ALLOW_PRIVATE_NETWORKS", "LIMIT_FACTOR")
    }
    plain = {name: "" for name in kept if name.endswith("_API_URL")}
    done = CliRunner().invoke(main, ["shops", "open", str(shop)], env={**kept, **plain, "ENV": "production"})
    said = "tillwire: PUBLIC_URL is missing: set it to the https address of this server, where the link has to lead\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", said)
    assert (count(rig, SignInLink), count(rig, AuditEntry)) == (0, 0)


def test_shops_open_of_an_unknown_store_says_so(rig: Rig) -> None:
    done = CliRunner().invoke(main, ["shops", "open", "999"], env=rig.environment)
    assert (done.exit_code, done.stderr) == (
        1,
        "tillwire: there is no shop '999': `tillwire shops list` shows them all\n",
    )
