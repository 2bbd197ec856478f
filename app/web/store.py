"""How a store is connected, and what it tells us."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.db import Database
from app.services import answers, arrivals, progress
from app.services.connections import Connections
from app.services.errands import Errands, StillAtIt
from app.services.errors import Failed
from app.web import limits, words
from app.web.access import current_shop, page_url
from app.web.guard import guard
from app.web.limits import limiter

bp = Blueprint("store", __name__)
guard(bp)


def _done() -> str | None:
    said = {
        "checked": _("The connection was looked at, and what could be repaired was."),
        "checking": _(
            "The store answers slowly. The connection is still being looked at; nothing is lost meanwhile. Reload this"
            " page in a minute to see what came of it."
        ),
        "disconnected": _("The store is disconnected, and its keys are forgotten here."),
    }
    return said.get(request.args.get("done", ""))


@bp.get("/shops/<int:shop_id>/connection")
def show(shop_id: int) -> ResponseReturnValue:
    current_shop()
    return page(notice=_done())


@bp.post("/shops/<int:shop_id>/check")
@limiter.limit(limits.CONNECT)
def check(shop_id: int) -> ResponseReturnValue:
    shop, connections = current_shop(), _connections()
    try:
        actor, now = g.access.actor, datetime.now(UTC)
        errands().run(("check", shop), lambda: connections.check(shop, actor, now))
    except StillAtIt:
        return redirect(page_url("store.show", shop_id=shop, done="checking"), 303)
    except Failed as error:
        return page(failed=str(error)), 502
    return redirect(page_url("store.show", shop_id=shop, done="checked"), 303)


@bp.post("/shops/<int:shop_id>/disconnect")
def disconnect(shop_id: int) -> ResponseReturnValue:
    shop = current_shop()
    try:
        _connections().disconnect(shop, g.access.actor, datetime.now(UTC))
    except Failed as error:
        return page(failed=str(error)), 502
    return redirect(page_url("store.show", shop_id=shop, done="disconnected"), 303)


def page(*, notice: str | None = None, failed: str | None = None) -> str:
    """The page of the store in `g.shop`: whoever calls has proved that it may be seen."""
    db: Database = current_app.extensions["db"]
    now = datetime.now(UTC)
    with db.read() as session:
        store = progress.store_view(session, g.shop)
        topics = arrivals.topics(session, g.shop.id, store.report, now)
        answered = answers.lately(session, g.shop.id, now)
    return render_template(
        "store/show.html",
        store=store,
        topics=topics,
        answered=answered,
        refused=answers.REFUSED,
        words=words,
        problem=store.report.get("problem") or store.report.get("why"),
        connect_url=None if g.access.account_id is None else url_for("connect_woocommerce.form"),
        actions=_connections().actions(store.platform, store.state),
        notice=notice,
        failed=failed,
    )


def errands() -> Errands:
    found: Errands = current_app.extensions["errands"]
    return found


def _connections() -> Connections:
    connections: Connections = current_app.extensions["connections"]
    return connections
