"""eSputnik (Yespo): orders and contacts by upsert, carts and, as another way, orders by events.

Source: docs.esputnik.com/reference/ordersbulkinsert-1 and /reference/registerevent-1, the guides there on API keys,
contacts and event tracking, and esputnik.com/en/support/how-send-events-resource-v1event. A 200 may carry
``failedOrders``, and an event that names an incomplete order or an unknown contact is dropped without a word. No rate
limit is published.
"""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.simulators.base import Simulator
from app.simulators.calls import Answer, Call, Refused, json_answer
from app.simulators.checks import text
from app.simulators.esputnik_forms import CART, CONTACT, EVENT, ORDER_FIELDS, ORDERS, event_order, order

EVENT_BYTES = 20_000
ORDER_EVENTS = {
    "orderCreated": None,
    "orderUpdated": None,
    "orderDelivered": "DELIVERED",
    "orderCancelled": "CANCELLED",
}
#: Parameter names that identify a contact, in lower case, and what they hold.
IDENTITY = {
    **dict.fromkeys(("email", "emailaddress", "useremail", "contactemail"), "email"),
    **dict.fromkeys(("phone", "sms", "phonenumber"), "phone"),
    "externalcustomerid": "externalCustomerId",
}
_AMOUNTS = frozenset({"totalCost", "discount", "shipping", "taxes"})
_NESTED = frozenset({"items", "products", "additionalInfo"})


@dataclass(slots=True)
class Contact:
    id: int
    customer: str | None = None  #: externalCustomerId
    emails: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)


class Contacts:
    """People of one account, found by customer id first, then by e-mail address or phone."""

    def __init__(self) -> None:
        self._all: dict[int, Contact] = {}
        self._by_key: dict[tuple[str, str], Contact] = {}

    def __iter__(self) -> Iterator[Contact]:
        return iter(self._all.values())

    def find(self, who: Mapping[str, str]) -> Contact | None:
        for key in _keys(who):
            if key in self._by_key:
                return self._by_key[key]
        return None

    def upsert(self, who: Mapping[str, str]) -> Contact:
        """The contact that ``who`` means, made where there is none, with all of these identifiers added to it."""
        contact = self.find(who)
        customer = who.get("externalCustomerId")
        if contact is None or (customer and contact.customer not in (None, customer)):
            contact = Contact(123_456_789 + len(self._all))
            self._all[contact.id] = contact
        contact.customer = contact.customer or customer
        contact.emails |= {who["email"].lower()} if who.get("email") else set()
        contact.phones |= {who["phone"]} if who.get("phone") else set()
        for key in _keys(who):
            self._by_key.setdefault(key, contact)
        return contact

    def erase(self, customer: str) -> bool:
        contact = self._by_key.get(("externalCustomerId", customer))
        if contact is None:
            return False
        del self._all[contact.id]
        self._by_key = {key: other for key, other in self._by_key.items() if other is not contact}
        return True


def _keys(who: Mapping[str, str]) -> list[tuple[str, str]]:
    kept = [(kind, who[kind]) for kind in ("externalCustomerId", "phone", "email") if who.get(kind)]
    return [(kind, value.lower() if kind == "email" else value) for kind, value in kept]


@dataclass(slots=True)
class Audience:
    contacts: Contacts = field(default_factory=Contacts)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    carts: dict[str, dict[str, Any]] = field(default_factory=dict)  #: by recycleStateId
    triggers: dict[str, Counter[str]] = field(default_factory=dict)  #: started in the account, by externalOrderId


