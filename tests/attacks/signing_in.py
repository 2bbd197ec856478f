"""Links and addresses that sign nobody in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from werkzeug.test import TestResponse

from app.models import LinkKey
from app.services import link_keys, sign_in
from tests.attacked import (
    OTHER_STORE,
    Target,
)
from tests.attacks.base import Blow, by, method
from tests.visitor import US, Visitor, id_token

SMUGGLED = (
    *(
        "anna@annas.example\r\nBcc: x@evil.example",
        "anna@annas.example\nX: y",
        "anna@annas.example\0",
        "a\r\n@b.example",
    ),
    *("anna@annas.example,x@evil.example", "anna@annas.example;x@evil.example", "<x@evil.example>anna@annas.example"),
    *("Anna <anna@annas.example>", '"a b"@annas.example', "anna@annas", "anna@[127.0.0.1]", "anna@annas.example.", "@"),
    *("anna@annas.example\nBcc:x@evil.example\n", "\u0430nna@annas.example", "anna@ànnas.example"),
    *("a" * 65 + "@annas.example", "anna@" + "a." * 130 + "example", "", " ", "\u2028anna@annas.example\u2029b"),
)


def smuggled_addresses(target: Target, endpoint: str) -> Iterator[Blow]:
    visitor = target.stranger()
    token = visitor.token()
    for each in SMUGGLED:
        yield Blow(
            repr(each),
            lambda each=each: by(visitor, "POST", "/sign-in", data={"csrf_token": token, "email": each}),
            400,
        )


def dead_links(target: Target, endpoint: str) -> Iterator[Blow]:
    """Links that were used, are too old, or never were: one answer for all."""
    now = datetime.now(UTC)
    used, expired = {"used_at": now}, {"expires_at": now - timedelta(seconds=1)}
    living = target.mailed()
    tokens = {
        "mailed, used": target.mailed(**used),
        "mailed, expired": target.mailed(**expired),
        "the operator's, used": target.mailed(shop_id=target.shop, **used),
        "the operator's, expired": target.mailed(shop_id=target.shop, **expired),
        "guessed": "A" * 43,
        "its hash": sign_in.fingerprint(living),
        "in other letters": living.swapcase(),
        "cut": living[:-1],
        "with more": f"{living}x",
        "empty": "",
        "any": "%",
        "a null byte": f"{living}\0",
        "long": "A" * 100_000,
        "a state of connecting": target.attempt(account=target.anna),
    }
    answers = set()
    for name, token in tokens.items():
        visitor = target.stranger()
        fields = {"csrf_token": visitor.token(), "token": token}

        def use(visitor: Visitor = visitor, fields: dict[str, str] = fields) -> TestResponse:
            answer = by(visitor, "POST", "/sign-in/link", data=fields)
            answers.add(answer.get_data())
            return answer

        yield Blow(name, use, 400, tokens=(token,) if len(token) > 20 else ())
    assert len(answers) == 1


def plugin_links_of_others(target: Target, endpoint: str) -> Iterator[Blow]:
    """Genuine links of somebody's own store, to which a browser is led that is signed in: nobody becomes another."""
    lure = {"token": target.plugin_link(target.other_link_key, iss=OTHER_STORE)}
    people = {
        "account": target.person(),
        "another user of the store": target.person("wordpress:8", shop=target.shop),
        "the same number at another store": target.person("wordpress:7", shop=target.shop),
        "operator": target.person("operator"),
    }
    for name, visitor in people.items():
        if method(target, endpoint) == "GET":
            yield Blow(name, lambda v=visitor: by(v, "GET", "/sign-in/wordpress", query_string=lure), 200, False)
        else:
            yield Blow(name, lambda v=visitor: by(v, "POST", "/sign-in/wordpress", data=lure), 400)


def links_for_another_browser(target: Target, endpoint: str) -> Iterator[Blow]:
    """Somebody's own living link, sent by a browser that was lured: it must not sign in as them."""
    visitor, thief = target.person(), target.person(account=target.eve)
    for name, token in {"none": None, "the thief's own": thief.token()}.items():
        fields = {"token": target.mailed()} | ({} if token is None else {"csrf_token": token})
        yield Blow(name, lambda f=fields: by(visitor, "POST", "/sign-in/link", data=f), 400)


