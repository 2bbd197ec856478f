"""Only what Shopify signed with a secret of ours is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from connectors.errors import BadSignature
from connectors.shopify.signature import verify

BODY = b'{"id":1,"note":"\xc3\xa9 &amp; \\u0026"}'
#: base64 of HMAC-SHA256 of BODY with "hush", by `openssl dgst -sha256 -hmac hush -binary | base64`.
SIGNATURE = "7FYgbaDCNmksDdwn9/CgoKPI/KS2LcGqhX0ECnhbb7A="


def sign(body: bytes, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def test_the_signature_is_base64_of_the_hmac_of_the_bytes() -> None:
    verify(BODY, {"x-shopify-hmac-sha256": SIGNATURE}, ["hush"])


@pytest.mark.parametrize("name", ["x-shopify-hmac-sha256", "shopify-hmac-sha256"])
def test_both_spellings_of_the_header_are_read(name: str) -> None:
    verify(BODY, {name: sign(BODY, "hush")}, ["hush"])


@pytest.mark.parametrize("secrets", [["new", "old"], ["old", "new"], ["", "old"], ["old", ""]])
def test_every_secret_is_tried(secrets: list[str]) -> None:
    verify(BODY, {"x-shopify-hmac-sha256": sign(BODY, "old")}, secrets)


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_an_empty_secret_proves_nothing(secrets: list[str]) -> None:
    with pytest.raises(BadSignature):
        verify(BODY, {"x-shopify-hmac-sha256": sign(BODY, "")}, secrets)


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "x",
        sign(BODY, "other"),
        sign(BODY, "hush")[:-1],
        sign(BODY, "hush") + "=",
        sign(BODY, "hush").lower(),
        hmac.new(b"hush", BODY, hashlib.sha256).hexdigest(),
        "Ünicode",
        "\udc80",
        "鍵" * 44,
    ],
)
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(BadSignature):
        verify(BODY, {"x-shopify-hmac-sha256": given}, ["hush", "older"])


def test_no_header_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify(BODY, {"content-type": "application/json"}, ["hush"])


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], BODY.replace(b"1", b"2"), b""])
def test_a_changed_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(body, {"x-shopify-hmac-sha256": sign(BODY, "hush")}, ["hush"])


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(ours: bytes, given: bytes) -> bool:
        compared.append(ours)
        return ours == given

    monkeypatch.setattr("connectors.shopify.signature.hmac.compare_digest", compare)
    verify(BODY, {"x-shopify-hmac-sha256": sign(BODY, "first")}, ["first", "second"])
    assert compared[0] == sign(BODY, "first").encode()
