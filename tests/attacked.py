"""A Tillwire with two tenants on each platform, and what is looked at around each attack on it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
from sqlalchemy import text

from app.db import Base
from app.metrics import REFUSED
from app.models import ConnectAttempt, HourlyAnswers, SignIn, SignInLink
from app.providers import wire
from app.services import accounts, link_keys, sign_in
from app.services.connections import Connections
from app.services.secrets import Vault
from app.simulators.shopify_platform import ShopifyPlatform
from tests.databases import BROKER, POSTGRESQL, SQLITE
from tests.rig import Rig
from tests.visitor import DOMAIN, KEY, SECRET, US, Calls, Visitor, connect, id_token, platforms, serving

PREVIOUS = "shpss_ffffffffffffffffffffffffffffffff"
REVOKED = "shpss_eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
OTHER_DOMAIN = "outside.myshopify.com"
STORE, OTHER_STORE = "https://annas.example", "https://eves.example"
ANNA, EVE = "anna@annas.example", "eve@eves.example"
ELSEWHERE = "203.0.113.9"  #: an address that is not this machine's
#: Asks for what changes with every commit of others.
VERSION = {SQLITE: "PRAGMA data_version", POSTGRESQL: "SELECT pg_current_snapshot()::text"}
#: How often webhooks were refused is counted on purpose.
WATCHED = [each.name for each in Base.metadata.sorted_tables if each.name != HourlyAnswers.__tablename__]


class Sender:
    """In place of mail."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def ask(self, address: str, page: str) -> None:
        self.asked.append((address, page))

    def invite(self, address: str, page: str, token: str, domain: str) -> None:
        self.asked.append((address, page))

    def ask_for_alerts(self, address: str, page: str, token: str, domain: str) -> None:
        self.asked.append((address, page))

    def close(self) -> None:
        pass


