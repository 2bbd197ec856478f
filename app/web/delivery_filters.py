"""Which deliveries a page is about: what its address or form says, read and offered again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from flask_babel import lazy_gettext as _l
from wtforms import DateField, Form, SelectField
from wtforms.validators import Optional, ValidationError

from app.models import DeliveryState, Shop
from app.providers.registry import PROVIDERS
from app.services.day import bounds, zone_of
from app.services.delivery_list import Choice
from app.services.said import said
from app.web import words

_ALL = ("", _l("All"))
_DAYS = (date(2000, 1, 1), date(2100, 1, 1))  #: at the ends of time a day has no neighbours


def _of_our_time(_form: Form, field: DateField) -> None:
    if field.data is not None and not _DAYS[0] <= field.data <= _DAYS[1]:
        raise ValidationError()


class Filters(Form):  # type: ignore[misc]
    """Every field may be empty; a value that cannot be is as good as none."""

    provider = SelectField(_l("Provider"), [Optional()])
    state = SelectField(_l("State"), [Optional()])
    since = DateField(_l("From"), [Optional(), _of_our_time])
    until = DateField(_l("Until"), [Optional(), _of_our_time])
    reason = SelectField(_l("Reason"), [Optional()], validate_choice=False)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.provider.choices = [_ALL, *((name, provider.title) for name, provider in PROVIDERS.items())]
        self.state.choices = [_ALL, *((str(state), words.DELIVERY[state].text) for state in DeliveryState)]
        self.reason.choices = [_ALL]
        self.validate()

    def choice(self, shop: Shop) -> Choice:
        """Days are those of the shop's clock."""
        zone, given = zone_of(shop), self.given()
        since, until = (bounds(field.data, zone) if field.name in given else None for field in (self.since, self.until))
        return Choice(
            provider=given.get("provider"),
            state=given.get("state"),
            since=since[0] if since else None,
            until=until[1] if until else None,
            reason=given.get("reason") if given.get("state") else None,
        )

    def offer(self, reasons: Sequence[tuple[str, str, int]]) -> None:
        """The reasons that there are in the chosen state."""
        self.reason.choices = [_ALL, *((mark, f"{said(text)} ({number})") for mark, text, number in reasons)]

    def given(self) -> dict[str, str]:
        """What was chosen, as it stands in an address."""
        return {field.name: str(field.data) for field in self if field.data and not field.errors}
