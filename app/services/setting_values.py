"""What a merchant enters for a provider's settings: from text to values and back, with a word on what cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.providers.base import Provider, Setting
from app.services.errors import Wrong
from app.services.said import mark

LONGEST = 2_000  #: characters of one value; no key, name or id comes near
LONGEST_TABLE = 20_000
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


class WrongSettings(Wrong):
    """Some settings cannot be as they were given.

    Attributes:
        fields: what a person is told beside each, by the setting's name; no value is repeated.
    """

    def __init__(self, texts: Iterable[str], fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(texts))
        self.fields = dict(fields)


class WrongSetting(Wrong):
    """One of them; ``said`` stands beside its field, the text names the setting."""

    def __init__(self, text: str, said: str) -> None:
        super().__init__(text)
        self.said = said


def read_settings(provider: Provider, given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, WrongSetting]]:
    """The typed values of what can be, and what is wrong with the rest; None for a value that was taken back."""
    values: dict[str, Any] = {}
    wrong: dict[str, WrongSetting] = {}
    for name, text in given.items():
        try:
            values[name] = read_setting(_declared(provider, name), text.strip())
        except WrongSetting as error:
            wrong[name] = error
    return values, wrong


def missing(provider: Provider, values: Mapping[str, Any]) -> list[str]:
    """The names of required settings that have no value."""
    return [each.name for each in provider.settings if each.required and not values.get(each.name)]


def refuse(provider: Provider, wrong: Mapping[str, WrongSetting], lacking: list[str]) -> None:
    """Raise `WrongSettings` if there is anything to raise."""
    lacking = [name for name in lacking if name not in wrong]
    texts, fields = [str(each) for each in wrong.values()], {name: each.said for name, each in wrong.items()}
    if lacking:
        texts.append(f"{provider.title} cannot be switched on without {', '.join(lacking)}")
        fields |= dict.fromkeys(lacking, mark("{title} cannot be switched on without it.").format(title=provider.title))
    if texts:
        raise WrongSettings(texts, fields)


def _declared(provider: Provider, name: str) -> Setting:
    setting = next((each for each in provider.settings if each.name == name), None)
    if setting is None:
        names = ", ".join(each.name for each in provider.settings)
        raise WrongSetting(
            f"{name}: {provider.title} has no such setting; it has {names}", mark("There is no such setting.")
        )
    return setting


def read_setting(setting: Setting, text: str) -> Any:
    """The typed value of what a person entered; None for nothing."""
    if not text:
        return None
    if len(text) > (LONGEST_TABLE if setting.kind == "table" else LONGEST):
        raise WrongSetting(f"{setting.name} is too long: copy it again", mark("This is too long. Copy it again."))
    if not all(each.isprintable() or (setting.kind == "table" and each in "\r\n\t") for each in text):
        raise WrongSetting(
            f"{setting.name} holds characters that cannot be sent: copy it again",
            mark("This holds characters that cannot be sent. Copy it again."),
        )
    match setting.kind:
        case "boolean":
            return _boolean(setting, text)
        case "integer":
            return _integer(setting, text)
        case "choice":
            return _choice(setting, text)
        case "table":
            return _table(setting, text)
        case _:
            return _text(setting, text)


def _wrong(setting: Setting, text: str, remedy: str) -> WrongSetting:
    """``remedy`` is a sentence for a page; the command line has one line for all of them."""
    return WrongSetting(f"{setting.name} is {text!r}: {remedy[0].lower()}{remedy[1:].rstrip('.')}", remedy)


def _text(setting: Setting, text: str) -> str:
    if setting.pattern and not re.fullmatch(setting.pattern[0], text):
        raise _wrong(setting, text, setting.pattern[1])
    return text


def _boolean(setting: Setting, text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise _wrong(setting, text, mark("Enter yes or no."))
    return text.lower() in _YES


def _integer(setting: Setting, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _wrong(setting, text, mark("Enter a whole number."))
    number = int(text)
    if setting.between and not setting.between[0] <= number <= setting.between[1]:
        raise _wrong(
            setting,
            text,
            mark("Enter a whole number from {lowest} to {highest}.").format(
                lowest=setting.between[0], highest=setting.between[1]
            ),
        )
    return number


def _choice(setting: Setting, text: str) -> str:
    values = [value for value, _ in setting.choices]
    if text not in values:
        raise _wrong(setting, text, mark("Choose one of {values}.").format(values=", ".join(filter(None, values))))
    return text


def _table(setting: Setting, text: str) -> dict[str, str]:
    """``processing=IN_PROGRESS, completed=DELIVERED``"""
    pairs = [part.partition("=") for part in text.replace("\n", ",").split(",") if part.strip()]
    if not all(key.strip() and equals and value.strip() for key, equals, value in pairs):
        raise _wrong(setting, text, mark("Enter pairs like processing=IN_PROGRESS, separated by commas or lines."))
    found = {key.strip(): value.strip() for key, _, value in pairs}
    known = [value for value, _ in setting.choices]
    if known and not set(found.values()) <= set(known):
        raise _wrong(setting, text, mark("Write one of {known} on the right of each =.").format(known=", ".join(known)))
    return found


def text_of(setting: Setting, value: Any) -> str:
    """``value`` as a person enters it; nothing for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "\n".join(f"{key} = {each}" for key, each in value.items())
    return str(value)
