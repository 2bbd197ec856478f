"""Spotler: purchases merge, other events count, and 200 may carry errors."""

from typing import Any

import pytest

PATH = "/track"
CART = {"event": "AddToCart", "sqzly_cookie": "sqzl0123456789abcdef0123", "products": [{"id": "MUG", "quantity": 1}]}


@pytest.fixture
def purchase(examples: Any) -> Any:
    return examples["spotler"]["purchase"][0]["body"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("event", ..., "event is required"),
        ("event", "SessionStart", "SessionStart is an event of the service's own"),
        ("email", ..., "email is required"),
        ("email", "Eva.Jansen@example.com", "email must be an e-mail address, trimmed and in lower case"),
        ("email", " eva@example.com", "email must be an e-mail address, trimmed and in lower case"),
        ("email", "abc", "email must be a SHA-256 hash in hexadecimal"),
        ("orderid", 1042, "orderid must be a string"),
        ("products", ..., "products is required"),
        ("products", {"id": "MUG"}, "products must be an array"),
        ("products.0.id", "", "products[0].id must not be empty"),
        ("products.0.quantity", 1.5, "products[0].quantity must be an integer"),
        ("products.0.price", "36.00", "products[0].price must be a number"),
        ("products.0.language", "nl_NL", "products[0].language must be a language in the form nl-NL"),
        ("currency", "EURO", "currency must be an ISO 4217 currency code"),
        ("currency", ["EUR"], "currency must be an ISO 4217 currency code"),
        ("totalvalue", "90.45", "totalvalue must be a number"),
        ("userid", None, "userid must be a string"),
        ("firstname", "", "firstname must not be empty"),
        ("lastname", None, "lastname must be a string"),
        ("custom_note", None, "custom_note must not be empty or null: it would overwrite the profile's field"),
        ("gender", "1", "gender must be one of M, F, U"),
        ("phone", "31612345678", "phone must be a phone number in E.164 form"),
        ("country", "Netherlands", "country must be an ISO 3166-1 alpha-2 country code"),
        ("country", "UK", "country must be an ISO 3166-1 alpha-2 country code"),
        ("newsletter", True, "newsletter must be one of yes, no"),
        ("newsletter", "", "newsletter must be one of yes, no"),
        ("sqzly_cookie", "abc", "sqzly_cookie must be the value of the cookie sqzllocal"),
    ],
)
def test_a_wrong_event_is_refused_within_a_200(
    client: Any, purchase: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    answer = client.send("spotler", PATH, changed(purchase, path, value))
    assert (answer.status_code, answer.json()["errors"][0]) == (200, sentence)
    assert client.sentences()[0] == sentence
    assert client.state("spotler", "account-1") is None


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-03-14T10:15:30",
        "2026-03-14 10:15:30+01:00",
        "2026-03-14T10:15:30.000Z",
        "2026-02-30T10:15:30Z",
        "now",
        1.5,
    ],
)
def test_an_unreadable_time_is_refused_by_its_code(client: Any, purchase: Any, changed: Any, timestamp: Any) -> None:
    answer = client.send("spotler", PATH, changed(purchase, "timestamp", timestamp))
    assert (answer.status_code, answer.json()) == (400, {"errors": ["TIMESTAMP_ERROR"]})
    assert len(client.sentences()) == 1


@pytest.mark.parametrize("timestamp", ["2026-03-14T09:15:30Z", "2026-03-14T10:15:30+01:00", 1773479730])
def test_a_time_that_leaves_no_doubt_is_taken(client: Any, purchase: Any, changed: Any, timestamp: Any) -> None:
    assert client.send("spotler", PATH, changed(purchase, "timestamp", timestamp)).json() == {"success": True}
    assert client.sentences() == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("tax", 15.7, "tax is an unknown field"),
        ("custom_", 1, "custom_ is an unknown field"),
        ("currency", ..., "currency should always be sent"),
        ("timestamp", ..., "timestamp should always be sent"),
        ("totalvalue", 90.455, "totalvalue has more than 2 decimals"),
    ],
)
def test_what_is_taken_all_the_same_is_a_violation_too(
    client: Any, purchase: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    assert client.send("spotler", PATH, changed(purchase, path, value)).json() == {"success": True}
    assert client.sentences() == [sentence]


def test_custom_fields_and_hashed_addresses_are_taken(client: Any, purchase: Any) -> None:
    event = {**purchase, "custom_refund_value": 1.5, "email": "a" * 64}
    assert client.send("spotler", PATH, event).json() == {"success": True}
    assert client.sentences() == []


def test_a_purchase_merges_by_its_order(client: Any, purchase: Any) -> None:
    client.send("spotler", PATH, purchase)
    client.send("spotler", PATH, {"events": [{**purchase, "custom_campaign": "x"}]})
    state = client.state("spotler", "account-1")
    assert state == {"purchases": {"1042": {**purchase, "custom_campaign": "x"}}, "events": []}


def test_other_events_count_each_time(client: Any) -> None:
    for _ in range(2):
        assert client.send("spotler", PATH, CART).json() == {"success": True}
    assert client.state("spotler", "account-1")["events"] == [{"times": 2, "event": CART}]
    assert client.sentences() == []


@pytest.mark.parametrize(
    "event",
    [
        CART,
        {"event": "RemoveFromCart", "userid": 7, "products": [{"id": "MUG"}]},
        {"event": "UpdateCart", "email": "a@b.example", "set_cart": True, "products": []},
        {"event": "InitiateCheckout", "userid": "7", "products": [{"id": "MUG", "quantity": 1}], "currency": "EUR"},
        {"event": "EmailOptIn", "email": "a@b.example", "newsletter": "yes"},
        {"event": "CompleteRegistration", "email": "a" * 64, "language": "nl-NL"},
        {"event": "CRMUpdate", "userid": "7", "birthdate": "1991-04-24"},
        {"event": "OrderRefunded", "email": "a@b.example", "orderid": "1042", "custom_refund_value": 9.5},
    ],
    ids=lambda event: event["event"],
)
def test_each_kind_of_event_is_taken(client: Any, event: Any) -> None:
    assert client.send("spotler", PATH, event).json() == {"success": True}
    assert client.sentences() == []


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({**CART, "sqzly_cookie": ...}, "needs at least one of email, userid, sqzly_cookie"),
        ({**CART, "event": "UpdateCart"}, "set_cart is required"),
        ({**CART, "event": "UpdateCart", "set_cart": False}, "set_cart must be true"),
        ({"event": "OrderRefunded", "orderid": "1"}, "needs at least one of email, userid"),
    ],
)
def test_an_event_without_what_it_needs_is_refused(client: Any, event: Any, sentence: str) -> None:
    sent = {name: value for name, value in event.items() if value is not ...}
    assert client.send("spotler", PATH, sent).json() == {"errors": [sentence]}


def test_a_batch_names_the_events_that_it_refuses(client: Any, purchase: Any, changed: Any) -> None:
    answer = client.send("spotler", PATH, {"events": [purchase, changed(purchase, "email", ...), 7]})
    assert answer.json()["errors"] == [
        {"index": 1, "message": "events[1].email is required"},
        {"index": 2, "message": "events[2] must be an object"},
    ]
    assert list(client.state("spotler", "account-1")["purchases"]) == ["1042"]
