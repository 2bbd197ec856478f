"""What a merchant enters for a provider's settings."""

from __future__ import annotations

from typing import Any

import pytest

from app.providers.base import Setting
from app.providers.registry import PROVIDERS
from app.services import setting_values
from app.services.setting_values import WrongSetting, WrongSettings

GAMEBALL = PROVIDERS["gameball"]
TABLE = Setting(name="statuses", label="Statuses", kind="table")
NUMBER = Setting(name="days", label="Days", kind="integer")
TICK = Setting(name="on", label="On", kind="boolean")
CHOICE = Setting(name="which", label="Which", kind="choice", choices=(("a", "the first"), ("b", "the second")))
TEXT = Setting(name="text", label="Text")


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (TEXT, "", None),
        (TEXT, "Add to cart", "Add to cart"),
        (NUMBER, "-14", -14),
        (NUMBER, "0", 0),
        (TICK, "Yes", True),
        (TICK, "off", False),
        (CHOICE, "b", "b"),
        (TABLE, "paid = DONE\r\nfailed=GONE, trash = GONE\n", {"paid": "DONE", "failed": "GONE", "trash": "GONE"}),
    ],
)
def test_text_becomes_the_declared_kind_of_value(setting: Setting, text: str, value: Any) -> None:
    assert setting_values.read_setting(setting, text) == value


@pytest.mark.parametrize(
    ("setting", "text", "complaint", "said"),
    [
        (NUMBER, "--5", "days is '--5': enter a whole number", "Enter a whole number."),
        (NUMBER, "٣", "days is '٣': enter a whole number", "Enter a whole number."),
        (NUMBER, "9" * 19, f"days is '{'9' * 19}': enter a whole number", "Enter a whole number."),
        (NUMBER, "1.5", "days is '1.5': enter a whole number", "Enter a whole number."),
        (TICK, "perhaps", "on is 'perhaps': enter yes or no", "Enter yes or no."),
        (CHOICE, "c", "which is 'c': choose one of a, b", "Choose one of a, b."),
        (
            TABLE,
            "paid",
            "statuses is 'paid': enter pairs like processing=IN_PROGRESS, separated by commas or lines",
            "Enter pairs like processing=IN_PROGRESS, separated by commas or lines.",
        ),
        (
            *(GAMEBALL.setting("account_currency"), "euro"),
            "account_currency is 'euro': enter three letters, for example EUR",
            "Enter three letters, for example EUR.",
        ),
        (
            *(GAMEBALL.setting("return_window_days"), "7301"),
            "return_window_days is '7301': enter a whole number from 0 to 7300",
            "Enter a whole number from 0 to 7300.",
        ),
        (
            *(PROVIDERS["esputnik"].setting("status_map"), "paid=DONE"),
            "status_map is 'paid=DONE': write one of INITIALIZED, IN_PROGRESS, DELIVERED, CANCELLED on the right of"
            " each =",
            "Write one of INITIALIZED, IN_PROGRESS, DELIVERED, CANCELLED on the right of each =.",
        ),
        (
            TABLE,
            "paid = DO\0NE",
            "statuses holds characters that cannot be sent: copy it again",
            "This holds characters that cannot be sent. Copy it again.",
        ),
        (
            TEXT,
            "hu\nsh",
            "text holds characters that cannot be sent: copy it again",
            "This holds characters that cannot be sent. Copy it again.",
        ),
        (TEXT, "x" * 2001, "text is too long: copy it again", "This is too long. Copy it again."),
        (TABLE, "a=b," * 5001, "statuses is too long: copy it again", "This is too long. Copy it again."),
    ],
)
def test_what_cannot_be_is_told_with_a_remedy(setting: Setting, text: str, complaint: str, said: str) -> None:
    with pytest.raises(WrongSetting) as told:
        setting_values.read_setting(setting, text)
    assert (str(told.value), told.value.said) == (complaint, said)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_default_is_read_back_as_it_was_shown(provider: str) -> None:
    for setting in PROVIDERS[provider].settings:
        text = setting_values.text_of(setting, setting.default)
        assert setting_values.read_setting(setting, text) == (setting.default if text else None), setting.name


def test_all_that_is_wrong_is_told_at_once_and_missing_once() -> None:
    given = {"api_key": "a\nb", "return_window_days": "soon", "channel": "web", "colour": "red"}
    values, wrong = setting_values.read_settings(GAMEBALL, given)
    assert values == {"channel": "web"}
    with pytest.raises(WrongSettings) as told:
        setting_values.refuse(GAMEBALL, wrong, ["api_key", "secret_key"])
    assert told.value.fields == {
        "api_key": "This holds characters that cannot be sent. Copy it again.",
        "return_window_days": "Enter a whole number.",
        "colour": "There is no such setting.",
        "secret_key": "Gameball cannot be switched on without it.",
    }
    assert str(told.value) == "; ".join(
        [
            "api_key holds characters that cannot be sent: copy it again",
            "return_window_days is 'soon': enter a whole number",
            "colour: Gameball has no such setting; it has " + ", ".join(each.name for each in GAMEBALL.settings),
            "Gameball cannot be switched on without secret_key",
        ]
    )


def test_nothing_wrong_is_no_refusal() -> None:
    setting_values.refuse(GAMEBALL, {}, [])
