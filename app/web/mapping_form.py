"""The form of one field of a mapping: where its value comes from, what is done to it, and what stands for nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Form, RadioField, SelectChoice, SelectField, StringField
from wtforms import Field as FormField

from app.services.conversion_words import CONVERSIONS, Conversion
from app.services.mapping_draft import Change
from app.services.mapping_rows import Row
from app.services.mapping_sources import Choice, Sources
from app.services.said import said
from app.web.mapping_values import cut, written

Given = MultiDict[str, str]

MOST = 6  #: paths, and conversions, that the form gives one field; the text view knows no such limit
LONGEST = 2000  #: characters of a constant
KEPT = "kept"  #: the field stays as it is
_SAMPLE = 60  #: characters
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?")
_NONE = SelectChoice("", "–")


class Unclear(Exception):
    """What was entered says nothing that can be done; the form's fields carry the reasons."""


class SourceForm:
    """The form, filled with what was entered or with what stands in the draft."""

    def __init__(self, row: Row, sources: Sources, given: Given | None) -> None:
        self.shape = _shape(row)
        self.constant_converted = row.origin.how == "value" and bool(row.origin.conversions)
        self._form = _form(row, sources, given)
        self.how, self.keep_empty = self._form["how"], self._form["keep_empty"]
        self.value, self.value_kind = self._form["value"], self._form["value_kind"]
        self.default, self.default_kind = self._form["default"], self._form["default_kind"]
        self.paths = self._shown("path", 1 if self.shape == "each" else MOST)
        self.conversions = self._shown("conversion", MOST)

    def _shown(self, name: str, most: int) -> list[FormField]:
        """Those that are filled and an empty one; two at least."""
        entries = [self._form[f"{name}-{number}"] for number in range(most)]
        last = max((number for number, each in enumerate(entries, start=1) if each.data), default=1)
        return entries[: last + 1]

    def change(self) -> Change | None:
        """What was entered; None where the field shall stay as it is. Raises `Unclear`."""
        self._check(self.how)
        match str(self.how.data):
            case "kept":
                return None
            case ("default" | "leave_out") as how:
                return Change(how=how)
            case "value":
                value = _constant(self.value, self.value_kind)
                conversions = self._chosen(self.conversions) if self.constant_converted else ()
                return Change(how="value", value=value, conversions=conversions)
            case how:
                return self._sourced(how)

    def _sourced(self, how: str) -> Change:
        paths = self._chosen(self.paths)
        if not paths:
            raise _refused(self.paths[0], _("Choose where the value comes from."))
        if how == "from" and len(paths) > 1:
            how = "first"
        return Change(
            how=how,
            paths=paths,
            conversions=() if how == "each" else self._chosen(self.conversions),
            default=self._otherwise(),
            keep_empty=bool(self.keep_empty.data),
        )

    def _otherwise(self) -> Any:
        if not (self.default.data or "").strip() and self.default_kind.data not in ("yes", "no"):
            return None
        return _constant(self.default, self.default_kind)

    def _chosen(self, entries: list[FormField]) -> tuple[str, ...]:
        self._check(*entries)
        return tuple(each.data for each in entries if each.data)

    def _check(self, *fields: FormField) -> None:
        for each in fields:
            if not each.validate(self._form):
                each.errors = []
                raise _refused(each, _("Choose one of the list."))


def _refused(field: FormField, said: str) -> Unclear:
    field.errors = [said]
    return Unclear(said)


# what the form is made of


def _shape(row: Row) -> str:
    """``each`` for what is made of a list's members, ``fields`` for an object, else ``plain``."""
    return row.origin.how if row.origin.how in ("each", "fields") else "plain"


def _form(row: Row, sources: Sources, given: Given | None) -> Form:
    paths, conversions = _offered(row, sources), _conversions()
    fields: dict[str, Any] = {
        "how": RadioField(choices=_hows(row)),
        "value": StringField(),
        "value_kind": SelectField(choices=_kinds()),
        "default": StringField(),
        "default_kind": SelectField(choices=_kinds()),
        "keep_empty": BooleanField(),
    }
    for number in range(MOST):
        fields[f"path-{number}"] = SelectField(_path_label(row, number), choices=paths, default="")
        label = _("Convert it") if number == 0 else _("and then")
        fields[f"conversion-{number}"] = SelectField(label, choices=conversions, default="")
    form: Form = type("SourceForm", (Form,), fields)(given, data=_data(row))
    return form


