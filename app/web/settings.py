"""A store's settings: names, test orders, alerts, how long bodies are kept, people, and what was changed by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, g, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from app.db import Database
from app.services import alert_addresses, names, people, retention, sent_tests, trail
from app.services.errors import Wrong
from app.services.mail import LinkSender
from app.web import limits, texts, words
from app.web.access import current_shop, page_url
from app.web.alert_links import confirm_page
from app.web.guard import guard
from app.web.limits import limiter
from app.web.row_ids import row_id
from app.web.sign_in import link_page

bp = Blueprint("settings", __name__)
guard(bp)


def _done() -> str | None:
    said = {
        "names": _("The names are saved. They count for orders that come from now on."),
        "invited": _("The invitation is on its way. If no mail arrives within minutes, invite again."),
        "withdrawn": _("The invitation is taken back: its link opens nothing any more."),
        "removed": _("The person does not see the store any more."),
        "tests": _("It is saved, and counts for orders that come from now on."),
        "kept": _("The days are saved. What is older is removed within a day."),
        "asked": _("A mail is on its way. Alerts begin once the link in it is opened."),
        "stopped": _("No more alerts are sent."),
        "language": _("The language is saved for this browser."),
    }
    return said.get(request.args.get("done", ""))


@bp.get("/shops/<int:shop_id>/settings")
def show(shop_id: int) -> ResponseReturnValue:
    current_shop()
    return _page(notice=_done())


@bp.post("/shops/<int:shop_id>/settings/names")
def save_names(shop_id: int) -> ResponseReturnValue:
    shop, typed = current_shop(), request.form.get("names", "")
    try:
        with _db().write() as session:
            names.save_sprii_names(session, shop, typed, request.form.get("version", ""), g.access.actor)
    except Wrong as error:
        return _page(wrong={"names": str(error)}, typed={"names": typed}), 400
    except names.Overtaken as error:
        return _page(typed={"names": typed}, overtaken={"names": error.names}), 409
    return _back("names")


@bp.post("/shops/<int:shop_id>/settings/tests")
def save_tests(shop_id: int) -> ResponseReturnValue:
    shop, sent = current_shop(), request.form.getlist("sent")
    try:
        with _db().write() as session:
            sent_tests.save(session, shop, sent, request.form.get("version", ""), g.access.actor)
    except sent_tests.Overtaken:
        return _page(overtaken={"tests": True}), 409
    return _back("tests")


@bp.post("/shops/<int:shop_id>/settings/retention")
def save_retention(shop_id: int) -> ResponseReturnValue:
    shop, typed, seen = current_shop(), request.form.get("days", ""), request.form.get("version", "")
    try:
        with _db().write() as session:
            retention.save(session, shop, typed, seen, g.access.actor, datetime.now(UTC))
    except Wrong as error:
        return _page(wrong={"days": str(error)}, typed={"days": typed}), 400
    except retention.Overtaken as error:
        return _page(typed={"days": typed}, overtaken={"days": error.days}), 409
    return _back("kept")


@bp.post("/shops/<int:shop_id>/settings/alerts")
@limiter.limit(limits.SIGN_IN)
def ask_for_alerts(shop_id: int) -> ResponseReturnValue:
    shop, page, given = current_shop(), confirm_page(), request.form.get("address", "")
    if page is None:
        return _page(typed={"address": given}), 503
    try:
        with _db().write() as session:
            address, token = alert_addresses.ask(session, shop, given, g.access.actor, datetime.now(UTC))
    except Wrong as error:
        return _page(wrong={"address": str(error)}, typed={"address": given}), 400
    sender: LinkSender = current_app.extensions["link_sender"]
    sender.ask_for_alerts(address, page, token, g.shop.domain)
    return _back("asked")


@bp.post("/shops/<int:shop_id>/settings/alerts/stop")
def stop_alerts(shop_id: int) -> ResponseReturnValue:
    shop = current_shop()
    with _db().write() as session:
        alert_addresses.stop(session, shop, g.access.actor, datetime.now(UTC))
    return _back("stopped")


@bp.post("/shops/<int:shop_id>/settings/language")
def save_language(shop_id: int) -> ResponseReturnValue:
    """For this browser alone; inside Shopify's admin its own language counts."""
    current_shop()
    texts.choose(request.form.get("language", ""))
    return _back("language")


