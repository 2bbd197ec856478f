"""A person at a browser, without the browser: keeps cookies, finds the forms' tokens, signs in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import jwt
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from app import factory
from app.models import Connection, ConnectionState, Shop
from app.services import accounts, sign_in
from app.services.agreement import Source
from app.services.connections import Platform
from app.services.errors import Failed
from tests.rig import Rig

US = "https://tillwire.example"
ANNA = "anna@shop.example"
SECRET = "shpss_0123456789abcdef0123456789abcdef"
KEY = "0123456789abcdef0123456789abcdef"
DOMAIN = "inside.myshopify.com"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@contextmanager
def serving(rig: Rig, **config: Any) -> Iterator[Flask]:
    """The rig's Tillwire under a public address, or with other settings."""
    settings = replace(rig.config, **{"public_url": US, **config})
    app = factory.create_app(replace(rig.parts, config=settings))
    try:
        yield app
    finally:
        app.extensions["intake"].close()
        app.extensions["link_sender"].close()
        app.extensions["shopify"].close()


class Visitor:
    def __init__(self, app: Flask, *, url: str = US) -> None:
        self.app = app
        self.url = url
        self.client = app.test_client()

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, base_url=self.url, headers={**HTML, **more.pop("headers", {})}, **more)

    def press(self, page: str, action: str, **fields: str) -> TestResponse:
        """Fill in the form of ``page`` that leads to ``action``, and send it."""
        forms = Forms(self.get(page).get_data(as_text=True)).found
        return self.post(action, **{**forms[action], **fields})

    def token(self) -> str:
        """What proves that a form is from one of our pages in this browser."""
        return Forms(self.get("/sign-in/link").get_data(as_text=True)).found["/sign-in/link"]["csrf_token"]

    def post(self, path: str, *, headers: dict[str, str] | None = None, **fields: str) -> TestResponse:
        given = {**HTML, **(headers or {})}
        return self.client.post(path, base_url=self.url, data=fields, headers=given)

    def sign_in(self, email: str = ANNA) -> int:
        """By a link, as if it had been mailed; return the account's id."""
        db, now = self.app.extensions["db"], datetime.now(UTC)
        with db.write() as session:
            token = sign_in.ask(session, email, now)
            account = accounts.find_or_add(session, email, now)
        assert token
        answer = self.press("/sign-in/link", "/sign-in/link", token=token)
        assert (answer.status_code, answer.location) == (303, "/"), answer.get_data(as_text=True)
        return account

    def join(self, account: int, *shops: int) -> None:
        with self.app.extensions["db"].write() as session:
            for shop in shops:
                accounts.join(session, account, shop, datetime.now(UTC))

    def cookie(self) -> str | None:
        """The session's, as the browser holds it."""
        name = self.app.config["SESSION_COOKIE_NAME"]
        found = self.client.get_cookie(name, domain=re.sub(r"^\w+://", "", self.url))
        return found.value if found else None


class Forms(HTMLParser):
    """The fields of each form in a page as a browser would send them, by where the form leads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._action: str | None = None
        self._field = ""  #: the list or text area that is being read
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._action = given["action"]
            self.found.setdefault(self._action or "", {})
        elif self._action is None:
            return
        elif tag == "input":
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.found[self._action][given["name"] or ""] = given.get("value") or ""
        elif tag in ("select", "textarea"):
            self._field = given["name"] or ""
            if tag == "textarea":
                self.found[self._action][self._field] = ""
        elif tag == "option" and ("selected" in given or self._field not in self.found[self._action]):
            self.found[self._action][self._field] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._action is not None and self.lasttag == "textarea" and self._field:
            text = data.replace("\r\n", "\n")
            self.found[self._action][self._field] = text.removeprefix("\n").replace("\n", "\r\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea"):
            self._field = ""
        elif tag == "form":
            self._action = None


class Calls:
    """In place of a platform: what it was asked to do."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int, str | None]] = []
        self.trouble: str | None = None
        self.pause: Callable[[], object] = lambda: None

    def check(self, shop_id: int, now: datetime) -> None:
        self.pause()
        self.made.append(("check", shop_id, None))
        if self.trouble:
            raise Failed(self.trouble)

    def disconnect(self, shop_id: int, actor: str, now: datetime) -> None:
        self.made.append(("disconnect", shop_id, actor))

    def orders(self, shop: Shop, connection: Connection) -> Source:
        raise AssertionError("no page asks a store for its orders")


def platforms(calls: Calls) -> dict[str, Platform]:
    woocommerce = Platform(check=calls.check, disconnect=calls.disconnect, reconnects=True, orders=calls.orders)
    shopify = Platform(check=calls.check, disconnect=None, reconnects=False, orders=calls.orders)
    return {"shopify": shopify, "woocommerce": woocommerce}


def connect(rig: Rig, shop: int, state: str = ConnectionState.CONNECTED, **more: Any) -> int:
    """A store that was connected before the made-up orders, which have dates of their own, whenever this runs."""
    now = datetime.now(UTC)
    with rig.db.write() as session:
        session.execute(update(Shop).where(Shop.id == shop).values(created_at=datetime(2026, 11, 20, tzinfo=UTC)))
        session.add(Connection(shop_id=shop, state=state, installed_at=now, scopes=["read_orders"], **more))
    return shop


def id_token(domain: str = DOMAIN, **changed: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": f"https://{domain}/admin",
        "dest": f"https://{domain}",
        "aud": KEY,
        "sub": "77",
        "exp": now + 60,
        "nbf": now - 1,
        "iat": now - 1,
        "jti": "j",
        "sid": "s",
    }
    return jwt.encode({**claims, **changed}, SECRET, algorithm="HS256")
