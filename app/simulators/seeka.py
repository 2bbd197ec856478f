"""Seeka: activities of identified people, deduplicated by activity id.

Source: developers.seeka.co/http/usage/tracking-orders (body, batch of 20), developers.seeka.co/http/usage (headers),
developers.seeka.co/http/usage/push-identity, developers.seeka.co/more/limits (30 requests a second for an IP address).
A 202 means queued; how a refusal is worded is not published.
"""

from dataclasses import dataclass, field
from typing import Any

from app.simulators.base import Simulator
from app.simulators.calls import Answer, Call, Refused, json_answer
from app.simulators.checks import (
    Check,
    Findings,
    array,
    country,
    currency,
    day,
    e164,
    email,
    fields,
    matching,
    number,
    some_of,
    text,
    text_or_integer,
    zoned_moment,
)

_PROFILE_ID = matching(r"sk\.\d+\.\d+\.\d+", "a Seeka profile id")
_CONSENT = fields({"tcfConsentString": text})
_ADDRESS = fields(
    {},
    {
        "addressLine1": text,
        "addressLine2": text,
        "locality": text,
        "state": text,
        "stateCode": text,
        "postcode": text,
        "country": text,
        "countryCode": country,
    },
)
_PERSON: dict[str, Check] = {
    "seekaPId": _PROFILE_ID,
    "email": array(email, least=1),
    "phone": array(e164, least=1),
    "firstName": array(text, least=1),
    "lastName": array(text, least=1),
    "dob": array(day, least=1),
    "address": array(_ADDRESS, least=1),
}


def _person(**own: Check) -> Check:
    form = fields({}, {**_PERSON, **own})

    def check(value: Any, path: str, found: Findings) -> None:
        form(value, path, found)
        if isinstance(value, dict):
            some_of(("seekaPId", "email", "phone"), value, path, found)

    return check


_PRODUCT = fields(
    {"productIdentifier": text_or_integer, "unitPrice": number(), "quantity": number(least=1, whole=True)},
    {
        "variantIdentifier": text_or_integer,
        "sku": text,
        "productName": text,
        "variantName": text,
        "categoryName": text,
        "brandName": text,
        "currencyCode": currency,
    },
)
_ORDER_FIELDS: dict[str, Check] = {
    "products": array(_PRODUCT),
    "currencyCode": currency,
    "totalPrice": number(),
}
_MORE_FIELDS: dict[str, Check] = {
    "checkoutIdentifier": text,
    "cartIdentifier": text,
    "orderIdentifier": text,
    "orderNumber": text,
    "customerIdentifier": text,
    "paymentMethodName": text,
    "totalTax": number(),
    "totalShippingPrice": number(),
}


def _activity(commerce: Check) -> Check:
    payload = {"activityName": text, "activityId": text, "time": zoned_moment}
    event = fields({"id": _person(privacy=_CONSENT), "payload": fields({**payload, "commerce": commerce})})
    return fields({"ev": event})


_ORDER = _activity(fields(_ORDER_FIELDS, _MORE_FIELDS))
#: Names other than Order are not listed in the documentation, so neither is what they must carry.
_OTHER = _activity(fields({}, {**_ORDER_FIELDS, **_MORE_FIELDS}))


def _element(value: Any, path: str, found: Findings) -> None:
    try:
        name = value["ev"]["payload"]["activityName"]
    except (KeyError, TypeError):
        name = "Order"
    (_ORDER if name == "Order" else _OTHER)(value, path, found)


BATCH = fields({"data": array(_element, most=20)})
IDENTITY = _person(consent=fields({}, {"privacy": _CONSENT}))


@dataclass(slots=True)
class Brand:
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)


class Seeka(Simulator[Brand]):
    """Accounts are named ``organisation id/public key``: a key belongs to one brand."""

    name = "seeka"
    limits = ((30, 1.0),)
    batches = False

    def open_books(self) -> Brand:
        return Brand()

    def view(self, books: Brand) -> dict[str, Any]:
        return {
            "activities": dict(sorted(books.activities.items())),
            "identities": dict(sorted(books.identities.items())),
        }

    def rate_key(self, call: Call, _account: str) -> str:
        return call.client

    def refusal(self, status: int, sentence: str) -> Answer:
        return json_answer(status, {"error": sentence})

    def identify(self, call: Call) -> str:
        organisation, key = call.headers.get("x-orgid", ""), call.headers.get("x-converge-key", "")
        missing = [name for name, value in (("X-OrgId", organisation), ("X-Converge-Key", key)) if not value]
        if missing or not (self.accepts("organisation_id", organisation) and self.accepts("public_key", key)):
            raise Refused(self.refusal(401, "Unauthorized"), *(f"header {name} is required" for name in missing))
        return f"{organisation}/{key}"

    def route(self, call: Call, account: str) -> Answer:
        if not call.headers.get("x-sdk-client-version"):
            self.violation(call, "header X-Sdk-Client-Version should always be sent")
        if not call.headers.get("x-sdk-client-type", "").endswith("/server"):
            self.violation(call, "header X-Sdk-Client-Type should be the client's name and /server")
        match call.method, call.parts:
            case "POST", ["ingest"]:
                return self._ingest(call, account)
            case "POST", ["identity"]:
                return self._identify_person(call, account)
            case _:
                raise self.no_route(call)

    def _ingest(self, call: Call, account: str) -> Answer:
        batch = self.read(call)
        self.require(call, BATCH, batch)
        activities = self.books(account).activities
        for element in batch["data"]:
            event = element["ev"]
            if event["payload"]["activityId"] in activities:
                self.count("duplicates")
            else:
                activities[event["payload"]["activityId"]] = event
        return Answer(202)

    def _identify_person(self, call: Call, account: str) -> Answer:
        """Only the purpose and the status are documented, so the answer's layout is a guess."""
        person = self.read(call)
        self.require(call, IDENTITY, person)
        known = person.get("seekaPId") or _made_up_id(str(person.get("email") or person["phone"]))
        self.books(account).identities[known] = person
        return json_answer(200, {"seekaPId": known})


def _made_up_id(seed: str) -> str:
    return f"sk.1.1700000000000.{int.from_bytes(seed.encode()[-8:], 'big')}"