def _data(row: Row) -> dict[str, Any]:
    """What stands in the draft."""
    origin = row.origin
    value, value_kind = _entered(origin.value)
    default, default_kind = _entered(origin.default)
    return {
        "how": _how(row),
        "value": value,
        "value_kind": value_kind,
        "default": default,
        "default_kind": default_kind,
        "keep_empty": origin.keep_empty,
        **{f"path-{number}": path for number, path in enumerate(origin.paths)},
        **{f"conversion-{number}": name for number, name in enumerate(origin.conversions)},
    }


def _how(row: Row) -> str:
    if row.default is not None and _shape(row) == "plain" and (not row.own or row.origin.how == "none"):
        return "default"
    return {"first": "from", "none": "from", "fields": KEPT}.get(row.origin.how, row.origin.how)


def _entered(value: Any) -> tuple[str, str]:
    """A JSON value as the form holds it: text and its kind."""
    match value:
        case None:
            return "", "text"
        case bool():
            return "", "yes" if value else "no"
        case str():
            return value, "text"
        case int() | float():
            return written(value), "number"
        case _:
            return json.dumps(value, ensure_ascii=False), "json"


def _hows(row: Row) -> list[SelectChoice]:
    out, standard = SelectChoice("leave_out", _("Leave it out")), row.default
    if (shape := _shape(row)) != "plain":
        stays = {"each": _("One entry for each member of a list"), "fields": _("Made of the fields below it")}
        back = [SelectChoice("default", _("As Tillwire does it, with all that stands in it"))] if standard else []
        return [SelectChoice("each" if shape == "each" else KEPT, stays[shape]), *back, out]
    back = [SelectChoice("default", _("As Tillwire does it: %(how)s", how=standard.words))] if standard else []
    return [
        *back,
        SelectChoice("from", _("A value of your orders")),
        SelectChoice("list", _("Several values together")),
        SelectChoice("value", _("Always the same")),
        out,
    ]


def _path_label(row: Row, number: int) -> str:
    if _shape(row) == "each":
        return str(_("List"))
    return str(_("Value") if number == 0 else _("Further value"))


def _offered(row: Row, sources: Sources) -> list[SelectChoice]:
    """The paths that can be chosen, by group; also those that the draft has and no recent order."""
    lists = _shape(row) == "each"
    fits = [each for each in sources.choices if (each.kind == "list" if lists else each.kind != "object")]
    known, now = {each.path for each in fits}, zip(row.origin.paths, row.origin.labels, strict=True)
    return [
        _NONE,
        *(SelectChoice(path, label, optgroup=_("As it is now")) for path, label in now if path not in known),
        *(SelectChoice(each.path, _source(each), optgroup=each.group) for each in fits),
    ]


def _source(choice: Choice) -> str:
    return f"{choice.label}: {cut(choice.samples[0], _SAMPLE)}" if choice.samples else choice.label


def _conversions() -> list[SelectChoice]:
    return [_NONE, *(SelectChoice(name, _conversion(each)) for name, each in CONVERSIONS.items())]


def _conversion(each: Conversion) -> str:
    gives = _("left out") if each.gives is None else written(each.gives)
    return f"{said(each.label)} ({cut(written(each.given), _SAMPLE)} → {cut(gives, _SAMPLE)})"


def _kinds() -> list[SelectChoice]:
    return [
        SelectChoice("text", _("Text")),
        SelectChoice("number", _("Number")),
        SelectChoice("yes", _("Yes (true)")),
        SelectChoice("no", _("No (false)")),
        SelectChoice("json", _("JSON, for experts")),
    ]


# constants


def _constant(text: FormField, kind: FormField) -> Any:
    """The JSON value that was entered, or `Unclear`."""
    entered = (text.data or "").strip()
    if len(entered) > LONGEST:
        raise _refused(text, _("This is too long."))
    match kind.data:
        case "yes" | "no":
            return kind.data == "yes"
        case "number":
            return _number(text, entered)
        case "json":
            return _json(text, entered)
    if not entered:
        raise _refused(text, _("Enter the text, or choose another way."))
    return entered


def _number(text: FormField, entered: str) -> int | float:
    if not _NUMBER.fullmatch(entered):
        raise _refused(text, _("Enter a number such as 12 or 12.50."))
    return float(entered) if "." in entered else int(entered)


def _json(text: FormField, entered: str) -> Any:
    try:
        found = json.loads(entered)
    except (ValueError, RecursionError):
        found = None
    if found is None:
        raise _refused(text, _('This is no JSON, or none that says anything. An example: ["a", "b"]'))
    return found
