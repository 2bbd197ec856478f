"""The operator's page: all stores of this Tillwire and how they are; no personal data."""

from __future__ import annotations

from flask import Blueprint, abort, current_app, g, render_template, request
from flask.typing import ResponseReturnValue

from app.db import Database
from app.services import all_shops, causes, sign_in
from app.web.guard import guard
from app.web.row_ids import row_id

bp = Blueprint("operator", __name__)
guard(bp)


@bp.get("/operator")
def index() -> ResponseReturnValue:
    """For a session that `tillwire operator open` began; the operator's link to one store opens that one alone."""
    if g.access.actor != sign_in.OPERATOR or g.access.shop_id is not None:
        abort(404)
    after = row_id(request.args.get("after")) or 0
    db: Database = current_app.extensions["db"]
    with db.read() as session:
        shops, more = all_shops.page(session, after=after)
    return render_template("operator/index.html", shops=shops, more=more, after=after, enough=causes.ENOUGH)
