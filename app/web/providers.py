"""The tracking services of a store: how each stands, its settings, its test, and what to look at before going live."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, current_app, g, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Config
from app.db import Database
from app.models import Mode, Shop
from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services import configure, provider_changes, provider_page
from app.services.errors import Failed
from app.services.provider_changes import Stale
from app.services.route import Router
from app.services.said import said
from app.services.secrets import Locked, Vault
from app.services.setting_values import WrongSettings
from app.web import limits, provider_form, words
from app.web.access import current_shop, page_url
from app.web.guard import guard
from app.web.limits import limiter
from app.web.provider_form import VERSION

bp = Blueprint("providers", __name__)
guard(bp)

_DONE = {"saved", "off", "shadow", "live"}
_CALLS = "providers.test"  #: what calls a provider shares one limit


@bp.get("/shops/<int:shop_id>/providers")
def index(shop_id: int) -> ResponseReturnValue:
    current_shop()
    with _db().read() as session:
        cards = provider_page.cards(session, _vault(), g.shop, _now())
    return render_template("providers/index.html", cards=cards, words=words.DELIVERY)


@bp.get("/shops/<int:shop_id>/providers/<name>")
def edit(shop_id: int, name: str) -> ResponseReturnValue:
    current_shop()
    done = request.args.get("done", "")
    return _page(_provider(name), done=done if done in _DONE else None)


@bp.post("/shops/<int:shop_id>/providers/<name>")
@limiter.shared_limit(limits.CONNECT, _CALLS, exempt_when=lambda: not _testing())
def save(shop_id: int, name: str) -> ResponseReturnValue:
    """Save the settings, and test the connection where that is asked for."""
    current_shop()
    provider = _provider(name)
    with _db().read() as session:
        shown = _shown(session, provider)
    given = provider_form.changed(provider, shown, request.form)
    seen = request.form.get(VERSION, "")
    try:
        if given or seen != shown.version:
            with _db().write() as session:
                provider_changes.save(session, _vault(), _router(), g.shop, provider, given, seen=seen, actor=_actor())
    except WrongSettings as error:
        return _page(provider, texts=provider_form.typed(provider, request.form), wrong=error.fields), 400
    except (Stale, IntegrityError):
        return _conflict(provider)
    except Locked:
        raise Failed(locked(provider)) from None
    if _testing():
        return _test(provider, done="saved")
    return redirect(page_url("providers.edit", shop_id=g.shop.id, name=name, done="saved"), 303)


@bp.post("/shops/<int:shop_id>/providers/<name>/test")
@limiter.shared_limit(limits.CONNECT, _CALLS)
def test(shop_id: int, name: str) -> ResponseReturnValue:
    """Ask the provider whether it takes the saved credentials."""
    current_shop()
    return _test(_provider(name))


@bp.get("/shops/<int:shop_id>/providers/<name>/ready")
def ready(shop_id: int, name: str) -> ResponseReturnValue:
    """What to look at before going live."""
    current_shop()
    return _ready(_provider(name))


@bp.post("/shops/<int:shop_id>/providers/<name>/mode")
def mode(shop_id: int, name: str) -> ResponseReturnValue:
    current_shop()
    provider, wanted = _provider(name), request.form.get("mode", "")
    if wanted not in tuple(Mode):
        abort(400)
    seen, days = request.form.get(VERSION, ""), _days(request.form.get("collected", "0"))
    how: dict[str, Any] = {"seen": seen, "actor": _actor(), "collected_days": days}
    try:
        with _db().write() as session:
            provider_changes.switch(session, _vault(), _router(), g.shop, provider, Mode(wanted), **how)
    except WrongSettings as error:
        return _page(provider, wrong=error.fields), 400
    except (Stale, IntegrityError):
        return (_ready(provider, stale=True) if wanted == Mode.LIVE else _page(provider, stale=True)), 409
    except Locked:
        raise Failed(locked(provider)) from None
    return redirect(page_url("providers.edit", shop_id=g.shop.id, name=name, done=wanted), 303)


def _testing() -> bool:
    """Whether the form was sent by the button that also tests."""
    return request.form.get("then") == "test"


def _days(text: str) -> int:
    """One of those that are offered; anything else is no choice of ours."""
    if text not in ("0", *map(str, provider_page.COLLECTED_DAYS)):
        abort(400)
    return int(text)


# pages


def _page(
    provider: Provider,
    *,
    texts: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    stale: bool = False,
    others: list[provider_form.Change] | None = None,
    verdict: tuple[str, str] | None = None,
    released: int = 0,
    untested: bool = False,
    done: str | None = None,
) -> str:
    """The page of one provider, as it is saved; ``texts`` stand in its fields instead."""
    with _db().read() as session:
        shown = _shown(session, provider)
        card = provider_page.card(session, _vault(), g.shop, provider, _now())
    return render_template(
        "providers/edit.html",
        card=card,
        words=words.DELIVERY,
        provider=provider,
        version=shown.version,
        lines=provider_form.lines(provider, shown, texts or {}, wrong),
        wrong=wrong or {},
        stale=stale,
        others=others or [],
        verdict=verdict,
        released=released,
        untested=untested,
        done=done,
        mode_url=page_url("providers.mode", shop_id=g.shop.id, name=provider.name),
        mapping_url=_mapping_url(provider),
    )


def _mapping_url(provider: Provider) -> str | None:
    if "mappings.show" not in current_app.view_functions:
        return None
    return page_url("mappings.show", shop_id=g.shop.id, provider=provider.name)


def _conflict(provider: Provider) -> ResponseReturnValue:
    """Somebody else saved meanwhile: theirs is shown, and one's own stays in the fields that one changed."""
    with _db().read() as session:
        shown = _shown(session, provider)
    mine = provider_form.changed(provider, shown, request.form)
    texts = {name: text for name, text in provider_form.typed(provider, request.form).items() if name in mine}
    return _page(provider, texts=texts, stale=True, others=provider_form.others(provider, shown, request.form)), 409


