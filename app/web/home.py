"""The start page until the merchants' pages exist: an overview on a developer's machine, a name in production."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from app.config import Config
from app.db import Database
from app.providers.registry import PROVIDERS
from app.services import show

bp = Blueprint("home", __name__)


@bp.get("/")
def index() -> ResponseReturnValue:
    config: Config = current_app.extensions["config"]
    if config.production:
        return render_template("home.html", overview=None)
    db: Database = current_app.extensions["db"]
    with db.read() as session:
        overview = show.summary(session)
        shops = show.shops(session)
    titles = {name: provider.title for name, provider in PROVIDERS.items()}
    return render_template("home.html", overview=overview, shops=shops, titles=titles)
