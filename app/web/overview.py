"""A store's first page: what is still to be set up, how today goes, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, current_app, g, render_template
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from app.db import Database
from app.models import DeliveryState
from app.providers.registry import PROVIDERS
from app.services import overview, storefront
from app.services.overview import Cause
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
    wide, narrow = chart.draw(found.days)
    return render_template(
        "overview/show.html",
        found=found,
        store=found.store,
        titles={name: provider.title for name, provider in PROVIDERS.items()},
        numbers={row.provider: _numbers(row.counts) for row in found.rows},
        troubles=[_trouble(cause) for cause in found.causes],
        wide_chart=wide,
        narrow_chart=narrow,
        chart_rows=chart.rows(found.days),
        snippet=storefront.snippet(found.store.platform),
    )


def _numbers(counts: Mapping[str, int]) -> list[int]:
    return [sum(counts.get(state, 0) for state in states) for states in _COLUMNS]


def _trouble(cause: Cause) -> Trouble:
    shop_id, name = g.shop.id, cause.provider or ""
    title = PROVIDERS[name].title if name in PROVIDERS else name
    match cause.kind:
        case "connection":
            here = page_url("store.show", shop_id=shop_id)
            return Trouble(_("The connection to the store"), cause.said or "", _("Look at the connection"), here)
        case "held":
            url = page_url("providers.edit", shop_id=shop_id, name=name)
            safe = _("Nothing is lost: everything waits, and goes out once this is mended.")
            return Trouble(_("%(title)s is on hold", title=title), f"{cause.said} {safe}", _("Mend it"), url)
        case "dead" | "unknown":
            return _stuck(cause, title, page_url("deliveries.index", shop_id=shop_id, provider=name, state=cause.kind))
        case "unread":
            return Trouble(
                _("Some messages of the store could not be read"),
                _("They are kept as they came. Tell whoever runs Tillwire for you."),
            )
        case _:
            return Trouble(
                _("What the store tells us is not worked on"),
                _("It has waited for more than ten minutes. Nothing is lost. Tell whoever runs Tillwire for you."),
            )


def _stuck(cause: Cause, title: str, url: str) -> Trouble:
    number = cause.number or 0
    about = {"many": _many(number), "title": title}
    if cause.kind == DeliveryState.DEAD:
        told = ngettext(
            "%(many)s delivery to %(title)s failed", "%(many)s deliveries to %(title)s failed", number, **about
        )
        said = _("They are kept. The newest one says: %(reason)s", reason=cause.said or _("no reason was given"))
        return Trouble(told, said, _("Look at them, mend the cause, resend"), url)
    told = ngettext("%(many)s answer of %(title)s was lost", "%(many)s answers of %(title)s were lost", number, **about)
    said = _("Whether they arrived is not known, and sending them again could count them twice.")
    return Trouble(told, said, _("Look each up, then decide"), url)


def _many(number: int) -> str:
    return f"{number}+" if number >= overview.ENOUGH else str(number)
