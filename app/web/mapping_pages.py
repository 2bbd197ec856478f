"""The pages of a mapping: its table, one field, its text, what changes, its versions. Who asks was proved before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app, g, render_template
from sqlalchemy.orm import Session

from app.db import Database
from app.providers.base import Provider
from app.services import mapping_draft, mapping_report, mapping_table, mapping_versions
from app.services.conversion_words import CONVERSIONS
from app.services.errors import Failed
from app.services.mapping_draft import BadMapping, Draft
from app.services.mapping_versions import Line
from app.services.route import Router
from app.services.secrets import Locked
from app.web import mapping_values, words
from app.web.mapping_editor import Editor
from app.web.orders import pretty
from app.web.providers import locked

_AROUND = 2  #: lines before and after one that is wrong


def table(
    session: Session,
    provider: Provider,
    draft: Draft,
    event: int | None,
    *,
    changed: tuple[str, str] | None = None,
    done: str | None = None,
    wrong: str | None = None,
) -> str:
    """The table of a draft; its text where it cannot be used.

    Args:
        event: the id of that of which values are shown; the newest where there is none of that id.
        changed: rule and path of what was changed just now.
        done: what was saved just now.
        wrong: why nothing was changed just now.
    """
    try:
        found = mapping_table.tables(session, router(), g.shop, provider, draft.text, event_id=event)
        pending = _pending(session, provider, draft)
    except BadMapping as error:
        return text(provider, draft, event, wrong=error)
    more = {"pending": pending, "unsaved": {(line.rule, line.path) for line in pending}}
    said = {"changed": changed, "done": done, "wrong": wrong}
    return _render("table", provider, draft, found.chosen, found=found, **more, **said)


def _pending(session: Session, provider: Provider, draft: Draft) -> tuple[Line, ...]:
    """What is not saved yet, of a draft that can be used."""
    live = mapping_draft.current(session, g.shop, provider)
    try:
        return mapping_versions.difference(provider, live.text, draft.text)
    except BadMapping:  # what counts now cannot be used any more, and is what the draft mends
        return mapping_versions.difference(provider, "", draft.text)


def field(editor: Editor, draft: Draft) -> str:
    return _render("field", editor.provider, draft, editor.view.chosen, editor=editor)


def result(editor: Editor, draft: Draft) -> str:
    """The part of `field` that tells what would come of it."""
    return _render("_result", editor.provider, draft, editor.view.chosen, editor=editor)


def text(
    provider: Provider, draft: Draft, event: int | None, *, typed: str | None = None, wrong: BadMapping | None = None
) -> str:
    """The expert's view of a draft, or of what was ``typed`` into it and is ``wrong``."""
    shown = typed
    if shown is None:
        try:
            shown = mapping_draft.whole(provider, draft.text)
        except BadMapping as error:
            shown, wrong = draft.text, error
    around = _around(shown, wrong.line) if wrong and wrong.line else []
    return _render("text", provider, draft, event, text=shown, wrong=wrong, around=around)


def _around(text: str, line: int) -> list[tuple[int, str]]:
    """The lines next to ``line`` (from 1), with their numbers."""
    lines = text.split("\n")
    first, last = max(1, line - _AROUND), min(len(lines), line + _AROUND)
    return [(number, lines[number - 1]) for number in range(first, last + 1)]


def changes(session: Session, provider: Provider, draft: Draft, event: int | None) -> str:
    """What the draft would make of the last events. Raises `BadMapping`."""
    report = mapping_report.report(session, router(), g.shop, provider, draft.text)
    pending = _pending(session, provider, draft)
    return _render("changes", provider, draft, event, report=report, pending=pending)


def stale(session: Session, provider: Provider, draft: Draft, event: int | None) -> str:
    """Somebody else saved meanwhile: both are shown, and the draft is kept."""
    theirs = next(iter(mapping_versions.versions(session, g.shop, provider)), None)
    mine = mapping_versions.difference(provider, theirs.text if theirs else "", draft.text)
    rebased = Draft(text=draft.text, version=theirs.number if theirs else 0)
    return _render("stale", provider, rebased, event, theirs=theirs, mine=mine)


def versions(
    session: Session, provider: Provider, before: int | None, *, stale: bool = False, wrong: str | None = None
) -> str:
    """What was saved, newest first.

    Args:
        before: the number of a version that is not shown any more, nor are newer ones.
        stale, wrong: why nothing was restored just now.
    """
    newest = mapping_versions.versions(session, g.shop, provider)
    found = mapping_versions.versions(session, g.shop, provider, before=before) if before else newest
    return render_template(
        "mappings/versions.html",
        provider=provider,
        found=found,
        newest=newest[0].number if newest else 0,
        before=before,
        older=len(found) == mapping_versions.PAGE,
        stale=stale,
        wrong=wrong,
        words=words,
    )


def _render(page: str, provider: Provider, draft: Draft, event: int | None, **more: object) -> str:
    """A page that carries ``draft``, and the event of which it shows values."""
    return render_template(
        f"mappings/{page}.html",
        provider=provider,
        draft=draft,
        event=event or "",
        words=words,
        conversions=CONVERSIONS,
        members=mapping_values.members,
        pretty=pretty,
        **more,
    )


# what pages and views stand on


@contextmanager
def reading(provider: Provider) -> Iterator[Session]:
    """A look at the database; says what to do where the provider's credentials cannot be opened."""
    try:
        with db().read() as session:
            yield session
    except Locked:
        raise Failed(locked(provider)) from None


def db() -> Database:
    found: Database = current_app.extensions["db"]
    return found


def router() -> Router:
    found: Router = current_app.extensions["router"]
    return found
