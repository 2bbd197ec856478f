"""What a provider is sent, field by field: shown for real orders, changed in drafts, saved as versions.

A draft is the merchant's own mapping and the version that it was begun from. Nothing of it is stored before it is
saved: each form carries it along, and so each page here can be opened in two tabs, left lying, or thrown away.
"""

from __future__ import annotations

import re

from flask import Blueprint, abort, g, redirect, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.providers.base import Provider
from app.providers.registry import PROVIDERS
from app.services import mapping_draft, mapping_versions
from app.services.mapping_draft import BadMapping, Draft
from app.services.mapping_versions import Stale
from app.web import mapping_editor, mapping_pages
from app.web.access import current_shop, page_url
from app.web.guard import guard
from app.web.mapping_editor import Editor
from app.web.mapping_form import Unclear
from app.web.mapping_pages import db, reading, router
from app.web.row_ids import row_id

bp = Blueprint("mappings", __name__)
guard(bp)

_BASE = "/shops/<int:shop_id>/mappings/<provider>"
_DONE = ("saved", "restored", "same")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")  #: what a merchant may call a field; its place may allow less


@bp.get(_BASE)
def show(shop_id: int, provider: str) -> ResponseReturnValue:
    """The mapping that counts now."""
    found, done = _provider(provider), request.args.get("done", "")
    with reading(found) as session:
        live = mapping_draft.current(session, g.shop, found)
        event = row_id(request.args.get("event"))
        return mapping_pages.table(session, found, live, event, done=done if done in _DONE else None)


@bp.post(_BASE)
def draft(shop_id: int, provider: str) -> ResponseReturnValue:
    """A draft; that of a whole rule, or all of it, may just have been taken back."""
    found, given, do = _provider(provider), _draft(), request.form.get("do")
    with reading(found) as session:
        try:
            if do == "reset_rule":
                given = _with(given, mapping_draft.reset_rule(found, given.text, request.form.get("rule", "")))
        except BadMapping as error:
            return mapping_pages.text(found, given, _event(), wrong=error), 400
        return mapping_pages.table(session, found, given, _event())


@bp.post(f"{_BASE}/field")
def field(shop_id: int, provider: str) -> ResponseReturnValue:
    """The form of one field, what comes of it, and its way into the draft."""
    found, given, do = _provider(provider), _draft(), request.form.get("do")
    with reading(found) as session:
        try:
            editor = _editor(session, found, given, filled=do in ("try", "keep"))
        except Unclear as error:
            return mapping_pages.table(session, found, given, _event(), wrong=str(error)), 400
        except BadMapping as error:
            return mapping_pages.text(found, given, _event(), wrong=error), 400
        if do == "try":
            editor.attempt(session, router(), g.shop)
        text = editor.kept() if do == "keep" else None
        if text is None:
            return mapping_pages.field(editor, given), 400 if editor.wrong else 200
        changed = (editor.rule, editor.path)
        return mapping_pages.table(session, found, _with(given, text), _event(), changed=changed)


@bp.post(f"{_BASE}/try", endpoint="preview")
def try_field(shop_id: int, provider: str) -> ResponseReturnValue:
    """What one field would become: a part of the page of that field, for its script."""
    found, given = _provider(provider), _draft()
    with reading(found) as session:
        try:
            editor = _editor(session, found, given, filled=True)
        except (Unclear, BadMapping):
            abort(400)
        editor.attempt(session, router(), g.shop)
        return mapping_pages.result(editor, given)


@bp.get(f"{_BASE}/text")
def text(shop_id: int, provider: str) -> ResponseReturnValue:
    """The mapping that counts now, as text."""
    found = _provider(provider)
    with reading(found) as session:
        live = mapping_draft.current(session, g.shop, found)
    return mapping_pages.text(found, live, None)


