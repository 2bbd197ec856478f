"""What a store answered, read within limits, or the error that it means.

StoreError
├── StoreUnauthorized   401, 403: keys revoked, their owner demoted, or a firewall in front of the store
├── StoreUnavailable    timeout, no connection, 429, 5xx: the same question may be answered later
└── StoreAnswer         anything else: a redirect, 404, HTML, an answer of another shape
    └── StoreTooLarge   more bytes than we read; fewer rows may fit

No message names a key, a person or an address with its query.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3

from connectors.errors import Unreadable
from connectors.reading import Reader, parse

T = TypeVar("T")

LARGEST_ANSWER = 16 * 2**20  #: bytes, decompressed; a hundred orders or refunds are well below
LONGEST_ANSWER = 60.0  #: seconds from the question to the last byte, for stores that send drop by drop
_CHUNK = 65_536
_PASSING = frozenset({429, 502, 503, 504})
_CODE = re.compile(r"[a-z0-9_]{1,80}")


class StoreError(Exception):
    """Base of what can go wrong when a store is asked."""

    def __init__(self, text: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status  #: of HTTP, where there was one
        self.code = code  #: WooCommerce's or WordPress's own word for it, where there was one


class StoreUnauthorized(StoreError):
    """The store does not take the keys; the merchant must mend the connection."""


class StoreUnavailable(StoreError):
    """No answer, or one that may be another later."""

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        passing: bool = False,
    ) -> None:
        super().__init__(text, status=status, code=code)
        self.retry_after = retry_after  #: seconds, where the store said so
        self.passing = passing  #: likely to be over within seconds


class StoreAnswer(StoreError):
    """An answer that will stay as it is, and is not what was asked for."""


class StoreTooLarge(StoreAnswer):
    """More than we read of any answer; less may be asked for."""


def documented(reading: Callable[[], T]) -> T:
    """What ``reading`` makes of an answer; one of another shape than documented is a `StoreAnswer`."""
    try:
        return reading()
    except Unreadable as error:
        raise StoreAnswer(f"not what WooCommerce documents: {error}") from None


def unreachable(endpoint: str, error: Exception) -> StoreError:
    """The library's errors hold the whole address, over http with the key in it: only their kind is told."""
    text = f"{endpoint}: {type(error).__name__}"
    if isinstance(error, requests.RequestException) and not isinstance(
        error, requests.Timeout | requests.ConnectionError
    ):
        return StoreAnswer(f"wrong store URL: {text}")
    return StoreUnavailable(text, passing=isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError))


def body_of(endpoint: str, response: requests.Response, since: float, *, largest: int | None = None) -> bytes:
    """The body, unless it is too large or too late; read from ``raw``, as `requests` waits until a chunk is full.

    Args:
        since: `time.monotonic()` when the question was asked.
        largest: bytes, decompressed; default `LARGEST_ANSWER`.
    """
    found = bytearray()
    largest = LARGEST_ANSWER if largest is None else largest
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            found += chunk
            if len(found) > largest:
                raise StoreTooLarge(f"{endpoint}: more than {largest} bytes")
            if time.monotonic() > since + LONGEST_ANSWER:
                raise StoreUnavailable(f"{endpoint}: not all of the answer within {LONGEST_ANSWER:.0f} s")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise unreachable(endpoint, error) from None
    return bytes(found)


def content_of(endpoint: str, response: requests.Response, body: bytes) -> Reader:
    """The answer's JSON, or the error that its status means; success by status alone proves nothing (firewalls)."""
    status = response.status_code
    if status in (200, 201):
        return parse(body)
    code = code_of(body)
    text = f"{endpoint}: {status}, {code or 'no error code of WooCommerce'}"
    if 300 <= status < 400:
        raise StoreAnswer(f"wrong store URL: it redirects ({status})", status=status)
    if status in (401, 403):
        raise StoreUnauthorized(text, status=status, code=code)
    if status in _PASSING or status >= 500:
        retry_after = _seconds(response.headers.get("Retry-After", ""))
        raise StoreUnavailable(text, status=status, code=code, retry_after=retry_after, passing=status in _PASSING)
    raise StoreAnswer(text, status=status, code=code)


def code_of(body: bytes) -> str | None:
    """The word for an error in a store's answer; None for anything that is not made like one."""
    try:
        code = parse(body)["code"].text_or_none()
    except Unreadable:
        return None
    return code if code and _CODE.fullmatch(code) else None


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else None
