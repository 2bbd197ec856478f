"""Pages inside Shopify's admin: who asks is told by an ID token alone, and no cookie is ever set.

A page load carries the token in its query, a `fetch` in its ``Authorization`` header. Whoever comes without a living
one is answered so that App Bridge brings it. Sources: shopify.dev/docs/apps/build/authentication-authorization
(/id-tokens), shopify.dev/docs/apps/build/security/set-up-iframe-protection, and the package ``shopifyapp``, whose
answers these are.
"""

from __future__ import annotations

import logging
import re
import time
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, g, redirect, render_template, request, session
from flask.typing import ResponseReturnValue
from shopify_app import RequestInput, Res

from app.config import Config
from app.metrics import CONNECTS
from app.services.errands import Errands, StillAtIt
from app.services.errors import Failed
from app.services.said import mark
from app.services.shopify_client import BadIdentity, Expired, ShopifyClient, reload_path, shop_domain
from app.services.shopify_install import Installer, Stale
from app.services.shopify_walk import Walk
from app.web import refusals
from app.web.access import Access
from app.web.limits import CALLBACK, CONNECT, limiter

bp = Blueprint("shopify", __name__)
log = logging.getLogger(__name__)

Kind = Literal["page", "fetch"]
PATCH = "/connect/shopify/patch"
ADMIN = "https://admin.shopify.com"
CDN = "https://cdn.shopify.com"
APP_BRIDGE = f"{CDN}/shopifycloud/app-bridge.js"
POLARIS = f"{CDN}/shopifycloud/polaris-1.js"
_STATE = "shopify_state"  #: the walk's state in the session of the browser that began it
_RETRIED = "retried"  #: in the query: when a fresh token was fetched for this page, in seconds since 1970
_JUST_NOW = 60  #: seconds since then; whoever loads the page again later gets a fresh token again
#: Parts of a page load's query that hold for that load alone.
_SPENT = ("id_token", "hmac", "timestamp", "session", _RETRIED)
_NOT_OURS = mark(
    "This page opens inside the Shopify admin only, and what opened it was not signed for"
    " this app. Nothing was changed. Open the app from the Shopify admin again; if that does"
    " not help, the operator has to check the app's client secret."
)

_STILL = mark(
    "Shopify answers slowly just now, so connecting takes longer than usual. It goes on by"
    " itself, and this page looks again every few seconds. Nothing is lost: you may leave,"
    " and open Tillwire again later."
)
_STILL_WALKING = mark(
    "Shopify answers slowly just now, so connecting takes longer than usual. It goes on by"
    " itself. Open Tillwire in the Shopify admin in a minute; if it is not connected then,"
    " opening it does that."
)
_LOOK_AGAIN = 4  #: seconds

_CLOCK = mark(
    "Shopify's proof of who you are is over or has not begun, though it was made a moment"
    " ago: the clock of this server or of your computer is wrong. Nothing was changed. Set"
    " your computer's clock and reload this page; if that does not help, the operator has to"
    " set the server's clock."
)


def init(app: Flask, shopify: ShopifyClient, installer: Installer, walk: Walk) -> None:
    app.extensions.update(shopify=shopify, shopify_installer=installer, shopify_walk=walk)
    app.register_blueprint(bp)


def _errands() -> Errands:
    found: Errands = current_app.extensions["errands"]
    return found


def _shopify() -> ShopifyClient:
    found: ShopifyClient = current_app.extensions["shopify"]
    return found


# who asks


def embedded_access() -> Access | Response | None:
    """Who asks from inside Shopify's admin.

    Returns: None where the request does not come from there; a response that is to be answered as it is; or who it is,
        with their shop connected.
    """
    kind = _kind()
    if kind is None or not _shopify().configured:
        return None
    token = _token(kind)
    if token is None:
        return _again(kind)
    installer: Installer = current_app.extensions["shopify_installer"]
    try:
        identity = _shopify().identify(token)
        shop_id = installer.opened(identity)
        if shop_id is None:
            shop_id = _errands().run(("install", identity.domain), lambda: installer.connect(identity))
    except Expired:
        refusals.note(refusals.TOKEN_EXPIRED)
        if kind == "page" and _retried():
            log.warning("an ID token fetched a moment ago is over, or not begun: is this server's clock right?")
            return _failed(kind, 502, _CLOCK)
        return _again(kind, retried=True)
    except BadIdentity:
        CONNECTS.labels("shopify", "id token refused").inc()
        return _again(kind) if kind == "fetch" else _failed(kind, 401, _NOT_OURS)
    except Stale:
        return _failed(kind, 502, _NOT_OURS) if _retried() else _again(kind, retried=True)
    except StillAtIt:
        return _failed(kind, 503, _STILL)
    except Failed as error:
        return _failed(kind, 502, str(error))
    g.shopify_domain = identity.domain
    return Access(actor=f"shopify:{identity.staff}", account_id=None, shop_id=shop_id, embedded=True)


def _kind() -> Kind | None:
    """How the admin asks; links inside of its frame come without any token, and tell themselves by the frame alone."""
    if "Authorization" in request.headers:
        return "fetch"
    framed = request.headers.get("Sec-Fetch-Dest") == "iframe" or request.args.get("embedded") == "1"
    if request.method in ("GET", "HEAD") and (framed or "id_token" in request.args):
        return "page"
    return None


