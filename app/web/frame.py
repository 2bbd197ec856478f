"""The frame of every page: which pages there are for the store at hand."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, g, request
from flask_babel import lazy_gettext
from flask_babel.speaklater import LazyString

from app.models import Shop
from app.web.access import Access, page_url

#: Endpoint, title, and the blueprints whose pages belong to it.
_PAGES: tuple[tuple[str, LazyString, tuple[str, ...]], ...] = (
    ("overview.show", lazy_gettext("Overview"), ("overview",)),
    ("orders.index", lazy_gettext("Orders"), ("orders",)),
    ("deliveries.index", lazy_gettext("Deliveries"), ("deliveries",)),
    ("providers.index", lazy_gettext("Providers"), ("providers", "mappings")),
    ("store.show", lazy_gettext("Connection"), ("store",)),
    ("settings.show", lazy_gettext("Settings"), ("settings", "people")),
)


@dataclass(frozen=True, slots=True)
class Link:
    title: str
    url: str
    here: bool  #: the page that is shown, or the one above it


def init(app: Flask) -> None:
    app.context_processor(lambda: {"pages": pages, "shop": g.get("shop")})


def pages() -> list[Link]:
    """The pages of the store at hand; none where there is no store, as at signing in."""
    shop_id = _shop_id()
    if shop_id is None:
        return []
    return [
        Link(str(title), page_url(endpoint, shop_id=shop_id), request.blueprint in blueprints)
        for endpoint, title, blueprints in _PAGES
    ]


def _shop_id() -> int | None:
    shop: Shop | None = g.get("shop")
    access: Access | None = g.get("access")
    if shop is not None:
        return shop.id
    return access.shop_id if access else None
