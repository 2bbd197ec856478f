"""Persons: who is meant by a privacy request, and which orders, carts and checkouts of a shop are theirs.

Stores know a person by an account, an e-mail address or a phone number, and guests by the order alone. So a person's
orders are looked for by all of these, in the facts of the shop's ledgers and events, page by page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, select

from app.db import Database
from app.models import Event, Ledger
from app.services.errors import Wrong
from app.services.kept import Traces
from app.services.packing import unpack
from connectors import people
from connectors.events import Kind

Subject = tuple[str, str]  #: order, cart or checkout; its id on the platform

PAGE = 200  #: rows read at a time
_SHORTEST_PHONE = 7
_DIGITS = re.compile(r"\d+", re.ASCII)
_SUBJECTS = ("order", "cart", "checkout")
_ADDRESSES = ("address", "billing", "shipping")
#: What identifies by itself, and what does so only beside it; by the attribute names of `connectors.events`.
_STRONG = ("email", "phone", "seeka_profile_id", "spotler_cookie", "tcf_consent", "line1", "line2", "text")
_WEAK = ("first_name", "last_name", "company", "postcode")


@dataclass(slots=True)
class Person:
    """What is known of whom a request means."""

    ids: set[str] = field(default_factory=set)  #: customer ids on the platform
    emails: set[str] = field(default_factory=set)  #: lower case
    phones: set[str] = field(default_factory=set)  #: as typed
    orders: set[str] = field(default_factory=set)  #: order ids that the request itself lists

    def __bool__(self) -> bool:
        return bool(self.ids or self.emails or self.phones or self.orders)


@dataclass(frozen=True, slots=True)
class Traits:
    """By what an order, a cart or a checkout can be somebody's."""

    ids: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    carts: frozenset[str] = frozenset()  #: the cart that it is or grew out of
    cookies: frozenset[str] = frozenset()  #: a browser's; it may be shared, so it tells only where nothing else does


@dataclass(slots=True)
class Found:
    """What of a shop is a person's."""

    person: Person  #: with what their own orders add
    subjects: set[Subject] = field(default_factory=set)
    guests: set[Subject] = field(default_factory=set)  #: those of them that only another order of theirs leads to
    carts: set[str] = field(default_factory=set)
    cookies: set[str] = field(default_factory=set)
    strong: set[str] = field(default_factory=set)
    weak: set[str] = field(default_factory=set)
    _traces: Traces | None = None

    def add(self, subject: Subject, state: Mapping[str, Any]) -> None:
        """It is theirs; what it shows of them is looked for in all the rest."""
        traits = traits_of(state)
        self.subjects.add(subject)
        self.carts |= traits.carts
        self.cookies |= traits.cookies
        self.learn(traits.ids | traits.emails | traits.phones, set())
        for place in _places(state):
            self.learn(_texts(place, _STRONG), _texts(place, _WEAK))

    def learn(self, strong: AbstractSet[str], weak: AbstractSet[str]) -> None:
        """Take in what identifies them."""
        if not (strong <= self.strong and weak <= self.weak):
            self.strong |= strong
            self.weak |= weak
            self._traces = None

    @property
    def traces(self) -> Traces:
        """What identifies them, as far as it is known now."""
        if self._traces is None:
            self._traces = self._make_traces()
        return self._traces

    def _make_traces(self) -> Traces:
        person = self.person
        digits = {"".join(_DIGITS.findall(phone)) for phone in person.phones}
        names = {" ".join(pair) for pair in _pairs(self.weak)}
        strong = self.strong | person.ids | person.emails | person.phones | digits | self.cookies | names
        return Traces(strong, self.weak)

    def owns(self, subject: Subject, traits: Traits) -> bool:
        """Whether it is theirs, by what is known so far."""
        return subject in self.subjects or owns(self.person, subject, traits) or self._by_cart(subject, traits)

    def _by_cart(self, subject: Subject, traits: Traits) -> bool:
        if subject[0] == "order":
            return False
        nameless = not (traits.ids or traits.emails or traits.phones)
        return bool(nameless and (self.carts & traits.carts or self.cookies & traits.cookies))


def _pairs(names: set[str]) -> Iterator[tuple[str, str]]:
    few = sorted(name for name in names if not any(char.isdigit() for char in name))[:20]
    return ((first, last) for first in few for last in few if first != last)


def from_request(body: Mapping[str, Any]) -> Person:
    """Whom a compliance webhook means. Its order ids are bare numbers; a customer may have an e-mail address alone."""
    customer = body.get("customer")
    customer = customer if isinstance(customer, dict) else {}
    orders = body.get("orders_to_redact") or body.get("orders_requested") or []
    email = people.email(customer["email"]) if isinstance(customer.get("email"), str) else None
    phone = customer.get("phone")
    return Person(
        ids={str(customer["id"])} if customer.get("id") else set(),
        emails={email} if email else set(),
        phones={phone} if isinstance(phone, str) and len(_digits(phone)) >= _SHORTEST_PHONE else set(),
        orders={str(each) for each in orders if isinstance(each, int | str)} if isinstance(orders, list) else set(),
    )


def from_text(given: str) -> Person:
    """Whom a person at the command line means: a customer's id on the platform, or an e-mail address."""
    text = given.strip()
    if email := people.email(text):
        return Person(emails={email})
    if "@" in text or not text or text == "0" or any(char.isspace() for char in text):
        raise Wrong("--customer is neither a customer's id in the store nor an e-mail address")
    return Person(ids={text})


