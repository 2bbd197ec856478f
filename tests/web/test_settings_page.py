"""The settings of a store: names of the live sale's number, people, and what was changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from app.models import AuditEntry, Shop, SignInLink
from app.services import names
from connectors.base import SPRII_NAMES
from tests.attacked import Sender
from tests.rig import Rig
from tests.visitor import ANNA, DOMAIN, KEY, SECRET, US, Visitor, connect, id_token, serving

BERT = "bert@shop.example"


class Invitations(Sender):
    """In place of mail: also what was invited."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, str]] = []  #: address, link, domain

    def invite(self, address: str, page: str, token: str, domain: str) -> None:
        self.sent.append((address, f"{page}#{token}", domain))


@pytest.fixture
def mails() -> Invitations:
    return Invitations()


@pytest.fixture
def app(rig: Rig, mails: Invitations) -> Iterator[Flask]:
    with serving(rig, shopify_api_key=KEY, shopify_secrets=(SECRET,)) as app:
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


def kept(rig: Rig, shop: int) -> tuple[str, ...]:
    with rig.db.read() as session:
        return names.sprii_names(session.get_one(Shop, shop))


def test_names_are_shown_saved_and_in_the_trail(rig: Rig, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    assert "\n".join(SPRII_NAMES) + "</textarea>" in visitor.get(path).get_data(as_text=True)
    answer = visitor.press(path, f"{path}/names", names="live_no\r\n<b>")
    assert (answer.status_code, answer.location) == (303, f"{path}?done=names")
    page = visitor.get(answer.location or "").get_data(as_text=True)
    assert '<p class="notice" role="status">The names are saved.' in page
    assert "live_no\n&lt;b&gt;</textarea>" in page
    assert kept(rig, mine) == ("live_no", "<b>")
    trail = visitor.get(f"{path}/changes").get_data(as_text=True)
    assert f"<td>{ANNA}</td>" in trail
    standard = ", ".join(SPRII_NAMES)
    assert f"sprii names: <del>{standard}</del>" in trail
    assert "<ins>live_no, &lt;b&gt;</ins>" in trail


def test_a_form_that_another_one_overtook_is_answered_with_both_and_can_be_saved_then(
    rig: Rig, visitor: Visitor, mine: int
) -> None:
    path = f"/shops/{mine}/settings"
    old = {"csrf_token": visitor.token(), "version": names.version(SPRII_NAMES)}
    assert visitor.post(f"{path}/names", names="theirs", **old).status_code == 303
    answer = visitor.post(f"{path}/names", names="mine", **old)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Somebody else changed these names while you typed." in page
    assert "<li><code>theirs</code></li>" in page
    assert ">\nmine</textarea>" in page
    assert kept(rig, mine) == ("theirs",)
    version = re.findall(r'name="version" value="(\w+)"', page)[0]
    again = visitor.post(f"{path}/names", names="mine", csrf_token=old["csrf_token"], version=version)
    assert again.status_code == 303
    assert kept(rig, mine) == ("mine",)


def test_names_that_cannot_be_are_refused_and_stay_in_the_form(rig: Rig, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    answer = visitor.press(path, f"{path}/names", names="a" * 101)
    assert answer.status_code == 400
    page = answer.get_data(as_text=True)
    assert '<p class="wrong" role="alert">A name is longer than 100 characters' in page
    assert "a" * 101 in page
    assert kept(rig, mine) == SPRII_NAMES


def test_whoever_is_invited_opens_the_link_and_sees_that_store_alone(
    rig: Rig, app: Flask, visitor: Visitor, mine: int, mails: Invitations
) -> None:
    path = f"/shops/{mine}/settings"
    rig.shop("woocommerce", "https://other.example")
    answer = visitor.press(path, f"{path}/people", email=BERT)
    assert (answer.status_code, answer.location) == (303, f"{path}?done=invited")
    [(address, link, domain)] = mails.sent
    page, _, token = link.partition("#")
    assert (address, page, domain) == (BERT, f"{US}/sign-in/link", "store.example")
    assert BERT in visitor.get(path).get_data(as_text=True)
    bert = Visitor(app)
    assert bert.press("/sign-in/link", "/sign-in/link", token=token).location == "/"
    stores = bert.get("/").get_data(as_text=True)
    assert "store.example" in stores
    assert "other.example" not in stores
    assert bert.get(path).status_code == 200
    trail = visitor.get(f"{path}/changes").get_data(as_text=True)
    assert re.findall(r"<td>([^<]+@[^<]+)</td>\s*<td>([^<\n]+)", trail) == [
        (BERT, "Accept invitation"),
        (ANNA, "Invite person"),
    ]


def test_an_invitation_is_taken_back(rig: Rig, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    visitor.press(path, f"{path}/people", email=BERT)
    with rig.db.read() as session:
        invitation = session.scalars(select(SignInLink.id).where(SignInLink.email == BERT)).one()
    answer = visitor.press(path, f"{path}/invitations/{invitation}/withdraw")
    assert answer.location == f"{path}?done=withdrawn"
    assert BERT not in visitor.get(path).get_data(as_text=True)
    token = visitor.token()
    assert visitor.post(f"{path}/invitations/{invitation}/withdraw", csrf_token=token).status_code == 404


@pytest.mark.parametrize(("email", "said"), [("bert", "no e-mail address"), (ANNA, "sees the store already")])
def test_who_cannot_be_invited_is_said_in_place(
    visitor: Visitor, mine: int, mails: Invitations, email: str, said: str
) -> None:
    path = f"/shops/{mine}/settings"
    answer = visitor.press(path, f"{path}/people", email=email)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert said in page
    assert f'value="{email}"' in page
    assert mails.sent == []


def test_where_no_mail_can_be_sent_nobody_is_invited(rig: Rig, mails: Invitations) -> None:
    with serving(rig, env="production", smtp_url="") as app:
        visitor = Visitor(app)
        shop = connect(rig, rig.shop("woocommerce"))
        visitor.join(visitor.sign_in(), shop)
        path = f"/shops/{shop}/settings"
        assert "Nobody can be invited: this Tillwire sends no mail." in visitor.get(path).get_data(as_text=True)
        assert visitor.post(f"{path}/people", csrf_token=visitor.token(), email=BERT).status_code == 503
    with rig.db.read() as session:
        assert session.scalars(select(SignInLink.id).where(SignInLink.email == BERT)).all() == []


def test_people_are_removed_and_the_last_one_stays(rig: Rig, app: Flask, visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/settings"
    bert = Visitor(app)
    account = bert.sign_in(BERT)
    bert.join(account, mine)
    assert visitor.press(path, f"{path}/people/{account}/remove").location == f"{path}?done=removed"
    assert bert.get(path).status_code == 404
    page = visitor.get(path).get_data(as_text=True)
    assert "/remove" not in page
    answer = visitor.post(f"{path}/people/1/remove", csrf_token=visitor.token())
    assert answer.status_code == 400
    assert "This is the last person who sees the store here." in answer.get_data(as_text=True)


def test_who_removes_themselves_is_led_to_their_other_stores(app: Flask, visitor: Visitor, mine: int) -> None:
    bert = Visitor(app)
    account = bert.sign_in(BERT)
    bert.join(account, mine)
    path = f"/shops/{mine}/settings"
    assert bert.press(path, f"{path}/people/{account}/remove").location == "/"


def test_staff_in_the_admin_are_in_the_trail_by_number(rig: Rig, visitor: Visitor) -> None:
    shop = connect(rig, rig.shop("shopify", DOMAIN))
    path, proof = f"/shops/{shop}/settings", {"Authorization": f"Bearer {id_token()}"}
    page = visitor.get(path, headers=proof).get_data(as_text=True)
    assert "Nobody has an account for this store" in page
    sent = {"names": "live_no", "version": names.version(SPRII_NAMES)}
    assert visitor.post(f"{path}/names", headers=proof, **sent).status_code == 303
    trail = visitor.get(f"{path}/changes", headers=proof).get_data(as_text=True)
    assert "<td>Staff member 77 of your shop</td>" in trail


def test_changes_are_led_through_by_key(rig: Rig, visitor: Visitor, mine: int) -> None:
    with rig.db.write() as session:
        for number in range(60):
            session.add(AuditEntry(shop_id=mine, actor="tillwire", action=f"do {number}", at=datetime.now(UTC)))
    path = f"/shops/{mine}/settings/changes"
    first = visitor.get(path).get_data(as_text=True)
    older = re.findall(rf'href="({path}\?before=\d+)"', first)
    assert (first.count("<td>Tillwire itself</td>"), len(older)) == (50, 1)
    second = visitor.get(older[0]).get_data(as_text=True)
    assert second.count("<td>Tillwire itself</td>") == 10
    assert "Older changes" not in second
    assert "Do 9\n" in second


def test_changes_name_the_provider_and_a_key_that_was_given_anew(visitor: Visitor, mine: int) -> None:
    path = f"/shops/{mine}/providers/sprii"
    for key in ("hush-hush-hush", "another-key-0001"):
        assert visitor.press(path, path, api_key=key).status_code == 303
    trail = visitor.get(f"/shops/{mine}/settings/changes").get_data(as_text=True)
    assert trail.count('Set provider: <strong translate="no">Sprii</strong>') == 2
    assert "<del>api_key: set</del>" in trail
    assert "<ins>api_key: set anew</ins>" in trail


def test_inside_the_admin_the_only_one_who_was_invited_is_removed(rig: Rig, app: Flask, visitor: Visitor) -> None:
    shop = connect(rig, rig.shop("shopify", DOMAIN))
    bert = Visitor(app)
    account = bert.sign_in(BERT)
    bert.join(account, shop)
    path, proof = f"/shops/{shop}/settings", {"Authorization": f"Bearer {id_token()}"}
    assert "/remove" not in bert.get(path).get_data(as_text=True)
    button = f'<form method="post" action="{path}/people/{account}/remove">'
    assert visitor.get(path, headers=proof).get_data(as_text=True).count(button) == 1
    assert visitor.post(f"{path}/people/{account}/remove", headers=proof).status_code == 303
    page = visitor.get(path, headers=proof).get_data(as_text=True)
    assert "Nobody has an account for this store" in page
    assert bert.get(path).status_code == 404


@pytest.mark.parametrize("number", ["9" * 20, str(2**63), "9" * 5000])
def test_numbers_that_no_row_can_have_break_nothing(visitor: Visitor, mine: int, number: str) -> None:
    path = f"/shops/{mine}/settings"
    for given in (number, "-1", "x"):
        assert visitor.get(f"{path}/changes?before={given}").status_code == 200, given
    token = visitor.token()
    for more in (f"invitations/{number}/withdraw", f"people/{number}/remove"):
        assert visitor.post(f"{path}/{more}", csrf_token=token).status_code == 404, more