class Esputnik(Simulator[Audience]):
    """Accounts are named by their API key, which is the password of HTTP Basic; the user name may be anything."""

    name = "esputnik"
    limits = ((20, 1.0),)

    def open_books(self) -> Audience:
        return Audience()

    def view(self, books: Audience) -> dict[str, Any]:
        contacts: list[dict[str, Any]] = [
            {"externalCustomerId": each.customer, "emails": sorted(each.emails), "phones": sorted(each.phones)}
            for each in books.contacts
        ]
        return {
            "contacts": sorted(contacts, key=json.dumps),
            "orders": dict(sorted(books.orders.items())),
            "carts": dict(sorted(books.carts.items())),
        }

    def state(self) -> dict[str, Any]:
        """With ``calls.triggers``: account to order to trigger to times. A repeated call starts its trigger again."""
        with self._lock:
            shown = super().state()
            shown["calls"]["triggers"] = {
                account: {id_: dict(sorted(fired.items())) for id_, fired in sorted(books.triggers.items())}
                for account, books in sorted(self._books.items())
                if books.triggers
            }
            return shown

    def refusal(self, status: int, sentence: str) -> Answer:
        return Answer(status, b"" if status == 401 else sentence.encode(), "text/plain; charset=utf-8")

    def identify(self, call: Call) -> str:
        scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
        try:
            key = b64decode(encoded, validate=True).decode().partition(":")[2] if scheme == "Basic" else ""
        except ValueError:
            key = ""
        if not key:
            raise self.refused(401, "header Authorization must be Basic with the API key as password")
        if not self.accepts("api_key", key):
            raise Refused(self.refusal(401, ""))
        return key

    def route(self, call: Call, account: str) -> Answer:
        if "application/json" not in call.headers.get("accept", ""):
            self.violation(call, "header Accept should be application/json; charset=UTF-8")
        if call.body and "charset" not in call.headers.get("content-type", "").lower():
            self.violation(call, "header Content-Type should name charset=UTF-8")
        match call.method, call.parts:
            case "POST", ["v1", "orders"]:
                return self._orders(call, account)
            case "POST", ["v1" | "v2" as version, "event"]:
                return self._event(call, account, version)
            case "POST", ["v1", "contact"]:
                return self._contact(call, account)
            case "DELETE", ["v1", "contact"]:
                erased = self.books(account).contacts.erase(call.query.get("externalCustomerId", ""))
                return Answer(200) if erased else self.refusal(404, "Contact not found")
            case "GET", ["v1", "account", "info"]:
                owner = {"userEmail": "owner@shop.example", "organisationName": "Simulated organisation", "orgId": 1}
                return json_answer(200, owner)
            case _:
                raise self.no_route(call)

    def _orders(self, call: Call, account: str) -> Answer:
        body = self.read(call)
        self.require(call, ORDERS, body)
        failed = []
        for index, each in enumerate(body["orders"]):
            found = self.check(call, order, each, f"orders[{index}]")
            for sentence in found.refused:
                self.violation(call, sentence)
            reasons = list(found.refused)
            if call.drop_last and index == len(body["orders"]) - 1:
                reasons.append("simulated refusal")
            if reasons:
                id_ = each.get("externalOrderId") if isinstance(each, dict) else None
                failed.append({"externalOrderId": id_, "reason": reasons[0]})
            else:
                self._store(account, each)
        return json_answer(200, {"failedOrders": failed})

    def _store(self, account: str, given: dict[str, Any]) -> None:
        books = self.books(account)
        books.contacts.upsert(given)
        books.orders[given["externalOrderId"]] = given
        books.triggers.setdefault(given["externalOrderId"], Counter())[f"order{given['status']}"] += 1

    def _contact(self, call: Call, account: str) -> Answer:
        body = self.read(call)
        self.require(call, CONTACT, body)
        who = {"email" if each["type"] == "email" else "phone": each["value"] for each in body["channels"]}
        if "externalCustomerId" in body:
            who["externalCustomerId"] = body["externalCustomerId"]
        return json_answer(200, {"id": self.books(account).contacts.upsert(who).id})

    # Events: what is wrong with them mostly goes unsaid

    def _event(self, call: Call, account: str, version: str) -> Answer:
        if len(call.body) > EVENT_BYTES:
            raise self.refused(413, f"an event has at most {EVENT_BYTES} bytes")
        body = self.read(call)
        self.require(call, EVENT[version], body)
        key, parameters = body["eventTypeKey"], {each["name"]: each["value"] for each in body["params"]}
        who = _who(parameters)
        if key == "cartUpdated":
            self._check_cart(call, parameters, who)
        contacts = self.books(account).contacts
        self.count(key)
        if version == "v2" and who:
            contacts.upsert(who)
        if key not in ("cartUpdated", *ORDER_EVENTS):
            return Answer(200)
        if contacts.find(who) is None:
            self._drop(call, "event of an unknown contact was dropped: contacts come first")
        elif key == "cartUpdated":
            self._cart(call, account, parameters)
        else:
            self._order_event(call, account, key, parameters)
        return Answer(200)

    def _drop(self, call: Call, sentence: str) -> None:
        self.count("dropped")
        self.violation(call, sentence)

    def _check_cart(self, call: Call, parameters: dict[str, Any], who: Mapping[str, str]) -> None:
        if not who:
            raise self.refused(400, "cartUpdated needs a parameter that identifies the contact")
        try:
            cart = _typed(parameters)
        except ValueError as error:
            raise self.refused(400, f"products must be JSON text: {error}") from error
        self.require(call, CART, cart)

    def _cart(self, call: Call, account: str, parameters: dict[str, Any]) -> None:
        carts, cart = self.books(account).carts, _typed(parameters)
        before = carts.setdefault(cart["recycleStateId"], cart)
        if before["products"] != cart["products"]:
            self.violation(call, "recycleStateId was used before, for other products")
            carts[cart["recycleStateId"]] = cart

    def _order_event(self, call: Call, account: str, key: str, parameters: dict[str, Any]) -> None:
        try:
            given = {name: value for name, value in _typed(parameters).items() if name in ORDER_FIELDS}
        except ValueError as error:
            return self._drop(call, f"order of {key} was dropped: {error}")
        orders, id_ = self.books(account).orders, given.get("externalOrderId", "")
        known = orders.get(id_)
        status = ORDER_EVENTS[key]
        if status:
            if self.check(call, text, id_, "externalOrderId").refused:
                return self._drop(call, f"{key} was dropped: externalOrderId is required")
            if known is None:
                return self.count("ignored")  # documented: nothing is said of an order that does not exist
            orders[id_] = known | {"status": status}
            return None
        new = known | given if known and key == "orderUpdated" else given
        found = self.check(call, event_order, new)
        if found.refused:
            return self._drop(call, f"order of {key} was dropped: {'; '.join(found.refused)}")
        orders[id_] = new
        return None


def _who(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The identifiers among an event's parameters, whose names are searched without regard to case."""
    return {
        IDENTITY[name.lower()]: value
        for name, value in parameters.items()
        if name.lower() in IDENTITY and isinstance(value, str) and value not in ("", "null")
    }


def _typed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, which the first version of events carries as text, in the types that /v1/orders has."""
    typed = dict(parameters)
    for name in typed.keys() & (_AMOUNTS | _NESTED):
        if isinstance(typed[name], str):
            typed[name] = float(typed[name]) if name in _AMOUNTS else json.loads(typed[name])
    return typed
