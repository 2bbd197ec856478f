"""Who asks, and which shop they may see.

Two ways lead here and never mix: inside Shopify's admin the ID token that comes with every request, and outside of it
a session, whose cookie holds a token of ours. A request that brings an ``Authorization`` header is judged by that
alone, cookie or not, which is why it needs no CSRF token: another site cannot make a browser send that header to us.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask, abort, current_app, g, request, session, url_for
from flask_wtf.csrf import CSRFProtect, generate_csrf
from markupsafe import Markup

from app import ids
from app.config import Config
from app.db import Database
from app.models import Shop
from app.services import accounts, sign_in
from app.web import refusals, texts

COOKIE = "tillwire"
_KEPT_AS = "sign_in"  #: the token's name in Flask's session
#: What Shopify's admin put into the address of the page, and every further page in there needs. Never the ID token.
_CARRIED = ("shop", "host", "embedded", "locale")
#: Proved by a signature or by a secret in their address instead; no browser of a signed-in person sends them.
CSRF_EXEMPT = frozenset({"webhooks.shopify", "webhooks.woocommerce", "connect_woocommerce.callback"})

_csrf = CSRFProtect()
_guarded: set[str] = set()


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks: in `flask.g.access` on every page that needs somebody."""

    actor: str  #: as in the audit trail
    account_id: int | None
    shop_id: int | None  #: the only shop, where access is to one
    embedded: bool  #: inside Shopify's admin


def init(app: Flask, config: Config) -> None:
    """Cookies and CSRF protection of ``app``."""
    https = config.production or config.public_url.startswith("https:")
    app.config.update(
        # The prefix binds the cookie to this very host: a neighbour's subdomain can neither read nor plant it.
        SESSION_COOKIE_NAME=f"__Host-{COOKIE}" if https else COOKIE,
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=sign_in.LONGEST,
        WTF_CSRF_CHECK_DEFAULT=False,  # `_check_csrf` calls it, so that webhooks pay nothing
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a page may lie open over lunch
        WTF_CSRF_SSL_STRICT=False,  # it wants the Referer that our Referrer-Policy keeps back
    )
    _csrf.init_app(app)
    app.before_request(_check_csrf)
    key = config.shopify_api_key
    app.context_processor(
        lambda: {
            "access": g.get("access"),
            "csrf_field": csrf_field,
            "page_url": page_url,
            "shopify_api_key": key,
        }
    )


def _check_csrf() -> None:
    if request.endpoint in CSRF_EXEMPT or (request.blueprint in _guarded and bearer()):
        return
    _csrf.protect(apply_exemptions=True)


def guarded(blueprint: str) -> None:
    """Note that the pages of ``blueprint`` demand an `Access`."""
    _guarded.add(blueprint)


def bearer() -> bool:
    """Whether the request is to be judged by its ``Authorization`` header."""
    return "Authorization" in request.headers


def signed_in() -> Access | None:
    """Who this browser's session belongs to; notes that it is in use."""
    token, now = session.get(_KEPT_AS), datetime.now(UTC)
    if not isinstance(token, str) or bearer():
        return None
    db: Database = current_app.extensions["db"]
    with db.read() as reading:
        found = sign_in.find(reading, token, now)
    if found is None:
        refusals.note(refusals.SESSION_OVER)
        return None
    signed, due = found
    if due:
        with db.write() as writing:
            sign_in.seen(writing, signed, now)
    return Access(signed.actor, signed.account_id, signed.shop_id, embedded=False)


def begin(token: str) -> str | None:
    """Give this browser a new session, with nothing of an older one's person in it; return the token of that one."""
    before = leave()
    session[_KEPT_AS] = token
    session.permanent = True  # the cookie outlives the browser; the server's own limits end it
    return before


def leave() -> str | None:
    """Take the session from this browser, all but the language that it was set to; return its token."""
    token, language = session.get(_KEPT_AS), texts.chosen()
    session.clear()
    if language:
        texts.choose(language)
        session.permanent = True
    return token if isinstance(token, str) else None


def csrf_field() -> Markup:
    """For a form; empty inside Shopify's admin, where there are no cookies and none are needed."""
    access: Access | None = g.get("access")
    if access and access.embedded:
        return Markup("")
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(generate_csrf())


def visible_shops() -> list[Shop]:
    """The shops of whoever asks."""
    access: Access = g.access
    db: Database = current_app.extensions["db"]
    with db.read() as reading:
        return accounts.visible_shops(reading, access.account_id, access.shop_id)


def current_shop() -> int:
    """The shop that the address names, or the only one there is.

    Somebody else's shop, one that was removed and one that never was get the same answer: 404.
    """
    mine = {shop.id: shop for shop in visible_shops()}
    wanted = (request.view_args or {}).get("shop_id")
    if wanted is None and len(mine) == 1:
        (wanted,) = mine
    if wanted not in mine:
        abort(404)
    g.shop = mine[wanted]
    ids.note(shop=wanted)
    return int(wanted)


def page_url(endpoint: str, **values: object) -> str:
    """As `url_for`; inside Shopify's admin with what the next page needs to know about where it is."""
    access: Access | None = g.get("access")
    if access and access.embedded:
        values = {**{name: request.args[name] for name in _CARRIED if name in request.args}, **values}
    return url_for(endpoint, **values)  # type: ignore[arg-type]
