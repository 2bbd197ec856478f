"""The links in mails about alerts: to agree to them, and to stop them. They need nobody who is signed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from app.config import Config
from app.db import Database
from app.services import alert_addresses
from app.services.alert_addresses import StopLinks
from app.services.errors import Wrong
from app.web import guard, limits, texts
from app.web.limits import limiter

bp = Blueprint("alerts", __name__)
bp.after_request(guard.dress)


@bp.get("/alerts/confirm")
def confirm() -> ResponseReturnValue:
    """Shows a button: what only looks at links, as mail filters do, uses none up. The token stands behind the ``#``."""
    return _ask(_("Get alerts about your store"), _("Get alerts at this address"), "alerts.agree")


@bp.post("/alerts/confirm")
@limiter.limit(limits.SIGN_IN)
def agree() -> ResponseReturnValue:
    def use(session: Session, token: str, now: datetime) -> str:
        domain = alert_addresses.confirm(session, token, now, texts.language())
        return str(_("Alerts about %(domain)s come to your address from now on.", domain=domain))

    return _use(use, _("You get alerts"))


@bp.get("/alerts/stop")
def stop() -> ResponseReturnValue:
    return _ask(_("Stop these alerts"), _("Send me no more alerts"), "alerts.refuse")


@bp.post("/alerts/stop")
@limiter.limit(limits.SIGN_IN)
def refuse() -> ResponseReturnValue:
    def use(session: Session, token: str, now: datetime) -> str:
        StopLinks(_config().secret_key).use(session, token, now)
        return str(_("No more alerts come to your address. They can be asked for again in the store's settings."))

    return _use(use, _("Alerts are stopped"))


def _ask(title: str, button: str, endpoint: str) -> str:
    return render_template("alerts/link.html", title=title, button=button, action=url_for(endpoint))


def _use(use: Callable[[Session, str, datetime], str], title: str) -> ResponseReturnValue:
    db: Database = current_app.extensions["db"]
    try:
        with db.write() as session:
            said = use(session, request.form.get("token", "").strip(), datetime.now(UTC))
    except Wrong as error:
        return render_template("alerts/done.html", title=_("That did not work"), said=str(error), wrong=True), 400
    return render_template("alerts/done.html", title=title, said=said, wrong=False)


def confirm_page() -> str | None:
    """Where mailed links lead; None where no alerts can be sent. Never taken from the request, see `link_page`."""
    config = _config()
    return config.public_url + url_for("alerts.confirm") if config.public_url and config.smtp_url else None


def _config() -> Config:
    config: Config = current_app.extensions["config"]
    return config
