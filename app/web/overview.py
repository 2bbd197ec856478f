"""A store's first page: what is still to be set up, how today goes, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, current_app, g, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.db import Database
from app.models import DeliveryState, Mode
from app.providers.registry import PROVIDERS
from app.services import overview, storefront
from app.services.cause_words import words
from app.services.causes import Cause
from app.services.said import said
from app.web import chart
from app.web.access import current_shop, page_url
from app.web.guard import guard

bp = Blueprint("overview", __name__)
guard(bp)

#: Columns of the table of providers: what is counted together under one word.
_COLUMNS = (
    (DeliveryState.DELIVERED,),
    (DeliveryState.SKIPPED,),
    (DeliveryState.PENDING, DeliveryState.RETRYING),
    (DeliveryState.HELD,),
    (DeliveryState.DEAD, DeliveryState.UNKNOWN),
)
_SHADOW = (DeliveryState.SHADOW,)  #: one more, where somebody uses that mode


@dataclass(frozen=True, slots=True)
class Trouble:
    """A cause in words: what is wrong, why, and where to mend it."""

    title: str
    said: str
    next: str | None = None
    url: str | None = None


@bp.get("/shops/<int:shop_id>")
def show(shop_id: int) -> ResponseReturnValue:
    current_shop()
    db: Database = current_app.extensions["db"]
    with db.read() as session:
        found = overview.look(session, g.shop, datetime.now(UTC))
    shadow = any(row.mode == Mode.SHADOW or row.counts.get(DeliveryState.SHADOW) for row in found.rows)
    columns = (*_COLUMNS, _SHADOW) if shadow else _COLUMNS
    wide, narrow = chart.draw(found.days)
    return render_template(
        "overview/show.html",
        found=found,
        store=found.store,
        titles={name: provider.title for name, provider in PROVIDERS.items()},
        numbers={row.provider: _numbers(row.counts, columns) for row in found.rows},
        shadow=shadow,
        troubles=[_trouble(cause) for cause in found.causes],
        wide_chart=wide,
        narrow_chart=narrow,
        chart_rows=chart.rows(found.days),
        snippet=storefront.snippet(found.store.platform),
    )


def _numbers(counts: Mapping[str, int], columns: Sequence[Sequence[str]]) -> list[int]:
    return [sum(counts.get(state, 0) for state in states) for states in columns]


def _trouble(cause: Cause) -> Trouble:
    """With what the store or the provider said, which may name a buyer: for pages alone."""
    told = words(cause)
    url = page_url(told.page, shop_id=g.shop.id, **(told.values or {})) if told.page else None
    return Trouble(told.title, _said(cause, told.said), told.next, url)


def _said(cause: Cause, safe: str) -> str:
    match cause.kind:
        case "connection":
            return said(cause.said) or safe
        case "held":
            return f"{_sentence(said(cause.said))} {safe}"
        case "dead":
            reason = said(cause.said) or _("no reason was given")
            return safe + " " + _sentence(str(_("The newest one says: %(reason)s", reason=reason)))
        case _:
            return safe


def _sentence(text: str) -> str:
    """With its full stop: what providers answer has none at times."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
