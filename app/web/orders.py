"""Orders: the newest ones, a search, and the timeline of one."""

from __future__ import annotations

import json

from flask import Blueprint, current_app, g, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.db import Database
from app.providers.registry import PROVIDERS
from app.services import audit, orders, timeline
from app.services.route import Router
from app.web import words
from app.web.access import current_shop, page_url
from app.web.guard import guard

bp = Blueprint("orders", __name__)
guard(bp)

SHOWN = 100_000  #: characters of a body that a page shows


@bp.get("/shops/<int:shop_id>/orders")
def index(shop_id: int) -> ResponseReturnValue:
    shop = current_shop()
    before = request.args.get("before")
    with _db().read() as session:
        found = orders.newest(session, shop, before=before)
    return _list(found.rows, older=found.older, later=before is not None)


@bp.post("/shops/<int:shop_id>/orders")
def search(shop_id: int) -> ResponseReturnValue:
    """By what somebody typed: a POST, for a buyer's address must not stand in ours."""
    shop, wanted = current_shop(), request.form.get("q", "").strip()
    if not wanted:
        return redirect(page_url("orders.index", shop_id=shop), 303)
    with _db().read() as session:
        found = orders.find(session, shop, wanted)
        unread = {} if found else orders.unread(session, shop)
    # Of several words one may have met an order by chance: "Anna Smith 3" is not what order 3 is called.
    if len(found) == 1 and len(wanted.split()) == 1:
        return redirect(page_url("orders.show", shop_id=shop, key=found[0].key), 303)
    return _list(found, wanted=wanted, searched=True, unread=unread)


def _list(rows: tuple[orders.OrderRow, ...], **more: object) -> str:
    titles = {name: provider.title for name, provider in PROVIDERS.items()}
    return render_template("orders/list.html", rows=rows, titles=titles, words=words, **more)


@bp.get("/shops/<int:shop_id>/orders/<key>")
def show(shop_id: int, key: str) -> ResponseReturnValue:
    current_shop()
    router: Router = current_app.extensions["router"]
    with _db().read() as session:
        found = timeline.timeline(session, router, g.shop, key)
    return render_template("orders/show.html", order=found, words=words, pretty=pretty)


@bp.post("/shops/<int:shop_id>/orders/<key>/webhooks/<int:webhook_id>")
def body(shop_id: int, key: str, webhook_id: int) -> ResponseReturnValue:
    """What a store sent, with all that it says of the buyer; that somebody looked is kept."""
    shop = current_shop()
    with _db().write() as session:
        raw = timeline.body(session, shop, key, webhook_id)
        seen = {"order": key, "webhook": webhook_id}
        audit.record(session, shop_id=shop, actor=g.access.actor, action="show webhook", after=seen)
    text = _readable(raw)
    return render_template("orders/body.html", key=key, text=text[:SHOWN], cut=len(text) > SHOWN, size=len(raw))


def _readable(raw: bytes) -> str:
    """Indented where it is JSON; as it came where it is not."""
    try:
        return pretty(json.loads(raw))
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


def pretty(value: object) -> str:
    """JSON as a person reads it, in the order in which it was sent."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _db() -> Database:
    db: Database = current_app.extensions["db"]
    return db