def forged_plugin_links(target: Target, endpoint: str) -> Iterator[Blow]:
    now, other = int(time.time()), target.other_link_key
    with target.db.write() as session:
        retired = link_keys.new_key(session, target.vault, target.shop)
        session.query(LinkKey).filter_by(name=retired[0]).update(
            {"retired_at": datetime.now(UTC) - link_keys.RETIRED_FOR - timedelta(seconds=1)}
        )
    spent = target.plugin_link()
    by(target.stranger(), "GET", f"/sign-in/wordpress?token={spent}")
    links = {
        "replayed": spent,
        "another store's key": target.plugin_link(other),
        "the name of another store's key": target.plugin_link((other[0], target.link_key[1])),
        "under our key's name, by another's": target.plugin_link((target.link_key[0], other[1])),
        "a retired key": target.plugin_link(retired),
        "another audience": target.plugin_link(aud="https://elsewhere.example"),
        "two audiences": target.plugin_link(aud=[US, "https://elsewhere.example"]),
        "another issuer": target.plugin_link(iss=OTHER_STORE),
        "61 seconds": target.plugin_link(iat=now, exp=now + 61),
        "over": target.plugin_link(iat=now - 71, exp=now - 11),
        "not begun": target.plugin_link(iat=now + 60, exp=now + 120),
        "no algorithm": _plugin_unsigned(target, "none"),
        "RS256": _plugin_unsigned(target, "RS256"),
        "HS512": target.plugin_link(header={"kid": target.link_key[0], "alg": "HS512"}),
        "an empty secret": target.plugin_link(secret="\0"),
        "the secret's bytes": target.plugin_link(secret=bytes.fromhex(target.link_key[1]).decode("latin-1")),
        "no key's name": target.plugin_link(header={}),
        "an unknown key": target.plugin_link(header={"kid": "unknown"}),
        "a key's name that is none": target.plugin_link(header={"kid": "../../etc/passwd"}),
        "any key's name": target.plugin_link(header={"kid": "%"}),
        "a key that comes along": target.plugin_link(
            header={"kid": target.link_key[0], "jwk": {"kty": "oct"}}, secret="x"
        ),
        "an end that is no number": target.plugin_link(exp="soon"),
        "an end beyond time": target.plugin_link(exp=1e400),
        "a fraction": target.plugin_link(exp=now + 59.5),
        "a person that is none": target.plugin_link(sub="0"),
        "a person that is a number": target.plugin_link(sub=7),
        "a person with more": target.plugin_link(sub="7\n"),
        "a short jti": target.plugin_link(jti="short"),
        "a jti that is a list": target.plugin_link(jti=["a"] * 20),
        "an ID token of Shopify's": id_token(),
        "empty": "",
        "no token": "a.b.c",
        "long": "A" * 100_000,
    }
    links |= {
        f"without {name}": target.plugin_link(**{name: None}) for name in ("iss", "aud", "sub", "iat", "exp", "jti")
    }
    how = method(target, endpoint)
    for name, token in {**links, "none": ""}.items():
        visitor, shown = target.stranger(), (token,) if len(token) > 20 else ()
        sent = {"token": token} if name != "none" else {}
        query = {"query_string": sent} if how == "GET" else {"data": {**sent, "csrf_token": visitor.token()}}
        yield Blow(name, lambda v=visitor, q=query: by(v, how, "/sign-in/wordpress", **q), 400, True, shown)
    if how == "GET":
        living = urlencode({"token": target.plugin_link()})
        yield Blow("looked at", lambda: by(target.stranger(), "HEAD", f"/sign-in/wordpress?{living}"), 405)


def _plugin_unsigned(target: Target, algorithm: str) -> str:
    _head, body, _ = target.plugin_link(header={"kid": target.link_key[0]}).split(".")
    forged = json.dumps({"alg": algorithm, "kid": target.link_key[0]}).encode()
    return f"{base64.urlsafe_b64encode(forged).decode().rstrip('=')}.{body}."
