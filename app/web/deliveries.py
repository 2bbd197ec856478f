"""Deliveries: counts, lists, one of them, and what a person does with those that stopped."""

from __future__ import annotations

import csv as tables
import io
from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, current_app, g, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.db import Database
from app.models import DeliveryState
from app.providers.registry import PROVIDERS
from app.services import attempts, audit, delivery_list, delivery_page, download, replay, resend
from app.services.delivery_list import Choice
from app.services.errors import NotFound
from app.services.replay import FINISHED
from app.web import words
from app.web.access import current_shop, page_url
from app.web.delivery_filters import Filters
from app.web.guard import guard
from app.web.orders import pretty
from app.web.row_ids import row_id

bp = Blueprint("deliveries", __name__)
guard(bp)

_DONE = ("resent", "delivered", "released", "nothing")


@bp.get("/shops/<int:shop_id>/deliveries")
def index(shop_id: int) -> ResponseReturnValue:
    shop = current_shop()
    filters = Filters(request.args)
    choice = filters.choice(g.shop)
    with _db().read() as session:
        found = delivery_list.page(session, shop, choice, before=request.args.get("before"))
        counts = delivery_list.counts(session, shop, _now())
        filters.offer(delivery_list.reasons(session, shop, choice))
    return render_template(
        "deliveries/list.html",
        found=found,
        counts=counts,
        filters=filters,
        given=filters.given(),
        later="before" in request.args,
        again=choice.state in FINISHED,
        titles=_titles(),
        words=words,
        undone=delivery_list.UNDONE,
        done_states=delivery_list.DONE,
        **_done(),
    )


@bp.get("/shops/<int:shop_id>/deliveries.csv", endpoint="csv")
def download_rows(shop_id: int) -> ResponseReturnValue:
    """The same choice for a spreadsheet, written while it is read."""
    shop, choice = current_shop(), Filters(request.args).choice(g.shop)
    name = f"deliveries-{_now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_lines(download.rows(_db(), shop, choice)), mimetype="text/csv", headers=headers)


def _lines(rows: Iterator[list[str]]) -> Iterator[str]:
    for row in rows:
        line = io.StringIO()
        tables.writer(line).writerow(row)
        yield line.getvalue()


@bp.get("/shops/<int:shop_id>/deliveries/<int:delivery_id>")
def show(shop_id: int, delivery_id: int) -> ResponseReturnValue:
    shop = current_shop()
    with _db().read() as session:
        found = delivery_page.delivery_view(session, shop, delivery_id)
    return render_template("deliveries/show.html", found=found, words=words, pretty=pretty, **_done())


@bp.post("/shops/<int:shop_id>/deliveries/<int:delivery_id>/attempts/<int:attempt_id>")
def payload(shop_id: int, delivery_id: int, attempt_id: int) -> ResponseReturnValue:
    """What one try sent, with all that it says of the buyer; that somebody looked is kept."""
    shop = current_shop()
    with _db().write() as session:
        delivery = delivery_list.one(session, shop, delivery_id)
        found = attempts.whole_payload(session, delivery, attempt_id)
        if found is None:
            raise NotFound("there is no such attempt")
        seen = {"delivery": delivery_id, "attempt": attempt_id}
        audit.record(session, shop_id=shop, actor=g.access.actor, action="show payload", after=seen)
    return render_template("deliveries/payload.html", delivery_id=delivery_id, text=pretty(found))


@bp.post("/shops/<int:shop_id>/deliveries/resend", endpoint="resend")
def send_again(shop_id: int) -> ResponseReturnValue:
    """Ask first, with the count; then send what was asked about, unless it became something else meanwhile."""
    shop, filters = current_shop(), Filters(request.form)
    choice = _marked() or filters.choice(g.shop)
    if not choice.ids and (request.form.get("what") != "all" or choice.state not in FINISHED):
        return redirect(page_url("deliveries.index", shop_id=shop, done="nothing", **filters.given()), 303)
    with _db().write() as session:
        plan = resend.resend(session, shop, choice, twice=False, actor=None)
        if request.form.get("confirmed") != plan.mark:
            return _ask(plan, choice, filters, changed="confirmed" in request.form)
        done = resend.resend(session, shop, choice, twice="twice" in request.form, actor=g.access.actor)
    said = _sent_again(done.sent - done.waiting, done.waiting)
    if len(choice.ids) == 1:
        return redirect(page_url("deliveries.show", shop_id=shop, delivery_id=choice.ids[0], **said), 303)
    return redirect(page_url("deliveries.index", shop_id=shop, **said, **filters.given()), 303)


def _ask(plan: resend.Resending, choice: Choice, filters: Filters, *, changed: bool) -> ResponseReturnValue:
    page = render_template(
        "deliveries/resend.html",
        plan=plan,
        ids=choice.ids,
        filters=filters,
        given=filters.given(),
        changed=changed,
        at_once=resend.AT_ONCE,
    )
    return page, 409 if changed else 200


def _marked() -> Choice | None:
    """The deliveries that were marked one by one."""
    given = [found for each in request.form.getlist("id") if (found := row_id(each)) is not None]
    return Choice(ids=tuple(given[: resend.AT_ONCE])) if given else None


@bp.post("/shops/<int:shop_id>/deliveries/<int:delivery_id>/settle")
def settle(shop_id: int, delivery_id: int) -> ResponseReturnValue:
    """What a person found at the provider, where the answer was lost."""
    shop, found = current_shop(), request.form.get("found")
    if found not in ("yes", "no"):
        abort(400)
    with _db().write() as session:
        delivery = delivery_list.one(session, shop, delivery_id, change=True)
        replay.settle_unknown(session, delivery, found == "yes", g.access.actor)
        waits = delivery.state == DeliveryState.HELD
    said = {"done": "delivered", "number": 1} if found == "yes" else _sent_again(int(not waits), int(waits))
    return redirect(page_url("deliveries.show", shop_id=shop, delivery_id=delivery_id, **said), 303)


@bp.post("/shops/<int:shop_id>/deliveries/release")
def release(shop_id: int) -> ResponseReturnValue:
    """Try at once what one provider's destination holds."""
    shop, provider = current_shop(), request.form.get("provider", "")
    if provider not in PROVIDERS:
        abort(404)
    with _db().write() as session:
        number = resend.release(session, shop, provider, actor=g.access.actor)
    return redirect(page_url("deliveries.index", shop_id=shop, provider=provider, done="released", number=number), 303)


def _sent_again(number: int, waiting: int) -> dict[str, object]:
    """For the address of the page that says so."""
    return {"done": "resent", "number": number} | ({"waiting": waiting} if waiting else {})


def _done() -> dict[str, object]:
    """What was done just before, for its notice."""
    said = request.args.get("done")
    return {"done": said if said in _DONE else None, "number": _number("number"), "waiting": _number("waiting")}


def _number(name: str) -> int:
    given = request.args.get(name, "")[:6]
    return int(given) if given.isdecimal() else 0


def _titles() -> dict[str, str]:
    return {name: provider.title for name, provider in PROVIDERS.items()}


def _now() -> datetime:
    return datetime.now(UTC)


def _db() -> Database:
    db: Database = current_app.extensions["db"]
    return db
