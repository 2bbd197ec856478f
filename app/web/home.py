"""The start page: a merchant's stores; on a developer's own machine, while nobody is signed in, an overview."""

from __future__ import annotations

from flask import Blueprint, Response, abort, current_app, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.config import Config
from app.db import Database
from app.providers.registry import PROVIDERS
from app.services import progress, show, sign_in
from app.web import access, guard, operations
from app.web.access import page_url

bp = Blueprint("home", __name__)


@bp.get("/")
def index() -> ResponseReturnValue:
    config: Config = current_app.extensions["config"]
    found = guard.who()
    if isinstance(found, Response):
        return found
    if found is None:
        if config.production or not operations.local():
            return redirect(url_for("sign_in.form"), 303)
        return _overview()
    g.access = found
    return guard.dress(current_app.make_response(_stores()))


def _stores() -> ResponseReturnValue:
    """All of an account's; whoever may see one store only is led there."""
    shops = access.visible_shops()
    if g.access.account_id is None:
        if g.access.actor == sign_in.OPERATOR and g.access.shop_id is None:
            return redirect(url_for("operator.index"), 303)
        if not shops:
            abort(404)
        return redirect(page_url("overview.show", shop_id=shops[0].id), 303)
    db: Database = current_app.extensions["db"]
    with db.read() as session:
        states = progress.states(session, shops)
    return render_template(
        "store/list.html", shops=shops, states=states, connect_url=url_for("connect_woocommerce.form")
    )


def _overview() -> ResponseReturnValue:
    db: Database = current_app.extensions["db"]
    with db.read() as session:
        overview = show.summary(session)
        shops = show.shops(session)
    titles = {name: provider.title for name, provider in PROVIDERS.items()}
    return render_template("home.html", overview=overview, shops=shops, titles=titles)
