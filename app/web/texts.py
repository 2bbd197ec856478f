"""Words, moments and amounts on the pages: in the reader's language, in the shop's zone, with their currency.

Texts are English in the source and marked for translation with ``_()``; ``make texts`` collects them. A catalogue is a
folder of ``app/web/translations`` and a name in `LANGUAGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_currency, format_decimal, get_currency_symbol
from flask import Flask, g, request, session
from flask_babel import Babel, force_locale, get_locale
from markupsafe import Markup

from app.models import Shop
from app.services.day import zone_of
from app.services.said import said

CATALOGUES = Path(__file__).parent / "translations"
LANGUAGES = ("en", "de")  #: the catalogues that are here; the first where a browser wants none of them
CHOSEN = "language"  #: what was chosen, in the session
#: A date and a day: short, and the same wherever English is read; other languages have forms of their own.
_ENGLISH = ("d MMM y", "d MMM")


def init(app: Flask) -> None:
    Babel(
        app,
        default_locale=LANGUAGES[0],
        default_translation_directories=str(CATALOGUES),
        locale_selector=language,
    )
    filters = (ago, count, local_day, local_time, money, said, size, span)
    app.jinja_env.filters.update({each.__name__: each for each in filters})
    app.context_processor(lambda: {"language": language(), "zone": zone().key})


def speaking() -> Callable[[str | None], AbstractContextManager[None]]:
    """Within what it answers, all is said in a language though there is no page: for mails. None stands for English."""
    app = Flask(__name__)
    init(app)

    @contextmanager
    def within(code: str | None) -> Iterator[None]:
        with app.test_request_context(), force_locale(code if code in LANGUAGES else LANGUAGES[0]):
            yield

    return within


def language() -> str:
    """What was chosen in the settings, else that of Shopify's admin, else the best that the browser asks for."""
    admins = request.args.get("locale", "")[:2]
    if found := chosen() or (admins if admins in LANGUAGES else None):
        return found
    return request.accept_languages.best_match(LANGUAGES, LANGUAGES[0])


def languages() -> list[tuple[str, str]]:
    """The codes of all, each with its name in itself."""
    return [(each, str(Locale.parse(each).get_display_name(each)).capitalize()) for each in LANGUAGES]


def chosen() -> str | None:
    """What this browser's session has chosen."""
    found = session.get(CHOSEN)
    return found if found in LANGUAGES else None


def choose(code: str) -> None:
    """Show pages in this language from now on; in none of ours: in what the browser asks for."""
    session.pop(CHOSEN, None)
    if code in LANGUAGES:
        session[CHOSEN] = code


def zone() -> ZoneInfo:
    """Of the shop whose page this is; where it is not known, UTC."""
    shop: Shop | None = g.get("shop")
    return zone_of(shop) if shop else ZoneInfo("UTC")


def local_time(at: datetime | None) -> Markup:
    """A moment on the shop's clock, with the exact one for programs; a dash for none."""
    if at is None:
        return Markup("&ndash;")
    shown = format_datetime(at, f"{_forms()[0]}, HH:mm", tzinfo=zone(), locale=_locale())
    exact = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(exact, shown)


def local_day(day: date) -> str:
    return format_date(day, _forms()[1], locale=_locale())


def ago(at: datetime) -> str:
    """How long since ``at``, in words: ``3 minutes``."""
    return span(datetime.now(UTC) - at)


def span(length: timedelta) -> str:
    """A length of time in words: ``2 minutes``."""
    return format_timedelta(length, locale=_locale())


def count(number: int) -> str:
    """With the separators of the reader's language."""
    return format_decimal(number, locale=_locale())


def size(length: int) -> str:
    """Of a text of ``length`` bytes."""
    return f"{format_decimal(round(length / 1000, 1), locale=_locale())} kB"


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


def _forms() -> tuple[str, str]:
    """Of a date and of a day in the reader's language."""
    locale = Locale.parse(_locale())
    own = (locale.date_formats["medium"].pattern, locale.datetime_skeletons["MMMd"].pattern)
    return _ENGLISH if locale.language == "en" else own


def _locale() -> str:
    return str(get_locale() or LANGUAGES[0])
