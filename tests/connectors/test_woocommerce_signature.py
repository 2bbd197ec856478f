from __future__ import annotations

import base64
import hmac

import pytest

from connectors.errors import BadSignature
from connectors.woocommerce.signature import is_ping, verify
from tests.connectors.woocommerce_fixtures import RECORDED, SIGNED, Recorded

FORM = "application/x-www-form-urlencoded"
GENUINE = RECORDED["007"]
BY_NAME = {"ids": lambda each: each.name}


@pytest.mark.parametrize("sample", SIGNED, **BY_NAME)
def test_every_recorded_signature_verifies(sample: Recorded) -> None:
    verify(sample.body, sample.headers, sample.secret)


@pytest.mark.parametrize("sample", SIGNED, **BY_NAME)
def test_one_bit_less_and_it_does_not(sample: Recorded) -> None:
    changed = sample.body[:-1] + bytes([sample.body[-1] ^ 1])
    with pytest.raises(BadSignature):
        verify(changed, sample.headers, sample.secret)


@pytest.mark.parametrize("header", ["", "é", "\udce9", "=" * 44, "sha256=abc", "\x00"])
def test_any_other_header_is_a_bad_signature(header: str) -> None:
    with pytest.raises(BadSignature):
        verify(GENUINE.body, {"x-wc-webhook-signature": header}, GENUINE.secret)


def test_no_header_is_a_bad_signature() -> None:
    with pytest.raises(BadSignature):
        verify(GENUINE.body, {}, GENUINE.secret)


def test_another_webhooks_secret_proves_nothing() -> None:
    with pytest.raises(BadSignature):
        verify(GENUINE.body, GENUINE.headers, RECORDED["009"].secret)


def test_an_empty_secret_verifies_nothing_even_what_was_signed_with_it() -> None:
    signature = base64.b64encode(hmac.digest(b"", b"{}", "sha256")).decode()
    with pytest.raises(BadSignature):
        verify(b"{}", {"x-wc-webhook-signature": signature}, "")


def test_hex_is_not_the_signature() -> None:
    with pytest.raises(BadSignature):
        verify(b"{}", {"x-wc-webhook-signature": hmac.digest(b"s", b"{}", "sha256").hex()}, "s")


def test_the_recorded_ping_is_a_ping() -> None:
    ping = RECORDED["001"]
    assert is_ping(ping.headers, ping.body, ping.headers["content-type"])


@pytest.mark.parametrize("sample", SIGNED, **BY_NAME)
def test_no_delivery_is_a_ping(sample: Recorded) -> None:
    assert not is_ping(sample.headers, sample.body, sample.headers["content-type"])


@pytest.mark.parametrize(
    ("headers", "body", "content_type", "ping"),
    [
        ({}, b"webhook_id=12", FORM, True),
        ({}, b"webhook_id=12", "Application/X-WWW-Form-Urlencoded; charset=UTF-8", True),
        ({}, b"webhook_id=12", "application/json", False),
        ({}, b"webhook_id=12", None, False),
        ({}, b"webhook_id=", FORM, False),
        ({}, b"webhook_id=12\n", FORM, False),
        ({}, b"webhook_id=12&a=1", FORM, False),
        ({}, b"webhook_id=-1", FORM, False),
        ({}, b"webhook_id=" + "١".encode(), FORM, False),
        ({}, b"webhook_id=" + b"1" * 21, FORM, False),
        ({}, b"", FORM, False),
        ({"x-wc-webhook-topic": "order.created"}, b"webhook_id=12", FORM, False),
        ({"x-wc-anything": ""}, b"webhook_id=12", FORM, False),
    ],
)
def test_only_a_form_of_one_number_without_headers_is_a_ping(
    headers: dict[str, str], body: bytes, content_type: str | None, ping: bool
) -> None:
    assert is_ping(headers, body, content_type) is ping
