"""Spotler Activate (formerly Squeezely): events about people, purchases among them.

Source: activate.spotler.help/hc/en-gb/articles/21715997222034 (purchase), .../21717021066386 (custom events),
.../21590285143698 (fields), squeezely.tech/documentation (dates), github.com/squeezely/magento2-plugin (address,
headers, answers). A purchase merges by its order id; every other event counts each time. No rate limit is published.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from app.simulators.base import Simulator
from app.simulators.calls import Answer, Call, Refused, json_answer
from app.simulators.checks import (
    Check,
    Findings,
    anything,
    array,
    boolean,
    country,
    currency,
    e164,
    email,
    examine,
    fields,
    language_region,
    matching,
    number,
    one_of,
    some_of,
    text,
    text_or_integer,
    whole_second_moment,
)

_SHA256 = matching("[0-9a-f]{64}", "a SHA-256 hash in hexadecimal")


def _email_or_hash(value: object, path: str, found: Findings) -> None:
    (email if isinstance(value, str) and "@" in value else _SHA256)(value, path, found)


def _timestamp(value: object, path: str, found: Findings) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        whole_second_moment(value, path, found)


def _something(value: object, path: str, found: Findings) -> None:
    if value is None or value == "":
        found.refuse(path, "must not be empty or null: it would overwrite the profile's field")


def _custom(name: str) -> Check | None:
    return _something if name.startswith("custom_") and len(name) > len("custom_") else None


_YES_NO = one_of("yes", "no")
_DATE_OF_BIRTH = matching(r"\d{4}-\d\d-\d\d|\d\d-\d\d-\d{4}", "a date as YYYY-MM-DD")
_PRODUCT_OPTIONAL: dict[str, Check] = {"name": text, "price": number(), "language": language_region}
_QUANTITY = number(least=1, whole=True)
PRODUCT = fields({"id": text, "quantity": _QUANTITY}, _PRODUCT_OPTIONAL)
REMOVED_PRODUCT = fields({"id": text}, {**_PRODUCT_OPTIONAL, "quantity": _QUANTITY})
PROFILE: dict[str, Check] = {
    "event": text,
    "email": _email_or_hash,
    "userid": text_or_integer,
    "sqzly_cookie": matching("sqzl[0-9a-f]{20}", "the value of the cookie sqzllocal"),
    "timestamp": _timestamp,
    "firstname": text,
    "lastname": text,
    "gender": one_of("M", "F", "U"),
    "birthdate": _DATE_OF_BIRTH,
    "phone": e164,
    "postcode": text,
    "city": text,
    "country": country,
    "language": language_region,
    "newsletter": _YES_NO,
    "service": _YES_NO,
    "marketing": _YES_NO,
    "mobile_advertiser_ID": text,
    "currency": currency,
    "totalvalue": number(decimals=2),
    "orderid": text,
}


def _event(
    *required: str,
    expected: tuple[str, ...] = (),
    who: tuple[str, ...] = ("email", "userid"),
    optional: Mapping[str, Check] = MappingProxyType({}),
    **own: Check,
) -> Check:
    """An event that must have ``required`` and the fields ``own``, and must say who it is about."""
    wanted = {name: PROFILE[name] for name in required} | own
    form = fields(wanted, {**PROFILE, **optional}, expected=expected, extra=_custom)

    def check(value: Any, path: str, found: Findings) -> None:
        form(value, path, found)
        some_of(who, value, path, found)

    return check


def _true(value: object, path: str, found: Findings) -> None:
    boolean(value, path, found)
    if value is False:
        found.refuse(path, "must be true")


_VISITOR = ("email", "userid", "sqzly_cookie")
EVENTS: Mapping[str, Check] = {
    "Purchase": _event(
        "email", "orderid", expected=("timestamp", "currency"), who=("email",), products=array(PRODUCT, least=1)
    ),
    "AddToCart": _event(who=_VISITOR, products=array(PRODUCT, least=1)),
    "RemoveFromCart": _event(who=_VISITOR, products=array(REMOVED_PRODUCT, least=1)),
    "UpdateCart": _event(who=_VISITOR, set_cart=_true, products=array(PRODUCT)),
    "InitiateCheckout": _event(who=_VISITOR, products=array(PRODUCT, least=1)),
    "EmailOptIn": _event("email", "newsletter", who=("email",)),
    "CompleteRegistration": _event("email", who=("email",)),
    "CRMUpdate": _event(),
}
CUSTOM_EVENT = _event(optional={"products": array(REMOVED_PRODUCT)})
OWN_EVENTS = frozenset({"SessionStart"})  #: the service makes these by itself


@dataclass(slots=True)
class Profiles:
    purchases: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)  #: an event's canonical JSON, and how often it came


class Spotler(Simulator[Profiles]):
    """Accounts are named by their account id."""

    name = "spotler"
    limits = ((10, 1.0),)

    def open_books(self) -> Profiles:
        return Profiles()

    def view(self, books: Profiles) -> dict[str, Any]:
        return {
            "purchases": dict(sorted(books.purchases.items())),
            "events": [{"times": times, "event": json.loads(event)} for event, times in sorted(books.events.items())],
        }

    def refusal(self, status: int, sentence: str) -> Answer:
        return json_answer(status, {"errors": [sentence]})

    def identify(self, call: Call) -> str:
        account, key = call.headers.get("x-auth-account", ""), call.headers.get("x-auth-apikey", "")
        missing = [name for name, value in (("X-AUTH-ACCOUNT", account), ("X-AUTH-APIKEY", key)) if not value]
        if missing or not (self.accepts("account_id", account) and self.accepts("api_key", key)):
            sentences = [f"header {name} is required" for name in missing]
            raise Refused(self.refusal(401, "Authentication failed"), *sentences)
        return account

    def route(self, call: Call, account: str) -> Answer:
        match call.method, call.parts:
            case "POST", ["track"]:
                return self._track(call, account)
            case "POST", ["verifyAuth"]:
                return json_answer(200, {"verified": True})
            case _:
                raise self.no_route(call)

    def _track(self, call: Call, account: str) -> Answer:
        body = self.read(call)
        if not isinstance(body, dict):
            raise self.refused(400, "body must be an event or an object with events")
        if "events" not in body:
            return self._track_one(call, account, body)
        self.require(call, fields({"events": array(anything)}), body)
        errors = []
        for index, event in enumerate(body["events"]):
            refused = ["simulated refusal"] if call.drop_last and index == len(body["events"]) - 1 else []
            if refused or (refused := self._take(call, account, event, f"events[{index}]")):
                errors.append({"index": index, "message": refused[0]})
        return json_answer(200, {"success": True, "errors": errors} if errors else {"success": True})

    def _track_one(self, call: Call, account: str, event: dict[str, Any]) -> Answer:
        if call.drop_last:
            return self.refusal(200, "simulated refusal")
        refused = self._take(call, account, event, "")
        if any(sentence.startswith("timestamp ") for sentence in refused):
            return self.refusal(400, "TIMESTAMP_ERROR")
        return json_answer(200, {"errors": refused} if refused else {"success": True})

    def _take(self, call: Call, account: str, event: Any, path: str) -> list[str]:
        """Apply one event, or say why not; both are answered with 200."""
        name = event.get("event") if isinstance(event, dict) else None
        found = examine(fields({"event": text}, extra=lambda _name: anything), event, path)
        if not found.refused:
            if name in OWN_EVENTS:
                found.refuse(path, f"{name} is an event of the service's own")
            else:
                found = self.check(call, EVENTS.get(str(name), CUSTOM_EVENT), event, path)
        for sentence in found.refused:
            self.violation(call, sentence)
        if not found.refused:
            self._apply_event(account, event)
        return found.refused

    def _apply_event(self, account: str, event: dict[str, Any]) -> None:
        books = self.books(account)
        if event["event"] == "Purchase":
            books.purchases[event["orderid"]] = books.purchases.get(event["orderid"], {}) | event
        else:
            books.events[json.dumps(event, sort_keys=True, ensure_ascii=False)] += 1
