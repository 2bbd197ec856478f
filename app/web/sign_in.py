"""Signing in and out, outside of Shopify's admin. docs/sign-in.md tells the whole of it."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.config import Config
from app.db import Database
from app.services import accounts, link_keys, sign_in
from app.services.errors import Wrong
from app.services.mail import LinkSender
from app.services.secrets import Vault
from app.web import access, guard, limits
from app.web.limits import limiter

bp = Blueprint("sign_in", __name__)
bp.after_request(guard.dress)

_seldom = limiter.limit(limits.SIGN_IN)


@bp.get("/sign-in")
def form() -> ResponseReturnValue:
    return render_template("sign_in/form.html", mail=link_page() is not None)


@bp.post("/sign-in")
@_seldom
def ask() -> ResponseReturnValue:
    """The answer is the same for every address, and nothing is looked up before it is given."""
    page = link_page()
    if page is None:
        current_app.logger.error("nobody can sign in by mail: set SMTP_URL, MAIL_FROM and PUBLIC_URL")
        return render_template("sign_in/form.html", mail=False), 503
    given = request.form.get("email", "")
    try:
        email = accounts.read_email(given)
    except Wrong as error:
        return render_template("sign_in/form.html", mail=True, email=given, error=str(error)), 400
    sender: LinkSender = current_app.extensions["link_sender"]
    sender.ask(email, page)
    return render_template("sign_in/sent.html", printed=not _config().smtp_url)


@bp.get("/sign-in/link")
def link() -> ResponseReturnValue:
    """Shows a button: what only looks at links, as mail filters do, uses none up.

    The token stands behind the ``#``, which browsers keep to themselves: it is in no log on the way.
    """
    return render_template("sign_in/link.html")


@bp.post("/sign-in/link")
@_seldom
def use_link() -> ResponseReturnValue:
    now, db = datetime.now(UTC), _db()
    try:
        with db.write() as session:
            token = sign_in.use_link(session, request.form.get("token", "").strip(), now)
    except Wrong as error:
        return _refused(error)
    return _begin(token)


@bp.get("/sign-in/wordpress")
@_seldom
def wordpress() -> ResponseReturnValue:
    """A signed link of our WordPress plugin; the redirect takes it out of the address bar.

    Any site can lead a browser here, with a link of a store of its own. So nobody who is signed in becomes somebody
    else without pressing a button, and whoever sees the store already stays who they are.
    """
    if request.method != "GET":
        abort(405)  # HEAD comes from what only looks
    given, who = request.args.get("token", ""), access.signed_in()
    if who is None:
        return _use_plugin_link(given)
    try:
        with _db().read() as session:
            offer = link_keys.look_at(session, _vault(), given, _config().public_url, datetime.now(UTC))
            mine = who.account_id and accounts.visible_shops(session, who.account_id, who.shop_id)
    except Wrong as error:
        return _refused(error)
    if mine and offer.shop_id in {shop.id for shop in mine}:
        return redirect(url_for("overview.show", shop_id=offer.shop_id), 303)
    if (who.actor, who.shop_id) == (offer.actor, offer.shop_id):
        return _use_plugin_link(given)
    return render_template("sign_in/instead.html", token=given, domain=offer.domain)


@bp.post("/sign-in/wordpress")
@_seldom
def become_another() -> ResponseReturnValue:
    """The button of the page before."""
    return _use_plugin_link(request.form.get("token", ""))


def _use_plugin_link(given: str) -> ResponseReturnValue:
    try:
        with _db().write() as session:
            token = link_keys.use_link(session, _vault(), given, _config().public_url, datetime.now(UTC))
    except Wrong as error:
        return _refused(error)
    return _begin(token)


def _refused(error: Wrong) -> ResponseReturnValue:
    return render_template("sign_in/refused.html", said=str(error)), 400


@bp.post("/sign-out")
def leave() -> ResponseReturnValue:
    if before := access.leave():
        with _db().write() as session:
            sign_in.end(session, before, datetime.now(UTC))
    return redirect(url_for("sign_in.form"), 303)


@bp.post("/sign-out/everywhere")
def leave_everywhere() -> ResponseReturnValue:
    before, now = access.leave(), datetime.now(UTC)
    with _db().write() as session:
        if before and (found := sign_in.find(session, before, now)):
            sign_in.end_everywhere(session, found[0], now)
    return redirect(url_for("sign_in.form"), 303)


def _begin(token: str) -> ResponseReturnValue:
    before = access.begin(token)
    if before:
        with _db().write() as session:
            sign_in.end(session, before, datetime.now(UTC))
    return redirect(url_for("home.index"), 303)


def link_page() -> str | None:
    """Where mailed links lead; None while no mail can be sent.

    Never taken from the request where mail is sent: whoever asks could have a link sent that leads to them.
    """
    config = _config()
    path = url_for("sign_in.link")
    if config.public_url and (config.smtp_url or not config.production):
        return config.public_url + path
    if config.production or config.smtp_url:
        return None
    return request.host_url.rstrip("/") + path


def _db() -> Database:
    db: Database = current_app.extensions["db"]
    return db


def _vault() -> Vault:
    vault: Vault = current_app.extensions["vault"]
    return vault


def _config() -> Config:
    config: Config = current_app.extensions["config"]
    return config