@bp.post("/shops/<int:shop_id>/settings/people")
@limiter.limit(limits.SIGN_IN)
def invite(shop_id: int) -> ResponseReturnValue:
    shop, page, given = current_shop(), link_page(), request.form.get("email", "")
    if page is None:
        return _page(typed={"email": given}), 503
    try:
        with _db().write() as session:
            email, token = people.invite(session, shop, given, g.access.actor, datetime.now(UTC))
    except Wrong as error:
        return _page(wrong={"email": str(error)}, typed={"email": given}), 400
    sender: LinkSender = current_app.extensions["link_sender"]
    sender.invite(email, page, token, g.shop.domain)
    return _back("invited")


@bp.post("/shops/<int:shop_id>/settings/invitations/<int(max=999999999999999999):invitation_id>/withdraw")
def withdraw(shop_id: int, invitation_id: int) -> ResponseReturnValue:
    shop = current_shop()
    with _db().write() as session:
        people.withdraw(session, shop, invitation_id, g.access.actor, datetime.now(UTC))
    return _back("withdrawn")


@bp.post("/shops/<int:shop_id>/settings/people/<int:account_id>/remove")
def remove(shop_id: int, account_id: int) -> ResponseReturnValue:
    shop = current_shop()
    try:
        with _db().write() as session:
            people.remove(session, shop, account_id, g.access.actor)
    except Wrong as error:
        return _page(wrong={"people": str(error)}), 400
    if account_id == g.access.account_id:
        return redirect(page_url("home.index"), 303)
    return _back("removed")


@bp.get("/shops/<int:shop_id>/settings/changes")
def changes(shop_id: int) -> ResponseReturnValue:
    shop, before = current_shop(), row_id(request.args.get("before"))
    with _db().read() as session:
        entries, more = trail.read(session, shop, before=before)
    return render_template("settings/changes.html", entries=entries, more=more, before=before, who=_who, words=words)


def _page(
    *,
    notice: str | None = None,
    wrong: dict[str, str] | None = None,
    typed: dict[str, str] | None = None,
    overtaken: dict[str, Any] | None = None,
) -> str:
    """The page of the store in `g.shop`.

    Args:
        wrong: what is wrong, by the field or part it is about.
        typed: what was typed, by field, so that nothing of it is lost.
        overtaken: what somebody else saved while this was typed, by part.
    """
    now = datetime.now(UTC)
    with _db().read() as session:
        found: dict[str, Any] = {
            "members": people.members(session, g.shop.id),
            "invited": people.invited(session, g.shop.id, now),
            "alerts": alert_addresses.standing(session, g.shop.id, now),
            "tests": sent_tests.choices(session, g.shop.id, now),
        }
    overtaken = overtaken or {}
    kept = overtaken.get("names") or names.sprii_names(g.shop)
    return render_template(
        "settings/show.html",
        **found,
        names=kept,
        version=names.version(kept),
        overtaken=overtaken,
        days=overtaken.get("days") or retention.days(g.shop),
        limits=(retention.FEWEST, retention.MOST),
        tests_version=sent_tests.version(found["tests"]),
        mail=link_page() is not None,
        alert_mail=confirm_page() is not None,
        languages=texts.languages(),
        chosen_language=texts.chosen(),
        removable=people.removable(len(found["members"]), g.access.actor),
        notice=notice,
        wrong=wrong or {},
        typed=typed or {},
    )


def _who(entry: trail.Entry) -> str:
    return words.who(entry.actor, entry.email)


def _back(done: str) -> ResponseReturnValue:
    return redirect(page_url("settings.show", shop_id=g.shop.id, done=done), 303)


def _db() -> Database:
    db: Database = current_app.extensions["db"]
    return db