def owns(person: Person, subject: Subject, traits: Traits) -> bool:
    """Whether ``subject`` is the person's by what the request says."""
    listed = subject[0] == "order" and subject[1] in person.orders
    return listed or bool(
        person.ids & traits.ids
        or person.emails & traits.emails
        or any(same_phone(mine, other) for other in traits.phones for mine in person.phones)
    )


def same_phone(one: str, other: str) -> bool:
    """Whether both are one number; one of them may lack its country's code."""
    first, second = _digits(one), _digits(other)
    if one.strip().startswith("+") and other.strip().startswith("+"):
        return first == second
    shorter, longer = sorted((first, second), key=len)
    return len(shorter) >= _SHORTEST_PHONE and longer.endswith(shorter)


def _digits(phone: str) -> str:
    return "".join(_DIGITS.findall(phone)).lstrip("0")


# looking through a shop


def search(db: Database, shop_id: int, person: Person) -> Found:
    """Everything of the shop that is the person's.

    First what the request names, also in what was told of an order before its buyer changed their address; then what
    those orders show: orders of the same account, and guests' orders with an e-mail address of theirs. It goes no
    further, so that an address which a till enters for everybody ends there.
    """
    found = Found(Person(set(person.ids), set(person.emails), set(person.phones), set(person.orders)))
    asked = {("order", each) for each in person.orders}
    learned = Person()
    for subject, facts in _everything(db, shop_id, Event.facts.is_not(None)):
        traits = traits_of(facts)
        if owns(person, subject, traits):
            asked.add(subject)
            found.add(subject, facts)
            if not _by_phone_alone(person, subject, traits):
                learned.ids |= traits.ids
                learned.emails |= traits.emails
    found.subjects |= asked
    learned.ids -= person.ids
    learned.emails -= person.emails
    if learned or found.carts or found.cookies:
        _search_on(db, shop_id, found, learned)
    found.guests = found.subjects - asked
    found.person.ids |= learned.ids
    return found


def _search_on(db: Database, shop_id: int, found: Found, learned: Person) -> None:
    for subject, facts in _everything(db, shop_id, _CARTS):
        traits = traits_of(facts)
        same = learned.ids & traits.ids or (not traits.ids and learned.emails & traits.emails)
        if same or found.owns(subject, traits):
            found.add(subject, facts)


def _by_phone_alone(person: Person, subject: Subject, traits: Traits) -> bool:
    """A household shares a phone: the order goes, but it does not lead to the other's orders."""
    return not owns(Person(person.ids, person.emails, set(), person.orders), subject, traits)


#: Of carts and checkouts the ledgers know less than what was told.
_CARTS = Event.kind.in_([Kind.CART_UPDATED, Kind.CHECKOUT_STARTED])


def _everything(db: Database, shop_id: int, told: ColumnElement[bool]) -> Iterator[tuple[Subject, Any]]:
    """The newest of every order and cart, and what was told of them in some events."""
    for row in pages(db, Ledger.shop_id == shop_id, Ledger.id, Ledger.kind, Ledger.key, Ledger.state):
        if row.state:
            yield (row.kind, row.key), unpack(row.state)
    for row in pages(db, (Event.shop_id == shop_id) & told, Event.id, Event.kind, Event.subject, Event.facts):
        if row.facts:
            yield subject_of(row.kind, row.subject), unpack(row.facts)


def pages(db: Database, where: ColumnElement[bool], *columns: Any, size: int = PAGE) -> Iterator[Any]:
    """Rows of ``columns`` (the key first) in the key's order, read a page at a time in transactions of their own."""
    for page in in_pages(db, where, *columns, size=size):
        yield from page


def in_pages(db: Database, where: ColumnElement[bool], *columns: Any, size: int = PAGE) -> Iterator[list[Any]]:
    key, last = columns[0], 0
    while True:
        with db.read() as session:
            rows = list(session.execute(select(*columns).where(where, key > last).order_by(key).limit(size)))
        if rows:
            yield rows
            last = rows[-1][0]
        if len(rows) < size:
            return


def subject_of(kind: str | None, subject: str | None) -> Subject:
    """An event's subject; what is of no kind is about an order."""
    group = (kind or "order").partition(".")[0]
    return (group, subject or "")


def traits_of(state: Mapping[str, Any]) -> Traits:
    """Of a ledger's state or an event's facts."""
    ids, emails, phones, carts, cookies = set(), set(), set(), set(), set()
    for thing in _things(state):
        account = thing.get("customer") or {}
        ids |= {thing.get("customer_id"), account.get("id")}
        emails |= {thing.get("email"), account.get("email")}
        phones |= {thing.get("phone"), account.get("phone")}
        phones |= {(thing.get(name) or {}).get("phone") for name in _ADDRESSES if isinstance(thing.get(name), dict)}
        carts.add(thing.get("cart_id"))
        cookies |= {thing.get("spotler_cookie"), thing.get("seeka_profile_id")}
    cart = state.get("cart") or {}
    carts.add(cart.get("id"))
    return Traits(*(frozenset(each for each in those if each) for those in (ids, emails, phones, carts, cookies)))


def _things(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in (*_SUBJECTS, "identity"):
        thing = state.get(name)
        if isinstance(thing, dict):
            yield thing


def _places(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Where a person's data stand, in a ledger's state or an event's facts."""
    for thing in _things(state):
        for place in (thing, thing.get("customer"), *(thing.get(name) for name in _ADDRESSES)):
            if isinstance(place, dict):
                yield place


def _texts(place: Mapping[str, Any], names: tuple[str, ...]) -> set[str]:
    return {text for name in names if isinstance(text := place.get(name), str) and text.strip()}
