"""Who asks: forged, borrowed and worn-out proofs, and changes that other sites send."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from app.services import sign_in
from tests.attacked import (
    OTHER_DOMAIN,
    Target,
    forged_id_tokens,
)
from tests.attacks.base import EVIL, Blow, by, method, path_of
from tests.visitor import DOMAIN, US, id_token


def forged_identities(target: Target, endpoint: str) -> Iterator[Blow]:
    """ID tokens that Shopify did not sign for us, now: in the query and as bearer, with and without a session."""
    path, how = path_of(target, endpoint), method(target, endpoint)
    form = how == "POST" and endpoint.startswith("connect_woocommerce.")  # nobody in the admin has these: CSRF first
    people = itertools.cycle((target.stranger(), target.person()))  # a session beside it changes nothing
    for (name, (token, over)), person in zip(forged_id_tokens().items(), people, strict=False):
        bearer = {"Authorization": f"Bearer {token}"}
        refusal, shown = 400 if form else 401, (token,) if len(token) > 20 else ()
        yield Blow(f"bearer: {name}", lambda p=person, h=bearer: by(p, how, path, headers=h), refusal, True, shown)
        if how == "GET":
            load = f"{path}?{urlencode({'id_token': token, 'shop': DOMAIN, 'embedded': '1'})}"
            status = 302 if over else 401
            yield Blow(f"query: {name}", lambda p=person, a=load: by(p, "GET", a), status, True, shown)
    good, person = id_token(), target.person()
    for name, value in {
        "Basic": f"Basic {good}",
        "two": f"Bearer {good}, Bearer {good}",
        "no scheme": good,
        "none": "Bearer",
        "spaces": f"Bearer  {good} {good}",
    }.items():
        headers = {"Authorization": value}
        status = 400 if form else 401
        yield Blow(f"header: {name}", lambda h=headers: by(person, how, path, headers=h), status)
    if how == "POST":
        yield Blow("in the query of a change", lambda: by(target.stranger(), how, f"{path}?id_token={good}"), 400)
        yield Blow("in the form", lambda: by(target.stranger(), how, path, data={"id_token": good}), 400)
    else:
        yield Blow("twice", lambda: by(target.stranger(), how, f"{path}?id_token={good}&id_token={good}"), 302, False)


def other_shops_identities(target: Target, endpoint: str) -> Iterator[Blow]:
    """Staff of one of Shopify's shops at the pages of another one, and of stores elsewhere."""
    how, headers = method(target, endpoint), {"Authorization": f"Bearer {id_token()}"}
    person = target.person()
    for shop in (target.outside, target.shop, target.other, 999, 2**70):
        path = path_of(target, endpoint, shop_id=shop)
        yield Blow(f"bearer at {shop}", lambda p=path: by(target.stranger(), how, p, headers=headers), 404)
        yield Blow(f"with a session at {shop}", lambda p=path: by(person, how, p, headers=headers), 404)
        if how == "GET":
            for query in (f"shop={OTHER_DOMAIN}", f"shop={DOMAIN}", "shop="):
                load = f"{path}?{query}&embedded=1&id_token={id_token()}"
                yield Blow(f"{query} at {shop}", lambda load=load: by(target.stranger(), "GET", load), 404)


def not_for_the_admin(target: Target, endpoint: str) -> Iterator[Blow]:
    """Staff of a shop of Shopify's have no account, and so nothing to connect."""
    path, how = path_of(target, endpoint), method(target, endpoint)
    headers = {"Authorization": f"Bearer {id_token()}"}
    yield Blow("staff", lambda: by(target.stranger(), how, path, headers=headers), 404 if how == "GET" else 400)
    for actor in ("wordpress:7", "operator"):
        person = target.person(actor, shop=target.shop)
        fields = {"csrf_token": person.token()} if how == "POST" else None
        yield Blow(actor, lambda person=person, fields=fields: by(person, how, path, data=fields), 404)