def _ready(provider: Provider, *, stale: bool = False) -> str:
    with _db().read() as session:
        found = provider_page.ready(session, _vault(), _router(), g.shop, provider, _now())
    labels = [said(provider.setting(name).label) for name in found.card.lacking]
    hints = [said(hint) for hint in provider.hints]
    return render_template(
        "providers/ready.html",
        found=found,
        provider=provider,
        labels=labels,
        hints=hints,
        stale=stale,
        most_counted=provider_page.NEWEST,
    )


def _test(provider: Provider, *, done: str | None = None) -> ResponseReturnValue:
    """No transaction is open while the provider is asked."""
    with _db().read() as session:
        card = provider_page.card(session, _vault(), g.shop, provider, _now())
        if card.locked:
            raise Failed(locked(provider))
        if card.lacking:
            wrong = dict.fromkeys(card.lacking, _("Enter it first; then test."))
            return _page(provider, wrong=wrong, untested=True, done=done), 200 if done else 400
        row = configure.find_destination(session, g.shop, provider)
        given = {**row.options, **_vault().open(row.secrets)} if row else {}
    config, settings = _config(), provider.complete(given)
    base_url = provider.address(settings, config.provider_urls.get(provider.name))
    verdict = configure.ask_provider(settings, provider, base_url=base_url, allow_private=config.allow_private_networks)
    with _db().write() as session:
        released = provider_changes.tested(session, g.shop, provider, verdict[0], actor=_actor())
    return _page(provider, verdict=verdict, released=released, done=done)


# what the views stand on


def _provider(name: str) -> Provider:
    return PROVIDERS.get(name) or abort(404)


def _shown(session: Session, provider: Provider) -> provider_page.Shown:
    shop: Shop = g.shop
    return provider_page.shown(_vault(), provider, configure.find_destination(session, shop, provider))


def locked(provider: Provider) -> str:
    said: str = _(
        "The stored credentials of %(provider)s cannot be opened here, so nothing was changed. Nothing is lost: what"
        " waits is kept. Whoever runs Tillwire has to put the encryption key back that they were stored with.",
        provider=provider.title,
    )
    return said


def _actor() -> str:
    actor: str = g.access.actor
    return actor


def _now() -> datetime:
    return datetime.now(UTC)


def _db() -> Database:
    db: Database = current_app.extensions["db"]
    return db


def _vault() -> Vault:
    vault: Vault = current_app.extensions["vault"]
    return vault


def _router() -> Router:
    router: Router = current_app.extensions["router"]
    return router


def _config() -> Config:
    config: Config = current_app.extensions["config"]
    return config