@bp.post(f"{_BASE}/text")
def write(shop_id: int, provider: str) -> ResponseReturnValue:
    """A draft as text, and what was typed on its way into the draft."""
    found, given = _provider(provider), _draft()
    if request.form.get("do") != "keep":
        return mapping_pages.text(found, given, _event())
    typed = _clean(request.form.get("text", ""))
    try:
        given = _with(given, mapping_draft.checked(found, typed))
    except BadMapping as error:
        return mapping_pages.text(found, given, _event(), typed=typed, wrong=error), 400
    with reading(found) as session:
        return mapping_pages.table(session, found, given, _event())


@bp.post(f"{_BASE}/changes")
def changes(shop_id: int, provider: str) -> ResponseReturnValue:
    """What a draft would make of the last events."""
    found, given = _provider(provider), _draft()
    try:
        with reading(found) as session:
            return mapping_pages.changes(session, found, given, _event())
    except BadMapping as error:
        return mapping_pages.text(found, given, _event(), wrong=error), 400


@bp.post(f"{_BASE}/save")
def save(shop_id: int, provider: str) -> ResponseReturnValue:
    """Let a draft count from now on."""
    found, given = _provider(provider), _draft()
    try:
        with db().write() as session:
            number = mapping_versions.save(session, g.shop, found, given, actor=g.access.actor)
    except (Stale, IntegrityError):
        with reading(found) as session:
            return mapping_pages.stale(session, found, given, _event()), 409
    except BadMapping as error:
        return mapping_pages.text(found, given, _event(), wrong=error), 400
    return _shown(found, "same" if number is None else "saved")


@bp.get(f"{_BASE}/versions")
def versions(shop_id: int, provider: str) -> ResponseReturnValue:
    """What was saved, by whom and when."""
    found = _provider(provider)
    with reading(found) as session:
        return mapping_pages.versions(session, found, row_id(request.args.get("before")))


@bp.post(f"{_BASE}/versions/<int(max=999999999):version>/restore")
def restore(shop_id: int, provider: str, version: int) -> ResponseReturnValue:
    """Save the mapping of an earlier version anew."""
    found, seen = _provider(provider), _number("version")
    try:
        with db().write() as session:
            number = mapping_versions.restore(session, g.shop, found, version, seen=seen, actor=g.access.actor)
    except (Stale, IntegrityError):
        with reading(found) as session:
            return mapping_pages.versions(session, found, None, stale=True), 409
    except BadMapping as error:
        with reading(found) as session:
            return mapping_pages.versions(session, found, None, wrong=error.text), 400
    return _shown(found, "same" if number is None else "restored")


def _provider(name: str) -> Provider:
    """Of the shop at hand, whose page this is."""
    current_shop()
    return PROVIDERS.get(name) or abort(404)


def _shown(provider: Provider, done: str) -> ResponseReturnValue:
    return redirect(page_url("mappings.show", shop_id=g.shop.id, provider=provider.name, done=done), 303)


# what the forms say


def _draft() -> Draft:
    return Draft(text=_clean(request.form.get("draft", "")), version=_number("version"))


def _with(draft: Draft, text: str) -> Draft:
    return Draft(text=text, version=draft.version)


def _editor(session: Session, provider: Provider, draft: Draft, *, filled: bool) -> Editor:
    """Of the field that the form is about. Raises `Unclear`, `BadMapping`."""
    given = request.form if filled else None
    rule, path = request.form.get("rule", ""), _path()
    return mapping_editor.find(session, router(), g.shop, provider, draft.text, rule, path, event=_event(), given=given)


def _path() -> str:
    """Of a field that is there, or of one that is to be added at a place for new ones."""
    place = request.form.get("place")
    if place is None:
        return request.form.get("field", "")
    name = request.form.get("name", "").strip()
    if not _NAME.fullmatch(name):
        raise Unclear(_("A field's name is made of letters, digits, dots, hyphens and underscores. Nothing was added."))
    return f"{place}{name}"


def _event() -> int | None:
    return row_id(request.form.get("event"))


def _number(name: str) -> int:
    found = row_id(request.form.get(name))
    return abort(400) if found is None else found


def _clean(text: str) -> str:
    """Browsers send the line ends of another age."""
    return text.replace("\r\n", "\n")