def _token(kind: Kind) -> str | None:
    if kind == "page":
        given = request.args.getlist("id_token")
        return given[0] if len(given) == 1 and given[0] else None
    scheme, _, token = request.headers["Authorization"].partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _again(kind: Kind, *, retried: bool = False) -> Response:
    """Let App Bridge bring a fresh token: the package's answers, made of an address that holds no token."""
    query = [(name, value) for name, value in request.args.items(multi=True) if name not in _SPENT]
    query = [(name, value) for name, value in query if name != "shop" or shop_domain(value)]
    query += [(_RETRIED, str(int(time.time())))] if retried else []
    public = urlsplit(_shopify().public_url)
    address = f"{_shopify().public_url}{quote(request.path)}" + (f"?{urlencode(query)}" if query else "")
    headers = {"Authorization": "Bearer none"} if kind == "fetch" else {}
    asked: RequestInput = {"method": request.method, "headers": headers, "url": address, "body": ""}
    return _response(_shopify().app.verify_app_home_req(asked, public.path + PATCH).response)


def _retried() -> bool:
    given = request.args.get(_RETRIED, "")
    return re.fullmatch("[0-9]{1,12}", given) is not None and 0 <= int(time.time()) - int(given) < _JUST_NOW


def _response(answer: Res) -> Response:
    response = Response(answer.body, answer.status, answer.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _failed(kind: Kind, status: int, said: str) -> Response:
    if kind == "fetch":
        return current_app.make_response(({"status": "failed", "said": said}, status))
    page = render_template(
        "shopify/failed.html", said=said, client_id=_shopify().client_id, app_bridge=APP_BRIDGE, waiting=status == 503
    )
    response = dress_embedded(current_app.make_response((page, status)), shop_domain(request.args.get("shop", "")))
    if status == 503:
        response.headers["Refresh"] = response.headers["Retry-After"] = str(_LOOK_AGAIN)
    return response


# what a page in there may do


def dress_embedded(response: Response, domain: str | None = None) -> Response:
    """The headers of a page inside the admin of one shop, which alone may frame it.

    Args:
        domain: default: the shop of whoever asks.
    """
    domain = domain or g.get("shopify_domain")
    response.headers["Content-Security-Policy"] = policy(domain)
    scripts = [f'<{script}>; rel="preload"; as="script"' for script in (APP_BRIDGE, POLARIS)]
    response.headers["Link"] = ", ".join([f'<{CDN}>; rel="preconnect"', *scripts])
    response.headers["Cache-Control"] = "no-store"
    del response.headers["X-Frame-Options"]
    return response


def policy(domain: str | None) -> str:
    """App Bridge and Polaris come from Shopify's CDN, set styles in the page and talk with Shopify."""
    return (
        f"default-src 'none'; script-src 'self' {CDN}; style-src 'self' 'unsafe-inline' {CDN};"
        f" img-src 'self' data: {CDN}; font-src {CDN}; connect-src 'self' https://*.shopify.com"
        " https://*.shopifysvc.com; form-action 'self'; base-uri 'none';"
        f" frame-ancestors {f'https://{domain} ' if domain else ''}{ADMIN}"
    )


@bp.get(PATCH)
def patch() -> ResponseReturnValue:
    """A bare page that loads App Bridge, which loads the wanted page again with a fresh token."""
    given, reload = request.args.getlist("shop"), request.args.getlist("shopify-reload")
    domain = shop_domain(given[0]) if len(given) == 1 else None
    if not _shopify().configured:
        abort(404)
    if (given and domain is None) or len(reload) != 1 or reload_path(reload[0]) is None:
        abort(400)
    # The package wants a shop for its header, which is replaced; a link without one is a link all the same.
    query = urlencode({"shop": domain or "admin.shopify.com", "shopify-reload": reload[0]})
    address = f"{_shopify().public_url}{PATCH}?{query}"
    asked: RequestInput = {"method": "GET", "headers": {}, "url": address, "body": ""}
    return dress_embedded(_response(_shopify().app.app_home_patch_id_token(asked).response), domain)


# the authorization code grant, for custom apps


@bp.get("/connect/shopify")
@limiter.limit(CONNECT)
def begin() -> ResponseReturnValue:
    """Send a merchant to Shopify's permission page."""
    walk = _walk()
    state, address = walk.begin(request.args.get("shop", ""), datetime.now(UTC))
    session[_STATE] = state
    return redirect(address, 302)


@bp.get("/connect/shopify/callback")
@limiter.limit(CALLBACK)
def callback() -> ResponseReturnValue:
    """Where Shopify sends the merchant back to; the app's pages are inside the admin."""
    walk, state = _walk(), session.pop(_STATE, None)
    query, now = dict(request.args.lists()), datetime.now(UTC)
    try:
        _, domain = _errands().run(("walk", state), lambda: walk.finish(query, state, now))
    except StillAtIt:
        return render_template("error.html", status=503, said=_STILL_WALKING), 503, {"Retry-After": "60"}
    return redirect(f"{ADMIN}/store/{domain.partition('.')[0]}/apps/{_shopify().client_id}", 302)


def _walk() -> Walk:
    config: Config = current_app.extensions["config"]
    if not config.shopify_code_grant or not _shopify().configured:
        abort(404)
    walk: Walk = current_app.extensions["shopify_walk"]
    return walk
