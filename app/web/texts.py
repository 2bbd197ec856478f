"""Words, moments and amounts on the pages: in the reader's language, in the shop's zone, with their currency.

Texts are English in the source and marked for translation with ``_()``; ``make texts`` collects them. A catalogue is a
folder of ``app/web/translations`` and a name in `LANGUAGES`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_currency, format_decimal, get_currency_symbol
from flask import Flask, g, request
from flask_babel import Babel, get_locale
from markupsafe import Markup

from app.models import Shop
from app.services.day import zone_of

LANGUAGES = ("en",)  #: the catalogues that are here; the first where a browser wants none of them
_MOMENT = "d MMM y, HH:mm"  #: short, and the same wherever English is read
_DAY = "d MMM"


def init(app: Flask) -> None:
    Babel(app, default_locale=LANGUAGES[0], locale_selector=language)
    filters = (ago, count, local_day, local_time, money, span)
    app.jinja_env.filters.update({each.__name__: each for each in filters})
    app.context_processor(lambda: {"language": language(), "zone": zone().key})


def language() -> str:
    """The best that the browser asks for."""
    return request.accept_languages.best_match(LANGUAGES, LANGUAGES[0])


def zone() -> ZoneInfo:
    """Of the shop whose page this is; where it is not known, UTC."""
    shop: Shop | None = g.get("shop")
    return zone_of(shop) if shop else ZoneInfo("UTC")


def local_time(at: datetime | None) -> Markup:
    """A moment on the shop's clock, with the exact one for programs; a dash for none."""
    if at is None:
        return Markup("&ndash;")
    shown = format_datetime(at, _MOMENT, tzinfo=zone(), locale=_locale())
    exact = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(exact, shown)


def local_day(day: date) -> str:
    return format_date(day, _DAY, locale=_locale())


def ago(at: datetime) -> str:
    """How long since ``at``, in words: ``3 minutes``."""
    return span(datetime.now(UTC) - at)


def span(length: timedelta) -> str:
    """A length of time in words: ``2 minutes``."""
    return format_timedelta(length, locale=_locale())


def count(number: int) -> str:
    """With the separators of the reader's language."""
    return format_decimal(number, locale=_locale())


def money(amount: Decimal | str | None, currency: str | None) -> str:
    """An amount, as events carry it, with its currency; a dash for none."""
    if amount is None:
        return "–"
    if not currency:
        return format_decimal(Decimal(amount), locale=_locale())
    return format_currency(Decimal(amount), currency, _pattern(currency), locale=_locale())


def _pattern(currency: str) -> str:
    """The language's own, with a space between letters and digits: Babel writes ``DKK100``."""
    pattern: str = Locale.parse(_locale()).currency_formats["standard"].pattern
    lettered = get_currency_symbol(currency, _locale())[-1].isalpha()
    return pattern.replace("¤#", "¤\xa0#") if lettered else pattern


def _locale() -> str:
    return str(get_locale() or LANGUAGES[0])
