"""One field of a mapping while it is edited: what is known of it, its form, and what would come of it."""

from __future__ import annotations

from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from app.models import Shop
from app.providers.base import Provider
from app.services import mapping_draft, mapping_sources, mapping_table
from app.services.errors import NotFound
from app.services.mapping_draft import BadMapping
from app.services.mapping_rows import Row
from app.services.mapping_table import FieldView
from app.services.route import Router
from app.web.mapping_form import SourceForm, Unclear

Given = MultiDict[str, str]


class Editor:
    """
    Attributes:
        view: the field as it stands in the draft, and the events that it can be shown for.
        row: the field itself, which the draft may not send (yet).
        rule, path: which field that is.
        form: what stands in its form.
        events: how many events the sources were found in.
        after: what would come of it, once `attempt` was called; ``row`` for a field that would stay as it is.
        wrong: why nothing would come of it.
    """

    def __init__(
        self, provider: Provider, text: str, view: FieldView, sources: mapping_sources.Sources, given: Given | None
    ) -> None:
        self.provider, self.view, self.row = provider, view, view.row
        self.rule, self.path = view.table.name, view.row.path
        self.form, self.events = SourceForm(view.row, sources, given), sources.events
        self.after: Row | None = None
        self.wrong: str | None = None
        self._text = text

    def attempt(self, session: Session, router: Router, shop: Shop) -> None:
        """Find out what would come of it."""
        event = self.view.chosen
        try:
            change = self.form.change()
            if change is None:
                self.after = self.row
                return
            tried = mapping_table.try_change(
                session, router, shop, self.provider, self._text, self.rule, self.path, change, event_id=event
            )
        except (Unclear, BadMapping) as error:
            self.wrong = str(error)
        else:
            self.after = tried.row

    def kept(self) -> str | None:
        """The text of the draft with what was entered; None where that cannot be, and ``wrong`` says why."""
        try:
            change = self.form.change()
            if change is None:
                return self._text
            return mapping_draft.edit(self.provider, self._text, self.rule, self.path, change)
        except (Unclear, BadMapping) as error:
            self.wrong = str(error)
            return None


def find(
    session: Session,
    router: Router,
    shop: Shop,
    provider: Provider,
    text: str,
    rule: str,
    path: str,
    *,
    event: int | None,
    given: Given | None,
) -> Editor:
    """The editor of a rule's field, filled with ``given`` or with what stands in the draft.

    Raises:
        NotFound: there is no such rule. BadMapping.
    """
    if not path:
        raise NotFound("there is no field without a name")
    view = mapping_table.field(session, router, shop, provider, text, rule, path, event_id=event)
    return Editor(
        provider, text, view, mapping_sources.sources(session, router, shop, provider, text, rule, path), given
    )
