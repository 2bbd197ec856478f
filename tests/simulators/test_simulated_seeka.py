"""Seeka: values of a person are lists, an activity counts once, 202 says no more than queued."""

from typing import Any

import pytest

PATH = "/ingest"
ACCOUNT = "org-1/key-1"


@pytest.fixture
def batch(examples: Any) -> Any:
    return examples["seeka"]["order"][0]["body"]


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("id.email", "eva.jansen@example.com", "id.email must be an array"),
        ("id.email", ["Eva@example.com"], "id.email[0] must be an e-mail address, trimmed and in lower case"),
        ("id.email", [], "id.email must have 1 to any number of elements"),
        ("id.phone", ["0612345678"], "id.phone[0] must be a phone number in E.164 form"),
        ("id.firstName", "Eva", "id.firstName must be an array"),
        ("id.firstName", [""], "id.firstName[0] must not be empty"),
        ("id.dob", ["24-04-1991"], "id.dob[0] must be a date as YYYY-MM-DD"),
        ("id.address", {}, "id.address must be an array"),
        ("id.address.0.countryCode", "NLD", "id.address[0].countryCode must be an ISO 3166-1 alpha-2 country code"),
        ("id.seekaPId", "eva", "id.seekaPId must be a Seeka profile id"),
        ("id.privacy", {}, "id.privacy.tcfConsentString is required"),
        ("id", {"firstName": ["Eva"]}, "id needs at least one of seekaPId, email, phone"),
        ("payload.activityName", ..., "payload.activityName is required"),
        ("payload.activityId", "", "payload.activityId must not be empty"),
        ("payload.activityId", 5501, "payload.activityId must be a string"),
        ("payload.time", "2026-03-14T10:15:30", "payload.time must be an ISO 8601 time with Z or an offset"),
        ("payload.time", ..., "payload.time is required"),
        ("payload.commerce", ..., "payload.commerce is required"),
        ("payload.commerce.products", ..., "payload.commerce.products is required"),
        ("payload.commerce.currencyCode", "eur", "payload.commerce.currencyCode must be an ISO 4217 currency code"),
        ("payload.commerce.totalPrice", "90.45", "payload.commerce.totalPrice must be a number"),
        ("payload.commerce.totalTax", None, "payload.commerce.totalTax must be a number"),
        ("payload.commerce.orderNumber", 1042, "payload.commerce.orderNumber must be a string"),
        ("payload.commerce.products.0.quantity", 1.5, "payload.commerce.products[0].quantity must be an integer"),
        ("payload.commerce.products.0.unitPrice", "36", "payload.commerce.products[0].unitPrice must be a number"),
        (
            "payload.commerce.products.0.productIdentifier",
            8801.5,
            "payload.commerce.products[0].productIdentifier must be a string",
        ),
    ],
)
def test_a_wrong_activity_is_refused(
    client: Any, batch: Any, changed: Any, path: str, value: Any, sentence: str
) -> None:
    assert client.send("seeka", PATH, changed(batch, f"data.0.ev.{path}", value)).status_code == 400
    assert client.sentences() == [f"data[0].ev.{sentence}"]
    assert client.state("seeka", ACCOUNT) is None


def test_unknown_fields_and_missing_client_headers_are_violations(client: Any, batch: Any, changed: Any) -> None:
    body = changed(batch, "data.0.ev.payload.commerce.totalDiscount", 9.5)
    headers = {"X-Sdk-Client-Version": None, "X-Sdk-Client-Type": "tillwire"}
    assert client.send("seeka", PATH, body, headers=headers).status_code == 202
    assert client.sentences() == [
        "header X-Sdk-Client-Version should always be sent",
        "header X-Sdk-Client-Type should be the client's name and /server",
        "data[0].ev.payload.commerce.totalDiscount is an unknown field",
    ]


def test_a_batch_has_at_most_twenty_events(client: Any, batch: Any, changed: Any) -> None:
    events = [changed(batch, "data.0.ev.payload.activityId", f"order_{n}")["data"][0] for n in range(21)]
    assert client.send("seeka", PATH, {"data": events}).status_code == 400
    assert client.state("seeka", ACCOUNT) is None
    assert client.send("seeka", PATH, {"data": events[:20]}).status_code == 202
    assert len(client.state("seeka", ACCOUNT)["activities"]) == 20


def test_an_activity_counts_once_and_keeps_its_first_form(client: Any, batch: Any, changed: Any) -> None:
    client.send("seeka", PATH, batch)
    client.send("seeka", PATH, changed(batch, "data.0.ev.payload.commerce.totalPrice", 1))
    state = client.state("seeka", ACCOUNT)["activities"]
    assert state == {"order_5501234567890": batch["data"][0]["ev"]}
    assert client.counts("seeka") == {"duplicates": 1}


def test_another_activity_needs_no_order_fields(client: Any, batch: Any, changed: Any) -> None:
    body = changed(changed(batch, "data.0.ev.payload.activityName", "Refund"), "data.0.ev.payload.commerce", {})
    assert client.send("seeka", PATH, body).status_code == 202
    assert client.sentences() == []


def test_an_identity_is_pushed(client: Any) -> None:
    person = {"email": ["eva@example.com"], "consent": {"privacy": {"tcfConsentString": "C"}}}
    answer = client.send("seeka", "/identity", person)
    assert (answer.status_code, list(answer.json())) == (200, ["seekaPId"])
    assert client.send("seeka", "/identity", {"email": "eva@example.com"}).status_code == 400
