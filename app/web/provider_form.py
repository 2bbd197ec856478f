"""The form of a provider's settings, drawn from its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Field, Form, PasswordField, SelectChoice, SelectField, StringField, TextAreaField

from app.providers.base import Provider, Setting
from app.services.provider_page import Shown
from app.services.said import mark, said
from app.services.setting_values import text_of

VERSION = "version"  #: hidden field: what the form was made of
WAS, FORGET = "was-", "forget-"  #: prefixes: what a field showed at first; that a secret is to be forgotten
Given = MultiDict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One setting in the form, in the reader's language."""

    setting: Setting
    label: str
    help: str
    standard: str  #: in words; empty where there is none to speak of
    field: Field
    was: str  #: as saved; of a secret its mask
    tail: str | None  #: of a secret, as in `Shown.secrets`
    wrong: str | None = None

    @property
    def described_by(self) -> str:
        """The ids of what explains the field."""
        return " ".join(f"{part}-{self.setting.name}" for part in (["wrong"] if self.wrong else []) + ["help"])


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody else saved while a form lay open."""

    label: str
    before: str
    after: str


def lines(
    provider: Provider, shown: Shown, texts: Mapping[str, str], wrong: Mapping[str, str] | None = None
) -> list[Line]:
    """
    Args:
        texts: what the fields hold, by name; saved where it is not given.
        wrong: what is said beside a field.
    """
    values = {**shown.texts, **texts}
    form = _form(provider, values)
    return [
        Line(
            setting=each,
            label=said(each.label),
            help=said(each.help),
            standard="" if each.secret else said(words(each, text_of(each, each.default))),
            field=form[each.name],
            was=was(shown, each),
            tail=shown.secrets.get(each.name),
            wrong=said((wrong or {}).get(each.name, "")) or None,
        )
        for each in provider.settings
    ]


def words(setting: Setting, text: str) -> str:
    """A value as the form says it."""
    if setting.kind == "choice":
        return dict(setting.choices).get(text, text)
    if setting.kind == "boolean":
        return mark("yes") if text == "true" else mark("no")
    return text


def was(shown: Shown, setting: Setting) -> str:
    """What a form shows at first, and brings along: so that another's change is told from one's own."""
    return mask(shown.secrets.get(setting.name)) if setting.secret else shown.texts[setting.name]


def mask(tail: str | None) -> str:
    if tail is None:
        return mark("not set")
    return mark("set, ends with {tail}").format(tail=tail) if tail else mark("set")


def typed(provider: Provider, given: Given) -> dict[str, str]:
    """What the fields hold, but for secrets: those are never shown again."""
    found = {}
    for each in provider.settings:
        if each.kind == "boolean" and WAS + each.name in given:  # an empty box is not sent, its neighbour is
            found[each.name] = "true" if given.get(each.name) else "false"
        elif not each.secret and each.name in given:
            found[each.name] = _clean(given[each.name])
    return found


def changed(provider: Provider, shown: Shown, given: Given) -> dict[str, str]:
    """What of a sent form differs from what it showed, as `configure.set_destination` takes it."""
    found, texts = {}, typed(provider, given)
    for each in provider.settings:
        text = texts.get(each.name)
        if each.secret:
            entered = given.get(each.name, "").strip()
            if entered or given.get(FORGET + each.name):
                found[each.name] = entered
        elif text is not None and text != _clean(given.get(WAS + each.name, shown.texts[each.name])):
            found[each.name] = "" if text == text_of(each, each.default) else text
    return found


def others(provider: Provider, shown: Shown, given: Given) -> list[Change]:
    """What is saved now and was not when the form was made."""
    found = []
    for each in provider.settings:
        now, before = was(shown, each), _clean(given.get(WAS + each.name, was(shown, each)))
        if now != before:
            found.append(Change(said(each.label), *(said(words(each, text)) for text in (before, now))))
    return found


def _clean(text: str) -> str:
    """Browsers send the line ends of another age."""
    return text.replace("\r\n", "\n").strip()


def _form(provider: Provider, values: Mapping[str, str]) -> Form:
    kind = type("SettingsForm", (Form,), {each.name: _field(each) for each in provider.settings})
    form: Form = kind(data={each.name: _data(each, values.get(each.name, "")) for each in provider.settings})
    return form


def _data(setting: Setting, text: str) -> str | bool:
    return text == "true" if setting.kind == "boolean" else text


def _field(setting: Setting) -> Field:
    how = {"id": setting.name}
    if setting.secret:
        return PasswordField(**how)
    match setting.kind:
        case "boolean":
            return BooleanField(**how)
        case "choice":
            choices = [SelectChoice(value, _choice(setting, value, label)) for value, label in setting.choices]
            return SelectField(choices=choices, **how)
        case "table":
            return TextAreaField(**how)
        case _:
            return StringField(**how)


def _choice(setting: Setting, value: str, label: str) -> str:
    return str(_("%(choice)s (standard)", choice=said(label))) if value == setting.default else said(label)
