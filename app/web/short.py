"""Short addresses, without a store: they lead to the page of the only one, or to the choice among several."""

from __future__ import annotations

from flask import Blueprint, redirect
from flask.typing import ResponseReturnValue

from app.web import access
from app.web.access import page_url
from app.web.guard import guard

bp = Blueprint("short", __name__)
guard(bp)


@bp.get("/orders")
def orders() -> ResponseReturnValue:
    return _lead("orders.index")


@bp.get("/deliveries")
def deliveries() -> ResponseReturnValue:
    return _lead("deliveries.index")


@bp.get("/mappings")
def mappings() -> ResponseReturnValue:
    """Each provider there leads to its own mapping."""
    return _lead("providers.index")


@bp.get("/settings")
def settings() -> ResponseReturnValue:
    return _lead("settings.show")


def _lead(endpoint: str) -> ResponseReturnValue:
    shops = access.visible_shops()
    if len(shops) == 1:
        return redirect(page_url(endpoint, shop_id=shops[0].id), 303)
    return redirect(page_url("home.index"), 303)