def forged_sessions(target: Target, endpoint: str) -> Iterator[Blow]:
    """Cookies that we did not make, or that are over."""
    path, how = path_of(target, endpoint), method(target, endpoint)
    refusal = 303 if how == "GET" else 401
    now = datetime.now(UTC)
    over = {
        "ended": target.person(ended_at=now),
        "too old": target.person(expires_at=now - timedelta(seconds=1)),
        "idle": target.person(seen_at=now - sign_in.IDLE - timedelta(seconds=1)),
    }
    kept = target.person().cookie() or ""
    made = {
        "another key": target.cookie({"sign_in": "x" * 43}, key="another key, of sixteen and more"),
        "no key": target.cookie({"sign_in": "x" * 43}, key="\0"),
        "unsigned": base64.urlsafe_b64encode(b'{"sign_in":"x"}').decode(),
        "guessed": target.cookie({"sign_in": "x" * 43}),
        "no text": target.cookie({"sign_in": ["x"]}),
        "an id": target.cookie({"sign_in": 1}),
        "half of one": kept[: len(kept) // 2],
        "changed": kept[:-2] + ("AA" if not kept.endswith("AA") else "BB"),
        "the row's hash": target.cookie({"sign_in": _any_hash(target)}),
    }
    for name, cookie in made.items():
        over[name] = target.stranger()
        target.give(over[name], cookie)
    for name, visitor in over.items():
        fields = {"csrf_token": visitor.token()} if how == "POST" else None
        yield Blow(name, lambda v=visitor, f=fields: by(v, how, path, data=f), refusal)
    stranger = target.stranger()
    fields = {"csrf_token": stranger.token()} if how == "POST" else None
    yield Blow("none", lambda: by(stranger, how, path, data=fields), refusal)


def _any_hash(target: Target) -> str:
    with target.db.read() as session:
        return str(session.query(sign_in.SignIn.token_hash).order_by(sign_in.SignIn.id.desc()).first()[0])


def other_accounts(target: Target, endpoint: str) -> Iterator[Blow]:
    """A living session, at somebody else's store."""
    how = method(target, endpoint)
    people = {
        "account": target.person(),
        "WordPress": target.person("wordpress:7", shop=target.shop),
        "operator": target.person("operator", shop=target.shop),
    }
    for name, visitor in people.items():
        token = visitor.token()
        for shop in (target.other, target.inside, 999, 2**70):
            path = path_of(target, endpoint, shop_id=shop)
            fields = {"csrf_token": token, "shop_id": str(target.shop)} if how == "POST" else None
            ask = f"{path}?shop_id={target.shop}"
            yield Blow(f"{name} at {shop}", lambda v=visitor, a=ask, f=fields: by(v, how, a, data=f), 404)


def forms_of_others(target: Target, endpoint: str) -> Iterator[Blow]:
    """Changes that another site makes a browser send, with a living session in it."""
    path, visitor, thief = path_of(target, endpoint), target.person(), target.person(account=target.eve)
    stranger = target.stranger()
    tokens = {
        "none": None,
        "empty": "",
        "forged": "x",
        "of another session": thief.token(),
        "of nobody's session": stranger.token(),
        "cut": visitor.token()[:-1],
    }
    others = {
        "plain": {},
        "cross-site": {"Origin": f"https://{EVIL}", "Referer": f"https://{EVIL}/", "Sec-Fetch-Site": "cross-site"},
        "no origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        "same origin": {"Origin": US, "Referer": f"{US}/"},
        "as script": {"X-Requested-With": "XMLHttpRequest", "X-CSRFToken": "x", "X-CSRF-Token": "x"},
    }
    for name, token in tokens.items():
        for how, headers in others.items():
            fields = {} if token is None else {"csrf_token": token}
            yield Blow(
                f"{name}, {how}",
                lambda f=fields, h=headers: by(visitor, "POST", path, data=f, headers=h),
                400,
            )
    kind = {"content_type": "text/plain"}
    yield Blow("as text", lambda: by(visitor, "POST", path, data=f"csrf_token={visitor.token()}", **kind), 400)
    query = f"{path}?csrf_token={quote(visitor.token())}"
    yield Blow("in the query", lambda: by(visitor, "POST", query), 400)
    yield Blow(
        "signing in of strangers", lambda: by(target.stranger(), "POST", path, data={"token": target_token}), 400
    )


target_token = "A" * 43
