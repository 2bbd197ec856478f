"""What a screen shows of payloads and answers: everything but the buyer."""

from __future__ import annotations

from app.services.cover import HIDDEN, Cover

STATE = {"order": {"email": "buyer@example.test", "first_name": "Robin", "phone": "+4512345678"}}


def test_what_is_not_on_the_list_is_shown_as_sent_but_not_with_what() -> None:
    payload = {"email": "x@example.test", "orderId": "7", "lineItems": [{"sku": "A", "note": "for Ann"}], "total": None}
    assert Cover.of(STATE).payload(payload) == {
        "email": HIDDEN,
        "orderId": "7",
        "lineItems": [{"sku": "A", "note": HIDDEN}],
        "total": HIDDEN,
    }


def test_the_buyer_is_taken_out_of_what_is_on_the_list() -> None:
    covered = Cover.of(STATE).payload({"title": "Mug for Robin", "orderNumber": "buyer@example.test"})
    assert covered == {"title": "Mug for ", "orderNumber": ""}


def test_an_answer_loses_the_buyer_and_nothing_else() -> None:
    assert Cover.of(STATE).text("no customer buyer@example.test (Robin) in 7") == "no customer  () in 7"


def test_nobody_known_hides_no_text() -> None:
    assert Cover.of({}).text("no customer Robin") == "no customer Robin"
