"""Causes in a merchant's words: what is wrong, whether data is safe, what to do and where.

In the reader's language, which is that of a page, or of a mail's address; in English anywhere else. What providers and
stores answered is not among these words: it may name a buyer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import format_date, ngettext
from flask_babel import gettext as _

from app.providers.registry import PROVIDERS
from app.services.causes import ENOUGH, Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    title: str
    said: str  #: whether data is safe, and what follows
    next: str | None = None  #: what to do
    page: str | None = None  #: the endpoint where that is done
    values: Mapping[str, Any] | None = None  #: of the endpoint, beside the shop


def words(cause: Cause) -> Words:
    name = cause.provider or ""
    title = PROVIDERS[name].title if name in PROVIDERS else name
    match cause.kind:
        case "removed":
            return Words(
                title=_("Tillwire was removed from the store"),
                said=_(
                    "Nothing is sent any more. If that was not meant, install it again soon: then what waits goes out."
                ),
            )
        case "connection":
            return Words(
                title=_("The connection to the store"),
                said=_("While it does not work, new orders may not arrive; they are fetched once it does."),
                next=_("Look at the connection"),
                page="store.show",
            )
        case "silent":
            return Words(
                title=_("The store does not tell Tillwire of its orders"),
                said=_("Nothing is lost: they were fetched from the store, as happens every hour. They are late."),
                next=_("Check and repair the connection"),
                page="store.show",
            )
        case "held":
            return Words(
                title=_("%(title)s is on hold", title=title),
                said=_("Nothing is lost: everything waits, and goes out once this is mended."),
                next=_("Mend it"),
                page="providers.edit",
                values={"name": name},
            )
        case "late" | "dead" | "unknown":
            return _deliveries(cause, name, title)
        case "unread":
            return Words(
                title=_("Some messages of the store could not be read"),
                said=_("They are kept as they came. Tell whoever runs Tillwire for you."),
            )
        case "asked":
            return _asked(cause)
        case _:
            return Words(
                title=_("What the store tells us is not worked on"),
                said=_("It has waited for more than ten minutes. Nothing is lost. Tell whoever runs Tillwire for you."),
            )


def _deliveries(cause: Cause, name: str, title: str) -> Words:
    number = cause.number or 0
    about = {"many": f"{number}+" if number >= ENOUGH else str(number), "title": title}
    values = {"provider": name, "state": cause.kind}
    if cause.kind == "dead":
        return Words(
            title=ngettext(
                "%(many)s delivery to %(title)s failed", "%(many)s deliveries to %(title)s failed", number, **about
            ),
            said=_("They are kept."),
            next=_("Look at them, mend the cause, resend"),
            page="deliveries.index",
            values=values,
        )
    if cause.kind == "unknown":
        return Words(
            title=ngettext(
                "%(many)s answer of %(title)s was lost", "%(many)s answers of %(title)s were lost", number, **about
            ),
            said=_("Whether they arrived is not known, and sending them again could count them twice."),
            next=_("Look each up, then decide"),
            page="deliveries.index",
            values=values,
        )
    return Words(
        title=_("%(title)s has not taken some deliveries for more than two hours", title=title),
        said=_("Nothing is lost: they are kept in order and tried again by themselves."),
        next=_("See what %(title)s answers", title=title),
        page="deliveries.index",
        values={"provider": name},
    )


def _asked(cause: Cause) -> Words:
    number, day = cause.number or 0, format_date(cause.until.date(), "long") if cause.until else ""
    return Words(
        title=ngettext(
            "A buyer asked for the data that you keep of them",
            "%(num)s buyers asked for the data that you keep of them",
            number,
        ),
        said=ngettext(
            "Tillwire made the file that you have to hand over. Whoever runs Tillwire for you fetches it (tillwire"
            " exports list); ask for it. It is deleted on %(day)s.",
            "Tillwire made the files that you have to hand over. Whoever runs Tillwire for you fetches them (tillwire"
            " exports list); ask for them. The first is deleted on %(day)s.",
            number,
            day=day,
        ),
    )


def over(cause: Cause) -> str:
    """That a cause is gone, in one sentence."""
    name = cause.provider or ""
    title = PROVIDERS[name].title if name in PROVIDERS else name
    said = {
        "removed": _("Tillwire is installed in the store again."),
        "connection": _("The connection to the store works again."),
        "silent": _("The store tells Tillwire of its orders again."),
        "held": _("%(title)s is not on hold any more.", title=title),
        "late": _("%(title)s takes deliveries again.", title=title),
        "dead": _("Of the last two weeks, no failed delivery to %(title)s is left.", title=title),
        "unknown": _("Of the last two weeks, no lost answer of %(title)s is left.", title=title),
        "unread": _("Of the last two weeks, no message of the store is left unread."),
        "asked": _("No file for a buyer who asked for their data waits any more."),
        "stalled": _("What the store tells us is worked on again."),
    }
    return str(said[cause.kind])
