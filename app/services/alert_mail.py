"""The text of an alert: what is wrong and where it is mended. No orders, no amounts, and nobody's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from flask_babel import gettext as _

from app.models import Shop
from app.services.alert_addresses import StopLinks
from app.services.cause_words import Words, over, words
from app.services.causes import Cause

#: Where the pages are that causes lead to; `app.web` has the routes.
PATHS: Mapping[str, str] = {
    "store.show": "/shops/{shop_id}/connection",
    "providers.edit": "/shops/{shop_id}/providers/{name}",
    "deliveries.index": "/shops/{shop_id}/deliveries",
}
STOP_PATH = "/alerts/stop"


@dataclass(frozen=True, slots=True)
class Letter:
    new: tuple[Cause, ...]
    still: tuple[Cause, ...]  #: told before
    over: tuple[Cause, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the links of a mail lead.

    Attributes:
        admins: by platform: the address of a page inside the store's own admin, from the store's domain and our path.
    """

    public_url: str
    stop: StopLinks
    admins: Mapping[str, Callable[[str, str], str]] = field(default_factory=dict)

    def page(self, shop: Shop, told: Words) -> str | None:
        if told.page is None:
            return None
        given = {"shop_id": shop.id, **(told.values or {})}
        path = PATHS[told.page].format(**given)
        query = {name: value for name, value in given.items() if f"{{{name}}}" not in PATHS[told.page]}
        path += f"?{urlencode(query)}" if query else ""
        admin = self.admins.get(shop.platform)
        return admin(shop.domain, path) if admin else self.public_url + path


def write(letter: Letter, shop: Shop, email: str, links: Links) -> tuple[str, str]:
    """The subject and the text."""
    parts = [
        *_part(_("Needs you:"), letter.new, shop, links),
        *_part(_("Still needs you:"), letter.still, shop, links),
        *_over(letter.over),
    ]
    last = [
        _("You get one mail when something begins, one for each day that it lasts, and one when it is over."),
        _("To get no more of them, open this link and press the button:"),
        f"{links.public_url}{STOP_PATH}#{links.stop.token(shop.id, email)}",
    ]
    first = _("This is Tillwire, about your store %(domain)s.", domain=shop.domain)
    return _subject(letter, shop.domain), "\n\n".join([first, *parts, "\n".join(last)]) + "\n"


def _subject(letter: Letter, domain: str) -> str:
    if letter.new:
        return str(_("%(domain)s needs you", domain=domain))
    if letter.still:
        return str(_("%(domain)s still needs you", domain=domain))
    return str(_("%(domain)s is well again", domain=domain))


def _part(title: str, found: Iterable[Cause], shop: Shop, links: Links) -> list[str]:
    lines = [_lines(words(each), shop, links) for each in found]
    return [title, *lines] if lines else []


def _lines(told: Words, shop: Shop, links: Links) -> str:
    where = links.page(shop, told)
    led = [f"  {told.next}:", f"  {where}"] if where else []
    return "\n".join([f"* {told.title}.", f"  {told.said}", *led])


def _over(found: Iterable[Cause]) -> list[str]:
    lines = [f"* {over(each)}" for each in found]
    return ["\n".join([_("Over:"), "", *lines])] if lines else []