class Target:
    """
    Attributes:
        shop, other: Anna's WooCommerce store and Eve's.
        inside, outside: two shops of Shopify's.
    """

    def __init__(self, folder: Path, database_url: str, **config: Any) -> None:
        self._open = ExitStack()
        self.rig = self._open.enter_context(Rig(folder, database_url=database_url, broker_url=BROKER))
        self.db, self.vault = self.rig.db, Vault(self.rig.config.cipher())
        self.platform = self._open.enter_context(ShopifyPlatform(KEY, SECRET, app_url=US))
        settings = {
            "env": "production",
            "allow_private_networks": False,
            "shopify_api_key": KEY,
            "shopify_secrets": (SECRET, PREVIOUS),
            "shopify_code_grant": True,
            "shopify_admin_url": self.platform.url,
            "smtp_url": "smtp://127.0.0.1:9",
            **config,
        }
        self.app = self._open.enter_context(serving(self.rig, **settings))
        self.app.config["RATELIMIT_ENABLED"] = False
        self.calls, self.mails = Calls(), Sender()
        self.app.extensions["connections"] = Connections(self.db, platforms(self.calls))
        self.app.extensions["link_sender"].close()
        self.app.extensions["link_sender"] = self.mails
        self._watch = self._open.enter_context(self.db.engine.connect())
        self._dumped: tuple[Any, dict[str, list[str]]] = (None, {})
        self.looked_up: list[str] = []
        patch = self._open.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(wire, "resolve", self._resolve)
        self._furnish()

    def _resolve(self, host: str, port: int, seconds: float) -> list[Any]:
        """No name leads anywhere, and whoever is looked up is noted."""
        self.looked_up.append(host)
        raise socket.gaierror("no such name")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _furnish(self) -> None:
        for domain, number in ((DOMAIN, 41), (OTHER_DOMAIN, 42)):
            self.platform.add_shop(domain, id=number)
        later = datetime.now(UTC) + timedelta(
            hours=1
        )  # that staff opened the app is noted; not while attacks are watched
        self.inside = connect(self.rig, self.rig.shop("shopify", DOMAIN, external_id="41"), opened_at=later)
        self.outside = connect(self.rig, self.rig.shop("shopify", OTHER_DOMAIN, external_id="42"))
        self.shop = connect(self.rig, self.rig.shop("woocommerce", STORE))
        self.other = connect(self.rig, self.rig.shop("woocommerce", OTHER_STORE))
        self.hook = self.rig.endpoint(self.shop, "order.updated")
        self.other_hook = self.rig.endpoint(self.other, "order.updated")
        now = datetime.now(UTC)
        with self.db.write() as session:
            self.anna = accounts.find_or_add(session, ANNA, now)
            self.eve = accounts.find_or_add(session, EVE, now)
            accounts.join(session, self.anna, self.shop, now)
            accounts.join(session, self.eve, self.other, now)
            self.link_key = link_keys.new_key(session, self.vault, self.shop)
            self.other_link_key = link_keys.new_key(session, self.vault, self.other)

    # people

    def stranger(self) -> Visitor:
        """Somebody elsewhere without a session."""
        visitor = Visitor(self.app)
        visitor.client.environ_base["REMOTE_ADDR"] = ELSEWHERE
        return visitor

    def person(self, actor: str = "", *, account: int | None = None, shop: int | None = None, **row: Any) -> Visitor:
        """Somebody with a session; Anna by default."""
        account = self.anna if account is None and shop is None else account
        now = datetime.now(UTC)
        with self.db.write() as session:
            token = sign_in.start(
                session, actor or f"account:{account}", now, timedelta(hours=1), account_id=account, shop_id=shop
            )
            session.flush()
            made = session.query(SignIn).filter_by(token_hash=sign_in.fingerprint(token)).one()
            for name, value in row.items():
                setattr(made, name, value)
        visitor = self.stranger()
        self.give(visitor, self.cookie({"sign_in": token}))
        return visitor

    def cookie(self, content: dict[str, Any], key: str | None = None) -> str:
        """A session's cookie, signed with our key or another."""
        kept = self.app.secret_key
        self.app.secret_key = key or kept
        try:
            signer = self.app.session_interface.get_signing_serializer(self.app)  # type: ignore[attr-defined]
            return str(signer.dumps(content))
        finally:
            self.app.secret_key = kept

    def give(self, visitor: Visitor, cookie: str) -> None:
        name = self.app.config["SESSION_COOKIE_NAME"]
        host = US.removeprefix("https://")
        visitor.client.set_cookie(name, cookie, domain=host, secure=True, httponly=True, path="/")

    # tokens

    def mailed(self, **row: Any) -> str:
        """The token of a link to Anna's address, or of the operator's to ``shop_id``."""
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        given = {"created_at": now, "expires_at": now + timedelta(minutes=15), **row}
        if "shop_id" not in given:
            given["email"] = ANNA
        with self.db.write() as session:
            session.add(SignInLink(token_hash=sign_in.fingerprint(token), **given))
        return token

    def id_token(self, secret: str = SECRET) -> str:
        """As Shopify gives its staff."""
        return sealed(jwt.decode(id_token(), options={"verify_signature": False}), secret)

    def plugin_link(self, key: tuple[str, str] | None = None, header: dict[str, Any] | None = None, **how: Any) -> str:
        """A link of Anna's WordPress; ``how``: the secret, and claims (None leaves one out)."""
        name, secret = key or self.link_key
        now = int(time.time())
        standard = {"iss": STORE, "aud": US, "sub": "7", "iat": now, "exp": now + 60, "jti": secrets.token_hex(16)}
        secret = how.pop("secret", secret)
        claims = {key: value for key, value in {**standard, **how}.items() if value is not None}
        return sealed(claims, secret, {"kid": name} if header is None else header)

    def attempt(self, *, platform: str = "woocommerce", account: int | None = None, **row: Any) -> str:
        """The state of somebody's walk to a store."""
        state, now = secrets.token_urlsafe(32), datetime.now(UTC)
        given = {
            "platform": platform,
            "address": "https://new.example",
            "account_id": account,
            "created_at": now,
            "expires_at": now + timedelta(minutes=30),
            **row,
        }
        with self.db.write() as session:
            session.add(ConnectAttempt(state_hash=hashlib.sha256(state.encode()).hexdigest(), **given))
        return state

    # looking

    def dump(self) -> dict[str, list[str]]:
        """All that is stored; read anew only where somebody has written since."""
        version = self._watch.exec_driver_sql(VERSION[self.db.engine.dialect.name]).scalar()
        self._watch.commit()
        if version != self._dumped[0]:
            self._dumped = (version, self._read())
        return self._dumped[1]

    def _read(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {each: [] for each in WATCHED}
        with self.db.read() as session:
            if self.db.sqlite:
                for table in found:
                    found[table] += (repr(tuple(row)) for row in session.execute(text(f"SELECT * FROM {table}")))
            else:  # all at once, for at a server each question has its price
                every = " UNION ALL ".join(f"SELECT '{table}', {table}::text FROM {table}" for table in found)
                for table, row in session.execute(text(every)):
                    found[table].append(row)
        return {table: sorted(rows) for table, rows in found.items()}

    def refused(self, route: str, *reasons: str) -> float:
        """How many requests to ``route`` were counted as refused, for any reason or one of these."""
        samples = [each for each in next(iter(REFUSED.collect())).samples if each.name.endswith("_total")]
        mine = [each for each in samples if each.labels["route"] == route]
        return sum(each.value for each in mine if not reasons or each.labels["reason"] in reasons)

    def outward(self) -> tuple[int, ...]:
        """How many calls to Shopify, to other platforms, names looked up, and mails."""
        return tuple(map(len, (self.platform.requests(), self.calls.made, self.looked_up, self.mails.asked)))


def forged_id_tokens() -> dict[str, tuple[str, bool]]:
    """By what is wrong with it: an ID token, and whether its time alone is (App Bridge may bring a fresh one)."""
    now = int(time.time())
    claims = jwt.decode(id_token(), options={"verify_signature": False})

    def signed(secret: str = SECRET, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
        body = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return sealed(body, secret, header)

    made = {
        "another secret": signed("shpss_00000000000000000000000000000000"),
        "a revoked secret": signed(REVOKED),
        "our client id as secret": signed(KEY),
        "an empty secret": signed(""),
        "no algorithm": sealed(claims, None, {"alg": "none"}),
        "no algorithm, in other letters": sealed(claims, None, {"alg": "nOnE"}),
        "RS256": sealed(claims, None, {"alg": "RS256"}),
        "HS512": signed(header={"alg": "HS512"}),
        "another audience": signed(aud="another"),
        "two audiences": signed(aud=[KEY, "another"]),
        "no audience": signed(aud=None),
        "no end": signed(exp=None),
        "no beginning": signed(nbf=None),
        "an end that is text": signed(exp="never"),
        "an end beyond time": signed(exp=1e400),
        "another destination": signed(dest=f"https://{OTHER_DOMAIN}"),
        "another issuer": signed(iss=f"https://{OTHER_DOMAIN}/admin"),
        "a shop elsewhere": signed(iss="https://evil.example/admin", dest="https://evil.example"),
        "a shop as user": signed(iss=f"https://{DOMAIN}@evil.example/admin", dest=f"https://{DOMAIN}@evil.example"),
        "a shop as beginning": signed(
            iss=f"https://{DOMAIN}.evil.example/admin", dest=f"https://{DOMAIN}.evil.example"
        ),
        "a shop by plain http": signed(iss=f"http://{DOMAIN}/admin", dest=f"http://{DOMAIN}"),
        "no destination": signed(dest=None),
        "no person": signed(sub=None),
        "a person that is no number": signed(sub="1 OR 1"),
        "a header that must be understood": signed(header={"crit": ["x"], "x": 1}),
        "too long": signed(jti="x" * 5000),
        "no token": "x",
        "three empty parts": "..",
        "our own cookie": "eyJhIjoxfQ.aaaaaa.bbbbbb",
    }
    over = {"expired": signed(exp=now - 11), "not begun": signed(nbf=now + 60, exp=now + 120)}
    return {name: (token, False) for name, token in made.items()} | {name: (each, True) for name, each in over.items()}


def sealed(claims: Mapping[str, Any], secret: str | None, header: Mapping[str, Any] | None = None) -> str:
    """A JSON Web Token such as libraries refuse to make; without ``secret`` nothing signs it."""
    made = {"typ": "JWT", "alg": "HS256", **(header or {})}
    message = ".".join(encoded(json.dumps(each).encode()) for each in (made, claims))
    if secret is None:
        return f"{message}."
    kind = "sha512" if made["alg"] == "HS512" else "sha256"
    return f"{message}.{encoded(hmac.digest(secret.encode(), message.encode(), kind))}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
