"""A store's page: how it is connected, what it tells us, and what is still to be set up."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.db import Database
from app.services import progress, storefront
from app.services.connections import Connections
from app.services.errors import Failed
from app.web import access, limits
from app.web.access import current_shop, page_url
from app.web.guard import guard
from app.web.limits import limiter

bp = Blueprint("store", __name__)
guard(bp)

_DONE = {
    "checked": "The connection was looked at, and what could be repaired was.",
    "disconnected": "The store is disconnected, and its keys are forgotten here.",
}


@bp.get("/settings")
def settings() -> ResponseReturnValue:
    """The settings of the only store, or the choice among several."""
    shops = access.visible_shops()
    if len(shops) == 1:
        return redirect(page_url("store.show", shop_id=shops[0].id), 303)
    return redirect(page_url("home.index"), 303)


@bp.get("/shops/<int:shop_id>")
def show(shop_id: int) -> ResponseReturnValue:
    return page(current_shop(), notice=_DONE.get(request.args.get("done", "")))


@bp.post("/shops/<int:shop_id>/check")
@limiter.limit(limits.CONNECT)
def check(shop_id: int) -> ResponseReturnValue:
    shop = current_shop()
    try:
        _connections().check(shop, g.access.actor, datetime.now(UTC))
    except Failed as error:
        return page(shop, failed=str(error)), 502
    return redirect(page_url("store.show", shop_id=shop, done="checked"), 303)


@bp.post("/shops/<int:shop_id>/disconnect")
def disconnect(shop_id: int) -> ResponseReturnValue:
    shop = current_shop()
    try:
        _connections().disconnect(shop, g.access.actor, datetime.now(UTC))
    except Failed as error:
        return page(shop, failed=str(error)), 502
    return redirect(page_url("store.show", shop_id=shop, done="disconnected"), 303)


def page(shop_id: int, *, notice: str | None = None, failed: str | None = None) -> str:
    """The store's page; whoever calls has proved that it may be seen."""
    db: Database = current_app.extensions["db"]
    shop = next(each for each in access.visible_shops() if each.id == shop_id)
    with db.read() as session:
        store = progress.store_view(session, shop)
    return render_template(
        "store/show.html",
        store=store,
        topics=store.report.get("topics", {}),
        problem=store.report.get("problem") or store.report.get("why"),
        connect_url=None if g.access.account_id is None else url_for("connect_woocommerce.form"),
        actions=_connections().actions(store.platform, store.state),
        snippet=storefront.snippet(store.platform),
        notice=notice,
        failed=failed,
        moment=_moment,
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")


def _connections() -> Connections:
    connections: Connections = current_app.extensions["connections"]
    return connections
